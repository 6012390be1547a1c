"""``invoice create|cancel|show``: bills from the counter's point of view."""

from __future__ import annotations

import getpass
from datetime import datetime
from typing import Annotated, Any

import typer

from revenue_engine.cli.output import JsonFlag, answering, out, print_json

app = typer.Typer(help="Bills.", no_args_is_help=True)


@app.callback()
def _nouns() -> None:
    """Bills."""


@app.command("create")
def create(
    item: Annotated[list[str], typer.Option("--item", help="Tariff item, or item:quantity; may be repeated.")],
    payer: Annotated[str | None, typer.Option(help="Public id of a payer known already.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of a new payer.")] = None,
    phone: Annotated[str | None, typer.Option(help="Phone of a new payer, such as 0700 000 101.")] = None,
    station: Annotated[str | None, typer.Option(help="Station code.")] = None,
    due: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Due date; 30 days on by default.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Issue a bill by the tariff in force and print its pay account number."""
    from revenue_engine import bootstrap
    from revenue_engine.billing import counter
    from revenue_engine.db import transaction

    with answering(as_json=as_json):
        with transaction(bootstrap.engine("api")) as session:
            bill = counter.issue_from_items(
                session,
                items=item,
                payer_public_id=payer,
                name=name,
                phone=phone,
                station_code=station,
                due_on=due.date() if due else None,
                by=f"cli:{getpass.getuser()}",
            )
        _show(bill, as_json=as_json)


@app.command("show")
def show(
    number: Annotated[str, typer.Argument(help="Invoice or pay account number.")], as_json: JsonFlag = False
) -> None:
    """Show a bill and what is left of it."""
    from revenue_engine import bootstrap
    from revenue_engine.billing import counter
    from revenue_engine.db import transaction

    with answering(as_json=as_json):
        with transaction(bootstrap.engine("api")) as session:
            bill = counter.describe(session, number)
        _show(bill, as_json=as_json)


@app.command("cancel")
def cancel(
    number: Annotated[str, typer.Argument(help="Invoice number.")],
    reason: Annotated[str, typer.Option(help="Why; kept for ever.")],
    as_json: JsonFlag = False,
) -> None:
    """Cancel an unpaid bill of this financial year."""
    from revenue_engine import bootstrap
    from revenue_engine.billing import counter, invoices
    from revenue_engine.db import transaction

    with answering(as_json=as_json):
        with transaction(bootstrap.engine("api")) as session:
            invoices.cancel_invoice(session, number=number, reason=reason, by=f"cli:{getpass.getuser()}")
            bill = counter.describe(session, number)
        _show(bill, as_json=as_json)


def _show(bill: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(bill)
        return
    out.print(f"[bold]{bill['number']}[/]  {bill['state']}", highlight=False)
    out.print(f"  pay account   [bold]{bill['pay_account_printed']}[/]", highlight=False)
    for line in bill["lines"]:
        out.print(f"  {line['description']} x {line['quantity']}: KES {line['amount']}", highlight=False)
    out.print(f"  total KES {bill['total']}, left KES {bill['outstanding']}, due {bill['due_on']}", highlight=False)
