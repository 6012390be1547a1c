"""Files of bills and payments: read exactly or refused with file, line and reason; written whole or not at all."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import mmap
import os
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from reconciliation.engine import columns, office
from reconciliation.engine.columns import Ints
from revenue_engine.errors import InvalidValue
from revenue_engine.money import LARGEST_MINOR, parse_wire

INVOICE_COLUMNS = [
    *("invoice_number", "payer_id", "payer_name", "msisdn", "stream", "object_ref"),
    *("amount_due", "issued_at", "due_on", "status"),
]
PAYMENT_COLUMNS = [
    *("payment_id", "paid_at", "amount", "account_reference"),
    *("payer_name", "msisdn", "channel", "narrative"),
]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MONEY = ("amount", "amount_due")
_PARQUET = (".parquet", ".pq")
_WORKBOOK = ".xlsx"
_ROWS_OF_A_SHEET = 1_048_575
"""Rows below the headings that a sheet of Excel has room for."""
_WRITTEN = "results are written as .csv, .parquet or .xlsx, by their name"
_PLAIN = r"^[0-9]{1,12}\.[0-9]{2}$"
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def read_invoices(path: Path, *, currency: str = "KES") -> pa.Table:
    """Bills with ``amount_minor`` (cents due). Raises InvalidValue with file, line and reason."""
    table = _read(path, INVOICE_COLUMNS)
    _once(path, table, "invoice_number")
    _filled(path, table, "status")
    table = _statuses(path, table)
    _dates(path, table, "due_on")
    _one_currency(path, table, currency)
    table = _with_cents(path, table, "amount_due", least=0)
    return table.drop_columns(["amount_due", "stream", "issued_at"])  # not needed to match; memory is


def read_payments(path: Path, *, currency: str = "KES") -> pa.Table:
    """Payments with ``amount_minor`` (cents) and ``paid_at_us`` (UTC). Raises InvalidValue with file, line, reason."""
    table = _read(path, PAYMENT_COLUMNS)
    _once(path, table, "payment_id")
    _one_currency(path, table, currency)
    table = _with_cents(path, table, "amount", least=1)
    table = table.append_column("paid_at_us", columns.ints(_instants(path, table, "paid_at")))
    return table.drop_columns(["amount", "paid_at", "channel"])


def _refuse(path: Path, line: int, reason: str, **facts: Any) -> InvalidValue:
    return InvalidValue(f"{path.name}, line {line}: {reason}", file=path.name, line=line, reason=reason, **facts)


def _line(path: Path, row: int) -> int:
    """The line on which a data row ends; a row of a parquet file counts as if line 1 held the names."""
    if path.suffix.lower() in _PARQUET:
        return row + 2
    with path.open(newline="", encoding="utf-8-sig") as handle:
        reader = csv.reader(handle)
        rows = (line for line in reader if line)
        next(rows, None)
        for at, _ in enumerate(rows):
            if at == row:
                return reader.line_num
    return row + 2


def _read(path: Path, wanted: list[str]) -> pa.Table:
    if path.suffix.lower() in _PARQUET:
        table = _read_parquet(path)
    elif path.suffix.lower() == ".csv":
        table = _read_csv(path)
    else:
        raise InvalidValue(f"{path.name}: files are .csv or .parquet, by their name", file=path.name)
    missing = [name for name in wanted if name not in table.column_names]
    if missing:
        reason = f"the column {missing[0]!r} is missing; columns must be {', '.join(wanted)}"
        raise _refuse(path, 1, reason, column=missing[0])
    keep = [*wanted, *(["currency"] if "currency" in table.column_names else [])]
    texts = {}
    for name in keep:
        texts[name] = _text(path, table[name], name)
        table = table.drop_columns([name])
    return columns.table(texts)


def _read_csv(path: Path) -> pa.Table:
    try:
        with path.open("rb") as handle:
            head = handle.readline().decode("utf-8-sig")
        names = next(csv.reader([head]), [])
        if len(set(names)) < len(names):
            raise _refuse(path, 1, "a column name stands there twice")
        return pyarrow.csv.read_csv(
            path,
            read_options=pyarrow.csv.ReadOptions(block_size=8 << 20),
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=_has_quotes(path)),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )
    except UnicodeDecodeError:
        raise _refuse(path, 1, "the file is not UTF-8 text; save it as CSV UTF-8") from None
    except pa.ArrowInvalid as error:
        raise _bad_csv(path, str(error)) from None


def _has_quotes(path: Path) -> bool:
    """Whether a line may end inside a value. Where none can, a file is cut at its lines and read on all cores."""
    if not path.stat().st_size:
        return False
    with path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as whole:
        return whole.find(b'"') >= 0


def _bad_csv(path: Path, said: str) -> InvalidValue:
    """Say where a file stops being a table: the line with another number of columns, or bytes that are no UTF-8."""
    with path.open(newline="", encoding="utf-8-sig") as handle:
        reader = csv.reader(handle, strict=True)
        try:
            width = len(next(reader, []))
            if not width:
                return _refuse(path, 1, "the file is empty")
            for row in reader:
                if row and len(row) != width:
                    return _refuse(path, reader.line_num, f"{len(row)} columns where the first line has {width}")
        except UnicodeDecodeError:
            lines = path.read_bytes().split(b"\n")
            bad = next((at for at, line in enumerate(lines, start=1) if not _is_utf8(line)), 1)
            return _refuse(path, bad, "the text is not UTF-8; save the file as CSV UTF-8")
        except csv.Error as error:
            return _refuse(path, reader.line_num, f"the line cannot be read: {error}")
    return _refuse(path, 1, f"the file cannot be read as CSV: {said}")


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _read_parquet(path: Path) -> pa.Table:
    try:
        return pyarrow.parquet.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise InvalidValue(f"{path.name}: not a parquet file: {str(error).splitlines()[0]}", file=path.name) from None


def _text(path: Path, column: Any, name: str) -> Any:
    """A column as text: what stands in a csv file. Numbers with a point in binary are refused, not rounded."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        kind, column = kind.value_type, pc.cast(column, kind.value_type)
    if name in _MONEY and not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_decimal(kind)):
        reason = f'{name} is of type {kind}; keep money as text such as "1250.00" or as decimal with two places'
        raise _refuse(path, 1, reason, column=name)
    if pa.types.is_floating(kind):
        raise _refuse(path, 1, f"{name} is of type {kind}; keep it as text, or digits are lost", column=name)
    if pa.types.is_timestamp(kind):
        if kind.tz is None:
            raise _refuse(path, 1, f"{name} has no time zone", column=name)
        column = pc.strftime(pc.cast(column, pa.timestamp("us", "UTC")), "%Y-%m-%dT%H:%M:%SZ")
    text = column if pa.types.is_string(kind) else pc.cast(column, pa.string())
    return pc.fill_null(text, columns.one("")).combine_chunks()


