"""``approval list|show|agree|refuse|withdraw``: what others asked for, looked at and answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from revenue_engine.cli import signing
from revenue_engine.cli.output import ATTENTION, JsonFlag, answering, out, print_json, table_of

if TYPE_CHECKING:
    from revenue_engine.access.approvals import Request

app = typer.Typer(help="What one person asked for and another agrees to.", no_args_is_help=True)

_Id = Annotated[str, typer.Argument(help="The request's id, or the beginning of it.")]


def as_wire(one: Request) -> dict[str, Any]:
    """A request as plain data: what it shows, whose it is, how it stands."""
    from revenue_engine.money import wire

    return {
        "request": one.public_id,
        "stands": one.stands,
        "amount": None if one.amount_minor is None else wire(one.amount_minor),
        **one.facts(),
        "asked_at": one.requested_at.isoformat(timespec="seconds"),
        "expires_at": one.expires_at.isoformat(timespec="seconds"),
        "agreed_by": one.agreed_by,
        "persons_needed": one.checkers,
        "why": one.why,
        "shown": one.shown_sha256.hex(),
    }


@app.command("list")
def listing(
    which: Annotated[
        str | None,
        typer.Option("--stands", help="waiting, agreed, refused, expired, done, void, or set: to be reviewed"),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """List requests: what waits first, the largest amount first."""
    from revenue_engine import bootstrap
    from revenue_engine.access import approvals
    from revenue_engine.db import transaction

    with answering(as_json=as_json), signing.signed_in():
        with transaction(bootstrap.engine("api")) as session:
            found = [as_wire(one) for one in approvals.listed(session, which)]
        if as_json:
            print_json(found)
            return
        table = table_of("request", "stands", "what", "of", "KES", "asked by", "ends")
        for one in found:
            cells = (one["request"], one["stands"], one["kind"], one["subject"], one["amount"] or "", one["asked_by"])
            table.add_row(*cells, one["expires_at"][:10])
        out.print(table)


@app.command("show")
def show(request: _Id, as_json: JsonFlag = False) -> None:
    """Show exactly what a request asks for, and the state that it rests on."""
    from revenue_engine import bootstrap
    from revenue_engine.access import approvals
    from revenue_engine.db import transaction

    with answering(as_json=as_json), signing.signed_in():
        with transaction(bootstrap.engine("api")) as session:
            found = as_wire(approvals.one(session, request))
        _say(found, as_json=as_json)


@app.command("agree")
def agree(
    requests: Annotated[list[str], typer.Argument(help="The requests' ids; several are agreed to as one list.")],
    shown: Annotated[
        str | None, typer.Option(help="The hash you were shown, or its beginning: nothing else is agreed to.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Agree. A judgement needs a code not older than five minutes ('login --code'). Exit 3 while more persons are
    needed, or when what was agreed to did not hold any more."""
    from revenue_engine import bootstrap
    from revenue_engine.access import approvals
    from revenue_engine.db import transaction
    from revenue_engine.errors import Conflict, InvalidValue

    with answering(as_json=as_json), signing.signed_in():
        with transaction(bootstrap.engine("api")) as session:
            found = [approvals.one(session, request) for request in requests]
            whole = approvals.list_sha256(found) if len(found) > 1 else found[0].shown_sha256
            if shown is not None and len(shown) < 8:
                raise InvalidValue("give at least eight letters of the hash", field="shown")
            if shown is not None and not whole.hex().startswith(shown.lower()):
                raise Conflict("this is not what you were shown: look at it again", field="shown")
            if len(found) > 1:
                approvals.agree_list(session, found)
            else:
                approvals.agree(session, found[0].public_id, shown_sha256=whole)
        do_now()
        with transaction(bootstrap.engine("api")) as session:
            after = [as_wire(approvals.one(session, one.public_id)) for one in found]
        if as_json:
            print_json({"ok": True, "requests": after})
        else:
            for one in after:
                why = f": {one['why']}" if one["why"] else ""
                out.print(f"{one['request']} {one['kind']} {one['subject']}: {one['stands']}{why}", highlight=False)
        if any(one["stands"] != "done" for one in after):
            raise typer.Exit(ATTENTION)


def do_now() -> None:
    """Let a worker do what is agreed to, here when none takes it first."""
    from revenue_engine import bootstrap, judgements, worker

    bootstrap.configure_logging("warning")
    worker.Worker(bootstrap.engine("worker"), bootstrap.adapters(), bootstrap.statement_readers()).do(
        judgements.APPROVED
    )


@app.command("refuse")
def refuse(
    request: _Id, reason: Annotated[str, typer.Option(help="Why; who asked reads it.")], as_json: JsonFlag = False
) -> None:
    """Refuse a request, with a reason."""
    from revenue_engine import bootstrap
    from revenue_engine.access import approvals
    from revenue_engine.db import transaction

    with answering(as_json=as_json), signing.signed_in():
        with transaction(bootstrap.engine("api")) as session:
            found = approvals.one(session, request)
            approvals.refuse(session, found.public_id, shown_sha256=found.shown_sha256, reason=reason)
        _say({"ok": True, "request": found.public_id, "stands": "refused"}, as_json=as_json)


@app.command("withdraw")
def withdraw(request: _Id, as_json: JsonFlag = False) -> None:
    """Take your own request back while nobody has agreed to it."""
    from revenue_engine import bootstrap
    from revenue_engine.access import approvals
    from revenue_engine.db import transaction

    with answering(as_json=as_json), signing.signed_in():
        with transaction(bootstrap.engine("api")) as session:
            found = approvals.one(session, request)
            approvals.withdraw(session, found.public_id)
        _say({"ok": True, "request": found.public_id, "stands": "void"}, as_json=as_json)


def _say(answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    for name, value in answer.items():
        if isinstance(value, dict):
            for part, inner in value.items():
                out.print(f"{name + '.' + part:26} {inner}", highlight=False)
        elif name != "ok" and value is not None:
            out.print(f"{name.replace('_', ' '):26} {value}", highlight=False)
