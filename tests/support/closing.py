"""A day is closed by two persons: the suite's one way to do it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from reconciliation.days import certificates, closing
from reconciliation.days.certificates import Certificate
from reconciliation.days.closing import Sheet, Span
from revenue_engine import db, signed_notes
from revenue_engine.signed_notes import SigningKey
from tests.support import people
from tests.support.books import Books
from tests.support.people import Someone


@cache
def key() -> SigningKey:
    """The key of this run of the suite."""
    path = Path(mkdtemp(prefix="revenue-seal-")) / "testland.pem"
    signed_notes.make_key(path, "testland")
    made = signed_notes.read_key(path)
    path.unlink()
    path.parent.rmdir()
    return made


def second(books: Books) -> Someone:
    """Another finance officer."""
    return people.somebody(books.url, "accountant", "finance_officer")


def without_controls(books: Books) -> None:
    """Days of these books close whatever stands open: for tests that are about dates and locks, and post journals that
    no fact stands behind. Done as whoever holds the database could, by taking the controls off their list."""
    books.execute("DELETE FROM close_control WHERE kind = 'hard'")


def publish(books: Books) -> None:
    """Publish the suite's key."""
    with db.transaction(books.engine) as session:
        certificates.publish(session, key().public)


def prepare(books: Books, day: date | Span, *, who: Someone | None = None) -> Sheet:
    """The treasurer, or somebody else, prepares a close."""
    with (who or books.treasurer).acts():
        span = day if isinstance(day, Span) else closing.day(day)
        return closing.prepare(books.as_role("api"), span)


def approve(
    books: Books, sheet: Sheet, *, who: Someone | None = None, keys: Sequence[SigningKey] | None = None
) -> Certificate:
    """Another finance officer, or somebody else, approves what was shown."""
    with (who or second(books)).acts(), db.transaction(books.as_role("api")) as session:
        return closing.approve(session, sheet.span, shown_sha256=sheet.sha256, keys=keys or [key()])


def close(books: Books, *days: date | Span, controls: bool = False) -> list[Certificate]:
    """Close days and periods, one after another, by two persons. Hard controls are asked only where a test says so."""
    if not controls:
        without_controls(books)
    publish(books)
    second(books)  # whose making is sealed with the rest
    return [approve(books, prepare(books, day)) for day in days]
