"""The M-PESA organisation statement: both layouts, what their proofs decide, and what no file may ever do to it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adapters.statements.mpesa_org import reader
from adapters.statements.mpesa_times import Times
from adapters.statements.mpesa_words import kind_of, party_of, sentence
from revenue_engine.money import wire
from revenue_engine.periods import NAIROBI
from revenue_engine.ports.callbacks import Kind, Party
from revenue_engine.ports.statements import (
    StatementClosed,
    StatementFault,
    StatementLine,
    StatementOpened,
    StatementRefused,
    WholeFileReader,
    proved,
)

HERE = Path(__file__).parent / "mpesa_org"
FIXTURES = sorted(path.stem for path in HERE.glob("*.csv"))
SHARED = Path(os.environ.get("REVENUE_SHARED", Path(__file__).parents[4] / "shared")) / "corpus" / "mpesa_statement"


def read(content: bytes, name: str = "statement.csv") -> tuple[StatementOpened, list[StatementLine], StatementClosed]:
    opened, *lines, closed = proved(reader.read(io.BytesIO(content), filename=name))
    assert isinstance(opened, StatementOpened)
    assert isinstance(closed, StatementClosed)
    return opened, [line for line in lines if isinstance(line, StatementLine)], closed


def refused(content: bytes, name: str = "statement.csv") -> StatementRefused:
    with pytest.raises(StatementRefused) as caught:
        read(content, name)
    return caught.value


def legacy() -> str:
    return (HERE / "legacy.csv").read_text("utf-8")


def positive() -> str:
    return (HERE / "positive_withdrawn.csv").read_bytes().decode("utf-8-sig").replace("\r\n", "\n")


def changed(text: str, old: str, new: str, count: int = 1) -> bytes:
    assert old in text
    return text.replace(old, new, count).encode()


def facts(content: bytes, name: str) -> dict[str, Any]:
    opened, lines, closed = read(content, name)
    return {
        "opened": [
            opened.format,
            opened.account,
            opened.currency,
            wire(opened.opening_minor or 0),
            opened.from_day and opened.from_day.isoformat(),
            opened.to_day and opened.to_day.isoformat(),
        ],
        "lines": [
            [
                line.number,
                wire(line.amount_minor),
                line.occurred_at and line.occurred_at.isoformat(),
                line.reference,
                line.kind,
                line.counts,
                line.account_reference,
                line.reverses,
                line.party.name,
                None if line.balance_after_minor is None else wire(line.balance_after_minor),
            ]
            for line in lines
        ],
        "closed": [
            wire(closed.closing_minor or 0),
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


def test_the_port_is_kept() -> None:
    assert isinstance(reader, WholeFileReader)
    assert reader.name == "mpesa_org"


# --- the shared corpus ---

CORPUS = {
    # account, opening, closing, lines, shown, credits, debits
    "org_portal_no_preamble": ("", "0.00", "63750.00", 6, 1, "263750.00", "200000.00"),
    "org_portal_thousands_positive_withdrawn": ("522999", "0.00", "63622.00", 9, 1, "263750.00", "200128.00"),
    "org_portal_utility_iso_dates_currency_col": ("522999", "0.00", "63622.00", 9, 1, "263750.00", "200128.00"),
    "org_portal_utility_legacy": ("522999", "0.00", "63622.00", 9, 1, "263750.00", "200128.00"),
    "statements_new_export_ksh": ("", "0.00", "0.00", 12, 0, "213120.00", "213120.00"),
}
needs_corpus = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared corpus is not beside the repository")


@needs_corpus
def test_the_corpus_table_is_complete() -> None:
    assert {path.stem for path in SHARED.iterdir()} == set(CORPUS)


@needs_corpus
@pytest.mark.parametrize("name", sorted(CORPUS))
def test_corpus(name: str) -> None:
    opened, _, closed = read((SHARED / f"{name}.csv").read_bytes())
    assert closed.adds_up
    assert (
        opened.account,
        wire(opened.opening_minor or 0),
        wire(closed.closing_minor or 0),
        closed.lines,
        closed.shown,
        wire(closed.credits_minor),
        wire(closed.debits_minor),
    ) == CORPUS[name]


# --- what proves the sign and the order ---

HEADINGS = (
    "Receipt No.,Completion Time,Initiation Time,Details,Transaction Status,Paid In,Withdrawn,Balance,"
    "Balance Confirmed,Reason Type,Other Party Info,Linked Transaction ID,A/C No."
)


def row(number: int, at: datetime, paid: str, withdrawn: str, balance: str, status: str = "Completed") -> str:
    when = at.strftime("%d-%m-%Y %H:%M:%S")
    words = "Pay Bill from 254700****01 - ONE PERSON Acc. X" if paid else "Withdraw Funds to Bank"
    return f"UI{number:08},{when},{when},{words},{status},{paid},{withdrawn},{balance},true,Pay Utility,,,"


START = datetime(2026, 9, 1, 8, 0, 0, tzinfo=NAIROBI)


def statement(*rows: str, head: str = "") -> bytes:
    return "\n".join([*([head] if head else []), HEADINGS, *rows, ""]).encode()


def test_a_single_withdrawal_proves_no_sign() -> None:
    fault = refused(statement(row(1, START, "", "50.00", "150.00")))
    assert fault.fault is StatementFault.BAD_SIGN
    assert (fault.line, fault.column) == (2, "Withdrawn")


def test_the_preamble_proves_the_sign_of_a_single_withdrawal() -> None:
    head = "Opening Balance:,200.00,Closing Balance:,150.00"
    for written in ("50.00", "-50.00"):
        _, lines, _ = read(statement(row(1, START, "", written, "150.00"), head=head))
        assert [line.amount_minor for line in lines] == [-5000]


def test_a_single_payment_without_preamble_is_read_and_not_called_proved() -> None:
    opened, lines, closed = read(statement(row(1, START, "50.00", "", "150.00")))
    assert (opened.opening_minor, closed.closing_minor, closed.adds_up) == (10000, 15000, None)
    assert [line.amount_minor for line in lines] == [5000]


def test_money_back_in_the_withdrawn_column_is_a_credit_where_the_balances_say_so() -> None:
    minute = timedelta(minutes=1)
    content = statement(
        row(1, START, "100.00", "", "100.00"),
        row(2, START + minute, "", "-30.00", "70.00"),
        row(3, START + 2 * minute, "", "30.00", "100.00"),
    )
    _, lines, closed = read(content)
    assert [line.amount_minor for line in lines] == [10000, -3000, 3000]
    assert (closed.credits_minor, closed.debits_minor) == (13000, 3000)


def test_rows_in_no_order_are_proved_by_their_times() -> None:
    minute = timedelta(minutes=1)
    rows = [
        row(1, START, "100.00", "", "100.00"),
        row(2, START + minute, "50.00", "", "150.00"),
        row(3, START + 2 * minute, "", "-30.00", "120.00"),
        row(4, START + 2 * minute, "5.00", "", "125.00"),
    ]
    opened, lines, closed = read(statement(rows[2], rows[0], rows[3], rows[1]))
    assert (opened.opening_minor, closed.closing_minor, closed.adds_up) == (0, 12500, True)
    assert [line.reference for line in lines] == ["UI00000003", "UI00000001", "UI00000004", "UI00000002"]
    assert any("follows the times" in note for note in closed.notes)
    # Rows of one second, newest first: the later one stands above.
    opened, _, closed = read(statement(rows[1], rows[3], rows[2], rows[0]))
    assert (opened.opening_minor, closed.closing_minor, closed.adds_up) == (0, 12500, True)


def test_a_row_without_a_balance_is_carried_to_the_next() -> None:
    minute = timedelta(minutes=1)
    rows = [
        row(1, START, "100.00", "", "100.00"),
        row(2, START + minute, "50.00", "", ""),
        row(3, START + 2 * minute, "", "-30.00", "120.00"),
    ]
    for ordered in (rows, rows[::-1]):
        opened, _, closed = read(statement(*ordered))
        assert (opened.opening_minor, closed.closing_minor, closed.adds_up) == (0, 12000, True)


def test_without_any_balance_nothing_is_proved_and_nothing_read() -> None:
    fault = refused(statement(row(1, START, "100.00", "", ""), row(2, START, "50.00", "", "")))
    assert fault.fault is StatementFault.MISSING_FIELD


def test_two_equal_rows_are_two_movements() -> None:
    again = row(1, START, "50.00", "", "150.00")
    _, lines, _ = read(statement(row(1, START, "50.00", "", "100.00"), again))
    assert [line.occurrence for line in lines] == [1, 2]


def test_an_empty_period_is_a_statement_where_its_preamble_says_so() -> None:
    _, lines, closed = read(statement(head="Short Code:,600100\nOpening Balance:,5.00,Closing Balance:,5.00"))
    assert (lines, closed.closing_minor, closed.adds_up) == ([], 500, True)
    assert refused(statement()).fault is StatementFault.EMPTY


# --- refusals ---

REFUSALS: dict[str, tuple[Callable[[], bytes], StatementFault, int | None, str | None]] = {
    "a closing balance that is not reached": (
        lambda: changed(legacy(), "Closing Balance:,1330.50", "Closing Balance:,1331.50"),
        StatementFault.DOES_NOT_ADD_UP, None, None,
    ),
    "an opening balance that the rows do not have": (
        lambda: changed(legacy(), "Opening Balance:,400.00", "Opening Balance:,401.00"),
        StatementFault.DOES_NOT_ADD_UP, 6, "Opening Balance",
    ),
    "a total paid in that the rows do not come to": (
        lambda: changed(legacy(), "Total Paid In:,4780.50", "Total Paid In:,4780.51"),
        StatementFault.DOES_NOT_ADD_UP, 6, "Total Paid In",
    ),
    "a total withdrawn that the rows do not come to": (
        lambda: changed(legacy(), "Total Withdrawn:,-3850.00", "Total Withdrawn:,3850.01"),
        StatementFault.DOES_NOT_ADD_UP, 6, "Total Withdrawn",
    ),
    "a trailer that the rows do not come to": (
        lambda: changed(positive(), 'Total,,,,,"1,200.00",5.00', 'Total,,,,,"1,200.00",4.00'),
        StatementFault.DOES_NOT_ADD_UP, 12, "Withdrawn",
    ),
    "an amount changed by one shilling": (
        lambda: changed(legacy(), "Completed,2500.00,", "Completed,2501.00,"),
        StatementFault.DOES_NOT_ADD_UP, 15, "Balance",
    ),
    "a row taken out": (
        lambda: "\n".join(line for line in legacy().split("\n") if "FOUR" not in line).encode(),
        StatementFault.DOES_NOT_ADD_UP, 15, "Balance",
    ),
    "a failed row called completed": (
        lambda: changed(legacy(), "Expired,90.00,,,false", "Completed,90.00,,5220.50,true").replace(
            b"UI20000007,,", b"UI20000007,01-09-2026 20:10:00,"
        ),
        StatementFault.DOES_NOT_ADD_UP, 9, "Balance",
    ),
    "an amount that is no figure": (
        lambda: changed(legacy(), "Completed,2500.00,", "Completed,2.500.00,"),
        StatementFault.BAD_AMOUNT, 15, "Paid In",
    ),
    "a comma in the wrong place": (
        lambda: changed(positive(), '"1,000.00",,', '"10,00.00",,'), StatementFault.BAD_AMOUNT, 9, "Paid In",
    ),
    "three decimals": (
        lambda: changed(legacy(), "80.50,,5130.50", "80.505,,5130.50"), StatementFault.BAD_AMOUNT, 11, "Paid In",
    ),
    "an exponent": (
        lambda: changed(legacy(), "80.50,,5130.50", "8.05E+1,,5130.50"), StatementFault.BAD_AMOUNT, 11, "Paid In",
    ),
    "an unbelievable amount": (
        lambda: changed(legacy(), "80.50,,5130.50", "10000000000.00,,5130.50"),
        StatementFault.BAD_AMOUNT, 11, "Paid In",
    ),
    "paid in below zero": (
        lambda: changed(legacy(), "80.50,,5130.50", "-80.50,,5130.50"), StatementFault.BAD_SIGN, 11, "Paid In",
    ),
    "paid in and withdrawn at once": (
        lambda: changed(legacy(), "80.50,,5130.50", "80.50,-1.00,5130.50"), StatementFault.BAD_VALUE, 11, "Withdrawn",
    ),
    "neither paid in nor withdrawn": (
        lambda: changed(legacy(), "80.50,,5130.50", ",,5130.50"), StatementFault.MISSING_FIELD, 11, "Paid In",
    ),
    "thirteen months": (
        lambda: changed(legacy(), "01-09-2026 08:00:01", "01-13-2026 08:00:01"),
        StatementFault.BAD_DATE, 17, "Completion Time",
    ),
    "a date of two separators": (
        lambda: changed(legacy(), "01-09-2026 08:00:01", "01-09/2026 08:00:01"),
        StatementFault.BAD_DATE, 17, "Completion Time",
    ),
    "a date as a spreadsheet rewrites it": (
        lambda: changed(legacy(), "01-09-2026 08:00:01", "9/1/2026 8:00"),
        StatementFault.BAD_DATE, 17, "Completion Time",
    ),
    "month before day, outside the period": (
        lambda: changed(legacy(), "01-09-2026 08:00:01", "09-01-2026 08:00:01"),
        StatementFault.BAD_DATE, 17, "Completion Time",
    ),
    "no time of completion": (
        lambda: changed(legacy(), "UI10000003,01-09-2026 08:00:01,", "UI10000003,,"),
        StatementFault.MISSING_FIELD, 17, "Completion Time",
    ),
    "no status": (
        lambda: changed(legacy(), "Acc. SBP-3,Completed", "Acc. SBP-3,"),
        StatementFault.MISSING_FIELD, 17, "Transaction Status",
    ),
    "a mangled receipt": (
        lambda: changed(legacy(), "UI10000003,01-09", "1.23E+10,01-09"), StatementFault.BAD_VALUE, 17, "Receipt No.",
    ),
    "no receipt": (
        lambda: changed(legacy(), "UI10000003,01-09", ",01-09"), StatementFault.MISSING_FIELD, 17, "Receipt No.",
    ),
    "a row that was cut": (
        lambda: legacy().rstrip().removesuffix(",,SBP-3").encode(), StatementFault.MISSING_FIELD, 17, None,
    ),
    "a row with a cell too many": (
        lambda: changed(legacy(), "Acc. SBP-3,", "Acc. SBP-3,x,"), StatementFault.BAD_VALUE, 17, None,
    ),
    "no balance column": (
        lambda: changed(legacy(), "Withdrawn,Balance,", "Withdrawn,Saldo,"), StatementFault.UNKNOWN_COLUMNS, 7, None,
    ),
    "two columns of one name": (
        lambda: changed(legacy(), "Balance Confirmed,", "Balance,"), StatementFault.UNKNOWN_COLUMNS, 7, None,
    ),
    "dollars": (
        lambda: changed(positive(), "LR-1,KES", "LR-1,USD"), StatementFault.BAD_CURRENCY, 7, "Currency",
    ),
    "a quotation mark that never closes": (
        lambda: changed(legacy(), 'JUNIOR",,482', "JUNIOR,,482"), StatementFault.UNREADABLE, 11, None,
    ),
    "bytes of no encoding": (
        lambda: legacy().encode().replace(b"SEVEN", b"SE\x81EN"), StatementFault.UNREADABLE, None, None,
    ),
    "a zero byte": (
        lambda: legacy().encode().replace(b"SEVEN", b"SE\0EN"), StatementFault.UNREADABLE, None, None,
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


def test_an_older_encoding_is_read_and_noted() -> None:
    content = legacy().replace("FOUR **** PERSON", "F\u00d6UR PERSON").encode("cp1252")
    _, lines, closed = read(content)
    assert lines[6].party.name == "F\u00d6UR PERSON"
    assert any("Windows-1252" in note for note in closed.notes)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_any_separator(delimiter: str) -> None:
    text = positive()
    rows = [line for line in text.split("\n") if line]
    import csv

    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows(csv.reader(rows))
    assert facts(out.getvalue().encode(), "x.csv")["closed"] == facts(text.encode(), "x.csv")["closed"]


# --- workbooks ---


def workbook(content: bytes, *, typed: bool, sheets: int = 1) -> bytes:
    """A statement's cells as a workbook: all text, or figures and times as a spreadsheet keeps them."""
    import csv

    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True})
    moment = book.add_format({"num_format": "dd-mm-yyyy hh:mm:ss"})
    for _ in range(sheets):
        sheet = book.add_worksheet()
        for at, cells in enumerate(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""))):
            for column, cell in enumerate(cells):
                plain = cell.replace(",", "")
                if typed and plain.replace(".", "", 1).lstrip("-").isdigit() and cell.strip():
                    sheet.write_number(at, column, float(plain))
                elif typed and len(cell) == 19 and cell[2] == "-":
                    sheet.write_datetime(at, column, Times().instant(cell, 0, "").replace(tzinfo=None), moment)
                elif cell:
                    sheet.write_string(at, column, cell)
    book.close()
    return out.getvalue()


