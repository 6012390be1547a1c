"""Work that died after all its tries has an owner: a break says which work, and closes when the work is done after all.

What a provider was told we received must not lie in a dead row that nobody reads.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy.orm import Session

from reconciliation import break_keys, breaks
from reconciliation.breaks import BreakReason, NewBreak
from revenue_engine import periods
from revenue_engine.channels import deliveries
from revenue_engine.work.kinds import Kind

_WORDS = {
    Kind.INTERPRET: "the message could not be read into the books",
    Kind.STATEMENT: "the statement file could not be read into the books",
    Kind.APPLY_CREDIT: "the credit of a payer could not be set against a new bill",
    Kind.PAY_REOPENED: "money that named a reopened bill could not be set against the bill",
    Kind.APPROVED: "what two persons agreed to could not be done",
}
_DELIVERED = frozenset({Kind.INTERPRET, Kind.STATEMENT})


def open_break(session: Session, kind: Kind, ref_id: int, *, error: str) -> None:
    """Give dead work to its owner. ``error`` holds the fault's kind and code, never a row's content."""
    told = deliveries.origin(session, ref_id) if kind in _DELIVERED else None
    key = break_keys.dead(kind.value, ref_id)
    said = _WORDS.get(kind, f"the work {kind.value} could not be done")
    new = NewBreak(
        key,
        BreakReason.WORK_FAILED,
        f"{said} after all tries ({error[:200]}); fix the cause, then replay number {ref_id}",
        told.received_at if told is not None else periods.now(),
        delivery_id=told.id if told is not None else None,
        channel_account_id=told.channel_account_id if told is not None else None,
    )
    breaks.open_many(session, [new])
    if breaks.is_closed(session, key):  # the work died before, was done, and died again
        breaks.reopen(session, key, amount_minor=0)


def resolve(session: Session, kind: Kind, ref_ids: Iterable[int]) -> None:
    """Close the breaks about work that died earlier and is done now."""
    keys = [break_keys.dead(kind.value, ref_id) for ref_id in ref_ids]
    breaks.close_many(session, keys, resolution="the work was done when it was tried again")
