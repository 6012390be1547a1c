"""A doubt that stops a run stops a callback: the same words, amount and sender end in the same place."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from unittest import mock

import pytest
from stdnum import damm

from reconciliation.runs import running
from revenue_engine import db, identifiers
from revenue_engine.billing import invoices, payers
from revenue_engine.billing.tariffs import AssessedLine
from revenue_engine.collection import doubts
from revenue_engine.db import raw
from tests.support.books import DAY, NOON, Books

PHONES = (
    "+254 712345609", "254 712345609", "+254-712-345-609", "0 712345609", "tel +254 712345609", "712345609",
    "+254 712 345 609", "Simu (+254) 712345609", "0712345609", "+254712345609", "O712 345 609", "07XX XXX 609",
)  # fmt: skip
STRANGER = {"masked": "2547*****901", "first": "PETER"}


def billed(
    books: Books, shillings: int, *, name: str = "Achieng Odera", phone: str = "", number: str = "", thing: str = "",
    stream: str = "RENT", kind: str = "stall",
) -> invoices.Issued:  # fmt: skip
    """A bill of a payer, with this number and object where they are given."""
    draw = mock.patch.object(identifiers, "draw_pay_account_number", return_value=number)
    with db.transaction(books.as_role("api")) as session:
        payer = payers.add_payer(session, name=name, phone=phone or None)
        added = None
        if thing:
            added = payers.add_object(
                session, stream_code=stream, reference=thing, kind=kind, payer_id=payer.id, standing_number=False
            )
        request = invoices.InvoiceRequest(
            stream_code=stream,
            lines=[AssessedLine(None, stream, "principal", "principal", 1, shillings * 100)],
            due_on=DAY + timedelta(days=30),
            payer_id=payer.id,
            object_id=added.id if added else None,
            at=NOON,
        )
        if number:
            with draw:
                return invoices.issue_invoice(session, request, issued_by="clerk")
        return invoices.issue_invoice(session, request, issued_by="clerk")


def pay(books: Books, shillings: int, typed: str, *, masked: str = "2547*****609", first: str = "OKELLO") -> str:
    return books.pay(shillings, typed, msisdn=masked.replace("*", "0"), names=(first, "", ""))


def suggested(books: Books, paid: str) -> set[str]:
    rows = books.rows(
        "SELECT i.pay_account_number FROM match_suggestion s JOIN payment p ON p.id = s.payment_id"
        " JOIN invoice i ON i.id = s.invoice_id WHERE p.reference = %s",
        paid,
    )
    return {row[0] for row in rows}


def in_suspense(books: Books, paid: str) -> bool:
    return [entry.rpartition(" ")[0].endswith("CR 2200") for entry in books.journal(paid)] == [True]


def test_numbers_are_never_drawn_like_phones() -> None:
    drawn = [identifiers.draw_pay_account_number() for _ in range(5_000)]
    assert not any(number.startswith(("0", "1", "7", "254")) for number in drawn)


@pytest.mark.parametrize("typed", PHONES)
def test_a_phone_is_nobody_s_bill(books: Books, typed: str) -> None:
    stranger = billed(books, 2000, name="Wanjiru Kamau", phone="+254733000772", number="712345609", stream="SBP")
    billed(books, 1500, name="John Okello", phone="+254712345609", stream="SBP")
    paid = pay(books, 1500, typed)
    assert books.left(stranger) == 2000
    assert in_suspense(books, paid)
    assert len(books.open_breaks()) == 1


def test_a_number_that_begins_like_a_phone_and_was_issued_stays_payable(books: Books) -> None:
    bill = billed(books, 2000, name="Wanjiru Kamau", phone="+254733000772", number="712345609", stream="SBP")
    pay(books, 500, "712345609", masked="2547*****772", first="WANJIRU")
    pay(books, 1500, "712345609", **STRANGER)
    assert books.left(bill) == 0


def test_a_phone_that_is_the_number_of_a_paid_bill_is_not_its_payer_s_credit(books: Books) -> None:
    billed(books, 2000, name="Wanjiru Kamau", phone="+254733000772", number="712345609", stream="SBP")
    pay(books, 2000, "712345609", masked="2547*****772", first="WANJIRU")
    again = pay(books, 1500, "712345609")
    assert in_suspense(books, again)


@pytest.mark.parametrize("typed", ["SBP/2026/00008", "SBP202600008", "sbp 2026-00008"])
def test_a_permit_s_own_reference_is_no_stranger_s_number(books: Books, typed: str) -> None:
    stranger = billed(books, 2000, name="Wanjiru Kamau", number="202600008", stream="SBP")
    permit = billed(
        books, 3000, name="Permit Holder", phone="+254711000345", thing="SBP/2026/00008", stream="SBP", kind="permit"
    )
    pay(books, 3000, typed, masked="2547*****345", first="PERMIT")
    assert (books.left(stranger), books.left(permit)) == (2000, 0)
    assert books.open_breaks() == []


@pytest.mark.parametrize("amount", [1700, 900])
def test_two_stalls_in_one_text_are_a_tie(books: Books, amount: int) -> None:
    first = billed(books, 800, thing="STALL-741241")
    books.pay(800, first.pay_account_number)
    second = billed(books, 900, name="Juma Were", thing="STALL-74124")
    paid = pay(books, amount, "stall 741241 na stall 74124", **STRANGER)
    assert books.left(second) == 900
    assert in_suspense(books, paid)
    assert books.open_breaks() == ["ambiguous_account"]
    assert second.pay_account_number in suggested(books, paid)


@pytest.mark.parametrize(
    ("thing", "typed"),
    [
        ("STALL 45", "stall 45/stall 61"), ("NASEWA/1500", "NASEWA/1500/REM"), ("NASEWA/1500", "nasewa 1500 part 2"),
        ("PLOT-77", "plot 77 BB"), ("STALL-45", "stall 45 row B"), ("STALL-45", "stall 45 na 46"),
        ("KDA 123A", "KDA 12 3 A 4"), ("STALL-45A", "stall 45A B"),
    ],
)  # fmt: skip
def test_a_name_that_may_go_on_is_left_by_callback_and_by_run(books: Books, thing: str, typed: str) -> None:
    bill = billed(books, 800, thing=thing)
    paid = pay(books, 800, typed, **STRANGER)
    assert in_suspense(books, paid)
    running.run(books.as_role("worker"), by="t")
    assert books.left(bill) == 800
    assert suggested(books, paid) <= {bill.pay_account_number}


def test_a_payer_edited_after_the_money_came_takes_none_of_it(books: Books) -> None:
    """Who edits a payer would say whose the money is: one person does not say that."""
    bill = billed(books, 800, name="Jane Wafula", thing="PLOT-77")
    other = billed(books, 700, name="Mary Atieno", thing="PLOT-78")
    strange = pay(books, 800, "plot 77 BB", masked="2547*****901", first="PETER")
    honest = pay(books, 700, "plot 78 BB", masked="2547*****902", first="PAUL")
    with db.transaction(books.as_role("api")) as session:
        raw(session).execute("UPDATE payer SET name = 'Peter Ouma', phone = '+254711000901' WHERE name = 'Jane Wafula'")
    running.run(books.as_role("worker"), by="t")
    assert (in_suspense(books, strange), in_suspense(books, honest)) == (True, True)
    assert (books.left(bill), books.left(other)) == (800, 700)
    assert suggested(books, strange) == {bill.pay_account_number}
    said = books.rows(
        "SELECT why FROM match_left l JOIN payment p ON p.id = l.payment_id WHERE p.reference = %s", strange
    )
    assert said == [("the payer of the bill that fits was edited after the money came",)]
    later = pay(books, 800, "plot 77 BB", masked="2547*****901", first="PETER")  # edited before: what the payer says
    assert books.left(bill) == 0
    assert not in_suspense(books, later)


def test_of_two_stalls_typed_the_unpaid_one_is_left_by_the_run_too(books: Books) -> None:
    first = billed(books, 800, thing="STALL-741241")
    books.pay(800, first.pay_account_number)
    second = billed(books, 900, name="Juma Were", thing="STALL-74124")
    paid = pay(books, 900, "stall 741241 na stall 74124", **STRANGER)
    running.run(books.as_role("worker"), by="t")
    assert (in_suspense(books, paid), books.left(second)) == (True, 900)


def test_a_neighbour_s_stall_is_left_by_callback_and_by_run(books: Books) -> None:
    one = billed(books, 800, thing="STALL-741236")
    other = billed(books, 800, name="Juma Were", thing="STALL-741231")
    paid = pay(books, 800, "stall 741236", **STRANGER)
    assert in_suspense(books, paid)
    assert suggested(books, paid) == {one.pay_account_number, other.pay_account_number}
    running.run(books.as_role("worker"), by="t")
    assert in_suspense(books, paid)
    assert (books.left(one), books.left(other)) == (800, 800)


def test_the_payer_of_a_stall_pays_it_at_once(books: Books) -> None:
    one = billed(books, 800, phone="+254711000345", thing="STALL-741236")
    billed(books, 800, name="Juma Were", thing="STALL-741231")
    pay(books, 800, "stall 741236", masked="2547*****345", first="ACHIENG")
    assert books.left(one) == 0


def test_another_amount_from_a_stranger_is_left(books: Books) -> None:
    one = billed(books, 800, thing="STALL-741231")
    paid = pay(books, 650, "stall 741231", **STRANGER)
    assert (books.left(one), in_suspense(books, paid)) == (800, True)
    assert suggested(books, paid) == {one.pay_account_number}


@pytest.mark.parametrize(
    ("reference", "typed"),
    [
        ("NASEWA/1500", "Nasewa/1500/2"), ("PLOT-77", "plot 77/B"), ("STALL-45", "stall 45 A"),
        ("BLOCK 12/34", "Block 1/234"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("open_", [True, False])
def test_another_object_with_the_same_characters_is_not_taken(
    books: Books, reference: str, typed: str, open_: bool
) -> None:
    bill = billed(books, 800, thing=reference)
    if not open_:
        books.pay(800, bill.pay_account_number)
    paid = pay(books, 800, typed, **STRANGER)
    assert in_suspense(books, paid)


def test_money_for_a_paid_stall_is_left_where_its_neighbour_owes_it(books: Books) -> None:
    first = billed(books, 800, thing="STALL-741236")
    books.pay(800, first.pay_account_number)
    alone = pay(books, 800, "stall 741236", **STRANGER)
    assert books.journal(alone) == ["DR 1200.mpesa-600100 CR 2100 800.00"]
    billed(books, 800, name="Juma Were", thing="STALL-741231")
    assert in_suspense(books, pay(books, 800, "stall 741236", **STRANGER))


def test_two_parcels_that_differ_in_a_stroke_are_two_objects(books: Books) -> None:
    one = billed(books, 800, phone="+254711000345", thing="BUSIA MUN/BLOCK 1/234")
    other = billed(books, 800, name="Juma Were", thing="BUSIA MUN/BLOCK 12/34")
    pay(books, 800, "Busia mun/block 1/234", masked="2547*****345", first="ACHIENG")
    assert (books.left(one), books.left(other)) == (0, 800)
    billed(books, 100, thing="NASEWA/11/2")
    billed(books, 100, thing="NASEWA/1/12")


def test_a_text_without_separators_that_fits_two_parcels_is_a_tie(books: Books) -> None:
    billed(books, 800, phone="+254711000345", thing="NASEWA/11/2")
    billed(books, 800, name="Juma Were", thing="NASEWA/1/12")
    assert in_suspense(books, pay(books, 800, "nasewa112", masked="2547*****345", first="ACHIENG"))


def test_rent_paid_before_any_bill_is_credit_with_a_reason_of_its_own(books: Books) -> None:
    with db.transaction(books.as_role("api")) as session:
        payer = payers.add_payer(session, name="Achieng Odera").id
        payers.add_object(session, stream_code="RENT", reference="STALL-9007", kind="stall", payer_id=payer)
    paid = pay(books, 800, "stall 9007", **STRANGER)
    assert books.journal(paid) == ["DR 1200.mpesa-600100 CR 2100 800.00"]
    assert books.open_breaks() == ["paid_before_bill"]


def test_a_station_with_an_accent_is_found_by_its_own_name(books: Books) -> None:
    books.execute(
        "INSERT INTO station (code, name, stream_code, sub_county, ward)"
        " VALUES ('MARCHE', 'Marché Malaba', 'TRAILER', 'Teso North', 'Malaba Central')"
    )
    for typed in ("Marché Malaba KDA123A", "marche malaba kda 123a", "MARCHE"):
        assert books.journal(pay(books, 300, typed, **STRANGER)) == ["DR 1200.mpesa-600100 CR 1300.TRAILER 300.00"]


@pytest.mark.parametrize("year", [2001, 2019, 2026])
def test_numbers_that_look_like_years_stay_payable(books: Books, year: int) -> None:
    number = f"{year}1234" + str(damm.calc_check_digit(f"{year}1234"))
    bill = billed(books, 500, number=number)
    pay(books, 200, number, **STRANGER)
    pay(books, 300, f"inv {number}", **STRANGER)
    assert books.left(bill) == 0


GROUPED = (
    "Acc {0}{1}{2}", "Acc {0} {1} {2}", "Acc {0} {1}{2}", "{0} {1}{2}", "{0}-{1}-{2}", "{0}{1} {2} rent", "{0}/{1}{2}",
    "a{0}{1}{2}b", "CHQ {0}{1}{2}", "{0}.{1}.{2}", "inv{0} {1} {2}", "{0} {1} and {2}", "No: {0}{1}{2}.",
    "2026 {0}{1}{2}",
)  # fmt: skip


@pytest.mark.parametrize("typed", GROUPED)
def test_what_is_answered_without_the_engine_is_what_the_engine_answers(books: Books, typed: str) -> None:
    """Each text pays its bill, a part of one and more than one: at once, and with every payment asked of the engine."""
    said = []
    for quick in (True, False):
        asked = contextlib.nullcontext() if quick else mock.patch.object(doubts, "_plain", return_value={})
        for shillings in (1_000, 400, 1_700):
            number = billed(books, 1_000).pay_account_number
            with asked:
                paid = pay(books, shillings, typed.format(number[:3], number[3:6], number[6:]))
            rungs = books.rows(
                "SELECT a.rung, a.amount_minor FROM application a JOIN payment p ON p.id = a.payment_id"
                " WHERE p.reference = %s ORDER BY a.id",
                paid,
            )
            breaks = books.rows(
                "SELECT b.reason, b.amount_minor FROM break_case b JOIN payment p ON p.id = b.payment_id"
                " WHERE p.reference = %s ORDER BY 1",
                paid,
            )
            said.append((books.journal(paid), rungs, breaks))
    assert said[:3] == said[3:]


def test_a_part_of_a_bill_whose_number_was_put_together_is_left(books: Books) -> None:
    number = billed(books, 1_000).pay_account_number
    assert in_suspense(books, pay(books, 500, f"Acc {number[:3]} {number[3:]}"))
    assert not in_suspense(books, pay(books, 500, f"Acc {number[:3]} {number[3:6]} {number[6:]}"))
