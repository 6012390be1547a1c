"""Books: opened by two persons, read by anybody: their charts, balances and the way of a figure back to its source."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from revenue_engine.access import approvals
from revenue_engine.access.approvals import Agreed
from revenue_engine.db import copy_rows, one, raw, rows
from revenue_engine.errors import InvalidValue, NotFound

KIND = "book"
"""The kind of request that opens a book."""
EVENTS = {"cash": ("receipt", "charge"), "accrual": ("billed", "charge")}
"""What a book counts, by its basis."""
_TYPES = ("asset", "liability", "fund", "income", "expense", "memo")
_FIELDS = ("code", "name", "directorate", "currency", "calendar", "basis", "owner", "accounts")

TRACED = 1000
"""Rows of a figure that are told at once."""


class BookRow(NamedTuple):
    """A book: ``owner`` is who mends its rules."""

    code: str
    name: str
    directorate: str
    currency: str
    calendar: str
    basis: str
    owner: str

    @property
    def events(self) -> list[str]:
        """What the book counts."""
        return list(EVENTS[self.basis])


def get(session: Session, code: str) -> BookRow:
    """A book by its code. Raises NotFound, naming the books that are there."""
    found = {book.code: book for book in listed(session)}
    if code not in found:
        raise NotFound(f"there is no book {code!r}; there are: {', '.join(sorted(found)) or 'none'}", book=code)
    return found[code]


def listed(session: Session) -> list[BookRow]:
    """All books, by code."""
    return rows(
        session, BookRow, "SELECT code, name, directorate, currency, calendar, basis, owner FROM book ORDER BY code"
    )


def ask(session: Session, described: Mapping[str, Any], *, reason: str) -> str:
    """Ask that a book be opened with its chart; returns the request's public id.

    ``described`` has code, name, directorate, currency, calendar, basis, owner and accounts (code, name, type). Raises
    InvalidValue that names the field, Conflict where the book is there, and what ``approvals.ask`` raises.
    """
    missing = [field for field in _FIELDS if not described.get(field)]
    unknown = sorted(set(described) - set(_FIELDS))
    if missing or unknown:
        raise InvalidValue(
            f"a book has {', '.join(_FIELDS)}: missing {', '.join(missing) or 'none'},"
            f" unknown {', '.join(unknown) or 'none'}"
        )
    if not re.fullmatch(r"[a-z][a-z0-9_]{1,30}", str(described["code"])):
        raise InvalidValue("the code of a book is small letters, figures and _", code=described["code"])
    if described["basis"] not in EVENTS:
        raise InvalidValue("a book counts cash or accrual", basis=described["basis"])
    if described["calendar"] not in {"financial_year", "calendar_year"}:
        raise InvalidValue("a calendar is financial_year or calendar_year", calendar=described["calendar"])
    if described["currency"] != "KES":
        raise InvalidValue("a derived book is kept in KES, as its source is", currency=described["currency"])
    codes = set()
    for number, account in enumerate(described["accounts"], start=1):
        if set(account) != {"code", "name", "type"} or account["type"] not in _TYPES:
            raise InvalidValue(
                f"account {number} has a code, a name and a type of {', '.join(_TYPES)}", account=account
            )
        if "suspense" in account["name"].lower():
            raise InvalidValue(
                f"account {account['code']}: a derived book has no suspense account; mend the rule instead"
            )
        if account["code"] in codes:
            raise InvalidValue(f"the account {account['code']} stands twice in the chart", account=account["code"])
        codes.add(account["code"])
    return approvals.ask(session, KIND, subject=f"book {described['code']}", payload=described, reason=reason)


def open_agreed(session: Session, agreed: Agreed) -> str:
    """Open a book as two persons agreed; returns its code."""
    told = agreed.payload
    connection = raw(session)
    connection.execute(
        "INSERT INTO book (code, name, directorate, currency, calendar, basis, owner, approval_id)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        (*(told[field] for field in _FIELDS[:-1]), agreed.number),
    )
    copy_rows(
        connection,
        "book_account",
        ("book_code", "code", "name", "type"),
        ("text",) * 4,
        [(told["code"], a["code"], a["name"], a["type"]) for a in told["accounts"]],
    )
    return str(told["code"])


class AccountBalance(NamedTuple):
    """An account of a book: both sums in cents, and debits less credits."""

    code: str
    name: str
    type: str
    debit_minor: int
    credit_minor: int
    balance_minor: int


def balances(session: Session, book: str, *, upto: date | None = None) -> list[AccountBalance]:
    """The trial balance of a book at the end of a day, of derived lines and of its funds' own facts."""
    get(session, book)
    return rows(
        session,
        AccountBalance,
        """
        SELECT a.code, a.name, a.type, coalesce(sum(m.debit), 0)::bigint AS debit_minor,
               coalesce(sum(m.credit), 0)::bigint AS credit_minor,
               coalesce(sum(m.debit - m.credit), 0)::bigint AS balance_minor
          FROM book_account a LEFT JOIN (
               SELECT debit AS account, sum(amount_minor) AS debit, 0 AS credit FROM derived_line
                WHERE book_code = %(book)s AND book_date <= %(upto)s GROUP BY 1
               UNION ALL SELECT credit, 0, sum(amount_minor) FROM derived_line
                WHERE book_code = %(book)s AND book_date <= %(upto)s GROUP BY 1
               UNION ALL SELECT debit, amount_minor, 0 FROM fund_fact
                WHERE book_code = %(book)s AND book_date <= %(upto)s
               UNION ALL SELECT credit, 0, amount_minor FROM fund_fact
                WHERE book_code = %(book)s AND book_date <= %(upto)s
               UNION ALL SELECT claim_debit, amount_minor, 0 FROM fund_fact
                WHERE book_code = %(book)s AND book_date <= %(upto)s AND claim_debit IS NOT NULL
               UNION ALL SELECT claim_credit, 0, amount_minor FROM fund_fact
                WHERE book_code = %(book)s AND book_date <= %(upto)s AND claim_credit IS NOT NULL) m
            ON m.account = a.code
         WHERE a.book_code = %(book)s GROUP BY 1, 2, 3 ORDER BY 1
        """,
        {"book": book, "upto": upto or date.max},
    )


