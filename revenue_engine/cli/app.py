"""The command tree. Heavy libraries are imported inside the commands that use them, so that help is instant."""

from __future__ import annotations

import typer

from revenue_engine import __version__
from revenue_engine.cli import (
    adapters,
    approvals,
    bench,
    callbacks,
    channels,
    invoices,
    ledgers,
    matching,
    persons,
    reconciling,
    reports,
    running,
    statement_import,
    statement_table,
    statements,
)

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
app.add_typer(adapters.app, name="adapter")
app.add_typer(approvals.app, name="approval")
app.add_typer(callbacks.app, name="callback")
app.add_typer(channels.app, name="channel")
statement_import.register(statements.app)
statements.app.add_typer(statement_table.app, name="table")
app.add_typer(statements.app, name="statement")
app.add_typer(ledgers.app, name="ledger")
app.add_typer(reconciling.app, name="reconcile")
app.add_typer(reports.app, name="report")
app.add_typer(bench.app, name="bench")


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def main() -> None:
    """Run the command line."""
    app()
