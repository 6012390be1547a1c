"""Months, quarters and years over their parts; the year follows receipt, and what came later is listed beside it."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from reconciliation.days import closing as days
from reconciliation.days import exporting, verify_certificate
from reconciliation.days.closing import Span, period_of
from revenue_engine import db
from revenue_engine.errors import Conflict
from revenue_engine.periods import NAIROBI
from tests.support import closing
from tests.support.books import Books

JUNE, JULY, AUGUST = (Span("month", date(2026, m, 1), date(2026, m, d)) for m, d in ((6, 30), (7, 31), (8, 31)))
LAST_QUARTER = Span("quarter", date(2026, 4, 1), date(2026, 6, 30))
YEAR = Span("year", date(2025, 7, 1), date(2026, 6, 30))
ADJUSTMENTS = Span("adjustments", date(2026, 7, 1), date(2026, 7, 31))


def test_how_periods_are_typed() -> None:
    assert period_of("2026-06") == JUNE
    assert period_of("2526-Q4") == LAST_QUARTER
    assert period_of("2526") == YEAR
    assert period_of("2526-adjustments") == ADJUSTMENTS
    assert period_of("2627-Q1") == Span("quarter", date(2026, 7, 1), date(2026, 9, 30))
    for wrong in ("2026-13", "2026-6", "2527", "2526-Q5", "2526-q1", "2026-06-30", "june", ""):
        assert period_of(wrong) is None, wrong


@pytest.fixture
def year(books: Books) -> Books:
    """Books that opened on 1 June, so that a year ends in them."""
    closing.without_controls(books)
    books.execute("UPDATE county SET books_open_from = '2026-06-01'")
    return books


def paid(books: Books, shillings: int, reference: str, *at: int) -> None:
    books.pay(shillings, "X", reference=reference, at=datetime(2026, *at, tzinfo=NAIROBI))


def test_the_four_payments_of_a_years_end_are_in_the_right_year(year: Books, tmp_path: Path) -> None:
    # Given a payment of 30 June that is told in time, and June and its year closed
    paid(year, 1000, "UFYEAR0001", 6, 30, 23, 59)
    june, month, quarter, whole = closing.close(year, date(2026, 6, 30), JUNE, LAST_QUARTER, YEAR)
    told = {"financial_year": "2526", "closed_days": "100000", "adjustments": "0", "after_the_lock": "0"}
    assert whole.body["sheet"]["year"] == told
    # When another of 30 June comes after that, and one of one minute past midnight
    paid(year, 200, "UFYEAR0002", 6, 30, 23, 59)
    paid(year, 30, "UFYEAR0003", 7, 1, 0, 1)
    july = closing.close(year, date(2026, 7, 1), date(2026, 7, 31), JULY, ADJUSTMENTS)
    # Then the late one is an adjustment of the old year and the other is the new year's
    assert july[-1].body["sheet"]["year"] == told | {"adjustments": "20000"}
    assert july[-1].body["sheet"]["adjustments"] == [
        {"booked": "2026-07-01", "paid": "2026-06-30", "items": 1, "amount": "20000"}
    ]
    assert july[0].body["sheet"]["figures"]["years"] == [
        {"financial_year": "2526", "received": "20000", "reversed": "0"},
        {"financial_year": "2627", "received": "3000", "reversed": "0"},
    ]
    # And one that comes after the adjustment month is the old year's by its receipt, and its statement stays
    paid(year, 4, "UFYEAR0004", 6, 30, 23, 59)
    closing.close(year, date(2026, 8, 1), date(2026, 8, 31), AUGUST)
    ((now,),) = year.rows("SELECT statement_of_year('2026-06-30', sealed_until())")
    assert now == told | {"adjustments": "20000", "after_the_lock": "400"}
    assert year.rows("SELECT p.reference, r.financial_year FROM receipt r JOIN payment p ON p.id = r.payment_id"
                     " ORDER BY p.reference") == [
        ("UFYEAR0001", "2526"), ("UFYEAR0002", "2526"), ("UFYEAR0003", "2627"), ("UFYEAR0004", "2526")]  # fmt: skip
    # And all certificates hold by their exports, the sealed ones as they were
    with db.transaction(year.as_role("report")) as session:
        for number in range(1, 12):
            exporting.write(session, number, tmp_path)
    names = [str(tmp_path / f"certificate-{number:06d}.txt") for number in range(1, 12)]
    assert verify_certificate.main([*names, "--export", str(tmp_path)]) == 0
    assert (tmp_path / "certificate-000001.txt").read_text() == june.note
    assert month.body["sheet"]["certificates"][0]["sha256"] == june.sha256
    assert quarter.body["sheet"]["certificates"][0]["sha256"] == month.sha256
    assert whole.body["sheet"]["certificates"][0]["sha256"] == quarter.sha256


def test_a_period_is_closed_after_its_parts_in_order_and_once(year: Books) -> None:
    with pytest.raises(Conflict, match="2026-06-01 is open: close the days of the month first"):
        closing.close(year, JUNE)
    closing.close(year, date(2026, 6, 30))
    with pytest.raises(Conflict, match="the month from 2026-06-01 has no certificate"):
        closing.close(year, LAST_QUARTER)
    closing.close(year, JUNE)
    with pytest.raises(Conflict, match="the quarter from 2026-04-01 has no certificate"):
        closing.close(year, YEAR)
    with pytest.raises(Conflict, match="month to 2026-06-30 is closed already"):
        closing.close(year, JUNE)
    closing.close(year, date(2026, 7, 31), date(2026, 8, 31))
    with pytest.raises(Conflict, match="the month from 2026-07-01 has no certificate"):
        closing.close(year, AUGUST)
    closing.close(year, JULY)
    with pytest.raises(Conflict, match="the year to 2026-06-30 has no certificate"):
        closing.close(year, ADJUSTMENTS)


def test_what_is_known_later_is_a_second_figure_beside_the_sealed_one(year: Books) -> None:
    paid(year, 100, "UFLATE0001", 6, 10, 9, 0)
    (day,) = closing.close(year, date(2026, 6, 10))
    paid(year, 7, "UFLATE0002", 6, 10, 9, 0)  # booked to the 11th, of the 10th
    closing.close(year, date(2026, 6, 11), date(2026, 6, 30))
    paid(year, 9, "UFLATE0003", 6, 20, 9, 0)  # booked to 1 July, of June
    closing.close(year, date(2026, 7, 1))
    (month,) = closing.close(year, JUNE)
    assert day.body["sheet"]["figures"]["received"] == "10000"
    assert month.body["sheet"]["figures"]["received"] == "10700"
    assert month.body["sheet"]["later_known"] == [
        {"booked": "2026-07-01", "paid": "2026-06-20", "items": 1, "amount": "900"}
    ]


def test_a_period_needs_two_persons_and_shuts_no_day(year: Books) -> None:
    closing.close(year, date(2026, 6, 30))
    sheet = closing.prepare(year, JUNE)
    paid(year, 5, "UFOPEN0001", 7, 1, 9, 0)
    assert year.rows("SELECT book_date FROM journal") == [(date(2026, 7, 1),)]
    with pytest.raises(Conflict, match="treasurer prepared the close of 2026-06-30"):
        closing.prepare(year, date(2026, 7, 1), who=closing.second(year))
    made = closing.approve(year, sheet)
    assert (made.body["period"], made.body["first_day"]) == ("month", "2026-06-01")
    with db.transaction(year.as_role("report")) as session:
        assert days.show(session, JUNE).certificate == made.number
        assert days.show(session, days.day(date(2026, 6, 30))).certificate == 1


def test_a_fifth_off_the_same_month_of_the_year_before_is_noted(year: Books) -> None:
    year.execute("UPDATE county SET books_open_from = '2025-09-01'")
    year.pay(1000, "X", at=datetime(2025, 9, 10, 9, 0, tzinfo=NAIROBI))
    september = Span("month", date(2025, 9, 1), date(2025, 9, 30))
    closing.close(year, date(2025, 9, 10), date(2025, 9, 30), september)
    day = date(2025, 10, 1)
    while day <= date(2026, 8, 1):  # quiet months
        span = days._months("month", day, 1)
        closing.close(year, span.last_day, span)
        day = span.last_day + timedelta(days=1)
    year.pay(500, "X", at=datetime(2026, 9, 10, 9, 0, tzinfo=NAIROBI))
    (*_, month) = closing.close(
        year, date(2026, 9, 10), date(2026, 9, 30), Span("month", date(2026, 9, 1), date(2026, 9, 30))
    )
    ((note),) = month.body["sheet"]["notes"]
    assert (note["stream"], note["received"], note["before"]) == ("", "50000", "100000")
