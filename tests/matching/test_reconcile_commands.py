"""``reconcile`` as its users have it: JSON with money as text, tables that hold the amounts, exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from reconciliation.engine.policy import Policy
from revenue_engine import bootstrap
from revenue_engine.cli import signing
from revenue_engine.cli.app import app
from tests.conftest import Database
from tests.matching.test_runs import payer, slip
from tests.support.books import Books
from tests.support.people import Someone


@pytest.fixture
def books(testland: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Books]:
    kept = Books(testland.url)
    monkeypatch.setattr(bootstrap, "engine", lambda role, pool_size=5: kept.as_role(role))
    sits(monkeypatch, kept.clerk)
    yield kept
    kept.close()


def sits(monkeypatch: pytest.MonkeyPatch, who: Someone) -> None:
    """Let this person sit at the keyboard."""
    monkeypatch.setattr(signing, "read", lambda: who.secret)


def agreed(*words: str, status: int = 0) -> Any:
    done = CliRunner().invoke(app, ["approval", "agree", *words, "--json"])
    assert done.exit_code == status, done.output
    return json.loads(done.stdout)


def said(*words: str, status: int = 0) -> str:
    done = CliRunner().invoke(app, ["reconcile", *words])
    assert done.exit_code == status, done.output
    return done.stdout


def told(*words: str, status: int = 0) -> Any:
    return json.loads(said(*words, "--json", status=status))


def test_from_suspense_to_the_bill_and_back(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    bill = books.bill(1_250, payer=payer(books))
    paid = books.pay(1_250, slip(bill), names=("ACHIENG", "", ""))
    books.pay(75, "something odd")
    assert told("run", "--dry-run")["matched"] == 1
    assert books.left(bill) == 1_250
    answer = told("run")
    assert (answer["matched"], answer["matched_amount"], answer["left"], answer["left_amount"]) == (
        1,
        "1250.00",
        1,
        "75.00",
    )
    (match,) = answer["matches"]
    assert (match["payment"], match["bill"], match["rung"]) == (paid, bill.pay_account_number, "slip")
    assert answer["manifest"]["policy"] == Policy().digest()
    (left,) = told("left")
    assert (left["amount"], left["suggestions"]) == ("75.00", [])
    assert "75.00" in said("left")
    back = told("reverse", paid, "--reason", "not hers")["request"]
    sits(monkeypatch, books.treasurer)
    assert agreed(back)["requests"][0]["stands"] == "done"
    sits(monkeypatch, books.clerk)
    assert told("reverse", paid, "--reason", "not hers", status=1)["code"] == "conflict"
    assert told("reverse", "NOSUCH", "--reason", "not hers", status=1)["code"] == "not_found"
    assert "0" in said("run")
    request = told("ask", paid, bill.pay_account_number, "--reason", "she came with the message")["request"]
    assert told("agree", request, status=1)["code"] == "not_allowed"  # by the one who asked
    monkeypatch.setenv("LOGNAME", "treasurer")
    assert told("agree", request, status=1)["code"] == "not_allowed"
    sits(monkeypatch, books.treasurer)
    assert told("agree", request)["requests"][0]["amount"] == "1250.00"
    assert books.left(bill) == 0


def test_what_is_printed_is_understood_when_somebody_asks(books: Books) -> None:
    paid, bill, done = books.pay(75, "something odd"), books.bill(75), books.bill(40)
    number = bill.pay_account_number
    books.pay(40, done.pay_account_number)
    for written in (f"{number[:3]} {number[3:6]} {number[6:]}", bill.number, bill.number.lower()):
        assert told("ask", paid.lower(), written, "--reason", "seen at the desk")["request"]
    refused = told("ask", paid, done.pay_account_number, "--reason", "seen at the desk", status=1)
    assert (refused["code"], "is paid" in refused["message"]) == ("conflict", True)
    books.cancel(bill)
    assert "was cancelled" in told("ask", paid, number, "--reason", "seen", status=1)["message"]


def test_money_on_the_neighbours_bill_is_moved(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong, right = books.bill(1_250, payer=payer(books)), books.bill(1_250)
    paid = books.pay(1_250, wrong.pay_account_number)

    def move(*words: str, status: int = 0) -> Any:
        done = CliRunner().invoke(app, ["payment", "move", *words, "--json"])
        assert done.exit_code == status, done.output
        return json.loads(done.stdout)

    request = move(paid, right.number, "--reason", "the payer showed the bill")["request"]
    assert agreed(request, status=1)["code"] == "not_allowed"  # by the one who asked
    sits(monkeypatch, books.treasurer)
    (answer,) = agreed(request)["requests"]
    assert (answer["amount"], answer["stands"]) == ("1250.00", "done")
    assert (books.left(wrong), books.left(right)) == (1_250, 0)
    assert "is paid" in move(paid, right.number, "--reason", "again", status=1)["message"]


def test_a_policy_goes_its_whole_way(books: Books, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "policy.json"
    file.write_text('{"trust_payer": false}', encoding="utf-8")
    digest = told("policy", "propose", str(file))["policy"]
    assert told("policy", "show", digest)["trust_payer"] is False
    assert told("policy", "activate", digest, status=1)["code"] == "conflict"
    bill = books.bill(500, payer=payer(books))
    books.pay(500, bill.pay_account_number)
    figures = told("policy", "backtest", digest)
    assert (figures["confirmed"], figures["right"], figures["precision"], figures["recall"]) == (
        2,
        1,
        "1.0000",
        "0.5000",
    )
    asked = told("policy", "activate", digest)["request"]
    assert agreed(asked, status=1)["code"] == "not_allowed"
    sits(monkeypatch, books.treasurer)
    assert agreed(asked)["requests"][0]["stands"] == "done"
    assert told("policy", "show")["policy"] == digest
    file.write_text("[]", encoding="utf-8")
    assert told("policy", "propose", str(file), status=1)["code"] == "invalid_value"
    assert told("link", "list") == []
    assert told("link", "confirm", "lnk_none", status=1)["code"] == "not_found"
