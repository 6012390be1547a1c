"""The ladder: how a reference that a payer typed names a bill. Pure, and the same for payments, runs and files.

Rungs, first wins: the pay account number exactly; the number after taking away words, spaces, case and the letters
people write for digits; an alias (a plate, a stall, a permit). Two numbers typed are read before one. What is left is
not guessed at here: :func:`clues` reads what the weaker rungs of a run need, and the engine climbs them.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from reconciliation import spelling
from reconciliation.object_words import SYNONYMS
from reconciliation.spelling import LOOKALIKES, WALL, Said, folded, tokens_of
from revenue_engine import identifiers
from revenue_engine.identifiers import PAY_ACCOUNT_DIGITS, is_pay_account_number

_DIGIT_LIKE = re.compile(r"[0-9OILSBZG]+")
_NINE_LIKE = re.compile(r"[0-9OILSBZG]{9}")
_LEAST_REAL_DIGITS = 5
_LEAST_ALONE = 1
"""So many characters of a number must be digits: fewer where it stands alone, for then it is no part of a word."""
_SHORTEST_ALIAS = 3
_LONGEST_JOIN = 4


class Rung(enum.StrEnum):
    """Which rung of the ladder named the bill: the stored why of every application."""

    PUSH = "push"
    EXACT = "exact"
    NORMALISED = "normalised"
    SUM_OF_NUMBERS = "sum_of_numbers"
    STANDING = "standing"
    ALIAS = "alias"
    SPOT = "spot"
    CREDIT = "credit"
    SLIP = "slip"
    CUT = "cut"
    PAYER = "payer"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Reading:
    """What can be read out of a typed reference, before looking anything up."""

    numbers: tuple[str, ...]
    """Well-formed pay account numbers in the order typed."""
    exact: bool
    """Whether the whole text is one such number and nothing else."""
    names: tuple[str, ...]
    """Keys that may be an alias or a station, longest first: letters and digits only, upper case."""
    weak: tuple[str, ...] = ()
    """Of ``numbers`` those that came together by chance as often as not: a permit's year and serial, a cheque's
    groups, groups on both sides of a stroke. They need their amount and their payer."""


def read(typed: str, *, prefixes: Collection[str] = ()) -> Reading:
    """Read a typed reference. ``prefixes`` are short words a county's payers put before plates and numbers."""
    text = typed.strip()
    if is_pay_account_number(text):
        return Reading((text,), exact=True, names=())
    numbers, weak = _heard_numbers(text)
    return Reading(numbers, exact=False, names=_names(tokens_of(text), prefixes), weak=weak)


def numbers_typed(typed: str) -> tuple[str, ...]:
    """The numbers that :func:`read` finds, for whoever asks for nothing else."""
    text = typed.strip()
    return (text,) if is_pay_account_number(text) else _heard_numbers(text)[0]


