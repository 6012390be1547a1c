"""Bank accounts, the county's limits and a statement that is said to be missing: one person asks, another agrees."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy.orm import Session

from revenue_engine import db
from revenue_engine.access import approvals
from revenue_engine.billing import tariffs
from revenue_engine.errors import Conflict, InvalidValue, NotAllowed
from revenue_engine.statements import by_hand
from revenue_engine.treasury import bank_accounts
from tests.access.test_attacks import tried
from tests.conftest import Database
from tests.support import people
from tests.support.books import Books


@pytest.fixture(scope="module")
def books(shared_database: Database) -> Iterator[Books]:
    made = Books(shared_database.url)
    yield made
    made.close()


def bank(session: Session, number: str = "0099", **changed: Any) -> str:
    return bank_accounts.ask_open(
        session,
        **{
            "bank": "KCB",
            "number": number,
            "name": "Collections",
            "purpose": "collection",
            "authority": "Letter CT/1 of 1 July 2026",
            "reason": "the county opened it",
            **changed,
        },
    )


def judged(books: Books, asks: people.Someone, ask: Any) -> str | None:
    """One asks, the treasurer agrees, a worker does it; why it was void, or None."""
    with asks.acts(), db.transaction(books.as_role("api")) as session:
        public = ask(session)
    people.agree(books.as_role("api"), public, who=books.treasurer)
    books.work()
    ((outcome, why),) = books.rows(
        "SELECT e.outcome, e.reason FROM access.execution e JOIN access.request r ON r.id = e.request_id"
        " WHERE r.public_id = %s",
        public,
    )
    return str(why) if outcome == "void" else None


def test_a_bank_account_is_opened_by_two(books: Books) -> None:
    ict = people.somebody(books.url, "ict", "ict")
    assert judged(books, ict, bank) is None
    assert books.rows("SELECT account, purpose, opened_by FROM bank_account WHERE number = '0099'") == [
        ("1100.kcb-0099", "collection", "ict")
    ]
    with pytest.raises(Conflict, match="open already"), ict.acts(), db.transaction(books.as_role("api")) as session:
        bank(session)
    for changed, said in (
        ({"purpose": "mine"}, "purpose"),
        ({"authority": ""}, "authority|letter"),
        ({"bank": "k c b"}, "letters"),
    ):
        with pytest.raises(InvalidValue, match=said), ict.acts(), db.transaction(books.as_role("api")) as session:
            bank(session, "1", **changed)
    with pytest.raises(NotAllowed, match="finance officer may"), db.transaction(books.as_role("api")) as session:
        bank(session, "2")  # a clerk


def test_the_countys_limits_are_changed_by_two(books: Books) -> None:
    before = books.rows("SELECT confirm_limit_minor, refuse_unknown_accounts FROM county")
    supervisor = people.somebody(books.url, "one.supervisor", "supervisor")
    with supervisor.acts(), db.transaction(books.as_role("api")) as session:
        public = tariffs.ask_limits(session, confirm_limit_minor=7_000_000, reason="as the committee said")
        alone = approvals.one(session, public)
    with (
        pytest.raises(NotAllowed, match="another person"),
        supervisor.acts(),
        db.transaction(books.as_role("api")) as session,
    ):
        approvals.agree(session, public, shown_sha256=alone.shown_sha256)
    assert books.rows("SELECT confirm_limit_minor, refuse_unknown_accounts FROM county") == before
    people.agree(books.as_role("api"), public, who=books.treasurer)
    books.work()
    assert books.rows("SELECT confirm_limit_minor FROM county") == [(7_000_000,)]
    ((actor, content),) = books.rows(
        "SELECT actor, convert_from(content, 'UTF8') FROM audit_event WHERE action = 'county.update'"
        " ORDER BY id DESC LIMIT 1"
    )
    assert "confirm_limit_minor" in content
    assert actor
    # What it rests on changed meanwhile: the second of two requests is void
    with supervisor.acts(), db.transaction(books.as_role("api")) as session:
        first, second = (
            tariffs.ask_limits(session, confirm_limit_minor=minor, reason="as the committee said") for minor in (1, 2)
        )
    people.agree(books.as_role("api"), second, who=books.treasurer)
    books.work()
    with pytest.raises(Conflict, match="has changed since"):
        people.agree(books.as_role("api"), first, who=books.treasurer)


def test_limits_that_are_none_are_refused(books: Books) -> None:
    for wanted in ({}, {"confirm_limit_minor": 0}, {"confirm_limit_minor": 10**12}):
        with (
            pytest.raises(InvalidValue),
            books.treasurer.acts(),
            db.transaction(books.as_role("api")) as session,
        ):
            tariffs.ask_limits(session, reason="none", **wanted)


def test_a_missing_statement_is_accepted_by_two(books: Books) -> None:
    insert = (
        "INSERT INTO delivery (channel_account_id, purpose, peer, headers, body, body_length, verdict, verdict_reason)"
        " VALUES (1, 'statement', '127.0.0.1', %s, 'x', 1, 'accepted', '') RETURNING id"
    )
    gap = '{"filename": "b.csv", "gap_accepted": "the bank lost a day"}'
    only_clerk = people.somebody(books.url, "only.clerk", "clerk")
    with psycopg.connect(books.url) as connection:
        connection.execute("SET ROLE revenue_api")
        connection.execute("SELECT set_config('revenue.session', %s, false)", (only_clerk.secret,))
        connection.commit()
        refused = tried(connection, insert, gap)
        assert refused.startswith("RV403 you may not ask that a missing statement be accepted; "), refused
        assert tried(connection, "SELECT enter_closing(1, 1)").startswith("42501")
        connection.execute("SELECT set_config('revenue.session', %s, false)", (books.clerk.secret,))
        row = connection.execute(insert, (gap,)).fetchone()
        assert row is not None
        connection.commit()
    with (
        pytest.raises(Conflict, match=r"no statement stands before it \(the bank lost a day\)"),
        books.treasurer.acts(),
        db.transaction(books.as_role("api")) as session,
    ):
        by_hand.enter(session, row[0], 100)
    cashier = people.somebody(books.url, "one.cashier", "cashier")
    with (
        pytest.raises(NotAllowed, match="finance officer"),
        cashier.acts(),
        db.transaction(books.as_role("api")) as session,
    ):
        by_hand.enter(session, row[0], 100, gap=True)
    with books.treasurer.acts(), db.transaction(books.as_role("api")) as session:
        by_hand.enter(session, row[0], 100, gap=True)
    ((who, told),) = books.rows(
        "SELECT actor, convert_from(content, 'UTF8') FROM audit_event WHERE action = 'statement.gap_agreed'"
    )
    assert who == "treasurer"
    assert "the bank lost a day" in told
