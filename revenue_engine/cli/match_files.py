"""The files of ``match``: the project's own columns, an office's own headings, or a statement as it was downloaded."""

from __future__ import annotations

import tomllib
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciliation.engine import columns, files, office
from reconciliation.engine.office import Grid, Read, Reading, facts
from reconciliation.engine.spelled_days import DayOrder
from revenue_engine import periods
from revenue_engine.errors import InvalidValue
from revenue_engine.ports.statements import (
    StatementClosed,
    StatementFault,
    StatementLine,
    StatementRefused,
    one_by_one,
    proved,
)

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Maps", "facts", "read_invoices", "read_map", "read_payments"]

_PARQUET = (".parquet", ".pq")


@dataclass(frozen=True, slots=True)
class Maps:
    """How each of the two files is to be read, as a person said."""

    invoices: Reading = field(default_factory=Reading)
    payments: Reading = field(default_factory=Reading)


def read_map(file: Path | None, order: DayOrder | None) -> Maps:
    """A column map: tables ``[invoices]`` and ``[payments]`` of column = heading, ``[status]`` of open and paid words,
    and ``date_order``. Raises InvalidValue."""
    if file is None:
        return Maps(Reading(order=order), Reading(order=order))
    try:
        said = tomllib.loads(file.read_text("utf-8-sig"))
    except (ValueError, OSError) as error:
        raise InvalidValue(f"{file.name} is no map in TOML: {error}", file=file.name) from None
    unknown = sorted(set(said) - {"invoices", "payments", "status", "date_order"})
    if unknown:
        known = "[invoices], [payments], [status] and date_order"
        raise InvalidValue(f"{file.name}: {', '.join(unknown)} is not read; a map holds {known}", file=file.name)
    if order is None and "date_order" in said:
        try:
            order = DayOrder(said["date_order"])
        except ValueError:
            raise InvalidValue(f"{file.name}: date_order is one of {', '.join(DayOrder)}", file=file.name) from None
    heads = {what: _texts(file, said, what) for what in ("invoices", "payments")}
    words = said.get("status", {})
    if not isinstance(words, dict) or set(words) - {"open", "paid"}:
        raise InvalidValue(f"{file.name}: [status] holds open = [...] and paid = [...]", file=file.name)
    takes = {name: frozenset(_tidy(file, word) for word in words.get(name, ())) for name in ("open", "paid")}
    return Maps(
        Reading(heads["invoices"], takes["open"], takes["paid"], order), Reading(heads["payments"], order=order)
    )


def _texts(file: Path, said: dict[str, Any], what: str) -> dict[str, str]:
    table = said.get(what, {})
    if not isinstance(table, dict) or not all(isinstance(value, str) for value in table.values()):
        raise InvalidValue(f'{file.name}: [{what}] holds column = "heading" a line', file=file.name)
    return table


def _tidy(file: Path, word: object) -> str:
    if not isinstance(word, str):
        raise InvalidValue(f"{file.name}: a status is a text, not {word!r}", file=file.name)
    return " ".join(word.split()).casefold()


def read_invoices(file: Path, maps: Maps, *, currency: str) -> Read:
    """Bills, however they are kept. Raises InvalidValue with everything that is wrong."""
    read = _own(file, "invoices", maps.invoices, currency)
    if read is None:
        read = _office(file, "invoices", maps.invoices, currency)
    else:
        counts = Counter(read.table["status"].to_pylist()) if len(read.table) < 50_000 else Counter()
        read.warnings += office.none_open(counts, counts) if counts else []
    return read


def read_payments(file: Path, maps: Maps, *, currency: str) -> Read:
    """Payments, however they are kept: a statement that a reader knows is proved first. Raises InvalidValue."""
    read = _own(file, "payments", maps.payments, currency)
    if read is not None:
        return read
    refused: InvalidValue | None = None
    if not maps.payments.headings:
        try:
            return _statement(file, currency)
        except StatementRefused as error:
            refused = InvalidValue(
                f"{file.name}: {error.message}", file=file.name, line=error.line, reason=error.reason
            )
            if error.fault not in {StatementFault.NOT_A_STATEMENT, StatementFault.UNKNOWN_COLUMNS}:
                raise refused from None
    try:
        return _office(file, "payments", maps.payments, currency)
    except _NoHeadings:
        if refused is not None and "no reader knows" not in refused.message:
            raise refused from None
        raise