def _once(path: Path, table: pa.Table, name: str) -> None:
    column = table[name]
    _filled(path, table, name)
    if not columns.all_distinct(column.combine_chunks()):
        seen: set[str] = set()
        for row, value in enumerate(column.to_pylist()):
            if value in seen:
                raise _refuse(path, _line(path, row), f"{name} {value} stands there a second time", column=name)
            seen.add(value)


def _filled(path: Path, table: pa.Table, name: str) -> None:
    row = _first(pc.equal(pc.binary_length(pc.utf8_trim_whitespace(table[name])), columns.one(0)))
    if row >= 0:
        raise _refuse(path, _line(path, row), f"{name} is empty", column=name)


def _first(found: Any) -> int:
    """The first row for which something is so, or -1."""
    rows = np.flatnonzero(
        np.asarray(
            columns.out(found),
            dtype=bool,
        )
    )
    return int(rows[0]) if len(rows) else -1


def _one_currency(path: Path, table: pa.Table, currency: str) -> None:
    if "currency" not in table.column_names:
        return
    row = _first(pc.not_equal(table["currency"], columns.one(currency)))
    if row >= 0:
        found = table["currency"][row].as_py()
        reason = f"the currency is {found!r}; every amount of a run must be {currency}"
        raise _refuse(path, _line(path, row), reason, column="currency")


