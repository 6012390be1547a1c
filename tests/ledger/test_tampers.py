"""What somebody with a superuser's password may do to the books, and which of it ``ledger verify`` names.

The books are made by the product's own flows; each tamper is done and verified in a transaction that is given up.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, LiteralString, cast

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from adapters.mpesa import adapter as mpesa
from reconciliation.runs import running
from revenue_engine import db
from revenue_engine.ledger import journal as journals
from revenue_engine.payments import request_push
from revenue_engine.verification.verify import Sources, Verification, verify
from tests.conftest import TEMPLATE, in_database
from tests.flows.test_statement_doubles import Move, Rows, of
from tests.flows.test_statements import BANK, bring
from tests.ledger.test_verify import TAMPERS
from tests.support import closing
from tests.support.books import DAY, SHORTCODE, Books, confirmation, push_result, reversal

NAME = f"t_tampers_{os.getpid()}"
READERS = {"rows": Rows("rows")}


@pytest.fixture(scope="module")
def books(migrated: Any) -> Iterator[Books]:
    """Bills paid in every way, money in suspense and as credit, a match by hand, a statement, a closed day."""
    with psycopg.connect(migrated.database_url, autocommit=True) as connection:
        connection.execute(cast("LiteralString", f"CREATE DATABASE {NAME} TEMPLATE {TEMPLATE}"))
    made = Books(in_database(migrated.database_url, NAME))
    made.readers |= READERS
    make(made)
    yield made
    made.close()
    with psycopg.connect(migrated.database_url, autocommit=True) as connection:
        connection.execute(cast("LiteralString", f"DROP DATABASE {NAME} WITH (FORCE)"))


def make(books: Books) -> None:
    jane = books.payer("Jane Achieng")
    books.payer("Kevin Otieno")
    paid, part, by_hand, pushed = books.bill(1000), books.bill(500, payer=jane), books.bill(400), books.bill(350)
    books.cancel(books.bill(80))
    books.pay(1000, paid.pay_account_number, reference="UIPAID0001")
    books.pay(700, part.pay_account_number, reference="UICREDIT01")
    books.pay(300, "NOBODY", reference="UISUSP0001")
    books.pay(400, "MAMA BOI", reference="UIHAND0001")
    with db.transaction(books.as_role("api")) as session:
        request_push(
            session, channel_account_id=1, request_id="ws_CO_1", invoice_id=pushed.id, amount_minor=350_00, by="clerk"
        )
    books.deliver(push_result(350, "ws_CO_1", reference="UIPUSH0001"), confirmation(350, "x", reference="UIPUSH0001"))
    books.work()
    for name in "AB":  # two payments of one amount, that might exchange their bills
        books.pay(150, books.bill(150).pay_account_number, reference=f"UISAME000{name}")
    taken = books.bill(250)
    books.pay(250, taken.pay_account_number, reference="UITAKEN001")
    books.deliver(reversal("UITAKEN001", 250, own="UIREV00001"))
    books.work()
    for _ in range(2):  # a match taken back, and made again
        books.judged(lambda session: running.ask(session, "UIHAND0001", by_hand.pay_account_number, reason="seen"))
        if not _:
            books.judged(lambda session: running.ask_back(session, "UIHAND0001", reason="the other stall"))
            books.work()
    books.bank_channel(BANK)
    bring(books, of(SHORTCODE, Move("UIOUT00001", -600, kind="payout"), opening=2000))
    bring(books, of(BANK, Move("FT1", 600, said="MPS 600100"), Move("FT2", 90, said="JOHN W")), channel=2)
    books.work()
    books.pay(120, "LATE", reference="UILAST0001")
    closing.close(books, DAY)


def verified(books: Books, *statements: str, reseal: bool = False) -> Verification:
    """What verify says after the statements were done past every guard, in a transaction that is given up."""
    with Session(books.engine) as session:
        session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        connection = db.raw(session)
        off = connection.execute(
            "SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE tgenabled = 'A' AND NOT tgisinternal"
        ).fetchall()
        if statements:
            connection.execute("SET LOCAL session_replication_role = replica")
            for table, name in off:
                connection.execute(cast("LiteralString", f"ALTER TABLE {table} DISABLE TRIGGER {name}"))
            for statement in statements:
                done = connection.execute(cast("LiteralString", statement))
                assert done.rowcount != 0, statement
            if reseal:
                _reseal(connection)
            for table, name in off:
                gone = "SELECT FROM pg_trigger WHERE tgrelid = %s::regclass AND tgname = %s"
                if connection.execute(gone, (table, name)).fetchone() is not None:
                    connection.execute(cast("LiteralString", f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}"))
        try:
            return verify(session, sources=Sources({"mpesa": mpesa}, READERS))
        finally:
            session.rollback()


def _reseal(connection: psycopg.Connection[Any]) -> None:
    heads = connection.execute("SELECT id, key, kind, book_date, occurred_at, reverses_id, reason FROM journal")
    for journal_id, key, kind, book_date, occurred_at, reverses_id, reason in heads.fetchall():
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


def broken(found: Verification) -> dict[str, list[str]]:
    """The invariants that do not hold, with what was found."""
    return {i.name: [f"{f.table} {f.key}: {f.detail}" for f in i.failures] for i in found.invariants if i.failed}


def test_honest_books_hold(books: Books) -> None:
    assert broken(verified(books)) == {}


P = "(SELECT id FROM payment WHERE reference = '{}')"
PAID, HAND, SUSP, CREDIT = (P.format(name) for name in ("UIPAID0001", "UIHAND0001", "UISUSP0001", "UICREDIT01"))
EXTRA = (
    "WITH j AS (INSERT INTO journal (book_date, key, kind, occurred_at, digest)"
    " VALUES ('2026-11-20', '{key}', '{kind}', now(), sha256('')) RETURNING id, book_date)"
    " INSERT INTO posting (journal_id, seq, book_date, debit, credit, amount_minor, stream_code, payer_id, payment_id)"
    " SELECT id, 0, book_date, '{debit}', '{credit}', 100, {stream}, {payer}, {payment} FROM j"
)


def extra(key: str, kind: str, debit: str, credit: str, **about: str) -> list[str]:
    named = {"stream": "NULL", "payer": "NULL", "payment": "NULL"} | about
    return [EXTRA.format(key=key, kind=kind, debit=debit, credit=credit, **named)]


LOWER = [
    f"UPDATE {table} SET {column} = {column} - 100 WHERE {which}"
    for table, column, which in (
        ("payment", "amount_minor", "reference = 'UISUSP0001'"),
        ("evidence", "amount_minor", "reference = 'UISUSP0001'"),
        ("posting", "amount_minor", f"payment_id = {SUSP}"),
        ("receipt", "amount_minor", f"payment_id = {SUSP}"),
        ("break_case", "amount_minor", f"payment_id = {SUSP}"),
        ("break_event", "amount_minor", f"payment_id = {SUSP}"),
    )
]
LATER = [
    f"UPDATE {table} SET {column} = {column} + interval '1 minute' WHERE {which}"
    for table, column, which in (
        ("payment", "occurred_at", "reference = 'UISUSP0001'"),
        ("evidence", "occurred_at", "reference = 'UISUSP0001'"),
        ("journal", "occurred_at", f"key = 'payment:' || {SUSP} || ':received'"),
        ("receipt", "paid_at", f"payment_id = {SUSP}"),
        ("break_case", "occurred_at", f"payment_id = {SUSP}"),
        ("break_event", "occurred_at", f"payment_id = {SUSP}"),
    )
]
RENAME = [
    f"UPDATE {table} SET reference = 'UISUSP0009' WHERE reference = 'UISUSP0001'" for table in ("payment", "evidence")
]
RAW, FACTS, SCHEMA, MATCHES, JUDGED = (
    "raw_deliveries_say_so",
    "journals_have_facts",
    "schema_as_shipped",
    "matches_stand_on_their_rows",
    "judgements_of_two",
)

NAMED: dict[str, tuple[list[str], str]] = {
    # Raw deliveries read again
    "an amount lowered everywhere": (LOWER, RAW),
    "a time moved everywhere": (LATER, RAW),
    "a reference renamed": (RENAME, RAW),
    "what was typed, in evidence": (
        ["UPDATE evidence SET typed_digest = sha256('else') WHERE reference = 'UISUSP0001'"],
        RAW,
    ),
    "what was typed, with the payer": (
        [f"UPDATE payment_party SET account_reference = 'else' WHERE payment_id = {SUSP}"],
        RAW,
    ),
    "the strength of evidence": (["UPDATE evidence SET strength = 'proves' WHERE reference = 'UISUSP0001'"], RAW),
    "the message of evidence": (["UPDATE evidence SET message = 'else' WHERE reference = 'UISUSP0001'"], RAW),
    "the request of evidence": (["UPDATE evidence SET request_id = NULL WHERE request_id = 'ws_CO_1'"], RAW),
    "a raw body": (
        [
            (
                "UPDATE delivery SET body = replace(convert_from(body, 'UTF8'), '300.00', '900.00')::bytea"
                " WHERE position('UISUSP0001' IN convert_from(body, 'UTF8')) > 0"
            )
        ],
        RAW,
    ),
    "a verdict": (["UPDATE delivery SET verdict = 'refused' WHERE purpose = 'confirmation'"], RAW),
    "evidence hung on another delivery": (
        ["UPDATE evidence SET delivery_id = (SELECT min(id) FROM delivery), item = 7 WHERE reference = 'UISUSP0001'"],
        RAW,
    ),
    "the amount of a statement line": (
        ["UPDATE statement_line SET amount_minor = amount_minor + 100 WHERE reference LIKE '%FT2%'"],
        RAW,
    ),
    "the bank's name of a statement line": (["UPDATE statement_line SET told_as = 'FT9'"], RAW),
    "a statement's balances shifted": (
        ["UPDATE statement SET opening_minor = opening_minor + 5, closing_minor = closing_minor + 5"],
        RAW,
    ),
    # What two tables say
    "the name of a statement line": (
        ["UPDATE statement_line SET reference = 'FT8' WHERE reference = 'FT2'"],
        "statements_and_their_lines",
    ),
    "a statement line deleted": (
        ["DELETE FROM statement_line WHERE reference = 'FT2'"],
        "statements_and_their_lines",
    ),
    "a match deleted": (
        ["DELETE FROM payment_match WHERE id = (SELECT max(id) FROM payment_match)"],
        MATCHES,
    ),
    "the taking back of a match deleted": (["DELETE FROM match_reversal"], MATCHES),
    "one person asked and agreed": (
        [
            (
                "UPDATE access.request q SET requested_by ="
                " (SELECT a.person_id FROM access.answer a WHERE a.request_id = q.id)"
            )
        ],
        JUDGED,
    ),
    "an answer deleted": (["DELETE FROM access.answer"], JUDGED),
    "an answer turned into a refusal": (["UPDATE access.answer SET agreed = false, reason = 'never'"], JUDGED),
    "another payment in what was agreed": (
        [f"UPDATE access.request SET payload = jsonb_set(payload, '{{payment_id}}', to_jsonb({PAID}))"],
        JUDGED,
    ),
    "what was shown, in other words": (["UPDATE access.request SET shown = '{}'"], JUDGED),
    "a request of another kind": (["UPDATE access.request SET kind = 'link' WHERE kind = 'match'"], JUDGED),
    "what was done was never done": (["DELETE FROM access.execution"], JUDGED),
    "a match on nobody's word": (
        ["UPDATE payment_match SET approval_id = 9000 + id WHERE approval_id IS NOT NULL"],
        JUDGED,
    ),
    "a push request that never was": (["UPDATE push_request SET request_id = 'ws_CO_9'"], MATCHES),
    "a bill that no push asked for": (
        [f"UPDATE application SET rung = 'push' WHERE payment_id = {PAID}"],
        MATCHES,
    ),
    "an extra settlement": (extra("settled:2:FT99", "settled", "1100.bank-1100200300", "1200.mpesa-600100"), FACTS),
    "a settlement of another amount": (
        ["UPDATE posting SET amount_minor = amount_minor - 100 WHERE debit = '1100.bank-1100200300'"],
        FACTS,
    ),
    "an extra sweep": (extra("swept:1", "swept", "1050", "1100.bank-1100200300"), FACTS),
    "an extra credit of the Fund": (extra("fund:1", "crf_credited", "1000", "1050"), FACTS),
    "an extra refund": (extra("refund:1", "refund_paid", "2300", "1000"), FACTS),
    "revenue given to a concessionaire": (
        extra("shared:1", "concession_shared", "4000.SBP.principal", "2500", stream="'SBP'"),
        FACTS,
    ),
    "credit of Jane moved to Kevin": (
        extra("moved:1", "moved", "2100", "2200", payer="1", payment=CREDIT)
        + extra("moved:2", "moved", "2200", "2100", payer="2", payment=CREDIT),
        FACTS,
    ),
    "a key that looks like one of a payment": (
        extra("payment:1:identified:x", "suspense_identified", "4800", "1300.SBP"),
        FACTS,
    ),
    "a day closed out of turn": (
        ["INSERT INTO closed_day (book_date, closed_by) VALUES ('2026-10-20', 'x')"],
        "days_closed_in_order",
    ),
    "a closed day deleted from the middle": (
        ["DELETE FROM closed_day WHERE book_date = '2026-08-01'"],
        "days_closed_in_order",
    ),
    "a break closed without an event": (
        [f"UPDATE break_case SET closed_at = now(), resolution = 'x' WHERE payment_id = {SUSP}"],
        "breaks_are_their_events",
    ),
    "a break given to another": (["UPDATE break_case SET owner = 'else'"], "breaks_are_their_events"),
    "a break deleted, its events kept": (["DELETE FROM break_case"], "breaks_are_their_events"),
    "a clearing account elsewhere": (
        ["UPDATE account SET code = '1200.9' WHERE code = '1200.mpesa-600100'"],
        "accounts_of_banks_and_channels",
    ),
    # What the release ships
    **{
        f"a hollow {name}": (
            [f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"],
            SCHEMA,
        )
        for name in ("bill_is_paid", "journal_guard", "posting_guard", "delivery_needs_work", "refuse_change")
    },
    "an identity no longer unique": (["DROP INDEX uq_payment_identity"], SCHEMA),
    "keys no longer unique": (["DROP INDEX uq_journal_key"], SCHEMA),
    "a check dropped": (["ALTER TABLE posting DROP CONSTRAINT ck_posting_amount"], SCHEMA),
    "a look-up of parents dropped": (["DROP TRIGGER names_payment_payment_id ON receipt"], SCHEMA),
    "a right to insert": (["GRANT INSERT ON payment TO revenue_api"], SCHEMA),
    "a right to a column": (["GRANT UPDATE (amount_minor) ON payment TO revenue_worker"], SCHEMA),
    "a right to a function": (["GRANT EXECUTE ON FUNCTION take_tick() TO revenue_api"], SCHEMA),
    "a trigger more": (
        ["CREATE TRIGGER mine BEFORE INSERT ON payment FOR EACH STATEMENT EXECUTE FUNCTION read_committed()"],
        SCHEMA,
    ),
    "one role's right given to another": (["GRANT revenue_worker TO revenue_api"], SCHEMA),
    "a role that logs in": (["ALTER ROLE revenue_report LOGIN"], SCHEMA),
    "a login made superuser": (["ALTER ROLE revenue_report SUPERUSER"], SCHEMA),
}


@pytest.mark.parametrize("name", NAMED)
def test_a_tamper_is_named(books: Books, name: str) -> None:
    statements, invariant = NAMED[name]
    found = broken(verified(books, *statements, reseal=True))
    assert invariant in found, sorted(found)


LAST = P.format("UILAST0001")
SAME = "payment_id IN (SELECT id FROM payment WHERE reference LIKE 'UISAME%')"
OTHER = (
    "(SELECT b.invoice_id FROM application a JOIN application b ON a.payment_id <> b.payment_id"
    f" WHERE a.invoice_id = t.invoice_id AND a.{SAME} AND b.{SAME} LIMIT 1)"
)
ONLY_A_SEAL: dict[str, list[str]] = {
    "a bill given to another payer": [
        f"UPDATE {table} SET payer_id = 2 WHERE {which}"
        for table, which in (
            ("posting", "invoice_id IN (SELECT id FROM invoice WHERE payer_id = 1)"),
            ("open_bill", "payer_id = 1"),
            ("invoice", "payer_id = 1"),
        )
    ],
    "two payments that exchange their bills": [
        (
            f"CREATE TEMP TABLE swapped AS SELECT DISTINCT t.invoice_id AS was, {OTHER} AS now FROM application t"
            f" WHERE t.{SAME}"
        ),
        f"UPDATE posting t SET invoice_id = s.now FROM swapped s WHERE t.invoice_id = s.was AND t.{SAME}",
        f"UPDATE application t SET invoice_id = s.now FROM swapped s WHERE t.invoice_id = s.was AND t.{SAME}",
    ],
    "the numbers of two receipts swapped": [
        f"CREATE TEMP TABLE papers AS SELECT id, sum(number) OVER () - number AS now FROM receipt WHERE {SAME}",
        f"UPDATE receipt SET number = number + 1000 WHERE {SAME}",
        "UPDATE receipt r SET number = p.now FROM papers p WHERE p.id = r.id",
    ],
    "a raw body changed with all that was read of it": [
        *LOWER,
        (
            "UPDATE delivery SET body = replace(convert_from(body, 'UTF8'), '300.00', '299.00')::bytea"
            " WHERE position('UISUSP0001' IN convert_from(body, 'UTF8')) > 0"
        ),
    ],
    "an audit event re-written with its leaf": [
        (
            "UPDATE audit_event SET content = content || ' '::bytea,"
            " leaf = sha256('\\x00'::bytea || content || ' '::bytea) WHERE id = (SELECT min(id) FROM audit_event)"
        )
    ],
    "the newest payment erased whole": [
        f"DELETE FROM {table} WHERE {which}"
        for table, which in (
            ("posting", f"payment_id = {LAST}"),
            ("journal", f"key = 'payment:' || {LAST} || ':received'"),
            ("receipt", f"payment_id = {LAST}"),
            ("break_event", f"payment_id = {LAST}"),
            ("break_case", f"payment_id = {LAST}"),
            ("payment_party", f"payment_id = {LAST}"),
            ("delivery", "id = (SELECT delivery_id FROM evidence WHERE reference = 'UILAST0001')"),
            ("evidence", "reference = 'UILAST0001'"),
            ("payment", "reference = 'UILAST0001'"),
        )
    ]
    + ["UPDATE receipt_series SET last_number = last_number - 1 WHERE kind = 'acknowledgement'"],
    "the peer of a delivery": ["UPDATE delivery SET peer = '203.0.113.9'"],
    "the hour a row was written": ["UPDATE payment SET recorded_at = recorded_at - interval '1 hour'"],
    "the transaction of a row": ["UPDATE payment SET xid = '5'"],
    "a public id": ["UPDATE payment SET public_id = 'pay_else' WHERE reference = 'UISUSP0001'"],
    "a payer's name": ["UPDATE payer SET name = 'Else'"],
    "a party's name": ["UPDATE payment_party SET name = 'ELSE'"],
    "a due date": ["UPDATE invoice SET due_on = due_on + 1", "UPDATE open_bill SET due_on = due_on + 1"],
    "the words of a bill's line": ["UPDATE invoice_line SET description = 'else'"],
    "the last closed day deleted": ["DELETE FROM closed_day WHERE book_date = '2026-09-15'"],
    "an audit event erased": ["DELETE FROM audit_event WHERE id = (SELECT max(id) FROM audit_event)"],
    "a break erased with its events": [
        (
            "DELETE FROM break_event WHERE reason = 'duplicate_payment' OR key IN (SELECT key FROM break_case WHERE"
            " closed_at IS NOT NULL)"
        ),
        "DELETE FROM break_case WHERE closed_at IS NOT NULL",
    ],
    "an allow-list": ['UPDATE channel_account SET settings = settings || \'{"peers": ["203.0.113.9"]}\''],
    "the county's limit": ["UPDATE county SET confirm_limit_minor = 1"],
    "a tariff": ["UPDATE tariff_line SET amount_minor = 1"],
    "a push request invented": [
        (
            "INSERT INTO push_request (channel_account_id, request_id, invoice_id, amount_minor, requested_by, xid)"
            " SELECT 1, 'ws_x', min(id), 100, 'x', (SELECT p.xid FROM payment p ORDER BY p.id LIMIT 1) FROM invoice"
        )
    ],
}


SEALED, CHAIN = "sealed_rows_stand", "certificates_chain"
SEALED_BY = {
    "a payer's name": "set_up_is_its_last_version",
    "an allow-list": "set_up_is_its_last_version",
    "the county's limit": "set_up_is_its_last_version",
    "a tariff": "set_up_is_its_last_version",
    "the last closed day deleted": CHAIN,
}


@pytest.mark.parametrize("name", ONLY_A_SEAL)
def test_the_seal_names_what_stands_in_one_place_only(books: Books, name: str) -> None:
    found = broken(verified(books, *ONLY_A_SEAL[name], reseal=True))
    # A row that may change lawfully is sealed by its versions; a closed day is named by its certificate.
    expected = SEALED_BY.get(name, SEALED)
    assert expected in found, found
    assert set(found) <= {expected}, found


PAGE = Path(__file__).parents[2] / "docs" / "tampers.md"


def test_the_page_lists_every_tamper_and_what_names_it() -> None:
    """Two lists: what `ledger verify` finds in the books themselves, and what only a seal can."""
    found, sealed = PAGE.read_text(encoding="utf-8").split("## Only a seal")
    listed = re.findall(r"^\| (.+?) \| `(\w+)` \|$", found, re.MULTILINE)
    assert dict(listed) == {name: invariant for name, (_, invariant) in NAMED.items()}
    books = re.findall(r"^- (.+)$", found, re.MULTILINE)
    assert books == list(TAMPERS)
    assert re.findall(r"^\| (.+?) \|", sealed, re.MULTILINE)[1:] == list(ONLY_A_SEAL)
    assert len(listed) + len(books) + len(ONLY_A_SEAL) >= 81
