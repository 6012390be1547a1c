"""Runs over real books: what a run sets, what it leaves, what a person takes back."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.mpesa import adapter as mpesa
from reconciliation.runs import running
from revenue_engine import db
from revenue_engine.billing import invoices, payers
from revenue_engine.db import raw, transaction
from revenue_engine.errors import Conflict, InvalidValue, NotAllowed
from revenue_engine.verification import verify
from revenue_engine.worker import Worker
from tests.conftest import Database
from tests.support import people
from tests.support.books import Books, confirmation

RUNNER = "timer"


@pytest.fixture
def books(testland: Database) -> Iterator[Books]:
    kept = Books(testland.url)
    yield kept
    kept.close()


def payer(books: Books, name: str = "Achieng Odera", phone: str | None = "0700 000 101") -> int:
    """A payer with a phone: payments of the tests come from 254700000101."""
    with transaction(books.as_role("api")) as session:
        return payers.add_payer(session, name=name, phone=phone).id


def run(books: Books, **how: bool) -> running.Report:
    return running.run(books.as_role("worker"), by=RUNNER, **how)


def slip(bill: invoices.Issued) -> str:
    """The bill's number with one wrong digit: the check digit makes it no bill's number."""
    number = bill.pay_account_number
    return number[:4] + str((int(number[4]) + 1) % 10) + number[5:]


def proves(books: Books) -> bool:
    """Whether every invariant of the ledger holds."""
    with transaction(books.engine) as session:
        found = verify.verify(session)
    assert [str(failure) for one in found.invariants for failure in one.failures] == []
    return True


def take_back(books: Books, reference: str, reason: str = "another Achieng paid it") -> int:
    """Two persons take a match back; the cents in suspense then. Raises Conflict also where it was void when done."""
    why = books.judged(lambda session: running.ask_back(session, reference, reason=reason))
    if why is not None:
        raise Conflict(why)
    return in_suspense(books, reference)


def by_hand(books: Books, reference: str, number: str) -> None:
    """Two persons set a payment against a bill."""
    why = books.judged(lambda session: running.ask(session, reference, number, reason="seen at the desk"))
    assert why is None


def in_suspense(books: Books, reference: str) -> int:
    ((minor,),) = books.rows(
        "SELECT coalesce(sum(CASE credit WHEN '2200' THEN o.amount_minor ELSE -o.amount_minor END), 0)::bigint"
        " FROM posting o JOIN payment p ON p.id = o.payment_id WHERE p.reference = %s AND '2200' IN (debit, credit)",
        reference,
    )
    return int(minor)


def test_a_slip_from_the_payers_own_phone_leaves_suspense_for_its_bill(books: Books) -> None:
    bill = books.bill(1_000, payer=payer(books))
    paid = books.pay(1_000, slip(bill), names=("ACHIENG", "", ""))
    assert books.journal(paid) == ["DR 1200.mpesa-600100 CR 2200 1000.00"]
    done = run(books)
    assert [(one.reference, part.number, part.rung) for one in done.matched for part in one.parts] == [
        (paid, bill.pay_account_number, "slip")
    ]
    assert books.journal(paid) == ["DR 1200.mpesa-600100 CR 2200 1000.00", "DR 2200 CR 1300.SBP 1000.00"]
    assert books.papers(paid) == ["acknowledgement 2627-1 cancelled", "receipt 2627-1"]
    assert (books.left(bill), books.open_breaks()) == (0, [])
    ((paid_at, occurred_at),) = books.rows("SELECT r.paid_at, p.occurred_at FROM receipt r JOIN payment p"
                                           " ON p.id = r.payment_id WHERE r.kind = 'receipt'")  # fmt: skip
    assert paid_at == occurred_at
    ((rung, why, amount),) = books.rows("SELECT rung, why, amount_minor FROM payment_match")
    assert (rung, amount) == ("slip", 100_000)
    assert "was typed" in why
    assert proves(books)


def test_a_second_run_applies_nothing_and_has_the_same_output(books: Books) -> None:
    owner = payer(books)
    bill = books.bill(1_000, payer=owner)
    books.bill(700, payer=payer(books, "Wafula Barasa", "0700 000 202"))
    books.pay(1_000, slip(bill))
    books.pay(1_000, slip(bill))
    books.pay(450, "for the shop")
    first, second, third = run(books), run(books), run(books)
    assert len(first.matched) == 1
    assert (second.matched, second.skipped) == ([], 0)
    assert first.output_digest == second.output_digest == third.output_digest
    assert second.input_digest == third.input_digest != first.input_digest
    manifests = books.rows(
        "SELECT r.started_by, r.input_digest, e.output_digest, e.figures->>'matched', r.policy_digest"
        " FROM matching_run r JOIN matching_run_end e ON e.run_id = r.id ORDER BY r.id"
    )
    assert [row[:4] for row in manifests] == [
        (RUNNER, first.input_digest, first.output_digest, "1"),
        (RUNNER, second.input_digest, second.output_digest, "0"),
        (RUNNER, third.input_digest, third.output_digest, "0"),
    ]
    assert proves(books)


def test_a_dry_run_writes_nothing(books: Books) -> None:
    bill = books.bill(1_000, payer=payer(books))
    books.pay(1_000, slip(bill))
    before = books.final_state()
    told = run(books, dry_run=True)
    assert [one.parts[0].number for one in told.matched] == [bill.pay_account_number]
    assert books.final_state() == before
    assert books.rows("SELECT count(*) FROM matching_run") == [(0,)]


def test_a_hashed_phone_is_compared_by_its_hash(books: Books) -> None:
    bill = books.bill(1_000, payer=payer(books))
    paid = books.pay(1_000, slip(bill), form="hashed")
    other = books.bill(800, payer=payer(books, "Wafula Barasa", "0700 000 202"))
    books.pay(800, slip(other), form="hashed")
    done = run(books)
    assert [(one.reference, one.parts[0].number) for one in done.matched] == [(paid, bill.pay_account_number)]
    assert "the sender's phone is the payer's" in done.matched[0].parts[0].why


def test_what_is_left_is_shown_with_candidates_and_a_reason(books: Books) -> None:
    bill = books.bill(1_000, payer=payer(books))
    paid = books.pay(400, slip(bill))
    run(books)
    ((reference, reason, failed, near),) = books.rows(
        "SELECT p.reference, l.reason, l.failed, i.pay_account_number FROM match_left l"
        " JOIN payment p ON p.id = l.payment_id JOIN invoice i ON i.id = l.invoice_id"
    )
    assert (reference, reason, failed, near) == (paid, "unknown_account", "amount", bill.pay_account_number)
    ((rank, number, minor),) = books.rows(
        "SELECT s.rank, i.pay_account_number, s.amount_minor FROM match_suggestion s"
        " JOIN invoice i ON i.id = s.invoice_id"
    )
    assert (rank, number, minor) == (1, bill.pay_account_number, 40_000)
    assert (books.left(bill), books.open_breaks()) == (1_000, ["unknown_account"])


def test_one_payment_for_two_bills_whose_numbers_were_typed(books: Books) -> None:
    owner = payer(books)
    first, second = books.bill(600, payer=owner), books.bill(400, payer=owner, stream="RENT")
    paid = books.pay(1_000, f"{first.pay_account_number} {second.pay_account_number}")
    if books.open_breaks():  # the pipeline left it to the run
        run(books)
    assert (books.left(first), books.left(second), books.open_breaks()) == (0, 0, [])
    assert books.papers(paid)[-1] == "receipt 2627-1"
    assert proves(books)


def test_what_changed_since_the_snapshot_is_looked_at_again_under_the_locks(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    bill = books.bill(1_000, payer=payer(books))
    waits = books.pay(1_000, slip(bill))
    engine_match = running.matching.match

    def slow(*tables: object, **how: object) -> object:
        found = engine_match(*tables, **how)  # type: ignore[arg-type]
        if books.left(bill):
            books.pay(1_000, bill.pay_account_number)  # while the run thinks, somebody pays the bill by its number
        return found

    monkeypatch.setattr(running.matching, "match", slow)
    done = run(books)
    assert (done.matched, done.left) == ([], 1)
    assert books.journal(waits) == ["DR 1200.mpesa-600100 CR 2200 1000.00"]
    assert books.left(bill) == 0
    assert proves(books)


def test_a_match_taken_back_is_as_if_it_had_not_been_made(books: Books) -> None:
    bill = books.bill(1_000, payer=payer(books))
    paid = books.pay(1_000, slip(bill))
    before = books.balances(), books.left(bill), books.open_breaks()
    run(books)
    after = books.balances(), books.left(bill), books.open_breaks()
    assert take_back(books, paid) == 100_000
    assert (books.balances(), books.left(bill), books.open_breaks()) == before
    assert books.papers(paid) == [
        "acknowledgement 2627-1 cancelled",
        "receipt 2627-1 cancelled",
        "acknowledgement 2627-2",
    ]
    assert proves(books)
    books.work()  # the bill is open again: nothing that named it may slip through, and least of all this payment
    assert run(books).matched == []
    assert (books.balances(), books.left(bill), books.open_breaks()) == before
    by_hand(books, paid, bill.pay_account_number)
    assert (books.balances(), books.left(bill), books.open_breaks()) == after
    assert books.papers(paid)[-1] == "receipt 2627-2"
    assert proves(books)


def test_a_match_is_taken_back_once_and_with_a_reason(books: Books) -> None:
    bill = books.bill(1_000, payer=payer(books))
    paid = books.pay(1_000, slip(bill))
    with pytest.raises(Conflict, match="no match"):
        take_back(books, paid)
    run(books)
    with pytest.raises(InvalidValue, match="reason"):
        take_back(books, paid, " ")
    take_back(books, paid)
    with pytest.raises(Conflict, match="no match"):
        take_back(books, paid)


def test_a_run_offers_no_bill_that_a_person_refused(books: Books) -> None:
    bill = books.bill(1_000, payer=payer(books))
    paid = books.pay(1_000, slip(bill))
    run(books)
    take_back(books, paid)
    run(books)
    assert books.rows("SELECT count(*) FROM match_suggestion") == [(0,)]
    assert books.rows("SELECT failed FROM match_left") == [("taken_back",)]


def test_a_person_cannot_be_both_of_two(books: Books) -> None:
    bill = books.bill(1_000, payer=payer(books))
    paid = books.pay(1_000, "for the shop")
    with books.treasurer.acts(), transaction(books.as_role("api")) as session:
        public = running.ask(session, paid, bill.pay_account_number, reason="seen at the desk")
    with pytest.raises(NotAllowed, match="another person"):
        people.agree(books.as_role("api"), public, who=books.treasurer)
    assert books.left(bill) == 1_000


@pytest.mark.parametrize("role", [None, "worker", "api"])
def test_no_role_writes_a_match_that_was_not_agreed_to(books: Books, role: str | None) -> None:
    bill = books.bill(1_000, payer=payer(books))
    paid = books.pay(1_000, "for the shop")
    with books.clerk.acts(), transaction(books.as_role("api")) as session:
        running.ask(session, paid, bill.pay_account_number, reason="seen at the desk")
    ((number,),) = books.rows("SELECT id FROM access.request")
    for named in ("approval_id", "request_id"):
        with pytest.raises(Exception, match=r"another person agreed|permission denied|foreign key"):
            execute_as(
                books,
                role,
                f"INSERT INTO payment_match (public_id, {named}, payment_id, invoice_id, amount_minor, rung, why,"
                " journal_id, made_by) SELECT 'mat_x', %s, p.id, %s, 1, 'hand', '', 1, 'me' FROM payment p",
                number,
                bill.id,
            )
    run(books)


def execute_as(books: Books, role: str | None, statement: str, *values: object) -> None:
    with transaction(books.as_role(role)) as session:
        raw(session).execute(statement, values)  # type: ignore[arg-type]


def test_bait_and_switch_finds_no_bill(books: Books) -> None:
    """Asked when 1000.00 was open; by the time it is agreed to, or done, the bill takes 10.00: nothing moves."""
    owner = payer(books)
    bill = books.bill(1_000, payer=owner)
    paid = books.pay(1_000, "for the shop")
    with books.clerk.acts(), transaction(books.as_role("api")) as session:
        early = running.ask(session, paid, bill.pay_account_number, reason="seen at the desk")
    late = books.bill(500, payer=owner)
    other = books.pay(500, "for the other shop")
    with books.clerk.acts(), transaction(books.as_role("api")) as session:
        agreed = running.ask(session, other, late.pay_account_number, reason="seen at the desk")
    people.agree(books.as_role("api"), agreed, who=books.treasurer)
    for one, shillings in ((bill, 990), (late, 490)):
        books.deliver(confirmation(shillings, one.pay_account_number))
    worker = Worker(db.make_engine(books.url, role="worker", pool_size=2), {"mpesa": mpesa}, {})
    books.engines.append(worker.engine)
    worker._deliveries(worker._claim("interpret", 50))  # the payments first, what was agreed to after them
    with pytest.raises(Conflict, match=r"the bill would take 10\.00 and not 1000\.00"):
        people.agree(books.as_role("api"), early, who=books.treasurer)
    books.work()
    assert (books.left(bill), books.left(late)) == (10, 10)
    assert in_suspense(books, paid) == 100_000
    assert in_suspense(books, other) == 50_000
    ((why,),) = books.rows("SELECT reason FROM access.execution")
    assert why.startswith("what it rests on changed after it was agreed to: the bill would take 10.00 and not 500.00")
    assert proves(books)


def test_what_a_provider_takes_back_is_no_match_to_reverse(books: Books) -> None:
    from tests.support.books import reversal

    bill = books.bill(1_000, payer=payer(books))
    paid = books.pay(1_000, slip(bill))
    run(books)
    books.deliver(reversal(paid, 1_000))
    books.work()
    assert books.left(bill) == 1_000
    with pytest.raises(Conflict, match="provider"):
        take_back(books, paid)
    assert run(books).matched == []
    assert proves(books)


def test_what_was_above_the_bill_comes_back_too_unless_it_has_paid_another(books: Books) -> None:
    owner = payer(books)
    bill = books.bill(600, payer=owner)
    paid = books.pay(1_000, "for the shop")

    def by_two_persons() -> None:
        by_hand(books, paid, bill.pay_account_number)

    before = books.balances()
    by_two_persons()
    assert books.journal(paid)[1:] == ["DR 2200 CR 1300.SBP 600.00", "DR 2200 CR 2100 400.00"]
    assert take_back(books, paid) == 100_000
    assert (books.balances(), books.open_breaks()) == (before, ["unknown_account"])
    by_two_persons()
    next_bill = books.bill(400, payer=owner)
    books.work()  # the credit pays the next bill
    assert books.left(next_bill) == 0
    with pytest.raises(Conflict, match="has paid another bill"):
        take_back(books, paid)
    assert proves(books)


def test_two_runs_at_once_set_each_payment_once(books: Books) -> None:
    paid = []
    for number in range(6):
        bill = books.bill(1_000 + number, payer=payer(books))
        paid.append(books.pay(1_000 + number, slip(bill), names=("ACHIENG", "", "")))
    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(lambda _: run(books), range(2)))
    assert sorted(one.reference for report in reports for one in report.matched) == sorted(paid)
    assert all(len(books.journal(reference)) == 2 for reference in paid)
    assert books.rows("SELECT count(*) FROM payment_match") == [(6,)]
    assert proves(books)


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=st.lists(st.sampled_from(["run", "back", "pay_slip", "pay_odd"]), min_size=3, max_size=7))
def test_the_books_prove_themselves_whatever_is_done(database: Database, acts: list[str]) -> None:
    books = Books.__new__(Books)
    books.url, books.engines, books.readers = database.url, [], {}
    books.engine = books.as_role(None)
    if not books.rows("SELECT 1 FROM county"):
        books.close()
        books = Books(database.url)
    owner = payer(books, f"Achieng Odera {'ABCDEFGHIJ'[len(acts)]}", None)
    bills = [books.bill(amount, payer=owner) for amount in (300, 500)]
    turn = itertools.cycle(bills)
    for act in acts:
        if act == "run":
            run(books)
        elif act == "pay_slip":
            bill = next(turn)
            books.pay(bill.total_minor // 100, slip(bill), names=("ACHIENG", "", ""))
        elif act == "pay_odd":
            books.pay(75, "something odd")
        else:
            for (reference,) in books.rows(
                "SELECT DISTINCT p.reference FROM payment_match m JOIN payment p ON p.id = m.payment_id"
                " WHERE NOT EXISTS (SELECT FROM match_reversal r WHERE r.match_id = m.id)"
            ):
                take_back(books, reference)
    assert proves(books)
    books.close()
