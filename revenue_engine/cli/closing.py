"""``close show|prepare|approve|withdraw|due|list|export|witness|pack|sample|key``: a day closed by two, and proved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from revenue_engine.cli import days, signing
from revenue_engine.cli.output import ATTENTION, FAILED, JsonFlag, answering, out, print_json, table_of
from revenue_engine.errors import InvalidValue

if TYPE_CHECKING:
    from reconciliation.days.certificates import Certificate
    from reconciliation.days.closing import Sheet, Span

app = typer.Typer(help="Close a day by two persons, and prove it.", no_args_is_help=True)
key_app = typer.Typer(help="The keys that sign certificates.", no_args_is_help=True)
app.add_typer(key_app, name="key")
_WHAT = f"A day ({days.DAY_HELP}), a month (2026-09), a quarter (2627-Q1), a year (2627), or 2627-adjustments."
What = Annotated[str, typer.Argument(metavar="DAY", help=_WHAT)]
MaybeWhat = Annotated[str | None, typer.Argument(metavar="DAY", help=_WHAT)]
LastDay = Annotated[
    str | None, typer.Option("--through", metavar="DAY", help="The last of some quiet days that are closed together.")
]


def _span(typed: str | None, through: str | None = None) -> Span:
    from reconciliation.days import closing

    if (typed is None) == (through is None):
        raise InvalidValue("say one day, or --through the last of some quiet days", field="day")
    found = closing.period_of(typed) if typed else None
    if found is None:
        on = days.day(typed or through, field="day")
        assert on is not None  # noqa: S101 - something was typed
        found = closing.day(on)
    return found


@app.command("show")
def show(day: What, as_json: JsonFlag = False) -> None:
    """How a day stands: its controls, reservations and figures. Exit 1 while a hard control stands open."""
    from reconciliation.days import closing
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction

    with answering(as_json=as_json):
        with transaction(bootstrap.engine("report")) as session:
            sheet = closing.show(session, _span(day))
        _tell(sheet, as_json=as_json)
    if sheet.stands == "open" and sheet.open_items("hard"):
        raise typer.Exit(FAILED)


@app.command("prepare")
def prepare(
    day: MaybeWhat = None,
    through: LastDay = None,
    as_json: JsonFlag = False,
) -> None:
    """Shut a day (and quiet days before it) and fix what another person approves. New items go to the next open day."""
    from reconciliation.days import closing
    from revenue_engine import bootstrap

    with answering(as_json=as_json), signing.signed_in():
        sheet = closing.prepare(bootstrap.engine("api"), _span(day, through))
        _tell(sheet, as_json=as_json)
        if not as_json:
            out.print(
                f"another person: revenue-engine close approve {day or through} --shown {sheet.sha256[:16]}",
                highlight=False,
                soft_wrap=True,
            )


@app.command("approve")
def approve(
    day: MaybeWhat = None,
    shown: Annotated[
        str | None, typer.Option("--shown", help="The SHA-256 you were shown, or its first 8 letters or more.")
    ] = None,
    through: LastDay = None,
    as_json: JsonFlag = False,
) -> None:
    """Approve what was prepared, as another person. Without --shown it is only shown, and the exit code is 3."""
    from reconciliation.days import closing
    from revenue_engine import bootstrap, signed_notes
    from revenue_engine.db import transaction

    with answering(as_json=as_json), signing.signed_in():
        wanted = _span(day, through)
        with transaction(bootstrap.engine("api")) as session:
            sheet = closing.show(session, wanted)
        if shown is None or sheet.stands != "prepared":
            _tell(sheet, as_json=as_json)
            raise typer.Exit(ATTENTION)
        if len(shown) < 8 or not sheet.sha256.startswith(shown.lower()):
            raise InvalidValue(f"{shown} is not the beginning of what is shown: {sheet.sha256}", field="shown")
        keys = signed_notes.read_keys(bootstrap.seal_dir())
        with transaction(bootstrap.engine("api")) as session:
            made = closing.approve(session, wanted, shown_sha256=sheet.sha256, keys=keys)
        _certified(made, as_json=as_json)


def _certified(made: Certificate, *, as_json: bool) -> None:
    seal = made.body["sheet"]["seal"]
    answer = {"ok": True, "certificate": made.number, "last_day": made.body["last_day"], "sha256": made.sha256}
    answer |= {"rows": seal["count"], "root": made.root}
    if as_json:
        print_json(answer)
        return
    for name, value in answer.items():
        if name != "ok":
            out.print(f"{name.replace('_', ' '):12} {value}", highlight=False)


@app.command("withdraw")
def withdraw(
    day: What, reason: Annotated[str, typer.Option(help="Why the close is given up.")], as_json: JsonFlag = False
) -> None:
    """Give a prepared close up: its days are open again."""
    from reconciliation.days import closing
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction

    with answering(as_json=as_json), signing.signed_in():
        with transaction(bootstrap.engine("api")) as session:
            closing.withdraw(session, _span(day), reason=reason)
        if as_json:
            print_json({"ok": True, "withdrawn": day})
        else:
            out.print(f"the close of {day} is withdrawn: the day is open", highlight=False)


@app.command("due")
def due(as_json: JsonFlag = False) -> None:
    """Which closes are due and which are late, by working days. Exit 3 where one is late."""
    from reconciliation.days import schedule
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction

    with answering(as_json=as_json):
        with transaction(bootstrap.engine("report")) as session:
            found = schedule.due(session)
        if as_json:
            print_json(
                [
                    {"close": one.name, "period": one.span.period, "last_day": str(one.span.last_day)}
                    | {"due_on": str(one.due_on), "late_days": one.late_days, "prepared_by": one.prepared_by}
                    for one in found
                ]
            )
        else:
            table = table_of("close", "due", "working days late", "prepared by")
            for one in found:
                table.add_row(one.name, str(one.due_on), str(one.late_days or ""), one.prepared_by)
            out.print(table)
    if any(one.late_days for one in found):
        raise typer.Exit(ATTENTION)


@app.command("list")
def listing(as_json: JsonFlag = False) -> None:
    """The certificates, the first of the chain first."""
    from reconciliation.days import certificates
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction

    with answering(as_json=as_json):
        with transaction(bootstrap.engine("report")) as session:
            found = certificates.every(session)
        if as_json:
            print_json([one._asdict() | {"note_sha256": one.note_sha256.hex()} for one in found])
            return
        table = table_of("number", "period", "from", "to", "SHA-256")
        for one in found:
            table.add_row(str(one.number), one.period, str(one.first_day), str(one.last_day), one.note_sha256.hex())
        out.print(table)


@app.command("export")
def export(
    number: Annotated[int, typer.Argument(help="The certificate's number.")],
    folder: Annotated[Path, typer.Option("--out", help="Folder for the note, the sealed rows, leaves and keys.")],
    as_json: JsonFlag = False,
) -> None:
    """Write what a stranger needs to check a certificate; 'reconcile verify' reads it."""
    from reconciliation.days import exporting
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction

    with answering(as_json=as_json):
        with transaction(bootstrap.engine("report")) as session:
            files = exporting.write(session, number, folder)
        if as_json:
            print_json({"ok": True, "files": [str(file) for file in files]})
        else:
            for file in files:
                out.print(str(file), highlight=False, soft_wrap=True)


@app.command("witness")
def witness(
    file: Annotated[Path, typer.Argument(help="A file outside this server.", dir_okay=False)], as_json: JsonFlag = False
) -> None:
    """Keep the roots of new certificates outside the server, and print them. Exit 1 where the file holds others."""
    from reconciliation.days import witness as witnesses
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction

    with answering(as_json=as_json):
        with transaction(bootstrap.engine("report")) as session:
            fresh = witnesses.keep(session, file)
        if as_json:
            print_json({"ok": True, "witnessed": [one._asdict() for one in fresh]})
            return
        for one in fresh:
            out.print(one.line, highlight=False, soft_wrap=True)


@app.command("pack")
def pack(
    code: Annotated[str, typer.Argument(help="The payment, by its provider's code or its public id.")],
    file: Annotated[Path, typer.Option("--out", help="The zip to write.")],
    purpose: Annotated[str, typer.Option(help="What the pack is for.")],
    as_json: JsonFlag = False,
) -> None:
    """The audit pack of one payment: every row of its way under a signed root, numbered and dated."""
    from reconciliation.days import packs
    from revenue_engine import bootstrap, signed_notes
    from revenue_engine.db import transaction

    with answering(as_json=as_json), signing.signed_in():
        keys = signed_notes.read_keys(bootstrap.seal_dir())
        with transaction(bootstrap.engine("api")) as session:
            made = packs.make(session, code, purpose=purpose, file=file, keys=keys)
        answer = {"ok": True, "pack": made.number, "file": str(file), "rows": made.rows, "sha256": made.sha256}
        if as_json:
            print_json(answer | {"no_document": made.without})
            return
        out.print(f"pack {made.number}: {made.rows} rows, SHA-256 {made.sha256}", highlight=False, soft_wrap=True)
        for stage in made.without:
            out.print(f"no {stage}: {packs.WHY_NONE[stage]}", highlight=False, soft_wrap=True)


@app.command("sample")
def sample(
    file: Annotated[Path, typer.Option("--out", help="The zip to write.")],
    purpose: Annotated[str, typer.Option(help="What the packs are for.")],
    first: Annotated[str | None, typer.Option("--from", help=f"First day of payment: {days.DAY_HELP}.")] = None,
    last: Annotated[str | None, typer.Option("--to", help=f"Last day of payment: {days.DAY_HELP}.")] = None,
    size: Annotated[int, typer.Option(help="How many payments are drawn.", min=1, max=500)] = 25,
    seed: Annotated[str | None, typer.Option(help="The auditor's seed; a fresh one if none is said.")] = None,
    bill: Annotated[str | None, typer.Option(help="In place of days: every payment of a bill, by its number.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Audit packs of a sample of payments, drawn by a seed from days with their control total; or those of a bill."""
    from reconciliation.days import samples
    from revenue_engine import bootstrap, signed_notes
    from revenue_engine.db import transaction

    with answering(as_json=as_json), signing.signed_in():
        if (bill is None) == (first is None or last is None):
            raise InvalidValue("say --from and --to, or --bill", field="from")
        keys = signed_notes.read_keys(bootstrap.seal_dir())
        with transaction(bootstrap.engine("api")) as session:
            if bill is not None:
                made = samples.of_bill(session, bill, purpose=purpose, file=file, keys=keys)
            else:
                since, until = days.day(first, field="from"), days.day(last, field="to")
                assert since is not None and until is not None  # noqa: S101, PT018 - both were said
                made = samples.draw(session, since, until, size=size, seed=seed, purpose=purpose, file=file, keys=keys)
        answer = {"ok": True, "file": str(file), "population": made.population, "total": _cents(str(made.total_minor))}
        answer |= {"seed": made.seed, "drawn": list(made.drawn), "packs": list(made.packs), "sha256": made.sha256}
        if as_json:
            print_json(answer)
            return
        said = f"{len(made.drawn)} of {made.population} payments, KES {answer['total']}, seed {made.seed or 'none'}"
        out.print(
            f"{said}, packs {made.packs[0]} to {made.packs[-1]}, SHA-256 {made.sha256}", highlight=False, soft_wrap=True
        )


