"""What a channel paid out and the bank shows: the same money, so it is moved once and never taken for a new payment.

Either statement may come first. A bank's credit is a settlement when it carries the reference and has the amount of a
payout that waits, or names one of our own channel accounts and no bill. It is moved when the bank shows it, whether the
channel has told of it or not: what it has not told of yet is a break until it does.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy.orm import Session

from reconciliation import break_keys, breaks, ladder
from reconciliation.breaks import BreakReason, NewBreak
from revenue_engine import ledger, payments, periods
from revenue_engine.billing import open_bills
from revenue_engine.channels.accounts import Channel
from revenue_engine.collection import disagreements, outflows, reversals
from revenue_engine.collection.batch import Batch
from revenue_engine.collection.interpretation import instant_of
from revenue_engine.db import raw
from revenue_engine.ledger import postings
from revenue_engine.payments import Fact, Identity, Stored
from revenue_engine.payments.evidence import STATEMENT_MESSAGE
from revenue_engine.ports.callbacks import Kind, Reversed, Strength
from revenue_engine.ports.statements import StatementLine, StatementOpened
from revenue_engine.treasury import bank_accounts, payouts

_WORD = re.compile(r"[A-Z0-9]{5,}")
_LEAST_IDENTIFIER = 5
"""Characters of a short code: a shorter number in a narrative is anything."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A payout that no bank has shown, or a bank's credit whose payout no channel has told."""

    key: str
    channel_account_id: int
    amount_minor: int
    payment_id: int | None
    """The payment that holds a bank's credit in suspense, where the credit was not settled."""

    @property
    def reference(self) -> str:
        """What the movement is known by."""
        return self.key.split(":", 2)[-1]

    @property
    def credit(self) -> tuple[int, str]:
        """The bank's channel account and the credit's reference, where the credit was settled."""
        return int(self.key.split(":", 2)[1]), self.reference


def bank_credits(
    session: Session,
    batch: Batch,
    bank: Channel,
    channels: Mapping[int, Channel],
    lines: Sequence[tuple[StatementLine, str]],
) -> set[int]:
    """Settle the credits among a bank's lines (each with the reference it is known by) that come from our own channels.

    A credit is a settlement where a payout of its amount waits for it, or where a field that only the bank writes names
    the channel. A short code in the payer's words alone makes no settlement: ``held_for_channels`` says what becomes of
    it. Returns the numbers of the lines that are no payments.
    """
    judged = outflows.judge(session, batch, bank, lines)
    shown = [
        (line, name)
        for line, name in lines
        if line.counts and line.kind is None and line.amount_minor > 0 and line.number not in judged
    ]
    if not shown:
        return judged
    before = settled(session, bank.id, [name for _, name in shown])
    waiting = _waiting(session, BreakReason.SETTLEMENT_NOT_BANKED)
    ours = {
        channel.identifier.upper(): channel
        for channel in channels.values()
        if channel.id != bank.id and channel.mode == bank.mode and len(channel.identifier) >= _LEAST_IDENTIFIER
    }
    ours_named = [(line, name) for line, name in shown if words(line) & ours.keys()]
    for_bills = _naming_bills(session, [line for line, _ in ours_named]) | _paying_bills(session, bank.id, ours_named)
    handled = set(judged)
    for line, name in shown:
        if name in before:  # told again, in other words: another payout of its amount still waits
            handled.add(line.number)
            continue
        said = words(line)
        fits = [one for one in waiting if one.amount_minor == line.amount_minor and one.channel_account_id != bank.id]
        chosen = [one for one in fits if one.reference in said]
        named = next((ours[word] for word in sorted(said & ours.keys())), None)
        if not chosen and named is not None and line.number not in for_bills:
            chosen = [one for one in fits if one.channel_account_id == named.id]
        sources = {one.channel_account_id for one in chosen}
        if not chosen and named is not None and line.number not in for_bills:
            if named.identifier.upper() not in words_of_bank(line):
                batch.named_channels[name] = named  # a payer may write that too: a payout is awaited
                continue
            sources = {named.id}
        if len(sources) != 1:
            continue
        source = channels[sources.pop()]
        _settle(session, bank, source, name, line.amount_minor, instant_of(line))
        if chosen:  # payouts of one amount and channel are alike: the oldest is the first to arrive
            waiting.remove(chosen[0])
            payouts.note(
                session,
                bank=(bank.id, name),
                payout=(source.id, chosen[0].reference),
                amount_minor=line.amount_minor,
            )
            breaks.close_many(session, [chosen[0].key], resolution=f"the bank shows the payout as {name}")
        else:
            batch.opened.append(_not_told(bank, source, name, line))
        handled.add(line.number)
    return handled


class Legs(NamedTuple):
    """Lines of a channel's statement that move money between accounts of ours, by their numbers."""

    legs: frozenset[int]
    """Every line of such a movement."""
    moved_nothing: frozenset[int]
    """Those that another one of the same receipt takes back: what is left of them is what left the channel."""


