"""Payments as matching reads them: what was said with the money, who sent it, and what is known of its bills."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from sqlalchemy.orm import Session

from revenue_engine.db import rows
from revenue_engine.payments.evidence import STATEMENT_MESSAGE


class Seen(NamedTuple):
    """A payment and what was said with it; the amount is in cents."""

    payment_id: int
    reference: str
    said: str
    """What the payer typed, or the narrative of the bank where ``by_bank``."""
    name: str
    phone: str
    by_bank: bool
    """Whether statements alone reported the payment: then nothing that was said is known to be typed by the payer."""
    amount_minor: int
    occurred_at: datetime
    public_id: str
    shared: bool
    """Whether another payment that is read beside this one has the same reference."""


_BY_BANK = """NOT EXISTS (SELECT FROM evidence e WHERE e.channel_account_id = p.channel_account_id AND e.kind = p.kind
                             AND e.reference = p.reference AND e.message <> %(statement)s) AS by_bank"""

_WHOLE = f"""
    SELECT p.id AS payment_id, p.reference, coalesce(y.account_reference, '') AS said, coalesce(y.name, '') AS name,
           coalesce(y.msisdn, '') AS phone, {_BY_BANK},
           p.amount_minor, p.occurred_at, p.public_id, count(*) OVER (PARTITION BY p.reference) > 1 AS shared
      FROM unnest(%(ids)s::bigint[], %(minors)s::bigint[]) AS w (id, minor)
      JOIN payment p ON p.id = w.id AND p.amount_minor = w.minor LEFT JOIN payment_party y ON y.payment_id = p.id
     ORDER BY p.occurred_at, p.reference COLLATE "C", p.id
"""  # noqa: S608 - our own constant


def whole(session: Session, held: Iterable[tuple[int, int]]) -> list[Seen]:
    """The payments of which everything is held: (payment id, cents held) each. A payment held in part is left out."""
    wanted = list(held)
    return rows(
        session,
        Seen,
        _WHOLE,
        {
            "ids": [payment_id for payment_id, _ in wanted],
            "minors": [minor for _, minor in wanted],
            "statement": STATEMENT_MESSAGE,
        },
    )


class Confirmed(NamedTuple):
    """A payment whose bills are known for certain: their ids, the cents set against each, and by what."""

    seen: Seen
    invoice_ids: list[int]
    minors: list[int]
    by_number: bool
    """Whether each bill was found by a push request or by a number, and none by hand."""


_CONFIRMED = f"""
    SELECT p.id AS payment_id, p.reference, y.account_reference AS said, y.name, y.msisdn AS phone, {_BY_BANK},
           p.amount_minor, p.occurred_at, p.public_id, true AS shared, a.invoice_ids, a.minors, a.by_number
      FROM (SELECT payment_id, array_agg(invoice_id) AS invoice_ids, array_agg(minor) AS minors,
                   bool_and(by_number) AS by_number
              FROM (SELECT payment_id, invoice_id, sum(amount_minor)::bigint AS minor,
                           bool_or(rung IN ('push', 'exact', 'normalised')) AS by_number
                      FROM application GROUP BY payment_id, invoice_id
                    HAVING sum(amount_minor) > 0 AND bool_or(rung IN ('push', 'exact', 'normalised', 'hand'))) stands
             GROUP BY payment_id) a
      JOIN payment p ON p.id = a.payment_id AND p.kind = 'payment'
      JOIN payment_party y ON y.payment_id = p.id
     WHERE NOT EXISTS (SELECT FROM payment v WHERE v.reverses_id = p.id)
     ORDER BY p.occurred_at DESC, p.id DESC LIMIT %(most)s
"""  # noqa: S608 - our own constant


class _ConfirmedRow(NamedTuple):
    """A row of ``_CONFIRMED``: the fields of :class:`Seen` and those of :class:`Confirmed`."""

    payment_id: int
    reference: str
    said: str
    name: str
    phone: str
    by_bank: bool
    amount_minor: int
    occurred_at: datetime
    public_id: str
    shared: bool
    invoice_ids: list[int]
    minors: list[int]
    by_number: bool


def confirmed(session: Session, *, most: int) -> list[Confirmed]:
    """The latest payments that stand on a bill by a push request, by a number or by two persons, the latest first."""
    found = rows(session, _ConfirmedRow, _CONFIRMED, {"most": most, "statement": STATEMENT_MESSAGE})
    last = len(Seen._fields)
    return [Confirmed(Seen._make(row[:last]), row.invoice_ids, row.minors, row.by_number) for row in found]
