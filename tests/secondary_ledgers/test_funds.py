"""Money that may be spent: a claim is none until the exchequer issues it; nothing is spent twice."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from revenue_engine.db import transaction
from revenue_engine.errors import Rejected
from revenue_engine.secondary_ledgers import funds
from tests.secondary_ledgers.shelf import Shelf, nothing, share
from tests.support.books import DAY


@pytest.fixture
def funded(shelf: Shelf) -> Shelf:
    """A book with a claim of 1,000 shillings and 500 of earmarked money."""
    shelf.open("ict", share("levy", "SBP", 1000, 500), nothing())
    shelf.receipt(1_000_000, payment=1)
    shelf.derive()
    return shelf


def fact(kind: str, fund: str, minor: int, reference: str, **more: Any) -> dict[str, Any]:
    """A fund's fact between its usual accounts."""
    accounts = {
        "exchequer_issue": {"debit": "12", "credit": "42", "claim_debit": "41", "claim_credit": "11"},
        "commitment": {"debit": "13", "credit": "31"},
        "release": {"debit": "31", "credit": "13"},
        "expense": {"debit": "51", "credit": "12"},
    }[kind]
    return {"kind": kind, "fund_class": fund, "amount_minor": minor, "reference": reference, "book_date": DAY} | (
        accounts | more
    )


def available(shelf: Shelf) -> dict[str, int]:
    with transaction(shelf.as_role("report")) as session:
        return {one.fund_class: one.available_minor for one in funds.classes(session, "ict")}


def test_a_claim_is_converted_by_an_exchequer_issue_and_then_spent(funded: Shelf) -> None:
    assert available(funded) == {"claim": 0, "appropriated": 0, "earmarked": 50_000, "off_budget": 0}
    # When the exchequer issues 600 shillings of the claim
    assert funded.fund(**fact("exchequer_issue", "appropriated", 60_000, "EXQ/26/1")) is None
    # Then the claim is smaller, the bank is fuller, and that money may be spent
    assert funded.balance() == {"11": 40_000, "41": -40_000, "12": 110_000, "42": -60_000, "44": -50_000}
    assert available(funded)["appropriated"] == 60_000
    # When 400 are committed, 300 of them spent and 50 released
    assert funded.fund(**fact("commitment", "appropriated", 40_000, "LPO-1")) is None
    assert available(funded)["appropriated"] == 20_000
    assert funded.fund(**fact("expense", "appropriated", 30_000, "PV-1", commitment="LPO-1")) is None
    assert funded.fund(**fact("release", "appropriated", 5_000, "LPO-1/R", commitment="LPO-1")) is None
    # Then 250 may be spent, and 50 are reserved still
    assert available(funded)["appropriated"] == 25_000
    with transaction(funded.as_role("report")) as session:
        assert [one.left_minor for one in funds.commitments(session, "ict")] == [5_000]
    # And the book derived again is the same book
    assert funded.prove().holds


@pytest.mark.parametrize(
    ("described", "said"),
    [
        (fact("expense", "claim", 1, "PV-1"), "no money of the directorate"),
        (fact("expense", "off_budget", 1, "PV-1"), "spent by the partner"),
        (fact("commitment", "claim", 1, "LPO-1"), "no money of the directorate"),
        (fact("expense", "appropriated", 1, "PV-1"), "0.00 of appropriated money may be spent, and not 0.01"),
        (fact("expense", "earmarked", 50_001, "PV-1"), "500.00 of earmarked money"),
        (fact("exchequer_issue", "appropriated", 100_001, "EXQ-1"), "claim that stands is 1000.00"),
        (fact("exchequer_issue", "earmarked", 1, "EXQ-1"), "makes appropriated money"),
        (fact("release", "earmarked", 1, "R-1", commitment="LPO-9"), "no commitment LPO-9"),
        (fact("release", "earmarked", 1, "R-1"), "names its commitment"),
        (fact("expense", "earmarked", 1, "PV-1", claim_debit="41", claim_credit="11"), "nothing else"),
        (fact("expense", "earmarked", 0, "PV-1"), "at least one cent"),
        (fact("expense", "earmarked", 1, ""), "say the reference"),
    ],
)
def test_what_may_not_be_spent_is_refused_with_the_reason(funded: Shelf, described: dict[str, Any], said: str) -> None:
    with funded.clerk.acts(), pytest.raises(Rejected, match=said), transaction(funded.as_role("api")) as session:
        funds.ask(session, "ict", described, reason="voucher seen")


def test_two_expenses_that_were_agreed_to_at_once_do_not_spend_one_shilling_twice(funded: Shelf) -> None:
    from tests.support import people

    asked = []
    for number in (1, 2):
        with funded.clerk.acts(), transaction(funded.as_role("api")) as session:
            asked.append(funds.ask(session, "ict", fact("expense", "earmarked", 30_000, f"PV-{number}"), reason="seen"))
    for public in asked:
        people.agree(funded.as_role("api"), public, who=funded.treasurer)
    funded.work()
    assert funded.rows("SELECT reference FROM fund_fact") == [("PV-1",)]
    assert available(funded)["earmarked"] == 20_000
    ((why,),) = funded.rows("SELECT reason FROM access.execution WHERE outcome = 'void'")
    assert "may be spent" in why


def test_one_person_spends_nothing(funded: Shelf) -> None:
    with funded.clerk.acts(), transaction(funded.as_role("api")) as session:
        public = funds.ask(session, "ict", fact("expense", "earmarked", 100, "PV-1"), reason="seen")
    from tests.support import people

    with pytest.raises(Rejected, match="another person answers"):
        people.agree(funded.as_role("api"), public, who=funded.clerk)


def test_a_claim_of_a_reversed_payment_is_gone_before_it_is_issued(funded: Shelf) -> None:
    funded.back(1_000_000, payment=1, day=date(2026, 9, 16))
    funded.derive()
    with (
        funded.clerk.acts(),
        pytest.raises(Rejected, match=r"stands is 0\.00"),
        transaction(funded.as_role("api")) as session,
    ):
        funds.ask(session, "ict", fact("exchequer_issue", "appropriated", 1, "EXQ-1"), reason="seen")