@pytest.mark.parametrize("typed", [False, True])
@pytest.mark.parametrize("case", FIXTURES)
def test_workbook(case: str, typed: bool) -> None:
    content = (HERE / f"{case}.csv").read_bytes()
    book = workbook(content, typed=typed)
    assert not reader.sniff(book, f"{case}.xlsx")
    assert reader.recognises(io.BytesIO(book), f"{case}.xlsx")
    wanted, found = facts(content, f"{case}.csv"), facts(book, f"{case}.xlsx")
    # The line is the sheet's row, which counts a cell of two lines once.
    assert [line[1:] for line in found.pop("lines")] == [line[1:] for line in wanted.pop("lines")]
    assert found == wanted


def test_the_old_workbook() -> None:
    book = (HERE / "legacy.xls").read_bytes()
    assert reader.recognises(io.BytesIO(book), "legacy.xls")
    wanted, found = json.loads((HERE / "legacy.expected.json").read_text("utf-8")), facts(book, "legacy.xls")
    assert [line[1:] for line in found.pop("lines")] == [line[1:] for line in wanted.pop("lines")]
    assert found == wanted


def test_a_figure_of_a_workbook_that_is_no_whole_cents_is_refused() -> None:
    content = changed(legacy(), "80.50,,5130.50", "80.505,,5130.50")
    found = refused(workbook(content, typed=True), "x.xlsx")
    assert (found.fault, found.line, found.column) == (StatementFault.BAD_AMOUNT, 11, "Paid In")


