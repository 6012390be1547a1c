"""Messages that disagree are breaks, breaks end by what ends them, and no order of messages changes what stays open."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import pytest

from adapters.sandbox import mpesa_bodies as bodies
from revenue_engine import db
from revenue_engine.work import jobs
from revenue_engine.work.kinds import Kind
from tests.support.books import NOON, SHORTCODE, Books, confirmation, reversal

Make = Callable[[], AbstractContextManager[Books]]
PAID, OTHER = "UIA0000001", "UIA0000002"
BACK, AGAIN = "UIR0000001", "UIR0000002"


def _question(shillings: int, typed: str, *, reference: str = PAID) -> bytes:
    return bodies.c2b_validation(
        receipt=reference,
        at=NOON,
        amount_minor=shillings * 100,
        shortcode=SHORTCODE,
        account=typed,
        msisdn="254700000101",
    )


def _open(books: Books) -> list[tuple[str, str]]:
    """Key and reason of every open break."""
    return books.rows("SELECT key, reason FROM break_case WHERE closed_at IS NULL ORDER BY 1")


def _resolutions(books: Books) -> dict[str, str]:
    return dict(books.rows("SELECT key, resolution FROM break_case WHERE closed_at IS NOT NULL"))


# --- reversals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("second", [reversal(PAID, 500, own=BACK), reversal(OTHER, 2000, own=BACK)])
def test_a_reversal_told_again_with_another_amount_or_payment_is_a_break(
    books: Books, second: tuple[str, bytes]
) -> None:
    bill = books.bill(2000, payer=books.payer())
    for message in (
        confirmation(2000, bill.pay_account_number, reference=PAID),
        confirmation(2000, bill.pay_account_number, reference=OTHER),
        reversal(PAID, 2000, own=BACK),
    ):
        books.deliver(message)
        books.work()
    books.deliver(second)
    books.work()
    ((key, reason),) = [found for found in _open(books) if found[0].startswith("conflict:")]
    assert (key.rsplit(":", 1)[0], reason) == (f"conflict:1:reversal:{BACK}", "duplicate_code")
    assert books.rows("SELECT count(*) FROM payment WHERE kind = 'reversal'") == [(1,)]


def test_a_break_says_that_the_provider_reversed_the_payment(books: Books) -> None:
    books.pay(700, "nobody knows this", reference=PAID)
    books.deliver(reversal(PAID, 700, own=BACK))
    books.work()
    assert list(_resolutions(books).values()) == ["the provider reversed the payment"]
    assert books.open_breaks() == []


def test_a_reversal_before_its_payment_ends_its_break_by_the_payment(books: Books) -> None:
    books.deliver(reversal(PAID, 700, own=BACK))
    books.work()
    assert books.open_breaks() == ["reversal_without_payment"]
    books.pay(700, "nobody knows this", reference=PAID)
    assert books.open_breaks() == []
    assert _resolutions(books)[f"reversal:1:{BACK}"] == "the payment that the reversal names is in the books now"


# --- orders ----------------------------------------------------------------------------------------------------------

Message = tuple[str, bytes]


def _stories(number: str) -> dict[str, Sequence[Message]]:
    paid = confirmation(2000, number, reference=PAID)
    return {
        "part reversal": [paid, reversal(PAID, 500, own=BACK)],
        "part and whole reversal": [paid, reversal(PAID, 500, own=BACK), reversal(PAID, 2000, own=AGAIN)],
        "two whole reversals": [paid, reversal(PAID, 2000, own=BACK), reversal(PAID, 2000, own=AGAIN)],
        "one reversal, two amounts": [paid, reversal(PAID, 2000, own=BACK), reversal(PAID, 500, own=BACK)],
        "a reversal of two payments": [
            paid,
            confirmation(2000, "nothing", reference=OTHER),
            reversal(PAID, 2000, own=BACK),
            reversal("UIA0000009", 2000, own=BACK),
        ],
        "two amounts": [paid, confirmation(1500, number, reference=PAID), paid],
        "two accounts": [paid, confirmation(2000, "other words", reference=PAID)],
        "a question and its payment": [("confirmation", _question(2000, number)), ("validation", paid[1])],
        "a question, its payment and its reversal": [
            ("confirmation", _question(2000, number)),
            paid,
            reversal(PAID, 2000, own=BACK),
        ],
        "a large payment": [
            ("confirmation", _question(300_000, number)),
            confirmation(300_000, number, reference=PAID),
        ],
    }


@pytest.mark.parametrize("story", list(_stories("1")))
def test_the_same_messages_leave_the_same_open_breaks_in_every_order(new_books: Make, story: str) -> None:
    ends: dict[Any, list[tuple[str, str]]] = {}
    length = len(_stories("1")[story])
    for order in itertools.permutations(range(length)):
        for apart in (True, False):
            with new_books() as books:
                messages = _stories(books.bill(2000, payer=books.payer()).pay_account_number)[story]
                chosen = [messages[index] for index in order]
                for group in [[one] for one in chosen] if apart else [chosen]:
                    books.deliver(*group)
                    books.work()
                ends[order, apart] = _open(books)
    assert len({tuple(found) for found in ends.values()}) == 1, ends


# --- two addresses ---------------------------------------------------------------------------------------------------


def test_a_question_on_the_address_for_confirmations_is_not_money(books: Books) -> None:
    bill = books.bill(2000, payer=books.payer())
    books.deliver(("confirmation", _question(2000, bill.pay_account_number)))
    books.work()
    assert books.rows("SELECT count(*) FROM payment") == [(0,)]
    assert books.left(bill) == 2000
    assert books.open_breaks() == ["unconfirmed", "wrong_address"]
    # Two questions are no proof together either
    books.deliver(("confirmation", _question(2000, bill.pay_account_number) + b" "))
    books.work()
    assert books.rows("SELECT count(*) FROM payment") == [(0,)]


def test_a_payment_on_the_address_for_questions_is_not_lost(books: Books) -> None:
    bill = books.bill(2000, payer=books.payer())
    books.deliver(("validation", confirmation(2000, bill.pay_account_number, reference=PAID)[1]))
    books.work()
    assert books.left(bill) == 0
    assert books.rows("SELECT reason, owner FROM break_case WHERE closed_at IS NULL") == [("wrong_address", "ict")]


def test_a_question_on_its_own_address_moves_nothing(books: Books) -> None:
    (told,) = books.deliver(("validation", _question(2000, "1")))
    books.work()
    assert books.states([told]) == ["ignored"]
    assert books.open_breaks() == []


# --- what ends a break -----------------------------------------------------------------------------------------------


def test_a_break_opened_beside_the_payment_that_ends_it_is_closed_at_the_next_look(books: Books) -> None:
    """A large confirmation and what proves it may commit side by side, neither seeing the other."""
    bill = books.bill(2000, payer=books.payer())
    (told,) = books.deliver(confirmation(2000, bill.pay_account_number, reference=PAID))
    books.work()
    books.execute(
        "INSERT INTO break_case (public_id, key, reason, detail, amount_minor, owner, occurred_at)"
        " VALUES ('brk_x', %s, 'unconfirmed', 'x', 200000, 'finance', now())",
        f"unconfirmed:1:{PAID}",
    )
    assert books.open_breaks() == ["unconfirmed"]
    with db.transaction(books.engine) as session:
        jobs.replay(session, kind=Kind.INTERPRET, ref_id=told)
    books.work()
    assert books.open_breaks() == []
    assert _resolutions(books)[f"unconfirmed:1:{PAID}"] == "another message confirmed the payment"


def test_a_delivery_whose_work_died_has_an_owner_until_the_work_is_done(books: Books) -> None:
    books.execute("ALTER TABLE payment RENAME TO payment_away")
    (told,) = books.deliver(confirmation(2000, "1", reference=PAID))
    for _ in range(9):
        books.work()
        books.execute("UPDATE job SET run_after = now()")
    assert books.rows("SELECT state FROM job") == [("dead",)]
    assert books.rows("SELECT reason, owner, delivery_id, key FROM break_case WHERE closed_at IS NULL") == [
        ("work_failed", "ict", told, f"dead:interpret:{told}")
    ]
    books.execute("ALTER TABLE payment_away RENAME TO payment")
    with db.transaction(books.engine) as session:
        jobs.replay(session, kind=Kind.INTERPRET, ref_id=told)
    books.work()
    assert books.rows("SELECT count(*) FROM payment") == [(1,)]
    assert books.open_breaks() == ["unknown_account"]
    assert _resolutions(books)[f"dead:interpret:{told}"] == "the work was done when it was tried again"
