"""The day in Nairobi, the county's year and its working days, wherever the machine stands."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revenue_engine import periods

HOLIDAYS = {date(2026, 12, 25), date(2027, 1, 1)}


@pytest.mark.parametrize(
    ("instant", "day"),
    [
        (datetime(2026, 9, 14, 20, 59, 59, 999_999, UTC), date(2026, 9, 14)),
        (datetime(2026, 9, 14, 21, 0, tzinfo=UTC), date(2026, 9, 15)),
        (datetime(2026, 9, 15, 0, 0, tzinfo=periods.NAIROBI), date(2026, 9, 15)),
        (datetime(2026, 9, 14, 14, 30, tzinfo=timezone(timedelta(hours=-7))), date(2026, 9, 15)),
        (datetime(2026, 6, 30, 21, 0, tzinfo=UTC), date(2026, 7, 1)),
    ],
)
def test_a_day_begins_at_midnight_in_nairobi(instant: datetime, day: date) -> None:
    assert periods.nairobi_date(instant) == day


@given(st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_nairobi_is_three_hours_ahead_all_year(instant: datetime) -> None:
    assert periods.nairobi_date(instant) == (instant + timedelta(hours=3)).date()


@pytest.mark.parametrize(
    ("day", "year", "start"),
    [
        (date(2026, 6, 30), "2526", date(2025, 7, 1)),
        (date(2026, 7, 1), "2627", date(2026, 7, 1)),
        (date(2026, 12, 31), "2627", date(2026, 7, 1)),
        (date(2027, 1, 1), "2627", date(2026, 7, 1)),
        (date(1999, 8, 1), "9900", date(1999, 7, 1)),
        (date(2009, 3, 1), "0809", date(2008, 7, 1)),
    ],
)
def test_the_county_year_runs_from_july_to_june(day: date, year: str, start: date) -> None:
    assert periods.financial_year(day) == year
    assert periods.financial_year_start(day) == start


@given(st.dates(date(2001, 1, 1), date(2098, 12, 31)))
def test_every_day_is_in_the_year_that_began_last(day: date) -> None:
    start = periods.financial_year_start(day)
    assert (start.month, start.day) == (7, 1)
    assert start <= day < date(start.year + 1, 7, 1)
    assert periods.financial_year(day) == periods.financial_year(start)


@pytest.mark.parametrize(
    ("paid", "limit"),
    [
        (date(2026, 9, 14), date(2026, 9, 21)),  # Monday to Monday
        (date(2026, 9, 18), date(2026, 9, 25)),  # Friday to Friday
        (date(2026, 9, 19), date(2026, 9, 25)),  # a Saturday counts from Monday
        (date(2026, 12, 24), date(2027, 1, 4)),  # over Christmas and New Year
    ],
)
def test_five_working_days_to_the_county_revenue_fund(paid: date, limit: date) -> None:
    assert periods.add_working_days(paid, 5, HOLIDAYS) == limit


@given(st.dates(date(2026, 1, 1), date(2027, 6, 1)), st.integers(0, 30))
def test_so_many_working_days_later_there_were_so_many_working_days(day: date, count: int) -> None:
    later = periods.add_working_days(day, count, HOLIDAYS)
    passed = [day + timedelta(days=number) for number in range(1, (later - day).days + 1)]
    assert sum(periods.is_working_day(one, HOLIDAYS) for one in passed) == count
    assert not count or periods.is_working_day(later, HOLIDAYS)


@pytest.mark.parametrize("zone", ["America/New_York", "Pacific/Auckland", "UTC"])
def test_the_machines_own_zone_changes_nothing(zone: str) -> None:
    # Given a machine that believes itself elsewhere
    program = (
        "from datetime import datetime, UTC; from revenue_engine import periods as p;"
        "print(p.nairobi_date(datetime(2026, 6, 30, 21, 5, tzinfo=UTC)), p.now().utcoffset(),"
        " p.today() == p.nairobi_date(datetime.now(UTC)))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "TZ": zone}, capture_output=True, text=True, check=True
    )
    # Then five past midnight on the first of July is the first of July
    assert shown.stdout.split() == ["2026-07-01", "3:00:00", "True"]
