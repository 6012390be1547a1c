"""``reconcile day`` and ``reconcile settlement`` in every format, and what they refuse."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from python_calamine import CalamineWorkbook

from tests.conftest import Database
from tests.flows.test_three_ways import FRIDAY, SATURDAY, Dated, bring, statement
from tests.support.books import Books
from tests.support.commands import run


@pytest.fixture
def books(testland: Database) -> Iterator[Books]:
    """1,000 paid and told on Friday, 5 charged; 995 paid out on Saturday, and no bank shows it."""
    made = Books(testland.url)
    made.readers["dated"] = Dated()
    bring(
        made,
        statement(
            ("payment", "UI00000T01", 1000, "who", FRIDAY),
            ("charge", "UI00000T02", -5, "", FRIDAY),
            ("payout", "UI00000T09", -995, "", SATURDAY),
        ),
    )
    yield made
    made.close()


@pytest.fixture
def here(books: Books, database: Database) -> dict[str, str]:
    return {"REVENUE_DATABASE_URL": database.url, "REVENUE_REDIS_URL": database.servers.redis_url}


def test_a_day_is_said_with_its_proof_its_buckets_and_its_items(here: dict[str, str]) -> None:
    answer = json.loads(run("reconcile", "day", str(SATURDAY), "--format", "json", env=here))
    assert answer["ties"]
    assert answer["controls"] == {
        "mpesa 600100: clearing": {
            "the books hold": "995.00",
            "the provider holds, and what waits": "995.00",
            "difference": "0.00",
        },
        "mpesa 600100: statement": {
            "foot of the statement": "0.00",
            "the lines of all statements": "0.00",
            "difference": "0.00",
        },
    }
    (transit,) = [row for row in answer["sections"]["buckets"] if row["bucket"].startswith("B not C")]
    money = {name: transit[f"{name}_amount"] for name in ("opening", "new", "cleared", "closing")}
    assert money == {"opening": "0.00", "new": "995.00", "cleared": "0.00", "closing": "995.00"}
    (item,) = answer["sections"]["items"]
    assert (item["reference"], item["since"], item["age_days"], item["amount"]) == (
        *("UI00000T09", str(SATURDAY), 0, "995.00"),
    )
    friday = json.loads(run("reconcile", "day", str(FRIDAY), "--channel", "600100", "--format", "json", env=here))
    by_side = {row["side"]: (row["gross"], row["fees"], row["net"]) for row in friday["sections"]["sides"]}
    assert by_side["A books"] == by_side["B provider"] == ("1000.00", "5.00", "995.00")
    assert by_side["C bank"] == ("", "", "0.00")


def test_a_day_and_a_settlement_are_written_as_files(here: dict[str, str], tmp_path: Path) -> None:
    run("reconcile", "day", str(SATURDAY), "--out", str(tmp_path / "day.xlsx"), env=here)
    book = CalamineWorkbook.from_path(tmp_path / "day.xlsx")
    assert book.sheet_names == ["Control", "What each side says of the day", "Buckets", "Items"]
    assert [row[6] for row in book.get_sheet_by_name("Control").to_python() if str(row[0]).startswith("mpesa")] == [
        *("✓", "✓"),
    ]
    assert b"UI00000T09" in run("reconcile", "day", str(SATURDAY), "--format", "csv", env=here).encode()
    assert "B not C: paid out, not banked" in run("reconcile", "day", str(SATURDAY), env=here)
    run("reconcile", "settlement", "UI00000T09", "--out", str(tmp_path / "parts.csv"), env=here)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "parts.csv").read_text("utf-8-sig"))))
    assert [(row["reference"], row["amount"], row["share"]) for row in rows] == [
        ("UI00000T01", "1000.00", "whole"),
        ("UI00000T02", "-5.00", "whole"),
    ]


def test_what_cannot_be_laid_is_refused(here: dict[str, str]) -> None:
    for words, code in (
        (("day", "2999-01-01"), "invalid_value"),
        (("day", "1 Sept"), "invalid_value"),
        (("day", str(SATURDAY), "--channel", "999999"), "not_found"),
        (("settlement", "UI00000T01"), "not_found"),
    ):
        answer = json.loads(run("reconcile", *words, "--format", "json", env=here, status=1))
        assert (answer["ok"], answer["code"]) == (False, code), words


def test_a_payment_changed_behind_the_books_does_not_tie_and_exits_3(books: Books, here: dict[str, str]) -> None:
    books.execute("ALTER TABLE payment DISABLE TRIGGER refuse_change; UPDATE payment SET amount_minor = 99900"
                  " WHERE kind = 'payment'")  # fmt: skip
    answer = json.loads(run("reconcile", "day", str(SATURDAY), "--format", "json", env=here, status=3))
    assert not answer["ties"]
    assert answer["controls"]["mpesa 600100: clearing"]["difference"] == "1.00"
