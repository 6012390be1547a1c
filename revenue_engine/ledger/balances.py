"""Balances: snapshot slices plus the postings since, at any (effective, known-at); statements and exports.

*Effective* is a book date: what the books say of that day's end. *Known at* is an instant: what could be known then.
Known-at is a horizon of transactions, kept in ``ledger_tick``, so that the same question always has the same answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy.orm import Session

from revenue_engine import db
from revenue_engine.db import raw
from revenue_engine.errors import NotFound
from revenue_engine.ledger.chart import AccountType

NEWEST = 2**62


@dataclass(frozen=True, slots=True)
class Balance:
    """What moved through an account: both sums in cents, and how many postings they come from."""

    debit_minor: int
    credit_minor: int

    @property
    def net_minor(self) -> int:
        """Debits less credits, in cents."""
        return self.debit_minor - self.credit_minor


@dataclass(frozen=True, slots=True)
class TrialBalanceLine:
    """One account of a trial balance; ``balance_minor`` is positive on the account's normal side."""

    code: str
    name: str
    type: AccountType
    debit_minor: int
    credit_minor: int
    balance_minor: int


@dataclass(frozen=True, slots=True)
class StatementEntry:
    """One line of a statement of account: ``balance_minor`` is debits less credits after it."""

    book_date: date
    occurred_at: datetime
    journal_key: str
    kind: str
    other_account: str
    debit_minor: int
    credit_minor: int
    balance_minor: int


@dataclass(frozen=True, slots=True)
class StatementOfAccount:
    """An account between two days: opening, lines, closing; opening plus lines is closing."""

    account: str
    opening_minor: int
    entries: tuple[StatementEntry, ...]
    closing_minor: int


def tick(session: Session) -> int:
    """Mark this moment: "known at now" can be asked again for ever. Returns the horizon."""
    return int(db.scalar(session, "SELECT take_tick()"))


def known_horizon(session: Session, known_at: datetime) -> int:
    """The horizon known at an instant by the ticks at or before it; 0 (nothing was known) before the first tick.

    Two processes may tick at once and write in the other order: the furthest of the last few counts, because what was
    known is never forgotten.
    """
    query = (
        "SELECT coalesce(max(horizon)::text::bigint, 0)"
        "  FROM (SELECT horizon FROM ledger_tick WHERE at <= %s ORDER BY at DESC LIMIT 100) latest"
    )
    return int(db.scalar(session, query, (known_at,)))


def snapshot(session: Session, *, every: int = 1) -> int:
    """Fold what became final since the last run into slices; returns how many postings were folded.

    Does nothing while fewer than ``every`` postings wait, or while another process is at it. Reads only below the
    horizon, so that a journal committed late can never fall between two runs. The database folds by itself: no role
    may write a slice.
    """
    return int(db.scalar(session, "SELECT take_snapshot(%s)", (every,)))


_BALANCE_SQL = """
WITH cut AS (SELECT coalesce(max(horizon)::text, '0')::xid8 AS at FROM snapshot_run
              WHERE horizon <= %(known)s::text::xid8)
SELECT coalesce(sum(debit_minor), 0)::bigint, coalesce(sum(credit_minor), 0)::bigint FROM (
    SELECT sum(s.debit_minor) AS debit_minor, sum(s.credit_minor) AS credit_minor
      FROM balance_slice s, cut
     WHERE s.account = ANY (%(accounts)s) AND s.horizon <= cut.at AND s.book_date <= %(effective)s
    UNION ALL
    SELECT sum(p.amount_minor), 0 FROM posting p, cut
     WHERE p.debit = ANY (%(accounts)s) AND p.xid >= cut.at AND p.xid < %(known)s::text::xid8
       AND p.book_date <= %(effective)s
    UNION ALL
    SELECT 0, sum(p.amount_minor) FROM posting p, cut
     WHERE p.credit = ANY (%(accounts)s) AND p.xid >= cut.at AND p.xid < %(known)s::text::xid8
       AND p.book_date <= %(effective)s
) parts
"""


def balance(
    session: Session, account: str, *, effective: date | None = None, known_at: datetime | None = None
) -> Balance:
    """The balance of an account, or of a control account with all that roll up to it.

    ``effective`` is the last book date counted (default: all); ``known_at`` an instant (default: everything committed).
    Raises NotFound for an unknown account.
    """
    connection = raw(session)
    codes = [
        row[0]
        for row in connection.execute("SELECT code FROM account WHERE code = %s OR parent = %s", (account, account))
    ]
    if not codes:
        raise NotFound(f"there is no account {account!r}", account=account)
    known = NEWEST if known_at is None else known_horizon(session, known_at)
    row = connection.execute(
        _BALANCE_SQL, {"accounts": codes, "known": str(known), "effective": effective or date.max}
    ).fetchone()
    return Balance(int(row[0]), int(row[1])) if row else Balance(0, 0)


