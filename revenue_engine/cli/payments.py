"""``payment find``: where a payment is, by what its payer has in hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from revenue_engine.cli import signing
from revenue_engine.cli.output import ATTENTION, JsonFlag, answering, out, print_json

if TYPE_CHECKING:
    from revenue_engine.reports.payment_search import Answer, FoundPayment

app = typer.Typer(help="Payments.", no_args_is_help=True)


@app.callback()
def _nouns() -> None:
    """Payments."""


@app.command("find")
def find(
    text: Annotated[
        list[str], typer.Argument(help="The provider's code, a plate, a phone, a bill's number, or the whole SMS.")
    ],
    as_json: JsonFlag = False,
) -> None:
    """Say where a payment is: on which bill, in suspense and why, taken back. Exit 3 where none is found, and why."""
    from revenue_engine import bootstrap
    from revenue_engine.access import scope
    from revenue_engine.db import transaction
    from revenue_engine.reports import payment_search

    with answering(as_json=as_json), signing.maybe_signed_in():
        with transaction(bootstrap.engine("api")) as session:
            answer = payment_search.find(session, " ".join(text), scope=scope.of_command(session))
        if as_json:
            print_json(_as_dict(answer))
        else:
            _say(answer)
        if not answer.found:
            raise typer.Exit(ATTENTION)


@app.command("move")
def move(
    code: Annotated[str, typer.Argument(help="The payment, by its provider's code or its public id.")],
    bill: Annotated[str, typer.Argument(help="The right bill, by its pay account number or its own number.")],
    reason: Annotated[str, typer.Option(help="Why the money belongs to this bill.")],
    as_json: JsonFlag = False,
) -> None:
    """Ask that the money of a payment moves to the right bill, from wherever it was placed. Another person agrees; then
    the wrong paper is cancelled and a new receipt is issued, with the date on which the payer paid."""
    from revenue_engine import bootstrap
    from revenue_engine.cli import signing
    from revenue_engine.collection import money_moves
    from revenue_engine.db import transaction

    with answering(as_json=as_json), signing.signed_in():
        with transaction(bootstrap.engine("api")) as session:
            public = money_moves.ask(session, code, bill, reason=reason)
        if as_json:
            print_json({"ok": True, "request": public})
        else:
            out.print(f"asked as {public}; another person: revenue-engine approval agree {public}", highlight=False)


@app.command("return")
def take_back(
    line: Annotated[str, typer.Argument(help="What the bank's line is known by, as its break shows.")],
    code: Annotated[str, typer.Argument(help="The deposit, by its provider's code or its public id.")],
    reason: Annotated[str, typer.Option(help="How you know that the line took this deposit back.")],
    as_json: JsonFlag = False,
) -> None:
    """Ask that a deposit be taken back by a bank's line that names none, such as a returned cheque. Another person
    agrees; then the receipt is cancelled and the bill is open again."""
    from revenue_engine import bootstrap
    from revenue_engine.cli import signing
    from revenue_engine.collection import returns
    from revenue_engine.db import transaction

    with answering(as_json=as_json), signing.signed_in():
        with transaction(bootstrap.engine("api")) as session:
            public = returns.ask(session, line, code, reason=reason)
        if as_json:
            print_json({"ok": True, "request": public})
        else:
            out.print(f"asked as {public}; another person: revenue-engine approval agree {public}", highlight=False)


def _as_dict(answer: Answer) -> dict[str, Any]:
    from revenue_engine import periods
    from revenue_engine.money import wire

    asked = answer.asked
    return {
        "asked": {"codes": list(asked.codes), "words": asked.words, "is_message": asked.is_message},
        "test_books": answer.test_books,
        "payments": [
            {
                "id": one.home.payment.id,
                "reference": one.home.payment.identity.reference,
                "kind": one.home.payment.identity.kind,
                "channel": one.channel,
                "amount": wire(one.home.payment.amount_minor),
                "occurred_at": one.home.payment.occurred_at.astimezone(periods.NAIROBI).isoformat(),
                "found_by": one.by,
                "where": list(one.home.lines),
                "papers": list(one.home.papers),
                "reversed_by": one.home.taken_back or None,
                "told_by": [told.message for told in one.told],
                "open_breaks": [other.public_id for other in one.home.breaks if other.closed_at is None],
            }
            for one in answer.found
        ],
        "told_only": answer.told_only,
        "warnings": answer.warnings,
        "not_there": answer.absent,
    }


def _say(answer: Answer) -> None:
    def line(words: str) -> None:
        out.print(words, highlight=False, markup=False, soft_wrap=True)

    if answer.test_books and answer.found:
        line("TEST BOOKS: what follows is no real money")
    for one in answer.found:
        for words in _lines(one):
            line(words)
    for words in (*answer.told_only, *answer.warnings, *answer.absent):
        line(words)


def _lines(one: FoundPayment) -> list[str]:
    from revenue_engine.money import grouped
    from revenue_engine.reports.payment_search import at

    payment = one.home.payment
    head = (
        f"{payment.identity.reference}  KES {grouped(payment.amount_minor)}  {at(payment.occurred_at)}  {one.channel}"
    )
    if one.by == "masked phone":
        head += "  (the phone is masked: another phone may end alike)"
    said = [head, *(f"  {words}" for words in one.home.lines)]
    if one.home.papers:
        said.append(f"  {', '.join(one.home.papers)}")
    if one.told:
        said.append("  told by " + ", ".join(f"{told.message} {at(told.recorded_at)}" for told in one.told))
    shown = " ".join(one.home.lines)
    said += [
        f"  break {other.number} ({other.owner}): {other.detail}"
        for other in one.home.breaks
        if other.closed_at is None and f"(break {other.number}," not in shown
    ]
    return said
