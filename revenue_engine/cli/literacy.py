"""``literacy``: cohorts and learners, who pays, attendance, certificates on paper and as badges, and what one costs."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from revenue_engine.cli import days, signing
from revenue_engine.cli.output import (
    ATTENTION,
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

app = typer.Typer(help="Digital literacy.", no_args_is_help=True)

_Learner = Annotated[str, typer.Argument(help="The learner's number.")]
_Cohort = Annotated[str, typer.Argument(help="The cohort's code.")]
_Number = Annotated[str, typer.Argument(help="The certificate's number.")]
_File = Annotated[Path, typer.Option("--out", help="The file to write.")]
_On = Annotated[str | None, typer.Option("--on", help=f"Day: {days.DAY_HELP}; today if not said.")]


@app.callback()
def _nouns() -> None:
    """Digital literacy."""


@app.command("add")
def add(
    file: Annotated[Path, typer.Argument(help="TOML of [[cohort]] and [[learner]].", exists=True, dir_okay=False)],
    as_json: JsonFlag = False,
) -> None:
    """Register cohorts and learners of a file, all or none."""
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction
    from revenue_engine.departments import files
    from revenue_engine.departments.literacy import programme

    with answering(as_json=as_json), signing.signed_in():
        told = files.read(file, files.LiteracyFile)
        with transaction(bootstrap.engine("api")) as session:
            for cohort in told.cohort:
                programme.add_cohort(session, cohort.model_dump())
            for learner in told.learner:
                programme.add_learner(session, learner.model_dump())
        _said({"cohorts": len(told.cohort), "learners": len(told.learner)}, as_json=as_json)


@app.command("certify")
def certify(
    learner: _Learner,
    cohort: _Cohort,
    attempt: Annotated[int, typer.Option(help="The attempt that found the learner competent.", min=1)] = 1,
    on: _On = None,
    as_json: JsonFlag = False,
) -> None:
    """Certify a learner. Without attendance, assessment or fee the refusal says which is missing."""
    from revenue_engine import bootstrap, periods
    from revenue_engine.db import transaction
    from revenue_engine.departments.literacy import programme

    with answering(as_json=as_json), signing.signed_in():
        day = days.day(on, field="on") or periods.today()
        with transaction(bootstrap.engine("api")) as session:
            number = programme.certify(session, learner, cohort, attempt=attempt, on=day)
        _said({"certificate": number}, as_json=as_json)


@app.command("enrol")
def enrol(
    learner: _Learner,
    cohort: _Cohort,
    bill: Annotated[str | None, typer.Option(help="The bill of the fee, by its number.")] = None,
    agreement: Annotated[str | None, typer.Option(help="The agreement that pays.")] = None,
    waiver: Annotated[str | None, typer.Option(help="The paper that waives the fee.")] = None,
    on: _On = None,
    as_json: JsonFlag = False,
) -> None:
    """Enrol a learner. Exactly one pays: a bill, an agreement, or nobody by a waiver's paper."""
    from revenue_engine import periods
    from revenue_engine.billing import payers
    from revenue_engine.departments.literacy import programme
    from revenue_engine.departments.partnerships import agreements

    def work(session: Any) -> dict[str, Any]:
        programme.enrol(
            session,
            learner,
            cohort,
            on=days.day(on, field="on") or periods.today(),
            invoice_id=payers.find_invoice(session, number=bill).id if bill else None,
            agreement_id=agreements.key_of(session, agreement) if agreement else None,
            waiver=waiver,
        )
        return {"learner": learner, "cohort": cohort}

    _do(work, as_json=as_json)


