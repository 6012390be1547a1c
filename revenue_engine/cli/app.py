"""The command tree. Heavy libraries are imported inside the commands that use them, so that help is instant."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from revenue_engine import __version__
from revenue_engine.cli import (
    adapters,
    approvals,
    bench,
    breaks,
    callbacks,
    channels,
    closing,
    county,
    fetching,
    ict,
    invoices,
    ledgers,
    literacy,
    matching,
    partners,
    payments,
    persons,
    reconciling,
    reports,
    running,
    setup,
    statement_import,
    statement_table,
    statements,
    treasury,
)
from revenue_engine.cli import (
    books as secondary_ledgers,
)
from revenue_engine.cli.output import answering, refuse
from revenue_engine.errors import InvalidValue

app = typer.Typer(
    name="revenue-engine",
    help="Cashless revenue collection and reconciliation for a county government.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
running.register(app)
matching.register(app)
persons.register(app)
app.add_typer(invoices.app, name="invoice")
app.add_typer(payments.app, name="payment")
app.add_typer(breaks.app, name="break")
app.add_typer(setup.tariff_app, name="tariff")
app.add_typer(setup.station_app, name="station")
app.add_typer(adapters.app, name="adapter")
app.add_typer(approvals.app, name="approval")
app.add_typer(callbacks.app, name="callback")
app.add_typer(channels.app, name="channel")
app.add_typer(county.app, name="county")
app.add_typer(county.bank_app, name="bank")
statement_import.register(statements.app)
fetching.register(statements.app)
statements.app.add_typer(statement_table.app, name="table")
app.add_typer(statements.app, name="statement")
app.add_typer(fetching.app, name="drop")
app.add_typer(ledgers.app, name="ledger")
app.add_typer(secondary_ledgers.app, name="book")
app.add_typer(ict.app, name="ict")
app.add_typer(partners.app, name="partner")
app.add_typer(literacy.app, name="literacy")
app.add_typer(reconciling.app, name="reconcile")
app.add_typer(closing.app, name="close")
reconciling.app.add_typer(closing.app, name="close")
app.add_typer(treasury.app, name="treasury")
app.add_typer(reports.app, name="report")
app.add_typer(bench.app, name="bench")


OWN_BOOKS_ONLY = ("init", "demo", "serve", "intake", "doctor", "stop", "bench")
"""Commands that make or run the county's own books, and have nothing to do in the demo's."""


def _tell_version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def books(
    context: typer.Context,
    *,
    _version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_tell_version, help="Print the version."),
    ] = False,
    demo: Annotated[bool, typer.Option("--demo", help="Use the books that 'demo' made, in place of your own.")] = False,
) -> None:
    """Cashless revenue collection and reconciliation for a county government."""
    if not demo:
        return
    from revenue_engine import bootstrap
    from revenue_engine.demo import database

    if context.invoked_subcommand in OWN_BOOKS_ONLY:
        refuse(
            InvalidValue(
                f"'{context.invoked_subcommand}' does not work on the demo's books: 'revenue-engine demo' makes and"
                " serves them, and --demo lets other commands look into them",
                field="demo",
            ),
            as_json=False,
        )
    bootstrap.use_books(database.NAME)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def in_order(words: Sequence[str]) -> list[str]:
    """The words of a command line with ``--demo`` in front: it may stand anywhere before ``--``."""
    own = words[: words.index("--")] if "--" in words else words
    if "--demo" not in own:
        return list(words)
    return ["--demo", *(word for word in own if word != "--demo"), *words[len(own) :]]


def main() -> None:
    """Run the command line. What a command refuses before its own work begins is told like any other refusal."""
    words = in_order(sys.argv[1:])
    try:
        with answering(as_json="--json" in words):
            app(words)
    except typer.Exit as ended:
        sys.exit(ended.exit_code)
