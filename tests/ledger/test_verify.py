"""``ledger verify`` passes honest books and names the row of every edit that its database allowed."""

from __future__ import annotations

import json
import time
from typing import Any

import psycopg
import pytest

from revenue_engine import ledger
from revenue_engine.db import make_engine, raw, transaction
from revenue_engine.errors import InvalidValue
from revenue_engine.ledger import journal as journals
from revenue_engine.verification.verify import CHECKS, Finding, Verification, controls, verify
from tests.support import worked_day


@pytest.fixture
def books(database: Any) -> Any:
    """A database with the worked example, folded into balance slices."""
    engine = make_engine(database.url, pool_size=0)
    with transaction(engine) as session:
        worked_day.two_days(session)
    for _ in range(100):
        with transaction(engine) as session:
            if ledger.snapshot(session):
                return database
        time.sleep(0.1)  # another database of this server has a transaction in flight that began before ours
    raise AssertionError("nothing became final")


def checked(database: Any, role: str | None = None) -> Verification:
    with transaction(make_engine(database.url, role=role, pool_size=0)) as session:
        return verify(session)


def tamper(database: Any, *statements: str) -> None:
    """What somebody with a superuser's password can do: no trigger fires, no foreign key is asked."""
    with database.connect() as connection:
        connection.execute("SET session_replication_role = replica")
        # The guards are ENABLE ALWAYS, which is why they must be switched off one by one; they are put back after.
        guarded = [
            row[0]
            for row in connection.execute(
                "SELECT DISTINCT tgrelid::regclass::text FROM pg_trigger WHERE tgenabled = 'A'"
            )
        ]
        for table in guarded:
            connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        for statement in statements:
            assert connection.execute(statement).rowcount > 0, statement
        for table in guarded:
            for (name,) in connection.execute(
                "SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass AND NOT tgisinternal", (table,)
            ).fetchall():
                connection.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}")


def reseal(database: Any) -> None:
    """Give every journal the digest of what it now says, as a tamperer who knows the code would."""
    with database.connect() as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("ALTER TABLE journal DISABLE TRIGGER refuse_change")
        heads = connection.execute(
            "SELECT id, key, kind, book_date, occurred_at, reverses_id, reason FROM journal"
        ).fetchall()
        for journal_id, key, kind, book_date, occurred_at, reverses_id, reason in heads:
            postings = connection.execute(
                "SELECT debit, credit, amount_minor, currency, stream_code, station_code, channel_account_id, payer_id,"
                " invoice_id, payment_id FROM posting WHERE journal_id = %s ORDER BY seq",
                (journal_id,),
            ).fetchall()
            sealed = journals.digest(
                key=key,
                kind=kind,
                book_date=book_date,
                occurred_at=occurred_at,
                reverses_id=reverses_id,
                reason=reason,
                postings=postings,
            )
            connection.execute("UPDATE journal SET digest = %s WHERE id = %s", (sealed, journal_id))
        connection.execute("ALTER TABLE journal ENABLE ALWAYS TRIGGER refuse_change")


def named(found: Verification) -> set[tuple[str, str, str]]:
    return {(i.name, f.table, f.key) for i in found.invariants for f in i.failures}


def test_honest_books_have_no_finding(books: Any) -> None:
    found = checked(books)
    assert [(i.name, f) for i in found.invariants for f in i.failures] == []
    assert found.ok
    assert len({check.name for check in CHECKS}) == len(CHECKS) == len(found.invariants)
    rows = {i.name: i.rows_checked for i in found.invariants}
    assert rows["journal_digests"] == 16
    assert rows["postings_have_journals"] == 19
    unsealed = {"sealed_rows_stand", "certificates_chain"}  # nothing is closed here: tests/ledger/test_tampers.py is
    assert min(rows[check.name] for check in CHECKS if check.counted and check.name not in unsealed) > 0


def test_an_empty_database_has_no_finding(database: Any) -> None:
    assert checked(database).ok


@pytest.mark.parametrize("role", ["report", "worker", "api"])
def test_it_needs_no_more_than_the_right_to_read(books: Any, role: str) -> None:
    assert checked(books, role).ok


