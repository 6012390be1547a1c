"""What every reader counts while it streams: sums, days, real repeats, and whether the statement adds up."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from datetime import date
from operator import itemgetter
from typing import Final

from revenue_engine.ports.statements import StatementClosed, StatementLine, StatementOpened

_KEY: Final = itemgetter(
    *map(StatementLine._fields.index, ("reference", "kind", "amount_minor", "booked_on", "text", "counts"))
)
"""What makes two lines of one statement equal."""


class Tally:
    """The running counts of one statement. Repeats are remembered as hashes, so a long statement stays small."""

    def __init__(self, opened: StatementOpened) -> None:
        self._opening = opened.opening_minor
        self._credits = 0
        self._debits = 0
        self._lines = 0
        self._shown = 0
        self._first = date.max
        self._last = date.min
        self._seen: set[int] = set()
        self._repeats: dict[int, int] = {}

    def occurrence(self, *key: Hashable) -> int:
        """Which line with this key it is, counted from 1. ``key``: reference, kind, amount, day, text, counts."""
        return self._met_again(hash(key))

    def repeats(self, lines: Sequence[StatementLine]) -> Iterator[tuple[int, int]]:
        """Places in ``lines`` whose line was met before, in this statement or among them, and its ``occurrence``.

        What `occurrence` tells of each, for many lines at once: where none repeats, sets alone say so.
        """
        digests = list(map(hash, map(_KEY, lines)))
        fresh = set(digests)
        if len(fresh) == len(digests) and self._seen.isdisjoint(fresh):
            self._seen |= fresh
            return
        for place, digest in enumerate(digests):
            if (seen := self._met_again(digest)) > 1:
                yield place, seen

    def _met_again(self, digest: int) -> int:
        before = len(self._seen)
        self._seen.add(digest)
        if len(self._seen) > before:
            return 1
        self._repeats[digest] = self._repeats.get(digest, 1) + 1
        return self._repeats[digest]

    def add(self, line: StatementLine) -> None:
        """Count a line: into the sums when it counts, else among the shown."""
        if not line.counts:
            self._shown += 1
            return
        self._lines += 1
        amount = line.amount_minor
        if amount > 0:
            self._credits += amount
        else:
            self._debits -= amount
        self.met(line.booked_on)

    def add_sums(self, lines: int, credits_minor: int, debits_minor: int) -> None:
        """Count lines that count by their sums, neither below zero. Their days are told to ``met``."""
        self._lines += lines
        self._credits += credits_minor
        self._debits += debits_minor

    def met(self, day: date) -> None:
        """A day on which a line that counts was booked."""
        if day < self._first:
            self._first = day
        if day > self._last:
            self._last = day

    @property
    def empty(self) -> bool:
        """Whether no line was met, not even one that does not count."""
        return not self._lines and not self._shown

    def close(self, closing_minor: int | None, *, notes: tuple[str, ...] = ()) -> StatementClosed:
        """The foot. ``adds_up`` is what opening + credits - debits says of the closing balance, or None."""
        adds_up = None
        if self._opening is not None and closing_minor is not None:
            adds_up = self._opening + self._credits - self._debits == closing_minor
        return StatementClosed(
            closing_minor=closing_minor,
            lines=self._lines,
            credits_minor=self._credits,
            debits_minor=self._debits,
            first_day=self._first if self._lines else None,
            last_day=self._last if self._lines else None,
            adds_up=adds_up,
            shown=self._shown,
            notes=notes,
        )
