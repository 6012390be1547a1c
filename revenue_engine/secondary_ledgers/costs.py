"""What it costs to collect: charges and the expenses of ICT, over net revenue (OECD 2013, chapter 5).

Net revenue is money that reached a bill, less what was taken back. Charges are those of channels and banks. Expenses
are those of the book of the directorate that runs the system. The ratio moves with tariffs too, not only with costs.
"""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

from sqlalchemy.orm import Session

from revenue_engine.db import one
from revenue_engine.errors import IntegrityFault
from revenue_engine.secondary_ledgers import books


class Cost(NamedTuple):
    """Figures of a time in cents, and how many postings each is made of."""

    received_minor: int
    taken_back_minor: int
    receipts: int
    charges_minor: int
    charge_postings: int
    expenses_minor: int
    expenses: int

    @property
    def net_minor(self) -> int:
        """Net revenue, in cents."""
        return self.received_minor - self.taken_back_minor

    @property
    def cost_minor(self) -> int:
        """What collecting cost, in cents."""
        return self.charges_minor + self.expenses_minor

    @property
    def parts(self) -> int | None:
        """Cost in parts of ten thousand of net revenue, rounded up; None where nothing came in."""
        return -(-self.cost_minor * 10_000 // self.net_minor) if self.net_minor > 0 else None


def to_collect(session: Session, book: str, *, first: date, last: date) -> Cost:
    """The cost to collect of the book dates [first, last], with the expenses of a directorate's book. Raises
    NotFound."""
    books.get(session, book)
    found = one(
        session,
        Cost,
        """
        SELECT coalesce(sum(amount_minor) FILTER (WHERE event = 'receipt' AND sign = 1), 0)::bigint AS received_minor,
               coalesce(sum(amount_minor) FILTER (WHERE event = 'receipt' AND sign = -1), 0)::bigint
                   AS taken_back_minor,
               count(*) FILTER (WHERE event = 'receipt') AS receipts,
               coalesce(sum(sign * amount_minor) FILTER (WHERE event = 'charge'), 0)::bigint AS charges_minor,
               count(*) FILTER (WHERE event = 'charge') AS charge_postings,
               (SELECT coalesce(sum(amount_minor), 0)::bigint FROM fund_fact WHERE book_code = %(book)s
                   AND kind = 'expense' AND book_date BETWEEN %(first)s AND %(last)s) AS expenses_minor,
               (SELECT count(*) FROM fund_fact WHERE book_code = %(book)s AND kind = 'expense'
                   AND book_date BETWEEN %(first)s AND %(last)s) AS expenses
          FROM book_source WHERE book_date BETWEEN %(first)s AND %(last)s
        """,
        {"book": book, "first": first, "last": last},
    )
    if found is None:
        raise IntegrityFault("a sum has no row")  # pragma: no cover - an aggregate is one row
    return found
