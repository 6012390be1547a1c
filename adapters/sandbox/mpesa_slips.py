"""How payers mistype references, and how bodies come broken: the dirt of the simulated M-PESA."""

from __future__ import annotations

import json
import random
from typing import Final

LONGEST: Final = 20
"""What M-PESA lets a payer type."""

GIVEN_NAMES: Final = ("AKINYI", "BARASA", "CHEBET", "DAUDI", "ESTHER", "FATUMA", "GRACE", "HASSAN", "IRENE", "JOHN")
_INITIALS: Final = "ABEKMNOW"
_PREFIXES: Final = ("INV", "REF", "ACC", "PAY", "FEE")
"""Words that belong to no stream."""

_WRITTEN_FOR: Final = (("0", "O"), ("1", "I"), ("5", "S"), ("8", "B"), ("2", "Z"), ("6", "G"))
_MOST_SWAPS: Final = 4
"""More letters than this and it no longer looks like a number."""


def spaced_number(rng: random.Random, number: str) -> str:
    """A number broken up, as people read it to each other. Not by strokes: those leave a doubt, and go to a person."""
    separator = rng.choice((" ", "-", ".", "  "))
    return separator.join((number[:3], number[3:6], number[6:]))


def spaced_name(rng: random.Random, name: str) -> str:
    """A plate or a place in another case, with other spaces. Words stay whole, so that it still says the same."""
    words = [rng.choice((str.lower, str.title))(word) for word in name.split()]
    written = rng.choice(("  ", " - ", " ", "-")).join(words)
    if len(words) == 1:
        written = f" {written}."
    return written if len(written) <= LONGEST else name.lower()


def lookalike(number: str) -> str:
    """Letters for digits: O for 0 and I for 1 before all others, and never so many that no number is left."""
    swaps = 0
    for digit, letter in _WRITTEN_FOR:
        while digit in number and swaps < _MOST_SWAPS and (digit in "01" or not swaps):
            number = number.replace(digit, letter, 1)
            swaps += 1
    return number


def prefixed(rng: random.Random, reference: str) -> str:
    """A word in front that belongs there in another organisation's habit."""
    written = f"{rng.choice(_PREFIXES)}{rng.choice((' ', '-', '/'))}{reference}"
    return written if len(written) <= LONGEST else reference


def name_or_phone(rng: random.Random) -> str:
    """What somebody types who does not know what to type."""
    if rng.randrange(2):
        return f"07000001{rng.randrange(100):02d}"
    return f"{rng.choice(GIVEN_NAMES)} {rng.choice(_INITIALS)}"


def broken(number: int, good: bytes) -> bytes:
    """A body that must end with somebody who looks, in turn: cut off, no JSON at all, no amount, another's notice."""
    if number % 4 == 0:
        return good
    if number % 4 == 1:
        return good[: len(good) // 2]
    if number % 4 == 2:
        return f"<html><body>502 Bad Gateway {number}</body></html>".encode()
    doc = json.loads(good)
    doc["TransAmount"] = "KES 500"
    return json.dumps(doc).encode()
