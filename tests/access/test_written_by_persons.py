"""What the process of persons writes bears the name of who is signed in, and nothing is written by nobody."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.access.test_attacks import tried
from tests.conftest import Database
from tests.support import people
from tests.support.books import Books
from tests.support.commands import run

BILL = (
    "INSERT INTO invoice (public_id, number, pay_account_number, stream_code, station_code, billing, total_minor,"
    " issued_at, due_on, issued_by) VALUES ('inv_x', 'INV-X', '999999999', 'TRAILER', {station}, 'bill', 100, now(),"
    " '2026-10-01', {who})"
)
NAMED = {
    "invoice": ("issued_by", BILL.format(station="NULL", who="{who}")),
    "push_request": (
        "requested_by",
        (
            "INSERT INTO push_request (channel_account_id, request_id, invoice_id, amount_minor, requested_by)"
            " SELECT 1, 'ws_CO_1', min(id), 100, {who} FROM invoice"
        ),
    ),
    "break_event": (
        "actor",
        (
            "INSERT INTO break_event (key, event, actor, words)"
            " SELECT min(key), 'noted', {who}, 'looked at' FROM break_case WHERE closed_at IS NULL"
        ),
    ),
    "matching_policy": (
        "proposed_by",
        (
            "INSERT INTO matching_policy (digest, settings, rules_version, proposed_by)"
            " VALUES (repeat('a', 64), '{{}}', 1, {who})"
        ),
    ),
    "policy_trial": (
        "tried_by",
        (
            "INSERT INTO policy_trial (policy_digest, beside_digest, history_digest, figures, tried_by)"
            " VALUES (repeat('b', 64), repeat('b', 64), repeat('c', 64), '{{}}', {who})"
        ),
    ),
}
"""Table to the column that names who, and a row of it."""
UNNAMED = {
    "payer": "INSERT INTO payer (public_id, name) VALUES ('pay_x', 'X')",
    "payer changed": "UPDATE payer SET phone = '+254700000999'",
    "billed_object": "INSERT INTO billed_object (public_id, stream_code, reference) VALUES ('obj_x', 'RENT', 'K9')",
    "billed_object changed": "UPDATE billed_object SET payer_id = 1",
    "alias": "INSERT INTO alias (kind, normal, typed, object_id) VALUES ('stall', 'K9', 'K9', 1)",
    "pay_account": "INSERT INTO pay_account (number, invoice_id) VALUES ('999999998', 1)",
    "channel_account": "INSERT INTO channel_account (public_id, name, adapter, identifier, mode, status,"
    " clearing_account, settings) SELECT 'cha_mine', name, adapter, '600998', 'test', 'active', clearing_account,"
    " settings FROM channel_account LIMIT 1",
    "channel_account changed": "UPDATE channel_account SET settings = '{}'",
    "channel_endpoint": "INSERT INTO channel_endpoint (channel_account_id, purpose, token_sha256)"
    " VALUES (1, 'confirmation', sha256('x'))",
    "channel_endpoint changed": "UPDATE channel_endpoint SET revoked_at = now()",
    "account": "INSERT INTO account (code, name, type, parent) VALUES ('1200.x-1', 'x', 'asset', '1200')",
    "idempotency_key": "INSERT INTO idempotency_key (person_id, key, fingerprint, status, media_type, body)"
    " VALUES (1, 'k', sha256(''), 200, 'x', '')",
}
BY_FILES_ALONE = {
    "county": "UPDATE county SET confirm_limit_minor = 100000000000",
    "stream": "UPDATE stream SET retained_by = 'me'",
    "station": "INSERT INTO station (code, name, stream_code, sub_county, ward) VALUES ('X', 'X', 'RENT', 'X', 'X')",
    "tariff_line": "UPDATE tariff_line SET effective_to = '2026-01-01'",
    "bank_account": "INSERT INTO bank_account (account, bank, number, purpose, authority, destination, opened_by)"
    " VALUES ('1100.x-1', 'x', '1', 'collection', 'a letter', 'county', 'clerk')",
    "public_holiday": "INSERT INTO public_holiday (day, name, source) VALUES ('2026-12-01', 'x', 'x')",
}
PERSONAL = "(_by|actor|person(_id)?|owner|who|officer|author|signer|signed|login|checker|maker|user|clerk)$|^(by|actor)"
"""What a column is called that says who did something."""
KEEPERS = ["kept_by_person", "ict_probe_guard", "remittance_event_guard"]
"""Triggers that write ``kept_by`` themselves, from the session."""
PROVED = {
    # by a statement trigger that holds the name against who is signed in
    *((table, column) for table, (column, _) in NAMED.items()),
    ("idempotency_key", "person_id"),
}
NO_PERSON = {
    ("agreement", "next_owner"): "the office that the next step lies with, not who wrote the row",
    ("break_event", "owner"): "to whom a break is given",
    ("stream", "retained_by"): "the county or the facility that keeps the money",
}


@pytest.fixture(scope="module")
def books(shared_database: Database) -> Iterator[Books]:
    made = Books(shared_database.url)
    made.payer()
    made.bill(10)
    made.pay(7, "nobody knows")
    made.execute(
        "INSERT INTO matching_policy (digest, settings, rules_version, proposed_by)"
        " VALUES (repeat('b', 64), '{}', 1, 'setup')"
    )
    yield made
    made.close()


def by_api(books: Books, secret: str | None, statement: str) -> str:
    with psycopg.connect(books.url) as connection:
        connection.execute("SET ROLE revenue_api")
        connection.execute("SELECT set_config('revenue.session', %s, false)", (secret or "",))
        connection.commit()
        return tried(connection, statement)


@pytest.mark.parametrize("table", NAMED)
def test_a_row_that_names_who_bears_the_name_of_who_is_signed_in(books: Books, table: str) -> None:
    column, statement = NAMED[table]
    mine, clerk = "'clerk'", books.clerk
    assert by_api(books, clerk.secret, statement.format(who=mine)) == "done"
    for secret, who, said in (
        (None, mine, "RV401 nobody is signed in"),
        ("0" * 64, mine, "RV401 no session has this secret"),
        (clerk.secret, "'treasurer'", "RV403 you are clerk and not treasurer"),
        (clerk.secret, "'Clerk'", "RV403 you are clerk and not Clerk"),
        (clerk.secret, "'сlerk'", "RV403 you are clerk and not сlerk"),  # a Cyrillic first letter
        (clerk.secret, "'clerk '", "RV403 you are clerk and not clerk "),
        (clerk.secret, "'cli:clerk'", "RV403 you are clerk and not cli:clerk"),
    ):
        assert by_api(books, secret, statement.format(who=who)).startswith(said), (column, who)
    auditor = people.somebody(books.url, "one.auditor", "auditor")
    refused = by_api(books, auditor.secret, statement.format(who="'one.auditor'"))
    assert refused.startswith("RV403 you may not"), refused
    assert "; " in refused
    assert refused.endswith(" may")
    # And a worker bears nobody's name
    with books_worker(books) as connection:
        assert tried(connection, statement.format(who=mine))[:5] in ("RV403", "42501")


def books_worker(books: Books) -> psycopg.Connection[tuple[object, ...]]:
    connection = psycopg.connect(books.url)
    connection.execute("SET ROLE revenue_worker")
    connection.commit()
    return connection


@pytest.mark.parametrize("what", UNNAMED)
def test_nobody_writes_nothing(books: Books, what: str) -> None:
    refused = by_api(books, None, UNNAMED[what])
    assert refused[:5] == ("RV403" if what == "idempotency_key" else "RV401"), refused


@pytest.mark.parametrize("what", BY_FILES_ALONE)
def test_what_a_county_is_comes_by_its_files_from_whoever_holds_the_database(books: Books, what: str) -> None:
    for who in (None, books.clerk.secret, books.treasurer.secret):
        assert by_api(books, who, BY_FILES_ALONE[what]).startswith("42501")


def test_a_bill_is_issued_in_ones_own_sub_county_also_by_sql(books: Books) -> None:
    there = people.somebody(books.url, "of.there", "clerk", sub_county="Matayos")
    for station, place in (("'MALABA'", "of Teso North"), ("NULL", "county-wide")):
        refused = by_api(books, there.secret, BILL.format(station=station, who="'of.there'"))
        assert refused.startswith(f"RV403 you may issue a bill in your sub-county only, and this is {place}"), refused
    here = people.somebody(books.url, "of.here", "clerk", sub_county="Teso North")
    assert by_api(books, here.secret, BILL.format(station="'MALABA'", who="'of.here'")) == "done"


def test_the_name_of_the_shell_is_nobodys(books: Books, tmp_path: Path) -> None:
    """An environment variable makes nobody a person: a command without a session is refused."""
    env = {
        "REVENUE_DATABASE_URL": books.url,
        "LOGNAME": "clerk",
        "USER": "clerk",
        "REVENUE_TOKEN_FILE": str(tmp_path / "no"),
    }
    told = json.loads(run("invoice", "create", "--item", "SBP.SHOP", "--json", env=env, status=1))
    assert told["code"] == "not_signed_in"


def test_every_column_that_names_a_person_is_proved(books: Books) -> None:
    """A new column that says who did something, and that the process of persons may write, is proved or fails here."""
    found = books.rows(
        "SELECT c.relname::text, a.attname::text, EXISTS (SELECT FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid"
        "   WHERE t.tgrelid = c.oid AND t.tgenabled = 'A' AND p.proname = ANY(%s))"
        "  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
        " WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace AND a.attname ~ %s"
        "   AND (has_column_privilege('revenue_api', c.oid, a.attnum, 'INSERT')"
        "        OR has_column_privilege('revenue_api', c.oid, a.attnum, 'UPDATE'))",
        KEEPERS,
        PERSONAL,
    )
    assert len(found) > 30
    unproved = {(table, column) for table, column, kept in found if not (kept and column == "kept_by")}
    assert unproved - NO_PERSON.keys() == PROVED
    held = books.rows(
        "SELECT c.relname::text, encode(t.tgargs, 'escape') FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
        " JOIN pg_proc p ON p.oid = t.tgfoid WHERE p.proname = 'person_is_named' AND t.tgenabled = 'A'"
    )
    assert {(table, arguments.split("\\000")[1]) for table, arguments in held} == PROVED - {
        ("idempotency_key", "person_id")
    }


def test_every_table_that_the_process_of_persons_writes_asks_who_it_is(books: Books) -> None:
    """Each table is tried above by nobody, or nobody's row in it needs another row that is."""
    written = {
        table
        for (table,) in books.rows(
            "SELECT DISTINCT c.relname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0"
            " WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND NOT a.attisdropped"
            "   AND (has_column_privilege('revenue_api', c.oid, a.attnum, 'INSERT')"
            "        OR has_column_privilege('revenue_api', c.oid, a.attnum, 'UPDATE'))"
        )
    }
    kept = {
        table
        for (table,) in books.rows(
            "SELECT DISTINCT c.relname::text FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
            " JOIN pg_proc p ON p.oid = t.tgfoid WHERE p.proname = ANY(%s)",
            KEEPERS,
        )
    }
    elsewhere = {
        "journal": "is of a bill of the same transaction",
        "posting": "is of a journal of the same transaction",
        "invoice_line": "opens a bill once, whose total it makes",
        "delivery": "a statement names who brings it by its own trigger",
    }
    tried_above = {*NAMED, *(what.split()[0] for what in UNNAMED)}
    assert written - kept - tried_above == elsewhere.keys() & written