def _with_cents(path: Path, table: pa.Table, name: str, *, least: int) -> pa.Table:
    texts = table[name].combine_chunks()
    plain = pc.match_substring_regex(texts, _PLAIN)
    if pc.all(plain).as_py():
        cents = np.asarray(columns.out(pc.cast(pc.replace_substring(texts, ".", ""), pa.int64())))
    else:
        cents = np.fromiter(_read_amounts(path, texts.to_pylist(), name), dtype=np.int64, count=len(texts))
    bad = np.flatnonzero((cents < least) | (cents >= LARGEST_MINOR))
    if len(bad):
        row = int(bad[0])
        reason = f"{name} is {texts[row].as_py()}; it must be {'more than 0.00' if least else '0.00 or more'}"
        if cents[row] >= LARGEST_MINOR:
            reason = f"{name} is {texts[row].as_py()}, which is not believable"
        raise _refuse(path, _line(path, row), reason, column=name)
    return table.append_column("amount_minor", columns.ints(cents))


def _read_amounts(path: Path, texts: list[str], name: str) -> Iterator[int]:
    for row, text in enumerate(texts):
        try:
            yield parse_wire(text)
        except InvalidValue as error:
            raise _refuse(path, _line(path, row), f"{name} is {text!r}; {error.message}", column=name) from None


def _instants(path: Path, table: pa.Table, name: str) -> Ints:
    try:
        instants = pc.cast(table[name], pa.timestamp("us", "UTC"))
    except pa.ArrowInvalid:
        return _read_instants(path, table[name].to_pylist(), name)
    return np.asarray(columns.out(instants), dtype=np.int64)


