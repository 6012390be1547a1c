"""Applications: money of a payment set against a component of a bill."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import BigInteger, CheckConstraint, Index, text
from sqlalchemy import Identity as Serial
from sqlalchemy.orm import Mapped, Session, mapped_column

from revenue_engine.db import Base, Sealed, copy_rows, raw, rows


class Application(Sealed, Base):
    """Payment money set against one component of one bill; a negative amount takes it off again."""

    __tablename__ = "application"
    __table_args__ = (
        Index("ix_application_payment_id", "payment_id"),
        Index("ix_application_invoice_id", "invoice_id"),
        CheckConstraint("amount_minor <> 0", name="amount"),
        CheckConstraint("component IN ('costs', 'penalty', 'interest', 'arrears', 'principal')", name="component"),
    )
    id: Mapped[int] = mapped_column(BigInteger, Serial(), primary_key=True)
    payment_id: Mapped[int]
    invoice_id: Mapped[int]
    component: Mapped[str]
    amount_minor: Mapped[int]
    journal_id: Mapped[int]
    rung: Mapped[str]
    """Which rung of the ladder, or which act, set it: the stored why."""
    recorded_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class NewApplication(NamedTuple):
    """Money of a payment set against one component of a bill, in cents; negative takes it off."""

    payment_id: int
    invoice_id: int
    component: str
    amount_minor: int
    journal_id: int
    rung: str


def apply(session: Session, applications: Sequence[NewApplication]) -> None:
    """Write applications; the database derives what is left of each bill from them and refuses to go below nothing."""
    copy_rows(
        raw(session),
        "application",
        NewApplication._fields,
        ("int8", "int8", "text", "int8", "int8", "text"),
        applications,
    )


def last_application(session: Session, payment_ids: Iterable[int]) -> dict[int, int]:
    """The id of each payment's newest application: what had been done with the payment before a new judgement of it.

    A journal's key holds the id, so that one judgement is posted once, and the same one again after an undoing is new.
    """
    rows = raw(session).execute(
        "SELECT payment_id, max(id) FROM application WHERE payment_id = ANY(%s) GROUP BY payment_id",
        (sorted(set(payment_ids)),),
    )
    return dict(rows.fetchall())


def applied(session: Session, payment_ids: Sequence[int]) -> dict[int, list[tuple[int, str, int]]]:
    """What stands applied of each payment: (invoice id, component, cents), components that came to nothing left out."""
    if not payment_ids:
        return {}
    rows = raw(session).execute(
        "SELECT payment_id, invoice_id, component, sum(amount_minor)::bigint FROM application"
        " WHERE payment_id = ANY(%s) GROUP BY payment_id, invoice_id, component HAVING sum(amount_minor) <> 0"
        " ORDER BY payment_id, max(id) DESC",
        (list(payment_ids),),
    )
    standing: dict[int, list[tuple[int, str, int]]] = {}
    for payment_id, invoice_id, component, amount in rows:
        standing.setdefault(payment_id, []).append((invoice_id, component, amount))
    return standing


class Put(NamedTuple):
    """Money that one journal set against a component of a bill, in cents, and what of that component stands now."""

    invoice_id: int
    component: str
    amount_minor: int
    stands_minor: int


def put_by_journal(session: Session, *, payment_id: int, journal_id: int) -> list[Put]:
    """What a journal set of a payment against bills, in the order it was written."""
    return rows(
        session,
        Put,
        "SELECT a.invoice_id, a.component, a.amount_minor, sum(b.amount_minor)::bigint AS stands_minor"
        "  FROM application a JOIN application b USING (payment_id, invoice_id, component)"
        " WHERE a.journal_id = %s AND a.payment_id = %s GROUP BY a.id ORDER BY a.id",
        (journal_id, payment_id),
    )


def on_bills(session: Session, payment_ids: Sequence[int]) -> dict[int, list[tuple[int, int]]]:
    """What stands applied of each payment, bill by bill: (invoice id, cents)."""
    found: dict[int, dict[int, int]] = {}
    for payment_id, parts in applied(session, payment_ids).items():
        for invoice_id, _, minor in parts:
            bills = found.setdefault(payment_id, {})
            bills[invoice_id] = bills.get(invoice_id, 0) + minor
    return {payment_id: list(bills.items()) for payment_id, bills in found.items()}


def paying(session: Session, invoice_ids: Sequence[int]) -> list[int]:
    """The payments that were ever set against some bills, whatever became of that; the first first."""
    rows = raw(session).execute(
        "SELECT payment_id FROM application WHERE invoice_id = ANY(%s) GROUP BY payment_id ORDER BY min(id)",
        (list(invoice_ids),),
    )
    return [row[0] for row in rows]


class OnBill(NamedTuple):
    """What one payment did to one bill, in cents: put on it, and taken off again."""

    payment_id: int
    put_minor: int
    taken_minor: int
    rung: str
    """What set it there first."""


def history(session: Session, invoice_id: int) -> list[OnBill]:
    """Every payment that was ever set against a bill, the first first, whatever became of it."""
    return rows(
        session,
        OnBill,
        "SELECT payment_id, coalesce(sum(amount_minor) FILTER (WHERE amount_minor > 0), 0)::bigint AS put_minor,"
        " coalesce(-sum(amount_minor) FILTER (WHERE amount_minor < 0), 0)::bigint AS taken_minor,"
        " (array_agg(rung ORDER BY id))[1] AS rung"
        "  FROM application WHERE invoice_id = %s GROUP BY payment_id ORDER BY min(id)",
        (invoice_id,),
    )
