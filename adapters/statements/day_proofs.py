"""What a file itself says about its days: one column is written in one way, and rows stand in an order.

A spreadsheet of another country exchanges days and months where both readings are days, and no sum changes. Nothing
here corrects a day: what speaks against a file's days refuses it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import Final

from adapters.receipts import receipt_day
from adapters.statements.mpesa_times import month_of
from adapters.statements.rows import Moment, Number
from revenue_engine.ports.statements import StatementFault, StatementRefused

_RECEIPT: Final = re.compile(r"(?<![A-Z0-9])[A-Z][A-L][1-9A-V][A-Z0-9]{7}(?![A-Z0-9])")
_SERIAL: Final = re.compile(r"\d{5}(?:\.\d+)?", re.ASCII)
_MOST_MONTHS: Final = 3
_MEND: Final = "Download the file anew and import it unopened"


class OneShape:
    """Refuses a column of dates in which a spreadsheet understood some and left others as text.

    What it understood may have day and month exchanged; what it did not is as the bank wrote it.
    """

    def __init__(self) -> None:
        self._cells: bool | None = None
        self._line = 0

    def met(self, text: str, line: int, column: str) -> None:
        """A date of the column. Raises StatementRefused."""
        cell = type(text) is not str and isinstance(text, Moment | Number)
        if not cell and text[:5].isdigit():
            cell = _SERIAL.fullmatch(text.strip()) is not None
        if self._cells is None:
            self._cells, self._line = cell, line
        elif cell is not self._cells:
            before, here = ("date cells", "text") if self._cells else ("text", "a date cell")
            raise StatementRefused(
                StatementFault.BAD_DATE,
                f"the column holds {before} from line {self._line} on and {here} here: a spreadsheet understood some of"
                f" the dates, perhaps with day and month exchanged, and left the others. {_MEND}",
                line=line,
                column=column,
            )


def exchanged(day: date) -> date | None:
    """The day with its day and month exchanged; None where there is no such day or it is the same."""
    if day.day > 12 or day.day == day.month:
        return None
    return day.replace(month=day.day, day=day.month)


class DayOrder:
    """Follows the days of rows as they are read and as they would be with days and months exchanged."""

    def __init__(self) -> None:
        self._last: date | None = None
        self._last_other: date | None = None
        self._turns: set[bool] = set()
        self._turns_other: set[bool] = set()
        self._first_line = 0
        self._back = self._forth = timedelta()
        self._days = [date.max, date.min]
        self._others = [date.max, date.min]
        self._months: set[tuple[int, int]] = set()
        self._of_month: set[int] = set()

    def met(self, day: date, line: int) -> None:
        """The day of the next row."""
        if day == self._last:
            return
        other = exchanged(day)
        if other is not None and not self._first_line:
            self._first_line = line
        other = other or day
        if self._last is not None and self._last_other is not None:
            self._turns.add(day < self._last)
            self._back, self._forth = max(self._back, self._last - day), max(self._forth, day - self._last)
            if other != self._last_other:
                self._turns_other.add(other < self._last_other)
        self._last, self._last_other = day, other
        self._days = [min(self._days[0], day), max(self._days[1], day)]
        self._others = [min(self._others[0], other), max(self._others[1], other)]
        if len(self._months) <= _MOST_MONTHS:
            self._months.add((day.year, day.month))
        self._of_month.add(day.day)

    def refuse(self, column: str, *, newest_first: bool) -> None:
        """Refuse days that go against the balances' order, when they would stand in it with days and months exchanged.

        Raises StatementRefused.
        """
        apart, other = self._days[1] - self._days[0], self._others[1] - self._others[0]
        if self._first_line and self._turns - {newest_first} and self._turns_other <= {newest_first} and other < apart:
            raise StatementRefused(
                StatementFault.BAD_DATE,
                f"the days of the rows jump between {self._days[0]} and {self._days[1]} against the order of the"
                f" balances, and stand in order from {self._others[0]} to {self._others[1]} with day and month"
                f" exchanged: a spreadsheet of another country saved the file. {_MEND}",
                line=self._first_line,
                column=column,
            )

    @property
    def note(self) -> str:
        """What a person should look at: rows whose days would be neighbours with day and month exchanged."""
        if not self._first_line:
            return ""
        if len(self._of_month) == 1 and len(self._months) > 1:
            return (
                f"every line is of day {next(iter(self._of_month))} of a month: make sure that no spreadsheet exchanged"
                " days and months"
            )
        if self._back > _A_MONTH and self._forth > _A_MONTH:
            return (
                f"the days of the lines go back by {self._back.days} days and forward by {self._forth.days} between"
                " neighbours: make sure that no spreadsheet exchanged days and months"
            )
        apart, other = self._days[1] - self._days[0], self._others[1] - self._others[0]
        if apart > _A_QUARTER and other <= _A_MONTH:
            return (
                f"the lines are of {self._days[0]:%d %b %Y} to {self._days[1]:%d %b %Y}, and with day and month"
                f" exchanged of {self._others[0]:%d %b %Y} to {self._others[1]:%d %b %Y}: make sure that"
                " no spreadsheet exchanged days and months"
            )
        return ""


_A_MONTH: Final = timedelta(days=31)
_A_QUARTER: Final = timedelta(days=92)


def hold_against_receipts(day: date, words: str, line: int, column: str, written: str) -> None:
    """Refuse a bank's day that an M-PESA receipt in its words contradicts, and agrees with when day and month change
    places. A receipt may be older than the day on which a bank books it or speaks of it. Raises StatementRefused.
    """
    other = exchanged(day)
    if other is None:
        return
    for receipt in _RECEIPT.findall(words):
        given = receipt_day(receipt)
        if given is None or -_NEAR <= day - given <= _LATE:
            continue
        if -_NEAR <= other - given <= _SOON:
            raise StatementRefused(
                StatementFault.BAD_DATE,
                f"{written!r} is read as {day:%d %b %Y}, and the receipt {receipt} beside it was given on"
                f" {given:%d %b %Y}: day and month were exchanged. {_MEND}",
                line=line,
                column=column,
            )


_NEAR: Final = timedelta(days=1)
_SOON: Final = timedelta(days=4)
_LATE: Final = timedelta(days=14)


def hold_together(booked: date, value: date, line: int, column: str, written: str) -> None:
    """Refuse a booking day that is far from its value day, and next to it with day and month exchanged.

    Raises StatementRefused.
    """
    if abs(booked - value) <= _LATE:
        return
    for one, other in ((exchanged(booked), value), (exchanged(value), booked)):
        if one is not None and abs(one - other) <= _SOON:
            raise StatementRefused(
                StatementFault.BAD_DATE,
                f"{written!r} is read as {booked:%d %b %Y} and the value day beside it as {value:%d %b %Y}: day and"
                f" month of one of them were exchanged. {_MEND}",
                line=line,
                column=column,
            )


def hold_between(days: tuple[date, date], balances: tuple[date, date], line: int, column: str) -> str:
    """What to note of a statement whose ``days``, of its first and last lines, are far outside those of ``balances``.

    Nothing where they are near. Refused where a day would stand between the balances with its parts exchanged.
    Raises StatementRefused.
    """
    since, until = balances
    far = [day for day in days if day < since - _A_MONTH or day > until + _A_MONTH]
    if since > until or not far:
        return ""
    for day in far:
        for other in (exchanged(day), _other_way_round(day)):
            if other is not None and since <= other <= until:
                raise StatementRefused(
                    StatementFault.BAD_DATE,
                    f"a line is read as of {day:%d %b %Y}, far outside the days of the balances ({since:%d %b %Y} to"
                    f" {until:%d %b %Y}), and would be of {other:%d %b %Y} with its parts in another order. Ask the"
                    " bank to write the days of this statement as YYMMDD",
                    line=line,
                    column=column,
                )
    return (
        f"lines are of {far[0]:%d %b %Y}, far outside the days of the balances ({since:%d %b %Y} to {until:%d %b %Y}):"
        " make sure that the days are right"
    )


def _other_way_round(day: date) -> date | None:
    """The day that the six digits of ``day`` name when they are read with the year behind."""
    try:
        return date(2000 + day.day, day.month, day.year % 100)
    except ValueError:
        return None


class Period:
    """The period that the head of a table names, and the days that stand outside it."""

    def __init__(self) -> None:
        self._days: dict[str, date] = {}

    def told(self, cells: Sequence[str], reads: Callable[[str], bool], read: Callable[[str], date]) -> None:
        """A row of the head: ``Period: 01/09/2026 - 30/09/2026``, ``From Date``, ``To Date``."""
        words = " ".join(" ".join(cells).split())
        label = _PERIOD.match(words)
        if label is None:
            return
        days = [read(text) for text in _IN_WORDS.findall(words) if reads(text)]
        named = _MONTH.fullmatch(words)
        if not days and named is not None and (month := month_of(named[1])) is not None:
            first = date(int(named[2]), month, 1)
            days = [first, (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)]
        if len(days) == 2 and days[0] <= days[1]:
            self._days = {"from": days[0], "to": days[1]}
        elif len(days) == 1 and label["end"]:
            self._days["from" if label["end"].casefold() in {"from", "start"} else "to"] = days[0]

    def hold(self, day: date, line: int, column: str, written: str) -> None:
        """Refuse a day outside the period, saying where it is inside with day and month exchanged.

        A day near it may be one that the bank books late. Raises StatementRefused.
        """
        if len(self._days) < 2 or self._days["from"] <= day <= self._days["to"]:
            return
        other = exchanged(day)
        if other is not None and self._days["from"] <= other <= self._days["to"]:
            raise StatementRefused(
                StatementFault.BAD_DATE,
                f"{written!r} is read as {day:%d %b %Y}, outside the period of the head, and is inside it with day and"
                f" month exchanged: a spreadsheet of another country saved the file. {_MEND}",
                line=line,
                column=column,
            )
        if day < self._days["from"] - _A_MONTH or day > self._days["to"] + _A_MONTH:
            raise StatementRefused(
                StatementFault.BAD_DATE,
                f"{written!r} is read as {day:%d %b %Y}, and the head says that the statement is of"
                f" {self._days['from']:%d %b %Y} to {self._days['to']:%d %b %Y}. {_MEND}",
                line=line,
                column=column,
            )


_PERIOD: Final = re.compile(
    r"(?:(?:statement|date|transaction)s? )?(?:(?:period|range|dates?|month|for)\b|(?P<end>from|start|to|until|end)\b)",
    re.IGNORECASE,
)
_MONTH: Final = re.compile(
    r"[A-Za-z ]*\b(?:period|month|for)\b(?: of| the| month)*\s*:?\s*([A-Za-z]{3,9})[ ,-]+(20\d\d)\.?", re.ASCII | re.I
)
"""``Statement for September 2026``, ``Month: Sep 2026``."""
_IN_WORDS: Final = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{2,4}|\d{1,2}[-/ ][A-Za-z]{3,9}[-/ ]\d{2,4}", re.ASCII)
