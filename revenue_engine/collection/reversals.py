"""Take back what providers took back: at once, or when the payment that a reversal speaks of becomes known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy.orm import Session

from reconciliation import break_keys
from reconciliation.breaks import BreakReason, NewBreak
from revenue_engine import ledger, payments, periods
from revenue_engine.billing import open_bills
from revenue_engine.channels.accounts import Channel
from revenue_engine.collection import surplus
from revenue_engine.collection.batch import Batch
from revenue_engine.errors import IntegrityFault
from revenue_engine.ledger import postings
from revenue_engine.ledger.postings import Placed
from revenue_engine.payments import Identity, NewApplication, NewPayment, Recorded, Stored
from revenue_engine.work import jobs
from revenue_engine.work.kinds import Kind


def record_reversals(
    session: Session, batch: Batch, channels: Mapping[int, Channel], standing: Mapping[Identity, Recorded]
) -> None:
    """Take back what providers took back: those just told, and those told before the payment was known."""
    told = payments.evidence_of(
        session, (fact.identity for fact in batch.facts if fact.identity.kind == "reversal"), written=batch.written
    )
    told += payments.reversals_waiting_for(session, [payment.identity.reference for payment in standing.values()])
    by_identity: dict[Identity, Stored] = {}
    for one in told:  # the first that says what is taken back, for a statement may not
        if one.identity not in by_identity or (one.reverses and not by_identity[one.identity].reverses):
            by_identity[one.identity] = one
    done = payments.find(session, by_identity)
    todo = [one for identity, one in by_identity.items() if identity not in done]
    if not todo:
        return
    originals = payments.find(
        session, (Identity(one.identity.channel_account_id, "payment", one.reverses) for one in todo)
    )
    rests = surplus.standing_of(session, originals)
    taken = payments.reversed_already(session, [payment.id for payment in originals.values()])
    ready = []
    for one in sorted(todo, key=lambda one: one.id):
        original = originals.get(Identity(one.identity.channel_account_id, "payment", one.reverses))
        about = (one.identity.channel_account_id, one.identity.reference)
        if original is None:
            batch.outcome.look_again.add(one.delivery_id)
            detail = f"{one.reverses} is not known yet" if one.reverses else "nothing says what it takes back"
            _refuse(batch, one, break_keys.reversal(*about), BreakReason.REVERSAL_WITHOUT_PAYMENT, detail)
        elif original.id in taken:
            twice = f"{one.reverses} was reversed before"
            _refuse(batch, one, break_keys.reversal_twice(*about), BreakReason.DUPLICATE_CODE, twice)
        elif one.amount_minor in _whole(original, rests.get(original.identity)):
            taken.add(original.id)
            ready.append((one, original))
            if one.amount_minor != original.amount_minor and original.identity in rests:
                rest = rests[original.identity]
                ready.append((surplus.taken_back(session, one, rest), rest))
            batch.closed += [break_keys.reversal(*about), break_keys.reversal_amount(*about)]
        else:
            detail = f"{one.reverses} was reversed for another amount than it was paid"
            _refuse(
                batch, one, break_keys.reversal_amount(*about), BreakReason.REVERSAL_AMOUNT_DIFFERS, detail, original.id
            )
    _take_back(session, batch, channels, ready)


def _whole(original: Recorded, rest: Recorded | None) -> tuple[int | None, ...]:
    """What a reversal of the whole may say: nothing, what a message told, or what a statement proved in the end."""
    amounts = (None, original.amount_minor)
    return amounts if rest is None else (*amounts, original.amount_minor + rest.amount_minor)


def _refuse(
    batch: Batch, one: Stored, key: str, reason: BreakReason, detail: str, payment_id: int | None = None
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
    session: Session, batch: Batch, channels: Mapping[int, Channel], ready: Sequence[tuple[Stored, Recorded]]
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
    received = batch.received()
    journals, book_on = [], {}
    for one, original in ready:
        channel = channels[original.identity.channel_account_id]
        places = _where_it_is(original, applied.get(original.id, []), held, bills)
        key = f"payment:{new[one.identity].id}:reversed"
        known_at = received[one.delivery_id]
        book_on[key] = periods.nairobi_date(periods.booked_as_of(one.occurred_at, known_at=known_at))
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
    jobs.add(session, kind=Kind.PAY_REOPENED, refs=reopened)
    batch.outcome.reversed += len(ready)
    # Nothing of it is held any more, in suspense or as somebody's credit.
    batch.closed += [key for _, original in ready for key in break_keys.held(original.id)]


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
