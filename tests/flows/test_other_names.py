"""A bank's notice and its statement that call one payment by two names: one payment, whichever comes first."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime

import pytest

from adapters.kcb import adapter as kcb
from adapters.kcb import rehearsals
from revenue_engine import db
from revenue_engine.statements import importing
from revenue_engine.worker import Worker
from tests.flows.test_banks import ACCOUNT, add
from tests.flows.test_statement_doubles import Move, Rows, of
from tests.support.books import Books

TILL_TIME = "%a %b %d %H:%M:%S EAT %Y"


class Bank:
    """A bank account whose notices KCB sends and whose statements the test writes."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.account = add(books, kcb, ACCOUNT, rehearsals.rehearse(ACCOUNT).settings)
        self.readers = {"rows": Rows("rows"), "other": Rows("other")}

    def worker(self) -> Worker:
        return Worker(self.books.as_role("worker"), {"kcb": kcb}, self.readers)

    def notice(self, reference: str, shillings: int, bill: str = "", *, day: int = 15, receipt: str = "") -> int:
        """A notice of a payment; with ``receipt`` a till's, that tells the M-PESA receipt as well."""
        amount, when = f"{shillings}.00", datetime(2026, 9, day, 10, 30)  # noqa: DTZ001 - as the bank writes it
        if receipt:
            body = rehearsals.till_notice(
                ACCOUNT, reference=reference, amount=amount, bill=bill, receipt=receipt, when=f"{when:{TILL_TIME}}"
            )
        else:
            body = rehearsals.account_notice(
                ACCOUNT, reference=reference, amount=amount, bill=bill, timestamp=f"{when:%Y%m%d%H%M%S}"
            )
        (delivery,) = self.books.deliver(("confirmation", body), account=self.account)
        self.worker().drain()
        return delivery

    def keep(self, *moves: Move, opening: int | None = 0, name: str = "rows") -> int:
        """A statement brought and not read yet."""
        self.books.readers.update(self.readers)
        return self.books.bring(of(ACCOUNT, *moves, opening=opening, name=name), account=self.account)

    def statement(self, *moves: Move, opening: int | None = 0, name: str = "rows") -> int:
        """A statement brought and read."""
        delivery = self.keep(*moves, opening=opening, name=name)
        self.worker().drain()
        return delivery

    @property
    def amounts(self) -> list[int]:
        """Every payment in shillings."""
        return [row[0] for row in self.books.rows("SELECT amount_minor / 100 FROM payment ORDER BY amount_minor")]

    @property
    def held(self) -> int:
        """What the books say that the bank holds, in shillings."""
        return self.books.balances().get(f"1200.kcb-{ACCOUNT}", 0) // 100


@pytest.fixture
def bank(books: Books) -> Bank:
    return Bank(books)


# --- a name that both tell ---


@pytest.mark.parametrize("statement_first", [False, True])
@pytest.mark.parametrize("said", ["MPESA UIF0000016 JOHN WAFULA", "TRF KCBTILL77001 JOHN", "c2b/uif0000016/busia"])
def test_a_statement_that_names_the_receipt_or_the_notice_is_of_the_same_payment(
    bank: Bank, statement_first: bool, said: str
) -> None:
    bill = bank.books.bill(1500)
    steps: list[Callable[[], int]] = [
        lambda: bank.notice("KCBTILL77001", 1500, bill.pay_account_number, receipt="UIF0000016"),
        lambda: bank.statement(Move("FT26258ABC", 1500, said=said)),
    ]
    for step in reversed(steps) if statement_first else steps:
        step()
    assert (bank.amounts, bank.held) == ([1500], 1500)
    assert "received_not_in_statement" not in bank.books.open_breaks()
    assert bank.notice("KCBTILL77001", 1500, bill.pay_account_number, receipt="UIF0000016")
    bank.statement(Move("FT26258ABC", 1500, said=said))
    assert (bank.amounts, bank.held) == ([1500], 1500)


def test_two_notices_of_one_payment_under_two_names_are_one(bank: Bank) -> None:
    bill = bank.books.bill(1500)
    bank.notice("KCBTILL77001", 1500, bill.pay_account_number, receipt="UIF0000016")
    again = bank.notice("UIF0000016", 1500, bill.pay_account_number)
    assert bank.books.states([again]) == ["evidence"]
    assert bank.held == 1500


