"""Three ways, day by day, as an accountant adds them up: the books, the provider and the bank."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from typing import BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.orm import Session

from adapters.statements.tally import Tally
from reconciliation.days import settlement_parts
from reconciliation.days.settlement_parts import taken_apart
from reconciliation.days.three_ways import Bucket, ThreeWays, band, laid, three_ways
from revenue_engine import db, ledger
from revenue_engine.errors import NotFound
from revenue_engine.ledger import postings
from revenue_engine.payments import Move
from revenue_engine.periods import NAIROBI
from revenue_engine.ports.callbacks import Kind, Party
from revenue_engine.ports.statements import StatementEvent, StatementLine, StatementOpened
from revenue_engine.verification.side_by_side import Moved, PaidOut
from tests.support import closing
from tests.support.books import DAY, NOON, SHORTCODE, Books, reversal

BANK = "1100200300"
FRIDAY, SATURDAY, MONDAY = date(2026, 9, 18), date(2026, 9, 19), date(2026, 9, 21)


class Dated:
    """A statement format for tests: ``opening`` and ``closing`` rows around one row a movement, each with its day."""

    name = "dated"

    def sniff(self, head: bytes, filename: str) -> bool:
        return head.startswith(b"opening,")

    def read(self, stream: BinaryIO, *, filename: str = "") -> Iterator[StatementEvent]:
        tally: Tally | None = None
        for number, row in enumerate(csv.reader(io.TextIOWrapper(stream, "utf-8")), start=1):
            if row[0] == "opening":
                opened = StatementOpened("dated", row[2], "KES", int(row[1]), from_day=date.fromisoformat(row[3]))
                tally = Tally(opened)
                yield opened
                continue
            assert tally is not None
            if row[0] == "closing":
                yield tally.close(int(row[1]))
                continue
            day = date.fromisoformat(row[4])
            line = StatementLine(
                number=number,
                amount_minor=int(row[2]),
                booked_on=day,
                reference=row[1],
                occurrence=tally.occurrence(*row),
                kind=Kind(row[0]) if row[0] else None,
                occurred_at=datetime.combine(day, time(12), NAIROBI) + timedelta(minutes=number),
                account_reference=row[3],
                reverses=row[5] if len(row) > 5 else "",
                code=row[6] if len(row) > 6 else "",
                party=Party(name="Achieng", msisdn="2547*****101"),
            )
            tally.add(line)
            yield line


def statement(*moves: tuple[str, ...] | tuple[object, ...], opening: int = 0, account: str = SHORTCODE) -> bytes:
    """A statement in shillings: (kind, reference, signed amount, typed, day[, reverses, code])."""
    rows: list[list[object]] = [["opening", opening * 100, account, moves[0][4]]]
    rows += [[move[0], move[1], int(str(move[2])) * 100, *move[3:]] for move in moves]
    rows.append(["closing", (opening + sum(int(str(move[2])) for move in moves)) * 100])
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue().encode()


@pytest.fixture
def bank(books: Books) -> Books:
    """A county with a paybill, and a collection account at a bank that the paybill pays out to."""
    books.readers["dated"] = Dated()
    books.bank_channel(BANK)
    return books


def bring(books: Books, body: bytes, *, channel: int = 1) -> None:
    books.bring(body, account=channel)
    books.work()


def laid_on(books: Books, day: date, channel: str = SHORTCODE) -> ThreeWays:
    """The three ways of one account on a day, which must tie."""
    with db.transaction(books.as_role("report")) as session:
        (found,) = three_ways(session, day, channel=channel)
    assert found.ties, (found.unexplained_minor, found.untold_minor, found.rolls)
    return found


def waiting(found: ThreeWays) -> list[tuple[str, str, int, int]]:
    """What waits: bucket, reference, shillings, age in days."""
    return [(item.bucket.value, item.reference, item.amount_minor // 100, item.age_days) for item in found.items]


def rolled(found: ThreeWays, bucket: Bucket) -> tuple[int, int, int, int]:
    """Opening, new, cleared and closing of a bucket, in shillings."""
    roll = found.rolls[bucket]
    return tuple(minor // 100 for minor in (roll.opening_minor, roll.new_minor, roll.cleared_minor, roll.closing_minor))  # type: ignore[return-value]


def test_a_weekend_between_the_payout_and_the_bank(bank: Books) -> None:
    """Paid on Friday and Saturday, paid out on Saturday, credited on Monday: nothing is lost between the days."""
    at = {day: datetime.combine(day, time(11), NAIROBI) for day in (FRIDAY, SATURDAY)}
    bank.pay(1000, "who", reference="UI00000K01", at=at[FRIDAY])
    bank.pay(500, "who", reference="UI00000K02", at=at[SATURDAY])
    bring(
        bank,
        statement(
            ("payment", "UI00000K01", 1000, "who", FRIDAY),
            ("charge", "UI00000K03", -10, "", FRIDAY),
            ("payment", "UI00000K02", 500, "who", SATURDAY),
            ("payout", "UI00000K09", -1490, "", SATURDAY),
        ),
    )
    bring(bank, statement(("", "FT0001", 1490, "MPS 600100 SETTLEMENT", MONDAY), account=BANK), channel=2)
    friday, saturday, sunday, monday = (laid_on(bank, FRIDAY + timedelta(days=n)) for n in range(4))

    # Friday: A = B, gross 1,000, fee 10, net 990; the provider holds 990 and nothing waits
    for side in (friday.books, friday.provider):
        assert (side.gross_minor, side.fees_minor, side.net_minor) == (1000_00, 10_00, 990_00)
    assert (friday.clearing_minor, friday.held_minor, waiting(friday)) == (990_00, 990_00, [])
    # Saturday: 1,490 left the provider and is on its way
    assert (saturday.paid_out_minor, saturday.banked_minor) == (1490_00, 0)
    assert (saturday.clearing_minor, saturday.held_minor) == (1490_00, 0)
    assert waiting(saturday) == [("paid_out_not_banked", "UI00000K09", 1490, 0)]
    assert rolled(saturday, Bucket.IN_TRANSIT) == (0, 1490, 0, 1490)
    # Sunday: the same item, a day older
    assert waiting(sunday) == [("paid_out_not_banked", "UI00000K09", 1490, 1)]
    assert rolled(sunday, Bucket.IN_TRANSIT) == (1490, 0, 0, 1490)
    # Monday: the bank shows it, clearing is at nothing
    assert (monday.banked_minor, monday.clearing_minor, waiting(monday)) == (1490_00, 0, [])
    assert rolled(monday, Bucket.IN_TRANSIT) == (1490, 0, 1490, 0)
    # and at the bank itself books and statement agree
    at_bank = laid_on(bank, MONDAY, BANK)
    assert (at_bank.bank, at_bank.clearing_minor, at_bank.held_minor, waiting(at_bank)) == (True, 1490_00, 1490_00, [])


def test_a_settlement_over_a_weekend_is_taken_apart_to_its_payments(bank: Books) -> None:
    bring(
        bank,
        statement(
            ("payment", "UI00000L01", 1000, "who", FRIDAY),
            ("charge", "UI00000L02", -10, "", FRIDAY),
            ("payment", "UI00000L03", 500, "who", SATURDAY),
            ("payout", "UI00000L08", -1200, "", SATURDAY),
            ("payment", "UI00000L04", 200, "who", MONDAY),
            ("payout", "UI00000L09", -490, "", MONDAY),
        ),
    )
    with db.transaction(bank.as_role("report")) as session:
        first = settlement_parts.settlement(session, "ui00000l08")
        last = settlement_parts.settlement(session, "UI00000L09", channel=SHORTCODE)
        with pytest.raises(NotFound, match="UI00000L77"):
            settlement_parts.settlement(session, "UI00000L77")
    # 1,200 = 1,000 whole - 10 charged + 210 of the 500
    assert [(p.reference, p.amount_minor // 100, p.whole) for p in first.parts] == [
        ("UI00000L01", 1000, True),
        ("UI00000L02", -10, True),
        ("UI00000L03", 210, False),
    ]
    assert (first.gross_minor, first.fees_minor, first.unknown_minor, first.left_minor) == (1210_00, 10_00, 0, 290_00)
    # 490 = the other 290 of it + 200: the account is empty
    assert [(p.reference, p.amount_minor // 100, p.whole) for p in last.parts] == [
        ("UI00000L03", 290, False),
        ("UI00000L04", 200, True),
    ]
    assert last.left_minor == 0
    assert last.first_at.date() == SATURDAY


def test_what_only_one_side_has_waits_with_its_age_until_the_other_has_it(bank: Books) -> None:
    bank.pay(300, "who", reference="UI00000M01", at=datetime.combine(FRIDAY, time(11), NAIROBI))
    assert waiting(laid_on(bank, FRIDAY)) == [("in_books_not_in_statement", "UI00000M01", 300, 0)]
    assert waiting(laid_on(bank, MONDAY)) == [("in_books_not_in_statement", "UI00000M01", 300, 3)]
    # the provider books it on Saturday, as its clock has it
    bring(bank, statement(("payment", "UI00000M01", 300, "who", SATURDAY)))
    assert rolled(laid_on(bank, FRIDAY), Bucket.BOOKS_ONLY) == (0, 300, 0, 300)
    assert rolled(laid_on(bank, SATURDAY), Bucket.BOOKS_ONLY) == (300, 0, 300, 0)
    assert waiting(laid_on(bank, MONDAY)) == []


@pytest.mark.parametrize(("typed", "code"), [("MPS 600100 SETTLEMENT", "600100"), ("MPS 600100 SETTLEMENT", "")])
def test_a_bank_that_shows_it_before_the_provider_tells_it(bank: Books, typed: str, code: str) -> None:
    bring(bank, statement(("payment", "UI00000N01", 900, "who", FRIDAY)))
    bring(bank, statement(("", "FT0002", 900, typed, FRIDAY, "", code), account=BANK), channel=2)
    found = laid_on(bank, FRIDAY)
    if code:  # a field that only the bank writes names the channel: settled before it was told
        assert (found.banked_minor, waiting(found)) == (900_00, [("banked_not_paid_out", "FT0002", 900, 0)])
    else:  # a payer may write that too: the credit is held at the bank as a payment, and clearing is whole
        assert (found.banked_minor, found.clearing_minor, waiting(found)) == (0, 900_00, [])
    assert waiting(laid_on(bank, FRIDAY, BANK)) == []
    bring(bank, statement(("payout", "UI00000N09", -900, "", SATURDAY), opening=900))
    assert waiting(laid_on(bank, FRIDAY)) == [("banked_not_paid_out", "FT0002", 900, 0)]
    after = laid_on(bank, SATURDAY)
    assert (after.clearing_minor, after.held_minor, waiting(after)) == (0, 0, [])
    assert rolled(after, Bucket.BANK_ONLY) == (900, 0, 900, 0)
    assert (laid_on(bank, SATURDAY, BANK).clearing_minor, waiting(laid_on(bank, SATURDAY, BANK))) == (900_00, [])


def test_a_reversal_before_and_after_the_settlement(bank: Books) -> None:
    bank.pay(700, "who", reference="UI00000P01", at=datetime.combine(FRIDAY, time(10), NAIROBI))
    bank.pay(400, "who", reference="UI00000P02", at=datetime.combine(FRIDAY, time(10), NAIROBI))
    for of, shillings, own, day in (
        ("UI00000P01", 700, "UI00000P03", FRIDAY),
        ("UI00000P02", 400, "UI00000P04", MONDAY),
    ):
        bank.deliver(reversal(of, shillings, own=own, at=datetime.combine(day, time(13), NAIROBI)))
        bank.work()
    bring(
        bank,
        statement(
            ("payment", "UI00000P01", 700, "who", FRIDAY),
            ("payment", "UI00000P02", 400, "who", FRIDAY),
            ("reversal", "UI00000P03", -700, "", FRIDAY, "UI00000P01"),
            ("payout", "UI00000P08", -400, "", SATURDAY),
            ("reversal", "UI00000P04", -400, "", MONDAY, "UI00000P02"),
        ),
    )
    friday, monday = laid_on(bank, FRIDAY), laid_on(bank, MONDAY)
    assert (friday.books.paid_minor, friday.books.reversed_minor, friday.books.gross_minor) == (1100_00, 700_00, 400_00)
    assert friday.provider.gross_minor == 400_00
    assert monday.books.gross_minor == monday.provider.gross_minor == -400_00
    # the reversal after the settlement leaves the provider owed: it is there, by name, and not netted away
    assert (monday.clearing_minor, monday.held_minor) == (0, -400_00)
    assert waiting(monday) == [("paid_out_not_banked", "UI00000P08", 400, 2)]


def test_an_amount_that_differs_is_an_item_until_the_difference_is_booked(bank: Books) -> None:
    """The message said 100 and the statement proves 150: the other 50 are booked too, and books and provider agree."""
    bank.pay(100, "who", reference="UI00000Q01", at=NOON)
    bring(bank, statement(("payment", "UI00000Q01", 150, "who", DAY)))
    more = laid_on(bank, DAY)
    assert (more.books.paid_minor, more.provider.paid_minor, waiting(more)) == (150_00, 150_00, [])
    # the statement shows less than was told: nothing is moved, and the difference waits by name
    bank.pay(80, "who", reference="UI00000Q02", at=NOON)
    bring(bank, statement(("payment", "UI00000Q02", 60, "who", DAY + timedelta(days=1)), opening=150))
    assert waiting(laid_on(bank, DAY + timedelta(days=1))) == [("amounts_differ", "UI00000Q02", 20, 1)]


def test_what_was_there_before_the_books_is_named(bank: Books) -> None:
    bring(bank, statement(("payment", "UI00000R01", 100, "who", DAY), opening=2500))
    assert waiting(laid_on(bank, DAY)) == [("in_statement_not_in_books", "before the books", 2500, 0)]


def test_what_a_closed_day_shows_never_changes(bank: Books) -> None:
    closing.without_controls(bank)
    bank.pay(300, "who", reference="UI00000S01", at=NOON)
    before = laid_on(bank, DAY)
    assert waiting(before) == [("in_books_not_in_statement", "UI00000S01", 300, 0)]
    closing.close(bank, DAY)
    bring(bank, statement(("payment", "UI00000S01", 300, "who", DAY), ("payment", "UI00000S02", 40, "who", DAY)))
    again = laid_on(bank, DAY)
    assert (waiting(again), again.rolls, again.provider) == (waiting(before), before.rolls, before.provider)
    # the line counts on the first day that was open when it came
    next_day = laid_on(bank, DAY + timedelta(days=1))
    assert rolled(next_day, Bucket.BOOKS_ONLY) == (300, 0, 300, 0)
    assert (next_day.provider.paid_minor, next_day.books.paid_minor) == (340_00, 40_00)


def test_an_account_that_nobody_knows_is_refused_with_the_list(bank: Books) -> None:
    with db.transaction(bank.as_role("report")) as session, pytest.raises(NotFound, match="mpesa 600100"):
        three_ways(session, DAY, channel="999999")
    assert laid_on(bank, DAY, f"mpesa {SHORTCODE}").label == "mpesa 600100"


# --- the pure parts ---------------------------------------------------------------------------------------------------

_KINDS = st.sampled_from(["payment", "reversal", "charge", "payout"])
_MOVES = st.lists(st.tuples(_KINDS, st.integers(1, 500), st.integers(0, 3)), max_size=30)


@settings(max_examples=300, deadline=None)
@given(moves=_MOVES)
def test_every_cent_of_a_movement_is_in_one_settlement_at_most(moves: list[tuple[str, int, int]]) -> None:
    told, at = [], NOON
    for number, (kind, minor, hours) in enumerate(moves):
        at += timedelta(hours=hours)
        told.append(Move(kind, f"R{number}", at, minor if kind in {"payment", "payout"} else -minor))
    found = taken_apart(told)
    assert [one.reference for one in found] == [move.reference for move in told if move.kind == "payout"]
    of = {move.reference: move for move in told}
    taken: dict[str, int] = {}
    for one in found:
        assert sum(part.amount_minor for part in one.parts) + one.unknown_minor == one.amount_minor
        assert one.gross_minor - one.fees_minor + one.unknown_minor == one.amount_minor
        assert one.unknown_minor >= 0
        assert not (one.unknown_minor and one.left_minor), "money is left and the payout is not filled"
        for part in one.parts:
            assert part.occurred_at <= one.occurred_at
            assert part.whole == (part.amount_minor == of[part.reference].amount_minor)
            taken[part.reference] = taken.get(part.reference, 0) + part.amount_minor
    for reference, minor in taken.items():
        whole = of[reference].amount_minor
        assert 0 < minor <= whole or minor == whole < 0
    # what is in no settlement is what the provider holds, less what was never known
    held = sum(move.amount_minor if move.kind != "payout" else -move.amount_minor for move in told)
    rest = sum(move.amount_minor for move in told if move.kind != "payout") - sum(taken.values())
    assert held == rest - sum(one.unknown_minor for one in found)


_DAYS = st.one_of(st.none(), st.integers(0, 4))


@settings(max_examples=300, deadline=None)
@given(
    movements=st.lists(st.tuples(st.integers(1, 90), _DAYS, st.integers(0, 90), _DAYS), max_size=12),
    payouts=st.lists(st.tuples(st.integers(1, 90), _DAYS, _DAYS), max_size=6),
)
def test_the_opening_of_a_day_is_the_closing_of_the_day_before(
    movements: list[tuple[int, int | None, int, int | None]], payouts: list[tuple[int, int | None, int | None]]
) -> None:
    """Over five days, whichever side has what and when: buckets roll on, and what waits explains clearing."""
    days = []
    for number in range(5):
        on = DAY + timedelta(days=number)
        made = ThreeWays(1, "mpesa 600100", "", on, bank=False, covered=True)
        rows = []
        for place, (books, books_on, provider, provider_on) in enumerate(movements):
            known = [day for day in (books_on, provider_on) if day is not None and day <= number]
            if known:
                a = [books if books_on is not None and low <= books_on < high else 0 for low, high in _halves(number)]
                b = [
                    provider if provider_on is not None and low <= provider_on < high else 0
                    for low, high in _halves(number)
                ]
                rows.append(Moved("payment", f"P{place}", *a, *b, DAY + timedelta(days=min(known))))
        outs = [
            PaidOut(f"O{place}", f"FT{place}", minor, *(_day(day, number) for day in (paid, banked)))
            for place, (minor, paid, banked) in enumerate(payouts)
            if any(day is not None and day <= number for day in (paid, banked))
        ]
        laid(made, rows, outs)
        made.held_minor = sum(m[2] for m in movements if m[3] is not None and m[3] <= number)
        made.held_minor -= sum(minor for minor, paid, _ in payouts if paid is not None and paid <= number)
        made.clearing_minor = sum(m[0] for m in movements if m[1] is not None and m[1] <= number)
        made.clearing_minor -= sum(minor for minor, _, banked in payouts if banked is not None and banked <= number)
        assert made.ties, (made.unexplained_minor, made.rolls)
        days.append(made)
    for yesterday, today in pairwise(days):
        for bucket in Bucket:
            old, new = yesterday.rolls[bucket], today.rolls[bucket]
            assert (old.closing, old.closing_minor) == (new.opening, new.opening_minor)


def _halves(number: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Before the day, and the day."""
    return (0, number), (number, number + 1)


