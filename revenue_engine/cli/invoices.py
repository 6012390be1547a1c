"""``invoice create|cancel|show|list``: bills from the counter's point of view."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import typer

from revenue_engine.cli import signing
from revenue_engine.cli.output import FormatOption, JsonFlag, OutFile, answering, chosen, give, out, print_json

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
    from revenue_engine.reports import bills

    with answering(as_json=as_json), signing.signed_in():
        with transaction(bootstrap.engine("api")) as session:
            bill = counter.issue_from_items(
                session,
                items=item,
                payer_public_id=payer,
                name=name,
                phone=phone,
                station_code=station,
                due_on=due.date() if due else None,
                by=signing.login(session),
            )
            bill = bills.describe(session, bill["number"])  # credit of its payer may have paid it at once
        _show(bill, as_json=as_json)
        if not as_json and not (payer or name or phone):
            out.print("  nobody is named: only its number finds the bill. A payer: --name and --phone", highlight=False)


@app.command("show")
def show(
    number: Annotated[str, typer.Argument(help="Invoice or pay account number.")], as_json: JsonFlag = False
) -> None:
    """Show a bill, what was paid on it and taken off again, and what is left of it."""
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction
    from revenue_engine.reports import bills

    with answering(as_json=as_json):
        with transaction(bootstrap.engine("api")) as session:
            bill = bills.describe(session, number)
        _show(bill, as_json=as_json)


@app.command("list")
def listing(
    words: Annotated[str | None, typer.Argument(help="Only what a number, a plate or a phone names.")] = None,
    state: Annotated[str | None, typer.Option(help="unpaid, part-paid, overdue, paid or cancelled")] = None,
    stream: Annotated[str | None, typer.Option(help="Only this stream, such as SBP.")] = None,
    station: Annotated[str | None, typer.Option(help="Only this station.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=20_000, help="At most this many, the newest first.")] = 50,
    form: FormatOption = None,
    out_file: OutFile = None,
    as_json: JsonFlag = False,
) -> None:
    """List bills, the newest first, with what is left of each."""
    from revenue_engine import bootstrap
    from revenue_engine.access import scope
    from revenue_engine.db import transaction
    from revenue_engine.reports import bills

    with answering(as_json=as_json), signing.maybe_signed_in():
        written_as = chosen(form, out_file, as_json=as_json)
        with transaction(bootstrap.engine("api")) as session:
            found = bills.section(
                session,
                limit=limit,
                scope=scope.of_command(session),
                words=words,
                state=state,
                stream=stream,
                station=station,
            )
        give(found, written_as, out_file)


@app.command("cancel")
def cancel(
    number: Annotated[str, typer.Argument(help="Invoice number.")],
    reason: Annotated[str, typer.Option(help="Why; kept for ever.")],
    as_json: JsonFlag = False,
) -> None:
    """Ask that an unpaid bill of this financial year be cancelled; another person agrees, and then it is."""
    from revenue_engine import bootstrap
    from revenue_engine.billing import invoices
    from revenue_engine.db import transaction

    with answering(as_json=as_json), signing.signed_in():
        with transaction(bootstrap.engine("api")) as session:
            public = invoices.ask_cancel(session, number, reason=reason)
        if as_json:
            print_json({"ok": True, "request": public})
        else:
            out.print(f"asked as {public}; another person: revenue-engine approval agree {public}", highlight=False)


def _show(bill: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(bill)
        return
    out.print(f"[bold]{bill['number']}[/]  {bill['state']}", highlight=False)
    out.print(f"  pay account   [bold]{bill['pay_account_printed']}[/]", highlight=False)
    for line in bill["lines"]:
        out.print(f"  {line['description']} x {line['quantity']}: KES {line['amount']}", highlight=False)
    out.print(f"  total KES {bill['total']}, left KES {bill['outstanding']}, due {bill['due_on']}", highlight=False)
    for paid in bill.get("payments", ()):
        words = f"  {paid['occurred_at'][:16].replace('T', ' ')}  {paid['reference']}  KES {paid['applied']}"
        if paid["reversed_by"]:
            words += f"  ({paid['taken_off']} taken back by the provider: {paid['reversed_by']})"
        elif paid["taken_off"] != "0.00":
            words += f"  ({paid['taken_off']} taken off again)"
        out.print(f"{words}  {', '.join(paid['receipts'])}", highlight=False, markup=False, soft_wrap=True)
