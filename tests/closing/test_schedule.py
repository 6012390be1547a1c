"""Which closes are due and which are late."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import pytest

from reconciliation.days import schedule
from reconciliation.days.schedule import Due
from revenue_engine import db
from tests.support import closing
from tests.support.books import DAY, Books
from tests.support.commands import command


def due(books: Books, today: date) -> dict[str, Due]:
    with db.transaction(books.as_role("report")) as session:
        return {one.name: one for one in schedule.due(session, today=today)}


def test_a_day_is_due_by_the_next_working_day_and_late_by_working_days(books: Books) -> None:
    closing.without_controls(books)
    # DAY is a Tuesday: due on Wednesday, on Thursday one working day late, on Saturday still two, on Monday three
    name = DAY.isoformat()
    assert DAY.strftime("%a") == "Tue"
    for after, late in ((1, 0), (2, 1), (3, 2), (4, 2), (6, 3)):
        told = due(books, DAY + timedelta(days=after))
        assert (told[name].due_on, told[name].late_days) == (DAY + timedelta(days=1), late), after
    # A holiday that is gazetted late changes the answer
    books.execute("INSERT INTO public_holiday (day, name, source) VALUES ('2026-09-17', 'Gazetted', 'test')")
    assert due(books, DAY + timedelta(days=3))[name].late_days == 1
    # When somebody prepares, the reminder says who waits; when it is approved, it is due no more
    sheet = closing.prepare(books, DAY)
    assert due(books, DAY + timedelta(days=3))[name].prepared_by == "treasurer"
    closing.approve(books, sheet)
    assert name not in due(books, DAY + timedelta(days=3))


def test_what_has_not_ended_is_not_due(books: Books) -> None:
    assert DAY.isoformat() not in due(books, DAY)
    assert not [name for name in due(books, date(2026, 9, 30)) if name == "2026-09"]
    told = due(books, date(2026, 10, 1))
    assert (told["2026-09"].late_days, told["2026-09"].due_on) == (0, date(2026, 10, 7))
    assert (told["2627-Q1"].span.first_day, told["2627-Q1"].span.last_day) == (date(2026, 7, 1), date(2026, 9, 30))


@pytest.mark.parametrize(
    ("opened", "on", "names"),
    [
        (date(2027, 4, 12), date(2027, 7, 1), ["2027-04", "2027-05", "2027-06", "2627-Q4", "2627"]),
        (date(2027, 6, 30), date(2027, 8, 1), ["2027-06", "2627-Q4", "2627", "2027-07", "2627-adjustments"]),
        (date(2027, 7, 1), date(2027, 8, 1), ["2027-07"]),
        (date(2099, 12, 31), date(2100, 1, 1), ["2099-12", "9900-Q2"]),
        (date(2027, 7, 2), date(2027, 7, 31), []),
    ],
)
def test_periods_follow_the_countys_year(opened: date, on: date, names: list[str]) -> None:
    assert [name for name, _ in schedule._periods(opened, on)] == names


def test_one_command_reminds_and_ends_with_3_where_a_close_is_late(books: Books, tmp_path: Path) -> None:
    env = {"REVENUE_DATABASE_URL": books.url}
    done = command("close", "due", "--json", env=env)
    told = json.loads(done.stdout)
    assert done.returncode == (3 if any(one["late_days"] for one in told) else 0)
    assert {"close", "period", "last_day", "due_on", "late_days", "prepared_by"} == set(told[0])
    assert command("close", "due", env=env).returncode == done.returncode
