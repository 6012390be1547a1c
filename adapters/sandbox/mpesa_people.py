"""Who pays in the simulated M-PESA: bills with their numbers, and what is bought at stations before service."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate


@dataclass(frozen=True, slots=True)
class Bill:
    """A bill that somebody may pay. ``key`` is the county's own name for it."""

    key: str
    pay_account: str
    amount_minor: int
    stream: str
    has_payer: bool = True
    """Whether money above the bill has an owner."""
    cancelled: bool = False
    also: tuple[str, ...] = ()
    """Other ways to type it: the standing number or the alias of a billed object with no other bill."""


@dataclass(frozen=True, slots=True)
class Spot:
    """Something paid for before the service: a stand on a market day, a night in a trailer park."""

    key: str
    stream: str
    amount_minor: int
    typed: tuple[str, ...]
    """Ways in which payers name it that leave no doubt: a station, a plate, both."""
    station: str
    object_id: int | None = None
    weight: int = 1
    """How often it is bought, beside the others."""


@dataclass(frozen=True)
class Population:
    """All that can be paid."""

    bills: tuple[Bill, ...]
    spots: tuple[Spot, ...]

    @cached_property
    def by_key(self) -> dict[str, Bill]:
        """The bills by their keys."""
        return {bill.key: bill for bill in self.bills}

    @cached_property
    def spot_weights(self) -> list[int]:
        """The weights of the spots, summed up as they stand, for drawing one."""
        return list(accumulate(spot.weight for spot in self.spots))
