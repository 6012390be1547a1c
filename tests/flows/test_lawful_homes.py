"""Money keeps its lawful home (the Fund, a facility, a concessionaire) and its financial year, that of receipt."""

from __future__ import annotations

from datetime import date, datetime

import psycopg
import pytest

from reconciliation.runs import running
from revenue_engine import db
from revenue_engine.billing import invoices
from revenue_engine.billing.tariffs import AssessedLine
from revenue_engine.ledger import chart
from revenue_engine.periods import NAIROBI
from revenue_engine.treasury import bank_accounts
from tests.support import closing, people
from tests.support.books import DAY, NOON, Books, confirmation


def stream(books: Books, code: str, retained_by: str, *stations: str) -> None:
    """One more stream, with its accounts and stations."""
    books.execute(
        "INSERT INTO stream (code, name, note, billing, law, prefixes, retained_by)"
        " VALUES (%s, %s, 6, 'bill', 'Act', '{}', %s)",
        code,
        code,
        retained_by,
    )
    for spec in chart.stream_accounts(code, code):
        books.execute(
            "INSERT INTO account (code, name, type, parent, stream_code, component) VALUES (%s, %s, %s, %s, %s, %s)",
            *(spec.code, spec.name, spec.type.value, spec.parent, spec.stream_code, spec.component),
        )
    for station in stations:
        books.execute(
            "INSERT INTO station (code, name, stream_code, sub_county, ward) VALUES (%s, %s, %s, 'X', 'Y')",
            *(station, station, code),
        )


def bill(books: Books, code: str, shillings: int, payer: int, station: str | None = None) -> invoices.Issued:
    with db.transaction(books.as_role("api")) as session:
        return invoices.issue_invoice(
            session,
            invoices.InvoiceRequest(
                stream_code=code,
                lines=[AssessedLine(None, code, "x", "principal", 1, shillings * 100)],
                due_on=DAY,
                payer_id=payer,
                station_code=station,
                at=NOON,
            ),
            issued_by="clerk",
        )


@pytest.mark.parametrize(
    ("later", "station", "left"),
    [("SBP", None, 1000), ("HOSPITAL", "KHALABA", 1000), ("PARKING", None, 1000), ("HOSPITAL", "BCRH", 0)],
    ids=["the Fund's bill", "another facility's", "a concessionaire's", "its own"],
)
def test_credit_pays_bills_of_its_own_destination_only(
    books: Books, later: str, station: str | None, left: int
) -> None:
    # Given a hospital's patient who paid 1000.00 more than her bill
    stream(books, "HOSPITAL", "facility", "BCRH", "KHALABA")
    stream(books, "PARKING", "concession")
    mary = books.payer("Mary Patient")
    first = bill(books, "HOSPITAL", 500, mary, "BCRH")
    books.pay(1500, first.pay_account_number)
    # When another bill is issued to her
    second = bill(books, later, 1000, mary, station)
    books.work()
    # Then only the hospital's own is paid by it
    assert books.left(second) == left
    assert books.balances().get("2100", 0) == -left * 100


def test_the_database_refuses_what_the_program_would_not_do(books: Books) -> None:
    stream(books, "HOSPITAL", "facility", "BCRH")
    mary = books.payer("Mary Patient")
    first = bill(books, "HOSPITAL", 500, mary, "BCRH")
    books.pay(1500, first.pay_account_number, reference="UIMARY0001")
    permit = books.bill(1000, payer=mary)
    books.work()
    with psycopg.connect(books.url) as connection:
        connection.execute("SET ROLE revenue_worker")
        connection.execute(
            "INSERT INTO journal (id, book_date, key, kind, occurred_at, digest)"
            " VALUES (9001, '2026-09-15', 'payment:1:credit:9', 'credit_applied', now(), sha256(''))"
        )
        with pytest.raises(psycopg.errors.CheckViolation, match="held for facility:BCRH, not for county"):
            connection.execute(
                "INSERT INTO posting (journal_id, seq, book_date, debit, credit, amount_minor, stream_code, payer_id,"
                " invoice_id, payment_id) SELECT 9001, 0, '2026-09-15', '2100', '1300.SBP', 100000, 'SBP', %s, %s, id"
                " FROM payment",
                (mary, permit.id),
            )
        connection.rollback()


def test_two_persons_may_take_it_across_and_the_holder_owes_it(books: Books) -> None:
    # Given money in suspense that came for a hospital's bill that was cancelled, whose payer nobody knows
    stream(books, "HOSPITAL", "facility", "BCRH")
    with db.transaction(books.as_role("api")) as session:
        gone = invoices.issue_invoice(
            session,
            invoices.InvoiceRequest(
                stream_code="HOSPITAL",
                lines=[AssessedLine(None, "HOSPITAL", "x", "principal", 1, 50_000)],
                due_on=DAY,
                station_code="BCRH",
                at=NOON,
            ),
            issued_by="clerk",
        )
    books.cancel(gone)
    permit = books.bill(500)
    books.pay(500, gone.pay_account_number, reference="UICROSS001")
    # When one person asks and another agrees that it pays a permit
    with books.clerk.acts(), db.transaction(books.as_role("api")) as session:
        asked = running.ask(session, "UICROSS001", permit.pay_account_number, reason="seen")
    people.agree(books.as_role("api"), asked, who=books.treasurer)
    books.work()
    # Then the permit is paid, and the facility owes the Fund as much until both banks show the transfer
    assert books.left(permit) == 0
    assert {code: books.balances()[code] for code in ("1480", "2480")} == {"1480": 500_00, "2480": -500_00}


# --- bank accounts ---------------------------------------------------------------------------------------------------


def test_a_bank_account_is_opened_with_its_bank_purpose_and_authority(books: Books) -> None:
    with db.transaction(books.engine) as session:  # as the county's files open one
        code = bank_accounts.open_bank_account(
            session, bank="KCB", number="1100100", name="KCB", purpose="collection", authority="Letter CT/7", by="x"
        )
    assert code == "1100.kcb-1100100"
    assert books.rows("SELECT type, parent FROM account WHERE code = %s", code) == [("asset", "1100")]


# --- the financial year ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("late", [False, True], ids=["told on time", "told three days late"])
@pytest.mark.parametrize(
    ("at", "year"),
    [
        (datetime(2026, 6, 30, 23, 59, tzinfo=NAIROBI), "2526"),
        (datetime(2026, 7, 1, 0, 1, tzinfo=NAIROBI), "2627"),
    ],
)
def test_the_financial_year_follows_receipt(books: Books, at: datetime, year: str, late: bool) -> None:
    books.execute("UPDATE county SET books_open_from = '2026-06-01'")
    number = books.bill(100).pay_account_number
    if late:  # the days until 2 July are closed before anybody tells of it
        closing.close(books, date(2026, 7, 2))
    books.deliver(confirmation(100, number, reference="UIYEAR0001", at=at), received_at=at)
    books.work()
    booked = date(2026, 7, 3) if late else at.date()
    assert books.rows("SELECT book_date FROM journal WHERE kind = 'payment_received'") == [(booked,)]
    assert books.papers("UIYEAR0001") == [f"receipt {year}-1"]
