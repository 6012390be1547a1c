"""``statement table new``: a table begun from an export, and what it could not see is asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from adapters.statements.tables import load_tables
from revenue_engine import bootstrap
from revenue_engine.cli.app import app

EXPORT = (
    "Mwanzo Bank,,,,,\n"
    "Posting Date,Description,Cheque Ref,Withdrawals,Deposits,Closing Balance\n"
    '15-SEP-26,PAY 482915363,FT1,-,"KES 1,500.00","2,500.00 Cr"\n'
    '16-SEP-26,FEE,FT2,200.00,-,"2,300.00 Cr"\n'
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of the county's own tables, and readers made with it."""
    monkeypatch.setenv("REVENUE_TABLES_DIR", str(tmp_path))
    read_anew()
    yield tmp_path
    monkeypatch.delenv("REVENUE_TABLES_DIR")
    read_anew()


def read_anew() -> None:
    """Settings and tables as a new process reads them."""
    for cached in (bootstrap.settings, bootstrap.statement_readers, load_tables):
        cached.cache_clear()


def run(*words: str, status: int = 0) -> str:
    done = CliRunner().invoke(app, ["statement", *words])
    assert done.exit_code == status, done.output
    return done.output


def test_a_table_begun_from_an_export_reads_it(folder: Path) -> None:
    export = folder / "mwanzo september.csv"
    export.write_text(EXPORT)
    assert json.loads(run("check", str(export), "--json", status=1))["code"] == "not_a_statement"
    said = json.loads(run("table", "new", str(export), "--name", "mwanzo", "--json"))
    assert (Path(said["file"]), said["open_questions"]) == (folder / "mwanzo.toml", [])
    read_anew()
    (statement,) = json.loads(run("check", str(export), "--json"))["statements"]
    assert {name: statement[name] for name in ("format", "opening", "closing", "from", "adds_up")} == {
        "format": "table:mwanzo",
        "opening": "1000.00",
        "closing": "2300.00",
        "from": "2026-09-15",
        "adds_up": True,
    }


def test_what_a_file_does_not_show_is_asked_and_nothing_is_written_over(folder: Path) -> None:
    export = folder / "a.csv"
    export.write_text(EXPORT.replace("15-SEP-26", "05/09/2026").replace("16-SEP-26", "06/09/2026"))
    assert "day first or month first" in run("table", "new", str(export))
    before = (folder / "a.toml").read_text()
    assert "is there already" in run("table", "new", str(export), status=1)
    assert (folder / "a.toml").read_text() == before


def test_a_file_without_headings_is_refused_with_how_to_mend_it(folder: Path) -> None:
    export = folder / "a.csv"
    export.write_text("15/09/2026,PAY,100.00\n")
    assert "Write the headings above the columns" in run("table", "new", str(export), status=1).replace("\n", " ")


def test_a_broken_table_of_the_county_is_named(folder: Path) -> None:
    (folder / "own.toml").write_text('name = "own"\n')
    export = folder / "a.csv"
    export.write_text(EXPORT)
    said = run("check", str(export), status=4).replace("\n", " ")
    assert "own.toml is no table of columns: title: is missing" in said
    assert "http" not in said


def test_a_file_that_has_a_reader_needs_no_table(folder: Path) -> None:
    export = folder / "mpesa.csv"
    export.write_text(
        "Receipt No.,Completion Time,Details,Transaction Status,Paid In,Withdrawn,Balance\n"
        "UIF0000001,15-09-2026 10:00:00,Pay Bill Online,Completed,10.00,,10.00\n"
    )
    assert "is read already, by mpesa_org" in run("table", "new", str(export), status=1)
    assert not (folder / "mpesa.toml").exists()
