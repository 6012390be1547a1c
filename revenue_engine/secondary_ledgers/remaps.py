"""Remaps: days that were derived under an old version are reversed and derived by the version in force.

Nothing that stands is changed. The reversal and the new lines are booked on the first open day, so that no closed day
and no published statement changes; the report of what would move is part of what two persons agree to.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from sqlalchemy.orm import Session

from revenue_engine.access import approvals
from revenue_engine.access.approvals import Agreed
from revenue_engine.db import raw, scalar
from revenue_engine.errors import NotFound
from revenue_engine.secondary_ledgers import books, deriving
from revenue_engine.secondary_ledgers.deriving import BOOK, Derived

KIND = "book_remap"
"""The kind of request."""


def report(session: Session, book: str, rule: str, *, first: date, last: date) -> dict[str, Any]:
    """What a remap would touch: what stands by accounts and fund class (cents), and the closed days among its days."""
    books.get(session, book)
    given = {"book": book, "rule": rule, "first": first, "last": last}
    stands = raw(session).execute(
        """
        SELECT CASE sign WHEN 1 THEN debit ELSE credit END, CASE sign WHEN 1 THEN credit ELSE debit END, fund_class,
               sum(sign * amount_minor)::bigint
          FROM book_trace WHERE book_code = %(book)s AND rule_code = %(rule)s
           AND book_date BETWEEN %(first)s AND %(last)s GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
        """,
        given,
    )
    closed = scalar(
        session,
        "SELECT count(*) FROM book_closed_day WHERE book_code = %(book)s AND book_date BETWEEN %(first)s AND %(last)s",
        given,
    )
    return {
        "stands": [
            {"debit": debit, "credit": credit, "fund_class": fund, "minor": minor}
            for debit, credit, fund, minor in stands
        ],
        "closed_days": closed,
    }


def ask(session: Session, book: str, rule: str, *, first: date, last: date, reason: str) -> str:
    """Ask that the days of a rule be mapped anew; returns the request's public id. Raises NotFound where nothing
    stands of the rule on these days, and what ``approvals.ask`` raises."""
    touched = report(session, book, rule, first=first, last=last)
    payload = {"book": book, "rule": rule, "first": first.isoformat(), "last": last.isoformat(), "report": touched}
    return approvals.ask(
        session, KIND, subject=f"rule {rule} of {book} from {first} to {last}", payload=payload, reason=reason
    )


def remap_agreed(session: Session, agreed: Agreed) -> Derived:
    """Remap as two persons agreed; returns what was written."""
    told = agreed.payload
    book = books.get(session, told["book"])
    if not scalar(
        session,
        "SELECT count(*) FROM book_rule_version WHERE book_code = %s AND rule_code = %s",
        (book.code, told["rule"]),
    ):
        raise NotFound(f"the book {book.code} has no rule {told['rule']!r}", rule=told["rule"])
    number = scalar(
        session,
        "INSERT INTO book_remap (book_code, rule_code, first_day, last_day, reason, approval_id)"
        " VALUES (%s, %s, %s, %s, %s, %s) RETURNING id",
        (book.code, told["rule"], told["first"], told["last"], agreed.reason, agreed.number),
    )
    deriving.remap(session, book, BOOK, number)
    at = deriving.checkpoint(session, book.code)
    return deriving.finish(session, book, after=at, end=at, told=(0, 0, 0))
