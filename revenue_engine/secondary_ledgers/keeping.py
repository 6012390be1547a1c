"""What derives the books by itself: every few minutes all of them, and each night a thirtieth of their history proved.

A book that a rule is missing for is said in the log and keeps no other back; the next round tries again. The proof of a
night is done by one process, whoever has the book's lock first, and a process that was started later does it again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from datetime import time as clock

import psycopg
import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from revenue_engine import periods
from revenue_engine.db import transaction
from revenue_engine.errors import RevenueError
from revenue_engine.secondary_ledgers import books, deriving, proof
from revenue_engine.secondary_ledgers.deriving import Derived

log = structlog.get_logger("books")

EVERY_SECONDS = 300.0
LOOK_SECONDS = 1.0
NIGHT = clock(1, 0)
"""When the proof of a night begins, in Nairobi."""
PARTS = 30
_FIRST = date(1970, 1, 1)


def thirtieth_of(day: date) -> int:
    """Which part of all history is proved on a day: each once in thirty days."""
    return (day - _FIRST).days % PARTS


@dataclass(slots=True)
class Keeper:
    """A thread of a worker process that derives and proves the books."""

    engine: Engine
    now: Callable[[], datetime] = periods.now
    proved: date | None = None
    """The last day of which the proof was done by this process."""
    failed: dict[str, str] = field(default_factory=dict)
    """Why a book was not derived in the last round, by its code: said once and not every round."""

    def derive(self) -> int:
        """Derive every book, a transaction each; returns how many postings were counted."""
        with transaction(self.engine) as session:
            codes = [book.code for book in books.listed(session)]
        counted = 0
        for code in codes:
            found = self._derive(code)
            if isinstance(found, str):
                if self.failed.get(code) != found:
                    log.error("book not derived", book=code, why=found)
                self.failed[code] = found
                continue
            self.failed.pop(code, None)
            counted += found.entries
            if found.entries:
                log.info("book derived", book=code, entries=found.entries, lines=found.lines)
        return counted

    def _derive(self, code: str) -> Derived | str:
        """What was derived, or why nothing was."""
        try:
            with transaction(self.engine) as session:
                return deriving.derive(session, code)
        except RevenueError as error:
            return error.message

    def prove(self) -> int:
        """Prove this night's part of every book, once after one o'clock; returns how many books do not hold."""
        here = self.now().astimezone(periods.NAIROBI)
        if here.time() < NIGHT or self.proved == here.date():
            return 0
        with transaction(self.engine) as session:
            codes = [book.code for book in books.listed(session)]
        wrong = 0
        for code in codes:
            with transaction(self.engine) as session:
                found = proof.prove(session, code, thirtieth=thirtieth_of(here.date()))
            if found.holds:
                log.info("book holds", book=code, thirtieth=found.thirtieth)
                continue
            wrong += 1
            for one in found.discrepancies:
                day = None if one.day is None else one.day.isoformat()
                log.error("book does not hold", book=code, kind=one.kind, rule=one.rule, day=day, what=one.what)
        self.proved = here.date()
        return wrong

    def run(self, stop: threading.Event) -> None:
        """Derive and prove until told to stop; a database that is away is waited for."""
        derived = -EVERY_SECONDS
        while not stop.is_set():
            try:
                if time.monotonic() - derived >= EVERY_SECONDS:
                    derived = time.monotonic()
                    self.derive()
                    self.prove()
            except (DBAPIError, psycopg.Error, RevenueError) as error:
                log.warning("books not kept", error=type(error).__name__)
                self.engine.dispose()
            stop.wait(LOOK_SECONDS)
        self.engine.dispose()
