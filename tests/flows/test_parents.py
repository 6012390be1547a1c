"""What the hottest rows name must exist and stay, and a payment that two record at one moment is recorded once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta

import psycopg
import pytest

from revenue_engine import db, payments
from revenue_engine.payments import Identity, NewPayment
from tests.conftest import Database
from tests.support.books import NOON, Books, code, confirmation


@pytest.mark.parametrize(
    "statement",
    [
        (
            "INSERT INTO payment (public_id, channel_account_id, kind, reference, amount_minor, occurred_at)"
            " VALUES ('pay_x', 99, 'payment', 'UIX', 100, now())"
        ),
        "INSERT INTO payment_party (payment_id, name, msisdn, account_reference) VALUES (999, '', '', '')",
        (
            "INSERT INTO receipt (public_id, kind, financial_year, number, payment_id, amount_minor, paid_at,"
            " book_date) VALUES ('rct_x', 'receipt', '2627', 500, 999, 100, now(), '2026-09-15')"
        ),
        (
            "INSERT INTO application (payment_id, invoice_id, component, amount_minor, journal_id, rung)"
            " SELECT max(id), 999, 'principal', 100, 1, 'exact' FROM payment"
        ),
        (
            "INSERT INTO application (payment_id, invoice_id, component, amount_minor, journal_id, rung)"
            " SELECT 999, min(id), 'principal', 100, 1, 'exact' FROM invoice"
        ),
    ],
)
def test_a_row_that_names_nothing_is_refused_even_to_a_superuser_who_switches_foreign_keys_off(
    books: Books, statement: str
) -> None:
    books.bill(1_000)
    books.pay(500, books.bill(500).pay_account_number)
    for role in ("origin", "replica"):
        with psycopg.connect(books.url) as connection:
            connection.execute(f"SET session_replication_role = {role}")  # type: ignore[call-overload]
            with pytest.raises(psycopg.errors.ForeignKeyViolation):
                connection.execute(statement)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM account WHERE code = '2200'",
        "UPDATE account SET code = '2201' WHERE code = '2200'",
        "DELETE FROM channel_account",
        "UPDATE channel_account SET id = id + 100",
    ],
)
def test_what_is_named_can_neither_go_away_nor_change_its_key(books: Books, statement: str) -> None:
    with psycopg.connect(books.url) as connection, pytest.raises(psycopg.errors.RestrictViolation):
        connection.execute(statement)  # type: ignore[call-overload]


def told(books: Books, *references: str, at: datetime = NOON) -> None:
    """Evidence of payments of 100.00, as a worker reads it from deliveries."""
    deliveries = books.deliver(*[confirmation(100, "x", reference=reference) for reference in references])
    for delivery, reference in zip(deliveries, references, strict=True):
        books.execute(
            "INSERT INTO evidence (delivery_id, channel_account_id, kind, reference, message, amount_minor, currency,"
            " occurred_at, strength, typed_digest) VALUES (%s, 1, 'payment', %s, 'c2b', 10000, 'KES', %s, 'confirms',"
            " sha256(''))",
            delivery,
            reference,
            at,
        )


@pytest.fixture
def bare(database: Database) -> Iterator[Books]:
    """A county whose books are not verified in the end: payments are recorded here and not posted."""
    made = Books(database.url)
    yield made
    made.close()


def test_a_payment_that_another_transaction_records_first_is_left_out_and_the_others_are_written(bare: Books) -> None:
    both, ours = code(), code()
    told(bare, both, ours)
    wanted = [NewPayment(Identity(1, "payment", reference), 100_00, NOON) for reference in (both, ours)]
    answers: list[dict[Identity, payments.Recorded]] = []
    engine = bare.as_role("worker")

    def second() -> None:
        with db.transaction(engine) as session:
            answers.append(payments.record(session, wanted))

    with db.transaction(engine) as session:
        assert set(payments.record(session, wanted[:1])) == {wanted[0].identity}
        other = threading.Thread(target=second)
        other.start()
        other.join(timeout=0.5)
        assert other.is_alive(), "the second waits for the first to end"
    other.join(timeout=10)
    assert [set(answer) for answer in answers] == [{wanted[1].identity}]
    assert bare.rows("SELECT count(*), count(DISTINCT reference) FROM payment") == [(2, 2)]


def test_recording_again_answers_nothing(bare: Books) -> None:
    wanted = [NewPayment(Identity(1, "payment", code()), 100_00, NOON + timedelta(hours=1))]
    told(bare, wanted[0].identity.reference, at=NOON + timedelta(hours=1))
    engine = bare.as_role("worker")
    for expected in (1, 0):
        with db.transaction(engine) as session:
            assert len(payments.record(session, wanted)) == expected
