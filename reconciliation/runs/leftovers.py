"""What the last run left in suspense, why, and the bills a person may choose from."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, ForeignKey
from sqlalchemy.orm import Mapped, Session, mapped_column

from revenue_engine import payments
from revenue_engine.billing import payers
from revenue_engine.db import Base, raw
from revenue_engine.money import wire
from revenue_engine.work.locks import Lock


class MatchLeft(Base):
    """Why the last run left a payment in suspense: the reason and the bill that came nearest. Replaced by each run."""

    __tablename__ = "match_left"
    payment_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    run_id: Mapped[int] = mapped_column(ForeignKey("matching_run.id"))
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
    run_id: Mapped[int] = mapped_column(ForeignKey("matching_run.id"))
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
    connection.execute(
        "SELECT pg_advisory_xact_lock(%s, 0)", (Lock.LEFTOVERS,)
    )  # two runs that end at once: the later one's is shown
    connection.execute("DELETE FROM match_suggestion")
    connection.execute("DELETE FROM match_left")
    with connection.cursor() as cursor:
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


_PHONE = re.compile(r"(?<!\d)(?:\+?254|0)?[17]\d{8}(?!\d)")


def without_phones(words: str, numbers: Collection[str]) -> str:
    """A why as it may be kept: a run of digits that may be somebody's phone, and is no bill's number, is covered."""
    return _PHONE.sub(lambda found: found[0] if found[0] in numbers else f"(number ending {found[0][-3:]})", words)


def listed(session: Session) -> list[dict[str, Any]]:
    """What the last run left and why, each with the bills to choose from, the best first; money as decimal strings."""
    left = (
        raw(session)
        .execute(
            "SELECT l.payment_id, l.amount_minor, l.reason, l.why, coalesce(json_agg(json_build_array("
            "s.invoice_id, s.amount_minor, s.why) ORDER BY s.rank) FILTER (WHERE s.rank IS NOT NULL), '[]')"
            " FROM match_left l LEFT JOIN match_suggestion s ON s.payment_id = l.payment_id GROUP BY l.payment_id"
        )
        .fetchall()
    )
    told = payments.by_ids(session, [row[0] for row in left])
    bills = payers.pay_account_numbers(session, [invoice for row in left for invoice, _, _ in row[4]])
    return [
        {
            "payment": told[payment_id].identity.reference,
            "amount": wire(minor),
            "reason": reason,
            "why": why,
            "suggestions": [
                {"bill": bills[invoice], "amount": wire(part), "why": words} for invoice, part, words in suggested
            ],
        }
        for payment_id, minor, reason, why, suggested in sorted(
            left, key=lambda row: (told[row[0]].occurred_at, row[0])
        )
    ]
