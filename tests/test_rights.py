"""Rights beyond the matrix of ``test_grants``: by column, by account, and what a role gone wrong may try."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any, LiteralString, cast

import psycopg
import pytest

from revenue_engine.db import OWNER, ROLES
from tests.conftest import Database
from tests.support import closing
from tests.support.books import Books
from tests.test_grants import MONEY

UPDATABLE = {
    ("api", "billed_object"): {"payer_id", "tariff_item"},
    ("api", "channel_account"): {"name", "status", "settings"},
    ("api", "channel_endpoint"): {"revoked_at"},
    ("api", "payer"): {"name", "phone"},
    ("worker", "job"): {"state", "attempts", "run_after", "leased_by", "lease_until", "last_error"},
    ("worker", "receipt_series"): {"last_number"},
}
_DELIVERY = {"id", "received_on", "received_at", "channel_account_id", "endpoint_id", "purpose", "body_length", "xid"}
READABLE = {
    ("api", "channel_endpoint"): {"id", "channel_account_id", "purpose", "created_at", "revoked_at", "xid"},
    ("api", "delivery"): _DELIVERY | {"peer", "verdict", "verdict_reason"},
    ("fetch", "channel_account"): {"id", "adapter", "identifier", "mode"},
    ("fetch", "delivery"): {"id"},
    ("report", "delivery"): _DELIVERY | {"verdict", "verdict_reason"},
    ("report", "payer"): {"id", "public_id", "created_at", "xid"},
}


def attempt(connection: psycopg.Connection[Any], statement: str) -> str:
    """Try a statement and take it back: ``allowed``, ``refused`` or ``append only``."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(cast("LiteralString", statement))
    except psycopg.errors.InsufficientPrivilege:
        return "refused"
    except psycopg.errors.RestrictViolation:
        return "append only"
    except psycopg.errors.IntegrityError:
        return "allowed"  # the right was there; only the row would not do
    except psycopg.DatabaseError as refused:
        if not (refused.sqlstate or "").startswith("RV"):
            raise
        return "allowed"  # so it was, and our own guard came after
    return "allowed"


def columns(database: Database) -> dict[str, list[str]]:
    """Every table and its columns."""
    found: dict[str, list[str]] = {}
    with database.connect() as connection:
        for table, column in connection.execute(
            "SELECT relname, attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
            " WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped"
            " ORDER BY 1, attnum"
        ):
            found.setdefault(table, []).append(column)
    return found


@pytest.fixture
def books(testland: Database) -> Iterator[Books]:
    """A small county with open books."""
    made = Books(testland.url)
    yield made
    made.close()


# --- columns and accounts --------------------------------------------------------------------------------------------


def test_rights_on_columns_are_these_and_no_more(database: Database) -> None:
    tables = columns(database)
    readable: dict[tuple[str, str], set[str]] = {}
    updatable: dict[tuple[str, str], set[str]] = {}
    for role in ROLES:
        with database.connect(role) as connection:
            for table, names in tables.items():
                # When the role tries each column of each table
                reads = {
                    name for name in names if attempt(connection, f"SELECT {name} FROM {table} LIMIT 0") == "allowed"
                }
                updates = {
                    name
                    for name in names
                    if attempt(connection, f"UPDATE {table} SET {name} = DEFAULT WHERE false") == "allowed"
                }
                if reads and reads != set(names):
                    readable[role, table] = reads
                if updates:
                    updatable[role, table] = updates
    # Then it reads and updates those that are named
    assert readable == READABLE
    assert updatable == UPDATABLE


