"""What a channel's own statements say happened, movement by movement, in the order it happened."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sqlalchemy.orm import Session

from revenue_engine.db import raw, rows
from revenue_engine.payments.evidence import STATEMENT_MESSAGE


class Move(NamedTuple):
    """A movement of a channel account as its statements tell it, in cents: above zero a payment to us, below zero what
    was taken back or charged. A payout is above zero: what left for our bank."""

    kind: str
    reference: str
    occurred_at: datetime
    amount_minor: int


_MOVES = """
SELECT kind, reference, occurred_at,
       CASE WHEN kind IN ('reversal', 'charge') THEN -amount_minor ELSE amount_minor END AS amount_minor
  FROM (SELECT DISTINCT ON (kind, reference) id, kind, reference, occurred_at, coalesce(amount_minor, 0) AS amount_minor
          FROM evidence WHERE channel_account_id = %s AND message = %s AND reference !~ '/(DIFFERENCE|SETTLEMENT)$'
         ORDER BY kind, reference, id) told
 ORDER BY occurred_at, kind = 'payout', reference COLLATE "C"
"""


def statement_moves(session: Session, channel_account_id: int) -> list[Move]:
    """Every movement that the statements of a channel account tell, in the order it happened.

    Of equal times a payout comes last: it can hold what came at its own second.
    """
    return rows(session, Move, _MOVES, (channel_account_id, STATEMENT_MESSAGE))


def paying_out(session: Session, reference: str) -> list[int]:
    """The channel accounts whose statements show a payout of a reference, by id."""
    found = raw(session).execute(
        "SELECT DISTINCT channel_account_id FROM evidence WHERE reference = %s AND kind = 'payout' AND message = %s"
        " ORDER BY 1",
        (reference, STATEMENT_MESSAGE),
    )
    return [row[0] for row in found]
