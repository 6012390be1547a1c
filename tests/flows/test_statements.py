"""What a statement does to the books: finds what callbacks missed, agrees with what came, names what it lacks."""

from __future__ import annotations

import csv
import io
import random
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.statements.tally import Tally
from revenue_engine.channels import deliveries
from revenue_engine.collection import settlements
from revenue_engine.db import transaction
from revenue_engine.errors import Retryable
from revenue_engine.ports.callbacks import Kind, Party, Purpose
from revenue_engine.ports.statements import (
    StatementEvent,
    StatementFault,
    StatementLine,
    StatementOpened,
    StatementRefused,
)
from revenue_engine.statements import importing
from tests.support.books import DAY, NOON, SHORTCODE, Books, confirmation, reversal


class Plain:
    """A statement format for tests: ``opening`` and ``closing`` rows around one row a movement, amounts in cents."""

    name = "plain"

    def sniff(self, head: bytes, filename: str) -> bool:
        return head.startswith(b"opening,")

    def read(self, stream: BinaryIO, *, filename: str = "") -> Iterator[StatementEvent]:
        tally: Tally | None = None
        for number, row in enumerate(csv.reader(io.TextIOWrapper(stream, "utf-8")), start=1):
            if row[0] == "opening":
                opened = StatementOpened("plain", row[2], "KES", int(row[1]), from_day=DAY)
                tally = Tally(opened)
                yield opened
                continue
            assert tally is not None
            if row[0] == "closing":
                yield tally.close(int(row[1]))
                continue
            if row[0] not in {"", *Kind}:
                raise StatementRefused(StatementFault.BAD_VALUE, f"{row[0]!r} is no kind", line=number)
            at = NOON + timedelta(minutes=number)
            line = StatementLine(
                number=number,
                amount_minor=int(row[2]),
                booked_on=at.date(),
                reference=row[1],
                occurrence=tally.occurrence(*row),
                kind=Kind(row[0]) if row[0] else None,
                occurred_at=at,
                account_reference=row[3],
                reverses=row[4] if len(row) > 4 else "",
                party=Party(name="Achieng", msisdn="2547*****101"),
            )
            tally.add(line)
            yield line


def statement(
    *moves: tuple[str, str, int, str] | tuple[str, str, int, str, str], opening: int = 0, account: str = SHORTCODE
) -> bytes:
    """A statement in shillings: (kind, reference, signed amount, typed[, reverses])."""
    rows = [["opening", str(opening * 100), account]]
    rows += [[move[0], move[1], str(move[2] * 100), *move[3:]] for move in moves]
    rows.append(["closing", str((opening + sum(move[2] for move in moves)) * 100)])
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


@pytest.fixture
def paybill(books: Books) -> Books:
    """A county whose worker reads statements."""
    books.readers["plain"] = Plain()
    return books


def bring(books: Books, body: bytes, *, channel: int = 1, **headers: str) -> int:
    """Bring a statement file as the API does, and let the worker read it; the delivery."""
    delivery = books.bring(body, account=channel, **headers)
    books.work()
    return delivery


def breaks(books: Books) -> list[tuple[str, int, bool]]:
    return [
        tuple(row)
        for row in books.rows(
            "SELECT reason, amount_minor / 100, closed_at IS NULL FROM break_case ORDER BY reason, amount_minor"
        )
    ]


def test_what_callbacks_missed_is_posted_to_its_bill_and_named(paybill: Books) -> None:
    told, missed = paybill.bill(300), paybill.bill(500)
    paybill.pay(300, told.pay_account_number, reference="UI00000A01")
    delivery = bring(
        paybill,
        statement(
            ("payment", "UI00000A01", 300, told.pay_account_number),
            ("payment", "UI00000A02", 500, missed.pay_account_number),
        ),
    )
    assert (paybill.left(told), paybill.left(missed)) == (0, 0)
    assert paybill.journal("UI00000A02") == ["DR 1200.mpesa-600100 CR 1300.SBP 500.00"]
    assert paybill.papers("UI00000A02") == ["receipt 2627-2"]
    assert breaks(paybill) == [("in_statement_not_received", 500, False)]
    assert paybill.states([delivery]) == ["posted"]


