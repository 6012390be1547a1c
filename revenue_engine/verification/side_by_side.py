"""The rows of three ways: what the books, the provider and the bank say of one channel account, movement by movement.

Nothing here compares with what the books think they matched: each side is read from its own rows (journals, statement
lines, settlements on a bank) and laid beside the others by the name of the movement. Amounts are signed cents: above
zero is money that comes to the channel account.

**Days.** The books' day is the book date. The provider's day is the day that the statement books the line on; a line
that became known after its day was closed counts on the first day that was open then, as a late journal does. So what
a closed day shows never changes.
"""

from __future__ import annotations

from datetime import date
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from revenue_engine.db import one, rows
from revenue_engine.errors import IntegrityFault
from revenue_engine.payments.evidence import STATEMENT_MESSAGE

OPENING = "balance"
"""The kind of what was there before the first statement, or before the books."""


class Moved(NamedTuple):
    """One movement as the books (A) and the provider's statements (B) have it, before a day and on the day."""

    kind: str
    """payment, reversal, charge or balance; payout for an outflow of a bank account."""
    reference: str
    books_before: int
    books_today: int
    provider_before: int
    provider_today: int
    since: date
    """The first day on which either side has it."""


class PaidOut(NamedTuple):
    """A payout that the provider's statement shows (B), and the credit of it on a bank (C); either may be missing."""

    reference: str
    bank_reference: str
    amount_minor: int
    paid_on: date | None
    banked_on: date | None


class Held(NamedTuple):
    """What the statements of a day say at their foot, in cents. One that came after the day was closed says nothing."""

    closing_minor: int | None
    """The closing balance of the statement that ends on the day; None where no statement ends there."""
    covered: bool
    """Whether a statement with balances covers the day."""


_CLOSES = """
closes AS (SELECT p.last_day, h.horizon FROM close_approval a JOIN close_preparation p ON p.id = a.preparation_id
             JOIN close_horizon h ON h.preparation_id = p.id WHERE p.period = 'day')
"""
_LATE = "(SELECT max(c.last_day) + 1 FROM closes c WHERE c.horizon <= {row}.xid)"

_BOOKS = """
    SELECT CASE WHEN y.reference LIKE '%%/SETTLEMENT' THEN 'payment' ELSE y.kind END AS kind,
           regexp_replace(y.reference, '/(DIFFERENCE|SETTLEMENT)$', '') AS reference, j.book_date AS day,
           CASE y.kind WHEN 'payment' THEN y.amount_minor ELSE -y.amount_minor END AS minor
      FROM payment y
      JOIN journal j ON j.key = 'payment:' || y.id || CASE y.kind WHEN 'payment' THEN ':received'
                                                                  WHEN 'reversal' THEN ':reversed' ELSE ':charged' END
     WHERE y.channel_account_id = %(channel)s AND y.kind IN ('payment', 'reversal', 'charge')
    UNION ALL  -- what channels of ours paid into this account, where it is a bank's
    SELECT 'payment', regexp_replace(substr(j.key, length(%(settled)s) + 1), ':undone$', ''), j.book_date,
           CASE WHEN j.reverses_id IS NULL THEN p.amount_minor ELSE -p.amount_minor END
      FROM journal j JOIN posting p ON p.journal_id = j.id AND p.book_date = j.book_date
     WHERE starts_with(j.key, %(settled)s)
    UNION ALL  -- transfers out of this account to the Fund, and into it where it is the Fund's
    SELECT 'payout', r.number, j.book_date, -r.amount_minor FROM remittance r
      JOIN journal j ON j.key = 'remittance:' || r.id || ':sent' WHERE r.account = ANY(%(accounts)s)
    UNION ALL
    SELECT 'payment', v.reference, j.book_date, v.amount_minor FROM remittance_event v
      JOIN journal j ON j.key = 'remittance:' || v.remittance_id || ':credited'
     WHERE v.event = 'credited' AND v.channel_account_id = %(channel)s
    UNION ALL  -- what was there when the books were opened
    SELECT %(opening)s, 'before the books', j.book_date,
           CASE WHEN p.debit = ANY(%(accounts)s) THEN p.amount_minor ELSE -p.amount_minor END
      FROM journal j JOIN posting p ON p.journal_id = j.id AND p.book_date = j.book_date
     WHERE j.kind = 'opening_balance' AND (p.debit = ANY(%(accounts)s) OR p.credit = ANY(%(accounts)s))
"""
_PROVIDER = f"""
    SELECT coalesce(e.kind, t.kind, l.kind) AS kind,
           coalesce(e.reference, t.reference, r.number, l.reference) AS reference,
           greatest(l.booked_on, {_LATE.format(row="l")}) AS day, l.amount_minor AS minor
      FROM statement_line l JOIN statement s ON s.id = l.statement_id
      -- a bank's notice and its statement may name one payment differently: the evidence says which payment is meant
      LEFT JOIN evidence e ON e.delivery_id = s.delivery_id AND e.item = l.number AND e.message = %(message)s
      LEFT JOIN evidence t ON t.delivery_id = s.delivery_id AND t.item = -1 - l.number AND t.message = %(message)s
                          AND t.reference !~ '/(DIFFERENCE|SETTLEMENT)$'
      LEFT JOIN remittance_event v ON v.event = 'debited' AND v.channel_account_id = l.channel_account_id
                                  AND v.reference = l.reference
      LEFT JOIN remittance r ON r.id = v.remittance_id
     WHERE l.channel_account_id = %(channel)s AND l.counts AND (l.kind <> 'payout' OR %(bank)s)
    UNION ALL  -- what was there before the first statement
    (SELECT %(opening)s, 'before the books', greatest(s.first_day, {_LATE.format(row="s")}), s.opening_minor
       FROM statement s WHERE s.channel_account_id = %(channel)s AND s.opening_minor IS NOT NULL
        AND s.first_day IS NOT NULL ORDER BY s.first_day, s.id LIMIT 1)
"""  # noqa: S608 - our own constants

