"""A person is proved to the database: by password and code, throttled, for a while, and not a moment longer."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time

import psycopg
import pyotp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from revenue_engine import db
from revenue_engine.access import passwords, persons, sessions
from revenue_engine.errors import InvalidValue, NotAllowed, NotSignedIn, Retryable, StaleFactor
from tests.conftest import Database
from tests.support import people
from tests.support.people import PASSWORD

SEED = b"12345678901234567890"


def enrolled(database: Database, api: Engine, login: str = "ada.1") -> tuple[bytes, sessions.Enrolled]:
    """An administrator who enrolled by their one-time code; the seed and what they took away."""
    with psycopg.connect(database.url) as connection:
        row = connection.execute(
            "SELECT access.first_administrator(%s, 'Ada Odera', %s)", (login, login.upper().replace(".", "-"))
        ).fetchone()
    assert row is not None
    seed = passwords.fresh_seed()
    with db.transaction(api) as session:
        done = sessions.enrol(
            session, login=login, enrolment=row[0], password=PASSWORD, seed=seed, code=passwords.code_now(seed)
        )
    return seed, done


def forget_steps(database: Database) -> None:
    """Let the code of this half minute be used again, so that a test need not wait for the next."""
    with psycopg.connect(database.url) as connection:
        connection.execute("UPDATE access.credential SET last_step = 0")


def sign_in(api: Engine, seed: bytes, **more: str) -> str:
    told = {"login": "ada.1", "password": PASSWORD, "code": passwords.code_now(seed), "source": "here"} | more
    return sessions.sign_in(api, **told)


# --- one-time codes, worked out by the database ----------------------------------------------------------------------


def test_the_codes_of_rfc_6238(database: Database) -> None:
    vectors = {59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037"}
    with database.connect() as connection:
        for at, code in vectors.items():
            row = connection.execute("SELECT access.one_time_code(%s, %s)", (SEED, at // 30)).fetchone()
            assert row == (code,)


@settings(max_examples=60, deadline=None)
@given(key=st.binary(max_size=150), message=st.binary(max_size=150), step=st.integers(0, 2**40))
def test_sha1_hmac_and_codes_are_the_libraries(migrated_url: str, key: bytes, message: bytes, step: int) -> None:
    with psycopg.connect(migrated_url) as connection:
        row = connection.execute(
            "SELECT access.sha1(%(m)s), access.hmac_sha1(%(k)s, %(m)s), access.one_time_code(%(k)s, %(s)s)",
            {"m": message, "k": key, "s": step},
        ).fetchone()
    seed = pyotp.TOTP(passwords.as_typed(key)) if len(key) >= 14 else None  # the library takes no shorter one
    assert row is not None
    assert row[0] == hashlib.sha1(message, usedforsecurity=False).digest()
    assert row[1] == hmac.digest(key, message, "sha1")
    if seed is not None:
        assert row[2] == seed.generate_otp(step)


# --- enrolment and signing in ----------------------------------------------------------------------------------------


def test_enrolled_signed_in_and_out(database: Database, api: Engine) -> None:
    seed, done = enrolled(database, api)
    assert len(set(done.recovery_codes)) == 10
    forget_steps(database)
    secret = sign_in(api, seed)
    with db.acting_by(secret), db.transaction(api) as session:
        me = sessions.whoami(session)
        assert (me.login, me.roles, me.recovery_codes) == ("ada.1", ["administrator"], 10)
    with db.acting_by(secret), db.transaction(api) as session:
        assert sessions.sign_out(session)
    with db.acting_by(secret), pytest.raises(NotSignedIn, match="you signed out"), db.transaction(api) as session:
        sessions.seen(session)
    with database.connect() as connection:
        acts = [row[0] for row in connection.execute("SELECT action FROM audit_event ORDER BY id")]
    assert [act for act in acts if "." not in act] == ["enrolled", "sign_in", "sign_out"]


def test_what_was_wrong_is_never_told(database: Database, api: Engine) -> None:
    seed, _ = enrolled(database, api)
    forget_steps(database)
    wrong = [
        {"login": "nobody.here"},
        {"password": "another plain words here"},
        {"code": "000000"},
        {"code": ""},
        {"password": "another plain words here", "code": "000000"},
    ]
    said = set()
    for one in wrong:
        with pytest.raises(NotSignedIn) as refused:
            sign_in(api, seed, **one)
        said.add(str(refused.value))
    assert len(said) == 1
    # And a salt is told for whoever is asked about, the same each time
    with db.transaction(api) as session:
        ask = "SELECT salt, memory_kib, passes, lanes FROM access.salt_of('nobody.here')"
        first, again = (db.raw(session).execute(ask).fetchone() for _ in range(2))
        known = db.raw(session).execute("SELECT * FROM access.salt_of('ada.1')").fetchone()
    assert first == again
    assert first is not None
    assert known is not None
    assert first[1:] == known[1:]


def test_a_code_is_good_once(database: Database, api: Engine) -> None:
    seed, done = enrolled(database, api)
    with pytest.raises(NotSignedIn):  # the code that enrolled
        sign_in(api, seed)
    assert sign_in(api, seed, code=done.recovery_codes[0])
    with pytest.raises(NotSignedIn):
        sign_in(api, seed, code=done.recovery_codes[0])


def test_an_enrolment_is_good_once_and_for_three_days(database: Database, api: Engine) -> None:
    enrolled(database, api)
    seed = passwords.fresh_seed()
    with database.connect() as connection:
        row = connection.execute("SELECT access.first_administrator('ada.2', 'Ada Two', 'A2')").fetchone()
        assert row == (None,)  # one has enrolled: the database's holder makes no more

    def enrol(code: str) -> None:
        with db.transaction(api) as session:
            sessions.enrol(
                session, login="ada.1", enrolment=code, password=PASSWORD, seed=seed, code=passwords.code_now(seed)
            )

    with pytest.raises(NotSignedIn, match="used or is older than three days"):
        enrol("0" * 24)


@pytest.mark.parametrize("password", ["short", "passwordpassword", "ada.1ada.1ada.1", "aaaaaaaaaaaaaaaa", "x" * 129])
def test_a_weak_password_is_refused(password: str) -> None:
    with pytest.raises(InvalidValue):
        passwords.check_new_password(password, login="ada.1")


# --- throttling without lock-out -------------------------------------------------------------------------------------


def guess(api: Engine, *, source: str = "elsewhere") -> tuple[str | None, int]:
    with db.transaction(api) as session:
        row = (
            db.raw(session)
            .execute("SELECT secret, wait FROM access.sign_in('ada.1', 'guess', '000000', %s)", (source,))
            .fetchone()
        )
    assert row is not None
    return row[0], row[1]


def test_wrong_tries_are_slowed_and_the_owner_is_not_kept_out(database: Database, api: Engine) -> None:
    seed, _ = enrolled(database, api)
    forget_steps(database)
    sign_in(api, seed)  # from "here", which is known from now on
    assert [guess(api)[1] for _ in range(5)] == [0] * 5
    assert guess(api)[1] > 0
    with pytest.raises(Retryable, match="wait"):
        sign_in(api, seed, source="somewhere new")
    forget_steps(database)
    assert sign_in(api, seed)  # where they sat before, nobody waits for strangers
    # And the longest wait is a quarter of an hour
    with database.connect() as connection:
        connection.execute("SELECT setval('access.tries_1_strange', (99::bigint << 34) | %s)", (int(time.time()),))
        connection.commit()
    assert 890 <= guess(api)[1] <= 900


def test_a_rolled_back_try_counts(database: Database, api: Engine) -> None:
    enrolled(database, api)
    waits = []
    with psycopg.connect(database.role_url("api")) as connection:
        for _ in range(7):
            row = connection.execute("SELECT wait FROM access.sign_in('ada.1', 'guess', '000000', 'x')").fetchone()
            assert row is not None
            waits.append(row[0])
            connection.rollback()
    assert waits[:5] == [0] * 5
    assert min(waits[5:]) > 0


# --- limits and revocation -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE access.session SET seen_at = now() - interval '15 minutes 1 second'", "idle"),
        ("UPDATE access.session SET ends_at = now() - interval '1 second'", "as long as a session may"),
        ("UPDATE access.session SET ended_at = now(), ended_why = 'it was revoked'", "it was revoked"),
        ("UPDATE access.person SET disabled_at = now()", "disabled"),
        ("DELETE FROM access.session", "no session has this secret"),
    ],
)
def test_a_session_that_is_over_is_told_so_at_once(database: Database, api: Engine, change: str, words: str) -> None:
    me = people.clerk(database.url)
    with me.acts(), db.transaction(api) as session:
        assert sessions.seen(session) == me.id
        with psycopg.connect(database.url) as connection:
            connection.execute(change)  # type: ignore[arg-type]
        # The very next statement of the same transaction finds nobody
        with pytest.raises(psycopg.DatabaseError, match=words):
            sessions.seen(session)


def test_a_session_in_use_does_not_idle(database: Database, api: Engine) -> None:
    me = people.clerk(database.url)
    with psycopg.connect(database.url) as connection:
        connection.execute("UPDATE access.session SET seen_at = now() - interval '14 minutes'")
    with me.acts(), db.transaction(api) as session:
        sessions.seen(session)
    with psycopg.connect(database.url) as connection:
        row = connection.execute("SELECT seen_at > now() - interval '1 minute' FROM access.session").fetchone()
    assert row == (True,)


def test_a_judgement_wants_a_fresh_code(database: Database, api: Engine) -> None:
    me = people.treasurer(database.url)
    with psycopg.connect(database.url) as connection:
        connection.execute("UPDATE access.session SET stepped_up_at = now() - interval '5 minutes 1 second'")
    with me.acts(), pytest.raises(StaleFactor, match="five minutes"), db.transaction(api) as session:
        sessions.must(session, "match.agree")
    with me.acts(), db.transaction(api) as session:
        sessions.must(session, "match.ask")  # to ask is no judgement
    with me.acts(), pytest.raises(NotSignedIn):
        sessions.step_up(api, code="000000")
    with me.acts():
        fresh = sessions.step_up(api, code=passwords.code_now(me.seed))
    with db.acting_by(fresh), db.transaction(api) as session:
        assert sessions.must(session, "match.agree") == me.id
    with me.acts(), pytest.raises(NotSignedIn), db.transaction(api) as session:
        sessions.seen(session)  # the old secret is worth nothing


def test_a_secret_does_not_outlive_its_transaction(database: Database) -> None:
    me = people.clerk(database.url)
    engine = db.make_engine(database.role_url("api"), pool_size=1)
    with me.acts(), db.transaction(engine) as session:
        assert sessions.seen(session) == me.id
    with pytest.raises(NotSignedIn, match="nobody is signed in"), db.transaction(engine) as session:
        sessions.seen(session)
    engine.dispose()


# --- services --------------------------------------------------------------------------------------------------------


def test_a_service_acts_by_its_token_and_judges_nothing(database: Database, api: Engine) -> None:
    one, two = people.administrators(database.url)
    with one.acts(), db.transaction(api) as session:
        secret = persons.issue_token(session, "pos.gateway", days=30)
    with db.acting_by(secret), db.transaction(api) as session:
        me = sessions.whoami(session)
        assert (me.login, me.kind, me.roles, me.ends_at) == ("pos.gateway", "service", [], None)
    for permission in ("match.agree", "match.ask", "token.issue"):
        with db.acting_by(secret), pytest.raises(NotAllowed), db.transaction(api) as session:
            sessions.must(session, permission)
    with pytest.raises(psycopg.DatabaseError, match="a service holds no role"), database.connect() as connection:
        connection.execute(
            "INSERT INTO access.person_role (person_id, role) SELECT id, 'clerk' FROM access.person"
            " WHERE login = 'pos.gateway'"
        )
    with two.acts(), db.transaction(api) as session:
        (token,) = persons.tokens(session)
        persons.revoke_token(session, token.number)
    with db.acting_by(secret), pytest.raises(NotSignedIn, match="revoked"), db.transaction(api) as session:
        sessions.seen(session)


def test_nobody_signs_in_with_a_made_up_secret(database: Database, api: Engine) -> None:
    with (
        db.acting_by(secrets.token_hex(32)),
        pytest.raises(NotSignedIn, match="no session has this secret"),
        db.transaction(api) as session,
    ):
        sessions.seen(session)
