"""What each payment's text names: a pass over columns for what is plain, then a closer look at the rest.

The pass over columns takes only texts that :mod:`reconciliation.ladder` reads to exactly one number, so that the ladder
is the same with and without it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.compute as pc

from reconciliation import ladder, spelling
from reconciliation.engine import columns, named_objects, near_numbers, near_objects
from reconciliation.engine import senders as evidence
from reconciliation.engine.case import Case
from reconciliation.engine.columns import Ints
from reconciliation.engine.indexes import (
    Bills,
    Payments,
    digits_to_int,
    folded_column,
    name_key,
    squeezed_column,
)
from reconciliation.engine.named_objects import MOST_OF_A_KIND, grouped
from reconciliation.engine.policy import Policy
from reconciliation.engine.senders import Sender
from reconciliation.ladder import Heard
from reconciliation.spelling import folded, tokens_of
from revenue_engine.identifiers import PAY_ACCOUNT_DIGITS, begins_like_a_phone

MOST_OF_A_NAME = 25
"""A name and an amount that more bills than this share say nothing; their work would grow with the county's square."""

_NAME_SIZES = (2, 3)
"""Words of a full name, as payers type it."""

_FAR_AT_ONCE = 4_000
"""Each mistyped number has some hundreds of numbers two slips away: so many texts are looked at together."""

_STANDS_ALONE = r"(^|[^0-9A-Za-z])[0-9]{9}($|[^0-9A-Za-z])"
"""A bank prints what was typed among its own words: a number in one piece there was typed exactly."""
_OTHER = "ACDEFHJKMNPQRTUVWXYacdefhjkmnpqrtuvwxy"
_CODE = f"(?:[A-Za-z]+|[{_OTHER}][0-9A-Za-z]{{0,8}}|[0-9A-Za-z]{{0,4}}[{_OTHER}][0-9A-Za-z]{{0,4}})"
_ONLY_NUMBER = (
    "^(?:[^0-9]*(?P<number>[0-9]{9})[^0-9]*"
    f"|(?:[^0-9]*[^0-9A-Za-z])?(?P<before>[0-9]{{9}})(?:[^0-9A-Za-z]+{_CODE})*[^0-9A-Za-z]*)$"
)
"""Nine digits, and no other digit but in codes that hide no number: each has a letter that is no look-alike."""
_NINE_LIKE = "^[OILSBZG]*[0-9][0-9OILSBZG]*$"
_GROUPS_THAT_MISLEAD = (
    "[0-9A-Za-z][^0-9A-Za-z]*[^0-9A-Za-z .\\-][^0-9A-Za-z]*[0-9A-Za-z]|[.\\-]{2}|   |[0-9]{8}"
    "|^[^0-9]*[0-9]{2}[^0-9][0-9]{2}[^0-9][0-9]{5}"
    "|^[^0-9]*(?:19|20)[0-9]{2}[^0-9]|[^0-9](?:19|20)[0-9]{2}(?:[^0-9]|$)"
)
"""Strokes or stars between groups, a year and a serial, a date are no groups of one number."""
_COUNTRY = 254

LEAST_NUMBERED = 4
"""Where more than one text in so many holds no number, bills are numbered otherwise, and most texts need no hearing."""


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


@dataclass(slots=True)
class Texts:
    """What the texts of all payments say by themselves, before any bill is known."""

    narrative: Any
    text: Any
    """What was typed, or the bank's narrative where nothing was."""
    silent: Any
    """Where nothing was typed, as a column."""
    number: Ints
    """The one number of nine digits that a text plainly holds, or -1."""
    alone: Any
    """Where that number is all that was typed."""
    heard: dict[int, Heard]
    """Payments whose text holds no number plainly, as they were heard."""


Spreading = Callable[..., list[Any]]
"""Maps a pure function over slices of a list: see :mod:`reconciliation.engine.matching.executors`."""