_MOVED = f"""
WITH {_CLOSES},
sides AS (SELECT kind, reference, day, minor AS books, 0 AS provider FROM ({_BOOKS}) a
          UNION ALL SELECT kind, reference, day, 0, minor FROM ({_PROVIDER}) b)
SELECT kind, reference, coalesce(sum(books) FILTER (WHERE day < %(on)s), 0)::bigint AS books_before,
       coalesce(sum(books) FILTER (WHERE day = %(on)s), 0)::bigint AS books_today,
       coalesce(sum(provider) FILTER (WHERE day < %(on)s), 0)::bigint AS provider_before,
       coalesce(sum(provider) FILTER (WHERE day = %(on)s), 0)::bigint AS provider_today, min(day) AS since
  FROM sides WHERE day <= %(on)s GROUP BY kind, reference
HAVING bool_or(day = %(on)s) OR sum(books) <> sum(provider)
 ORDER BY since, kind, reference COLLATE "C"
"""  # noqa: S608 - our own constants

_PAID_OUT = f"""
WITH {_CLOSES},
paid AS (SELECT DISTINCT ON (e.reference) e.reference, e.amount_minor,
                greatest((e.occurred_at AT TIME ZONE 'Africa/Nairobi')::date, {_LATE.format(row="e")}) AS day
           FROM evidence e WHERE e.channel_account_id = %(channel)s AND e.kind = 'payout' AND e.message = %(message)s
          ORDER BY e.reference, e.id),
banked AS (SELECT j.key, regexp_replace(j.key, '^settled:[0-9]+:', '') AS reference, j.book_date AS day,
                  sum(CASE WHEN j.reverses_id IS NULL THEN p.amount_minor ELSE -p.amount_minor END)::bigint
                  AS amount_minor
             FROM posting p JOIN journal j ON j.id = p.journal_id AND j.book_date = p.book_date
            WHERE p.channel_account_id = %(channel)s AND j.kind IN ('settled', 'settled_undone')
            GROUP BY j.key, j.book_date),
linked AS (SELECT payout_reference AS reference, 'settled:' || bank_channel_account_id || ':' || bank_reference AS key
             FROM settlement_payout WHERE channel_account_id = %(channel)s)
SELECT coalesce(paid.reference, '') AS reference, coalesce(banked.reference, '') AS bank_reference,
       coalesce(paid.amount_minor, banked.amount_minor) AS amount_minor, paid.day AS paid_on, banked.day AS banked_on
  FROM (SELECT p.*, coalesce(l.key, row_number() OVER (PARTITION BY p.amount_minor, l.key IS NULL
                                                           ORDER BY p.day, p.reference COLLATE "C")
                                    || ' of ' || p.amount_minor) AS pair
          FROM paid p LEFT JOIN linked l USING (reference) WHERE p.day <= %(on)s) paid
  FULL JOIN (SELECT b.*, coalesce(l.key, row_number() OVER (PARTITION BY b.amount_minor, l.key IS NULL
                                                                ORDER BY b.day, b.reference COLLATE "C")
                                         || ' of ' || b.amount_minor) AS pair
               FROM banked b LEFT JOIN linked l USING (key) WHERE b.day <= %(on)s) banked USING (pair)
 WHERE paid.day IS NULL OR banked.day IS NULL OR greatest(paid.day, banked.day) = %(on)s
 ORDER BY coalesce(paid.day, banked.day), 1, 2
"""  # noqa: S608 - our own constants

