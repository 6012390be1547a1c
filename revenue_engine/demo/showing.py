"""What the demo prints: the truth beside the books, the last day's report, and what to try next."""

from __future__ import annotations

import json
import random

from rich.console import Console
from rich.table import Table

from adapters.sandbox import mpesa_bodies as bodies
from revenue_engine import periods
from revenue_engine.demo.result import DemoResult
from revenue_engine.money import wire


def show(console: Console, result: DemoResult) -> None:
    """The comparison as a table, and the verdict in one line."""
    table = Table("", "", "truth", "books", "", box=None, pad_edge=False)
    table.columns[2].justify = table.columns[3].justify = "right"
    for line in result.comparison.lines:
        mark = "[green]✓[/]" if line.agrees else "[red]✗[/]"
        table.add_row(mark, line.what, line.truth, line.books, line.where)
    console.print(table, highlight=False)
    console.print(
        f"\n{result.payments:,} payments, {result.callbacks:,} callbacks, {result.comparison.receipts:,} receipts:"
        f" posted and compared in {result.seconds:.1f} s",
        highlight=False,
    )
    if result.ok:
        console.print("[bold green]Every shilling has a home.[/] Nothing lost, nothing twice.")
    else:
        console.print("[bold red]The books do not agree with the truth.[/]")


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
    console.print("\nCtrl-C ends the demo.", highlight=False)
