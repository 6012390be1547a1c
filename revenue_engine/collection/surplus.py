"""Money that a statement proves above what a message said: the rest of it is posted too, to suspense, once.

A message told of 100, and the statement that adds up shows 150 under the same reference. What was posted first stands,
nothing is overwritten; the 50 that nobody told of are the county's all the same and wait for a person under the name
``<reference>/DIFFERENCE``. Where the statement shows less, the difference is a break and moves nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from reconciliation import break_keys
from reconciliation.breaks import BreakReason, NewBreak
from revenue_engine import ledger, payments, periods
from revenue_engine.channels.accounts import Channel
from revenue_engine.collection.batch import Batch
from revenue_engine.ledger import postings
from revenue_engine.ledger.postings import Placed
from revenue_engine.payments import Fact, Identity, NewPayment, Recorded, Stored, receipts
from revenue_engine.ports.callbacks import Party, Strength

_SUFFIX = "/DIFFERENCE"


def name_of(identity: Identity) -> Identity:
    """The movement that the rest of a payment is known as."""
    return identity._replace(reference=identity.reference + _SUFFIX)


def standing_of(session: Session, identities: Iterable[Identity]) -> dict[Identity, Recorded]:
    """The rests that stand, by the identity of the payment they are of."""
    wanted = {name_of(identity): identity for identity in identities}
    return {wanted[name]: recorded for name, recorded in payments.find(session, wanted).items()}


@dataclass(frozen=True, slots=True)
class _Rest:
    told: Stored
    amount_minor: int


def post_rests(
    session: Session,
    batch: Batch,
    channels: Mapping[int, Channel],
    weighed: Sequence[Stored],
    standing: Mapping[Identity, Recorded],
) -> set[int]:
    """Post what statements prove above the payments that stand; answers the evidence that agrees by that, by id."""
    differing = [
        one
        for one in weighed
        if one.identity in standing
        and one.amount_minor is not None
        and one.amount_minor > standing[one.identity].amount_minor
    ]
    if not differing:
        return set()
    known = standing_of(session, {one.identity for one in differing})
    proofs = [one for one in differing if one.strength is Strength.PROVES and one.identity not in known]
    gone = payments.reversed_already(session, [standing[one.identity].id for one in proofs])
    rests = {
        one.identity: _Rest(one, (one.amount_minor or 0) - standing[one.identity].amount_minor)
        for one in reversed(proofs)
        if standing[one.identity].id not in gone
    }
    posted = _post(session, batch, channels, list(rests.values())) if rests else {}
    amounts = {identity: one.amount_minor for identity, one in (known | posted).items()}
    return {
        one.id
        for one in differing
        if one.amount_minor == standing[one.identity].amount_minor + amounts.get(one.identity, 0)
    }


def _post(
    session: Session, batch: Batch, channels: Mapping[int, Channel], rests: Sequence[_Rest]
) -> dict[Identity, Recorded]:
    payments.write_evidence(session, [_fact(rest.told, rest.amount_minor) for rest in rests])
    recorded = payments.record(
        session,
        [
            NewPayment(name_of(rest.told.identity), rest.amount_minor, rest.told.occurred_at, party=Party())
            for rest in rests
        ],
    )
    found = {rest.told.identity: recorded[name_of(rest.told.identity)] for rest in rests if _is_new(rest, recorded)}
    delivery_of = {rest.told.identity: rest.told.delivery_id for rest in rests}
    received = batch.received()
    journals, book_on = [], {}
    for identity, payment in found.items():
        channel = channels[identity.channel_account_id]
        key = f"payment:{payment.id}:received"
        known_at = received[delivery_of[identity]]
        book_on[key] = periods.nairobi_date(periods.booked_as_of(payment.occurred_at, known_at=known_at))
        journals.append(
            (
                key,
                postings.payment_received(
                    [Placed(payment.amount_minor)],
                    payment_id=payment.id,
                    channel_account_id=channel.id,
                    clearing=channel.clearing_account,
                    at=payment.occurred_at,
                ),
            )
        )
    posted = ledger.post_many(session, journals, book_on=book_on, fresh_keys=True)
    for (identity, payment), journal in zip(found.items(), posted, strict=True):
        batch.to_receipt.append(
            receipts.ToIssue(
                payment.id, "acknowledgement", payment.amount_minor, payment.occurred_at, journal.book_date
            )
        )
        batch.opened.append(
            NewBreak(
                break_keys.suspense(payment.id),
                BreakReason.AMOUNT_DIFFERS_FROM_STATEMENT,
                f"the statement shows more money for {identity.reference} than the message did; the difference is held"
                " in suspense",
                payment.occurred_at,
                amount_minor=payment.amount_minor,
                payment_id=payment.id,
                channel_account_id=identity.channel_account_id,
            )
        )
    batch.outcome.recorded += len(found)
    return found


def _is_new(rest: _Rest, recorded: Collection[Identity]) -> bool:
    return name_of(rest.told.identity) in recorded


def taken_back(session: Session, told: Stored, rest: Recorded) -> Stored:
    """The taking back of a rest, by the reversal that takes back its payment too; its evidence is kept."""
    fact = replace(_fact(told, rest.amount_minor), reverses=rest.identity.reference)
    (stored,) = payments.write_evidence(session, [fact])
    return stored


def _fact(told: Stored, amount_minor: int) -> Fact:
    """Evidence of the rest beside that of the whole; below zero, since no movement of a delivery is numbered so."""
    return Fact(
        delivery_id=told.delivery_id,
        identity=name_of(told.identity),
        message=told.message,
        amount_minor=amount_minor,
        currency=told.currency,
        occurred_at=told.occurred_at,
        received_at=told.occurred_at,
        strength=told.strength,
        item=-1 - told.item,
    )