def test_the_answer_is_plain_data_that_json_takes(books: Any) -> None:
    tamper(books, "UPDATE posting SET amount_minor = 1 WHERE payment_id = 4")
    told = json.loads(json.dumps(checked(books).as_dict()))
    assert told["ok"] is False
    assert told["rows_checked"] > 0
    assert told["seconds"] >= 0
    failing = next(i for i in told["invariants"] if i["name"] == "journal_digests")
    assert failing["failed"] == 1
    assert set(failing["failures"][0]) == {"table", "key", "detail"}


def test_findings_past_the_limit_are_counted_and_not_kept(books: Any) -> None:
    tamper(books, "UPDATE journal SET kind = 'x'")
    with transaction(make_engine(books.url, pool_size=0)) as session:
        found = verify(session, keep=2)
    digests = next(i for i in found.invariants if i.name == "journal_digests")
    assert (digests.failed, len(digests.failures)) == (16, 2)


def test_a_session_that_read_at_another_isolation_is_refused(books: Any) -> None:
    with transaction(make_engine(books.url, pool_size=0)) as session:
        raw(session).execute("SELECT 1")
        with pytest.raises(InvalidValue, match="one moment"):
            verify(session)


def test_it_writes_nothing(books: Any) -> None:
    with transaction(make_engine(books.url, pool_size=0)) as session:
        verify(session)
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            raw(session).execute("DELETE FROM job")


JOURNAL = "(SELECT id FROM journal WHERE key = '{}')"
RECEIVED_1, RECEIVED_5 = JOURNAL.format("payment:1:received"), JOURNAL.format("payment:5:received")
SETTLED = JOURNAL.format("settled:2:FT1")