def test_a_callback_that_comes_after_the_statement_is_evidence_of_the_same_payment(paybill: Books) -> None:
    bill = paybill.bill(500)
    bring(paybill, statement(("payment", "UI00000B01", 500, bill.pay_account_number)))
    paybill.pay(500, bill.pay_account_number, reference="UI00000B01")
    assert paybill.journal("UI00000B01") == ["DR 1200.mpesa-600100 CR 1300.SBP 500.00"]
    assert paybill.open_breaks() == []


def test_the_same_file_again_brings_nothing(paybill: Books) -> None:
    body = statement(("payment", "UI00000C01", 200, "nobody knows"))
    bring(paybill, body)
    before = paybill.final_state()
    again = bring(paybill, body)
    assert paybill.final_state() == before
    assert paybill.rows("SELECT count(*) FROM statement") == [(1,)]
    assert paybill.states([again]) == ["ignored"]


def test_a_later_export_of_the_same_day_brings_only_what_is_new(paybill: Books) -> None:
    first = ("payment", "UI00000D01", 200, "")
    bring(paybill, statement(first))
    bring(paybill, statement(first, ("payment", "UI00000D02", 300, "")))
    assert paybill.rows("SELECT lines, new_lines FROM statement ORDER BY id") == [(1, 1), (2, 1)]
    assert paybill.rows("SELECT count(*) FROM payment") == [(2,)]


def test_charges_are_gross_and_a_payout_waits_for_the_bank(paybill: Books) -> None:
    bring(
        paybill,
        statement(
            ("payment", "UI00000E01", 1000, ""),
            ("charge", "UI00000E01", -5, ""),
            ("payout", "UI00000E09", -900, ""),
        ),
    )
    assert paybill.balances() == {"1200.mpesa-600100": 995_00, "2200": -1000_00, "5900": 5_00}
    assert ("settlement_not_banked", 900, True) in breaks(paybill)


BANK = "1100200300"


@pytest.fixture
def bank(paybill: Books) -> Books:
    """The county has a collection account at a bank too."""
    paybill.bank_channel(BANK)
    return paybill


@pytest.mark.parametrize("bank_first", [False, True])
@pytest.mark.parametrize("said", ["MPS 600100 SETTLEMENT", "FT UI00000X09 DEPOSIT"])
def test_a_settlement_is_one_movement_whichever_statement_comes_first(bank: Books, bank_first: bool, said: str) -> None:
    if bank_first and "600100" not in said:
        pytest.skip("a credit that names neither a short code nor a payout told before is a payment")
    channel = statement(("payment", "UI00000X01", 1000, ""), ("payout", "UI00000X09", -900, ""))
    at_bank = statement(("", "FT0001", 900, said), ("", "FT0002", 50, "JOHN W"), account=BANK)
    for body, number in [(at_bank, 2), (channel, 1)] if bank_first else [(channel, 1), (at_bank, 2)]:
        bring(bank, body, channel=number)
    assert bank.balances() == {
        "1100.bank-1100200300": 900_00,
        "1200.mpesa-600100": 100_00,
        "1200.mpesa-1100200300": 50_00,
        "2200": -1050_00,
    }
    assert "settlement_not_banked" not in bank.open_breaks()
    assert "banked_not_settled" not in bank.open_breaks()


def test_of_two_payouts_that_would_fit_the_older_is_the_one_that_arrived(bank: Books) -> None:
    bring(
        bank,
        statement(
            ("payment", "UI00000Y01", 1000, ""), ("payout", "UI00000Y08", -300, ""), ("payout", "UI00000Y09", -300, "")
        ),
    )
    bring(bank, statement(("", "FT0001", 300, "MPS 600100"), account=BANK), channel=2)
    assert (bank.balances()["1100.bank-1100200300"], bank.balances()["1200.mpesa-600100"]) == (300_00, 700_00)
    waiting = bank.rows("SELECT key FROM break_case WHERE reason = 'settlement_not_banked' AND closed_at IS NULL")
    assert waiting == [("settlement:1:UI00000Y09",)]


