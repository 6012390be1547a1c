"""Work that goes wrong: what is tried again, what is given up, and who keeps at it."""

from __future__ import annotations

import threading

import psycopg
import pytest

from revenue_engine import db
from revenue_engine.collection import pipeline
from revenue_engine.errors import Retryable
from revenue_engine.work import jobs
from revenue_engine.worker import Worker
from tests.support.books import Books, confirmation, push_result


def test_a_lock_or_a_lost_lease_never_makes_work_dead(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a payment whose batch met a lock seven times, and meets it again
    bill = books.bill(100)
    told = books.deliver(confirmation(100, bill.pay_account_number))
    books.execute("UPDATE job SET attempts = 7")
    with monkeypatch.context() as patched:
        patched.setattr(pipeline, "process", lambda *_, **__: (_ for _ in ()).throw(Retryable("the lease was lost")))
        books.work()
    assert books.states(told) == ["pending"]
    # Then it is tried again, and paid when the lock is gone
    books.execute("UPDATE job SET run_after = now()")
    books.work()
    assert books.left(bill) == 0


def test_a_value_the_driver_refuses_holds_back_its_own_row_only(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    bills = [books.bill(100) for _ in range(4)]
    told = books.deliver(*(confirmation(100, bill.pay_account_number) for bill in bills))
    process = pipeline.process

    def refuse(session: object, ids: list[int], **more: object) -> pipeline.Outcome:
        if told[2] in ids:
            raise psycopg.DataError("the driver cannot send this value")
        return process(session, ids, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(pipeline, "process", refuse)
    books.work()
    assert [books.left(bill) for bill in bills] == [0, 0, 100, 0]


def test_a_waiting_delivery_is_looked_at_until_no_older_work_is_in_flight(books: Books) -> None:
    # Given a message that is no proof alone, and another worker in the middle of a batch that it took long before
    (told,) = books.deliver(push_result(100, "ws_CO_unknown", reference="UIW0000001"))
    books.deliver(confirmation(100, "x"))
    with db.transaction(books.as_role("worker")) as session:
        jobs.claim(session, kind="interpret", worker="another", limit=2, lease_seconds=60)
    books.execute("UPDATE job SET leased_by = NULL, lease_until = NULL, attempts = 5 WHERE ref_id = %s", told)
    books.execute("UPDATE job SET lease_until = lease_until - interval '10 s' WHERE leased_by = 'another'")
    # When it is looked at however often, then it is looked at once more
    for _ in range(3):
        books.execute("UPDATE job SET run_after = now()")
        books.work()
        assert books.rows("SELECT 1 FROM job WHERE ref_id = %s AND run_after > now()", told) == [(1,)]
    # Until that worker has ended
    books.execute("UPDATE job SET leased_by = NULL, lease_until = NULL WHERE leased_by = 'another'")
    books.execute("UPDATE job SET run_after = now()")
    books.work()
    assert books.rows("SELECT 1 FROM job WHERE ref_id = %s", told) == []
    assert books.states([told]) == ["waiting"]


def test_a_worker_thread_outlives_an_error_nobody_foresaw(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    stop, wake, stumbled = threading.Event(), threading.Event(), threading.Event()
    worker = Worker(books.as_role("worker"), {})
    once = Worker.once

    def fail_once(self: Worker) -> int:
        if not stumbled.is_set():
            stumbled.set()
            raise RuntimeError("a fault of ours")
        stop.set()
        return once(self)

    monkeypatch.setattr(Worker, "once", fail_once)
    worker.run(stop, wake)
    assert stop.is_set()
