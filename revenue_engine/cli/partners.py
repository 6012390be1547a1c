"""``partner``: agreements, gates, pledges, what came and was used; and the IATI file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from revenue_engine.cli import days, signing
from revenue_engine.cli.output import (
    FAILED,
    FormatOption,
    JsonFlag,
    OutFile,
    answering,
    check_place,
    chosen,
    give,
    out,
    print_json,
    write,
)
from revenue_engine.errors import InvalidValue

app = typer.Typer(help="Strategic partnerships and the SDGs.", no_args_is_help=True)

_Agreement = Annotated[str, typer.Argument(help="The agreement's reference.")]
_On = Annotated[str | None, typer.Option("--on", help=f"Day: {days.DAY_HELP}; today if not said.")]


@app.callback()
def _nouns() -> None:
    """Strategic partnerships and the SDGs."""


def _do(work: Callable[[Any], dict[str, Any]], *, as_json: bool) -> None:
    """Do one piece of work as the person who is signed in, and say what was kept."""
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction

    with answering(as_json=as_json), signing.signed_in():
        with transaction(bootstrap.engine("api")) as session:
            answer = {"ok": True, **work(session)}
        if as_json:
            print_json(answer)
            return
        for name, value in answer.items():
            if name != "ok":
                out.print(f"{name.replace('_', ' '):16} {value}", highlight=False)


@app.command("add")
def add(
    file: Annotated[Path, typer.Argument(help="TOML of [[partner]] and [[agreement]].", exists=True, dir_okay=False)],
    as_json: JsonFlag = False,
) -> None:
    """Register partners and agreements of a file, all or none. An agreement names its partner and may have goals and
    targets: weights in parts of ten thousand."""
    from revenue_engine.departments import files
    from revenue_engine.departments.partnerships import agreements

    def work(session: Any) -> dict[str, Any]:
        told = files.read(file, files.PartnersFile)
        for partner in told.partner:
            agreements.add_partner(session, partner.model_dump())
        for one in told.agreement:
            agreements.add_agreement(session, one.partner, one.model_dump())
            for vocabulary, weights in (("goal", one.goals), ("target", one.targets)):
                if weights:
                    agreements.weigh(session, one.reference, vocabulary, weights)
        return {"partners": len(told.partner), "agreements": len(told.agreement)}

    _do(work, as_json=as_json)


@app.command("gate")
def gate(
    agreement: _Agreement,
    name: Annotated[
        str, typer.Argument(help="cecm_approval, signature, appropriation, fund_deposit, closed or terminated.")
    ],
    reference: Annotated[str, typer.Option(help="The paper that passes the gate.")],
    on: _On = None,
    as_json: JsonFlag = False,
) -> None:
    """Pass a gate of an agreement by a paper."""
    from revenue_engine import periods
    from revenue_engine.departments.partnerships import agreements

    def work(session: Any) -> dict[str, Any]:
        day = days.day(on, field="on") or periods.today()
        agreements.pass_gate(session, agreement, name, paper=reference, on=day)
        return {"agreement": agreement, "gate": name}

    _do(work, as_json=as_json)


@app.command("pledge")
def pledge(
    agreement: _Agreement,
    amount: Annotated[str, typer.Argument(help="Amount such as 50000.00; with a minus what is taken back.")],
    currency: Annotated[str, typer.Option(help="Three letters.")] = "KES",
    on: _On = None,
    in_kind: Annotated[bool, typer.Option("--in-kind")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Keep a pledge, in KES by the rate of its day."""
    from revenue_engine import periods
    from revenue_engine.departments.partnerships import agreements
    from revenue_engine.money import parse_wire, wire

    def work(session: Any) -> dict[str, Any]:
        day, minor = days.day(on, field="on") or periods.today(), parse_wire(amount)
        kes = agreements.pledge(
            session, agreement, currency=currency, amount_minor=minor, value_date=day, in_kind=in_kind
        )
        return {"agreement": agreement, "kes": wire(kes)}

    _do(work, as_json=as_json)


@app.command("received")
def received(
    agreement: _Agreement,
    payment: Annotated[str, typer.Argument(help="The payment, by its provider's reference or public id.")],
    as_json: JsonFlag = False,
) -> None:
    """Say that a payment which the bank or a channel proved is a disbursement of an agreement."""
    from revenue_engine.departments.partnerships import agreements
    from revenue_engine.money import wire

    _do(
        lambda session: {
            "agreement": agreement,
            "received": wire(agreements.receive_payment(session, agreement, payment)),
        },
        as_json=as_json,
    )


