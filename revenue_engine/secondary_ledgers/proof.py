"""The proof of a book: derived again from nothing beside itself, and held against it by rule and day.

A rebuild writes a shadow of the book from the postings, the rules and the remaps, by the same steps and in the order in
which they became known. Digests say on which days and rules the book differs; only these are then compared row by row.
Nothing is mended here: an append-only book is mended by whoever broke into the database being found.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from sqlalchemy.orm import Session

from revenue_engine.db import raw, rows, scalar
from revenue_engine.errors import IntegrityFault
from revenue_engine.secondary_ledgers import books, deriving, steps
from revenue_engine.secondary_ledgers.books import BookRow
from revenue_engine.secondary_ledgers.deriving import BOOK, SHADOW, MappingHole, Target

SHOWN = 200
"""Discrepancies that are shown; all are counted."""
Key = tuple[date, int]
"""A day and the id of a rule's version."""


class Slice(NamedTuple):
    """What a book holds of a day and a version: counts, cents, and two sums of hashes."""

    entries: int
    source_minor: int
    lines: int
    amount_minor: int
    first_sum: Decimal
    second_sum: Decimal


NOTHING = Slice(0, 0, 0, 0, Decimal(0), Decimal(0))


class Discrepancy(NamedTuple):
    """One difference, typed. ``kind`` is one of KINDS; amounts are in cents."""

    kind: str
    rule: str
    version: int
    day: date | None
    what: str


KINDS: Mapping[str, str] = {
    "missing": "the source is in the ledger and was derived, and the line is not in the book",
    "posted_twice": "the source stands more than once in the book",
    "source_gone": "the line stands in the book, and its posting is not in the ledger",
    "not_expected": "the line stands in the book, and no rule makes that line",
    "wrong_day": "the line stands on another day than its source",
    "wrong_rule": "the line says another version of a rule than the one in force",
    "wrong_line": "the amount, an account or the fund class is not what the rule makes",
    "half_finished": "a line without its entry, or an entry without its run",
    "not_marked": "what stands is right, and is not what the runs said they wrote",
    "rule_changed": "the rule is not what two persons agreed to",
    "mapping": "the rules that stand do not map what was derived",
}


@dataclass(frozen=True, slots=True)
class ProofRow:
    """A rule's version on a day: what the sources and the rule make, and what the book holds, in cents."""

    rule: str
    version: int
    day: date
    expected: Slice
    held: Slice
    marked: Slice

    @property
    def ties(self) -> bool:
        """Whether all three are the same to the last row."""
        return self.expected == self.held == self.marked


@dataclass(frozen=True, slots=True)
class Proof:
    """The proof of a book up to a horizon. ``found`` counts all discrepancies, of which the first are listed."""

    book: str
    horizon: int
    thirtieth: int | None
    rebuilt_digest: str
    book_digest: str
    table: list[ProofRow]
    discrepancies: list[Discrepancy]
    found: int

    @property
    def holds(self) -> bool:
        """Whether the book is what the ledger and the rules make."""
        return not self.found and self.rebuilt_digest == self.book_digest and all(row.ties for row in self.table)


def rebuild(session: Session, code: str, *, thirtieth: int | None = None) -> tuple[int, str, str]:
    """Derive a book from nothing into a shadow; returns the horizon, the digest of the shadow and that of the book.

    ``thirtieth`` (0 to 29) takes a part of all sources, so that a thirtieth a night proves all history in a month.
    Raises MappingHole and NotFound.
    """
    book = books.get(session, code)
    horizon = _shadow(session, book, thirtieth)
    return horizon, _digest(_slices(session, code, SHADOW, thirtieth)), _digest(_slices(session, code, BOOK, thirtieth))


