"""Our own requests that a payer's phone ask for money (STK pushes), and how each request ended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, text
from sqlalchemy import Identity as Serial
from sqlalchemy.orm import Mapped, Session, mapped_column

from revenue_engine.access import sessions
from revenue_engine.access.scope import WHOLE, Scope
from revenue_engine.db import Base, Sealed, exists, one, raw, rows
from revenue_engine.payments.evidence import Waiting


class PushRequest(Sealed, Base):
    """Our own request that a payer's phone ask for money (an STK push), and the bill it asks for."""

    __tablename__ = "push_request"
    id: Mapped[int] = mapped_column(BigInteger, Serial(), primary_key=True)
    channel_account_id: Mapped[int] = mapped_column(ForeignKey("channel_account.id"))
    request_id: Mapped[str] = mapped_column(unique=True)
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoice.id"))
    amount_minor: Mapped[int]
    requested_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    requested_by: Mapped[str]


class PushEnd(Sealed, Base):
    """How a push ended that brought no money, by the first message that said so."""

    __tablename__ = "push_end"
    __table_args__ = (CheckConstraint("state IN ('failed', 'cancelled')", name="state"),)
    request_id: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str]
    delivery_id: Mapped[int]
    recorded_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


@dataclass(frozen=True, slots=True)
class Push:
    """Our own push request: the bill it asks for and the amount, in cents."""

    request_id: str
    channel_account_id: int
    invoice_id: int
    amount_minor: int


def pushes(session: Session, request_ids: Iterable[str]) -> dict[str, Push]:
    """Our own push requests, by request id."""
    wanted = sorted(filter(None, set(request_ids)))
    if not wanted:
        return {}
    found = rows(
        session,
        Push,
        "SELECT request_id, channel_account_id, invoice_id, amount_minor FROM push_request WHERE request_id = ANY(%s)",
        (wanted,),
    )
    return {push.request_id: push for push in found}


@dataclass(frozen=True, slots=True)
class PushShown:
    """A push request as a list shows it; ``state`` is asked, paid, failed or cancelled, the amount in cents."""

    id: int
    request_id: str
    invoice_id: int
    amount_minor: int
    requested_at: datetime
    requested_by: str
    state: str


def listed_pushes(
    session: Session, *, invoice_id: int | None = None, before: int | None = None, limit: int = 50, scope: Scope = WHOLE
) -> list[PushShown]:
    """Push requests, the newest first: below a key, of one bill where it is named, within ``scope``."""
    return rows(
        session,
        PushShown,
        "SELECT p.id, p.request_id, p.invoice_id, p.amount_minor, p.requested_at, p.requested_by,"  # noqa: S608 - our own constant
        " CASE WHEN EXISTS (SELECT FROM evidence e WHERE e.request_id = p.request_id) THEN 'paid'"
        " ELSE coalesce((SELECT x.state FROM push_end x WHERE x.request_id = p.request_id), 'asked') END AS state"
        " FROM push_request p"
        " WHERE (%(before)s::bigint IS NULL OR p.id < %(before)s)"
        "   AND (%(bill)s::bigint IS NULL OR p.invoice_id = %(bill)s)"
        f" AND {scope.bill('p.invoice_id')} ORDER BY p.id DESC LIMIT %(limit)s",
        {**scope.given, "before": before, "bill": invoice_id, "limit": limit},
    )


_WITHOUT_END = (
    " NOT EXISTS (SELECT FROM evidence e WHERE e.request_id = p.request_id)"
    " AND NOT EXISTS (SELECT FROM push_end x WHERE x.request_id = p.request_id)"
)


def push_without_end(session: Session, push_id: int) -> Waiting | None:
    """A push whose end nobody has reported: no evidence of its payment, no message that it failed or was cancelled."""
    return one(
        session,
        Waiting,
        "SELECT p.channel_account_id, p.request_id AS reference, p.requested_at AS since FROM push_request p"  # noqa: S608 - our own constant
        " WHERE p.id = %s AND" + _WITHOUT_END,
        (push_id,),
    )


def pushes_without_end(
    session: Session, channel_account_ids: Sequence[int], *, oldest: timedelta, youngest: timedelta
) -> list[int]:
    """The ids of the pushes of some channel accounts that have no end, by how long ago they were requested."""
    found = raw(session).execute(
        "SELECT p.id FROM push_request p WHERE p.channel_account_id = ANY(%s)"  # noqa: S608 - our own constant
        " AND p.requested_at BETWEEN now() - %s AND now() - %s AND" + _WITHOUT_END,
        (list(channel_account_ids), oldest, youngest),
    )
    return [number for (number,) in found]


def paid_otherwise(session: Session, push_id: int, *, clock_behind: timedelta) -> bool:
    """Whether the bill of a push was paid the amount of the push since, by a message that names no request.

    ``clock_behind``: by how much the clock of the provider may be behind ours.
    """
    return exists(
        session,
        "SELECT FROM push_request q JOIN application a ON a.invoice_id = q.invoice_id"
        " JOIN payment p ON p.id = a.payment_id AND p.channel_account_id = q.channel_account_id"
        " WHERE q.id = %s AND p.amount_minor = q.amount_minor AND p.occurred_at > q.requested_at - %s LIMIT 1",
        (push_id, clock_behind),
    )


def write_push_ends(session: Session, ends: Sequence[tuple[str, str, int]]) -> None:
    """Keep how requests of ours ended without money (id, failed | cancelled, delivery id); the first stands."""
    insert = "INSERT INTO push_end (request_id, state, delivery_id) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"
    for end in sorted(ends):
        raw(session).execute(insert, end)


def settled_requests(session: Session, request_ids: Sequence[str]) -> set[str]:
    """Which of these requests of ours have a known end: money that is in evidence, or a message that there is none."""
    found = raw(session).execute(
        "SELECT request_id FROM evidence WHERE request_id = ANY(%(ids)s)"
        " UNION SELECT request_id FROM push_end WHERE request_id = ANY(%(ids)s)",
        {"ids": sorted(request_ids)},
    )
    return {request for (request,) in found}


def request_push(
    session: Session, *, channel_account_id: int, request_id: str, invoice_id: int, amount_minor: int, by: str
) -> None:
    """Remember that a payer's phone was asked to pay a bill, before the provider is asked to ask it."""
    session.add(
        PushRequest(
            channel_account_id=channel_account_id,
            request_id=request_id,
            invoice_id=invoice_id,
            amount_minor=amount_minor,
            requested_by=sessions.actor(session, by),
        )
    )
    session.flush()
