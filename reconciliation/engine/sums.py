"""Which of a payer's bills add up to an amount: exact, bounded, and counted. Pure.

The answer is how many ways there are, not the first one found. More than one way is a tie, and a tie is never applied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

LARGEST_SET = 16
"""More bills than this are not searched: the answer is refused rather than slow."""


@dataclass(frozen=True, slots=True)
class Sums:
    """How an amount decomposes: ``ways`` is exact up to ``counted_to``; ``chosen`` are places in the input."""

    ways: int
    chosen: tuple[int, ...] = ()
    """The one decomposition, when there is exactly one."""
    refused: bool = False
    """More candidates than are searched."""


def decompose(amounts: Sequence[int], target_minor: int, *, counted_to: int = 10) -> Sums:
    """Count the sets of two or more ``amounts`` (cents, each above nothing) whose sum is ``target_minor``.

    Two equal amounts are two bills: choosing one or the other are two ways. Depth first over the amounts from the
    largest down, cut off where the rest cannot reach the target or has passed it; stops when ``counted_to`` are found.
    """
    if len(amounts) > LARGEST_SET:
        return Sums(0, refused=True)
    order = sorted(range(len(amounts)), key=lambda place: (-amounts[place], place))
    rest = [0]
    for place in reversed(order):
        rest.append(rest[-1] + amounts[place])
    rest.reverse()
    found: list[tuple[int, ...]] = []

    def walk(depth: int, left: int, taken: tuple[int, ...]) -> None:
        if left == 0:
            if len(taken) > 1:
                found.append(tuple(sorted(taken)))
            return
        if left < 0 or depth == len(order) or rest[depth] < left or len(found) >= counted_to:
            return
        walk(depth + 1, left - amounts[order[depth]], (*taken, order[depth]))
        walk(depth + 1, left, taken)

    if target_minor > 0:
        walk(0, target_minor, ())
    return Sums(len(found), found[0] if len(found) == 1 else ())
