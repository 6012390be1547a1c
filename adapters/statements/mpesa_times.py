"""Times of M-PESA organisation statements, held against the day that each receipt carries.

A spreadsheet of another country exchanges days and months, drops seconds and writes years of two digits, and the sums
stay right. So a date is not believed for its form: where its numbers can be read in more than one order, the receipts
of the file say which one is meant, and every row is held against its own receipt.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from adapters.receipts import receipt_day
from adapters.statements.rows import Moment
from revenue_engine.periods import NAIROBI
from revenue_engine.ports.statements import StatementFault, StatementRefused


class Shape(enum.StrEnum):
    """How a date is written, whatever its numbers mean."""

    CELL = "a date cell of a workbook"
    YEAR_LAST = "numbers with the year behind"
    YEAR_FIRST = "numbers with the year in front"
    SHORT = "numbers with a year of two digits"
    NAMED = "a month with its name"
    FIXED = "fourteen digits, or a time with its zone"
    SERIAL = "the number that a spreadsheet has for a day"


class Order(enum.StrEnum):
    """Which number is which."""

    DAY_MONTH_YEAR = "day first"
    MONTH_DAY_YEAR = "month first"
    YEAR_MONTH_DAY = "year, month, day"
    YEAR_DAY_MONTH = "year, day, month"


_USUAL: Final = {
    Shape.CELL: Order.YEAR_MONTH_DAY,
    Shape.YEAR_LAST: Order.DAY_MONTH_YEAR,
    Shape.YEAR_FIRST: Order.YEAR_MONTH_DAY,
    Shape.NAMED: Order.DAY_MONTH_YEAR,
    Shape.FIXED: Order.YEAR_MONTH_DAY,
}
"""What is read where no receipt says otherwise; a year of two digits and a spreadsheet's number only by a receipt."""
_POSSIBLE: Final = {
    Shape.CELL: (Order.YEAR_MONTH_DAY, Order.YEAR_DAY_MONTH),
    Shape.YEAR_LAST: (Order.DAY_MONTH_YEAR, Order.MONTH_DAY_YEAR),
    Shape.YEAR_FIRST: (Order.YEAR_MONTH_DAY, Order.YEAR_DAY_MONTH),
    Shape.SHORT: (Order.DAY_MONTH_YEAR, Order.MONTH_DAY_YEAR, Order.YEAR_MONTH_DAY),
    Shape.NAMED: (Order.DAY_MONTH_YEAR,),
    Shape.FIXED: (Order.YEAR_MONTH_DAY,),
    Shape.SERIAL: (Order.YEAR_MONTH_DAY, Order.YEAR_DAY_MONTH),
}
_MONTHS: Final = (
    *("JANUARY", "FEBRUARY", "MARCH", "APRIL", "MAY", "JUNE", "JULY", "AUGUST"),
    *("SEPTEMBER", "OCTOBER", "NOVEMBER", "DECEMBER"),
)
_QUICK: Final = re.compile(r"(\d\d)([-/])(\d\d)\2(\d{4}) (\d\d):(\d\d):(\d\d)", re.ASCII)
_WRITTEN: Final = re.compile(
    r"(\d{1,4})([-/. ])(\d{1,2}|[A-Za-z]{3,9})\2(\d{4}|\d{1,2})"
    r"(?:,? *[ T] *(\d{1,2}):(\d\d)(?::(\d\d)(?:\.\d{1,9})?)? ?(?:([AaPp])\.?[Mm]\.?)?(?:\+03:?00)?)?",
    re.ASCII,
)
_COMPACT: Final = re.compile(r"(20\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)", re.ASCII)
_ZONED: Final = re.compile(
    r"20\d\d-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-](?:0\d|1[0-4]):?[0-5]\d)", re.ASCII | re.IGNORECASE
)
_SERIAL: Final = re.compile(r"[3-6]\d{4}(?:\.\d{1,15})?", re.ASCII)
_MONTH_FIRST: Final = re.compile(r"([A-Za-z]{3,9}) (\d{1,2}),? (\d{4})(?!\d)", re.ASCII)
"""``Aug 12, 2026``: a name says which number is the month."""
_ONE_DAY: Final = timedelta(days=1)
_LATE: Final = timedelta(days=7)
"""How long an organisation's own order may wait for its second person after it was given a receipt."""
_EXAMPLES: Final = "31-01-2026 08:01:05 (day first) or 2026-01-31 08:01:05"


