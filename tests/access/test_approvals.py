"""What one asks for, another agrees to and a worker does: once, unexpired, exactly as shown, or not at all."""

from __future__ import annotations

import hashlib
from datetime import datetime
from zoneinfo import ZoneInfo

import psycopg
import pytest
from sqlalchemy import Engine

from revenue_engine import db, judgements
from revenue_engine.access import approvals, passwords, sessions
from revenue_engine.errors import Conflict, InvalidValue, NotAllowed, NotFound, NotSignedIn
from tests.access.conftest import EngineOf
from tests.conftest import Database
from tests.support import people
from tests.support.people import PASSWORD, Someone

NEW = {"login": "m.wanjala", "name": "Mary Wanjala", "staff_number": "BSA/0117", "role": "clerk"}


def ask(api: Engine, who: Someone, kind: str = "person_add", **payload: str) -> str:
    told = NEW | payload if kind == "person_add" else payload
    with who.acts(), db.transaction(api) as session:
        return approvals.ask(session, kind, subject=told["login"], payload=told, reason="she begins on Monday")


def work(engine_of: EngineOf) -> list[int]:
    """Do what is agreed to, as the worker does; the requests that were due."""
    with db.transaction(engine_of("worker")) as session:
        due = [row[0] for row in db.raw(session).execute("SELECT ref_id FROM job WHERE kind = 'approved' ORDER BY id")]
        for number in due:
            judgements.do(session, number)
        db.raw(session).execute("DELETE FROM job WHERE kind = 'approved'")
    return due


def stands(database: Database, public: str) -> tuple[str, str | None]:
    with database.connect() as connection:
        row = connection.execute(
            "SELECT access.standing_of(r), e.reason FROM access.request r"
            " LEFT JOIN access.execution e ON e.request_id = r.id WHERE r.public_id = %s",
            (public,),
        ).fetchone()
    assert row is not None
    return row[0], row[1]


# --- a new person, the whole way -------------------------------------------------------------------------------------


def test_two_administrators_make_a_person_who_then_signs_in(
    database: Database, api: Engine, engine_of: EngineOf
) -> None:
    one, two = people.administrators(database.url)
    public = ask(api, one, sub_county="Teso North")
    assert people.agree(api, public, who=two) == "agreed"
    assert work(engine_of)
    assert stands(database, public) == ("done", None)
    halves = {}
    for who in (one, two):
        with who.acts(), db.transaction(api) as session:
            login, half, first = approvals.enrolment_half(session, public)
            halves[first] = half
            assert login == "m.wanjala"
        with who.acts(), pytest.raises(Conflict, match="told already"), db.transaction(api) as session:
            approvals.enrolment_half(session, public)
    seed = passwords.fresh_seed()

    def enrol(code: str) -> None:
        with db.transaction(api) as session:
            sessions.enrol(
                session, login="m.wanjala", enrolment=code, password=PASSWORD, seed=seed, code=passwords.code_now(seed)
            )

    for half in (halves[True], halves[False], f"{halves[True]}-{halves[True]}"):  # neither administrator alone
        with pytest.raises(NotSignedIn):
            enrol(half)
    enrol(f"{halves[True]}-{halves[False]}")
    with pytest.raises(NotSignedIn):
        enrol(f"{halves[True]}-{halves[False]}")
    with database.connect() as connection:
        connection.execute("UPDATE access.credential SET last_step = 0")
        connection.commit()
    secret = sessions.sign_in(
        api, login="m.wanjala", password=PASSWORD, code=passwords.code_now(seed), source="her desk"
    )
    with db.acting_by(secret), db.transaction(api) as session:
        assert sessions.whoami(session).roles == ["clerk of Teso North"]
        assert sessions.may(session, "bill.issue", place="Teso North")
        assert not sessions.may(session, "bill.issue", place="Matayos")
        assert not sessions.may(session, "bill.issue")
    with (
        db.acting_by(secret),
        pytest.raises(NotAllowed, match="in your sub-county only"),
        db.transaction(api) as session,
    ):
        sessions.must(session, "bill.issue", place="Matayos")


