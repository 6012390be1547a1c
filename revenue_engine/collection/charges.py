"""Charges that a proved statement tells of: gross, always, and never netted out of revenue."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy.orm import Session

from revenue_engine import ledger, payments, periods
from revenue_engine.channels.accounts import Channel
from revenue_engine.collection import disagreements
from revenue_engine.collection.batch import Batch
from revenue_engine.ledger import postings
from revenue_engine.payments import NewPayment
from revenue_engine.ports.callbacks import Kind


def record_charges(session: Session, batch: Batch, channels: Mapping[int, Channel]) -> None:
    """Post each charge to its own account."""
    told = [one for one in batch.written if one.identity.kind == Kind.CHARGE]
    known = payments.find(session, (one.identity for one in told))
    if known:
        batch.opened += disagreements.among(payments.evidence_of(session, known, written=batch.written), known)
    first = {one.identity: one for one in reversed(told) if one.identity not in known}
    recorded = payments.record(
        session,
        [NewPayment(identity, one.amount_minor or 0, one.occurred_at) for identity, one in sorted(first.items())],
    )
    journals = [
        (
            f"payment:{payment.id}:charged",
            postings.channel_charged(
                payment.amount_minor,
                clearing=channels[identity.channel_account_id].clearing_account,
                channel_account_id=identity.channel_account_id,
                at=payment.occurred_at,
            ),
        )
        for identity, payment in sorted(recorded.items())
    ]
    received = batch.received()
    book_on = {
        key: periods.nairobi_date(
            periods.booked_as_of(journal.occurred_at, known_at=received[first[identity].delivery_id])
        )
        for (key, journal), identity in zip(journals, sorted(recorded), strict=True)
    }
    if journals:
        ledger.post_many(session, journals, book_on=book_on)
