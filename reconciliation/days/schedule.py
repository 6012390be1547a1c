"""Which closes are due and which are late: a day by the next working day, a longer period by so many after its end.

Nothing of it is stored: it is worked out of the certificates, the calendar and the day that is asked about, so that a
holiday gazetted late changes the answer. The numbers of days are the county's habit and no law's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import date, timedelta
from typing import NamedTuple

from dateutil.relativedelta import relativedelta
from sqlalchemy.orm import Session

from reconciliation.days import certificates, closing
from reconciliation.days.closing import Span
from revenue_engine import periods
from revenue_engine.billing import tariffs
from revenue_engine.db import scalar

WITHIN = {"day": 1, "month": 5, "quarter": 10, "year": 20, "adjustments": 10}
"""Working days after the end of a period by which the period is closed."""


class Due(NamedTuple):
    """A close that is due. ``late_days`` are the working days since ``due_on``, 0 in time; ``prepared_by`` is who waits
    for a second person, empty where nobody prepared."""

    name: str
    span: Span
    due_on: date
    late_days: int
    prepared_by: str


def due(session: Session, *, today: date | None = None) -> list[Due]:
    """The closes of what has ended and is not closed: days in their order, then longer periods, those that others stand
    on first. Empty for books that are not open yet."""
    on = today or periods.today()
    first = scalar(session, "SELECT first_open_day()")
    opened = tariffs.county(session).books_open_from
    if first is None or opened is None:
        return []
    holidays, waits = tariffs.holidays(session), closing.standing(session)
    made = {(one.period, one.last_day) for one in certificates.every(session)}
    days = [(d.isoformat(), closing.day(d)) for d in _each(first, on)]
    found = [*days, *((n, s) for n, s in _periods(opened, on) if (s.period, s.last_day) not in made)]
    told = []
    for name, span in found:
        by = periods.add_working_days(span.last_day, WITHIN[span.period], holidays)
        mine = waits is not None and closing.covers(waits, span)
        told.append(Due(name, span, by, late(by, on, holidays), waits.prepared_by if waits and mine else ""))
    return told


def late(due_on: date, on: date, holidays: Collection[date]) -> int:
    """The working days after the day something was due, up to the day asked about. Pure."""
    return sum(periods.is_working_day(d, holidays) for d in _each(due_on + timedelta(days=1), on + timedelta(days=1)))


def _each(first: date, before: date) -> Iterator[date]:
    yield from (first + timedelta(days=n) for n in range((before - first).days))


def _periods(opened: date, on: date) -> Iterator[tuple[str, Span]]:
    """Months, quarters, years and months of adjustments that ended before a day and reach into the books."""
    month = opened.replace(day=1)
    named = []
    while month < on:
        named.append(f"{month:%Y-%m}")
        year = int(periods.financial_year(month)[:2])
        both = f"{year:02d}{(year + 1) % 100:02d}"
        if month.month % 3 == 0:
            named.append(f"{both}-Q{(month.month - 7) % 12 // 3 + 1}")
        if month.month == 6:
            named.append(both)
        if month.month == 7 and month.replace(day=1) > opened:
            named.append(f"{(year - 1) % 100:02d}{year:02d}-adjustments")
        month += relativedelta(months=1)
    for name in named:
        span = closing.period_of(name)
        if span is not None and span.last_day < on:
            yield name, span
