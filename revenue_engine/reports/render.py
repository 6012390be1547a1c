"""How reports are written: a table for people, CSV, JSON, and the workbook that finance officers live in."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Literal

from revenue_engine import periods
from revenue_engine.errors import InvalidValue
from revenue_engine.money import grouped, wire
from revenue_engine.reports.model import Cell, Column, Control, Kind, Report, Section

Format = Literal["table", "csv", "json", "xlsx"]
TABLE_WIDTH = 200


def render(report: Report, form: str) -> bytes:
    """A report as bytes in one of the formats table, csv, json, xlsx. Raises InvalidValue for another."""
    renderers = {"table": as_table, "csv": as_csv, "json": as_json, "xlsx": as_workbook}
    if form not in renderers:
        raise InvalidValue(f"a report is written as one of {', '.join(renderers)}", format=form)
    return renderers[form](report)


def _header(report: Report) -> list[tuple[str, str]]:
    untied = "" if report.ties else "NOT FINAL: a control does not tie"
    state = "; ".join(filter(None, [untied, report.provisional])) or "final"
    rows = [
        ("county", report.county),
        ("books", "TEST BOOKS, not for real" if report.mode == "test" else report.mode),
        ("book date", report.on.isoformat()),
        ("generated", report.generated_at.astimezone(periods.NAIROBI).isoformat(timespec="seconds")),
        ("known at", f"all that was recorded up to then (transaction {report.known_at})"),
        ("state", state),
    ]
    return rows + [("note", note) for note in report.notes]


def said(cell: Cell, kind: Kind) -> str:
    """A cell as programs read it: money as a decimal string, an instant with its zone."""
    if cell is None:
        return ""
    if kind is Kind.MONEY and isinstance(cell, int):
        return wire(cell)
    if isinstance(cell, datetime):
        return cell.astimezone(periods.NAIROBI).isoformat(timespec="seconds")
    return str(cell)


def _mark(control: Control) -> str:
    return "✗" if control.difference_minor else "✓"


def as_table(report: Report) -> bytes:
    """Tables in plain text, money with thousands separators, totals in the last row."""
    from rich.console import Console
    from rich.table import Table

    text = io.StringIO()
    console = Console(file=text, width=TABLE_WIDTH, no_color=True, highlight=False)
    console.print(f"{report.title}", style="bold")
    for name, value in _header(report):
        console.print(f"  {name:10} {value}")
    console.print()
    proof = Table(title="Controls", title_justify="left", box=None)
    for heading in ("", "control", "this", "KES", "equals this", "KES ", "difference"):
        proof.add_column(heading, justify="right" if heading.startswith(("KES", "diff")) else "left")
    for control in report.controls:
        proof.add_row(
            _mark(control),
            control.name,
            control.left,
            grouped(control.left_minor),
            control.right,
            grouped(control.right_minor),
            grouped(control.difference_minor),
        )
    console.print(proof)
    for section in report.sections:
        console.print()
        if not section.rows:
            console.print(f"{section.title}: none")
            continue
        table = Table(title=section.title, title_justify="left", box=None, caption=section.note or None)
        for column in section.columns:
            table.add_column(column.heading, justify="left" if column.kind is Kind.TEXT else "right", no_wrap=True)
        for row in section.rows:
            table.add_row(*(shown(cell, column) for cell, column in zip(row, section.columns, strict=True)))
        totals = section.totals()
        if len(section.rows) > 1 and any(total is not None for total in totals):
            table.add_row(
                *(
                    ("total" if index == 0 else "") if total is None else shown(total, column)
                    for index, (total, column) in enumerate(zip(totals, section.columns, strict=True))
                ),
                style="bold",
            )
        console.print(table)
    return text.getvalue().encode()


def shown(cell: Cell, column: Column) -> str:
    """A cell as people read it: money with thousands separators, an instant of Nairobi."""
    if isinstance(cell, int) and column.kind is Kind.MONEY:
        return grouped(cell)
    if isinstance(cell, int):
        return f"{cell:,}"
    if isinstance(cell, datetime):
        return cell.astimezone(periods.NAIROBI).strftime("%d %b %Y %H:%M")
    return "" if cell is None else str(cell)


def inert(text: str) -> str:
    """Text that a spreadsheet will not run: a leading formula sign is quoted away."""
    return "'" + text if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text


def as_csv(report: Report) -> bytes:
    """One line a row, its section in the first column; UTF-8 with a mark, so that Excel reads it right."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n", quoting=csv.QUOTE_ALL)
    for name, value in _header(report):
        writer.writerow(["header", name, inert(value)])
    writer.writerow(["controls", "control", "left", "left_amount", "right", "right_amount", "difference", "ties"])
    for control in report.controls:
        writer.writerow(
            [
                "controls",
                control.name,
                control.left,
                wire(control.left_minor),
                control.right,
                wire(control.right_minor),
                wire(control.difference_minor),
                "no" if control.difference_minor else "yes",
            ]
        )
    for section in report.sections:
        writer.writerow([section.key, *(column.key for column in section.columns)])
        for row in section.rows:
            cells = []
            for cell, column in zip(row, section.columns, strict=True):
                words = said(cell, column.kind)
                cells.append(inert(words) if column.kind is Kind.TEXT else words)
            writer.writerow([section.key, *cells])
    return ("\ufeff" + text.getvalue()).encode()


