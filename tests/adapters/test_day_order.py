"""What the order of a file's days tells a person to look at, where nothing in the file decides."""

from __future__ import annotations

from datetime import date

import pytest

from adapters.statements.day_proofs import DayOrder


@pytest.mark.parametrize(
    ("days", "said"),
    [
        ([date(2026, 1, 9), date(2026, 2, 9)], "every line is of day 9"),
        ([date(2026, 1, 9), date(2026, 1, 9), date(2026, 3, 9)], "every line is of day 9"),
        ([date(2026, 2, 8), date(2026, 8, 13)], "02 Aug 2026 to 13 Aug 2026"),
        ([date(2026, 8, 13), date(2026, 2, 8)], "02 Aug 2026 to 13 Aug 2026"),
        ([date(2026, 1, 9), date(2026, 2, 9), date(2026, 9, 14)], "01 Sep 2026 to 14 Sep 2026"),
        ([date(2026, 9, 1), date(2026, 9, 2), date(2026, 9, 30)], ""),
        ([date(2026, 9, 14), date(2026, 10, 14)], ""),
        ([date(2026, 3, 31), date(2026, 4, 1)], ""),
        ([date(2026, 9, 9)], ""),
    ],
)
def test_days_that_would_be_neighbours_with_day_and_month_exchanged_are_told(days: list[date], said: str) -> None:
    order = DayOrder()
    for line, day in enumerate(days, 1):
        order.met(day, line)
    assert said in order.note
    assert bool(said) == bool(order.note)
