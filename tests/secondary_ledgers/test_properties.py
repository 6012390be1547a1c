"""Whatever happens, in whatever batches: the book is the oracle's to the cent, and a rebuild is the same book."""

from __future__ import annotations

import random
from datetime import date, timedelta

import pytest

from revenue_engine.secondary_ledgers.allocation import Leg
from tests.secondary_ledgers.oracle import Oracle
from tests.secondary_ledgers.shelf import Shelf, nothing, share
from tests.support.books import DAY

FIRST = date(2026, 7, 1)


def held(shelf: Shelf) -> dict[tuple[date, int], int]:
    """The book as (day, leg): cents, what is nothing left out."""
    found = shelf.rows(
        "SELECT l.book_date, l.leg, sum(e.sign * l.amount_minor)::bigint FROM derived_line l"
        " JOIN derived_entry e USING (book_code, journal_id, seq, turn) GROUP BY 1, 2"
    )
    return {(day, leg): cents for day, leg, cents in found if cents}


@pytest.mark.parametrize("seed", range(6))
def test_a_history_of_any_kind_is_the_oracles_book_and_a_rebuild_the_same(shelf: Shelf, seed: int) -> None:
    # Given a book of three legs, and a history of receipts, takings back, new versions, remaps and derives
    dice = random.Random(seed)
    parts = [dice.sample(range(1, 3300), 3) for _ in range(3)]
    shelf.open("ict", share("levy", "SBP", *parts[0]), nothing())
    oracle = Oracle([(FIRST, [Leg(n, parts=p) for n, p in enumerate(parts[0], start=1)])])
    waiting: list[tuple[str, int, int, date]] = []
    left: dict[int, int] = {}

    def derive() -> None:
        shelf.derive()
        for kind, payment, cents, day in waiting:
            (oracle.receive if kind == "in" else oracle.give_back)(payment, cents, day)
        waiting.clear()

    for _ in range(28):
        payment, day = dice.randrange(6), DAY + timedelta(days=dice.randrange(4))
        chance = dice.random()
        if chance < 0.5:
            cents = dice.choice([1, 3, 7, 99, 1234567, dice.randrange(1, 10**9)])
            shelf.receipt(cents, payment=payment, day=day)
            waiting.append(("in", payment, cents, day))
            left[payment] = left.get(payment, 0) + cents
        elif chance < 0.75 and left.get(payment):
            cents = dice.choice([left[payment], dice.randint(1, left[payment])])
            shelf.back(cents, payment=payment, day=day)
            waiting.append(("back", payment, cents, day))
            left[payment] -= cents
        elif chance < 0.9:
            derive()
        elif len(oracle.versions) < 3:
            derive()
            number = len(oracle.versions)
            start = DAY + timedelta(days=dice.randrange(3))
            shelf.rule(share("levy", "SBP", *parts[number], start=start))
            oracle.versions.append((start, [Leg(n, parts=p) for n, p in enumerate(parts[number], start=1)]))
        elif oracle.families:
            derive()
            last = DAY + timedelta(days=4)
            assert shelf.remap("levy", first=FIRST, last=last) is None
            oracle.remap(FIRST, last, last)
    derive()
    # Then the book is the oracle's, to the cent, by day and leg
    assert held(shelf) == {key: cents for key, cents in oracle.totals.items() if cents}
    # And derived from nothing it is the same book, in one piece and by thirtieths
    _, rebuilt, stands = shelf.rebuild()
    assert rebuilt == stands
    proved = shelf.prove()
    assert proved.holds, proved.discrepancies
    assert all(shelf.prove(thirtieth=part).holds for part in (0, 5, dice.randrange(30)))
    # When everything is taken back
    for payment, cents in left.items():
        if cents:
            shelf.back(cents, payment=payment, day=DAY)
    shelf.derive()
    # Then nothing is left in the book
    assert shelf.balance() == {}


@pytest.mark.parametrize("batches", [1, 4])
def test_the_batches_in_which_a_book_is_derived_do_not_matter(shelf: Shelf, batches: int) -> None:
    shelf.open("ict", share("levy", "SBP", 3333, 1111), nothing())
    for number in range(24):
        shelf.receipt(100 + number, payment=number % 5)
        if number % 3 == 2:
            shelf.back(50, payment=number % 5)
        if number % (24 // batches) == 0:
            shelf.derive()
    shelf.derive()
    _, rebuilt, stands = shelf.rebuild()
    assert rebuilt == stands
    assert len(shelf.lines()) == 64


def test_a_book_added_a_year_late_catches_up(shelf: Shelf) -> None:
    # Given a year of money, days that closed meanwhile, and a book that follows it
    shelf.open("ict", share("levy", "SBP", 250), nothing())
    for month in range(3):
        shelf.receipt(9_999, payment=month, day=date(2026, 7 + month, 3))
        shelf.derive()
    shelf.back(5_000, payment=1, day=date(2026, 9, 20))
    shelf.derive()
    # When a second book with the same rules is opened now
    shelf.open("late", share("levy", "SBP", 250), nothing())
    shelf.derive("late")
    # Then both hold the same
    assert shelf.lines("late") == shelf.lines("ict")
    assert shelf.balance("late") == shelf.balance("ict") == {"11": 625, "41": -625}
    assert shelf.prove("late").holds


def test_a_reversal_after_two_remaps_nets_to_nothing(shelf: Shelf) -> None:
    shelf.open("ict", share("levy", "SBP", 1000), nothing())
    shelf.receipt(12_345, payment=1)
    shelf.derive()
    for part in (2000, 3333):
        shelf.rule(share("levy", "SBP", part))
        assert shelf.remap("levy", first=DAY, last=DAY) is None
    assert shelf.balance() == {"11": 4115, "41": -4115}
    shelf.back(345, payment=1)
    shelf.back(12_000, payment=1)
    shelf.derive()
    assert shelf.balance() == {}
    assert shelf.prove().holds