def as_json(report: Report) -> bytes:
    """The report as JSON: money as decimal strings, counts as numbers, instants with their zone."""

    def row(section: Section, cells: tuple[Cell, ...]) -> dict[str, Any]:
        return {
            column.key: cell if column.kind is Kind.COUNT else said(cell, column.kind)
            for cell, column in zip(cells, section.columns, strict=True)
        }

    answer = {
        "report": report.name,
        "county": report.county,
        "mode": report.mode,
        "book_date": report.on.isoformat(),
        "generated_at": report.generated_at.astimezone(periods.NAIROBI).isoformat(),
        "known_at_horizon": report.known_at,
        "final": report.final,
        "provisional": report.provisional,
        "ties": report.ties,
        "controls": {
            control.name: {
                control.left: wire(control.left_minor),
                control.right: wire(control.right_minor),
                "difference": wire(control.difference_minor),
            }
            for control in report.controls
        },
        "sections": {section.key: [row(section, cells) for cells in section.rows] for section in report.sections},
    }
    return (json.dumps(answer, indent=2, ensure_ascii=False) + "\n").encode()


def as_workbook(report: Report) -> bytes:
    """A workbook whose first sheet, Control, proves the rest: real numbers and dates, codes as text, totals on top."""
    footing = f"{report.county}, {report.on:%d %b %Y}" + (" - TEST BOOKS" if report.mode == "test" else "")
    return workbook(report.sections, footing=footing, control=report)


def workbook(sections: Sequence[Section], *, footing: str = "", control: Report | None = None) -> bytes:
    """One sheet a section, after the control sheet of a report. Printed on A4 across, one page wide, headings repeated.

    Excel keeps numbers as binary doubles; cents below ninety trillion shillings survive that exactly once rounded.
    """
    import xlsxwriter

    file = io.BytesIO()
    book = xlsxwriter.Workbook(
        file, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    )
    styles = {
        "bold": book.add_format({"bold": True}),
        Kind.MONEY: book.add_format({"num_format": "#,##0.00;[Red]-#,##0.00"}),
        Kind.COUNT: book.add_format({"num_format": "#,##0"}),
        Kind.INSTANT: book.add_format({"num_format": "dd mmm yyyy hh:mm"}),
        Kind.TEXT: book.add_format({"num_format": "@"}),
        "top": book.add_format({"bold": True, "bottom": 1}),
        "top right": book.add_format({"bold": True, "bottom": 1, "align": "right"}),
        "total": book.add_format({"bold": True, "num_format": "#,##0.00;[Red]-#,##0.00"}),
        "total count": book.add_format({"bold": True, "num_format": "#,##0"}),
        "date": book.add_format({"num_format": "dd mmm yyyy", "align": "left"}),
    }
    if control is not None:
        _paper(_control_sheet(book, control, styles), footing)
    for section in sections:
        _paper(_section_sheet(book, section, styles), footing)
    book.close()
    return file.getvalue()