def _day(day: int | None, number: int) -> date | None:
    return DAY + timedelta(days=day) if day is not None and day <= number else None


def test_ages_are_in_the_bands_of_the_daily_reconciliation() -> None:
    assert [band(days) for days in (0, 1, 2, 3, 4, 7, 8, 30, 31, 400)] == [
        *("0-1", "0-1", "2-3", "2-3", "4-7", "4-7", "8-30", "8-30", "over 30", "over 30"),
    ]


def test_the_close_names_a_foot_that_its_lines_do_not_make(bank: Books) -> None:
    """A statement between two is missing: the day of the second is closed with that, named, until the file comes."""
    bring(bank, statement(("payment", "UI00000F01", 1000, "who", FRIDAY)))
    later = statement(("payment", "UI00000F03", 10, "who", MONDAY), opening=1500)
    bank.bring(later, account=1, gap_accepted="the file of Saturday was lost", by="finance")
    bank.work()

    def feet(day: date) -> list[tuple[str, int]]:
        asked = "SELECT item, amount_minor FROM open_items('statement_foot', %s, %s, '0'::xid8, '999999999'::xid8)"
        return [(item, minor) for item, minor in bank.rows(asked, day, day)]

    assert feet(FRIDAY) == []
    assert feet(MONDAY) == [(f"statement of mpesa {SHORTCODE} to {MONDAY}", 500_00)]
    bring(bank, statement(("payment", "UI00000F02", 500, "who", SATURDAY), opening=1000))
    assert feet(MONDAY) == []


