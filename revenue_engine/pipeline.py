"""The flow of money in one page: read deliveries, keep evidence, record payments, place them, post, receipt.

A batch is one transaction and a fixed number of set-based statements whatever its size. The final state is a function
of the set of deliveries, not of their order: what cannot be decided yet is kept, and whatever decides it later acts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.orm import Session

from reconciliation import breaks
from reconciliation.breaks import BreakReason, NewBreak
from revenue_engine import inbox, jobs, later, ledger, open_bills, payments, periods, receipts, tariffs
from revenue_engine.channel_settings import read_settings
from revenue_engine.channels import (
    CallbackAdapter,
    Ignored,
    Interpretation,
    Kind,
    Paid,
    Party,
    Purpose,
    Reversed,
    Strength,
    Unknown,
)
from revenue_engine.errors import ConfigurationError, IntegrityFault
from revenue_engine.inbox import Arrived, Channel, Proof
from revenue_engine.ledger import chart, postings
from revenue_engine.ledger.postings import Placed
from revenue_engine.money import KES
from revenue_engine.payments import Fact, Identity, NewApplication, NewPayment, Push, Recorded, Stored
from revenue_engine.placing import CLOCK_TOLERANCE, Incoming, Placement, Placer


@dataclass(slots=True)
class Outcome:
    """What a batch did: counts for the log, and the deliveries worth another look in a few seconds."""

    recorded: int = 0
    reversed: int = 0
    evidence: int = 0
    ignored: int = 0
    waiting: int = 0
    look_again: set[int] = field(default_factory=set)
    """Deliveries whose counterpart may be committing in another worker right now."""
    first_told: set[int] = field(default_factory=set)
    """Deliveries whose evidence was written here and now: no other worker can have seen it yet."""


@dataclass(slots=True)
class _Batch:
    outcome: Outcome = field(default_factory=Outcome)
    facts: list[Fact] = field(default_factory=list)
    written: list[Stored] = field(default_factory=list)
    """The evidence of this batch's facts; one whose delivery is replayed was written before."""
    told_before: set[Identity] = field(default_factory=set)
    """Movements that an earlier batch has evidence of: only of these a break may stand open."""
    to_receipt: list[receipts.ToIssue] = field(default_factory=list)
    taken_back: list[int] = field(default_factory=list)
    ended: list[tuple[int, str, str]] = field(default_factory=list)
    opened: list[NewBreak] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)

    def end(self, arrived: Arrived, outcome: str, reason: str, why: BreakReason | None = None, key: str = "") -> None:
        self.ended.append((arrived.id, outcome, reason))
        if outcome == "ignored":
            self.outcome.ignored += 1
        else:
            self.outcome.waiting += 1
        if why is not None:
            self.opened.append(
                NewBreak(
                    key or f"delivery:{arrived.id}",
                    why,
                    reason,
                    arrived.received_at,
                    delivery_id=arrived.id,
                    channel_account_id=arrived.channel_account_id,
                )
            )


def process(
    session: Session,
    delivery_ids: Sequence[int],
    *,
    adapters: Mapping[str, CallbackAdapter],
    secrets_dir: Path | None = None,
) -> Outcome:
    """Take deliveries all the way: to posted, evidence, ignored, or waiting with an owner.

    ``secrets_dir`` holds what channel settings name by file; it is read only to judge again a proof that failed.
    """
    batch = _Batch()
    channels = inbox.channels(session)
    county = tariffs.county(session)
    arrivals = inbox.arrived(session, delivery_ids)
    refused = [arrived.id for arrived in arrivals if not arrived.accepted]
    proofs = inbox.proofs(session, refused) if refused else {}
    for arrived in arrivals:
        channel = channels[arrived.channel_account_id]
        adapter = adapters.get(channel.adapter)
        if not arrived.accepted and not _proved_since(arrived, proofs[arrived.id], channel, adapter, secrets_dir):
            batch.end(arrived, "waiting", f"its proof failed: {arrived.verdict_reason}", BreakReason.PROOF_FAILED)
            continue
        _read(batch, arrived, channel, adapter, live=channel.mode == county.mode)
    batch.written = payments.write_evidence(session, batch.facts)
    batch.outcome.first_told = {one.delivery_id for one in batch.written}
    batch.outcome.evidence = len(batch.facts)
    standing = _record_payments(session, batch, channels, adapters, limit=county.confirm_limit_minor)
    _record_reversals(session, batch, channels, standing)
    inbox.write_outcomes(session, batch.ended)
    breaks.open_many(session, batch.opened)
    breaks.close_many(session, batch.closed, resolution="settled by later evidence")
    # Last, since every worker waits for the series of receipts until this transaction ends.
    receipts.issue(session, batch.to_receipt)
    receipts.cancel(session, batch.taken_back, reason="the provider reversed the payment")
    return batch.outcome