_TRIAL_SQL = """
WITH cut AS (SELECT coalesce(max(horizon)::text, '0')::xid8 AS at FROM snapshot_run
              WHERE horizon <= %(known)s::text::xid8),
moved AS (
    SELECT account, debit_minor, credit_minor FROM balance_slice, cut
     WHERE horizon <= cut.at AND book_date <= %(effective)s
    UNION ALL
    SELECT side.account, side.debit_minor, side.credit_minor
      FROM cut, journal j JOIN posting p ON p.journal_id = j.id AND p.book_date = j.book_date
      CROSS JOIN LATERAL (VALUES (p.debit, p.amount_minor, 0::bigint), (p.credit, 0::bigint, p.amount_minor))
           AS side (account, debit_minor, credit_minor)
     WHERE j.xid >= cut.at AND j.xid < %(known)s::text::xid8 AND p.book_date <= %(effective)s
)
SELECT a.code, a.name, a.type, sum(m.debit_minor)::bigint, sum(m.credit_minor)::bigint
  FROM moved m JOIN account a ON a.code = m.account GROUP BY a.code ORDER BY a.code
"""


def trial_balance(
    session: Session, *, effective: date | None = None, known_at: datetime | None = None
) -> list[TrialBalanceLine]:
    """Every account that moved. Debits equal credits over the whole, by construction."""
    known = NEWEST if known_at is None else known_horizon(session, known_at)
    rows = raw(session).execute(_TRIAL_SQL, {"known": str(known), "effective": effective or date.max})
    lines = []
    for code, name, kind, debit, credit in rows:
        account_type = AccountType(kind)
        sign = 1 if account_type.grows_by_debit else -1
        lines.append(TrialBalanceLine(code, name, account_type, debit, credit, sign * (debit - credit)))
    return lines


def statement(
    session: Session, account: str, *, start: date, end: date, payer_id: int | None = None
) -> StatementOfAccount:
    """A statement of account from ``start`` to ``end`` (book dates, both included), of one payer when named."""
    connection = raw(session)
    codes = [
        row[0]
        for row in connection.execute("SELECT code FROM account WHERE code = %s OR parent = %s", (account, account))
    ]
    if not codes:
        raise NotFound(f"there is no account {account!r}", account=account)
    parameters = {"accounts": codes, "start": start, "end": end, "payer": payer_id}
    rows = connection.execute(
        """
        SELECT p.book_date, j.occurred_at, j.key, j.kind, p.debit, p.credit, p.amount_minor, p.book_date >= %(start)s
          FROM posting p JOIN journal j ON j.id = p.journal_id AND j.book_date = p.book_date
         WHERE (p.debit = ANY (%(accounts)s) OR p.credit = ANY (%(accounts)s)) AND p.book_date <= %(end)s
           AND (%(payer)s::bigint IS NULL OR p.payer_id = %(payer)s)
         ORDER BY p.book_date, j.id, p.seq
        """,
        parameters,
    )
    opening = running = 0
    entries = []
    for book_date, occurred_at, key, kind, debit, credit, amount, inside in rows:
        into, out = (amount if debit in codes else 0), (amount if credit in codes else 0)
        running += into - out
        if not inside:
            opening = running
            continue
        other = credit if debit in codes else debit
        entries.append(StatementEntry(book_date, occurred_at, key, kind, other, into, out, running))
    return StatementOfAccount(account, opening, tuple(entries), running)


class ExportRow(NamedTuple):
    """One posting and its journal, as an export writes them; the amount in cents."""

    journal_id: int
    book_date: date
    key: str
    kind: str
    debit: str
    credit: str
    amount_minor: int
    payment_id: int | None
    invoice_id: int | None
    stream_code: str | None
    station_code: str | None


def export_rows(session: Session, *, first: date | None = None, last: date | None = None) -> Iterator[ExportRow]:
    """Every posting of some book dates (both included), journal by journal in the order of the book; streamed."""
    with raw(session).cursor(name="export") as cursor:
        cursor.itersize = 5_000
        cursor.execute(
            """
            SELECT j.id, j.book_date, j.key, j.kind, p.debit, p.credit, p.amount_minor, p.payment_id, p.invoice_id,
                   p.stream_code, p.station_code
              FROM journal j JOIN posting p ON p.journal_id = j.id AND p.book_date = j.book_date
             WHERE j.book_date BETWEEN coalesce(%s, '-infinity'::date) AND coalesce(%s, 'infinity'::date)
             ORDER BY j.book_date, j.id, p.seq
            """,
            (first, last),
        )
        yield from map(ExportRow._make, cursor)


def account_heads(session: Session) -> dict[str, tuple[str, str]]:
    """What plain-text accounting calls each account (``asset:1200:1``) and our name of it, by the account's code."""
    rows = raw(session).execute("SELECT code, type, name FROM account")
    return {code: (f"{kind}:{code.replace('.', ':')}", name) for code, kind, name in rows}
