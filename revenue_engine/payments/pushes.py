"""Our own requests that a payer's phone ask for money (STK pushes), and how each request ended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, text
from sqlalchemy import Identity as Serial
from sqlalchemy.orm import Mapped, Session, mapped_column

from revenue_engine.db import Base, Sealed, raw


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
    rows = raw(session).execute(
        "SELECT request_id, channel_account_id, invoice_id, amount_minor FROM push_request WHERE request_id = ANY(%s)",
        (wanted,),
    )
    return {row[0]: Push(*row) for row in rows}


def write_push_ends(session: Session, ends: Sequence[tuple[str, str, int]]) -> None:
    """Keep how requests of ours ended without money (id, failed | cancelled, delivery id); the first stands."""
    insert = "INSERT INTO push_end (request_id, state, delivery_id) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"
    for end in sorted(ends):
        raw(session).execute(insert, end)


def settled_requests(session: Session, request_ids: Sequence[str]) -> set[str]:
    """Which of these requests of ours have a known end: money that is in evidence, or a message that there is none."""
    rows = raw(session).execute(
        "SELECT request_id FROM evidence WHERE request_id = ANY(%(ids)s)"
        " UNION SELECT request_id FROM push_end WHERE request_id = ANY(%(ids)s)",
        {"ids": sorted(request_ids)},
    )
    return {row[0] for row in rows}


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
            requested_by=by,
        )
    )
    session.flush()
