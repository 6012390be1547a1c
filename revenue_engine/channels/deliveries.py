"""Deliveries: the raw hits and files, kept before anything is thought about them, and how each ended."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

from psycopg.types.json import Jsonb
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Identity,
    Index,
    text,
)
from sqlalchemy.dialects.postgresql import INET
from sqlalchemy.orm import Mapped, Session, mapped_column

from revenue_engine import db
from revenue_engine.db import Base, Sealed, copy_rows, exists, one, raw, rows, scalar
from revenue_engine.errors import InvalidValue, NotFound
from revenue_engine.ports.callbacks import Purpose


class Delivery(Sealed, Base):
    """One HTTP hit or one file, exactly as it came; ``verdict`` is what ``verify`` said of its proof."""

    __tablename__ = "delivery"
    __table_args__ = (
        CheckConstraint("verdict IN ('accepted', 'refused')", name="verdict"),
        CheckConstraint(
            "(endpoint_id IS NULL) = (purpose IN ('statement', 'fetched', 'pull', 'query'))", name="endpoint"
        ),
        Index(
            "ix_delivery_heard",
            "channel_account_id",
            "id",
            postgresql_where=text("endpoint_id IS NOT NULL AND verdict = 'accepted'"),
        ),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    received_on: Mapped[date] = mapped_column(
        primary_key=True, server_default=text("(now() AT TIME ZONE 'Africa/Nairobi')::date")
    )
    received_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    channel_account_id: Mapped[int]
    endpoint_id: Mapped[int | None]
    """None for what came to no address: a file, an answer to a question of ours."""
    purpose: Mapped[str]
    peer: Mapped[str | None] = mapped_column(INET)
    headers: Mapped[dict[str, Any]]
    body: Mapped[bytes]
    body_length: Mapped[int]
    """The length the sender sent; more than ``body`` holds when it went over the cap."""
    verdict: Mapped[str]
    verdict_reason: Mapped[str]
    salt: Mapped[UUID] = mapped_column(server_default=text("gen_random_uuid()"))
    """What the seal commits to headers and body with."""


class DeliveryOutcome(Sealed, Base):
    """How a delivery that is not evidence of money ended, the newest row last. Append only: a replay adds a row."""

    __tablename__ = "delivery_outcome"
    __table_args__ = (
        CheckConstraint("outcome IN ('ignored', 'waiting', 'dead')", name="outcome"),
        Index("ix_delivery_outcome_delivery_id", "delivery_id", "id"),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    delivery_id: Mapped[int]
    outcome: Mapped[str]
    reason: Mapped[str]
    recorded_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


@dataclass(frozen=True, slots=True)
class Arrived:
    """A delivery as the pipeline reads it."""

    id: int
    channel_account_id: int
    purpose: str
    received_at: datetime
    body: bytes
    whole: bool
    """Whether ``body`` is all that was sent, and not the first part of something over the cap."""
    accepted: bool
    verdict_reason: str


def arrived(session: Session, delivery_ids: Sequence[int]) -> list[Arrived]:
    """Read deliveries in the order they came."""
    found = raw(session).execute(  # by position and in binary: every body that is interpreted comes through here
        "SELECT id, channel_account_id, purpose, received_at, body, body_length = length(body), verdict = 'accepted',"
        " verdict_reason"
        "  FROM delivery WHERE id = ANY(%s) ORDER BY id",
        (list(delivery_ids),),
        binary=True,
    )
    return [Arrived(*row) for row in found.fetchall()]


class Head(NamedTuple):
    """A delivery without its body."""

    id: int
    purpose: str
    received_at: datetime
    accepted: bool
    verdict_reason: str


def heads(session: Session, delivery_ids: Sequence[int]) -> list[Head]:
    """Deliveries without their bodies, in the order they came: a file may be large."""
    return rows(
        session,
        Head,
        "SELECT id, purpose, received_at, verdict = 'accepted' AS accepted, verdict_reason FROM delivery"
        " WHERE id = ANY(%s) ORDER BY id",
        (list(delivery_ids),),
    )


def read_raw(session: Session, payment_id: int, delivery_id: int) -> bytes:
    """The body of a message that told of one payment. Raises NotAllowed; NotFound for another's and for files."""
    return bytes(scalar(session, "SELECT read_raw(%s, %s)", (payment_id, delivery_id)))