def _own(file: Path, what: str, reading: Reading, currency: str) -> Read | None:
    """A file in the project's own columns, read fast and strictly; None where it is not, or may be read more gently."""
    strict = files.read_invoices if what == "invoices" else files.read_payments
    if file.suffix.lower() in _PARQUET:
        return Read(strict(file, currency=currency))
    if file.suffix.lower() != ".csv" or reading != Reading():
        return None
    try:
        return Read(strict(file, currency=currency))
    except InvalidValue:
        return None  # what the other way of reading says of the file is said of all its lines


class _NoHeadings(InvalidValue):
    """No row of a file looks like headings."""


def _office(file: Path, what: str, reading: Reading, currency: str) -> Read:
    from adapters.statements import rows

    try:
        with file.open("rb") as stream:
            found = rows.find_rows(stream, file.name, office.is_heading_row(what, reading.headings))
            if found is None:
                needed = ", ".join(office.NEEDED[what])
                raise _NoHeadings(
                    f"{file.name}: no row of headings was found among the first {rows.HEADER_WITHIN}; {what} need"
                    f" {needed}. Say which headings they are in a map for --columns",
                    file=file.name,
                )
            grid = Grid(file.name, found.header, found.header_line, found.read, tuple(found.notes))
            return office.read(grid, what, reading, currency=currency)
    except StatementRefused as error:
        place = f", line {error.line}" if error.line else ""
        raise InvalidValue(
            f"{file.name}{place}: {error.reason}", file=file.name, line=error.line, reason=error.reason
        ) from None


@dataclass(slots=True)
class _Credits:
    """What a statement says came in, in columns, and what was left out."""

    texts: dict[str, list[str]] = field(
        default_factory=lambda: {
            name: [] for name in ("payment_id", "account_reference", "payer_name", "msisdn", "narrative")
        }
    )
    minor: list[int] = field(default_factory=list)
    micros: list[int] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    taken_back: set[str] = field(default_factory=set)

    def take(self, line: StatementLine, names: Counter[str]) -> None:
        """A line, if it is money that came in and counts."""
        if not line.counts:
            self.left_out["lines that are only shown"] += 1
            return
        if line.kind not in (None, "payment") or line.amount_minor <= 0:
            if line.kind == "reversal" and line.reverses:
                self.taken_back.add(line.reverses)
            self.left_out[f"{line.kind or 'debit'} lines"] += 1
            return
        name = line.reference or f"{line.booked_on.isoformat()}/{line.number}"
        names[name] += 1
        at = line.occurred_at or datetime.combine(line.booked_on, time(), periods.NAIROBI)
        self.texts["payment_id"].append(name if names[name] == 1 else f"{name}/{names[name]}")
        self.texts["account_reference"].append(line.account_reference)
        self.texts["payer_name"].append(line.party.name)
        self.texts["msisdn"].append(line.party.msisdn)
        self.texts["narrative"].append(line.text)
        self.minor.append(line.amount_minor)
        self.micros.append(office.micros_of(at))

    def table(self) -> pa.Table:
        """The credits as the engine takes them, without those that the statement takes back by name."""
        import pyarrow as pa

        whole = columns.table(
            {name: columns.texts(texts) for name, texts in self.texts.items()}
            | {"amount_minor": columns.ints(self.minor), "paid_at_us": columns.ints(self.micros)}
        )
        kept = [at for at, name in enumerate(self.texts["payment_id"]) if name not in self.taken_back]
        if len(kept) < len(self.minor):
            self.left_out["payments that were taken back"] += len(self.minor) - len(kept)
            return whole.take(pa.array(kept, pa.int64()))
        return whole


def _statement(file: Path, currency: str) -> Read:
    """The money that came in by a statement. Raises StatementRefused."""
    from revenue_engine import bootstrap

    came_in, names = _Credits(), Counter[str]()
    notes: list[str] = []
    with file.open("rb") as stream:
        reader = bootstrap.statement_reader(stream, file.name)
        events = proved(one_by_one(reader.read(stream, filename=file.name)), today=periods.today())
        for event in events:
            if isinstance(event, StatementLine):
                came_in.take(event, names)
            elif isinstance(event, StatementClosed):
                notes += event.notes
            elif event.currency != currency:
                reason = f"the statement is in {event.currency}; every amount of a run must be {currency}"
                raise InvalidValue(f"{file.name}: {reason}", file=file.name, reason=reason)
    table = came_in.table()
    left = ", ".join(f"{count} {what}" for what, count in sorted(came_in.left_out.items()))
    said = f"read as a statement of the format {reader.name}: {len(table)} payments"
    return Read(table, notes=[said + (f"; left out: {left}" if left else ""), *notes])
