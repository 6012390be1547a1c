"""``ict``: the ICT directorate's connected offices, what suppliers owe, support requests, and the cost to collect."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer

from revenue_engine.cli import days, signing
from revenue_engine.cli.output import (
    ATTENTION,
    FormatOption,
    JsonFlag,
    OutFile,
    answering,
    chosen,
    give,
    out,
    print_json,
)
from revenue_engine.errors import InvalidValue

app = typer.Typer(help="The ICT directorate.", no_args_is_help=True)
support_app = typer.Typer(help="Support requests of departments.", no_args_is_help=True)
app.add_typer(support_app, name="support")

_File = Annotated[Path, typer.Argument(exists=True, dir_okay=False)]
_Month = Annotated[str, typer.Argument(help="A month: 2026-11.")]
_Office = Annotated[str, typer.Argument(help="The office's code.")]
_At = Annotated[str | None, typer.Option("--at", help="When, as 2026-11-20T08:05; now if not said.")]


@app.callback()
def _nouns() -> None:
    """The ICT directorate."""


def _month(text: str) -> date:
    try:
        return date.fromisoformat(f"{text}-01")
    except ValueError:
        raise InvalidValue(f"{text!r} is no month: write 2026-11", field="month") from None


def _instant(text: str | None, field: str = "at") -> datetime:
    from revenue_engine import periods

    if text is None:
        return periods.now()
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidValue(f"{text!r} is no time: write 2026-11-20T08:05", field=field) from None
    return found if found.tzinfo else found.replace(tzinfo=periods.NAIROBI)


@app.command("link")
def link(file: _File, as_json: JsonFlag = False) -> None:
    """Keep the terms of links from a TOML file of [[link]] parts, all or none."""
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction
    from revenue_engine.departments import files
    from revenue_engine.departments.ict import links
    from revenue_engine.money import parse_wire

    with answering(as_json=as_json), signing.signed_in():
        told = files.read(file, files.LinksFile).link
        with transaction(bootstrap.engine("api")) as session:
            for one in told:
                charge = parse_wire(one.monthly_charge)
                kept = one.model_dump(exclude={"monthly_charge"}) | {"monthly_charge_minor": charge}
                links.keep_terms(session, kept)
        _said({"ok": True, "kept": len(told)}, as_json=as_json)


@app.command("probes")
def probes(
    file: _File,
    accept: Annotated[bool, typer.Option("--accept", help="Keep the good rows; without this, nothing is.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Read a sheet of looks at links (office, at, minutes, up). Bad rows are named; good ones are kept with --accept.
    Exit 3 where rows are bad."""
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction
    from revenue_engine.departments.ict import links

    with answering(as_json=as_json), signing.signed_in():
        good, bad = links.read_probes(file)
        if accept:
            with transaction(bootstrap.engine("api")) as session:
                links.keep_probes(session, good)
        refused = [{"row": row, "why": why} for row, why in bad]
        if as_json:
            print_json({"ok": True, "good": len(good), "kept": len(good) if accept else 0, "bad": refused})
        else:
            out.print(f"{len(good)} good rows{' kept' if accept else ': say --accept to keep them'}", highlight=False)
            for row, why in bad:
                out.print(f"row {row}: {why}", highlight=False, markup=False)
    if bad:
        raise typer.Exit(ATTENTION)


@app.command("maintenance")
def maintenance(
    office: _Office,
    began: Annotated[str, typer.Option("--from", help="When it began.")],
    ended: Annotated[str, typer.Option("--to", help="When it ended.")],
    agreement: Annotated[str, typer.Option(help="The letter or ticket.")],
    agreed: Annotated[str, typer.Option(help="When it was agreed.")],
    as_json: JsonFlag = False,
) -> None:
    """Keep maintenance that was agreed before it began: it is no outage."""
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction
    from revenue_engine.departments.ict import links

    with answering(as_json=as_json), signing.signed_in():
        span = {"began": _instant(began, "from"), "ended": _instant(ended, "to"), "agreed_at": _instant(agreed)}
        with transaction(bootstrap.engine("api")) as session:
            links.keep_maintenance(session, office, agreement=agreement, **span)
        _said({"ok": True, "office": office}, as_json=as_json)