def test_the_worker_moves_what_is_held_and_the_counter_posts_no_journal_of_its_own(books: Books) -> None:
    # Given the accounts of money: at the Fund, in transit, in banks, at channels, as credit, in suspense, as refunds
    held = ("1000", "1050", "1100", "1200", "1200.mpesa-600100", "2100", "2200", "2210", "2300")
    journal = (
        "INSERT INTO journal (id, book_date, key, kind, occurred_at, digest)"
        " VALUES (1, '2026-07-01', 'k', 'by hand', now(), sha256(''))"
    )
    with psycopg.connect(books.url) as connection:
        connection.execute("SET ROLE revenue_worker")
        connection.execute(cast("LiteralString", journal))
        post = "INSERT INTO posting (journal_id, seq, book_date, debit, credit, amount_minor) VALUES"
        for account in held:
            # Then the worker may move it either way
            for debit, credit in ((account, "1300.SBP"), ("1300.SBP", account)):
                statement = f"{post} (1, 1, '2026-07-01', '{debit}', '{credit}', 1)"
                assert attempt(connection, statement) == "allowed", (debit, credit)
        connection.rollback()
        # And the counter posts nothing but its own bills (tests/ledger/test_attacks.py)
        connection.execute("SET ROLE revenue_api")
        assert attempt(connection, journal) == "refused"


# --- append only, for everybody --------------------------------------------------------------------------------------


def test_money_tables_are_append_only_even_for_their_owner(database: Database) -> None:
    tables = columns(database)
    with database.connect() as connection:
        connection.execute(f"SET ROLE {OWNER}")  # type: ignore[arg-type]
        for table in MONEY:
            for statement in (
                f"UPDATE {table} SET {tables[table][0]} = DEFAULT",
                f"DELETE FROM {table}",
                f"TRUNCATE {table} CASCADE",
            ):
                assert attempt(connection, statement) == "append only", statement


def test_an_upsert_is_a_change_too(books: Books) -> None:
    closing.close(books, date(2026, 7, 1))
    with psycopg.connect(books.url) as connection:
        upsert = (
            "INSERT INTO closed_day (book_date, closed_by) VALUES ('2026-07-01', 'b')"
            " ON CONFLICT (book_date) DO UPDATE SET closed_by = 'b'"
        )
        assert attempt(connection, upsert) == "append only"


# --- roles -----------------------------------------------------------------------------------------------------------


def test_roles_cannot_log_in_and_are_nothing_but_themselves(database: Database) -> None:
    names = [OWNER, *(f"revenue_{role}" for role in ROLES)]
    with database.connect() as connection:
        found = connection.execute(
            "SELECT rolname, rolcanlogin OR rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls"
            "  FROM pg_roles WHERE rolname = ANY(%s)",
            (names,),
        ).fetchall()
        inherited = connection.execute(
            "SELECT member::regrole::text, roleid::regrole::text FROM pg_auth_members"
            " WHERE member::regrole::text = ANY(%s)",
            (names,),
        ).fetchall()
    assert sorted(found) == sorted((name, False) for name in names)
    assert inherited == []


def test_no_role_can_take_another_or_switch_a_guard_off(database: Database) -> None:
    own = database.servers.role_urls
    roles = [role for role in ROLES if own.get(role, database.servers.database_url) != database.servers.database_url]
    if not roles:
        pytest.skip("these servers have no logins of the roles")
    for role in roles:
        with psycopg.connect(database.role_url(role)) as connection:
            for statement in (
                *(f"SET ROLE revenue_{other}" for other in ROLES if other != role),
                f"SET ROLE {OWNER}",
                "SET session_replication_role = replica",
                "ALTER TABLE journal DISABLE TRIGGER refuse_change",
                "DROP TRIGGER refuse_change ON journal",
                "CREATE TABLE mine (a int)",
                "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE sql AS 'SELECT NULL'",
                "SELECT pg_read_file('/etc/hostname')",
                "COPY payment TO PROGRAM 'cat'",
            ):
                assert attempt(connection, statement) == "refused", (role, statement)


