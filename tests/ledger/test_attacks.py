"""What a role gone wrong may try with its own login, statement by statement, and what the database says to it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any, LiteralString, cast

import psycopg
import pytest
from psycopg import errors

from reconciliation import break_keys, breaks
from revenue_engine import db, ledger
from revenue_engine.db import ROLES
from revenue_engine.errors import Conflict
from revenue_engine.work import jobs
from tests.conftest import Database
from tests.support import closing, people
from tests.support.books import DAY, NOON, Books

LEVELS = ("READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")
FIRST = date(2026, 7, 1)
"""The day on which the books of the test county open."""


@pytest.fixture
def books(testland: Database) -> Iterator[Books]:
    made = Books(testland.url)
    yield made
    made.close()


def login(database: Database, role: str, level: str = "READ COMMITTED") -> psycopg.Connection[Any]:
    """A connection as the role's own login."""
    connection = psycopg.connect(database.url if role == "superuser" else database.role_url(role))
    if role == "api":  # at the desk somebody is signed in
        connection.execute("SELECT set_config('revenue.session', %s, false)", (people.clerk(database.url).secret,))
        connection.commit()
    connection.isolation_level = psycopg.IsolationLevel[level.replace(" ", "_")]
    return connection


def refused(database: Database, role: str, *statements: str, level: str = "READ COMMITTED") -> type[Exception]:
    """How the last of some statements of one transaction ends; those before it must be allowed."""
    with login(database, role, level) as connection:
        for statement in statements[:-1]:
            connection.execute(cast("LiteralString", statement))
        try:
            connection.execute(cast("LiteralString", statements[-1]))
            connection.commit()  # what waits for the end of a transaction speaks here
        except errors.Error as told:
            connection.rollback()
            return type(told)
    pytest.fail(f"{role} was let: {statements[-1]}")


def payment_of(books: Books, reference: str) -> int:
    ((found,),) = books.rows("SELECT id FROM payment WHERE reference = %s", reference)
    return int(found)


JOURNAL = (
    "INSERT INTO journal (id, book_date, key, kind, occurred_at, digest)"
    " VALUES ({id}, '2026-09-15', '{key}', '{kind}', now(), sha256(''))"
)
POSTING = (
    "INSERT INTO posting (journal_id, seq, book_date, debit, credit, amount_minor, stream_code, invoice_id, payment_id)"
    " VALUES ({id}, {seq}, '2026-09-15', '{debit}', '{credit}', {amount}, 'SBP', {bill}, {payment})"
)
APPLIED = (
    "INSERT INTO application (payment_id, invoice_id, component, amount_minor, journal_id, rung)"
    " VALUES ({payment}, {bill}, 'principal', {amount}, {id}, 'exact')"
)


def spend(payment: int, bill: int, amount: int, *, journal: int) -> list[str]:
    """The statements by which a worker sets money in suspense against a bill."""
    about = {"id": journal, "payment": payment, "bill": bill, "amount": amount}
    return [
        JOURNAL.format(id=journal, key=f"payment:{payment}:identified:{journal}", kind="suspense_identified"),
        POSTING.format(**about, seq=0, debit="2200", credit="1300.SBP"),
        APPLIED.format(**about),
    ]


# --- one payment pays once -------------------------------------------------------------------------------------------


def test_two_transactions_never_spend_one_payment_twice(database: Database, books: Books) -> None:
    # Given 1000.00 in suspense and two bills of as much
    payment = payment_of(books, books.pay(1000, "NOBODY KNOWS"))
    first, second = books.bill(1000), books.bill(1000)
    told: list[BaseException | None] = []

    def rival() -> None:
        try:
            with login(database, "worker") as connection:
                for statement in spend(payment, second.id, 100_000, journal=9002):
                    connection.execute(cast("LiteralString", statement))
            told.append(None)
        except errors.Error as error:
            told.append(error)

    # When one worker sets it against the one, and before it commits another against the other
    with login(database, "worker") as connection:
        for statement in spend(payment, first.id, 100_000, journal=9001):
            connection.execute(cast("LiteralString", statement))
        other = threading.Thread(target=rival)
        other.start()
        other.join(timeout=1)
        assert other.is_alive(), "the second waits for the first"
    other.join(timeout=20)
    # Then the second is refused, and 1000.00 paid 1000.00
    assert isinstance(told[0], errors.CheckViolation)
    assert "would be applied for" in str(told[0])
    assert (books.left(first), books.left(second)) == (0, 1000)


