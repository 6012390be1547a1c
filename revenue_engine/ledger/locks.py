"""Book dates: the first open day on or after the day of a fact, chosen under a lock that a close must wait for."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from sqlalchemy import select
from sqlalchemy.orm import Session

from revenue_engine import periods
from revenue_engine.db import raw
from revenue_engine.errors import Conflict
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


def close_day(session: Session, day: date, *, by: str) -> None:
    """Close a book date for ever: waits for recording in flight, then no journal may be booked to it.

    Raises Conflict for a day that has not ended, or that is closed already.
    """
    if day >= periods.today():
        raise Conflict(f"{day} has not ended yet in Nairobi", book_date=day)
    closed = raw(session).execute(
        "INSERT INTO closed_day (book_date, closed_by) VALUES (%s, %s) ON CONFLICT DO NOTHING", (day, by)
    )
    if not closed.rowcount:
        raise Conflict(f"{day} is closed already", book_date=day)


def is_closed(session: Session, day: date) -> bool:
    """Whether a book date takes no more journals."""
    return session.scalar(select(ClosedDay.book_date).where(ClosedDay.book_date == day)) is not None
