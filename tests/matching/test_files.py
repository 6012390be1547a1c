"""Files in and out by the command line: what is refused and where, and that nothing is ever half written."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from reconciliation.engine import files
from revenue_engine.errors import InvalidValue
from tests.matching import county
from tests.matching.worlds import A

BILLS = """invoice_number,payer_id,payer_name,msisdn,stream,object_ref,amount_due,issued_at,due_on,status
508060611,P1,"Odera, Achieng",254712000345,PARKING,KDA123A,100.00,2026-03-01T08:00:00+03:00,2026-04-30,open
556796571,P2,Peter Ng'ang'a,254733000781,SBP,SBP/2026/00456,250.00,2026-03-01T08:00:00+03:00,2026-04-30,open
"""
PAID = """payment_id,paid_at,amount,account_reference,payer_name,msisdn,channel,narrative
T1,2026-04-01T09:00:00+03:00,100.00,508060611,ACHIENG,2547*****345,MPESA,
T2,2026-04-01T09:00:01+03:00,30.00,tithe,JOHN,2547*****999,MPESA,
"""


def run(folder: Path, *more: str, status: int = 0, bills: str = "bills.csv", paid: str = "paid.csv") -> str:
    words = ["match", "--invoices", str(folder / bills), "--payments", str(folder / paid), "--matches"]
    done = subprocess.run(
        [sys.executable, "-m", "revenue_engine.cli", *words, *more],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200"},
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "bills.csv").write_text(BILLS)
    (tmp_path / "paid.csv").write_text(PAID)
    return tmp_path


def test_from_files_to_files(folder: Path) -> None:
    outputs = {name: folder / f"{name}.csv" for name in ("matches", "suggestions", "breaks")}
    words = [str(outputs["matches"]), "--suggestions", str(outputs["suggestions"]), "--breaks", str(outputs["breaks"])]
    answer = json.loads(run(folder, *words, "--json"))
    assert (answer["payments"], answer["matched"], answer["matched_amount"], answer["left"]) == (2, 1, "100.00", 1)
    manifest = answer["manifest"]
    assert set(manifest["inputs"]) == {"bills.csv", "paid.csv"}
    assert manifest["outputs"]["matches.csv"] == files.digest(outputs["matches"])
    with outputs["matches"].open(newline="") as handle:
        assert list(csv.reader(handle)) == [
            ["payment_id", "invoice_number", "amount", "rung", "why"],
            ["T1", A, "100.00", "exact", "the pay account number was given exactly; the amount is what was open"],
        ]
    assert '"T2","30.00","unknown_account","","nothing_known",' in outputs["breaks"].read_text()
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["bills.csv", "paid.csv", "matches.csv", "suggestions.csv", "breaks.csv"]
    )
    again = json.loads(run(folder, str(folder / "m.parquet"), "--json", "--engine", "processes"))
    assert again["manifest"]["result"] == manifest["result"]
    assert again["manifest"]["outputs"]["m.parquet"] == manifest["outputs"]["matches.csv"]
    assert pyarrow.parquet.read_table(folder / "m.parquet").num_rows == 1


@pytest.mark.parametrize(
    ("name", "old", "new", "line", "said"),
    [
        ("paid.csv", "amount,", "amnt,", 1, "'amount' is missing"),
        ("paid.csv", ",narrative", ",note", 1, "'narrative' is missing"),
        ("bills.csv", "due_on", "due", 1, "'due_on' is missing"),
        ("paid.csv", "T2,", "T1,", 3, "T1 stands there a second time"),
        ("bills.csv", "556796571", "508060611", 3, "508060611 stands there a second time"),
        ("paid.csv", "30.00", "1.5e3", 3, "1.5e3"),
        ("paid.csv", "30.00", "1250.000", 3, "1250.000"),
        ("paid.csv", "30.00", "1 250.00", 3, "1 250.00"),
        ("paid.csv", "30.00", "-30.00", 3, "more than 0.00"),
        ("paid.csv", "30.00", "", 3, "amount is ''"),
        ("paid.csv", "2026-04-01T09:00:01+03:00", "2026-04-31T09:00:01+03:00", 3, "2026-04-31"),
        ("paid.csv", "2026-04-01T09:00:01+03:00", "2026-04-01T09:00:01", 3, "with the zone"),
        ("paid.csv", "2026-04-01T09:00:01+03:00", "01/04/2026", 3, "01/04/2026"),
        ("bills.csv", "2026-04-30,open\n556", "30.04.2026,open\n556", 2, "30.04.2026"),
        ("paid.csv", "tithe,JOHN", "tithe,JOHN,X", 3, "9 columns where the first line has 8"),
        ("paid.csv", "T2,", ",", 3, "payment_id is empty"),
    ],
)  # fmt: skip
def test_what_is_refused_and_where(folder: Path, name: str, old: str, new: str, line: int, said: str) -> None:
    path = folder / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(InvalidValue) as refused:
        files.read_payments(path) if name == "paid.csv" else files.read_invoices(path)
    assert refused.value.facts["line"] == line
    assert f"{name}, line {line}:" in refused.value.message
    assert said in refused.value.message


def test_a_column_of_mixed_currencies_is_refused(folder: Path) -> None:
    lines = PAID.splitlines()
    mixed = "\n".join([lines[0] + ",currency", lines[1] + ",KES", lines[2] + ",USD", ""])
    (folder / "paid.csv").write_text(mixed)
    with pytest.raises(InvalidValue, match="line 3: the currency is 'USD'"):
        files.read_payments(folder / "paid.csv")
    (folder / "paid.csv").write_text(mixed.replace("USD", "KES"))
    assert len(files.read_payments(folder / "paid.csv")) == 2


def test_lines_are_counted_over_line_breaks_inside_quotes(folder: Path) -> None:
    (folder / "paid.csv").write_text(PAID.replace("508060611", '"50806\n0611"').replace("30.00", "3e1"))
    with pytest.raises(InvalidValue, match="line 4"):
        files.read_payments(folder / "paid.csv")


def test_a_spreadsheet_s_mark_and_short_amounts_are_read(folder: Path) -> None:
    (folder / "paid.csv").write_bytes(b"\xef\xbb\xbf" + PAID.replace("100.00", "100").replace("30.00", "30.5").encode())
    assert files.read_payments(folder / "paid.csv")["amount_minor"].to_pylist() == [10_000, 3_050]


def test_text_that_is_not_utf8_is_refused_by_line(folder: Path) -> None:
    (folder / "paid.csv").write_bytes(PAID.encode().replace(b"JOHN", b"JO\xffHN"))
    with pytest.raises(InvalidValue, match="line 3: the text is not UTF-8"):
        files.read_payments(folder / "paid.csv")


def test_binary_numbers_in_parquet_are_refused_and_decimals_read(folder: Path) -> None:
    from decimal import Decimal

    table = pyarrow.csv.read_csv(folder / "paid.csv", convert_options=pyarrow.csv.ConvertOptions(
        column_types={"amount": pa.string(), "account_reference": pa.string(), "paid_at": pa.string()}))  # fmt: skip
    at = table.column_names.index("amount")
    path = folder / "paid.parquet"
    pyarrow.parquet.write_table(table.set_column(at, "amount", pa.array([100.0, 30.0])), path)
    with pytest.raises(InvalidValue, match="amount is of type double"):
        files.read_payments(path)
    exact = pa.array([Decimal("100.00"), Decimal("30.00")], pa.decimal128(12, 2))
    pyarrow.parquet.write_table(table.set_column(at, "amount", exact), path)
    assert files.read_payments(path)["amount_minor"].to_pylist() == [10_000, 3_000]


def test_a_refusal_writes_nothing_and_keeps_what_was_there(folder: Path) -> None:
    (folder / "paid.csv").write_text(PAID.replace("30.00", "3e1"))
    (folder / "m.csv").write_text("yesterday")
    answer = json.loads(run(folder, str(folder / "m.csv"), "--breaks", str(folder / "b.csv"), "--json", status=1))
    assert answer["ok"] is False
    assert (answer["line"], answer["file"]) == ("3", "paid.csv")
    assert (folder / "m.csv").read_text() == "yesterday"
    assert sorted(path.name for path in folder.iterdir()) == ["bills.csv", "m.csv", "paid.csv"]


def test_of_two_bad_files_the_bills_are_refused(folder: Path) -> None:
    """Both are read at once; which is told does not hang on which was quicker."""
    (folder / "bills.csv").write_text(BILLS.replace("100.00", "1e2"))
    (folder / "paid.csv").write_text(PAID.replace("30.00", "3e1"))
    said = run(folder, str(folder / "m.csv"), status=1)
    assert "bills.csv" in said
    assert "paid.csv" not in said


def test_inputs_are_never_overwritten_and_places_are_checked_first(folder: Path) -> None:
    assert "another one" in run(folder, str(folder / "paid.csv"), status=1)
    assert "no such folder" in run(folder, str(folder / "nowhere" / "m.csv"), status=1)
    assert ".csv, .parquet or .xlsx" in run(folder, str(folder / "m.pdf"), status=1)
    assert (folder / "paid.csv").read_text() == PAID


def test_a_disk_that_fails_leaves_nothing_behind(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = pa.table({"a": ["1"]})
    honest: Any = files._write

    def failing(path: Path, part: Path, table: pa.Table) -> str:
        digest: str = honest(path, part, table)
        if path.name == "second.csv":
            raise OSError("no space left on device")
        return digest

    monkeypatch.setattr(files, "_write", failing)
    with pytest.raises(OSError, match="no space"):
        files.write_all({folder / "first.csv": table, folder / "second.csv": table})
    assert sorted(path.name for path in folder.iterdir()) == ["bills.csv", "paid.csv"]


def test_every_reason_of_a_break_is_one_of_the_closed_list(tmp_path: Path) -> None:
    from reconciliation.breaks import BreakReason
    from reconciliation.engine import matching

    bills, payments = county.make(9, 1500).write(tmp_path)
    found = matching.match(files.read_invoices(bills), files.read_payments(payments))
    reasons = set(found.breaks["reason"].to_pylist())
    assert reasons <= {reason.value for reason in BreakReason}
    assert len(reasons) >= 4
    assert all(found.breaks["why_not"].to_pylist())
    assert all(found.matches["why"].to_pylist())
