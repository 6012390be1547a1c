"""Sabotages: each takes one promise away, and the check that guards it must go red. Without the sabotage it is green.

A check that cannot fail proves nothing. The workload, and the check that judges it, are the same in both cases.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from functools import partial
from typing import Any

import psycopg
import pytest

from revenue_engine import db, ledger
from revenue_engine.ledger.journal import Journal, Posting
from tests.faults import checks, plan
from tests.faults.harness import Provider, World, world
from tests.support import closing
from tests.support.books import DAY, NOON, Books

SEED = 11
WRITERS = 6


def at_once(*work: Callable[[], object]) -> None:
    """Do several things at the same time; the first error of any of them is raised."""
    errors: list[BaseException] = []

    def run(one: Callable[[], object]) -> None:
        try:
            one()
        except BaseException as error:  # noqa: BLE001 - raised again below
            errors.append(error)

    threads = [threading.Thread(target=run, args=(one,)) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    if errors:
        raise errors[0]


def post_slowly(books: Books, seed: int, days: list[date], count: int) -> int:
    """Post journals one transaction each, which commits a little after it wrote; how many the database refused."""
    rng, engine, refused = random.Random(seed), books.as_role("worker"), 0
    for number in range(count):
        at = NOON + timedelta(days=(rng.choice(days) - DAY).days)
        amount = rng.randrange(1_00, 900_00)
        try:
            with db.transaction(engine) as session:
                journal = Journal("payment_received", at, (Posting(checks.CLEARING, checks.SUSPENSE, amount),))
                ledger.post(session, journal, key=f"sabotage:{seed}:{number}")
                time.sleep(rng.uniform(0, 0.02))
        except psycopg.errors.CheckViolation:
            refused += 1
    return refused


# --- (a) a snapshot that reads by id -------------------------------------------------------------------------------


def snapshots_under_load(books: Books) -> list[str]:
    """Snapshots are taken all the time while six writers post."""
    done = threading.Event()

    def fold() -> None:
        engine = books.as_role("worker")
        while not done.is_set():
            with db.transaction(engine) as session:
                ledger.snapshot(session)
            time.sleep(0.005)
        with db.transaction(engine) as session:
            ledger.snapshot(session)

    def write() -> None:
        try:
            at_once(*(partial(post_slowly, books, seed, [DAY], 40) for seed in range(WRITERS)))
        finally:
            done.set()

    at_once(write, fold)
    return checks.snapshots_are_complete(books.engine)


def folds_by_id(books: Books) -> None:
    """Make the database fold what has a larger id than the last one folded: what commits late is passed over."""
    ((function,),) = books.rows("SELECT pg_get_functiondef('take_snapshot(bigint)'::regprocedure)")
    newer = "j.id > (SELECT max(folded) FROM by_id) AND j.id <= newest"
    changed = (
        function.replace("j.xid >= start_at AND j.xid < end_at", newer)
        .replace("end_at := pg_snapshot_xmin(pg_current_snapshot());", "end_at := pg_current_xact_id();")
        .replace("waiting bigint;", "waiting bigint;\n newest bigint;")
        .replace("IF end_at <= start_at THEN", "SELECT max(id) INTO newest FROM journal;\n IF newest IS NULL THEN")
        .replace("RETURN waiting;", "INSERT INTO by_id VALUES (newest);\n RETURN waiting;")
    )
    assert changed.count(newer) == 2
    books.execute("CREATE TABLE by_id (folded bigint)")
    books.execute("INSERT INTO by_id VALUES (0)")
    books.execute("ALTER TABLE by_id OWNER TO revenue_owner")
    books.execute(changed)
    for guarded in ("snapshot_run", "balance_slice"):
        books.execute(f"ALTER TABLE {guarded} DISABLE TRIGGER horizon_guard")


def test_snapshots_below_the_horizon_miss_nothing(books: Books) -> None:
    assert snapshots_under_load(books) == []


def test_sabotage_a_snapshot_by_id_is_found(books: Books) -> None:
    folds_by_id(books)
    red, verified = snapshots_under_load(books), checks.books_verify(books.engine)
    print(red, verified)
    assert any(problem.startswith(f"snapshots: account {checks.CLEARING} reads") for problem in red)
    assert any("ledger verify: snapshots" in problem and "slice of" in problem for problem in verified)


# --- (b) a period check without its lock ---------------------------------------------------------------------------


def closes_under_load(books: Books) -> list[str]:
    """Days are closed, and their figures certified, while six writers post to them."""
    days = [DAY + timedelta(days=number) for number in range(3)]
    certified: dict[date, tuple[int, int]] = {}
    api = books.as_role("api")
    closing.without_controls(books)
    refused: list[int] = []

    def close() -> None:
        for day in days:
            time.sleep(0.15)
            with books.treasurer.acts(), db.transaction(api) as session:
                db.scalar(session, "SELECT close_begin(%s)", (day,))
            with db.transaction(books.engine) as session:
                certified[day] = checks.figures_of(db.raw(session), day)  # from here on the day takes nothing
            closing.close(books, day)

    def write(seed: int) -> None:
        refused.append(post_slowly(books, seed, days, 40))

    at_once(close, *(partial(write, seed) for seed in range(WRITERS)))
    assert sum(journals for journals, _ in certified.values()) > 0
    with db.transaction(books.engine) as session:
        found = checks.no_journal_on_a_day_closed_before(db.raw(session), certified)
    return (
        [*found, f"refused: {sum(refused)} journals chose a day that was closed meanwhile"] if sum(refused) else found
    )


def test_a_close_waits_for_recording_in_flight(books: Books) -> None:
    assert closes_under_load(books) == []


def test_sabotage_b_period_check_without_its_lock_is_found(books: Books) -> None:
    ((source,),) = books.rows("SELECT pg_get_functiondef('book_date_on_or_after'::regproc)")
    lock = "PERFORM pg_advisory_xact_lock_shared(7201, chosen - DATE '2000-01-01');"
    assert lock in source
    books.execute(source.replace(lock, ""))
    books.execute("DROP TRIGGER close_book_date ON closed_day")
    ((source,),) = books.rows("SELECT pg_get_functiondef('close_begin(date)'::regprocedure)")
    lock = "PERFORM pg_advisory_xact_lock(7201, busy - DATE '2000-01-01');"
    assert lock in source
    books.execute(source.replace(lock, "NULL;"))
    closing.without_controls(books)
    worker, api, certified = books.as_role("worker"), books.as_role("api"), {}
    with db.transaction(worker) as session:  # a recorder on its way, which the close does not wait for now
        ledger.post(
            session, Journal("payment_received", NOON, (Posting(checks.CLEARING, checks.SUSPENSE, 1_00),)), key="b"
        )
        with books.treasurer.acts(), db.transaction(api) as shutting:
            db.scalar(shutting, "SELECT close_begin(%s)", (DAY,))
        with db.transaction(books.engine) as counting:
            certified[DAY] = checks.figures_of(db.raw(counting), DAY)
    with db.transaction(books.engine) as session:
        red = checks.no_journal_on_a_day_closed_before(db.raw(session), certified)
    assert any(problem.startswith("no journal on a day closed before") for problem in red)


# --- (c) a unique key that was dropped -----------------------------------------------------------------------------


def duplicates_at_once(books: Books) -> list[str]:
    """Four copies of each message side by side, and four workers with small batches racing for them."""
    sent = plan.make(books, seed=SEED, payments=40, duplicates=0, reversals=0)
    books.deliver(*((message.purpose, message.body) for message in sent.messages for _ in range(4)))
    at_once(*(partial(books.work, batch=2) for _ in range(4)))
    books.work()
    with db.transaction(books.engine) as session:
        return checks.nothing_doubled(db.raw(session), sent.truth)


def test_duplicates_at_once_are_one_payment(books: Books) -> None:
    assert duplicates_at_once(books) == []


class _WithoutConflict:
    """A connection whose INSERT of payments has no ON CONFLICT."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statement: str, *rest: Any, **more: Any) -> Any:
        kept = statement.replace("ON CONFLICT (channel_account_id, kind, reference) DO NOTHING", "")
        return self._connection.execute(kept, *rest, **more)


