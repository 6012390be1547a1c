"""``reconcile run|reverse|ask|agree|left|day|settlement|policy|link``: money, its bills and its way to the bank."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from revenue_engine.cli import approvals, days, signing
from revenue_engine.cli.output import (
    ATTENTION,
    Format,
    FormatOption,
    JsonFlag,
    OutFile,
    answering,
    chosen,
    give,
    out,
    print_json,
    table_of,
    write,
)

app = typer.Typer(help="Money in suspense: find its bills, and take a match back.", no_args_is_help=True)
policy_app = typer.Typer(help="What runs may do: proposed, tried on history, activated.", no_args_is_help=True)
link_app = typer.Typer(help="Words that mean a payer.", no_args_is_help=True)
app.add_typer(policy_app, name="policy")
app.add_typer(link_app, name="link")


@app.command("run")
def run(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be applied, and write nothing.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Set money in suspense against its bills where that is certain. Exit 3 when some changed under the run."""
    from reconciliation.runs import running
    from revenue_engine import bootstrap
    from revenue_engine.access import sessions
    from revenue_engine.db import transaction

    with answering(as_json=as_json), signing.signed_in():
        with transaction(bootstrap.engine("api")) as session:
            sessions.must(session, "matching.run")
            by = sessions.whoami(session).login
        done = running.run(bootstrap.engine("worker"), by=by, dry_run=dry_run)
        matched = [
            {"payment": one.reference, "bill": part.number, "amount": _wire(part.amount_minor), "rung": part.rung}
            | {"why": part.why}
            for one in done.matched
            for part in one.parts
        ]
        manifest = {"policy": done.policy, "input": done.input_digest, "output": done.output_digest}
        head = {"ok": True, "run": done.run, "dry_run": dry_run, "bills": done.bills, "payments": done.payments}
        answer = head | done.figures() | {"matches": matched, "manifest": manifest}
        if as_json:
            print_json(answer)
        else:
            table = table_of("payment", "bill", "KES", "by", "why")
            for one in matched:
                table.add_row(one["payment"], one["bill"], one["amount"], one["rung"], one["why"])
            if matched:
                out.print(table)
            for name in ("payments", "matched", "matched_amount", "left", "left_amount", "suggestions"):
                out.print(f"{name.replace('_', ' '):16} {answer[name]}", highlight=False)
        if done.skipped:
            raise typer.Exit(ATTENTION)


def _wire(minor: int) -> str:
    from revenue_engine.money import wire

    return wire(minor)


@app.command("left")
def left(as_json: JsonFlag = False) -> None:
    """What the last run left and why, with the bills to choose from."""
    from reconciliation.runs import leftovers
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction

    with answering(as_json=as_json):
        with transaction(bootstrap.engine("api")) as session:
            listed = leftovers.listed(session)
        if as_json:
            print_json(listed)
            return
        table = table_of("payment", "KES", "why it was left", "best candidate", "for")
        for one in listed:
            best = one["suggestions"][0] if one["suggestions"] else {"bill": "", "why": ""}
            table.add_row(one["payment"], one["amount"], one["why"], best["bill"], best["why"])
        out.print(table)


@app.command("reverse")
def reverse(
    reference: Annotated[str, typer.Argument(help="The payment, by its provider's reference or its public id.")],
    reason: Annotated[str, typer.Option(help="Why the match is taken back.")],
    as_json: JsonFlag = False,
) -> None:
    """Ask that a payment's match be taken back. Once another person agrees, its money returns to suspense, and no run
    sets it against that bill again."""
    from reconciliation.runs import running
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction

    with answering(as_json=as_json), signing.signed_in():
        with transaction(bootstrap.engine("api")) as session:
            public = running.ask_back(session, reference, reason=reason)
        _asked(public, as_json=as_json)


@app.command("ask")
def ask(
    reference: Annotated[str, typer.Argument(help="The payment, by its provider's reference or its public id.")],
    bill: Annotated[str, typer.Argument(help="The bill's pay account number.")],
    reason: Annotated[str, typer.Option(help="Why the money belongs to this bill.")],
    as_json: JsonFlag = False,
) -> None:
    """Ask that money in suspense be set against a bill; another person agrees."""
    from reconciliation.runs import running
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction

    with answering(as_json=as_json), signing.signed_in():
        with transaction(bootstrap.engine("api")) as session:
            public = running.ask(session, reference, bill, reason=reason)
        _asked(public, as_json=as_json)


