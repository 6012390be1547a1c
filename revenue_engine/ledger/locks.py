"""Book dates: the first open day on or after the day of a fact, chosen under a lock that a close must wait for.

A day is closed by ``reconciliation.days.closing``, by two persons.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from sqlalchemy import select
from sqlalchemy.orm import Session

from revenue_engine.db import raw
from revenue_engine.ledger.tables import ClosedDay


def book_dates(session: Session, days: Iterable[date]) -> dict[date, date]:
    """For each day the book date it is booked to: itself, or the first open day after it.

    A shared advisory lock on every day looked at is held to the end of the transaction, taken in order of date, so
    that no day can close between the choice and the commit.
    """
    wanted = sorted(set(days))
    if not wanted:
        return {}
    rows = (
        raw(session)
        .execute(
            "SELECT d, book_date_on_or_after(d) FROM unnest(%s::date[]) WITH ORDINALITY AS w (d, n) ORDER BY n",
            (wanted,),
        )
        .fetchall()
    )
    return {row[0]: row[1] for row in rows}


def is_closed(session: Session, day: date) -> bool:
    """Whether a book date takes no more journals."""
    return session.scalar(select(ClosedDay.book_date).where(ClosedDay.book_date == day)) is not None


def closed_below(session: Session, horizon: int) -> list[date]:
    """The closed book dates whose closing became known below a horizon, in their order."""
    rows = raw(session).execute(
        "SELECT book_date FROM closed_day WHERE xid < %s::text::xid8 ORDER BY book_date", (str(horizon),)
    )
    return [row[0] for row in rows]