TAMPERS: dict[str, tuple[list[str], set[tuple[str, str, str]]]] = {
    # The keys are those of the worked example: journals 1 to 16 in the order posted; posting keys are journal/seq.
    "the amount of a posting": (
        [f"UPDATE posting SET amount_minor = 299900 WHERE journal_id = {RECEIVED_1}"],
        {
            ("journal_digests", "journal", "3"),
            ("payment_amount_equals_postings", "payment", "1"),
            ("receivable_control", "account", "1300.SBP"),
            ("receivable_control", "open_bill", "1"),
            ("clearing_control", "account", "1200.mpesa-000111"),
            ("snapshots", "balance_slice", "1300.SBP 2026-11-19"),
        },
    ),
    "the amount of a settlement": (
        [f"UPDATE posting SET amount_minor = amount_minor - 100 WHERE journal_id = {SETTLED} AND seq = 0"],
        {("journal_digests", "journal", "16"), ("snapshots", "balance_slice", "1100.kcb-0099 2026-11-20")},
    ),
    "the account that a payment was debited to": (
        [f"UPDATE posting SET debit = '1200.kcb-0099' WHERE journal_id = {RECEIVED_1}"],
        {
            ("journal_digests", "journal", "3"),
            ("payment_amount_equals_postings", "payment", "1"),
            ("clearing_control", "account", "1200.mpesa-000111"),
            ("clearing_control", "account", "1200.kcb-0099"),
        },
    ),
    "the account that a payment was credited to": (
        [f"UPDATE posting SET credit = '2200' WHERE journal_id = {RECEIVED_1}"],
        {
            ("journal_digests", "journal", "3"),
            ("suspense_control", "payment", "1"),
            ("applications_match_postings", "application", "1,2"),
            ("payment_fully_placed", "payment", "1"),
        },
    ),
    "a posting to an account that does not exist": (
        [f"UPDATE posting SET credit = '9999' WHERE journal_id = {SETTLED} AND seq = 1"],
        {("journal_digests", "journal", "16"), ("posting_accounts_exist", "posting", "16/1")},
    ),
    "the book date of a journal": (
        [f"UPDATE journal SET book_date = '2026-11-21' WHERE id = {RECEIVED_1}"],
        {("journal_digests", "journal", "3"), ("posting_and_journal_dates_agree", "posting", "3/0")},
    ),
    "the book date of a posting": (
        [f"UPDATE posting SET book_date = '2026-11-18' WHERE journal_id = {RECEIVED_1}"],
        {
            ("posting_and_journal_dates_agree", "posting", "3/0"),
            ("snapshots", "balance_slice", "1200.mpesa-000111 2026-11-18"),
        },
    ),
    "the book date of a journal and its postings": (
        [
            f"UPDATE posting SET book_date = '2026-11-18' WHERE journal_id = {RECEIVED_1}",
            f"UPDATE journal SET book_date = '2026-11-18' WHERE id = {RECEIVED_1}",
        ],
        {
            ("journal_digests", "journal", "3"),
            ("book_date_not_before_occurrence", "journal", "3"),
            ("receipts_for_payments", "receipt", "1"),
        },
    ),
    "the payer of a posting": (
        [f"UPDATE posting SET payer_id = 2 WHERE journal_id = {RECEIVED_5} AND seq = 0"],
        {("journal_digests", "journal", "11"), ("posting_dimensions", "posting", "11/0")},
    ),
    "the payer of unapplied credit": (
        [f"UPDATE posting SET payer_id = NULL WHERE journal_id = {RECEIVED_5} AND seq = 1"],
        {("journal_digests", "journal", "11"), ("unapplied_control", "posting", "11/1")},
    ),
    "a posting deleted": (
        [f"DELETE FROM posting WHERE journal_id = {RECEIVED_5} AND seq = 1"],
        {
            ("journal_digests", "journal", "11"),
            ("payment_amount_equals_postings", "payment", "5"),
            ("payment_fully_placed", "payment", "5"),
        },
    ),
    "a posting added": (
        [
            f"""INSERT INTO posting (journal_id, seq, book_date, debit, credit, amount_minor)
                SELECT journal_id, 7, book_date, debit, credit, 100 FROM posting
                 WHERE journal_id = {SETTLED} AND seq = 0"""
        ],
        {
            ("journal_digests", "journal", "16"),
            ("journals_have_postings", "journal", "16"),
            ("posting_and_journal_dates_agree", "posting", "16/7"),
        },
    ),
    "a journal deleted": (
        [f"DELETE FROM journal WHERE id = {RECEIVED_1}"],
        {("postings_have_journals", "posting", "3/0"), ("payment_amount_equals_postings", "payment", "1")},
    ),
    "a journal deleted with its postings": (
        [
            f"DELETE FROM posting WHERE journal_id = {RECEIVED_1}",
            f"DELETE FROM journal WHERE id = {RECEIVED_1}",
        ],
        {
            ("payment_amount_equals_postings", "payment", "1"),
            ("applications_match_postings", "application", "1,2"),
            ("snapshots", "balance_slice", "1200.mpesa-000111 2026-11-19"),
        },
    ),
    "a settlement deleted with its postings": (
        [f"DELETE FROM posting WHERE journal_id = {SETTLED}", f"DELETE FROM journal WHERE id = {SETTLED}"],
        {("snapshots", "balance_slice", "5900 2026-11-20")},
    ),
    "a journal posted twice": (
        [
            """INSERT INTO journal (book_date, key, kind, occurred_at, digest)
               SELECT book_date, 'payment:1:again', 'invoice_issued', occurred_at, digest FROM journal
                WHERE key = 'payment:1:received'"""
        ],
        {("journal_digests", "journal", "17"), ("journals_have_postings", "journal", "17")},
    ),
    "a payment deleted": (
        ["DELETE FROM payment WHERE id = 4"],
        {
            ("payment_amount_equals_postings", "journal", "10"),
            ("posting_dimensions", "posting", "10/0"),
            ("receipts_for_payments", "receipt", "4"),
        },
    ),
    "the amount of a payment": (
        ["UPDATE payment SET amount_minor = 500000 WHERE id = 4"],
        {
            ("payment_amount_equals_postings", "payment", "4"),
            ("payment_fully_placed", "payment", "4"),
            ("evidence_for_payments", "payment", "4"),
            ("receipts_for_payments", "payment", "4"),
        },
    ),
    "the channel of a payment": (
        ["UPDATE payment SET channel_account_id = 2 WHERE id = 4"],
        {("payment_amount_equals_postings", "payment", "4"), ("evidence_for_payments", "payment", "4")},
    ),
    "a reversal deleted": (
        ["DELETE FROM payment WHERE id = 8"],
        {("payment_amount_equals_postings", "journal", "14"), ("payment_fully_placed", "payment", "7")},
    ),
    "a receipt deleted": (
        ["DELETE FROM receipt WHERE id = 4"],
        {("receipts_gapless", "receipt", "receipt/2627/3"), ("receipts_for_payments", "payment", "4")},
    ),
    "the last receipt deleted and its number taken back": (
        [
            "DELETE FROM receipt WHERE kind = 'receipt' AND number = 6",
            "UPDATE receipt_series SET last_number = 5 WHERE kind = 'receipt'",
        ],
        {("receipts_for_payments", "payment", "2")},
    ),
    "the amount of a receipt": (
        ["UPDATE receipt SET amount_minor = 500000 WHERE id = 4"],
        {("receipts_for_payments", "payment", "4"), ("receipts_for_payments", "receipt", "4")},
    ),
    "a cancelled receipt made valid again": (
        ["DELETE FROM receipt_cancellation WHERE reason LIKE 'the provider%'"],
        {("receipts_for_payments", "payment", "7")},
    ),
    "an application deleted": (
        ["DELETE FROM application WHERE payment_id = 4"],
        {
            ("open_bill_projection", "open_bill", "4"),
            ("applications_match_postings", "application", "of journal 10"),
            ("payment_fully_placed", "payment", "4"),
        },
    ),
    "an application to another component": (
        ["UPDATE application SET component = 'penalty' WHERE payment_id = 5"],
        {("open_bill_projection", "open_bill", "1")},
    ),
    "a bill marked paid": (
        ["UPDATE open_bill SET principal_minor = 0 WHERE invoice_id = 3"],
        {
            ("open_bill_projection", "open_bill", "3"),
            ("receivable_control", "open_bill", "3"),
            ("receivable_control", "account", "1300.SBP"),
        },
    ),
    "evidence deleted": (
        ["DELETE FROM evidence WHERE reference = 'RKT0000004'"],
        {("evidence_for_payments", "payment", "4"), ("evidence_for_payments", "delivery", "4")},
    ),
    "the amount of evidence": (
        ["UPDATE evidence SET amount_minor = 1 WHERE reference = 'RKT0000004'"],
        {("evidence_for_payments", "payment", "4")},
    ),
    "a delivery deleted": (
        ["DELETE FROM delivery WHERE id = 4"],
        {("evidence_for_payments", "evidence", "4")},
    ),
    "a line of an invoice deleted": (
        ["DELETE FROM invoice_line WHERE invoice_id = 1 AND component = 'penalty'"],
        {("open_bill_projection", "open_bill", "1"), ("invoice_journals", "invoice_line", "1")},
    ),
    "the payer of an invoice": (
        ["UPDATE invoice SET payer_id = 2 WHERE id = 1"],
        {
            ("invoice_journals", "invoice", "1"),
            ("posting_dimensions", "posting", "1/0"),
            ("open_bill_projection", "open_bill", "1"),
        },
    ),
    "the total of an invoice": (
        ["UPDATE invoice SET total_minor = 1 WHERE id = 4"],
        {("invoice_journals", "invoice", "4")},
    ),
    "an invoice deleted": (
        ["DELETE FROM invoice WHERE id = 4"],
        {
            ("invoice_journals", "invoice", "4"),
            ("posting_dimensions", "posting", "6/0"),
            ("open_bill_projection", "open_bill", "4"),
        },
    ),
    "a cancellation deleted": (
        ["DELETE FROM invoice_cancellation"],
        {("invoice_journals", "invoice", "5"), ("open_bill_projection", "open_bill", "5")},
    ),
    "a number that leads to another bill": (
        ["UPDATE pay_account SET invoice_id = 3 WHERE invoice_id = 1"],
        {("invoice_journals", "pay_account", "000000001")},
    ),
    "a suspense break closed by hand": (
        ["UPDATE break_case SET closed_at = now(), resolution = 'done' WHERE key = 'suspense:6'"],
        {("suspense_control", "payment", "6")},
    ),
    "a balance slice": (
        ["UPDATE balance_slice SET debit_minor = debit_minor + 1 WHERE account = '5900'"],
        {("snapshots", "balance_slice", "5900 2026-11-20")},
    ),
    "a journal on a closed day": (
        [
            """INSERT INTO closed_day (book_date, closed_at, closed_by)
               VALUES ('2026-11-19', '2026-11-20 01:00+03', 'chief')"""
        ],
        {("no_journal_on_day_closed_before_it_was_recorded", "journal", "3")},
    ),
    "an audit row": (
        ["UPDATE audit_event SET actor = 'somebody else'"],
        {("audit_leaves", "audit_event", "1")},
    ),
    "the content of an audit row": (
        ["UPDATE audit_event SET content = '\\x00'"],
        {("audit_leaves", "audit_event", "1")},
    ),
}


