"""Where a payment is, by what its payer has in hand; and the truth about what is not there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revenue_engine import db
from revenue_engine.errors import InvalidValue, RevenueError
from revenue_engine.money import grouped, parse_wire
from revenue_engine.reports import bills, homes, payment_search
from revenue_engine.reports.payment_search import Answer, understood
from tests.conftest import Database
from tests.flows.test_statements import Plain, bring, statement
from tests.support.books import Books, confirmation, reversal


@pytest.fixture
def books(testland: Database) -> Iterator[Books]:
    made = Books(testland.url)
    yield made
    made.close()


def find(books: Books, text: str) -> Answer:
    with db.transaction(books.as_role("api")) as session:
        return payment_search.find(session, text)


def lines(answer: Answer) -> list[str]:
    return [line for one in answer.found for line in one.home.lines]


def test_a_code_says_on_which_bill_the_money_is_and_what_is_left_of_it(books: Books) -> None:
    bill = books.bill(1000)
    reference = books.pay(400, bill.pay_account_number)
    answer = find(books, f"  {reference.lower()} ")
    assert lines(answer) == [f"400.00 on bill {bill.pay_account_number}, 600.00 left to pay"]
    assert answer.found[0].channel == "mpesa 600100"
    assert answer.found[0].home.papers == ("RCT-2627-000001",)
    assert [told.message for told in answer.found[0].told] == ["C2B confirmation"]
    books.pay(600, bill.pay_account_number)
    assert lines(find(books, reference)) == [f"400.00 on bill {bill.pay_account_number}, paid in full"]


def test_money_in_suspense_says_why_and_who_looks(books: Books) -> None:
    reference = books.pay(750, "who knows")
    (line,) = lines(find(books, reference))
    assert line.startswith("750.00 in suspense: ")
    assert ", finance)" in line
    assert [one.by for one in find(books, "WHO KNOWS").found] == ["typed"], "found by what the payer typed"


def test_a_payment_that_was_taken_back_says_by_what(books: Books) -> None:
    bill = books.bill(500)
    reference = books.pay(500, bill.pay_account_number)
    books.deliver(reversal(reference, 500, own="UI99999999"))
    books.work()
    answer = find(books, reference)
    assert lines(answer) == ["taken back by the provider (UI99999999)"]
    assert answer.found[0].home.papers == ()
    assert lines(find(books, "UI99999999")) == [f"takes back 500.00 of {reference}"]


def test_a_bill_shows_its_payments_and_what_was_taken_off_again(books: Books) -> None:
    bill = books.bill(1000)
    kept = books.pay(400, bill.pay_account_number)
    back = books.pay(600, bill.pay_account_number)
    books.deliver(reversal(back, 600, own="UI88888888"))
    books.work()
    with db.transaction(books.as_role("api")) as session:
        shown = bills.describe(session, bill.number)
    assert [(one["reference"], one["applied"], one["taken_off"], one["reversed_by"]) for one in shown["payments"]] == [
        (kept, "400.00", "0.00", None),
        (back, "0.00", "600.00", "UI88888888"),
    ]
    assert (shown["state"], shown["outstanding"]) == ("part-paid", "600.00")
    assert {one.home.payment.identity.reference for one in find(books, bill.pay_account_number).found} == {kept, back}


def test_bills_are_listed_by_state_and_a_wrong_state_is_refused_with_the_list(books: Books) -> None:
    paid, part, gone = books.bill(100), books.bill(300), books.bill(50)
    books.pay(100, paid.pay_account_number)
    books.pay(10, part.pay_account_number)
    books.cancel(gone)
    with db.transaction(books.as_role("api")) as session:
        for state, bill in (("paid", paid), ("PART PAID", part), ("cancelled", gone)):
            assert [row[1] for row in bills.section(session, limit=9, state=state).rows] == [bill.number]
        first = bills.section(session, limit=1)
        assert [row[1] for row in first.rows] == [gone.number], "the newest"
        assert "there are more" in first.note
        with pytest.raises(InvalidValue, match="unpaid, part-paid, overdue, paid, cancelled"):
            bills.section(session, limit=9, state="payed")


def test_what_was_told_and_not_confirmed_is_said_so(books: Books) -> None:
    books.execute("UPDATE county SET confirm_limit_minor = 100")
    books.deliver(confirmation(750, "who knows", reference="UI77777777"))
    books.work()
    answer = find(books, "UI77777777")
    assert answer.found == []
    (said,) = answer.told_only
    assert "a payment of 750.00 was told on mpesa 600100" in said
    assert "nothing confirms the message yet" in said


def test_what_nobody_told_of_is_said_with_when_each_channel_was_last_heard(books: Books) -> None:
    answer = find(books, "UKSZMW9G3S")
    assert answer.absent[0] == "no message, answer of a provider or statement has told of UKSZMW9G3S so far"
    assert answer.absent[1] == "mpesa 600100: never heard yet; no statement yet"
    books.pay(10, "x")
    assert "mpesa 600100: last heard" in find(books, "UKSZMW9G3S").absent[1]
    books.deliver(("confirmation", b"{"))
    assert "1 deliveries are still being read: ask again in a minute" in find(books, "UKSZMW9G3S").absent
    books.work()
    assert any("could not be read or proved" in line for line in find(books, "UKSZMW9G3S").absent)


def test_a_code_copied_with_a_look_alike_letter_is_suggested_and_never_taken(books: Books) -> None:
    books.pay(10, "x", reference="UIO0S8B1ZZ")
    answer = find(books, "UIOOS8B1ZZ")
    assert answer.found == []
    assert "did you mean UIO0S8B1ZZ? O and 0, I and 1, S and 5 look alike" in answer.absent


def test_a_pasted_message_is_understood_and_an_altered_amount_is_seen(books: Books) -> None:
    bill = books.bill(1000)
    reference = books.pay(1000, bill.pay_account_number)
    sms = (
        "{code} Confirmed. Ksh{amount} sent to TESTLAND for account {number} on 15/9/26 at 12:00 PM."
        " New M-PESA balance is Ksh1,020.00."
    )
    right = sms.format(code=reference, amount="1,000.00", number=bill.pay_account_number)
    assert [one.by for one in find(books, right).found] == ["code"]
    assert find(books, right).warnings == []
    forged = find(books, right.replace("Ksh1,000.00 sent", "Ksh10,000.00 sent"))
    assert "the message names KES 10,000.00" in forged.warnings[0]
    unknown = find(books, right.replace(reference, "UIZZZZZZZZ"))
    assert [one.by for one in unknown.found] == ["number"], "the account in the message leads to what paid that bill"
    assert "holds no payment code" in find(books, "Confirmed. Ksh10.00 sent to TESTLAND today").absent[0]


def test_the_charge_that_bears_the_receipt_of_a_payment_makes_no_message_a_forged_one(books: Books) -> None:
    books.readers["plain"] = Plain()
    bring(books, statement(("payment", "UI00000S01", 650, "nothing"), ("charge", "UI00000S01", -10, "")))
    sms = "UI00000S01 Confirmed. Ksh{}.00 sent to TESTLAND for account nothing on 15/9/26 at 12:01 PM."
    assert len(find(books, sms.format(650)).found) == 2
    assert find(books, sms.format(650)).warnings == []
    assert [words.split(":")[0] for words in find(books, sms.format(10)).warnings] == [
        "the message names KES 10.00 and UI00000S01 is a payment of 650.00"
    ]


def test_a_phone_finds_clear_hashed_and_masked_senders_and_says_which(books: Books) -> None:
    clear = books.pay(10, "a")
    masked = books.pay(20, "b")
    books.execute("ALTER TABLE payment_party DISABLE TRIGGER USER")
    books.execute(
        "UPDATE payment_party SET msisdn = '254700000101' WHERE payment_id = (SELECT id FROM payment WHERE reference"
        " = %s)",
        clear,
    )
    found = {one.home.payment.identity.reference: one.by for one in find(books, "0700 000 101").found}
    assert found == {clear: "phone", masked: "masked phone"}
    assert find(books, "+254 700 000 102").found == []
    assert "no payment came from this phone" in find(books, "0700000102").absent[0]


def test_test_books_say_so(books: Books) -> None:
    assert not find(books, "UI12345678").test_books
    books.execute("UPDATE county SET mode = 'test'")
    assert find(books, "UI12345678").test_books


def test_a_delivery_says_where_its_money_went_and_which_break_it_opened(books: Books) -> None:
    bill = books.bill(1000)
    good = books.pay(1000, bill.pay_account_number)
    lost = books.pay(5, "who knows")
    books.deliver(confirmation(6, "who knows", reference=lost))
    books.work()
    from revenue_engine.channels import deliveries

    with db.transaction(books.as_role("api")) as session:
        told = homes.followed(session, list(reversed(deliveries.standing(session))))
    paid, held, other = (one.home for one in told)
    assert paid == f"{good} 1,000.00 > 1,000.00 on bill {bill.pay_account_number}, paid in full; RCT-2627-000001"
    assert held.startswith(f"{lost} 5.00 > 5.00 in suspense: ")
    assert ": duplicate code" in other, "the second message told another amount"


@pytest.mark.parametrize("text", ["", " \n ", "x" * 2001])
def test_nothing_and_too_much_are_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        understood(text)


@given(st.text(max_size=300))
def test_any_text_is_understood_or_refused_in_our_words(text: str) -> None:
    try:
        asked = understood(text)
    except RevenueError:
        return
    assert asked.minor is None or asked.minor >= 0


@given(st.integers(-(10**14) + 1, 10**14 - 1))
def test_grouped_money_is_the_money(minor: int) -> None:
    assert parse_wire(grouped(minor).replace(",", "")) == minor
