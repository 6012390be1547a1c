"""``callback parse``: what a provider's body means, without a database."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from revenue_engine.cli.output import ATTENTION, answering, out, print_json
from revenue_engine.errors import NotFound

app = typer.Typer(help="Deliveries from providers.", no_args_is_help=True)


class PurposeName(StrEnum):
    """What the endpoint that received the body was registered for."""

    VALIDATION = "validation"
    CONFIRMATION = "confirmation"
    PUSH_RESULT = "push_result"
    RESULT = "result"
    TIMEOUT = "timeout"


@app.callback()
def _nouns() -> None:
    """Deliveries from providers."""


@app.command("parse")
def parse(
    file: Annotated[Path, typer.Argument(help="The body as it was posted.", exists=True, dir_okay=False)],
    channel: Annotated[str, typer.Option("--channel", "-c", help="The provider whose body it is, such as mpesa.")],
    purpose: Annotated[PurposeName | None, typer.Option(help="What its endpoint was registered for.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Answer as JSON.")] = False,
) -> None:
    """Say what a callback body means. Exit 3 when it cannot be understood."""
    from revenue_engine import bootstrap
    from revenue_engine.channels import Purpose, Unknown, as_wire

    with answering(as_json=as_json):
        adapters = bootstrap.adapters()
        if channel not in adapters:
            raise NotFound(f"no adapter {channel!r}; installed: {', '.join(sorted(adapters))}", channel=channel)
        meaning = adapters[channel].interpret(file.read_bytes(), purpose=Purpose(purpose) if purpose else None)
        answer = as_wire(meaning)
        if as_json:
            print_json(answer)
        else:
            for name, value in answer.items():
                if value is not None:
                    out.print(f"[bold]{name.replace('_', ' '):18}[/] {value}", highlight=False)
        if isinstance(meaning, Unknown):
            raise typer.Exit(ATTENTION)


@app.command("list")
def listing(
    state: Annotated[str | None, typer.Option(help="posted, evidence, ignored, waiting, dead or pending")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most this many, newest first.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Answer as JSON.")] = False,
) -> None:
    """List deliveries and how each stands, with the reason."""
    from dataclasses import asdict

    from rich.table import Table

    from revenue_engine import bootstrap, inbox, periods
    from revenue_engine.db import transaction

    with answering(as_json=as_json):
        with transaction(bootstrap.engine("api")) as session:
            found = inbox.standing(session, state=state, limit=limit)
        if as_json:
            print_json([asdict(one) for one in found])
            return
        table = Table("delivery", "received", "account", "purpose", "proof", "state", "reason", box=None)
        for one in found:
            at = one.received_at.astimezone(periods.NAIROBI).strftime("%d %b %H:%M:%S")
            table.add_row(str(one.id), at, one.account, one.purpose, one.verdict, one.state, one.reason)
        out.print(table)


@app.command("replay")
def replay(
    delivery: Annotated[int, typer.Argument(help="The delivery's number, from 'callback list'.")],
    as_json: Annotated[bool, typer.Option("--json", help="Answer as JSON.")] = False,
) -> None:
    """Read a delivery again, by today's settings; a payment that stands is never posted twice."""
    from revenue_engine import bootstrap, jobs
    from revenue_engine.db import raw, transaction

    with answering(as_json=as_json):
        with transaction(bootstrap.engine("api")) as session:
            if raw(session).execute("SELECT 1 FROM delivery WHERE id = %s", (delivery,)).fetchone() is None:
                raise NotFound(f"no delivery {delivery}", delivery=delivery)
            jobs.replay(session, kind="interpret", ref_id=delivery)
        if as_json:
            print_json({"ok": True, "delivery": delivery})
        else:
            out.print(f"delivery {delivery} will be read again by the next worker", highlight=False)
