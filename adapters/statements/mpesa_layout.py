"""The layout of M-PESA organisation statements: headings, preamble, amounts and times, read strictly."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from adapters.statements.mpesa_times import Times
from adapters.statements.rows import Cells, Rows
from revenue_engine.money import LARGEST_MINOR
from revenue_engine.ports.statements import StatementFault, StatementRefused

CURRENCY = "KES"
COMPLETED = "completed"
_UNIT = re.compile(r"\s*\((?:kshs?|kes)\)$")
_AMOUNT = re.compile(r"([+-]?)(\d{1,3}(?:,\d{3})+|\d{1,13})(?:\.(\d{1,2}))?", re.ASCII)
RECEIPT = re.compile(r"[A-Z0-9]{6,20}")
_TITLE = re.compile(r"statements?[\s_-]+for[\s_-]+(\d{5,9})(?!\d)", re.IGNORECASE)

_NEEDED = {
    "receipt no": "receipt",
    "completion time": "completed",
    "details": "details",
    "transaction status": "status",
    "paid in": "paid",
    "withdrawn": "withdrawn",
    "balance": "balance",
}
_OPTIONAL = {
    "initiation time": "initiated",
    "reason type": "reason",
    "other party info": "party",
    "linked transaction id": "linked",
    "currency": "currency",
}
_ACCOUNT = re.compile(
    r"(?:a/?c|acc|acct|account|bill)(?: ?(?:no|nr|num|number|(?:ref|reference)(?: ?(?:no|number))?))?"
    r"|billrefnumber|accountreference|(?:customer )?account(?: entered)?"
)
"""How the column of what payers typed is headed, plain: ``A/C No.``, ``Account No.``, ``Bill Ref Number``."""
_UNREAD = frozenset({"balance confirmed"})
"""Columns that are known and say nothing that is read."""


def _plain(cell: str) -> str:
    return _UNIT.sub("", " ".join(cell.replace("_", " ").split()).casefold()).rstrip(".:").rstrip()


def _is_account(heading: str) -> bool:
    return _ACCOUNT.fullmatch(heading.replace(".", "")) is not None


def is_header(cells: Sequence[str]) -> bool:
    """Whether a row is the heading row of either layout."""
    return {"receipt no", "completion time"} <= {_plain(cell) for cell in cells}


@dataclass(frozen=True, slots=True)
class Columns:
    """Where each field stands; -1 for a column that this export has not."""

    names: tuple[str, ...]
    receipt: int
    completed: int
    details: int
    status: int
    paid: int
    withdrawn: int
    balance: int
    initiated: int = -1
    reason: int = -1
    party: int = -1
    linked: int = -1
    account: int = -1
    currency: int = -1
    strange: tuple[int, ...] = ()
    """Columns that nobody described: what stands in them would be left out without a word."""

    def text(self, cells: Cells, at: int) -> str:
        """A cell as text in one line, empty for a column that is not there."""
        return "" if at < 0 or not cells[at] else " ".join(cells[at].split())


@dataclass(frozen=True, slots=True)
class Preamble:
    """What the preamble says; None where it says nothing. Lines are those of the file."""

    account: str = ""
    holds: str = ""
    from_at: datetime | None = None
    to_at: datetime | None = None
    amounts: tuple[tuple[str, int, int], ...] = ()

    def amount(self, label: str) -> int | None:
        """The cents beside a label."""
        return next((minor for name, minor, _ in self.amounts if name == label), None)

    def line(self, label: str) -> int | None:
        """The line of a label."""
        return next((line for name, _, line in self.amounts if name == label), None)


OPENING, CLOSING = "opening balance", "closing balance"
PAID_IN, WITHDRAWN = "total paid in", "total withdrawn"


def columns_of(rows: Rows) -> Columns:
    """Find each field's column. Raises StatementRefused where one is missing or stands twice."""
    names = [_plain(cell) for cell in rows.header]
    places: dict[str, int] = {}
    for name, field in {**_NEEDED, **_OPTIONAL, "": "account"}.items():
        found = [at for at, heading in enumerate(names) if (_is_account(heading) if not name else heading == name)]
        if len(found) > 1:
            raise StatementRefused(
                StatementFault.UNKNOWN_COLUMNS,
                f"the heading {rows.header[found[0]]!r} stands {len(found)} times, and which one counts is not said."
                " Remove the columns that were added",
                line=rows.header_line,
            )
        if found:
            places[field] = found[0]
        elif name in _NEEDED:
            raise StatementRefused(
                StatementFault.UNKNOWN_COLUMNS,
                f"the heading row has no {name.title()!r}. Export the whole statement with all its columns",
                line=rows.header_line,
            )
    known = {*places.values()} | {at for at, heading in enumerate(names) if heading in _UNREAD}
    strange = tuple(at for at in range(len(names)) if at not in known)
    return Columns(names=rows.header, strange=strange, **places)