def test_two_equal_payouts_keep_their_own_credits_and_the_bank_is_expected_the_next_working_day(bank: Books) -> None:
    bring(
        bank,
        statement(
            ("payment", "UI00000E01", 2000, "who", FRIDAY),
            ("payout", "UI00000E08", -1000, "", FRIDAY),
            ("payout", "UI00000E09", -1000, "", FRIDAY),
        ),
    )
    # The bank names the second one: the first waits, and is late from Tuesday on
    bring(bank, statement(("", "FT0009", 1000, "MPS UI00000E09", MONDAY), account=BANK), channel=2)
    (item,) = laid_on(bank, MONDAY).items
    assert (item.reference, item.expected_on) == ("UI00000E08", MONDAY)
    assert bank.rows("SELECT bank_reference, payout_reference, amount_minor FROM settlement_payout") == [
        ("FT0009", "UI00000E09", 1000_00)
    ]


def test_the_credit_that_came_before_its_payout_is_recorded_as_that_payout(bank: Books) -> None:
    bring(
        bank,
        statement(("", "FT0001", 990, "MPS 600100 SETTLEMENT", MONDAY, "", SHORTCODE), account=BANK),
        channel=2,
    )
    bring(
        bank,
        statement(("payment", "UI00000G01", 990, "who", SATURDAY), ("payout", "UI00000G09", -990, "", SATURDAY)),
    )
    assert bank.rows("SELECT bank_reference, payout_reference FROM settlement_payout") == [("FT0001", "UI00000G09")]


def test_a_journal_that_three_ways_do_not_know_holds_the_close(bank: Books) -> None:
    ((account,),) = bank.rows("SELECT account FROM bank_account WHERE channel_account_id = 2")
    with Session(bank.engine) as session:  # and the books stay as they were
        ledger.post(session, postings.bank_charged(5_00, bank=account, at=NOON), key="by:hand")
        found = session.execute(
            text("SELECT item, amount_minor FROM open_items('bank_book', :day, :day, '0'::xid8, '999999999'::xid8)"),
            {"day": DAY},
        ).all()
    assert [tuple(row) for row in found] == [("journal by:hand", -5_00)]