def _read_instants(path: Path, texts: list[str], name: str) -> Ints:
    """One by one, as the quick way refused: the first that is no instant is named."""
    found = []
    for row, text in enumerate(texts):
        try:
            instant = datetime.fromisoformat(text.strip())
        except ValueError:
            instant = None
        if instant is None or instant.tzinfo is None:
            reason = f"{name} is {text!r}; write it like 2026-03-30T06:00:00+03:00, with the zone"
            raise _refuse(path, _line(path, row), reason, column=name)
        found.append((instant - _EPOCH) // timedelta(microseconds=1))
    return np.array(found, dtype=np.int64)


def _statuses(path: Path, table: pa.Table) -> pa.Table:
    """Statuses in the engine's words: a status that nobody knows is refused, for it may take money or not."""
    column = table["status"]
    known, unknown = office.status_words(pc.unique(column).to_pylist(), office.Reading())
    if unknown:
        row = min(_first(pc.equal(column, columns.one(word))) for word in unknown)
        word = column[row].as_py()
        count = pc.sum(pc.equal(column, columns.one(word))).as_py()
        raise _refuse(path, _line(path, row), office.unknown_status(word, count), column="status")
    said, meant = list(known), [known[word] for word in known]
    if said != meant:
        column = columns.texts(meant).take(columns.ints(columns.rows_in(column.combine_chunks(), columns.texts(said))))
        table = table.set_column(table.column_names.index("status"), "status", column)
    return table


def _dates(path: Path, table: pa.Table, name: str) -> None:
    for text in pc.unique(table[name]).to_pylist():
        good = _DATE.fullmatch(text) is not None
        if good:
            try:
                datetime.fromisoformat(text)
            except ValueError:
                good = False
        if text and not good:
            row = _first(pc.equal(table[name], columns.one(text)))
            reason = f"{name} is {text!r}; write dates like 2026-03-30"
            raise _refuse(path, _line(path, row), reason, column=name)


def digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


class _Hashing:
    """A writer that hashes what passes."""

    def __init__(self, under: Any) -> None:
        self.under = under
        self.hash = hashlib.sha256()
        self.closed = False

    def write(self, data: bytes) -> int:
        """Hash and pass on."""
        self.hash.update(data)
        return int(self.under.write(data))

    def flush(self) -> None:
        """Pass on."""
        self.under.flush()


def csv_digest(table: pa.Table) -> str:
    """SHA-256 of a table as CSV text: the same whatever the format it is written in."""
    with Path(os.devnull).open("wb") as nowhere:
        sink = _Hashing(nowhere)
        _csv(table, sink)
    return sink.hash.hexdigest()


def _csv(table: pa.Table, sink: Any) -> None:
    options = pyarrow.csv.WriteOptions(quoting_style="needed", batch_size=65536)
    pyarrow.csv.write_csv(table, pa.PythonFile(sink, mode="w"), write_options=options)


def write_all(tables: dict[Path, pa.Table], sheets: dict[Path, dict[str, pa.Table]] | None = None) -> dict[Path, str]:
    """Write every table, or none; answers each one's digest of its CSV text.

    ``sheets`` are workbooks of several tables by sheet; their digest is one over the digests of their tables.

    Each is written beside its place and flushed to the disk; only when all are there are they moved into place.
    """
    digests: dict[Path, str] = {}
    parts = {path: path.with_name(f".{path.name}.{os.getpid()}.part") for path in (*tables, *(sheets or ()))}
    try:
        for path, table in tables.items():
            digests[path] = _write(path, parts[path], table)
        for path, many in (sheets or {}).items():
            digests[path] = _write_workbook(parts[path], many)
        for path, part in parts.items():
            part.replace(path)
    finally:
        for part in parts.values():
            with contextlib.suppress(FileNotFoundError):
                part.unlink()
    return digests


def _write(path: Path, part: Path, table: pa.Table) -> str:
    with part.open("wb") as handle:
        if path.suffix.lower() in _PARQUET:
            pyarrow.parquet.write_table(table, handle, compression="zstd")
            found = csv_digest(table)
        elif path.suffix.lower() == ".csv":
            sink = _Hashing(handle)
            _csv(table, sink)
            found = sink.hash.hexdigest()
        else:
            raise InvalidValue(f"{path.name}: {_WRITTEN}", file=path.name)
        handle.flush()
        os.fsync(handle.fileno())
    return found


def _write_workbook(part: Path, sheets: dict[str, pa.Table]) -> str:
    """One sheet a table: codes as text, amounts as numbers, headings that stay and can be filtered by."""
    import xlsxwriter

    for name, table in sheets.items():
        if len(table) > _ROWS_OF_A_SHEET:
            raise InvalidValue(f"{name.lower()} are {len(table):,} rows, too many for a workbook: write .csv files")
    with part.open("wb") as handle:
        options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
        with xlsxwriter.Workbook(handle, options) as book:
            for name, table in sheets.items():
                _sheet(book, name, table)
        handle.flush()
        os.fsync(handle.fileno())
    whole = hashlib.sha256()
    for table in sheets.values():
        whole.update(csv_digest(table).encode())
    return whole.hexdigest()


def _sheet(book: Any, name: str, table: pa.Table) -> None:
    bold, text = book.add_format({"bold": True}), book.add_format({"num_format": "@"})
    money = book.add_format({"num_format": "#,##0.00"})
    sheet = book.add_worksheet(name)
    sheet.freeze_panes(1, 0)
    sheet.autofilter(0, 0, max(1, len(table)), len(table.column_names) - 1)
    for at, column in enumerate(table.column_names):
        sheet.set_column(at, at, 70 if column.startswith("why") else 18)
        sheet.write_string(0, at, column, bold)
    is_money = [column in _MONEY for column in table.column_names]
    for row, cells in enumerate(zip(*(column.to_pylist() for column in table.columns), strict=True), start=1):
        for at, cell in enumerate(cells):
            if is_money[at]:
                sheet.write_number(row, at, Decimal(cell), money)
            else:
                sheet.write_string(row, at, str(cell), text)


def is_workbook(path: Path) -> bool:
    """Whether a file is a workbook by its name."""
    return path.suffix.lower() == _WORKBOOK


def check_place(path: Path) -> None:
    """Refuse an output that could not be written, before any work is done (InvalidValue)."""
    if path.suffix.lower() not in (*_PARQUET, ".csv", _WORKBOOK):
        raise InvalidValue(f"{path.name}: {_WRITTEN}", file=path.name)
    if not path.parent.is_dir():
        raise InvalidValue(f"{path}: there is no such folder", file=str(path))


class Digests:
    """SHA-256 of input files, read beside the other work."""

    def __init__(self, *paths: Path) -> None:
        self._found: dict[str, str] = {}
        self._threads = [threading.Thread(target=self._read, args=(path,), daemon=True) for path in paths]
        for thread in self._threads:
            thread.start()

    def _read(self, path: Path) -> None:
        self._found[path.name] = digest(path)

    def as_dict(self) -> dict[str, str]:
        """File name to digest, when all are read."""
        for thread in self._threads:
            thread.join()
        return dict(sorted(self._found.items()))


def count_of(table: pa.Table, column: str) -> dict[str, int]:
    """How often each value of a text column stands there, by value."""
    return {one["values"]: one["counts"] for one in sorted(pc.value_counts(table[column]).to_pylist(), key=str)}
