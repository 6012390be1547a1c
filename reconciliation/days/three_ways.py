"""Three ways: for each channel account and day what the books (A), the provider (B) and the bank (C) say.

A movement stands in one bucket until the other side has it too; ``opening + new - cleared = closing`` for each bucket,
by count and by money, and the opening of a day is the closing of the day before. What the books hold in clearing is
what the provider holds by its own statements and the items of the buckets, one by one: clearing returns to zero or to
that list.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

from sqlalchemy.orm import Session

from revenue_engine import ledger, periods
from revenue_engine.billing import tariffs
from revenue_engine.channels import accounts
from revenue_engine.channels.accounts import Channel, Labelled
from revenue_engine.errors import NotFound
from revenue_engine.ledger import chart
from revenue_engine.treasury import bank_accounts
from revenue_engine.verification import side_by_side
from revenue_engine.verification.side_by_side import Moved, PaidOut


class Bucket(enum.StrEnum):
    """Where a movement waits that not all sides have."""

    BOOKS_ONLY = "in_books_not_in_statement"
    """A, not B."""
    STATEMENT_ONLY = "in_statement_not_in_books"
    """B, not A."""
    DIFFERS = "amounts_differ"
    """A and B, and not the same amount; the item is A less B."""
    IN_TRANSIT = "paid_out_not_banked"
    """B, not C: on its way to our bank."""
    BANK_ONLY = "banked_not_paid_out"
    """C, not B."""


_LESSENS = frozenset({Bucket.STATEMENT_ONLY, Bucket.BANK_ONLY})
"""What stands here makes the books hold less than the provider says."""


@dataclass(frozen=True, slots=True)
class Item:
    """One movement that waits. ``amount_minor`` is signed, in cents: above zero money that came to the account, and in
    the two buckets of the bank money that left it for the bank."""

    bucket: Bucket
    kind: str
    reference: str
    amount_minor: int
    since: date
    age_days: int
    expected_on: date | None = None
    """The day by which the other side is to have it: of a payout, the bank's next working day; else None."""

    @property
    def effect_minor(self) -> int:
        """By how many cents the item makes the books' clearing higher than what the provider holds."""
        return -self.amount_minor if self.bucket in _LESSENS else self.amount_minor


@dataclass(slots=True)
class Roll:
    """How a bucket went through a day: counts, and money in cents."""

    opening: int = 0
    opening_minor: int = 0
    new: int = 0
    new_minor: int = 0
    cleared: int = 0
    cleared_minor: int = 0
    closing: int = 0
    closing_minor: int = 0

    @property
    def adds_up(self) -> bool:
        """Whether opening and new less cleared is the closing, by count and by money."""
        return (
            self.opening + self.new - self.cleared == self.closing
            and self.opening_minor + self.new_minor - self.cleared_minor == self.closing_minor
        )


@dataclass(slots=True)
class Side:
    """What one side says of a day, in cents: gross is what payers paid less what was taken back; net is gross less
    fees, and for the bank what it credited."""

    items: int = 0
    paid_minor: int = 0
    reversed_minor: int = 0
    fees_minor: int = 0
    other_minor: int = 0
    """Opening balances, and outflows of a bank account."""

    @property
    def gross_minor(self) -> int:
        """Paid less taken back."""
        return self.paid_minor - self.reversed_minor

    @property
    def net_minor(self) -> int:
        """Gross less fees."""
        return self.gross_minor - self.fees_minor

    def add(self, kind: str, minor: int) -> None:
        """Count one movement of a day, of signed cents."""
        if not minor:
            return
        self.items += 1
        if kind == "payment":
            self.paid_minor += minor
        elif kind == "reversal":
            self.reversed_minor -= minor
        elif kind == "charge":
            self.fees_minor -= minor
        else:
            self.other_minor += minor


@dataclass(slots=True)
class ThreeWays:
    """One channel account on one day. Amounts are in cents."""

    channel_account_id: int
    label: str
    name: str
    day: date
    bank: bool
    """Whether it is a bank account of ours: then the provider is the bank, and nothing is paid out to another."""
    covered: bool
    """Whether a statement with balances covers the day."""
    books: Side = field(default_factory=Side)
    provider: Side = field(default_factory=Side)
    paid_out_minor: int = 0
    """What the provider's statement of the day says it paid out to our bank."""
    banked_minor: int = 0
    """What our bank credited of it on the day."""
    rolls: dict[Bucket, Roll] = field(default_factory=lambda: {bucket: Roll() for bucket in Bucket})
    items: list[Item] = field(default_factory=list)
    """What waits at the end of the day, the oldest first."""
    clearing_minor: int = 0
    """What the books hold in the channel account at the end of the day."""
    held_minor: int = 0
    """What the provider holds at the end of the day, by the lines of its statements."""
    told_minor: int | None = None
    """What the foot of the statement that ends on the day says; None where none ends there."""

    @property
    def unexplained_minor(self) -> int:
        """Clearing less what the provider holds and less every item: anything but zero is a fault."""
        return self.clearing_minor - self.held_minor - sum(item.effect_minor for item in self.items)

    @property
    def untold_minor(self) -> int:
        """The foot of the day's statement less its lines: anything but zero says that a line is missing."""
        return 0 if self.told_minor is None else self.told_minor - self.held_minor

    @property
    def ties(self) -> bool:
        """Whether every figure is proved; items may wait all the same."""
        return not self.unexplained_minor and not self.untold_minor and all(r.adds_up for r in self.rolls.values())