# --- the words ---


@pytest.mark.parametrize(
    ("details", "account"),
    [
        ("Pay Bill from 25472****108 - JANE **** DOE Acc. LR-KSM-00123", "LR-KSM-00123"),
        ("Pay Bill from 25472****108 - JANE **** DOE Acc.", ""),
        ("Pay Bill Online from 25472****108 - A BY B Acc. PK KBX 123A", "PK KBX 123A"),
        ("Business Pay Bill via API by 999001 - SAMPLE BANK Acc. erin", "erin"),
        ("FSI to Pay Bill by 999002 - S BANK - X Acc. via WEB by S BANK - X\\B2BUser1", ""),
        ("Pay Bill from 25472****108 - JANE DOE Acc. a via b by c", "a via b by c"),
        ("Withdraw Funds to Bank", ""),
    ],
)
def test_the_account_is_cut_out_of_the_details(details: str, account: str) -> None:
    assert sentence(details).account == account


@pytest.mark.parametrize(
    ("details", "reason", "amount", "kind"),
    [
        ("Pay Bill Charge", "Pay Utility", -5, Kind.CHARGE),
        ("Business Buy Goods Charge", "", -5, Kind.CHARGE),
        ("Pay Bill Charge Reversal", "Transaction Reversal", 5, Kind.REVERSAL),
        ("Pay Merchant from 0700***001 - A REVERSAL Acc. settlement", "Customer Buy Goods Online", 5, Kind.PAYMENT),
        ("Organization Settle to Bank", "", -5, Kind.PAYOUT),
        ("Organization Settlement Account to Organization MMF Account", "", 5, Kind.PAYOUT),
        ("Business Pay Bill to 600300 - SAMPLE POWER Acc. 1", "", -5, Kind.PAYOUT),
        ("Something new", "Standing Order Pay Bill", 5, Kind.PAYMENT),
        ("Something new", "", 5, None),
        ("Something new", "", -5, None),
    ],
)
def test_the_operation_says_the_kind(details: str, reason: str, amount: int, kind: Kind | None) -> None:
    assert kind_of(sentence(details).operation, reason, False, amount > 0) is kind