@pytest.mark.parametrize("level", LEVELS[1:])
def test_money_is_written_under_read_committed_only(database: Database, books: Books, level: str) -> None:
    payment = payment_of(books, books.pay(1000, "NOBODY KNOWS"))
    bill = books.bill(1000)
    assert (
        refused(database, "worker", APPLIED.format(payment=payment, bill=bill.id, amount=100_000, id=1), level=level)
        is errors.InvalidTransactionState
    )
    for table in ("journal", "posting", "evidence", "payment", "receipt", "break_event", "payment_match"):
        statement = f"INSERT INTO {table} DEFAULT VALUES"
        assert refused(database, "worker", statement, level=level) is errors.InvalidTransactionState, table


@pytest.mark.parametrize("level", LEVELS)
def test_a_closed_day_takes_no_journal_under_any_isolation(database: Database, books: Books, level: str) -> None:
    # Given a worker that looked before the day was closed
    with login(database, "worker", level) as connection:
        connection.execute("SELECT count(*) FROM closed_day").fetchall()
        closing.close(books, DAY)
        # When it writes to the day, then it is refused
        with pytest.raises((errors.CheckViolation, errors.InvalidTransactionState)):
            connection.execute(cast("LiteralString", JOURNAL.format(id=9001, key="late", kind="x")))
        connection.rollback()


# --- times -----------------------------------------------------------------------------------------------------------

TIMES = {
    "intake": ("delivery.received_at", "delivery.received_on", "delivery.xid"),
    "worker": (
        *("journal.recorded_at", "journal.xid", "posting.xid", "payment.recorded_at", "payment.xid"),
        *("evidence.recorded_at", "evidence.xid", "application.recorded_at", "receipt.issued_at", "receipt.xid"),
        *("receipt_cancellation.cancelled_at", "audit_event.at", "audit_event.id", "audit_event.xid"),
        *(
            "statement.recorded_at",
            "break_event.at",
            "break_event.xid",
            "delivery.received_at",
            "payment_match.made_at",
        ),
    ),
    "api": (
        *("journal.recorded_at", "journal.xid", "invoice.recorded_at", "invoice.xid", "audit_event.at"),
        *("audit_event.id", "invoice_cancellation.cancelled_at", "match_request.requested_at", "push_request.xid"),
        *("payer_link_answer.answered_at", "policy_activation.activated_at", "channel_endpoint.created_at"),
        *("bank_account.opened_at", "delivery.received_at", "break_event.at"),
    ),
}


@pytest.mark.parametrize("role", TIMES)
def test_nobody_writes_when_it_was_or_in_which_transaction(database: Database, role: str) -> None:
    for named in TIMES[role]:
        table, column = named.split(".")
        statement = f"INSERT INTO {table} ({column}) VALUES (DEFAULT)"
        assert refused(database, role, statement) is errors.InsufficientPrivilege, named


def test_no_role_may_write_any_column_that_the_database_fills_with_a_time(database: Database) -> None:
    with database.connect() as connection:
        open_to = connection.execute(
            "SELECT r.rolname, a.attrelid::regclass::text, a.attname FROM pg_attribute a"
            " JOIN pg_class c ON c.oid = a.attrelid AND c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace"
            " JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum"
            " JOIN pg_roles r ON r.rolname = ANY(%s)"
            " WHERE pg_get_expr(d.adbin, d.adrelid) ~ '(now|clock_timestamp|pg_current_xact_id)\\(\\)'"
            "   AND a.attname <> 'run_after' AND has_column_privilege(r.oid, a.attrelid, a.attnum, 'INSERT')",
            ([f"revenue_{role}" for role in ROLES],),
        ).fetchall()
    # What is left is work that nobody's money hangs on: when a job row was written
    assert {row[1:] for row in open_to} <= {("job", "created_at")}


