"""The clock, the day in Nairobi, the county's financial year and its working days.

The only module that reads the wall clock. East Africa Time is UTC+3 all year, but the zone is named, not computed.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

NAIROBI = ZoneInfo("Africa/Nairobi")


def now() -> datetime:
    """The present instant, aware, in Nairobi time."""
    return datetime.now(UTC).astimezone(NAIROBI)


def unix_milliseconds() -> int:
    """Milliseconds since 1970, for identifiers that sort by time."""
    return time.time_ns() // 1_000_000


def today() -> date:
    """Today's date in Nairobi."""
    return now().date()


def nairobi_date(instant: datetime) -> date:
    """The Nairobi calendar day of an aware instant; a payment at 00:05 EAT belongs to that day."""
    return instant.astimezone(NAIROBI).date()


CLOCK_TOLERANCE = timedelta(minutes=15)
"""A provider's clock may run ahead of ours by this much before somebody is told."""


def runs_ahead(occurred_at: datetime, *, known_at: datetime) -> bool:
    """Whether a thing is said to have occurred later than we knew of it: the clock of whoever says so runs ahead.

    ``known_at`` is when the message reached us, so that a message read again later is judged as it was at first.
    """
    return occurred_at > known_at + CLOCK_TOLERANCE


def booked_as_of(occurred_at: datetime, *, known_at: datetime) -> datetime:
    """The instant that the books and the tariff go by: a clock that runs ahead makes no day that has not come."""
    return known_at if runs_ahead(occurred_at, known_at=known_at) else occurred_at


def financial_year(day: date) -> str:
    """The county financial year (1 July to 30 June, PFM (County Governments) Regulations 2015 r.97) as ``"2627"``."""
    first = day.year if day.month >= 7 else day.year - 1
    return f"{first % 100:02d}{(first + 1) % 100:02d}"


def received_on(paid_at: datetime, book_date: date) -> date:
    """The day on which money was received, for its financial year: the Nairobi day it was paid, however late it is
    told and booked. A channel's clock that runs ahead makes no year that has not come: then the book date counts."""
    return min(nairobi_date(paid_at), book_date)


def financial_year_start(day: date) -> date:
    """The first of July on or before ``day``."""
    return date(day.year if day.month >= 7 else day.year - 1, 7, 1)


def is_working_day(day: date, holidays: Collection[date]) -> bool:
    """Monday to Friday and not a public holiday."""
    return day.weekday() < 5 and day not in holidays


def add_working_days(day: date, count: int, holidays: Collection[date]) -> date:
    """The day ``count`` working days after ``day``: five of them is the limit for paying into the County Revenue Fund
    (PFM (County Governments) Regulations 2015 r.81)."""
    while count > 0:
        day += timedelta(days=1)
        if is_working_day(day, holidays):
            count -= 1
    return day
