"""The day that an M-PESA receipt carries in its first three characters: evidence for any date beside it."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Final

from revenue_engine.periods import nairobi_date

_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_DAYS: Final = "123456789ABCDEFGHIJKLMNOPQRSTUV"
_FIRST_YEAR: Final = 2006
_LENGTH: Final = 10


def receipt_day(receipt: str) -> date | None:
    """The Nairobi day that a receipt carries: year from A = 2006, month A to L, day 1 to 9 and A to V.

    None where it is not ten characters long or its first three name no day.
    """
    return _day(receipt[:3]) if len(receipt) == _LENGTH else None


def contradiction(receipt: str, told: datetime, where: str, *, later: timedelta) -> str:
    """What to say of a time that the receipt beside it contradicts; empty where they agree.

    A receipt is given just before midnight for what is told just after, so a day before it, and ``later`` after it, is
    no contradiction. ``where`` names the field of the time. The receipt stands in every other message too, so it is
    shown; the time is told by its day.
    """
    given, day = receipt_day(receipt), nairobi_date(told)
    if given is None or -_NEAR <= day - given <= later:
        return ""
    return f"{where} is of {day:%d %b %Y}, and the receipt {receipt} was given on {given:%d %b %Y}"


_NEAR: Final = timedelta(days=1)


@lru_cache(maxsize=4096)
def _day(beginning: str) -> date | None:
    year, month, day = (letters.find(one) for letters, one in zip((_LETTERS, _LETTERS, _DAYS), beginning, strict=True))
    if min(year, month, day) < 0 or month > 11:
        return None
    try:
        return date(_FIRST_YEAR + year, month + 1, day + 1)
    except ValueError:
        return None
