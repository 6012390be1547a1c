"""``tariff list`` and ``station list``: what may be charged, and where."""

from __future__ import annotations

from typing import Annotated

import typer

from revenue_engine import periods
from revenue_engine.cli import days
from revenue_engine.cli.output import FormatOption, JsonFlag, OutFile, answering, chosen, give

tariff_app = typer.Typer(help="What is charged, and by which law.", no_args_is_help=True)
station_app = typer.Typer(help="Where streams are collected.", no_args_is_help=True)

_Stream = Annotated[str | None, typer.Option(help="Only this stream, such as SBP.")]


@tariff_app.callback()
def _tariffs() -> None:
    """What is charged, and by which law."""


@station_app.callback()
def _stations() -> None:
    """Where streams are collected."""


@tariff_app.command("list")
def tariffs(
    stream: _Stream = None,
    on: Annotated[str | None, typer.Option("--on", help=f"In force on a day: {days.DAY_HELP}.")] = None,
    form: FormatOption = None,
    out_file: OutFile = None,
    as_json: JsonFlag = False,
) -> None:
    """List tariff lines in force: the item codes that 'invoice create --item' takes."""
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction
    from revenue_engine.reports import setup

    with answering(as_json=as_json):
        written_as = chosen(form, out_file, as_json=as_json)
        day = days.day(on, field="on") or periods.today()
        with transaction(bootstrap.engine("api")) as session:
            found = setup.tariff_section(session, on=day, stream=stream)
        give(found, written_as, out_file)


@station_app.command("list")
def stations(
    stream: _Stream = None, form: FormatOption = None, out_file: OutFile = None, as_json: JsonFlag = False
) -> None:
    """List stations: the codes that payers type and 'invoice create --station' takes."""
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction
    from revenue_engine.reports import setup

    with answering(as_json=as_json):
        written_as = chosen(form, out_file, as_json=as_json)
        with transaction(bootstrap.engine("api")) as session:
            found = setup.station_section(session, stream=stream)
        give(found, written_as, out_file)
