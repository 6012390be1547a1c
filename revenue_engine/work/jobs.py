"""Work rows: claim, lease, fence, retry, dead, replay. PostgreSQL is the truth; the bell only wakes us sooner."""

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


class Job(Base):
    """One piece of work, written in the transaction that made it necessary and deleted in the one that did it."""

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
    """A leased job: ours until ``lease_until`` by the database's clock."""

    id: int
    ref_id: int
    attempts: int


def claim(session: Session, *, kind: Kind, worker: str, limit: int, lease_seconds: int) -> list[Claim]:
    """Lease up to ``limit`` due jobs of a kind. The attempt counts from here, so a killed worker's tries are counted.

    An expired lease makes a job due again; rows locked by another claimer are skipped, never waited for. A job whose
    holder was lost twice is leased alone, the least tried first: if it is what kills workers, it takes nobody along.
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

    This is the fence: it needs every lease to be still ours, of the very claim and unexpired, else Retryable is raised
    and the whole transaction must roll back, because somebody else may be doing the same work.
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
    """Hold a job longer, from a transaction apart from the one that does its work: whoever goes on keeps its lease.

    ``lease_seconds`` counts from now. Raises Retryable where the lease is lost, so that work which may not be finished
    stops here. Keep the lease shorter than a fresh one by the retry delay: else ``others_at_it`` takes it for new work.
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
    """Put jobs back for another look soon, inside the transaction that looked; fenced as ``finish`` is.

    The look was no failure, so their tries begin anew.
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
    """What the jobs of a kind that are not done yet refer to, below a number: what was brought earlier and waits."""
    waiting = raw(session).execute(
        "SELECT ref_id FROM job WHERE kind = %s AND state = 'ready' AND ref_id < %s ORDER BY ref_id", (kind, ref_id)
    )
    return [number for (number,) in waiting]


def others_at_it(session: Session, *, kind: Kind, worker: str, lease_seconds: int, since_seconds: float) -> bool:
    """Whether another worker has held work of this kind for longer than ``since_seconds`` and may still commit it."""
    return exists(
        session,
        "SELECT FROM job WHERE kind = %s AND state = 'ready' AND leased_by <> %s AND lease_until > clock_timestamp()"
        " AND lease_until < clock_timestamp() + make_interval(secs => %s) LIMIT 1",
        (kind, worker, lease_seconds - since_seconds),
    )


def release(session: Session, *, worker: str) -> int:
    """Give back every lease of a worker that is stopping; the attempts it made stay counted."""
    return (
        raw(session)
        .execute("UPDATE job SET leased_by = NULL, lease_until = NULL WHERE leased_by = %s", (worker,))
        .rowcount
    )


def add(session: Session, *, kind: Kind, refs: list[int]) -> None:
    """Write work rows. One that waits already stays as it is; a dead one is revived; and one that is being worked on
    loses its lease, because its worker may have looked at the facts before these came: it rolls back and does it again.
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
    """Write work rows where there are none, and leave those that are as they are: for work that repeats by itself, or
    is due some seconds from now."""
    if refs:
        raw(session).execute(
            "INSERT INTO job (kind, ref_id, run_after)"
            " SELECT %s, unnest(%s::bigint[]), now() + make_interval(secs => %s) ON CONFLICT (kind, ref_id) DO NOTHING",
            (kind, sorted(set(refs)), after_seconds),
        )


def replay(session: Session, *, kind: Kind, ref_id: int) -> None:
    """Make work due again from the start: a dead job is revived, a finished one is written anew.

    Anybody who may read deliveries may have one read again: the database writes that row itself.
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
    """Write a work row for each bill that this very transaction issued; whoever issues bills may, and no more."""
    if refs:
        raw(session).execute("SELECT work_on_new_bills(%s, %s)", (kind, sorted(set(refs))))


@dataclass(frozen=True, slots=True)
class Backlog:
    """How much work waits: counts, and for how many seconds the job that waits longest has been due."""

    ready: int
    dead: int
    oldest_seconds: float


def backlog(session: Session, *, kind: Kind | None = None) -> Backlog:
    """What waits and what died, for health checks and the demo's end; questions to providers only when named."""
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
    """How the work on one thing stands; None when there is none left to do."""
    return one(
        session,
        JobStanding,
        "SELECT state, coalesce(last_error, '') AS last_error FROM job WHERE kind = %s AND ref_id = %s",
        (kind, ref_id),
    )
