"""Days that a spreadsheet exchanged: whatever it wrote, a file has its true days or is refused, and never others."""

from __future__ import annotations

import io
from datetime import date, datetime, timedelta, timezone

import pytest
import xlsxwriter
from hypothesis import given
from hypothesis import strategies as st

from adapters.receipts import receipt_day
from adapters.statements import mpesa_times
from adapters.statements.mpesa_org import reader as mpesa
from adapters.statements.tables import reader as tables
from revenue_engine.money import wire
from revenue_engine.periods import NAIROBI
from revenue_engine.ports.statements import (
    StatementFault,
    StatementLine,
    StatementReader,
    StatementRefused,
    proved,
)

HEAD = "Receipt No.,Completion Time,Details,Transaction Status,Paid In,Withdrawn,Balance"
BANK = "Transaction Date,Value Date,Transaction Details,Reference,Money Out,Money In,Ledger Balance"
_LETTERS, _DAYS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "123456789ABCDEFGHIJKLMNOPQRSTUV"


def receipt(day: date, number: int) -> str:
    return f"{_LETTERS[day.year - 2006]}{_LETTERS[day.month - 1]}{_DAYS[day.day - 1]}{number:07d}"


def lines_of(reader: StatementReader, content: bytes, name: str = "a.csv") -> list[StatementLine]:
    events = proved(reader.read(io.BytesIO(content), filename=name))
    return [event for event in events if isinstance(event, StatementLine)]


def refusal(reader: StatementReader, content: bytes, name: str = "a.csv") -> StatementRefused:
    with pytest.raises(StatementRefused) as caught:
        lines_of(reader, content, name)
    return caught.value


def export(rows: list[tuple[str, str]], head: str = HEAD) -> bytes:
    """An M-PESA export of payments of 10.00: (receipt, time as written)."""
    body = [
        f"{code},{at},Pay Bill from 25470****101 - SAMPLE Acc. 482915363,Completed,10.00,,{wire(1000 * number)}"
        for number, (code, at) in enumerate(rows, start=1)
    ]
    return "\n".join([head, *body, ""]).encode()


WAYS = (
    *("%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%d-%m %H:%M:%S", "%d-%m-%Y %H:%M"),
    *("%m/%d/%Y %H:%M", "%d/%m/%y %I:%M %p", "%m/%d/%y %H:%M", "%y/%m/%d %H:%M", "%d-%b-%Y %H:%M", "%d %B %Y %H:%M:%S"),
    *("%Y-%m-%dT%H:%M:%S", "%d.%m.%Y %H:%M", "%m-%d-%Y %I:%M:%S %p", "%d-%b-%y %H:%M", "%Y/%m/%d %H:%M:%S.000"),
    *("%Y%m%d%H%M%S", "%Y-%m-%dT%H:%M:%S+03:00", "%Y-%m-%d %H:%M:%S.000+0300"),
)
DAYS = st.lists(st.dates(date(2020, 1, 1), date(2026, 11, 30)), min_size=1, max_size=6)


@given(days=DAYS, way=st.sampled_from(WAYS), hour=st.integers(0, 23))
def test_every_way_of_another_country_has_its_true_days_or_is_refused(days: list[date], way: str, hour: int) -> None:
    moments = [datetime(day.year, day.month, day.day, hour, 20) for day in sorted(days)]  # noqa: DTZ001 - a file's own
    rows = [(receipt(at.date(), number), at.strftime(way)) for number, at in enumerate(moments, start=1)]
    try:
        found = lines_of(mpesa, export(rows))
    except StatementRefused as refused:
        assert refused.fault is StatementFault.BAD_DATE  # noqa: PT017 - either is right
        assert "%y" in way, "only a year of two digits may be left open"
        return
    assert [line.booked_on for line in found] == [at.date() for at in moments]


_ZERO = datetime(1899, 12, 30)  # noqa: DTZ001 - a spreadsheet's own count


@given(days=DAYS, hour=st.integers(0, 23), minutes=st.sampled_from([-720, -180, 0, 60, 345, 840]))
def test_an_instant_with_its_zone_is_of_its_nairobi_day(days: list[date], hour: int, minutes: int) -> None:
    zone = timezone(timedelta(minutes=minutes))
    moments = [datetime(day.year, day.month, day.day, hour, 20, tzinfo=NAIROBI) for day in sorted(days)]
    for written in (str, lambda at: at.isoformat().replace("+00:00", "Z")):
        rows = [
            (receipt(at.date(), at_row), written(at.astimezone(zone))) for at_row, at in enumerate(moments, start=1)
        ]
        found = lines_of(mpesa, export(rows))
        assert [(line.booked_on, line.occurred_at) for line in found] == [(at.date(), at) for at in moments]


