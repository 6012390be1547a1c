"""``callback ...``: what a provider's body means, and deliveries sent, followed and read again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from revenue_engine.cli.output import ATTENTION, FAILED, answering, err, out, print_json
from revenue_engine.cli.purposes import PurposeName
from revenue_engine.errors import NotFound

if TYPE_CHECKING:
    from revenue_engine.reports.homes import Followed

app = typer.Typer(help="Deliveries from providers.", no_args_is_help=True)


@app.callback()
def _nouns() -> None:
    """Deliveries from providers."""


@app.command("parse")
def parse(
    file: Annotated[Path, typer.Argument(help="The body as it was posted.", exists=True, dir_okay=False)],
    channel: Annotated[str, typer.Option("--channel", "-c", help="The provider whose body it is, such as mpesa.")],
    purpose: Annotated[PurposeName | None, typer.Option(help="What its endpoint was registered for.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Answer as JSON.")] = False,
) -> None:
    """Say what a callback body means. Exit 3 when it cannot be understood."""
    from revenue_engine import bootstrap
    from revenue_engine.ports.callbacks import Purpose, Unknown, as_wire

    with answering(as_json=as_json):
        adapters = bootstrap.adapters()
        if channel not in adapters:
            raise NotFound(f"no adapter {channel!r}; installed: {', '.join(sorted(adapters))}", channel=channel)
        meaning = adapters[channel].interpret(file.read_bytes(), purpose=Purpose(purpose) if purpose else None)
        answer = as_wire(meaning)
        if as_json:
            print_json(answer)
        else:
            for name, value in answer.items():
                if value is not None:
                    out.print(f"[bold]{name.replace('_', ' '):18}[/] {value}", highlight=False)
        if isinstance(meaning, Unknown):
            raise typer.Exit(ATTENTION)


@app.command("list")
def listing(
    state: Annotated[str | None, typer.Option(help="posted, evidence, ignored, waiting, dead or pending")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most this many, newest first.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Answer as JSON.")] = False,
) -> None:
    """List deliveries, how each stands, and where its money went."""
    from revenue_engine import bootstrap
    from revenue_engine.channels import deliveries
    from revenue_engine.db import transaction
    from revenue_engine.reports import homes

    with answering(as_json=as_json):
        wanted = deliveries.state_named(state)
        with transaction(bootstrap.engine("api")) as session:
            found = homes.followed(session, deliveries.standing(session, state=wanted, limit=limit))
        if as_json:
            print_json([_as_dict(one) for one in found])
            return
        for one in found:
            out.print(_line(one, "%d %b %H:%M:%S"), highlight=False, markup=False, soft_wrap=True)
        if not found:
            out.print("no delivery" + (f" is {wanted}" if wanted else " yet"), highlight=False)


def _as_dict(one: Followed) -> dict[str, Any]:
    from dataclasses import asdict

    from revenue_engine.money import wire

    return {**asdict(one.delivery), "amount": None if one.minor is None else wire(one.minor), "home": one.home}


def _line(one: Followed, clock: str) -> str:
    from revenue_engine import periods

    told = one.delivery
    at = told.received_at.astimezone(periods.NAIROBI).strftime(clock)
    words = " ".join(filter(None, (told.reason, one.home)))
    proof = "" if told.verdict == "accepted" else f" {told.verdict}"
    return f"{told.id:>7} {at} {told.account} {told.purpose}{proof} {told.state} {words}".rstrip()


@app.command("replay")
def replay(
    delivery: Annotated[int, typer.Argument(help="The delivery's number, from 'callback list'.")],
    as_json: Annotated[bool, typer.Option("--json", help="Answer as JSON.")] = False,
) -> None:
    """Read a delivery again, by today's settings; a payment that stands is never posted twice."""
    from revenue_engine import bootstrap
    from revenue_engine.channels import deliveries
    from revenue_engine.collection import pipeline
    from revenue_engine.db import transaction
    from revenue_engine.ports.callbacks import Purpose
    from revenue_engine.work import jobs
    from revenue_engine.work.kinds import Kind

    with answering(as_json=as_json):
        with transaction(bootstrap.engine("api")) as session:
            purpose = deliveries.purpose_of(session, delivery)
            kind = Kind.STATEMENT if purpose == Purpose.STATEMENT else Kind.INTERPRET
            jobs.replay(session, kind=kind, ref_id=delivery)
        with transaction(bootstrap.engine("worker")) as session:  # bodies and proofs are the worker's to read
            today = pipeline.proof_today(
                session, delivery, bootstrap.adapters(), secrets_dir=bootstrap.settings().secrets_dir
            )
        proof = "" if today is None else "accepted" if today.accepted else f"refused: {today.reason}"
        if as_json:
            print_json({"ok": True, "delivery": delivery, "proof_today": proof or None})
        else:
            out.print(f"delivery {delivery} will be read again by the next worker", highlight=False)
            if proof:
                out.print(f"its proof today: {proof}", highlight=False, markup=False, soft_wrap=True)


