"""The command line as its users have it: real processes, exit codes, JSON on standard output."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from adapters.sandbox import mpesa_bodies as bodies
from revenue_engine import bootstrap
from revenue_engine.cli import signing
from revenue_engine.config import Settings
from revenue_engine.errors import NotSignedIn
from tests.conftest import Database
from tests.support import people
from tests.support.books import NOON, Books
from tests.support.commands import run


@pytest.fixture
def here(database: Database) -> dict[str, str]:
    """The environment of a command on this test's database."""
    return {"REVENUE_DATABASE_URL": database.url, "REVENUE_REDIS_URL": database.servers.redis_url}


def body(tmp_path: Path, content: bytes) -> str:
    file = tmp_path / "body.json"
    file.write_bytes(content)
    return str(file)


def test_callback_parse_says_what_a_body_means(tmp_path: Path) -> None:
    sent = bodies.c2b_confirmation(
        receipt="UIF0000001",
        at=NOON,
        amount_minor=125_000,
        shortcode="600100",
        account="482 915 363",
        msisdn="254700000101",
        balance_minor=100,
    )
    assert json.loads(run("callback", "parse", "--channel", "mpesa", "--json", body(tmp_path, sent))) == {
        "verdict": "paid",
        "kind": "payment",
        "reference": "UIF0000001",
        "amount": "1250.00",
        "currency": "KES",
        "occurred_at": "2026-09-15T12:00:00+03:00",
        "channel_account": "600100",
        "account_reference": "482 915 363",
        "request_id": None,
        "reverses": None,
        "reason": None,
    }


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b'{"a": NaN}', b"[" * 5000, b'{"TransID": "X", "TransID": "Y"}']
)
def test_callback_parse_ends_with_3_when_a_body_cannot_be_understood(tmp_path: Path, content: bytes) -> None:
    answer = json.loads(run("callback", "parse", "-c", "mpesa", "--json", body(tmp_path, content), status=3))
    assert answer["verdict"] == "unknown"
    assert answer["reason"]


def test_an_unknown_channel_is_refused_by_name(tmp_path: Path) -> None:
    answer = json.loads(run("callback", "parse", "-c", "mpsa", "--json", body(tmp_path, b"{}"), status=1))
    assert answer["code"] == "not_found"
    assert "mpesa" in answer["message"]


def test_a_file_that_is_not_there_is_a_usage_error() -> None:
    run("callback", "parse", "-c", "mpesa", "nowhere.json", status=2)


def test_init_is_safe_to_run_again_and_a_bill_can_be_made_paid_and_seen(here: dict[str, str], tmp_path: Path) -> None:
    assert json.loads(run("init", "--json", env=here))["ok"]
    assert "loaded already" in run("init", env=here)
    here |= people.clerk(here["REVENUE_DATABASE_URL"]).signed_in(tmp_path)
    bill = json.loads(
        run(
            "invoice",
            "create",
            "--item",
            "SBP.KIOSK",
            "--name",
            "Test Payer",
            "--phone",
            "0700000101",
            "--json",
            env=here,
        )
    )
    assert bill["state"] == "unpaid"
    assert bill["total"] == bill["outstanding"] == "2000.00"
    shown = json.loads(run("invoice", "show", bill["pay_account_number"], "--json", env=here))
    assert shown["number"] == bill["number"]
    url = here["REVENUE_DATABASE_URL"]
    clerk, treasurer = (one(url).signed_in(tmp_path) for one in (people.clerk, people.treasurer))
    asked = json.loads(run("invoice", "cancel", bill["number"], "--reason", "issued twice", "--json", env=here | clerk))
    run("approval", "agree", asked["request"], env=here | treasurer)
    gone = json.loads(run("invoice", "show", bill["number"], "--json", env=here))
    assert gone["state"] == "cancelled"
    assert json.loads(run("ledger", "verify", "--json", env=here))["ok"]
    daily = json.loads(run("report", "daily", "--format", "json", env=here))
    assert daily
    assert "hledger" not in run("ledger", "export", env=here)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("invoice", "create", "--item", "SBP.NOTHING", "--json"), "not_found"),
        (("invoice", "create", "--item", "SBP.KIOSK:x", "--json"), "invalid_value"),
        (("invoice", "create", "--item", "SBP.KIOSK", "--name", "T", "--phone", "12", "--json"), "invalid_value"),
        (("invoice", "show", "999999999", "--json"), "not_found"),
    ],
)
def test_bad_input_is_refused_with_a_code_and_a_sentence(
    county: dict[str, str], words: tuple[str, ...], code: str
) -> None:
    answer = json.loads(run(*words, env=county, status=1))
    assert answer["ok"] is False
    assert answer["code"] == code
    assert len(answer["message"]) > 10


