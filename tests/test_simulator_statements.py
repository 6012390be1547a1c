"""The books and statements of the simulated provider: what a plan left untold stands in them, and they add up."""

from __future__ import annotations

import csv
import io
import random
from collections import Counter
from datetime import datetime, time, timedelta
from typing import Any

import pytest

from adapters.sandbox.mpesa_ledger import Books, charge
from adapters.sandbox.mpesa_provider import Provider
from adapters.sandbox.mpesa_statements import LEGACY, NEW
from revenue_engine.errors import NotFound
from revenue_engine.money import parse_wire
from revenue_engine.periods import NAIROBI
from tests.test_simulator import FIRST, SHORTCODES, planned

HOLDERS = {"600100": "Sample County", "600101": "Sample Hospitals"}
NOON = datetime.combine(FIRST, time(12), NAIROBI)


@pytest.fixture(scope="module")
def loaded() -> tuple[Provider, Any]:
    _, plan = planned(1500, withheld=20)
    provider = Provider(HOLDERS, seed=3)
    provider.load(plan)
    return provider, plan


def rows(text: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text.decode(), newline="")))


def cents(text: str) -> int:
    return parse_wire(text.replace(",", "")) if text else 0


def test_what_the_plan_withheld_is_withheld_here(loaded: tuple[Provider, Any]) -> None:
    provider, plan = loaded
    truth = plan.truth.withheld
    assert len(truth) == 30
    assert {one.reference for one in truth} == plan.truth.delivered.keys() ^ {c.reference for c in plan.truth.credits}
    here = {(one.reference, one.amount_minor, one.occurred_at, one.pushed) for one in provider.withheld}
    assert here == {(one.reference, one.amount_minor, one.occurred_at, one.channel == "push") for one in truth}
    assert any(one.pushed for one in provider.withheld)


def test_every_push_of_the_plan_can_be_queried(loaded: tuple[Provider, Any]) -> None:
    provider, plan = loaded
    pushed = {c.reference for c in plan.truth.credits if c.channel == "push"}
    paid = {prompt.reference for prompt in provider.prompts.values() if prompt.code == "0"}
    assert paid == pushed
    assert len(provider.prompts) == len(plan.pushes)
    assert {prompt.code for prompt in provider.prompts.values()} == {"0", "1", "1032", "1037"}


@pytest.mark.parametrize("shortcode", sorted(set(SHORTCODES.values())))
def test_legacy_statements_add_up_and_follow_each_other(loaded: tuple[Provider, Any], shortcode: str) -> None:
    provider, plan = loaded
    before = 0
    seen: Counter[str] = Counter()
    for number in range(plan.days + 1):
        day = FIRST + timedelta(days=number)
        table = rows(provider.statement(shortcode, day, day))
        figures = dict(zip(table[5][::2], table[5][1::2], strict=True))
        assert tuple(table[6]) == LEGACY
        opening, closing = cents(figures["Opening Balance:"]), cents(figures["Closing Balance:"])
        assert opening == before
        balance = opening
        for row in reversed(table[7:]):
            if row[4] != "Completed":
                assert row[7] == ""
                continue
            balance += cents(row[5]) + cents(row[6])
            assert cents(row[7]) == balance
            seen[row[0]] += 1
        assert balance == closing
        assert opening + cents(figures["Total Paid In:"]) + cents(figures["Total Withdrawn:"]) == closing
        before = closing
    mine = [credit for credit in plan.truth.credits if credit.shortcode == shortcode]
    for credit in mine:
        assert seen[credit.reference] == 1 + bool(charge(credit.amount_minor)), "a charge repeats the receipt"
    kinds = Counter(one.what for one in provider.books.movements if one.shortcode == shortcode)
    assert kinds["sweep"] == plan.days
    assert before == 0, "the last sweep takes all there is"


def test_the_new_layout_runs_on_as_well(loaded: tuple[Provider, Any]) -> None:
    provider, _ = loaded
    table = rows(provider.statement("600100", FIRST + timedelta(days=1), FIRST + timedelta(days=1), "new"))
    assert tuple(table[0]) == NEW
    done = [row for row in reversed(table[1:]) if row[3] == "Completed"]
    balance = cents(done[0][6]) - cents(done[0][4]) - cents(done[0][5])
    for row in done:
        balance += cents(row[4]) + cents(row[5])
        assert cents(row[6]) == balance
    swept = Counter(row[2] for row in done if "Settlement" in row[2] or "Bank" in row[2])
    assert sorted(swept.values()) == [1, 2, 2]
    assert any("," in row[4] for row in done)
    assert sum(row[3] == "Failed" for row in table[1:]) == 1


def test_reversals_stand_beside_what_they_took_back(loaded: tuple[Provider, Any]) -> None:
    provider, plan = loaded
    last = FIRST + timedelta(days=plan.days)
    linked = {}
    for shortcode in HOLDERS:
        table = rows(provider.statement(shortcode, FIRST, last))
        linked |= {row[11]: (row[0], cents(row[6])) for row in table[7:] if row[11]}
    assert linked == {one.reverses: (one.reference, -one.amount_minor) for one in plan.truth.reversals}


def test_a_payment_is_taken_back_once() -> None:
    provider = Provider(HOLDERS, clock=lambda: NOON)
    moved = provider.pay("600100", amount_minor=10_000, account="1")
    back = provider.books.reverse(moved.reference.lower(), NOON)
    assert (back.reverses, back.effect_minor) == (moved.reference, -10_000)
    for wrong in (moved.reference, back.reference, "UKK0000000"):
        with pytest.raises(NotFound):
            provider.books.reverse(wrong, NOON)
    provider.sender.close()


def test_only_what_is_there_is_swept() -> None:
    books = Books(random.Random(1))
    assert books.sweep("600100", NOON) is None


@pytest.mark.parametrize(("amount", "fee"), [(100_00, 0), (100_01, 5_00), (1_250_00, 15_00), (250_000_00, 108_00)])
def test_the_tariff_is_by_bands(amount: int, fee: int) -> None:
    assert charge(amount) == fee


def test_an_unknown_short_code_has_no_statement() -> None:
    provider = Provider(HOLDERS)
    with pytest.raises(NotFound):
        provider.statement("600999", FIRST, FIRST)
    provider.sender.close()
