"""A process of its own for workbooks: reads one from standard input and writes its rows, or dies alone.

A damaged or hostile workbook can make its reader ask for more memory than there is, which ends a process and not only
a call. So `rows` starts this file as a program, with bounds, and reads what it wrote. Nothing in a workbook is run.

One JSON array a line: ``["sheet", NAME, [ROW, ...]]`` begins a visible sheet and tells the first of its hidden rows
that are not blank; ``[ROW, CELL, ...]`` is a row that is seen and not blank, the cells of hidden columns blank. A cell
is text; ``[TEXT]`` for a number, ``[TEXT, 1]`` for a date, ``[]`` for a number that lost its digits. Exit code 3
says that it holds macros, 2 with a reason on standard error that it cannot be read.
"""

from __future__ import annotations

import html
import io
import json
import re
import sys
import zipfile
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from numbers import Real
from typing import Any

CANNOT_READ, MACROS = 2, 3
MEMORY = 2**30
SECONDS = 60
"""What one workbook may take."""


def main() -> int:
    """Read standard input, write rows; answers the exit code."""
    _bounded()
    from python_calamine import CalamineError, CalamineWorkbook, SheetTypeEnum, SheetVisibleEnum

    try:
        content = sys.stdin.buffer.read()
        book = CalamineWorkbook.from_filelike(io.BytesIO(content))
        unseen = _unseen(content)
        for meta in book.sheets_metadata:
            if meta.typ == SheetTypeEnum.MacroSheet or meta.typ == SheetTypeEnum.Vba:
                return MACROS
            if meta.typ == SheetTypeEnum.WorkSheet and meta.visible == SheetVisibleEnum.Visible:
                _sheet(meta.name, book.get_sheet_by_name(meta.name), *unseen.get(meta.name, (set(), set())))
        sys.stdout.flush()
    except (CalamineError, zipfile.BadZipFile, OSError, ValueError, OverflowError) as error:
        sys.stderr.write(str(error))
        return CANNOT_READ
    return 0


def _bounded() -> None:
    try:
        import resource
    except ImportError:
        return  # no such bounds on this system; the process still dies alone
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))


def _sheet(name: str, sheet: Any, rows: set[int], columns: set[int]) -> None:
    left = [""] * (sheet.start[1] if sheet.start else 0)
    found = []
    if rows:
        found = [number for number, values in enumerate(sheet.iter_rows(), start=1) if number in rows and any(values)]
    _write(["sheet", name, found[:_SHOWN]])
    for number, values in enumerate(sheet.iter_rows(), start=1):
        if number in rows:
            continue
        cells = [*left, *(cell(value) for value in values)]
        if columns:
            cells = ["" if at in columns else one for at, one in enumerate(cells)]
        if any(cells):
            _write([number, *cells])


_SHOWN = 20
_TAG = r"<(?:[\w.-]+:)?{}\b((?:[^>\"']|\"[^\"]*\"|'[^']*')*)>"
_ROW, _COLUMN, _NAMED, _RELATED = (
    re.compile(_TAG.format(tag).encode()) for tag in ("row", "col", "sheet", "Relationship")
)
_ATTRIBUTE = re.compile(rb"([\w:.-]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')")


def _unseen(content: bytes) -> dict[str, tuple[set[int], set[int]]]:
    """The hidden rows, from 1, and columns, from 0, of each sheet of an .xlsx package by the sheet's name: the reader
    of values does not tell them. Those of other workbooks are not known and are read."""
    if not content.startswith(b"PK"):
        return {}
    found = {}
    with zipfile.ZipFile(io.BytesIO(content)) as package:
        names = {name.lower(): name for name in package.namelist()}
        if "xl/workbook.xml" not in names or "xl/_rels/workbook.xml.rels" not in names:
            return {}
        book, relations = package.read(names["xl/workbook.xml"]), package.read(names["xl/_rels/workbook.xml.rels"])
        targets = {one.get(b"Id"): one.get(b"Target", b"") for one in map(_attributes, _RELATED.findall(relations))}
        for sheet in map(_attributes, _NAMED.findall(book)):
            identity = next((value for name, value in sheet.items() if name.endswith(b":id")), b"")
            target = targets.get(identity, b"").decode().removeprefix("/").removeprefix("xl/").lower()
            if f"xl/{target}" in names:
                part = package.read(names[f"xl/{target}"])
                found[html.unescape(sheet.get(b"name", b"").decode())] = (_hidden_rows(part), _hidden_columns(part))
    return found


def _attributes(written: bytes) -> dict[bytes, bytes]:
    return {name: double or single for name, double, single in _ATTRIBUTE.findall(written)}


def _is_hidden(attributes: dict[bytes, bytes], size: bytes) -> bool:
    return attributes.get(b"hidden") in {b"1", b"true"} or attributes.get(size) in {b"0", b"0.0"}


def _hidden_rows(part: bytes) -> set[int]:
    rows: set[int] = set()
    number = 0
    if b"hidden" not in part and b'ht="0' not in part:
        return rows
    for written in _ROW.findall(part):
        attributes = _attributes(written)
        number = int(attributes.get(b"r", number + 1))
        if _is_hidden(attributes, b"ht"):
            rows.add(number)
    return rows


def _hidden_columns(part: bytes) -> set[int]:
    columns: set[int] = set()
    for attributes in map(_attributes, _COLUMN.findall(part)):
        if _is_hidden(attributes, b"width"):
            first, last = int(attributes.get(b"min", 0)), int(attributes.get(b"max", 0))
            columns.update(range(first - 1, min(last, _WIDEST)))
    return columns


_WIDEST = 16_384


def _write(line: list[Any]) -> None:
    sys.stdout.write(json.dumps(line, ensure_ascii=True) + "\n")


def cell(value: Any) -> str | list[Any]:
    """A value as it is written: see above."""
    kind = type(value)
    if kind is str:
        return str(value)
    if kind is bool:
        return "true" if value else "false"
    if isinstance(value, Real):
        return _number(value)
    if kind is datetime:
        rounded = (value + timedelta(microseconds=500_000)).replace(microsecond=0)
        return [rounded.date().isoformat() if rounded.time() == time(0) else rounded.isoformat(" "), 1]
    if kind is date:
        return [value.isoformat(), 1]
    return str(value)


def _number(value: Any) -> list[str]:
    """Numbers are binary in a workbook and mean the decimal of 15 digits that a spreadsheet shows."""
    if value != value or abs(value) >= 10**15:
        return []
    text = format(Decimal(format(value, ".15g")), "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return ["0" if text in {"-0", ""} else text]


if __name__ == "__main__":
    sys.exit(main())
