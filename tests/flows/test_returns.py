"""Money that a bank takes back: returned cheques and transfers, in every order, and what two persons may say of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

import psycopg
import pytest

from revenue_engine.collection import bank_words, money_moves, returns
from revenue_engine.db import transaction
from revenue_engine.errors import Conflict, NotFound
from revenue_engine.ports.callbacks import Kind
from revenue_engine.ports.statements import StatementLine
from revenue_engine.verification.deliveries import Sources, checks
from tests.flows.test_statement_doubles import Move, bank, held, of
from tests.flows.test_statements import BANK, bring
from tests.support.books import Books

__all__ = ["bank"]


@dataclass
class Day:
    """One file of a bank's day."""

    moves: tuple[Move, ...]
    opening: int

    def bring(self, books: Books) -> int:
        return bring(books, of(BANK, *self.moves, opening=self.opening), channel=2)


def open_of(books: Books, number: str) -> int:
    ((minor,),) = books.rows(
        "SELECT outstanding_minor FROM open_bill o JOIN invoice i ON i.id = o.invoice_id"
        " WHERE i.pay_account_number = %s",
        number,
    )
    return int(minor) // 100


def reversals(books: Books) -> list[tuple[str, str]]:
    return books.rows(
        "SELECT r.reference, p.reference FROM payment r JOIN payment p ON p.id = r.reverses_id ORDER BY r.reference"
    )


def read_again(books: Books, *, tampered: str = "") -> list[str]:
    """What is found when the files are read again, perhaps after a superuser's statement, which is undone."""
    (check,) = checks(Sources(adapters={}, readers=books.readers))
    assert check.reader is not None
    with psycopg.connect(books.url) as connection:
        if tampered:
            connection.execute(tampered)
        found = [one.detail for one in check.reader(connection) if one]
        connection.rollback()
    return found


# --- the line names one deposit ---


@pytest.mark.parametrize("order", ["one file", "deposit first", "return first"])
def test_a_returned_cheque_opens_its_bill_again_in_every_order(bank: Books, order: str) -> None:
    bill = bank.bill(2000)
    number = bill.pay_account_number
    deposit = Move("FT26306AAAAD", 2000, 14, said=f"CHQ DEP 000123 INV {number}")
    back = Move("FT26307AAAAF", -2000, 15, said=f"CHQ RETURNED 000123 REFER TO DRAWER {number}")
    fee = Move("CHG 0201", -50, 15, said="Ledger fee")
    days = [Day((deposit,), 1000), Day((back, fee), 3000)]
    for one in {
        "one file": [Day((deposit, back, fee), 1000)],
        "deposit first": days,
        "return first": days[::-1],
    }[order]:
        one.bring(bank)
    assert open_of(bank, number) == 2000
    assert reversals(bank) == [("FT26307AAAAF", "FT26306AAAAD")]
    assert bank.rows(
        "SELECT count(*), count(c.receipt_id) FROM receipt r LEFT JOIN receipt_cancellation c"
        " ON c.receipt_id = r.id WHERE r.kind = 'receipt'"
    ) == [(1, 1)]
    assert held(bank, "5900") == 50
    assert (
        bank.rows("SELECT key FROM break_case WHERE closed_at IS NULL AND key ~ '^(returned|reversal|settlement):'")
        == []
    )
    assert read_again(bank) == []


WAYS = (
    ("INV {number}", "", "RTN EFT FT26306AAAA0 ACCOUNT CLOSED"),
    ("", "RTGS 77120099 INV {number}", "RTGS RETURNED {number} BENEFICIARY NAME DIFFERS"),
    ("INV {number}", "CHEQUE NO. 001234 DEPOSIT", "INWARD UNPAID CHQ 1234 INSUFFICIENT FUNDS"),
    ("", "CHQ DEP 98765 INV {number}", "DISHONOURED CHEQUE 98765"),
)


def test_every_way_to_name_a_deposit_takes_back_that_one(bank: Books) -> None:
    moves, meant, others = [], [], []
    for place, (typed, said, back) in enumerate(WAYS):
        bill, other = bank.bill(2000), bank.bill(2000)
        number = bill.pay_account_number
        meant.append(number)
        others.append(other.pay_account_number)
        deposit = Move(f"FT26306AAAA{place}", 2000, 14, said=said.format(number=number))
        beside = f"CHQ DEP 00077{place} INV {other.pay_account_number}"
        moves += [
            replace(deposit, typed=typed.format(number=number)),
            Move(f"FT26306BBBB{place}", 2000, 14, said=beside),
            Move(f"FT26307AAAA{place}", -2000, 15, said=back.format(number=number)),
        ]
    Day(tuple(moves), 0).bring(bank)
    assert reversals(bank) == [(f"FT26307AAAA{n}", f"FT26306AAAA{n}") for n in range(len(WAYS))]
    assert {open_of(bank, number) for number in meant} == {2000}
    assert {open_of(bank, number) for number in others} == {0}