@given(days=DAYS, minute=st.integers(0, 1439))
def test_a_spreadsheets_number_of_a_day_is_read_where_a_receipt_says_so(days: list[date], minute: int) -> None:
    moments = [datetime(day.year, day.month, day.day) + timedelta(minutes=minute) for day in sorted(days)]  # noqa: DTZ001
    numbers = [f"{(at - _ZERO) / timedelta(days=1):.10f}".rstrip("0").rstrip(".") for at in moments]
    told = [
        (receipt(at.date(), row), text) for row, (at, text) in enumerate(zip(moments, numbers, strict=True), start=1)
    ]
    try:
        found = lines_of(mpesa, export(told))
    except StatementRefused as refused:  # the receipt of every row fits the number as well with day and month exchanged
        assert refused.fault is StatementFault.BAD_DATE  # noqa: PT017
        assert all(at.day <= 12 for at in moments)
        return
    assert [line.occurred_at.replace(tzinfo=None) for line in found if line.occurred_at] == moments


@pytest.mark.parametrize("rows", [[("UIF0000001", "46180.4375")], [("UIF001", "46280.4375")]])
def test_a_spreadsheets_number_that_no_receipt_proves_is_refused(rows: list[tuple[str, str]]) -> None:
    found = refusal(mpesa, export(rows))
    assert (found.fault, found.line, found.column) == (StatementFault.BAD_DATE, 2, "Completion Time")
    assert "number that a spreadsheet has" in found.reason


@given(days=DAYS, shift=st.integers(2, 2000))
def test_a_day_that_its_receipt_denies_is_refused_with_its_row(days: list[date], shift: int) -> None:
    rows = [
        (receipt(day, number), (day - timedelta(days=shift)).strftime("%Y-%m-%d 10:00:00"))
        for number, day in enumerate(sorted(days), start=1)
        if day.year > 2006 + shift // 365
    ]
    found = refusal(mpesa, export(rows)) if rows else None
    assert found is None or (found.fault, found.line, found.column) == (StatementFault.BAD_DATE, 2, "Completion Time")


def test_one_row_among_true_ones_is_named() -> None:
    rows = [("UIF0000001", "15/09/2026 10:00:00"), ("UIF0000002", "15/08/2026 10:01:00")]
    found = refusal(mpesa, export(rows))
    assert (found.fault, found.line) == (StatementFault.BAD_DATE, 3)
    assert "UIF0000002 was given on 15 Sep 2026" in found.reason


def test_midnight_and_an_order_that_waited_are_no_contradiction() -> None:
    rows = [("UIF0000001", "16/09/2026 00:00:03"), ("UIG0000002", "15/09/2026 23:59:58")]
    assert [line.booked_on.day for line in lines_of(mpesa, export(rows))] == [16, 15]
    waited = (
        export([("UIF0000002", "15/09/2026 09:00:00")])
        + b"UIF0000003,18/09/2026 09:00:00,Withdraw Funds to Bank,Completed,,-5.00,5.00\n"
    )
    waited += b"UII0000004,18/09/2026 09:30:00,Pay Bill from 25470****101 - X Acc. 1,Completed,10.00,,15.00\n"
    assert [line.booked_on.day for line in lines_of(mpesa, waited)] == [15, 18, 18]


def test_receipts_of_other_lengths_say_nothing_of_days() -> None:
    assert receipt_day("UIF001") is None
    rows = [("UIF001", "01/02/2026 10:00:00"), ("UIF002", "03/02/2026 10:00:00")]
    assert [line.booked_on for line in lines_of(mpesa, export(rows))] == [date(2026, 2, 1), date(2026, 2, 3)]


@pytest.mark.parametrize("heading", ["A/C No.", "Account No.", "Account Number", "ACC NO", "Bill Ref Number", "A/c No"])
def test_the_account_that_payers_typed_is_read_under_every_heading(heading: str) -> None:
    content = f"{HEAD},{heading}\nUIF0000001,15/09/2026 10:00:00,Pay Bill Online,Completed,10.00,,10.00,482915363\n"
    assert [line.account_reference for line in lines_of(mpesa, content.encode())] == ["482915363"]


def test_a_column_that_nobody_described_is_refused_when_something_stands_in_it() -> None:
    row = "UIF0000001,15/09/2026 10:00:00,Pay Bill Online,Completed,10.00,,10.00"
    assert len(lines_of(mpesa, f"{HEAD},Voucher\n{row},\n".encode())) == 1
    found = refusal(mpesa, f"{HEAD},Voucher\n{row},482915363\n".encode())
    assert (found.fault, found.line, found.column) == (StatementFault.UNKNOWN_COLUMNS, 2, "Voucher")


