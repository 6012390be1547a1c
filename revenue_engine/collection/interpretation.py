"""What a delivery means: one movement or many, a callback's, an answer's or a statement's, as facts about money."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, time

from sqlalchemy.orm import Session

from revenue_engine import payments, periods
from revenue_engine.channels import deliveries
from revenue_engine.channels.accounts import Channel
from revenue_engine.channels.deliveries import Arrived
from revenue_engine.collection import bank_words
from revenue_engine.money import wire
from revenue_engine.payments import Fact, Identity
from revenue_engine.payments.evidence import STATEMENT_MESSAGE
from revenue_engine.ports.callbacks import (
    FILES,
    CallbackAdapter,
    Ignored,
    Interpretation,
    Kind,
    ManyAdapter,
    Paid,
    Party,
    Purpose,
    Reversed,
    Strength,
    Unknown,
)
from revenue_engine.ports.statements import StatementLine, StatementOpened, StatementReader, one_by_one, pick, proved

REPORT_MESSAGE = "Report without balances"
"""What evidence from a report is called whose sums nothing proves (an intraday report, a credit advice)."""


def meanings(arrived: Arrived, adapter: CallbackAdapter) -> Sequence[Interpretation]:
    """What each movement told of in a delivery means, in its order. One that tells of none has one meaning too."""
    purpose = Purpose(arrived.purpose)
    if purpose in {Purpose.PULL, Purpose.QUERY} and isinstance(adapter, ManyAdapter):
        return adapter.interpret_all(arrived.body, purpose=purpose)
    return (adapter.interpret(arrived.body, purpose=purpose),)


def fact(arrived: Arrived, channel: Channel, item: int, meaning: Paid | Reversed) -> Fact:
    """What was understood, as a fact of a channel account: the n-th of its delivery."""
    if isinstance(meaning, Paid):
        kind, reverses, typed, party = meaning.kind.value, "", meaning.account_reference, meaning.party
        names = meaning.also_known_as
    else:
        kind, reverses, typed, party, names = Kind.REVERSAL.value, meaning.reverses, "", Party(), ()
    return Fact(
        delivery_id=arrived.id,
        item=item,
        identity=Identity(channel.id, kind, meaning.reference),
        message=meaning.message,
        amount_minor=meaning.amount_minor,
        currency=meaning.currency,
        occurred_at=arrived.received_at if meaning.occurred_at is None else meaning.occurred_at,
        received_at=arrived.received_at,
        strength=meaning.strength,
        request_id=meaning.request_id,
        reverses=reverses,
        typed=typed,
        party=party,
        also_known_as=names,
    )


def undecided(session: Session, arrived: Arrived) -> list[Fact]:
    """What a kept statement told of and could not decide: reversals, whose payments another worker may have recorded at
    that very moment."""
    return [
        Fact(
            delivery_id=one.delivery_id,
            item=one.item,
            identity=one.identity,
            message=one.message,
            amount_minor=one.amount_minor,
            currency=one.currency,
            occurred_at=one.occurred_at,
            received_at=arrived.received_at,
            strength=one.strength,
            reverses=one.reverses,
        )
        for one in payments.reversals_undecided(session, arrived.id)
    ]


def line_reference(line: StatementLine) -> str:
    """The reference that makes a statement's movement itself: the provider's, or one made of what the bank does give.

    A bank that gives no reference, or gives one twice, does not promise that it is unique: the day and which of equal
    lines it is make it so. ``naming`` says what it is known by where another line bears that name.
    """
    if line.reference:
        return line.reference if line.occurrence == 1 else f"{line.reference}#{line.occurrence}"
    return f"{line.booked_on:%Y%m%d}-{line.key().hex()[:20].upper()}"


def instant_of(line: StatementLine) -> datetime:
    """When a line's money moved; of a bank that gives days only, the first instant of its day in Nairobi."""
    return line.occurred_at or datetime.combine(line.booked_on, time(), tzinfo=periods.NAIROBI)


def of_line(line: StatementLine, opened: StatementOpened, name: str = "") -> Interpretation:
    """What one line of a proved statement means for the account it is of; ``name`` is what its movement is known by."""
    name = name or line_reference(line)
    if not line.counts:
        return Ignored(f"line {line.number} moved no money")
    if not line.amount_minor:
        return Ignored(f"line {line.number} has an amount of nothing")
    credit = line.amount_minor > 0
    kind = bank_words.kind_of(line)
    at = instant_of(line)
    if kind is Kind.PAYOUT and credit:
        return Ignored(f"line {line.number} moved money between accounts of ours")
    if kind is Kind.REVERSAL and not credit:
        return Reversed(
            reference=name,
            reverses=line.reverses,
            amount_minor=-line.amount_minor,
            occurred_at=at,
            currency=opened.currency,
            strength=Strength.PROVES,
            message=STATEMENT_MESSAGE,
        )
    if kind is Kind.REVERSAL or credit is not (kind is Kind.PAYMENT):
        way = "in" if credit else "out"
        return Unknown(
            f"line {line.number} of the statement is a {kind} with money going {way}: {wire(abs(line.amount_minor))}"
        )
    return Paid(
        reference=name,
        amount_minor=abs(line.amount_minor),
        occurred_at=at,
        currency=opened.currency,
        kind=kind,
        account_reference=line.account_reference or line.text,
        strength=Strength.PROVES,
        message=STATEMENT_MESSAGE,
        party=line.party,
    )


def of_report(line: StatementLine, opened: StatementOpened, name: str = "") -> Interpretation:
    """What one line of a report without balances means: a payment with a reference supports, all else waits for the
    statement that adds up."""
    told = of_line(line, opened, name)
    if isinstance(told, Paid) and told.kind is Kind.PAYMENT and line.reference:
        return replace(told, strength=Strength.SUPPORTS, message=REPORT_MESSAGE)
    return Ignored(f"line {line.number} waits for a statement that adds up")


def reread(
    session: Session,
    wanted: Collection[tuple[int, int]],
    channels: Mapping[int, Channel],
    adapters: Mapping[str, CallbackAdapter],
    readers: Mapping[str, StatementReader],
) -> Iterator[Fact]:
    """Facts read again from their raw deliveries, by (delivery id, item): what a payer typed stands nowhere else."""
    by_delivery: dict[int, set[int]] = {}
    for delivery_id, item in wanted:
        by_delivery.setdefault(delivery_id, set()).add(item)
    for arrived in deliveries.arrived(session, list(by_delivery)) if by_delivery else ():
        channel = channels[arrived.channel_account_id]
        items = by_delivery[arrived.id]
        if arrived.purpose in FILES:
            told: Iterator[tuple[int, Interpretation]] = _lines_again(session, arrived, readers, items)
        else:
            told = iter(enumerate(meanings(arrived, adapters[channel.adapter])))
        for item, meaning in told:
            if item in items and isinstance(meaning, Paid | Reversed):
                yield fact(arrived, channel, item, meaning)


def _lines_again(
    session: Session, arrived: Arrived, readers: Mapping[str, StatementReader], items: Collection[int]
) -> Iterator[tuple[int, Interpretation]]:
    name = deliveries.filename(session, arrived.id)
    stream = io.BytesIO(arrived.body)
    reader = pick(readers, stream, name)
    opened: StatementOpened | None = None
    for event in one_by_one(proved(reader.read(stream, filename=name))):
        if isinstance(event, StatementOpened):
            opened = event
        elif isinstance(event, StatementLine) and opened is not None and event.number in items:
            yield event.number, of_line(event, opened)
