"""A person of a sub-county sees its bills, payments, papers and breaks, and nothing of another's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from reconciliation import breaks
from revenue_engine import db, payments
from revenue_engine.access import scope
from revenue_engine.access.scope import Scope
from revenue_engine.billing import counter, invoices
from revenue_engine.billing.tariffs import AssessedLine
from revenue_engine.collection import money_moves
from revenue_engine.errors import NotAllowed, NotSignedIn
from revenue_engine.payments import receipts
from tests.conftest import Database
from tests.support import people
from tests.support.books import DAY, NOON, Books


@pytest.fixture(scope="module")
def books(shared_database: Database) -> Iterator[Books]:
    made = Books(shared_database.url)
    yield made
    made.close()


def billed(books: Books, stream: str, station: str | None) -> invoices.Issued:
    """A bill of 500 shillings at a station."""
    with books.clerk.acts(), db.transaction(books.as_role("api")) as session:
        return invoices.issue_invoice(
            session,
            invoices.InvoiceRequest(
                stream_code=stream,
                lines=[AssessedLine(None, stream, "a charge", "principal", 1, 50_000)],
                due_on=DAY + timedelta(days=30),
                station_code=station,
                at=NOON,
            ),
            issued_by="clerk",
        )


@pytest.fixture(scope="module")
def paid(books: Books) -> dict[str, Any]:
    """A bill of each of two sub-counties and one of none, each paid, and suspense that names a station or none."""
    books.execute(
        "INSERT INTO station (code, name, stream_code, sub_county, ward) VALUES"
        " ('FUNYULA', 'Funyula market', 'RENT', 'Samia', 'Namboboto')"
    )
    made: dict[str, Any] = {}
    for name, stream, station in (("teso", "TRAILER", "MALABA"), ("samia", "RENT", "FUNYULA"), ("none", "SBP", None)):
        bill = billed(books, stream, station)
        made[name] = (bill.number, books.pay(500, bill.pay_account_number))
    made["malaba"] = (None, books.pay(7, "MALABA"))
    made["unplaced"] = (None, books.pay(9, "nobody knows"))
    return made


def numbers(books: Books, references: list[str]) -> list[int]:
    found = dict(books.rows("SELECT reference, id FROM payment"))
    return [found[one] for one in references]


def seen(session: Session, books: Books, within: Scope) -> tuple[set[str], set[str], set[str]]:
    """The bills, the payments that have a paper, and the payments whose suspense is listed."""
    bills = {one.number for one in counter.listed(session, scope=within)}
    papers = {one.reference for one in receipts.listed(session, scope=within)}
    held = [one.payment_id for one in breaks.listed(session, suspense=True, scope=within) if one.payment_id]
    return bills, papers, {one.identity.reference for one in payments.by_ids(session, held).values()}


def test_each_sub_county_sees_its_own_and_the_whole_county_sees_all(books: Books, paid: dict[str, Any]) -> None:
    teso = people.somebody(books.url, "of.teso", "clerk", sub_county="Teso North")
    samia = people.somebody(books.url, "of.samia", "supervisor", sub_county="Samia")
    whole = people.somebody(books.url, "of.all", "auditor")
    of = {name: reference for name, (_, reference) in paid.items()}
    expected = {
        teso: ({"teso"}, {"teso", "malaba"}, {"malaba"}),
        samia: ({"samia"}, {"samia"}, set[str]()),
        whole: ({"teso", "samia", "none"}, set(paid), {"malaba", "unplaced"}),
    }
    for person, (bills, papers, held) in expected.items():
        with person.acts(), db.transaction(books.as_role("api")) as session:
            within = scope.of(session)
            found = seen(session, books, within)
            every = numbers(books, list(of.values()))
            assert payments.within(session, every, within) == set(numbers(books, [of[one] for one in papers]))
        assert found == ({paid[one][0] for one in bills}, {of[one] for one in papers}, {of[one] for one in held})


def test_two_sub_counties_are_both_seen_and_a_role_without_the_right_none(books: Books, paid: dict[str, Any]) -> None:
    both = people.somebody(books.url, "of.both", "clerk", sub_county="Samia")
    books.execute(
        "INSERT INTO access.person_role (person_id, role, sub_county) VALUES (%s, 'cashier', 'Teso North')", both.id
    )
    with both.acts(), db.transaction(books.as_role("api")) as session:
        assert scope.of(session).stations == ("FUNYULA", "MALABA")
        assert scope.of(session, "bill.issue").stations == ("FUNYULA",)  # a cashier issues no bill
    with pytest.raises(NotAllowed, match="auditor"), both.acts(), db.transaction(books.as_role("api")) as session:
        scope.of(session, "audit.read")


def test_nobody_is_told_to_sign_in_and_a_command_of_the_machine_reads_all(books: Books) -> None:
    with db.acting_by("0" * 64), db.transaction(books.as_role("api")) as session:
        assert scope.of_command(session).is_whole
    with pytest.raises(NotSignedIn), db.acting_by("0" * 64), db.transaction(books.as_role("api")) as session:
        scope.of(session)


def test_money_that_moves_to_another_sub_county_is_seen_there_alone(books: Books, paid: dict[str, Any]) -> None:
    (payment_id,) = numbers(books, [paid["teso"][1]])
    number = billed(books, "RENT", "FUNYULA").pay_account_number
    assert books.rows(
        "SELECT payment_is_at(%s, '{MALABA}'), payment_is_at(%s, '{FUNYULA}')", payment_id, payment_id
    ) == [(True, False)]
    assert (
        books.judged(lambda session: money_moves.ask(session, paid["teso"][1], number, reason="paid for the stall"))
        is None
    )
    assert books.rows(
        "SELECT payment_is_at(%s, '{MALABA}'), payment_is_at(%s, '{FUNYULA}')", payment_id, payment_id
    ) == [(False, True)]
