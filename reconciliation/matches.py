"""Matches that stand, who asked for those made by hand, what a person took back, and what is left and why."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, Session, mapped_column

from revenue_engine.db import Base, Sealed, raw, rows
from revenue_engine.identifiers import public_id
from revenue_engine.work.locks import Lock


class MatchRequest(Sealed, Base):
    """What a person asked for before approvals were one mechanism. Kept; nothing is added."""

    __tablename__ = "match_request"
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    public_id: Mapped[str] = mapped_column(unique=True)
    payment_id: Mapped[int] = mapped_column(ForeignKey("payment.id"))
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoice.id"))
    reason: Mapped[str]
    requested_by: Mapped[str]
    requested_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class PaymentMatch(Sealed, Base):
    """Money of one payment that left suspense for one bill, by a run or by two persons, and why."""

    __tablename__ = "payment_match"
    __table_args__ = (
        Index("ix_payment_match_payment_id", "payment_id"),
        Index("ix_payment_match_invoice_id", "invoice_id"),
        Index("ix_payment_match_run_id", "run_id"),
        CheckConstraint("amount_minor > 0", name="amount"),
        CheckConstraint("num_nonnulls(run_id, request_id, approval_id) = 1", name="origin"),
        Index(
            "uq_payment_match_approval_id",
            "approval_id",
            unique=True,
            postgresql_where=text("approval_id IS NOT NULL"),
        ),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    public_id: Mapped[str] = mapped_column(unique=True)
    run_id: Mapped[int | None] = mapped_column(ForeignKey("matching_run.id"))
    request_id: Mapped[int | None] = mapped_column(ForeignKey("match_request.id"), unique=True)
    approval_id: Mapped[int | None]
    payment_id: Mapped[int] = mapped_column(ForeignKey("payment.id"))
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoice.id"))
    amount_minor: Mapped[int]
    rung: Mapped[str]
    why: Mapped[str]
    journal_id: Mapped[int]
    made_by: Mapped[str]
    made_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class MatchReversal(Sealed, Base):
    """A match that a person took back. No run makes it again."""

    __tablename__ = "match_reversal"
    match_id: Mapped[int] = mapped_column(ForeignKey("payment_match.id"), primary_key=True)
    journal_id: Mapped[int]
    reason: Mapped[str]
    reversed_by: Mapped[str]
    reversed_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    approval_id: Mapped[int | None]


class MoneyMove(Sealed, Base):
    """Money of one payment that two persons moved from a wrong place to the right bill."""

    __tablename__ = "money_move"
    __table_args__ = (
        Index("ix_money_move_payment_id", "payment_id"),
        CheckConstraint("amount_minor > 0", name="amount"),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    approval_id: Mapped[int] = mapped_column(unique=True)
    payment_id: Mapped[int] = mapped_column(ForeignKey("payment.id"))
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoice.id"))
    from_invoice_ids: Mapped[list[int]] = mapped_column(
        ARRAY(BigInteger),
        comment="The bills that the money was taken off; empty where all of it was in suspense or credit",
    )
    amount_minor: Mapped[int]
    off_journal_id: Mapped[int | None] = mapped_column(
        comment="The journal that took the money off bills and credit; empty where all of it was in suspense"
    )
    journal_id: Mapped[int]
    reason: Mapped[str]
    made_by: Mapped[str]
    made_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class NewMove(NamedTuple):
    """A move of money about to be noted, beside the journals that made it. Amount in cents."""

    payment_id: int
    invoice_id: int
    from_invoice_ids: list[int]
    amount_minor: int
    off_journal_id: int | None
    journal_id: int


def note_move(session: Session, new: NewMove, *, reason: str, by: str, approval_id: int) -> None:
    """Keep what was moved and why. The database refuses a move that two persons have not agreed to, to the cent."""
    raw(session).execute(
        "INSERT INTO money_move (payment_id, invoice_id, from_invoice_ids, amount_minor, off_journal_id, journal_id,"
        " reason, made_by, approval_id) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (*new, reason, by, approval_id),
    )


class NewMatch(NamedTuple):
    """A match about to be noted, beside the journal that moved its money. Amount in cents."""

    payment_id: int
    invoice_id: int
    amount_minor: int
    rung: str
    why: str
    journal_id: int


def note(
    session: Session, made: Sequence[NewMatch], *, by: str, run_id: int | None = None, approval_id: int | None = None
) -> None:
    """Keep what was matched and why. The database refuses a match by hand that two persons have not agreed to."""
    with raw(session).cursor() as cursor:
        cursor.executemany(
            "INSERT INTO payment_match (public_id, run_id, approval_id, payment_id, invoice_id, amount_minor, rung,"
            " why, journal_id, made_by) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [(public_id("mat"), run_id, approval_id, *one, by) for one in made],
        )


class Standing(NamedTuple):
    """A match that nobody has taken back."""

    id: int
    payment_id: int
    invoice_id: int
    amount_minor: int
    journal_id: int


def standing(session: Session, payment_id: int) -> list[Standing]:
    """The matches of a payment that stand."""
    return rows(
        session,
        Standing,
        "SELECT m.id, m.payment_id, m.invoice_id, m.amount_minor, m.journal_id FROM payment_match m"
        " WHERE m.payment_id = %s AND NOT EXISTS (SELECT FROM match_reversal r WHERE r.match_id = m.id) ORDER BY m.id",
        (payment_id,),
    )


def take_back(
    session: Session, matches: Iterable[Standing], *, journal_id: int, reason: str, by: str, approval_id: int
) -> None:
    """Note that two persons took matches back, beside the journal that moved the money."""
    with raw(session).cursor() as cursor:
        cursor.executemany(
            "INSERT INTO match_reversal (match_id, journal_id, reason, reversed_by, approval_id)"
            " VALUES (%s, %s, %s, %s, %s)",
            [(one.id, journal_id, reason, by, approval_id) for one in matches],
        )


def refused(session: Session, *, payment_ids: Collection[int] | None = None) -> dict[int, set[int]]:
    """Payment to the bills from which a person took its money back: no machine sets it against them again."""
    rows = raw(session).execute(
        "SELECT m.payment_id, m.invoice_id FROM match_reversal r JOIN payment_match m ON m.id = r.match_id"
        " WHERE %(ids)s::bigint[] IS NULL OR m.payment_id = ANY(%(ids)s)"
        " UNION SELECT m.payment_id, unnest(m.from_invoice_ids) FROM money_move m"
        " WHERE %(ids)s::bigint[] IS NULL OR m.payment_id = ANY(%(ids)s)",
        {"ids": None if payment_ids is None else sorted(payment_ids)},
    )
    found: dict[int, set[int]] = {}
    for payment_id, invoice_id in rows:
        found.setdefault(payment_id, set()).add(invoice_id)
    return found


# --- what is left ----------------------------------------------------------------------------------------------------


class MatchLeft(Base):
    """Why a payment was left in suspense: the reason and the bill that came nearest. Replaced by each run."""

    __tablename__ = "match_left"
    payment_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    run_id: Mapped[int | None] = mapped_column(ForeignKey("matching_run.id"))
    """None where it was left when the money came, and no run has looked at it since."""
    amount_minor: Mapped[int]
    reason: Mapped[str]
    failed: Mapped[str]
    why: Mapped[str]
    invoice_id: Mapped[int | None]


class MatchSuggestion(Base):
    """A bill that a person may choose for a payment that was left; rank 1 is the best. Replaced by each run."""

    __tablename__ = "match_suggestion"
    payment_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    rank: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    run_id: Mapped[int | None] = mapped_column(ForeignKey("matching_run.id"))
    invoice_id: Mapped[int]
    amount_minor: Mapped[int]
    why: Mapped[str]


class Left(NamedTuple):
    """A payment that a run left, in cents, with the bill that came nearest."""

    payment_id: int
    amount_minor: int
    reason: str
    failed: str
    why: str
    invoice_id: int | None


class Suggested(NamedTuple):
    """A bill to choose from."""

    payment_id: int
    rank: int
    invoice_id: int
    amount_minor: int
    why: str


def replace_left(session: Session, run_id: int, left: Sequence[Left], suggested: Sequence[Suggested]) -> None:
    """Show people what this run left, in place of what the run before it left."""
    connection = raw(session)
    # Two runs that end at once: the later one's is shown.
    connection.execute("SELECT pg_advisory_xact_lock(%s, 0)", (Lock.LEFTOVERS,))
    connection.execute("DELETE FROM match_suggestion")
    connection.execute("DELETE FROM match_left")
    _note_left(session, run_id, left, suggested)


def left(session: Session, payment_ids: Sequence[int] | None = None) -> list[tuple[Any, ...]]:
    """What is left: payment id, cents, reason, why, and [invoice id, cents, why] of each suggestion, the best first.

    Of some payments alone where they are named.
    """
    return (
        raw(session)
        .execute(
            "SELECT l.payment_id, l.amount_minor, l.reason, l.why, coalesce(json_agg(json_build_array("
            "s.invoice_id, s.amount_minor, s.why) ORDER BY s.rank) FILTER (WHERE s.rank IS NOT NULL), '[]')"
            " FROM match_left l LEFT JOIN match_suggestion s ON s.payment_id = l.payment_id"
            " WHERE %(ids)s::bigint[] IS NULL OR l.payment_id = ANY(%(ids)s) GROUP BY l.payment_id",
            {"ids": None if payment_ids is None else list(payment_ids)},
        )
        .fetchall()
    )


def note_left(session: Session, left: Sequence[Left], suggested: Sequence[Suggested]) -> None:
    """Show people what was left in suspense when its money came, until a run has looked at it."""
    _note_left(session, None, left, suggested)


def _note_left(session: Session, run_id: int | None, left: Sequence[Left], suggested: Sequence[Suggested]) -> None:
    with raw(session).cursor() as cursor:
        cursor.executemany(
            "INSERT INTO match_left (run_id, payment_id, amount_minor, reason, failed, why, invoice_id)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s)",
            [(run_id, *one) for one in left],
        )
        cursor.executemany(
            "INSERT INTO match_suggestion (run_id, payment_id, rank, invoice_id, amount_minor, why)"
            " VALUES (%s, %s, %s, %s, %s, %s)",
            [(run_id, *one) for one in suggested],
        )
