"""What each payment's text names: a pass over columns for what is plain, then a closer look at the rest.

The pass over columns takes only texts that :mod:`reconciliation.rules` reads to exactly one number, so that the ladder
is the same with and without it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reconciliation import evidence, rules, slips
from reconciliation.candidates import Bills, Ints, Payments, name_key
from reconciliation.evidence import Sender
from reconciliation.policy import Policy
from reconciliation.rules import Clues, Rung

MOST_OF_A_KIND = 200
"""A key that finds more bills than this says nothing: its bills are not looked at."""

_NOTHING = ("NA", "N", "A", "NONE", "NIL", "NULL", "X", "TEST", "HAKUNA")
_PAYING = (
    "PAY PAYMENT PAID BILL INV INVOICE ACC ACCOUNT NO NUMBER REF FEE FEES COUNTY REVENUE REV BUSIA MALIPO YA WA NA KWA "
    "KODI ADA USHURU SOKO KIBANDA LESENI KIWANJA ARDHI MAEGESHO GARI HOSPITALI NYUMBA PARKING MARKET RENT LAND RATES "
    "SBP PERMIT CESS TRAILER HEALTH STALL PLOT LICENCE LICENSE EFT DEP RTGS BR MPESA MPS USSD"
).split()
_COMMON = frozenset((*_NOTHING, *_PAYING))

_STANDS_ALONE = r"(^|[^0-9A-Za-z])[0-9]{9}($|[^0-9A-Za-z])"
"""A bank prints what was typed among its own words: a number in one piece there was typed exactly."""
_ONLY_NUMBER = r"^[^0-9]*(?P<number>[0-9]{9})[^0-9]*$"


@dataclass(slots=True)
class Case:
    """One payment that names no open bill by its number alone, with everything that may say which bill is meant."""

    payment: int
    rank: int
    amount_minor: int
    text: str
    sender: Sender
    clues: Clues
    typed: bool
    """Whether the payer typed the text; else it is a bank's narrative."""
    paid: list[int] = field(default_factory=list)
    """Bills paid before this run whose number was typed."""
    named: list[int] = field(default_factory=list)
    """Open bills whose number was typed, where they do not settle the payment."""
    objects: list[int] = field(default_factory=list)
    object_words: str = ""
    loosely: bool = False
    slips: dict[int, tuple[str, str]] = field(default_factory=dict)
    """Bills one slip away: the number as typed, and the slip in words."""
    cut: list[int] = field(default_factory=list)
    phones: list[int] = field(default_factory=list)
    own_phone: list[int] = field(default_factory=list)
    of_paid: list[int] = field(default_factory=list)
    names: list[int] = field(default_factory=list)
    payers_of_name: int = 0
    by_sender: list[int] = field(default_factory=list)
    far: list[int] = field(default_factory=list)
    """Bills two slips away, for suggestions."""

    @property
    def says_nothing(self) -> bool:
        """Whether the text names no purpose of its own, so that the sender may speak for it."""
        return all(word in _COMMON or word in self.sender.name for word in self.clues.words) and not self.clues.receipt

    def rows(self) -> set[int]:
        """Every bill that is looked at for this payment."""
        lists = (self.paid, self.named, self.objects, self.slips, self.cut, self.phones, self.own_phone)
        return set(itertools.chain(*lists, self.of_paid, self.names, self.by_sender, self.far))


@dataclass(slots=True)
class Read:
    """What was read of all payments."""

    payment: Ints
    """Payments that name exactly one open bill by its number…"""
    bill: Ints
    rung: Ints
    """…and how: 0 typed exactly, 1 found in the text."""
    sums: list[tuple[int, list[int]]]
    """Payments whose text holds the numbers of several open bills."""
    cases: list[Case]


def read_all(
    bills: Bills, payments: Payments, policy: Policy, *, spread: Callable[..., list[Any]] | None = None
) -> Read:
    """Read every payment. ``spread`` maps a pure function over slices of the texts that need a closer look."""
    table = payments.table
    narrative = pc.utf8_trim_whitespace(table["narrative"]).combine_chunks()
    silent = pc.equal(pc.binary_length(payments.typed), 0)
    exact = bills.rows_of_numbers(payments.typed)
    text = pc.if_else(silent, narrative, payments.typed)
    plain = _plainly_numbered(bills, text, exact)
    row = np.where(exact >= 0, exact, plain)
    opened = (row >= 0) & (bills.open_minor[np.maximum(row, 0)] > 0)
    named = np.flatnonzero(opened)
    rest = np.flatnonzero(~opened)
    as_such = exact >= 0
    quiet = np.flatnonzero(np.asarray(silent.to_numpy(zero_copy_only=False), dtype=bool) & opened)
    as_such[quiet] = pc.match_substring_regex(narrative.take(pa.array(quiet)), _STANDS_ALONE).to_numpy(
        zero_copy_only=False
    )
    read = Read(named, row[named], np.where(as_such[named], 0, 1), [], [])
    if len(rest):
        _look_closer(bills, payments, policy, rest, narrative, read, spread)
    return read