@pytest.mark.parametrize("name", TAMPERS)
def test_every_edit_is_named(books: Any, name: str) -> None:
    statements, expected = TAMPERS[name]
    tamper(books, *statements)
    found = {
        (invariant, table, " ".join(key.split()[:2]) if table == "balance_slice" else key)
        for invariant, table, key in named(checked(books))
    }
    assert expected - found == set()


RESEALED = [name for name, (statements, _) in TAMPERS.items() if any("posting" in text for text in statements)]


@pytest.mark.parametrize("name", RESEALED)
def test_an_edit_is_named_even_with_a_new_digest(books: Any, name: str) -> None:
    statements, expected = TAMPERS[name]
    tamper(books, *statements)
    reseal(books)
    found = {
        (invariant, table, " ".join(key.split()[:2]) if table == "balance_slice" else key)
        for invariant, table, key in named(checked(books))
    }
    assert found
    assert {one for one in expected if one[0] != "journal_digests"} - found == set()


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        ("ALTER TABLE posting DISABLE TRIGGER refuse_change", ("posting.refuse_change", "disabled")),
        ("ALTER TABLE posting ENABLE TRIGGER refuse_change", ("posting.refuse_change", "not ENABLE ALWAYS")),
        ("DROP TRIGGER refuse_change ON receipt", ("receipt.refuse_change", "missing")),
        ("ALTER TABLE application DISABLE TRIGGER bill_is_paid", ("application.bill_is_paid", "disabled")),
        ("GRANT DELETE ON journal TO revenue_api", ("journal", "revenue_api may DELETE it")),
        (
            "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
            ("posting.refuse_change", "runs a function that was replaced"),
        ),
    ],
)
def test_a_guard_that_was_weakened_is_named(books: Any, statement: str, finding: tuple[str, str]) -> None:
    with books.connect() as connection:
        connection.execute(statement)
    found = next(i for i in checked(books).invariants if i.name == "trigger_state")
    assert finding in {(f.key, f.detail) for f in found.failures}