def test_what_is_held_or_was_moved_is_taken_back_from_where_it_is(bank: Books) -> None:
    """In suspense; and again on a cheque that was presented once more and came back once more."""
    moves = [
        Move("FT1AAAAAA", 700, 10, said="CHQ DEP 000500 NO NAME"),
        Move("FT2AAAAAA", -700, 11, said="CHQ RETURNED 000500"),
        Move("FT3AAAAAA", 700, 12, said="CHQ DEP 000500 RE-PRESENTED"),
        Move("FT4AAAAAA", -700, 14, said="CHQ RETURNED 000500"),
    ]
    for place, one in enumerate(moves):
        Day((one,), 700 * (place % 2)).bring(bank)
    assert reversals(bank) == [("FT2AAAAAA", "FT1AAAAAA"), ("FT4AAAAAA", "FT3AAAAAA")]
    assert (held(bank), held(bank, "2200")) == (0, 0)
    assert read_again(bank) == []


def test_a_payer_s_credit_and_money_that_was_moved_are_taken_back_too(bank: Books) -> None:
    bill, right = bank.bill(600, payer=bank.payer()), bank.bill(500)
    wrong = bank.bill(500)
    deposits = [
        Move("FT1AAAAAA", 600, 10, said=f"CHQ DEP 000601 INV {bill.pay_account_number}"),
        Move("FT2AAAAAA", 600, 11, said=f"CHQ DEP 000602 INV {bill.pay_account_number}"),
        Move("FT3AAAAAA", 500, 11, said=f"CHQ DEP 000603 INV {wrong.pay_account_number}"),
    ]
    Day(tuple(deposits), 0).bring(bank)
    assert (held(bank, "2100"), bank.left(wrong)) == (-600, 0)
    asked = bank.judged(
        lambda session: money_moves.ask(session, "FT3AAAAAA", right.pay_account_number, reason="the other stall")
    )
    assert (asked, bank.left(right), bank.left(wrong)) == (None, 0, 500)
    back = [
        Move("FT8AAAAAA", -600, 14, said="CHQ RETURNED 000602"),
        Move("FT9AAAAAA", -500, 14, said="CHQ RETURNED 000603"),
    ]
    Day(tuple(back), 1700).bring(bank)
    assert reversals(bank) == [("FT8AAAAAA", "FT2AAAAAA"), ("FT9AAAAAA", "FT3AAAAAA")]
    assert (held(bank, "2100"), bank.left(right), bank.left(wrong), bank.left(bill)) == (0, 500, 500, 0)


def test_the_same_return_told_twice_takes_back_once(bank: Books) -> None:
    bill = bank.bill(2000)
    deposit = Move("FT26306AAAAD", 2000, 14, said=f"CHQ DEP 000123 INV {bill.pay_account_number}")
    back = Move("FT26307AAAAF", -2000, 15, said="CHQ RETURNED 000123 REFER TO DRAWER")
    for _ in range(2):
        Day((deposit, back), 0).bring(bank)
    assert len(reversals(bank)) == 1
    assert open_of(bank, bill.pay_account_number) == 2000


# --- the line names none, or more ---


DOUBTS = (
    # two deposits of one bill and amount, and no cheque named
    ([("FT1AAAAAA", 0, "INV {number}"), ("FT1AAAAAB", 0, "INV {number}")], "RETURNED {number}"),
    # the deposit shows no cheque, and the line names one
    ([("FT2AAAAAA", 0, "INV {number}")], "CHQ RETURNED 000123 {number}"),
    # another cheque of the same amount
    ([("FT3AAAAAA", 0, "CHQ DEP 000134 {number}")], "CHQ RETURNED 000133 {number}"),
    # two cheques on one slip, of which one comes back
    ([("FT4AAAAAA", 3000, "CHQ DEP 000143 000144 {number}")], "CHQ RETURNED 000143"),
    # two payers' cheques bear one number
    ([("FT5AAAAAA", 0, "CHQ DEP 000153 ABC"), ("FT5AAAAAB", 0, "CHQ DEP 000153 XYZ")], "CHQ RETURNED 000153"),
    # a branch that both name is no cheque
    ([("FT6AAAAAA", 0, "CASH BR001234 {number}")], "RETURNED ITEM BR001234"),
    # nothing is named
    ([("FT7AAAAAA", 0, "{number}")], "RETURNED REFER TO DRAWER"),
)