# --- evidence, payments, applications, papers ------------------------------------------------------------------------

EVIDENCE = (
    "INSERT INTO evidence (delivery_id, item, channel_account_id, kind, reference, message, amount_minor, currency,"
    " occurred_at, strength, typed_digest, reverses) VALUES ({delivery}, {item}, {account}, '{kind}', '{reference}',"
    " 'c2b', {amount}, 'KES', '2026-09-15 12:00+03', 'confirms', sha256(''), {reverses})"
)
PAYMENT = (
    "INSERT INTO payment (id, public_id, channel_account_id, kind, reference, amount_minor, occurred_at, reverses_id)"
    " VALUES ({id}, 'pay_x', {account}, '{kind}', '{reference}', {amount}, '{at}', {reverses})"
)


def evidence(delivery: int, **more: Any) -> str:
    about = {"item": 5, "account": 1, "kind": "payment", "reference": "UIFORGED01", "amount": 100, "reverses": "NULL"}
    return EVIDENCE.format(delivery=delivery, **(about | more))


def payment(**more: Any) -> str:
    about = {"id": 9001, "account": 1, "kind": "payment", "reference": "UIFORGED01", "amount": 100, "reverses": "NULL"}
    return PAYMENT.format(**(about | {"at": "2026-09-15 12:00+03"} | more))


def test_a_payment_is_recorded_from_its_evidence_only(database: Database, books: Books) -> None:
    books.pay(1000, "X")
    ((delivery,),) = books.rows("SELECT max(id) FROM delivery")
    told = evidence(delivery)
    for wrong in (
        [payment()],
        [told, payment(amount=101)],
        [told, payment(kind="charge")],
        [told, payment(reference="UIFORGED02")],
        [told, payment(at="2026-09-15 12:01+03")],
    ):
        assert refused(database, "worker", *wrong) is errors.CheckViolation, wrong


def test_evidence_hangs_on_a_delivery_of_its_own_channel_account(database: Database, books: Books) -> None:
    books.bank_channel("1100200300")
    (of_bank,) = books.deliver(("confirmation", b"{}"), account=2)
    assert refused(database, "worker", evidence(of_bank)) is errors.ForeignKeyViolation
    assert refused(database, "worker", evidence(424242)) is errors.ForeignKeyViolation
    assert (
        refused(database, "worker", evidence(of_bank, account=2), evidence(of_bank, item=6))
        is errors.ForeignKeyViolation
    )


def test_a_reversal_takes_back_the_whole_of_what_its_evidence_names(database: Database, books: Books) -> None:
    mine, other = books.pay(1000, "X"), books.pay(1000, "Y")
    ((delivery,),) = books.rows("SELECT max(id) FROM delivery")
    about = {"kind": "reversal", "reference": "UIREV0001"}
    told = evidence(delivery, **about, amount=100_000, reverses=f"'{mine}'")
    part = evidence(delivery, **about, amount=50_000, reverses=f"'{mine}'")
    for wrong in (
        [told, payment(**about, amount=50_000, reverses=payment_of(books, mine))],
        [part, payment(**about, amount=50_000, reverses=payment_of(books, mine))],
        [told, payment(**about, amount=100_000, reverses=payment_of(books, other))],
    ):
        assert refused(database, "worker", *wrong) is errors.CheckViolation, wrong


def test_test_money_is_never_recorded_in_live_books(database: Database, books: Books) -> None:
    books.execute("INSERT INTO account (code, name, type, parent) VALUES ('1200.t', 'Test', 'asset', '1200')")
    books.execute(
        "INSERT INTO channel_account (public_id, name, adapter, identifier, mode, status, clearing_account, settings)"
        " VALUES ('cha_9', 'Test', 'mpesa', '600999', 'test', 'active', '1200.t', '{}')"
    )
    ((account,),) = books.rows("SELECT id FROM channel_account WHERE public_id = 'cha_9'")
    (delivery,) = books.deliver(("confirmation", b"{}"), account=account)
    wrong = [evidence(delivery, account=account), payment(account=account)]
    assert refused(database, "worker", *wrong) is errors.CheckViolation


