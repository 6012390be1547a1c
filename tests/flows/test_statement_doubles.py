"""Money that two lines, two files or two ways of telling could count twice or not at all."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import BinaryIO

import pytest

from adapters.mpesa import adapter as mpesa
from adapters.statements.tally import Tally
from revenue_engine import periods
from revenue_engine.channels import deliveries
from revenue_engine.collection import settlements
from revenue_engine.db import transaction
from revenue_engine.periods import NAIROBI
from revenue_engine.ports.callbacks import Kind, Party, Purpose
from revenue_engine.ports.statements import StatementEvent, StatementLine, StatementOpened
from revenue_engine.statements import importing
from revenue_engine.verification.verify import verify
from revenue_engine.work import jobs
from tests.flows.test_statements import BANK, bring
from tests.support.books import NOON, SHORTCODE, Books, confirmation, reversal


@dataclass(frozen=True)
class Rows:
    """A statement format for tests whose lines say their day, their words and whether they count; amounts in cents."""

    name: str

    def sniff(self, head: bytes, filename: str) -> bool:
        return head.startswith(f"{self.name},".encode())

    def read(self, stream: BinaryIO, *, filename: str = "") -> Iterator[StatementEvent]:
        tally: Tally | None = None
        for number, row in enumerate(csv.reader(io.TextIOWrapper(stream, "utf-8")), start=1):
            if row[0] == self.name:
                opened = StatementOpened(self.name, row[1], "KES", int(row[2]) if row[2] else None)
                tally = Tally(opened)
                yield opened
                continue
            assert tally is not None
            if row[0] == "closing":
                yield tally.close(int(row[1]) if row[1] else None)
                continue
            kind, reference, amount, day, said, typed, reverses, counts = row
            told = Kind(kind) if kind else None
            line = StatementLine(
                number=number,
                amount_minor=int(amount),
                booked_on=date.fromisoformat(day),
                reference=reference,
                occurrence=tally.occurrence(reference, told, amount, day, said, counts),
                kind=told,
                counts=counts == "yes",
                occurred_at=datetime.combine(date.fromisoformat(day), time(9), tzinfo=NAIROBI) if told else None,
                text=said,
                account_reference=typed,
                reverses=reverses,
            )
            tally.add(line)
            yield line


@dataclass(frozen=True)
class Move:
    """One line of such a statement, in shillings."""

    reference: str
    shillings: int
    day: int = 15
    kind: str = ""
    said: str = ""
    typed: str = ""
    reverses: str = ""
    counts: bool = True


def of(account: str, *moves: Move, opening: int | None = 0, name: str = "rows") -> bytes:
    """A statement whose closing balance is what its lines come to; without balances where ``opening`` is None."""
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow([name, account, "" if opening is None else opening * 100])
    for one in moves:
        rows.writerow(
            [
                *(one.kind, one.reference, one.shillings * 100, f"2026-09-{one.day:02}", one.said),
                *(one.typed, one.reverses, "yes" if one.counts else "no"),
            ]
        )
    moved = sum(one.shillings for one in moves if one.counts)
    rows.writerow(["closing", "" if opening is None else (opening + moved) * 100])
    return text.getvalue().encode()


@pytest.fixture
def bank(books: Books) -> Books:
    """A county with a paybill and a bank account, whose statements come in two formats."""
    books.readers["rows"] = Rows("rows")
    books.readers["other"] = Rows("other")
    books.bank_channel(BANK)
    return books


def held(books: Books, *accounts: str) -> int:
    """What accounts of the books hold, in shillings; without names what the bank holds: shown to us, or told."""
    return (
        sum(
            books.balances().get(account, 0)
            for account in accounts or ("1100.bank-1100200300", "1200.mpesa-1100200300")
        )
        // 100
    )


def refusal(books: Books, delivery: int) -> str:
    ((state, reason),) = books.rows("SELECT state, reason FROM delivery_state WHERE delivery_id = %s", delivery)
    return reason if state == "ignored" else ""


# --- lines that did not count yet ---


@pytest.mark.parametrize("kind", ["", "payment"])
def test_a_line_shown_before_it_counts_is_booked_when_it_counts(bank: Books, kind: str) -> None:
    bring(bank, of(BANK, Move("FT01", 300, kind=kind), Move("FT02", 700, kind=kind, counts=False)), channel=2)
    bring(bank, of(BANK, Move("FT01", 300, kind=kind), Move("FT02", 700, kind=kind)), channel=2)
    assert held(bank) == 1000


def test_a_line_that_counts_is_booked_though_its_shadow_stands_before_it(bank: Books) -> None:
    bring(bank, of(BANK, Move("FT02", 700, counts=False), Move("FT02", 700)), channel=2)
    assert held(bank) == 700


# --- references that are not unique ---


def test_a_bank_that_gives_one_reference_on_two_days_is_booked_twice(bank: Books) -> None:
    bring(bank, of(BANK, Move("SALARY", 300, 15)), channel=2)
    bring(bank, of(BANK, Move("SALARY", 300, 16), opening=300), channel=2)
    bring(bank, of(BANK, Move("SALARY", 450, 17), opening=600), channel=2)
    assert held(bank) == 1050


def test_a_bank_that_gives_one_reference_to_two_amounts_of_a_day_is_booked_twice(bank: Books) -> None:
    body = of(BANK, Move("SALARY", 300), Move("SALARY", 450), Move("SALARY", 300, said="again"))
    bring(bank, body, channel=2)
    assert held(bank) == 1050
    fourth = Move("SALARY", 1, said="more")
    bring(
        bank, of(BANK, Move("SALARY", 300), Move("SALARY", 450), Move("SALARY", 300, said="again"), fourth), channel=2
    )
    assert held(bank) == 1051


def test_lines_told_again_in_other_words_are_the_same_money(bank: Books) -> None:
    moves = [("SALARY", 300, 15), ("SALARY", 450, 15), ("SALARY", 300, 16), ("FT9", 20, 16)]
    bring(bank, of(BANK, *(Move(*move, said="a") for move in moves)), channel=2)
    bring(bank, of(BANK, *(Move(*move, said="b") for move in moves), name="other"), channel=2)
    assert held(bank) == 1070


def test_a_provider_that_repeats_a_receipt_on_two_days_moved_money_twice(bank: Books) -> None:
    bank.pay(300, "", reference="UI0000R001", at=NOON)
    bring(bank, of(SHORTCODE, Move("UI0000R001", 300, 15, "payment")))
    bring(bank, of(SHORTCODE, Move("UI0000R001", 300, 16, "payment"), opening=300))
    assert held(bank, "1200.mpesa-600100") == 600
    assert "duplicate_code" in bank.open_breaks()


def test_two_charges_under_one_receipt_are_two_charges(bank: Books) -> None:
    bring(
        bank,
        of(
            SHORTCODE,
            Move("UI0000R002", 300, 15, "payment"),
            Move("UI0000R002", -5, 15, "charge", "Pay Bill Charge"),
            Move("UI0000R002", -3, 15, "charge", "Excise Charge"),
        ),
    )
    assert (held(bank, "1200.mpesa-600100"), held(bank, "5900")) == (292, 8)


def test_settlements_under_one_bank_reference_are_each_settled(bank: Books) -> None:
    for day, amount in ((15, 900), (16, 800)):
        opening = 0 if day == 15 else 100
        bring(
            bank,
            of(
                SHORTCODE,
                Move(f"UI00000X{day}", amount + 100, day, "payment"),
                Move(f"UI00000Y{day}", -amount, day, "payout"),
                opening=opening,
            ),
        )
        bring(bank, of(BANK, Move("MPESA", amount, day, said="MPS 600100"), opening=0 if day == 15 else 900), channel=2)
    assert (held(bank), held(bank, "1200.mpesa-600100")) == (1700, 200)
    assert bank.open_breaks() == ["unknown_account", "unknown_account"]


# --- payouts ---


def test_a_payout_told_again_in_other_words_is_not_settled_by_another_credit(bank: Books) -> None:
    told = [Move("UI0000Q001", 1000, 15, "payment"), Move("UI0000Q002", -900, 15, "payout", "to bank")]
    bring(bank, of(SHORTCODE, *told))
    bring(bank, of(BANK, Move("FT1", 900, 15, said="MPS 600100")), channel=2)
    bring(bank, of(BANK, Move("FT2", 900, 16, said="MPS 600100"), opening=900), channel=2)
    assert (held(bank), held(bank, "1200.mpesa-600100")) == (1800, 100)
    bring(bank, of(SHORTCODE, *(replace(one, said="To Bank") for one in told)))
    assert (held(bank), held(bank, "1200.mpesa-600100")) == (1800, 100)
    assert "banked_not_settled" in bank.open_breaks()


def test_a_banks_credit_from_our_own_channel_is_moved_before_the_channel_tells_of_it(bank: Books) -> None:
    bring(bank, of(SHORTCODE, Move("UI0000Q011", 1000, 15, "payment")))
    bring(bank, of(BANK, Move("FT1", 900, 15, said="MPS 600100")), channel=2)
    # A payer may write those words too: the money is held until the channel shows its payout
    assert (held(bank), held(bank, "1200.mpesa-600100"), held(bank, "2200")) == (900, 1000, -1900)
    assert "banked_not_settled" in bank.open_breaks()
    told = [Move("UI0000Q011", 1000, 15, "payment"), Move("UI0000Q012", -900, 15, "payout")]
    bring(bank, of(SHORTCODE, *told))
    assert (held(bank), held(bank, "1200.mpesa-600100"), held(bank, "2200")) == (900, 100, -1000)
    assert not {"banked_not_settled", "settlement_not_banked"} & set(bank.open_breaks())


def test_a_payer_who_names_the_paybill_and_a_bill_has_paid_the_bill(bank: Books) -> None:
    bill = bank.bill(900)
    said = f"EFT JOHN PAYBILL 600100 ACC {bill.pay_account_number}"
    bring(bank, of(BANK, Move("FT1", 900, 15, said=said)), channel=2)
    assert bank.left(bill) == 0
    assert (held(bank), held(bank, "1200.mpesa-600100")) == (900, 0)


# --- exports of parts of a day ---


def test_an_export_that_goes_on_where_another_ended_loses_no_equal_line(bank: Books) -> None:
    cash = Move("", 300, said="CASH DEPOSIT")
    bring(bank, of(BANK, cash), channel=2)
    afternoon = of(BANK, cash, opening=300)
    bring(bank, afternoon, channel=2)
    assert held(bank) == 600
    bring(bank, afternoon, channel=2)
    bring(bank, of(BANK, cash, cash), channel=2)
    assert held(bank) == 600
    bring(bank, of(BANK, cash, cash, opening=600), channel=2)
    bring(bank, of(BANK, *[cash] * 4), channel=2)
    assert held(bank) == 1200


def test_a_longer_export_that_begins_at_the_same_balance_by_chance_repeats(bank: Books) -> None:
    """The account is emptied every day: the whole day begins with what its afternoon ended with."""
    cash, emptied = Move("", 300, said="CASH DEPOSIT"), Move("", -600, said="SWEEP")
    bring(bank, of(BANK, cash, emptied, opening=300), channel=2)
    bring(bank, of(BANK, cash, cash, emptied), channel=2)
    assert bank.rows("SELECT count(*) FROM payment WHERE kind = 'payment'") == [(2,)]


# --- one day in two formats ---


def test_lines_without_reference_are_not_booked_again_from_another_format(bank: Books) -> None:
    bring(bank, of(BANK, Move("", 300, said="CASH DEPOSIT"), Move("", 450, said="CASH DEPOSIT")), channel=2)
    again = bring(
        bank,
        of(BANK, Move("", 300, said="Cash deposit"), Move("", 450, said="Cash deposit"), name="other"),
        channel=2,
    )
    assert held(bank) == 750
    assert refusal(bank, again).startswith("refused, repeated:")


def test_the_same_stretch_in_the_same_format_is_not_booked_again_in_other_words(bank: Books) -> None:
    bring(bank, of(BANK, Move("", 300, said="CASH DEPOSIT")), channel=2)
    again = bring(bank, of(BANK, Move("", 300, said="CASH  DEPOSIT")), channel=2)
    assert held(bank) == 300
    assert refusal(bank, again).startswith("refused, repeated:")


def test_a_day_within_a_proved_statement_takes_no_new_line_of_a_bank(bank: Books) -> None:
    bring(bank, of(BANK, Move("A1", 300, 14), Move("A2", 300, 16)), channel=2)
    forged = bring(bank, of(BANK, Move("", 900, 15, said="my plot"), opening=300), channel=2)
    assert held(bank) == 600
    assert refusal(bank, forged).startswith("refused, repeated:")


def test_a_longer_export_of_a_day_still_brings_what_is_new(bank: Books) -> None:
    bring(bank, of(BANK, Move("", 300, said="CASH")), channel=2)
    bring(bank, of(BANK, Move("", 300, said="CASH"), Move("", 300, said="CASH")), channel=2)
    assert held(bank) == 600


# --- reports without balances ---


def test_a_report_without_balances_proves_nothing_until_the_statement_comes(bank: Books) -> None:
    moves = [Move("FT01", 300), Move("", 450, said="CASH"), Move("", -20, said="FEE")]
    bring(bank, of(BANK, *moves, opening=None), channel=2)
    assert held(bank) == 0
    assert bank.open_breaks() == ["unconfirmed"]
    bring(bank, of(BANK, *moves), channel=2)
    assert (held(bank), held(bank, "5900")) == (730, 20)
    assert "unconfirmed" not in bank.open_breaks()


# --- a message and a bank's line about one movement ---


def test_a_bank_line_that_names_a_payment_told_before_is_that_payment(bank: Books) -> None:
    bank.pay(300, "", reference="UI0000T001")
    bring(bank, of(SHORTCODE, Move("", 300, said="MOBILE TRANSFER UI0000T001 JOHN"), Move("FT7", 20)))
    assert held(bank, "1200.mpesa-600100") == 320
    bring(bank, of(SHORTCODE, Move("", 300, 16, said="MOBILE TRANSFER UI0000T001 JOHN"), opening=320))
    assert held(bank, "1200.mpesa-600100") == 620


# --- what conflicts ---


def test_what_a_statement_proves_above_a_message_is_posted_to_suspense_once(bank: Books) -> None:
    bill = bank.bill(700)
    bank.pay(700, bill.pay_account_number, reference="UI0000U002")
    line = Move("UI0000U002", 950, 15, "payment")
    bring(bank, of(SHORTCODE, line))
    bring(bank, of(SHORTCODE, replace(line, said="in other words"), name="other"))
    assert bank.left(bill) == 0
    assert held(bank, "1200.mpesa-600100") == 950
    assert bank.journal("UI0000U002/DIFFERENCE") == ["DR 1200.mpesa-600100 CR 2200 250.00"]
    assert [paper.split()[0] for paper in bank.papers("UI0000U002/DIFFERENCE")] == ["acknowledgement"]
    assert bank.rows("SELECT reason, amount_minor FROM break_case WHERE closed_at IS NULL") == [
        ("amount_differs_from_statement", 250_00)
    ]


@pytest.mark.parametrize("statement_first", [False, True])
def test_a_reversal_of_the_proved_amount_takes_both_back(bank: Books, statement_first: bool) -> None:
    bill = bank.bill(700)
    bank.pay(700, bill.pay_account_number, reference="UI0000U003")
    taken_back = reversal("UI0000U003", 950, own="UI0000U004")
    if not statement_first:
        bank.deliver(taken_back)
        bank.work()
    bring(bank, of(SHORTCODE, Move("UI0000U003", 950, 15, "payment")))
    if statement_first:
        bank.deliver(taken_back)
        bank.work()
    assert bank.left(bill) == 700
    assert held(bank, "1200.mpesa-600100") == 0
    assert bank.open_breaks() == []


def test_a_conflict_says_how_much_money_is_in_doubt(bank: Books) -> None:
    bank.pay(700, "", reference="UI0000U001")
    bring(bank, of(SHORTCODE, Move("UI0000U001", 600, 15, "payment")))
    assert bank.rows("SELECT amount_minor FROM break_case WHERE reason = 'amount_differs_from_statement'") == [
        (100_00,)
    ]


# --- two workers at once ---


def test_a_reversal_of_a_statement_and_its_payment_kept_at_once_meet(bank: Books) -> None:
    bill = bank.bill(500)
    delivery = bank.bring(of(SHORTCODE, Move("UI0000V002", -500, kind="reversal", reverses="UI0000V001"), opening=500))
    with transaction(bank.as_role("worker")) as session:
        importing.import_statement(session, delivery, adapters={"mpesa": mpesa}, readers=bank.readers)
        bank.execute("UPDATE job SET run_after = now() + interval '1 hour' WHERE kind = 'statement'")
        bank.pay(500, bill.pay_account_number, reference="UI0000V001")
        assert bank.left(bill) == 0
    bank.execute("UPDATE job SET run_after = now()")
    bank.work()
    assert bank.left(bill) == 500
    assert bank.open_breaks() == []


def test_a_reversal_told_while_a_statement_records_its_payment_is_looked_at_until_it_is_done(bank: Books) -> None:
    bill = bank.bill(500)
    body = of(SHORTCODE, Move("UI0000W001", 500, kind="payment", typed=bill.pay_account_number))
    delivery = bank.bring(body)
    bank.execute(
        "UPDATE job SET leased_by = 'other', attempts = 1, lease_until = now() + interval '800 seconds'"
        " WHERE kind = 'statement'"
    )
    with transaction(bank.as_role("worker")) as session:
        importing.import_statement(session, delivery, adapters={"mpesa": mpesa}, readers=bank.readers)
        bank.deliver(reversal("UI0000W001", 500, own="UI0000W002"))
        for _ in range(3):
            bank.work()
            bank.execute("UPDATE job SET run_after = now() WHERE kind = 'interpret'")
        assert bank.rows("SELECT count(*) FROM job WHERE kind = 'interpret'") == [(1,)]
    bank.execute("DELETE FROM job WHERE kind = 'statement'")
    bank.work()
    assert bank.left(bill) == 500
    assert bank.open_breaks() == []


# --- what is no statement ---


def test_a_callback_brought_as_a_file_and_replayed_posts_nothing(bank: Books) -> None:
    bill = bank.bill(500)
    _, body = confirmation(500, bill.pay_account_number)
    delivery = bring(bank, body)
    with transaction(bank.as_role("api")) as session:
        jobs.replay(session, kind="interpret", ref_id=delivery)
    bank.work()
    assert bank.left(bill) == 500


def test_a_file_posted_to_a_callback_address_proves_nothing(bank: Books) -> None:
    body = of(SHORTCODE, Move("UI0000Z001", 500, kind="payment"))
    (delivery,) = bank.deliver(("confirmation", body), accepted=False)
    with transaction(bank.as_role("api")) as session:
        jobs.replay(session, kind="statement", ref_id=delivery)
    bank.work()
    assert bank.rows("SELECT count(*) FROM payment") == [(0,)]


# --- days that have not come ---


def test_what_a_statement_dates_ahead_is_booked_today(bank: Books) -> None:
    ahead = (periods.today() + timedelta(days=3)).isoformat().encode()
    body = of(
        SHORTCODE,
        Move("UI0000P001", 1000, 20, "payment"),
        Move("UI0000P001", -5, 20, "charge"),
        Move("UI0000P002", -900, 20, "payout"),
    )
    bring(bank, body.replace(b"2026-09-20", ahead))
    bring(bank, of(BANK, Move("FT1", 900, 20, said="MPS 600100")).replace(b"2026-09-20", ahead), channel=2)
    assert (held(bank), held(bank, "5900")) == (900, 5)
    assert bank.rows("SELECT count(*) FROM journal WHERE book_date > current_date + 1") == [(0,)]


def test_a_statement_of_days_that_have_not_come_is_refused(bank: Books) -> None:
    """A week ahead is more than any bank books: day and month were exchanged, or the clock is wrong."""
    later = (periods.today() + timedelta(days=8)).isoformat().encode()
    delivery = bring(bank, of(SHORTCODE, Move("UI0000P001", 1000, 20, "payment")).replace(b"2026-09-20", later))
    ((reason,),) = bank.rows("SELECT reason FROM delivery_state WHERE delivery_id = %s", delivery)
    assert reason.startswith("refused, bad_date: line 2")
    assert bank.rows("SELECT count(*) FROM payment") == [(0,)]


# --- what a payer writes ---


def test_a_short_code_that_a_payer_writes_makes_no_settlement(bank: Books) -> None:
    bring(bank, of(BANK, Move("FT1", 5000, 15, said="STALL RENT TO PAYBILL 600100")), channel=2)
    assert (held(bank), held(bank, "1200.1"), held(bank, "2200")) == (5000, 0, -5000)
    assert bank.rows("SELECT reason, amount_minor, owner FROM break_case WHERE closed_at IS NULL") == [
        ("banked_not_settled", 5000_00, "finance")
    ]


def test_a_field_that_only_the_bank_writes_names_a_channel() -> None:
    line = StatementLine(1, 900_00, date(2026, 9, 15), text="PAYBILL 600100", party=Party(name="SAFARICOM 600200"))
    assert settlements.words_of_bank(line) == {"SAFARICOM", "600200"}


def test_a_statement_file_that_waits_is_no_failure_of_the_books(bank: Books) -> None:
    with transaction(bank.engine) as session:
        deliveries.keep(session, channel_account_id=2, purpose=Purpose.STATEMENT, body=b"waits")
    with transaction(bank.engine) as session:
        found = verify(session)
    assert [failure for one in found.invariants for failure in one.failures] == []
