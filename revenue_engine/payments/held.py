"""Money of payments that is still held: in suspense, or in a payer's unapplied credit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy.orm import Session

from revenue_engine.db import raw
from revenue_engine.ledger import chart


class Held(NamedTuple):
    """Money of a payment that is in suspense (no payer) or in a payer's unapplied credit, in cents."""

    payment_id: int
    account: str
    payer_id: int | None
    stream_code: str | None
    station_code: str | None
    amount_minor: int


def held(session: Session, *, payment_ids: Sequence[int] = (), payer_id: int | None = None) -> list[Held]:
    """What is still held of some payments, or of one payer's payments, read from the postings."""
    rows = raw(session).execute(
        """
        SELECT payment_id, account, holder, max(stream_code), max(station_code), sum(amount)::bigint FROM (
            SELECT payment_id, credit AS account, CASE credit WHEN %(credit)s THEN payer_id END AS holder,
                   stream_code, station_code, amount_minor AS amount
              FROM posting WHERE credit = ANY(%(accounts)s)
               AND ((%(payer)s::bigint IS NULL AND payment_id = ANY(%(payments)s)) OR payer_id = %(payer)s)
            UNION ALL
            SELECT payment_id, debit, CASE debit WHEN %(credit)s THEN payer_id END, NULL, NULL, -amount_minor
              FROM posting WHERE debit = ANY(%(accounts)s)
               AND ((%(payer)s::bigint IS NULL AND payment_id = ANY(%(payments)s)) OR payer_id = %(payer)s)
        ) moved GROUP BY payment_id, account, holder HAVING sum(amount) <> 0
        ORDER BY payment_id, account
        """,
        {
            "accounts": [chart.SUSPENSE, chart.UNAPPLIED_CREDIT],
            "credit": chart.UNAPPLIED_CREDIT,
            "payer": payer_id,
            "payments": list(payment_ids),
        },
    )
    return [Held(*row) for row in rows]


def with_credit(session: Session, payer_ids: Sequence[int]) -> set[int]:
    """Which of these payers ever had unapplied credit, whatever is left of it."""
    rows = raw(session).execute(
        "SELECT w.id FROM unnest(%s::bigint[]) w (id) WHERE EXISTS (SELECT FROM posting p WHERE p.payer_id = w.id"
        " AND p.credit = %s)",
        (sorted(set(payer_ids)), chart.UNAPPLIED_CREDIT),
    )
    return {row[0] for row in rows}


def held_for(
    session: Session, invoice_id: int, *, payer_id: int | None, standing_stream: str | None = None
) -> list[Held]:
    """Money still held that named this bill when it came: in its payer's credit, or, without a payer, in suspense.

    ``standing_stream`` is the stream of a bill of an object: credit that named one of its payer's objects of that
    stream, and so no one bill, counts as well.
    """
    connection = raw(session)
    if payer_id is None:
        rows = connection.execute(
            "SELECT DISTINCT payment_id FROM break_case WHERE invoice_id = %s AND closed_at IS NULL", (invoice_id,)
        )
    else:
        rows = connection.execute(
            "SELECT DISTINCT payment_id FROM posting WHERE payer_id = %s AND credit = %s"
            " AND (invoice_id = %s OR (invoice_id IS NULL AND stream_code = %s))",
            (payer_id, chart.UNAPPLIED_CREDIT, invoice_id, standing_stream),
        )
    ids = [row[0] for row in rows if row[0] is not None]
    return held(session, payment_ids=ids) if ids else []


def crossing(session: Session, moves: Sequence[tuple[int, str, str, str | None]]) -> set[int]:
    """Which of these moves would take money from one lawful destination to another, by their place in the list.

    Each is (payment id, account it is held in, stream of the bill, its station). The Fund, each facility and each
    concessionaire is a destination; what is held under no stream may go wherever it is shown to belong.
    """
    if not moves:
        return set()
    rows = raw(session).execute(
        "SELECT m.place - 1 FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[]) WITH ORDINALITY"
        " AS m (payment, held_in, stream, station, place)"
        " WHERE held_home(m.payment, m.held_in) <> lawful_home(m.stream, m.station)",
        [list(column) for column in zip(*moves, strict=True)],
    )
    return {row[0] for row in rows}
