"""What the engine proposed is set by one person at the exact amount; another reviews the list before the day closes."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from reconciliation.runs import running
from revenue_engine import db
from revenue_engine.access import approvals
from revenue_engine.errors import Conflict, NotAllowed
from tests.access.test_attacks import tried
from tests.conftest import Database
from tests.matching.test_runs import by_hand, in_suspense, proves, run, slip, take_back
from tests.support import people
from tests.support.books import Books
from tests.support.people import Someone


@pytest.fixture(scope="module")
def books(shared_database: Database) -> Iterator[Books]:
    made = Books(shared_database.url)
    yield made
    made.close()


@pytest.fixture(scope="module")
def only(books: Books) -> Someone:
    """A clerk and nothing else: up to 1,000 shillings."""
    return people.somebody(books.url, "only.clerk", "clerk")


def proposed(books: Books, shillings: int, *, paid: int | None = None) -> tuple[str, str]:
    """Money that a run leaves and proposes a bill for: its reference, and the bill's number."""
    bill = books.bill(shillings)
    reference = books.pay(shillings if paid is None else paid, slip(bill))
    run(books)
    return reference, bill.pay_account_number


def set_by(books: Books, who: Someone, reference: str, number: str) -> str:
    with who.acts(), db.transaction(books.as_role("api")) as session:
        public = running.set_proposed(session, reference, number, reason="one figure is wrong")
    books.work()
    return public


def stands(books: Books, public: str) -> str:
    with books.treasurer.acts(), db.transaction(books.as_role("api")) as session:
        return approvals.one(session, public).stands


def unreviewed(books: Books) -> list[str]:
    """The open items of the close control, in words."""
    return [
        words
        for (words,) in books.rows(
            "SELECT detail FROM control_unreviewed('2026-01-01', '2099-12-31', '0', pg_current_xact_id()) ORDER BY item"
        )
    ]


def test_one_sets_another_reviews_the_list_and_the_day_may_close(books: Books, only: Someone) -> None:
    made = [set_by(books, only, *proposed(books, shillings)) for shillings in (310, 520)]
    assert [stands(books, one) for one in made] == ["set", "set"]
    assert unreviewed(books) == ["set by only.clerk and reviewed by nobody"] * 2
    # The one who set it does not review it, and nobody does without the right
    with (
        pytest.raises(NotAllowed, match="another person answers; finance officer or supervisor may"),
        only.acts(),
        db.transaction(books.as_role("api")) as session,
    ):
        approvals.agree_list(session, [approvals.one(session, one) for one in made])
    cashier = people.somebody(books.url, "one.cashier", "cashier")
    with pytest.raises(NotAllowed, match="may not"), cashier.acts(), db.transaction(books.as_role("api")) as session:
        approvals.agree_list(session, [approvals.one(session, one) for one in made])
    with books.treasurer.acts(), db.transaction(books.as_role("api")) as session:
        listed = approvals.listed(session, "set")
        assert {one.public_id for one in listed} == set(made)
        assert approvals.agree_list(session, listed) == 83_000
    assert [stands(books, one) for one in made] == ["done", "done"]
    assert unreviewed(books) == []
    with pytest.raises(Conflict, match="done already"):
        people.agree(books.as_role("api"), made[0], who=people.somebody(books.url, "accountant", "finance_officer"))
    books.work()
    assert proves(books)


def test_what_a_reviewer_refuses_is_taken_back_before_the_day_closes(books: Books, only: Someone) -> None:
    reference, number = proposed(books, 330)
    public = set_by(books, only, reference, number)
    with books.treasurer.acts(), db.transaction(books.as_role("api")) as session:
        shown = approvals.one(session, public)
        approvals.refuse(session, public, shown_sha256=shown.shown_sha256, reason="another payer's")
    assert stands(books, public) == "refused"
    assert unreviewed(books) == ["set by only.clerk, and who reviewed it refused: take the match back"]
    assert take_back(books, reference) == 33_000
    assert unreviewed(books) == []
    assert proves(books)


def test_only_what_the_engine_proposed_at_the_exact_amount_below_the_limits(books: Books, only: Someone) -> None:
    reference, number = proposed(books, 410)
    other = books.bill(410).pay_account_number
    with pytest.raises(Conflict, match="did not propose this bill"):
        set_by(books, only, reference, other)
    short, for_bill = proposed(books, 600, paid=590)
    with pytest.raises(Conflict, match=r"590.00 is in suspense and 600.00 is left of the bill"):
        set_by(books, only, short, for_bill)
    large, for_large = proposed(books, 1_001)
    with pytest.raises(NotAllowed, match="not for so much; finance officer or supervisor may"):
        set_by(books, only, large, for_large)
    supervisor = people.somebody(books.url, "one.supervisor", "supervisor")
    before = books.rows("SELECT confirm_limit_minor FROM county")
    books.execute("UPDATE county SET confirm_limit_minor = 100000")
    with pytest.raises(Conflict, match="above the county's limit"):
        set_by(books, supervisor, large, for_large)
    books.execute("UPDATE county SET confirm_limit_minor = %s", before[0][0])
    with pytest.raises(NotAllowed, match="; cashier or finance officer or revenue clerk"):
        set_by(books, people.somebody(books.url, "an.auditor", "auditor"), reference, number)
    assert in_suspense(books, reference) == 41_000


@pytest.mark.parametrize("kind", ["match", "match_set"])
def test_a_worker_sets_no_other_amount_bill_or_payment_than_was_asked(books: Books, only: Someone, kind: str) -> None:
    """Bait and switch by the worker's own login: the row is held against what was shown, to the cent."""
    reference, number = proposed(books, 450 if kind == "match" else 460)
    with only.acts(), db.transaction(books.as_role("api")) as session:
        public = running.ask(session, reference, number, reason="one figure is wrong", kind=kind)
    if kind == "match":
        people.agree(books.as_role("api"), public, who=books.treasurer)
    ((request, payment, bill, minor),) = books.rows(
        "SELECT id, (payload ->> 'payment_id')::bigint, (payload ->> 'invoice_id')::bigint,"
        " (payload ->> 'amount_minor')::bigint FROM access.request WHERE public_id = %s",
        public,
    )
    ((other,),) = books.rows("SELECT min(id) FROM payment WHERE id <> %s", payment)
    insert = (
        "INSERT INTO payment_match (public_id, approval_id, payment_id, invoice_id, amount_minor, rung, why,"
        " journal_id, made_by) VALUES ('mat_x', %s, %s, %s, %s, 'hand', 'x', 1, 'x')"
    )
    with psycopg.connect(books.url) as connection:
        connection.execute("SET ROLE revenue_worker")
        assert tried(connection, insert, request, payment, bill, minor).startswith("RV403")  # not in this transaction
        connection.execute("SELECT access.execute(%s)", (request,))
        others = [
            (payment, bill, minor - 1),
            (payment, bill, minor + 1),
            (other, bill, minor),
            (payment, bill + 1, minor),
        ]
        for row in others:
            assert tried(connection, insert, request, *row).startswith("RV403 a match by hand is one"), row
        connection.rollback()


def test_what_one_person_set_is_no_longer_proposed_to_two(books: Books, only: Someone) -> None:
    """The money is gone from suspense: a second request for the same money is refused, whoever asks."""
    reference, number = proposed(books, 470)
    set_by(books, only, reference, number)
    with pytest.raises(Conflict):
        by_hand(books, reference, number)