def test_sabotage_c_dropped_unique_key_is_found(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    books.execute("DROP INDEX uq_payment_identity")
    monkeypatch.setattr("revenue_engine.payments.payments.raw", lambda session: _WithoutConflict(db.raw(session)))
    red = duplicates_at_once(books)
    print(red)
    assert any(problem.startswith("doubled: ") for problem in red)


# --- (d) and (e): answers that are not yet promises ----------------------------------------------------------------


@pytest.fixture(scope="module")
def stage() -> Iterator[World]:
    """Servers that may be killed, without workers: their commits would flush those of the intake too."""
    with world(SEED, workers=0) as made:
        with made.connect() as connection:
            connection.autocommit = True
            connection.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")
            connection.execute("ALTER SYSTEM SET wal_writer_flush_after = '1GB'")
            connection.execute("SELECT pg_reload_conf()")
        yield made


def killed_upon_answers(stage: World, seed: int, target: str, *, sabotage: str = "", rounds: int = 3) -> list[str]:
    """The intake, or all of PostgreSQL, is killed as soon as some deliveries were answered."""
    stage.intake_command = (
        ("-m", "tests.faults.sabotaged_intake", sabotage) if sabotage else ("-m", "revenue_engine.cli", "intake")
    )
    stage.start("intake")
    stage.wait_ready()
    sent = plan.make(stage.books, seed=seed, payments=600)
    provider = Provider(stage, sent.messages, per_second=150)
    provider.start()
    for _ in range(rounds):
        provider.wait_acked(40)
        if target == "intake":
            stage.kill_process("intake")
        else:
            stage.kill_server(target)
    provider.halt()
    stage.kill_process("intake", restart=False)
    with stage.connect() as connection:
        return checks.acked_are_stored(connection, provider.acked)


@pytest.mark.parametrize("target", ["intake", "pg"])
def test_what_was_answered_survives_a_kill_upon_the_answer(stage: World, target: str) -> None:
    assert killed_upon_answers(stage, 20 if target == "intake" else 21, target, rounds=2) == []


def test_sabotage_d_commit_after_the_answer_is_found(stage: World) -> None:
    red = killed_upon_answers(stage, 22, "intake", sabotage="answer-first", rounds=1)
    print(red)
    assert red[0].startswith("acked ⊄ stored: ")


def test_sabotage_e_synchronous_commit_off_is_found(stage: World) -> None:
    red = killed_upon_answers(stage, 23, "pg", sabotage="commit-unflushed", rounds=1)
    print(red)
    assert red[0].startswith("acked ⊄ stored: ")