def between_our_accounts(lines: Sequence[tuple[StatementLine, str]]) -> Legs:
    """Tell the legs of a sweep apart from what left the channel; each line with the reference it is known by.

    A channel's statement shows a sweep leg by leg, from one account of ours in it to the next, and only the last leg
    pays our bank. Legs bear one receipt and cancel out to the cent; a payout that no leg takes back is a settlement. Of
    equal ones the one that bears the receipt itself is left.
    """
    groups: dict[tuple[str, date, int], tuple[list[tuple[StatementLine, str]], list[int]]] = {}
    for line, name in lines:
        if line.kind is Kind.PAYOUT and line.counts and line.reference:
            key = (line.reference, line.booked_on, abs(line.amount_minor))
            out, back = groups.setdefault(key, ([], []))
            if line.amount_minor < 0:
                out.append((line, name))
            else:
                back.append(line.number)
    legs: set[int] = set()
    nothing: set[int] = set()
    for out, back in groups.values():
        if not out or not back:
            continue
        out.sort(key=lambda one: (one[1] != one[0].reference, one[1]), reverse=True)
        legs.update(back, (line.number for line, _ in out))
        nothing.update(back, (line.number for line, _ in out[: len(back)]))
    return Legs(frozenset(legs), frozenset(nothing))


def settled(session: Session, bank_id: int, names: Iterable[str]) -> set[str]:
    """Which of a bank's credits, by what they are known by, are settlements that were moved already."""
    keys = {_settled_key(bank_id, name): name for name in names}
    rows = raw(session).execute("SELECT key FROM journal WHERE key = ANY(%s)", (sorted(keys),)) if keys else ()
    return {keys[row[0]] for row in rows}


def _settled_key(bank_id: int, name: str) -> str:
    return f"settled:{bank_id}:{name}"


def no_payment(line: StatementLine, opened: StatementOpened, name: str) -> Reversed:
    """The taking back of a payment that a message told of, and the bank shows to be a settlement."""
    return Reversed(
        reference=f"{name}/SETTLEMENT",
        reverses=name,
        amount_minor=line.amount_minor,
        occurred_at=instant_of(line),
        currency=opened.currency,
        strength=Strength.PROVES,
        message=STATEMENT_MESSAGE,
    )


def _naming_bills(session: Session, lines: Sequence[StatementLine]) -> set[int]:
    """The numbers of the lines whose words hold a pay account number of ours: those are paid by somebody."""
    if not lines:
        return set()
    read = {line.number: ladder.numbers_typed(f"{line.account_reference} {line.text}") for line in lines}
    found = open_bills.numbers(session, (number for numbers in read.values() for number in numbers))
    known = found.bills.keys() | found.standing.keys()
    return {place for place, numbers in read.items() if known & set(numbers)}


def _paying_bills(session: Session, bank_id: int, lines: Sequence[tuple[StatementLine, str]]) -> set[int]:
    """The numbers of the lines whose money the bank's own notice told of, and which paid a bill or is a payer's."""
    standing = payments.find(session, (Identity(bank_id, Kind.PAYMENT.value, name) for _, name in lines))
    ids = [payment.id for payment in standing.values()]
    paying = payments.applied(session, ids).keys() | {
        one.payment_id for one in payments.held(session, payment_ids=ids) if one.payer_id is not None
    }
    names = {identity.reference for identity, payment in standing.items() if payment.id in paying}
    return {line.number for line, name in lines if name in names}


def channel_payouts(
    session: Session, batch: Batch, channels: Mapping[int, Channel], paid_out: Iterable[Stored]
) -> None:
    """Settle payouts just told whose credit a bank showed before; the others wait for a bank."""
    told = {one.identity: one for one in paid_out}
    just_written = {one.id for one in batch.written}
    weighed = payments.evidence_of(session, told, written=batch.written)
    batch.opened += disagreements.among(weighed, {})
    for one in weighed:
        if one.id not in just_written:  # told before, in other words: it waits or was settled then
            told.pop(one.identity, None)
    banked = _waiting(session, BreakReason.BANKED_NOT_SETTLED) if told else []
    for identity, one in sorted(told.items()):
        amount = one.amount_minor or 0
        fits = [b for b in banked if b.channel_account_id == identity.channel_account_id and b.amount_minor == amount]
        channel = channels[identity.channel_account_id]
        if fits:
            banked.remove(fits[0])
            told_as = f"the statement of {channel.identifier} shows the payout as {identity.reference}"
            breaks.close_many(session, [fits[0].key], resolution=told_as)
            credit = fits[0].credit
            if fits[0].payment_id is not None:  # else the bank's credit settled the payout already
                credit = _settle_from_suspense(session, batch, channels, channel, fits[0].payment_id)
            payouts.note(
                session, bank=credit, payout=(identity.channel_account_id, identity.reference), amount_minor=amount
            )
            continue
        batch.opened.append(
            NewBreak(
                break_keys.settlement(identity.channel_account_id, identity.reference),
                BreakReason.SETTLEMENT_NOT_BANKED,
                f"the payout {identity.reference} left {channel.identifier}; no bank statement shows the payout yet",
                one.occurred_at,
                amount_minor=amount,
                delivery_id=one.delivery_id,
                channel_account_id=identity.channel_account_id,
            )
        )


