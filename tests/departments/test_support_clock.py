"""The clock of a support request: working minutes with us, computed from the events whenever somebody asks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revenue_engine.db import transaction
from revenue_engine.departments.ict import clock, support
from revenue_engine.departments.ict.clock import Calendar, Event
from revenue_engine.errors import Conflict, InvalidValue
from revenue_engine.periods import NAIROBI
from tests.conftest import Database
from tests.support import people
from tests.support.books import Books

CALENDAR = Calendar(holidays=frozenset({date(2026, 10, 20)}))  # Mashujaa Day, a Tuesday


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 10, day, hour, minute, tzinfo=NAIROBI)


def events(*told: tuple[datetime, str]) -> list[Event]:
    return [Event(when, number, kind) for number, (when, kind) in enumerate(told)]


@pytest.mark.parametrize(
    ("begin", "end", "minutes"),
    [
        (at(19, 8), at(19, 17), 480),  # Monday, less the hour of lunch
        (at(19, 12, 30), at(19, 14, 30), 60),
        (at(19, 16), at(21, 9), 120),  # the holiday between counts nothing
        (at(23, 16, 30), at(26, 8, 30), 60),  # a week-end
        (at(20, 8), at(20, 17), 0),
        (at(19, 17), at(19, 8), 0),
    ],
)
def test_working_minutes(begin: datetime, end: datetime, minutes: int) -> None:
    assert CALENDAR.minutes(begin, end) == minutes


INSTANTS = st.integers(0, 60 * 24 * 40).map(lambda n: at(1, 0) + timedelta(minutes=n))


@given(st.lists(INSTANTS, min_size=3, max_size=3))
def test_cutting_an_interval_in_two_never_changes_the_minutes(three: list[datetime]) -> None:
    a, b, c = sorted(three)
    assert CALENDAR.minutes(a, c) == CALENDAR.minutes(a, b) + CALENDAR.minutes(b, c)


def test_only_the_time_with_us_counts() -> None:
    told = events(
        (at(19, 9), "opened"),
        (at(19, 10), "waiting"),
        (at(19, 16), "resumed"),
        (at(19, 16, 30), "solved"),
        (at(21, 8), "reopened"),
    )
    assert clock.consumed(told, CALENDAR, until=at(19, 12)) == 60
    assert clock.consumed(told, CALENDAR, until=at(21, 8)) == 90
    assert clock.consumed(told, CALENDAR, until=at(21, 9)) == 150
    # A holiday that is gazetted late changes the answer, and no stored deadline stands in the way
    late = Calendar(holidays=frozenset({date(2026, 10, 19), date(2026, 10, 20)}))
    assert clock.consumed(told, late, until=at(21, 9)) == 60
    assert clock.due(told, CALENDAR, target=180, now=at(21, 9)) == pytest.approx(
        at(21, 9, 30), abs=timedelta(minutes=2)
    )
    assert (
        clock.due(events((at(19, 9), "opened"), (at(19, 10), "waiting")), CALENDAR, target=180, now=at(19, 11)) is None
    )


def test_events_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InvalidValue):
        clock.consumed(events((at(19, 9), "solved")), CALENDAR, until=at(19, 10))
    with pytest.raises(InvalidValue):
        clock.consumed(events((at(19, 9), "opened"), (at(19, 10), "lost")), CALENDAR, until=at(19, 11))


@pytest.fixture
def county(database: Database) -> Iterator[Books]:
    books = Books(database.url)
    yield books
    books.close()


def test_a_request_is_opened_solved_and_closed(county: Books) -> None:
    officer = people.somebody(county.url, "ict.officer", "ict")
    with officer.acts(), transaction(county.as_role("api")) as session:
        number = support.open_request(
            session, department="Health", subject="no network", target_minutes=120, at=at(19, 9)
        )
        support.note(session, number, "waiting", at=at(19, 10), why="key of the room")
        with pytest.raises(Conflict, match="is waiting"):
            support.note(session, number, "reopened", at=at(19, 11))
        with pytest.raises(InvalidValue, match="before the last"):
            support.note(session, number, "solved", at=at(19, 9))
        support.note(session, number, "resumed", at=at(19, 14))
        support.note(session, number, "solved", at=at(19, 15, 30))
        support.note(session, number, "closed", at=at(21, 9))
    with transaction(county.as_role("report")) as session:
        (one,) = support.standing(session, now=at(22, 9))
    assert (one.state, one.consumed, one.missed) == ("closed", 150, True)
