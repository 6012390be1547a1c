"""Messages that disagree are breaks, breaks end by what ends them, and no order of messages changes what stays open."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from datetime import date, datetime, timedelta

import pytest

from adapters.sandbox import mpesa_bodies as bodies
from reconciliation import break_keys, breaks
from revenue_engine import db
from revenue_engine.channels import deliveries
from revenue_engine.county import loading
from revenue_engine.periods import NAIROBI
from revenue_engine.reports import homes
from revenue_engine.work import jobs
from revenue_engine.work.kinds import Kind
from tests.support.books import NOON, SHORTCODE, Books, confirmation, reversal

SECOND = timedelta(seconds=1)
PAID, OTHER = "UIF0000001", "UIF0000002"
BACK, AGAIN = "UIF9000001", "UIF9000002"


Message = tuple[str, bytes]


def _question(shillings: int, typed: str, *, reference: str = PAID) -> bytes:
    return bodies.c2b_validation(
        receipt=reference,
        at=NOON,
        amount_minor=shillings * 100,
        shortcode=SHORTCODE,
        account=typed,
        msisdn="254700000101",
    )


def _open(books: Books) -> list[tuple[str, str]]:
    """Key and reason of every open break."""
    return books.rows("SELECT key, reason FROM break_case WHERE closed_at IS NULL ORDER BY 1")


def _resolutions(books: Books) -> dict[str, str]:
    return dict(books.rows("SELECT key, resolution FROM break_case WHERE closed_at IS NOT NULL"))


# --- reversals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("second", [reversal(PAID, 500, own=BACK), reversal(OTHER, 2000, own=BACK)])
def test_a_reversal_told_again_with_another_amount_or_payment_is_a_break(
    books: Books, second: tuple[str, bytes]
) -> None:
    bill = books.bill(2000, payer=books.payer())
    for message in (
        confirmation(2000, bill.pay_account_number, reference=PAID),
        confirmation(2000, bill.pay_account_number, reference=OTHER),
        reversal(PAID, 2000, own=BACK),
    ):
        books.deliver(message)
        books.work()
    books.deliver(second)
    books.work()
    ((key, reason),) = [found for found in _open(books) if found[0].startswith("conflict:")]
    assert (key.rsplit(":", 1)[0], reason) == (f"conflict:1:reversal:{BACK}", "duplicate_code")
    assert books.rows("SELECT count(*) FROM payment WHERE kind = 'reversal'") == [(1,)]


def test_a_break_says_that_the_provider_reversed_the_payment(books: Books) -> None:
    books.pay(700, "nobody knows this", reference=PAID)
    books.deliver(reversal(PAID, 700, own=BACK))
    books.work()
    assert list(_resolutions(books).values()) == ["the provider reversed the payment"]
    assert books.open_breaks() == []


@pytest.mark.parametrize(
    ("back", "said"),
    [
        ([reversal(PAID, 500, own=BACK)], f"{PAID} was reversed for another amount than was paid"),
        ([reversal(PAID, 3000, own=BACK)], f"{PAID} was reversed for another amount than was paid"),
        ([reversal(PAID, 2000, own=BACK), reversal(PAID, 2000, own=AGAIN)], f"two reversals name the payment {PAID}"),
        ([reversal(OTHER, 2000, own=BACK)], f"the payment {OTHER} was reversed and is not in the books yet"),
    ],
)
def test_a_list_of_deliveries_says_why_a_reversal_waits(books: Books, back: list[Message], said: str) -> None:
    books.pay(2000, books.bill(2000).pay_account_number, reference=PAID)
    ids = books.deliver(*back)
    books.work()
    with db.transaction(books.as_role("api")) as session:
        found = {one.delivery.id: one.delivery for one in homes.followed(session, deliveries.standing(session))}
    assert found[ids[-1]].state == "waiting"
    assert found[ids[-1]].reason.startswith(said)


def test_a_reversal_before_its_payment_ends_its_break_by_the_payment(books: Books) -> None:
    books.deliver(reversal(PAID, 700, own=BACK))
    books.work()
    assert books.open_breaks() == ["reversal_without_payment"]
    books.pay(700, "nobody knows this", reference=PAID)
    assert books.open_breaks() == []
    assert _resolutions(books)[f"reversal:1:{BACK}"] == "the payment that the reversal names is in the books now"


# --- orders ----------------------------------------------------------------------------------------------------------


def _stories(number: str, run: int) -> dict[str, Sequence[Message]]:
    first, other, nowhere = f"UIA{run:06d}A", f"UIA{run:06d}B", f"UIA{run:06d}C"
    back, again = f"UIA{run:06d}R", f"UIA{run:06d}S"
    paid = confirmation(2000, number, reference=first)
    asked = ("confirmation", _question(2000, number, reference=first))
    return {
        "part reversal": [paid, reversal(first, 500, own=back)],
        "part and whole reversal": [paid, reversal(first, 500, own=back), reversal(first, 2000, own=again)],
        "two whole reversals": [paid, reversal(first, 2000, own=back), reversal(first, 2000, own=again)],
        "one reversal of two amounts": [paid, reversal(first, 2000, own=back), reversal(first, 500, own=back)],
        "a part reversal told twice": [paid, reversal(first, 500, own=back), reversal(first, 500, own=back)],
        "one reversal of two payments": [
            paid,
            reversal(first, 2000, own=back),
            reversal(nowhere, 2000, own=back),
        ],
        "one reversal of two payments that stand": [
            paid,
            confirmation(2000, number, reference=other),
            reversal(first, 2000, own=back),
            reversal(other, 2000, own=back),
        ],
        "two amounts": [paid, confirmation(1500, number, reference=first), paid],
        # Where the money itself lies is decided by the account told first: both of these leave it in suspense.
        "two accounts": [confirmation(2000, words, reference=first) for words in ("some words", "other words")],
        "a question and its payment": [asked, ("validation", paid[1])],
        "a question, its payment and its reversal": [asked, paid, reversal(first, 2000, own=back)],
        "a large payment": [
            ("confirmation", _question(300_000, number, reference=first)),
            confirmation(300_000, number, reference=first),
        ],
    }


def _ended(books: Books, run: int, story: str, order: Sequence[int], *, apart: bool) -> list[str]:
    """The open breaks that one order of a story leaves, without the number of the run."""
    messages = _stories(books.bill(2000, payer=books.payer()).pay_account_number, run)[story]
    chosen = [messages[index] for index in order]
    for group in [[one] for one in chosen] if apart else [chosen]:
        books.deliver(*group)
        books.work()
    for engine in books.engines:
        engine.dispose()
    found = books.rows(
        "SELECT b.reason, CASE WHEN b.payment_id IS NULL OR b.key LIKE %s THEN b.key ELSE 'about a payment' END"
        " FROM break_case b LEFT JOIN payment p ON p.id = b.payment_id"
        " WHERE b.closed_at IS NULL AND (b.key LIKE %s OR b.key LIKE 'wrong%%' OR p.reference LIKE %s)",
        *[f"%{run:06d}%"] * 3,
    )
    return sorted(f"{reason} {key.replace(f'{run:06d}', '')}" for reason, key in found)


@pytest.mark.parametrize("story", list(_stories("1", 0)))
def test_the_same_messages_leave_the_same_open_breaks_in_every_order(books: Books, story: str) -> None:
    ends = {}
    runs = itertools.count(1)
    for order in itertools.permutations(range(len(_stories("1", 0)[story]))):
        for apart in (True, False):
            ends[order, apart] = _ended(books, next(runs), story, order, apart=apart)
    assert len(set(map(tuple, ends.values()))) == 1, ends


# --- two addresses ---------------------------------------------------------------------------------------------------


def test_a_question_on_the_address_for_confirmations_is_not_money(books: Books) -> None:
    bill = books.bill(2000, payer=books.payer())
    books.deliver(("confirmation", _question(2000, bill.pay_account_number)))
    books.work()
    assert books.rows("SELECT count(*) FROM payment") == [(0,)]
    assert books.left(bill) == 2000
    assert books.open_breaks() == ["unconfirmed", "wrong_address"]
    # Two questions are no proof together either
    books.deliver(("confirmation", _question(2000, bill.pay_account_number) + b" "))
    books.work()
    assert books.rows("SELECT count(*) FROM payment") == [(0,)]


def test_a_notice_that_names_no_short_code_is_one_payment_when_it_is_proved(books: Books) -> None:
    """The same body at two of our accounts would be two payments: without the name of the account it proves nothing."""
    bill = books.bill(700)
    other = another_paybill(books)
    purpose, body = confirmation(700, bill.pay_account_number, reference="UIFAME0001")
    told = json.loads(body)
    nameless = json.dumps({name: value for name, value in told.items() if name != "BusinessShortCode"}).encode()
    books.deliver((purpose, nameless))
    books.deliver((purpose, nameless), account=other)
    books.work()
    assert books.rows("SELECT count(*) FROM payment") == [(0,)]
    assert books.open_breaks() == ["unconfirmed", "unconfirmed"]
    books.deliver((purpose, body))
    books.work()
    assert books.left(bill) == 0
    assert books.rows("SELECT count(*) FROM payment") == [(1,)]


def another_paybill(books: Books) -> int:
    with db.transaction(books.engine) as session:
        return loading.add_channel_account(
            session, adapter="mpesa", identifier="600101", mode="live", name="Another", settings={}
        ).id


def test_a_payment_on_the_address_for_questions_is_not_lost(books: Books) -> None:
    bill = books.bill(2000, payer=books.payer())
    books.deliver(("validation", confirmation(2000, bill.pay_account_number, reference=PAID)[1]))
    books.work()
    assert books.left(bill) == 0
    assert books.rows("SELECT reason, owner FROM break_case WHERE closed_at IS NULL") == [("wrong_address", "ict")]


def test_a_question_on_its_own_address_moves_nothing(books: Books) -> None:
    (told,) = books.deliver(("validation", _question(2000, "1")))
    books.work()
    assert books.states([told]) == ["ignored"]
    assert books.open_breaks() == []


# --- what ends a break -----------------------------------------------------------------------------------------------


def test_a_break_opened_beside_the_payment_that_ends_it_is_closed_at_the_next_look(books: Books) -> None:
    """A large confirmation and what proves it may commit side by side, neither seeing the other."""
    bill = books.bill(2000, payer=books.payer())
    (told,) = books.deliver(confirmation(2000, bill.pay_account_number, reference=PAID))
    books.work()
    beside = breaks.NewBreak(break_keys.unconfirmed(1, PAID), breaks.BreakReason.UNCONFIRMED, "beside", NOON)
    with db.transaction(books.engine) as session:
        breaks.open_many(session, [beside])
    assert books.open_breaks() == ["unconfirmed"]
    with db.transaction(books.engine) as session:
        jobs.replay(session, kind=Kind.INTERPRET, ref_id=told)
    books.work()
    assert books.open_breaks() == []
    assert _resolutions(books)[f"unconfirmed:1:{PAID}"] == "another message confirmed the payment"


def test_a_delivery_whose_work_died_has_an_owner_until_the_work_is_done(books: Books) -> None:
    books.execute("ALTER TABLE payment RENAME TO payment_away")
    (told,) = books.deliver(confirmation(2000, "1", reference=PAID))
    for _ in range(9):
        books.work()
        books.execute("UPDATE job SET run_after = now()")
    assert books.rows("SELECT state FROM job") == [("dead",)]
    assert books.rows("SELECT reason, owner, delivery_id, key FROM break_case WHERE closed_at IS NULL") == [
        ("work_failed", "ict", told, f"dead:interpret:{told}")
    ]
    books.execute("ALTER TABLE payment_away RENAME TO payment")
    with db.transaction(books.engine) as session:
        jobs.replay(session, kind=Kind.INTERPRET, ref_id=told)
    books.work()
    assert books.rows("SELECT count(*) FROM payment") == [(1,)]
    assert books.open_breaks() == ["unknown_account"]
    assert _resolutions(books)[f"dead:interpret:{told}"] == "the work was done when it was tried again"


# --- before the books ------------------------------------------------------------------------------------------------


def test_money_of_a_day_before_the_books_opened_is_named(books: Books) -> None:
    june = datetime(2026, 6, 30, 23, 59, 59, tzinfo=NAIROBI)
    books.deliver(confirmation(2000, books.bill(2000).pay_account_number, reference="UFU0000001", at=june))
    books.deliver(confirmation(2000, books.bill(2000).pay_account_number, reference="UG10000001", at=june + SECOND))
    books.work()
    assert books.rows("SELECT key, owner, amount_minor FROM break_case WHERE closed_at IS NULL") == [
        ("before-books:1:UFU0000001", "finance", 2000_00)
    ]
    assert books.rows("SELECT DISTINCT book_date FROM journal WHERE kind = 'payment_received'") == [(date(2026, 7, 1),)]
