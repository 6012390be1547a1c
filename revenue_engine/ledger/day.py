"""What the journals of one book date come to, summed for whoever reports the day. Amounts are in cents."""

from __future__ import annotations

from datetime import date
from typing import Literal, NamedTuple

from sqlalchemy.orm import Session

from revenue_engine.db import one, rows
from revenue_engine.errors import IntegrityFault
from revenue_engine.ledger import chart


class Flow(NamedTuple):
    """The money of payments under one stream, station or channel account; ``key`` is None where none is known."""

    key: str | int | None
    payments: int
    received: int
    applied: int
    unapplied: int
    suspense: int
    reversed: int
    net: int
    month_to_date: int
    year_to_date: int


_FLOWS = """
SELECT p.{by} AS key,
       count(DISTINCT p.payment_id) FILTER (WHERE j.kind = 'payment_received' AND j.book_date = %(on)s) AS payments,
       coalesce(sum(p.amount_minor) FILTER (WHERE j.kind = 'payment_received' AND j.book_date = %(on)s), 0)::bigint
       AS received,
       coalesce(sum(p.amount_minor) FILTER (WHERE j.kind = 'payment_received' AND j.book_date = %(on)s
                                              AND p.credit LIKE '1300.%%'), 0)::bigint AS applied,
       coalesce(sum(p.amount_minor) FILTER (WHERE j.kind = 'payment_received' AND j.book_date = %(on)s
                                              AND p.credit = '2100'), 0)::bigint AS unapplied,
       coalesce(sum(p.amount_minor) FILTER (WHERE j.kind = 'payment_received' AND j.book_date = %(on)s
                                              AND p.credit = '2200'), 0)::bigint AS suspense,
       coalesce(sum(p.amount_minor) FILTER (WHERE j.kind = 'payment_reversed' AND j.book_date = %(on)s), 0)::bigint
       AS reversed,
       coalesce(sum(CASE j.kind WHEN 'payment_received' THEN p.amount_minor ELSE -p.amount_minor END)
                FILTER (WHERE j.book_date = %(on)s), 0)::bigint AS net,
       coalesce(sum(CASE j.kind WHEN 'payment_received' THEN p.amount_minor ELSE -p.amount_minor END)
                FILTER (WHERE j.book_date >= %(month)s), 0)::bigint AS month_to_date,
       coalesce(sum(CASE j.kind WHEN 'payment_received' THEN p.amount_minor ELSE -p.amount_minor END), 0)::bigint
       AS year_to_date
  FROM journal j JOIN posting p ON p.journal_id = j.id AND p.book_date = j.book_date
 WHERE j.kind IN ('payment_received', 'payment_reversed') AND j.book_date BETWEEN %(year)s AND %(on)s
 GROUP BY 1
"""


def flows(
    session: Session,
    by: Literal["stream_code", "station_code", "channel_account_id"],
    *,
    on: date,
    month: date,
    year: date,
) -> dict[str | int | None, Flow]:
    """The money of payments on a book date, since the first of its month and since the start of its year, by key."""
    found = rows(session, Flow, _FLOWS.format(by=by), {"on": on, "month": month, "year": year})
    return {flow.key: flow for flow in found}


class Billed(NamedTuple):
    """Bills of one stream that were issued and cancelled on a book date."""

    stream_code: str
    issued_ids: list[int]
    billed: int
    cancelled: int
    cancelled_amount: int


def billed(session: Session, *, on: date) -> list[Billed]:
    """The bills of a book date, by stream."""
    return rows(
        session,
        Billed,
        """
        SELECT p.stream_code,
               coalesce(array_agg(DISTINCT p.invoice_id) FILTER (WHERE j.kind = 'invoice_issued'), '{}') AS issued_ids,
               coalesce(sum(p.amount_minor) FILTER (WHERE j.kind = 'invoice_issued'), 0)::bigint AS billed,
               count(DISTINCT p.invoice_id) FILTER (WHERE j.kind = 'invoice_cancelled') AS cancelled,
               coalesce(sum(p.amount_minor) FILTER (WHERE j.kind = 'invoice_cancelled'), 0)::bigint AS cancelled_amount
          FROM journal j JOIN posting p ON p.journal_id = j.id AND p.book_date = j.book_date
         WHERE j.book_date = %(on)s AND j.kind IN ('invoice_issued', 'invoice_cancelled')
           AND p.invoice_id IS NOT NULL
         GROUP BY 1 ORDER BY 1
        """,
        {"on": on},
    )