def test_a_reset_ends_what_was_and_brings_a_disabled_person_back(
    database: Database, api: Engine, engine_of: EngineOf
) -> None:
    one, two = people.administrators(database.url)
    clerk = people.clerk(database.url)
    with one.acts(), db.transaction(api) as session:
        db.raw(session).execute("SELECT access.disable_person('clerk', 'left the county')")
    with clerk.acts(), pytest.raises(NotSignedIn), db.transaction(api) as session:
        sessions.seen(session)
    public = ask(api, two, "person_reset", login="clerk")
    people.agree(api, public, who=one)
    work(engine_of)
    with database.connect() as connection:
        row = connection.execute(
            "SELECT p.disabled_at, c.person_id FROM access.person p LEFT JOIN access.credential c ON c.person_id = p.id"
            " WHERE login = 'clerk'"
        ).fetchone()
    assert row == (None, None)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"login": "admin.one"}, Conflict, "somebody's already"),
        ({"staff_number": "T-ADMIN-ONE"}, Conflict, "one person has one account"),
        ({"login": "M.Wanjala"}, InvalidValue, "small letters"),
        ({"login": "m.wanjаla"}, InvalidValue, "small letters"),  # a Cyrillic а
        ({"login": "m.wanjala "}, InvalidValue, "small letters"),
        ({"name": "Mary Wanjаla"}, InvalidValue, "Latin letters"),
        ({"staff_number": "bsa/0117"}, InvalidValue, "capitals"),
        ({"role": "king"}, InvalidValue, "there is no role king"),
        ({"role": "department_officer"}, InvalidValue, "of a directorate"),
    ],
)
def test_look_alikes_and_second_accounts_are_refused(
    database: Database, api: Engine, change: dict[str, str], error: type[Exception], words: str
) -> None:
    one, _ = people.administrators(database.url)
    with pytest.raises(error, match=words):
        ask(api, one, **change)


def test_who_agrees_is_told_of_a_person_of_the_same_name(database: Database, api: Engine) -> None:
    one, _ = people.administrators(database.url)
    public = ask(api, one, name="Admin.One", login="second.account")
    with one.acts(), db.transaction(api) as session:
        assert approvals.one(session, public).facts()["state"] == {"same_name": ["admin.one"]}


# --- two persons, once, as shown -------------------------------------------------------------------------------------


def test_who_asks_does_not_agree(database: Database, api: Engine) -> None:
    one, _ = people.administrators(database.url)
    public = ask(api, one)
    with pytest.raises(NotAllowed, match="another person answers; administrator may"):
        people.agree(api, public, who=one)
    other_session = people.somebody(database.url, "admin.one")
    with pytest.raises(NotAllowed, match="another person"):
        people.agree(api, public, who=other_session)


def test_one_answer_a_person_and_one_end(database: Database, api: Engine, engine_of: EngineOf) -> None:
    one, two = people.administrators(database.url)
    public = ask(api, one)
    people.agree(api, public, who=two)
    with pytest.raises(Conflict, match="agreed already"):
        people.agree(api, public, who=two)
    (number,) = work(engine_of)
    with pytest.raises(Conflict, match="done already"), db.transaction(engine_of("worker")) as session:
        judgements.do(session, number)
    with pytest.raises(Conflict, match="done already"):
        people.agree(api, public, who=two)


def test_a_refusal_says_why_and_ends_it(database: Database, api: Engine) -> None:
    one, two = people.administrators(database.url)
    public = ask(api, one)
    with two.acts(), db.transaction(api) as session:
        shown = approvals.one(session, public)
    with two.acts(), pytest.raises(InvalidValue, match="says why"), db.transaction(api) as session:
        approvals.refuse(session, public, shown_sha256=shown.shown_sha256, reason=" ")
    with two.acts(), db.transaction(api) as session:
        approvals.refuse(session, public, shown_sha256=shown.shown_sha256, reason="nobody knows her")
    assert stands(database, public)[0] == "refused"
    with one.acts(), db.transaction(api) as session:
        assert approvals.one(session, public).why == "nobody knows her"
    with pytest.raises(Conflict, match="refused already"):
        people.agree(api, public, who=people.somebody(database.url, "admin.three", "administrator"))


def test_only_who_asked_takes_it_back(database: Database, api: Engine) -> None:
    one, two = people.administrators(database.url)
    public = ask(api, one)
    with two.acts(), pytest.raises(NotAllowed), db.transaction(api) as session:
        approvals.withdraw(session, public)
    with one.acts(), db.transaction(api) as session:
        approvals.withdraw(session, public)
    assert stands(database, public) == ("void", "taken back by who asked")


def test_a_changed_state_voids(database: Database, api: Engine, engine_of: EngineOf) -> None:
    one, two = people.administrators(database.url)
    people.clerk(database.url)
    before = ask(api, one, "role_end", login="clerk", role="cashier")
    late = ask(api, one, "role_end", login="clerk", role="supervisor")
    people.agree(api, before, who=two)
    people.agree(api, late, who=two)
    assert len(work(engine_of)) == 2  # the first changes what the second rests on
    assert stands(database, before) == ("done", None)
    assert stands(database, late) == ("void", "what it rests on changed after it was agreed to")
    again = ask(api, one, "role_end", login="clerk", role="supervisor")
    with psycopg.connect(database.url) as connection:
        connection.execute("UPDATE access.person SET name = 'Renamed' WHERE login = 'clerk'")
    with pytest.raises(Conflict, match="has changed since it was asked for"):
        people.agree(api, again, who=two)