def test_what_is_applied_is_posted_by_a_journal_of_this_transaction(database: Database, books: Books) -> None:
    paying = payment_of(books, books.pay(1000, "X"))
    bill, other = books.bill(1000), books.bill(1000)
    journal, posting, applied = spend(paying, bill.id, 100_000, journal=9001)
    for wrong in (
        [APPLIED.format(payment=paying, bill=bill.id, amount=100_000, id=424242)],
        [journal, posting, applied.replace("100000", "90000")],
        [journal, posting, APPLIED.format(payment=paying, bill=other.id, amount=100_000, id=9001)],
        [journal, posting, applied, applied],
        [APPLIED.format(payment=paying, bill=bill.id, amount=100_000, id=1)],  # a journal that stands
    ):
        assert refused(database, "worker", *wrong) is errors.CheckViolation, wrong


def test_money_never_paid_is_not_taken_off(database: Database, books: Books) -> None:
    # Given a payment that paid Z and never Y
    never, paid = books.bill(500), books.bill(1000)
    books.pay(500, never.pay_account_number)
    paying = payment_of(books, books.pay(500, paid.pay_account_number))
    about = {"id": 9001, "payment": paying, "seq": 0}
    # When it is said to leave Y for Z, with a journal that says so too
    wrong = [
        JOURNAL.format(id=9001, key="payment:moved", kind="transferred"),
        POSTING.format(**about, debit="1300.SBP", credit="2200", amount=50_000, bill=never.id),
        POSTING.format(**about | {"seq": 1}, debit="2200", credit="1300.SBP", amount=50_000, bill=paid.id),
        (
            "INSERT INTO application (payment_id, invoice_id, component, amount_minor, journal_id, rung)"
            f" VALUES ({paying}, {never.id}, 'principal', -50000, 9001, 'x'),"
            f" ({paying}, {paid.id}, 'principal', 50000, 9001, 'x')"
        ),
    ]
    assert refused(database, "worker", *wrong) is errors.CheckViolation
    assert (books.left(never), books.left(paid)) == (0, 500)


def test_only_payments_pay_and_no_more_than_is_left_after_a_reversal(database: Database, books: Books) -> None:
    charged = payment_of(books, books.pay(1000, "X"))
    bill = books.bill(1000)
    ((delivery,),) = books.rows("SELECT max(id) FROM delivery")
    charge = [
        evidence(delivery, kind="charge", amount=100_000),
        payment(kind="charge", amount=100_000),
        *spend(9001, bill.id, 100_000, journal=9001),
    ]
    assert refused(database, "worker", *charge) is errors.CheckViolation
    taken = [
        evidence(
            delivery, kind="reversal", reference="R1", amount=100_000, reverses="(SELECT max(reference) FROM payment)"
        ),
        payment(kind="reversal", reference="R1", amount=100_000, reverses=charged),
        *spend(charged, bill.id, 100_000, journal=9001),
    ]
    assert refused(database, "worker", *taken) is errors.CheckViolation


def test_papers_say_what_their_payment_says(database: Database, books: Books) -> None:
    paying = payment_of(books, books.pay(1000, "X"))
    paper = (
        "INSERT INTO receipt (public_id, kind, financial_year, number, turn, payment_id, amount_minor, paid_at,"
        " book_date) VALUES ('rct_x', 'acknowledgement', '{year}', {number}, 2, {payment}, {amount}, '{at}',"
        " '2026-09-15')"
    )
    right = {"year": "2627", "number": 2, "payment": paying, "amount": 100_000, "at": NOON.isoformat()}
    for wrong in ({"amount": 99_999}, {"amount": 100_001}, {"at": "2026-09-14"}, {"year": "2526"}, {"number": 99}):
        found = refused(database, "worker", "UPDATE receipt_series SET last_number = 2", paper.format(**right | wrong))
        assert found is errors.CheckViolation, wrong
    back = "UPDATE receipt_series SET last_number = 0"
    assert refused(database, "worker", back) is errors.CheckViolation