def test_a_name_of_another_amount_is_another_payment(bank: Bank) -> None:
    bank.notice("KCBTILL77001", 1500, receipt="UIF0000016")
    bank.statement(Move("FT26258ABC", 900, said="MPESA UIF0000016"))
    assert bank.amounts == [900, 1500]


# --- no name in common: the number, the amount and the day ---


@pytest.mark.parametrize("statement_first", [False, True])
@pytest.mark.parametrize("booked", [15, 16, 19])
def test_number_amount_and_day_name_a_payment_where_no_name_does(
    bank: Bank, statement_first: bool, booked: int
) -> None:
    bill = bank.books.bill(1500)
    number = bill.pay_account_number
    steps: list[Callable[[], int]] = [
        lambda: bank.notice("KCB900001", 1500, number),
        lambda: bank.statement(Move("FT26258ABC", 1500, booked, said=f"PESALINK {number[:3]} {number[3:]} JOHN")),
    ]
    for step in reversed(steps) if statement_first else steps:
        step()
    assert (bank.amounts, bank.held, bank.books.left(bill)) == ([1500], 1500, 0)


@pytest.mark.parametrize("booked", [14, 20])
def test_a_day_too_early_or_too_late_is_another_payment(bank: Bank, booked: int) -> None:
    number = bank.books.bill(1500).pay_account_number
    bank.notice("KCB900001", 1500, number)
    bank.statement(Move("FT26258ABC", 1500, booked, said=number))
    assert bank.amounts == [1500, 1500]


@pytest.mark.parametrize("order", list(itertools.permutations("ABS")))
def test_two_equal_payments_of_a_bill_stay_two(
    new_books: Callable[[], AbstractContextManager[Books]], order: tuple[str, ...]
) -> None:
    with new_books() as books:
        bank = Bank(books)
        number = books.bill(3000).pay_account_number
        for step in order:
            if step == "S":
                bank.statement(Move("FT1", 1500, said=number), Move("FT2", 1500, said=number))
            else:
                bank.notice(f"KCB90000{step}", 1500, number)
        assert (bank.amounts, bank.held) == ([1500, 1500], 3000)


@pytest.mark.parametrize("lost", ["KCB1", "KCB2"])
def test_where_names_agree_a_line_is_never_taken_for_another_ones_notice(bank: Bank, lost: str) -> None:
    """One of two equal payments was never told, and the bank's statement bears the notices' own references."""
    number = bank.books.bill(3000).pay_account_number
    told = {"KCB1", "KCB2"} - {lost}
    bank.notice(told.pop(), 1500, number)
    bank.statement(Move("KCB2", 1500, said=number))
    bank.statement(Move("KCB2", 1500, said=number), Move("KCB1", 1500, said=number))
    bank.notice(lost, 1500, number)
    assert (bank.amounts, bank.held) == ([1500, 1500], 3000)


def test_lines_that_the_bank_names_differently_are_never_one(bank: Bank) -> None:
    """A payment told too late for the first statement is taken for its line; the next statement shows its own."""
    number = bank.books.bill(3000).pay_account_number
    bank.statement(Move("KCB1", 1500, said=number))
    bank.notice("KCB3", 1500, number)
    bank.statement(Move("KCB1", 1500, said=number), Move("KCB3", 1500, said=number))
    assert (bank.amounts, bank.held) == ([1500, 1500], 3000)


# --- at once ---


def test_a_notice_waits_while_the_statement_is_read_that_may_show_its_money(bank: Bank) -> None:
    number = bank.books.bill(1500).pay_account_number
    delivery = bank.keep(Move("FT1", 1500, said=number))
    with db.transaction(bank.books.as_role("worker")) as session:
        importing.import_statement(session, delivery, adapters={"kcb": kcb}, readers=bank.readers)
        bank.books.execute("UPDATE job SET run_after = now() + interval '1 hour' WHERE kind = 'statement'")
        notice = bank.notice("KCB1", 1500, number)
        assert bank.books.states([notice]) == ["pending"]
    bank.books.execute("UPDATE job SET run_after = now()")
    bank.worker().drain()
    assert bank.books.states([notice]) == ["evidence"]
    assert (bank.amounts, bank.held) == ([1500], 1500)


def test_names_of_payers_and_phones_are_no_names_of_money(bank: Bank) -> None:
    bank.statement(Move("FT1", 1500, said="JOHN WAFULA 0700000101 254700000101 482915363"))
    rows = bank.books.rows("SELECT count(*) FROM movement_name")
    assert rows == [(1,)]  # the pay account number alone