def test_a_reversal_in_the_statement_takes_the_payment_back(paybill: Books) -> None:
    bill = paybill.bill(700)
    bring(
        paybill,
        statement(
            ("payment", "UI00000F01", 700, bill.pay_account_number),
            ("reversal", "UI00000F02", -700, "", "UI00000F01"),
        ),
    )
    assert paybill.left(bill) == 700
    assert paybill.papers("UI00000F01") == ["receipt 2627-1 cancelled"]
    assert "1200.mpesa-600100" not in paybill.balances()


def test_a_reversal_told_by_both_is_one(paybill: Books) -> None:
    paybill.pay(700, "", reference="UI00000G01")
    paybill.deliver(reversal("UI00000G01", 700, own="UI00000G02"))
    bring(
        paybill,
        statement(("payment", "UI00000G01", 700, ""), ("reversal", "UI00000G02", -700, "", "UI00000G01")),
    )
    assert paybill.rows("SELECT kind, count(*) FROM payment GROUP BY 1 ORDER BY 1") == [("payment", 1), ("reversal", 1)]
    assert paybill.open_breaks() == []


def test_another_amount_than_the_message_said_is_a_break_and_overwrites_nothing(paybill: Books) -> None:
    paybill.pay(700, "", reference="UI00000H01")
    bring(paybill, statement(("payment", "UI00000H01", 600, "")))
    assert paybill.balances()["1200.mpesa-600100"] == 700_00
    assert "amount_differs_from_statement" in paybill.open_breaks()


def test_money_told_and_not_in_the_statement_is_named_until_a_statement_shows_it(paybill: Books) -> None:
    paybill.pay(400, "", reference="UI00000J01", at=NOON + timedelta(seconds=30))
    shown = ("payment", "UI00000J02", 100, "")
    bring(paybill, statement(shown, ("payment", "UI00000J03", 50, "")))
    assert ("received_not_in_statement", 400, True) in breaks(paybill)
    bring(paybill, statement(shown, ("payment", "UI00000J03", 50, ""), ("payment", "UI00000J01", 400, "")))
    assert ("received_not_in_statement", 400, False) in breaks(paybill)


def test_a_large_message_waits_until_the_statement_proves_it(paybill: Books) -> None:
    bill = paybill.bill(300_000)
    paybill.pay(300_000, bill.pay_account_number, reference="UI00000K01")
    assert paybill.open_breaks() == ["unconfirmed"]
    bring(paybill, statement(("payment", "UI00000K01", 300_000, "cut")))
    assert paybill.left(bill) == 0
    assert paybill.open_breaks() == []


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (statement(("payment", "UI00000L01", 1, "")).replace(b"closing,100", b"closing,101"), "does_not_add_up"),
        (statement(("payment", "UI00000L01", 1, ""), account="600999"), "bad_value"),
        (statement(("payment", "UI00000L01", 1, ""), ("gift", "UI00000L02", 1, "")), "bad_value"),
        (b"", "empty"),
        (b"<html>", "not_a_statement"),
    ],
)
def test_a_file_that_proves_wrong_leaves_its_reason_and_nothing_else(paybill: Books, body: bytes, fault: str) -> None:
    delivery = bring(paybill, body)
    assert paybill.rows("SELECT count(*) FROM payment") == [(0,)]
    assert paybill.rows("SELECT count(*) FROM statement_line") == [(0,)]
    ((state, reason),) = paybill.rows("SELECT state, reason FROM delivery_state WHERE delivery_id = %s", delivery)
    assert state == "ignored"
    assert reason.startswith(f"refused, {fault}:")


