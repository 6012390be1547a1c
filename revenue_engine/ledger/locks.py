"""Book dates: the first open day on or after the day of a fact, chosen under a lock that a close must wait for."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import psycopg
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

    Days are closed in their order. Days before it on which nothing was booked close with it; raises Conflict for a day
    that has not ended, that is closed already, that is before the books open, or before which a day with journals is
    still open.
    """
    if day >= periods.today():
        raise Conflict(f"{day} has not ended yet in Nairobi", book_date=day)
    connection = raw(session)
    row = connection.execute("SELECT first_open_day()").fetchone()
    first = row[0] if row and row[0] else day
    if day < first:
        closed = is_closed(session, day)
        raise Conflict(f"{day} is closed already" if closed else f"the books open on {first}", book_date=day)
    try:
        with session.begin_nested():
            connection.execute(
                "INSERT INTO closed_day (book_date, closed_by)"
                " SELECT d::date, %s FROM generate_series(%s::date, %s::date, '1 day') AS d ORDER BY d",
                (by, first, day),
            )
    except psycopg.errors.UniqueViolation as error:  # another hand closed it while this one waited
        raise Conflict(f"{day} is closed already", book_date=day) from error
    if first == day:
        return
    booked = connection.execute(
        "SELECT min(book_date) FROM journal WHERE book_date >= %s AND book_date < %s", (first, day)
    ).fetchone()
    if booked is not None and booked[0] is not None:
        raise Conflict(f"{booked[0]} has journals and is open: close it before {day}", book_date=booked[0])


def is_closed(session: Session, day: date) -> bool:
    """Whether a book date takes no more journals."""
    return session.scalar(select(ClosedDay.book_date).where(ClosedDay.book_date == day)) is not None


def closed_below(session: Session, horizon: int) -> list[date]:
    """The closed book dates whose closing became known below a horizon, in their order."""
    rows = raw(session).execute(
        "SELECT book_date FROM closed_day WHERE xid < %s::text::xid8 ORDER BY book_date", (str(horizon),)
    )
    return [row[0] for row in rows]