def test_a_doubtful_return_takes_nothing_back_and_names_what_may_be_meant(bank: Books) -> None:
    moves = []
    for place, (deposits, back) in enumerate(DOUBTS):
        number, shillings = bank.bill(5000).pay_account_number, 2000 + place
        moves += [Move(name, shillings + more, 14, said=said.format(number=number)) for name, more, said in deposits]
        moves.append(Move(f"FT9AAAAA{place}", -shillings, 15, said=back.format(number=number)))
    Day(tuple(moves), 0).bring(bank)
    assert reversals(bank) == []
    named = bank.rows(
        "SELECT reason, detail, amount_minor FROM break_case WHERE closed_at IS NULL AND key LIKE 'returned:%'"
        " ORDER BY amount_minor"
    )
    assert len(named) == len(DOUBTS)
    for place, ((deposits, _), (reason, detail, minor)) in enumerate(zip(DOUBTS, named, strict=True)):
        assert (reason, minor) == ("returned_by_bank", (2000 + place) * 100)
        assert all(name in detail for name, _, _ in deposits), detail
    assert "reversal_without_payment" not in bank.open_breaks()
    assert read_again(bank) == []


def test_two_persons_name_the_deposit(bank: Books) -> None:
    bill = bank.bill(2000)
    deposit = Move("FT1AAAAAA", 2000, 14, said=f"INV {bill.pay_account_number}")
    other = Move("FT1AAAAAB", 900, 14, said="SHOP")
    Day((deposit, other, Move("FT9AAAAAA", -2000, 15, said="RETURNED REFER TO DRAWER")), 0).bring(bank)
    with bank.clerk.acts(), transaction(bank.as_role("api")) as session:
        for line, payment, refused in (
            ("FT9AAAAAA", "FT1AAAAAB", Conflict),
            ("FT1AAAAAB", "FT1AAAAAA", NotFound),
        ):
            with pytest.raises(refused):
                returns.ask(session, line, payment, reason="the slip")
    why = bank.judged(
        lambda session: returns.ask(session, "ft9aaaaaa", "FT1AAAAAA", reason="the bank's letter names it")
    )
    assert why is None
    assert reversals(bank) == [("FT9AAAAAA", "FT1AAAAAA")]
    assert open_of(bank, bill.pay_account_number) == 2000
    assert bank.rows("SELECT count(*) FROM break_case WHERE closed_at IS NULL AND key LIKE 'returned:%'") == [(0,)]
    assert read_again(bank) == []
    # The books that say another deposit, or that nobody agreed, do not hold when the file is read again.
    off = "ALTER TABLE deposit_return DISABLE TRIGGER ALL; DELETE FROM deposit_return"
    assert [one for one in read_again(bank, tampered=off) if "no two persons did" in one]


# --- what the bank's words mean ---


@pytest.mark.parametrize(
    ("said", "minor", "kind"),
    [
        ("Ledger fee", 50_00, Kind.CHARGE),
        ("RETURNED CHEQUE CHARGE", 500_00, Kind.CHARGE),
        ("UNPAID CHQ 000123 CHARGES", 500_00, Kind.CHARGE),
        ("EXCISE DUTY", 10_00, Kind.CHARGE),
        ("TAX ON CHARGES", 10_00, Kind.CHARGE),
        ("COMMISSION ON RTGS", 500_00, Kind.CHARGE),
        ("CHQ RTN CHGS", 500_00, Kind.CHARGE),
        ("INSUFFICIENT FUNDS FEE", 500_00, Kind.CHARGE),
        ("PAYMENT FOR STATUTORY RETURNS", 900_00, Kind.PAYOUT),
        ("INWARD CHQ 000456 SUPPLIER LTD", 900_00, Kind.PAYOUT),
        ("FEE FOR RETURNED CHEQUE 000123", 500_00, Kind.CHARGE),
        ("CHQ RETURNED 000123 PERMIT FEE", 2000_00, Kind.REVERSAL),
        ("RTN EFT FT26306AAAAD", 2000_00, Kind.REVERSAL),
        ("TRANSFER TO CRF PARKING CHARGES", 900_00, Kind.PAYOUT),
        ("SERVICE CHARGES COLLECTED", 2_000_000_00, Kind.PAYOUT),
        ("MOI RD MARKET SWEEP", 100_00, Kind.PAYOUT),
    ],
)
def test_a_debit_is_what_its_words_say(said: str, minor: int, kind: Kind) -> None:
    assert bank_words.kind_of(StatementLine(1, -minor, date(2026, 9, 15), text=said)) is kind
    assert bank_words.kind_of(StatementLine(1, minor, date(2026, 9, 15), text=said)) is Kind.PAYMENT


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("CHQ DEP 000123 INV 263158952", {"123"}),
        ("CHEQUE NO 263158/952", {"263158"}),
        ("CHQ 000123, 000124", {"123", "124"}),
        ("001234 CHQ DEPOSIT", {"1234"}),
        ("CHQ DEPOSIT 263158952", set()),
        ("CASH DEPOSIT 000123", set()),
    ],
)
def test_the_number_of_a_cheque(said: str, found: set[str]) -> None:
    assert bank_words.cheques(StatementLine(1, 100, date(2026, 9, 15), text=said)) == found
