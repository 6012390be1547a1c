"""``statement import|list``: bring a statement file into the books, and see which days are covered."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from revenue_engine.cli.output import ATTENTION, FAILED, JsonFlag, answering, err, out, print_json

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from revenue_engine.channels.accounts import ChannelAccount

LARGEST = 200 * 1024 * 1024
"""Bytes of one file."""


def register(app: typer.Typer) -> None:
    """Put the commands under their noun."""
    app.command("import")(bring)
    app.command("list")(listing)


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
    """Prove a statement and book what it tells; a file known already brings nothing. Exit 1 when it is refused,
    3 when it shows differences somebody must look at."""
    from revenue_engine import bootstrap
    from revenue_engine.channels import deliveries
    from revenue_engine.db import transaction
    from revenue_engine.errors import InvalidValue
    from revenue_engine.ports.callbacks import Purpose

    with answering(as_json=as_json):
        if file.stat().st_size > LARGEST:
            raise InvalidValue(f"the file is larger than {LARGEST // 1024 // 1024} MB: export fewer days at once")
        by = f"cli:{getpass.getuser()}"
        headers = {"filename": file.name, "by": by} | ({"gap_accepted": accept_gap} if accept_gap else {})
        with transaction(bootstrap.engine("api")) as session:
            found = named(session, account, adapter=adapter, mode=mode)
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


def named(session: Session, identifier: str, *, adapter: str | None, mode: str | None) -> ChannelAccount:
    """The one channel account that is called so. Raises NotFound and says how to name it more plainly."""
    from sqlalchemy import select

    from revenue_engine.channels.accounts import ChannelAccount
    from revenue_engine.errors import NotFound

    found = [
        one
        for one in session.scalars(select(ChannelAccount).where(ChannelAccount.identifier == identifier))
        if adapter in {None, one.adapter} and mode in {None, one.mode}
    ]
    if len(found) != 1:
        how = "say --adapter and --mode" if found else "see 'revenue-engine channel list'"
        raise NotFound(f"{len(found)} channel accounts are called {identifier!r}: {how}")
    (one,) = found
    return one


def _wait(delivery: int) -> dict[str, Any]:
    """Let the file be read, here when no worker takes it first, and say what came of it."""
    import time

    from revenue_engine import bootstrap, worker
    from revenue_engine.db import raw, transaction
    from revenue_engine.statements import importing

    reading = worker.Worker(bootstrap.engine("worker"), bootstrap.adapters(), bootstrap.statement_readers())
    while True:
        reading.do(importing.IMPORT)
        with transaction(bootstrap.engine("api")) as session:
            row = (
                raw(session)
                .execute("SELECT state, last_error FROM job WHERE kind = 'statement' AND ref_id = %s", (delivery,))
                .fetchone()
            )
            if row is None:
                return _answer(session, delivery)
            if row[0] == "dead":
                return {"ok": False, "delivery": delivery, "message": row[1], "differences": 0}
        time.sleep(0.2)


def _answer(session: Any, delivery: int) -> dict[str, Any]:
    from revenue_engine.access import audit
    from revenue_engine.db import raw
    from revenue_engine.money import wire

    connection = raw(session)
    ((state, reason),) = connection.execute(
        "SELECT state, reason FROM delivery_state WHERE delivery_id = %s", (delivery,)
    ).fetchall()
    rows = connection.execute(
        "SELECT public_id, first_day, last_day, lines, new_lines, credits_minor, debits_minor, closing_minor"
        " FROM statement WHERE delivery_id = %s ORDER BY id",
        (delivery,),
    ).fetchall()
    differences = connection.execute(
        "SELECT reason, count(*), sum(amount_minor)::bigint, count(*) FILTER (WHERE closed_at IS NULL) FROM break_case"
        " WHERE delivery_id = %s GROUP BY reason ORDER BY reason",
        (delivery,),
    ).fetchall()
    imports = audit.facts_of(session, action="statement.imported", subject=f"delivery {delivery}")
    refused = reason.startswith("refused")
    return {
        "others": [one for facts in imports for one in facts.get("others", ())],
        "ok": not refused,
        "delivery": delivery,
        "state": state,
        "message": reason,
        "statements": [
            {
                "id": row[0],
                "from": row[1].isoformat() if row[1] else None,
                "to": row[2].isoformat() if row[2] else None,
                "lines": row[3],
                "new": row[4],
                "known": row[3] - row[4] if row[3] > row[4] else 0,
                "credits": wire(row[5]),
                "debits": wire(row[6]),
                "closing": None if row[7] is None else wire(row[7]),
            }
            for row in rows
        ],
        "found": [{"reason": row[0], "count": row[1], "amount": wire(row[2]), "open": row[3]} for row in differences],
        "differences": sum(row[3] for row in differences),
    }


def _show(answer: dict[str, Any]) -> None:
    if not answer["ok"]:
        err.print(f"[bold red]Nothing was kept:[/] {answer['message']}", highlight=False)
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
        table = Table("what it showed", "lines", "KES", "to look at", box=None)
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
    from revenue_engine.db import raw, transaction
    from revenue_engine.money import wire

    with answering(as_json=as_json):
        with transaction(bootstrap.engine("api")) as session:
            rows = (
                raw(session)
                .execute(
                    "SELECT a.identifier, s.first_day, s.last_day, s.format, s.lines, s.new_lines, s.opening_minor,"
                    " s.closing_minor, s.public_id FROM statement s"
                    " JOIN channel_account a ON a.id = s.channel_account_id"
                    " WHERE %(account)s::text IS NULL OR a.identifier = %(account)s"
                    " ORDER BY s.last_day DESC NULLS LAST, s.id DESC LIMIT %(limit)s",
                    {"account": account, "limit": limit},
                )
                .fetchall()
            )
        names = ("account", "from", "to", "format", "lines", "new", "opening", "closing", "id")
        shown = [
            [row[0], *(day and day.isoformat() for day in row[1:3]), *row[3:6]]
            + [None if minor is None else wire(minor) for minor in row[6:8]]
            + [row[8]]
            for row in rows
        ]
        if as_json:
            print_json([dict(zip(names, row, strict=True)) for row in shown])
            return
        table = Table(*names, box=None)
        for column in table.columns:
            column.no_wrap = True
        for column in table.columns[1:3]:
            column.min_width = 10
        for row in shown:
            table.add_row(*("" if cell is None else str(cell) for cell in row))
        out.print(table)
