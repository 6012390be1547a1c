"""The worker: claims jobs, runs the pipeline on them, and answers the bell. Sweeps by itself when no bell rings.

Correctness never depends on Redis: jobs are rows, and every worker looks for due rows at least once a second.
"""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from revenue_engine import judgements, ledger
from revenue_engine.collection import given_up, held_money, pipeline
from revenue_engine.collection.polling import Asker
from revenue_engine.collection.tools import Tools
from revenue_engine.db import transaction
from revenue_engine.errors import Retryable, RevenueError
from revenue_engine.identifiers import public_id
from revenue_engine.ports.callbacks import CallbackAdapter
from revenue_engine.ports.statements import StatementReader
from revenue_engine.secondary_ledgers.keeping import Keeper
from revenue_engine.statements import drops, importing
from revenue_engine.work import jobs, kinds
from revenue_engine.work.jobs import Claim
from revenue_engine.work.kinds import Kind, Work
from revenue_engine.work.wakeup import Bell

log = structlog.get_logger("worker")

SNAPSHOT_EVERY = 5_000
TICK_SECONDS = 60.0

WORK = kinds.gather(held_money.JOBS, judgements.JOBS, importing.JOBS, drops.JOBS)
"""What every room has a worker do, a row a transaction. Deliveries are done in batches, by ``_deliveries``."""
_TELLS_OF_MONEY = frozenset({Kind.INTERPRET, Kind.STATEMENT})
"""Work whose uncommitted rows may hold the other half of a payment."""


@dataclass(slots=True)
class Tally:
    """What a worker has done since it started."""

    deliveries: int = 0
    recorded: int = 0
    reversed: int = 0
    failed: int = 0
    dead: int = 0