_TOTALS = f"""
WITH {_CLOSES}
SELECT (SELECT coalesce(sum(minor), 0) FROM ({_PROVIDER}) b WHERE day <= %(on)s)::bigint AS moved,
       (SELECT coalesce(sum(amount_minor), 0) FROM
           (SELECT DISTINCT ON (e.reference) e.amount_minor,
                   greatest((e.occurred_at AT TIME ZONE 'Africa/Nairobi')::date, {_LATE.format(row="e")}) AS day
              FROM evidence e WHERE e.channel_account_id = %(channel)s AND e.kind = 'payout'
               AND e.message = %(message)s AND NOT %(bank)s ORDER BY e.reference, e.id) p
         WHERE day <= %(on)s)::bigint AS paid_out
"""  # noqa: S608 - our own constants

_HELD = f"""
WITH {_CLOSES},
told AS (SELECT s.* FROM statement s WHERE s.channel_account_id = %(channel)s AND s.opening_minor IS NOT NULL
            AND %(on)s BETWEEN s.first_day AND s.last_day AND coalesce({_LATE.format(row="s")}, %(on)s) <= %(on)s)
SELECT (SELECT closing_minor FROM told WHERE last_day = %(on)s ORDER BY id DESC LIMIT 1) AS closing_minor,
       EXISTS (SELECT FROM told) AS covered
"""  # noqa: S608 - our own constants


def _given(channel: int, on: date, accounts: list[str], *, bank: bool) -> dict[str, Any]:
    return {
        "channel": channel,
        "on": on,
        "bank": bank,
        "accounts": accounts,
        "settled": f"settled:{channel}:",
        "opening": OPENING,
        "message": STATEMENT_MESSAGE,
    }


def moved(session: Session, channel: int, on: date, *, accounts: list[str], bank: bool) -> list[Moved]:
    """The movements of a channel account that are of a day, or on which both sides did not agree by its end.

    ``accounts``: the accounts of the ledger that hold its money; ``bank``: whether it is a bank account, whose outflows
    are movements too. Also those that agreed before are left in where the day has more of them.
    """
    return rows(session, Moved, _MOVED, _given(channel, on, accounts, bank=bank))


def paid_out(session: Session, channel: int, on: date) -> list[PaidOut]:
    """The payouts of a channel account that are of a day, were banked on the day, or wait at its end.

    A payout and a bank's credit pair as the settlement recorded it; those of before such records pair by amount, the
    oldest with the oldest.
    """
    return rows(session, PaidOut, _PAID_OUT, _given(channel, on, [], bank=False))


class _Totals(NamedTuple):
    moved: int
    paid_out: int


def held_by_provider(session: Session, channel: int, on: date, *, bank: bool) -> int:
    """What the provider holds for us at the end of a day by the lines of its statements, in cents."""
    found = one(session, _Totals, _TOTALS, _given(channel, on, [], bank=bank))
    if found is None:
        raise IntegrityFault("a sum of statement lines returned no row")
    return found.moved - found.paid_out


def told_by_provider(session: Session, channel: int, on: date) -> Held:
    """What the provider's own statement says at its foot, and whether one covers the day."""
    found = one(session, Held, _HELD, _given(channel, on, [], bank=False))
    if found is None:
        raise IntegrityFault("a query without a table returned no row")
    return found