def test_it_is_void_when_who_asked_is_disabled(database: Database, api: Engine, engine_of: EngineOf) -> None:
    one, two = people.administrators(database.url)
    public = ask(api, one)
    people.agree(api, public, who=two)
    with psycopg.connect(database.url) as connection:
        connection.execute("UPDATE access.person SET disabled_at = now() WHERE id = %s", (one.id,))
    work(engine_of)
    assert stands(database, public) == ("void", "a person who asked or agreed is disabled")


@pytest.mark.parametrize(
    ("since", "until"),
    [
        ("2026-11-25 09:00", "2026-12-01 00:00"),  # a Wednesday: Thursday, Friday, Monday
        ("2026-11-27 23:59", "2026-12-03 00:00"),  # a Friday night in Nairobi
        ("2026-12-10 12:00", "2026-12-17 00:00"),  # Friday, Tuesday, Wednesday: the Monday is a holiday
        ("2026-12-09 12:00", "2026-12-16 00:00"),
    ],
)
def test_three_working_days_in_nairobi(database: Database, since: str, until: str) -> None:
    zone = ZoneInfo("Africa/Nairobi")
    with database.connect() as connection:
        connection.execute(
            "INSERT INTO public_holiday (day, name, source) VALUES ('2026-12-14', 'Jamhuri Day', 'test')"
        )
        row = connection.execute(
            "SELECT access.third_working_day(%s)", (datetime.fromisoformat(since).replace(tzinfo=zone),)
        ).fetchone()
    assert row == (datetime.fromisoformat(until).replace(tzinfo=zone),)


def expire(database: Database) -> None:
    with psycopg.connect(database.url) as connection:
        connection.execute("ALTER TABLE access.request DISABLE TRIGGER refuse_change")
        connection.execute("UPDATE access.request SET expires_at = now() - interval '1 second'")
        connection.execute("ALTER TABLE access.request ENABLE ALWAYS TRIGGER refuse_change")


def test_a_request_expires(database: Database, api: Engine, engine_of: EngineOf) -> None:
    one, two = people.administrators(database.url)
    public = ask(api, one)
    expire(database)
    with pytest.raises(Conflict, match="expired already"):
        people.agree(api, public, who=two)
    agreed = ask(api, one)
    people.agree(api, agreed, who=two)
    expire(database)
    work(engine_of)
    assert stands(database, agreed) == ("void", "it was not done within three working days")


# --- lists -----------------------------------------------------------------------------------------------------------


def test_a_list_is_agreed_to_whole_or_not(database: Database, api: Engine, engine_of: EngineOf) -> None:
    one, two = people.administrators(database.url)
    for number in range(3):
        ask(api, one, login=f"clerk.{number}", staff_number=f"C-{number}")
    with two.acts(), db.transaction(api) as session:
        shown = approvals.listed(session, "waiting")
    # Another list than was shown: one more, one less, another order
    wrong = approvals.list_sha256(shown[:2])
    ids = [request.public_id for request in shown]
    with two.acts(), pytest.raises(Conflict, match="not what you were shown"), db.transaction(api) as session:
        db.raw(session).execute("SELECT access.agree_list(%s, %s)", (ids, wrong))
    # One of them answered meanwhile: nothing of the list is agreed to
    with two.acts(), db.transaction(api) as session:
        approvals.refuse(session, shown[1].public_id, shown_sha256=shown[1].shown_sha256, reason="not he")
    with two.acts(), pytest.raises(Conflict, match="refused already"), db.transaction(api) as session:
        approvals.agree_list(session, shown)
    assert work(engine_of) == []
    with two.acts(), db.transaction(api) as session:
        assert approvals.agree_list(session, [shown[0], shown[2]]) == 0
    assert len(work(engine_of)) == 2


def test_unknown_things_are_told(database: Database, api: Engine) -> None:
    one, two = people.administrators(database.url)
    with one.acts(), pytest.raises(InvalidValue, match="by the name mercy"), db.transaction(api) as session:
        approvals.ask(session, "mercy", subject="x", payload={}, reason="please do")
    with one.acts(), pytest.raises(NotFound, match="nobody has the login"), db.transaction(api) as session:
        approvals.ask(session, "person_reset", subject="x", payload={"login": "nobody"}, reason="lost it")
    with two.acts(), pytest.raises(NotFound), db.transaction(api) as session:
        approvals.agree(session, "req_none", shown_sha256=hashlib.sha256(b"").digest())
    with one.acts(), pytest.raises(InvalidValue, match="reason"), db.transaction(api) as session:
        approvals.ask(session, "person_add", subject="x", payload=NEW, reason=" ")


# --- duties ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("has", "gets"), [("administrator", "clerk"), ("auditor", "finance_officer"), ("cashier", "auditor")]
)
def test_no_person_holds_two_duties(database: Database, has: str, gets: str) -> None:
    who = people.somebody(database.url, "greedy", has)
    with pytest.raises(psycopg.DatabaseError, match="no person holds two"), database.connect() as connection:
        connection.execute("INSERT INTO access.person_role (person_id, role) VALUES (%s, %s)", (who.id, gets))
