"""Lists that a person looks through: a table as wide as the terminal, CSV, JSON, or one sheet of a workbook."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from revenue_engine.errors import InvalidValue
from revenue_engine.reports import render as rendering
from revenue_engine.reports.model import Cell, Column, Kind, Section

WIDE = 200
"""Columns of text where nobody said how wide the paper is."""


def render(section: Section, form: str, *, width: int | None = None) -> bytes:
    """A list as bytes in one of the formats table, csv, json, xlsx. Raises InvalidValue for another."""
    renderers = {"csv": as_csv, "json": as_json, "xlsx": as_workbook}
    if form == "table":
        return as_table(section, width=width or WIDE)
    if form not in renderers:
        raise InvalidValue(f"a list is written as one of table, {', '.join(renderers)}", format=form)
    return renderers[form](section)


def as_table(section: Section, *, width: int) -> bytes:
    """A plain table; money with thousands separators; long texts are folded, codes and figures never."""
    from rich.console import Console
    from rich.table import Table

    text = io.StringIO()
    console = Console(file=text, width=width, no_color=True, highlight=False)
    if section.rows:
        table = Table(box=None, pad_edge=False)
        for column in section.columns:
            longest = max(len(rendering.shown(row[section.columns.index(column)], column)) for row in section.rows)
            table.add_column(
                column.heading,
                justify="left" if column.kind is Kind.TEXT else "right",
                no_wrap=column.kind is not Kind.TEXT or longest <= 24,
                overflow="fold",
            )
        for row in section.rows:
            table.add_row(*(rendering.shown(cell, column) for cell, column in zip(row, section.columns, strict=True)))
        console.print(table, markup=False)
    else:
        console.print(f"{section.title}: none")
    if section.note:
        console.print(section.note)
    return text.getvalue().encode()


def _cells(section: Section, row: tuple[Cell, ...]) -> list[tuple[Column, Cell]]:
    return list(zip(section.columns, row, strict=True))


def as_csv(section: Section) -> bytes:
    """A heading row and a row each; UTF-8 with a mark, so that Excel reads it right."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n", quoting=csv.QUOTE_ALL)
    writer.writerow([column.key for column in section.columns])
    for row in section.rows:
        said = [(column, rendering.said(cell, column.kind)) for column, cell in _cells(section, row)]
        writer.writerow([rendering.inert(words) if column.kind is Kind.TEXT else words for column, words in said])
    return ("\ufeff" + text.getvalue()).encode()


def as_json(section: Section) -> bytes:
    """An array of objects: money as decimal strings, counts as numbers, what is not there as null."""
    return (json.dumps(plain(section), indent=2, ensure_ascii=False) + "\n").encode()


def plain(section: Section) -> list[dict[str, Any]]:
    """The rows of a list as plain data: money as decimal strings, counts as numbers, what is not there as null."""
    return [
        {
            column.key: cell if cell is None or column.kind is Kind.COUNT else rendering.said(cell, column.kind)
            for column, cell in _cells(section, row)
        }
        for row in section.rows
    ]


def as_workbook(section: Section) -> bytes:
    """One sheet: totals that follow the filter on top, headings that stay, real numbers and times."""
    return rendering.workbook([section])
