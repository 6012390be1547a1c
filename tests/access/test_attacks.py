"""What a stolen database login, a clever clerk and a hostile session try, refused by the database with the reason."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any, LiteralString, cast

import psycopg
import pytest
from sqlalchemy import Engine

from revenue_engine import db
from revenue_engine.access import approvals
from tests.access.conftest import EngineOf
from tests.access.test_approvals import NEW, ask, stands, work
from tests.conftest import Database
from tests.support import people

LOGINS = ("intake", "worker", "api", "report")


def tried(connection: psycopg.Connection[Any], statement: str, *values: Any) -> str:
    """Try a statement and take it back: ``done``, or the SQLSTATE and the words of the refusal."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(cast("LiteralString", statement), values or None)
    except psycopg.Error as error:
        return f"{error.sqlstate} {error.diag.message_primary}"
    return "done"


def tables(database: Database) -> list[str]:
    with database.connect() as connection:
        found = connection.execute(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'S') AND relnamespace = 'access'::regnamespace"
        ).fetchall()
    return [row[0] for row in found]


@pytest.mark.parametrize("role", LOGINS)
def test_no_login_touches_a_table_of_persons(database: Database, role: str) -> None:
    people.administrators(database.url)
    found = tables(database)
    assert {"person", "credential", "session", "token", "request", "answer", "execution", "tries_1_known"} <= set(found)
    with psycopg.connect(database.role_url(role)) as connection:
        for table in found:
            for statement in (
                f"SELECT * FROM access.{table}",
                f"INSERT INTO access.{table} DEFAULT VALUES",
                f"DELETE FROM access.{table}",
                f"TRUNCATE access.{table}",
                f"ALTER TABLE access.{table} DISABLE TRIGGER ALL",
                f"COPY access.{table} TO STDOUT",
                f"SELECT setval('access.{table}', 1)",
            ):
                assert tried(connection, statement).startswith(("42501", "42809", "0A000")), (role, statement)


ALLOWED = {
    "api": {
        *(
            "acting",
            "may",
            "must",
            "why_nobody",
            "audit",
            "salt_of",
            "sign_in",
            "step_up",
            "seen",
            "sign_out",
            "whoami",
        ),
        *("who_may", "enrol", "disable_person", "revoke_sessions", "persons", "issue_token", "revoke_token", "tokens"),
        *("end_scope", "scopes", "stations", "acting_login", "requests_page"),
        *("ask", "agree", "refuse", "agree_list", "withdraw", "requests", "enrolment_half", "unjudged"),
    },
    "worker": {
        "acting",
        "acting_login",
        "may",
        "must",
        "why_nobody",
        "audit",
        "execute",
        "doing",
        "void",
        "is_agreed",
        "unjudged",
    },
    "report": {"acting", "acting_login", "may", "must", "why_nobody", "audit", "unjudged", "stations"},
    "intake": set[str](),
    "seal": set[str](),
}


@pytest.mark.parametrize("role", sorted(ALLOWED))
def test_each_role_calls_what_it_must_and_no_more(database: Database, role: str) -> None:
    with database.connect() as connection:
        may = connection.execute(
            "SELECT proname FROM pg_proc WHERE pronamespace = 'access'::regnamespace"
            " AND has_function_privilege(%s, oid, 'EXECUTE')",
            (f"revenue_{role}",),
        ).fetchall()
    assert {row[0] for row in may} == ALLOWED[role]


def test_every_function_is_the_owners_with_a_pinned_path(database: Database) -> None:
    with database.connect() as connection:
        for name, config, owner in connection.execute(
            "SELECT proname, proconfig, pg_get_userbyid(proowner) FROM pg_proc"
            " WHERE pronamespace = 'access'::regnamespace"
        ):
            assert config == ["search_path=pg_catalog, access, public, pg_temp"], name
            assert owner == "revenue_owner", name


def test_a_forged_session_row_and_a_named_person(database: Database) -> None:
    one, _ = people.administrators(database.url)
    digest = hashlib.sha256(b"mine").digest()
    with psycopg.connect(database.role_url("api")) as connection:
        forged = "INSERT INTO access.session (person_id, secret_sha256, ends_at) VALUES (%s, %s, 'infinity')"
        assert tried(connection, forged, one.id, digest).startswith("42501 permission denied for table session")
        opened = tried(connection, "SELECT access.open_session(%s)", one.id)
        assert opened.startswith("42501 permission denied for function")
        # A person named without a secret is nobody, whatever is set and wherever
        for told in ("", str(one.id), one.login, "x' OR true --", digest.hex(), "0" * 64):
            connection.execute("SELECT set_config('revenue.session', %s, true)", (told,))
            assert connection.execute("SELECT access.acting()").fetchone() == (None,)
            connection.rollback()
        for name in ("revenue.person", "revenue.actor", "access.acting", "revenue.login"):
            connection.execute("SELECT set_config(%s, %s, true)", (name, str(one.id)))
            assert connection.execute("SELECT access.acting()").fetchone() == (None,)
            connection.rollback()
        assert tried(connection, "SELECT access.ask('person_add', 'x', '{}', 'because')") == "RV401 nobody is signed in"


