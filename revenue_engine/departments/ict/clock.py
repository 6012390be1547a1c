"""The clock of a support request: minutes that count, from events, a calendar and nothing else. Pure.

No deadline is stored, so none can go stale: change the events, the calendar or the terms, and ask again. Only working
minutes count, and only while the request is with us. Events are ordered by time, then by number.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import NamedTuple

from revenue_engine.errors import InvalidValue
from revenue_engine.periods import NAIROBI, is_working_day

RUNNING = frozenset({"opened", "resumed", "reopened"})
STOPPED = frozenset({"waiting", "solved", "closed"})


class Event(NamedTuple):
    """What happened to a request: one of opened, waiting, resumed, solved, reopened, closed; ``number`` breaks ties."""

    at: datetime
    number: int
    kind: str


@dataclass(frozen=True, slots=True)
class Calendar:
    """Working hours in Nairobi, as [begin, end) of a day, and the holidays."""

    hours: tuple[tuple[time, time], ...] = ((time(8), time(13)), (time(14), time(17)))
    holidays: Collection[date] = ()

    def minutes(self, begin: datetime, end: datetime) -> int:
        """Working minutes between two instants (aware); cutting an interval in two changes nothing but whole minutes
        are counted from the minute in which it begins."""
        return max(0, self._until(end) - self._until(begin)) if end > begin else 0

    def _until(self, instant: datetime) -> int:
        """Working minutes since the first of January 2000: a function of one instant, so that intervals add up."""
        local = instant.astimezone(NAIROBI)
        day = local.date()
        whole = sum((_of(end) - _of(begin)) for begin, end in self.hours)
        worked = _working_days(day) - sum(1 for one in set(self.holidays) if _EPOCH <= one < day and one.weekday() < 5)
        if not is_working_day(day, self.holidays):
            return worked * whole
        now = local.hour * 60 + local.minute
        return worked * whole + sum(max(0, min(now, _of(end)) - _of(begin)) for begin, end in self.hours)


_EPOCH = date(2000, 1, 3)  # a Monday


def _of(instant: time) -> int:
    return instant.hour * 60 + instant.minute


def _working_days(day: date) -> int:
    weeks, rest = divmod((day - _EPOCH).days, 7)
    return weeks * 5 + min(rest, 5)


def consumed(events: Sequence[Event], calendar: Calendar, *, until: datetime) -> int:
    """The working minutes in which a request was with us, up to an instant. Raises InvalidValue for an unknown kind, or
    a request that does not begin by being opened."""
    ordered = sorted(events)
    if not ordered or ordered[0].kind != "opened":
        raise InvalidValue("a request begins by being opened")
    total, since = 0, None
    for event in ordered:
        if event.kind not in RUNNING | STOPPED:
            raise InvalidValue(f"a request has no event {event.kind!r}", kind=event.kind)
        if event.at >= until:
            break
        if since is None and event.kind in RUNNING:
            since = event.at
        elif since is not None and event.kind in STOPPED:
            total += calendar.minutes(since, event.at)
            since = None
    return total + (calendar.minutes(since, until) if since is not None else 0)


def state(events: Sequence[Event]) -> str:
    """How a request stands: open, waiting, solved or closed."""
    last = max(events).kind
    return {"opened": "open", "resumed": "open", "reopened": "open"}.get(last, last)


def due(events: Sequence[Event], calendar: Calendar, *, target: int, now: datetime) -> datetime | None:
    """When a running request uses up its minutes, to the minute; None while it stands still or where they are used."""
    if max(events).kind not in RUNNING or consumed(events, calendar, until=now) > target:
        return None
    low, high = now, now + timedelta(days=400)
    while high - low > timedelta(minutes=1):
        middle = low + (high - low) / 2
        if consumed(events, calendar, until=middle) > target:
            high = middle
        else:
            low = middle
    return high
