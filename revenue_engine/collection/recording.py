"""Record what is confirmed, place it on its bills, post it and note its receipt; compare and keep waiting the rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date

from sqlalchemy.orm import Session

from reconciliation import break_keys, matches
from reconciliation.breaks import BreakReason, NewBreak
from revenue_engine import ledger, payments, periods
from revenue_engine.billing import open_bills, tariffs
from revenue_engine.channels.accounts import Channel
from revenue_engine.collection import disagreements, held_money, interpretation, surplus
from revenue_engine.collection.batch import Batch
from revenue_engine.collection.placing import Incoming, Placement, Placer
from revenue_engine.ledger import chart, postings
from revenue_engine.payments import Fact, Identity, NewApplication, NewPayment, Push, Recorded, Stored, receipts
from revenue_engine.payments.evidence import STATEMENT_MESSAGE
from revenue_engine.ports.callbacks import CallbackAdapter, Kind, Strength
from revenue_engine.ports.statements import StatementReader


def record_payments(
    session: Session,
    batch: Batch,
    channels: Mapping[int, Channel],
    adapters: Mapping[str, CallbackAdapter],
    readers: Mapping[str, StatementReader],
    *,
    limit_minor: int,
) -> dict[Identity, Recorded]:
    """Record, place and post what is confirmed; answers every payment of the batch that stands now."""
    identities = {fact.identity for fact in batch.facts if fact.identity.kind == Kind.PAYMENT}
    standing = payments.find(session, identities)
    weighed = payments.evidence_of(session, identities, written=batch.written)
    just_written = {one.id for one in batch.written}
    batch.told_before = {one.identity for one in weighed if one.id not in just_written}
    asked = payments.pushes(session, (one.request_id for one in weighed))
    limits = _limits(channels, limit_minor)
    chosen = _confirmed((one for one in weighed if one.identity not in standing), asked, limits)
    facts = _facts_behind(session, batch, chosen, channels, adapters, readers)
    recorded = payments.record(
        session,
        [
            NewPayment(one.identity, _amount(one), one.occurred_at, party=fact.party, typed=fact.typed)
            for one in chosen.values()
            for fact in (facts[one.delivery_id, one.item],)
        ],
    )
    lost_race = [identity for identity in chosen if identity not in recorded]
    standing |= payments.find(session, lost_race) | recorded
    incoming = [
        _incoming(payment, chosen[identity], facts, push=_push_of(chosen[identity], asked))
        for identity, payment in recorded.items()
    ]
    if incoming:
        _post(session, batch, channels, incoming)
    _identify_by_push(session, weighed, standing.keys() - recorded.keys(), standing, asked)
    agree = surplus.post_rests(session, batch, channels, weighed, standing)
    batch.opened += disagreements.among((one for one in weighed if one.id not in agree), standing)
    # A twin, or another look, may find posted what an earlier look had to leave waiting.
    batch.resolve(
        (break_keys.unconfirmed(i.channel_account_id, i.reference) for i in standing if i in batch.told_before),
        "another message confirmed the payment",
    )
    _wait(batch, weighed, standing)
    return standing


def _amount(one: Stored) -> int:
    assert one.amount_minor is not None  # noqa: S101 - a payment's evidence always carries its amount
    return one.amount_minor


def _limits(channels: Mapping[int, Channel], county_limit_minor: int) -> dict[int, int]:
    """From which amount on, in cents, one message of a channel account is not enough: its own limit may be lower."""
    return {
        channel.id: min(county_limit_minor, channel.settings.get("confirm_limit_minor") or county_limit_minor)
        for channel in channels.values()
    }


def _push_of(one: Stored, asked: Mapping[str, Push]) -> Push | None:
    """Our push request that a message answers: one of its own channel account only."""
    push = asked.get(one.request_id)
    return push if push is not None and push.channel_account_id == one.identity.channel_account_id else None


_TELLS = {Strength.CONFIRMS: 0, Strength.PROVES: 1, Strength.SUPPORTS: 2}
"""Which message is believed on what the payer typed: a statement may cut it short. An answer to our own request comes
before all, whatever came first: it names the bill we asked for."""


def _confirmed(
    weighed: Iterable[Stored], asked: Mapping[str, Push], limits: Mapping[int, int]
) -> dict[Identity, Stored]:
    """The evidence that confirms each movement: a strong one alone, or two different messages that agree."""
    by_identity: dict[Identity, list[Stored]] = {}
    for one in weighed:
        by_identity.setdefault(one.identity, []).append(one)
    chosen: dict[Identity, Stored] = {}
    for identity, group in by_identity.items():
        strong = [one for one in group if _confirms(one, asked, limits[identity.channel_account_id])]
        if strong:
            best = min(strong, key=lambda one: (_push_of(one, asked) is None, _TELLS[one.strength], one.id))
            chosen[identity] = min(
                (
                    one
                    for one in group
                    if one.amount_minor == best.amount_minor and (not one.request_id or _push_of(one, asked))
                ),
                key=lambda one: (_push_of(one, asked) is None, _TELLS[one.strength], one.id),
            )
            continue
        for one in group:
            if any(other.message != one.message and other.amount_minor == one.amount_minor for other in group):
                chosen[identity] = one
                break
    return chosen


def _confirms(one: Stored, asked: Mapping[str, Push], limit_minor: int) -> bool:
    if one.strength is not Strength.CONFIRMS:
        return one.strength is Strength.PROVES
    if one.request_id:
        push = _push_of(one, asked)
        return push is not None and (_amount(one) == push.amount_minor or _amount(one) < limit_minor)
    return _amount(one) < limit_minor


def _facts_behind(
    session: Session,
    batch: Batch,
    chosen: Mapping[Identity, Stored],
    channels: Mapping[int, Channel],
    adapters: Mapping[str, CallbackAdapter],
    readers: Mapping[str, StatementReader],
) -> dict[tuple[int, int], Fact]:
    """What the payer typed stands only in the raw delivery: read again those that came in an earlier batch."""
    facts = {(fact.delivery_id, fact.item): fact for fact in batch.facts}
    earlier = {(one.delivery_id, one.item) for one in chosen.values()} - facts.keys()
    for fact in interpretation.reread(session, earlier, channels, adapters, readers) if earlier else ():
        facts[fact.delivery_id, fact.item] = fact
    return facts


def _incoming(
    payment: Recorded, confirmed_by: Stored, facts: Mapping[tuple[int, int], Fact], *, push: Push | None
) -> Incoming:
    """A payment as it is placed: with the words, the time and the sender of the message that confirmed it."""
    fact = facts[confirmed_by.delivery_id, confirmed_by.item]
    by_bank = fact.message == STATEMENT_MESSAGE
    return Incoming(payment, fact.typed, fact.received_at, push, fact.party, by_bank)


def _post(session: Session, batch: Batch, channels: Mapping[int, Channel], incoming: Sequence[Incoming]) -> None:
    """Place payments that were recorded just now, post them, and note their papers and what is left of them."""
    placer = Placer(session, incoming)
    placements = placer.place(open_bills.lock(session, placer.wanted_bills))
    open_bills.lock_payers(
        session,
        (place.payer_id for placed in placements for place in placed.places if place.bill is None and place.payer_id),
    )
    posted = _post_received(session, placements, channels)
    payments.apply(
        session,
        [
            NewApplication(placed.incoming.payment.id, invoice, component, amount, journal.id, placed.named.rung.value)
            for placed, journal in zip(placements, posted, strict=True)
            for invoice, component, amount in placed.parts
        ],
    )
    batch.to_receipt += [
        receipts.ToIssue(
            placed.incoming.payment.id,
            "acknowledgement" if placed.in_suspense else "receipt",
            placed.incoming.payment.amount_minor,
            placed.incoming.payment.occurred_at,
            journal.book_date,
        )
        for placed, journal in zip(placements, posted, strict=True)
    ]
    matches.note_left(session, placer.left, placer.suggested)
    batch.outcome.recorded += len(incoming)
    batch.opened += [found for placed in placements for found in placed.breaks]
    _name_earlier(session, batch, [placed.incoming.payment for placed in placements], [one.book_date for one in posted])


def _name_earlier(session: Session, batch: Batch, recorded: Sequence[Recorded], booked: Sequence[date]) -> None:
    """Name money of a day before the books were opened: the county's earlier system may hold that money already."""
    late = [
        (one, paid_on)
        for one, book_date in zip(recorded, booked, strict=True)
        if (paid_on := periods.nairobi_date(one.occurred_at)) < book_date
    ]
    opened = tariffs.county(session).books_open_from if late else None
    for one, paid_on in late:
        if opened is None or paid_on >= opened:
            continue
        batch.opened.append(
            NewBreak(
                break_keys.before_books(one.identity.channel_account_id, one.identity.reference),
                BreakReason.BEFORE_BOOKS,
                f"the payment is of {paid_on:%d %b %Y}, and these books opened on {opened:%d %b %Y}; look whether the"
                f" earlier system holds the payment too; the year of the money is {periods.financial_year(paid_on)}",
                one.occurred_at,
                amount_minor=one.amount_minor,
                payment_id=one.id,
                channel_account_id=one.identity.channel_account_id,
            )
        )


