"""``book``: the secondary ledgers: opened, ruled, derived, proved; and the way of a figure back to its postings."""

from __future__ import annotations

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
    chosen,
    err,
    give,
    out,
    print_json,
)

app = typer.Typer(help="Secondary ledgers: the directorates' own books.", no_args_is_help=True)
rule_app = typer.Typer(help="What a book counts, and how.", no_args_is_help=True)
fund_app = typer.Typer(help="What a book may spend.", no_args_is_help=True)
app.add_typer(rule_app, name="rule")
app.add_typer(fund_app, name="fund")

_Book = Annotated[str, typer.Argument(help="The book's code, such as ict.")]
_File = Annotated[Path, typer.Argument(help="A description in TOML.", exists=True, dir_okay=False)]
_First = Annotated[str | None, typer.Option("--from", help=f"First day: {days.DAY_HELP}.")]
_Last = Annotated[str | None, typer.Option("--to", help=f"Last day: {days.DAY_HELP}.")]
_Reason = Annotated[str, typer.Option(help="Why; the other person reads this.")]
_Thirtieth = Annotated[
    int | None,
    typer.Option(help="Only this thirtieth of all sources; one a night proves all in a month.", min=0, max=29),
]


@app.callback()
def _nouns() -> None:
    """Secondary ledgers."""


def _asked(publics: list[str], *, as_json: bool, **more: Any) -> None:
    if as_json:
        print_json({"ok": True, "requests": publics, **more})
        return
    for public in publics:
        out.print(f"asked as {public}; another person: revenue-engine approval agree {public}", highlight=False)


@app.command("describe")
def describe(book: Annotated[str, typer.Argument(help="ict, partnerships or literacy.")]) -> None:
    """Print the description of a shipped book: its chart and first rules, to change and bring with 'book add'."""
    from revenue_engine.errors import NotFound
    from revenue_engine.secondary_ledgers import descriptions

    with answering(as_json=False):
        if book not in descriptions.shipped():
            raise NotFound(f"no book {book!r} is shipped; there are: {', '.join(descriptions.shipped())}", book=book)
        typer.echo((descriptions.SHIPPED / f"{book}.toml").read_text(encoding="utf-8"), nl=False)


@app.command("add")
def add(file: _File, reason: _Reason, as_json: JsonFlag = False) -> None:
    """Ask that a book be opened with its chart. Once another person agreed, propose its rules."""
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction
    from revenue_engine.secondary_ledgers import books, descriptions

    with answering(as_json=as_json), signing.signed_in():
        described = descriptions.book(file)
        with transaction(bootstrap.engine("api")) as session:
            public = books.ask(session, described, reason=reason)
        _asked([public], as_json=as_json)


@app.command("list")
def listing(form: FormatOption = None, out_file: OutFile = None, as_json: JsonFlag = False) -> None:
    """The books there are."""
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction
    from revenue_engine.reports import secondary_ledgers as lists

    with answering(as_json=as_json):
        written_as = chosen(form, out_file, as_json=as_json)
        with transaction(bootstrap.engine("report")) as session:
            section = lists.book_section(session)
        give(section, written_as, out_file)


