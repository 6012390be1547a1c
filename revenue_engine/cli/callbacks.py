"""``callback parse``: what a provider's body means, without a database."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from revenue_engine.channels import Purpose, Unknown, as_wire
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
