"""Who did what: one append-only row for every act that changes set-up or judgement, in the act's own transaction."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Identity, Index, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from revenue_engine.db import XID8, Base, raw


class AuditEvent(Base):
    """One act: the actor, the verb, the object, and the exact bytes that were hashed into ``leaf``."""

    __tablename__ = "audit_event"
    __table_args__ = (Index("ix_audit_event_printed", "object", postgresql_where=text("action = 'paper.printed'")),)
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    xid: Mapped[int] = mapped_column(XID8, server_default=text("pg_current_xact_id()"))
    actor: Mapped[str]
    action: Mapped[str]
    object: Mapped[str]
    content: Mapped[bytes]
    leaf: Mapped[bytes]


def record(
    session: Session, *, action: str, subject: str, facts: dict[str, Any] | None = None, actor: str | None = None
) -> None:
    """Write one audit row. ``facts`` must hold no names or phone numbers; ``leaf`` is SHA-256(0x00 || content).

    The database names the actor: the person whom the session's secret proves. ``actor`` is what a process says of
    itself where nobody is signed in; the row then begins with the database role it says it under.
    """
    told = json.dumps(facts or {}, sort_keys=True, default=str)
    raw(session).execute("SELECT access.audit(%s, %s, %s::jsonb, %s)", (action, subject, told, actor))


def facts_of(session: Session, *, action: str, subject: str) -> list[dict[str, Any]]:
    """The facts of every audit row of an act on an object, in the order they were written."""
    rows = session.scalars(
        select(AuditEvent.content)
        .where(AuditEvent.action == action, AuditEvent.object == subject)
        .order_by(AuditEvent.id)
    )
    return [json.loads(content)["facts"] for content in rows]
