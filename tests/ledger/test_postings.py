"""Every business fact of the county, and which account pays which: the accountant's table, row by row."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revenue_engine.errors import InvalidValue
from revenue_engine.ledger import postings as facts
from revenue_engine.ledger.journal import Journal, Posting
from revenue_engine.ledger.postings import Bill, Placed
from tests.support.accountant import ACCOUNTS, NOON, lines, postings_of

PERMIT = Bill(invoice_id=71, stream_code="SBP", station_code=None, payer_id=5)
OTHER_PERMIT = Bill(invoice_id=72, stream_code="SBP", payer_id=6)
STALL = Bill(invoice_id=81, stream_code="RENT", station_code="KOROBAR", payer_id=8)
PAID = {"payment_id": 9, "channel_account_id": 1, "clearing": "1200.mpesa-600100", "at": NOON}

Row = tuple[str, Callable[[], Journal], str, list[str]]

TABLE: list[Row] = [
    (
        "Invoice issued",
        lambda: facts.invoice_issued(PERMIT, {"principal": 300_000, "penalty": 0, "arrears": 50_000}, at=NOON),
        "invoice_issued",
        ["DR 1300.SBP CR 4000.SBP.principal 3000.00", "DR 1300.SBP CR 4000.SBP.arrears 500.00"],
    ),
    (
        "Penalty run",
        lambda: facts.penalty_charged(PERMIT, component="penalty", amount_minor=15_000, at=NOON),
        "invoice_issued",
        ["DR 1300.SBP CR 4000.SBP.penalty 150.00"],
    ),
    (
        "Interest run",
        lambda: facts.penalty_charged(PERMIT, component="interest", amount_minor=1, at=NOON),
        "invoice_issued",
        ["DR 1300.SBP CR 4000.SBP.interest 0.01"],
    ),
    (
        "Payment confirmed, matched",
        lambda: facts.payment_received([Placed(300_000, PERMIT)], **PAID),
        "payment_received",
        ["DR 1200.mpesa-600100 CR 1300.SBP 3000.00"],
    ),
    (
        "Payment confirmed, not matched",
        lambda: facts.payment_received([Placed(5_000, stream_code="TRAILER", station_code="MALABA")], **PAID),
        "payment_received",
        ["DR 1200.mpesa-600100 CR 2200 50.00"],
    ),
    (
        "Money of the Fund pays a facility's bill, by two persons",
        lambda: facts.paid_between_entities(
            [Placed(4_000, STALL)], held_in="2200", payment_id=9, at=NOON, reason="paid to the county's pay bill"
        ),
        "paid_between_entities",
        ["DR 2200 CR 1300.RENT 40.00", "DR 1480 CR 2480 40.00"],
    ),
    (
        "The holder's bank shows that the money left",
        lambda: facts.entity_paid(4_000, bank="1100.KCB", payment_id=9, at=NOON),
        "entity_paid",
        ["DR 2480 CR 1100.KCB 40.00"],
    ),
    (
        "The destination's bank shows that the money came",
        lambda: facts.entity_received(4_000, bank="1100.FIF", payment_id=9, at=NOON),
        "entity_received",
        ["DR 1100.FIF CR 1480 40.00"],
    ),
    (
        "Opening balance of a bank account",
        lambda: facts.opening_balance("1100.KCB", 70_000, at=NOON, reason="certificate of balance"),
        "opening_balance",
        ["DR 1100.KCB CR 3000 700.00"],
    ),
    (
        "Opening balance of payers' credit",
        lambda: facts.opening_balance("2100", 900, at=NOON, reason="list of prepayments", owed=True),
        "opening_balance",
        ["DR 3000 CR 2100 9.00"],
    ),
    (
        "Suspense identified",
        lambda: facts.suspense_identified(
            [Placed(4_000, STALL), Placed(1_000, payer_id=8)],
            payment_id=9,
            stream_code="RENT",
            station_code="KOROBAR",
            at=NOON,
        ),
        "suspense_identified",
        ["DR 2200 CR 1300.RENT 40.00", "DR 2200 CR 2100 10.00"],
    ),
    (
        "Placing taken back",
        lambda: facts.placing_taken_back(
            [Placed(4_000, STALL), Placed(1_000, payer_id=8)], payment_id=9, at=NOON, reason="the neighbour's number"
        ),
        "placing_taken_back",
        ["DR 1300.RENT CR 2200 40.00", "DR 2100 CR 2200 10.00"],
    ),
    (
        "Overpayment",
        lambda: facts.payment_received([Placed(300_000, PERMIT), Placed(20_000, payer_id=5)], **PAID),
        "payment_received",
        ["DR 1200.mpesa-600100 CR 1300.SBP 3000.00", "DR 1200.mpesa-600100 CR 2100 200.00"],
    ),
    (
        "Overpayment pays the next bill",
        lambda: facts.credit_applied(STALL, 20_000, payment_id=9, at=NOON),
        "credit_applied",
        ["DR 2100 CR 1300.RENT 200.00"],
    ),
    (
        "Settlement seen on bank line",
        lambda: facts.settled(
            995_000, 5_000, bank="1100.KCB", clearing="1200.mpesa-600100", channel_account_id=1, at=NOON
        ),
        "settled",
        ["DR 1100.KCB CR 1200.mpesa-600100 9950.00", "DR 5900 CR 1200.mpesa-600100 50.00"],
    ),
    (
        "Settlement without a fee",
        lambda: facts.settled(995_000, 0, bank="1100.KCB", clearing="1200.mpesa-600100", channel_account_id=1, at=NOON),
        "settled",
        ["DR 1100.KCB CR 1200.mpesa-600100 9950.00"],
    ),
    (
        "Bank charge direct",
        lambda: facts.bank_charged(12_000, bank="1100.KCB", at=NOON),
        "bank_charged",
        ["DR 5900 CR 1100.KCB 120.00"],
    ),
    (
        "what a channel takes out of what it holds, by its statement",
        lambda: facts.channel_charged(500, clearing="1200.4", channel_account_id=4, at=NOON),
        "channel_charged",
        ["DR 5900 CR 1200.4 5.00"],
    ),
    (
        "Reversal by provider, of a bill's money",
        lambda: facts.payment_reversed([Placed(300_000, PERMIT)], **PAID),
        "payment_reversed",
        ["DR 1300.SBP CR 1200.mpesa-600100 3000.00"],
    ),
    (
        "Reversal by provider, of suspense",
        lambda: facts.payment_reversed([Placed(5_000)], **PAID),
        "payment_reversed",
        ["DR 2200 CR 1200.mpesa-600100 50.00"],
    ),
    (
        "Sweep leaves collection account",
        lambda: facts.swept(900_000, bank="1100.KCB", at=NOON),
        "swept",
        ["DR 1050 CR 1100.KCB 9000.00"],
    ),
    (
        "CRF credit seen at CBK",
        lambda: facts.crf_credited(900_000, at=NOON),
        "crf_credited",
        ["DR 1000 CR 1050 9000.00"],
    ),
    (
        "Waiver",
        lambda: facts.forgiven(PERMIT, 10_000, kind="waiver", at=NOON, reason="gazette 12"),
        "waiver_granted",
        ["DR 4800 CR 1300.SBP 100.00"],
    ),
    (
        "Discount",
        lambda: facts.forgiven(PERMIT, 10_000, kind="discount", at=NOON, reason="paid early"),
        "discount_granted",
        ["DR 4810 CR 1300.SBP 100.00"],
    ),
    (
        "Exemption",
        lambda: facts.forgiven(PERMIT, 10_000, kind="exemption", at=NOON, reason="school"),
        "exemption_granted",
        ["DR 4820 CR 1300.SBP 100.00"],
    ),
    (
        "Adjustment",
        lambda: facts.forgiven(PERMIT, 10_000, kind="adjustment", at=NOON, reason="wrong zone"),
        "adjustment_granted",
        ["DR 4830 CR 1300.SBP 100.00"],
    ),
    (
        "Write-off keeps a memorandum",
        lambda: facts.written_off(PERMIT, 10_000, at=NOON, reason="closed in 2019"),
        "written_off",
        ["DR 4890 CR 1300.SBP 100.00", "DR 9100 CR 9000 100.00"],
    ),
    (
        "Refund approved, of credit",
        lambda: facts.refund_approved(7_000, payer_id=5, payment_id=9, at=NOON, reason="paid twice"),
        "refund_approved",
        ["DR 2100 CR 2300 70.00"],
    ),
    (
        "Refund approved, of revenue",
        lambda: facts.refund_approved(
            7_000, payer_id=5, payment_id=9, at=NOON, reason="court", revenue_account="4000.SBP.principal"
        ),
        "refund_approved",
        ["DR 4000.SBP.principal CR 2300 70.00"],
    ),
    (
        "Refund paid by voucher from the Fund",
        lambda: facts.refund_paid(7_000, payer_id=5, payment_id=9, at=NOON),
        "refund_paid",
        ["DR 2300 CR 1000 70.00"],
    ),
    (
        "PPP receipt: the concessionaire's share",
        lambda: facts.concession_shared(STALL, "principal", 7_000, payment_id=9, at=NOON),
        "concession_shared",
        ["DR 4870 CR 2500 70.00"],
    ),
    (
        "PPP share paid out",
        lambda: facts.share_paid(7_000, due_to="2500", bank="1100.KCB", at=NOON),
        "share_paid",
        ["DR 2500 CR 1100.KCB 70.00"],
    ),
    (
        "FIF receipt: retained by the facility",
        lambda: facts.facility_retained(STALL, "principal", 7_000, payment_id=9, at=NOON),
        "facility_retained",
        ["DR 4860 CR 2600 70.00"],
    ),
    (
        "FIF bill handed to the insurer",
        lambda: facts.insurer_billed(STALL, 7_000, at=NOON),
        "insurer_billed",
        ["DR 1390 CR 1300.RENT 70.00"],
    ),
    (
        "FIF receipt from the insurer",
        lambda: facts.insurer_paid(7_000, **PAID),
        "insurer_paid",
        ["DR 1200.mpesa-600100 CR 1390 70.00"],
    ),
    (
        "Invoice cancelled",
        lambda: facts.invoice_cancelled(PERMIT, {"principal": 300_000, "costs": 0}, at=NOON, reason="issued twice"),
        "invoice_cancelled",
        ["DR 4000.SBP.principal CR 1300.SBP 3000.00"],
    ),
    (
        "Invoice of an earlier year: credit note",
        lambda: facts.credit_noted(PERMIT, {"principal": 300_000, "penalty": 100}, at=NOON, reason="wrong person"),
        "credit_noted",
        ["DR 4830 CR 1300.SBP 3001.00"],
    ),
    (
        "Money that is not the county's",
        lambda: facts.misdirected(5_000, payment_id=9, at=NOON, reason="for another county"),
        "misdirected",
        ["DR 2200 CR 2210 50.00"],
    ),
    (
        "Money that is not the county's goes back",
        lambda: facts.misdirected_returned(5_000, payment_id=9, bank="1100.KCB", at=NOON),
        "misdirected_returned",
        ["DR 2210 CR 1100.KCB 50.00"],
    ),
    (
        "Cash exception taken by a collector",
        lambda: facts.collector_received(STALL, 5_000, at=NOON, reason="network down"),
        "collector_received",
        ["DR 1400 CR 1300.RENT 50.00"],
    ),
    (
        "Cash exception banked",
        lambda: facts.collector_banked(5_000, bank="1100.KCB", at=NOON),
        "collector_banked",
        ["DR 1100.KCB CR 1400 50.00"],
    ),
]


@pytest.mark.parametrize(("row", "made", "kind", "expected"), TABLE, ids=[row[0] for row in TABLE])
def test_the_table_of_postings(row: str, made: Callable[[], Journal], kind: str, expected: list[str]) -> None:
    journal = made()
    assert lines(journal.postings) == expected
    assert journal.kind == kind
    assert journal.occurred_at == NOON


def test_every_function_of_the_page_has_a_row() -> None:
    # Given every public function of the page that answers a journal
    public = {name for name, made in vars(facts).items() if callable(made) and not name.startswith("_")}
    public -= {"Bill", "Placed", "Journal", "Posting", "InvalidValue", "Iterable", "Mapping", "dataclass", "datetime"}
    # Then the table above, or the test of transfers, names it
    named = {name for _, made, _, _ in TABLE for name in made.__code__.co_names}
    assert public - named == {"transferred"}


@pytest.mark.parametrize(
    ("target", "credited"), [(OTHER_PERMIT, "1300.SBP"), (STALL, "1300.RENT")], ids=["same stream", "another stream"]
)
def test_a_transfer_between_bills_keeps_each_side_with_its_own_payer(target: Bill, credited: str) -> None:
    # When money applied to the wrong bill is moved to the right one
    journal = facts.transferred(PERMIT, target, 3_000, payment_id=9, at=NOON, reason="two-person request 4")
    # Then the wrong bill is open again and the right one paid, and suspense is back where it was
    assert lines(journal.postings) == ["DR 1300.SBP CR 2200 30.00", f"DR 2200 CR {credited} 30.00"]
    # And each side says whose bill and which stream it is about: a statement of account of either payer is right
    assert [(p.invoice_id, p.payer_id, p.stream_code) for p in journal.postings] == [
        (PERMIT.invoice_id, PERMIT.payer_id, "SBP"),
        (target.invoice_id, target.payer_id, target.stream_code),
    ]


def test_a_posting_says_what_it_is_about() -> None:
    # When a payment is part bill, part credit, part suspense that named a bill
    journal = facts.payment_received(
        [Placed(100, STALL), Placed(50, payer_id=8), Placed(25, stream_code="SBP", named_invoice_id=71)], **PAID
    )
    # Then every posting carries payment, channel and what is known of the rest
    about = {"channel_account_id": 1, "payment_id": 9}
    assert journal.postings == (
        Posting(
            "1200.mpesa-600100",
            "1300.RENT",
            100,
            stream_code="RENT",
            station_code="KOROBAR",
            payer_id=8,
            invoice_id=81,
            **about,
        ),
        Posting("1200.mpesa-600100", "2100", 50, payer_id=8, **about),
        Posting("1200.mpesa-600100", "2200", 25, stream_code="SBP", invoice_id=71, **about),
    )


def test_a_settlement_eaten_by_its_fee_is_a_fee_and_no_bank_line() -> None:
    journal = facts.settled(0, 5_000, bank="1100.KCB", clearing="1200.mpesa-600100", channel_account_id=1, at=NOON)
    assert lines(journal.postings) == ["DR 5900 CR 1200.mpesa-600100 50.00"]


REFUSED: list[tuple[str, Callable[[], Any]]] = [
    ("a bill of nothing", lambda: facts.invoice_issued(PERMIT, {"principal": 0}, at=NOON)),
    ("a negative bill", lambda: facts.invoice_issued(PERMIT, {"principal": -1}, at=NOON)),
    ("an unknown penalty", lambda: facts.penalty_charged(PERMIT, component="costs", amount_minor=1, at=NOON)),
    ("a penalty of nothing", lambda: facts.penalty_charged(PERMIT, component="penalty", amount_minor=0, at=NOON)),
    ("an unknown forgiveness", lambda: facts.forgiven(PERMIT, 1, kind="gift", at=NOON, reason="x")),
    ("a share of another", lambda: facts.share_paid(1, due_to="2100", bank="1100.KCB", at=NOON)),
    ("a payment to nowhere", lambda: facts.payment_received([], **PAID)),
    ("a settlement of nothing", lambda: facts.settled(0, 0, bank="1", clearing="2", channel_account_id=1, at=NOON)),
    ("a negative fee", lambda: facts.settled(1, -1, bank="1", clearing="2", channel_account_id=1, at=NOON)),
    ("a credit note of nothing", lambda: facts.credit_noted(PERMIT, {}, at=NOON, reason="x")),
    ("no postings", lambda: Journal("k", NOON, ())),
    ("an instant without a zone", lambda: Journal("k", datetime(2026, 9, 15), (Posting("1", "2", 1),))),  # noqa: DTZ001
    ("one account", lambda: Journal("k", NOON, (Posting("1", "1", 1),))),
    ("an amount of nothing", lambda: Journal("k", NOON, (Posting("1", "2", 0),))),
    ("ten billion shillings", lambda: Journal("k", NOON, (Posting("1", "2", 10**12),))),
    ("a float", lambda: Journal("k", NOON, (Posting("1", "2", 1.0),))),  # type: ignore[arg-type]
    ("a bool", lambda: Journal("k", NOON, (Posting("1", "2", True),))),
    ("another currency", lambda: Journal("k", NOON, (Posting("1", "2", 1, "UGX"),))),
]


@pytest.mark.parametrize(("what", "made"), REFUSED, ids=[what for what, _ in REFUSED])
def test_refuses(what: str, made: Callable[[], Any]) -> None:
    with pytest.raises(InvalidValue):
        made()


@given(postings_of(*ACCOUNTS))
def test_no_journal_that_can_be_written_down_is_out_of_balance(postings: tuple[Posting, ...]) -> None:
    # Given any journal at all
    journal = Journal("any", NOON, postings)
    # Then what leaves accounts is what enters them
    moved = dict.fromkeys(ACCOUNTS, 0)
    for posting in journal.postings:
        moved[posting.debit] += posting.amount_minor
        moved[posting.credit] -= posting.amount_minor
    assert sum(moved.values()) == 0
    # And its mirror undoes every account, moves the same total, and mirrored again is the journal itself
    mirror = Journal("undone", NOON, tuple(posting.mirrored() for posting in journal.postings))
    for posting in mirror.postings:
        moved[posting.debit] += posting.amount_minor
        moved[posting.credit] -= posting.amount_minor
    assert set(moved.values()) == {0}
    assert mirror.total_minor == journal.total_minor
    assert tuple(posting.mirrored() for posting in mirror.postings) == journal.postings


@given(st.lists(st.tuples(st.integers(1, 10**9), st.sampled_from(["bill", "credit", "suspense"])), min_size=1))
def test_every_cent_of_a_payment_comes_back_when_it_is_reversed(parts: list[tuple[int, str]]) -> None:
    # Given a payment placed in any parts
    places = [
        Placed(amount, bill=PERMIT if home == "bill" else None, payer_id=5 if home == "credit" else None)
        for amount, home in parts
    ]
    # When it is received and then reversed by the provider
    came = facts.payment_received(places, **PAID)
    went = facts.payment_reversed(places, **PAID)
    # Then no cent is lost on the way, and the reversal mirrors the receipt line by line
    assert came.total_minor == went.total_minor == sum(amount for amount, _ in parts)
    assert tuple(posting.mirrored() for posting in came.postings) == went.postings
