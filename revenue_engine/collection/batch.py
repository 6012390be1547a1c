"""What one batch of deliveries gathers and what it did: shared by the steps of the pipeline."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from reconciliation import break_keys
from reconciliation.breaks import BreakReason, NewBreak
from revenue_engine import periods
from revenue_engine.channels.accounts import Channel
from revenue_engine.channels.deliveries import Arrived
from revenue_engine.payments import Fact, Identity, Stored, receipts


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
    put_off: set[int] = field(default_factory=set)
    """Deliveries left for a few seconds, because a statement that may show the same money is being read."""
    first_told: set[int] = field(default_factory=set)
    """Deliveries whose evidence was written here and now: no other worker can have seen it yet."""


@dataclass(slots=True)
class Batch:
    """What one transaction gathers on its way: evidence, endings, breaks to open and to close, papers to issue."""

    outcome: Outcome = field(default_factory=Outcome)
    facts: list[Fact] = field(default_factory=list)
    written: list[Stored] = field(default_factory=list)
    """The evidence of this batch's facts; one whose delivery is replayed was written before."""
    told_before: set[Identity] = field(default_factory=set)
    """Movements that an earlier batch has evidence of: only of these a break may stand open."""
    to_receipt: list[receipts.ToIssue] = field(default_factory=list)
    taken_back: dict[int, str] = field(default_factory=dict)
    """Payments that were taken back, by id, and why."""
    named_channels: dict[str, Channel] = field(default_factory=dict)
    """A channel of ours that the words of a bank's credit name, by what the credit is known by."""
    ended: list[tuple[int, str, str]] = field(default_factory=list)
    opened: list[NewBreak] = field(default_factory=list)
    closed: dict[str, str] = field(default_factory=dict)
    """The keys of the breaks to close, and what each is resolved by."""
    push_ends: list[tuple[str, str, int]] = field(default_factory=list)
    """Requests of ours that ended without money: request id, failed or cancelled, the delivery that said so."""

    def resolve(self, keys: Iterable[str], because: str) -> None:
        """Close these breaks, saying what happened. The first resolution of a key stays."""
        for key in keys:
            self.closed.setdefault(key, because)

    def received(self) -> defaultdict[int, datetime]:
        """When each delivery of this batch reached us; now, for evidence of an earlier batch."""
        told = {fact.delivery_id: fact.received_at for fact in self.facts}
        return defaultdict(periods.now, told)

    def end(self, arrived: Arrived, outcome: str, reason: str, why: BreakReason | None = None, key: str = "") -> None:
        """Say how a delivery ends that is not evidence, and open its break where there is a reason for one."""
        self.ended.append((arrived.id, outcome, reason))
        if outcome == "ignored":
            self.outcome.ignored += 1
        else:
            self.outcome.waiting += 1
        if why is not None:
            self.opened.append(
                NewBreak(
                    key or break_keys.of_delivery(arrived.id),
                    why,
                    reason,
                    arrived.received_at,
                    delivery_id=arrived.id,
                    channel_account_id=arrived.channel_account_id,
                )
            )