def test_an_organisation_has_a_short_code_and_no_phone() -> None:
    assert party_of("600300 - SAMPLE SHOP") == (Party(name="SAMPLE SHOP"), "600300")
    assert party_of("2547****111 - ALICE SAMPLE") == (Party(name="ALICE SAMPLE", msisdn="2547****111"), "")
    assert party_of("079****503 - PETER DOE") == (Party(name="PETER DOE", msisdn="079****503"), "")
    assert party_of("SP") == (Party(), "")


# --- what no file may do ---

LEGACY = (HERE / "legacy.csv").read_bytes()
SUMS = (478050, 385000, 7)


@settings(max_examples=1000)
@given(at=st.integers(0, len(LEGACY) - 1), cut=st.integers(0, 40), put=st.binary(max_size=6))
@example(at=LEGACY.index(b"4780.50"), cut=7, put=b"")
def test_a_mutated_file_is_refused_or_has_the_same_sums(at: int, cut: int, put: bytes) -> None:
    content = LEGACY[:at] + put + LEGACY[at + cut :]
    try:
        opened, _, closed = read(content)
    except StatementRefused:
        return
    assert closed.adds_up
    if (opened.opening_minor, closed.closing_minor) == (40000, 133050):
        assert (closed.credits_minor, closed.debits_minor, closed.lines) == SUMS