# --- days ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
def test_no_role_closes_a_day_yet(database: Database, books: Books, role: str) -> None:
    closing = "INSERT INTO closed_day (book_date, closed_by) VALUES ('2026-07-01', 'x')"
    assert refused(database, role, closing) is errors.InsufficientPrivilege


def test_no_day_is_closed_ahead_of_time_or_before_the_books_or_with_a_gap_or_by_one_hand(books: Books) -> None:
    tomorrow = date.today() + timedelta(days=1)  # noqa: DTZ011 - a day that has not ended anywhere
    for wrong in (
        f"SELECT '{FIRST}'::date + n FROM generate_series(0, {(tomorrow - FIRST).days}) n",
        "VALUES ('2026-06-30'::date)",
        "VALUES ('2026-07-01'::date)",
        "VALUES ('2026-07-02'::date)",
        "VALUES ('2026-07-01'::date), ('2026-07-03')",
    ):
        with pytest.raises(errors.CheckViolation):
            books.execute(f"INSERT INTO closed_day (book_date, closed_by) SELECT d, 'x' FROM ({wrong}) AS w (d)")
    assert books.rows("SELECT count(*) FROM closed_day") == [(0,)]
    with pytest.raises(Conflict, match="not ended"):
        closing.close(books, tomorrow)


def test_a_day_with_journals_before_it_is_closed_first(books: Books) -> None:
    books.pay(100, "X")
    with pytest.raises(Conflict, match="2026-09-15 has journals"):
        closing.close(books, DAY + timedelta(days=3))
    closing.close(books, DAY, DAY + timedelta(days=3))
    assert books.rows("SELECT min(book_date), max(book_date), count(*) FROM closed_day") == [
        (FIRST, DAY + timedelta(days=3), (DAY - FIRST).days + 4)
    ]


# --- what may stop recording -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["intake", "api", "report", "seal"])
def test_no_other_role_takes_the_locks_of_recording(database: Database, role: str) -> None:
    if database.servers.role_urls.get(role, "") in {"", database.servers.database_url} and role != "seal":
        pytest.skip("these servers have no logins of the roles")
    with database.connect(role) as connection:
        for call in (
            "pg_advisory_lock(7201, 9754)",
            "pg_advisory_xact_lock(7201, 9754)",
            "pg_advisory_lock_shared(7204, 0)",
            "pg_try_advisory_lock(7204, 0)",
            "pg_try_advisory_xact_lock_shared(7205, 1)",
            "pg_advisory_lock(7263003)",
        ):
            with pytest.raises(errors.InsufficientPrivilege), connection.transaction():
                connection.execute(cast("LiteralString", f"SELECT {call}"))


def test_the_api_neither_holds_nor_kills_nor_invents_work(database: Database, books: Books) -> None:
    (told,) = books.deliver(("confirmation", b"{}"))
    for wrong in (
        "UPDATE job SET lease_until = 'infinity'",
        "UPDATE job SET state = 'dead'",
        "UPDATE job SET run_after = 'infinity'",
        "INSERT INTO job (kind, ref_id, state) VALUES ('interpret', 999, 'dead')",
        "DELETE FROM job",
    ):
        assert refused(database, "api", wrong) is errors.InsufficientPrivilege, wrong
    # And work on bills is asked for in the transaction that issues them
    bill = books.bill(100, payer=books.payer())
    books.execute("DELETE FROM job")
    with login(database, "api") as connection:
        connection.execute("SELECT work_on_new_bills('apply_credit', ARRAY[%s]::bigint[])", (bill.id,))
        connection.execute("SELECT work_on_new_bills('interpret', ARRAY[%s]::bigint[])", (told,))
    assert books.rows("SELECT count(*) FROM job") == [(0,)]
    with db.transaction(books.as_role("api")) as session:
        jobs.replay(session, kind="interpret", ref_id=told)
    assert books.rows("SELECT kind, ref_id, state FROM job") == [("interpret", told, "ready")]


def test_work_squatted_ahead_of_a_delivery_does_not_keep_it_out(books: Books) -> None:
    ((next_id,),) = books.rows("SELECT coalesce(max(id), 0) + 1 FROM delivery")
    books.execute(
        "INSERT INTO job (kind, ref_id, state, lease_until) VALUES ('interpret', %s, 'dead', 'infinity')", next_id
    )
    bill = books.bill(100)
    books.pay(100, bill.pay_account_number)
    assert books.left(bill) == 0