def test_a_reversal_that_is_no_mirror_is_named(books: Any) -> None:
    with transaction(make_engine(books.url, pool_size=0)) as session:
        settled = ledger.load(session, key="settled:2:FT1")
        undone = ledger.reverse(session, settled.id, reason="the bank took it back")
    assert checked(books).ok
    tamper(books, f"UPDATE posting SET amount_minor = amount_minor + 1 WHERE journal_id = {undone.id} AND seq = 0")
    assert ("reversals_mirror_once", "journal", str(undone.id)) in named(checked(books))


def test_a_finding_says_what_differs_in_words_and_shillings(books: Any) -> None:
    tamper(books, "UPDATE open_bill SET principal_minor = 1000 WHERE invoice_id = 3")
    found = next(i for i in checked(books).invariants if i.name == "open_bill_projection")
    assert found.failures == [Finding("open_bill", "3", "principal left is 10.00; lines less applications say 1300.00")]


def test_controls_are_zero_and_then_say_by_how_much(books: Any) -> None:
    zero = {"receivable": 0, "clearing": 0, "suspense": 0, "unapplied": 0, "snapshots": 0}
    with transaction(make_engine(books.url, role="report", pool_size=0)) as session:
        assert controls(session) == zero
    tamper(
        books,
        "UPDATE open_bill SET principal_minor = principal_minor - 7 WHERE invoice_id = 3",
        "UPDATE break_case SET amount_minor = amount_minor + 5 WHERE key = 'suspense:6'",
        "UPDATE balance_slice SET debit_minor = debit_minor + 3 WHERE account = '5900'",
    )
    with transaction(make_engine(books.url, pool_size=0)) as session:
        assert controls(session) == zero | {"receivable": 7, "suspense": 5, "snapshots": 3}
