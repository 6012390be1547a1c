"""What a statement file holds before anything is booked: counts, first lines, and the sums that prove it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, BinaryIO

from revenue_engine import periods
from revenue_engine.money import grouped, wire
from revenue_engine.ports.statements import (
    StatementClosed,
    StatementFault,
    StatementLine,
    StatementOpened,
    StatementReader,
    StatementRefused,
    pick,
    proved,
)

FIRST_LINES = 5


class Preview:
    """What was read of a file: of each statement its counts and its first lines, never the whole."""

    def __init__(self, readers: Mapping[str, StatementReader]) -> None:
        self._readers = readers
        self.statements: list[StatementPreview] = []

    def read(self, stream: BinaryIO, filename: str) -> None:
        """Read and prove a file, keeping count. Raises StatementRefused."""
        reader = pick(self._readers, stream, filename)
        for event in proved(reader.read(stream, filename=filename), today=periods.today()):
            if isinstance(event, StatementOpened):
                self.statements.append(StatementPreview(event))
            elif isinstance(event, StatementClosed):
                self.statements[-1].close(event)
            else:
                self.statements[-1].add(event)

    def stop(self, refused: StatementRefused) -> None:
        """Mark the statement in which a refusal stopped the reading, when its sums were the reason."""
        if self.statements and refused.fault is StatementFault.DOES_NOT_ADD_UP:
            self.statements[-1].adds_up = False


class StatementPreview:
    """One statement as far as it was read; money in cents."""

    def __init__(self, opened: StatementOpened) -> None:
        self.opened = opened
        self.closed: StatementClosed | None = None
        self.adds_up: bool | None = None
        self.lines = self.shown = self.credits = self.debits = 0
        self.first: list[StatementLine] = []
        self._days: list[Any] = []

    def add(self, line: StatementLine) -> None:
        """Count one line."""
        if len(self.first) < FIRST_LINES:
            self.first.append(line)
        if not line.counts:
            self.shown += 1
            return
        self.lines += 1
        if line.amount_minor > 0:
            self.credits += line.amount_minor
        else:
            self.debits -= line.amount_minor
        day = line.booked_on
        self._days = [min(self._days[0], day), max(self._days[1], day)] if self._days else [day, day]

    def close(self, closed: StatementClosed) -> None:
        """Take what the foot says."""
        self.closed = closed
        self.adds_up = closed.adds_up

    @property
    def days(self) -> tuple[Any, Any]:
        """The period: of the lines, else what the head names."""
        if self._days:
            return self._days[0], self._days[1]
        return self.opened.from_day, self.opened.to_day

    def as_dict(self) -> dict[str, Any]:
        """The stable form of ``--json``: money as decimal strings, days in ISO 8601, null where a thing is not said."""
        first, last = self.days
        return {
            "format": self.opened.format,
            "account": self.opened.account,
            "currency": self.opened.currency,
            "opening": money(self.opened.opening_minor),
            "closing": money(self.closed.closing_minor if self.closed else None),
            "lines": self.lines,
            "credits": money(self.credits),
            "debits": money(self.debits),
            "from": first.isoformat() if first else None,
            "to": last.isoformat() if last else None,
            "adds_up": self.adds_up,
            "shown": self.shown,
            "reference": self.opened.reference or None,
            "number": self.opened.number or None,
            "notes": list(self.closed.notes) if self.closed else [],
        }


def money(minor: int | None) -> str | None:
    """Cents as a decimal string, None where there is no amount."""
    return None if minor is None else wire(minor)


def control_total(one: StatementPreview) -> str:
    """What proves a statement, in words: its lines, its credits, and that opening + credits - debits is closing."""
    total = f"{one.lines:,} line{'' if one.lines == 1 else 's'}, {one.opened.currency} {grouped(one.credits)}"
    closing = one.closed.closing_minor if one.closed else None
    if one.closed is None:
        return f"{total}, not read to its end"
    if one.opened.opening_minor is None or closing is None:
        return f"{total}, with no balances to prove it by"
    sums = f"{grouped(one.opened.opening_minor)} + {grouped(one.credits)} - {grouped(one.debits)}"
    if one.adds_up is False:
        return f"{total}, opening + credits - debits is not closing: {sums} and {grouped(closing)}"
    if one.adds_up is None:
        return f"{total}, not proved: the opening balance was worked out from the only balance there is"
    return f"{total}, opening + credits - debits = closing: {sums} = {grouped(closing)}"
