"""The daily report of a day an accountant can add up by hand, in every format."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator

import pytest
from python_calamine import CalamineWorkbook

from revenue_engine import db
from revenue_engine.reports import daily, render
from revenue_engine.reports.model import Report
from tests.conftest import Database
from tests.support import closing
from tests.support.books import DAY, Books, reversal


@pytest.fixture
def books(testland: Database) -> Iterator[Books]:
    made = Books(testland.url)
    yield made
    made.close()


@pytest.fixture
def report(books: Books) -> Report:
    # Given a day: a bill of 1,000 paid with 1,200; a spot payment of 300; 750 for nobody; 500 paid and taken back
    paid = books.bill(1000, payer=books.payer("=HYPERLINK(1)"))
    books.pay(1200, paid.pay_account_number)
    books.pay(300, "MALABA KDA123A")
    books.pay(750, "who knows")
    taken = books.bill(500, stream="RENT")
    back = books.pay(500, taken.pay_account_number)
    books.deliver(reversal(back, 500))
    books.work()
    with db.transaction(books.as_role("report")) as session:
        return daily.daily(session, DAY)


def test_the_day_adds_up(report: Report) -> None:
    answer = json.loads(render.render(report, "json"))
    streams = {row["stream"]: row for row in answer["sections"]["streams"]}
    assert {stream: (row["payments"], row["received"], row["net"]) for stream, row in streams.items()} == {
        "–": (1, "750.00", "750.00"),
        "RENT": (1, "500.00", "0.00"),
        "SBP": (1, "1200.00", "1200.00"),
        "TRAILER": (1, "300.00", "300.00"),
    }
    assert (streams["SBP"]["applied"], streams["SBP"]["unapplied"]) == ("1000.00", "200.00")
    (channel,) = answer["sections"]["channels"]
    assert (channel["received"], channel["reversed"], channel["net"]) == ("2750.00", "500.00", "2250.00")
    assert channel["month_to_date"] == channel["year_to_date"] == "2250.00"
    assert answer["sections"]["held"] == [
        {"what": "suspense", "opening": "0.00", "came": "750.00", "went": "0.00", "closing": "750.00"},
        {"what": "unapplied credit", "opening": "0.00", "came": "200.00", "went": "0.00", "closing": "200.00"},
    ]
    assert [row["kind"] for row in answer["sections"]["papers"]] == ["receipt", "acknowledgement"]
    assert answer["ties"]
    assert not answer["final"]
    assert {control["difference"] for control in answer["controls"].values()} == {"0.00"}


def test_only_the_report_of_a_closed_day_is_final(books: Books) -> None:
    books.pay(2000, "who knows")
    with db.transaction(books.as_role("report")) as session:
        made = daily.daily(session, DAY)
    assert (made.ties, made.final) == (True, False)
    assert "the day is not closed" in render.render(made, "table").decode()
    closing.close(books, DAY)
    books.pay(2000, "who knows")  # late: the open day takes the payment, and the report of the closed day stays
    with db.transaction(books.as_role("report")) as session:
        again = daily.daily(session, DAY)
    assert again.final
    assert again.sections[0].rows == made.sections[0].rows


def test_a_report_that_does_not_tie_says_so_and_is_not_final(books: Books) -> None:
    books.pay(750, "who knows")
    books.execute("ALTER TABLE payment DISABLE TRIGGER refuse_change; UPDATE payment SET amount_minor = 74900")
    with db.transaction(books.as_role("report")) as session:
        made = daily.daily(session, DAY)
    assert not made.final
    assert {control.name: control.difference_minor for control in made.controls}["received"] == 100
    assert "NOT FINAL" in render.render(made, "table").decode()


def test_csv_is_read_back_and_runs_nothing(report: Report) -> None:
    written = render.render(report, "csv")
    assert written.startswith(b"\xef\xbb\xbf")
    rows = list(csv.reader(io.StringIO(written.decode("utf-8-sig"))))
    received = [row for row in rows if row[:2] == ["streams", "SBP"]]
    assert received[0][3:6] == ["1", "1200.00", "1000.00"]
    assert not [cell for row in rows for cell in row if cell[:1] in {"=", "@", "+"}]


def test_the_workbook_begins_with_the_proof_and_holds_real_numbers(report: Report) -> None:
    book = CalamineWorkbook.from_filelike(io.BytesIO(render.render(report, "xlsx")))
    assert book.sheet_names[0] == "Control"
    control = book.get_sheet_by_name("Control").to_python()
    assert [row[6] for row in control if row[0] in {"received", "homes", "suspense"}] == ["✓", "✓", "✓"]
    sheet = book.get_sheet_by_name("Ordinary revenue by stream").to_python()
    head, rows = sheet[1], {row[0]: row for row in sheet[2:]}
    assert rows["SBP"][head.index("Received")] == 1200.0
    assert sheet[0][head.index("Received")] == 2750.0, "the total stands on top, with its value"


def test_the_report_role_needs_no_names(books: Books, report: Report) -> None:
    text = b"".join(render.render(report, form) for form in ("table", "csv", "json"))
    assert b"HYPERLINK" not in text
    assert b"254700000101" not in text
