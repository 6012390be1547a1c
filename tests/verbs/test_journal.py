"""The book as text for other programs: declared, opened, tagged, asserted, and proved by another reader."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from revenue_engine import db, ledger
from revenue_engine.reports import journal
from tests.conftest import Database
from tests.support.books import DAY, NOON, Books, reversal
from tests.support.commands import run

LINE = re.compile(r"    ([a-z_]+:\S+)  KES (-?\d+\.\d\d)(?: = KES (-?\d+\.\d\d))?(?:  ; (.*))?")

OPENS = re.compile(r"^\d{4}-\d\d-\d\d opening balances$", re.MULTILINE)


def cents(text: str) -> int:
    whole, part = text.lstrip("-").split(".")
    return (int(whole) * 100 + int(part)) * (-1 if text.startswith("-") else 1)


def read(text: str) -> dict[str, int]:
    """A strict little reader: every account declared, every transaction zero, days in order, every assertion true."""
    declared = set(re.findall(r"^account (\S+)", text, re.MULTILINE))
    assert "commodity KES 1000.00" in text
    balances: dict[str, int] = {}
    latest = date.min
    blocks = [block for block in text.split("\n\n") if re.match(r"\d{4}-", block)]
    for block in blocks:
        head, *body = block.strip().splitlines()
        day = date.fromisoformat(head.split()[0])
        assert day >= latest
        latest, whole = day, 0
        for line in body:
            parts = LINE.fullmatch(line)
            assert parts, line
            account, amount, asserted, _ = parts.groups()
            assert account in declared
            whole += cents(amount)
            balances[account] = balances.get(account, 0) + cents(amount)
            if asserted is not None:
                assert balances[account] == cents(asserted), line
        assert whole == 0, block
    return {account: minor for account, minor in balances.items() if minor}


@pytest.fixture
def books(testland: Database) -> Iterator[Books]:
    made = Books(testland.url)
    yield made
    made.close()


def fill(books: Books) -> tuple[str, str]:
    bill = books.bill(1000)
    paid = books.pay(1000, bill.pay_account_number)
    books.pay(300, "MALABA KDA123A")
    books.pay(750, "who knows")
    back = books.pay(5, "who knows", at=NOON + timedelta(days=2))
    books.deliver(reversal(back, 5))
    books.work()
    return bill.pay_account_number, paid


def text_of(books: Books, **days: date) -> str:
    with db.transaction(books.as_role("report")) as session:
        return "".join(journal.text(session, journal.Exported(), **days))


def test_another_reader_finds_the_same_balances_and_what_each_journal_is_about(books: Books) -> None:
    bill, paid = fill(books)
    text = text_of(books)
    with db.transaction(books.as_role("report")) as session:
        trial = ledger.trial_balance(session)
        heads = ledger.account_heads(session)
    ours = {heads[line.code][0]: line.debit_minor - line.credit_minor for line in trial}
    assert read(text) == {account: minor for account, minor in ours.items() if minor}
    assert re.search(rf"payment_received  ; key: payment:\d+:received, code: {paid}, receipt: RCT-2627-000001", text)
    assert f"bill: {bill}, stream: SBP" in text
    assert "station: MALABA" in text
    assert text.count("; key: ") == books.rows("SELECT count(*) FROM journal")[0][0]
    assert "Achieng" not in text
    assert "2547" not in text


def test_a_part_of_the_book_opens_with_what_stood_before_and_ends_at_the_same_balances(books: Books) -> None:
    fill(books)
    whole = read(text_of(books))
    assert not OPENS.search(text_of(books))
    for split in (DAY + timedelta(days=1), DAY + timedelta(days=2)):
        later = text_of(books, first=split)
        assert read(later) == whole
        assert OPENS.search(later)
        assert read(text_of(books, last=split)), "the first days prove themselves too"
    assert read(text_of(books, first=date(2030, 1, 1))) == whole


def test_the_manifest_says_what_the_file_is_and_a_changed_file_is_seen(
    books: Books, database: Database, tmp_path: Path
) -> None:
    fill(books)
    env = {"REVENUE_DATABASE_URL": database.url, "REVENUE_REDIS_URL": database.servers.redis_url}
    file = tmp_path / "book.journal"
    assert run("ledger", "export", "--from", str(DAY), "--to", str(DAY), "--out", str(file), env=env) == ""
    told = json.loads((tmp_path / "book.journal.manifest.json").read_text())
    assert told["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert (told["county"], told["from"], told["to"], told["last_day"]) == ("Testland", *[str(DAY)] * 3)
    assert told["postings"] == (file.read_text().count("  KES ") - file.read_text().count(" = KES ")) // 2
    run("ledger", "export", "--from", "2026-09-16", "--to", "2026-09-15", env=env, status=1)
    run("ledger", "export", "--out", str(tmp_path / "no" / "x"), env=env, status=1)
