"""Lists in every format: the ending of the file says which, a contradiction is refused, and nothing is half written."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from python_calamine import CalamineWorkbook

from reconciliation import breaks
from reconciliation.breaks import BreakReason
from revenue_engine import db, periods
from revenue_engine.cli import days
from revenue_engine.cli.output import Format, chosen
from revenue_engine.errors import InvalidValue, NotFound
from revenue_engine.reports import breaks as lists
from revenue_engine.reports import daily, render
from revenue_engine.reports import lists as rendering
from tests.conftest import Database
from tests.support.books import DAY, Books
from tests.support.commands import run


@pytest.fixture
def books(testland: Database) -> Iterator[Books]:
    made = Books(testland.url)
    made.pay(750, "who knows", reference="UI00000750")
    paid = made.bill(100)
    made.pay(100, paid.pay_account_number)
    made.pay(100, paid.pay_account_number, reference="UI00000100")
    made.deliver(("confirmation", b"{"))
    made.work()
    yield made
    made.close()


def test_open_breaks_are_rows_with_their_payment_money_and_owner(books: Books) -> None:
    with db.transaction(books.as_role("report")) as session:
        found = lists.section(session)
        keys = [column.key for column in found.columns]
        rows = [dict(zip(keys, row, strict=True)) for row in found.rows]
        assert {(row["reason"], row["payment"], row["amount"], row["owner"]) for row in rows} == {
            ("unknown account", "UI00000750", 75000, "finance"),
            ("duplicate payment", "UI00000100", 10000, "finance"),
            ("unparseable", "", 0, "ict"),
        }
        assert {row[keys.index("reason")] for row in lists.section(session, owner="ict").rows} == {"unparseable"}
        only = lists.section(session, reasons=[BreakReason.UNKNOWN_ACCOUNT], day=DAY)
        assert len(only.rows) == 1
        assert lists.section(session, day=date(2026, 9, 14)).rows == ()
        assert "there are more" in lists.section(session, limit=1).note


def test_the_daily_workbook_holds_the_breaks_of_its_day_one_by_one(books: Books) -> None:
    with db.transaction(books.as_role("report")) as session:
        report = daily.daily(session, DAY)
    book = CalamineWorkbook.from_filelike(io.BytesIO(render.render(report, "xlsx")))
    rows = book.get_sheet_by_name("Breaks").to_python()
    head = rows[1]
    assert {(row[head.index("Payment")], row[head.index("KES in doubt")]) for row in rows[2:]} == {
        ("UI00000750", 750.0),
        ("UI00000100", 100.0),
    }, "what could not be read came later than the day"


def test_a_list_is_the_same_rows_in_every_format(books: Books) -> None:
    with db.transaction(books.as_role("report")) as session:
        found = lists.section(session)
    as_json = json.loads(rendering.render(found, "json"))
    as_csv = list(csv.DictReader(io.StringIO(rendering.render(found, "csv").decode("utf-8-sig"))))
    sheet = CalamineWorkbook.from_filelike(io.BytesIO(rendering.render(found, "xlsx"))).get_sheet_by_index(0)
    in_book = sheet.to_python()[2:]
    assert [row["amount"] for row in as_json] == [row["amount"] for row in as_csv] == ["750.00", "100.00", "0.00"]
    assert [row[2] for row in in_book] == [750.0, 100.0, 0.0]
    table = rendering.render(lists.on_screen(found), "table", width=80).decode()
    assert max(map(len, table.splitlines())) <= 80
    assert "UI00000750" in table, "a code is never cut"


def test_a_break_is_found_by_its_number_and_a_wrong_name_is_refused(books: Books) -> None:
    with db.transaction(books.as_role("api")) as session:
        one = breaks.listed(session)[0]
        for name in (str(one.number), f"#{one.number}", one.public_id):
            assert lists.describe(session, name)["id"] == one.public_id
        shown = lists.describe(session, one.public_id)
        assert (shown["payment"], shown["amount"], shown["state"]) == ("UI00000750", "750.00", "open")
        assert shown["money"][0].startswith("750.00 in suspense")
        for wrong in ("0", "brk_no", "9" * 30, "' OR 1=1"):
            with pytest.raises(NotFound):
                breaks.named(session, wrong)


def test_a_wrong_reason_is_refused_with_the_nearest_and_the_list() -> None:
    assert breaks.reason_named("Unknown account") is BreakReason.UNKNOWN_ACCOUNT
    with pytest.raises(InvalidValue, match=r"did you mean overpaid.*after_close, ambiguous_account"):
        breaks.reason_named("overpayed")


@pytest.mark.parametrize(
    ("name", "said", "wanted"),
    [
        ("x.csv", None, Format.CSV),
        ("X.XLSX", None, Format.XLSX),
        ("x.json", Format.JSON, Format.JSON),
        ("x.txt", None, Format.TABLE),
        (None, None, Format.TABLE),
        (None, Format.CSV, Format.CSV),
    ],
)
def test_the_ending_of_the_file_says_the_format(
    tmp_path: Path, name: str | None, said: Format | None, wanted: Format
) -> None:
    assert chosen(said, None if name is None else tmp_path / name) is wanted


@pytest.mark.parametrize(
    ("name", "said", "words"),
    [
        ("x.pdf", None, r"must be \.csv"),
        ("x", None, r"must be \.csv"),
        ("x.xlsx", Format.CSV, "is xlsx by its ending and --format says csv"),
        ("no/such/x.csv", None, "there is no folder"),
        ("folder.csv", None, "is a folder"),
    ],
)
def test_a_contradiction_and_a_place_that_is_not_there_are_refused(
    tmp_path: Path, name: str, said: Format | None, words: str
) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InvalidValue, match=words):
        chosen(said, tmp_path / name)


@pytest.mark.parametrize(
    "text", ["30/11/2026", "2026-13-01", "20261130", "", "tomorrow", "2026-11-3", "２０２６-11-30"]
)
def test_a_day_that_is_none_is_refused_with_the_spelling(text: str) -> None:
    with pytest.raises(InvalidValue, match="write 2026-11-20, today or yesterday"):
        days.day(text, field="day")
    assert days.day(" Yesterday ", field="day") is not None
    assert days.day("today", field="day") == periods.today()


def test_the_commands_answer_write_and_refuse(books: Books, database: Database, tmp_path: Path) -> None:
    env = {"REVENUE_DATABASE_URL": database.url, "REVENUE_REDIS_URL": database.servers.redis_url}
    made = tmp_path / "breaks.xlsx"
    assert run("break", "list", "--out", str(made), env=env) == ""
    assert made.read_bytes()[:2] == b"PK"
    run("report", "daily", "--date", str(DAY), "--out", str(tmp_path / "day.xlsx"), env=env)
    assert (tmp_path / "day.xlsx").read_bytes()[:2] == b"PK"
    run("report", "daily", "--out", str(tmp_path / "y.xlsx"), "--format", "csv", env=env, status=1)
    assert not (tmp_path / "y.xlsx").exists()
    run("report", "daily", "--date", "2999-01-01", env=env, status=1)
    run("callback", "list", "--state", "wating", env=env, status=1)
    assert json.loads(run("payment", "find", "UI00000750", "--json", env=env))["payments"][0]["amount"] == "750.00"
    answer = json.loads(run("payment", "find", "UI99999998", "--json", env=env, status=3))
    assert answer["payments"] == []
    assert answer["not_there"]
    listed = json.loads(run("callback", "list", "--json", env=env))
    assert [one["state"] for one in listed] == ["waiting", "posted", "posted", "posted"]
    assert json.loads(run("tariff", "list", "--json", "--on", str(DAY), env=env))[0]["item"] == "TRL.NIGHT"
    assert json.loads(run("station", "list", "--json", env=env))[0]["station"] == "MALABA"
    assert json.loads(run("invoice", "list", "--state", "paid", "--json", env=env))[0]["outstanding"] == "0.00"
    run("serve", "--demo", status=1)
    number = str(json.loads(run("break", "list", "--json", env=env))[0]["number"])
    run("break", "assign", number, "--to", "m.wanjala", env=env, status=1)  # nobody is signed in
    env |= books.treasurer.signed_in(tmp_path)
    assert json.loads(run("break", "assign", number, "--to", "m.wanjala", "--json", env=env))["owner"] == "m.wanjala"
    run("break", "note", number, "rang the provider, ticket 12", env=env)
    run("break", "note", number, "  ", env=env, status=1)
    shown = json.loads(run("break", "show", number, "--json", env=env))
    assert shown["owner"] == "m.wanjala"
    assert [line.split(" ", 5)[5].split(":")[0] for line in shown["said"]][1:] == ["assigned to m.wanjala", "noted"]
    assert shown["said"][-1].endswith("noted: rang the provider, ticket 12")
    assert len(json.loads(run("break", "list", "--owner", "m.wanjala", "--json", env=env))) == 1
