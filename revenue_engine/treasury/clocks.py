"""The clocks of money on its way to the County Revenue Fund. Pure: events and a calendar in, a verdict out.

Nothing of a verdict is stored: a holiday that is gazetted late changes the calendar, and the clocks are read anew;
``changed`` says which verdicts are other ones then.

Source: Public Finance Management (County Governments) Regulations 2015, r. 81(2): not later than five working days
after receipt. The rule does not say whose receipt starts the clock, so three days are kept and the earliest counts.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from revenue_engine import periods

_Key = TypeVar("_Key", bound=Hashable)
WORKING_DAYS = 5
"""The limit of r. 81(2)."""


@dataclass(frozen=True, slots=True)
class Held:
    """Money on its way: the days on which the payer paid, the provider paid out and our bank was credited, and the
    value date on which the Fund was credited. A day that is not known is None."""

    amount_minor: int
    paid_on: date
    settled_on: date | None = None
    banked_on: date | None = None
    credited_on: date | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a clock stands on a day."""

    due_on: date
    late_days: int
    """Calendar days after the due day, up to the credit or to the day asked about; 0 in time."""
    shilling_days_minor: int
    """Cents held late times the days that they were held late."""
    runs: bool
    """Whether the money is not in the Fund yet."""


def banking(held: Held, *, on: date, holidays: Collection[date]) -> Verdict:
    """The five working days from the earliest of the three days to the Fund's credit, as it stands on a day."""
    began = min(day for day in (held.paid_on, held.settled_on, held.banked_on) if day is not None)
    due = periods.add_working_days(began, WORKING_DAYS, holidays)
    runs = held.credited_on is None or held.credited_on > on
    until = on if held.credited_on is None or runs else held.credited_on
    late = max((until - due).days, 0)
    return Verdict(due, late, late * held.amount_minor, runs)


def receipting(
    credited_on: date | None, receipted_on: date | None, *, on: date, holidays: Collection[date]
) -> int | None:
    """How many working days the Treasury took, or takes so far, to receipt what the Fund was credited with; None before
    the credit. The rule sets no number of days for this (r. 81(3))."""
    if credited_on is None or credited_on > on:
        return None
    until = min(on, receipted_on) if receipted_on else on
    days, day = 0, credited_on
    while day < until:
        day = periods.add_working_days(day, 1, holidays)
        days += day <= until
    return days


def changed(
    held: Mapping[_Key, Held], *, on: date, before: Collection[date], after: Collection[date]
) -> dict[_Key, tuple[Verdict, Verdict]]:
    """The verdicts that a change of the calendar changed: the old and the new one of each, by key."""
    both = {
        key: (banking(one, on=on, holidays=before), banking(one, on=on, holidays=after)) for key, one in held.items()
    }
    return {key: (old, new) for key, (old, new) in both.items() if old != new}