def prove(session: Session, code: str, *, thirtieth: int | None = None) -> Proof:
    """Rebuild a book, and name every rule, day and row in which the book differs. Raises NotFound."""
    book = books.get(session, code)
    discrepancies = [
        Discrepancy("rule_changed", rule, number, day, fault)
        for rule, number, day, fault in raw(session).execute(
            "SELECT rule_code, number, effective_from, fault FROM book_rules_unjudged(%s)", (code,)
        )
    ]
    try:
        horizon = _shadow(session, book, thirtieth)
    except (MappingHole, IntegrityFault) as hole:
        discrepancies.append(Discrepancy("mapping", "", 0, None, hole.message))
        return Proof(code, 0, thirtieth, "", "", [], discrepancies, len(discrepancies))
    expected, held = _slices(session, code, SHADOW, thirtieth), _slices(session, code, BOOK, thirtieth)
    marked = held if thirtieth is not None else _marked(session, code)
    names = {
        number: (rule, version)
        for number, rule, version in raw(session).execute(
            "SELECT id, rule_code, number FROM book_rule_version WHERE book_code = %s", (code,)
        )
    }
    table = [
        ProofRow(
            *names.get(key[1], (f"version {key[1]}", 0)),
            key[0],
            expected.get(key, NOTHING),
            held.get(key, NOTHING),
            marked.get(key, NOTHING),
        )
        for key in sorted({*expected, *held, *marked})
    ]
    differing = [key for key in sorted({*expected, *held}) if expected.get(key) != held.get(key)]
    rows_found, count = _rows(session, code, differing, names, thirtieth)
    discrepancies += rows_found
    unmarked = [
        Discrepancy("not_marked", row.rule, row.version, row.day, KINDS["not_marked"])
        for row in table
        if row.expected == row.held != row.marked
    ]
    halves = _halves(session, code)
    found = len(discrepancies) - len(rows_found) + count + len(unmarked) + len(halves)
    return Proof(
        code, horizon, thirtieth, _digest(expected), _digest(held), table, discrepancies + unmarked + halves, found
    )


def _shadow(session: Session, book: BookRow, thirtieth: int | None) -> int:
    """Build the shadow up to where the book is derived, versions and remaps at the horizons at which they came in."""
    connection = raw(session)
    connection.execute("SELECT lock_book(%s)", (book.code,))
    connection.execute("DROP TABLE IF EXISTS pg_temp.shadow_entry, pg_temp.shadow_line")
    connection.execute(steps.SHADOW)
    end = deriving.checkpoint(session, book.code)
    remaps = deriving.remaps_of(session, book.code)
    cuts = [*deriving.rules_of(session, book.code).cuts, *(one.horizon for one in remaps)]
    for begin, until in deriving.windows(0, end, cuts):
        deriving.window(session, book, SHADOW, begin, until, thirtieth=thirtieth)
        for one in remaps:
            if one.horizon == until:
                deriving.remap(session, book, SHADOW, one.id)
        connection.execute("ANALYZE shadow_entry, shadow_line")
    return end


def _slices(session: Session, code: str, of: Target, thirtieth: int | None) -> dict[Key, Slice]:
    which = "(%(thirtieth)s::smallint IS NULL OR e.thirtieth = %(thirtieth)s::smallint)"
    statement = steps.DIGEST.format(entry=of.entry, line=of.line, which=which)
    found = raw(session).execute(statement, {"book": code, "thirtieth": thirtieth})
    return {(row[0], row[1]): Slice(*row[2:]) for row in found}


def _marked(session: Session, code: str) -> dict[Key, Slice]:
    found = raw(session).execute(
        "SELECT book_date, version_id, sum(entries)::bigint, sum(source_minor)::bigint, sum(lines)::bigint,"
        " sum(amount_minor)::bigint, sum(first_sum), sum(second_sum) FROM book_digest WHERE book_code = %s"
        " GROUP BY 1, 2",
        (code,),
    )
    return {(row[0], row[1]): Slice(*row[2:]) for row in found}


def _digest(slices: Mapping[Key, Slice]) -> str:
    """SHA-256 over the slices in the order of day and version: two books are equal when these are."""
    said = "\n".join(
        f"{day} {version} " + " ".join(str(part) for part in slices[day, version]) for day, version in sorted(slices)
    )
    return hashlib.sha256(said.encode()).hexdigest()


