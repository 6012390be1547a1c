"""A process of its own for workbooks: reads one from standard input and writes its rows, or dies alone.

A damaged or hostile workbook can make its reader ask for more memory than there is, which ends a process and not only
a call. So `rows` starts this file as a program, with bounds, and reads what it wrote. Nothing in a workbook is run.

One JSON array a line: ``["sheet", NAME]`` begins a visible sheet; ``[ROW, CELL, ...]`` is a row that is not blank. A
cell is text; ``[TEXT]`` for a number, ``[TEXT, 1]`` for a date, ``[]`` for a number that lost its digits. Exit code 3
says that it holds macros, 2 with a reason on standard error that it cannot be read.
"""

from __future__ import annotations

import io
import json
import sys
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
        book = CalamineWorkbook.from_filelike(io.BytesIO(sys.stdin.buffer.read()))
        for meta in book.sheets_metadata:
            if meta.typ == SheetTypeEnum.MacroSheet or meta.typ == SheetTypeEnum.Vba:
                return MACROS
            if meta.typ == SheetTypeEnum.WorkSheet and meta.visible == SheetVisibleEnum.Visible:
                _write(["sheet", meta.name])
                _sheet(book.get_sheet_by_name(meta.name))
        sys.stdout.flush()
    except (CalamineError, OSError, ValueError, OverflowError) as error:
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


def _sheet(sheet: Any) -> None:
    left = [""] * (sheet.start[1] if sheet.start else 0)
    for number, values in enumerate(sheet.iter_rows(), start=1):
        cells = [cell(value) for value in values]
        if any(cells):
            _write([number, *left, *cells])


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
