"""The flow of money in one page: read deliveries, keep evidence, record payments, place them, post, receipt.

A batch is one transaction and a fixed number of set-based statements whatever its size. The final state is a function
of the set of deliveries, not of their order: what cannot be decided yet is kept, and whatever decides it later acts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from sqlalchemy.orm import Session

from reconciliation import break_keys, breaks, ladder
from reconciliation.breaks import BreakReason, NewBreak
from revenue_engine import payments, periods
from revenue_engine.billing import tariffs
from revenue_engine.channels import accounts, deliveries
from revenue_engine.channels.accounts import Channel
from revenue_engine.channels.deliveries import Arrived, Proof
from revenue_engine.channels.settings import read_settings
from revenue_engine.collection import charges, interpretation, recording, reversals, same_payment, settlements
from revenue_engine.collection.batch import Batch, Outcome
from revenue_engine.errors import ConfigurationError
from revenue_engine.money import KES
from revenue_engine.payments import Identity, receipts
from revenue_engine.ports.callbacks import (
    FILES,
    CallbackAdapter,
    Ignored,
    Interpretation,
    Kind,
    Paid,
    Purpose,
    Reversed,
    Strength,
    Unknown,
    Verdict,
)
from revenue_engine.ports.statements import StatementReader

_SWAPPED = {
    True: "questions before a payment came to the address for confirmations; a question posts no money",
    False: "confirmations of payments came to the address for questions; the payments are posted",
}
"""What is told of messages at an address that was registered for other ones: questions, or payments."""

__all__ = ["Batch", "Outcome", "book", "close", "keep", "process"]


def process(
    session: Session,
    delivery_ids: Sequence[int],
    *,
    adapters: Mapping[str, CallbackAdapter],
    readers: Mapping[str, StatementReader] | None = None,
    secrets_dir: Path | None = None,
) -> Outcome:
    """Take deliveries all the way: to posted, evidence, ignored, or waiting with an owner.

    ``secrets_dir`` holds what channel settings name by file; it is read only to judge again a proof that failed.
    """
    batch = Batch()
    channels = accounts.channels(session)
    county = tariffs.county(session)
    arrivals = deliveries.arrived(session, delivery_ids)
    refused = [arrived.id for arrived in arrivals if not arrived.accepted]
    proofs = deliveries.proofs(session, refused) if refused else {}
    several_names = {
        arrived.channel_account_id
        for arrived in arrivals
        if not getattr(adapters.get(channels[arrived.channel_account_id].adapter), "one_name", False)
    }
    busy = same_payment.busy(session, several_names) if several_names else set()
    for arrived in arrivals:
        channel = channels[arrived.channel_account_id]
        adapter = adapters.get(channel.adapter)
        if arrived.channel_account_id in busy:
            batch.outcome.put_off.add(arrived.id)
            continue
        if arrived.purpose in FILES:  # a file is no message: it is read by itself, and proved
            batch.facts += interpretation.undecided(session, arrived)
            continue
        if not arrived.accepted:
            today = _judged_today(arrived, proofs[arrived.id], channel, adapter, secrets_dir)
            if not today.accepted:
                batch.end(arrived, "waiting", f"its proof failed: {_both(arrived, today)}", BreakReason.PROOF_FAILED)
                continue
        _read(batch, arrived, channel, adapter, live=channel.mode == county.mode)
    if several_names:
        batch.facts = same_payment.recognise(session, batch.facts, several_names)
        _leave_settlements(session, batch, arrivals, several_names)
    book(session, batch, channels, adapters, readers or {}, limit_minor=county.confirm_limit_minor)
    return close(session, batch)


def book(
    session: Session,
    batch: Batch,
    channels: Mapping[int, Channel],
    adapters: Mapping[str, CallbackAdapter],
    readers: Mapping[str, StatementReader],
    *,
    limit_minor: int,
) -> None:
    """Keep the facts of a batch as evidence and post what they prove; papers, endings and breaks wait for `close`.

    ``limit_minor``: from which amount on, in cents, a message that confirms is not enough alone.
    """
    batch.written = payments.write_evidence(session, batch.facts)
    batch.outcome.first_told |= {one.delivery_id for one in batch.written}
    batch.outcome.evidence += len(batch.facts)
    standing = recording.record_payments(session, batch, channels, adapters, readers, limit_minor=limit_minor)
    reversals.record_reversals(session, batch, channels, standing)
    charges.record_charges(session, batch, channels)
    payouts = [one for one in batch.written if one.identity.kind == Kind.PAYOUT]
    if payouts:
        settlements.channel_payouts(session, batch, channels, payouts)


def close(session: Session, batch: Batch) -> Outcome:
    """Write what a batch ends with: endings, breaks, and last the papers."""
    deliveries.write_outcomes(session, batch.ended)
    payments.write_push_ends(session, batch.push_ends)
    breaks.open_many(session, _still_open(session, batch.opened))
    by_resolution: dict[str, list[str]] = {}
    for key, because in batch.closed.items():
        by_resolution.setdefault(because, []).append(key)
    for because, keys in sorted(by_resolution.items()):
        breaks.close_many(session, keys, resolution=because)
    # Last, since every worker waits for the series of receipts until this transaction ends.
    receipts.issue(session, batch.to_receipt)
    for why in sorted(set(batch.taken_back.values())):
        receipts.cancel(session, [one for one, said in batch.taken_back.items() if said == why], reason=why)
    return batch.outcome


def _still_open(session: Session, opened: Sequence[NewBreak]) -> list[NewBreak]:
    """Drop breaks about our push requests whose outcome was already known."""
    asked = list(filter(None, (break_keys.request_of(new.key) for new in opened)))
    settled = payments.settled_requests(session, asked) if asked else set()
    return [new for new in opened if break_keys.request_of(new.key) not in settled]


# --- read ------------------------------------------------------------------------------------------------------------


def _judged_today(
    arrived: Arrived, proof: Proof, channel: Channel, adapter: CallbackAdapter | None, secrets_dir: Path | None
) -> Verdict:
    """What a delivery that was refused proves by the settings of today: an allow-list was mended, say."""
    if not arrived.whole:
        return Verdict(accepted=False, reason=arrived.verdict_reason)
    if adapter is None:
        return Verdict(accepted=False, reason=f"no adapter {channel.adapter!r} is installed")
    try:
        settings = read_settings(adapter.settings_model, channel.settings, secrets_dir=secrets_dir)
    except ConfigurationError as error:
        return Verdict(accepted=False, reason=error.message)
    except ValueError:
        return Verdict(accepted=False, reason=f"the settings of the channel account {channel.identifier} do not fit")
    try:
        return adapter.verify(proof.headers, arrived.body, proof.peer, settings)
    except Exception as error:  # noqa: BLE001 - an adapter's fault must not hold up the deliveries beside this one
        return Verdict(accepted=False, reason=f"verify raised {type(error).__name__}")


def _both(arrived: Arrived, today: Verdict) -> str:
    """Today's reason, and the one of the hour it came where that was another."""
    if not today.reason or today.reason == arrived.verdict_reason:
        return arrived.verdict_reason
    return f"{today.reason} (when it came: {arrived.verdict_reason})"


