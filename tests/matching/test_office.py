"""Files as offices keep them: read with every guess said, or refused with everything that is wrong at once."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter
from hypothesis import given
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook

from reconciliation.engine import office
from reconciliation.engine.office import Reading, guess, minor_of
from reconciliation.engine.spelled_days import DayOrder, Days
from revenue_engine.cli import match_files
from revenue_engine.cli.match_files import Maps, read_invoices, read_map, read_payments
from revenue_engine.errors import InvalidValue
from revenue_engine.money import grouped, wire
from tests.matching.test_files import BILLS, PAID, folder, run

__all__ = ["folder"]

HEADS = ["S/No", "Bill No.", "Customer Name", "Phone", "Plate", "Balance (KES)", "Bill Date", "Due Date", "Status"]
ROWS: list[list[Any]] = [
    [1, 270586493, "Achieng Odera", "0712000345", "KDA 123A", 1200, "01/03/2026", "31/03/2026", "Unpaid"],
    [2, 508060611, "Peter Ng'ang'a", "", "", 8000.5, "01/03/2026", "31/03/2026", "Part paid"],
    [3, 556796571, "Jane", "", "", 300.1, "14/03/2026", "31/03/2026", "PAID"],
]
TOTAL: list[Any] = ["TOTAL", "", "", "", "", 9500.6, "", "", ""]
Change = Callable[[list[list[Any]]], Any]


def workbook(path: Path, rows: Sequence[Sequence[Any]]) -> Path:
    book = xlsxwriter.Workbook(path)
    sheet = book.add_worksheet("March")
    for at, row in enumerate(rows):
        sheet.write_row(at, 0, row)
    book.close()
    return path


def text(path: Path, rows: Sequence[Sequence[Any]], delimiter: str) -> Path:
    with path.open("w", newline="", encoding="utf-8") as handle:
        csv.writer(handle, delimiter=delimiter).writerows(rows)
    return path


def bills_of(path: Path, maps: Maps | None = None) -> office.Read:
    return read_invoices(path, maps or Maps(), currency="KES")


def paid_of(path: Path, maps: Maps | None = None) -> office.Read:
    return read_payments(path, maps or Maps(), currency="KES")


@pytest.mark.parametrize("kind", ["xlsx", ",", ";", "\t"])
def test_a_list_with_titles_and_totals_is_read_from_a_workbook_and_from_text(tmp_path: Path, kind: str) -> None:
    rows = [["COUNTY GOVERNMENT"], ["Bills of March 2026"], [], HEADS, *ROWS, ["", "", "", "", "", ""], TOTAL]
    file = workbook(tmp_path / "b.xlsx", rows) if kind == "xlsx" else text(tmp_path / "b.csv", rows, kind)
    read = bills_of(file)
    assert read.table["invoice_number"].to_pylist() == ["270586493", "508060611", "556796571"]
    assert read.table["amount_minor"].to_pylist() == [120_000, 800_050, 30_010], "to the cent"
    assert read.table["status"].to_pylist() == ["open", "open", "paid"]
    assert read.table["due_on"].to_pylist() == ["2026-03-31"] * 3
    assert read.read_as["Bill No."] == "invoice_number"
    assert read.read_as["Balance (KES)"] == "amount_due"
    assert read.warnings == []
    assert any("is a total" in note for note in read.notes)


def test_a_total_that_is_not_the_sum_of_the_rows_is_warned_of(tmp_path: Path) -> None:
    read = bills_of(workbook(tmp_path / "b.xlsx", [HEADS, *ROWS, [*TOTAL[:5], 9500.5, *TOTAL[6:]]]))
    assert read.warnings == ["line 5: the total says 9,500.50 and the rows above it come to 9,500.60"]


def test_every_complaint_of_a_file_is_told_at_once(tmp_path: Path) -> None:
    rows = [
        ["Receipt", "Date", "Amount", "Account"],
        ["A1", "13/04/2026", "1.200,00", "1"],
        ["A1", "", "-5", "2"],
        ["", "31/04/2026", "1,20", "3"],
        ["A4", "14/04/2026", "0.00", "4"],
        ["A5", "14/04/2026", "12", "5"],
    ]
    with pytest.raises(InvalidValue) as refused:
        paid_of(text(tmp_path / "p.csv", rows, ";"))
    complaints = refused.value.facts["complaints"]
    assert complaints == [
        "p.csv, line 2: amount is '1.200,00'; write it like 1250.00 or 1,250.00",
        "p.csv, line 3: amount is '-5'; write it like 1250.00 or 1,250.00",
        "p.csv, line 3: paid_at is empty",
        "p.csv, line 3: payment_id A1 stands there a second time, first in line 2",
        "p.csv, line 4: amount is '1,20'; write it like 1250.00 or 1,250.00",
        "p.csv, line 4: paid_at is '31/04/2026'; write it like 2026-03-30 06:00 or 30/03/2026 06:00",
        "p.csv, line 4: payment_id is empty",
        "p.csv, line 5: amount is 0.00, which must be more than 0.00",
    ]
    assert refused.value.message.startswith("8 things to mend in p.csv:")


@pytest.mark.parametrize(
    ("word", "meaning"),
    [("Unpaid", "open"), ("PENDING", "open"), ("part  paid", "open"), ("Overdue", "open"), ("Fully Paid", "paid"),
     ("Cancelled", "cancelled"), ("VOID", "cancelled"), ("open", "open"), ("paid", "paid")],
)  # fmt: skip
def test_usual_words_of_a_status_are_understood_in_every_format(folder: Path, word: str, meaning: str) -> None:
    (folder / "bills.csv").write_text(BILLS.replace(",open", f",{word}"))
    assert set(bills_of(folder / "bills.csv").table["status"].to_pylist()) == {meaning}


def test_a_status_that_nobody_knows_is_refused_and_a_map_may_say_it(folder: Path) -> None:
    (folder / "bills.csv").write_text(BILLS.replace(",open", ",On hold"))
    with pytest.raises(InvalidValue, match=r"the status 'On hold' \(2 bills\) is not known"):
        bills_of(folder / "bills.csv")
    (folder / "map.toml").write_text('[status]\nopen = ["on HOLD"]\n')
    maps = read_map(folder / "map.toml", None)
    assert bills_of(folder / "bills.csv", maps).table["status"].to_pylist() == ["open", "open"]


def test_bills_of_which_none_takes_money_are_warned_of(folder: Path) -> None:
    (folder / "bills.csv").write_text(BILLS.replace(",open", ",paid"))
    assert "no bill takes money" in run(folder, str(folder / "m.csv"))


def test_numbers_that_a_spreadsheet_spoiled_are_warned_of(tmp_path: Path) -> None:
    rows = [["Bill No.", "Balance"], ["6.26018E+08", "10"], ["50806061", "10"], ["508060611", "10"]]
    read = bills_of(text(tmp_path / "b.csv", rows, ","))
    assert "1 numbers were written short by a spreadsheet, such as 6.26018E+08 in line 2" in read.warnings[0]
    assert "1 numbers have 8 digits, such as 50806061 in line 3" in read.warnings[1]
    assert any("every bill was taken as open" in note for note in read.notes)


def test_a_map_says_what_no_word_says_and_its_mistakes_are_told(tmp_path: Path) -> None:
    rows = [["Nambari", "Deni", "Amount"], ["270586493", "10.00", "99"]]
    file = text(tmp_path / "b.csv", rows, ",")
    with pytest.raises(InvalidValue, match=r"no row of headings|no heading is known for invoice_number"):
        bills_of(file)
    (tmp_path / "map.toml").write_text('[invoices]\ninvoice_number = "nambari"\namount_due = "DENI"\n')
    assert bills_of(file, read_map(tmp_path / "map.toml", None)).table["amount_minor"].to_pylist() == [1000]
    for wrong, words in (
        ('[invoices]\ninvoice_number = "Nambari"\namount_due = "Debt"\n', "no heading is called so"),
        ('[invoices]\ninvoice_number = "Nambari"\namount_due = "Deni"\ncolour = "Amount"\n', "no such column"),
        ("[bills]\n", "bills is not read"),
        ("date_order = 'dym'\n", "date_order is one of dmy, mdy, ymd"),
        ("[invoices]\ninvoice_number = 3\n", "holds column"),
        ("[status]\nopen = [1]\n", "a status is a text"),
        ("x = \n", "is no map in TOML"),
    ):
        (tmp_path / "map.toml").write_text(wrong)
        with pytest.raises(InvalidValue, match=words):
            bills_of(file, read_map(tmp_path / "map.toml", None))


@pytest.mark.parametrize(
    ("texts", "order", "wanted"),
    [
        (["13/04/2026", "05/04/2026"], None, ["2026-04-13", "2026-04-05"]),
        (["04/13/2026", "04/05/2026"], None, ["2026-04-13", "2026-04-05"]),
        (["05/04/2026"], DayOrder.DMY, ["2026-04-05"]),
        (["05/04/2026"], DayOrder.MDY, ["2026-05-04"]),
        (["04/04/2026"], None, ["2026-04-04"]),
        (["2026-04-05", "5 April 2026", "05-Apr-26", "5-APR-2026"], None, ["2026-04-05"] * 4),
    ],
)
def test_days_are_read_by_one_order_for_a_column(texts: list[str], order: DayOrder | None, wanted: list[str]) -> None:
    days = Days(texts, order)
    assert not days.fault
    assert [found.date().isoformat() for found in map(days.read, texts) if found] == wanted


@pytest.mark.parametrize(
    ("texts", "words"),
    [(["11/04/2026"], "--date-order dmy"), (["13/04/2026", "04/13/2026"], "Write them alike")],
)
def test_a_day_that_may_be_two_is_refused(texts: list[str], words: str) -> None:
    assert words in Days(texts, None).fault


@pytest.mark.parametrize(
    ("spelled", "utc"),
    [
        ("2026-04-11 17:24:05", "2026-04-11T14:24:05"),
        ("13/04/2026 05:24 PM", "2026-04-13T14:24:00"),
        ("13/04/2026 12:00 AM", "2026-04-12T21:00:00"),
        ("2026-04-11T17:24:00+03:00", "2026-04-11T14:24:00"),
        ("2026-04-11T17:24:00Z", "2026-04-11T17:24:00"),
    ],
)
def test_times_without_a_zone_are_nairobis(spelled: str, utc: str) -> None:
    found = Days([spelled], None).read(spelled)
    assert found is not None
    assert found.astimezone(UTC) == datetime.fromisoformat(utc + "+00:00")


@pytest.mark.parametrize(
    "spelled", ["31/04/2026", "13/04/2026 25:00", "13/04/2026 13:00 PM", "46123.5", "soon", "13/4"]
)
def test_what_is_no_day_is_none(spelled: str) -> None:
    assert Days([spelled], None).read(spelled) is None


@given(st.integers(0, 10**13))
def test_amounts_in_every_usual_spelling_are_the_same_cents(minor: int) -> None:
    for spelled in (wire(minor), grouped(minor), f"KES {grouped(minor)}", f"Ksh{grouped(minor)}",
                    grouped(minor).replace(",", " "), f" {grouped(minor)} "):  # fmt: skip
        assert minor_of(spelled) == minor


@pytest.mark.parametrize(
    "spelled", ["", "-", "1.200,00", "1,20", "1,2000", "12,345,6", "1250.000", "1e3", "(5)", "-5", "١٢", "NaN", "5 USD"]
)
def test_other_amounts_are_refused_and_never_guessed(spelled: str) -> None:
    assert minor_of(spelled) is None


@given(st.lists(st.sampled_from([*HEADS, "Date", "Amount", "Receipt No", "Account", "x"]), max_size=12))
def test_a_heading_is_taken_for_one_column_only(header: list[str]) -> None:
    for what in ("invoices", "payments"):
        found = guess(header, what, {})
        assert len(set(found.values())) == len(found)


def test_a_statement_is_a_list_of_payments(folder: Path) -> None:
    head = (
        "Receipt No.,Completion Time,Initiation Time,Details,Transaction Status,Paid In,Withdrawn,Balance,"
        "Balance Confirmed,Reason Type,Other Party Info,Linked Transaction ID,A/C No.,Currency\n"
    )
    row = (
        "UD1000000{0},2026-04-01 09:00:0{0},2026-04-01 09:00:0{0},Pay Bill from 25471****345 - ACHIENG ODERA Acc. {1},"
        "Completed,{2},,{3},true,Pay Utility,25471****345 - ACHIENG ODERA,,{1},KES\n"
    )
    (folder / "org.csv").write_text(
        head + row.format(2, "tithe", "30.00", "130.00") + row.format(1, "508060611", "100.00", "100.00")
    )
    answer = json.loads(run(folder, str(folder / "m.csv"), "--json", paid="org.csv"))
    assert (answer["payments"], answer["matched"], answer["matched_amount"]) == (2, 1, "100.00")
    assert "read as a statement of the format mpesa_org: 2 payments" in answer["files"]["payments"]["notes"][0]


def test_the_results_are_one_workbook_of_three_sheets(folder: Path) -> None:
    answer = json.loads(run(folder, str(folder / "result.xlsx"), "--json"))
    book = CalamineWorkbook.from_filelike(io.BytesIO((folder / "result.xlsx").read_bytes()))
    assert book.sheet_names == ["Matches", "Suggestions", "Breaks"]
    matches = book.get_sheet_by_name("Matches").to_python()
    assert matches[0] == ["payment_id", "invoice_number", "amount", "rung", "why"]
    assert matches[1][:3] == ["T1", "508060611", 100.0]
    assert book.get_sheet_by_name("Breaks").to_python()[1][:2] == ["T2", 30.0]
    assert len(answer["manifest"]["outputs"]["result.xlsx"]) == 64
    again = json.loads(run(folder, str(folder / "again.xlsx"), "--json"))
    assert again["manifest"]["outputs"]["again.xlsx"] == answer["manifest"]["outputs"]["result.xlsx"]


def test_own_columns_with_thousands_are_read_and_other_files_fall_back_to_the_whole_truth(folder: Path) -> None:
    (folder / "bills.csv").write_text(BILLS.replace("100.00", '"1,100.00"'))
    assert bills_of(folder / "bills.csv").table["amount_minor"].to_pylist() == [110_000, 25_000]
    (folder / "paid.csv").write_text(PAID.replace("30.00", "3e1").replace("100.00", "1e2"))
    with pytest.raises(InvalidValue) as refused:
        paid_of(folder / "paid.csv")
    assert len(refused.value.facts["complaints"]) == 2


def test_another_currency_and_two_equal_headings_are_refused_however_the_file_is_kept(tmp_path: Path) -> None:
    rows = [
        ["Receipt", "Date", "Amount", "Currency"],
        ["A1", "13/04/2026", "5", "KSh"],
        ["A2", "13/04/2026", "5", "USD"],
    ]
    with pytest.raises(InvalidValue, match="line 3: the currency is 'USD'; every amount of a run must be KES"):
        paid_of(text(tmp_path / "p.csv", rows, ","))
    rows = [["Receipt", "Date", "Amount", "Amount (KES)"], ["A1", "13/04/2026", "5", "6"]]
    with pytest.raises(InvalidValue, match="two headings are called 'Amount'"):
        paid_of(text(tmp_path / "p.csv", rows, ","))
    own = [f"{line},{mark}" for line, mark in zip(PAID.splitlines(), ("currency", "KES", "USD"), strict=True)]
    (tmp_path / "paid.csv").write_text("\n".join(own) + "\n")
    with pytest.raises(InvalidValue, match="the currency is 'USD'"):
        paid_of(tmp_path / "paid.csv")


def test_a_workbook_with_macros_and_a_file_without_headings_are_refused(tmp_path: Path) -> None:
    (tmp_path / "b.xlsm").write_bytes(b"PK\x03\x04 x")
    with pytest.raises(InvalidValue, match="macros"):
        bills_of(tmp_path / "b.xlsm")
    (tmp_path / "b.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InvalidValue, match="no row of headings was found"):
        bills_of(tmp_path / "b.csv")
    assert Reading() == match_files.Maps().invoices