@app.command("derive")
def derive(
    book: Annotated[str | None, typer.Argument(help="The book's code; all books if none is named.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Count in a book what became final in the revenue ledger since the last time. Exit 1 where a rule is missing."""
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction
    from revenue_engine.secondary_ledgers import books, deriving

    with answering(as_json=as_json):
        engine = bootstrap.engine("worker")
        with transaction(engine) as session:
            codes = [book] if book else [one.code for one in books.listed(session)]
        done = []
        for code in codes:  # a transaction each: what one book cannot derive keeps no other back
            with transaction(engine) as session:
                found = deriving.derive(session, code)
            closed = [day.isoformat() for day in found.closed[-1:]]
            done.append({"book": code, "entries": found.entries, "lines": found.lines, "closed_to": "".join(closed)})
        if as_json:
            print_json({"ok": True, "books": done})
            return
        for one in done:
            out.print(f"{one['book']:16} {one['entries']} postings, {one['lines']} lines", highlight=False)


@app.command("rebuild")
def rebuild(book: _Book, thirtieth: _Thirtieth = None, as_json: JsonFlag = False) -> None:
    """Derive a book from nothing beside itself and compare the digests. Exit 1 where they differ."""
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction
    from revenue_engine.secondary_ledgers import proof

    with answering(as_json=as_json):
        with transaction(bootstrap.engine("worker")) as session:
            horizon, rebuilt, stands = proof.rebuild(session, book, thirtieth=thirtieth)
        if as_json:
            print_json({"ok": rebuilt == stands, "horizon": horizon, "rebuilt": rebuilt, "book": stands})
        else:
            out.print(f"rebuilt  {rebuilt}\nbook     {stands}", highlight=False)
    if rebuilt != stands:
        err.print(f"the book differs: revenue-engine book prove {book}", highlight=False)
        raise typer.Exit(FAILED)


@app.command("prove")
def prove(
    book: _Book,
    thirtieth: _Thirtieth = None,
    form: FormatOption = None,
    out_file: OutFile = None,
    as_json: JsonFlag = False,
) -> None:
    """What the sources and the rules make, and what the book holds, by rule and day; every difference typed. Exit 1
    where the book does not hold."""
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction
    from revenue_engine.reports import lists
    from revenue_engine.reports import secondary_ledgers as sections
    from revenue_engine.secondary_ledgers import proof

    with answering(as_json=as_json):
        written_as = chosen(form, out_file, as_json=as_json)
        with transaction(bootstrap.engine("worker")) as session:
            found = proof.prove(session, book, thirtieth=thirtieth)
        if as_json:
            print_json(
                {
                    "ok": found.holds,
                    "rebuilt": found.rebuilt_digest,
                    "book": found.book_digest,
                    "found": found.found,
                    "table": lists.plain(sections.proof_section(found)),
                    "discrepancies": lists.plain(sections.discrepancy_section(found)),
                }
            )
        else:
            give(sections.proof_section(found), written_as, out_file)
            if found.discrepancies:
                give(sections.discrepancy_section(found), chosen(None, None), None)
    if not found.holds:
        raise typer.Exit(FAILED)


@app.command("balance")
def balance(
    book: _Book,
    on: Annotated[str | None, typer.Option(help=f"Last day counted: {days.DAY_HELP}.")] = None,
    form: FormatOption = None,
    out_file: OutFile = None,
    as_json: JsonFlag = False,
) -> None:
    """The trial balance of a book."""
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction
    from revenue_engine.reports import secondary_ledgers as lists

    with answering(as_json=as_json):
        written_as, upto = chosen(form, out_file, as_json=as_json), days.day(on, field="on")
        with transaction(bootstrap.engine("report")) as session:
            section = lists.balance_section(session, book, upto=upto)
        give(section, written_as, out_file)


@app.command("cell")
def cell(
    book: _Book,
    account: Annotated[str | None, typer.Option(help="Only this account.")] = None,
    rule: Annotated[str | None, typer.Option(help="Only this rule.")] = None,
    first: _First = None,
    last: _Last = None,
    limit: Annotated[int, typer.Option(help="Rows told at most.", min=1, max=1_000_000)] = 1000,
    form: FormatOption = None,
    out_file: OutFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Which postings, payments and deliveries a figure is made of, and by which version of which rule. Exit 3 where
    there are more rows than are told."""
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction
    from revenue_engine.reports import secondary_ledgers as lists

    with answering(as_json=as_json):
        written_as = chosen(form, out_file, as_json=as_json)
        begin, end = days.span(first, last)
        with transaction(bootstrap.engine("report")) as session:
            section = lists.cell_section(session, book, account=account, rule=rule, first=begin, last=end, limit=limit)
        give(section, written_as, out_file)
        if section.note:
            err.print(section.note, highlight=False)
    if section.note:
        raise typer.Exit(ATTENTION)


@app.command("remap")
def remap(
    book: _Book,
    rule: Annotated[str, typer.Argument(help="The rule's code.")],
    first: Annotated[str, typer.Option("--from", help=f"First day: {days.DAY_HELP}.")],
    last: Annotated[str, typer.Option("--to", help=f"Last day: {days.DAY_HELP}.")],
    reason: _Reason,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be touched.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Ask that days of a rule be reversed and derived by the version in force; what stands is never changed."""
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction
    from revenue_engine.errors import InvalidValue
    from revenue_engine.secondary_ledgers import remaps

    with answering(as_json=as_json):
        begin, end = days.span(first, last)
        if begin is None or end is None:
            raise InvalidValue("say the first and the last day", field="from")
        if dry_run:
            with transaction(bootstrap.engine("report")) as session:
                print_json({"ok": True, **remaps.report(session, book, rule, first=begin, last=end)})
            return
        with signing.signed_in(), transaction(bootstrap.engine("api")) as session:
            public = remaps.ask(session, book, rule, first=begin, last=end, reason=reason)
        _asked([public], as_json=as_json)


@rule_app.command("propose")
def propose(book: _Book, file: _File, reason: _Reason, as_json: JsonFlag = False) -> None:
    """Propose the rules of a file, all or none; each shows what it would have made of the last 30 days."""
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction
    from revenue_engine.money import wire
    from revenue_engine.secondary_ledgers import descriptions, rules

    with answering(as_json=as_json), signing.signed_in():
        with transaction(bootstrap.engine("api")) as session:
            asked = [rules.ask(session, book, one, reason=reason) for one in descriptions.rules(file)]
        if not as_json:
            for _, shown in asked:
                legs = [f"{leg['debit']} from {leg['credit']} KES {wire(leg['minor'])}" for leg in shown["then"]]
                out.print(
                    f"{shown['first']} to {shown['last']}: {shown['postings']} postings of KES"
                    f" {wire(shown['matched_minor'])} would make {'; '.join(legs) or 'nothing'}",
                    highlight=False,
                    soft_wrap=True,
                )
        _asked([public for public, _ in asked], as_json=as_json, previews=[shown for _, shown in asked])


@rule_app.command("list")
def rule_list(book: _Book, form: FormatOption = None, out_file: OutFile = None, as_json: JsonFlag = False) -> None:
    """The rules of a book, every version."""
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction
    from revenue_engine.reports import secondary_ledgers as lists

    with answering(as_json=as_json):
        written_as = chosen(form, out_file, as_json=as_json)
        with transaction(bootstrap.engine("report")) as session:
            section = lists.rule_section(session, book)
        give(section, written_as, out_file)


@fund_app.command("show")
def fund_show(book: _Book, form: FormatOption = None, out_file: OutFile = None, as_json: JsonFlag = False) -> None:
    """What a book may spend, and what is only a claim."""
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction
    from revenue_engine.reports import secondary_ledgers as lists

    with answering(as_json=as_json):
        written_as = chosen(form, out_file, as_json=as_json)
        with transaction(bootstrap.engine("report")) as session:
            section = lists.fund_section(session, book)
        give(section, written_as, out_file)


@fund_app.command("ask")
def fund_ask(
    book: _Book,
    kind: Annotated[str, typer.Argument(help="exchequer_issue, commitment, release or expense.")],
    amount: Annotated[str, typer.Argument(help="Shillings, such as 1250.00.")],
    reference: Annotated[str, typer.Option(help="The exchequer issue, order or voucher.")],
    fund_class: Annotated[str, typer.Option("--class", help="appropriated or earmarked.")],
    debit: Annotated[str, typer.Option(help="Account debited.")],
    credit: Annotated[str, typer.Option(help="Account credited.")],
    reason: _Reason,
    claim_debit: Annotated[str | None, typer.Option(help="Of an issue: account on which the claim ends.")] = None,
    claim_credit: Annotated[str | None, typer.Option(help="Of an issue: account on which the claim stood.")] = None,
    commitment: Annotated[str | None, typer.Option(help="The order that is released or spent.")] = None,
    on: Annotated[str | None, typer.Option(help=f"Day: {days.DAY_HELP}.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Ask that money be issued, committed, released or spent; another person agrees. A claim is never spent."""
    from revenue_engine import bootstrap
    from revenue_engine.db import transaction
    from revenue_engine.money import parse_wire
    from revenue_engine.secondary_ledgers import funds

    with answering(as_json=as_json), signing.signed_in():
        described = {
            "kind": kind,
            "fund_class": fund_class,
            "debit": debit,
            "credit": credit,
            "reference": reference,
            "claim_debit": claim_debit,
            "claim_credit": claim_credit,
            "commitment": commitment,
            "amount_minor": parse_wire(amount),
            "book_date": days.day(on, field="on"),
        }
        with transaction(bootstrap.engine("api")) as session:
            public = funds.ask(session, book, described, reason=reason)
        _asked([public], as_json=as_json)