def proof_today(
    session: Session, delivery_id: int, adapters: Mapping[str, CallbackAdapter], *, secrets_dir: Path | None = None
) -> Verdict | None:
    """How the proof of one delivery is judged today, by the settings and secrets this process reads; None for a
    delivery that is not there, or that came to no address and so brought no proof."""
    found = deliveries.arrived(session, [delivery_id])
    if not found or Purpose(found[0].purpose) in {*FILES, Purpose.PULL, Purpose.QUERY}:
        return None
    channel = accounts.channels(session)[found[0].channel_account_id]
    proof = deliveries.proofs(session, [delivery_id])[delivery_id]
    return _judged_today(found[0], proof, channel, adapters.get(channel.adapter), secrets_dir)


def _read(batch: Batch, arrived: Arrived, channel: Channel, adapter: CallbackAdapter | None, *, live: bool) -> None:
    if adapter is None:
        batch.end(arrived, "waiting", f"no adapter {channel.adapter!r} is installed", BreakReason.UNPARSEABLE)
        return
    told = interpretation.meanings(arrived, adapter)
    if not live:
        names = ", ".join(sorted({type(meaning).__name__ for meaning in told}))
        batch.end(arrived, "ignored", f"a {channel.mode} notice: shown, never booked ({names})")
        return
    for item, meaning in enumerate(told):
        if isinstance(meaning, Paid | Reversed):
            keep(batch, arrived, channel, item, meaning)
        elif isinstance(meaning, Unknown) or len(told) == 1:
            _without_money(batch, arrived, item, meaning)


def _leave_settlements(
    session: Session, batch: Batch, arrivals: Sequence[Arrived], several_names: Collection[int]
) -> None:
    """Drop what messages tell of credits that a bank's statement showed as settlements of our own channels."""
    told: dict[int, set[str]] = {}
    for fact in batch.facts:
        if fact.identity.kind == Kind.PAYMENT and fact.identity.channel_account_id in several_names:
            told.setdefault(fact.identity.channel_account_id, set()).add(fact.identity.reference)
    moved = {(bank, name) for bank, names in told.items() for name in settlements.settled(session, bank, names)}
    standing = payments.find(session, (Identity(bank, Kind.PAYMENT.value, name) for bank, name in moved))
    gone = {Identity(bank, Kind.PAYMENT.value, name) for bank, name in moved} - standing.keys()
    left = {fact.delivery_id: fact for fact in batch.facts if fact.identity in gone}
    batch.facts = [fact for fact in batch.facts if fact.identity not in gone]
    shown = "the statement of the bank shows the credit as a settlement of our own channel"
    for arrived in arrivals:
        if arrived.id in left and ladder.numbers_typed(left[arrived.id].typed):
            why, key = BreakReason.AMBIGUOUS_ACCOUNT, break_keys.settlement_told(arrived.id)
            batch.end(
                arrived, "waiting", f"{shown}, and the message says that a payer typed the number of a bill", why, key
            )
        elif arrived.id in left:
            batch.end(arrived, "ignored", shown)