def test_a_line_that_makes_no_sense_waits_and_the_others_are_booked(paybill: Books) -> None:
    bring(paybill, statement(("payment", "UI00000R01", -1, ""), ("payment", "UI00000R02", 5, "")))
    assert paybill.rows("SELECT reference FROM payment") == [("UI00000R02",)]
    assert "unparseable" in paybill.open_breaks()


def test_a_reversal_that_names_nothing_waits_for_a_message_that_does(paybill: Books) -> None:
    bill = paybill.bill(700)
    paybill.pay(700, bill.pay_account_number, reference="UI00000S01")
    shown = ("payment", "UI00000S01", 700, bill.pay_account_number)
    bring(paybill, statement(shown, ("reversal", "UI00000S02", -700, "", "")))
    assert paybill.open_breaks() == ["reversal_without_payment"]
    paybill.deliver(reversal("UI00000S01", 700, own="UI00000S02"))
    paybill.work()
    assert paybill.left(bill) == 700
    assert paybill.open_breaks() == []


def test_files_of_an_account_are_read_in_the_order_they_were_brought(paybill: Books) -> None:
    first = statement(("payment", "UI00000V01", 100, ""))
    with transaction(paybill.as_role("api")) as session:
        kept = [
            deliveries.keep(
                session, channel_account_id=1, purpose=Purpose.STATEMENT, body=body, headers={"filename": "a.csv"}
            )
            for body in (first, statement(("payment", "UI00000V02", 100, ""), opening=100))
        ]
    with pytest.raises(Retryable, match=f"delivery {kept[0]}"), transaction(paybill.as_role("worker")) as session:
        importing.import_statement(session, kept[1], adapters={}, readers=paybill.readers)
    paybill.work()
    assert paybill.states(kept) == ["posted", "posted"]


def test_a_gap_between_statements_is_refused_unless_somebody_says_why(paybill: Books) -> None:
    bring(paybill, statement(("payment", "UI00000M01", 100, "")))
    paybill.execute("ALTER TABLE statement DISABLE TRIGGER refuse_change")
    paybill.execute("UPDATE statement SET first_day = first_day - 2, last_day = last_day - 2")
    paybill.execute("ALTER TABLE statement ENABLE ALWAYS TRIGGER refuse_change")
    later = statement(("payment", "UI00000M02", 100, ""), opening=150)
    delivery = bring(paybill, later)
    ((reason,),) = paybill.rows("SELECT reason FROM delivery_state WHERE delivery_id = %s", delivery)
    assert reason.startswith("refused, skipped:")
    assert "150.00" in reason
    assert "100.00" in reason
    bring(paybill, later, gap_accepted="the bank lost a day", by="finance")
    assert paybill.rows("SELECT gap_accepted FROM statement ORDER BY id DESC LIMIT 1") == [("the bank lost a day",)]


def test_a_statement_and_callbacks_in_any_order_end_the_same(new_books: object) -> None:
    import itertools
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from typing import cast

    make = cast("Callable[[], AbstractContextManager[Books]]", new_books)
    found = set()
    for order in itertools.permutations(("callback", "statement", "reversal")):
        with make() as books:
            books.readers["plain"] = Plain()
            bill = books.bill(500)
            number = bill.pay_account_number
            for what in order:
                if what == "callback":
                    books.deliver(confirmation(500, "stall", reference="UI00000N01", at=NOON))
                elif what == "reversal":
                    books.deliver(reversal("UI00000N01", 500, own="UI00000N02"))
                else:
                    bring(
                        books,
                        statement(
                            ("payment", "UI00000N01", 500, "stall"), ("reversal", "UI00000N02", -500, "", "UI00000N01")
                        ),
                    )
                books.work()
            assert books.left(bill) == 500
            assert number
            balances, bills, papers, applications, _ = books.final_state()
            found.add((balances, bills, tuple(paper[0:5] for paper in papers), applications))
    assert len(found) == 1


