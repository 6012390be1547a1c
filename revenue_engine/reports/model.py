"""What a report is: a header, controls that prove it, and sections of typed columns. Money is whole cents."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

Cell = str | int | date | datetime | None


class Kind(enum.StrEnum):
    """What a column holds; renderers decide how it looks."""

    TEXT = "text"
    COUNT = "count"
    MONEY = "money"
    INSTANT = "instant"


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its key in JSON, its heading, what it holds. Money and counts are totalled unless told not to be."""

    key: str
    heading: str
    kind: Kind = Kind.TEXT
    totalled: bool = True


@dataclass(frozen=True, slots=True)
class Section:
    """One table of a report."""

    key: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    sheet: str = ""
    """What its sheet of a workbook is called, where the title is too long for one (31 letters)."""

    def totals(self) -> list[int | None]:
        """The sum of each totalled column of money or counts; None for the others."""
        return [
            sum(cell for row in self.rows if isinstance(cell := row[index], int))
            if column.kind in {Kind.MONEY, Kind.COUNT} and column.totalled
            else None
            for index, column in enumerate(self.columns)
        ]


@dataclass(frozen=True, slots=True)
class Control:
    """Two figures that must be equal, in cents, and where each comes from."""

    name: str
    left: str
    left_minor: int
    right: str
    right_minor: int

    @property
    def difference_minor(self) -> int:
        """Left less right, in cents: anything but zero means the report is not to be relied on."""
        return self.left_minor - self.right_minor


@dataclass(frozen=True, slots=True)
class Report:
    """A report as data."""

    name: str
    title: str
    county: str
    mode: str
    on: date
    generated_at: datetime
    known_at: int
    """The transaction horizon the figures were read at."""
    controls: tuple[Control, ...]
    sections: tuple[Section, ...]
    provisional: str = ""
    """Why the figures may still grow, empty when the day is closed."""
    notes: Sequence[str] = field(default_factory=tuple)

    @property
    def ties(self) -> bool:
        """Whether every control is zero."""
        return not any(control.difference_minor for control in self.controls)

    @property
    def final(self) -> bool:
        """A report is final only when its day is closed and every control ties."""
        return self.ties and not self.provisional
