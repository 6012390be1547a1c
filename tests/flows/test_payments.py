"""What happens to money: each path from a callback to the postings, the bill and the paper."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest

from revenue_engine import db, periods
from revenue_engine.payments import request_push
from revenue_engine.periods import NAIROBI
from revenue_engine.work import jobs
from tests.support import closing
from tests.support.books import DAY, NOON, Books, code, confirmation, push_result, reversal


def push(books: Books, invoice_id: int, shillings: int, request: str) -> None:
    with db.transaction(books.as_role("api")) as session:
        request_push(
            session,
            channel_account_id=1,
            request_id=request,
            invoice_id=invoice_id,
            amount_minor=shillings * 100,
            by="t",
        )


def test_a_payment_of_the_exact_amount_pays_the_bill_and_is_receipted(books: Books) -> None:
    bill = books.bill(1500, payer=books.payer())
    paid = books.pay(1500, bill.pay_account_number)
    assert books.journal(paid) == ["DR 1200.mpesa-600100 CR 1300.SBP 1500.00"]
    assert books.left(bill) == 0
    assert books.papers(paid) == ["receipt 2627-1"]
    assert books.open_breaks() == []


@pytest.mark.parametrize(
    "form", ["{0}{1}{2}", " {0} {1} {2}", "{0}-{1}-{2}", "inv {0}{1}{2}", "BILL{0}{1}{2}", "#{0}{1}{2}."]
)
def test_a_number_is_found_in_what_people_type(books: Books, form: str) -> None:
    bill = books.bill(200)
    number = bill.pay_account_number
    books.pay(200, form.format(number[:3], number[3:6], number[6:]))
    assert books.left(bill) == 0


def test_letters_written_for_digits_are_read_as_digits(books: Books) -> None:
    bill = books.bill(200)
    books.pay(200, bill.pay_account_number.replace("0", "O").replace("1", "l").replace("5", "S"))
    assert books.left(bill) == 0


def test_an_overpayment_becomes_credit_that_pays_the_next_bill_at_issue(books: Books) -> None:
    payer = books.payer()
    first = books.bill(1000, payer=payer)
    paid = books.pay(1300, first.pay_account_number)
    assert books.journal(paid) == ["DR 1200.mpesa-600100 CR 1300.SBP 1000.00", "DR 1200.mpesa-600100 CR 2100 300.00"]
    assert books.papers(paid) == ["receipt 2627-1"]

    second = books.bill(500, payer=payer, stream="RENT")
    books.work()
    assert books.left(second) == 200
    assert books.journal(paid)[2:] == ["DR 2100 CR 1300.RENT 300.00"]
    assert "2100" not in books.balances()


def test_credit_of_one_payer_never_pays_the_bill_of_another(books: Books) -> None:
    books.pay(1300, books.bill(1000, payer=books.payer()).pay_account_number)
    other = books.bill(500, payer=books.payer("Okello Barasa"))
    books.work()
    assert books.left(other) == 500
    assert books.balances()["2100"] == -300_00


def test_a_part_payment_pays_components_in_the_lawful_order(books: Books) -> None:
    bill = books.bill(1000, payer=books.payer(), penalty=100, interest=50, costs=30, arrears=400)
    books.pay(600, bill.pay_account_number)
    left = books.rows(
        "SELECT costs_minor, penalty_minor, interest_minor, arrears_minor, principal_minor FROM open_bill"
        " WHERE invoice_id = %s",
        bill.id,
    )
    assert left == [(0, 0, 0, 0, 980_00)]
    assert books.left(bill) == 980


def test_an_unknown_reference_goes_to_suspense_with_an_acknowledgement_and_an_owner(books: Books) -> None:
    paid = books.pay(750, "school fees")
    assert books.journal(paid) == ["DR 1200.mpesa-600100 CR 2200 750.00"]
    assert books.papers(paid) == ["acknowledgement 2627-1"]
    assert books.rows("SELECT reason, owner, amount_minor FROM break_case WHERE closed_at IS NULL") == [
        ("unknown_account", "finance", 750_00)
    ]


def test_a_second_payment_on_a_paid_bill_is_the_payers_credit_and_somebody_is_told(books: Books) -> None:
    bill = books.bill(400, payer=books.payer())
    books.pay(400, bill.pay_account_number)
    again = books.pay(400, bill.pay_account_number)
    assert books.journal(again) == ["DR 1200.mpesa-600100 CR 2100 400.00"]
    assert books.papers(again) == ["receipt 2627-2"]
    assert books.open_breaks() == ["duplicate_payment"]


def test_a_payment_on_a_cancelled_bill_is_the_payers_credit_and_somebody_is_told(books: Books) -> None:
    bill = books.bill(400, payer=books.payer())
    books.cancel(bill)
    paid = books.pay(400, bill.pay_account_number)
    assert books.journal(paid) == ["DR 1200.mpesa-600100 CR 2100 400.00"]
    assert books.open_breaks() == ["paid_cancelled_or_expired"]


def test_money_above_a_bill_of_nobody_known_is_in_suspense(books: Books) -> None:
    bill = books.bill(400)
    paid = books.pay(500, bill.pay_account_number)
    assert books.journal(paid) == ["DR 1200.mpesa-600100 CR 1300.SBP 400.00", "DR 1200.mpesa-600100 CR 2200 100.00"]
    assert books.open_breaks() == ["overpaid"]


def test_two_numbers_typed_pay_both_bills_when_the_sum_is_the_amount(books: Books) -> None:
    one, two = books.bill(300), books.bill(450)
    books.pay(750, f"{one.pay_account_number} {two.pay_account_number}")
    assert (books.left(one), books.left(two)) == (0, 0)


def test_two_numbers_typed_with_another_sum_are_not_guessed_at(books: Books) -> None:
    one, two = books.bill(300), books.bill(450)
    paid = books.pay(700, f"{one.pay_account_number} {two.pay_account_number}")
    assert books.journal(paid) == ["DR 1200.mpesa-600100 CR 2200 700.00"]
    assert books.open_breaks() == ["ambiguous_account"]


def test_pay_before_service_raises_its_own_bill(books: Books) -> None:
    paid = books.pay(300, "MALABA KDA 123A")
    assert books.journal(paid) == ["DR 1200.mpesa-600100 CR 1300.TRAILER 300.00"]
    assert books.rows("SELECT billing, total_minor, station_code FROM invoice") == [("spot", 300_00, "MALABA")]
    assert books.balances() == {"1200.mpesa-600100": 300_00, "4000.TRAILER.principal": -300_00}


def test_an_amount_no_tariff_gives_is_in_the_suspense_of_its_stream_and_station(books: Books) -> None:
    paid = books.pay(311, "malaba kda123a")
    assert books.rows("SELECT stream_code, station_code FROM posting WHERE credit = '2200'") == [("TRAILER", "MALABA")]
    assert books.open_breaks() == ["no_tariff_for_amount"]
    assert books.papers(paid) == ["acknowledgement 2627-1"]


def test_the_same_delivery_twice_is_one_payment(books: Books) -> None:
    bill = books.bill(400)
    sent = confirmation(400, bill.pay_account_number)
    ids = books.deliver(sent, sent, sent)
    books.work()
    assert books.rows("SELECT count(*) FROM payment") == [(1,)]
    assert books.states(ids) == ["posted", "evidence", "evidence"]


def test_a_push_and_its_confirmation_are_one_payment_in_either_order(books: Books) -> None:
    for order in (0, 1):
        bill, paid, request = books.bill(250), code(), f"ws_CO_{order}"
        push(books, bill.id, 250, request)
        pair = [push_result(250, request, reference=paid), confirmation(250, bill.pay_account_number, reference=paid)]
        for one in pair if order else reversed(pair):
            books.deliver(one)
            books.work()
        assert books.left(bill) == 0
        assert books.rows("SELECT count(*) FROM payment WHERE reference = %s", paid) == [(1,)]
    assert books.open_breaks() == []


def test_a_push_result_of_a_request_we_never_made_is_kept_unconfirmed(books: Books) -> None:
    bill, paid = books.bill(250), code()
    (told,) = books.deliver(push_result(250, "ws_CO_forged", reference=paid))
    books.work()
    assert books.rows("SELECT count(*) FROM payment") == [(0,)]
    assert books.open_breaks() == ["unconfirmed"]
    assert books.states([told]) == ["waiting"]

    books.deliver(confirmation(250, bill.pay_account_number, reference=paid))
    books.work()
    assert books.left(bill) == 0
    assert books.states([told]) == ["posted"]
    assert books.open_breaks() == []


def test_money_in_suspense_goes_to_the_bill_of_its_push_when_the_push_is_told_later(books: Books) -> None:
    # Given a push for a bill, and a confirmation of the same money under a name nobody knows
    bill, paid = books.bill(250, payer=books.payer()), code()
    push(books, bill.id, 250, "ws_CO_1")
    books.deliver(confirmation(250, "kwa jina la mama", reference=paid))
    books.work()
    assert books.open_breaks() == ["unknown_account"]
    # When the result of the push arrives
    books.deliver(push_result(250, "ws_CO_1", reference=paid))
    books.work()
    # Then the money is identified, the acknowledgement is replaced and the break is closed
    assert books.left(bill) == 0
    assert books.journal(paid) == ["DR 1200.mpesa-600100 CR 2200 250.00", "DR 2200 CR 1300.SBP 250.00"]
    assert books.papers(paid) == ["acknowledgement 2627-1 cancelled", "receipt 2627-1"]
    assert books.open_breaks() == []


def test_credit_pays_a_bill_that_a_reversal_opened_again(books: Books) -> None:
    bill = books.bill(100, payer=books.payer())
    first = books.pay(120, bill.pay_account_number)
    books.pay(140, bill.pay_account_number)
    books.deliver(reversal(first, 120))
    books.work()
    assert books.left(bill) == 0
    assert books.balances()["2100"] == -40_00
    assert books.open_breaks() == []


def test_a_confirmation_above_the_countys_limit_waits_for_a_second_evidence(books: Books) -> None:
    bill, paid = books.bill(250_000), code()
    books.deliver(confirmation(250_000, bill.pay_account_number, reference=paid))
    books.work()
    assert books.left(bill) == 250_000
    assert books.open_breaks() == ["unconfirmed"]
    books.deliver(confirmation(250_000, bill.pay_account_number, reference=paid))
    books.work()
    assert books.left(bill) == 250_000, "the same message again is no second evidence"
    books.deliver(push_result(250_000, "ws_CO_unknown", reference=paid))
    books.work()
    assert books.left(bill) == 0
    assert books.open_breaks() == []


def test_the_same_reference_with_another_amount_overwrites_nothing(books: Books) -> None:
    bill, paid = books.bill(1000), code()
    books.deliver(confirmation(400, bill.pay_account_number, reference=paid))
    books.work()
    books.deliver(confirmation(900, bill.pay_account_number, reference=paid))
    books.work()
    assert books.journal(paid) == ["DR 1200.mpesa-600100 CR 1300.SBP 400.00"]
    assert books.open_breaks() == ["duplicate_code"]


def test_a_body_of_another_shortcode_is_never_posted(books: Books) -> None:
    (told,) = books.deliver(confirmation(400, "x", shortcode="600999"))
    books.work()
    assert books.states([told]) == ["waiting"]
    assert books.open_breaks() == ["wrong_shortcode_or_stream"]
    assert books.balances() == {}


def test_a_delivery_whose_proof_failed_is_kept_and_never_posted(books: Books) -> None:
    (told,) = books.deliver(confirmation(400, "x"), accepted=False)
    books.work()
    assert books.states([told]) == ["waiting"]
    assert books.open_breaks() == ["proof_failed"]


def test_a_refused_delivery_is_posted_by_a_replay_after_the_allow_list_is_mended(books: Books) -> None:
    bill = books.bill(400)
    (told,) = books.deliver(confirmation(400, bill.pay_account_number), accepted=False)
    books.work()
    assert books.left(bill) == 400
    books.execute('UPDATE channel_account SET settings = settings || \'{"peers": ["127.0.0.1"]}\'::jsonb')
    with db.transaction(books.as_role("api")) as session:
        jobs.replay(session, kind="interpret", ref_id=told)
    books.work()
    assert books.left(bill) == 0
    assert books.states([told]) == ["posted"]
    assert books.open_breaks() == []


def test_a_test_notice_never_touches_live_books(books: Books) -> None:
    books.execute("UPDATE channel_account SET mode = 'test'")
    (told,) = books.deliver(confirmation(400, "x"))
    books.work()
    assert books.states([told]) == ["ignored"]
    assert books.balances() == {}


def test_a_late_item_for_a_closed_day_books_to_the_open_day(books: Books) -> None:
    bill = books.bill(800)
    closing.close(books, DAY)
    books.pay(800, bill.pay_account_number, at=NOON)
    assert books.rows("SELECT book_date FROM journal WHERE kind = 'payment_received'") == [(DAY + timedelta(days=1),)]
    assert books.rows("SELECT occurred_at FROM payment") == [(NOON,)]


def test_five_past_midnight_belongs_to_the_new_nairobi_day(books: Books) -> None:
    books.pay(10, "x", at=datetime(2026, 9, 16, 0, 5, tzinfo=NAIROBI))
    assert books.rows("SELECT book_date FROM journal") == [(DAY + timedelta(days=1),)]


def test_a_provider_clock_that_runs_ahead_books_to_no_day_that_has_not_come(books: Books) -> None:
    received = datetime(2026, 9, 15, 12, tzinfo=NAIROBI)
    books.deliver(confirmation(10, "x", at=received + timedelta(days=400)), received_at=received)
    books.work()
    assert books.rows("SELECT book_date FROM journal") == [(DAY,)]
    assert books.open_breaks() == ["clock_differs", "unknown_account"]


def test_one_poison_row_never_holds_back_the_rest(books: Books) -> None:
    # Given six payments, one of which the database refuses whatever we do
    bills = [books.bill(100) for _ in range(6)]
    sent = [confirmation(100, bill.pay_account_number, reference=f"UIP000000{n}") for n, bill in enumerate(bills)]
    ids = books.deliver(*sent)
    books.execute("ALTER TABLE payment ADD CONSTRAINT poison CHECK (reference <> 'UIP0000002')")
    # When a worker does what is due
    worker = books.work()
    # Then five are paid, and the sixth waits with its error and without a trace in the books
    assert worker.tally.recorded == 5
    assert [books.left(bill) for bill in bills] == [0, 0, 100, 0, 0, 0]
    assert books.rows("SELECT ref_id, state, attempts, last_error FROM job WHERE kind = 'interpret'") == [
        (ids[2], "ready", 1, "CheckViolation: 23514 poison")
    ]
    # And when its tries are used up it is dead, and after the cause is mended it is replayed
    books.execute("UPDATE job SET attempts = 7, run_after = now()")
    books.work()
    assert books.states([ids[2]]) == ["dead"]
    books.execute("ALTER TABLE payment DROP CONSTRAINT poison")
    with db.transaction(books.as_role("api")) as session:
        jobs.replay(session, kind="interpret", ref_id=ids[2])
    books.work()
    assert books.left(bills[2]) == 0
    assert books.states(ids) == ["posted"] * 6


def test_reversing_a_payment_opens_the_bill_again_and_cancels_the_receipt(books: Books) -> None:
    bill = books.bill(600, payer=books.payer())
    paid = books.pay(700, bill.pay_account_number)
    books.deliver(reversal(paid, 700))
    books.work()
    assert books.left(bill) == 600
    assert books.journal(paid) == [
        "DR 1200.mpesa-600100 CR 1300.SBP 600.00",
        "DR 1200.mpesa-600100 CR 2100 100.00",
        "DR 1300.SBP CR 1200.mpesa-600100 600.00",
        "DR 2100 CR 1200.mpesa-600100 100.00",
    ]
    assert books.papers(paid) == ["receipt 2627-1 cancelled"]


def test_reversing_money_in_suspense_closes_its_break(books: Books) -> None:
    paid = books.pay(700, "nobody")
    books.deliver(reversal(paid, 700))
    books.work()
    assert books.balances() == {}
    assert books.open_breaks() == []


def test_reversing_credit_that_paid_a_later_bill_opens_that_bill(books: Books) -> None:
    payer = books.payer()
    first = books.bill(100, payer=payer)
    paid = books.pay(300, first.pay_account_number)
    second = books.bill(150, payer=payer)
    books.work()
    assert books.left(second) == 0
    books.deliver(reversal(paid, 300))
    books.work()
    assert (books.left(first), books.left(second)) == (100, 150)
    assert set(books.balances()) == {"1300.SBP", "4000.SBP.principal"}


def test_a_reversal_of_another_amount_waits_for_a_person(books: Books) -> None:
    paid = books.pay(700, "nobody")
    books.deliver(reversal(paid, 300))
    books.work()
    assert books.balances()["2200"] == -700_00
    assert books.open_breaks() == ["reversal_amount_differs", "unknown_account"]


def test_a_payment_is_taken_back_once(books: Books) -> None:
    paid = books.pay(700, "nobody")
    books.deliver(reversal(paid, 700), reversal(paid, 700))
    books.work()
    assert books.balances() == {}
    assert books.open_breaks() == ["duplicate_code"]


def test_the_same_message_under_another_transaction_type_is_no_second_evidence(books: Books) -> None:
    bill, paid = books.bill(250_000), code()
    purpose, body = confirmation(250_000, bill.pay_account_number, reference=paid)
    told = json.loads(body)
    books.deliver((purpose, body), (purpose, json.dumps({**told, "TransactionType": "Something else"}).encode()))
    books.work()
    assert books.left(bill) == 250_000
    assert books.open_breaks() == ["unconfirmed"]


def test_a_channel_account_may_have_a_lower_limit_than_its_county(books: Books) -> None:
    books.execute("UPDATE channel_account SET settings = settings || '{\"confirm_limit_minor\": 50000}'::jsonb")
    bill = books.bill(500)
    books.pay(500, bill.pay_account_number)
    assert books.left(bill) == 500
    assert books.open_breaks() == ["unconfirmed"]


def test_a_push_result_above_the_limit_confirms_only_what_was_asked_for(books: Books) -> None:
    bill = books.bill(300_000)
    push(books, bill.id, 100, "ws_CO_1")
    books.deliver(push_result(300_000, "ws_CO_1", reference=code()))
    books.work()
    assert books.left(bill) == 300_000
    assert books.open_breaks() == ["unconfirmed"]


def test_a_clock_that_runs_ahead_makes_no_spot_bill_and_no_reversal_of_a_day_to_come(books: Books) -> None:
    received = datetime(2026, 9, 15, 12, tzinfo=NAIROBI)
    ahead = received + timedelta(days=400)
    paid = code()
    books.deliver(confirmation(300, "MALABA", reference=paid, at=ahead), received_at=received)
    books.work()
    assert books.rows("SELECT DISTINCT book_date FROM journal") == [(DAY,)]
    assert books.rows("SELECT due_on FROM invoice") == [(DAY,)]
    books.deliver(reversal(paid, 300, at=ahead))
    books.work()
    assert books.rows("SELECT book_date FROM journal WHERE kind = 'payment_reversed'") == [(periods.today(),)]


def test_a_prompt_that_was_queued_settles_no_request(books: Books) -> None:
    queued = {"CheckoutRequestID": "ws_CO_1", "ResponseCode": "0", "ResponseDescription": "Accepted"}
    books.deliver(("timeout", json.dumps({"CheckoutRequestID": "ws_CO_1", "ResponseCode": "0"}).encode()))
    books.work()
    assert books.open_breaks() == ["outcome_unknown"]
    books.deliver(("push_result", json.dumps(queued).encode()))
    books.work()
    assert books.open_breaks() == ["outcome_unknown"]


@pytest.mark.parametrize("push_first", [True, False])
def test_a_push_for_a_bill_that_is_not_open_any_more_ends_alike_in_either_order(books: Books, push_first: bool) -> None:
    bill, paid = books.bill(250, payer=books.payer()), code()
    push(books, bill.id, 250, "ws_CO_1")
    books.pay(250, bill.pay_account_number)
    told = [confirmation(250, "kwa jina la mama", reference=paid), push_result(250, "ws_CO_1", reference=paid)]
    for one in reversed(told) if push_first else told:
        books.deliver(one)
        books.work()
    assert books.balances()["2100"] == -250_00
    assert "2200" not in books.balances()
    assert books.open_breaks() == ["duplicate_payment"]
    assert books.papers(paid)[-1] == "receipt 2627-2"


def test_a_break_stands_for_the_credit_that_is_left(books: Books) -> None:
    payer = books.payer()
    bill = books.bill(100, payer=payer)
    books.pay(100, bill.pay_account_number)
    books.pay(100, bill.pay_account_number)
    books.bill(30, payer=payer)
    books.work()
    assert books.rows("SELECT reason, amount_minor FROM break_case WHERE closed_at IS NULL") == [
        ("duplicate_payment", 70_00)
    ]
    books.bill(500, payer=payer)
    books.work()
    assert books.open_breaks() == []


def test_what_a_push_told_later_leaves_above_its_bill_is_the_payers_credit(books: Books) -> None:
    bill, paid = books.bill(100, payer=books.payer()), code()
    push(books, bill.id, 250, "ws_CO_1")
    books.deliver(confirmation(250, "kwa jina la mama", reference=paid))
    books.work()
    books.deliver(push_result(250, "ws_CO_1", reference=paid))
    books.work()
    assert books.left(bill) == 0
    assert books.journal(paid)[1:] == ["DR 2200 CR 1300.SBP 100.00", "DR 2200 CR 2100 150.00"]
    assert books.open_breaks() == []
