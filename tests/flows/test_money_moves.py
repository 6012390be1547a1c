"""Money that was placed wrongly moves to the right bill: by one who asks and another who agrees, to the cent."""

from __future__ import annotations

import pytest

from revenue_engine import db
from revenue_engine.collection import money_moves
from revenue_engine.errors import Conflict, NotAllowed, NotFound
from revenue_engine.payments import request_push
from tests.support import people
from tests.support.books import Books, push_result, reversal


def _move(books: Books, reference: str, number: str) -> str | None:
    """Two persons move the money; why that was void, or None."""
    return books.judged(
        lambda session: money_moves.ask(session, reference, number, reason="the payer showed the right bill")
    )


@pytest.mark.parametrize("payer_known", [True, False])
def test_money_that_named_the_neighbours_number_moves_to_the_right_bill(books: Books, payer_known: bool) -> None:
    payer = books.payer() if payer_known else None
    wrong, right = books.bill(1000, payer=books.payer("Neighbour")), books.bill(1000, payer=payer)
    paid = books.pay(1000, wrong.pay_account_number)
    assert (books.left(wrong), books.left(right)) == (0, 1000)
    # When two persons move it
    assert _move(books, paid, right.pay_account_number) is None
    # Then the right bill is paid, the wrong one is open again, and there is one standing receipt
    assert (books.left(wrong), books.left(right)) == (1000, 0)
    first, second = books.papers(paid)
    assert (first.startswith("receipt"), first.endswith("cancelled")) == (True, True)
    assert (second.startswith("receipt"), second.endswith("cancelled")) == (True, False)
    # And the money keeps the date on which it was paid
    dates = "SELECT DISTINCT r.paid_at = p.occurred_at FROM receipt r JOIN payment p ON p.id = r.payment_id"
    assert books.rows(dates) == [(True,)]
    assert books.journal(paid) == [
        "DR 1200.mpesa-600100 CR 1300.SBP 1000.00",
        "DR 1300.SBP CR 2200 1000.00",
        "DR 2200 CR 1300.SBP 1000.00",
    ]
    assert books.open_breaks() == []


def test_money_that_our_own_push_placed_moves_too(books: Books) -> None:
    wrong, right = books.bill(600), books.bill(600)
    with db.transaction(books.as_role("api")) as session:
        request_push(
            session, channel_account_id=1, request_id="ws_CO_1", invoice_id=wrong.id, amount_minor=600_00, by="clerk"
        )
    books.deliver(push_result(600, "ws_CO_1", reference="UIA0000001"))
    books.work()
    assert _move(books, "UIA0000001", right.pay_account_number) is None
    assert (books.left(wrong), books.left(right)) == (600, 0)


def test_money_in_a_payers_credit_moves_to_a_strangers_bill(books: Books) -> None:
    payer = books.payer()
    paid_before, right = books.bill(1000, payer=payer), books.bill(700, payer=books.payer("Stranger"))
    books.pay(1000, paid_before.pay_account_number)
    again = books.pay(1000, paid_before.pay_account_number)
    assert books.open_breaks() == ["duplicate_payment"]
    assert _move(books, again, right.number) is None
    assert (books.left(paid_before), books.left(right)) == (0, 0)
    # What is above the right bill is the credit of the right payer
    assert books.rows(
        "SELECT payer_id, sum(CASE credit WHEN '2100' THEN amount_minor ELSE -amount_minor END)::bigint FROM posting"
        " WHERE '2100' IN (debit, credit) GROUP BY 1 HAVING sum(CASE credit WHEN '2100' THEN amount_minor"
        " ELSE -amount_minor END) <> 0"
    ) == [(payer + 1, 300_00)]
    assert "duplicate_payment" not in books.open_breaks()


