"""Which open bills a person is shown for a payment that is left, and in which order. Pure, and in columns.

A candidate weighs as much as what speaks for it is rare: a name that one bill in a thousand carries is worth ten bits,
the end of a phone as many as it has digits. How often a true payer's phone, name and amount agree is not assumed; it is
counted on the payments that the run matched by a number, of which the sender was not asked. Weights are tenths of bits
and whole numbers, so that they are the same everywhere.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from reconciliation.engine import columns
from reconciliation.engine import senders as evidence
from reconciliation.engine.case import Case
from reconciliation.engine.columns import Ints
from reconciliation.engine.indexes import Bills
from reconciliation.engine.senders import Agreement, Proof, Sender
from revenue_engine.money import wire

SAMPLE = 4096
"""So many matches by number tell how often senders and amounts agree."""

_NUMBERS = 900_000_000
"""Nine digits, the first not 0: a number that is typed and found says that much."""
_ONE_SLIP, _TWO_SLIPS = 20, 290
"""So many well-formed numbers are one slip, two digits away from a malformed one."""
_TWO_SLIPS_ARE_RARER = 40
_DOUBTED = 3_000
"""What may have come together by chance says no more than a number that is far from the one that was typed."""
_KINDS = (
    ("believed", "its number was typed"),
    ("doubted", "its number can be read out of the text"),
    ("slips", "its number is one slip away"),
    ("cut", "its number begins like the one that was cut off"),
    ("far", "its number is two digits away"),
    ("objects", "its object was named"),
    ("near", "its object is one character away"),
    ("phones", "its payer's phone was typed"),
    ("of_paid", "a paid bill of its payer was typed"),
    ("own_phone", ""),
    ("names", "its payer has this name"),
    ("of_name", ""),
    ("by_sender", ""),
    ("rivals", ""),
    ("others", ""),
    ("longer", "what was typed begins like its object"),
    ("moved", "its object has the same characters, grouped otherwise"),
)
"""The ways in which a bill is found, in the order in which they are told."""
_TYPED = sum(1 << bit for bit, (_, words) in enumerate(_KINDS) if words)
"""Of these, the ones that were found by what the payer typed."""
_MISLEADS = 80
"""What was typed on purpose and found among the bills means none of those found once in 256 times, at most."""
_COUNTED = ("objects", "phones", "of_paid")
"""What is typed there is worth the fewer bills it finds, the more."""

_Column = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class Ranked:
    """Suggestions as columns: of each payment the bills in order, best first."""

    payment: Ints
    row: Ints
    amount: Ints
    why: Any
    """Texts."""


@lru_cache(maxsize=65536)
def tenths(count: int) -> int:
    """Ten times the binary logarithm of a count above nothing, rounded down: exact, and without a binary fraction."""
    return int(count**10).bit_length() - 1


def _tenths_each(counts: Ints) -> Ints:
    known, places = np.unique(np.maximum(counts, 1), return_inverse=True)
    return np.array([tenths(count) for count in known.tolist()], dtype=np.int64)[places]


class Senders:
    """Payments' senders as columns, to be compared with the payers of many bills at once."""

    def __init__(self, bills: Bills, senders: Sequence[Sender]) -> None:
        self.bills = bills
        self.listed = senders
        blank = "*" * evidence.PHONE_DIGITS
        shown = "".join((blank + one.phone)[-evidence.PHONE_DIGITS :] for one in senders)
        self.digits = np.frombuffer(shown.encode(), dtype=np.uint8).reshape(len(senders), evidence.PHONE_DIGITS)
        self.seen = self.digits != ord("*")
        self.names: dict[tuple[str, ...], int] = {}
        codes = [self.names.setdefault(one.name, len(self.names)) for one in senders]
        self.name = np.array(codes, dtype=np.int64)

    def phones(self, sender: Ints, row: Ints) -> Ints:
        """How the phones agree, pair by pair, as :func:`evidence.phones_agree` does."""
        number, seen = self.bills.phone_int[row], self.seen[sender]
        powers = 10 ** np.arange(evidence.PHONE_DIGITS - 1, -1, -1, dtype=np.int64)
        real = (np.maximum(number, 0)[:, None] // powers % 10 + ord("0")).astype(np.uint8)
        differs = (seen & (self.digits[sender] != real)).any(axis=1)
        agreement = np.where(differs, Agreement.DIFFERS, np.where(seen.all(axis=1), Agreement.FULLY, Agreement.PARTLY))
        agreement[~seen.any(axis=1)] = Agreement.UNKNOWN
        odd = np.flatnonzero(number < 0)  # no phone, or none of nine digits
        phones = self.bills.table["msisdn"].take(columns.ints(row[odd])).to_pylist()
        for place, phone in zip(odd.tolist(), phones, strict=True):
            pattern = evidence.phone_pattern(phone)
            agreement[place] = evidence.phones_agree(self.listed[int(sender[place])].phone, pattern)
        return agreement

    def agreements(self, sender: Ints, row: Ints) -> Ints:
        """How the names agree, pair by pair; each two names are compared once."""
        codes, words = self.bills.names
        known, places = np.unique(self.name[sender] * len(words) + codes[row], return_inverse=True)
        mine = list(self.names)
        found = [evidence.names_agree(mine[one // len(words)], words[one % len(words)]) for one in known.tolist()]
        return np.array(found, dtype=np.int64)[places]

    def states(self, sender: Ints, phone: Ints, name: Ints) -> tuple[Ints, Ints]:
        """Agreements with how much could have been seen: 2 a whole phone or two names, 1 less; negative differs."""
        whole, several = self.seen.all(axis=1), np.array([len(one.name) > 1 for one in self.listed], dtype=bool)
        return np.sign(phone) * np.where(whole[sender], 2, 1), np.sign(name) * np.where(several[sender], 2, 1)


@dataclass(frozen=True, slots=True)
class Habits:
    """What true payers do, counted on certain matches: the cost, in tenths of bits, of what was seen."""

    proofs: Ints
    """By the states of phone and name, see :meth:`Senders.states`, each counted from the lowest."""
    other_amount: int
    same_amount: int

    @classmethod
    def of(cls, states: Iterable[tuple[int, int]], same_amount: Iterable[bool]) -> Habits:
        """From certain matches. Where there are few, a sender is mostly taken to be the payer."""
        seen, costs = Counter(states), np.zeros((5, 5), dtype=np.int64)
        for phone, name in itertools.product(_STATES, repeat=2):
            like = {(phone, name), (-phone, name), (phone, -name), (-phone, -name)}  # what could be seen as well
            whole = sum(seen[one] * _GUESS + _guess(*one) for one in like)
            costs[phone + 2, name + 2] = tenths(whole) - tenths(seen[phone, name] * _GUESS + _guess(phone, name))
        amounts = Counter(same_amount)
        both = tenths((amounts[True] + amounts[False] + 1) * _GUESS)
        other, same = amounts[False] * _GUESS + 1, amounts[True] * _GUESS + _GUESS - 1
        return cls(costs, both - tenths(other), both - tenths(same))


_STATES = (-2, -1, 0, 1, 2)
_GUESS = 16
"""What is taken for granted before anything was counted weighs as much as one match."""


def _guess(phone: int, name: int) -> int:
    """Of so many in ``_GUESS``: most senders are the payers, and strangers differ in all."""
    if phone >= 0 and name >= 0:
        return _GUESS - 6
    return 4 if phone <= 0 and name <= 0 else 1


def rank(bills: Bills, opened: Ints, cases: list[Case], habits: Habits, *, most: int) -> Ranked:
    """The ``most`` likeliest of the bills that were found for each payment and are still open."""
    place, row, kinds, counted = _pairs(opened, cases)
    senders = Senders(bills, [case.sender for case in cases])
    phone, name = senders.phones(place, row), senders.agreements(place, row)
    amount = np.array([case.amount_minor for case in cases], dtype=np.int64)
    equal = opened[row] == amount[place]
    whole = tenths(max(int(np.count_nonzero(opened > 0)), 1))
    of_name = bills.count_of_name(opened)
    weight = _of_kinds(bills, cases, place, row, kinds, whole, of_name) + counted
    weight += _of_senders(bills, senders, place, row, phone, name, whole, of_name)
    states = senders.states(place, phone, name)
    weight -= habits.proofs[states[0] + 2, states[1] + 2]
    rare = whole - _tenths_each(_how_many(opened, amount))[place]
    weight += np.where(equal, rare - habits.same_amount, -habits.other_amount)
    chosen = _best(bills, place, row, weight, most)
    place, row = place[chosen], row[chosen]
    why = _words(kinds[chosen], equal[chosen], phone[chosen], name[chosen], opened[row])
    payments = np.array([case.payment for case in cases], dtype=np.int64)
    return Ranked(payments[place], row, np.minimum(amount[place], opened[row]), why)


def _pairs(opened: Ints, cases: list[Case]) -> tuple[Ints, Ints, Ints, Ints]:
    """Each payment with each open bill that was found for it, once; how; and what the count of finds is worth."""
    whole = tenths(max(int(np.count_nonzero(opened > 0)), 1))
    places, rows, kinds, worths = [], [], [], []
    for bit, (kind, _) in enumerate(_KINDS):
        lists: list[Sequence[int]] = [list(getattr(case, kind)) for case in cases]
        size = np.fromiter(map(len, lists), dtype=np.int64, count=len(lists))
        row = np.fromiter(itertools.chain.from_iterable(lists), dtype=np.int64, count=int(size.sum()))
        place = np.repeat(np.arange(len(cases)), size)
        place, row = place[opened[row] > 0], row[opened[row] > 0]
        pair = np.unique(place * len(opened) + row)
        place, row = np.divmod(pair, len(opened))
        worth = np.zeros(len(row), dtype=np.int64)
        if kind in _COUNTED:
            worth = whole - _tenths_each(np.bincount(place, minlength=len(cases)))[place]
        places.append(place)
        rows.append(row)
        kinds.append(np.full(len(row), 1 << bit, dtype=np.int64))
        worths.append(worth)
    pair = np.concatenate(places) * len(opened) + np.concatenate(rows)
    known, at = np.unique(pair, return_inverse=True)
    how, counted = np.zeros((2, len(known)), dtype=np.int64)
    np.bitwise_or.at(how, at, np.concatenate(kinds))
    np.add.at(counted, at, np.concatenate(worths))
    place, row = np.divmod(known, len(opened))
    return place, row, how, counted


def _bit(kind: str) -> int:
    return 1 << [name for name, _ in _KINDS].index(kind)


def _of_kinds(bills: Bills, cases: list[Case], place: Ints, row: Ints, kinds: Ints, whole: int, of_name: Ints) -> Ints:
    """What typed numbers and names are worth: a number by how few are so near, a name by how few bills carry it."""
    every = tenths(_NUMBERS)
    weight = np.where(kinds & _TYPED, _MISLEADS, 0)
    near = {
        "believed": every,
        "doubted": every - tenths(_DOUBTED),
        "slips": every - tenths(_ONE_SLIP),
        "far": every - tenths(_TWO_SLIPS) - _TWO_SLIPS_ARE_RARER,
    }
    for kind, worth in near.items():
        weight += np.where(kinds & _bit(kind), worth, 0)
    cut = np.array([tenths(10 ** len(case.clues.cut)) for case in cases], dtype=np.int64)
    weight += np.where(kinds & _bit("cut"), cut[place], 0)
    named = np.flatnonzero(kinds & _bit("names"))
    weight[named] += whole - _tenths_each(of_name[bills.names[0][row[named]]])
    return weight


def _of_senders(
    bills: Bills, senders: Senders, place: Ints, row: Ints, phone: Ints, name: Ints, whole: int, of_name: Ints
) -> Ints:
    """What a sender's phone and name are worth where they agree: by how few have that end of a phone, that name."""
    weight = np.zeros(len(row), dtype=np.int64)
    digits = np.array([tenths(10**count) for count in range(evidence.PHONE_DIGITS + 1)], dtype=np.int64)
    shown = np.minimum(digits[senders.seen.sum(axis=1)], whole)
    weight += np.where(phone > 0, shown[place], 0)
    fully = np.flatnonzero(name == Agreement.FULLY)
    weight[fully] += whole - _tenths_each(of_name[bills.names[0][row[fully]]])
    partly = np.flatnonzero(name == Agreement.PARTLY)
    if len(partly):
        of_word: Counter[str] = Counter()
        for words, count in zip(bills.names[1], of_name.tolist(), strict=True):
            for word in set(words):
                of_word[word] += count
        counts = [of_word[one.name[0]] if one.name else 0 for one in senders.listed]
        weight[partly] += whole - _tenths_each(np.array(counts, dtype=np.int64))[place[partly]]
    return weight


def _how_many(opened: Ints, amounts: Ints) -> Ints:
    """Of how many bills exactly each amount is open."""
    known, places = np.unique(amounts, return_inverse=True)
    code = columns.rows_in(columns.ints(opened), columns.ints(known))
    return np.bincount(code[code >= 0], minlength=len(known))[places]


def _best(bills: Bills, place: Ints, row: Ints, weight: Ints, most: int) -> Ints:
    """Places of the ``most`` heaviest pairs of each payment; equals by due date and number."""
    number = bills.order_of_numbers(row)
    order = np.lexsort([number, bills.order_of_due(row), -weight, place])
    first = np.searchsorted(place[order], place[order])
    return order[np.arange(len(order)) - first < most]


def _words(kinds: Ints, equal: _Column, phone: Ints, name: Ints, opened: Ints) -> Any:
    """The reasons in words; the same reasons are put into words once."""
    key = ((kinds * 2 + equal) * 4 + phone + 1) * 4 + name + 1
    known, places = np.unique(key * (int(opened.max(initial=0)) + 1) + np.where(equal, 0, opened), return_inverse=True)
    first = np.zeros(len(known), dtype=np.int64)
    first[places[::-1]] = np.arange(len(places))[::-1]
    texts = []
    for at in first.tolist():
        said = [words for bit, (_, words) in enumerate(_KINDS) if words and int(kinds[at]) >> bit & 1]
        said.append("the amount agrees" if equal[at] else f"{wire(int(opened[at]))} is open")
        texts.append("; ".join([*said, Proof(Agreement(int(phone[at])), Agreement(int(name[at]))).words()]))
    return columns.texts(texts).take(columns.ints(places))