# --- journals and postings of people ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("payment:1:received", "payment_received"),
        ("payment:7:reversed", "payment_reversed"),
        ("settled:1:FT1", "settled"),
        ("invoice:9999:issued", "invoice_issued"),
        ("invoice:9999:cancelled", "invoice_cancelled"),
        ("invoice:1:waived", "waiver_granted"),
        ("anything", "invoice_issued"),
    ],
)
def test_the_api_takes_no_key_of_anothers_journal(database: Database, books: Books, key: str, kind: str) -> None:
    books.bill(100)
    assert refused(database, "api", JOURNAL.format(id=9001, key=key, kind=kind)) is errors.InsufficientPrivilege


@pytest.mark.parametrize(
    ("debit", "credit"),
    [
        *(
            ("4800", "1300.SBP"),
            ("4890", "1300.SBP"),
            ("4860", "2600"),
            ("4870", "2500"),
            ("4000.SBP.principal", "2500"),
        ),
        *(
            ("1300.SBP", "2100"),
            ("1200.mpesa-600100", "1300.SBP"),
            ("2200", "1300.SBP"),
            ("4000.SBP.principal", "3000"),
        ),
        *(("9100", "9000"), ("5900", "4000.SBP.principal"), ("1480", "2480"), ("4000.SBP.principal", "1300.SBP")),
    ],
)
def test_the_api_posts_bills_and_no_judgement(database: Database, books: Books, debit: str, credit: str) -> None:
    # Given a bill that a clerk issues, and its journal, in one transaction
    books.bill(100)
    bill = (
        "INSERT INTO invoice (id, public_id, number, pay_account_number, stream_code, billing, total_minor, issued_at,"
        " due_on, issued_by) VALUES (999, 'inv_x', 'INV-X', '999999999', 'SBP', 'bill', 100, now(), '2026-10-01',"
        " 'clerk')"
    )
    line = (
        "INSERT INTO invoice_line (invoice_id, seq, description, component, quantity, unit_amount_minor, amount_minor)"
        " VALUES (999, 0, 'x', 'principal', 1, 100, 100)"
    )
    start = [bill, line, JOURNAL.format(id=9001, key="invoice:999:issued", kind="invoice_issued")]
    about = {"id": 9001, "seq": 0, "amount": 100, "bill": 999, "payment": "NULL"}
    # When another posting than that of the bill is put under it
    wrong = POSTING.format(**about, debit=debit, credit=credit)
    assert refused(database, "api", *start, wrong) is errors.InsufficientPrivilege
    other = POSTING.format(**about | {"bill": 1}, debit="1300.SBP", credit="4000.SBP.principal")
    assert refused(database, "api", *start, other) is errors.InsufficientPrivilege
    # Then only the bill's own is taken
    with login(database, "api") as connection:
        for statement in (*start, POSTING.format(**about, debit="1300.SBP", credit="4000.SBP.principal")):
            connection.execute(cast("LiteralString", statement))
        connection.rollback()


def test_balances_are_folded_by_the_database_alone(database: Database, books: Books) -> None:
    bill = books.bill(200)
    books.pay(200, bill.pay_account_number)
    for wrong in (
        "INSERT INTO snapshot_run (horizon, previous, postings) VALUES ('999999999', '0', 0)",
        (
            "INSERT INTO balance_slice (account, book_date, horizon, debit_minor, credit_minor, postings)"
            " VALUES ('1200.mpesa-600100', '2026-09-15', '5', 0, 0, 0)"
        ),
        "INSERT INTO ledger_tick (horizon) VALUES ('999999999')",
    ):
        assert refused(database, "worker", wrong) is errors.InsufficientPrivilege, wrong
        if "999999999" in wrong:
            with pytest.raises(errors.CheckViolation, match="final"):
                books.execute(wrong)
    for _ in range(100):
        with db.transaction(books.as_role("worker")) as session:
            if ledger.snapshot(session):
                break
        time.sleep(0.1)
    with db.transaction(books.as_role("report")) as session:
        assert ledger.balance(session, "1200.mpesa-600100").net_minor == 200_00


