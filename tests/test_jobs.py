"""Work rows: each piece of work is done once, whoever dies while doing it."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine

from revenue_engine.db import make_engine, raw, transaction
from revenue_engine.errors import Retryable
from revenue_engine.work import jobs
from revenue_engine.work.jobs import Claim
from revenue_engine.worker import Worker
from tests.conftest import Database

KIND = "interpret"


class Desk:
    """A database of jobs, and the few things that workers do with them, each in a transaction of its own."""

    def __init__(self, database: Database) -> None:
        self.url = database.url
        self.engine: Engine = make_engine(database.url, role="worker", pool_size=10)

    def add(self, *refs: int, kind: str = KIND) -> None:
        with transaction(self.engine) as session:
            jobs.add(session, kind=kind, refs=list(refs))

    def claim(self, worker: str = "anna", *, limit: int = 10, lease: int = 60, kind: str = KIND) -> list[Claim]:
        with transaction(self.engine) as session:
            return jobs.claim(session, kind=kind, worker=worker, limit=limit, lease_seconds=lease)

    def finish(self, claims: list[Claim], worker: str = "anna", *, work: str | None = None) -> None:
        with transaction(self.engine) as session:
            if work:
                self.work(session, work)
            jobs.finish(session, worker=worker, claims=claims)

    def fail(self, claimed: Claim, worker: str = "anna", *, wait: float = 0, most: int = 3, error: str = "no") -> bool:
        with transaction(self.engine) as session:
            return jobs.fail(
                session, worker=worker, claimed=claimed, error=error, max_attempts=most, back_off_seconds=wait
            )

    def replay(self, ref: int) -> None:
        with transaction(self.engine) as session:
            jobs.replay(session, kind=KIND, ref_id=ref)

    def work(self, session: Any, what: str) -> None:
        """The work of a job: a row that is there when the work was done, and not when it was rolled back."""
        raw(session).execute("INSERT INTO done_work (what) VALUES (%s)", (what,))

    def done(self) -> list[str]:
        return [row[0] for row in self.rows("SELECT what FROM done_work ORDER BY id")]

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with transaction(self.engine) as session:
            return raw(session).execute(statement, values or None).fetchall()

    def execute(self, statement: str, *values: Any) -> None:
        with transaction(self.engine) as session:
            raw(session).execute(statement, values or None)

    def expire(self) -> None:
        """Let every lease run out."""
        self.execute(
            "UPDATE job SET lease_until = clock_timestamp() - interval '1 second',"
            " run_after = least(run_after, clock_timestamp()) WHERE leased_by IS NOT NULL"
        )

    def standing(self) -> list[tuple[Any, ...]]:
        return self.rows("SELECT ref_id, state, attempts, leased_by FROM job ORDER BY ref_id")


@pytest.fixture
def desk(database: Database) -> Iterator[Desk]:
    made = Desk(database)
    with database.connect() as connection:
        connection.execute("CREATE TABLE done_work (id bigint GENERATED ALWAYS AS IDENTITY, what text NOT NULL)")
        connection.execute("GRANT INSERT, SELECT ON done_work TO revenue_worker")
    yield made
    made.engine.dispose()


def refs(claims: list[Claim]) -> list[int]:
    return [claimed.ref_id for claimed in claims]


# --- the life of a job -----------------------------------------------------------------------------------------------


def test_a_job_is_claimed_done_and_gone(desk: Desk) -> None:
    # Given work that was asked for twice
    desk.add(7, 8)
    desk.add(8, 8, 7)
    # When a worker claims and finishes it
    claims = desk.claim()
    assert [(claimed.ref_id, claimed.attempts) for claimed in claims] == [(7, 1), (8, 1)]
    assert desk.claim("ben") == []
    desk.finish(claims, work="both")
    # Then it is gone, and what was done stands
    assert desk.standing() == []
    assert desk.done() == ["both"]
    desk.finish([])
    desk.add()


def test_a_claim_is_of_one_kind_and_no_more_than_asked(desk: Desk) -> None:
    desk.add(1, 2, 3)
    desk.add(4, kind="other")
    assert len(desk.claim(limit=2)) == 2
    assert refs(desk.claim(kind="other")) == [4]
    assert len(desk.claim(limit=2)) == 1


@pytest.mark.parametrize("plan", ["on", "off"])
def test_no_plan_of_the_server_claims_more_than_asked(desk: Desk, plan: str) -> None:
    # Given a table whose statistics say that it is empty, and a server that would rather loop than hash
    desk.execute("RESET ROLE; ANALYZE job; SET ROLE revenue_worker")
    desk.add(*range(200))
    with transaction(desk.engine) as session:
        for choice in ("enable_hashjoin", "enable_mergejoin", "enable_hashagg", "enable_sort", "enable_material"):
            raw(session).execute(f"SET LOCAL {choice} = {plan}")
        # When a few are claimed, then only a few are
        claims = jobs.claim(session, kind=KIND, worker="anna", limit=5, lease_seconds=60)
        assert len(claims) == 5
    assert len(desk.claim("ben", limit=500)) == 195


def test_a_failed_job_comes_back_after_its_wait_and_dies_after_its_tries(desk: Desk) -> None:
    desk.add(7)
    # When it fails, it is not due before its wait is over
    (claimed,) = desk.claim()
    assert not desk.fail(claimed, wait=60, error="no such account")
    assert desk.claim() == []
    assert desk.rows("SELECT last_error FROM job") == [("no such account",)]
    # And when it has failed three times, it is dead and never claimed again
    for attempt in (2, 3):
        desk.execute("UPDATE job SET run_after = now()")
        (claimed,) = desk.claim()
        assert claimed.attempts == attempt
        dead = desk.fail(claimed)
    assert dead
    assert desk.standing() == [(7, "dead", 3, None)]
    assert desk.claim() == []


def test_replay_revives_the_dead_and_writes_the_finished_anew(desk: Desk) -> None:
    # Given one dead, one leased, one finished
    desk.add(1, 2, 3)
    claims = desk.claim()
    desk.fail(claims[0], most=1)
    desk.finish([claims[2]])
    # When all are replayed
    for ref in (1, 2, 3):
        desk.replay(ref)
    # Then the dead one begins anew, the leased one is left to its worker, and the finished one is due again
    assert desk.standing() == [(1, "ready", 0, None), (2, "ready", 1, "anna"), (3, "ready", 0, None)]
    assert refs(desk.claim("ben")) == [1, 3]


def test_work_asked_for_again_revives_a_dead_job(desk: Desk) -> None:
    # Given work on a bill that died long ago
    desk.add(7)
    desk.fail(desk.claim()[0], most=1)
    # When there is a new reason to work on that bill
    desk.add(7)
    # Then it is worked on
    assert [(claimed.ref_id, claimed.attempts) for claimed in desk.claim()] == [(7, 1)]


def test_work_asked_for_while_it_is_being_done_is_done_again(desk: Desk) -> None:
    # Given a worker that has looked at the facts already
    desk.add(7)
    claims = desk.claim()
    with transaction(desk.engine) as session:
        desk.work(session, "with the old facts")
        # When new facts come and ask for the same work
        desk.add(7)
        # Then the worker may not finish with the old ones
        with pytest.raises(Retryable):
            jobs.finish(session, worker="anna", claims=claims)
        session.rollback()
    # And the work is due again at once
    assert desk.done() == []
    assert refs(desk.claim("ben")) == [7]


def test_look_again_gives_back_and_is_fenced(desk: Desk) -> None:
    desk.add(1, 2)
    claims = desk.claim()
    with transaction(desk.engine) as session:
        jobs.look_again(session, worker="anna", claims=claims[:1], seconds=60)
        jobs.look_again(session, worker="anna", claims=[], seconds=60)
    # Then the one is put off and free, and looking again at it without a lease is refused
    assert desk.standing() == [(1, "ready", 0, None), (2, "ready", 1, "anna")]
    with pytest.raises(Retryable), transaction(desk.engine) as session:
        jobs.look_again(session, worker="anna", claims=claims, seconds=60)
    assert desk.claim("ben") == []
    desk.execute("UPDATE job SET run_after = now() WHERE ref_id = 1")
    assert [(claimed.ref_id, claimed.attempts) for claimed in desk.claim("ben")] == [(1, 1)]


def test_a_worker_that_stops_gives_back_what_it_holds_at_once(desk: Desk) -> None:
    desk.add(1, 2, 3)
    desk.claim("anna", limit=2)
    desk.claim("ben")
    with transaction(desk.engine) as session:
        assert jobs.release(session, worker="anna") == 2
    assert [(claimed.ref_id, claimed.attempts) for claimed in desk.claim("carol")] == [(1, 2), (2, 2)]


def test_backlog_counts_what_waits_what_died_and_how_long_the_oldest_is_due(desk: Desk) -> None:
    with transaction(desk.engine) as session:
        empty = jobs.backlog(session)
    assert (empty.ready, empty.dead, empty.oldest_seconds) == (0, 0, 0)
    desk.add(1, 2, 3)
    desk.add(4, kind="other")
    desk.fail(desk.claim(limit=1)[0], most=1)
    # Given one that is due for an hour, and one that was made two hours ago and is to be looked at tomorrow
    desk.execute("RESET ROLE; UPDATE job SET created_at = now() - interval '2 hours'; SET ROLE revenue_worker")
    desk.execute("UPDATE job SET run_after = now() - interval '1 hour' WHERE ref_id = 2")
    desk.execute("UPDATE job SET run_after = now() + interval '1 day' WHERE ref_id = 3")
    with transaction(desk.engine) as session:
        both, one = jobs.backlog(session), jobs.backlog(session, kind="other")
    # Then what is not due yet does not make the backlog old
    assert (both.ready, both.dead) == (3, 1)
    assert 3600 <= both.oldest_seconds < 3660
    assert (one.ready, one.dead) == (1, 0)
    assert one.oldest_seconds < 60


# --- leases and the fence --------------------------------------------------------------------------------------------


def test_a_slow_worker_cannot_finish_what_another_has_taken_over(desk: Desk) -> None:
    # Given a worker whose lease ran out while it was working
    desk.add(7)
    slow = desk.claim("anna")
    desk.expire()
    # When another takes the job over
    quick = desk.claim("ben")
    assert [(claimed.ref_id, claimed.attempts) for claimed in quick] == [(7, 2)]
    # Then the slow one may not finish, and what it did is rolled back
    with pytest.raises(Retryable, match="lost"):
        desk.finish(slow, "anna", work="slow")
    desk.finish(quick, "ben", work="quick")
    assert desk.done() == ["quick"]
    with pytest.raises(Retryable):
        desk.finish(slow, "anna", work="slow")
    assert desk.done() == ["quick"]


def test_a_worker_cannot_finish_after_its_lease_even_when_nobody_took_over(desk: Desk) -> None:
    desk.add(7)
    claims = desk.claim()
    desk.expire()
    with pytest.raises(Retryable):
        desk.finish(claims, work="late")
    assert desk.done() == []
    assert [claimed.attempts for claimed in desk.claim("ben")] == [2]


def test_the_same_worker_that_claims_again_is_fenced_from_its_older_claim(desk: Desk) -> None:
    # Given a worker that took the same job a second time after its lease ran out
    desk.add(7)
    older = desk.claim("anna")
    desk.expire()
    newer = desk.claim("anna")
    # Then its older claim can neither finish it, nor put it off, nor give it back
    with pytest.raises(Retryable):
        desk.finish(older, work="older")
    with pytest.raises(Retryable), transaction(desk.engine) as session:
        jobs.look_again(session, worker="anna", claims=older, seconds=1)
    desk.fail(older[0], wait=60)
    assert desk.standing() == [(7, "ready", 2, "anna")]
    desk.finish(newer, work="newer")
    assert desk.done() == ["newer"]


def test_a_lost_job_that_fails_is_left_alone_and_not_called_dead(desk: Desk) -> None:
    desk.add(7)
    lost = desk.claim("anna")[0]
    desk.expire()
    desk.claim("ben")
    assert not desk.fail(lost, "anna", most=1)
    assert desk.standing() == [(7, "ready", 2, "ben")]


def test_one_lost_lease_rolls_the_whole_batch_back(desk: Desk) -> None:
    desk.add(1, 2, 3)
    claims = desk.claim()
    desk.execute("UPDATE job SET lease_until = clock_timestamp() WHERE ref_id = 2")
    with pytest.raises(Retryable, match="1 of 3"):
        desk.finish(claims, work="batch")
    assert desk.done() == []
    assert len(desk.standing()) == 3


def test_an_error_is_kept_whatever_characters_it_holds(desk: Desk) -> None:
    # An error that could not be stored would keep the job from ever dying
    desk.add(7)
    assert desk.fail(desk.claim()[0], most=1, error="bad \x00 byte, half \ud83d emoji, " + "x" * 1000)
    ((state, error),) = desk.rows("SELECT state, last_error FROM job")
    assert state == "dead"
    assert error.startswith("bad ")
    assert len(error) <= 500


# --- many workers ----------------------------------------------------------------------------------------------------


def test_workers_never_share_a_job(desk: Desk) -> None:
    # Given 400 jobs and six workers that claim as fast as they can, some of them dropping what they hold
    desk.add(*range(400))
    failures: list[BaseException] = []

    def run(name: str, number: int) -> None:
        try:
            idle = 0
            while idle < 20:
                claims = desk.claim(name, limit=7)
                idle = 0 if claims else idle + 1
                if number % 3 == 0 and claims:
                    desk.fail(claims.pop(), name, most=99)
                with transaction(desk.engine) as session:
                    for claimed in claims:
                        desk.work(session, f"job {claimed.ref_id}")
                    jobs.finish(session, worker=name, claims=claims)
        except BaseException as error:  # noqa: BLE001 - looked at below
            failures.append(error)

    threads = [threading.Thread(target=run, args=(f"w{number}", number)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Then every job was done, and none twice
    assert failures == []
    assert sorted(desk.done()) == sorted(f"job {number}" for number in range(400))
    assert desk.standing() == []


def test_a_job_that_keeps_failing_does_not_hold_back_the_others(desk: Desk) -> None:
    # Given a poison job that was first, and others behind it
    desk.add(1)
    desk.add(2, 3, 4)
    (poison,) = desk.claim(limit=1)
    assert poison.ref_id == 1
    desk.fail(poison, most=99, wait=0)
    # Then it queues up behind them
    assert refs(desk.claim("ben", limit=3)) == [2, 3, 4]
    assert refs(desk.claim("carol", limit=3)) == [1]


def test_jobs_whose_workers_were_lost_twice_are_leased_alone(desk: Desk) -> None:
    # Given a batch that was lost twice, and work that came meanwhile
    desk.add(1, 2)
    for worker in ("anna", "ben"):
        assert refs(desk.claim(worker)) == [1, 2]
        desk.expire()
    desk.add(3, 4)
    # Then each of the batch is tried alone, so that the killer takes nobody along, and then the others
    assert [refs(desk.claim("carol")) for _ in range(3)] == [[1], [2], [3, 4]]


def test_a_try_that_was_bad_luck_is_taken_off_again(desk: Desk) -> None:
    desk.add(7)
    for _ in range(5):
        (claimed,) = desk.claim()
        with transaction(desk.engine) as session:
            dead = jobs.fail(
                session,
                worker="anna",
                claimed=claimed,
                error="server away",
                max_attempts=1,
                back_off_seconds=0,
                counts=False,
            )
        assert not dead
    assert desk.standing() == [(7, "ready", 0, None)]


def test_a_job_that_kills_every_worker_is_dead_in_the_end(desk: Desk) -> None:
    # Given a job that was claimed again and again, and no worker lived to say how it ended
    desk.add(7)
    desk.execute("UPDATE job SET attempts = 8")
    # When a worker takes it once more
    worker = Worker(desk.engine, {}, max_attempts=8)
    worker.once()
    # Then it does not try: the job is dead, and somebody is told why
    assert desk.standing() == [(7, "dead", 9, None)]
    assert desk.rows("SELECT last_error FROM job") == [("RevenueError: 8 workers were lost while they held it",)]
    assert worker.tally.dead == 1


KILLED = """
import sys, time
from revenue_engine.db import make_engine, transaction
from revenue_engine.work import jobs
engine = make_engine(sys.argv[1], role="worker")
with transaction(engine) as session:
    claims = jobs.claim(session, kind="interpret", worker="killed", limit=10, lease_seconds=1)
print(len(claims), flush=True)
time.sleep(60)
"""


def test_the_tries_of_a_killed_worker_are_counted(desk: Desk) -> None:
    # Given a worker process that claims a job and is killed at once
    desk.add(7)
    with subprocess.Popen([sys.executable, "-c", KILLED, desk.url], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "1\n"
        process.send_signal(signal.SIGKILL)
    # Then its try is counted
    assert desk.standing() == [(7, "ready", 1, "killed")]
    # And the job is another's when the lease has run out
    until = time.monotonic() + 10
    while not (claims := desk.claim("ben")) and time.monotonic() < until:
        time.sleep(0.1)
    assert [claimed.attempts for claimed in claims] == [2]