@key_app.command("new")
def new_key(
    name: Annotated[str, typer.Argument(help="The key's name, such as county-2026.")], as_json: JsonFlag = False
) -> None:
    """Make a key file and publish its public half. Older keys of the folder go on signing beside it."""
    from reconciliation.days import certificates
    from revenue_engine import bootstrap, signed_notes
    from revenue_engine.db import transaction

    with answering(as_json=as_json):
        made = signed_notes.make_key(bootstrap.seal_dir() / f"{name}.pem", name)
        with transaction(bootstrap.engine("migrate")) as session:
            certificates.publish(session, made)
        if as_json:
            print_json({"ok": True, "key": made.vkey})
        else:
            out.print(made.vkey, highlight=False, soft_wrap=True)


@key_app.command("list")
def list_keys(as_json: JsonFlag = False) -> None:
    """The published keys: print them where the county prints its notices."""
    from reconciliation.days import certificates
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction

    with answering(as_json=as_json):
        with transaction(bootstrap.engine("report")) as session:
            found = certificates.published(session)
        if as_json:
            print_json([key.vkey for key in found])
            return
        for key in found:
            out.print(key.vkey, highlight=False, soft_wrap=True)


# --- a sheet for people ----------------------------------------------------------------------------------------------


def _tell(sheet: Sheet, *, as_json: bool) -> None:
    if as_json:
        told = {"stands": sheet.stands, "first_day": str(sheet.first_day), "last_day": str(sheet.last_day)}
        print_json({"ok": True, **told, "sha256": sheet.sha256, "certificate": sheet.certificate, **sheet.content})
        return
    whole = str(sheet.last_day) if sheet.first_day == sheet.last_day else f"{sheet.first_day} to {sheet.last_day}"
    by = f", prepared by {sheet.prepared_by} at {sheet.prepared_at:%Y-%m-%d %H:%M} UTC" if sheet.prepared_at else ""
    number = f", certificate {sheet.certificate}" if sheet.certificate else ""
    out.print(f"{whole}: {sheet.stands}{by}{number}", highlight=False)
    table = table_of("", "control", "what it says", "open")
    for control in sheet.content["controls"]:
        table.add_row(_mark(control), control["code"], control["what"], str(len(control["open"]) or ""))
    out.print(table)
    for kind in ("hard", "evidence"):
        for control, item in sheet.open_items(kind):
            where = " ".join(filter(None, (item.get("day"), item["item"])))
            said = f"{where}: {item['detail']} · KES {_cents(item['amount'])} · {item['owner']}"
            out.print(f"{_mark(control)} {said}", highlight=False, soft_wrap=True)
            out.print(f"    mend: revenue-engine {control['verb']}", highlight=False, soft_wrap=True)
    _figures(sheet.content)
    if sheet.sha256:
        out.print(f"shown {sheet.sha256}", highlight=False, soft_wrap=True)


