"""``county set`` and ``bank open``: what the county is held to, and where its money lies; each by two persons."""

from __future__ import annotations

from typing import Annotated

import typer

from revenue_engine.cli import signing
from revenue_engine.cli.output import JsonFlag, answering, out, print_json

app = typer.Typer(help="The county's limits.", no_args_is_help=True)
bank_app = typer.Typer(help="Bank accounts of the county.", no_args_is_help=True)
_Reason = Annotated[str, typer.Option(help="Why; who agrees reads the reason, and it is kept for ever.")]


@app.callback()
def _nouns() -> None:
    """The county's limits."""


@bank_app.callback()
def _bank_nouns() -> None:
    """Bank accounts of the county."""


@app.command("set")
def set_limits(
    reason: _Reason,
    confirm_limit: Annotated[
        str | None, typer.Option(help="Up to what amount a provider's own word is enough, such as 150000.00.")
    ] = None,
    refuse_unknown: Annotated[
        bool | None,
        typer.Option("--refuse-unknown/--take-unknown", help="Whether money for an unknown account is refused first."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Ask for other limits; another person agrees, and then they hold."""
    from revenue_engine import bootstrap
    from revenue_engine.billing import tariffs
    from revenue_engine.db import transaction
    from revenue_engine.money import parse_wire

    with answering(as_json=as_json), signing.signed_in():
        minor = None if confirm_limit is None else parse_wire(confirm_limit)
        with transaction(bootstrap.engine("api")) as session:
            public = tariffs.ask_limits(
                session, confirm_limit_minor=minor, refuse_unknown=refuse_unknown, reason=reason
            )
        _say(public, as_json=as_json)


@bank_app.command("open")
def open_account(
    bank: Annotated[str, typer.Argument(help="The bank, such as kcb.")],
    number: Annotated[str, typer.Argument(help="The account's number, as the bank writes it.")],
    name: Annotated[str, typer.Option(help="What the account is called.")],
    authority: Annotated[str, typer.Option(help="The letter, act or notice by which it was opened.")],
    reason: _Reason,
    purpose: Annotated[
        str, typer.Option(help="collection, fund, facility, concession, partner, refunds or other")
    ] = "collection",
    destination: Annotated[
        str, typer.Option(help="Whose money lies there: county, facility, concession or partner")
    ] = "county",
    channel_account: Annotated[
        str | None, typer.Option(help="Public id of the channel account whose statements are of it.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Ask that a bank account be opened; another person agrees, and then it is."""
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction
    from revenue_engine.treasury import bank_accounts

    with answering(as_json=as_json), signing.signed_in():
        with transaction(bootstrap.engine("api")) as session:
            public = bank_accounts.ask_open(
                session,
                bank=bank,
                number=number,
                name=name,
                purpose=purpose,
                authority=authority,
                reason=reason,
                destination=destination,
                channel_account=channel_account,
            )
        _say(public, as_json=as_json)


def _say(public: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"ok": True, "request": public})
    else:
        out.print(f"asked as {public}; another person: revenue-engine approval agree {public}", highlight=False)
