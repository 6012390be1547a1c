"""Jobs: claim, lease, fence, retry, dead, replay. PostgreSQL holds the jobs; the bell only wakes a worker sooner."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from revenue_engine.db import Base, exists, one, raw
from revenue_engine.errors import IntegrityFault, Retryable
from revenue_engine.work.kinds import Kind

OF_DELIVERIES = (Kind.INTERPRET, Kind.STATEMENT)
"""Kinds of work that read a delivery; ``ref_id`` is its number."""

LOOK_AGAIN_SECONDS = 3.0
"""Retry delay of a delivery whose counterpart may be in another worker's uncommitted transaction. Retries go on while
any worker holds a lease that is older than the first look, since that worker may be committing the counterpart."""


class Job(Base):
    """One piece of work. The transaction that makes it necessary writes the row; the one that does it deletes it."""

    __tablename__ = "job"
    __table_args__ = (
        UniqueConstraint("kind", "ref_id"),
        CheckConstraint("state IN ('ready', 'dead')", name="state"),
        Index("ix_job_due", "kind", "run_after", postgresql_where=text("state = 'ready'")),
        {"postgresql_with": {"fillfactor": 70}},
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    kind: Mapped[str]
    ref_id: Mapped[int]
    state: Mapped[str] = mapped_column(server_default=text("'ready'"))
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    run_after: Mapped[datetime] = mapped_column(server_default=text("now()"))
    leased_by: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    last_error: Mapped[str | None]


@dataclass(frozen=True, slots=True)
class Claim:
    """A leased job. The lease ends at ``lease_until`` by the clock of the database."""

    id: int
    ref_id: int
    attempts: int


def claim(session: Session, *, kind: Kind, worker: str, limit: int, lease_seconds: int) -> list[Claim]:
    """Lease up to ``limit`` due jobs of a kind. Claiming counts the attempt, so attempts of killed workers count too.

    An expired lease makes a job due again. Rows that another worker is claiming are skipped, without waiting. A job
    whose worker was lost twice is leased alone, the least tried job first: a job that kills workers then fails alone.
    """
    # By position and in binary: this runs once for every batch of every worker.
    rows = (  # materialised: else a plan may run the inner query once a row, and claim without limit
        raw(session)
        .execute(
            """
            WITH due AS MATERIALIZED (
                SELECT id, attempts, leased_by IS NOT NULL AND attempts > 1 AS left_behind FROM job
                 WHERE kind = %(kind)s AND state = 'ready' AND run_after <= statement_timestamp()
                   AND (lease_until IS NULL OR lease_until < clock_timestamp())
                 ORDER BY run_after LIMIT %(limit)s FOR UPDATE SKIP LOCKED),
            alone AS (SELECT id FROM due WHERE left_behind ORDER BY attempts, id LIMIT 1)
            UPDATE job SET leased_by = %(worker)s, attempts = attempts + 1,
                           lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
             WHERE id = ANY(ARRAY(SELECT id FROM alone
                                  UNION ALL SELECT id FROM due WHERE NOT EXISTS (SELECT FROM alone)))
            RETURNING id, ref_id, attempts
            """,
            {"worker": worker, "lease": lease_seconds, "kind": kind, "limit": limit},
            binary=True,
        )
        .fetchall()
    )
    return sorted((Claim(*row) for row in rows), key=lambda claimed: claimed.id)


_HELD = """unnest(%(ids)s::bigint[], %(attempts)s::bigint[]) AS held (id, attempts)
 WHERE job.id = held.id AND job.attempts = held.attempts
   AND leased_by = %(worker)s AND lease_until > clock_timestamp()"""


def _held(worker: str, claims: list[Claim]) -> dict[str, Any]:
    return {
        "worker": worker,
        "ids": [claimed.id for claimed in claims],
        "attempts": [claimed.attempts for claimed in claims],
    }


def finish(session: Session, *, worker: str, claims: list[Claim]) -> None:
    """Delete finished jobs in the transaction that did their work.

    This is the fence. Raises Retryable unless every lease is still held by this worker, from the same claim, and has
    not expired; the whole transaction must then roll back, because another worker may be doing the same work.
    """
    if not claims:
        return
    done = (
        raw(session)
        .execute(
            f"DELETE FROM job USING {_HELD}",  # noqa: S608 - our own constant
            _held(worker, claims),
        )
        .rowcount
    )
    if done != len(claims):
        raise Retryable(f"the lease on {len(claims) - done} of {len(claims)} jobs was lost before the work was done")


def extend(session: Session, *, worker: str, claimed: Claim, lease_seconds: float) -> None:
    """Extend the lease of a long job, in a transaction apart from the one that does the work.

    ``lease_seconds`` counts from now. Raises Retryable where the lease is lost: the work could not be finished, and
    stops. Keep ``lease_seconds`` below a fresh lease by the retry delay, or ``others_at_it`` takes this for new work.
    """
    held = (
        raw(session)
        .execute(
            "UPDATE job SET lease_until = clock_timestamp() + make_interval(secs => %(lease)s)"  # noqa: S608
            f" FROM {_HELD}",
            {"lease": lease_seconds, **_held(worker, [claimed])},
        )
        .rowcount
    )
    if held != 1:
        raise Retryable("the lease was lost while the work went on")


def fail(
    session: Session,
    *,
    worker: str,
    claimed: Claim,
    error: str,
    max_attempts: int,
    back_off_seconds: float,
    counts: bool = True,
) -> bool:
    """Give a job back after an error: due again after the back-off, or dead after ``max_attempts``.

    Returns whether it died by this. A try that does not count (``counts``: the fault was not the job's) is taken off
    again. ``error`` must hold no personal data. A job whose lease was lost is left alone.
    """
    dead = counts and claimed.attempts >= max_attempts
    given_back = (
        raw(session)
        .execute(
            """
            UPDATE job SET leased_by = NULL, lease_until = NULL, last_error = %(error)s, state = %(state)s,
                           attempts = attempts - %(taken_off)s,
                           run_after = clock_timestamp() + make_interval(secs => %(wait)s)
             WHERE id = %(id)s AND leased_by = %(worker)s AND attempts = %(attempts)s
            """,
            {
                # What text cannot hold would fail here, and the job would never die.
                "error": error[:500].replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode(),
                "state": "dead" if dead else "ready",
                "taken_off": 0 if counts else 1,
                "wait": back_off_seconds,
                "id": claimed.id,
                "worker": worker,
                "attempts": claimed.attempts,
            },
        )
        .rowcount
    )
    return dead and given_back == 1


def look_again(session: Session, *, worker: str, claims: list[Claim], seconds: float) -> None:
    """Make jobs due again after ``seconds``, inside the transaction that did the work; fenced as ``finish`` is.

    The work did not fail, so the attempts are counted from zero again.
    """
    if not claims:
        return
    moved = (
        raw(session)
        .execute(
            "UPDATE job SET leased_by = NULL, lease_until = NULL, attempts = 0,"  # noqa: S608 - our own constant
            f" run_after = clock_timestamp() + make_interval(secs => %(wait)s) FROM {_HELD}",
            {"wait": seconds, **_held(worker, claims)},
        )
        .rowcount
    )
    if moved != len(claims):
        raise Retryable(f"the lease on {len(claims) - moved} of {len(claims)} jobs was lost before the work was done")


def ready_before(session: Session, *, kind: Kind, ref_id: int) -> list[int]:
    """The ``ref_id`` of each waiting job of a kind below a number: what came earlier and is not done."""
    waiting = raw(session).execute(
        "SELECT ref_id FROM job WHERE kind = %s AND state = 'ready' AND ref_id < %s ORDER BY ref_id", (kind, ref_id)
    )
    return [number for (number,) in waiting]


def others_at_it(session: Session, *, kind: Kind, worker: str, lease_seconds: int, since_seconds: float) -> bool:
    """Whether another worker holds a lease of this kind older than ``since_seconds``: it may still commit its work."""
    return exists(
        session,
        "SELECT FROM job WHERE kind = %s AND state = 'ready' AND leased_by <> %s AND lease_until > clock_timestamp()"
        " AND lease_until < clock_timestamp() + make_interval(secs => %s) LIMIT 1",
        (kind, worker, lease_seconds - since_seconds),
    )


def release(session: Session, *, worker: str) -> int:
    """Release every lease of a worker that is stopping and return how many there were. Attempts stay counted."""
    return (
        raw(session)
        .execute("UPDATE job SET leased_by = NULL, lease_until = NULL WHERE leased_by = %s", (worker,))
        .rowcount
    )


def add(session: Session, *, kind: Kind, refs: list[int]) -> None:
    """Write jobs. A job that waits already is left unchanged, and a dead job is revived. A job that is leased loses its
    lease: its worker may have read the facts before the new ones came, so it rolls back and does the job again.
    """
    if refs:
        raw(session).execute(
            """
            INSERT INTO job (kind, ref_id) SELECT %s, unnest(%s::bigint[])
            ON CONFLICT (kind, ref_id) DO UPDATE
               SET leased_by = NULL, lease_until = NULL, state = 'ready', run_after = now(),
                   attempts = CASE job.state WHEN 'dead' THEN 0 ELSE job.attempts END
             WHERE job.state = 'dead' OR job.leased_by IS NOT NULL
            """,
            (kind, sorted(set(refs))),
        )


def add_absent(session: Session, *, kind: Kind, refs: list[int], after_seconds: float = 0) -> None:
    """Write jobs that do not exist yet, and leave existing ones unchanged: for work that repeats, or that is due some
    seconds from now."""
    if refs:
        raw(session).execute(
            "INSERT INTO job (kind, ref_id, run_after)"
            " SELECT %s, unnest(%s::bigint[]), now() + make_interval(secs => %s) ON CONFLICT (kind, ref_id) DO NOTHING",
            (kind, sorted(set(refs)), after_seconds),
        )


def replay(session: Session, *, kind: Kind, ref_id: int) -> None:
    """Make work due again from the start: a dead job is revived, a finished one is written again.

    Anybody who may read deliveries may have a delivery read again: the database writes that job itself.
    """
    if kind in OF_DELIVERIES:
        raw(session).execute("SELECT read_again(%s, %s)", (kind, ref_id))
        return
    raw(session).execute(
        """
        INSERT INTO job (kind, ref_id) VALUES (%s, %s)
        ON CONFLICT (kind, ref_id) DO UPDATE
           SET state = 'ready', attempts = 0, run_after = now(), leased_by = NULL, lease_until = NULL
         WHERE job.state = 'dead'
        """,
        (kind, ref_id),
    )


def add_for_new_bills(session: Session, *, kind: str, refs: list[int]) -> None:
    """Write a job for each bill that this transaction issued. Whoever may issue bills may do this, and nothing more."""
    if refs:
        raw(session).execute("SELECT work_on_new_bills(%s, %s)", (kind, sorted(set(refs))))


@dataclass(frozen=True, slots=True)
class Backlog:
    """How much work waits: numbers of jobs, and for how many seconds the oldest job has been due."""

    ready: int
    dead: int
    oldest_seconds: float


def backlog(session: Session, *, kind: Kind | None = None) -> Backlog:
    """The jobs that wait and the dead ones, for health checks and the demo; questions to providers only when named."""
    found = one(
        session,
        Backlog,
        """
        SELECT count(*) FILTER (WHERE state = 'ready') AS ready, count(*) FILTER (WHERE state = 'dead') AS dead,
               greatest(0, EXTRACT(EPOCH FROM clock_timestamp() - min(run_after)
                                   FILTER (WHERE state = 'ready')))::float8 AS oldest_seconds
          FROM job WHERE CASE WHEN %(kind)s::text IS NULL THEN kind <> ALL(%(asking)s) ELSE kind = %(kind)s END
        """,
        {"kind": kind, "asking": [kind.value for kind in Kind if kind.repeats]},
    )
    if found is None:
        raise IntegrityFault("an aggregate over jobs returned no row")
    return found


@dataclass(frozen=True, slots=True)
class JobStanding:
    """How one piece of work stands, and what its last attempt said."""

    state: str
    last_error: str


def standing(session: Session, *, kind: Kind, ref_id: int) -> JobStanding | None:
    """The state of the job for one row of work; None when no job is left."""
    return one(
        session,
        JobStanding,
        "SELECT state, coalesce(last_error, '') AS last_error FROM job WHERE kind = %s AND ref_id = %s",
        (kind, ref_id),
    )
