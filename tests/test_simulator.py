"""The simulated M-PESA: one seed one plan, a truth that adds up, dirt in its shares, bodies that say what happened."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta

import pytest
from stdnum import damm

from adapters.mpesa import adapter
from adapters.sandbox import mpesa
from adapters.sandbox.mpesa_people import Bill, Population, Spot
from reconciliation import ladder
from revenue_engine.errors import InvalidValue
from revenue_engine.identifiers import is_pay_account_number
from revenue_engine.ports.callbacks import Asked, Ignored, Paid, Purpose, Reversed, Unknown

FIRST = date(2026, 11, 16)
SHORTCODES = {"": "600100", "HOSPITAL": "600101"}
STREAMS = ("SBP", "LANDRATE", "MARKET", "TRAILER", "HOSPITAL")


def _number(serial: int) -> str:
    body = str(10_000_000 + serial * 7919 % 90_000_000)
    return body + str(damm.calc_check_digit(body))


def people(payments: int) -> Population:
    needed = mpesa.bills_needed(payments)
    bills = [
        Bill(
            key=f"INV-{serial}",
            pay_account=_number(serial),
            amount_minor=100 * (50 + serial % 40 * 250),
            stream=STREAMS[serial % len(STREAMS)],
            has_payer=STREAMS[serial % len(STREAMS)] not in {"MARKET", "TRAILER"},
            cancelled=serial >= needed["open"],
        )
        for serial in range(needed["open"] + needed["cancelled"])
    ]
    spots = [
        Spot(f"KDA {n:03d}A", "TRAILER", 30_000, (f"KDA {n:03d}A", f"MALABA KDA{n:03d}A"), "MALABA") for n in range(40)
    ]
    spots.append(Spot("BUSIAMKT 50", "MARKET", 5_000, ("BUSIAMKT", "busia market"), "BUSIAMKT"))
    return Population(tuple(bills), tuple(spots))


def planned(payments: int = 3000, *, seed: int = 7, withheld: int = 0) -> tuple[Population, mpesa.Plan]:
    population = people(payments)
    made = mpesa.plan(
        population, first=FIRST, days=5, payments=payments, seed=seed, shortcodes=SHORTCODES, withheld=withheld
    )
    return population, made


def test_a_seed_makes_one_plan() -> None:
    _, one = planned(400)
    _, same = planned(400)
    _, other = planned(400, seed=8)
    assert one == same
    assert [hit.body for hit in one.hits] != [hit.body for hit in other.hits]


@pytest.mark.parametrize("seed", [7, 11])
@pytest.mark.parametrize("payments", [10, 150, 3000])
def test_the_truth_adds_up(payments: int, seed: int) -> None:
    population, made = planned(payments, seed=seed)
    figures = made.truth.figures(population)
    assert len(made.truth.credits) == payments
    assert len({credit.reference for credit in made.truth.credits}) == payments
    assert figures.withheld_minor == 0
    kept = figures.applied_minor + figures.suspense_minor + figures.unapplied_minor
    assert figures.delivered_minor - figures.reversed_minor == kept
    if payments > 100:  # a small plan holds one of every kind of dirt, and little else
        assert figures.applied_minor > 0.8 * kept
    for credit in made.truth.credits:
        assert credit.amount_minor % 100 == 0
        assert 100 <= credit.amount_minor <= mpesa.LARGEST_MINOR
        assert len(credit.typed) <= 20


def test_the_dirt_is_in_its_shares() -> None:
    _, made = planned(4000)
    dirt = Counter(credit.dirt for credit in made.truth.credits)
    bad = sum(dirt[kind] for kind in ("spacing", "lookalike", "wrong_prefix", "name_or_phone", "old_invoice"))
    assert bad == 160
    assert [dirt[k] for k in ("spacing", "lookalike", "wrong_prefix", "name_or_phone", "old_invoice")] == [
        64,
        32,
        24,
        24,
        16,
    ]
    assert dirt["over"] + dirt["under"] == 20
    assert dirt["second"] == 12
    assert dirt["cancelled"] == dirt["two_numbers"] == 4
    pushed = sum(credit.channel == "push" for credit in made.truth.credits)
    assert pushed == 1000
    assert len(made.truth.reversals) == 8
    assert sum(reversal.before_payment for reversal in made.truth.reversals) == 4
    bodies = Counter(hit.body for hit in made.hits)
    assert sum(count > 1 for count in bodies.values()) == 12
    assert max(bodies.values()) == 10
    assert any(hit.day == made.days for hit in made.hits), "some of the last day come a day late"
    spots = sum(credit.spot is not None for credit in made.truth.credits)
    assert spots > 2000


def test_pushes_tell_twice_in_either_order() -> None:
    _, made = planned(1000)
    first = {}
    for hit in made.hits:
        first.setdefault((hit.about, hit.purpose), hit.sent_at)
    pushed = [credit.reference for credit in made.truth.credits if credit.channel == "push"]
    order = Counter(first[one, Purpose.CONFIRMATION] < first[one, Purpose.PUSH_RESULT] for one in pushed)
    assert order[True] > 50
    assert order[False] > 50


def test_bodies_say_what_happened() -> None:
    _, made = planned(2000)
    requests = {push.request_id: push for push in made.pushes}
    paid: dict[str, set[tuple[int, object]]] = {}
    reversed_ = {}
    strange = Counter[str]()
    for hit in made.hits:
        found = adapter.interpret(hit.body, purpose=hit.purpose)
        if isinstance(found, Paid) and found.channel_account in {"", hit.shortcode}:
            paid.setdefault(found.reference, set()).add((found.amount_minor, found.occurred_at))
            if hit.purpose is Purpose.PUSH_RESULT:
                assert requests[found.request_id].amount_minor == found.amount_minor
        elif isinstance(found, Paid):
            strange["foreign"] += 1
        elif isinstance(found, Reversed):
            reversed_[found.reference] = (found.reverses, found.amount_minor)
        elif hit.purpose is Purpose.VALIDATION:
            assert isinstance(found, Ignored)
            assert isinstance(adapter.asked(hit.body), Asked)
        elif isinstance(found, Unknown) and not found.request_id:
            strange["unreadable"] += 1
        else:
            assert found.request_id in requests
    assert paid == {c.reference: {(c.amount_minor, c.occurred_at)} for c in made.truth.credits}
    assert reversed_ == {r.reference: (r.reverses, r.amount_minor) for r in made.truth.reversals}
    assert strange == {"foreign": 1, "unreadable": 3}


def test_what_is_certain_can_be_read() -> None:
    """The ladder names the bills of every certain credit, whatever the slip; of a name or a phone it reads nothing."""
    population, made = planned(3000)
    known = ladder.Known(
        {bill.pay_account: number for number, bill in enumerate(population.bills)},
        {},
        {"MALABA": "MALABA", "BUSIAMKT": "BUSIAMKT", "BUSIAMARKET": "BUSIAMKT"},
    )
    plates = {f"KDA{n:03d}A": n for n in range(40)}
    for credit in made.truth.credits:
        objects = {plates[key] for key in ladder.object_keys(credit.typed) if key in plates}
        named = ladder.name(ladder.read(credit.typed), known, objects)
        if credit.bills:
            assert [population.bills[n].key for n in named.invoice_ids] == list(credit.bills), credit
        elif credit.spot is not None:
            assert named.object_id is not None or named.station_code == credit.spot.station, credit
        else:
            assert named.rung is ladder.Rung.NONE, credit


def test_what_is_withheld_is_in_the_truth_alone() -> None:
    population, made = planned(2000, withheld=50)
    _, whole = planned(2000)
    figures = made.truth.figures(population)
    quiet = {credit.reference for credit in made.truth.credits if not credit.delivered}
    assert len(quiet) == 100
    assert not quiet & {hit.about for hit in made.hits}
    everything = whole.truth.figures(population).delivered_minor
    assert figures.delivered_minor + figures.withheld_minor == everything
    kept = figures.applied_minor + figures.suspense_minor + figures.unapplied_minor
    assert figures.delivered_minor - figures.reversed_minor == kept


def test_days_hold_every_hit_once() -> None:
    _, made = planned(500)
    days = mpesa.days_of(made)
    assert [day for day, _ in days] == [FIRST + timedelta(days=n) for n in range(6)]
    assert [hit for _, hits in days for hit in hits] == list(made.hits)


def test_too_small_a_population_is_refused() -> None:
    population = Population(people(10).bills[:3], people(10).spots)
    with pytest.raises(InvalidValue):
        mpesa.plan(population, first=FIRST, days=1, payments=200, seed=1, shortcodes=SHORTCODES)


def test_the_numbers_of_this_suite_are_well_formed() -> None:
    assert all(is_pay_account_number(bill.pay_account) for bill in people(100).bills)