def _plainly_numbered(bills: Bills, text: Any, exact: Ints) -> Ints:
    """Texts with one group of nine digits and no other digit, or with nothing but nine digits in groups."""
    found = np.full(len(text), -1, dtype=np.int64)
    rest = np.flatnonzero(exact < 0)
    if not len(rest):
        return found
    left = text.take(pa.array(rest))
    alone = pc.struct_field(pc.extract_regex(left, _ONLY_NUMBER), "number")
    squeezed = pc.replace_substring_regex(left, r"[^0-9A-Za-z]+", "")
    grouped = pc.if_else(pc.equal(pc.binary_length(squeezed), 9), squeezed, pa.scalar(None, pa.string()))
    number = pc.coalesce(alone, grouped, pa.scalar("", pa.string()))
    found[rest] = np.where(digits_only(number), bills.rows_of_numbers(number), -1)
    return found


def digits_only(texts: Any) -> Any:
    """Which texts are ASCII digits and nothing else."""
    return np.asarray(pc.ascii_is_decimal(texts).to_numpy(zero_copy_only=False), dtype=bool)


def read_texts(
    texts: Sequence[tuple[str, str]], prefixes: tuple[str, ...]
) -> list[tuple[tuple[str, ...], Clues, bool]]:
    """Numbers and clues of each (typed, narrative): pure, so that slices of it may run anywhere."""
    found = []
    for typed, narrative in texts:
        tokens = rules.tokens_of(typed)
        silent = "".join(tokens) in ("", "0", *_NOTHING)
        if narrative and (silent or not rules.numbers_in(tokens)):
            tokens = (tokens if not silent else []) + rules.tokens_of(narrative)
        found.append((rules.numbers_in(tokens), rules.clues(tokens, prefixes=prefixes), not silent))
    return found


def _look_closer(
    bills: Bills,
    payments: Payments,
    policy: Policy,
    rest: Ints,
    narrative: Any,
    read: Read,
    spread: Callable[..., list[Any]] | None,
) -> None:
    chosen = pa.array(rest)
    typed = payments.typed.take(chosen).to_pylist()
    narratives = narrative.take(chosen).to_pylist()
    texts = list(zip(typed, narratives, strict=True))
    looked = spread(read_texts, texts, policy.prefixes) if spread else read_texts(texts, policy.prefixes)
    numbers = [number for found, _, _ in looked for number in found]
    rows = iter(bills.rows_of_numbers(pa.array(numbers, pa.string())).tolist())
    senders = payments.table.select(["payer_name", "msisdn"]).take(chosen)
    single: list[tuple[int, int, int]] = []
    people = zip(senders["payer_name"].to_pylist(), senders["msisdn"].to_pylist(), strict=True)
    ranks, amounts = payments.rank[rest].tolist(), payments.amount[rest].tolist()
    for place, ((found, clues, by_payer), (name, msisdn)) in enumerate(zip(looked, people, strict=True)):
        known = [row for row in itertools.islice(rows, len(found)) if row >= 0]
        opened = [row for row in known if bills.open_minor[row] > 0]
        payment = int(rest[place])
        if len(opened) > 1:
            read.sums.append((payment, opened))
            continue
        phone = evidence.phone_pattern(msisdn)
        if not phone and not typed[place] and len(clues.phones) == 1:
            phone = clues.phones[0]
        sender = Sender(phone, evidence.name_words(name))
        text = typed[place] if by_payer else narratives[place]
        case = Case(payment, ranks[place], amounts[place], text, sender, clues, by_payer)
        case.paid = [row for row in known if row not in opened]
        case.named = opened
        if opened and (case.amount_minor == bills.open_minor[opened[0]] or not clues.names):
            single.append((payment, opened[0], _how(bills, case)))
        else:
            read.cases.append(case)
    _find_candidates(bills, read.cases, policy)
    still = []
    for case in read.cases:
        if case.named and not _disputed(bills, case):
            single.append((case.payment, case.named[0], _how(bills, case)))
        else:
            still.append(case)
    read.cases = still
    if single:
        more = np.array(single, dtype=np.int64)
        read.payment = np.concatenate([read.payment, more[:, 0]])
        read.bill = np.concatenate([read.bill, more[:, 1]])
        read.rung = np.concatenate([read.rung, more[:, 2]])


def _how(bills: Bills, case: Case) -> int:
    """0 where a bank's narrative holds the number in one piece, else 1."""
    return int(case.typed or bills.number[case.named[0]].as_py() not in rules.tokens_of(case.text))


def _disputed(bills: Bills, case: Case) -> bool:
    """Whether the amount is not the named bill's but that of a bill of an object named beside it."""
    return any(bills.open_minor[row] == case.amount_minor for row in case.objects if row not in case.named)


def _find_candidates(bills: Bills, cases: list[Case], policy: Policy) -> None:
    _objects(bills, cases)
    _slips(bills, cases)
    _phones(bills, cases)
    _payers(bills, cases)
    _names(bills, cases)
    _far_slips(bills, cases, policy)


def _few(rows: Iterable[int]) -> list[int]:
    found = list(dict.fromkeys(rows))
    return found if len(found) <= MOST_OF_A_KIND else []


