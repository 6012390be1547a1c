"""How one source is divided: the rules of rounding, in a page. Pure; the SQL of ``steps`` is held against this.

Largest remainder: every leg gets its whole cents, and the cents that are left go to the largest fractions; of equal
fractions to the lower leg, and last to what stays outside the book. So the parts and the rest always make the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from revenue_engine.errors import InvalidValue

WHOLE = 10_000
"""Shares are counted in parts of ten thousand: 7,000 is 70 %."""
REST = 32_767
"""The place of what stays outside the book: after every leg."""


@dataclass(frozen=True, slots=True)
class Leg:
    """One line that a rule makes: ``parts`` of ten thousand of the source, or ``flat_minor`` cents a transaction."""

    number: int
    parts: int | None = None
    flat_minor: int | None = None


def allocate(minor: int, legs: Sequence[Leg]) -> dict[int, int]:
    """Divide ``minor`` cents among legs; returns cents by leg, legs that get nothing left out.

    Their sum is never above ``minor``; what is missing stays outside the book. Flat amounts are met in the order of the
    legs until the source is used up. Raises InvalidValue for shares past the whole and for legs of both sorts.
    """
    flat = [leg for leg in legs if leg.flat_minor is not None]
    if flat and len(flat) != len(legs):
        raise InvalidValue("a rule has shares or flat amounts, not both")
    if flat:
        return _flat(minor, flat)
    shares = [(leg.number, leg.parts or 0) for leg in legs]
    rest = WHOLE - sum(parts for _, parts in shares)
    if rest < 0:
        raise InvalidValue(f"the shares are {WHOLE - rest} of {WHOLE}: they pass 100 %", parts=WHOLE - rest)
    return _largest_remainder(minor, shares + [(REST, rest)] * (rest > 0), WHOLE)


def _flat(minor: int, legs: Sequence[Leg]) -> dict[int, int]:
    found, left = {}, minor
    for leg in sorted(legs, key=lambda one: one.number):
        part = min(leg.flat_minor or 0, left)
        left -= part
        if part:
            found[leg.number] = part
    return found


def take_back(minor: int, standing: Sequence[tuple[int, int]], *, whole: int) -> dict[int, int]:
    """Take ``minor`` of a source back that has ``whole`` cents left, of which ``standing`` (leg, cents) is in the book.

    Each leg gives in proportion to what stands of the leg, never more than stands; the last of the source takes all
    that stands. Returns cents by leg. Raises InvalidValue when more is taken back than is left.
    """
    if not 0 < minor <= whole:
        raise InvalidValue("more is taken back than is left of the source", minor=minor, whole=whole)
    rest = whole - sum(cents for _, cents in standing)
    if rest < 0:
        raise InvalidValue("more stands in the book than is left of the source", whole=whole)
    return _largest_remainder(minor, [*standing, (REST, rest)], whole)


def _largest_remainder(minor: int, weights: Sequence[tuple[int, int]], whole: int) -> dict[int, int]:
    parts = {number: minor * weight // whole for number, weight in weights}
    order = sorted(weights, key=lambda one: (-(minor * one[1] % whole), one[0]))
    for number, _ in order[: minor - sum(parts.values())]:
        parts[number] += 1
    return {number: part for number, part in parts.items() if part and number != REST}