def three_ways(session: Session, day: date, *, channel: str = "") -> list[ThreeWays]:
    """The three ways of every channel account on a day, or of the one that ``channel`` names (``600100`` or
    ``mpesa 600100``), in the order they were set up.

    What a closed day shows never changes: what became known later counts on the first day that was open then. The
    session reads at one moment where its figures are to tie while others record. Raises NotFound for an unknown
    channel.
    """
    names = accounts.names(session)
    known = accounts.channels(session)
    wanted = [account for account in names if not channel or _is_named(known[account], channel)]
    if not wanted:
        listed = ", ".join(label.label for label in names.values())
        raise NotFound(f"no channel account is called {channel!r}; there are {listed or 'none'}", channel=channel)
    return [_of_channel(session, known[account], names[account], day) for account in wanted]


def _is_named(channel: Channel, told: str) -> bool:
    words = told.split()
    return words[-1:] == [channel.identifier] and words[:-1] in ([], [channel.adapter])


def _of_channel(session: Session, channel: Channel, shown: Labelled, day: date) -> ThreeWays:
    own_bank = bank_accounts.known_by_channel(session, channel.id)
    bank = own_bank is not None
    held_in = [channel.clearing_account, *([own_bank.account] if own_bank else [])]
    if own_bank is not None and own_bank.purpose == "fund":
        held_in.append(chart.CRF)  # there is one Fund, and its money is what its bank shows
    told = side_by_side.told_by_provider(session, channel.id, day)
    made = ThreeWays(channel.id, shown.label, shown.name, day, bank, told.covered, told_minor=told.closing_minor)
    made.clearing_minor = sum(ledger.balance(session, account, effective=day).net_minor for account in held_in)
    made.held_minor = side_by_side.held_by_provider(session, channel.id, day, bank=bank)
    laid(
        made,
        side_by_side.moved(session, channel.id, day, accounts=held_in, bank=bank),
        [] if bank else side_by_side.paid_out(session, channel.id, day),
    )
    holidays = tariffs.holidays(session)
    made.items = [_expected(item, holidays) for item in made.items]
    return made


def _expected(item: Item, holidays: Collection[date]) -> Item:
    if item.bucket is not Bucket.IN_TRANSIT:
        return item
    return replace(item, expected_on=periods.add_working_days(item.since, 1, holidays))


def laid(made: ThreeWays, moved: Iterable[Moved], paid_out: Iterable[PaidOut]) -> None:
    """Lay the rows of a day beside each other: what each side says of the day, the buckets and what waits. Pure."""
    for one in moved:
        made.books.add(one.kind, one.books_today)
        made.provider.add(one.kind, one.provider_today)
        _through(
            made,
            _state(one.books_before, one.provider_before),
            _state(one.books_before + one.books_today, one.provider_before + one.provider_today),
            one.kind,
            one.reference,
            one.since,
        )
    for out in paid_out:
        if out.paid_on == made.day:
            made.paid_out_minor += out.amount_minor
        if out.banked_on == made.day:
            made.banked_minor += out.amount_minor
        since = min(day for day in (out.paid_on, out.banked_on) if day is not None)
        before = made.day - timedelta(days=1)
        states = [_state_of_payout(out, day) for day in (before, made.day)]
        _through(made, states[0], states[1], "payout", out.reference or out.bank_reference, since)
    made.items.sort(key=lambda item: (item.since, item.bucket, item.kind, item.reference))


_State = tuple[Bucket, int] | None


def _state(books: int, provider: int) -> _State:
    if books == provider:
        return None
    if not provider:
        return Bucket.BOOKS_ONLY, books
    return (Bucket.DIFFERS, books - provider) if books else (Bucket.STATEMENT_ONLY, provider)


def _state_of_payout(out: PaidOut, day: date) -> _State:
    paid = out.paid_on is not None and out.paid_on <= day
    banked = out.banked_on is not None and out.banked_on <= day
    if paid == banked:
        return None
    return (Bucket.IN_TRANSIT if paid else Bucket.BANK_ONLY), out.amount_minor


def _through(made: ThreeWays, before: _State, after: _State, kind: str, reference: str, since: date) -> None:
    if before is not None:
        made.rolls[before[0]].opening += 1
        made.rolls[before[0]].opening_minor += before[1]
    if before != after:
        if before is not None:
            made.rolls[before[0]].cleared += 1
            made.rolls[before[0]].cleared_minor += before[1]
        if after is not None:
            made.rolls[after[0]].new += 1
            made.rolls[after[0]].new_minor += after[1]
    if after is not None:
        bucket, minor = after
        standing = made.rolls[bucket]
        standing.closing += 1
        standing.closing_minor += minor
        made.items.append(Item(bucket, kind, reference, minor, since, (made.day - since).days))


_BANDS = (("0-1", 1), ("2-3", 3), ("4-7", 7), ("8-30", 30))
"""Bands of age in days, each with its last day; the rest is over 30."""


def band(age_days: int) -> str:
    """The band of an age, as the daily reconciliation prints it."""
    return next((name for name, last in _BANDS if age_days <= last), "over 30")