@app.command("rate")
def rate(
    currency: Annotated[str, typer.Argument(help="Three letters.")],
    shillings: Annotated[str, typer.Argument(help="Shillings for one unit, up to six decimals, such as 170.25.")],
    source: Annotated[str, typer.Option(help="Where the rate is from.")],
    on: _On = None,
    as_json: JsonFlag = False,
) -> None:
    """Keep the rate of a currency on a day."""
    from revenue_engine import periods
    from revenue_engine.departments.partnerships import agreements

    def work(session: Any) -> dict[str, Any]:
        day = days.day(on, field="on") or periods.today()
        agreements.keep_rate(session, currency, day, kes_micro=_micro(shillings), source=source)
        return {"currency": currency, "day": day.isoformat(), "shillings": shillings}

    _do(work, as_json=as_json)


def _micro(text: str) -> int:
    whole, point, part = text.partition(".")
    good = whole.isascii() and whole.isdigit() and (not point or (part.isascii() and part.isdigit() and len(part) <= 6))
    if not good or len(whole) > 9 or not int(whole + part.ljust(6, "0")):
        raise InvalidValue(f"{text!r} is no rate: write shillings with up to six decimals", field="shillings")
    return int(whole + part.ljust(6, "0"))


@app.command("weigh")
def weigh(
    agreement: _Agreement,
    vocabulary: Annotated[str, typer.Argument(help="goal or target.")],
    weights: Annotated[
        list[str], typer.Argument(metavar="CODE=PARTS...", help="Parts that make 10000, such as 4=6000.")
    ],
    as_json: JsonFlag = False,
) -> None:
    """Say what an agreement is for, by SDG goals or targets, in parts that make 10,000."""
    from revenue_engine.departments.partnerships import agreements

    def work(session: Any) -> dict[str, Any]:
        told: dict[str, int] = {}
        for one in weights:
            code, _, parts = one.partition("=")
            if not (code and parts.isascii() and parts.isdigit()) or code in told:
                raise InvalidValue(f"{one!r} is no weight: write each code once, such as 4=6000", field="weights")
            told[code] = int(parts)
        agreements.weigh(session, agreement, vocabulary, told)
        return {"agreement": agreement, vocabulary: told}

    _do(work, as_json=as_json)


@app.command("require")
def require(
    agreement: _Agreement,
    condition: Annotated[str, typer.Argument(help="What the partner asks for.")],
    due: Annotated[str, typer.Option(help=f"By when: {days.DAY_HELP}")],
    as_json: JsonFlag = False,
) -> None:
    """Keep a condition of the partner; its number is said."""
    from revenue_engine.departments.partnerships import agreements

    def work(session: Any) -> dict[str, Any]:
        day = days.day(due, field="due")
        assert day is not None  # noqa: S101 - the option is required
        return {"agreement": agreement, "condition": agreements.require(session, agreement, condition, due_on=day)}

    _do(work, as_json=as_json)


@app.command("meet")
def meet(
    condition: Annotated[int, typer.Argument(help="The condition's number.")],
    evidence: Annotated[str, typer.Option(help="The paper that shows it.")],
    on: _On = None,
    as_json: JsonFlag = False,
) -> None:
    """Keep the evidence that a condition is met."""
    from revenue_engine import periods
    from revenue_engine.departments.partnerships import agreements

    def work(session: Any) -> dict[str, Any]:
        agreements.meet(session, condition, evidence=evidence, on=days.day(on, field="on") or periods.today())
        return {"condition": condition, "evidence": evidence}

    _do(work, as_json=as_json)


@app.command("goods")
def goods(
    agreement: _Agreement,
    item: Annotated[str, typer.Argument(help="What came.")],
    quantity: Annotated[int, typer.Option(help="How many.", min=1)],
    value: Annotated[str, typer.Option(help="Value in shillings, such as 50000.00.")],
    basis: Annotated[str, typer.Option(help="How the value was found, such as invoice 17.")],
    on: _On = None,
    as_json: JsonFlag = False,
) -> None:
    """Keep goods that came. They count when another person has confirmed them."""
    from revenue_engine import periods
    from revenue_engine.departments.partnerships import agreements
    from revenue_engine.money import parse_wire

    def work(session: Any) -> dict[str, Any]:
        told: dict[str, Any] = {"item": item, "quantity": quantity, "value_minor": parse_wire(value), "basis": basis}
        day = days.day(on, field="on") or periods.today()
        return {"agreement": agreement, "goods": agreements.receive_goods(session, agreement, **told, on=day)}

    _do(work, as_json=as_json)


