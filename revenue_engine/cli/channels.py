"""``channel list|open|revoke|ask``: the county's channel accounts and the callback addresses given to providers."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer
from rich.table import Table

from revenue_engine.cli.callbacks import PurposeName
from revenue_engine.cli.output import JsonFlag, answering, out, print_json

app = typer.Typer(help="Ways to pay.", no_args_is_help=True)


@app.callback()
def _nouns() -> None:
    """Ways to pay."""


@app.command("list")
def listing(as_json: JsonFlag = False) -> None:
    """List channel accounts and the callback addresses that are open, by number and purpose."""
    from revenue_engine import bootstrap
    from revenue_engine.db import raw, transaction

    with answering(as_json=as_json):
        with transaction(bootstrap.engine("api")) as session:
            rows = (
                raw(session)
                .execute(
                    "SELECT a.adapter, a.identifier, a.mode, a.status, a.name,"
                    " coalesce(string_agg(e.id || ' ' || e.purpose, ', ' ORDER BY e.id)"
                    " FILTER (WHERE e.revoked_at IS NULL), '')"
                    " FROM channel_account a LEFT JOIN channel_endpoint e ON e.channel_account_id = a.id"
                    " GROUP BY a.id ORDER BY a.id"
                )
                .fetchall()
            )
        names = ("adapter", "identifier", "mode", "status", "name", "open")
        if as_json:
            print_json([dict(zip(names, row, strict=True)) for row in rows])
            return
        table = Table(*names, box=None)
        for row in rows:
            table.add_row(*row)
        out.print(table)


@app.command("open")
def open_address(
    identifier: Annotated[str, typer.Argument(help="The shortcode, till or account.")],
    purpose: Annotated[PurposeName, typer.Option(help="What the provider will post there.")],
    adapter: Annotated[str, typer.Option(help="The provider.")] = "mpesa",
    mode: Annotated[str | None, typer.Option(help="test or live; needed when both are registered.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Open a callback address and print it. It is shown this once: only its hash is kept."""
    from revenue_engine import bootstrap, inbox
    from revenue_engine.db import transaction
    from revenue_engine.errors import NotFound

    with answering(as_json=as_json):
        settings = bootstrap.settings()
        with transaction(bootstrap.engine("api")) as session:
            found = [
                account
                for one in ("live", "test")
                if mode in {None, one}
                and (account := inbox.find_channel_account(session, adapter=adapter, identifier=identifier, mode=one))
            ]
            if len(found) != 1:
                how = "say --mode test or --mode live" if found else "see 'revenue-engine channel list'"
                raise NotFound(f"{len(found)} {adapter} accounts are called {identifier!r}: {how}")
            (account,) = found
            by = f"cli:{getpass.getuser()}"
            token = inbox.add_endpoint(session, channel_account_id=account.id, purpose=purpose.value, by=by)
        path = f"/cb/v1/{token}"
        address = f"http://{settings.intake_host}:{settings.intake_port}{path}"
        if as_json:
            print_json({"identifier": identifier, "purpose": purpose.value, "path": path, "local_address": address})
        else:
            out.print(f"{purpose.value} of {identifier}:", highlight=False)
            out.print(f"  {address}", highlight=False, soft_wrap=True)
            out.print("Give the provider this path on your public HTTPS host. It will not be shown again.")


@app.command("revoke")
def revoke(
    endpoint: Annotated[int, typer.Argument(help="The address's number, from 'channel list'.")],
    as_json: JsonFlag = False,
) -> None:
    """Close a callback address. The intake stops listening on it within five seconds."""
    from revenue_engine import bootstrap, inbox
    from revenue_engine.db import transaction

    with answering(as_json=as_json):
        with transaction(bootstrap.engine("api")) as session:
            inbox.revoke_endpoint(session, endpoint_id=endpoint, by=f"cli:{getpass.getuser()}")
        if as_json:
            print_json({"ok": True})
        else:
            out.print("closed", highlight=False)


@app.command("ask")
def ask(
    identifier: Annotated[str, typer.Argument(help="The shortcode, till or account.")],
    adapter: Annotated[str | None, typer.Option(help="The provider, where accounts of two have one number.")] = None,
    mode: Annotated[str | None, typer.Option(help="test or live; needed when both are registered.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Ask the provider now for every payment it has of the last hours, and for pushes without an end."""
    from revenue_engine import asking, bootstrap
    from revenue_engine.cli.statement_import import named
    from revenue_engine.db import transaction

    with answering(as_json=as_json):
        with transaction(bootstrap.engine("api")) as session:
            account = named(session, identifier, adapter=adapter, mode=mode)
            channel_id = account.id
            asking.ask_now(session, channel_id)
        done = asking.Asker(bootstrap.engine("worker"), bootstrap.outbound_clients()).once()
        with transaction(bootstrap.engine("api")) as session:
            last = asking.last_asked(session, channel_id)
        if as_json:
            print_json({"asked": done, "last": last})
        elif last is None:
            out.print(f"{identifier} cannot be asked: its settings say nothing about asking", highlight=False)
        else:
            out.print(f"{last['what']} at {last['at']}: {last['outcome']}", highlight=False)
