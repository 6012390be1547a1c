"""Two days written down by hand, row by row, and reported: the figures of each book date stay those of that date."""

from __future__ import annotations

import dataclasses
import io
import json
from datetime import date
from typing import Any

import pytest
from python_calamine import CalamineWorkbook

from revenue_engine.db import make_engine, transaction
from revenue_engine.reports import daily, render
from revenue_engine.reports.model import Column, Kind, Section
from tests.conftest import Database
from tests.support import worked_day
from tests.support.worked_day import FRIDAY, THURSDAY


@pytest.fixture
def books(database: Database) -> Database:
    with transaction(make_engine(database.url, pool_size=0)) as session:
        worked_day.two_days(session)
    return database


def told(books: Database, on: date) -> dict[str, Any]:
    """The report as JSON, read as the reporting role; a money that is a JSON number would be a float and fails."""
    with transaction(make_engine(books.url, role="report", pool_size=0)) as session:
        report = daily.daily(session, on)
    answer = json.loads(render.render(report, "json"), parse_float=lambda text: pytest.fail(f"a float: {text}"))
    assert isinstance(answer, dict)
    return answer


def column(rows: list[dict[str, Any]], key: str, *names: str) -> dict[str, tuple[Any, ...]]:
    return {row[key]: tuple(row[name] for name in names) for row in rows}


def test_friday_by_stream_with_retained_money_apart(books: Database) -> None:
    sections = told(books, FRIDAY)["sections"]
    figures = ("payments", "received", "applied", "unapplied", "suspense", "reversed", "net", "month_to_date")
    assert column(sections["streams"], "stream", *figures) == {
        "–": (0, "0.00", "0.00", "0.00", "0.00", "0.00", "0.00", "700.00"),
        "SBP": (2, "4600.00", "4500.00", "100.00", "0.00", "2000.00", "2600.00", "5600.00"),
        "MKT": (2, "450.00", "50.00", "0.00", "400.00", "0.00", "450.00", "450.00"),
    }
    assert column(sections["retained"], "stream", *figures) == {
        "HOS": (1, "1200.00", "1200.00", "0.00", "0.00", "0.00", "1200.00", "1200.00"),
    }


def test_friday_by_channel_bills_and_papers(books: Database) -> None:
    sections = told(books, FRIDAY)["sections"]
    assert column(sections["channels"], "channel", "payments", "received", "reversed", "net") == {
        "mpesa 000111": (4, "5050.00", "2000.00", "3050.00"),
        "kcb 0099": (1, "1200.00", "0.00", "1200.00"),
    }
    assert column(sections["bills"], "stream", "issued", "billed", "cancelled", "cancelled_amount") == {
        "SBP": (2, "2800.00", 1, "800.00"),
        "MKT": (1, "50.00", 0, "0.00"),
    }
    assert column(sections["papers"], "kind", "first", "last", "issued", "amount") == {
        "receipt": ("RCT-2627-000002", "RCT-2627-000006", 5, "6550.00"),
        "acknowledgement": ("ACK-2627-000002", "ACK-2627-000002", 1, "400.00"),
    }
    assert column(sections["reversals"], "payment", "reversal", "amount") == {"RKT0000007": ("REV0000008", "2000.00")}


def test_suspense_moves_from_opening_to_closing(books: Database) -> None:
    held = column(told(books, FRIDAY)["sections"]["held"], "what", "opening", "came", "went", "closing")
    assert held["suspense"] == ("700.00", "400.00", "700.00", "400.00")


def test_a_notice_that_nothing_confirms_is_shown_and_grows_old(books: Database) -> None:
    (row,) = told(books, FRIDAY)["sections"]["unconfirmed"]
    assert row == {
        "channel": "kcb 0099",
        "kind": "payment",
        "notices": 1,
        "amount": "250.00",
        "oldest_days": 0,
    }
    (row,) = told(books, date(2026, 12, 25))["sections"]["unconfirmed"]
    assert row["oldest_days"] == 35
    assert told(books, THURSDAY)["sections"]["unconfirmed"] == []


def test_thursday_is_not_changed_by_what_friday_did(books: Database) -> None:
    answer = told(books, THURSDAY)
    assert answer["ties"]
    assert {row["stream"]: row["net"] for row in answer["sections"]["streams"]} == {"–": "700.00", "SBP": "3000.00"}
    assert answer["sections"]["reversals"] == []


def test_a_workbook_keeps_large_amounts_to_the_cent(books: Database) -> None:
    with transaction(make_engine(books.url, pool_size=0)) as session:
        report = daily.daily(session, FRIDAY)
    large = Section("large", "Large", (Column("amount", "Amount", Kind.MONEY),), ((123_456_789_012_345,), (-1,)))
    written = render.render(dataclasses.replace(report, sections=(large,)), "xlsx")
    assert CalamineWorkbook.from_filelike(io.BytesIO(written)).get_sheet_by_name("Large").to_python()[2:] == [
        [1234567890123.45],
        [-0.01],
    ]
