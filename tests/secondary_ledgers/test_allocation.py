"""The rounding, alone: what the SQL is held against."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revenue_engine.errors import InvalidValue
from revenue_engine.secondary_ledgers.allocation import WHOLE, Leg, allocate, take_back

CENTS = st.integers(1, 10**12 - 1)


@st.composite
def shares(draw: st.DrawFn) -> list[Leg]:
    """Legs whose shares do not pass the whole."""
    cuts = sorted(draw(st.sets(st.integers(1, WHOLE), min_size=1, max_size=6)))
    return [Leg(n, parts=b - a) for n, (a, b) in enumerate(zip([0, *cuts], cuts, strict=False), start=1)]


@pytest.mark.parametrize(
    ("minor", "parts", "expected"),
    [
        (10_000, [250], {1: 250}),
        (1, [7000, 3000], {1: 1}),
        (100, [3333, 3333, 3334], {1: 33, 2: 33, 3: 34}),
        (1, [5000, 5000], {1: 1}),  # of equal fractions the lower leg
        (1, [5000], {1: 1}),  # and the book before what stays outside
        (1, [4999], {}),
        (99_999_999, [7000, 3000], {1: 69_999_999, 2: 30_000_000}),
    ],
)
def test_worked_examples(minor: int, parts: list[int], expected: dict[int, int]) -> None:
    assert allocate(minor, [Leg(n, parts=p) for n, p in enumerate(parts, start=1)]) == expected


def test_flat_amounts_are_met_until_the_source_is_used_up() -> None:
    legs = [Leg(1, flat_minor=100), Leg(2, flat_minor=50), Leg(3, flat_minor=50)]
    assert allocate(1000, legs) == {1: 100, 2: 50, 3: 50}
    assert allocate(120, legs) == {1: 100, 2: 20}


def test_shares_past_the_whole_are_refused() -> None:
    with pytest.raises(InvalidValue, match="pass 100 %"):
        allocate(100, [Leg(1, parts=7000), Leg(2, parts=3001)])
    with pytest.raises(InvalidValue, match="not both"):
        allocate(100, [Leg(1, parts=7000), Leg(2, flat_minor=1)])
    with pytest.raises(InvalidValue, match="more is taken back"):
        take_back(11, [(1, 5)], whole=10)


@given(minor=CENTS, legs=shares())
def test_never_above_the_source_and_within_a_cent_of_the_share(minor: int, legs: list[Leg]) -> None:
    found = allocate(minor, legs)
    assert sum(found.values()) <= minor
    for leg in legs:
        exact = minor * (leg.parts or 0)
        assert abs(found.get(leg.number, 0) * WHOLE - exact) < WHOLE
    if sum(leg.parts or 0 for leg in legs) == WHOLE:
        assert sum(found.values()) == minor


@given(minor=CENTS, legs=shares(), data=st.data())
def test_what_is_taken_back_bit_by_bit_leaves_nothing(minor: int, legs: list[Leg], data: st.DataObject) -> None:
    standing, whole = allocate(minor, legs), minor
    while whole:
        step = data.draw(st.one_of(st.just(whole), st.integers(1, whole)))
        for leg, cents in take_back(step, sorted(standing.items()), whole=whole).items():
            standing[leg] -= cents
            assert standing[leg] >= 0
        whole -= step
        assert sum(standing.values()) <= whole
    assert not any(standing.values())
