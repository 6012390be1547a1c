"""``break list|show|assign|note``: differences that somebody must look at, with a reason, an owner and an age."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from revenue_engine.cli import days, signing
from revenue_engine.cli.output import Format, FormatOption, JsonFlag, OutFile, answering, chosen, give, out, print_json

app = typer.Typer(help="Differences to look at.", no_args_is_help=True)

_Named = Annotated[str, typer.Argument(help="The break: its number from 'break list', or its id.")]


@app.callback()
def _nouns() -> None:
    """Differences to look at."""


@app.command("list")
def listing(
    reason: Annotated[list[str] | None, typer.Option(help="Only this reason; may be given again.")] = None,
    owner: Annotated[str | None, typer.Option(help="Only what finance, ict or a person must look at.")] = None,
    day: Annotated[str | None, typer.Option(help=f"Only what happened on a day: {days.DAY_HELP}.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=20_000, help="At most this many, the oldest first.")] = 1_000,
    form: FormatOption = None,
    out_file: OutFile = None,
    as_json: JsonFlag = False,
) -> None:
    """List open breaks, the oldest first, with the money in doubt and who must look."""
    from reconciliation import breaks
    from revenue_engine import bootstrap
    from revenue_engine.access import scope
    from revenue_engine.db import transaction
    from revenue_engine.reports import breaks as lists

    with answering(as_json=as_json), signing.maybe_signed_in():
        written_as = chosen(form, out_file, as_json=as_json)
        reasons = [breaks.reason_named(text) for text in reason or ()]
        on = days.day(day, field="day")
        with transaction(bootstrap.engine("report")) as session:
            found = lists.section(
                session, reasons=reasons, owner=owner, day=on, limit=limit, scope=scope.of_command(session)
            )
        give(lists.on_screen(found) if written_as is Format.TABLE else found, written_as, out_file)


@app.command("show")
def show(name: _Named, as_json: JsonFlag = False) -> None:
    """Show a break: what is wrong, where its money is, and what was said of it."""
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction
    from revenue_engine.reports import breaks as lists

    with answering(as_json=as_json):
        with transaction(bootstrap.engine("api")) as session:
            found = lists.describe(session, name)
        if as_json:
            print_json(found)
            return
        _say(found)


def _say(found: dict[str, Any]) -> None:
    for name, value in found.items():
        if isinstance(value, list):
            if value:
                out.print(f"{name.replace('_', ' ')}:", highlight=False)
            for one in value:
                out.print(f"  {one}", highlight=False, markup=False, soft_wrap=True)
        elif value not in (None, ""):
            out.print(f"{name.replace('_', ' '):14} {value}", highlight=False, markup=False, soft_wrap=True)


@app.command("assign")
def assign(
    name: _Named,
    owner: Annotated[str, typer.Option("--to", help="Who looks from now on: finance, ict, or a person.")],
    as_json: JsonFlag = False,
) -> None:
    """Give an open break to somebody."""
    from reconciliation import breaks
    from revenue_engine import bootstrap
    from revenue_engine.access import sessions
    from revenue_engine.db import transaction

    with answering(as_json=as_json), signing.signed_in():
        with transaction(bootstrap.engine("api")) as session:
            sessions.must(session, "break.assign")
            found = breaks.named(session, name)
            breaks.assign(session, found.public_id, owner=owner, by=sessions.whoami(session).login)
        if as_json:
            print_json({"ok": True, "number": found.number, "id": found.public_id, "owner": owner})
        else:
            out.print(f"break {found.number} is now for {owner}", highlight=False)


@app.command("note")
def note(
    name: _Named,
    words: Annotated[str, typer.Argument(help="What is to be kept with the break; no names, phones or id numbers.")],
    as_json: JsonFlag = False,
) -> None:
    """Say something of a break; the words stay with it and are never changed."""
    from reconciliation import breaks
    from revenue_engine import bootstrap
    from revenue_engine.access import sessions
    from revenue_engine.db import transaction

    with answering(as_json=as_json), signing.signed_in():
        with transaction(bootstrap.engine("api")) as session:
            sessions.must(session, "break.assign")
            found = breaks.named(session, name)
            breaks.note(session, found.public_id, words=words, by=sessions.whoami(session).login)
        if as_json:
            print_json({"ok": True, "number": found.number, "id": found.public_id})
        else:
            out.print(f"noted with break {found.number}", highlight=False)
