"""``treasury remit|receipt``: money on its way to the County Revenue Fund."""

from __future__ import annotations

from typing import Annotated

import typer

from revenue_engine.cli import days, signing
from revenue_engine.cli.output import JsonFlag, answering, out, print_json

app = typer.Typer(help="Money on its way to the County Revenue Fund.", no_args_is_help=True)


@app.callback()
def _nouns() -> None:
    """Money on its way to the County Revenue Fund."""


@app.command("remit")
def remit(
    number: Annotated[str, typer.Argument(help="The bank's number of the instruction, or the cheque's.")],
    amount: Annotated[str, typer.Argument(help="Shillings, such as 125000.00.")],
    account: Annotated[str, typer.Option("--from", help="The collection account: 1100.kcb-1234567890.")],
    fund: Annotated[str, typer.Option("--to", help="The account of the Fund: 1100.cbk-1000000001.")],
    reason: Annotated[str, typer.Option(help="Why; the other person reads this.")],
    paid_until: Annotated[
        str | None, typer.Option(help=f"Payments made up to this day: {days.DAY_HELP}; today if left out.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Ask that money of a collection account be sent to the Fund; it covers the oldest payments first. Another person
    agrees to the list of payments, and the transfer is entered on that day."""
    from revenue_engine import bootstrap, periods
    from revenue_engine.db import transaction
    from revenue_engine.money import parse_wire
    from revenue_engine.treasury import remittances

    with answering(as_json=as_json), signing.signed_in():
        minor = parse_wire(amount)
        last = days.day(paid_until, field="paid_until") or periods.today()
        with transaction(bootstrap.engine("api")) as session:
            public = remittances.ask(
                session, account=account, fund=fund, number=number, amount_minor=minor, paid_until=last, reason=reason
            )
        if as_json:
            print_json({"ok": True, "requests": [public]})
        else:
            out.print(f"asked as {public}; another person: revenue-engine approval agree {public}", highlight=False)


@app.command("receipt")
def receipt(
    number: Annotated[str, typer.Argument(help="The transfer's number.")],
    receipt_number: Annotated[str, typer.Argument(metavar="MR", help="The number of the Treasury's receipt.")],
    amount: Annotated[str, typer.Argument(help="Shillings on the receipt; they are those of the transfer.")],
    day: Annotated[str, typer.Option("--date", help=f"The day of the receipt: {days.DAY_HELP}.")],
    as_json: JsonFlag = False,
) -> None:
    """Keep the Treasury's receipt of a transfer, by whoever is signed in."""
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction
    from revenue_engine.errors import InvalidValue
    from revenue_engine.money import parse_wire
    from revenue_engine.treasury import remittances

    with answering(as_json=as_json), signing.signed_in():
        on = days.day(day, field="date")
        if on is None:
            raise InvalidValue("say the day of the receipt", field="date")
        minor = parse_wire(amount)
        with transaction(bootstrap.engine("api")) as session:
            remittances.receipt(session, number, receipt_number=receipt_number, day=on, amount_minor=minor)
        if as_json:
            print_json({"ok": True, "transfer": number.strip().upper(), "receipt": receipt_number.strip().upper()})
        else:
            out.print(f"kept: the Treasury receipted {number.strip().upper()} as {receipt_number.strip().upper()}")
