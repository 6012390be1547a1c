"""What an invariant of the books is, and how one is checked: a query that returns only the rows that break it.

The comparison is done by the database and the answer is streamed, so that memory is flat whatever the size of the
books. Plain SQL on purpose: the ledger stands below payments, receivables and receipts and may not import them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import psycopg

from revenue_engine.money import wire

KEPT = 1_000
"""Findings kept per invariant; the rest is counted. A book with more is not read finding by finding."""

BATCH = 5_000 if psycopg.capabilities.has_stream_chunked() else 1
"""Rows fetched at a time; a client library without chunked streaming hands them out one by one."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One row that breaks an invariant: the table, the row's key and what differs."""

    table: str
    key: str
    detail: str


@dataclass(frozen=True, slots=True)
class Part:
    """One question: ``sql`` returns (key, values...) per broken row and ``detail`` says it in words.

    A whole number among the values is money in cents; counts, ids and dates arrive as text.
    """

    table: str
    detail: str
    sql: str


Reader = Callable[["psycopg.Connection[Any]"], Iterator["Finding | None"]]
"""Reads rows itself: yields None for each row that holds and a Finding for each that does not."""


@dataclass(frozen=True, slots=True)
class Check:
    """An invariant before it is checked. ``counted`` are the tables whose rows it vouches for."""

    name: str
    statement: str
    counted: tuple[str, ...]
    parts: tuple[Part, ...] = ()
    reader: Reader | None = None


@dataclass(slots=True)
class Invariant:
    """An invariant after it was checked; ``failed`` counts every finding, ``failures`` holds the first of them."""

    name: str
    statement: str
    rows_checked: int = 0
    failed: int = 0
    failures: list[Finding] = field(default_factory=list)

    def add(self, finding: Finding, keep: int) -> None:
        """Count a finding and keep it while there is room."""
        self.failed += 1
        if len(self.failures) < keep:
            self.failures.append(finding)


@dataclass(frozen=True, slots=True)
class Verification:
    """The whole answer: every invariant with its findings."""

    invariants: tuple[Invariant, ...]
    milliseconds: int

    @property
    def ok(self) -> bool:
        """Whether every invariant holds."""
        return not any(invariant.failed for invariant in self.invariants)

    @property
    def rows_checked(self) -> int:
        """Rows looked at, counted once for each invariant that vouches for them."""
        return sum(invariant.rows_checked for invariant in self.invariants)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for ``ledger verify --json``; ``failed`` is the full count where ``failures`` was cut."""
        return {
            "ok": self.ok,
            "invariants": [
                {
                    "name": invariant.name,
                    "statement": invariant.statement,
                    "rows_checked": invariant.rows_checked,
                    "failed": invariant.failed,
                    "failures": [{"table": f.table, "key": f.key, "detail": f.detail} for f in invariant.failures],
                }
                for invariant in self.invariants
            ],
            "rows_checked": self.rows_checked,
            "seconds": self.milliseconds / 1000,
        }


def rows(connection: psycopg.Connection[Any], sql: str, *, binary: bool = False) -> Iterator[tuple[Any, ...]]:
    """The rows of a query, fetched as they are asked for. Not a declared cursor: those forbid parallel plans."""
    with connection.cursor() as cursor:
        # Without parameters the driver leaves percent signs alone; every query is a constant of this package.
        yield from cursor.stream(cast("Any", sql), binary=binary, size=BATCH)


def _words(value: object) -> str:
    if value is None:
        return "nothing"
    return wire(value) if type(value) is int else str(value)


def findings(connection: psycopg.Connection[Any], part: Part) -> Iterator[Finding]:
    """The rows that break one part."""
    for key, *values in rows(connection, part.sql):
        yield Finding(part.table, str(key), part.detail.format(*map(_words, values)))


def examine(connection: psycopg.Connection[Any], check: Check, counts: dict[str, int], *, keep: int) -> Invariant:
    """Check one invariant in the transaction of ``connection``."""
    invariant = Invariant(check.name, check.statement, sum(counts[table] for table in check.counted))
    for part in check.parts:
        for finding in findings(connection, part):
            invariant.add(finding, keep)
    if check.reader is not None:
        for read in check.reader(connection):
            if read is None:
                invariant.rows_checked += 1
            else:
                invariant.rows_checked += 1
                invariant.add(read, keep)
    return invariant
