"""What the demo prints: the files it left, what to ask its books, and last the proof, the truth beside the books."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from adapters.sandbox import mpesa_bodies as bodies
from revenue_engine import periods
from revenue_engine.demo.result import DemoResult
from revenue_engine.money import wire

SHORT = ("delivered", "reversed", "applied", "suspense", "unapplied", "lost", "doubled")
"""The lines of the comparison that are shown whatever they say; of the others only those that do not agree."""
_WORDS = {
    "delivered": "money received",
    "reversed": "taken back by the provider",
    "applied": "on bills",
    "suspense": "in suspense: nobody can say yet whose",
    "unapplied": "kept as payers' credit",
    "lost": "lost",
    "doubled": "counted twice",
}


def show(console: Console, result: DemoResult) -> None:
    """The proof, short: the money in the truth and in the books, what does not agree, and the verdict in one line."""
    table = Table("", "", "truth", "books", "", box=None, pad_edge=False)
    table.columns[2].justify = table.columns[3].justify = "right"
    shown = [line for line in result.comparison.lines if line.what in SHORT or not line.agrees]
    for line in shown:
        mark = "[green]✓[/]" if line.agrees else "[red]✗[/]"
        table.add_row(mark, _WORDS.get(line.what, line.what), line.truth, line.books, line.where)
    console.print(table, highlight=False)
    more = len(result.comparison.lines) - len(shown)
    console.print(
        f"and {more} more comparisons, of single bills, payments, deliveries and accounts, agree", highlight=False
    )
    console.print(
        f"\n{result.payments:,} payments, {result.callbacks:,} callbacks, {result.comparison.receipts:,} receipts:"
        f" posted and compared in {result.seconds:.1f} s",
        highlight=False,
    )
    if result.ok:
        console.print("[bold green]Every shilling has a home.[/] Nothing lost, nothing twice.")
    else:
        console.print("[bold red]The books do not agree with the truth.[/]")


def files(console: Console, left: Mapping[Path, str]) -> None:
    """Where the files are that the demo left."""
    console.print("\nFiles to open:", highlight=False)
    for file, words in left.items():
        console.print(f"  {_short(file)}  {words}", highlight=False, markup=False, soft_wrap=True)


def _short(file: Path) -> str:
    """A path from here where the file is below this folder."""
    here = Path.cwd()
    return str(file.relative_to(here) if file.is_relative_to(here) else file)


def commands(console: Console, result: DemoResult) -> None:
    """What to ask the demo's books next; --demo reaches them from every command."""
    program = _short(Path(sys.executable).with_name("revenue-engine"))
    console.print("\nAsk the demo's books:", highlight=False)
    for words in (
        "break list --demo --limit 20",
        f"payment find {result.some_code} --demo",
        f"invoice show {result.open_bill.pay_account} --demo",
        f"report daily --demo --date {result.last.isoformat()} --out day.xlsx",
        "ledger verify --demo",
    ):
        console.print(f"  {program} {words}", highlight=False, markup=False, soft_wrap=True)
    console.print(highlight=False)


def curl(result: DemoResult) -> str:
    """A command that pays one open bill of the demo, as it can be pasted into a shell."""
    bill = result.open_bill
    now = periods.now()
    body = bodies.c2b_confirmation(
        receipt=bodies.receipt_code(random.Random(periods.unix_milliseconds()), now.date()),  # noqa: S311
        at=now,
        amount_minor=bill.amount_minor,
        shortcode=result.shortcode,
        account=bill.pay_account,
        msisdn="254700000101",
        names=("AKINYI", "", ""),
    )
    said = json.dumps(json.loads(body), ensure_ascii=True)
    return f"curl -sS {result.callback_url} -H 'Content-Type: application/json' -d '{said}'"


def next_steps(console: Console, result: DemoResult) -> None:
    """Where to go from here, while the processes still run."""
    bill = result.open_bill
    console.print(f"\nCallbacks are received at [bold]{result.callback_url}[/]", highlight=False, soft_wrap=True)
    console.print(
        f"Pay bill {bill.key} (pay account {bill.pay_account}, KES {wire(bill.amount_minor)}):", highlight=False
    )
    console.print(curl(result), highlight=False, markup=False, soft_wrap=True)


def desk(console: Console, result: DemoResult, address: str) -> None:
    """Where the county's desk is, and who may sign in there."""
    console.print(f"\nThe county's desk: [bold]{address}[/]  Five persons of the demo may sign in:", highlight=False)
    table = Table("login", "password", "code, good once", box=None, pad_edge=False)
    for one in result.persons:
        table.add_row(one.login, one.password, one.spare[0], style=None)
    console.print(table, highlight=False)
    console.print(
        "More codes, and the key of each authenticator: sign-ins.txt beside the files above.", highlight=False
    )
    console.print("\nCtrl-C ends the demo.", highlight=False)