def listen(payments: Payments, policy: Policy, *, spread: Spreading | None = None) -> Texts:
    """Read the texts of payments as far as that can be done while the bills are still being read."""
    narrative = pc.utf8_trim_whitespace(payments.table["narrative"]).combine_chunks()
    silent = pc.equal(pc.binary_length(payments.typed), columns.one(0))
    text = pc.if_else(silent, narrative, payments.typed)
    number = digits_to_int(payments.typed, size=PAY_ACCOUNT_DIGITS)
    alone = number >= 0
    rest = np.flatnonzero(~alone)
    number[rest] = _plain_numbers(text.take(columns.ints(rest)))
    texts = Texts(narrative, text, np.asarray(columns.out(silent), dtype=bool), number, alone, {})
    unnumbered = np.flatnonzero(number < 0)
    if len(unnumbered) * LEAST_NUMBERED <= len(payments):
        heard = _hear(payments, texts, unnumbered, policy, spread)
        texts.heard = dict(zip(unnumbered.tolist(), heard, strict=True))
    return texts


def _hear(payments: Payments, texts: Texts, rows: Ints, policy: Policy, spread: Spreading | None) -> list[Heard]:
    chosen = columns.ints(rows)
    typed, narrative = (column.take(chosen).to_pylist() for column in (payments.typed, texts.narrative))
    return (spread or _here)(ladder.hear_all, list(zip(typed, narrative, strict=True)), policy.prefixes)


def read_all(
    bills: Bills, payments: Payments, texts: Texts, policy: Policy, *, spread: Spreading | None = None
) -> Read:
    """Find the bills that texts name. ``spread`` maps a pure function over slices of the texts not heard before."""
    row = bills.rows_of_digits(texts.number)
    exact = bills.with_other_numbers(payments.typed, np.where(texts.alone, row, -1))
    row = np.where(exact >= 0, exact, row)
    open_of = np.append(bills.open_minor, 0)[row]  # the last place stands for no bill
    opened = open_of > 0
    equal = payments.amount == open_of
    sure = opened & ((exact >= 0) | equal) & ~_misleading(payments, texts, texts.alone & (row >= 0), equal, opened)
    named = np.flatnonzero(sure)
    rest = np.flatnonzero(~sure)  # a number among other words, and another amount: does an object there have it?
    as_such = exact >= 0
    quiet = np.flatnonzero(texts.silent & opened)
    as_such[quiet] = columns.out(pc.match_substring_regex(texts.narrative.take(columns.ints(quiet)), _STANDS_ALONE))
    read = Read(named, row[named], np.where(as_such[named], 0, 1), [], [])
    if len(rest):
        late = rest[[payment not in texts.heard for payment in rest.tolist()]] if texts.heard else rest
        texts.heard.update(zip(late.tolist(), _hear(payments, texts, late, policy, spread), strict=True))
        _look_closer(bills, payments, rest, texts, read, policy.prefixes)
    return read


