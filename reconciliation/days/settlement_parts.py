"""One settlement line taken apart: which payments a payout to our bank holds, each wholly or in part.

A provider pays out of what it holds and does not say of which payments. Money is alike, so the rule is stated and kept:
what took money away since (reversals, charges) is taken first and whole, then payments fill the payout, the oldest
first. Where a payout empties the account nothing is left to choose: it holds everything since the last such payout,
over weekends and holidays too, whatever day the bank values it on. Pure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from revenue_engine import payments
from revenue_engine.channels import accounts
from revenue_engine.errors import Conflict, NotFound
from revenue_engine.payments import Move


@dataclass(frozen=True, slots=True)
class Part:
    """What one movement is in a settlement: signed cents, and whether that is the whole of it or the last of it."""

    kind: str
    reference: str
    occurred_at: datetime
    amount_minor: int
    whole: bool


@dataclass(frozen=True, slots=True)
class Settlement:
    """A payout and its parts. ``amount_minor`` is the sum of the parts and of ``unknown_minor``, in cents."""

    reference: str
    occurred_at: datetime
    amount_minor: int
    parts: tuple[Part, ...]
    unknown_minor: int
    """What no movement of the statements fills: money of before them."""
    left_minor: int
    """What the provider held after it, of the movements that are known."""

    @property
    def gross_minor(self) -> int:
        """The payments in it less what was taken back, in cents."""
        return sum(part.amount_minor for part in self.parts if part.kind != "charge")

    @property
    def fees_minor(self) -> int:
        """The charges in it, in cents above zero."""
        return -sum(part.amount_minor for part in self.parts if part.kind == "charge")

    @property
    def first_at(self) -> datetime:
        """Where its window begins: its oldest movement; its own time where it holds none."""
        return min((part.occurred_at for part in self.parts), default=self.occurred_at)


def taken_apart(moves: Iterable[Move]) -> list[Settlement]:
    """Every payout among the movements of one channel account, taken apart; the movements in the order they happened.

    A movement of nothing is in no settlement. Each cent of a movement is in one settlement at most.
    """
    waiting: deque[tuple[Move, int]] = deque()
    taken_away: list[Move] = []
    found = []
    for move in moves:
        if move.kind == "payout":
            found.append(_filled(move, waiting, taken_away))
        elif move.amount_minor > 0:
            waiting.append((move, move.amount_minor))
        elif move.amount_minor < 0:
            taken_away.append(move)
    return found


def _filled(payout: Move, waiting: deque[tuple[Move, int]], taken_away: list[Move]) -> Settlement:
    parts = [_part(move, move.amount_minor) for move in taken_away]
    wanted = payout.amount_minor - sum(part.amount_minor for part in parts)
    taken_away.clear()
    while wanted and waiting:
        move, left = waiting.popleft()
        taken = min(left, wanted)
        parts.append(_part(move, taken))
        wanted -= taken
        if taken < left:
            waiting.appendleft((move, left - taken))
    parts.sort(key=lambda part: (part.occurred_at, part.kind, part.reference))
    left = sum(rest for _, rest in waiting)
    return Settlement(payout.reference, payout.occurred_at, payout.amount_minor, tuple(parts), wanted, left)


def _part(move: Move, taken: int) -> Part:
    return Part(move.kind, move.reference, move.occurred_at, taken, taken == move.amount_minor)


def settlement(session: Session, reference: str, *, channel: str = "") -> Settlement:
    """The payout that a provider's statement calls ``reference``, taken apart to its payments.

    Raises NotFound, and Conflict where two channel accounts have a payout of that reference and ``channel`` (its
    identifier) does not say which.
    """
    channels = accounts.channels(session)
    of = [
        one
        for one in payments.paying_out(session, reference.strip().upper())
        if not channel or channels[one].identifier == channel.strip()
    ]
    if not of:
        raise NotFound(f"no statement shows a payout {reference!r}", reference=reference)
    if len(of) > 1:
        named = ", ".join(channels[one].identifier for one in of)
        raise Conflict(f"the payout {reference} is of {named}: say --channel", field="channel")
    moves = payments.statement_moves(session, of[0])
    return next(one for one in taken_apart(moves) if one.reference == reference.strip().upper())