@dataclass(frozen=True, slots=True)
class Written:
    """A time as it is written: its shape, its three numbers in their order, and the time of day."""

    shape: Shape
    numbers: tuple[int, int, int]
    clock: tuple[int, int, int]

    def read(self, order: Order) -> datetime | None:
        """The instant under an order, None where there is no such day."""
        one, two, three = self.numbers
        if order is Order.DAY_MONTH_YEAR:
            day, month, year = one, two, three
        elif order is Order.MONTH_DAY_YEAR:
            month, day, year = one, two, three
        elif order is Order.YEAR_MONTH_DAY:
            year, month, day = one, two, three
        else:
            year, day, month = one, two, three
        if self.shape is Shape.SHORT or (self.shape is Shape.NAMED and year < 100):
            year += 2000
        if not 2000 <= year <= 2099:
            return None
        try:
            return datetime(year, month, day, *self.clock, tzinfo=NAIROBI)
        except ValueError:
            return None


def _plainly(text: str) -> str:
    """A time with plain blanks, and its day before the name of its month."""
    if not text.isascii():
        text = " ".join(text.split())  # spreadsheets write U+202F before AM and PM
    named = _MONTH_FIRST.match(text)
    return text if named is None else f"{named[2]} {named[1]} {named[3]}{text[named.end() :]}"


def _by_machine(text: str) -> Written | None:
    """A time that no person writes: fourteen digits, an instant with its zone, a spreadsheet's number of a day."""
    if (compact := _COMPACT.fullmatch(text)) is not None:
        year, month, day, *clock = map(int, compact.groups())
        return Written(Shape.FIXED, (year, month, day), (clock[0], clock[1], clock[2]))
    shape = Shape.FIXED
    if _ZONED.fullmatch(text) is not None:
        try:
            at = datetime.fromisoformat(text.upper()).astimezone(NAIROBI)
        except ValueError:
            return None
    elif _SERIAL.fullmatch(text) is not None:
        # Days since 30 December 1899, as spreadsheets count from 1 March 1900 on; behind the dot the part of a day.
        whole, _, part = text.partition(".")
        seconds = round(Decimal(f"0.{part or 0}") * 86_400)
        at = datetime(1899, 12, 30, tzinfo=NAIROBI) + timedelta(days=int(whole), seconds=seconds)
        shape = Shape.SERIAL
    else:
        return None
    return Written(shape, (at.year, at.month, at.day), (at.hour, at.minute, at.second))


def written(text: str) -> Written | None:
    """Take a time apart, None where it is no time."""
    if (machine := _by_machine(text.strip())) is not None:
        return machine
    found = _WRITTEN.fullmatch(_plainly(text.strip()))
    if found is None:
        return None
    one, sign, two, three, hour, minute, second, half = found.groups()
    if sign == " " and two.isdigit():
        return None  # three numbers with blanks between are anything
    clock = (int(hour or 0), int(minute or 0), int(second or 0))
    if half is not None:
        if not (1 <= clock[0] <= 12 or (half in "Pp" and 12 < clock[0] <= 23)):
            return None  # 13:30 PM says one thing twice, 0:30 PM two things
        clock = (clock[0] % 12 + (12 if half in "Pp" else 0), *clock[1:])
    if not two.isdigit():
        month = month_of(two)
        short = len(three) == 2
        if month is None or len(one) > 2 or not (short or len(three) == 4):
            return None
        return Written(Shape.NAMED, (int(one), month, int(three)), clock)
    widths = (len(one), len(three))
    if isinstance(text, Moment):
        shape = Shape.CELL
    elif widths[0] == 4 and widths[1] <= 2:
        shape = Shape.YEAR_FIRST
    elif widths[0] <= 2 and widths[1] == 4:
        shape = Shape.YEAR_LAST
    elif widths[0] <= 2 and widths[1] == 2:
        shape = Shape.SHORT
    else:
        return None
    return Written(shape, (int(one), int(two), int(three)), clock)


def month_of(name: str) -> int | None:
    """The number of a month by its English name, whole or its first three letters; None where it is none."""
    plain = "SEP" if name.upper() == "SEPT" else name.upper()
    found = [at for at, month in enumerate(_MONTHS, 1) if plain in {month, month[:3]}]
    return found[0] if found else None