# --- accounts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("clearing", ["4000.SBP.principal", "1100", "1200", "2200", "1300.SBP"])
def test_a_channel_clears_through_a_clearing_account_only(database: Database, books: Books, clearing: str) -> None:
    channel = (
        "INSERT INTO channel_account (public_id, name, adapter, identifier, mode, status, clearing_account, settings)"
        f" VALUES ('cha_x', 'x', 'kcb', '1', 'test', 'active', '{clearing}', '{{}}')"
    )
    assert refused(database, "superuser", channel) is errors.CheckViolation


@pytest.mark.parametrize(
    "account",
    [
        "('1100.MINE', 'My bank', 'asset', '1100')",
        "('1200.MINE', 'My channel', 'asset', '1200')",
        "('4000.MINE', 'Mine', 'asset', '4000')",
        "('1100.MINE', 'My bank', 'asset', '1200')",
    ],
)
def test_nothing_else_is_a_bank_account_or_a_clearing(database: Database, books: Books, account: str) -> None:
    opening = f"INSERT INTO account (code, name, type, parent) VALUES {account}"
    # Accounts open with what they are of: by a county's files, or when two persons agreed
    assert refused(database, "api", opening) is psycopg.DatabaseError  # RV403, of the guard
    assert refused(database, "worker", opening) is errors.InsufficientPrivilege


# --- breaks ----------------------------------------------------------------------------------------------------------


def test_a_break_is_what_its_events_say(books: Books, database: Database) -> None:
    reference = books.pay(1000, "NOBODY")
    key = break_keys.suspense(payment_of(books, reference))
    ((public,),) = books.rows("SELECT public_id FROM break_case WHERE key = %s", key)
    # When it is given to somebody and noted by the desk, lowered, resolved and opened again by the engine
    with db.transaction(books.as_role("api")) as session:
        breaks.assign(session, public, owner="treasury", by="clerk")
        breaks.note(session, public, words="the bank was asked", by="clerk")
    with db.transaction(books.as_role("worker")) as session:
        breaks.lower(session, [key], amount_minor=400_00)
        assert breaks.close_many(session, [key], resolution="its bill was found") == 1
        assert breaks.close_many(session, [key], resolution="again") == 0
    stands = "SELECT owner, amount_minor, closed_at IS NULL, resolution FROM break_case WHERE key = %s"
    assert books.rows(stands, key) == [("treasury", 400_00, False, "its bill was found")]
    with db.transaction(books.as_role("worker")) as session:
        breaks.reopen(session, key, amount_minor=1000_00)
    assert books.rows(stands, key) == [("treasury", 1000_00, True, None)]
    # Then everything that was said stands, by whom it was said
    with db.transaction(books.as_role("report")) as session:
        said = [(one.event, one.actor) for one in breaks.history(session, public)]
    assert said == [
        ("opened", "engine"),
        ("assigned", "clerk"),
        ("noted", "clerk"),
        ("changed", "engine"),
        ("resolved", "engine"),
        ("reopened", "engine"),
    ]


def test_no_role_writes_how_a_break_stands_and_the_desk_resolves_none(database: Database, books: Books) -> None:
    key = break_keys.suspense(payment_of(books, books.pay(1000, "NOBODY")))
    for role in ("worker", "api"):
        for wrong in (
            "UPDATE break_case SET closed_at = now(), resolution = 'x'",
            "INSERT INTO break_case DEFAULT VALUES",
        ):
            assert refused(database, role, wrong) is errors.InsufficientPrivilege
    resolved = f"INSERT INTO break_event (key, event, actor, words) VALUES ('{key}', 'resolved', 'x', 'done')"
    assert refused(database, "api", resolved) is errors.InsufficientPrivilege
    assert refused(database, "worker", "SELECT 1", resolved.replace(key, "no such break")) is errors.CheckViolation
    assert books.rows("SELECT count(*) FROM break_case WHERE closed_at IS NULL") == [(1,)]
