"""The engine that reads any bank's table: which layout it is, how the balances prove it, and its lines."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import BinaryIO

from adapters.statements.day_proofs import DayOrder, OneShape, Period, hold_against_receipts, hold_together
from adapters.statements.rows import Cells, Moment, Rows, find_in_head, find_rows
from adapters.statements.running import Chain
from adapters.statements.tables.cells import Days, Figures
from adapters.statements.tables.headings import almost, places_of, table_of
from adapters.statements.tables.layout import HERE, Table, load_tables, plain
from adapters.statements.tally import Tally
from revenue_engine.money import wire
from revenue_engine.ports.callbacks import Party
from revenue_engine.ports.statements import (
    StatementClosed,
    StatementEvent,
    StatementFault,
    StatementLine,
    StatementOpened,
    StatementRefused,
)

_NOBODY = Party()
_MANGLED = re.compile(r"\d(?:[.,]\d+)?E\+?\d+", re.IGNORECASE)
_CURRENCY = re.compile("[A-Z]{3}")
_BALANCE_ROW = re.compile(
    r"(?:(?:opening|closing|previous|ledger|book) )?balances?"
    r"(?: (?:brought|carried) (?:forward|down)| [bc][/.]?[fd]w?d?\.?)?"
    r"|[bc][/.][fd]\.?|(?:brought|carried) (?:forward|down)"
)
_TOTAL_ROW = re.compile(
    r"(?:grand )?totals?(?: (?:debits?|credits?|money (?:in|out)|paid (?:in|out)|withdrawals?|deposits?))?"
)
_PAGE_TOTAL = re.compile(r"(?:page|sub|day|daily|monthly)[ -]?totals?")
_WORDS = re.compile(r"[^\d]*$|(?!kshs?\b)[^\W\d]{4}", re.IGNORECASE)
"""What stands in a column of figures and is none: words, the unit of the column."""
_SENTENCE = re.compile(r"[^\W\d]{3}")
"""Words, and no figure that was cut."""


class TableReader:
    """Reads every bank whose export is described by a table of columns."""

    name = "table"

    def __init__(self, directory: Path = HERE, own: Path | None = None) -> None:
        self._directory = directory
        self._own = own

    def beside(self, own: Path) -> TableReader:
        """A reader that knows the tables of a folder too. Raises ConfigurationError for a broken one."""
        made = TableReader(self._directory, own)
        made.tables  # noqa: B018 - a broken table is told when the reader is made, not when a file comes
        return made

    @property
    def tables(self) -> tuple[Table, ...]:
        """The tables it knows. Raises ConfigurationError for a broken one."""
        return load_tables(self._directory, self._own)

    @property
    def looks_for(self) -> str:
        """What it knows a file by."""
        return f"the headings of a bank's table ({', '.join(table.name for table in self.tables)})"

    def sniff(self, head: bytes, filename: str) -> bool:  # noqa: ARG002 - the port's words
        """Whether text that begins so has the headings of a table; a workbook is told by `recognises`."""
        return find_in_head(head, lambda cells: table_of(cells, self.tables) is not None)

    def recognises(self, stream: BinaryIO, filename: str) -> bool:
        """Whether the file has the headings of a table.

        Raises StatementRefused for a file that may not be opened, or whose headings are almost those of a table.
        """
        return self._find(stream, filename) is not None

    def read(self, stream: BinaryIO, *, filename: str = "") -> Iterator[StatementEvent]:
        """Stream the statement. Raises StatementRefused."""
        found = self._find(stream, filename)
        if found is None:
            raise StatementRefused(StatementFault.NOT_A_STATEMENT, f"the file has not {self.looks_for}")
        yield from _Statement(*found).events()

    def _find(self, stream: BinaryIO, filename: str) -> tuple[Table, Rows] | None:
        nearly: list[str] = []

        def is_header(cells: Sequence[str]) -> bool:
            if table_of(cells, self.tables) is not None:
                return True
            if why := almost(cells, self.tables):
                nearly.append(why)
            return False

        rows = find_rows(stream, filename, is_header)
        if rows is None:
            if nearly:
                raise StatementRefused(StatementFault.UNKNOWN_COLUMNS, nearly[0])
            return None
        table = table_of(rows.header, self.tables)
        return (table, rows) if table is not None else None


def _cancels(effects: Sequence[int]) -> bool:
    """Whether some that stand one behind the other come to nothing together: then no balance proves anything."""
    sums = [0, *itertools.accumulate(effects)]
    return len(set(sums)) < len(sums)


@dataclass(slots=True)
class _Found:
    """What the survey proved before the first line is answered."""

    newest_first: bool
    opening: int | None
    account: str
    currency: str
    balances: int
    movements: int


class _Statement:
    """One file: a survey that follows the balances until only one order is left, then the reading."""

    def __init__(self, table: Table, rows: Rows) -> None:
        self._table = table
        self._rows = rows
        self._names = rows.header
        self._at = places_of(table, rows)
        self._figures = Figures(table.amounts)
        self._days = Days(table.dates)
        self._shape, self._value_shape, self._order = OneShape(), OneShape(), DayOrder()
        self._narrations = tuple(re.compile(pattern) for pattern in table.narrations)
        marks = table.marks
        self._marks = {
            **dict.fromkeys(map(plain, marks.totals), "total"),
            **dict.fromkeys(map(plain, (*marks.opening, *marks.closing)), "balance"),
        }
        self._skip = tuple(plain(word) for word in marks.skip)
        self._heading = plain(self._names[self._at.booked])
        self._preamble: dict[str, tuple[str, int]] = {}
        self._period = Period()
        self._fault: tuple[int | None, str | None, str] = (None, None, "")
        self._credits = self._debits = 0
        self._goes_on = 0
        """The line of the first row that goes on with the words of the one above it."""
        self._announced: dict[int, tuple[str, int]] = {}
        """Rows that are only announced: what stands in place of their day, and their effect, by line."""

    def events(self) -> Iterator[StatementEvent]:
        """The statement. Raises StatementRefused."""
        self._read_preamble()
        opening, closing = self._preamble_amount("opening"), self._preamble_amount("closing")
        found = self._survey(opening, closing)
        opened = StatementOpened(
            format=f"table:{self._table.name}",
            account=found.account,
            currency=found.currency,
            opening_minor=found.opening,
        )
        yield opened
        tally, chain = Tally(opened), Chain(newest_first=found.newest_first)
        for number, cells in self._data():
            mark = self._mark(cells)
            if mark:
                if mark != "page":
                    self._follow(mark, number, cells, chain)
                continue
            line = self._line(number, cells, found, tally)
            tally.add(line)
            if line.amount_minor > 0:
                self._credits += line.amount_minor
            else:
                self._debits -= line.amount_minor
            chain.add(number, line.amount_minor, line.balance_after_minor)
            yield line
        yield self._foot(tally, chain, found, opening, closing)

    # --- the survey ---

    def _survey(self, opening: int | None, closing: int | None) -> _Found:
        table, at = self._table, self._at
        orders = {"oldest_first": (False,), "newest_first": (True,), "either": (False, True)}[table.order]
        chains = [Chain(newest_first=order) for order in orders]
        balances = movements = 0
        first: Cells | None = None
        last: Cells = []
        whole = True
        try:
            for number, cells in self._data():
                mark = self._mark(cells)
                if mark in {"total", "page"}:
                    continue
                effect = 0 if mark else self._effect(number, cells)
                balance = self._balance(number, cells)
                balances += balance is not None
                if not mark:
                    movements += 1
                    first, last = first or cells, cells
                for chain in chains:
                    chain.add(number, effect, balance)
                alive = [chain for chain in chains if not chain.breaks]
                if balances > 1 and len(alive) == 1 and first and (opening is not None or not alive[0].newest_first):
                    break
        except StatementRefused:
            whole = False  # the reading comes to that cell and says where it is
        if whole:
            self._provable(opening, closing, balances=balances, movements=movements)
        alive = [chain for chain in chains if not chain.breaks]
        if len(alive) > 1 and opening is not None:
            alive = [chain for chain in alive if chain.opening in {None, opening}] or alive
        falling = first is not None and self._falling(first, last)
        chosen = min(alive or chains, key=lambda chain: (chain.breaks, chain.newest_first is not falling))
        return _Found(
            newest_first=chosen.newest_first,
            opening=chosen.opening if opening is None else opening,
            account=self._cell(first, at.account) or self._preamble.get("account", ("", 0))[0],
            currency=self._currency(self._cell(first, at.currency)) or table.currency,
            balances=balances,
            movements=movements,
        )

    def _provable(self, opening: int | None, closing: int | None, *, balances: int, movements: int) -> None:
        if not movements and not balances and opening is None:
            raise StatementRefused(StatementFault.EMPTY, "the statement has headings and no rows")
        if not balances and (opening is None or closing is None):
            raise StatementRefused(
                StatementFault.MISSING_FIELD,
                f"{self._table.title} carries no running balance here, and no opening and closing one: nothing proves"
                " that the file is whole. Export it with its balances",
                line=self._rows.header_line,
            )

    def _falling(self, first: Cells, last: Cells) -> bool:
        try:
            return self._day(0, first, self._at.booked) > self._day(0, last, self._at.booked)
        except StatementRefused:
            return False  # the reading comes to that cell and refuses it

    # --- rows ---

    def _data(self) -> Iterator[tuple[int, Cells]]:
        """The rows under the headings: repeated headings, page headings and footers are left out."""
        width, booked = len(self._names), self._at.booked
        self._goes_on = 0
        for line, cells in self._rows.read():
            if len(cells) == width and self._days.reads(cells[booked]):
                if self._goes_on:
                    raise self._refused(
                        StatementFault.BAD_VALUE,
                        "the row holds words and no movement, and a movement follows: the text of the row above goes on"
                        " here. Export the file with one row a movement",
                        self._goes_on,
                        self._at.text[0],
                    )
                yield line, cells
                continue
            if len(cells) != width and self._width(line, cells, width):
                continue
            cell = cells[booked]
            if plain(cell) == self._heading and table_of(cells, (self._table,)):
                continue
            if self._skip and self._is_words(cells):
                continue
            if self._moves_nothing(line, cells):
                continue
            yield line, cells

    def _moves_nothing(self, line: int, cells: Cells) -> bool:
        """Whether a row without a day is no movement: words of a footer, or a payment that is only announced.

        What moves the account has a day and changes the balance; the proof of the balances shows that none was left
        out. Words that go on with the narrative of the row above are no footer, and stand in ``_goes_on``.
        """
        at = self._at
        if self._mark(cells):
            return False
        moved = sum(self._figure(cells, place) for place in (at.credit, at.debit, at.amount))
        balance = self._figure(cells, at.balance)
        day = cells[at.booked].strip()
        if not moved and not balance:
            if not day and any(cells[place].strip() for place in at.text):
                self._goes_on = self._goes_on or line
            return True
        if moved != 1 or balance or at.balance < 0 or any(letter.isdigit() for letter in day):
            return False
        if not day and at.value >= 0 and self._days.reads(cells[at.value]):
            return False  # a movement whose day was lost, and nothing that waits for one
        self._announced[line] = (day, self._effect(line, cells))
        return True

    def _width(self, line: int, cells: Cells, width: int) -> bool:
        """Whether a row of another width is words to be left out. Raises StatementRefused where it is cut."""
        filled = [cell.strip() for cell in cells if cell.strip()]
        if self._is_words(cells) or not filled:
            return True
        if len(cells) < width and len(filled) <= 2 and not filled[0][0].isdigit() and _SENTENCE.search(filled[0]):
            return True
        if len(cells) > width and not any(cell.strip() for cell in cells[width:]):
            return False
        raise StatementRefused(
            StatementFault.MISSING_FIELD if len(cells) < width else StatementFault.BAD_VALUE,
            f"the row has {len(cells)} cells and the heading row {width}. The file was cut, edited or its text has a"
            " separator without quotation marks; export it anew",
            line=line,
        )

    def _is_words(self, cells: Cells) -> bool:
        filled = [cell for cell in cells if cell.strip()]
        return len(filled) in {1, 2} and plain(filled[0]).startswith(self._skip) if self._skip else False

    def _mark(self, cells: Cells) -> str:
        """``balance`` or ``total`` for a row that is no movement, else empty.

        A row with a day and a figure is a movement, whatever its text says.
        """
        at = self._at
        moved = self._filled(cells, at.credit) or self._filled(cells, at.debit) or self._filled(cells, at.amount)
        if moved and self._days.reads(cells[at.booked]):
            return ""
        for place in (*at.text, at.booked, at.reference):
            found = self._named(cells[place]) if place >= 0 else None
            if found == "page" and not self._days.reads(cells[at.booked]):
                return found
            if found == "total" or (found == "balance" and not moved and self._figure(cells, at.balance)):
                return found
        return ""

    def _named(self, cell: str) -> str:
        """What a row of balances or totals is, by the table's own words or by those that banks have in common."""
        word = plain(cell)
        if word in self._marks:
            return self._marks[word]
        if _BALANCE_ROW.fullmatch(word):
            return "balance"
        if _TOTAL_ROW.fullmatch(word):
            return "total"
        return "page" if _PAGE_TOTAL.fullmatch(word) else ""

    def _follow(self, mark: str, number: int, cells: Cells, chain: Chain) -> None:
        """Check what a row of balances or totals says against what was read so far."""
        balance = self._balance(number, cells)
        if mark == "balance":
            if balance is None:
                raise self._refused(
                    StatementFault.MISSING_FIELD, "a row of balances has no balance", number, self._at.balance
                )
            chain.add(number, 0, balance)
            return
        at = self._at
        for place, found in (
            (at.credit, self._credits),
            (at.debit, self._debits),
            (at.amount, self._credits - self._debits),
        ):
            if place < 0 or not self._filled(cells, place) or self._fault[2]:
                continue
            role = "credit" if place == at.credit else "debit" if place == at.debit else "amount"
            said = abs(self._figures.read(cells[place], role, number, self._names[place]) or 0)  # type: ignore[arg-type]
            if said != abs(found):
                why = f"the total says {wire(said)} and the rows come to {wire(abs(found))}. Ask for the file anew"
                self._fault = (number, self._names[place], why)

    def _line(self, number: int, cells: Cells, found: _Found, tally: Tally) -> StatementLine:
        at, names = self._at, self._names
        effect = self._effect(number, cells)
        booked, instant = self._days.read(cells[at.booked], number, names[at.booked])
        self._shape.met(cells[at.booked], number, names[at.booked])
        self._order.met(booked, number)
        self._period.hold(booked, number, names[at.booked], cells[at.booked])
        text = " ".join((cells[at.text[0]] if len(at.text) == 1 else " ".join(cells[p] for p in at.text)).split())
        reference = "" if at.reference < 0 else self._reference(number, cells)
        if at.account >= 0 or at.currency >= 0:
            self._same(number, cells, found)
        account, party, references = self._cut(text)
        hold_against_receipts(booked, f"{reference} {text}".upper(), number, names[at.booked], cells[at.booked])
        return StatementLine(
            number=number,
            amount_minor=effect,
            booked_on=booked,
            reference=reference,
            occurrence=tally.occurrence(reference, effect, booked, text),
            counts=effect != 0,
            occurred_at=instant,
            value_on=self._value_day(number, cells, booked),
            text=text,
            account_reference=account,
            balance_after_minor=self._balance(number, cells),
            party=party,
            references=references,
        )

    def _effect(self, number: int, cells: Cells) -> int:
        at, names, read = self._at, self._names, self._figures.read
        if at.amount < 0:
            credit = read(cells[at.credit], "credit", number, names[at.credit])
            debit = read(cells[at.debit], "debit", number, names[at.debit])
            if credit and debit:
                raise self._refused(
                    StatementFault.BAD_VALUE, "the row has a credit and a debit, and is one movement", number, at.debit
                )
            if credit is None and debit is None:
                raise self._refused(
                    StatementFault.MISSING_FIELD, "the row has neither a credit nor a debit", number, at.credit
                )
            return (credit or 0) + (debit or 0)
        amount = read(
            cells[at.amount],
            "amount",
            number,
            names[at.amount],
            proved=self._filled(cells, at.balance) and at.indicator < 0,
        )
        if amount is None:
            raise self._refused(StatementFault.MISSING_FIELD, "the row has no amount", number, at.amount)
        return amount if at.indicator < 0 else self._indicated(number, cells, amount)

    def _indicated(self, number: int, cells: Cells, amount: int) -> int:
        declared, said = self._table.amounts, cells[self._at.indicator].strip().upper()
        if amount < 0 or said not in {declared.credit_word.upper(), declared.debit_word.upper()}:
            raise self._refused(
                StatementFault.BAD_SIGN,
                f"the amount {wire(amount)} with {said!r} beside it has no certain side: {declared.credit_word} or"
                f" {declared.debit_word} beside an amount without a sign",
                number,
                self._at.indicator,
            )
        return amount if said == declared.credit_word.upper() else -amount

    def _balance(self, number: int, cells: Cells) -> int | None:
        place = self._at.balance
        return None if place < 0 else self._figures.read(cells[place], "balance", number, self._names[place])

    def _day(self, number: int, cells: Cells, place: int) -> date:
        self._value_shape.met(cells[place], number, self._names[place])
        return self._days.read(cells[place], number, self._names[place])[0]

    def _value_day(self, number: int, cells: Cells, booked: date) -> date | None:
        at = self._at
        if at.value < 0 or not cells[at.value].strip():
            return None
        value = self._day(number, cells, at.value)
        if value != booked:
            hold_together(booked, value, number, self._names[at.booked], cells[at.booked])
        return value

    def _reference(self, number: int, cells: Cells) -> str:
        reference = " ".join(cells[self._at.reference].split()).upper()
        if isinstance(cells[self._at.reference], Moment) or (reference[:1].isdigit() and _MANGLED.fullmatch(reference)):
            raise self._refused(
                StatementFault.BAD_VALUE,
                f"{reference!r} was a reference before a spreadsheet turned it into a number or a date. Download the"
                " file anew and do not save it from a spreadsheet",
                number,
                self._at.reference,
            )
        return reference

    def _same(self, number: int, cells: Cells, found: _Found) -> None:
        account, currency = self._cell(cells, self._at.account), self._cell(cells, self._at.currency)
        if self._at.account >= 0 and account != found.account:
            raise self._refused(
                StatementFault.BAD_VALUE,
                f"the row is of account {account!r} and the first one of {found.account!r}: one file, one account",
                number,
                self._at.account,
            )
        if self._at.currency >= 0 and (currency.upper() != found.currency or not found.currency):
            raise self._refused(
                StatementFault.BAD_CURRENCY,
                f"the row is in {currency!r} and the statement in {found.currency or 'no currency'}",
                number,
                self._at.currency,
            )

    def _cut(self, text: str) -> tuple[str, Party, tuple[tuple[str, str], ...]]:
        for pattern in self._narrations:
            found = pattern.fullmatch(text)
            if found is not None:
                parts = {name: (value or "").strip() for name, value in found.groupdict().items()}
                references = tuple(
                    (label, parts[name])
                    for label, name in (("receipt", "receipt"), ("reference", "reference"))
                    if parts.get(name)
                )
                party = Party(name=parts.get("name", ""), msisdn=parts.get("msisdn", ""))
                return parts.get("account", ""), party, references
        return "", _NOBODY, ()

    # --- head and foot ---

    def _read_preamble(self) -> None:
        wanted = {
            plain(label): field
            for field, labels in (
                ("account", self._table.preamble.account),
                ("opening", self._table.preamble.opening),
                ("closing", self._table.preamble.closing),
            )
            for label in labels
        }
        for line, cells in self._rows.preamble:
            filled = [cell for cell in cells if cell.strip()]
            self._period.told(filled, self._days.reads, lambda text: self._days.read(text, 0, "")[0])
            for cell, beside in itertools.zip_longest(filled, filled[1:], fillvalue=""):
                label, _, behind = cell.partition(":")
                field, value = wanted.get(plain(label)), behind.strip() or beside
                if field is not None and value:
                    self._preamble.setdefault(field, (value, line))

    def _preamble_amount(self, field: str) -> int | None:
        text, line = self._preamble.get(field, ("", 0))
        return self._figures.read(text, "balance", line, f"{field} balance")

    def _foot(
        self, tally: Tally, chain: Chain, found: _Found, opening: int | None, closing: int | None
    ) -> StatementClosed:
        said, closing = closing, chain.closing if closing is None else closing
        closed = self._with_announced(tally.close(closing, notes=self._rows.notes))
        line, column, why = self._fault
        if chain.broken:
            line, column, why = chain.broken_line, self._names[self._at.balance], chain.broken
        elif opening is not None and chain.opening not in {None, opening}:
            line, column = self._preamble["opening"][1], "opening balance"
            why = f"the head opens with {wire(opening)} and the rows with {wire(chain.opening or 0)}. Rows are missing"
        elif said is not None and chain.closing not in {None, said}:
            line, column = self._preamble["closing"][1], "closing balance"
            why = f"the head closes with {wire(said)} and the rows with {wire(chain.closing or 0)}. Rows are missing"
        if why:
            return replace(closed, adds_up=False, unproved=why, unproved_line=line, unproved_column=column)
        if found.balances > 1:
            self._order.refuse(self._names[self._at.booked], newest_first=found.newest_first)
        if self._order.note:
            closed = replace(closed, notes=(*closed.notes, self._order.note))
        if closed.adds_up and opening is None and found.balances < 2:
            return replace(closed, adds_up=None)  # the only balance was used to find the opening one
        return closed

    def _with_announced(self, closed: StatementClosed) -> StatementClosed:
        """The foot with the rows that are only announced. Raises StatementRefused where nothing proves them so."""
        if not self._announced:
            return closed
        line, (word, _) = next(iter(self._announced.items()))
        effects = [effect for _, effect in self._announced.values()]
        if not closed.adds_up or _cancels(effects):
            raise self._refused(
                StatementFault.BAD_DATE,
                f"the row has no day ({word!r}), and the balances do not prove that it moved nothing. Export the file"
                " when every row is booked",
                line,
                self._at.booked,
            )
        count = len(self._announced)
        note = f"rows without a day and without a balance are only shown: {count}, the first in line {line}"
        return replace(closed, shown=closed.shown + count, notes=(*closed.notes, note))

    # --- small things ---

    def _figure(self, cells: Cells, place: int) -> bool:
        """Whether a cell holds a figure that says something, and no words, dashes or unit."""
        cell = cells[place].strip() if place >= 0 else ""
        return bool(cell.strip("0., -")) and not self._figures.nothing(cell) and _WORDS.match(cell) is None

    def _filled(self, cells: Cells, place: int) -> bool:
        return place >= 0 and bool(cells[place]) and bool(cells[place].strip("0., -"))

    @staticmethod
    def _cell(cells: Cells | None, place: int) -> str:
        return "" if cells is None or place < 0 else " ".join(cells[place].split())

    def _currency(self, text: str) -> str:
        return text.upper() if _CURRENCY.fullmatch(text.upper()) else ""

    def _refused(self, fault: StatementFault, why: str, line: int, place: int) -> StatementRefused:
        return StatementRefused(fault, why, line=line, column=self._names[place])