@lru_cache(maxsize=16_384)
def _heard_numbers(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """As :func:`_numbers_of`; kept a while, since each step of a statement's import asks for the same lines."""
    return _numbers_of(spelling.said(text))


def _numbers_of(said: Said) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The numbers of a text, and those of them that are weak; none that the text writes as a phone too."""
    sure = numbers_in(said.sure)
    if said.phones:
        sure = tuple(number for number in sure if number not in said.phones)
    if said.loose is said.sure:
        return sure, ()
    weak = tuple(number for number in numbers_in(said.loose) if number not in sure and number not in said.phones)
    return (*sure, *weak), weak


def numbers_in(tokens: list[str]) -> tuple[str, ...]:
    """Well-formed pay account numbers hidden in words, spaces and look-alikes, in the order typed."""
    found: dict[str, None] = {}
    run: list[str] = []
    if "".join(tokens).isalpha():
        return ()  # no number is written without one digit
    for token in [*tokens, ""]:
        if len(token) >= PAY_ACCOUNT_DIGITS:
            found.update(dict.fromkeys(_windows(token)))
        if token and not token.isalpha() and _DIGIT_LIKE.fullmatch(token):
            run.append(token)
            continue
        if run:
            found.update(dict.fromkeys(_numbers_of_run(run)))
            run = []
    if not found and len(alone := "".join(tokens)) == PAY_ACCOUNT_DIGITS:
        found.update(dict.fromkeys(_windows(alone)))
    return tuple(found)


def _numbers_of_run(run: list[str]) -> list[str]:
    """Numbers typed in groups: neighbours that make nine together, whatever stands beside them."""
    found = _windows("".join(run))
    for start in range(len(run)):
        joined = ""
        for token in run[start:]:
            joined += token
            if len(joined) >= PAY_ACCOUNT_DIGITS:
                break
        if len(joined) == PAY_ACCOUNT_DIGITS:
            found += _windows(joined)
    return found


def _windows(text: str) -> list[str]:
    """Nine digits or look-alikes that are not part of a longer run of digits, and pass the check digit."""
    found: list[str] = []
    if not _NINE_LIKE.search(text):
        return found
    for start in range(len(text) - PAY_ACCOUNT_DIGITS + 1):
        end = start + PAY_ACCOUNT_DIGITS
        if (start and text[start - 1].isdigit()) or (end < len(text) and text[end].isdigit()):
            continue
        window = text[start:end]
        least = _LEAST_ALONE if window == text else _LEAST_REAL_DIGITS
        if not _DIGIT_LIKE.fullmatch(window) or sum(map(str.isdigit, window)) < least:
            continue
        number = window.translate(LOOKALIKES)
        if is_pay_account_number(number):
            found.append(number)
    return found


def _names(tokens: list[str], prefixes: Collection[str]) -> tuple[str, ...]:
    found: set[str] = set()
    for start in range(len(tokens)):
        joined = ""
        for token in tokens[start : start + _LONGEST_JOIN]:
            joined += token
            if len(joined) >= _SHORTEST_ALIAS:
                found.add(joined)
    for key in tuple(found):
        for prefix in prefixes:
            if key.startswith(prefix) and len(key) - len(prefix) >= _SHORTEST_ALIAS:
                found.add(key[len(prefix) :])
    listed = sorted(found)
    listed.sort(key=len, reverse=True)
    return tuple(listed)


_LEAST_RUN, _LONGEST_SLIP = 8, 10
_DIGIT_RUN = re.compile(r"\d{8,10}")
_LIKE_RUN = re.compile(r"[0-9OILSBZG]{8,10}")
_CODE = re.compile(r"[A-Z]+|\d+")
_RECEIPT, _RECEIPT_LENGTH = re.compile(r"[A-Z][A-L][1-9A-V][A-Z0-9]{7}"), 10
_LEAST_CUT, _LONGEST_JOIN_OF_NAMES, _LEAST_WORD, _MOST_BETWEEN = 6, 5, 3, 3
_PHONE_SHAPES = re.compile(r"(?:254|0)?([71]\d{8})")


class Clues(NamedTuple):
    """What the weaker rungs can use of a text that names no bill by its number."""

    slips: tuple[str, ...] = ()
    """Eight to ten digits that may be a number with one slip."""
    cut: str = ""
    """Digits at the end that may be a number whose end was cut off."""
    phones: tuple[str, ...] = ()
    """Nine-digit phones, without prefix."""
    names: tuple[str, ...] = ()
    """Keys that may be an alias, longest first, folded by :func:`folded`; each holds a digit or is the whole text."""
    pairs: tuple[str, ...] = ()
    """A word and a number in any order (``1500 nasewa``) as one key, for objects named loosely."""
    words: tuple[str, ...] = ()
    """Words of letters only."""
    receipt: str = ""
    """An M-PESA receipt that was typed or printed."""
    weak: tuple[str, ...] = ()
    """Numbers that may have come together by chance; see :class:`Reading`."""


def clues(text: str, *, prefixes: Collection[str] = (), said: Said | None = None, weak: tuple[str, ...] = ()) -> Clues:
    """Read what is left of a text: mistyped and cut numbers, phones, objects, words."""
    said = said or spelling.said(text)
    tokens = said.loose if said.loose is said.sure else tokens_of(text)
    words = tuple(token for token in tokens if token.isalpha())
    if len(words) == len(tokens):
        return Clues(names=_object_keys(tokens, prefixes), words=words)  # everything else holds a digit
    digits = _digit_texts(said.sure)
    bare = (found[1] for one in digits if (found := _PHONE_SHAPES.fullmatch(one)))
    last = said.sure[-1]
    receipts = [token for token in tokens if len(token) == _RECEIPT_LENGTH and _RECEIPT.fullmatch(token)]
    receipts = [token for token in receipts if not token.isalpha()]
    names, plates, groups = _objects_named(text, tokens, prefixes)
    pairs = [identifiers.key(one[0]) for one in plates]
    if groups is not None:
        groups = list(dict.fromkeys(told for one in groups for told in (one, spelling.as_year_and_serial(one))))
        pairs += ["/".join(str(int(one)) for one in group) for group in groups if len(group) > 1]
        pairs += _pairs([group[-1] for group in groups], words)
    else:
        parted = spelling.unglued_tokens(tokens)
        pairs += _pairs(_numbers_that_end(parted), tuple(token for token in parted if token.isalpha()))
    if lettered := spelling.lettered(tokens):
        pairs += [f"{word}{one}" for word in _called(words) for one in lettered]
    return Clues(
        slips=tuple(one for one in digits if _LEAST_RUN <= len(one) <= _LONGEST_SLIP and not _is_phone(one)),
        cut=last if last.isdigit() and _LEAST_CUT <= len(last) < PAY_ACCOUNT_DIGITS else "",
        phones=tuple(dict.fromkeys((*said.phones, *bare))),
        names=names,
        pairs=tuple(dict.fromkeys(pairs)),
        words=words,
        receipt=receipts[0] if receipts else "",
        weak=weak,
    )


def object_keys(text: str, *, prefixes: Collection[str] = ()) -> tuple[str, ...]:
    """The ``names`` of :func:`clues`, for whoever asks for nothing else: a third of the work."""
    if not text.isascii() or WALL in text:
        return clues(text, prefixes=prefixes).names
    tokens = tokens_of(text)
    if all(token.isalpha() for token in tokens):
        return _object_keys(tokens, prefixes)
    return _objects_named(text, tokens, prefixes)[0]


def _objects_named(
    text: str, tokens: list[str], prefixes: Collection[str]
) -> tuple[tuple[str, ...], list[re.Match[str]], list[tuple[str, ...]] | None]:
    """Keys that may be an object's name; the plates in the text; its groups of digits, where some are joined."""
    names = _object_keys(tokens, prefixes)
    if len(plainer := [token for token in tokens if token not in spelling.NUMBERED]) < len(tokens):
        names = tuple(dict.fromkeys((*names, *_object_keys(plainer, prefixes))))
    names += _with_words_between(tokens)
    plates = list(_A_PLATE.finditer(text))
    names += tuple(
        folded(identifiers.key(one[0]))
        for one in plates
        if (one.start() and text[one.start() - 1].isalpha()) or text[one.end() : one.end() + 1].isalpha()
    )
    if not _JOINED_GROUPS.search(text):
        return names, plates, None
    groups = spelling.groups_of(spelling.written(text))
    return names + tuple("".join(group) for group in groups if len(group) > 1), plates, groups


def _with_words_between(tokens: list[str]) -> tuple[str, ...]:
    """Keys of a word and what stands a word or more behind it: of ``Matayos Nambale stall 45`` MATAYOSSTALL45."""
    found: dict[str, None] = {}
    for place, first in enumerate(tokens[:-2]):
        if len(first) < _LEAST_WORD or not first.isalpha():
            continue
        for start in range(place + 2, min(place + 2 + _MOST_BETWEEN, len(tokens))):
            if not tokens[start - 1].isalpha():
                break
            joined = first
            for token in tokens[start : start + _LEAST_WORD]:
                joined += token
                if token[0].isdigit():
                    found[folded(joined)] = None
    return tuple(found)


def _is_phone(text: str) -> bool:
    return len(text) > PAY_ACCOUNT_DIGITS and _PHONE_SHAPES.fullmatch(text) is not None


def _digit_texts(tokens: list[str]) -> list[str]:
    """Strings of digits as typed, in one piece or in groups, look-alikes read as digits."""
    found: dict[str, None] = {}
    run: list[str] = []
    for token in [*tokens, ""]:
        for piece in (*_DIGIT_RUN.findall(token), *_LIKE_RUN.findall(token)) if _may_hide_digits(token) else ():
            if sum(map(str.isdigit, piece)) >= _LEAST_REAL_DIGITS and not _inside_longer(token, piece):
                found[piece.translate(LOOKALIKES)] = None
        if token and not token.isalpha() and _DIGIT_LIKE.fullmatch(token):
            run.append(token.translate(LOOKALIKES))
            continue
        for start in range(len(run)):
            for end in range(start + 1, len(run) + 1):
                joined = "".join(run[start:end])
                if 8 <= len(joined) <= 12:
                    found[joined] = None
        run = []
    return list(found)


def _may_hide_digits(token: str) -> bool:
    return len(token) >= _LEAST_RUN and not token.isalpha()


def _inside_longer(token: str, piece: str) -> bool:
    start = token.index(piece)
    end = start + len(piece)
    return (start > 0 and token[start - 1].isdigit()) or (end < len(token) and token[end].isdigit())


def _object_keys(tokens: list[str], prefixes: Collection[str]) -> tuple[str, ...]:
    """Keys are joined from folded words beside the words as they stand, so that no key is folded twice."""
    whole, some = "".join(tokens), tuple(prefixes)
    words = [(token, folded(token), token.isdigit(), token.isalpha()) for token in tokens]
    keys: set[str] = set()
    if len(whole) >= _SHORTEST_ALIAS:
        keys.add("".join(word[1] for word in words))
        if whole.startswith(some):
            keys.update(_without(whole, some))
    for start in range(len(words)):
        joined, digits, letters = "", True, True
        for end, (token, _, is_digits, is_letters) in enumerate(
            words[start : start + _LONGEST_JOIN_OF_NAMES], start + 1
        ):
            joined, digits, letters = joined + token, digits and is_digits, letters and is_letters
            if digits or letters or len(joined) <= _SHORTEST_ALIAS:
                continue
            keys.add("".join([word[1] for word in words[start:end]]))
            if joined.startswith(some):
                keys.update(_without(joined, some))
    listed = sorted(keys)
    listed.sort(key=len, reverse=True)
    return tuple(listed)


def _without(key: str, prefixes: tuple[str, ...]) -> list[str]:
    """A key folded, without each prefix that it begins with and that leaves enough of it."""
    return [
        folded(key[len(prefix) :])
        for prefix in prefixes
        if key.startswith(prefix) and len(key) - len(prefix) > _SHORTEST_ALIAS
    ]


_A_PLATE = re.compile(r"(?i)(?:k[a-z]{2}|u[a-z]{2}|t)[\s\-]*[0-9]{3}[\s\-]*(?:[a-z]{1,3}(?![a-z])|[a-z](?=[a-z]{4}))")
_JOINED_GROUPS = re.compile(r"[0-9]\s*[/\-.]\s*[0-9]")


def _numbers_that_end(tokens: list[str]) -> list[str]:
    """Numbers behind which no single letter stands that goes on with them."""
    after = [*tokens[1:], ""]
    return [
        one
        for one, then in zip(tokens, after, strict=True)
        if one.isdigit() and not (len(then) == 1 and then.isalpha())
    ]


def _pairs(numbers: list[str], words: tuple[str, ...]) -> list[str]:
    """A word and a number in any order, as one key."""
    whole = [str(int(number)) for number in numbers if len(number) < PAY_ACCOUNT_DIGITS]
    return [f"{word}{number}" for word in _called(words) for number in whole] if whole else []


def _called(words: tuple[str, ...]) -> dict[str, None]:
    """Words of a text that may call a thing, and what the county may call the same thing."""
    return dict.fromkeys(one for word in words if len(word) >= _LEAST_WORD for one in (word, *_same(word)))


def _same(word: str) -> tuple[str, ...]:
    return SYNONYMS.get(word, ())


NOTHING = frozenset(("", "0", "NA", "N", "A", "NONE", "NIL", "NULL", "X", "TEST", "HAKUNA"))
"""What payers type when they have nothing to say."""


Heard = tuple[tuple[str, ...], bool, Clues]
"""The numbers of a text, whether the payer typed anything, and the clues."""


def hear_all(texts: list[tuple[str, str]], prefixes: tuple[str, ...]) -> list[Heard]:
    """Of each (typed, narrative) what :data:`Heard` holds.

    Pure, and each looks at one payment alone: slices may be read anywhere.
    """
    quick = not any(prefix.isdigit() for prefix in prefixes)  # else a prefix could be taken off a number
    return [
        _hear_digits(typed)
        if quick and not narrative and typed.isdigit() and typed.isascii()
        else _hear(typed, narrative, prefixes)
        for typed, narrative in texts
    ]


def _hear(typed: str, narrative: str, prefixes: tuple[str, ...]) -> Heard:
    text, said = typed, spelling.said(typed)
    spoke = bool(said.loose) and "".join(said.loose) not in NOTHING
    numbers, weak = _numbers_of(said) if spoke or not narrative else ((), ())
    if narrative and not numbers:
        text = f"{typed} {WALL} {narrative}" if spoke else narrative
        said = spelling.said(text)
        numbers, weak = _numbers_of(said)
    return numbers, spoke, clues(text, prefixes=prefixes, said=said, weak=weak)


def _hear_digits(typed: str) -> Heard:
    """As :func:`_hear` for digits in one piece, a third of what needs a closer look."""
    size = len(typed)
    phone = _PHONE_SHAPES.fullmatch(typed)
    long_phone = phone is not None and size > PAY_ACCOUNT_DIGITS
    told = Clues(
        slips=(typed,) if _LEAST_RUN <= size <= _LONGEST_SLIP and not long_phone else (),
        cut=typed if _LEAST_CUT <= size < PAY_ACCOUNT_DIGITS else "",
        phones=(phone[1],) if phone else (),
        names=(typed,) if size >= _SHORTEST_ALIAS else (),
    )
    return (typed,) if is_pay_account_number(typed) else (), typed not in NOTHING, told


@dataclass(frozen=True, slots=True)
class Known:
    """What the books know of the keys that were read: looked up once for a whole batch."""

    bills: Mapping[str, int]
    """Pay account number of a bill to its invoice id."""
    standing: Mapping[str, int]
    """Standing pay account number to its object id."""
    stations: Mapping[str, str]
    """Station key (its code, or its name without spaces) to the station code."""


@dataclass(frozen=True, slots=True)
class Named:
    """What a reference names: bills, one object or a station; ``why`` is stored in words."""

    rung: Rung
    why: str
    invoice_ids: tuple[int, ...] = ()
    object_id: int | None = None
    station_code: str | None = None
    ambiguous: bool = False


def name(reading: Reading, known: Known, objects: Collection[int] = ()) -> Named:
    """Climb the ladder; ``objects`` are those that the text names.

    A tie is never broken: it is named ``ambiguous`` and left for evidence or a person.
    """
    station = _station(reading, known)
    numbers = [number for number in reading.numbers if number in known.bills or number in known.standing]
    if len(numbers) > 1:
        if all(number in known.bills for number in numbers):
            ids = tuple(known.bills[number] for number in numbers)
            return Named(Rung.SUM_OF_NUMBERS, f"{len(ids)} bill numbers were typed", invoice_ids=ids)
        return Named(Rung.NONE, "several numbers were typed, one of them a standing one", ambiguous=True)
    if numbers:
        number = numbers[0]
        rung = Rung.EXACT if reading.exact else Rung.NORMALISED
        how = "typed exactly" if reading.exact else "found in what was typed"
        if number in known.bills:
            return Named(rung, f"pay account number {number} {how}", invoice_ids=(known.bills[number],))
        return Named(Rung.STANDING, f"standing number {number} {how}", object_id=known.standing[number])
    if len(objects) == 1:
        (object_id,) = objects
        return Named(Rung.ALIAS, "one object was named", object_id=object_id, station_code=station)
    if objects:
        return Named(Rung.NONE, f"{len(objects)} objects were named", station_code=station, ambiguous=True)
    if station is not None:
        return Named(Rung.SPOT, f"station {station} was named", station_code=station)
    return Named(Rung.NONE, "nothing typed is known")


def _station(reading: Reading, known: Known) -> str | None:
    """The one station named. A name inside a longer one is not meant: Malaba Market is not Malaba."""
    keys = [key for key in reading.names if key in known.stations]
    codes = {known.stations[key] for key in keys if not any(key != other and key in other for other in keys)}
    return codes.pop() if len(codes) == 1 else None
