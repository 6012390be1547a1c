"""The plan of the measured world: exact, repeatable, and of the shape of a county's year."""

from __future__ import annotations

from collections import Counter

import pytest

from benchmarks import world_people, world_shape


@pytest.mark.parametrize("payments", [1_000, 4_321, 100_000])
def test_a_plan_is_exact_and_the_same_again(payments: int) -> None:
    plan = world_shape.plan(payments)
    assert sum(chunk.count for chunk in plan) == payments
    assert plan == world_shape.plan(payments)
    running = 0
    for number, chunk in enumerate(plan):
        assert (chunk.number, chunk.before) == (number, running)
        assert chunk.count <= world_shape.CHUNK + len(chunk.payments)
        running += chunk.count


def test_permits_peak_in_march_and_no_yearly_bill_is_paid_before_the_first_is_issued() -> None:
    months: Counter[tuple[int, int]] = Counter()
    for chunk in world_shape.plan(100_000):
        months[chunk.first.year, chunk.first.month] += chunk.payments.get("SBP", 0)
    assert months[2024, 12] == 0
    assert months[2025, 3] == max(months.values())
    assert months[2025, 3] > 2 * months[2025, 1]


def test_registers_are_full_from_a_hundred_thousand_payments_and_no_two_things_share_a_name() -> None:
    assert world_shape.scaled(world_shape.PLOTS, 1_000_000) == world_shape.PLOTS == 20_000
    assert world_shape.scaled(world_shape.BUSINESSES, 1_000) == 120
    for kind, count in {"permit": 12_000, "plot": 20_000, "stall": 1_500, "plate": 3_000}.items():
        assert len({world_people.reference(kind, number) for number in range(count)}) == count