# --- read ------------------------------------------------------------------------------------------------------------


def _proved_since(
    arrived: Arrived, proof: Proof, channel: Channel, adapter: CallbackAdapter | None, secrets_dir: Path | None
) -> bool:
    """Whether a delivery that was refused proves itself by the settings of today: an allow-list was mended, say."""
    if adapter is None or not arrived.whole:
        return False
    try:
        settings = read_settings(adapter.settings_model, channel.settings, secrets_dir=secrets_dir)
    except (ValueError, ConfigurationError):
        return False
    return adapter.verify(proof.headers, arrived.body, proof.peer, settings).accepted


def _read(batch: _Batch, arrived: Arrived, channel: Channel, adapter: CallbackAdapter | None, *, live: bool) -> None:
    if adapter is None:
        batch.end(arrived, "waiting", f"no adapter {channel.adapter!r} is installed", BreakReason.UNPARSEABLE)
        return
    meaning = adapter.interpret(arrived.body, purpose=Purpose(arrived.purpose))
    if not live:
        batch.end(arrived, "ignored", f"a {channel.mode} notice: shown, never booked ({type(meaning).__name__})")
    elif isinstance(meaning, Paid | Reversed):
        _keep(batch, arrived, channel, meaning)
    else:
        _without_money(batch, arrived, meaning)


def _without_money(batch: _Batch, arrived: Arrived, meaning: Interpretation) -> None:
    if isinstance(meaning, Ignored):
        batch.end(arrived, "ignored", meaning.reason)
        if meaning.request_id and meaning.request_state:  # queued, or accepted, settles nothing
            batch.closed.append(f"request:{meaning.request_id}")
    elif isinstance(meaning, Unknown):
        if meaning.request_id:
            batch.end(arrived, "waiting", meaning.reason, BreakReason.OUTCOME_UNKNOWN, f"request:{meaning.request_id}")
        else:
            batch.end(arrived, "waiting", meaning.reason, BreakReason.UNPARSEABLE)


def _keep(batch: _Batch, arrived: Arrived, channel: Channel, meaning: Paid | Reversed) -> None:
    if meaning.channel_account and meaning.channel_account != channel.identifier:
        reason = f"the body names account {meaning.channel_account}, the endpoint belongs to {channel.identifier}"
        batch.end(arrived, "waiting", reason, BreakReason.WRONG_SHORTCODE_OR_STREAM)
        return
    if meaning.currency != KES:
        batch.end(arrived, "waiting", f"the primary book takes KES, not {meaning.currency}", BreakReason.UNPARSEABLE)
        return
    if isinstance(meaning, Paid) and meaning.kind is not Kind.PAYMENT:
        reason = f"a {meaning.kind} of this channel account was told, and none was expected"
        batch.end(arrived, "waiting", reason, BreakReason.PAYOUT_NOT_EXPECTED)
        return
    batch.facts.append(_fact(arrived, channel, meaning))
    batch.closed.append(f"delivery:{arrived.id}")  # whatever an earlier look at it complained of
    if meaning.request_id:
        batch.closed.append(f"request:{meaning.request_id}")
    _doubt(batch, arrived, channel, meaning)


def _doubt(batch: _Batch, arrived: Arrived, channel: Channel, meaning: Paid | Reversed) -> None:
    """Certain money with a doubtful time, or a doubt of its own: a break beside the posting, never instead of it."""
    said = meaning.doubt if isinstance(meaning, Paid) else ""
    if meaning.occurred_at is None:
        key, why = f"doubt:{channel.id}:{meaning.reference}", BreakReason.CLOCK_DIFFERS
        said = said or "the provider told no time that can be read: booked at the time it was received"
    elif meaning.occurred_at > arrived.received_at + CLOCK_TOLERANCE:
        key, why = f"clock:{arrived.id}", BreakReason.CLOCK_DIFFERS
        said = "the provider's time is later than ours by more than fifteen minutes"
    else:
        key, why = f"doubt:{channel.id}:{meaning.reference}", BreakReason.DUPLICATE_CODE
    if said:
        batch.opened.append(
            NewBreak(key, why, said, arrived.received_at, delivery_id=arrived.id, channel_account_id=channel.id)
        )