# --- tables of banks ---


def book(days: list[date | str], *, narration: str = "PAY 482915363") -> bytes:
    """A workbook of the KCB headings with credits of 10.00; a date is a date cell, a text a text."""
    out = io.BytesIO()
    made = xlsxwriter.Workbook(out, {"in_memory": True})
    sheet = made.add_worksheet()
    dated = made.add_format({"num_format": "dd/mm/yyyy"})
    sheet.write_row(0, 0, BANK.split(","))
    for at, day in enumerate(days, start=1):
        for column in (0, 1):
            if isinstance(day, str):
                sheet.write_string(at, column, day)
            else:
                sheet.write_datetime(at, column, datetime(day.year, day.month, day.day), dated)  # noqa: DTZ001
        sheet.write_row(at, 2, [narration, f"FT{at}", ""])
        sheet.write_number(at, 5, 10.0)
        sheet.write_number(at, 6, 100.0 + 10 * at)
    made.close()
    return out.getvalue()


def resaved(days: list[date]) -> list[date | str]:
    """What a spreadsheet of the US makes of texts dd/mm/yyyy: days up to 12 change places with their months."""
    return [day.replace(month=day.day, day=day.month) if day.day <= 12 else day.strftime("%d/%m/%Y") for day in days]


@given(days=st.lists(st.dates(date(2026, 8, 1), date(2026, 9, 30)), min_size=2, max_size=8).map(sorted))
def test_a_resaved_workbook_with_days_above_twelve_is_never_read(days: list[date]) -> None:
    cells = resaved(days)
    kinds = {type(cell) for cell in cells}
    if kinds == {str} or all(day.day == day.month for day in days):
        assert [line.booked_on for line in lines_of(tables, book(cells), "a.xlsx")] == days
    elif len(kinds) == 2:
        assert refusal(tables, book(cells), "a.xlsx").fault is StatementFault.BAD_DATE


def test_days_against_the_order_of_the_balances_are_refused() -> None:
    true = [date(2026, 9, 1), date(2026, 9, 3), date(2026, 9, 11), date(2026, 10, 2), date(2026, 10, 5)]
    assert [line.booked_on for line in lines_of(tables, book(list(true)), "a.xlsx")] == true
    found = refusal(tables, book(resaved(true)), "a.xlsx")
    assert (found.fault, found.line) == (StatementFault.BAD_DATE, 2)
    assert "in order from 2026-09-01 to 2026-10-05 with day and month exchanged" in found.reason


def test_a_bank_that_does_not_sort_its_rows_is_read() -> None:
    days: list[date | str] = [date(2026, 9, 15), date(2026, 9, 14), date(2026, 9, 16)]
    assert len(lines_of(tables, book(days), "a.xlsx")) == 3


def test_a_receipt_in_the_narration_denies_an_exchanged_day() -> None:
    found = refusal(tables, book([date(2026, 5, 9)], narration="MPS 254700000101 UI50000071 482915363 X"), "a.xlsx")
    assert (found.fault, found.line, found.column) == (StatementFault.BAD_DATE, 2, "Transaction Date")
    held = book([date(2026, 9, 7)], narration="REVERSAL OF UH30000071")
    assert len(lines_of(tables, held, "a.xlsx")) == 1, "a narration may speak of an older receipt"


def test_one_day_of_many_months_is_noted() -> None:
    events = list(
        proved(tables.read(io.BytesIO(book([date(2026, month, 9) for month in (1, 2, 3)])), filename="a.xlsx"))
    )
    assert any("every line is of day 9 of a month" in note for note in events[-1].notes)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "hour"),
    [
        ("Aug 12, 2026 10:30:00 AM", 10),
        ("August 12 2026 22:30", 22),
        ("12/08/2026 10:30\u202fAM", 10),
        ("12/08/2026 10:30:00\u00a0PM", 22),
        ("12/08/2026 13:30 PM", 13),
    ],
)
def test_a_time_as_a_spreadsheet_of_another_country_writes_it(text: str, hour: int) -> None:
    at = mpesa_times.proved_by([("UHC0000121", text)]).instant(text, 2, "Completion Time")
    assert (at.date().isoformat(), at.hour, at.minute) == ("2026-08-12", hour, 30)


@pytest.mark.parametrize(
    "text", ["12/08/2026 24:00 PM", "12/08/2026 25:10 PM", "12/08/2026 13:30 AM", "12/08/2026 0:30 PM"]
)
def test_an_hour_that_no_clock_shows_is_no_time(text: str) -> None:
    assert mpesa_times.written(text) is None
