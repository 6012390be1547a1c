"""Bills and payments as offices keep them: headings in own words, titles above, totals below, days of any spelling.

Rows come in as text, each with its line. What a heading means is taken from a map or read from a list of usual words,
and said. Everything wrong with a file is told at once; nothing is rounded, and a day that may be two days is refused.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NoReturn

import pyarrow as pa

from reconciliation.engine import columns
from reconciliation.engine.spelled_days import DayOrder, Days
from revenue_engine.errors import InvalidValue
from revenue_engine.money import LARGEST_MINOR, grouped

SHOWN = 20
"""Complaints of one file that are spelled out; the rest are counted."""
_CURRENCY_WORDS = re.compile(r"\(?\b(kshs?|kes|shillings)\b\.?\)?", re.IGNORECASE)
_WHOLE = r"\d{1,3}(?:[ ,'\u00a0\u202f]\d{3})+|\d{1,12}"
_AMOUNT = re.compile(rf"(?:KSHS?|KES)?\.?\s*({_WHOLE})(?:\.(\d{{1,2}}))?\s*(?:/[=-])?", re.IGNORECASE | re.ASCII)
_TOTAL = re.compile(r"(grand|sub)?\s*-?\s*totals?\b", re.IGNORECASE)
_SPOILED = re.compile(r"\d+(?:\.\d+)?E\+?\d+", re.IGNORECASE)

INVOICE_WORDS: dict[str, tuple[str, ...]] = {
    "invoice_number": ("invoicenumber", "payaccountnumber", "payaccount", "paynumber", "billnumber", "billno",
                       "invoiceno", "billreference", "billref", "controlnumber", "accountnumber", "accountno",
                       "accno", "bill", "invoice", "account"),
    "payer_id": ("payerid", "payerno", "customerid", "customerno", "clientid", "clientno", "taxpayerid"),
    "payer_name": ("payername", "customername", "clientname", "taxpayer", "businessname", "payer", "customer",
                   "client", "owner", "name"),
    "msisdn": ("msisdn", "phone", "phoneno", "phonenumber", "mobile", "mobileno", "mobilenumber", "telephone", "tel"),
    "stream": ("stream", "revenuestream", "revenuesource", "category", "service"),
    "object_ref": ("objectref", "object", "plate", "plateno", "numberplate", "vehicle", "regno", "registration",
                   "stall", "stallno", "plot", "plotno", "permit", "permitno", "property"),
    "amount_due": ("amountdue", "balancedue", "outstanding", "amountoutstanding", "outstandingbalance", "balance",
                   "totaldue", "due", "amount", "billamount", "total"),
    "issued_at": ("issuedat", "issuedon", "dateissued", "issuedate", "issued", "billdate", "invoicedate", "date"),
    "due_on": ("dueon", "duedate", "datedue", "payby", "deadline"),
    "status": ("status", "billstatus", "paymentstatus", "state"),
}  # fmt: skip
PAYMENT_WORDS: dict[str, tuple[str, ...]] = {
    "payment_id": ("paymentid", "transactionid", "transid", "transactioncode", "mpesacode", "receiptno",
                   "receiptnumber", "transactionno", "confirmationcode", "transactionreference", "bankreference",
                   "reference", "refno", "ref", "receipt", "code"),
    "paid_at": ("paidat", "paidon", "completiontime", "transactiontime", "transactiondate", "paymentdate", "datepaid",
                "datetime", "timestamp", "date", "time"),
    "amount": ("amount", "amountpaid", "paidin", "paid", "credit", "value"),
    "account_reference": ("accountreference", "billrefnumber", "billreference", "billref", "accountnumber",
                          "accountno", "accno", "acno", "account", "invoicenumber", "invoiceno", "billnumber",
                          "billno", "bill"),
    "payer_name": ("payername", "sendername", "customername", "paidby", "sender", "payer", "customer", "from", "name"),
    "msisdn": INVOICE_WORDS["msisdn"],
    "channel": ("channel", "paymentmode", "paymentchannel", "mode", "source", "bank"),
    "narrative": ("narrative", "narration", "particulars", "description", "details", "remarks"),
}  # fmt: skip
NEEDED = {"invoices": ("invoice_number", "amount_due"), "payments": ("payment_id", "paid_at", "amount")}
WORDS = {"invoices": INVOICE_WORDS, "payments": PAYMENT_WORDS}
TAKES_MONEY = frozenset({
    "open", "unpaid", "not paid", "pending", "partial", "part paid", "part-paid", "partly paid",
    "partially paid", "overdue", "outstanding", "due", "issued", "active", "arrears", "in arrears",
})  # fmt: skip
TAKES_NONE = frozenset({
    "paid", "fully paid", "paid in full", "settled", "closed", "cleared", "cancelled", "canceled", "void",
    "voided", "waived", "written off", "reversed", "exempt", "exempted", "withdrawn", "refunded",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Grid:
    """A sheet or a separated text whose heading row was found. ``rows`` begins anew at every call."""

    name: str
    header: tuple[str, ...]
    header_line: int
    rows: Callable[[], Iterator[tuple[int, list[str]]]]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """How a person says that a file is to be read: headings by column, words of statuses, the order of days."""

    headings: Mapping[str, str] = field(default_factory=dict)
    takes_money: frozenset[str] = frozenset()
    takes_none: frozenset[str] = frozenset()
    order: DayOrder | None = None


@dataclass(slots=True)
class Read:
    """A file read: its rows as columns, which heading was taken for which column, and what a person should know."""

    table: pa.Table
    read_as: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def heading_key(heading: str) -> str:
    """A heading without case, blanks, dots and the currency: ``Balance (KES)`` is ``balance``."""
    return "".join(filter(str.isalnum, _CURRENCY_WORDS.sub(" ", heading).casefold()))


def guess(header: Sequence[str], what: str, headings: Mapping[str, str]) -> dict[str, int]:
    """The place of each column that is known in a heading row; the map first, then the usual words, best first.

    A heading is taken for one column only.
    """
    keys = [heading_key(cell) for cell in header]
    found: dict[str, int] = {}
    for column, said in headings.items():
        if heading_key(said) in keys:
            found[column] = keys.index(heading_key(said))
    ranked = sorted(
        (rank, column, keys.index(word))
        for column, words in WORDS[what].items()
        if column not in headings
        for rank, word in enumerate((column.replace("_", ""), *words))
        if word in keys
    )
    for _, column, at in ranked:
        if column not in found and at not in found.values():
            found[column] = at
    return found


def is_heading_row(what: str, headings: Mapping[str, str]) -> Callable[[Sequence[str]], bool]:
    """What tells the heading row of a file of ``invoices`` or ``payments`` from the titles above it."""

    def known(cells: Sequence[str]) -> bool:
        found = guess(cells, what, headings)
        return bool(found.keys() & headings.keys()) or (len(found) >= 2 and bool(found.keys() & set(NEEDED[what])))

    return known


class Complaints:
    """Everything wrong with one file, told at once."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.found: list[tuple[int, str]] = []

    def add(self, line: int, reason: str) -> None:
        """One more thing to mend, at a line."""
        self.found.append((line, reason))

    def refuse(self) -> NoReturn:
        """Raise InvalidValue with every complaint, in the order of the lines."""
        found = sorted(self.found)
        lines = [f"{self.name}, line {line}: {reason}" for line, reason in found]
        shown = lines[:SHOWN] + ([f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else [])
        words = lines[0] if len(lines) == 1 else "\n  ".join([f"{len(lines)} things to mend in {self.name}:", *shown])
        raise InvalidValue(words, file=self.name, line=found[0][0], reason=found[0][1], complaints=lines)

    def check(self) -> None:
        """Refuse where there is anything."""
        if self.found:
            self.refuse()


def minor_of(text: str) -> int | None:
    """The cents of an amount as offices write one: ``1,200.00``, ``KSh 1 200``, ``500/=``; None for anything else.

    Thousands are groups of three, a dot stands before at most two digits; ``1.200,00`` and ``1250.000`` are refused.
    """
    found = _AMOUNT.fullmatch(text.strip())
    if found is None:
        return None
    return int(re.sub(r"\D", "", found[1])) * 100 + int((found[2] or "").ljust(2, "0"))


def status_words(words: Iterable[str], reading: Reading) -> tuple[dict[str, str], list[str]]:
    """What each status means (``open``, or itself for one that takes no money), and those that nobody knows."""
    known: dict[str, str] = {}
    unknown = []
    for word in words:
        tidy = " ".join(word.split()).casefold()
        if tidy in reading.takes_none or (tidy in TAKES_NONE and tidy not in reading.takes_money):
            known[word] = "cancelled" if tidy.startswith(("cancel", "void")) else "paid"
        elif tidy in reading.takes_money or tidy in TAKES_MONEY:
            known[word] = "open"
        else:
            unknown.append(word)
    return known, unknown


def unknown_status(word: str, count: int) -> str:
    """The refusal of a status that nobody knows: whether such a bill takes money is not guessed."""
    return (
        f"the status {word!r} ({count} bill{'s' if count > 1 else ''}) is not known, so whether it takes money is not"
        f" known: write open or paid, or say in the map of --columns: [status] open = [{word!r}] or paid = [{word!r}]"
    )


def read(grid: Grid, what: str, reading: Reading, *, currency: str = "KES") -> Read:
    """``invoices`` or ``payments`` of a grid, in the engine's columns. Raises InvalidValue with all that is wrong."""
    complaints = Complaints(grid.name)
    places = guess(grid.header, what, reading.headings)
    for column, said in reading.headings.items():
        if column not in WORDS[what]:
            complaints.add(grid.header_line, f"the map names the column {column!r}, and {what} have no such column")
        elif column not in places:
            complaints.add(grid.header_line, f"the map reads {column} from {said!r}, and no heading is called so")
    for column in NEEDED[what]:
        if column not in places:
            heads = ", ".join(repr(cell) for cell in grid.header if cell)
            complaints.add(
                grid.header_line,
                f"no heading is known for {column}; the headings are {heads}. Say which it is in a map for --columns:"
                f' [{what}] {column} = "..."',
            )
    keys = [heading_key(cell) for cell in grid.header]
    for column, at in places.items():
        if keys.count(keys[at]) > 1:
            complaints.add(grid.header_line, f"two headings are called {grid.header[at]!r}: which is {column}?")
    complaints.check()
    rows = _Rows(grid, what, places, reading, complaints, currency)
    answer = rows.read()
    answer.read_as = {grid.header[at]: column for column, at in places.items() if heading_key(grid.header[at])}
    answer.notes[:0] = grid.notes
    return answer


class _Rows:
    """The rows of one grid on their way into columns."""

    def __init__(
        self,
        grid: Grid,
        what: str,
        places: Mapping[str, int],
        reading: Reading,
        complaints: Complaints,
        currency: str,
    ) -> None:
        self.currency = currency
        self.currency_at = next((at for at, cell in enumerate(grid.header) if heading_key(cell) == "currency"), -1)
        self.grid, self.what, self.places, self.reading, self.complaints = grid, what, places, reading, complaints
        self.key, self.money = ("invoice_number", "amount_due") if what == "invoices" else ("payment_id", "amount")
        self.cells: dict[str, list[str]] = {column: [] for column in WORDS[what]}
        self.lines: list[int] = []
        self.minor: list[int] = []
        self.answer = Read(pa.table({}))

    def read(self) -> Read:
        seen: dict[str, int] = {}
        for line, cells in self.grid.rows():
            row = {column: cells[at].strip() if at < len(cells) else "" for column, at in self.places.items()}
            if not any(cell.strip() for cell in cells) or self._is_total(line, cells, row):
                continue
            key = row[self.key]
            if not key:
                self.complaints.add(line, f"{self.key} is empty")
            elif key in seen:
                self.complaints.add(line, f"{self.key} {key} stands there a second time, first in line {seen[key]}")
            seen.setdefault(key, line)
            self.lines.append(line)
            for column, texts in self.cells.items():
                texts.append(row.get(column, ""))
            self.minor.append(self._minor(line, row[self.money]))
            self._one_currency(line, cells)
        if not self.lines:
            self.complaints.add(self.grid.header_line, "no row stands below the headings")
        table = self._invoices() if self.what == "invoices" else self._payments()
        self.complaints.check()
        self.answer.table = table
        return self.answer

    def _is_total(self, line: int, cells: Sequence[str], row: Mapping[str, str]) -> bool:
        words = next((cell.strip() for cell in cells if cell.strip()), "")
        if row[self.key] and not _TOTAL.match(row[self.key]):
            return False
        if not _TOTAL.match(words):
            return False
        told, come_to = minor_of(row[self.money]), sum(self.minor)
        self.answer.notes.append(f"line {line} is a total and no row")
        if told is not None and told != come_to:
            self.answer.warnings.append(
                f"line {line}: the total says {grouped(told)} and the rows above it come to {grouped(come_to)}"
            )
        return True

    def _one_currency(self, line: int, cells: Sequence[str]) -> None:
        said = cells[self.currency_at].strip().upper() if -1 < self.currency_at < len(cells) else ""
        if said and said != self.currency and not (self.currency == "KES" and said in {"KSH", "KSHS"}):
            self.complaints.add(line, f"the currency is {said!r}; every amount of a run must be {self.currency}")

    def _minor(self, line: int, text: str) -> int:
        minor = minor_of(text)
        if minor is None:
            self.complaints.add(line, f"{self.money} is {text!r}; write it like 1250.00 or 1,250.00")
            return 0
        if minor >= LARGEST_MINOR or (self.what == "payments" and not minor):
            believable = "is not believable" if minor else "must be more than 0.00"
            self.complaints.add(line, f"{self.money} is {text}, which {believable}")
        return minor

    def _days(self, column: str) -> list[datetime | None]:
        days = Days(self.cells[column], self.reading.order)
        if days.fault:
            self.complaints.add(self.lines[days.fault_row], f"{column} is {days.fault}")
            return [None] * len(self.lines)
        found = []
        for line, text in zip(self.lines, self.cells[column], strict=True):
            moment = days.read(text)
            if text and moment is None:
                self.complaints.add(line, f"{column} is {text!r}; {days.how}")
            found.append(moment)
        if days.without_zone and column == "paid_at":
            self.answer.notes.append("times without a zone were read as Nairobi's")
        return found

    def _invoices(self) -> pa.Table:
        for column in ("issued_at", "due_on"):
            moments = self._days(column)
            self.cells[column] = [moment.date().isoformat() if moment else "" for moment in moments]
        if "status" in self.places:
            self._statuses()
        else:
            self.cells["status"] = ["open"] * len(self.lines)
            self.answer.notes.append("there is no column of statuses: every bill was taken as open")
        self.answer.warnings += spoiled(self.cells["invoice_number"], self.lines)
        kept = ("invoice_number", "payer_id", "payer_name", "msisdn", "object_ref", "due_on", "status")
        return self._table(kept)

    def _statuses(self) -> None:
        counts = Counter(self.cells["status"])
        known, unknown = status_words(counts, self.reading)
        for word in unknown:
            first = self.lines[self.cells["status"].index(word)]
            self.complaints.add(first, unknown_status(word, counts[word]) if word else "status is empty")
        self.cells["status"] = [known.get(word, "") for word in self.cells["status"]]
        taken = sorted({word for word, meaning in known.items() if meaning == "open" and word.casefold() != "open"})
        if taken:
            self.answer.notes.append(f"bills with the status {', '.join(map(repr, taken))} take money")
        self.answer.warnings += none_open(self.cells["status"], counts)

    def _payments(self) -> pa.Table:
        moments = self._days("paid_at")
        for line, text in zip(self.lines, self.cells["paid_at"], strict=True):
            if not text:
                self.complaints.add(line, "paid_at is empty")
        self.answer.warnings += spoiled(self.cells["account_reference"], self.lines, least=0)
        table = self._table(("payment_id", "account_reference", "payer_name", "msisdn", "narrative"))
        micros = [0 if one is None else micros_of(one) for one in moments]
        return table.append_column("paid_at_us", columns.ints(micros))

    def _table(self, kept: Sequence[str]) -> pa.Table:
        texts = {column: columns.texts(self.cells[column]) for column in kept}
        return columns.table({**texts, "amount_minor": columns.ints(self.minor)})


def micros_of(moment: datetime) -> int:
    """Microseconds since 1970 of an instant, by whole numbers."""
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def none_open(statuses: Iterable[str], counts: Mapping[str, int]) -> list[str]:
    """A warning where no bill of a file takes money: nothing can be matched, and that is seldom meant."""
    if any(status.strip().casefold() == "open" for status in statuses):
        return []
    words = ", ".join(f"{count} {word!r}" for word, count in counts.items())
    return [f"no bill takes money, by its status ({words}): nothing can be matched to any"]


def spoiled(numbers: Sequence[str], lines: Sequence[int], *, least: int = 1) -> list[str]:
    """Warnings of numbers that a spreadsheet spoiled: written short, or with a leading nought lost."""
    short = [at for at, text in enumerate(numbers) if _SPOILED.fullmatch(text)]
    eight = [at for at, text in enumerate(numbers) if least and len(text) == 8 and text.isascii() and text.isdigit()]
    said = []
    if short:
        said.append(
            f"{len(short)} numbers were written short by a spreadsheet, such as {numbers[short[0]]} in line"
            f" {lines[short[0]]}: their last digits are lost. Format the column as text and export it anew"
        )
    if eight and len(eight) < len(numbers):
        said.append(
            f"{len(eight)} numbers have 8 digits, such as {numbers[eight[0]]} in line {lines[eight[0]]}: pay account"
            " numbers have 9, so a digit may be lost"
        )
    return said


def facts(read: Read) -> dict[str, Any]:
    """How a file was read, as plain data."""
    return {"read_as": read.read_as, "notes": read.notes, "warnings": read.warnings}
