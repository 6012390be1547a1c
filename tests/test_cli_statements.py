"""``statement check`` as its users have it: the stable JSON, the refusals with their preview, the exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import EntryPoint
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from revenue_engine import bootstrap
from revenue_engine.cli import output, statements
from revenue_engine.cli.app import app
from revenue_engine.errors import ConfigurationError
from revenue_engine.ports.statements import StatementFault, StatementRefused
from revenue_engine.statements.preview import Preview

ROOT = Path(__file__).parents[1]
FIXTURES = ROOT / "tests" / "adapters" / "statements"
LEGACY = FIXTURES / "mpesa_org" / "legacy.csv"
KCB = FIXTURES / "tables" / "kcb.csv"
PROMISED = (
    "format", "account", "currency", "opening", "closing", "lines", "credits", "debits", "from", "to", "adds_up",
)  # fmt: skip


def process(*words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    """Run the command as its users do, with no database near it."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("REVENUE_")}
    done = subprocess.run(
        [sys.executable, "-m", "revenue_engine.cli", "statement", "check", *words],
        capture_output=True,
        text=True,
        timeout=120,
        env={**env, "NO_COLOR": "1", "COLUMNS": "160"},
        cwd=ROOT,
    )
    assert done.returncode == status, f"ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables for people are as wide as the terminal: here it is wide enough for all of them."""
    for module in (output, statements):
        for name in ("out", "err"):
            monkeypatch.setattr(module, name, Console(stderr=name == "err", width=160, color_system=None))


def check(file: Path, *words: str, status: int = 0) -> str:
    """Run the command in this process; answers what it wrote."""
    done = CliRunner().invoke(app, ["statement", "check", str(file), *words])
    assert done.exit_code == status, done.output
    return done.stdout if status < 2 and "--json" in words else done.output


def promised(statement: dict[str, Any]) -> dict[str, Any]:
    return {name: statement[name] for name in PROMISED}


def test_a_statement_that_adds_up() -> None:
    answer = json.loads(process(str(LEGACY), "--json").stdout)
    assert list(answer) == ["statements"]
    (statement,) = answer["statements"]
    assert promised(statement) == {
        "format": "mpesa_org",
        "account": "600100",
        "currency": "KES",
        "opening": "400.00",
        "closing": "1330.50",
        "lines": 7,
        "credits": "4780.50",
        "debits": "3850.00",
        "from": "2026-09-01",
        "to": "2026-09-02",
        "adds_up": True,
    }
    assert statement["shown"] == 1
    assert statement["notes"]


def test_a_bank_table_for_people() -> None:
    told = check(KCB)
    assert "table:kcb account 1100000017, 01 Sep 2026 to 02 Sep 2026" in told
    assert "FT26244AAAAA" in told
    assert "4 lines, KES 1,600.00, opening + credits - debits = closing" in told
    assert "10,000.00 + 1,600.00 - 600.00 = 11,000.00" in told


def test_only_the_first_lines_are_shown_to_people() -> None:
    told = check(LEGACY)
    assert "UI20000005" in told
    assert "Customer Buy Goods" not in told
    assert "payment (shown only)" in told


def edited(tmp_path: Path, file: Path, old: str, new: str) -> Path:
    text = file.read_text("utf-8")
    assert old in text
    changed = tmp_path / file.name
    changed.write_text(text.replace(old, new, 1), "utf-8")
    return changed


def test_a_statement_that_does_not_add_up(tmp_path: Path) -> None:
    file = edited(tmp_path, LEGACY, "Closing Balance:,1330.50", "Closing Balance:,1330.00")
    answer = json.loads(check(file, "--json", status=1))
    assert answer == json.loads(process(str(file), "--json", status=1).stdout)
    assert answer["ok"] is False
    assert answer["code"] == "does_not_add_up"
    assert (answer["line"], answer["column"]) == (None, None)
    assert "1330.50" in answer["reason"]
    (statement,) = answer["statements"]
    assert (statement["adds_up"], statement["closing"], statement["lines"]) == (False, "1330.00", 7)
    told = check(file, status=1)
    assert "Refused:" in told
    assert "Nothing of the file may be imported" in told
    assert "opening + credits - debits is not closing" in told


def test_a_row_that_was_changed_is_named(tmp_path: Path) -> None:
    file = edited(tmp_path, KCB, '"1,500.00","11,500.00"', '"1,600.00","11,500.00"')
    answer = json.loads(check(file, "--json", status=1))
    assert (answer["code"], answer["line"], answer["column"]) == ("does_not_add_up", 6, "Ledger Balance")
    assert answer["message"].startswith("line 6, column Ledger Balance: ")
    (statement,) = answer["statements"]
    assert (statement["adds_up"], statement["credits"]) == (False, "1700.00")