def _longest(found: Sequence[Sequence[int]]) -> tuple[int, list[int]]:
    for place, rows in enumerate(found):
        if rows and len(rows) <= MOST_OF_A_KIND:
            return place, list(rows)
    return -1, []


def _grouped(cases: list[Case], keys: list[list[Any]], look: Callable[[list[Any]], list[list[int]]]) -> Any:
    """One look-up for all keys of all cases; answers each case with the rows of each of its keys."""
    flat = iter(look([key for wanted in keys for key in wanted]))
    return ((case, wanted, list(itertools.islice(flat, len(wanted)))) for case, wanted in zip(cases, keys, strict=True))


def _objects(bills: Bills, cases: list[Case]) -> None:
    for case, keys, found in _grouped(cases, [list(case.clues.names) for case in cases], bills.by_object.rows):
        place, case.objects = _longest(found)
        case.object_words = keys[place] if case.objects else ""
    if bool((bills.number_int < 0).any()):
        for case, _, found in _grouped(cases, [list(case.clues.names) for case in cases], bills.by_other_number.rows):
            _, rows = _longest(found)
            case.objects = rows or case.objects
    loose = [case for case in cases if not case.objects and case.clues.pairs]
    for case, keys, found in _grouped(loose, [list(case.clues.pairs) for case in loose], bills.by_pair.rows):
        place, case.objects = _longest(found)
        case.loosely = bool(case.objects)
        case.object_words = keys[place] if case.objects else ""
    for case in cases:
        if case.objects:
            case.object_words = bills.table["object_ref"][case.objects[0]].as_py()


def _slips(bills: Bills, cases: list[Case]) -> None:
    repaired: list[dict[str, tuple[str, str]]] = []
    for case in cases:
        numbers: dict[str, tuple[str, str]] = {}
        for typed in case.clues.slips:
            numbers.update({number: (typed, words) for number, words in slips.one_slip(typed).items()})
        repaired.append(numbers)
    keys = [list(numbers) for numbers in repaired]
    flat = iter(bills.rows_of_numbers(pa.array([key for wanted in keys for key in wanted], pa.string())).tolist())
    for case, numbers in zip(cases, repaired, strict=True):
        for number in numbers:
            row = next(flat)
            if row >= 0 and bills.open_minor[row] > 0:
                case.slips[row] = numbers[number]
        if case.clues.cut and not case.slips:
            missing = 9 - len(case.clues.cut)
            low = int(case.clues.cut) * 10**missing
            case.cut = bills.by_number.between(low, low + 10**missing, most=MOST_OF_A_KIND)


def _phones(bills: Bills, cases: list[Case]) -> None:
    typed = [[int(phone) for phone in case.clues.phones] for case in cases]
    for case, _, found in _grouped(cases, typed, bills.by_phone.rows):
        case.phones = _few(row for rows in found for row in rows)
    full = [case for case in cases if len(case.sender.phone) == evidence.PHONE_DIGITS and case.sender.phone.isdigit()]
    for case, _, found in _grouped(full, [[int(case.sender.phone)] for case in full], bills.by_phone.rows):
        case.own_phone = _few(found[0])


def _payers(bills: Bills, cases: list[Case]) -> None:
    known = [case for case in cases if case.paid]
    codes = [[int(bills.payer.codes[row]) for row in case.paid] for case in known]
    for case, _, found in _grouped(known, codes, bills.rows_of_payers):
        case.of_paid = _few(row for rows in found for row in rows)


def _names(bills: Bills, cases: list[Case]) -> None:
    asked: list[list[tuple[str, int]]] = []
    for case in cases:
        keys = {name_key(case.sender.name)}
        if case.typed and not any(character.isdigit() for character in case.text):
            keys.add(name_key(evidence.name_words(case.text)))
        asked.append([(key, case.amount_minor) for key in sorted(keys) if key])
    for case, wanted, found in _grouped(cases, asked, bills.rows_of_name):
        case.names = [row for rows in found if len(rows) <= MOST_OF_A_KIND for row in rows]
        case.payers_of_name = max([bills.payers_of_name(key) for key, _ in wanted] or [0])
    senders = [[(case.sender, case.amount_minor)] for case in cases]
    for case, _, found in _grouped(cases, senders, bills.rows_of_sender):
        case.by_sender = _few(found[0])


def _far_slips(bills: Bills, cases: list[Case], policy: Policy) -> None:
    if not policy.suggestions:
        return
    lost = [case for case in cases if case.clues.slips and not case.slips and not case.objects and not case.paid]
    keys = [[number for typed in case.clues.slips[:1] for number in slips.two_slips(typed)] for case in lost]
    flat = iter(bills.rows_of_numbers(pa.array([key for wanted in keys for key in wanted], pa.string())).tolist())
    for case, wanted in zip(lost, keys, strict=True):
        rows = [row for row in itertools.islice(flat, len(wanted)) if row >= 0 and bills.open_minor[row] > 0]
        case.far = sorted(row for row in rows if bills.open_minor[row] == case.amount_minor)