@app.command("confirm")
def confirm(
    agreement: _Agreement,
    number: Annotated[int, typer.Argument(help="The number of the goods.")],
    certificate: Annotated[str, typer.Option(help="The certificate that they serve and do no harm.")],
    as_json: JsonFlag = False,
) -> None:
    """Confirm goods that another person received."""
    from revenue_engine.departments.partnerships import agreements
    from revenue_engine.money import wire

    def work(session: Any) -> dict[str, Any]:
        kes = agreements.confirm_goods(session, agreement, number, certificate=certificate)
        return {"agreement": agreement, "received": wire(kes)}

    _do(work, as_json=as_json)


@app.command("used")
def used(
    agreement: _Agreement,
    amount: Annotated[str, typer.Argument(help="Shillings, such as 1250.00.")],
    voucher: Annotated[str, typer.Option(help="The voucher.")],
    activity: Annotated[str, typer.Option(help="What it was used for.")],
    ward: Annotated[str, typer.Option(help="Where.")] = "",
    on: _On = None,
    as_json: JsonFlag = False,
) -> None:
    """Keep what was used of an agreement, by voucher; never above what was received."""
    from revenue_engine import periods
    from revenue_engine.departments.partnerships import agreements
    from revenue_engine.money import parse_wire

    def work(session: Any) -> dict[str, Any]:
        told = {"voucher": voucher, "activity": activity, "ward": ward}
        day = days.day(on, field="on") or periods.today()
        agreements.use(session, agreement, kes_minor=parse_wire(amount), on=day, **told)
        return {"agreement": agreement, "used": amount, "voucher": voucher}

    _do(work, as_json=as_json)


@app.command("agreements")
def listing(
    expiring: Annotated[bool, typer.Option("--expiring", help="Only those that end within 90 days.")] = False,
    form: FormatOption = None,
    out_file: OutFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Pledged, received and used by agreement, and what expires with the money at risk."""
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction
    from revenue_engine.reports import partnerships

    with answering(as_json=as_json):
        written_as = chosen(form, out_file, as_json=as_json)
        with transaction(bootstrap.engine("report")) as session:
            section = partnerships.agreement_section(session, expiring=expiring)
        give(section, written_as, out_file)


@app.command("iati")
def publish(
    organisation: Annotated[str, typer.Option(help="The county's IATI identifier, such as KE-COA-041.")],
    name: Annotated[str, typer.Option(help="The county's name.")],
    out_file: Annotated[Path | None, typer.Option("--out", help="File to write.")] = None,
) -> None:
    """Write the agreements as IATI 2.03. A record that cannot be published is refused with its agreement and field."""
    from revenue_engine import bootstrap, periods
    from revenue_engine.db import transaction
    from revenue_engine.departments.partnerships import iati

    with answering(as_json=False):
        if out_file is not None:
            check_place(out_file)
        with transaction(bootstrap.engine("report")) as session:
            written = iati.document(session, organisation=organisation, name=name, now=periods.now())
        write(written, out_file)


@app.command("check")
def check(
    file: Annotated[Path, typer.Argument(help="An IATI 2.03 file, such as a partner's.", exists=True, dir_okay=False)],
    as_json: JsonFlag = False,
) -> None:
    """Check an IATI file by the official rules: each broken one with activity and field. Exit 1 where one is broken."""
    from revenue_engine import periods
    from revenue_engine.departments.partnerships import iati_rules

    with answering(as_json=as_json):
        found = iati_rules.check(file.read_bytes(), now=periods.now())
        if as_json:
            print_json({"ok": not found, "broken": [one._asdict() for one in found]})
        else:
            for one in found:
                out.print(
                    f"rule {one.rule}: {one.row}: {one.field}: {one.why}", highlight=False, markup=False, soft_wrap=True
                )
            out.print(f"{len(found)} broken", highlight=False)
    if found:
        raise typer.Exit(FAILED)