@pytest.fixture
def county(database: Database, here: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """Busia, and a clerk who is signed in."""
    run("init", env=here)
    return here | people.clerk(database.url).signed_in(tmp_path)


@pytest.mark.parametrize(
    "words",
    [
        ("channel", "show", "1100100", "--json"),
        ("invoice", "list", "--json"),
        ("report", "daily", "--format", "json"),
        ("ledger", "verify", "--json"),
        ("reconcile", "left", "--json"),
        ("reconcile", "day", "yesterday", "--format", "json"),
        ("callback", "list", "--json"),
        ("worker", "--once"),
    ],
)
def test_a_database_that_was_never_made_is_said_with_the_fix(database: Database, words: tuple[str, ...]) -> None:
    url = database.url.replace(f"/{database.name}?", "/postgres?")
    here = {"REVENUE_DATABASE_URL": url, "REVENUE_REDIS_URL": database.servers.redis_url}
    answer = run(*words, env=here, status=4)
    assert "--json" not in words or "revenue-engine init" in json.loads(answer)["message"]


def test_doctor_names_the_variable_and_the_fix() -> None:
    out = json.loads(run("doctor", "--json", env={"REVENUE_INTAKE_PORT": "eighty"}, status=4))
    assert "REVENUE_INTAKE_PORT" in json.dumps(out)
    out = run("doctor", "--json", env={"REVENUE_DATABASE_URL": "mysql://here"}, status=4)
    assert "REVENUE_DATABASE_URL" in out


def test_doctor_says_when_the_database_is_down(tmp_path: Path) -> None:
    env = {
        "REVENUE_DATABASE_URL": f"postgresql://nobody@/none?host={tmp_path}",
        "REVENUE_REDIS_URL": f"unix://{tmp_path}/none.sock",
    }
    found = json.loads(run("doctor", "--json", env=env, status=5))
    by_name: dict[str, Any] = {check["name"]: check for check in found["checks"]}
    assert by_name["database"]["state"] == "failed"
    assert by_name["bell"]["state"] == "warning"
    assert by_name["database"]["fix"]


def test_doctor_is_content_with_a_made_database(database: Database) -> None:
    books = Books(database.url)
    books.close()
    env = {"REVENUE_DATABASE_URL": database.url, "REVENUE_REDIS_URL": database.servers.redis_url}
    found = json.loads(run("doctor", "--json", env=env))
    assert found["ok"]
    assert {check["name"] for check in found["checks"]} >= {
        "database",
        "schema",
        "durability",
        "bell",
        "work",
        "role intake",
    }


def test_every_command_has_help() -> None:
    for words in ((), ("invoice",), ("callback",), ("channel",), ("ledger",), ("report",), ("bench",)):
        assert "Usage" in run(*words, "--help")


def test_a_session_in_the_demos_books_ends_none_in_ones_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bootstrap, "settings", lambda: Settings(token_file=tmp_path / "session"))
    own = signing.token_file()
    with pytest.raises(NotSignedIn, match="revenue-engine login YOUR-LOGIN"), signing.signed_in():
        pass
    monkeypatch.setattr(bootstrap, "_other_books", "revenue_demo")
    assert signing.token_file() == own.with_name("session-revenue_demo")
    with pytest.raises(NotSignedIn, match=r"login demo\.treasurer --demo"), signing.signed_in():
        pass
