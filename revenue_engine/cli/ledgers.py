"""``ledger verify|balance|export``: the books from the auditor's point of view."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from revenue_engine.cli import days
from revenue_engine.cli.output import FAILED, JsonFlag, answering, check_place, err, out, print_json, table_of
from revenue_engine.money import wire

if TYPE_CHECKING:
    from revenue_engine.verification.invariants import Verification

app = typer.Typer(help="The books.", no_args_is_help=True)
Day = Annotated[str | None, typer.Option(help=f"Last book date counted: {days.DAY_HELP}.")]


@app.callback()
def _nouns() -> None:
    """The books."""


@app.command("verify")
def verify(
    witness: Annotated[
        Path | None, typer.Option(help="A witness's file from outside this server, as 'close witness' writes one.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Recompute every invariant from the rows; name each row that breaks one. Exit 1 when any does."""
    from reconciliation.days import witness as witnesses
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction
    from revenue_engine.verification import verify as checking

    with answering(as_json=as_json):
        held = witnesses.held(witness) if witness else []
        with transaction(bootstrap.engine("migrate")) as session:
            sources = checking.Sources(bootstrap.adapters(), bootstrap.statement_readers())
            found = checking.verify(session, sources=sources, held=held)
        if as_json:
            print_json(found.as_dict())
        else:
            _tell(found)
    if not found.ok:
        raise typer.Exit(FAILED)


def _tell(found: Verification) -> None:
    """The verdict and every failure first, what was checked after."""
    failed = [one for one in found.invariants if one.failed]
    if failed:
        out.print(f"[red]✗ the books do not hold[/]: {len(failed)} of {len(found.invariants)} invariants are broken")
    else:
        out.print(f"[green]✓ the books hold[/]: {len(found.invariants)} invariants, {found.rows_checked:,} rows")
    for invariant in failed:
        for failure in invariant.failures:
            out.print(f"[red]✗[/] {invariant.name}: {failure.table} {failure.key}: {failure.detail}")
        if invariant.failed > len(invariant.failures):
            out.print(f"  {invariant.name}: {invariant.failed - len(invariant.failures):,} more")
    table = table_of("", "invariant", "rows", "what it says")
    for invariant in sorted(found.invariants, key=lambda one: not one.failed):
        mark = "[red]✗[/]" if invariant.failed else "[green]✓[/]"
        table.add_row(mark, invariant.name, f"{invariant.rows_checked:,}", invariant.statement)
    out.print(table)


@app.command("balance")
def balance(on: Day = None, as_json: JsonFlag = False) -> None:
    """The trial balance."""
    from revenue_engine import bootstrap, ledger
    from revenue_engine.db import transaction

    with answering(as_json=as_json):
        until = days.day(on, field="on")
        with transaction(bootstrap.engine("report")) as session:
            lines = ledger.trial_balance(session, effective=until)
        debits, credits_ = sum(line.debit_minor for line in lines), sum(line.credit_minor for line in lines)
        if as_json:
            print_json(
                {
                    "accounts": [
                        {
                            "code": line.code,
                            "name": line.name,
                            "type": line.type.value,
                            "debit": wire(line.debit_minor),
                            "credit": wire(line.credit_minor),
                            "balance": wire(line.balance_minor),
                        }
                        for line in lines
                    ],
                    "debits": wire(debits),
                    "credits": wire(credits_),
                }
            )
            return
        table = table_of("account", "name")
        for heading in ("debit", "credit", "balance"):
            table.add_column(heading, justify="right")
        for line in lines:
            table.add_row(
                line.code, line.name, wire(line.debit_minor), wire(line.credit_minor), wire(line.balance_minor)
            )
        table.add_row("", "[bold]total[/]", wire(debits), wire(credits_), wire(debits - credits_))
        out.print(table)


@app.command("export")
def export(
    first: Annotated[str | None, typer.Option("--from", help=f"First book date: {days.DAY_HELP}.")] = None,
    last: Annotated[str | None, typer.Option("--to", help=f"Last book date: {days.DAY_HELP}.")] = None,
    out_file: Annotated[
        Path | None, typer.Option("--out", help="File to write, with a manifest and its SHA-256 beside it.")
    ] = None,
) -> None:
    """The book as plain-text accounting (hledger reads it, strictly): codes, bills, receipts, stations as tags."""
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction
    from revenue_engine.reports import journal

    with answering(as_json=False):
        begin, end = days.span(first, last)
        if out_file is not None:
            check_place(out_file)
        with transaction(bootstrap.engine("report")) as session:
            if out_file is None:
                for part in journal.text(session, journal.Exported(), first=begin, last=end):
                    sys.stdout.write(part)
                return
            manifest = journal.write(session, out_file, first=begin, last=end)
        err.print(f"wrote {out_file} and {manifest}", highlight=False, soft_wrap=True)