def test_sequences_are_drawn_from_and_never_set(database: Database) -> None:
    with database.connect() as connection:
        sequences = [
            name
            for (name,) in connection.execute(
                "SELECT relname FROM pg_class WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace"
            )
        ]
    assert sequences
    usual = {"intake", "worker", "api"}
    fewer = {"money_move_id_seq": {"worker"}, "deposit_return_id_seq": {"worker"}, "statement_entry_id_seq": set[str]()}
    fewer |= {
        f"{table}_id_seq": set[str]() for table in ("close_preparation", "seal_key", "set_up_version", "payer_version")
    }
    fewer["audit_pack_number_seq"] = set()
    fewer |= {f"{table}_id_seq": {"worker"} for table in ("book_rule_version", "book_remap", "book_run", "fund_fact")}
    for role in ROLES:
        with database.connect(role) as connection:
            for sequence in sequences:
                draws = attempt(connection, f"SELECT nextval('{sequence}')") == "allowed"
                if sequence in fewer:
                    assert draws == (role in fewer[sequence]), (role, sequence)
                assert role in usual or not draws, (role, sequence)  # of who writes deliveries, money or bills only
                assert attempt(connection, f"SELECT setval('{sequence}', 1)") == "refused", (role, sequence)


def test_everybody_else_has_nothing(database: Database) -> None:
    # Given a role that nobody granted anything
    stranger = f"stranger_{database.name}"
    with database.connect() as connection:
        connection.execute(f"CREATE ROLE {stranger} NOLOGIN")  # type: ignore[arg-type]
        functions = [
            name
            for (name,) in connection.execute(
                "SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
            )
        ]
        connection.execute(f"SET LOCAL ROLE {stranger}")  # type: ignore[arg-type]
        # Then it may not so much as see the schema
        for table in columns(database):
            assert attempt(connection, f"SELECT FROM public.{table}") == "refused", table
        # And were it let into the schema, still nothing in it would be its own
        connection.execute("RESET ROLE")
        connection.execute(f"GRANT USAGE ON SCHEMA public TO {stranger}")  # type: ignore[arg-type]
        connection.execute(f"SET LOCAL ROLE {stranger}")  # type: ignore[arg-type]
        for table, names in columns(database).items():
            for statement in (
                f"SELECT {names[0]} FROM {table}",
                f"INSERT INTO {table} DEFAULT VALUES",
                f"UPDATE {table} SET {names[0]} = DEFAULT",
                f"DELETE FROM {table}",
            ):
                assert attempt(connection, statement) == "refused", statement
        for function in functions:
            assert connection.execute("SELECT has_function_privilege(%s, 'EXECUTE')", (function,)).fetchone() == (
                False,
            ), function
        connection.rollback()


# --- what runs as the owner ------------------------------------------------------------------------------------------


def shadow(connection: psycopg.Connection[Any]) -> None:
    """What a hostile role can do: put a table of its own before the one that a guard looks into."""
    connection.execute("CREATE TEMP TABLE closed_day (book_date date)")
    connection.execute("CREATE TEMP TABLE close_preparation (id bigint, period text, first_day date, last_day date)")
    connection.execute("GRANT ALL ON closed_day, close_preparation TO PUBLIC")


@pytest.mark.parametrize("sabotaged", [False, True], ids=["as it is", "without pg_temp last"])
def test_a_table_of_ones_own_does_not_blind_the_guards(books: Books, sabotaged: bool) -> None:
    # Given a closed day, and a worker gone wrong that has an empty table of the same name
    closing.close(books, date(2026, 7, 1))
    if sabotaged:
        books.execute("ALTER FUNCTION day_is_shut(date) SET search_path = pg_catalog, public")
    with psycopg.connect(books.url) as connection:
        connection.execute("SET ROLE revenue_worker")
        shadow(connection)
        # When it writes to the closed day
        written = (
            "INSERT INTO journal (book_date, key, kind, occurred_at, digest)"
            " VALUES ('2026-07-01', 'k', 'by hand', now(), sha256(''))"
        )
        # Then the guard still sees the real table; and without its pinned path it would not
        if sabotaged:
            connection.execute(written)
        else:
            with pytest.raises(psycopg.errors.CheckViolation, match="closed"):
                connection.execute(written)
        connection.rollback()


def test_every_function_has_a_pinned_path_with_temporary_tables_last(database: Database) -> None:
    with database.connect() as connection:
        for name, settings in connection.execute(
            "SELECT proname, proconfig FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
        ):
            assert "search_path=pg_catalog, public, pg_temp" in (settings or []), name