def _waiting(session: Session, reason: BreakReason) -> list[_Waiting]:
    return [_Waiting(*one) for one in breaks.open_of(session, reason)]


def held_for_channels(
    batch: Batch, bank: Channel, standing: Mapping[Identity, payments.Recorded], *, in_suspense: Collection[int]
) -> None:
    """Say of money in suspense whose words name a channel of ours that the channel's payout is awaited.

    ``standing``: the payments of the lines just booked, by identity; ``in_suspense``: which of them, by id, are held
    there whole.
    """
    named = {
        break_keys.suspense(payment.id): (payment, batch.named_channels[identity.reference])
        for identity, payment in standing.items()
        if identity.reference in batch.named_channels
    }
    batch.named_channels = {}
    opened = {new.key: place for place, new in enumerate(batch.opened)}
    for key, (payment, channel) in sorted(named.items()):
        detail = (
            f"the words of a credit of {bank.identifier} name {channel.identifier}, and {channel.identifier}"
            " shows no payout of this amount yet; the money is held in suspense"
        )
        if key in opened:
            new = batch.opened[opened[key]]
            batch.opened[opened[key]] = replace(
                new, reason=BreakReason.BANKED_NOT_SETTLED, detail=detail, channel_account_id=channel.id
            )
        elif payment.id in in_suspense:  # a message told of the credit before, and said nothing of the channel
            batch.opened.append(
                NewBreak(
                    break_keys.banked(bank.id, payment.identity.reference),
                    BreakReason.BANKED_NOT_SETTLED,
                    detail,
                    payment.occurred_at,
                    amount_minor=payment.amount_minor,
                    payment_id=payment.id,
                    channel_account_id=channel.id,
                )
            )


def _settle_from_suspense(
    session: Session, batch: Batch, channels: Mapping[int, Channel], channel: Channel, payment_id: int
) -> tuple[int, str]:
    """Settle a payout with a bank's credit that is held in suspense as a payment: the payment is taken back first.

    Returns the credit: the bank's channel account and its reference.
    """
    payment = payments.by_id(session, payment_id)
    bank = channels[payment.identity.channel_account_id]
    told = payments.evidence_of(session, [payment.identity], written=batch.written)[0]
    back = Fact(
        delivery_id=told.delivery_id,
        item=-1 - told.item,
        identity=Identity(bank.id, Kind.REVERSAL.value, f"{payment.identity.reference}/SETTLEMENT"),
        message=told.message,
        amount_minor=payment.amount_minor,
        currency=told.currency,
        occurred_at=told.occurred_at,
        received_at=told.occurred_at,
        strength=told.strength,
        reverses=payment.identity.reference,
    )
    for stored in payments.write_evidence(session, [back]):
        why = f"the credit is a payout of {channel.identifier}"
        reversals.take_back(session, batch, channels, [(stored, payment)], why=why)
        _settle(session, bank, channel, payment.identity.reference, payment.amount_minor, payment.occurred_at)
    return bank.id, payment.identity.reference


def _settle(session: Session, bank: Channel, channel: Channel, reference: str, amount_minor: int, at: datetime) -> None:
    ledger.post(
        session,
        postings.settled(
            amount_minor,
            0,
            bank=bank_accounts.of_channel(session, bank.id) or bank.clearing_account,
            clearing=channel.clearing_account,
            channel_account_id=channel.id,
            at=periods.booked_as_of(at, known_at=periods.now()),
        ),
        key=_settled_key(bank.id, reference),
    )


def _not_told(bank: Channel, channel: Channel, name: str, line: StatementLine) -> NewBreak:
    return NewBreak(
        break_keys.banked(bank.id, name),
        BreakReason.BANKED_NOT_SETTLED,
        f"{bank.identifier} shows a credit from {channel.identifier}, and no statement of {channel.identifier} shows"
        " that payout yet",
        instant_of(line),
        amount_minor=line.amount_minor,
        channel_account_id=channel.id,
    )


def words_of_bank(line: StatementLine) -> set[str]:
    """The words of a line that only the bank writes: its code, and the name of who the bank says has paid."""
    return {word for text in (line.code, line.party.name) for word in _WORD.findall(text.upper())}


def words(line: StatementLine) -> set[str]:
    """What of a line may be a reference or a number of ours: words of letters and digits, in any place of it."""
    texts = [line.reference, line.text, line.account_reference, *(value for _, value in line.references)]
    return {word for text in texts for word in _WORD.findall(text.upper())}