def _fact(arrived: Arrived, channel: Channel, meaning: Paid | Reversed) -> Fact:
    if isinstance(meaning, Paid):
        kind, reverses, typed, party = "payment", "", meaning.account_reference, meaning.party
    else:
        kind, reverses, typed, party = "reversal", meaning.reverses, "", Party()
    return Fact(
        delivery_id=arrived.id,
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
    )


# --- record, place, post, receipt ------------------------------------------------------------------------------------


def _record_payments(
    session: Session,
    batch: _Batch,
    channels: Mapping[int, Channel],
    adapters: Mapping[str, CallbackAdapter],
    *,
    limit: int,
) -> dict[Identity, Recorded]:
    """Record, place and post what is confirmed; answers every payment of the batch that stands now."""
    identities = {fact.identity for fact in batch.facts if fact.identity.kind == "payment"}
    standing = payments.find(session, identities)
    weighed = payments.evidence_of(session, identities, written=batch.written)
    just_written = {one.id for one in batch.written}
    batch.told_before = {one.identity for one in weighed if one.id not in just_written}
    asked = payments.pushes(session, (one.request_id for one in weighed))
    limits = _limits(channels, limit)
    chosen = _confirmed((one for one in weighed if one.identity not in standing), asked, limits)
    facts = _facts_behind(session, batch, chosen, channels, adapters)
    recorded = payments.record(
        session,
        [
            NewPayment(one.identity, _amount(one), one.occurred_at, party=fact.party, typed=fact.typed)
            for one in chosen.values()
            for fact in (facts[one.delivery_id],)
        ],
    )
    lost_race = [identity for identity in chosen if identity not in recorded]
    standing |= payments.find(session, lost_race) | recorded
    _post(session, batch, channels, recorded, chosen, facts, asked)
    _identify_by_push(session, weighed, standing.keys() - recorded.keys(), standing, asked)
    _compare(batch, weighed, standing)
    _wait(batch, weighed, standing)
    return standing


def _amount(one: Stored) -> int:
    assert one.amount_minor is not None  # noqa: S101 - a payment's evidence always carries its amount
    return one.amount_minor


def _limits(channels: Mapping[int, Channel], county_limit: int) -> dict[int, int]:
    """From which amount on, in cents, one message of a channel account is not enough: its own limit may be lower."""
    return {
        channel.id: min(county_limit, channel.settings.get("confirm_limit_minor") or county_limit)
        for channel in channels.values()
    }


def _push_of(one: Stored, asked: Mapping[str, Push]) -> Push | None:
    """Our push request that a message answers: one of its own channel account only."""
    push = asked.get(one.request_id)
    return push if push is not None and push.channel_account_id == one.identity.channel_account_id else None


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
            # An answer to our own request names the bill we asked for; it is preferred whatever came first.
            chosen[identity] = min(strong, key=lambda one: (_push_of(one, asked) is None, one.id))
            continue
        for one in group:
            if any(other.message != one.message and other.amount_minor == one.amount_minor for other in group):
                chosen[identity] = one
                break
    return chosen


def _confirms(one: Stored, asked: Mapping[str, Push], limit: int) -> bool:
    if one.request_id:
        push = _push_of(one, asked)
        return push is not None and (_amount(one) == push.amount_minor or _amount(one) < limit)
    return one.strength is Strength.CONFIRMS and _amount(one) < limit


def _facts_behind(
    session: Session,
    batch: _Batch,
    chosen: Mapping[Identity, Stored],
    channels: Mapping[int, Channel],
    adapters: Mapping[str, CallbackAdapter],
) -> dict[int, Fact]:
    """What the payer typed stands only in the raw delivery: read again those that came in an earlier batch."""
    facts = {fact.delivery_id: fact for fact in batch.facts}
    earlier = [one.delivery_id for one in chosen.values() if one.delivery_id not in facts]
    for arrived in inbox.arrived(session, earlier) if earlier else ():
        channel = channels[arrived.channel_account_id]
        meaning = adapters[channel.adapter].interpret(arrived.body, purpose=Purpose(arrived.purpose))
        if isinstance(meaning, Paid | Reversed):
            facts[arrived.id] = _fact(arrived, channel, meaning)
    return facts


