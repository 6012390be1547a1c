"""A county with accounts at a bank, the bank's folder behind a real SFTP server, and a process that fetches."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import tenacity

from adapters.kcb import adapter as kcb
from adapters.kcb import rehearsals
from adapters.sandbox import bank
from adapters.sandbox.bank import BankDay
from adapters.sandbox.bank_drop import Address
from revenue_engine import bootstrap, db
from revenue_engine.statements import drops
from revenue_engine.statements.drops import Drop
from revenue_engine.statements.fetching import Fetcher, Look
from revenue_engine.worker import Worker
from tests.conftest import Database
from tests.flows.test_banks import add
from tests.support import people
from tests.support.books import Books

ACCOUNT, SECOND, FOREIGN = "1100100", "1100200", "2200999"
KEY_FILE = "bank-drop.key"
DAY = date(2026, 9, 15)


def day(number: int = 0, *, account: str = ACCOUNT, payments: int = 3, opening: int = 50_000) -> BankDay:
    """A day of an account; days that follow each other open with what the one before closed with."""
    made = bank.make_day("kcb", account, DAY + timedelta(days=number), payments=payments, seed=number, faults=())
    before = (
        opening if number == 0 else day(number - 1, account=account, payments=payments, opening=opening).closing_minor
    )
    return replace(made, opening_minor=before)


class County:
    """A county with two accounts at a bank, the bank's folder, and a fetching process on the fetching login."""

    def __init__(self, database: Database, books: Books, folder: Path, home: Path, secrets: Path) -> None:
        self.database, self.books, self.folder, self.home, self.secrets = database, books, folder, home, secrets
        self.accounts = {
            number: add(books, kcb, number, rehearsals.rehearse(number).settings) for number in (ACCOUNT, SECOND)
        }
        self.clerk, self.treasurer = people.somebody(database.url, "ict.officer", "ict"), people.treasurer(database.url)
        self.pauses: list[int] = []
        self.seconds = 1_789_000_000

    def put(self, name: str, content: bytes | BankDay) -> Path:
        """Put a file into the bank's folder."""
        path = self.folder / name
        path.write_bytes(bank.mt940(content) if isinstance(content, BankDay) else content)
        self.seconds += 1  # a server tells whole seconds, and a test puts two files into one
        os.utime(path, (self.seconds, self.seconds))
        return path

    def set_up(self, address: Address, *accounts: str, **other: Any) -> str:
        """Have a drop asked for, agreed to and set up; the request."""
        given: dict[str, Any] = {
            "name": "kcb-daily",
            "host": address.host,
            "port": address.port,
            "username": address.username,
            "key_file": KEY_FILE,
            "host_keys": [address.host_key],
            "account_ids": [self.accounts[one] for one in accounts or (ACCOUNT,)],
            "settle_seconds": 1,
            "reason": "the bank delivers from today",
        }
        api = self.books.as_role("api")
        with self.clerk.acts(), db.transaction(api) as session:
            public = drops.ask(session, **given | other)
        people.agree(api, public, who=self.treasurer)
        self.work()
        return public

    def fetcher(self, pause: Callable[[int], object] | None = None) -> Fetcher:
        """A fetching process of its own, that waits as the test says."""
        engine = db.make_engine(self.database.role_url("fetch"), pool_size=2)
        self.books.engines.append(engine)
        return Fetcher(
            engine,
            lambda drop: bootstrap.drop_client(drop, secrets_dir=self.secrets),
            bootstrap.statement_readers(),
            pause=pause or self.pauses.append,
            back_off=tenacity.wait_none(),
        )

    def fetch(self, pause: Callable[[int], object] | None = None) -> Look:
        """One look into the one drop."""
        (look,) = self.fetcher(pause).once()
        return look

    def work(self) -> None:
        """Let a worker do what is due."""
        Worker(self.books.as_role("worker"), {"kcb": kcb}, bootstrap.statement_readers()).drain()

    def breaks(self) -> list[tuple[str, str, str]]:
        """The open breaks about files and drops: reason, owner, words."""
        return self.books.rows(
            "SELECT reason, owner, detail FROM break_case WHERE closed_at IS NULL AND reason IN ('unparseable',"
            " 'wrong_shortcode_or_stream', 'statement_not_fetched') ORDER BY opened_at, key"
        )

    def kept(self) -> list[tuple[Any, ...]]:
        """What was fetched: account, name, verdict, bytes told."""
        return self.books.rows(
            "SELECT channel_account_id, headers->>'filename', verdict, body_length FROM delivery"
            " WHERE purpose = 'fetched' ORDER BY id"
        )

    def lines(self) -> int:
        """How many lines of statements are in the books."""
        return int(self.books.rows("SELECT count(*) FROM statement_line")[0][0])

    def drop(self) -> Drop:
        """The drop in force."""
        with db.transaction(self.books.as_role("api")) as session:
            (found,) = drops.in_force(session)
        return found


def whats(look: Look) -> list[tuple[str, str]]:
    return [(file.name, file.what) for file in look.files]
