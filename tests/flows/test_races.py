"""Two workers at one sum of money: whatever the interleaving, it is in one place."""

from __future__ import annotations

import threading
import time
from datetime import date

import psycopg

from revenue_engine import db, periods
from revenue_engine.payments import request_push
from tests.support.books import DAY, Books, code, confirmation, push_result, reversal


def _wait_for_waiters(connection: psycopg.Connection[tuple[int]], wanted: int) -> None:
    for _ in range(100):
        row = connection.execute(
            "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
            " WHERE NOT l.granted AND d.datname = current_database()"
        ).fetchone()
        if row and row[0] >= wanted:
            return
        time.sleep(0.05)
    raise AssertionError(f"there were never {wanted} waiting for a lock")


def test_money_in_suspense_is_not_identified_and_taken_back_at_once(books: Books) -> None:
    # Given money in suspense, the push result that finds its bill, and its reversal
    bill, paid = books.bill(250), code()
    with db.transaction(books.as_role("api")) as session:
        request_push(
            session, channel_account_id=1, request_id="ws_CO_1", invoice_id=bill.id, amount_minor=250_00, by="clerk"
        )
    books.deliver(confirmation(250, "kwa jina la mama", reference=paid))
    books.work()
    books.deliver(push_result(250, "ws_CO_1", reference=paid), reversal(paid, 250))
    # When two workers have both looked and neither has posted
    with psycopg.connect(books.url, autocommit=True) as gate:
        for day in {DAY, periods.today()}:
            gate.execute("SELECT pg_advisory_lock(7201, %s::int)", ((day - date(2000, 1, 1)).days,))
        workers = [threading.Thread(target=books.work, kwargs={"batch": 1}) for _ in range(2)]
        for worker in workers:
            worker.start()
        _wait_for_waiters(gate, 2)
        gate.execute("SELECT pg_advisory_unlock_all()")
        for worker in workers:
            worker.join()
    # Then the money went back, from the one place where it was
    assert books.left(bill) == 250
    assert set(books.balances()) == {"1300.SBP", "4000.SBP.principal"}
