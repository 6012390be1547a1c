"""Derive: what became final in the revenue ledger since the last run is counted in a book, whole or not at all.

The book reads by the horizon of transactions, never by a date or an id. A posting without a rule refuses the derive and
names who mends the rule: the receipt stands all the same, and no suspense account hides the hole. What was written is
held against its sources in the same transaction; where the two disagree nothing is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from revenue_engine import ledger
from revenue_engine.db import one, raw, rows, scalar
from revenue_engine.errors import Conflict, IntegrityFault
from revenue_engine.money import grouped
from revenue_engine.secondary_ledgers import books, steps
from revenue_engine.secondary_ledgers.books import BookRow

Sums = tuple[int, int, int]
"""A count, a sum of cents, and a sum of hashes."""


class MappingHole(Conflict):
    """A posting that no rule of a book is about, or that two rules claim: the message says who mends it."""

    code = "mapping_hole"


@dataclass(frozen=True, slots=True)
class Target:
    """The two tables that a derive writes: the book's own, or a shadow of the book."""

    entry: str
    line: str

    def sql(self, statement: str) -> Any:
        """A statement of ``steps`` on these tables."""
        return statement.format(entry=self.entry, line=self.line)


BOOK = Target("derived_entry", "derived_line")
SHADOW = Target("shadow_entry", "shadow_line")


class Derived(NamedTuple):
    """What one run did: horizons, rows written, and the days of the book that closed with it."""

    after: int
    horizon: int
    entries: int
    lines: int
    closed: list[date]


class Rules(NamedTuple):
    """What the choice of a rule depends on in a book, and the horizons at which versions and remaps came in."""

    by_station: bool
    by_channel: bool
    by_reference: bool
    by_item: bool
    days: list[date]
    cuts: list[int]


class Remap(NamedTuple):
    """A remap and the horizon that the book had been derived to."""

    id: int
    number: int
    horizon: int


def derive(session: Session, code: str, *, upto: int | None = None) -> Derived:
    """Derive a book up to the horizon, or up to ``upto`` where that is earlier. Raises MappingHole, NotFound,
    IntegrityFault; then nothing may be committed."""
    book = books.get(session, code)
    connection = raw(session)
    connection.execute("SELECT lock_book(%s)", (code,))
    after = checkpoint(session, code)
    end = ledger.horizon(session) if upto is None else min(upto, ledger.horizon(session))
    end = max(end, after)
    told: Sums = (0, 0, 0)
    if end > after:
        for begin, until in windows(after, end, rules_of(session, code).cuts):
            told = _plus(told, window(session, book, BOOK, begin, until))
    return finish(session, book, after=after, end=end, told=told)


def checkpoint(session: Session, code: str) -> int:
    """The horizon up to which a book is derived; 0 for a book that never was."""
    return int(scalar(session, "SELECT book_horizon(%s)::text::bigint", (code,)))