@pytest.mark.parametrize("role", LOGINS)
def test_temporary_tables_and_functions_of_ones_own_blind_nobody(database: Database, role: str) -> None:
    people.administrators(database.url)
    mine = hashlib.sha256(b"mine").digest()
    with psycopg.connect(database.role_url(role)) as connection:
        connection.execute("CREATE TEMP TABLE person (id bigint, login text, disabled_at timestamptz)")
        connection.execute(
            "CREATE TEMP TABLE session (id bigint, person_id bigint, secret_sha256 bytea, ends_at timestamptz,"
            " ended_at timestamptz, seen_at timestamptz)"
        )
        connection.execute("INSERT INTO person VALUES (1, 'me', NULL)")
        connection.execute("INSERT INTO session VALUES (1, 1, %s, 'infinity', NULL, 'infinity')", (mine,))
        connection.execute(
            "CREATE FUNCTION pg_temp.sha256(bytea) RETURNS bytea LANGUAGE sql AS 'SELECT sha256(''mine''::bytea)'"
        )
        connection.execute(
            "CREATE FUNCTION pg_temp.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS 'SELECT now()'"
        )
        connection.execute("SET search_path = pg_temp, public")
        connection.execute("SELECT set_config('revenue.session', 'mine', true)")
        if role == "intake":
            assert tried(connection, "SELECT access.acting()").startswith("42501")
        else:
            assert connection.execute("SELECT access.acting()").fetchone() == (None,)
        assert tried(connection, "CREATE FUNCTION access.acting2() RETURNS int LANGUAGE sql AS 'SELECT 1'").startswith(
            "42501"
        )
        assert tried(connection, "CREATE OR REPLACE FUNCTION access.acting() RETURNS bigint LANGUAGE sql AS 'SELECT 1'"
                     ).startswith("42501")  # fmt: skip
        assert tried(connection, "CREATE SCHEMA mine").startswith("42501")


@pytest.mark.parametrize("role", LOGINS)
def test_no_login_becomes_the_owner_or_says_it_is(database: Database, role: str) -> None:
    with psycopg.connect(database.role_url(role)) as connection:
        for statement in (
            "SET ROLE revenue_owner",
            "SELECT set_config('role', 'revenue_owner', false)",
            "SET SESSION AUTHORIZATION revenue_owner",
            "SET session_replication_role = replica",
        ):
            if connection.execute("SELECT session_user = current_user").fetchone() == (True,):
                assert tried(connection, statement).startswith("42501"), (role, statement)


def test_a_worker_cannot_do_what_nobody_agreed_to(database: Database, api: Engine, engine_of: EngineOf) -> None:
    one, two = people.administrators(database.url)
    public = ask(api, one)
    with database.connect() as connection:
        row = connection.execute("SELECT id FROM access.request WHERE public_id = %s", (public,)).fetchone()
    assert row is not None
    with psycopg.connect(database.role_url("worker")) as connection:
        words = tried(connection, "SELECT access.execute(%s)", row[0])
        assert words == f"RV409 {public} is not agreed to by as many persons as it needs (1)"
        assert tried(connection, "SELECT access.agree(%s, '')", public).startswith("42501")
        assert tried(connection, "SELECT access.ask('person_add', 'x', '{}', 'because')").startswith("42501")
        assert tried(connection, "INSERT INTO access.execution (request_id, outcome) VALUES (%s, 'done')", row[0]
                     ).startswith("42501")  # fmt: skip
    # The API writes no job row of its own, and one that a worker writes does it no sooner
    with psycopg.connect(database.role_url("api")) as connection:
        words = tried(connection, "INSERT INTO job (kind, ref_id) VALUES ('approved', %s)", row[0])
        assert words.startswith("42501")
    with psycopg.connect(database.role_url("worker")) as connection:
        connection.execute("INSERT INTO job (kind, ref_id) VALUES ('approved', %s)", (row[0],))
    with pytest.raises(Exception, match="not agreed"):
        work(engine_of)
    assert stands(database, public)[0] == "waiting"
    # And also a superuser is told by the triggers
    with database.connect() as connection:
        assert tried(connection, "INSERT INTO access.execution (request_id, outcome) VALUES (%s, 'done')", row[0]
                     ).startswith("RV409")  # fmt: skip
        agreed = (
            "INSERT INTO access.answer (request_id, person_id, agreed, shown_sha256, session_id)"
            " SELECT r.id, %s, true, %s, s.id FROM access.request r, access.session s LIMIT 1"
        )
        assert tried(connection, agreed, one.id, b"").startswith("RV403 who asks does not answer")
        assert tried(connection, agreed, two.id, b"").startswith("RV409 what you were shown is not what was asked for")
        for table in ("request", "answer", "execution", "answered_list"):
            assert tried(connection, f"DELETE FROM access.{table}").startswith("23001")
        assert tried(connection, "UPDATE access.request SET payload = '{}'").startswith("23001 request is append only")


