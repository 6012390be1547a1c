"""Keys that make a repeated request one request: the answer of the first is kept for thirty days and given again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import psycopg
from sqlalchemy import BigInteger, CheckConstraint, Index, Integer, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from revenue_engine.db import Base, one, raw
from revenue_engine.errors import Conflict, Retryable

WAITS = "2s"
"""How long a second request waits for the first of its key."""


class IdempotencyKey(Base):
    """A key of one person or service, the SHA-256 of the request it was first used for, and that request's answer."""

    __tablename__ = "idempotency_key"
    __table_args__ = (
        CheckConstraint("length(fingerprint) = 32", name="fingerprint"),
        CheckConstraint("length(key) BETWEEN 1 AND 255", name="key"),
        Index("ix_idempotency_key_created_at", "created_at"),
    )
    person_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[bytes]
    status: Mapped[int] = mapped_column(Integer)
    media_type: Mapped[str]
    body: Mapped[bytes]
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


@dataclass(frozen=True, slots=True)
class Kept:
    """The answer of the first request: its HTTP status, the media type and the bytes."""

    status: int
    media_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class _Row:
    fingerprint: bytes
    status: int
    media_type: str
    body: bytes


def taken(session: Session, *, person_id: int, key: str, fingerprint: bytes) -> Kept | None:
    """Hold a key until this transaction ends; the answer of the request that used it before, or None.

    Keys older than thirty days are let go. The numbers of bills and receipts are the guard that does not end.

    Raises Retryable while another transaction holds the key, Conflict where the key was used for another request
    (another ``fingerprint``, 32 bytes).
    """
    connection = raw(session)
    connection.execute("SELECT set_config('lock_timeout', %s, true)", (WAITS,))
    try:
        connection.execute("SELECT hold_idempotency_key(%s)", (key,))
    except psycopg.errors.LockNotAvailable as error:
        raise Retryable("a request with this key is being answered: ask again in a second", seconds=1) from error
    connection.execute("SELECT set_config('lock_timeout', '10s', true)")
    found = one(
        session,
        _Row,
        "SELECT fingerprint, status, media_type, body FROM idempotency_key WHERE person_id = %s AND key = %s",
        (person_id, key),
    )
    if found is None:
        return None
    if found.fingerprint != fingerprint:
        raise Conflict("this key was used for another request: take a new key for a new request", field="key")
    return Kept(found.status, found.media_type, found.body)


def keep(session: Session, *, person_id: int, key: str, fingerprint: bytes, answer: Kept) -> None:
    """Keep the answer of a key that ``taken`` holds, in the transaction of what it answers."""
    raw(session).execute(
        "INSERT INTO idempotency_key (person_id, key, fingerprint, status, media_type, body)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        (person_id, key, fingerprint, answer.status, answer.media_type, answer.body),
    )