@settings(max_examples=300)
@given(st.binary(max_size=400), st.sampled_from(["x.csv", "x.xlsx", "x.xls", ""]))
def test_no_bytes_crash_it(content: bytes, name: str) -> None:
    for body in (content, b"PK\x03\x04" + content, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + content, LEGACY + content):
        assert reader.sniff(body, name) in (True, False)
        reasons = []
        try:
            read(body, name)
        except StatementRefused as found:
            reasons.append(found.reason)
        assert all(reasons)


def long_statement(rows: int) -> bytes:
    """Newest first and without preamble: the form for which most has to be read before the first line is answered."""
    second = timedelta(seconds=1)
    body = (row(at, START + at * second, "150.00", "", f"{150 * at}.00") for at in range(rows, 0, -1))
    return statement(*body)


def test_fifty_thousand_rows_stay_small(tmp_path: Path) -> None:
    sizes = (1_000, 50_000)
    for rows in sizes:
        (tmp_path / f"{rows}.csv").write_bytes(long_statement(rows))
    read_all = (
        "import resource, sys, pathlib\n"
        "from adapters.statements.mpesa_org import reader\n"
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
    # What grows is one hash a row, which tells real repeats apart. The file is 7 MB and its lines would be 40 MB.
    assert int(large[2]) - int(small[2]) < 16 * 1024