def _misleading(payments: Payments, texts: Texts, alone: Any, equal: Any, opened: Any) -> Any:
    """Numbers that may be a phone, a cheque's or a permit's, and so need a closer look.

    A number of a bill that begins like a phone is believed where the amount is its own and the sender's phone another.
    """
    first = texts.number // 10 ** (PAY_ACCOUNT_DIGITS - 1)
    phone = (first == 1) | (first == 7) | (texts.number // 10 ** (PAY_ACCOUNT_DIGITS - 3) == _COUNTRY)
    found = opened & phone & alone & ~equal
    likely = np.flatnonzero(opened & phone & ~found)
    ends = pc.utf8_slice_codeunits(payments.table["msisdn"].take(columns.ints(likely)), -evidence.LEAST_TAIL)
    own = digits_to_int(ends, size=evidence.LEAST_TAIL) == texts.number[likely] % 10**evidence.LEAST_TAIL
    found[likely[own]] = True
    among = np.flatnonzero(opened & ~alone)
    words = texts.text.take(columns.ints(among))
    found[among] |= np.asarray(columns.out(pc.match_substring_regex(words, spelling.MISLEADING)), dtype=bool)
    return found


def _plain_numbers(texts: Any) -> Ints:
    """The number of texts with nine digits together and no other digit, or with nothing but nine digits in groups."""
    if not len(texts):
        return np.zeros(0, dtype=np.int64)
    parts = pc.extract_regex(texts, _ONLY_NUMBER)
    alone, before = pc.struct_field(parts, "number"), pc.struct_field(parts, "before")
    alone = pc.if_else(pc.equal(pc.binary_length(alone), columns.one(9)), alone, before)
    squeezed = squeezed_column(texts)
    readable = pc.string_is_ascii(texts)  # digits of other scripts are read one by one
    nine = pc.and_(pc.equal(pc.binary_length(squeezed), columns.one(9)), pc.match_substring_regex(squeezed, _NINE_LIKE))
    at = columns.ints(np.flatnonzero(columns.out(nine)))
    odd = np.zeros(len(texts), dtype=bool)
    odd[columns.out(at)] = columns.out(pc.match_substring_regex(texts.take(at), _GROUPS_THAT_MISLEAD))
    nine = pc.and_not(nine, columns.flags(odd))
    grouped = pc.if_else(nine, folded_column(squeezed), columns.one(""))
    number = pc.if_else(readable, pc.coalesce(alone, grouped), columns.one(""))
    return digits_to_int(number, size=PAY_ACCOUNT_DIGITS)


def _look_closer(
    bills: Bills, payments: Payments, rest: Ints, heard: Texts, read: Read, prefixes: tuple[str, ...]
) -> None:
    chosen = columns.ints(rest)
    typed, narratives = (column.take(chosen).to_pylist() for column in (payments.typed, heard.narrative))
    texts = list(zip(typed, narratives, strict=True))
    looked = [heard.heard[payment] for payment in rest.tolist()]
    numbered = bills.rows_of_numbers(columns.texts(number for found, _, _ in looked for number in found))
    is_open = iter(zip(numbered.tolist(), (np.append(bills.open_minor, 0)[numbered] > 0).tolist(), strict=True))
    senders = payments.table.select(["payer_name", "msisdn"]).take(chosen)
    names, phones = senders["payer_name"].to_pylist(), senders["msisdn"].to_pylist()
    ranks, amounts = payments.rank[rest].tolist(), payments.amount[rest].tolist()
    single: list[tuple[int, int, int]] = []
    for place, (found, spoke, told) in enumerate(looked):
        known = [one for one in itertools.islice(is_open, len(found)) if one[0] >= 0] if found else ()
        payment, amount = int(rest[place]), amounts[place]
        opened = [row for row, more in known if more]
        weak = {row for row in opened if told.weak and bills.number_of(row) in told.weak}
        sender = Sender(evidence.phone_pattern(phones[place]), evidence.name_words(names[place]))
        if len(opened) > 1:
            opened = [row for row in opened if row not in weak and not _is_phone_of(bills, row, sender)] or opened[:1]
        if len(opened) > 1:
            read.sums.append((payment, opened))
            continue
        sure = opened and opened[0] not in weak and not _is_phone_of(bills, opened[0], sender)
        sure = sure and not _bank_s_groups(bills.number_of(opened[0]), texts[place], typed=spoke)
        if sure and amount == bills.open_minor[opened[0]]:
            single.append((payment, opened[0], _how(bills, opened[0], texts[place], typed=spoke)))
            continue
        case = Case(payment, ranks[place], amount, *texts[place], typed=spoke)
        case.sender = sender
        if known:
            case.paid, case.named = [row for row, more in known if not more], opened
        case.clues = told
        read.cases.append(case)
        printed = [phone for phone in told.phones if phone not in told.slips]  # nine bare digits may be a number
        if not case.sender.phone and not case.typed and len(printed) == 1:
            case.sender = Sender(printed[0], case.sender.name)
    named_objects.find(bills, read.cases, prefixes)
    _doubt_numbers(bills, [case for case in read.cases if case.named])
    still = []
    for case in read.cases:
        if case.named and not case.doubt and not _disputed(bills, case):
            texts_of = (case.reference, case.narrative)
            single.append((case.payment, case.named[0], _how(bills, case.named[0], texts_of, typed=case.typed)))
        else:
            still.append(case)
    read.cases = still
    if single:
        more = np.array(single, dtype=np.int64)
        read.payment = np.concatenate([read.payment, more[:, 0]])
        read.bill = np.concatenate([read.bill, more[:, 1]])
        read.rung = np.concatenate([read.rung, more[:, 2]])


def _here(work: Callable[..., list[Any]], items: list[Any], *extra: Any) -> list[Any]:
    return work(items, *extra)


def _how(bills: Bills, row: int, texts: tuple[str, str], *, typed: bool) -> int:
    """0 where the number is all that was typed, or a bank's narrative holds it in one piece; else 1."""
    number = bills.number_of(row)
    return int(number != texts[0] if typed else number not in tokens_of(texts[1]))


def _is_phone_of(bills: Bills, row: int, sender: Sender) -> bool:
    """Whether a bill's number is how its sender's phone may be typed: what is shown of its end is the same."""
    number = bills.number_of(row)
    shown = sender.phone.rpartition("*")[2]
    return bool(shown) and begins_like_a_phone(number) and number.endswith(shown)


def _bank_s_groups(number: str, texts: tuple[str, str], *, typed: bool) -> bool:
    """Whether a number comes together only out of groups in a bank's own text, with more than blanks between."""
    reference, narrative = texts
    if not narrative or spelling.in_groups(number, narrative) or spelling.in_one_piece(number, reference):
        return False
    return not typed or number not in ladder.read(reference).numbers


def _doubt_numbers(bills: Bills, cases: list[Case]) -> None:
    """Numbers that may be there by chance: what stands for that, and neither amount nor sender against it enough."""
    facts = bills.facts(case.named[0] for case in cases)
    for case in cases:
        row = case.named[0]
        number, bill = bills.number_of(row), facts[row]
        proof = evidence.compare(case.sender, phone=bill.phone, name=bill.name)
        equal = case.amount_minor == bill.open_minor
        typed = case.typed and spelling.in_one_piece(number, case.reference)
        if number in case.clues.weak:
            if not (equal and proof.undisputed):
                case.doubt = "it came together out of a year and a serial, a cheque's number or groups beside strokes"
        elif _is_phone_of(bills, row, case.sender) and not proof.agrees:
            case.doubt = "it is how the sender's phone is typed"
        elif _bank_s_groups(number, (case.reference, case.narrative), typed=case.typed):
            if not equal or proof.doubtful:
                case.doubt = "it does not stand there in one piece"
        elif equal:
            continue
        elif typed and begins_like_a_phone(number) and proof.doubtful:
            case.doubt = "it begins like a phone"
        elif not typed and not spelling.in_one_piece(number, case.narrative):
            case.doubt = "it does not stand there in one piece"  # groups among words that the payer typed
        elif not typed and proof.doubtful:
            case.doubt = "the bank's text may hold it by chance"


def _disputed(bills: Bills, case: Case) -> bool:
    """Whether the amount is not the named bill's but that of a bill of an object named beside it."""
    return any(bills.open_minor[row] == case.amount_minor for row in case.objects if row not in case.named)


def find_slips(bills: Bills, cases: list[Case]) -> None:
    """Look up the numbers that a mistyped or cut one may have meant, and the objects that a typed one may have."""
    _slips(bills, cases)
    _doubt_objects(bills, [case for case in cases if case.objects and not case.named])


def find_payers(bills: Bills, cases: list[Case]) -> None:
    """Look up the payers that cases name: by a phone, a paid bill, a name; and numbers two slips away."""
    _phones(bills, cases)
    _payers(bills, cases)
    told = (case for case in cases if case.of_paid or (case.phones and not case.typed))
    _rivals(bills, [case for case in told if not case.rivals])
    _names(bills, cases, [_name_typed(case) for case in cases])
    _far_slips(bills, cases)


def find_candidates(bills: Bills, cases: list[Case], opened: Ints) -> None:
    """For suggestions only: look up, over what is open now, the bills of payers who are named or may be the sender."""
    named = [[(key, case.amount_minor) for key in _names_told(case) if bills.payers_of_name(key)] for case in cases]
    for case, _, found in grouped(cases, named, _over(bills.rows_of_name, opened)):
        case.names = _few(itertools.chain.from_iterable(found))
    own = [[(name_key(case.sender.name), case.amount_minor)] for case in cases]
    for case, _, found in grouped(cases, own, _over(bills.rows_of_name, opened)):
        case.of_name = _few(found[0])
    senders = [[(case.sender, case.amount_minor)] for case in cases]
    for case, _, found in grouped(cases, senders, _over(bills.rows_of_sender, opened)):
        case.by_sender = _few(found[0])
    many = [case for case in cases if case.paid and not case.of_paid]
    payers = [[(int(bills.payer[row]), case.amount_minor) for row in case.paid] for case in many]
    for case, _, found in grouped(many, payers, _over(bills.rows_of_payer, opened)):
        case.of_paid = _few(itertools.chain.from_iterable(found))
    many = [case for case in cases if case.clues.phones and not case.phones]
    phones = [[(int(phone), case.amount_minor) for phone in case.clues.phones] for case in many]
    for case, _, found in grouped(many, phones, _over(bills.rows_of_phone, opened)):
        case.phones = _few(itertools.chain.from_iterable(found))


def _over(look: Callable[[list[Any], Ints], list[list[int]]], opened: Ints) -> Callable[[list[Any]], list[list[int]]]:
    return lambda asked: look(asked, opened)


def _name_typed(case: Case) -> str:
    """The key of a full name, where nothing but words was typed."""
    return name_key(evidence.name_words(case.text)) if case.typed and not any(map(str.isdigit, case.text)) else ""


def _names_told(case: Case) -> list[str]:
    """The keys of what may be a full name in a text; a bank prints the sender's too, which nobody typed."""
    words = evidence.name_words(case.text)
    own = len(case.sender.name)
    if not case.typed and own:
        at = next((at for at in range(len(words)) if words[at : at + own] == case.sender.name), len(words))
        words = (*words[:at], "", *words[at + own :])  # what stood on both sides of it is no name
    spans = (words[at : at + size] for size in _NAME_SIZES for at in range(len(words) - size + 1))
    return [key for span in spans if all(span) and (key := name_key(span))]


def _few(rows: Iterable[int]) -> list[int]:
    found = list(dict.fromkeys(rows))
    return found if len(found) <= MOST_OF_A_KIND else []


def _doubt_objects(bills: Bills, cases: list[Case]) -> None:
    """Where the sender is not the payer of the object's bill: a neighbour's object or the sender's own may be meant."""
    facts = bills.facts(row for case in cases for row in case.objects)
    doubtful, telling = [], []
    for case in cases:
        equal = [facts[row] for row in case.objects if facts[row].open_minor == case.amount_minor]
        proofs = [evidence.compare(case.sender, phone=bill.phone, name=bill.name) for bill in equal]
        if equal and not any(proof.undisputed for proof in proofs):
            doubtful.append((case, folded("".join(tokens_of(equal[0].object_ref)))))
        if equal and (case.clues.phones or len(case.clues.words) > 1):
            telling.append((case, {bill.payer for bill in equal}))
    found = near_objects.rows(bills, [(key, case.amount_minor) for case, key in doubtful])
    for (case, _), rows in zip(doubtful, found, strict=True):
        moved = [row for row in case.moved if bills.open_minor[row] == case.amount_minor]
        case.near = [row for row in (*rows, *moved) if row not in case.objects]
    _rivals(bills, [case for case, _ in doubtful])
    _told_beside(bills, telling)


def _told_beside(bills: Bills, telling: list[tuple[Case, set[int]]]) -> None:
    """Bills of the amount of other payers whose phone or full name stands beside an object: two debtors in one text."""
    cases = [case for case, _ in telling]
    payers = {case.payment: own for case, own in telling}
    phones = [[(int(phone), case.amount_minor) for phone in case.clues.phones] for case in cases]
    names = [[(key, case.amount_minor) for key in _names_told(case) if bills.payers_of_name(key)] for case in cases]
    look = _over(bills.rows_of_phone, bills.open_minor) if any(phones) else lambda _: []
    by_phone = grouped(cases, phones, look)
    by_name = grouped(cases, names, bills.rows_of_name)
    for (case, _, first), (_, _, second) in zip(by_phone, by_name, strict=True):
        rows = _few(itertools.chain(*first, *(rows for rows in second if len(rows) <= MOST_OF_A_NAME)))
        case.others = [row for row in rows if int(bills.payer[row]) not in payers[case.payment]]


def _rivals(bills: Bills, cases: list[Case]) -> None:
    """Bills of the amount that the sender owes: by phone and first name, by the full name where no phone is shown."""
    by_phone = [[(case.sender, case.amount_minor)] for case in cases]
    for case, _, found in grouped(cases, by_phone, _over(bills.rows_of_sender, bills.open_minor)):
        case.rivals = _few(found[0])
    nameless = [case for case in cases if not case.sender.phone or case.sender.phone in case.clues.phones]
    by_name = [[(name_key(case.sender.name), case.amount_minor)] for case in nameless]
    for case, _, found in grouped(nameless, by_name, bills.rows_of_name):
        case.rivals = found[0] if len(found[0]) <= MOST_OF_A_NAME else []


def _slips(bills: Bills, cases: list[Case]) -> None:
    typed = [(case, text) for case in cases for text in case.clues.slips]
    owner, number, slip = near_numbers.one_slip_each([text for _, text in typed])
    rows = bills.rows_of_near_numbers(number)
    hits = np.flatnonzero((rows >= 0) & (np.append(bills.open_minor, 0)[rows] > 0))
    for at, row, words in zip(owner[hits].tolist(), rows[hits].tolist(), slip[hits].tolist(), strict=True):
        case, text = typed[at]
        case.slips[row] = (text, near_numbers.WORDS[words])
    for case in cases:
        if case.clues.cut and not case.slips:
            missing = 9 - len(case.clues.cut)
            low = int(case.clues.cut) * 10**missing
            case.cut = bills.by_number.between(low, low + 10**missing, most=MOST_OF_A_KIND)


def _phones(bills: Bills, cases: list[Case]) -> None:
    typed = [case for case in cases if case.clues.phones]
    numbers = [[int(phone) for phone in case.clues.phones] for case in typed]
    for case, _, found in grouped(typed, numbers, bills.by_phone.rows):
        case.phones = _few(row for rows in found for row in rows)
    full = [case for case in cases if len(case.sender.phone) == evidence.PHONE_DIGITS and case.sender.phone.isdigit()]
    for case, _, found in grouped(full, [[int(case.sender.phone)] for case in full], bills.by_phone.rows):
        case.own_phone = _few(found[0])


def _payers(bills: Bills, cases: list[Case]) -> None:
    known = [case for case in cases if case.paid]
    codes = [[int(bills.payer[row]) for row in case.paid] for case in known]
    for case, _, found in grouped(known, codes, bills.rows_of_payers):
        case.of_paid = _few(row for rows in found for row in rows)


def _names(bills: Bills, cases: list[Case], keys: list[str]) -> None:
    named = [(case, key) for case, key in zip(cases, keys, strict=True) if key]
    asked = [[(key, case.amount_minor)] for case, key in named]
    for case, wanted, found in grouped([case for case, _ in named], asked, bills.rows_of_name):
        case.names = _few([*case.names, *(found[0] if len(found[0]) <= MOST_OF_A_NAME else ())])
        case.payers_of_name = max(case.payers_of_name, bills.payers_of_name(wanted[0][0]))


def _far_slips(bills: Bills, cases: list[Case]) -> None:
    lost = [case for case in cases if case.clues.slips and not case.slips and not case.objects and not case.paid]
    lost = [case for case in lost if len(case.clues.slips[0]) == PAY_ACCOUNT_DIGITS]
    for start in range(0, len(lost), _FAR_AT_ONCE):
        part = lost[start : start + _FAR_AT_ONCE]
        numbers = near_numbers.two_slips_each([case.clues.slips[0] for case in part])
        rows = bills.rows_of_near_numbers(numbers.reshape(-1)).reshape(numbers.shape)
        amounts = np.array([case.amount_minor for case in part], dtype=np.int64)
        equal = (rows >= 0) & (np.append(bills.open_minor, 0)[rows] == amounts[:, None])
        for at, row in zip(*(found.tolist() for found in (np.nonzero(equal)[0], rows[equal])), strict=True):
            part[at].far = sorted([*part[at].far, row])
