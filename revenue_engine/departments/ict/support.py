"""Support requests of departments: opened, waiting, solved; how long each was with us, computed whenever asked."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sqlalchemy.orm import Session

from revenue_engine import periods
from revenue_engine.access import sessions
from revenue_engine.billing import tariffs
from revenue_engine.db import raw, scalar
from revenue_engine.departments.ict import clock
from revenue_engine.departments.ict.clock import Calendar, Event
from revenue_engine.departments.ict.links import RECORD
from revenue_engine.errors import Conflict, InvalidValue, NotFound

_AFTER = {
    "waiting": {"open"},
    "resumed": {"waiting"},
    "solved": {"open", "waiting"},
    "reopened": {"solved"},
    "closed": {"solved"},
}
"""Which event may follow on which state."""


class Standing(NamedTuple):
    """A request as it stands: working minutes with us, of how many, and when they are used up."""

    number: int
    department: str
    subject: str
    state: str
    opened_at: datetime
    consumed: int
    target_minutes: int
    due_at: datetime | None
    missed: bool


def open_request(
    session: Session, *, department: str, subject: str, target_minutes: int, terms: str = "standard", at: datetime
) -> int:
    """Open a request; returns its number. Raises InvalidValue and NotAllowed."""
    sessions.must(session, RECORD)
    if not department.strip() or not subject.strip() or target_minutes <= 0:
        raise InvalidValue("a request says its department, its subject and its working minutes")
    number = scalar(
        session,
        "INSERT INTO ict_request (department, subject, terms, target_minutes, kept_by) VALUES (%s, %s, %s, %s, '')"
        " RETURNING id",
        (department.strip(), subject.strip(), terms, target_minutes),
    )
    _note(session, number, "opened", at, "")
    return int(number)


def note(session: Session, number: int, kind: str, *, at: datetime, why: str = "") -> None:
    """Note what happened to a request. Raises NotFound, InvalidValue for an unknown event or one before the last,
    Conflict where the event does not follow on how the request stands, and NotAllowed."""
    sessions.must(session, RECORD)
    if kind not in _AFTER:
        raise InvalidValue(f"a request is noted as one of {', '.join(_AFTER)}", kind=kind)
    known = _events(session, number).get(number)
    if not known:
        raise NotFound(f"there is no request {number}", number=number)
    if at < max(known).at:
        raise InvalidValue("an event is not before the last one of its request", number=number)
    stands = clock.state(known)
    if stands not in _AFTER[kind]:
        raise Conflict(f"request {number} is {stands}: it cannot be {kind}", number=number)
    _note(session, number, kind, at, why)


def _note(session: Session, number: int, kind: str, at: datetime, why: str) -> None:
    raw(session).execute(
        "INSERT INTO ict_request_event (request_id, kind, at, note, kept_by) VALUES (%s, %s, %s, %s, '')",
        (number, kind, at, why),
    )


def _events(session: Session, number: int | None = None) -> dict[int, list[Event]]:
    found: dict[int, list[Event]] = {}
    for request, at, event, kind in raw(session).execute(
        "SELECT request_id, at, id, kind FROM ict_request_event"
        " WHERE %(number)s::bigint IS NULL OR request_id = %(number)s ORDER BY request_id, at, id",
        {"number": number},
    ):
        found.setdefault(request, []).append(Event(at, event, kind))
    return found


def standing(session: Session, *, now: datetime | None = None) -> list[Standing]:
    """Every request as it stands at an instant, by number, under the county's holidays of today."""
    at = now or periods.now()
    calendar = Calendar(holidays=tariffs.holidays(session))
    events = _events(session)
    found = []
    for number, department, subject, target in raw(session).execute(
        "SELECT id, department, subject, target_minutes FROM ict_request ORDER BY id"
    ):
        known = events[number]
        used = clock.consumed(known, calendar, until=at)
        due = clock.due(known, calendar, target=target, now=at)
        found.append(
            Standing(
                *(number, department, subject, clock.state(known), min(known).at, used, target, due, used > target)
            )
        )
    return found