def test_an_answer_to_something_else_is_no_answer(database: Database, api: Engine) -> None:
    one, two = people.administrators(database.url)
    first = ask(api, one)
    other = ask(api, one, login="m.barasa", staff_number="BSA/0118", role="finance_officer")
    with two.acts(), db.transaction(api) as session:
        shown = approvals.one(session, first)
    with psycopg.connect(database.role_url("api")) as connection:
        connection.execute("SELECT set_config('revenue.session', %s, false)", (two.secret,))
        # What was shown of one request replayed on another, and a hash of nothing
        for digest in (shown.shown_sha256, b"", hashlib.sha256(b"").digest()):
            words = tried(connection, "SELECT access.agree(%s, %s)", other, digest)
            assert words == f"RV409 what you were shown is not what was asked for: look at {other} again"
        assert tried(connection, "SELECT access.agree(%s, NULL)", other).startswith("RV400")


def test_the_audit_names_who_acts_and_not_who_is_told(database: Database) -> None:
    me = people.clerk(database.url)
    with psycopg.connect(database.role_url("api")) as connection:
        connection.execute("SELECT set_config('revenue.session', %s, true)", (me.secret,))
        connection.execute("SELECT access.audit('looked', 'at it', '{}', 'the treasurer')")
        connection.commit()
        connection.execute("SELECT access.audit('looked', 'at it', '{}', 'the treasurer')")
        assert tried(connection, "SELECT access.note('the treasurer', 'looked', 'at it', '{}')").startswith("42501")
    with database.connect() as connection:
        actors = connection.execute("SELECT actor FROM audit_event WHERE action = 'looked' ORDER BY id").fetchall()
    assert actors[0] == ("clerk",)
    assert "treasurer" not in {row[0] for row in actors}
    assert actors[1][0].startswith("revenue_api")


def test_changes_of_set_up_leave_their_row_by_themselves(database: Database, api: Engine, engine_of: EngineOf) -> None:
    one, two = people.administrators(database.url)
    people.clerk(database.url)
    public = ask(api, one, "role_grant", login="clerk", role="collector")
    people.agree(api, public, who=two)
    work(engine_of)
    with database.connect() as connection:
        rows = connection.execute("SELECT actor, action, object FROM audit_event ORDER BY id DESC LIMIT 6").fetchall()
    assert ("admin.one", "asked.role_grant", public) in rows
    assert ("admin.two", "agreed.role_grant", public) in rows
    assert (f"approval {public}", "done.role_grant", "clerk") in rows
    assert "person_role.insert" in {row[1] for row in rows}


def test_a_stranger_with_the_api_login_guesses_slowly_and_learns_nothing(database: Database) -> None:
    people.administrators(database.url)
    with psycopg.connect(database.role_url("api"), autocommit=True) as connection:
        answers = [
            connection.execute("SELECT secret, wait FROM access.sign_in('admin.one', %s, %s, %s)",
                               (secrets.token_bytes(32), f"{number:06d}", str(number))).fetchone()
            for number in range(30)
        ]  # fmt: skip
    assert all(answer is not None and answer[0] is None for answer in answers)
    assert sum(answer is not None and answer[1] == 0 for answer in answers) <= 6


def test_the_database_is_not_fooled_by_what_new_is(database: Database, api: Engine) -> None:
    """Extra fields of a payload are kept as shown and give nothing."""
    one, _ = people.administrators(database.url)
    public = ask(api, one, id="1", roles="administrator", disabled="false")
    with one.acts(), db.transaction(api) as session:
        shown = approvals.one(session, public).facts()["payload"]
    assert shown == NEW | {"id": "1", "roles": "administrator", "disabled": "false"}