@app.command("sla")
def sla(
    first: Annotated[str, typer.Option("--from", help="First month: 2026-07.")],
    last: Annotated[str, typer.Option("--to", help="Last month.")],
    missed: Annotated[bool, typer.Option("--missed", help="Only months in which something was due.")] = False,
    form: FormatOption = None,
    out_file: OutFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Which offices missed their service level, what was claimed, and what lapsed: money lost."""
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction
    from revenue_engine.reports import ict

    with answering(as_json=as_json):
        written_as = chosen(form, out_file, as_json=as_json)
        begin, end = _month(first), _month(last)
        with transaction(bootstrap.engine("report")) as session:
            section = ict.service_section(session, first=begin, last=end, missed_only=missed)
        give(section, written_as, out_file)


@app.command("claim")
def claim(
    office: _Office,
    month: _Month,
    ticket: Annotated[str, typer.Option(help="The supplier's ticket.")],
    as_json: JsonFlag = False,
) -> None:
    """Claim what a supplier owes for a month, by the contract's formula, within its window."""
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction
    from revenue_engine.departments.ict import links
    from revenue_engine.money import wire

    with answering(as_json=as_json), signing.signed_in():
        with transaction(bootstrap.engine("api")) as session:
            found = links.claim(session, office, _month(month), ticket=ticket)
        said = {"ok": True, "office": office, "month": month, "claimed": wire(found.claimed_minor)}
        _said(said | {"supplier": found.supplier, "ticket": ticket}, as_json=as_json)


@app.command("credited")
def credited(
    office: _Office,
    month: _Month,
    amount: Annotated[str, typer.Argument(help="Shillings.")],
    reference: Annotated[str, typer.Option(help="The credit note.")],
    on: Annotated[str | None, typer.Option(help=f"Day: {days.DAY_HELP}.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Keep the supplier's credit note of a claim."""
    from revenue_engine import bootstrap, periods
    from revenue_engine.db import transaction
    from revenue_engine.departments.ict import links
    from revenue_engine.money import parse_wire

    with answering(as_json=as_json), signing.signed_in():
        day, minor = days.day(on, field="on") or periods.today(), parse_wire(amount)
        with transaction(bootstrap.engine("api")) as session:
            links.credited(session, office, _month(month), amount_minor=minor, reference=reference, on=day)
        _said({"ok": True, "office": office, "month": month, "credited": amount}, as_json=as_json)


@app.command("cost")
def cost(
    first: Annotated[str, typer.Option("--from", help=f"First day: {days.DAY_HELP}.")],
    last: Annotated[str, typer.Option("--to", help=f"Last day: {days.DAY_HELP}.")],
    book: Annotated[str, typer.Option(help="The book whose expenses count.")] = "ict",
    as_json: JsonFlag = False,
) -> None:
    """What it costs to collect: charges and ICT's expenses, over net revenue, with the postings behind each figure."""
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction
    from revenue_engine.money import wire
    from revenue_engine.secondary_ledgers import costs

    with answering(as_json=as_json):
        begin, end = days.span(first, last)
        if begin is None or end is None:
            raise InvalidValue("say the first and the last day", field="from")
        with transaction(bootstrap.engine("report")) as session:
            found = costs.to_collect(session, book, first=begin, last=end)
        parts = None if found.parts is None else f"{found.parts // 100}.{found.parts % 100:02d} %"
        amounts = {
            "received": found.received_minor,
            "taken_back": found.taken_back_minor,
            "net": found.net_minor,
            "charges": found.charges_minor,
            "expenses": found.expenses_minor,
            "cost": found.cost_minor,
        }
        counts = {"receipts": found.receipts, "charge_postings": found.charge_postings, "vouchers": found.expenses}
        said = {name: wire(minor) for name, minor in amounts.items()}
        _said({"ok": True, **said, **counts, "cost_to_collect": parts}, as_json=as_json)


@support_app.command("open")
def support_open(
    department: Annotated[str, typer.Argument()],
    subject: Annotated[str, typer.Argument()],
    minutes: Annotated[int, typer.Option(help="Working minutes in which it is to be solved.", min=1)],
    at: _At = None,
    as_json: JsonFlag = False,
) -> None:
    """Open a support request."""
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction
    from revenue_engine.departments.ict import support

    with answering(as_json=as_json), signing.signed_in():
        with transaction(bootstrap.engine("api")) as session:
            number = support.open_request(
                session, department=department, subject=subject, target_minutes=minutes, at=_instant(at)
            )
        _said({"ok": True, "request": number}, as_json=as_json)


@support_app.command("note")
def support_note(
    number: Annotated[int, typer.Argument(help="The request.")],
    kind: Annotated[str, typer.Argument(help="waiting, resumed, solved, reopened or closed.")],
    why: Annotated[str, typer.Option(help="In words.")] = "",
    at: _At = None,
    as_json: JsonFlag = False,
) -> None:
    """Note what happened to a request."""
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction
    from revenue_engine.departments.ict import support

    with answering(as_json=as_json), signing.signed_in():
        with transaction(bootstrap.engine("api")) as session:
            support.note(session, number, kind, at=_instant(at), why=why)
        _said({"ok": True, "request": number, "event": kind}, as_json=as_json)


@support_app.command("list")
def support_list(form: FormatOption = None, out_file: OutFile = None, as_json: JsonFlag = False) -> None:
    """Support requests: how long each was with ICT, and which missed its time."""
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction
    from revenue_engine.reports import ict

    with answering(as_json=as_json):
        written_as = chosen(form, out_file, as_json=as_json)
        with transaction(bootstrap.engine("report")) as session:
            section = ict.support_section(session)
        give(section, written_as, out_file)


def _said(answer: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    for name, value in answer.items():
        if name != "ok":
            out.print(f"{name.replace('_', ' '):16} {value}", highlight=False)