class TraceLine(NamedTuple):
    """A line of a book and what it came from: the rule's version, the posting, the payment, the delivery."""

    book_date: date
    debit: str
    credit: str
    amount_minor: int
    sign: int
    fund_class: str
    rule_code: str
    version: int
    source_minor: int
    journal_key: str | None
    seq: int
    source_debit: str | None
    source_credit: str | None
    stream_code: str | None
    payment: str | None
    provider_reference: str | None
    delivery_id: int | None


def cell(
    session: Session,
    book: str,
    *,
    account: str | None = None,
    rule: str | None = None,
    first: date | None = None,
    last: date | None = None,
    limit: int = TRACED,
) -> list[TraceLine]:
    """Which postings and which version of which rule a figure of a book is made of, by day and journal; no more than
    ``limit``."""
    get(session, book)
    if (
        account is not None
        and one(session, _Code, "SELECT code FROM book_account WHERE book_code = %s AND code = %s", (book, account))
        is None
    ):
        raise NotFound(f"the book {book} has no account {account!r}", account=account)
    columns = ", ".join(TraceLine._fields)
    return rows(
        session,
        TraceLine,
        f"""
        SELECT {columns} FROM book_trace
         WHERE book_code = %(book)s AND (%(account)s::text IS NULL OR %(account)s IN (debit, credit))
           AND (%(rule)s::text IS NULL OR rule_code = %(rule)s)
           AND book_date BETWEEN coalesce(%(first)s, '-infinity'::date) AND coalesce(%(last)s, 'infinity'::date)
         ORDER BY book_date, journal_id, seq, turn, leg LIMIT %(limit)s
        """,  # noqa: S608 - the columns are our own
        {"book": book, "account": account, "rule": rule, "first": first, "last": last, "limit": limit},
    )


class _Code(NamedTuple):
    code: str