def _paper(sheet: Any, footing: str) -> None:
    """Set a sheet up for paper: A4 across, one page wide, and which page of how many."""
    sheet.set_paper(9)
    sheet.set_landscape()
    sheet.fit_to_pages(1, 0)
    sheet.set_footer(f"&L{footing.replace('&', '&&')}&C&A&Rpage &P of &N")


def _control_sheet(book: Any, report: Report, styles: dict[Any, Any]) -> Any:
    sheet = book.add_worksheet("Control")
    sheet.set_column(0, 0, 14)
    sheet.set_column(1, 1, 46)
    sheet.set_column(2, 2, 18)
    sheet.set_column(3, 3, 30)
    sheet.set_column(4, 5, 18)
    sheet.write_string(0, 0, report.title, styles["bold"])
    line = 1
    for name, value in _header(report):
        sheet.write_string(line, 0, name)
        sheet.write_string(line, 1, value)
        line += 1
    line += 1
    for column, heading in enumerate(("Control", "This", "KES", "Equals this", "KES", "Difference", "Ties")):
        sheet.write_string(line, column, heading, styles["top"])
    for control in report.controls:
        line += 1
        sheet.write_string(line, 0, control.name)
        sheet.write_string(line, 1, control.left)
        sheet.write_number(line, 2, _shillings(control.left_minor), styles[Kind.MONEY])
        sheet.write_string(line, 3, control.right)
        sheet.write_number(line, 4, _shillings(control.right_minor), styles[Kind.MONEY])
        formula = f"=C{line + 1}-E{line + 1}"
        sheet.write_formula(line, 5, formula, styles[Kind.MONEY], _shillings(control.difference_minor))
        sheet.write_string(line, 6, _mark(control))
    return sheet


def _shillings(minor: int) -> Decimal:
    """The file format holds doubles: sixteen digits of an exact decimal keep every cent."""
    return Decimal(minor).scaleb(-2)


def _section_sheet(book: Any, section: Section, styles: dict[Any, Any]) -> Any:
    sheet = book.add_worksheet(section.sheet or section.title[:31].replace("/", " "))
    sheet.freeze_panes(2, 1)
    sheet.repeat_rows(1)
    last = max(2, len(section.rows) + 1)
    for index, (column, total) in enumerate(zip(section.columns, section.totals(), strict=True)):
        sheet.set_column(index, index, _width(section, index))
        sheet.write_string(1, index, column.heading, styles["top" if column.kind is Kind.TEXT else "top right"])
        if total is None:
            words = ("Total" + (f" ({section.note})" if section.note else "")) if index == 0 else ""
            sheet.write_string(0, index, words, styles["bold"])
            continue
        letter = chr(ord("A") + index)
        value = _shillings(total) if column.kind is Kind.MONEY else total
        style = styles["total" if column.kind is Kind.MONEY else "total count"]
        sheet.write_formula(0, index, f"=SUBTOTAL(109,{letter}3:{letter}{last + 1})", style, value)
    for line, row in enumerate(section.rows, start=2):
        for index, (cell, column) in enumerate(zip(row, section.columns, strict=True)):
            style = styles[column.kind]
            if cell is None:
                sheet.write_blank(line, index, None, style)
            elif column.kind is Kind.MONEY and isinstance(cell, int):
                sheet.write_number(line, index, _shillings(cell), style)
            elif column.kind is Kind.COUNT and isinstance(cell, int):
                sheet.write_number(line, index, cell, style)
            elif isinstance(cell, datetime):
                sheet.write_datetime(line, index, cell.astimezone(periods.NAIROBI).replace(tzinfo=None), style)
            elif isinstance(cell, date):
                sheet.write_datetime(line, index, datetime.combine(cell, time()), styles["date"])
            else:
                sheet.write_string(line, index, str(cell), style)
    if section.rows:
        sheet.autofilter(1, 0, len(section.rows) + 1, len(section.columns) - 1)
    return sheet


def _width(section: Section, index: int) -> int:
    """As wide as what stands in a column, within what an eye can follow."""
    column = section.columns[index]
    longest = max((len(shown(row[index], column)) for row in section.rows), default=0)
    return min(max(longest, len(column.heading) + 3, 12) + 2, 60)
