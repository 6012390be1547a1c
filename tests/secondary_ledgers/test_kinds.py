"""Each kind of rule over real bills and payments: 70/30, an agreement's prefix, a course's fee, charges, bills."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from revenue_engine.billing import invoices, payers
from revenue_engine.billing.tariffs import AssessedLine
from revenue_engine.db import transaction
from revenue_engine.ledger.journal import Posting
from tests.secondary_ledgers.shelf import Shelf, nothing, share
from tests.support.books import CLEARING, DAY, NOON


def rule(kind: str, *legs: dict[str, Any], event: str = "receipt", **more: Any) -> dict[str, Any]:
    """A rule of a kind with its legs."""
    told = {"rule": kind, "kind": kind, "event": event, "law": "an agreement", "effective_from": "2026-07-01"}
    return told | {"legs": list(legs)} | more


def leg(debit: str, credit: str, fund: str = "earmarked", **size: Any) -> dict[str, Any]:
    return {"debit": debit, "credit": credit, "fund_class": fund} | size


def billed(shelf: Shelf, stream: str, *lines: AssessedLine, object_id: int | None = None) -> invoices.Issued:
    with transaction(shelf.as_role("api")) as session:
        request = invoices.InvoiceRequest(
            stream_code=stream, lines=lines, due_on=DAY + timedelta(days=30), object_id=object_id, at=NOON
        )
        return invoices.issue_invoice(session, request, issued_by="clerk")


def test_seventy_and_thirty_make_the_whole_to_the_cent(shelf: Shelf) -> None:
    split = rule("split", leg("12", "44", share=7000), leg("12", "42", share=3000), stream="TRAILER", station="MALABA")
    shelf.open("ict", split, nothing())
    shelf.pay(300, "MALABA KDA123A")
    shelf.receipt(1, stream="TRAILER", station_code="MALABA", payment=900)
    shelf.receipt(33_335, stream="TRAILER", payment=901)  # at no station: the rest of the rules
    shelf.derive()
    assert shelf.balance() == {"12": 30_001, "44": -21_001, "42": -9_000}
    assert shelf.prove().holds


def test_an_agreements_prefix_counts_its_own_bills_and_the_longer_one_wins(shelf: Shelf) -> None:
    shelf.open(
        "ict",
        rule("prefix", leg("12", "44", share=10_000), stream="RENT", prefix="AGR-01", rule="one"),
        rule("prefix", leg("12", "42", share=10_000), stream="RENT", prefix="AGR-01/B", rule="part"),
        nothing(),
    )
    for number, reference in enumerate(("AGR-01/A", "AGR-01/B", "STALL 7"), start=1):
        with transaction(shelf.as_role("api")) as session:
            thing = payers.add_object(session, stream_code="RENT", reference=reference, kind="stall")
        bill = billed(
            shelf, "RENT", AssessedLine(None, "RENT", "rent", "principal", 1, number * 100_00), object_id=thing.id
        )
        shelf.pay(number * 100, bill.pay_account_number)
    shelf.derive()
    assert shelf.balance() == {"12": 300_00, "44": -100_00, "42": -200_00}
    assert shelf.prove().holds


def test_a_course_counts_its_part_of_a_bill_and_gives_it_back(shelf: Shelf) -> None:
    shelf.execute(
        "INSERT INTO tariff_line (item_code, stream_code, name, unit, amount_minor, law, effective_from, status)"
        " VALUES ('COURSE.BASIC', 'SBP', 'Course', 'learner', 20000, 'Finance Act', '2026-07-01', 'active')"
    )
    ((line,),) = shelf.rows("SELECT id FROM tariff_line WHERE item_code = 'COURSE.BASIC'")
    fee = leg("12", "44", share=6000), leg("12", "42", share=4000)
    shelf.open("ict", rule("course_fee", *fee, item="COURSE.BASIC"), nothing())
    # Given a bill of which two thirds are the course
    parts = (
        AssessedLine(line, "SBP", "course", "principal", 1, 200_00),
        AssessedLine(None, "SBP", "form", "principal", 1, 100_00),
    )
    bill = billed(shelf, "SBP", *parts)
    shelf.pay(100, bill.pay_account_number)
    shelf.derive()
    # Then two thirds of what is paid are divided, and no cent above
    assert shelf.balance() == {"12": 66_66, "44": -40_00, "42": -26_66}
    # When the payment is taken back in full, nothing is left
    ((journal, payment),) = shelf.rows(
        "SELECT journal_id, payment_id FROM posting WHERE credit = '1300.SBP' AND payment_id IS NOT NULL"
    )
    shelf.back(100_00, payment=payment, invoice_id=bill.id)
    shelf.derive()
    assert journal
    assert shelf.balance() == {}
    assert shelf.prove().holds


def test_a_flat_amount_is_met_until_the_source_is_used_up(shelf: Shelf) -> None:
    shelf.open("ict", rule("flat", leg("12", "44", flat="1.00"), leg("12", "42", flat="0.50"), stream="SBP"), nothing())
    shelf.receipt(100_00)
    shelf.receipt(1_20)
    shelf.derive()
    assert shelf.balance() == {"12": 2_70, "44": -2_00, "42": -70}
    assert shelf.prove().holds


def test_charges_are_what_collecting_costs(shelf: Shelf) -> None:
    shelf.open(
        "ict", nothing(), rule("earmark", leg("53", "31", "off_budget", share=10_000), event="charge", rule="cost")
    )
    # The shelf ends its rules with one that counts no charge: end that one
    shelf.rule(nothing("charges", event="charge", kind="ended", effective_from="2026-07-01"))
    shelf.post(Posting("5900", CLEARING, 34_50, payment_id=1), day=DAY)
    shelf.post(Posting(CLEARING, "5900", 34_50, payment_id=1), Posting("5900", CLEARING, 7_00, payment_id=2), day=DAY)
    shelf.derive()
    assert shelf.balance() == {"53": 7_00, "31": -7_00}
    assert shelf.prove().holds


def test_a_book_by_bills_counts_what_is_billed_and_takes_back_what_is_cancelled(shelf: Shelf) -> None:
    shelf.open("ict", share("levy", "SBP", 1000, event="billed"), nothing(event="billed"), basis="accrual")
    bill, other = shelf.bill(100, penalty=30), shelf.bill(7, stream="RENT")
    shelf.derive()
    assert shelf.balance() == {"11": 13_00, "41": -13_00}
    shelf.cancel(bill)
    shelf.cancel(other)
    shelf.derive()
    assert shelf.balance() == {}
    assert shelf.prove().holds


def test_a_payment_moved_to_another_stream_moves_in_the_book(shelf: Shelf) -> None:
    from revenue_engine.collection import money_moves

    shelf.open("ict", share("levy", "SBP", 1000), share("rent", "RENT", 2000), nothing())
    wrong, right = shelf.bill(100), shelf.bill(100, stream="RENT")
    reference = shelf.pay(100, wrong.pay_account_number)
    shelf.derive()
    assert shelf.balance() == {"11": 10_00, "41": -10_00}
    # When two persons move the money
    assert (
        shelf.judged(lambda session: money_moves.ask(session, reference, right.pay_account_number, reason="the stall"))
        is None
    )
    shelf.derive()
    # Then the book follows, by the rule of each stream
    assert shelf.balance() == {"11": 20_00, "41": -20_00}
    assert shelf.prove().holds


def test_an_ended_rule_counts_no_more_from_its_day(shelf: Shelf) -> None:
    shelf.open("ict", share("levy", "SBP", 1000), nothing())
    shelf.rule(share("levy", "SBP", kind="ended", start=date(2026, 9, 16)))
    shelf.receipt(100_00, day=DAY)
    shelf.receipt(100_00, day=date(2026, 9, 16))
    shelf.derive()
    assert shelf.balance() == {"11": 10_00, "41": -10_00}


def test_what_it_costs_to_collect_is_charges_and_vouchers_over_net_revenue(shelf: Shelf) -> None:
    from revenue_engine.secondary_ledgers import costs

    shelf.open("ict", share("levy", "SBP", 1000, 500), nothing())
    shelf.receipt(100_000_00, payment=1)
    shelf.back(20_000_00, payment=1)
    shelf.post(Posting("5900", CLEARING, 400_00, payment_id=1), day=DAY)
    shelf.derive()
    voucher = {"kind": "expense", "fund_class": "earmarked", "amount_minor": 2_000_00, "reference": "PV-1"}
    assert shelf.fund(**voucher, debit="51", credit="12", book_date=DAY) is None
    with transaction(shelf.as_role("report")) as session:
        found = costs.to_collect(session, "ict", first=DAY, last=DAY)
    assert (found.net_minor, found.cost_minor, found.parts) == (80_000_00, 2_400_00, 300)
    assert (found.receipts, found.charge_postings, found.expenses) == (2, 1, 1)