_ROWS = """
WITH days AS (SELECT unnest(%(days)s::date[]) AS book_date, unnest(%(versions)s::bigint[]) AS version_id),
     want AS (SELECT e.journal_id, e.seq, e.turn, coalesce(l.leg, 0) AS leg, e.version_id, e.book_date,
                     l.book_date AS line_date, e.sign, e.source_minor, l.debit, l.credit, l.amount_minor, l.fund_class
                FROM shadow_entry e JOIN days d USING (book_date, version_id)
                LEFT JOIN shadow_line l USING (book_code, journal_id, seq, turn)
               WHERE e.book_code = %(book)s),
     have AS (SELECT e.journal_id, e.seq, e.turn, coalesce(l.leg, 0) AS leg, e.version_id, e.book_date,
                     l.book_date AS line_date, e.sign, e.source_minor, l.debit, l.credit, l.amount_minor, l.fund_class,
                     count(*) AS times
                FROM derived_entry e JOIN days d USING (book_date, version_id)
                LEFT JOIN derived_line l USING (book_code, journal_id, seq, turn)
               WHERE e.book_code = %(book)s
                 AND (%(thirtieth)s::smallint IS NULL OR e.thirtieth = %(thirtieth)s::smallint)
               GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13),
     judged AS (
       SELECT coalesce(w.version_id, h.version_id) AS version_id, coalesce(w.book_date, h.book_date) AS book_date,
              coalesce(w.journal_id, h.journal_id) AS journal_id, coalesce(w.seq, h.seq) AS seq,
              coalesce(w.leg, h.leg) AS leg, w.amount_minor AS wanted, h.amount_minor AS held, h.book_date AS held_on,
              CASE WHEN h.journal_id IS NULL THEN 'missing'
                   WHEN w.journal_id IS NULL AND NOT EXISTS (SELECT FROM book_source s
                        WHERE s.journal_id = h.journal_id AND s.seq = h.seq) THEN 'source_gone'
                   WHEN w.journal_id IS NULL AND EXISTS (SELECT FROM shadow_entry e
                        WHERE e.journal_id = h.journal_id AND e.seq = h.seq) THEN 'posted_twice'
                   WHEN w.journal_id IS NULL THEN 'not_expected'
                   WHEN h.times > 1 THEN 'posted_twice'
                   WHEN (h.book_date, h.line_date) IS DISTINCT FROM (w.book_date, w.line_date) THEN 'wrong_day'
                   WHEN h.version_id <> w.version_id THEN 'wrong_rule'
                   ELSE 'wrong_line' END AS kind
         FROM want w
         FULL JOIN have h ON h.journal_id = w.journal_id AND h.seq = w.seq AND h.turn = w.turn AND h.leg = w.leg
        WHERE w.journal_id IS NULL OR h.journal_id IS NULL OR h.times > 1
           OR (w.version_id, w.book_date, w.line_date, w.sign, w.source_minor, w.debit, w.credit, w.amount_minor,
               w.fund_class) IS DISTINCT FROM (h.version_id, h.book_date, h.line_date, h.sign, h.source_minor, h.debit,
               h.credit, h.amount_minor, h.fund_class))
SELECT kind, version_id, book_date, journal_id, seq, leg, wanted, held, held_on, count(*) OVER () AS everything
  FROM judged ORDER BY book_date, version_id, journal_id, seq, leg LIMIT %(shown)s
"""


class _Judged(NamedTuple):
    kind: str
    version_id: int
    book_date: date
    journal_id: int
    seq: int
    leg: int
    wanted: int | None
    held: int | None
    held_on: date | None
    everything: int


def _rows(
    session: Session, code: str, differing: list[Key], names: Mapping[int, tuple[str, int]], thirtieth: int | None
) -> tuple[list[Discrepancy], int]:
    if not differing:
        return [], 0
    judged = rows(
        session,
        _Judged,
        _ROWS,
        {
            "book": code,
            "days": [day for day, _ in differing],
            "versions": [version for _, version in differing],
            "thirtieth": thirtieth,
            "shown": SHOWN,
        },
    )
    found = []
    for one in judged:
        rule, version = names.get(one.version_id, (f"version {one.version_id}", 0))
        what = f"posting {one.seq} of journal {one.journal_id}, leg {one.leg}: {KINDS[one.kind]}"
        if one.wanted != one.held:
            what += f" (the rule makes {one.wanted or 0} cents, the book holds {one.held or 0})"
        if one.kind == "wrong_day":
            what += f" (it stands on {one.held_on})"
        found.append(Discrepancy(one.kind, rule, version, one.book_date, what))
    return found, judged[0].everything if judged else 0


def _halves(session: Session, code: str) -> list[Discrepancy]:
    """Lines without an entry, and entries that no run of their transaction wrote."""
    lines = scalar(
        session,
        "SELECT count(*) FROM derived_line l WHERE l.book_code = %s AND NOT EXISTS (SELECT FROM derived_entry e"
        " WHERE (e.book_code, e.journal_id, e.seq, e.turn) = (l.book_code, l.journal_id, l.seq, l.turn))",
        (code,),
    )
    entries = scalar(
        session,
        "SELECT count(*) FROM derived_entry e WHERE e.book_code = %s AND NOT EXISTS (SELECT FROM book_run r"
        " WHERE r.book_code = e.book_code AND r.xid = e.xid)",
        (code,),
    )
    return [
        Discrepancy("half_finished", "", 0, None, f"{count} {what}")
        for count, what in ((lines, "lines have no entry"), (entries, "entries are of no run"))
        if count
    ]
