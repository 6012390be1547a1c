"""A file brought by hand is one person's word: it books nothing until another has entered what it closes with."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from revenue_engine import db
from revenue_engine.channels import deliveries
from revenue_engine.db import raw, transaction
from revenue_engine.errors import Conflict, NotAllowed, NotFound, NotSignedIn, StaleFactor
from revenue_engine.ports.callbacks import Purpose
from revenue_engine.statements import by_hand, importing
from revenue_engine.worker import Worker
from tests.access.test_attacks import tried
from tests.conftest import Database
from tests.flows.test_statements import Plain, statement
from tests.support import people
from tests.support.books import Books
from tests.support.people import Someone


@pytest.fixture
def books(testland: Database) -> Iterator[Books]:
    kept = Books(testland.url)
    kept.readers["plain"] = Plain()
    yield kept
    kept.close()


def keep(books: Books, *, who: Someone | None = None, body: bytes | None = None) -> int:
    """A file that one person brings, of one payment of 200.00 to whatever is typed; nobody else has seen it."""
    who = who or books.clerk
    with who.acts(), transaction(books.as_role("api")) as session:
        return deliveries.keep(
            session,
            channel_account_id=1,
            purpose=Purpose.STATEMENT,
            body=body or statement(("payment", "UI0000F001", 200, "")),
            headers={"filename": "a.csv"},
        )


def read(books: Books) -> None:
    """Let a worker do what is due, and no person anything."""
    worker = Worker(db.make_engine(books.url, role="worker", pool_size=2), {}, books.readers)
    books.engines.append(worker.engine)
    worker.drain()


def enter(books: Books, delivery: int, shillings: int, *, who: Someone | None = None) -> str:
    who = who or books.treasurer
    with who.acts(), transaction(books.as_role("api")) as session:
        return by_hand.enter(session, delivery, shillings * 100)


def booked(books: Books) -> tuple[int, int, int, int]:
    ((counts),) = books.rows(
        "SELECT (SELECT count(*) FROM payment), (SELECT count(*) FROM journal), (SELECT count(*) FROM statement_line),"
        " (SELECT count(*) FROM evidence)"
    )
    return counts  # type: ignore[return-value]


def test_it_books_nothing_and_is_shown_with_its_total(books: Books) -> None:
    delivery = keep(books)
    read(books)
    assert booked(books) == (0, 0, 0, 0)
    assert books.rows("SELECT reason, amount_minor, closed_at FROM break_case") == [("file_not_agreed", 20_000, None)]
    assert books.rows("SELECT state FROM delivery_state WHERE delivery_id = %s", delivery) == [("waiting",)]
    with books.treasurer.acts(), transaction(books.as_role("api")) as session:
        (waits,) = by_hand.waiting(session)
    assert (waits.delivery_id, waits.brought_by, waits.foot, waits.entries) == (delivery, "clerk", "closing", 0)
    assert "20000" not in str(waits) and "200.00" not in str(waits)  # noqa: PT018 - nothing of what it says


def test_a_second_person_enters_the_closing_balance_and_it_is_booked(books: Books) -> None:
    delivery = keep(books)
    read(books)
    assert enter(books, delivery, 200) == "agrees"
    read(books)
    assert booked(books)[:3] == (1, 1, 1)
    assert "file_not_agreed" not in books.open_breaks()
    with pytest.raises(Conflict, match="agreed already"):
        enter(books, delivery, 200)


def test_entered_before_the_file_was_read_it_is_booked_at_once(books: Books) -> None:
    delivery = keep(books)
    assert enter(books, delivery, 200) == "waits"
    read(books)
    assert booked(books)[0] == 1


def test_an_entry_and_the_reading_at_once_do_not_miss_each_other(books: Books) -> None:
    """The worker has looked for entries and found none when the second person enters one: they wait, and it agrees."""
    delivery = keep(books)
    with ThreadPoolExecutor(1) as pool:
        with transaction(books.as_role("worker")) as session:
            importing.import_statement(session, delivery, adapters={}, readers=books.readers)
            entering = pool.submit(enter, books, delivery, 200)
            time.sleep(0.5)
            assert not entering.done()
        assert entering.result() == "agrees"
    books.execute("UPDATE job SET run_after = now()")
    read(books)
    assert booked(books)[0] == 1


@pytest.mark.parametrize("early", [True, False], ids=["entered first", "read first"])
def test_another_balance_books_nothing_however_often(books: Books, early: bool) -> None:
    delivery = keep(books)
    if not early:
        read(books)
    for shillings in (100, 201, 0, -200, 20_000):
        assert enter(books, delivery, shillings) == ("waits" if early else "differs")
    read(books)
    assert booked(books) == (0, 0, 0, 0)
    assert books.open_breaks() == ["file_not_agreed"]
    with pytest.raises(Conflict, match="five entries differed"):
        enter(books, delivery, 200)


def test_who_brought_it_does_not_vouch_for_it(books: Books) -> None:
    delivery = keep(books)
    read(books)
    with pytest.raises(NotAllowed, match="another person enters its closing balance; cashier or finance officer"):
        enter(books, delivery, 200, who=people.clerk(books.url))  # another session of the same person
    with pytest.raises(NotAllowed, match="you may not enter"):
        enter(books, delivery, 200, who=people.somebody(books.url, "an.auditor", "auditor"))
    assert books.treasurer.secret
    books.execute("UPDATE access.session SET stepped_up_at = now() - interval '6 minutes'")
    with pytest.raises(StaleFactor):
        enter(books, delivery, 200)
    with pytest.raises(NotFound):
        enter(books, 99, 200, who=people.treasurer(books.url))


def test_files_of_an_account_are_agreed_to_in_the_order_they_came(books: Books) -> None:
    first = keep(books)
    second = keep(books, body=statement(("payment", "UI0000F002", 100, ""), opening=200))
    read(books)
    with pytest.raises(Conflict, match=f"file {first} of this account was brought earlier"):
        enter(books, second, 300)
    with books.treasurer.acts(), pytest.raises(NotAllowed), transaction(books.as_role("api")) as session:
        by_hand.drop(session, first)
    with books.clerk.acts(), transaction(books.as_role("api")) as session:
        by_hand.drop(session, first)
    read(books)
    assert books.open_breaks() == ["file_not_agreed"]
    assert enter(books, second, 300) == "agrees"


def test_a_refused_file_leaves_only_its_row(books: Books) -> None:
    delivery = keep(books, body=b"nobody's format\n")
    read(books)
    assert booked(books) == (0, 0, 0, 0)
    assert books.open_breaks() == []
    ((reason,),) = books.rows("SELECT reason FROM delivery_state WHERE delivery_id = %s", delivery)
    assert reason.startswith("refused")
    assert books.rows("SELECT count(*) FROM statement_reading") == [(0,)]


# --- attacks ---------------------------------------------------------------------------------------------------------


def test_a_forged_statement_by_sql_of_the_api_is_nobodys_word(books: Books, database: Database) -> None:
    bill = books.bill(200)
    body = statement(("payment", "UI0000F003", 200, bill.pay_account_number))
    insert = (
        "INSERT INTO delivery (channel_account_id, purpose, headers, body, body_length, verdict, verdict_reason)"
        " VALUES (1, 'statement', %s, %s, %s, 'accepted', '')"
    )
    told: tuple[Any, ...] = (Jsonb({"filename": "a.csv", "by": "the treasurer"}), body, len(body))
    with psycopg.connect(database.role_url("api")) as connection:
        assert tried(connection, insert, *told) == "RV401 nobody is signed in"
        connection.execute("SELECT set_config('revenue.session', %s, false)", (books.clerk.secret,))
        connection.commit()
        connection.execute(insert, told)
        connection.commit()
        for statement_, values in (
            ("INSERT INTO statement_entry (delivery_id, person_id, entered_minor) VALUES (1, 99, 20000)", ()),
            ("INSERT INTO statement_file (delivery_id, brought_by) VALUES (1, 99)", ()),
            ("INSERT INTO statement_reading (delivery_id, foot, foot_minor) VALUES (1, 'closing', 1)", ()),
            ("SELECT * FROM statement_reading", ()),
            ("SELECT body FROM delivery", ()),
            ("UPDATE statement_file SET brought_by = 99", ()),
            ("INSERT INTO statement (public_id) VALUES ('x')", ()),
        ):  # fmt: skip
            assert tried(connection, statement_, *values).startswith("42501"), statement_
        ((delivery,),) = books.rows("SELECT max(id) FROM delivery")
        assert tried(connection, "SELECT enter_closing(%s, 20000, false)", delivery).startswith(
            "RV403 you brought this file"
        )
    read(books)
    assert books.left(bill) == 200
    ((by,),) = books.rows("SELECT p.login FROM statement_file f JOIN access.person p ON p.id = f.brought_by")
    assert by == "clerk"  # whatever its headers say


@pytest.mark.parametrize("role", [None, "worker"])
def test_not_even_the_worker_keeps_a_statement_that_nobody_vouched_for(books: Books, role: str | None) -> None:
    delivery = keep(books)
    read(books)
    insert = (
        "INSERT INTO statement (public_id, delivery_id, channel_account_id, format, account, currency, reference,"
        " number, credits_minor, debits_minor, lines, new_lines)"
        " VALUES ('sta_x', %s, 1, 'x', 'x', 'KES', '', '', 1, 0, 1, 1)"
    )
    with pytest.raises(NotAllowed, match="one person's word"), transaction(books.as_role(role)) as session:
        raw(session).execute(insert, (delivery,))
    enter(books, delivery, 100)  # another person did enter something, and it is not the file's
    with pytest.raises(NotAllowed, match="one person's word"), transaction(books.as_role(role)) as session:
        raw(session).execute(insert, (delivery,))


def test_nobody_signed_in_brings_no_file(books: Books, database: Database) -> None:
    engine = db.make_engine(database.role_url("api"), pool_size=1)
    with pytest.raises(NotSignedIn), transaction(engine) as session:
        deliveries.keep(session, channel_account_id=1, purpose=Purpose.STATEMENT, body=b"x", headers={})
    auditor = people.somebody(books.url, "an.auditor", "auditor")
    with auditor.acts(), pytest.raises(NotAllowed, match="may not bring"), transaction(engine) as session:
        deliveries.keep(session, channel_account_id=1, purpose=Purpose.STATEMENT, body=b"x", headers={})
    engine.dispose()
