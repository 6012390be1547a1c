"""``statement import|list``: bring a statement file into the books, and see which days are covered."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from revenue_engine.cli import signing
from revenue_engine.cli.output import ATTENTION, FAILED, JsonFlag, answering, err, out, print_json, table_of

LARGEST = 200 * 1024 * 1024
"""Bytes of one file."""


def register(app: typer.Typer) -> None:
    """Put the commands under their noun."""
    app.command("import")(bring)
    app.command("list")(listing)
    app.command("waiting")(waiting)
    app.command("agree")(agree)
    app.command("drop")(drop)


def bring(
    file: Annotated[Path, typer.Argument(help="The statement as it was downloaded.", exists=True, dir_okay=False)],
    account: Annotated[str, typer.Option(help="The shortcode, till or account it is of.")],
    adapter: Annotated[str | None, typer.Option(help="The provider, where accounts of two have one number.")] = None,
    mode: Annotated[str | None, typer.Option(help="test or live; needed when both are registered.")] = None,
    accept_gap: Annotated[
        str | None, typer.Option(help="Why no statement stands between this one and the last: a reason in words.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Prove a statement and keep it as one person's word. Exit 1 when it is refused, 3 while it waits for a second
    person, who enters its closing balance ('statement agree'); then it is booked."""
    from revenue_engine import bootstrap
    from revenue_engine.channels import accounts, deliveries
    from revenue_engine.db import transaction
    from revenue_engine.errors import InvalidValue
    from revenue_engine.ports.callbacks import Purpose

    with answering(as_json=as_json), signing.signed_in():
        if file.stat().st_size > LARGEST:
            raise InvalidValue(f"the file is larger than {LARGEST // 1024 // 1024} MB: export fewer days at once")
        headers = {"filename": file.name} | ({"gap_accepted": accept_gap} if accept_gap else {})
        with transaction(bootstrap.engine("api")) as session:
            found = accounts.named(session, account, adapter=adapter, mode=mode)
            delivery = deliveries.keep(
                session,
                channel_account_id=found.id,
                purpose=Purpose.STATEMENT,
                body=file.read_bytes(),
                headers=headers,
            )
        err.print(f"kept as delivery {delivery}; reading it", style="dim", highlight=False)
        answer = _wait(delivery)
        if as_json:
            print_json(answer)
        else:
            _show(answer)
        if not answer["ok"]:
            raise typer.Exit(FAILED)
        if answer["differences"]:
            raise typer.Exit(ATTENTION)


def waiting(as_json: JsonFlag = False) -> None:
    """List the files that wait for a second person. What they say is not shown: look at the account itself."""
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction
    from revenue_engine.statements import by_hand

    with answering(as_json=as_json), signing.signed_in():
        with transaction(bootstrap.engine("api")) as session:
            found = by_hand.waiting(session)
        if as_json:
            print_json([one._asdict() for one in found])
            return
        table = table_of("delivery", "brought", "by", "file", "enter")
        for one in found:
            enter = "the closing balance" if one.foot == "closing" else "the sum of the credits"
            cells = (f"{one.received_at:%Y-%m-%d %H:%M}", one.brought_by or "", one.filename or "", enter)
            table.add_row(str(one.delivery_id), *cells)
        out.print(table)


