"""Begins a table of columns from an export: its headings, and what its cells show. What they do not show is asked."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO, Final

from adapters.statements.rows import Cells, Moment, Number, Rows, find_rows
from adapters.statements.tables.cells import Days
from adapters.statements.tables.layout import plain
from revenue_engine.ports.statements import StatementFault, StatementRefused

_WORDS: Final = {
    "value": r"value.*date|date.*valeur|wert.*",
    "booked": r".*\bdate\b.*|.*\bday\b.*|posting.*|buchung.*|date.*",
    "balance": r".*balance.*|solde.*|saldo.*",
    "debit": r".*\bdebits?\b.*|.*withdraw.*|.*money out.*|.*paid out.*|dr|débit.*|soll",
    "credit": r".*\bcredits?\b.*|.*deposit.*|.*money in.*|.*paid in.*|cr|crédit.*|haben",
    "indicator": r"dr ?/ ?cr|cr ?/ ?dr|type|d/c|c/d|indicator|sign",
    "amount": r".*amount.*|montant.*|betrag.*|value",
    "reference": r".*\bref\b.*|.*reference.*|.*\btransaction (?:id|no|number)\b.*|.*cheque.*|référence.*",
    "account": r".*account.*|compte|konto.*",
    "currency": r".*currency.*|.*\bccy\b.*|devise|währung",
    "text": r".*detail.*|.*description.*|.*narrat.*|.*particular.*|.*remark.*|.*text.*|libellé.*|.*memo.*",
}
_FORMATS: Final = (
    *("dd/mm/yyyy", "mm/dd/yyyy", "dd-mm-yyyy", "mm-dd-yyyy", "dd.mm.yyyy", "yyyy-mm-dd", "yyyy/mm/dd"),
    *("dd-MON-yyyy", "dd MON yyyy", "dd/MON/yyyy", "dd-MON-yy", "dd/mm/yy", "d/m/yyyy", "d-m-yyyy", "d MON yyyy"),
    *("dd/mm/yyyy HH:MM:SS", "dd/mm/yyyy HH:MM", "yyyy-mm-dd HH:MM:SS", "dd-mm-yyyy HH:MM:SS", "dd-mm-yyyy HH:MM"),
    *("d/m/yyyy H:MM", "dd/mm/yyyy H:MM AM", "dd-MON-yyyy HH:MM:SS", "excel"),
)
_MOST_ROWS: Final = 500


@dataclass(frozen=True, slots=True)
class Draft:
    """A table as TOML, and what a person has to say before it is one."""

    text: str
    questions: tuple[str, ...]


def draft(stream: BinaryIO, filename: str, name: str) -> Draft:
    """Begin a table called ``name`` from a file. Raises StatementRefused where no row looks like headings."""
    rows = find_rows(stream, filename, _looks_like_headings)
    if rows is None:
        raise StatementRefused(
            StatementFault.UNKNOWN_COLUMNS,
            "no row of the first sixty looks like headings: one that names a date, and an amount or a debit and a"
            " credit. Write the headings above the columns, or export the file with them",
        )
    return _Drafting(rows, name).draft()


def _looks_like_headings(cells: Sequence[str]) -> bool:
    headings = [plain(cell) for cell in cells if cell.strip()]
    if len(headings) < 3 or any(isinstance(cell, Number | Moment) for cell in cells):
        return False
    found = {field for field in _WORDS if any(re.fullmatch(_WORDS[field], heading) for heading in headings)}
    return "booked" in found and bool({"amount", "debit"} & found)


class _Drafting:
    def __init__(self, rows: Rows, name: str) -> None:
        self._name = name
        self._header = rows.header
        self._questions: list[str] = []
        width = len(rows.header)
        self._cells: list[Cells] = [cells for _, cells in islice(rows.read(), _MOST_ROWS) if len(cells) == width]
        self._places = self._find()

    def _find(self) -> dict[str, int]:
        places: dict[str, int] = {}
        for at, heading in enumerate(self._header):
            named = [field for field, words in _WORDS.items() if re.fullmatch(words, plain(heading))]
            field = next((field for field in named if field not in places), "")
            if field:
                places[field] = at
        if "debit" in places and "credit" in places:
            for other in ("amount", "indicator"):
                places.pop(other, None)
        if "text" not in places:
            free = [at for at in range(len(self._header)) if at not in places.values() and self._header[at]]
            if free:
                places["text"] = free[0]
                self._questions.append(f"is {self._header[free[0]]!r} the text of a movement (columns.text)?")
        return places

    def _column(self, field: str) -> list[str]:
        at = self._places.get(field, -1)
        return [] if at < 0 else [cells[at] for cells in self._cells if cells[at].strip()]

    def draft(self) -> Draft:
        """The table and its open questions."""
        columns = [f"{field} = {self._quoted(field)}" for field in _WORDS if field in self._places]
        read = set(self._places.values())
        others = [heading for at, heading in enumerate(self._header) if at not in read and heading]
        lines = [
            "# Begun from the heading row of an export. Check every line against the bank's own statement.",
            f"name = {_toml(self._name)}",
            f"title = {_toml(f'the {self._name} export')}",
            'status = "sample"',
            'source = "begun from one export: say here where the layout was seen"',
            f"dates = {_toml(self._dates())}",
            *(() if "currency" in self._places else ('currency = "KES"',)),
            *((f"# Columns that must be there and are not read.\nothers = {_toml(others)}",) if others else ()),
            "",
            "[columns]",
            *columns,
            "",
            "[amounts]",
            *self._amounts(),
            "",
            "# Labels above the headings, and words of rows that are no movements.",
            "[preamble]",
            'account = ["Account", "Account Number", "Account No"]',
            'opening = ["Opening Balance"]',
            'closing = ["Closing Balance"]',
            "",
            "[marks]",
            'totals = ["Total", "Totals"]',
        ]
        if "balance" not in self._places:
            self._questions.append("no column is a balance: such a file is read only when its head names both balances")
        return Draft("\n".join(lines) + "\n", tuple(self._questions))

    def _quoted(self, field: str) -> str:
        heading = self._header[self._places[field]]
        return _toml([heading] if field == "text" else heading)

    def _dates(self) -> list[str]:
        """The formats that read every date of the column; where two do and mean other days, a person has to say."""
        dates = self._column("booked")
        words = [cell for cell in dates if not isinstance(cell, Moment) and any(letter.isdigit() for letter in cell)]
        fitting = [form for form in _FORMATS if words and all(Days((form,)).reads(cell) for cell in words)]
        if not words:
            return ["dd/mm/yyyy"]
        if not fitting:
            self._questions.append(f"how are dates such as {words[0]!r} written (dates)?")
            return ["dd/mm/yyyy"]
        if any(form.startswith("m") for form in fitting) and any(form.startswith("d") for form in fitting):
            self._questions.append(f"is {words[0]!r} day first or month first (dates)? Day first was written")
        return fitting[:1]

    def _amounts(self) -> list[str]:
        cells = [
            cell.strip()
            for field in ("amount", "debit", "credit", "balance")
            for cell in self._column(field)
            if not isinstance(cell, Number)
        ]
        marks = "".join(cells)
        comma = any(re.search(r",\d{2}(?:\D*)$", cell) for cell in cells)
        lines = ['decimal = ","'] if comma and not any(re.search(r"\.\d{2}\D*$", cell) for cell in cells) else []
        decimal = "," if lines else "."
        for mark in (",", ".", " ", "'"):
            if mark != decimal and any(re.search(rf"\d{re.escape(mark)}\d{{3}}", cell) for cell in cells):
                lines.append(f"thousands = {_toml(mark)}")
                break
        if "(" in marks:
            lines.append("brackets = true")
        if any(re.search(r"\d-$", cell) for cell in cells):
            lines.append("minus_behind = true")
        ends = re.compile(r"\d ?[CD]R\.?", re.IGNORECASE)
        suffixed = [role for role in ("amount", "balance") if any(map(ends.search, self._column(role)))]
        if suffixed:
            lines.append(f"suffix_on = {_toml(suffixed)}")
        beside = sorted({found for cell in cells for found in re.findall(r"KES|KSHS?", cell.upper())})
        if beside:
            lines.append(f"currency_beside = {_toml(beside)}")
        debits = self._column("debit")
        if debits and all(cell.strip().startswith("-") for cell in debits if cell.strip("0., -")):
            lines.append('debit_sign = "minus"')
        return lines


def _toml(value: str | list[str]) -> str:
    """A text or a list of texts as TOML writes them: the same as JSON for what a heading may hold."""
    return json.dumps(value, ensure_ascii=False)