def windows(after: int, end: int, cuts: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Cut a stretch of the ledger where versions came in, so that each piece knows one set of rules."""
    begin = after
    for cut in [*sorted({cut for cut in cuts if after < cut < end}), end]:
        yield begin, cut
        begin = cut


def rules_of(session: Session, code: str) -> Rules:
    """What the rules of a book look at."""
    found = one(
        session,
        Rules,
        """
        SELECT coalesce(bool_or(station_code IS NOT NULL), false) AS by_station,
               coalesce(bool_or(channel_account_id IS NOT NULL), false) AS by_channel,
               coalesce(bool_or(reference_prefix IS NOT NULL), false) AS by_reference,
               coalesce(bool_or(item_code IS NOT NULL), false) AS by_item,
               coalesce(array_agg(DISTINCT effective_from), '{}') AS days,
               coalesce(array_agg(DISTINCT from_horizon::text::bigint), '{}') AS cuts
          FROM book_rule_version WHERE book_code = %s
        """,
        (code,),
    )
    assert found is not None  # noqa: S101 - an aggregate is one row
    return found


def remaps_of(session: Session, code: str) -> list[Remap]:
    """The remaps of a book, in their order."""
    return rows(
        session,
        Remap,
        "SELECT id, number, horizon::text::bigint AS horizon FROM book_remap WHERE book_code = %s ORDER BY number",
        (code,),
    )


def window(
    session: Session, book: BookRow, into: Target, after: int, end: int, *, thirtieth: int | None = None
) -> Sums:
    """Derive one stretch of the ledger into the tables of ``into``; returns what its sources say.

    Raises MappingHole.
    """
    connection = raw(session)
    rules = rules_of(session, book.code)
    given: dict[str, Any] = {
        **rules._asdict(),
        "book": book.code,
        "events": book.events,
        "after": str(after),
        "end": str(end),
        "thirtieth": thirtieth,
    }
    connection.execute(steps.WORKBENCH)
    connection.execute(into.sql(steps.PICK), given)
    connection.execute("ANALYZE picked")
    connection.execute(steps.CHOOSE, given)
    _refuse_holes(session, book)
    connection.execute(steps.SOURCED, given)
    connection.execute("ANALYZE sourced")
    connection.execute(into.sql(steps.ENTRIES), given)
    connection.execute(into.sql(steps.LINES), given)
    connection.execute(steps.TAKEN_BACK, given)
    _refuse_unmatched(session, book)
    connection.execute(into.sql(steps.OF_THE_BOOK), given)
    connection.execute(steps.IN_TURN)
    _take_back(session, into, given)
    return sums(connection.execute(steps.SOURCES_SAY).fetchone())


def sums(row: tuple[Any, ...] | None) -> Sums:
    """A row of three numbers."""
    assert row is not None  # noqa: S101 - an aggregate is one row
    return int(row[0]), int(row[1]), int(row[2])


def _plus(one_: Sums, other: Sums) -> Sums:
    return one_[0] + other[0], one_[1] + other[1], one_[2] + other[2]


def _take_back(session: Session, into: Target, given: dict[str, Any]) -> None:
    """Each taking back in its turn, because a second one of the same money looks at what the first one left."""
    connection = raw(session)
    for nth in range(1, int(scalar(session, "SELECT coalesce(max(nth), 0) FROM taken")) + 1):
        turn = given | {"nth": nth}
        connection.execute(into.sql(steps.STANDS), turn)
        connection.execute(steps.NOTHING_STANDS, turn)
        connection.execute(into.sql(steps.SHARES), turn)
        connection.execute(into.sql(steps.BACK_ENTRIES), turn)
        connection.execute(into.sql(steps.BACK_LINES), turn)


def remap(session: Session, book: BookRow, into: Target, remap_id: int) -> None:
    """Reverse what stands of the days of a remap and derive these days by the version in force."""
    connection = raw(session)
    given: dict[str, Any] = {"book": book.code, "remap": remap_id}
    connection.execute(steps.WORKBENCH)
    connection.execute(into.sql(steps.REMAPPED), given)
    _take_back(session, into, given)
    connection.execute(into.sql(steps.MAPPED_ANEW), given)
    connection.execute(into.sql(steps.ENTRIES), given)
    connection.execute(into.sql(steps.LINES), given)


def finish(session: Session, book: BookRow, *, after: int, end: int, told: Sums) -> Derived:
    """Hold what this transaction wrote against what its sources say, keep both digests, and close the days that may.

    Raises IntegrityFault where the two disagree.
    """
    connection = raw(session)
    given = {"book": book.code}
    written = sums(connection.execute(BOOK.sql(steps.BOOK_SAYS), given).fetchone())
    if written != told:
        raise IntegrityFault(
            f"the book {book.code} and its sources disagree: sources say {told}, the book {written}; nothing was kept",
            book=book.code,
        )
    which = "e.xid = pg_current_xact_id()"
    slices = connection.execute(
        steps.DIGEST.format(entry=BOOK.entry, line=BOOK.line, which=which),
        given,
    ).fetchall()
    entries, lines = sum(row[2] for row in slices), sum(row[4] for row in slices)
    run = scalar(
        session,
        "INSERT INTO book_run (book_code, after, horizon, entries, lines, source_digest, book_digest)"
        " VALUES (%s, %s::text::xid8, %s::text::xid8, %s, %s, %s, %s) RETURNING id",
        (book.code, str(after), str(end), entries, lines, _digest(told), _digest(written)),
    )
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO book_digest (run_id, book_code, book_date, version_id, entries, source_minor, lines,"
            " amount_minor, first_sum, second_sum) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [(run, book.code, *row) for row in slices],
        )
    return Derived(after, end, entries, lines, _close_days(session, book, end, run))


def _digest(told: Sums) -> str:
    return ":".join(str(number) for number in told)


def _close_days(session: Session, book: BookRow, end: int, run: int) -> list[date]:
    """Close the days of a book whose source day is closed and derived whole: neither book is ever ahead."""
    days = ledger.closed_below(session, end)
    closed = raw(session).execute(
        "INSERT INTO book_closed_day (book_code, book_date, run_id) SELECT %s, d, %s FROM unnest(%s::date[]) AS d"
        " WHERE NOT EXISTS (SELECT FROM book_closed_day c WHERE c.book_code = %s AND c.book_date = d) ORDER BY d"
        " RETURNING book_date",
        (book.code, run, days, book.code),
    )
    return [row[0] for row in closed]


class _Hole(NamedTuple):
    event: str
    stream_code: str | None
    station_code: str | None
    reference: str | None
    first: date
    last: date
    postings: int
    minor: int
    tied: int

    def said(self) -> str:
        of = (
            f"{self.event}s of the stream {self.stream_code}" if self.stream_code else f"{self.event}s without a stream"
        )
        at = f" at {self.station_code}" if self.station_code else ""
        named = f" named {self.reference}" if self.reference else ""
        days = f"{self.first}" if self.first == self.last else f"{self.first} to {self.last}"
        why = f"{self.tied} rules claim" if self.tied > 1 else "no rule is about"
        return f"{why} {of}{at}{named} ({self.postings} postings, KES {grouped(self.minor)}, {days})"


def _refuse_holes(session: Session, book: BookRow) -> None:
    holes = rows(session, _Hole, steps.HOLES)
    if holes:
        what = "; ".join(hole.said() for hole in holes)
        raise MappingHole(
            f"the book {book.code} was not derived: {what}. {book.owner} mends the rules with 'revenue-engine book rule"
            " propose'; a rule of the kind 'nothing' says that money is not this book's",
            book=book.code,
            owner=book.owner,
        )


def _refuse_unmatched(session: Session, book: BookRow) -> None:
    lost = raw(session).execute(steps.UNMATCHED).fetchall()
    if lost:
        what = "; ".join(
            f"posting {seq} of journal {journal} ({day}) takes back KES {grouped(minor)}, and {grouped(found)} came in"
            for _, journal, seq, day, minor, found in lost
        )
        raise IntegrityFault(f"the book {book.code} was not derived: {what}", book=book.code)
