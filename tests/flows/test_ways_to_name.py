"""Naming an object instead of a bill: the station beside it, and what happens when its money is taken back."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta

from revenue_engine import db
from revenue_engine.billing import invoices, payers
from revenue_engine.billing.tariffs import AssessedLine
from tests.support.books import DAY, NOON, Books, confirmation, reversal


def truck(books: Books, plate: str = "KDA 123A") -> None:
    with db.transaction(books.as_role("api")) as session:
        payers.add_object(
            session,
            stream_code="TRAILER",
            reference=plate,
            kind="plate",
            station_code="MALABA",
            tariff_item="TRL.NIGHT",
            standing_number=False,
        )


def stall(books: Books) -> tuple[str, invoices.Issued]:
    """A stall with a standing number and one open bill of 800."""
    with db.transaction(books.as_role("api")) as session:
        payer = payers.add_payer(session, name="Achieng Odera")
        added = payers.add_object(session, stream_code="RENT", reference="B 12", kind="stall", payer_id=payer.id)
        bill = invoices.issue_invoice(
            session,
            invoices.InvoiceRequest(
                stream_code="RENT",
                lines=[AssessedLine(None, "RENT", "rent", "principal", 1, 80_000)],
                due_on=DAY + timedelta(days=30),
                object_id=added.id,
                at=NOON,
            ),
            issued_by="clerk",
        )
    assert added.pay_account_number is not None
    return added.pay_account_number, bill


def test_a_station_of_another_stream_beside_a_plate_does_not_hold_the_money_up(books: Books) -> None:
    truck(books)
    books.execute(
        "INSERT INTO station (code, name, stream_code, sub_county, ward)"
        " VALUES ('NAMBALE', 'Nambale offices', 'SBP', 'Nambale', 'Nambale Township')"
    )
    paid = books.pay(300, "NAMBALE KDA123A")
    assert books.rows("SELECT state, last_error FROM job WHERE kind = 'interpret'") == []
    assert books.journal(paid) == ["DR 1200.mpesa-600100 CR 1300.TRAILER 300.00"]
    assert books.rows("SELECT station_code FROM posting WHERE payment_id IS NOT NULL") == [("MALABA",)]


def test_a_neighbour_s_open_night_does_not_hold_up_what_is_paid_before_the_service(books: Books) -> None:
    truck(books, "KDA 123A")
    truck(books, "KDA 124A")
    first = books.pay(300, "KDA 124A", reference="UITAKEN001")
    books.deliver(reversal("UITAKEN001", 300, own="UITAKEN002"))
    books.work()  # the neighbour's bill is open again
    paid = books.pay(300, "KDA 123A")
    assert books.journal(first)[0] == books.journal(paid)[0] == "DR 1200.mpesa-600100 CR 1300.TRAILER 300.00"
    assert books.rows(
        "SELECT o.reference, b.principal_minor FROM open_bill b JOIN invoice i ON i.id = b.invoice_id"
        " JOIN billed_object o ON o.id = i.object_id WHERE b.principal_minor > 0"
    ) == [("KDA 124A", 300_00)]


def test_a_second_payment_to_a_standing_number_pays_when_the_first_is_taken_back(
    new_books: Callable[[], AbstractContextManager[Books]],
) -> None:
    ends = []
    for order in itertools.permutations(range(3)):
        with new_books() as books:
            number, bill = stall(books)
            sent = [
                confirmation(800, number, reference="UIFIRST001"),
                confirmation(800, number, reference="UISECOND01", at=NOON + timedelta(hours=1)),
                reversal("UIFIRST001", 800, own="UIREVERSE1", at=NOON + timedelta(hours=2)),
            ]
            for index in order:
                books.deliver(sent[index])
                books.work()
            ends.append((order, books.left(bill), books.balances(), books.open_breaks()))
    first = ends[0][1:]
    assert first[0] == 0, "the money that stands pays the bill"
    assert [end for end in ends if end[1:] != first] == []