def test_a_half_bad_statement_is_refused_whole_with_what_was_read(tmp_path: Path) -> None:
    file = edited(tmp_path, KCB, "FT26245CCCCC,600.00", "FT26245CCCCC,six hundred")
    answer = json.loads(check(file, "--json", status=1))
    assert (answer["code"], answer["line"], answer["column"]) == ("bad_amount", 11, "Money Out")
    (statement,) = answer["statements"]
    assert (statement["opening"], statement["closing"], statement["lines"]) == ("10000.00", None, 3)
    assert (statement["credits"], statement["adds_up"]) == ("1600.00", None)
    told = check(file, status=1)
    assert "line 11, column Money Out" in told
    assert "3 lines, KES 1,600.00, not read to its end" in told


@pytest.mark.parametrize(
    ("content", "name", "code"),
    [
        (b"", "x.csv", "empty"),
        (b" \r\n ", "x.csv", "empty"),
        (b"<html><body>Not found</body></html>", "x.csv", "not_a_statement"),
        (b"OFXHEADER:100\r\nDATA:OFXSGML\r\n\r\n<OFX></OFX>", "x.ofx", "not_a_statement"),
        (b"PK\x03\x04 cut", "x.xlsx", "unreadable"),
        (b"Receipt No.,Completion Time,Details\nX,Y,Z\n", "x.csv", "unknown_columns"),
        (b"Date,Description,Amount,Currency,Saldo,Account,Reference\n", "x.csv", "unknown_columns"),
        (b"a,b,c\n1,2,3\n", "x.xlsm", "forbidden"),
    ],
)
def test_what_is_no_statement_says_so(tmp_path: Path, content: bytes, name: str, code: str) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    answer = json.loads(check(file, "--json", status=1))
    assert (answer["ok"], answer["code"], answer["statements"]) == (False, code, [])
    assert answer["reason"]
    if code == "not_a_statement":
        assert "looked for" in answer["reason"]


def test_a_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    assert "does not exist" in process(str(tmp_path / "nothing.csv"), "--json", status=2).stderr
    assert check(tmp_path, "--json", status=2)


def test_text_of_a_file_does_not_steer_the_terminal(tmp_path: Path) -> None:
    file = edited(tmp_path, KCB, "MARKET FEES", "[bold]\x1b[2Jx[/nope]")
    told = check(file)
    assert "\x1b" not in told
    assert "[bold] [2Jx[/nope]" in told


def test_a_file_that_cannot_be_opened_is_refused_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(self: Preview, stream: object, filename: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Preview, "read", closed)
    answer = json.loads(check(KCB, "--json", status=1))
    assert (answer["code"], answer["statements"]) == ("unreadable", [])
    assert "Permission denied" in answer["reason"]


# --- the registry of readers ---


def test_each_fixture_is_known_to_one_reader() -> None:
    for path in sorted(FIXTURES.glob("*/*")):
        if path.suffix not in {".csv", ".xls"}:
            continue
        with path.open("rb") as stream:
            found = bootstrap.statement_reader(stream, path.name)
            assert stream.tell() == 0
        assert found.name == {"mpesa_org": "mpesa_org", "tables": "table"}.get(path.parent.name, found.name)


def test_the_readers_are_found_by_entry_point() -> None:
    assert {"mpesa_org", "table"} <= set(bootstrap.statement_readers())
    assert all(name == reader.name for name, reader in bootstrap.statement_readers().items())


def test_two_readers_that_know_one_file_are_not_chosen_between(monkeypatch: pytest.MonkeyPatch) -> None:
    one = bootstrap.statement_readers()["table"]
    monkeypatch.setattr(bootstrap, "statement_readers", lambda: {"one": one, "two": one})
    with pytest.raises(StatementRefused) as caught:
        bootstrap.statement_reader(BytesIO(KCB.read_bytes()), "x.csv")
    assert caught.value.fault is StatementFault.NOT_A_STATEMENT
    assert "as one and as two" in caught.value.reason


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([EntryPoint("broken", "revenue_engine.money:KES", bootstrap.STATEMENTS)], "'broken'"),
        ([], "no statement reader is installed"),
    ],
)
def test_a_broken_installation_is_a_fault_of_configuration(
    monkeypatch: pytest.MonkeyPatch, points: list[EntryPoint], message: str
) -> None:
    monkeypatch.setattr(bootstrap, "entry_points", lambda group: points)
    bootstrap.statement_readers.cache_clear()
    try:
        with pytest.raises(ConfigurationError, match=message):
            bootstrap.statement_readers()
    finally:
        bootstrap.statement_readers.cache_clear()
