"""Deriving a book: what is counted, how it is divided, and what refuses."""

from __future__ import annotations

from datetime import date

import pytest

from revenue_engine.secondary_ledgers.deriving import MappingHole
from tests.secondary_ledgers.shelf import Shelf, nothing, share
from tests.support.books import DAY


def test_a_share_is_derived_from_receipts_and_given_back_with_them(shelf: Shelf) -> None:
    # Given a book that takes 2.5 % of business permits as a claim, and nothing else
    shelf.open("ict", share("levy", "SBP", 250), nothing())
    bill = shelf.bill(1000, payer=shelf.payer())
    reference = shelf.pay(1000, bill.pay_account_number)
    shelf.pay(70, "TRL-KDA123A")
    # When the book is derived
    done = shelf.derive()
    # Then 25 shillings are claimed, and no more
    assert shelf.balance() == {"11": 2500, "41": -2500}
    assert (done.entries, done.lines) == (1, 1)
    # And again nothing is counted twice
    assert shelf.derive().entries == 0
    # When the provider takes the payment back
    from tests.support.books import reversal

    shelf.deliver(reversal(reference, 1000))
    shelf.work()
    shelf.derive()
    # Then the claim is gone
    assert shelf.balance() == {}
    assert shelf.prove().holds


def test_a_posting_without_a_rule_refuses_the_derive_and_names_who_mends_it(shelf: Shelf) -> None:
    shelf.open("ict", share("levy", "SBP", 250))
    shelf.receipt(1000)
    shelf.receipt(30000, stream="RENT")
    # When a stream has no rule, then nothing is derived, and the hole and its owner are named
    with pytest.raises(
        MappingHole, match=r"no rule is about receipts of the stream RENT.*KES 300\.00.*the ICT officer"
    ):
        shelf.derive()
    assert shelf.lines() == []
    # And the receipt stands, and nothing waits in the book
    assert shelf.balances()["1300.RENT"] == -30000
    # When the owner says that this money is not the book's
    shelf.rule(nothing(stream="RENT"))
    shelf.derive()
    assert shelf.balance() == {"11": 25, "41": -25}


def test_two_rules_that_claim_one_posting_refuse_the_derive(shelf: Shelf) -> None:
    shelf.open("ict", share("levy", "SBP", 250), share("toll", "SBP", 100), nothing())
    shelf.receipt(1000)
    with pytest.raises(MappingHole, match="2 rules claim receipts of the stream SBP"):
        shelf.derive()


def test_a_new_version_counts_from_its_midnight(shelf: Shelf) -> None:
    # Given a version of old and one from 16 September
    shelf.open("ict", share("levy", "SBP", 1000), nothing())
    shelf.rule(share("levy", "SBP", 2000, start=date(2026, 9, 16)))
    # When money comes in on both sides of midnight
    shelf.receipt(1000, day=DAY)
    shelf.receipt(1000, day=date(2026, 9, 16))
    shelf.derive()
    # Then each day has its own version
    assert [(day, minor) for day, _, _, minor, _ in shelf.lines()] == [(DAY, 100), (date(2026, 9, 16), 200)]
    assert shelf.prove().holds


def test_a_reversal_copies_the_lines_of_the_old_rule(shelf: Shelf) -> None:
    # Given money derived under 10 %, and a version of 20 % since
    shelf.open("ict", share("levy", "SBP", 1000), nothing())
    shelf.receipt(999, payment=7)
    shelf.derive()
    shelf.rule(share("levy", "SBP", 2000))
    # When the money is taken back, in two parts
    shelf.back(500, payment=7)
    shelf.derive()
    shelf.back(499, payment=7)
    shelf.derive()
    # Then what was derived is undone to the cent, and nothing by the new rule
    assert [(debit, minor) for _, debit, _, minor, _ in shelf.lines()] == [("11", 100), ("41", 50), ("41", 50)]
    assert shelf.balance() == {}
    assert shelf.prove().holds