@dataclass(slots=True)
class Times:
    """How the times of one file are read. Made by `proved_by`; without rows, as they are usually written."""

    orders: dict[Shape, Order] = field(default_factory=lambda: dict(_USUAL))
    exchanged: bool = False
    """Whether the receipts proved another order than the usual one."""

    @property
    def _plain(self) -> bool:
        return self.orders[Shape.YEAR_LAST] is Order.DAY_MONTH_YEAR

    def instant(self, text: str, line: int, column: str) -> datetime:
        """An instant of East Africa Time; midnight of a day without an hour. Raises StatementRefused."""
        quick = _QUICK.fullmatch(text) if self._plain else None
        if quick is not None and type(text) is str:
            day, _, month, year, hour, minute, second = quick.groups()
            numbers, clock = (int(day), int(month), int(year)), (int(hour), int(minute), int(second))
            at = Written(Shape.YEAR_LAST, numbers, clock).read(Order.DAY_MONTH_YEAR)
            if at is not None:
                return at
        found = written(text)
        at = None
        if found is not None:
            if found.shape not in self.orders:
                raise self._refused(
                    f"{text!r} is the number that a spreadsheet has for a day, and no receipt of the file says that it"
                    " is of this day. Export the statement anew and import it unopened"
                    if found.shape is Shape.SERIAL
                    else f"{text!r} has a year of two digits, and no receipt of the file says which number is the year."
                    " Export the statement with years of four digits",
                    line,
                    column,
                )
            at = found.read(self.orders[found.shape])
        if at is None:
            raise StatementRefused(
                StatementFault.BAD_DATE if text.strip() else StatementFault.MISSING_FIELD,
                f"{text!r} is no time such as {self._example(found)}. Download the file anew and do not save it from a"
                " spreadsheet",
                line=line,
                column=column,
            )
        return at

    def _example(self, found: Written | None) -> str:
        order = None if found is None else self.orders.get(found.shape)
        proved = self.exchanged and order in {Order.MONTH_DAY_YEAR, Order.YEAR_DAY_MONTH}
        return f"the others of this file ({order}, as their receipts say)" if proved else _EXAMPLES

    def agrees(self, at: datetime, receipt: str, *, started: datetime | None, ours: bool) -> bool:
        """Whether a time may stand beside a receipt: on its day or next to it, since midnight falls between them.

        ``started`` is when the movement was begun, if the file says so, and ``ours`` whether it may be an order of the
        organisation, which waits for a second person.
        """
        day = receipt_day(receipt)
        if day is None:
            return True
        since = at.date() - day
        if -_ONE_DAY <= since <= _ONE_DAY:
            return True
        if started is not None:
            return abs(started.date() - day) <= _ONE_DAY and at >= started
        return ours and _ONE_DAY < since <= _LATE

    @staticmethod
    def _refused(why: str, line: int, column: str) -> StatementRefused:
        return StatementRefused(StatementFault.BAD_DATE, why, line=line, column=column)


def proved_by(rows: Iterable[tuple[str, str]]) -> Times:
    """How the times of a file are read, by its rows (receipt, time as written): the first receipt that decides does.

    A receipt decides where its day is that of one reading and of no other.
    """
    times = Times()
    decided: set[Shape] = set()
    for receipt, text in rows:
        day = receipt_day(receipt.strip().upper())
        found = written(text) if day is not None else None
        if day is None or found is None or found.shape in decided:
            continue
        readings = [(order, at) for order in _POSSIBLE[found.shape] if (at := found.read(order)) is not None]
        fitting = [(order, at) for order, at in readings if abs(at.date() - day) <= _ONE_DAY]
        if not fitting or (len(readings) > 1 and len({at for _, at in fitting}) < len(fitting)):
            continue  # no reading fits, or two orders mean one day: another row tells
        if len(fitting) > 1:
            fitting = [(order, at) for order, at in fitting if at.date() == day]
            if len(fitting) != 1:
                continue
        times.orders[found.shape] = fitting[0][0]
        times.exchanged = times.exchanged or fitting[0][0] is not _USUAL.get(found.shape, fitting[0][0])
        decided.add(found.shape)
        if found.shape not in {Shape.SHORT, Shape.SERIAL}:
            break  # one column is written in one way; what is not is refused row by row
    return times