class Origin(NamedTuple):
    """Where a delivery came, and when."""

    id: int
    channel_account_id: int
    received_at: datetime


def origin(session: Session, delivery_id: int) -> Origin | None:
    """Where one delivery came, without its body; None where there is none of this number."""
    return one(
        session, Origin, "SELECT id, channel_account_id, received_at FROM delivery WHERE id = %s", (delivery_id,)
    )


def purpose_of(session: Session, delivery_id: int) -> Purpose:
    """What a delivery was brought for. Raises NotFound where there is none."""
    row = db.first(session, "SELECT purpose FROM delivery WHERE id = %s", (delivery_id,))
    if row is None:
        raise NotFound(f"no delivery {delivery_id}", delivery=delivery_id)
    return Purpose(row[0])


def first_of_account(session: Session, delivery_ids: Sequence[int], *, channel_account_id: int) -> int | None:
    """The earliest of some deliveries that belongs to a channel account; None where none of them does."""
    if not delivery_ids:
        return None
    found: int | None = scalar(
        session,
        "SELECT min(id) FROM delivery WHERE id = ANY(%s) AND channel_account_id = %s",
        (list(delivery_ids), channel_account_id),
    )
    return found


@dataclass(frozen=True, slots=True)
class Proof:
    """What a delivery brought to prove its origin: kept headers and the address it came from."""

    headers: dict[str, str]
    peer: str


def proofs(session: Session, delivery_ids: Sequence[int]) -> dict[int, Proof]:
    """The proofs of deliveries, to judge again those that were refused before a setting was mended."""
    found = raw(session).execute(
        "SELECT id, headers, coalesce(host(peer), '') FROM delivery WHERE id = ANY(%s)", (list(delivery_ids),)
    )
    return {delivery_id: Proof(headers, peer) for delivery_id, headers, peer in found}


def keep(
    session: Session,
    *,
    channel_account_id: int,
    purpose: Purpose,
    body: bytes,
    headers: Mapping[str, str] | None = None,
    refused: str = "",
    length: int | None = None,
) -> int:
    """Keep what came to no address, a statement file or an answer to our own question; the delivery's id.

    It is accepted by where it came from: a person's upload, or a connection that we opened. ``refused`` says why a file
    is kept and may not be read, ``length`` how many bytes it has where ``body`` is not all of them.
    """
    number: int = scalar(
        session,
        "INSERT INTO delivery (channel_account_id, purpose, headers, body, body_length, verdict, verdict_reason)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING id",
        (
            channel_account_id,
            purpose.value,
            Jsonb(dict(headers or {})),
            body,
            len(body) if length is None else length,
            "refused" if refused else "accepted",
            refused[:500],
        ),
    )
    return number


def header(session: Session, delivery_id: int, name: str) -> str:
    """One thing that was kept beside a delivery (``filename``, ``by``, ``gap_accepted`` of a file), or nothing."""
    row = raw(session).execute("SELECT headers->>%s FROM delivery WHERE id = %s", (name, delivery_id)).fetchone()
    return str(row[0]) if row and row[0] else ""


def filename(session: Session, delivery_id: int) -> str:
    """What a file that was delivered is called; empty for what is no file."""
    return header(session, delivery_id, "filename")


@dataclass(frozen=True, slots=True)
class Standing:
    """A delivery and how it stands, for a list: nothing of its body."""

    id: int
    received_at: datetime
    account: str
    purpose: str
    verdict: str
    state: str
    reason: str
    payment_id: int | None
    """The payment that it told of, or the first of several."""


STATES = ("posted", "evidence", "ignored", "waiting", "dead", "pending")
"""How a delivery may stand."""
OF_MANY = frozenset({"statement", "fetched", "pull"})
"""Purposes of deliveries that tell of many movements at once."""