@dataclass(slots=True)
class Worker:
    """One worker process or thread. ``batch`` jobs are claimed at a time and done in one transaction."""

    engine: Engine
    adapters: Mapping[str, CallbackAdapter]
    readers: Mapping[str, StatementReader] = field(default_factory=dict)
    batch: int = 500
    lease_seconds: int = 60
    max_attempts: int = 8
    name: str = field(default_factory=lambda: f"{os.getpid()}-{public_id('w')[-8:]}")
    tally: Tally = field(default_factory=Tally)
    secrets_dir: Path | None = None
    """Folder of the secrets that channel settings name by file."""
    ring: Callable[[], object] | None = None
    """Called when a full batch was claimed, so that idle workers elsewhere come and help."""
    unfolded: int = 0
    """Deliveries worked on since this worker last took a snapshot: counting what waits costs more than folding it."""

    def drain(self, *, stop: threading.Event | None = None) -> int:
        """Work until nothing is due; returns how many jobs were done. A stop is honoured between batches."""
        done = 0
        while stop is None or not stop.is_set():
            count = self.once()
            if not count:
                return done
            done += count
        return done

    def once(self) -> int:
        """One batch of each kind of work; returns how many jobs were claimed."""
        claims = self._claim(Kind.INTERPRET, self.batch)
        if claims:
            if len(claims) == self.batch and self.ring is not None:
                self.ring()
            for part in _parts(claims):
                self._deliveries(part)
        done = len(claims)
        for work in WORK:
            done += self.do(work)
        self.unfolded += len(claims)
        if self.unfolded >= SNAPSHOT_EVERY:
            self.unfolded = 0
            with transaction(self.engine) as session:
                ledger.snapshot(session)
        return done

    def do(self, work: Work[Tools]) -> int:
        """Do what is due of one kind, each row in a transaction of its own; returns how many jobs were claimed."""
        held = self._claim(work.kind, work.at_once, lease_seconds=work.lease_seconds)
        spared = self._spared(held, work)
        for claimed in held:
            if claimed.id not in spared:
                self._single(claimed, work)
        return len(held)

    def _spared(self, held: Sequence[Claim], work: Work[Tools]) -> set[int]:
        """The jobs among those claimed that turned out to need no work, and have ended; none where that failed."""
        if work.spared is None or not held:
            return set()
        try:
            with transaction(self.engine) as session:
                refs = work.spared(session, [claimed.ref_id for claimed in held])
                ended = [claimed for claimed in held if claimed.ref_id in refs]
                jobs.finish(session, worker=self.name, claims=ended)
                given_up.resolve(session, work.kind, [claimed.ref_id for claimed in ended])
        except Exception as error:  # noqa: BLE001 - each row is then done by itself, and says what is wrong with it
            log.warning("not spared", kind=work.kind.value, jobs=len(held), error=type(error).__name__)
            return set()
        return {claimed.id for claimed in ended}

    def _tools(self, claimed: Claim, work: Work[Tools]) -> Tools:
        return Tools(
            adapters=self.adapters,
            readers=self.readers,
            secrets_dir=self.secrets_dir,
            still_at_it=lambda: self._extend(claimed, work),
            found=self._found,
        )

    def _found(self, payments: int) -> None:
        self.tally.recorded += payments

    def _extend(self, claimed: Claim, work: Work[Tools]) -> None:
        """Keep the lease on long work. Raises Retryable where the lease was lost.

        The new lease ends a little before a fresh one would, so that ``_again`` never takes the work for new work.
        """
        with transaction(self.engine) as session:
            jobs.extend(
                session,
                worker=self.name,
                claimed=claimed,
                lease_seconds=max(work.lease_seconds, self.lease_seconds) - jobs.LOOK_AGAIN_SECONDS,
            )

    def _claim(self, kind: Kind, limit: int, *, lease_seconds: int = 0) -> list[Claim]:
        """Lease what is due, without what wore its workers out: errors that count end before so many tries."""
        with transaction(self.engine) as session:
            lease = max(lease_seconds, self.lease_seconds)
            held = jobs.claim(session, kind=kind, worker=self.name, limit=limit, lease_seconds=lease)
        worn_out = [claimed for claimed in held if claimed.attempts > self.max_attempts]
        if worn_out:
            self._give_back(kind, worn_out, RevenueError(f"{self.max_attempts} workers were lost while they held it"))
        return [claimed for claimed in held if claimed not in worn_out]

    def _deliveries(self, claims: Sequence[Claim]) -> None:
        """Run a batch; on an error run its halves, so that one poison row never holds back the rest."""
        try:
            with transaction(self.engine) as session:
                outcome = pipeline.process(
                    session,
                    [claimed.ref_id for claimed in claims],
                    adapters=self.adapters,
                    readers=self.readers,
                    secrets_dir=self.secrets_dir,
                )
                again = self._again(session, claims, outcome)
                again_ids = {claimed.id for claimed in again}
                jobs.look_again(session, worker=self.name, claims=again, seconds=jobs.LOOK_AGAIN_SECONDS)
                finished = [claimed for claimed in claims if claimed.id not in again_ids]
                jobs.finish(session, worker=self.name, claims=finished)
                given_up.resolve(session, Kind.INTERPRET, (claimed.ref_id for claimed in finished))
        except Exception as error:  # noqa: BLE001 - whatever one row does, the others go on and this one is kept
            if _is_transient(error):
                self._give_back(Kind.INTERPRET, claims, error)
            elif len(claims) > 1:
                middle = len(claims) // 2
                self._deliveries(claims[:middle])
                self._deliveries(claims[middle:])
            else:
                self._give_back(Kind.INTERPRET, claims, error)
            return
        self.tally.deliveries += len(claims)
        self.tally.recorded += outcome.recorded
        self.tally.reversed += outcome.reversed
        log.info(
            "batch",
            deliveries=len(claims),
            recorded=outcome.recorded,
            reversed=outcome.reversed,
            waiting=outcome.waiting,
            ignored=outcome.ignored,
        )

    def _again(self, session: Session, claims: Sequence[Claim], outcome: pipeline.Outcome) -> list[Claim]:
        """Deliveries to look at again soon: another worker may hold the other half in an uncommitted transaction."""
        put_off = [claimed for claimed in claims if claimed.ref_id in outcome.put_off]
        waiting = [claimed for claimed in claims if claimed.ref_id in outcome.look_again]
        if not waiting:
            return put_off
        missed = any(
            jobs.others_at_it(
                session,
                kind=kind,
                worker=self.name,
                lease_seconds=max(lease_seconds, self.lease_seconds),
                since_seconds=jobs.LOOK_AGAIN_SECONDS - 1,
            )
            for kind, lease_seconds in ((Kind.INTERPRET, 0), *((work.kind, work.lease_seconds) for work in WORK))
            if kind in _TELLS_OF_MONEY
        )
        return put_off + [claimed for claimed in waiting if missed or claimed.ref_id in outcome.first_told]

    def _single(self, claimed: Claim, work: Work[Tools]) -> None:
        try:
            with transaction(self.engine) as session:
                work.do(session, claimed.ref_id, self._tools(claimed, work))
                jobs.finish(session, worker=self.name, claims=[claimed])
                given_up.resolve(session, work.kind, [claimed.ref_id])
        except Exception as error:  # noqa: BLE001 - whatever one row does, the others go on and this one is kept
            self._give_back(work.kind, [claimed], error)

    def _give_back(self, kind: Kind, claims: Sequence[Claim], error: Exception) -> None:
        """Return jobs for another try later; the words kept are the error's kind and code, never a row's content.

        Bad luck (a lost lease, a lock, a server that went away) is nobody's fault and never makes work dead.
        """
        words = f"{type(error).__name__}: {_public_words(error)}"
        self.tally.failed += len(claims)
        with transaction(self.engine) as session:
            for claimed in claims:
                wait = min(3600.0, 2.0 ** min(claimed.attempts, 11))
                dead = jobs.fail(
                    session,
                    worker=self.name,
                    claimed=claimed,
                    error=words,
                    max_attempts=self.max_attempts,
                    back_off_seconds=wait,
                    counts=not _is_transient(error),
                )
                self.tally.dead += dead
                if dead:
                    given_up.open_break(session, kind, claimed.ref_id, error=words)
                    log.error("job dead", job=claimed.id, ref=claimed.ref_id, error=words)
        log.warning("batch given back", jobs=len(claims), error=words)

    def run(self, stop: threading.Event, wake: threading.Event, *, idle_seconds: float = 0.5) -> None:
        """Work until told to stop: at once when woken, else every ``idle_seconds``.

        A database that is away is waited for with growing patience; nothing is lost meanwhile.
        """
        patience = 0.2
        ticked = -TICK_SECONDS
        while not stop.is_set():
            try:
                done = self.once()
                if time.monotonic() - ticked >= TICK_SECONDS:
                    ticked = time.monotonic()
                    self._tick()
                patience = 0.2
            except Exception as error:  # noqa: BLE001 - a thread that ended would leave a process that does nothing
                away = isinstance(error, DBAPIError | psycopg.Error)
                log.warning("database away" if away else "round failed", error=type(error).__name__, wait=patience)
                self.engine.dispose()
                stop.wait(patience)
                patience = min(patience * 2, 5.0)
                continue
            if not done:
                wake.wait(idle_seconds)
                wake.clear()
        self._stop()

    def _tick(self) -> None:
        """Mark what is known now, and fold what few postings a quiet day leaves into a snapshot."""
        with transaction(self.engine) as session:
            ledger.tick(session)  # by itself: a mark that is committed late would change what was answered meanwhile
        with transaction(self.engine) as session:
            ledger.snapshot(session, every=1)

    def _stop(self) -> None:
        try:
            with transaction(self.engine) as session:
                jobs.release(session, worker=self.name)
        except (DBAPIError, psycopg.Error) as error:
            log.warning("leases not given back; they expire by themselves", error=type(error).__name__)
        self.engine.dispose()