def _post(
    session: Session,
    batch: _Batch,
    channels: Mapping[int, Channel],
    recorded: Mapping[Identity, Recorded],
    chosen: Mapping[Identity, Stored],
    facts: Mapping[int, Fact],
    asked: Mapping[str, Push],
) -> None:
    if not recorded:
        return
    incoming = []
    for identity, payment in recorded.items():
        fact = facts[chosen[identity].delivery_id]
        incoming.append(Incoming(payment, fact.typed, fact.received_at, _push_of(chosen[identity], asked)))
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
    batch.outcome.recorded += len(recorded)
    batch.opened += [found for placed in placements for found in placed.breaks]
    batch.closed += [f"unconfirmed:{i.channel_account_id}:{i.reference}" for i in recorded if i in batch.told_before]


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
            later.identify(session, one, bills[told[one.payment_id].invoice_id], rung="push")


def _compare(batch: _Batch, weighed: Sequence[Stored], standing: Mapping[Identity, Recorded]) -> None:
    """Disagreement is a break and overwrites nothing: another amount, or the same message with another account."""
    first: dict[tuple[Identity, str], Stored] = {}
    for one in weighed:
        payment = standing.get(one.identity)
        earlier = first.setdefault((one.identity, one.message), one)
        differs = ""
        if payment is not None and one.amount_minor != payment.amount_minor:
            differs = "the amount"
        elif earlier.typed_digest != one.typed_digest:
            differs = "the account typed"
        if differs:
            batch.opened.append(
                NewBreak(
                    f"conflict:{one.delivery_id}",
                    BreakReason.DUPLICATE_CODE,
                    f"two messages about {one.identity.reference} disagree on {differs}; what was posted first stands",
                    one.occurred_at,
                    payment_id=payment.id if payment else None,
                    delivery_id=one.delivery_id,
                    channel_account_id=one.identity.channel_account_id,
                )
            )


def _wait(batch: _Batch, weighed: Sequence[Stored], standing: Mapping[Identity, Recorded]) -> None:
    for one in weighed:
        if one.identity in standing:
            continue
        batch.outcome.waiting += 1
        batch.outcome.look_again.add(one.delivery_id)
        batch.opened.append(
            NewBreak(
                f"unconfirmed:{one.identity.channel_account_id}:{one.identity.reference}",
                BreakReason.UNCONFIRMED,
                "told once by a message that is not proof alone; waits for another that agrees",
                one.occurred_at,
                amount_minor=_amount(one),
                delivery_id=one.delivery_id,
                channel_account_id=one.identity.channel_account_id,
            )
        )


# --- reversals -------------------------------------------------------------------------------------------------------


def _record_reversals(
    session: Session, batch: _Batch, channels: Mapping[int, Channel], standing: Mapping[Identity, Recorded]
) -> None:
    """Take back what providers took back: those just told, and those told before the payment was known."""
    told = payments.evidence_of(
        session, (fact.identity for fact in batch.facts if fact.identity.kind == "reversal"), written=batch.written
    )
    told += payments.reversals_waiting_for(session, list(standing.values()))
    by_identity = {one.identity: one for one in reversed(told)}
    done = payments.find(session, by_identity)
    todo = [one for identity, one in by_identity.items() if identity not in done]
    if not todo:
        return
    originals = payments.find(
        session, (Identity(one.identity.channel_account_id, "payment", one.reverses) for one in todo)
    )
    taken = payments.reversed_already(session, [payment.id for payment in originals.values()])
    ready = []
    for one in sorted(todo, key=lambda one: one.id):
        original = originals.get(Identity(one.identity.channel_account_id, "payment", one.reverses))
        key = f"reversal:{one.identity.channel_account_id}:{one.identity.reference}"
        if original is None:
            batch.outcome.look_again.add(one.delivery_id)
            _refuse(batch, one, key, BreakReason.REVERSAL_WITHOUT_PAYMENT, f"{one.reverses} is not known yet")
        elif original.id in taken:
            _refuse(batch, one, f"{key}:twice", BreakReason.DUPLICATE_CODE, f"{one.reverses} was reversed before")
        elif one.amount_minor not in (None, original.amount_minor):
            detail = f"{one.reverses} was reversed for another amount than it was paid"
            _refuse(batch, one, f"{key}:amount", BreakReason.REVERSAL_AMOUNT_DIFFERS, detail, original.id)
        else:
            taken.add(original.id)
            ready.append((one, original))
            batch.closed.append(key)
    _take_back(session, batch, channels, ready)