class Held(NamedTuple):
    """Money that is held, in suspense or as unapplied credit; opening + came - went = closing."""

    what: str
    opening: int
    came: int
    went: int
    closing: int


def held(session: Session, *, on: date) -> list[Held]:
    """What was held at the beginning and at the end of a book date, and what came and went."""
    return rows(
        session,
        Held,
        """
        SELECT what, sum(opening)::bigint AS opening, sum(came)::bigint AS came, sum(went)::bigint AS went,
               sum(opening + came - went)::bigint AS closing FROM (
            SELECT CASE credit WHEN %(suspense)s THEN 'suspense' ELSE 'unapplied credit' END AS what,
                   CASE WHEN book_date < %(on)s THEN amount_minor ELSE 0 END AS opening,
                   CASE WHEN book_date = %(on)s THEN amount_minor ELSE 0 END AS came, 0 AS went
              FROM posting WHERE credit = ANY(%(accounts)s) AND book_date <= %(on)s
            UNION ALL
            SELECT CASE debit WHEN %(suspense)s THEN 'suspense' ELSE 'unapplied credit' END,
                   CASE WHEN book_date < %(on)s THEN -amount_minor ELSE 0 END, 0,
                   CASE WHEN book_date = %(on)s THEN amount_minor ELSE 0 END
              FROM posting WHERE debit = ANY(%(accounts)s) AND book_date <= %(on)s
        ) moved GROUP BY what ORDER BY what
        """,
        {"on": on, "suspense": chart.SUSPENSE, "accounts": [chart.UNAPPLIED_CREDIT, chart.SUSPENSE]},
    )


class Totals(NamedTuple):
    """Both sides of the payments and reversals of a book date, and whose journals they are."""

    into: int
    """Debits of channels and banks by payments."""
    homes: int
    """Credits of bills, unapplied credit and suspense by payments."""
    back: int
    """Credits of channels and banks by reversals."""
    received_ids: list[int]
    reversed_ids: list[int]
    """The ids of the payments, and of the reversals, that were posted."""


def totals(session: Session, *, on: date) -> Totals:
    """The control figures of a book date."""
    found = one(
        session,
        Totals,
        """
        SELECT coalesce(sum(p.amount_minor) FILTER (WHERE j.kind = 'payment_received'
                        AND left(p.debit, 5) IN ('1200.', '1100.')), 0)::bigint AS into,
               coalesce(sum(p.amount_minor) FILTER (WHERE j.kind = 'payment_received'
                        AND (p.credit LIKE '1300.%%' OR p.credit IN ('2100', '2200'))), 0)::bigint AS homes,
               coalesce(sum(p.amount_minor) FILTER (WHERE j.kind = 'payment_reversed'
                        AND left(p.credit, 5) IN ('1200.', '1100.')), 0)::bigint AS back,
               coalesce(array_agg(DISTINCT split_part(j.key, ':', 2)::bigint) FILTER (
                        WHERE j.kind = 'payment_received' AND j.key ~ '^payment:[0-9]+:received$'), '{}')
               AS received_ids,
               coalesce(array_agg(DISTINCT split_part(j.key, ':', 2)::bigint) FILTER (
                        WHERE j.kind = 'payment_reversed' AND j.key ~ '^payment:[0-9]+:reversed$'), '{}')
               AS reversed_ids
          FROM journal j JOIN posting p ON p.journal_id = j.id AND p.book_date = j.book_date
         WHERE j.book_date = %(on)s AND j.kind IN ('payment_received', 'payment_reversed')
        """,
        {"on": on},
    )
    if found is None:
        raise IntegrityFault("an aggregate over postings returned no row")
    return found
