"""Take back what providers took back: at once, or when the payment that a reversal speaks of becomes known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy.orm import Session

from reconciliation import break_keys
from reconciliation.breaks import BreakReason, NewBreak
from revenue_engine import ledger, payments, periods
from revenue_engine.billing import open_bills
from revenue_engine.channels.accounts import Channel
from revenue_engine.collection import disagreements, surplus
from revenue_engine.collection.batch import Batch
from revenue_engine.errors import IntegrityFault
from revenue_engine.ledger import postings
from revenue_engine.ledger.postings import Placed
from revenue_engine.payments import Identity, NewApplication, NewPayment, Recorded, Stored
from revenue_engine.ports.callbacks import Kind as MoneyKind
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
    if not told:
        return
    # Evidence may have come with an earlier batch only: all that is told of a reversal is weighed together.
    told = payments.evidence_of(session, {one.identity for one in told}, written=batch.written)
    done = payments.find(session, {one.identity for one in told})
    originals = payments.find(session, {_original(one) for one in told if one.reverses})
    rests = surplus.standing_of(session, originals)
    batch.opened += disagreements.among(told, done, _agreeing(told, originals, rests))
    todo = _chosen((one for one in told if one.identity not in done), originals, rests)
    batch.resolve(
        (
            key
            for one in told
            if one.identity in done
            for key in (break_keys.reversal(*_about(one)), break_keys.reversal_amount(*_about(one)))
        ),
        _TAKEN_BACK,
    )
    taken = payments.reversed_already(session, [payment.id for payment in originals.values()])
    ready: list[tuple[Stored, Recorded]] = []
    for one in todo:
        original = originals.get(_original(one))
        if original is None:
            _refuse_unknown(batch, one)
            continue
        batch.resolve([break_keys.reversal(*_about(one))], "the payment that the reversal names is in the books now")
        rest = rests.get(original.identity)
        if one.amount_minor not in _whole(original, rest):
            detail = f"{one.reverses} was reversed for another amount than was paid; nothing is taken back yet"
            key = break_keys.reversal_amount(*_about(one))
            _refuse(batch, one, key, BreakReason.REVERSAL_AMOUNT_DIFFERS, detail, original)
        elif original.id in taken:
            detail = f"two reversals name the payment {one.reverses}; the payment was taken back once"
            key = break_keys.reversal_twice(one.identity.channel_account_id, one.reverses)
            _refuse(batch, one, key, BreakReason.DUPLICATE_CODE, detail, original)
        else:
            taken.add(original.id)
            ready.append((one, original))
            if one.amount_minor != original.amount_minor and rest is not None:
                ready.append((surplus.taken_back(session, one, rest), rest))
            batch.resolve([break_keys.reversal_amount(*_about(one))], _TAKEN_BACK)
    take_back(session, batch, channels, ready)


_TAKEN_BACK = "the reversal took the payment back"


def _about(one: Stored) -> tuple[int, str]:
    return one.identity.channel_account_id, one.identity.reference


def _original(one: Stored) -> Identity:
    return Identity(one.identity.channel_account_id, MoneyKind.PAYMENT.value, one.reverses)


def _chosen(
    waiting: Iterable[Stored], originals: Mapping[Identity, Recorded], rests: Mapping[Identity, Recorded]
) -> list[Stored]:
    """One message for each reversal, in the order told: one that can act, else one whose payment is known, else one
    that names a payment, for a statement may not. So the first message does not decide what the reversal does."""

    def rank(one: Stored) -> tuple[bool, bool, bool, int]:
        original = originals.get(_original(one))
        whole = original is not None and one.amount_minor in _whole(original, rests.get(original.identity))
        return not whole, original is None, not one.reverses, one.id

    chosen: dict[Identity, Stored] = {}
    for one in sorted(waiting, key=rank):
        chosen.setdefault(one.identity, one)
    return sorted(chosen.values(), key=lambda one: one.id)


def _agreeing(
    told: Iterable[Stored], originals: Mapping[Identity, Recorded], rests: Mapping[Identity, Recorded]
) -> dict[Identity, set[int]]:
    """Amounts of one reversal that agree: what a message told of its payment, and what a statement proved of it."""
    found: dict[Identity, set[int]] = {}
    for one in told:
        original = originals.get(_original(one))
        if original is not None and original.identity in rests:
            whole = _whole(original, rests[original.identity])
            found.setdefault(one.identity, set()).update(amount for amount in whole if amount is not None)
    return found


def _refuse_unknown(batch: Batch, one: Stored) -> None:
    batch.outcome.look_again.add(one.delivery_id)
    if not one.reverses and one.item < 0:  # a bank's line of a return: `returns` finds the deposit, or says why not
        return
    detail = (
        f"the payment {one.reverses} was reversed and is not in the books yet"
        if one.reverses
        else f"the reversal {one.identity.reference} does not say which payment is taken back"
    )
    _refuse(batch, one, break_keys.reversal(*_about(one)), BreakReason.REVERSAL_WITHOUT_PAYMENT, detail)


def _whole(original: Recorded, rest: Recorded | None) -> tuple[int | None, ...]:
    """What a reversal of the whole may say: nothing, what a message told, or what a statement proved in the end."""
    amounts = (None, original.amount_minor)
    return amounts if rest is None else (*amounts, original.amount_minor + rest.amount_minor)


def _refuse(
    batch: Batch, one: Stored, key: str, reason: BreakReason, detail: str, original: Recorded | None = None
) -> None:
    batch.outcome.waiting += 1
    batch.opened.append(
        NewBreak(
            key,
            reason,
            detail,
            one.occurred_at,
            amount_minor=one.amount_minor or 0,
            payment_id=original.id if original is not None else None,
            delivery_id=one.delivery_id,
            channel_account_id=one.identity.channel_account_id,
        )
    )


def take_back(
    session: Session,
    batch: Batch,
    channels: Mapping[int, Channel],
    ready: Sequence[tuple[Stored, Recorded]],
    *,
    why: str = "the provider reversed the payment",
) -> None:
    """Take payments back, each by the reversal that a message reported; ``why`` is told on papers and breaks."""
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
    batch.taken_back.update((original.id, why) for _, original in ready)
    # A bill that is open again is paid by other money that named it, as if that money had come after.
    reopened = sorted({i for _, p in ready for i, _, _ in applied.get(p.id, [])})
    jobs.add(session, kind=Kind.PAY_REOPENED, refs=reopened)
    batch.outcome.reversed += len(ready)
    # Nothing of it is held any more, in suspense or as somebody's credit.
    batch.resolve((key for _, original in ready for key in break_keys.held(original.id)), why)


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