@app.command("send")
def send(
    address: Annotated[str, typer.Argument(help="The callback address, as 'channel add' printed it.")],
    file: Annotated[
        Path | None, typer.Argument(help="A body; the adapter's example when none.", exists=True, dir_okay=False)
    ] = None,
    channel: Annotated[str | None, typer.Option("--channel", "-c", help="The provider to play, such as kcb.")] = None,
    identifier: Annotated[str | None, typer.Option(help="Its test account, whose test key signs.")] = None,
    header: Annotated[list[str] | None, typer.Option("--header", "-H", help="One more header, 'name: value'.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Answer as JSON.")] = False,
) -> None:
    """Post a body to a callback address, signed as the provider would when the account's test key is at hand."""
    import httpx2

    from revenue_engine import bootstrap
    from revenue_engine.cli import onboarding
    from revenue_engine.errors import InvalidValue, Retryable
    from revenue_engine.ports.callbacks import Signed

    with answering(as_json=as_json):
        sent = Signed(file.read_bytes() if file is not None else b"", {})
        if channel is not None and identifier is not None:
            adapters = bootstrap.adapters()
            if channel not in adapters:
                raise NotFound(f"no adapter {channel!r}; installed: {', '.join(sorted(adapters))}", channel=channel)
            rehearsal = onboarding.test_rehearsal(bootstrap.settings(), adapters[channel], identifier)
            sent = rehearsal.sign(sent.body if file is not None else rehearsal.example)
        elif file is None:
            raise InvalidValue("give a file, or --channel and --identifier for the adapter's example", field="file")
        extra = dict(pair.partition(":")[::2] for pair in header or ())
        headers = {"content-type": "application/json", **sent.headers, **{n: v.strip() for n, v in extra.items()}}
        try:
            reply = httpx2.post(address, content=sent.body, headers=headers, timeout=15)
        except httpx2.HTTPError as error:
            raise Retryable(f"the address does not answer: {type(error).__name__}") from None
        if as_json:
            print_json({"status": reply.status_code, "answer": reply.text, "signed": sorted(sent.headers)})
        else:
            out.print(f"{reply.status_code} {reply.text}", highlight=False, markup=False, soft_wrap=True)
        if not reply.is_success:
            raise typer.Exit(FAILED)


@app.command("tail")
def tail(
    count: Annotated[int | None, typer.Option(min=1, help="End after so many lines.")] = None,
    seconds: Annotated[float | None, typer.Option(min=0, help="End after so long.")] = None,
    since_start: Annotated[bool, typer.Option("--all", help="Begin with the newest fifty.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Follow deliveries as they come: how each ended, and on which bill or in what suspense its money is."""
    import json
    import time

    from revenue_engine import bootstrap
    from revenue_engine.channels import deliveries
    from revenue_engine.db import transaction
    from revenue_engine.reports import homes

    shown: dict[int, str] = {}
    printed, started = 0, time.monotonic()
    with answering(as_json=as_json):
        with transaction(bootstrap.engine("api")) as session:
            begin = deliveries.last_number(session)
        err.print(f"following after delivery {begin}; Ctrl-C ends", style="dim", highlight=False)
        after = max(0, begin - 50) if since_start else begin
        while True:
            with transaction(bootstrap.engine("api")) as session:
                newest = deliveries.standing(session, after=after, limit=50)
                changed = [one for one in reversed(newest) if shown.get(one.id) != one.state]
                told = homes.followed(session, changed)
            for one in told:
                shown[one.delivery.id] = one.delivery.state
                printed += 1
                if as_json:
                    typer.echo(json.dumps(_as_dict(one), default=str))
                else:
                    out.print(_line(one, "%H:%M:%S"), highlight=False, markup=False, soft_wrap=True)
                if count is not None and printed >= count:
                    return
            if seconds is not None and time.monotonic() - started >= seconds:
                if not as_json:
                    err.print(f"{printed} lines", highlight=False)
                return
            time.sleep(0.5)