@app.command("attend")
def attend(
    cohort: _Cohort,
    session_number: Annotated[int, typer.Argument(metavar="SESSION", help="The session's number.", min=1)],
    file: Annotated[Path, typer.Argument(help="CSV of learner,present (yes or no).", exists=True, dir_okay=False)],
    accept: Annotated[bool, typer.Option("--accept", help="Keep the good rows; without this, nothing is.")] = False,
    bad_file: Annotated[Path | None, typer.Option("--bad", help="CSV to write the bad rows to, with why.")] = None,
    on: _On = None,
    as_json: JsonFlag = False,
) -> None:
    """Read a sheet of who was at a session. Bad rows are named; good ones are kept with --accept. Exit 3 where rows are
    bad."""
    from revenue_engine import bootstrap, periods
    from revenue_engine.db import transaction
    from revenue_engine.departments.literacy import programme

    with answering(as_json=as_json), signing.signed_in():
        if bad_file is not None:
            check_place(bad_file)
        day = days.day(on, field="on") or periods.today()
        with transaction(bootstrap.engine("api")) as session:
            good, bad = programme.read_attendance(session, cohort, session_number, file)
            if accept:
                programme.attend(session, cohort, session_number, good, on=day)
        if bad_file is not None:
            write(_sheet(["learner", "present", "why"], [[*cells[:2], why] for _, cells, why in bad]), bad_file)
        if as_json:
            refused = [{"row": row, "why": why} for row, _, why in bad]
            print_json({"ok": True, "good": len(good), "kept": len(good) if accept else 0, "bad": refused})
        else:
            out.print(f"{len(good)} good rows{' kept' if accept else ': say --accept to keep them'}", highlight=False)
            for row, _, why in bad:
                out.print(f"row {row}: {why}", highlight=False, markup=False)
    if bad:
        raise typer.Exit(ATTENTION)


def _sheet(heading: list[str], rows: list[list[str]]) -> bytes:
    """A sheet of text; a cell that a spreadsheet would take for a formula begins with an apostrophe."""
    made = io.StringIO()
    safe = [["'" + cell if cell[:1] in tuple("=+-@\t\r") else cell for cell in row] for row in rows]
    csv.writer(made).writerows([heading, *safe])
    return made.getvalue().encode()


@app.command("assess")
def assess(
    learner: _Learner,
    cohort: _Cohort,
    result: Annotated[str, typer.Argument(help="competent, or not-yet.")],
    attempt: Annotated[int, typer.Option(help="Which attempt.", min=1)] = 1,
    on: _On = None,
    as_json: JsonFlag = False,
) -> None:
    """Keep what an attempt found: competent, or not yet."""
    from revenue_engine import periods
    from revenue_engine.departments.literacy import programme

    def work(session: Any) -> dict[str, Any]:
        if result not in {"competent", "not-yet"}:
            raise InvalidValue(f"an attempt finds competent or not-yet, not {result!r}", field="result")
        day = days.day(on, field="on") or periods.today()
        programme.assess(session, learner, cohort, attempt=attempt, competent=result == "competent", on=day)
        return {"learner": learner, "attempt": attempt, "result": result}

    _do(work, as_json=as_json)


@app.command("reissue")
def reissue(
    number: _Number,
    reason: Annotated[str, typer.Option(help="Why, such as a name that was misspelt.")],
    on: _On = None,
    as_json: JsonFlag = False,
) -> None:
    """Issue a certificate anew; the former stays and is superseded."""
    from revenue_engine import periods
    from revenue_engine.departments.literacy import programme

    def work(session: Any) -> dict[str, Any]:
        day = days.day(on, field="on") or periods.today()
        return {"certificate": programme.reissue(session, number, reason=reason, on=day), "supersedes": number}

    _do(work, as_json=as_json)


@app.command("paper")
def paper(number: _Number, file: _File, as_json: JsonFlag = False) -> None:
    """Print a certificate as PDF, with a QR that is checked without a network."""
    from revenue_engine import bootstrap, signed_notes
    from revenue_engine.papers import sheets
    from revenue_engine.reports import learning

    def work(session: Any) -> dict[str, Any]:
        check_place(file)
        made = learning.paper(session, number, keys=signed_notes.read_keys(bootstrap.seal_dir()))
        write(sheets.pdf(made), file)
        return {"certificate": number, "copy": made.copy, "token": made.verify, "file": str(file)}

    _do(work, as_json=as_json)