def _without_money(batch: Batch, arrived: Arrived, item: int, meaning: Interpretation) -> None:
    if isinstance(meaning, Ignored):
        batch.end(arrived, "ignored", meaning.reason)
        if meaning.request_id and meaning.request_state:  # queued, or accepted, settles nothing
            said = "failed" if meaning.request_state == "failed" else "was cancelled"
            batch.resolve(
                [break_keys.request(meaning.request_id)], f"the provider answered: the payment request {said}"
            )
            batch.push_ends.append((meaning.request_id, meaning.request_state, arrived.id))
    elif isinstance(meaning, Unknown):
        if meaning.request_id:
            batch.end(
                arrived, "waiting", meaning.reason, BreakReason.OUTCOME_UNKNOWN, break_keys.request(meaning.request_id)
            )
        else:
            batch.end(
                arrived, "waiting", meaning.reason, BreakReason.UNPARSEABLE, break_keys.of_delivery(arrived.id, item)
            )


def wonder(batch: Batch, arrived: Arrived, item: int, meaning: Unknown) -> None:
    """Let somebody look at one movement of a delivery whose other movements are booked."""
    batch.opened.append(
        NewBreak(
            break_keys.of_delivery(arrived.id, item),
            BreakReason.UNPARSEABLE,
            meaning.reason,
            arrived.received_at,
            delivery_id=arrived.id,
            channel_account_id=arrived.channel_account_id,
        )
    )


def keep(batch: Batch, arrived: Arrived, channel: Channel, item: int, meaning: Paid | Reversed) -> None:
    """Add what was understood to the facts of a batch, or say why it cannot be one."""
    if not accounts.is_called(channel.identifier, meaning.channel_account):
        reason = f"the message names another account than {channel.identifier}, to which this address belongs"
        batch.end(
            arrived, "waiting", reason, BreakReason.WRONG_SHORTCODE_OR_STREAM, break_keys.of_delivery(arrived.id, item)
        )
        return
    if meaning.currency != KES:
        reason = f"the message is in {meaning.currency}; the books are kept in KES"
        batch.end(arrived, "waiting", reason, BreakReason.UNPARSEABLE, break_keys.of_delivery(arrived.id, item))
        return
    if isinstance(meaning, Paid) and meaning.kind is not Kind.PAYMENT and meaning.strength is not Strength.PROVES:
        reason = f"a message reported a {meaning.kind} of {channel.identifier}; no {meaning.kind} was expected"
        batch.end(arrived, "waiting", reason, BreakReason.PAYOUT_NOT_EXPECTED, break_keys.of_delivery(arrived.id, item))
        return
    batch.facts.append(interpretation.fact(arrived, channel, item, meaning))
    if arrived.purpose not in FILES:
        # Whatever an earlier look at the message complained of.
        batch.resolve([break_keys.of_delivery(arrived.id, item)], "the message was read again and is understood now")
    if meaning.request_id:
        batch.resolve([break_keys.request(meaning.request_id)], "the provider reported the payment of the request")
    _doubt(batch, arrived, channel, item, meaning)


def _doubt(batch: Batch, arrived: Arrived, channel: Channel, item: int, meaning: Paid | Reversed) -> None:
    """Certain money with a doubtful time, or a doubt of its own: a break beside the posting, never instead of it."""
    said = meaning.doubt
    if meaning.occurred_at is None or meaning.time_in_doubt:
        key, why = break_keys.doubt(channel.id, meaning.reference), BreakReason.CLOCK_DIFFERS
        said = (
            said or "the message has no time that can be read; the money is booked at the time we received the message"
        )
    elif periods.runs_ahead(meaning.occurred_at, known_at=arrived.received_at):
        key, why = break_keys.clock(arrived.id, item), BreakReason.CLOCK_DIFFERS
        said = "the time in the message is more than fifteen minutes later than our clock"
    else:
        key, why = break_keys.doubt(channel.id, meaning.reference), BreakReason.DUPLICATE_CODE
    if said:
        batch.opened.append(
            NewBreak(key, why, said, arrived.received_at, delivery_id=arrived.id, channel_account_id=channel.id)
        )
    if isinstance(meaning, Paid) and meaning.wrong_address:
        day = periods.nairobi_date(arrived.received_at)
        batch.opened.append(
            NewBreak(
                break_keys.wrong_address(channel.id, arrived.purpose, day),
                BreakReason.WRONG_ADDRESS,
                f"{_SWAPPED[meaning.strength is Strength.SUPPORTS]}; register the addresses again",
                arrived.received_at,
                delivery_id=arrived.id,
                channel_account_id=channel.id,
            )
        )