@app.command("set")
def set_proposed(
    reference: Annotated[str, typer.Argument(help="The payment, by its provider's reference or its public id.")],
    bill: Annotated[str, typer.Argument(help="The bill's pay account number, as 'reconcile left' proposes it.")],
    reason: Annotated[str, typer.Option(help="What you looked at.")],
    as_json: JsonFlag = False,
) -> None:
    """Set what the engine proposed at the exact amount, below your limit. Another person reviews what was set before
    the day closes: 'approval list --stands set', then 'approval agree'. Exit 3 while it waits for that."""
    from reconciliation.runs import running
    from revenue_engine import bootstrap
    from revenue_engine.access import approvals as requests
    from revenue_engine.db import transaction

    with answering(as_json=as_json), signing.signed_in():
        with transaction(bootstrap.engine("api")) as session:
            public = running.set_proposed(session, reference, bill, reason=reason)
        approvals.do_now()
        with transaction(bootstrap.engine("api")) as session:
            found = requests.one(session, public)
        if as_json:
            print_json({"ok": found.stands == "set", "request": public, "stands": found.stands, "why": found.why})
        else:
            out.print(f"{public}: {found.stands} {found.why or ''}".rstrip(), highlight=False)
        raise typer.Exit(ATTENTION)


@app.command("agree")
def agree(
    request: Annotated[str, typer.Argument(help="The request's id.")],
    shown: Annotated[str | None, typer.Option(help="The hash you were shown, or its beginning.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Agree to what another person asked for; the same as 'approval agree'."""
    approvals.agree([request], shown=shown, as_json=as_json)


def _asked(public: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"ok": True, "request": public})
    else:
        out.print(f"asked as {public}; another person: revenue-engine approval agree {public}", highlight=False)


def _said(answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    for name, value in answer.items():
        if name != "ok":
            out.print(f"{name.replace('_', ' '):16} {value}", highlight=False)


@app.command("verify")
def verify(
    certificate: Annotated[list[Path], typer.Argument(help="Certificates, or audit packs (.zip).")],
    export: Annotated[Path, typer.Option("--export", help="The folder that 'close export' wrote.")] = Path(),
    keys: Annotated[Path | None, typer.Option(help="Published keys that you trust; else those of the export.")] = None,
    county: Annotated[str, typer.Option(help="Refuse a certificate of another county.")] = "",
    origin: Annotated[str, typer.Option(help="Refuse a certificate of another chain.")] = "",
) -> None:
    """Check certificates from their exports alone: no database, no network. Exit 3 where not all could be checked."""
    from reconciliation.days import verify_certificate

    told = [*map(str, certificate), "--export", str(export), "--county", county, "--origin", origin]
    raise typer.Exit(verify_certificate.main(told + (["--keys", str(keys)] if keys else [])))


@app.command("day")
def day(
    on: Annotated[str, typer.Argument(metavar="DATE", help=days.DAY_HELP)],
    channel: Annotated[str, typer.Option(help="One channel account: 600100, or 'mpesa 600100'.")] = "",
    form: FormatOption = None,
    out_file: OutFile = None,
) -> None:
    """Three ways: what the books, the provider and the bank say of a day, and what waits. Exit 3: it does not tie."""
    from revenue_engine import bootstrap, periods
    from revenue_engine.db import transaction
    from revenue_engine.errors import InvalidValue
    from revenue_engine.reports import render, three_ways

    with answering(as_json=form is Format.JSON):
        written_as = chosen(form, out_file)
        wanted = days.day(on, field="date")
        if wanted is None or wanted > periods.today():
            raise InvalidValue(f"{wanted} has not come yet: lay today or an earlier day", field="date")
        with transaction(bootstrap.engine("report")) as session:
            report = three_ways.three_ways(session, wanted, channel=channel)
        write(render.render(report, written_as.value), out_file)
    if not report.ties:
        raise typer.Exit(ATTENTION)


@app.command("settlement")
def settlement(
    reference: Annotated[str, typer.Argument(help="The payout, as the provider's statement calls it.")],
    channel: Annotated[str, typer.Option(help="The channel account's number, where two have such a payout.")] = "",
    form: FormatOption = None,
    out_file: OutFile = None,
) -> None:
    """Take one settlement line apart: the payments it holds, each wholly or in part. Exit 3: some are not known."""
    from reconciliation.days import settlement_parts
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction
    from revenue_engine.reports import three_ways

    with answering(as_json=form is Format.JSON):
        written_as = chosen(form, out_file)
        with transaction(bootstrap.engine("report")) as session:
            found = settlement_parts.settlement(session, reference, channel=channel)
        give(three_ways.settlement(found), written_as, out_file)
    if found.unknown_minor:
        raise typer.Exit(ATTENTION)


@policy_app.command("show")
def show(
    digest: Annotated[str | None, typer.Argument(help="A proposed policy; the one in force if none is named.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """The policy in force, or a proposed one, with its digest."""
    from reconciliation.runs import policies
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction

    with answering(as_json=as_json):
        with transaction(bootstrap.engine("api")) as session:
            policy = policies.proposed(session, digest)[1] if digest else policies.active(session)
        _said({"ok": True, "policy": policy.digest(), **policies.settings_of(policy)}, as_json=as_json)


@policy_app.command("propose")
def propose(
    file: Annotated[Path, typer.Argument(help="JSON: the settings that change.", exists=True, dir_okay=False)],
    as_json: JsonFlag = False,
) -> None:
    """Propose a policy. Settings that the file does not name keep their standard value."""
    from reconciliation.runs import policies
    from revenue_engine import bootstrap
    from revenue_engine.access import audit, sessions
    from revenue_engine.db import transaction
    from revenue_engine.errors import InvalidValue

    with answering(as_json=as_json):
        try:
            settings = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InvalidValue(f"{file.name} is not JSON: {error}", file=file.name) from None
        if not isinstance(settings, dict):
            raise InvalidValue(f'{file.name} holds no settings: write it like {{"trust_payer": false}}', file=file.name)
        with signing.signed_in(), transaction(bootstrap.engine("api")) as session:
            sessions.must(session, "policy.ask")
            digest = policies.propose(session, settings, by=sessions.whoami(session).login)
            audit.record(session, action="policy.proposed", subject=digest)
        _said({"ok": True, "policy": digest}, as_json=as_json)


@policy_app.command("backtest")
def backtest(
    digest: Annotated[str, typer.Argument(help="The policy's digest, or its beginning.")], as_json: JsonFlag = False
) -> None:
    """Try a policy on confirmed history, beside the policy in force."""
    from reconciliation.runs import policies
    from revenue_engine import bootstrap
    from revenue_engine.access import audit, sessions
    from revenue_engine.db import transaction

    with answering(as_json=as_json):
        with signing.signed_in(), transaction(bootstrap.engine("api")) as session:
            sessions.must(session, "policy.ask")
            figures = policies.backtest(session, digest, by=sessions.whoami(session).login)
            audit.record(
                session,
                action="policy.tried",
                subject=figures["policy"],
                facts={"history": figures["history"]},
            )
        shown = {name: _ratio(value) if name.endswith(("precision", "recall")) else value
                 for name, value in figures.items()}  # fmt: skip
        if as_json:
            print_json({"ok": True, **shown})
        else:
            _said({name: value for name, value in shown.items() if name != "examples"}, as_json=False)


def _ratio(of_10000: int | None) -> str | None:
    return None if of_10000 is None else f"{of_10000 // 10_000}.{of_10000 % 10_000:04d}"


@policy_app.command("activate")
def activate(
    digest: Annotated[str, typer.Argument(help="The policy's digest, or its beginning.")],
    reason: Annotated[str, typer.Option(help="Why runs should use it.")] = "its trial on history",
    as_json: JsonFlag = False,
) -> None:
    """Ask that runs use a policy that was tried on history; another person agrees."""
    from reconciliation.runs import policies
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction

    with answering(as_json=as_json), signing.signed_in():
        with transaction(bootstrap.engine("api")) as session:
            public = policies.ask_activation(session, digest, reason=reason)
        _asked(public, as_json=as_json)


@link_app.command("list")
def listing(as_json: JsonFlag = False) -> None:
    """Words and the payers they mean: proposals first."""
    from reconciliation.runs import payer_links
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction

    with answering(as_json=as_json):
        with transaction(bootstrap.engine("api")) as session:
            found = payer_links.listed(session)
        if as_json:
            print_json([one._asdict() for one in found])
            return
        table = table_of("link", "state", "payer", "learnt from", "words")
        for one in found:
            table.add_row(*one)
        out.print(table)


@link_app.command("confirm")
def confirm(
    link: Annotated[str, typer.Argument(help="The link's id.")],
    reason: Annotated[str, typer.Option(help="How you know.")] = "known to us",
    as_json: JsonFlag = False,
) -> None:
    """Ask that these words mean this payer; another person agrees."""
    from reconciliation.runs import payer_links
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction

    with answering(as_json=as_json), signing.signed_in():
        with transaction(bootstrap.engine("api")) as session:
            public = payer_links.ask(session, link, reason=reason)
        _asked(public, as_json=as_json)


@link_app.command("refuse")
def refuse_link(link: Annotated[str, typer.Argument(help="The link's id.")], as_json: JsonFlag = False) -> None:
    """Say that these words do not mean this payer; it is never proposed again."""
    from reconciliation.runs import payer_links
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction

    with answering(as_json=as_json), signing.signed_in():
        with transaction(bootstrap.engine("api")) as session:
            payer_links.refuse(session, link)
        _said({"ok": True, "link": link, "state": "refused"}, as_json=as_json)