def preamble_of(rows: Rows, filename: str, times: Times) -> Preamble:
    """Read the labels above the headings; a short code may stand in the file's name. Raises StatementRefused.

    A period that ends with a day and names no hour ends with the last second of that day.
    """
    title = _TITLE.search(filename)
    account, holds = title[1] if title else "", ""
    moments: dict[str, datetime] = {}
    amounts: list[tuple[str, int, int]] = []
    for line, cells in rows.preamble:
        label = ""
        for raw in cells:
            cell = raw.strip()
            if not cell:
                continue
            if found := _TITLE.search(cell):
                account = found[1]
            if cell.endswith(":") or cell.casefold() in {"from", "to"}:
                label = cell.rstrip(":").strip().casefold()
                continue
            if label == "short code":
                account = cell
            elif label == "account":
                holds = cell
            elif label in {"from", "to"}:
                moments[label] = times.instant(raw, line, label.title())
                if label == "to" and ":" not in raw:
                    moments[label] += timedelta(hours=23, minutes=59, seconds=59)
            elif label in {OPENING, CLOSING, PAID_IN, WITHDRAWN}:
                amounts.append((label, amount_of(cell, line, label.title()) or 0, line))
            label = ""
    return Preamble(account, holds, moments.get("from"), moments.get("to"), tuple(amounts))


def movements(
    rows: Rows, columns: Columns, totals: list[tuple[int, Cells]] | None = None
) -> Iterator[tuple[int, Cells]]:
    """The rows of movements: repeated headings are left out, total rows go to ``totals``."""
    width = len(columns.names)
    for line, cells in rows.read():
        first = cells[0].strip()
        if len(cells) == width and first[-1:].isdigit():
            yield line, cells  # a receipt: no heading and no total ends in a digit
            continue
        if first.casefold().rstrip(":") in {"total", "totals", "grand total"}:
            if totals is not None:
                totals.append((line, cells))
            continue
        if len(cells) != width:
            if first and is_header(cells):
                continue
            if len(cells) < width or any(cell.strip() for cell in cells[width:]):
                raise StatementRefused(
                    StatementFault.MISSING_FIELD if len(cells) < width else StatementFault.BAD_VALUE,
                    f"the row has {len(cells)} cells and the heading row {width}. The file was cut or edited; download"
                    " it anew",
                    line=line,
                )
        elif first.casefold().startswith("receipt") and is_header(cells):
            continue
        if any(cell.strip() for cell in cells):
            yield line, cells


def is_completed(cells: Cells, columns: Columns) -> bool:
    """Whether the row moved money."""
    return cells[columns.status].strip().casefold() == COMPLETED


def status_of(line: int, cells: Cells, columns: Columns) -> str:
    """The row's status in lower case. Raises StatementRefused where it has none."""
    status = cells[columns.status]
    if status == "Completed":
        return COMPLETED
    status = status.strip().casefold()
    if not status:
        raise StatementRefused(
            StatementFault.MISSING_FIELD,
            "the row does not say whether it was completed. Export the statement with its status",
            line=line,
            column=columns.names[columns.status],
        )
    return status


def money_of(line: int, cells: Cells, columns: Columns, *, counts: bool = True) -> tuple[int, int, int | None]:
    """Cents paid in, withdrawn as it is written, and the balance."""
    names = columns.names
    paid = amount_of(cells[columns.paid], line, names[columns.paid]) or 0
    withdrawn = amount_of(cells[columns.withdrawn], line, names[columns.withdrawn]) or 0
    balance = amount_of(cells[columns.balance], line, names[columns.balance], bounded=False)
    if paid < 0:
        raise StatementRefused(
            StatementFault.BAD_SIGN,
            f"{cells[columns.paid]!r} is below zero, and money paid in cannot be",
            line=line,
            column=names[columns.paid],
        )
    if paid and withdrawn:
        raise StatementRefused(
            StatementFault.BAD_VALUE,
            "the row has both money paid in and money withdrawn, and one row is one movement",
            line=line,
            column=names[columns.withdrawn],
        )
    if counts and not paid and not withdrawn:
        raise StatementRefused(
            StatementFault.MISSING_FIELD,
            "a completed row has neither money paid in nor money withdrawn. Download the file anew",
            line=line,
            column=names[columns.paid],
        )
    return paid, withdrawn, balance


def amount_of(text: str, line: int, column: str, *, bounded: bool = True) -> int | None:
    """The cents of a cell, None of an empty one; only a balance is not ``bounded``. Raises StatementRefused."""
    if not text or not (text := text.strip()):
        return None
    found = _AMOUNT.fullmatch(text)
    if found is None:
        raise StatementRefused(
            StatementFault.BAD_AMOUNT,
            f"{text!r} is no amount such as 1,250.00: digits, commas between thousands, a dot and at most two decimals",
            line=line,
            column=column,
        )
    sign, whole, cents = found.groups()
    whole = whole.replace(",", "")
    minor = int(whole + cents) if cents and len(cents) == 2 else int(whole) * 100 + int((cents or "").ljust(2, "0"))
    if bounded and minor >= LARGEST_MINOR:
        raise StatementRefused(
            StatementFault.BAD_AMOUNT, f"{text!r} is larger than a payment can be", line=line, column=column
        )
    return -minor if sign == "-" else minor
