"""``report NAME``: the county's reports, each as a table, CSV, JSON or a workbook."""

from __future__ import annotations

import sys
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from revenue_engine import periods
from revenue_engine.cli.output import ATTENTION, answering, err
from revenue_engine.errors import InvalidValue

app = typer.Typer(help="Reports.", no_args_is_help=True)


class Format(StrEnum):
    """How a report is written."""

    TABLE = "table"
    CSV = "csv"
    XLSX = "xlsx"
    JSON = "json"


@app.callback()
def _nouns() -> None:
    """Reports."""


def _day(text: str | None) -> date:
    if text in {None, "today"}:
        return periods.today()
    if text == "yesterday":
        return date.fromordinal(periods.today().toordinal() - 1)
    try:
        return datetime.strptime(str(text), "%Y-%m-%d").date()  # noqa: DTZ007 - a calendar day has no zone
    except ValueError:
        raise InvalidValue(f"{text!r} is not a day: write 2026-11-20, today or yesterday", date=text) from None


@app.command("daily")
def daily(
    on: Annotated[str | None, typer.Option("--date", help="Book date: 2026-11-20, today or yesterday.")] = None,
    form: Annotated[Format, typer.Option("--format", help="How to write it.")] = Format.TABLE,
    out_file: Annotated[Path | None, typer.Option("--out", help="File to write; standard output otherwise.")] = None,
) -> None:
    """The day's collection: what was billed, received, applied, held and taken back, and whether it ties."""
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction
    from revenue_engine.reports import daily as reporting
    from revenue_engine.reports import render as rendering

    with answering(as_json=form is Format.JSON):
        day = _day(on)
        with transaction(bootstrap.engine("report")) as session:
            report = reporting.daily(session, day)
        written = rendering.render(report, form.value)
        if out_file is not None:
            out_file.write_bytes(written)
            err.print(f"wrote {out_file} ({len(written):,} bytes)", highlight=False)
        elif form is Format.XLSX and sys.stdout.isatty():
            raise InvalidValue("a workbook does not go to a terminal: say --out FILE.xlsx", format=form.value)
        else:
            sys.stdout.buffer.write(written)
            sys.stdout.flush()
    if not report.ties:
        raise typer.Exit(ATTENTION)