def test_no_rule_sets_moved_money_on_the_wrong_bill_again(books: Books) -> None:
    wrong, right = books.bill(1000), books.bill(600)
    paid = books.pay(1000, wrong.pay_account_number)
    assert _move(books, paid, right.pay_account_number) is None
    books.work()
    assert (books.left(wrong), books.left(right)) == (1000, 0)
    assert books.rows("SELECT reason, amount_minor FROM break_case WHERE closed_at IS NULL") == [("overpaid", 400_00)]


def test_other_money_that_named_the_wrong_bill_pays_the_bill_when_it_opens_again(books: Books) -> None:
    payer = books.payer()
    wrong, right = books.bill(1000, payer=payer), books.bill(1000, payer=books.payer("Neighbour"))
    first = books.pay(1000, wrong.pay_account_number)
    books.pay(1000, wrong.pay_account_number)
    assert _move(books, first, right.pay_account_number) is None
    assert (books.left(wrong), books.left(right)) == (0, 0)
    assert books.open_breaks() == []


def test_money_that_was_moved_wrongly_moves_again(books: Books) -> None:
    first, second = books.bill(1000), books.bill(1000)
    paid = books.pay(1000, first.pay_account_number)
    assert _move(books, paid, second.pay_account_number) is None
    assert _move(books, paid, first.pay_account_number) is None
    assert (books.left(first), books.left(second)) == (0, 1000)
    assert [paper.endswith("cancelled") for paper in books.papers(paid)] == [True, True, False]


def test_the_provider_takes_moved_money_back_from_where_it_is(books: Books) -> None:
    wrong, right = books.bill(1000), books.bill(1000)
    paid = books.pay(1000, wrong.pay_account_number)
    assert _move(books, paid, right.pay_account_number) is None
    books.deliver(reversal(paid, 1000))
    books.work()
    assert (books.left(wrong), books.left(right)) == (1000, 1000)
    with pytest.raises(Conflict, match="the provider reversed"):
        _move(books, paid, right.pay_account_number)


def test_an_agreement_is_to_the_amount_and_the_state_that_were_shown(books: Books) -> None:
    wrong, right = books.bill(1000), books.bill(1000)
    paid = books.pay(1000, wrong.pay_account_number)
    with books.clerk.acts(), db.transaction(books.as_role("api")) as session:
        public = money_moves.ask(session, paid, right.pay_account_number, reason="the payer showed the right bill")
    # Meanwhile somebody pays most of the right bill
    books.pay(990, right.pay_account_number)
    with pytest.raises(Conflict, match="changed"):
        people.agree(books.as_role("api"), public, who=books.treasurer)
    books.work()
    assert (books.left(wrong), books.left(right)) == (0, 10)


def test_one_person_moves_nothing(books: Books) -> None:
    wrong, right = books.bill(1000), books.bill(1000)
    paid = books.pay(1000, wrong.pay_account_number)
    with books.clerk.acts(), db.transaction(books.as_role("api")) as session:
        public = money_moves.ask(session, paid, right.pay_account_number, reason="the payer showed the right bill")
    with pytest.raises(NotAllowed):
        people.agree(books.as_role("api"), public, who=books.clerk)
    books.work()
    assert books.left(right) == 1000


@pytest.mark.parametrize(
    ("reference", "number", "error", "said"),
    [
        ("UIX9999999", None, NotFound, "no payment"),
        (None, "999999999", NotFound, "no bill"),
        (None, "paid", Conflict, "is paid"),
        (None, "cancelled", Conflict, "was cancelled"),
    ],
)
def test_what_cannot_move_is_refused_in_words(
    books: Books, reference: str | None, number: str | None, error: type[Exception], said: str
) -> None:
    wrong, right, gone = books.bill(1000), books.bill(1000), books.bill(1000)
    books.cancel(gone)
    paid = books.pay(1000, wrong.pay_account_number)
    named = {"paid": wrong.pay_account_number, "cancelled": gone.pay_account_number, None: right.pay_account_number}
    with pytest.raises(error, match=said):
        _move(books, reference or paid, named.get(number, number or ""))
