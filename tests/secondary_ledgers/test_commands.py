"""``book``: from a shipped description to a proof, as two persons type it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.secondary_ledgers.shelf import Shelf
from tests.support import people
from tests.support.commands import command as run


@pytest.mark.parametrize("code", ["ict", "partnerships", "literacy"])
def test_a_shipped_book_is_opened_ruled_derived_and_proved(shelf: Shelf, tmp_path: Path, code: str) -> None:
    env = {"REVENUE_DATABASE_URL": shelf.url, **shelf.clerk.signed_in(tmp_path)}

    def ask(*words: str) -> dict[str, Any]:
        done = run(*words, "--json", env=env)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)  # type: ignore[no-any-return]

    def agree(answer: dict[str, Any]) -> None:
        for public in answer["requests"]:
            people.agree(shelf.as_role("api"), public, who=shelf.treasurer)
        shelf.work()

    # Given money on a stream
    bill = shelf.bill(1000, payer=shelf.payer())
    shelf.pay(1000, bill.pay_account_number)
    shelf.settle()
    # When a shipped book is opened and its rules are agreed to
    file = tmp_path / f"{code}.toml"
    file.write_text(run("book", "describe", code, env=env).stdout, encoding="utf-8")
    agree(ask("book", "add", str(file), "--reason", "to see what is ours"))
    refused = run("book", "derive", code, "--json", env=env)
    assert (refused.returncode, json.loads(refused.stdout)["code"]) == (1, "mapping_hole")
    agree(ask("book", "rule", "propose", code, str(file), "--reason", "as shipped"))
    # Then receipts are not its own: no law gives a directorate a share
    assert ask("book", "derive", code) == {
        "ok": True,
        "books": [{"book": code, "entries": 0, "lines": 0, "closed_to": ""}],
    }
    assert ask("book", "prove", code)["ok"] is True
    assert ask("book", "rebuild", code)["ok"] is True
    assert {one["available"] for one in ask("book", "fund", "show", code)} == {"0.00"}  # type: ignore[attr-defined]
    assert [one["kind"] for one in ask("book", "rule", "list", code) if one["about"] == "receipt"] == ["nothing"]
    for words in (("list",), ("balance", code), ("cell", code), ("rule", "list", code), ("prove", code)):
        assert run("book", *words, env=env).returncode == 0, words
    # And a book that is not there is named with those that are
    assert "there is no book 'roads'; there are: " + code in run("book", "derive", "roads", env=env).stderr


def test_a_figure_leads_back_to_the_callback(shelf: Shelf, tmp_path: Path) -> None:
    from tests.secondary_ledgers.shelf import nothing, share

    env = {"REVENUE_DATABASE_URL": shelf.url, **shelf.clerk.signed_in(tmp_path)}
    shelf.open("ict", share("levy", "SBP", 250), nothing())
    bill = shelf.bill(1000, payer=shelf.payer())
    reference = shelf.pay(1000, bill.pay_account_number)
    shelf.derive()
    done = run("book", "cell", "ict", "--account", "11", "--json", env=env)
    (line,) = json.loads(done.stdout)
    assert (line["amount"], line["rule"], line["version"], line["source"]) == ("25.00", "levy", 1, "1000.00")
    assert line["reference"] == reference
    ((body,),) = shelf.rows("SELECT convert_from(body, 'UTF8') FROM delivery WHERE id = %s", line["delivery"])
    assert reference in body


def test_a_figure_with_more_rows_than_are_told_says_so_and_ends_with_3(shelf: Shelf) -> None:
    from tests.secondary_ledgers.shelf import nothing, share

    env = {"REVENUE_DATABASE_URL": shelf.url}
    shelf.open("ict", share("levy", "SBP", 250), nothing())
    for _ in range(3):
        shelf.receipt(1000)
    shelf.derive()
    cell = ("book", "cell", "ict", "--account", "11", "--json", "--limit")
    done = run(*cell, "2", env=env)
    assert (done.returncode, len(json.loads(done.stdout))) == (3, 2)
    assert "the first 2 rows of more" in done.stderr
    done = run(*cell, "3", env=env)
    assert (done.returncode, len(json.loads(done.stdout)), done.stderr) == (0, 3, "")
