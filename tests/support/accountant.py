"""Journals written and read as an accountant would: ``DR 5900 CR 2200 100.00`` moves 100 shillings into 5900."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from revenue_engine import ledger, money
from revenue_engine.db import transaction
from revenue_engine.ledger.journal import Journal, Posting
from revenue_engine.periods import NAIROBI
from tests.support.books import Books

DAY = date(2026, 9, 15)
NOON = datetime(2026, 9, 15, 12, 0, tzinfo=NAIROBI)
ACCOUNTS = (
    "1200.mpesa-600100",
    "2200",
    "2100",
    "1300.SBP",
    "1300.RENT",
    "4000.SBP.principal",
    "4000.RENT.principal",
    "5900",
)


def noon(day: date) -> datetime:
    """Noon in Nairobi of a day."""
    return datetime(day.year, day.month, day.day, 12, tzinfo=NAIROBI)


def posting(line: str, **about: Any) -> Posting:
    """One ``DR x CR y amount`` line as a posting; what it is about by name."""
    dr, debit, cr, credit, amount = line.split()
    assert (dr, cr) == ("DR", "CR"), line
    return Posting(debit, credit, money.parse_wire(amount), **about)


def journal(*lines: str, kind: str = "test", at: datetime = NOON, reason: str | None = None, **about: Any) -> Journal:
    """A journal of ``DR x CR y amount`` lines."""
    return Journal(kind, at, tuple(posting(line, **about) for line in lines), reason=reason)


def lines(postings: Iterable[Posting]) -> list[str]:
    """Postings as ``DR x CR y amount`` lines."""
    return [f"DR {p.debit} CR {p.credit} {money.wire(p.amount_minor)}" for p in postings]


def post(books: Books, key: str, *written: str, **more: Any) -> ledger.Posted:
    """Post one journal of lines in a transaction of its own."""
    with transaction(books.engine) as session:
        return ledger.post(session, journal(*written, **more), key=key)


def undo(books: Books, journal_id: int, *, at: datetime = NOON) -> ledger.Posted:
    """Reverse one journal in a transaction of its own."""
    with transaction(books.engine) as session:
        return ledger.reverse(session, journal_id, reason="typed twice", at=at)


def stored(books: Books, key: str) -> ledger.store.StoredJournal:
    """A journal read back."""
    with transaction(books.engine) as session:
        return ledger.load(session, key=key)


def trial(books: Books, **at: Any) -> dict[str, tuple[int, int]]:
    """The trial balance as account: (debits, credits), in cents."""
    with transaction(books.engine) as session:
        return {line.code: (line.debit_minor, line.credit_minor) for line in ledger.trial_balance(session, **at)}


def sums(postings: Iterable[tuple[str, str, int]]) -> dict[str, tuple[int, int]]:
    """The same from (debit, credit, cents), added up here in Python: the oracle of every balance."""
    found: dict[str, tuple[int, int]] = {}
    for debit, credit, amount in postings:
        into, out = found.get(debit, (0, 0))
        found[debit] = (into + amount, out)
        into, out = found.get(credit, (0, 0))
        found[credit] = (into, out + amount)
    return found


def postings_of(*accounts: str) -> st.SearchStrategy[tuple[Posting, ...]]:
    """Postings between any two of these accounts, one to four of them."""
    one = st.builds(
        lambda pair, amount: Posting(pair[0], pair[1], amount),
        st.lists(st.sampled_from(accounts), min_size=2, max_size=2, unique=True),
        st.integers(1, 10**11),
    )
    return st.lists(one, min_size=1, max_size=4).map(tuple)


def days(count: int, first: date = DAY) -> list[date]:
    """So many days on end."""
    return [first + timedelta(days=number) for number in range(count)]