def _parts(claims: Sequence[Claim]) -> Iterator[list[Claim]]:
    """Fresh work in one batch; what came back in ever smaller ones, so that a batch too slow for its lease, or a row
    that takes its server down, does not keep the others with it."""
    tried: dict[int, list[Claim]] = {}
    for claimed in claims:
        tried.setdefault(claimed.attempts, []).append(claimed)
    for attempts, together in sorted(tried.items()):
        size = max(1, len(together) >> (attempts - 1))
        yield from (together[start : start + size] for start in range(0, len(together), size))


def _is_transient(error: Exception) -> bool:
    """Whether the same batch may well succeed later: a lost lease, a lock, a deadlock, a server that is away."""
    if isinstance(error, Retryable | PoolTimeout):
        return True
    origin = getattr(error, "orig", None) or error
    if not isinstance(origin, psycopg.Error):
        return False
    if origin.sqlstate is None:  # the connection broke, or the driver itself refused a value: that one is no accident
        return isinstance(origin, psycopg.OperationalError | psycopg.InterfaceError)
    return origin.sqlstate[:2] in {"08", "40", "53", "55", "57"}


def _public_words(error: Exception) -> str:
    origin = getattr(error, "orig", None) or error
    if isinstance(origin, psycopg.Error):  # the primary message names constraints; details would name values
        return f"{origin.sqlstate or ''} {origin.diag.constraint_name or origin.diag.message_primary or ''}".strip()
    return error.message if isinstance(error, RevenueError) else type(error).__name__


def settle_memory() -> None:
    """What is loaded by now stays: later collections of garbage look only at what batches make, and less often.

    A batch makes hundreds of thousands of small values and hardly a cycle: looking for some after every 700 of them
    took a tenth of the time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)


def run_forever(
    make: Callable[[], Worker],
    *,
    threads: int,
    redis_url: str | None,
    asker: Asker | None = None,
    keeper: Keeper | None = None,
) -> None:
    """Run ``threads`` sweeping workers until SIGTERM or SIGINT; with Redis, also answer rings and ring for help.

    ``asker`` asks providers in a thread of its own, since a provider may take half a minute to answer. ``keeper``
    derives the books in another, since the first time takes minutes; a stop does not wait for that one.
    """
    settle_memory()
    stop, wake = threading.Event(), threading.Event()

    def end(*_: object) -> None:
        stop.set()
        wake.set()

    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, end)
    bell = Bell(redis_url) if redis_url else None
    workers = [make() for _ in range(threads)]
    for worker in workers:
        worker.ring = bell.ring if bell else None
    running = [threading.Thread(target=worker.run, args=(stop, wake), name=worker.name) for worker in workers]
    if asker is not None:
        running.append(threading.Thread(target=asker.run, args=(stop,), name="asker"))
    if keeper is not None:
        running.append(threading.Thread(target=keeper.run, args=(stop,), name="keeper", daemon=True))
    for thread in running:
        thread.start()
    if bell is not None:
        bell.listen(wake.set)
    stop.wait()
    for thread in running:
        thread.join(timeout=30)
    if bell is not None:
        bell.close()
