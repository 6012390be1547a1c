"""``report NAME``: the county's reports, each as a table, CSV, JSON or a workbook."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import typer

from revenue_engine import periods
from revenue_engine.cli import days
from revenue_engine.cli.output import ATTENTION, Format, FormatOption, OutFile, answering, chosen, write
from revenue_engine.errors import InvalidValue

app = typer.Typer(help="Reports.", no_args_is_help=True)


@app.callback()
def _nouns() -> None:
    """Reports."""


def _day(text: str | None) -> date:
    """The book date of a report. Raises InvalidValue for what is no day, or a day to come."""
    day = days.day(text, field="date") or periods.today()
    if day > periods.today():
        raise InvalidValue(f"{day} has not come yet: a report is of today or an earlier day", date=str(day))
    return day


@app.command("daily")
def daily(
    on: Annotated[str | None, typer.Option("--date", help="Book date: 2026-11-20, today or yesterday.")] = None,
    form: FormatOption = None,
    out_file: OutFile = None,
) -> None:
    """The day's collection: what was billed, received, applied, held and taken back, and whether it ties."""
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction
    from revenue_engine.reports import daily as reporting
    from revenue_engine.reports import render as rendering

    with answering(as_json=form is Format.JSON):
        written_as = chosen(form, out_file)
        day = _day(on)
        with transaction(bootstrap.engine("report")) as session:
            report = reporting.daily(session, day)
        write(rendering.render(report, written_as.value), out_file)
    if not report.ties:
        raise typer.Exit(ATTENTION)


@app.command("remittances")
def remittances(
    on: Annotated[str | None, typer.Option("--date", help="2026-11-20, today or yesterday.")] = None,
    form: FormatOption = None,
    out_file: OutFile = None,
) -> None:
    """Transfers to the County Revenue Fund: what each covers, what both banks show, receipts, and what is late."""
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction
    from revenue_engine.reports import remittances as reporting
    from revenue_engine.reports import render as rendering

    with answering(as_json=form is Format.JSON):
        written_as = chosen(form, out_file)
        day = _day(on)
        with transaction(bootstrap.engine("report")) as session:
            report = reporting.remittances(session, day)
        write(rendering.render(report, written_as.value), out_file)
    if not report.ties:
        raise typer.Exit(ATTENTION)


@app.command("fo30")
def fo30(
    account: Annotated[str, typer.Argument(help="The bank account: 1100.kcb-1234567890.")],
    on: Annotated[str | None, typer.Option("--date", help="2026-11-20, today or yesterday.")] = None,
    form: FormatOption = None,
    out_file: OutFile = None,
) -> None:
    """F.O. 30, the bank reconciliation of one account: what only the bank or only the cash book has, item by item."""
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction
    from revenue_engine.reports import fo30 as reporting
    from revenue_engine.reports import render as rendering

    with answering(as_json=form is Format.JSON):
        written_as = chosen(form, out_file)
        day = _day(on)
        with transaction(bootstrap.engine("report")) as session:
            report = reporting.fo30(session, account, day)
        write(rendering.render(report, written_as.value), out_file)
    if not report.ties:
        raise typer.Exit(ATTENTION)