def _refuse(
    batch: _Batch, one: Stored, key: str, reason: BreakReason, detail: str, payment_id: int | None = None
) -> None:
    batch.outcome.waiting += 1
    batch.opened.append(
        NewBreak(
            key,
            reason,
            detail,
            one.occurred_at,
            amount_minor=one.amount_minor or 0,
            payment_id=payment_id,
            delivery_id=one.delivery_id,
            channel_account_id=one.identity.channel_account_id,
        )
    )


def _take_back(
    session: Session, batch: _Batch, channels: Mapping[int, Channel], ready: Sequence[tuple[Stored, Recorded]]
) -> None:
    if not ready:
        return
    ids = [original.id for _, original in ready]
    bills = open_bills.lock(session, (i for parts in payments.applied(session, ids).values() for i, _, _ in parts))
    open_bills.lock_payers(session, (one.payer_id for one in payments.held(session, payment_ids=ids) if one.payer_id))
    payments.lock(session, ids)
    # Read again under the locks: credit may have been applied between the first look and the locks.
    applied, held = payments.applied(session, ids), payments.held(session, payment_ids=ids)
    bills |= open_bills.lock(session, {i for parts in applied.values() for i, _, _ in parts} - set(bills))
    new = payments.record(
        session,
        [NewPayment(one.identity, p.amount_minor, one.occurred_at, reverses_id=p.id) for one, p in ready],
    )
    ready = [(one, original) for one, original in ready if one.identity in new]
    journals, book_on = [], {}
    for one, original in ready:
        channel = channels[original.identity.channel_account_id]
        places = _where_it_is(original, applied.get(original.id, []), held, bills)
        key = f"payment:{new[one.identity].id}:reversed"
        if one.occurred_at > periods.now() + CLOCK_TOLERANCE:
            book_on[key] = periods.today()
        journals.append(
            (
                key,
                postings.payment_reversed(
                    places,
                    payment_id=original.id,
                    channel_account_id=channel.id,
                    clearing=channel.clearing_account,
                    at=one.occurred_at,
                ),
            )
        )
    posted = ledger.post_many(session, journals, book_on=book_on)
    payments.apply(
        session,
        [
            NewApplication(original.id, invoice, component, -amount, journal.id, "reversal")
            for (_, original), journal in zip(ready, posted, strict=True)
            for invoice, component, amount in applied.get(original.id, [])
        ],
    )
    batch.taken_back += [original.id for _, original in ready]
    # A bill that is open again is paid by other money that named it, as if that money had come after.
    reopened = sorted({i for _, p in ready for i, _, _ in applied.get(p.id, [])})
    jobs.add(session, kind="pay_reopened", refs=reopened)
    batch.outcome.reversed += len(ready)
    # Nothing of it is held any more, in suspense or as somebody's credit.
    batch.closed += [key for _, original in ready for key in breaks.keys_of_payment(original.id)]


def _where_it_is(
    original: Recorded,
    applied: Sequence[tuple[int, str, int]],
    held: Sequence[payments.Held],
    bills: Mapping[int, open_bills.Open],
) -> list[Placed]:
    by_bill: dict[int, int] = {}
    for invoice, _, amount in applied:
        by_bill[invoice] = by_bill.get(invoice, 0) + amount
    places = [Placed(amount, bills[invoice].bill) for invoice, amount in sorted(by_bill.items())]
    places += [
        Placed(one.amount_minor, None, one.payer_id, one.stream_code, one.station_code)
        for one in held
        if one.payment_id == original.id
    ]
    if sum(place.amount_minor for place in places) != original.amount_minor:
        raise IntegrityFault("the books do not hold the whole of a payment to take back", payment_id=original.id)
    return places