def test_times_are_those_of_nairobi(paybill: Books) -> None:
    bring(paybill, statement(("payment", "UI00000P01", 100, "")))
    ((at,),) = paybill.rows("SELECT occurred_at FROM payment")
    assert at == datetime.combine(DAY, NOON.timetz()) + timedelta(minutes=2)


# --- legs of a sweep ---


def test_the_legs_of_a_sweep_are_one_payout(paybill: Books) -> None:
    """From account to account of ours in the channel, then to the bank: only the last leg leaves it."""
    bring(
        paybill,
        statement(
            ("payment", "UIF0000001", 710, "nobody"),
            ("payout", "UIF00IT002", -710, ""),
            ("payout", "UIF00IT002", 710, ""),
            ("payout", "UIF00IT001", -710, ""),
            ("payout", "UIF00IT001", 710, ""),
            ("payout", "UIF00WD001", -710, ""),
        ),
    )
    assert paybill.rows("SELECT reference, amount_minor FROM evidence WHERE kind = 'payout'") == [("UIF00WD001", 71000)]
    assert [one for one in breaks(paybill) if one[0] in {"settlement_not_banked", "duplicate_code"}] == [
        ("settlement_not_banked", 710, True)
    ]
    assert paybill.rows("SELECT count(*) FROM statement_line") == [(6,)]


@pytest.mark.parametrize("turned", [False, True])
def test_legs_that_bear_one_receipt_leave_the_receipt_itself(paybill: Books, turned: bool) -> None:
    legs = [("payout", "UIF0000009", amount, "") for amount in (-500, 500, -500, 500, -500)]
    bring(paybill, statement(("payment", "UIF0000001", 500, "nobody"), *(legs[::-1] if turned else legs)))
    assert paybill.rows("SELECT reference, amount_minor FROM evidence WHERE kind = 'payout'") == [("UIF0000009", 50000)]
    assert [one[:2] for one in breaks(paybill) if one[0] in {"settlement_not_banked", "duplicate_code"}] == [
        ("settlement_not_banked", 500)
    ]


def test_two_equal_payouts_are_two(paybill: Books) -> None:
    """What no leg takes back left the channel, also where the provider repeats a receipt."""
    bring(
        paybill,
        statement(
            ("payment", "UIF0000001", 1000, "nobody"),
            ("payout", "UIF0000009", -500, ""),
            ("payout", "UIF0000009", -500, ""),
        ),
    )
    assert paybill.rows("SELECT sum(amount_minor)::bigint FROM evidence WHERE kind = 'payout'") == [(100000,)]
    assert breaks(paybill).count(("settlement_not_banked", 500, True)) == 2


@settings(max_examples=60, deadline=None)
@given(
    sweeps=st.lists(st.tuples(st.integers(1, 9), st.integers(0, 3)), min_size=1, max_size=5),
    order=st.randoms(use_true_random=False),
)
def test_what_is_left_of_legs_is_what_they_come_to(sweeps: list[tuple[int, int]], order: random.Random) -> None:
    """Whatever the order of the rows, the payouts that are left come to the net of all legs, receipt by receipt."""
    lines = []
    for at, (amount, between) in enumerate(sweeps):
        for sign in [-1] + [1, -1] * between:
            line = StatementLine(0, sign * amount * 100, DAY, f"UIF000000{at}", kind=Kind.PAYOUT)
            lines.append(line)
    order.shuffle(lines)
    lines = [line._replace(number=number) for number, line in enumerate(lines, start=1)]
    seen: Counter[str] = Counter()
    named = []
    for line in lines:
        seen[line.reference] += line.amount_minor < 0
        again = line.amount_minor < 0 and seen[line.reference] > 1
        named.append((line, f"{line.reference}/{seen[line.reference]}" if again else line.reference))
    legs = settlements.between_our_accounts(named)
    left = [(line, name) for line, name in named if line.number not in legs.moved_nothing]
    assert {name: line.amount_minor for line, name in left} == {
        f"UIF000000{at}": -amount * 100 for at, (amount, _) in enumerate(sweeps)
    }
