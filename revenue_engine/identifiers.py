"""Public identifiers, the pay account numbers that payers type, and the one key by which names are compared.

A public id is a prefix and a time-ordered UUID. A key is what every table, file and text agrees on when a person writes
a name: a station, a plate, a reference.
"""

from __future__ import annotations

import re
import secrets
import unicodedata
from uuid import UUID

from stdnum import damm

from revenue_engine import periods

PAY_ACCOUNT_DIGITS = 9
_REACHED_BY = {damm.checksum(digit): digit for digit in "0123456789"}
_AFTER = tuple({digit: damm.checksum(_REACHED_BY[row] + digit) for digit in "0123456789"} for row in range(10))
"""Damm's table, read out of the library: the row after a digit when one stands in a row. A hundred thousand mistyped
numbers are checked in a run, and the library writes each in an alphabet first."""


def uuid7() -> UUID:
    """A version 7 UUID (RFC 9562): 48 bits of milliseconds, then 74 random bits, so that keys sort by time."""
    return UUID(int=_uuid7_value())


def _uuid7_value() -> int:
    value = (periods.unix_milliseconds() << 80) | int.from_bytes(secrets.token_bytes(10), "big")
    value = (value & ~(0xF << 76)) | (0x7 << 76)
    return (value & ~(0x3 << 62)) | (0x2 << 62)


def public_id(prefix: str) -> str:
    """A public id such as ``inv_0199…``: what other systems may keep; it says nothing about order or number."""
    return f"{prefix}_{_uuid7_value():032x}"


def draw_pay_account_number() -> str:
    """Nine digits: eight drawn at random, never beginning like a phone, then a Damm check digit.

    Damm finds every single wrong digit and every swap of neighbours; drawing at random keeps numbers sparse, so that a
    slip of the finger almost never lands on somebody else's bill. Kenyan phones are typed with 0, 7, 1 or 254 first,
    so a phone in the place of a number is nobody's bill.
    """
    while True:
        body = str(10_000_000 + secrets.randbelow(90_000_000))
        if not begins_like_a_phone(body):
            return body + str(damm.calc_check_digit(body))


def begins_like_a_phone(digits: str) -> bool:
    """Whether digits begin as Kenyan phones are typed: with 0, 1, 7 or 254."""
    return digits.startswith(("0", "1", "7", "254"))


def is_pay_account_number(text: str) -> bool:
    """Nine ASCII digits, the first not 0, with a right check digit."""
    if len(text) != PAY_ACCOUNT_DIGITS or not text.isascii() or not text.isdigit() or text[0] == "0":
        return False
    row = 0
    for digit in text:
        row = _AFTER[row][digit]
    return row == 0


# --- names -----------------------------------------------------------------------------------------------------------

_NOT_KEY = re.compile(r"[^0-9A-Z]+")


def plain(text: str) -> str:
    """A text in ASCII: digits of any script as such, letters without accents, nothing that has no width.

    What has no ASCII form becomes a blank.
    """
    return text if text.isascii() else "".join(map(_plain_character, unicodedata.normalize("NFD", text)))


def _plain_character(character: str) -> str:
    if character.isascii():
        return character
    if unicodedata.category(character) in ("Cf", "Me", "Mn"):
        return ""
    digit = unicodedata.decimal(character, None)
    if digit is not None:
        return str(digit)
    base = unicodedata.normalize("NFKD", character)
    return base if len(base) == 1 and base.isascii() and base.isalpha() else " "


def key(text: str) -> str:
    """The key of a name: ASCII letters in upper case and digits, nothing else.

    ``kda 123 a`` and ``KDA-123A`` are both ``KDA123A``; ``Marché`` is ``MARCHE`` wherever it is written.
    """
    return _NOT_KEY.sub("", plain(text).upper())