def _post_received(
    session: Session, placements: Sequence[Placement], channels: Mapping[int, Channel]
) -> list[ledger.Posted]:
    journals = []
    book_on = {}
    for placed in placements:
        payment = placed.incoming.payment
        channel = channels[payment.identity.channel_account_id]
        key = f"payment:{payment.id}:received"
        journals.append(
            (
                key,
                postings.payment_received(
                    placed.places,
                    payment_id=payment.id,
                    channel_account_id=channel.id,
                    clearing=channel.clearing_account,
                    at=payment.occurred_at,
                ),
            )
        )
        book_on[key] = periods.nairobi_date(placed.incoming.at)
    return ledger.post_many(session, journals, book_on=book_on, fresh_keys=True)


def _identify_by_push(
    session: Session,
    weighed: Sequence[Stored],
    earlier: Iterable[Identity],
    standing: Mapping[Identity, Recorded],
    asked: Mapping[str, Push],
) -> None:
    """Money in suspense whose push request is told only now goes to the bill that the request was for."""
    known = set(earlier)
    told = {
        standing[one.identity].id: push
        for one in weighed
        if one.identity in known and (push := _push_of(one, asked)) is not None
    }
    if not told:
        return
    bills = open_bills.lock(session, (push.invoice_id for push in told.values()))
    payments.lock(session, told)
    for one in payments.held(session, payment_ids=list(told)):
        if one.account == chart.SUSPENSE:
            held_money.identify(session, one, bills[told[one.payment_id].invoice_id], rung="push")


def _wait(batch: Batch, weighed: Sequence[Stored], standing: Mapping[Identity, Recorded]) -> None:
    for one in weighed:
        if one.identity in standing:
            continue
        batch.outcome.waiting += 1
        batch.outcome.look_again.add(one.delivery_id)
        batch.opened.append(
            NewBreak(
                break_keys.unconfirmed(one.identity.channel_account_id, one.identity.reference),
                BreakReason.UNCONFIRMED,
                "one message that is not proof by itself reported this payment; nothing is posted until another agrees",
                one.occurred_at,
                amount_minor=_amount(one),
                delivery_id=one.delivery_id,
                channel_account_id=one.identity.channel_account_id,
            )
        )
