"""The manifest of a matching run: what the run read, by which policy and rules, and what came of the run."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb
from sqlalchemy import BigInteger, ForeignKey, Identity, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from revenue_engine.db import Base, Sealed, raw, scalar
from revenue_engine.identifiers import public_id


class MatchingRun(Sealed, Base):
    """The first half of a run's manifest: what it read, by which policy and rules, for whom."""

    __tablename__ = "matching_run"
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    public_id: Mapped[str] = mapped_column(unique=True)
    policy_digest: Mapped[str]
    policy: Mapped[dict[str, Any]]
    rules_version: Mapped[str]
    input_digest: Mapped[str]
    bills: Mapped[int]
    payments: Mapped[int]
    started_by: Mapped[str]
    started_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class MatchingRunEnd(Sealed, Base):
    """The other half: what came of it. A run without one was cut off; what it set stands, match by match."""

    __tablename__ = "matching_run_end"
    run_id: Mapped[int] = mapped_column(ForeignKey("matching_run.id"), primary_key=True)
    output_digest: Mapped[str]
    figures: Mapped[dict[str, Any]]
    ended_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


def begin(
    session: Session,
    *,
    policy: dict[str, Any],
    policy_digest: str,
    rules_version: str,
    input_digest: str,
    bills: int,
    payments: int,
    by: str,
) -> tuple[int, str]:
    """Write the first half of a manifest; answers the run's id and its public id."""
    public = public_id("run")
    run_id: int = scalar(
        session,
        "INSERT INTO matching_run (public_id, policy_digest, policy, rules_version, input_digest, bills, payments,"
        " started_by) VALUES (%s, %s, %s, %s, %s, %s, %s, %s) RETURNING id",
        (public, policy_digest, Jsonb(policy), rules_version, input_digest, bills, payments, by),
    )
    return run_id, public


def end(session: Session, run_id: int, *, output_digest: str, figures: dict[str, Any]) -> None:
    """Write the other half."""
    raw(session).execute(
        "INSERT INTO matching_run_end (run_id, output_digest, figures) VALUES (%s, %s, %s)",
        (run_id, output_digest, Jsonb(figures)),
    )
