"""Money that equal payments, growing exports and reused references could count twice or not at all."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from revenue_engine import db
from revenue_engine.work import jobs
from tests.flows.test_other_names import Bank
from tests.flows.test_statement_doubles import Move, of, refusal
from tests.flows.test_statements import bring
from tests.support.books import SHORTCODE, Books, reversal

Steps = dict[str, Callable[[], object]]
World = Callable[[Bank], tuple[Steps, Callable[[], bool]]]
CASH = Move("", 300, said="CASH DEPOSIT")


@pytest.fixture
def bank(books: Books) -> Bank:
    return Bank(books)


def test_a_reference_is_the_same_with_dashes_and_without(bank: Bank) -> None:
    bank.notice("KCB900001", 1500)
    bank.statement(Move("KCB-900001", 1500, said="X"))
    assert bank.amounts == [1500]


@pytest.mark.parametrize("first", [900, 1500])
def test_a_banks_reference_used_before_hides_no_number(bank: Bank, first: int) -> None:
    number = bank.books.bill(1500).pay_account_number
    bank.statement(Move("PESALINK", first, 14, said="OTHER"))
    bank.notice("KCB900001", 1500, number)
    bank.statement(Move("PESALINK", 1500, 15, said=number), opening=first)
    assert bank.amounts == sorted([first, 1500])


@pytest.mark.parametrize("first", [900, 1500])
def test_a_banks_reference_used_before_hides_no_receipt(bank: Bank, first: int) -> None:
    bank.statement(Move("PESALINK", first, 14, said="OTHER"))
    bank.notice("KCBTILL77001", 1500, receipt="UIF0000016")
    bank.statement(Move("PESALINK", 1500, 15, said="UIF0000016"), opening=first)
    assert bank.amounts == sorted([first, 1500])


@pytest.mark.parametrize("told", ["before", "after"])
def test_a_banks_reference_that_a_message_was_found_to_mean_is_used_again(bank: Bank, told: str) -> None:
    number, other = (bank.books.bill(1500).pay_account_number for _ in "ab")
    if told == "before":
        bank.notice("KCB900000", 1500, other, day=14)
    bank.statement(Move("PESALINK", 1500, 14, said=other))
    if told == "after":
        bank.notice("KCB900000", 1500, other, day=14)
    bank.notice("KCB900001", 1500, number)
    bank.statement(Move("PESALINK", 1500, 15, said=number), opening=1500)
    assert bank.amounts == [1500, 1500]


@pytest.mark.parametrize("order", list(itertools.permutations("RNS")))
def test_a_report_before_or_after_its_statement_is_the_same_money(
    new_books: Callable[[], AbstractContextManager[Books]], order: tuple[str, ...]
) -> None:
    with new_books() as books:
        bank = Bank(books)
        number = books.bill(300).pay_account_number
        steps: Steps = {
            "R": lambda: bank.statement(Move("FT01", 300, said=number), opening=None),
            "N": lambda: bank.notice("KCB900001", 300, number),
            "S": lambda: bank.statement(Move("FT01", 300, said=number)),
        }
        for step in order:
            steps[step]()
        assert bank.amounts == [300]
        assert "unconfirmed" not in books.open_breaks()


def test_a_line_known_before_takes_no_message_from_a_new_one(bank: Bank) -> None:
    number = bank.books.bill(3000).pay_account_number
    bank.notice("KCB1", 1500, number)
    bank.statement(Move("FT1", 1500, said=number))
    bank.notice("KCB2", 1500, number)
    bank.statement(Move("FT1", 1500, said=number), Move("FT2", 1500, said=number))
    assert (bank.amounts, bank.held) == ([1500, 1500], 3000)


def test_a_nameless_line_known_before_takes_no_message_from_a_new_one(bank: Bank) -> None:
    number = bank.books.bill(3000).pay_account_number
    bank.statement(Move("", 1500, said=number))
    bank.notice("KCB1", 1500, number)
    bank.notice("KCB2", 1500, number)
    bank.statement(Move("", 1500, said=number), Move("", 1500, said=number))
    assert (bank.amounts, bank.held) == ([1500, 1500], 3000)


@pytest.mark.parametrize("name", ["rows", "other"])
def test_a_line_known_by_a_messages_name_is_known_in_other_words(bank: Bank, name: str) -> None:
    number = bank.books.bill(1500).pay_account_number
    bank.notice("KCB1", 1500, number)
    bank.statement(Move("FT1", 1500, said=number), Move("FT5", 200, said="X"))
    bank.statement(Move("FT1", 1500, said=f"acc {number}"), Move("FT5", 200, said="y"), name=name)
    assert (bank.amounts, bank.held) == ([200, 1500], 1700)


def test_equal_lines_known_by_messages_names_are_each_known_in_other_words(bank: Bank) -> None:
    number = bank.books.bill(3000).pay_account_number
    bank.notice("KCB1", 1500, number)
    bank.notice("KCB2", 1500, number)
    bank.statement(*(Move("PESALINK", 1500, said=f"{number} {who}") for who in "ab"), Move("FT5", 200, said="X"))
    bank.statement(
        *(Move("PESALINK", 1500, said=f"{number} {who}") for who in "cd"), Move("FT5", 200, said="y"), name="other"
    )
    assert (bank.amounts, bank.held) == ([200, 1500, 1500], 3200)


def test_a_message_told_again_with_another_amount_is_a_conflict_and_no_money(bank: Bank) -> None:
    number = bank.books.bill(1500).pay_account_number
    bank.statement(Move("FT1", 1500, said=number))
    bank.notice("KCB1", 1500, number)
    bank.notice("KCB1", 1400, number)
    assert bank.amounts == [1500]
    assert "amount_differs_from_statement" in bank.books.open_breaks()


def test_a_message_told_again_keeps_the_name_it_got_first(bank: Bank) -> None:
    number = bank.books.bill(3000).pay_account_number
    bank.statement(Move("FT1", 1500, said=number))
    bank.notice("KCB900002", 1500, number)
    bank.statement(Move("FT1", 1500, said=number), Move("FT2", 1500, said=f"{number} KCB900002"))
    bank.notice("KCB900001", 1500, number)
    again = bank.notice("KCB900002", 1500, number)
    assert (bank.amounts, bank.held) == ([1500, 1500], 3000)
    with db.transaction(bank.books.as_role("api")) as session:
        jobs.replay(session, kind="interpret", ref_id=again)
    bank.worker().drain()
    assert (bank.amounts, bank.held) == ([1500, 1500], 3000)


def test_an_export_that_goes_on_keeps_equal_lines_of_its_own_apart(bank: Bank) -> None:
    cash = Move("", 300, said="CASH DEPOSIT")
    bank.statement(cash)
    bank.statement(cash, cash, opening=300)
    assert bank.held == 900
    bank.statement(cash, cash, opening=300)
    assert bank.held == 900
    bank.statement(cash, cash, cash)
    assert bank.held == 900


@pytest.mark.parametrize("reference", ["PESALINK", ""])
def test_an_export_that_goes_on_repeats_no_reference_of_another_payer(bank: Bank, reference: str) -> None:
    john, mary = (Move(reference, 300, said=who) for who in ("JOHN", "MARY"))
    bank.statement(john)
    bank.statement(mary, opening=300)
    assert bank.held == 600
    bank.statement(mary, opening=300)
    bank.statement(john, mary)
    assert bank.held == 600


def test_newest_first_the_oldest_line_still_takes_the_oldest_message(bank: Bank) -> None:
    number = bank.books.bill(300).pay_account_number
    bank.notice("KCB1", 100, number, day=15)
    bank.statement(Move("FT2", 100, 16, said=number), Move("FT1", 100, 15, said=number))
    bank.notice("KCB2", 100, number, day=16)
    assert bank.amounts == [100, 100]


def test_two_late_bookings_find_their_messages(bank: Bank) -> None:
    number = bank.books.bill(300).pay_account_number
    bank.notice("KCB1", 100, number, day=12)
    bank.notice("KCB2", 100, number, day=16)
    bank.statement(Move("FT1", 100, 16, said=number), Move("FT2", 100, 19, said=number))
    assert bank.amounts == [100, 100]


def test_a_line_whose_message_another_one_took_takes_the_one_left(bank: Bank) -> None:
    number = bank.books.bill(3000).pay_account_number
    bank.notice("KCB9", 1500, number)
    bank.notice("KCB2", 1500, number)
    bank.statement(Move("FT9", 1500, said=number))
    bank.statement(Move("FT9", 1500, said=number), Move("KCB2", 1500, said=number))
    assert (bank.amounts, bank.held) == ([1500, 1500], 3000)


def test_a_settlement_told_again_in_other_words_settles_no_other_payout(bank: Bank) -> None:
    books = bank.books
    books.readers["rows"] = bank.readers["rows"]
    paid = Move("UI0000Q001", 2000, 15, "payment")
    bring(books, of(SHORTCODE, paid, Move("UI0000Q002", -900, 15, "payout")))
    bank.statement(Move("FT1", 900, said="MPS 600100"), Move("FT2", 5, said="X"))
    bring(books, of(SHORTCODE, Move("UI0000Q003", -900, 16, "payout"), opening=1100))
    bank.statement(Move("FT1", 900, said="mps 600100"), Move("FT2", 5, said="x"), name="other")
    assert "settlement_not_banked" in books.open_breaks()
    bank.statement(Move("FT3", 900, 16, said="MPS 600100"), opening=905)
    assert (bank.held, books.balances()["1200.mpesa-600100"] // 100) == (1805, 200)
    assert not {"banked_not_settled", "settlement_not_banked"} & set(books.open_breaks())


def test_a_reference_with_dashes_is_found_in_words(bank: Bank) -> None:
    bank.notice("KCB-TILL-77001", 1500)
    bank.statement(Move("FT1", 1500, said="TRF KCB-TILL-77001 JOHN"))
    assert bank.amounts == [1500]


# --- every order ---


def _two_equal(bank: Bank) -> tuple[Steps, Callable[[], bool]]:
    number = bank.books.bill(3000).pay_account_number
    return {
        "a": lambda: bank.notice("KCB1", 1500, number),
        "b": lambda: bank.notice("KCB2", 1500, number),
        "1": lambda: bank.statement(Move("FT1", 1500, said=number)),
        "2": lambda: bank.statement(Move("FT1", 1500, said=number), Move("FT2", 1500, said=number)),
    }, lambda: (bank.amounts, bank.held) == ([1500, 1500], 3000)


def _two_formats(bank: Bank) -> tuple[Steps, Callable[[], bool]]:
    number = bank.books.bill(3000).pay_account_number
    named, numbered = Move("FT1", 1500, said="UIF0000016"), Move("FT2", 1500, said=number)
    again = Move("FT2", 1500, said=f"acc {number}"), Move("FT1", 1500, said="mpesa uif0000016")
    return {
        "a": lambda: bank.notice("KCBTILL7701", 1500, receipt="UIF0000016"),
        "b": lambda: bank.notice("KCB2", 1500, number),
        "1": lambda: bank.statement(named, numbered),
        "2": lambda: bank.statement(*again, name="other"),
    }, lambda: (bank.amounts, bank.held) == ([1500, 1500], 3000)


def _two_halves_of_one_reference(bank: Bank) -> tuple[Steps, Callable[[], bool]]:
    number = bank.books.bill(3000).pay_account_number
    return {
        "a": lambda: bank.notice("KCB1", 1500, number),
        "b": lambda: bank.notice("KCB2", 1500, number),
        "1": lambda: bank.statement(Move("PESALINK", 1500, said=f"{number} x")),
        "2": lambda: bank.statement(Move("PESALINK", 1500, said=f"{number} y"), opening=1500),
    }, lambda: (bank.amounts, bank.held) == ([1500, 1500], 3000)


def _equal_cash(bank: Bank) -> tuple[Steps, Callable[[], bool]]:
    return {
        "m": lambda: bank.statement(CASH),
        "a": lambda: bank.statement(CASH, CASH, opening=300),
        "d": lambda: bank.statement(CASH, CASH, CASH),
    }, lambda: bank.held == 900


def _equal_payouts(bank: Bank) -> tuple[Steps, Callable[[], bool]]:
    books = bank.books
    paid = Move("UI0000Q001", 2000, 15, "payment")
    return (
        {
            "1": lambda: bring(books, of(SHORTCODE, paid, Move("UI0000Q002", -900, 15, "payout"))),
            "2": lambda: bring(books, of(SHORTCODE, Move("UI0000Q003", -900, 16, "payout"), opening=1100)),
            "x": lambda: bank.statement(Move("FT1", 900, 15, said="MPS 600100")),
            "y": lambda: bank.statement(Move("FT2", 900, 16, said="MPS 600100"), opening=900),
        },
        lambda: (
            (bank.held, books.balances()["1200.mpesa-600100"], books.open_breaks())
            == (1800, 200_00, ["unknown_account"])
        ),
    )


def _a_settlement_told_as_a_payment(bank: Bank) -> tuple[Steps, Callable[[], bool]]:
    books = bank.books
    lines = Move("UI0000Q001", 1000, 15, "payment"), Move("UI0000Q002", -900, 15, "payout")
    return {
        "n": lambda: bank.notice("KCB900001", 900),
        "s": lambda: bank.statement(Move("KCB900001", 900, said="MPS 600100")),
        "p": lambda: bring(books, of(SHORTCODE, *lines)),
    }, lambda: (bank.held, books.balances()["1200.mpesa-600100"], books.balances()["2200"]) == (900, 100_00, -1000_00)


def _a_difference_taken_back(bank: Bank) -> tuple[Steps, Callable[[], bool]]:
    books = bank.books
    bill = books.bill(700)

    def taken_back() -> None:
        books.deliver(reversal("UI0000U003", 950, own="UI0000U004"))
        books.work()

    def statement(said: str, name: str) -> int:
        lines = (
            Move("UI0000U003", 950, 15, "payment", said),
            Move("UI0000U004", -950, 15, "reversal", said, reverses="UI0000U003"),
        )
        return bring(books, of(SHORTCODE, *lines, name=name))

    return {
        "m": lambda: books.pay(700, bill.pay_account_number, reference="UI0000U003"),
        "r": taken_back,
        "s": lambda: statement("", "rows"),
        "t": lambda: statement("again", "other"),
    }, lambda: not {"1200.mpesa-600100", "2200"} & books.balances().keys() and books.left(bill) == 700


@pytest.mark.parametrize(
    "world",
    [
        *(_two_equal, _two_formats, _two_halves_of_one_reference, _equal_cash, _equal_payouts),
        *(_a_settlement_told_as_a_payment, _a_difference_taken_back),
    ],
)
def test_no_order_of_deliveries_changes_the_money(
    new_books: Callable[[], AbstractContextManager[Books]], world: World
) -> None:
    wrong = []
    with new_books() as books:
        orders = list(itertools.permutations(world(Bank(books))[0]))
    for order in orders:
        with new_books() as books:
            bank = Bank(books)
            books.readers |= bank.readers
            steps, holds = world(bank)
            for step in order:
                steps[step]()
            if not holds():
                wrong.append(("".join(order), bank.held, books.balances()))
    assert wrong == []


# --- what is known to be wrong ---


def test_a_part_of_a_day_after_a_gap_loses_no_equal_line(bank: Bank) -> None:
    bank.statement(CASH)
    apart = bank.statement(CASH, opening=900)
    assert refusal(bank.books, apart).startswith("refused, skipped:")
    bank.statement(CASH, CASH, opening=300)
    bank.statement(CASH, opening=900)
    bank.statement(CASH, CASH, CASH)
    assert bank.held == 1200


def test_an_account_emptied_during_the_day_loses_no_equal_line(bank: Bank) -> None:
    bank.statement(CASH, Move("", -300, said="SWEEP"), Move("", 200, said="CHEQUE"))
    bank.statement(Move("", -200, said="SWEEP"), CASH, opening=200)
    assert bank.held == 800


def test_a_credit_whose_notice_paid_a_bill_is_no_settlement_whatever_it_names(bank: Bank) -> None:
    bank.books.execute("UPDATE channel_account SET identifier = '600100' WHERE id = 1")
    bill = bank.books.bill(900)
    bank.notice("KCB900001", 900, bill.pay_account_number)
    bank.statement(Move("KCB900001", 900, said="PESALINK 600100 JOHN"))
    assert (bank.held, bank.books.left(bill)) == (900, 0)
    assert bank.books.balances().get("1200.mpesa-600100") is None


def test_a_notice_that_names_a_bill_after_its_credit_named_a_channel_leaves_the_money_to_a_person(bank: Bank) -> None:
    bill = bank.books.bill(900)
    bank.statement(Move("KCB900001", 900, said="PESALINK 600100 JOHN"))
    notice = bank.notice("KCB900001", 900, bill.pay_account_number)
    assert bank.books.states([notice]) == ["evidence"]
    assert "banked_not_settled" in bank.books.open_breaks()
    assert (bank.held, bank.books.left(bill)) == (900, 900)