def _mark(control: dict[str, Any]) -> str:
    if not control["open"]:
        return "[green]✓[/]"
    return "[red]✗[/]" if control["kind"] == "hard" else "[yellow]![/]"


def _cents(text: str) -> str:
    from revenue_engine.money import wire

    return wire(int(text))


def _figures(content: dict[str, Any]) -> None:
    figures, seal = content.get("figures"), content.get("seal")
    if figures is None or seal is None:
        return
    table = table_of("channel account", "payments")
    for heading in ("received", "reversed", "charged"):
        table.add_column(heading, justify="right")
    for one in figures["channels"]:
        amounts = [_cents(one[name]) for name in ("received", "reversed", "charged")]
        table.add_row(one["channel"], str(one["payments"]), *amounts)
    out.print(table)
    for late in figures["late"]:
        out.print(f"late, of {late['of_day']}: {late['items']} items, {_cents(late['amount'])}", highlight=False)
    for name in ("reservations", "cleared"):
        for one in content[name]:
            out.print(f"{name.rstrip('s')}: {one['item']}: {one['detail']} ({one['owner']})", highlight=False)
    for one in content["notes"]:
        told = f"received {_cents(one['received'])}, median {_cents(one['median'])}"
        out.print(f"note: {one['note']}: {told}", highlight=False)
    out.print(f"sealed {seal['count']} rows, root {seal['root']}", highlight=False, soft_wrap=True)