@app.command("badge")
def badge(number: _Number, file: _File, as_json: JsonFlag = False) -> None:
    """Write the Open Badge 3.0 of a certificate, as a signed JWT for wallets."""
    from revenue_engine import bootstrap, signed_notes
    from revenue_engine.reports import learning

    def work(session: Any) -> dict[str, Any]:
        check_place(file)
        write(learning.badge(session, number, keys=signed_notes.read_keys(bootstrap.seal_dir())).encode(), file)
        return {"certificate": number, "file": str(file)}

    _do(work, as_json=as_json)


@app.command("verify")
def verify(
    what: Annotated[str, typer.Argument(help="A certificate's number, or what its QR holds.")],
    name: Annotated[str | None, typer.Option(help="The name that stands on the paper.")] = None,
    keys: Annotated[
        Path | None, typer.Option(help="The county's published keys: check without a database.", exists=True)
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """What a certificate is worth: 0 valid, 1 not ours or superseded, 3 where only the signature was checked."""
    from reconciliation.days import certificates
    from revenue_engine import bootstrap, signed_notes
    from revenue_engine.db import transaction
    from revenue_engine.reports import learning

    with answering(as_json=as_json):
        token = not what.startswith("DL")
        if keys is not None:
            if not token:
                raise InvalidValue("a number alone is checked with the register: give what the QR holds", field="what")
            published = [signed_notes.parse_key(line) for line in keys.read_text("utf-8").splitlines() if line.strip()]
            told = learning.verify_token(what, published, name=name)
        else:
            with transaction(bootstrap.engine("report")) as session:
                if token:
                    signed = learning.verify_token(what, certificates.published(session), name=name)
                    told = signed.of(learning.verify_number(session, signed.number))
                else:
                    told = learning.verify_number(session, what)
        _said(told.told(), as_json=as_json)
    if told.status in {"superseded", "unknown"}:
        raise typer.Exit(FAILED)
    if told.status == "not asked":
        raise typer.Exit(ATTENTION)


@app.command("spent")
def spent(
    cohort: _Cohort,
    voucher: Annotated[str, typer.Argument(help="A voucher that was spent in the book of literacy.")],
    amount: Annotated[str, typer.Argument(help="The part of the voucher that the cohort cost, such as 900.00.")],
    as_json: JsonFlag = False,
) -> None:
    """Say which part of a voucher a cohort cost."""
    from revenue_engine.departments.literacy import programme
    from revenue_engine.money import parse_wire, wire

    def work(session: Any) -> dict[str, Any]:
        minor = parse_wire(amount)
        programme.cost(session, cohort, voucher, amount_minor=minor)
        return {"cohort": cohort, "voucher": voucher, "amount": wire(minor)}

    _do(work, as_json=as_json)


@app.command("cost")
def cost(
    year: Annotated[str | None, typer.Option(help="Only this programme year.")] = None,
    behind: Annotated[bool, typer.Option("--rows", help="The vouchers behind the figures.")] = False,
    form: FormatOption = None,
    out_file: OutFile = None,
    as_json: JsonFlag = False,
) -> None:
    """What one enrolled and one certified learner cost, by sub-county."""
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction
    from revenue_engine.reports import literacy

    with answering(as_json=as_json):
        written_as = chosen(form, out_file, as_json=as_json)
        with transaction(bootstrap.engine("report")) as session:
            section = (
                literacy.behind_section(session, programme_year=year)
                if behind
                else literacy.place_section(session, programme_year=year)
            )
        give(section, written_as, out_file)


def _do(work: Callable[[Any], dict[str, Any]], *, as_json: bool) -> None:
    """Do one piece of work as the person who is signed in, and say what was kept."""
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction

    with answering(as_json=as_json), signing.signed_in():
        with transaction(bootstrap.engine("api")) as session:
            answer = work(session)
        _said(answer, as_json=as_json)


def _said(answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json({"ok": True, **answer})
        return
    for name, value in answer.items():
        out.print(f"{name:16} {value}", highlight=False)