def agree(
    delivery: Annotated[int, typer.Argument(help="The file's number, from 'statement waiting'.")],
    closing: Annotated[
        str, typer.Option(help="The closing balance as you see it at the bank or portal, such as 1250.00.")
    ],
    gap: Annotated[
        bool, typer.Option("--accept-gap", help="Agree too that no statement stands before it, as who brought it says.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Enter a file's closing balance from your own view of the account. The file is booked when it is the same; exit 1
    when it differs."""
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction
    from revenue_engine.errors import Conflict
    from revenue_engine.money import parse_wire
    from revenue_engine.statements import by_hand

    with answering(as_json=as_json), signing.signed_in():
        negative = closing.startswith("-")
        minor = parse_wire(closing.removeprefix("-"))
        with transaction(bootstrap.engine("api")) as session:
            verdict = by_hand.enter(session, delivery, -minor if negative else minor, gap=gap)
        if verdict == "differs":
            raise Conflict(
                "this is not what the file closes with: nothing is booked, and both are kept", field="closing"
            )
        answer = _wait(delivery)
        if as_json:
            print_json(answer)
        else:
            _show(answer)
        if not answer["ok"]:
            raise typer.Exit(FAILED)
        if answer["differences"]:
            raise typer.Exit(ATTENTION)


def drop(delivery: Annotated[int, typer.Argument(help="The file's number.")], as_json: JsonFlag = False) -> None:
    """Take back a file that you brought and nobody has agreed to. Its bytes stay."""
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction
    from revenue_engine.statements import by_hand

    with answering(as_json=as_json), signing.signed_in():
        with transaction(bootstrap.engine("api")) as session:
            by_hand.drop(session, delivery)
        if as_json:
            print_json({"ok": True, "delivery": delivery})
        else:
            out.print(f"file {delivery} is dropped", highlight=False)


def _wait(delivery: int) -> dict[str, Any]:
    """Let the file be read, here when no worker takes it first, and say what came of it."""
    import time

    from revenue_engine import bootstrap, worker
    from revenue_engine.db import transaction
    from revenue_engine.statements import imported, importing
    from revenue_engine.work import jobs
    from revenue_engine.work.kinds import Kind

    reading = worker.Worker(bootstrap.engine("worker"), bootstrap.adapters(), bootstrap.statement_readers())
    while True:
        reading.do(importing.IMPORT)
        with transaction(bootstrap.engine("api")) as session:
            standing = jobs.standing(session, kind=Kind.STATEMENT, ref_id=delivery)
            if standing is None:
                return imported.answer(session, delivery)
            if standing.state == "dead":
                return {"ok": False, "delivery": delivery, "message": standing.last_error, "differences": 0}
        time.sleep(0.2)


def _show(answer: dict[str, Any]) -> None:
    if not answer["ok"]:
        err.print(f"[bold red]Refused:[/] {answer['message']}", highlight=False)
        err.print(f"Nothing was booked; the file itself is kept as delivery {answer['delivery']}.", highlight=False)
        return
    if not answer["statements"]:
        out.print(answer["message"] or "nothing new", highlight=False)
    for one in answer["statements"]:
        out.print(
            f"{one['from']} to {one['to']}: {one['lines']:,} lines, {one['new']:,} new, {one['known']:,} known already;"
            f" credits {one['credits']}, debits {one['debits']}, closing {one['closing']}",
            highlight=False,
        )
    for other in answer["others"]:
        out.print(f"the file also holds a statement of {other}: bring the file for that account too", highlight=False)
    if answer["found"]:
        table = table_of("what it showed", "lines", "KES", "to look at")
        for one in answer["found"]:
            table.add_row(one["reason"].replace("_", " "), f"{one['count']:,}", one["amount"], f"{one['open']:,}")
        out.print(table)


def listing(
    account: Annotated[str | None, typer.Option(help="Only this account.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most this many, newest first.")] = 50,
    as_json: JsonFlag = False,
) -> None:
    """List the statements in the books, the newest days first."""
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction
    from revenue_engine.statements import imported

    with answering(as_json=as_json):
        with transaction(bootstrap.engine("api")) as session:
            shown = imported.listed(session, account=account, limit=limit)
        if as_json:
            print_json(shown)
            return
        table = table_of(*imported.COLUMNS)
        for column in table.columns:
            column.no_wrap = True
        for column in table.columns[1:3]:
            column.min_width = 10
        for row in shown:
            table.add_row(*("" if cell is None else str(cell) for cell in row.values()))
        out.print(table)