def state_named(text: str | None) -> str | None:
    """The state a person typed. Raises InvalidValue with the list."""
    if text is None:
        return None
    found = text.strip().lower()
    if found not in STATES:
        near = difflib.get_close_matches(found, STATES, n=1)
        hint = f"; did you mean {near[0]}" if near else ""
        raise InvalidValue(f"{text!r} is no state of a delivery{hint}. The states: {', '.join(STATES)}", field="state")
    return found


def standing(
    session: Session, *, state: str | None = None, after: int | None = None, limit: int = 50
) -> list[Standing]:
    """The newest deliveries, of one of ``STATES`` when named, and only those after a delivery's number when given.

    Raises InvalidValue for another state.
    """
    return rows(
        session,
        Standing,
        "SELECT d.id, d.received_at, a.adapter || ' ' || a.identifier AS account, d.purpose, d.verdict, s.state,"
        "       s.reason, s.payment_id"
        "  FROM delivery d JOIN delivery_state s ON s.delivery_id = d.id JOIN channel_account a"
        "    ON a.id = d.channel_account_id WHERE (%(state)s::text IS NULL OR s.state = %(state)s)"
        "   AND (%(after)s::bigint IS NULL OR d.id > %(after)s) ORDER BY d.id DESC LIMIT %(limit)s",
        {"state": state_named(state), "after": after, "limit": limit},
    )


def write_outcomes(session: Session, outcomes: Sequence[tuple[int, str, str]]) -> None:
    """Say how deliveries ended that are not evidence of money: (delivery id, ignored | waiting | dead, reason)."""
    copy_rows(
        raw(session),
        "delivery_outcome",
        ("delivery_id", "outcome", "reason"),
        ("int8", "text", "text"),
        [(delivery_id, outcome, reason[:500]) for delivery_id, outcome, reason in outcomes],
    )


def ended(session: Session, delivery_id: int, *, outcome: str, reason: str) -> bool:
    """Whether a delivery ever ended with this outcome for this reason."""
    return exists(
        session,
        "SELECT FROM delivery_outcome WHERE delivery_id = %s AND outcome = %s AND reason = %s LIMIT 1",
        (delivery_id, outcome, reason),
    )


def ended_so(session: Session, delivery_ids: Sequence[int], *, channel_account_id: int, beginning: str) -> list[int]:
    """Which of these deliveries are of an account and ended last with a reason of this beginning, oldest first."""
    found = raw(session).execute(
        "SELECT d.id FROM delivery d JOIN LATERAL (SELECT reason FROM delivery_outcome o WHERE o.delivery_id = d.id"
        " ORDER BY o.id DESC LIMIT 1) o ON true WHERE d.id = ANY(%s) AND d.channel_account_id = %s"
        " AND starts_with(o.reason, %s) ORDER BY d.id",
        (list(delivery_ids), channel_account_id, beginning),
    )
    return [number for (number,) in found]


def last_number(session: Session) -> int:
    """The number of the newest delivery; 0 when there is none."""
    number: int = scalar(session, "SELECT coalesce(max(id), 0) FROM delivery")
    return number


def last_heard(session: Session) -> dict[int, datetime]:
    """When a provider last called each channel account and its proof held, by the account's id."""
    found = raw(session).execute(
        "SELECT a.id, d.received_at FROM channel_account a CROSS JOIN LATERAL ("
        "    SELECT received_at FROM delivery WHERE channel_account_id = a.id AND endpoint_id IS NOT NULL"
        "       AND verdict = 'accepted' ORDER BY id DESC LIMIT 1) d"
    )
    return dict(found.fetchall())


def outcome(session: Session, delivery_id: int) -> tuple[str, str]:
    """How one delivery stands, and why. Raises NotFound."""
    row = db.first(session, "SELECT state, reason FROM delivery_state WHERE delivery_id = %s", (delivery_id,))
    if row is None:
        raise NotFound(f"no delivery {delivery_id}", delivery=delivery_id)
    return str(row[0]), str(row[1])
