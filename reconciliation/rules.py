"""The ladder: how a reference that a payer typed names a bill. Pure, and the same for payments, runs and files.

Rungs, first wins: the pay account number exactly; the number after taking away words, spaces, case and the letters
people write for digits; an alias (a plate, a stall, a permit). Two numbers typed are read before one. What is left is
not guessed at here.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from revenue_engine.identifiers import PAY_ACCOUNT_DIGITS, is_pay_account_number

LOOKALIKES = str.maketrans("OILSBZG", "0115826")
"""Letters that payers write for digits: O for 0, I and L for 1, S for 5, B for 8, Z for 2, G for 6."""

_TOKEN = re.compile(r"[A-Z0-9]+")
_DIGIT_LIKE = re.compile(r"[0-9OILSBZG]+")
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


def read(typed: str, *, prefixes: Collection[str] = ()) -> Reading:
    """Read a typed reference. ``prefixes`` are short words a county's payers put before plates and numbers."""
    text = typed.strip()
    if is_pay_account_number(text):
        return Reading((text,), exact=True, names=())
    tokens = _TOKEN.findall(text.upper())
    return Reading(_numbers(tokens), exact=False, names=_names(tokens, prefixes))


def _numbers(tokens: list[str]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    run = ""
    for token in [*tokens, ""]:
        for number in _windows(token):
            found[number] = None
        if token and _DIGIT_LIKE.fullmatch(token) and any(character.isdigit() for character in token):
            run += token
            continue
        for number in _windows(run):
            found[number] = None
        run = ""
    return tuple(found)


def _windows(text: str) -> list[str]:
    """Nine digits or look-alikes that are not part of a longer run of digits, and pass the check digit."""
    found = []
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
    return tuple(sorted(found, key=lambda key: (-len(key), key)))


@dataclass(frozen=True, slots=True)
class Known:
    """What the books know of the keys that were read: looked up once for a whole batch."""

    bills: Mapping[str, int]
    """Pay account number of a bill to its invoice id."""
    standing: Mapping[str, int]
    """Standing pay account number to its object id."""
    aliases: Mapping[str, frozenset[int]]
    """Alias key to the object ids that carry it."""
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


def name(reading: Reading, known: Known) -> Named:
    """Climb the ladder. A tie is never broken: it is named ``ambiguous`` and left for evidence or a person."""
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
    for key in reading.names:
        objects = known.aliases.get(key, frozenset())
        if len(objects) == 1:
            (object_id,) = objects
            return Named(Rung.ALIAS, f"alias {key} names one object", object_id=object_id, station_code=station)
        if objects:
            return Named(Rung.NONE, f"alias {key} names {len(objects)} objects", station_code=station, ambiguous=True)
    if station is not None:
        return Named(Rung.SPOT, f"station {station} was named", station_code=station)
    return Named(Rung.NONE, "nothing typed is known")


def _station(reading: Reading, known: Known) -> str | None:
    """The one station named. A name inside a longer one is not meant: Malaba Market is not Malaba."""
    keys = [key for key in reading.names if key in known.stations]
    codes = {known.stations[key] for key in keys if not any(key != other and key in other for other in keys)}
    return codes.pop() if len(codes) == 1 else None
