"""Banks' tables: each layout that is shipped, each way a file can be wrong, and the tables themselves."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.statements.tables import load_tables, reader
from adapters.statements.tables.layout import HERE as SHIPPED
from revenue_engine.money import wire
from revenue_engine.ports.callbacks import Party
from revenue_engine.ports.statements import (
    StatementClosed,
    StatementFault,
    StatementLine,
    StatementOpened,
    StatementRefused,
    WholeFileReader,
    proved,
)

HERE = Path(__file__).parent / "tables"
FIXTURES = sorted(path.stem for path in HERE.glob("*.csv"))
SHARED = Path(os.environ.get("REVENUE_SHARED", Path(__file__).parents[4] / "shared")) / "corpus"


def read(content: bytes, name: str = "statement.csv") -> tuple[StatementOpened, list[StatementLine], StatementClosed]:
    opened, *lines, closed = proved(reader.read(io.BytesIO(content), filename=name))
    assert isinstance(opened, StatementOpened)
    assert isinstance(closed, StatementClosed)
    return opened, [line for line in lines if isinstance(line, StatementLine)], closed


def refused(content: bytes, name: str = "statement.csv") -> StatementRefused:
    with pytest.raises(StatementRefused) as caught:
        read(content, name)
    return caught.value


def text_of(case: str) -> str:
    return (HERE / f"{case}.csv").read_text("utf-8")


def changed(case: str, old: str, new: str) -> bytes:
    text = text_of(case)
    assert old in text
    return text.replace(old, new, 1).encode()


def decimal(minor: int | None) -> str | None:
    return None if minor is None else wire(minor)


def facts(content: bytes, name: str) -> dict[str, Any]:
    opened, lines, closed = read(content, name)
    return {
        "opened": [opened.format, opened.account, opened.currency, decimal(opened.opening_minor)],
        "lines": [
            [
                line.number,
                wire(line.amount_minor),
                line.booked_on.isoformat(),
                line.value_on and line.value_on.isoformat(),
                line.reference,
                line.account_reference,
                line.occurrence,
                decimal(line.balance_after_minor),
            ]
            for line in lines
        ],
        "closed": [
            decimal(closed.closing_minor),
            closed.lines,
            wire(closed.credits_minor),
            wire(closed.debits_minor),
            closed.first_day and closed.first_day.isoformat(),
            closed.last_day and closed.last_day.isoformat(),
            closed.adds_up,
            closed.shown,
        ],
    }


@pytest.mark.parametrize("case", FIXTURES)
def test_fixture(case: str) -> None:
    content = (HERE / f"{case}.csv").read_bytes()
    assert reader.sniff(content, f"{case}.csv")
    assert reader.recognises(io.BytesIO(content), f"{case}.csv")
    assert facts(content, f"{case}.csv") == json.loads((HERE / f"{case}.expected.json").read_text("utf-8"))


def test_every_table_has_a_fixture() -> None:
    assert {table.name for table in load_tables()} == set(FIXTURES)
    assert {path.stem for path in SHIPPED.glob("*.toml")} == {table.name for table in load_tables()}


def test_the_port_is_kept() -> None:
    assert isinstance(reader, WholeFileReader)
    assert reader.name == "table"
    assert all(table.name in reader.looks_for for table in load_tables())


def test_a_narration_names_the_payer_and_the_receipt() -> None:
    _, lines, _ = read(text_of("equity").encode())
    assert lines[2].party == Party(name="ONE PERSON", msisdn="254700000101")
    assert lines[2].references == (("receipt", "UI10000001"),)
    assert lines[1].references == (("reference", "100000000094"),)
    assert lines[0].party == Party()
    assert lines[0].text == "RTGS SAMPLE WORKS LTD"


def test_a_serial_day_with_a_part_is_an_instant() -> None:
    _, lines, _ = read(text_of("absa").encode())
    assert [line.occurred_at and line.occurred_at.isoformat() for line in lines] == [
        None,
        "2026-09-01T10:30:00+03:00",
        None,
    ]


def test_an_older_encoding_is_noted() -> None:
    _, _, closed = read((HERE / "french_split.csv").read_bytes())
    assert "Windows-1252" in closed.notes[0]


# --- the shared corpus ---

CORPUS: dict[str, tuple[str, ...] | StatementFault] = {
    # table, account, currency, opening, closing, lines, credits, debits; or why it is refused
    "absa_like_signed_amount_excel_dates": (
        "absa", "", "KES", "8500.50", "-109999.50", "2", "1500.00", "120000.00",
    ),
    "bankstatementparser__csv_european_decimals": StatementFault.MISSING_FIELD,  # no balances: nothing to prove
    "bankstatementparser__csv_french_headers": StatementFault.MISSING_FIELD,  # the same
    "bankstatementparser__sample_split_amounts": (
        "split_comma", "DE4455667788", "EUR", "1000.00", "2050.25", "2", "1250.50", "200.25",
    ),
    "bankstatementparser__sample_statement": (
        "signed_iso", "DE123456789", "EUR", "2500.00", "3800.00", "2", "2500.00", "1200.00",
    ),
    "equity_like_narrations": (
        "equity", "", "KES", "1500000.00", "2505250.00", "5", "1005250.00", "0.00",
    ),
    "kcb_like_internet_banking": (
        "kcb", "1104578921", "KES", "18047500.00", "18166500.00", "3", "121500.00", "2500.00",
    ),
}  # fmt: skip
needs_corpus = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared corpus is not beside the repository")


@needs_corpus
def test_the_corpus_table_is_complete() -> None:
    assert {path.stem for path in (SHARED / "bank_csv").iterdir()} == set(CORPUS)


@needs_corpus
@pytest.mark.parametrize("name", sorted(CORPUS))
def test_corpus(name: str) -> None:
    content = (SHARED / "bank_csv" / f"{name}.csv").read_bytes()
    wanted = CORPUS[name]
    if isinstance(wanted, StatementFault):
        found = refused(content)
        assert found.fault is wanted
        assert "balance" in found.reason
        return
    opened, _, closed = read(content)
    assert closed.adds_up
    assert (
        opened.format.removeprefix("table:"),
        opened.account,
        opened.currency,
        decimal(opened.opening_minor),
        decimal(closed.closing_minor),
        str(closed.lines),
        wire(closed.credits_minor),
        wire(closed.debits_minor),
    ) == wanted


@needs_corpus
@pytest.mark.parametrize("folder", ["ofx", "mt940", "camt053", "mpesa_statement"])
def test_no_other_format_is_taken_for_a_table(folder: str) -> None:
    for path in (SHARED / folder).iterdir():
        content = path.read_bytes()
        assert not reader.sniff(content[:65536], path.name), path.name
        if content:
            assert not reader.recognises(io.BytesIO(content), path.name), path.name


# --- refusals ---

REFUSALS: dict[str, tuple[Callable[[], bytes], StatementFault, int | None, str | None]] = {
    "an amount changed": (
        lambda: changed("kcb", '"1,500.00","11,500.00"', '"1,501.00","11,500.00"'),
        StatementFault.DOES_NOT_ADD_UP, 6, "Ledger Balance",
    ),
    "a balance changed": (
        lambda: changed("kcb", '"11,550.00"', '"11,551.00"'), StatementFault.DOES_NOT_ADD_UP, 7, "Ledger Balance",
    ),
    "a row taken out, newest first": (
        lambda: changed("equity", "01-09-2026,01-09-2026,EAZZYPAY/254700000102/07STK/LR-2/100000000094/,,500.00,"
                        '"2,500.00"\n', ""),
        StatementFault.DOES_NOT_ADD_UP, 3, "Balance",
    ),
    "a carried balance that is not reached": (
        lambda: changed("kcb", 'forward,,,,"11,000.00"', 'forward,,,,"11,001.00"'),
        StatementFault.DOES_NOT_ADD_UP, 12, "Ledger Balance",
    ),
    "a total that the rows do not come to": (
        lambda: changed("kcb", '600.00,"1,600.00",', '600.00,"1,700.00",'),
        StatementFault.DOES_NOT_ADD_UP, 13, "Money In",
    ),
    "a net total that the rows do not come to": (
        lambda: changed("absa", "-250.50,", "-250.51,"), StatementFault.DOES_NOT_ADD_UP, 6, "Debit/Credit",
    ),
    "an opening balance that the rows do not have": (
        lambda: changed("indicator", "100.00", "101.00"), StatementFault.DOES_NOT_ADD_UP, 2, "opening balance",
    ),
    "a closing balance that the rows do not have": (
        lambda: changed("indicator", "1,050.00", "1,051.00"), StatementFault.DOES_NOT_ADD_UP, 3, "closing balance",
    ),
    "sums that do not lead to the closing balance": (
        lambda: changed("german_signed", "3.265,44", "3.265,45"), StatementFault.DOES_NOT_ADD_UP, None, None,
    ),
    "no balances": (
        lambda: changed("german_signed", "Endsaldo;3.265,44\n", ""), StatementFault.MISSING_FIELD, 2, None,
    ),
    "an English decimal in a table of commas": (
        lambda: changed("split_comma", "200,25", "200.25"), StatementFault.BAD_AMOUNT, 3, "Debit",
    ),
    "thousands that are not declared": (
        lambda: changed("signed_iso", "2500.00,EUR", '"2,500.00",EUR'), StatementFault.BAD_AMOUNT, 2, "Amount",
    ),
    "a comma in the wrong place": (
        lambda: changed("kcb", '"1,500.00","11', '"15,00.00","11'), StatementFault.BAD_AMOUNT, 6, "Money In",
    ),
    "three decimals": (
        lambda: changed("kcb", ",,50.00,", ",,50.001,"), StatementFault.BAD_AMOUNT, 7, "Money In",
    ),
    "an unbelievable amount": (
        lambda: changed("kcb", ",,50.00,", ",,10000000000.00,"), StatementFault.BAD_AMOUNT, 7, "Money In",
    ),
    "a credit below zero": (
        lambda: changed("kcb", ",,50.00,", ",,-50.00,"), StatementFault.BAD_SIGN, 7, "Money In",
    ),
    "a debit below zero": (
        lambda: changed("kcb", "FT26245CCCCC,600.00", "FT26245CCCCC,-600.00"), StatementFault.BAD_SIGN, 11, "Money Out",
    ),
    "brackets that are not declared and that no balance proves": (
        lambda: changed("kcb", "CCCCC,600.00", "CCCCC,(600.00)"), StatementFault.BAD_SIGN, 11, "Money Out",
    ),
    "a minus sign behind that is not declared and that no balance proves": (
        lambda: changed("kcb", "CCCCC,600.00", "CCCCC,600.00-"), StatementFault.BAD_SIGN, 11, "Money Out",
    ),
    "a bracket that does not close": (
        lambda: changed("cbk_crf", '"1,350,000.00"', '"(1,350,000.00"'), StatementFault.BAD_AMOUNT, 6, "Balance (KES)",
    ),
    "a suffix of the other side": (
        lambda: changed("kcb", ",,50.00,", ",,50.00 DR,"), StatementFault.BAD_SIGN, 7, "Money In",
    ),
    "a suffix that is missing": (
        lambda: changed("coop", "500.00 CR", "500.00"), StatementFault.BAD_SIGN, 4, "Running Balance",
    ),
    "no side": (lambda: changed("indicator", "\tDr\t", "\t\t"), StatementFault.BAD_SIGN, 6, "Dr/Cr"),
    "a side and a sign": (
        lambda: changed("indicator", "\t50.00\tDr", "\t-50.00\tDr"), StatementFault.BAD_SIGN, 6, "Dr/Cr",
    ),
    "a credit and a debit": (
        lambda: changed("kcb", ",,50.00,", ",1.00,50.00,"), StatementFault.BAD_VALUE, 7, "Money Out",
    ),
    "neither a credit nor a debit": (
        lambda: changed("kcb", ",,50.00,", ",,,"), StatementFault.MISSING_FIELD, 7, "Money In",
    ),
    "no amount": (
        lambda: changed("signed_iso", "2500.00,EUR", ",EUR"), StatementFault.MISSING_FIELD, 2, "Amount",
    ),
    "another date format": (
        lambda: changed("kcb", '01/09/2026,01/09/2026,"MPESA', '2026-09-01,01/09/2026,"MPESA'),
        StatementFault.BAD_DATE, 6, "Transaction Date",
    ),
    "the thirtieth of February": (
        lambda: changed("kcb", '01/09/2026,01/09/2026,"MPESA', '01/09/2026,30/02/2026,"MPESA'),
        StatementFault.BAD_DATE, 6, "Value Date",
    ),
    "no date": (
        lambda: changed("kcb", '01/09/2026,01/09/2026,"MPESA', ',01/09/2026,"MPESA'),
        StatementFault.MISSING_FIELD, 6, "Transaction Date",
    ),
    "a mangled reference": (
        lambda: changed("kcb", "FT26244AAAAA", "1.23E+10"), StatementFault.BAD_VALUE, 6, "Reference",
    ),
    "two currencies": (
        lambda: changed("signed_iso", "-1200.00,EUR", "-1200.00,USD"), StatementFault.BAD_CURRENCY, 3, "Currency",
    ),
    "a currency that is none": (
        lambda: text_of("signed_iso").replace("EUR", "euros").encode(), StatementFault.BAD_CURRENCY, 2, "Currency",
    ),
    "two accounts": (
        lambda: changed("signed_iso", "SAMPLE0017,TXN-002", "SAMPLE0018,TXN-002"),
        StatementFault.BAD_VALUE, 3, "Account",
    ),
    "a row that was cut": (
        lambda: changed("kcb", ',600.00,,"11,000.00"', ",600.00"), StatementFault.MISSING_FIELD, 11, None,
    ),
    "a separator inside the text": (
        lambda: changed("kcb", '"Total Sample Energies, rent"', "Total Sample Energies, rent"),
        StatementFault.BAD_VALUE, 11, None,
    ),
    "words that go on with the row above": (
        lambda: changed("kcb", "Page 1 of 2,,,,,,", ",,goes on here,,,,"),
        StatementFault.BAD_VALUE, 8, "Transaction Details",
    ),
    "a heading that is missing": (
        lambda: text_of("kcb").replace(",Ledger Balance", ",Available").encode(),
        StatementFault.UNKNOWN_COLUMNS, None, None,
    ),
    "a heading too many": (
        lambda: text_of("kcb").replace(",Ledger Balance", ",Ledger Balance,Branch").encode(),
        StatementFault.UNKNOWN_COLUMNS, None, None,
    ),
    "a heading that stands twice": (
        lambda: text_of("kcb").replace(",Ledger Balance", ",Ledger Balance,Reference").encode(),
        StatementFault.UNKNOWN_COLUMNS, 4, None,
    ),
    "headings and no rows": (
        lambda: text_of("signed_iso").split("\n")[0].encode(), StatementFault.EMPTY, None, None,
    ),
    "nothing": (lambda: b"", StatementFault.EMPTY, None, None),
    "another table": (lambda: b"a,b,c\n1,2,3\n", StatementFault.NOT_A_STATEMENT, None, None),
}  # fmt: skip


@pytest.mark.parametrize("case", sorted(REFUSALS))
def test_refused(case: str) -> None:
    content, fault, line, column = REFUSALS[case]
    found = refused(content())
    assert (found.fault, found.line, found.column) == (fault, line, column), found.message
    assert len(found.reason) > 15


def test_the_only_balance_finds_the_opening_one_and_proves_nothing() -> None:
    content = "\n".join(text_of("signed_iso").split("\n")[:2]).encode()
    opened, _, closed = read(content)
    assert (opened.opening_minor, closed.closing_minor, closed.adds_up) == (250000, 500000, None)


def test_equal_movements_both_ways_are_read_by_their_days() -> None:
    head = text_of("signed_iso").split("\n")[0]
    older = "2026-09-01,In,100.00,EUR,600.00,SAMPLE0017,A"
    newer = "2026-09-02,Out,-100.00,EUR,500.00,SAMPLE0017,B"
    for rows in ((older, newer), (newer, older)):
        opened, _, closed = read("\n".join([head, *rows]).encode())
        assert (opened.opening_minor, closed.closing_minor) == (50000, 50000)


# --- workbooks ---


def workbook(content: bytes, delimiter: str) -> bytes:
    """The cells of a text as a spreadsheet keeps them: figures as numbers, days as dates."""
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True})
    sheet = book.add_worksheet()
    dated = book.add_format({"num_format": "dd/mm/yyyy"})
    for at, cells in enumerate(csv.reader(io.StringIO(content.decode(), newline=""), delimiter=delimiter)):
        for column, cell in enumerate(cells):
            figure = cell.replace(",", "")
            if figure.lstrip("-").replace(".", "", 1).isdigit() and "." in figure:
                sheet.write_number(at, column, float(figure))
            elif len(cell) == 10 and cell.count("/") == 2:
                day, month, year = map(int, cell.split("/"))
                sheet.write_datetime(at, column, datetime(year, month, day), dated)  # noqa: DTZ001 - a sheet has no zone
            elif len(cell) == 10 and cell[4:5] == cell[7:8] == "-":
                sheet.write_datetime(at, column, datetime.fromisoformat(cell), dated)
            elif cell:
                sheet.write_string(at, column, cell)
    book.close()
    return out.getvalue()


TYPED = [("kcb", ","), ("equity", ","), ("cbk_crf", ","), ("signed_iso", ","), ("indicator", "\t")]


@pytest.mark.parametrize(("case", "delimiter"), TYPED)
def test_workbook(case: str, delimiter: str) -> None:
    book = workbook((HERE / f"{case}.csv").read_bytes(), delimiter)
    assert not reader.sniff(book, "x.xlsx")
    assert reader.recognises(io.BytesIO(book), "x.xlsx")
    assert facts(book, "x.xlsx") == json.loads((HERE / f"{case}.expected.json").read_text("utf-8"))


def test_the_old_workbook() -> None:
    book = (HERE / "kcb.xls").read_bytes()
    assert reader.recognises(io.BytesIO(book), "kcb.xls")
    assert facts(book, "kcb.xls") == json.loads((HERE / "kcb.expected.json").read_text("utf-8"))


# --- what no file may do ---

KCB = (HERE / "kcb.csv").read_bytes()


@settings(max_examples=1000)
@given(at=st.integers(0, len(KCB) - 1), cut=st.integers(0, 40), put=st.binary(max_size=6))
def test_a_mutated_file_is_refused_or_has_the_same_sums(at: int, cut: int, put: bytes) -> None:
    try:
        opened, _, closed = read(KCB[:at] + put + KCB[at + cut :])
    except StatementRefused:
        return
    if (opened.opening_minor, closed.closing_minor) == (1_000_000, 1_100_000):
        assert (closed.credits_minor, closed.debits_minor, closed.lines) == (160_000, 60_000, 4)


def test_fifty_thousand_rows_stay_small(tmp_path: Path) -> None:
    sizes = (1_000, 50_000)
    head = "Transaction Date,Value Date,Transaction Details,Reference,Money Out,Money In,Ledger Balance\n"
    for rows in sizes:
        body = (f'01/09/2026,01/09/2026,FEES {at},FT{at:08},,150.00,"{150 * at:,}.00"\n' for at in range(1, rows + 1))
        (tmp_path / f"{rows}.csv").write_text(head + "".join(body))
    read_all = (
        "import resource, sys, pathlib\n"
        "from adapters.statements.tables import reader\n"
        "from revenue_engine.ports.statements import proved\n"
        "for name in sys.argv[1:]:\n"
        "    with pathlib.Path(name).open('rb') as stream:\n"
        "        for event in proved(reader.read(stream, filename=name)):\n"
        "            pass\n"
        "    print(event.lines, event.adds_up, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", read_all, *(str(tmp_path / f"{rows}.csv") for rows in sizes)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    small, large = (line.split() for line in done.stdout.splitlines())
    assert (small[:2], large[:2]) == (["1000", "True"], ["50000", "True"])
    assert int(large[2]) - int(small[2]) < 16 * 1024
