"""Two persons over what stands still, and what each role may not do instead."""

from __future__ import annotations

import re
from datetime import timedelta

import psycopg
import pytest

from reconciliation.days import closing as days
from revenue_engine import db
from revenue_engine.errors import ConfigurationError, Conflict, NotAllowed, NotFound
from tests.conftest import Database
from tests.support import closing, people
from tests.support.books import DAY, NOON, Books

NEXT = DAY + timedelta(days=1)


@pytest.fixture(autouse=True)
def _without(books: Books) -> None:
    closing.without_controls(books)


def test_from_the_preparation_on_new_items_go_to_the_next_open_day(books: Books) -> None:
    books.pay(100, "before")
    sheet = closing.prepare(books, DAY)
    books.pay(100, "after", at=NOON, reference="UILATE0001")
    assert books.rows("SELECT book_date FROM journal ORDER BY id") == [(DAY,), (NEXT,)]
    made = closing.approve(books, sheet)
    assert made.body["sheet"]["figures"]["received"] == "10000"
    # And the late item is linked to its day by the certificate of the day that took it
    (after,) = closing.close(books, NEXT)
    assert after.body["sheet"]["figures"]["late"] == [{"of_day": str(DAY), "items": 1, "amount": "10000"}]


def test_who_prepared_does_not_approve_and_may_withdraw(books: Books) -> None:
    sheet = closing.prepare(books, DAY)
    with pytest.raises(NotAllowed, match="another person approves"):
        closing.approve(books, sheet, who=books.treasurer)
    with books.treasurer.acts(), db.transaction(books.as_role("api")) as session:
        days.withdraw(session, days.day(DAY), reason="a bank file is on its way")
    books.pay(100, "X")
    assert books.rows("SELECT book_date FROM journal") == [(DAY,)]
    with pytest.raises(NotFound, match="no close of 2026-09-15 is prepared"):
        closing.approve(books, sheet)
    assert closing.approve(books, closing.prepare(books, DAY)).number == 1


def test_the_second_officer_is_told_who_prepared_the_day_and_when(books: Books) -> None:
    closing.prepare(books, DAY)
    with pytest.raises(Conflict) as told:
        closing.prepare(books, DAY, who=closing.second(books))
    assert re.search(r"treasurer prepared the close of 2026-09-15 at \d{4}-\d\d-\d\d \d\d:\d\d", str(told.value))


def test_a_preparation_that_was_cut_off_goes_on_where_it_was(books: Books) -> None:
    with books.treasurer.acts():
        for step in ("SELECT close_begin('2026-09-15')", "SELECT close_fix(1)"):
            with db.transaction(books.as_role("api")) as session:
                db.scalar(session, step)
            with pytest.raises(Conflict, match="treasurer prepared"):
                closing.prepare(books, DAY, who=closing.second(books))
    sheet = closing.prepare(books, DAY)
    assert books.rows("SELECT count(*) FROM close_preparation") == [(1,)]
    closing.approve(books, sheet)


def test_what_was_not_shown_is_not_approved(books: Books) -> None:
    sheet = closing.prepare(books, DAY)
    with (
        pytest.raises(Conflict, match="not what was prepared"),
        closing.second(books).acts(),
        db.transaction(books.as_role("api")) as session,
    ):
        days.approve(session, days.day(DAY), shown_sha256="0" * 64, keys=[closing.key()])
    assert closing.approve(books, sheet).number == 1


def test_a_row_edited_between_the_two_signatures_is_refused_by_name_of_the_part(books: Books) -> None:
    books.pay(100, "X", reference="UIEDIT0001")
    sheet = closing.prepare(books, DAY)
    books.execute(
        "ALTER TABLE posting DISABLE TRIGGER ALL; UPDATE posting SET amount_minor = amount_minor + 1;"
        "ALTER TABLE posting ENABLE TRIGGER ALL"
    )
    with pytest.raises(Conflict, match="this has changed: figures, seal"):
        closing.approve(books, sheet)
    assert books.rows("SELECT count(*) FROM closed_day") == [(0,)]


def test_without_a_published_key_nothing_is_half_closed(books: Books) -> None:
    sheet = closing.prepare(books, DAY)
    with (
        pytest.raises(ConfigurationError, match="no key to sign with"),
        closing.second(books).acts(),
        db.transaction(books.as_role("api")) as session,
    ):
        days.approve(session, days.day(DAY), shown_sha256=sheet.sha256, keys=[])
    assert books.rows("SELECT count(*) FROM closed_day") == books.rows("SELECT count(*) FROM close_approval")
    assert books.rows("SELECT count(*) FROM closed_day") == [(0,)]


def test_only_finance_officers_close(books: Books) -> None:
    for login, role in (("sup", "supervisor"), ("aud", "auditor"), ("adm", "administrator")):
        who = people.somebody(books.url, login, role)
        with pytest.raises(NotAllowed, match="you may not close a day; finance officer may"):
            closing.prepare(books, DAY, who=who)


def test_days_close_in_order_and_quiet_days_close_together(books: Books) -> None:
    books.pay(100, "X")
    with pytest.raises(Conflict, match="2026-09-15 has journals and is open"):
        closing.prepare(books, NEXT)
    first, quiet = closing.close(books, DAY, DAY + timedelta(days=4))
    assert (first.body["first_day"], quiet.body["first_day"]) == ("2026-07-01", str(NEXT))
    with pytest.raises(Conflict, match="is closed already"):
        closing.prepare(books, DAY)


SQL = {
    "a closed day": "INSERT INTO closed_day (book_date, closed_by) VALUES ('2026-07-01', 'x')",
    "a preparation": "INSERT INTO close_preparation (period, first_day, last_day, prepared_by)"
    " VALUES ('day', '2026-07-01', '2026-07-01', 1)",
    "a horizon": "INSERT INTO close_horizon (preparation_id, since, horizon) VALUES (1, '0', '9')",
    "a sheet": "INSERT INTO close_sheet (preparation_id, shown, shown_sha256) VALUES (1, 'x', sha256('x'))",
    "an approval": "INSERT INTO close_approval (number, preparation_id, approved_by, shown_sha256)"
    " VALUES (1, 1, 1, sha256('x'))",
    "a certificate": "INSERT INTO certificate (number, note, note_sha256) VALUES (1, 'x', sha256('x'))",
    "a key": "SELECT seal_key_publish('mine', 'mine+00000000+AA==')",
    "a control": "UPDATE close_control SET kind = 'evidence'",
    "no control": "DELETE FROM close_control",
    "a leaf": "INSERT INTO seal_chunk (preparation_id, number, leaves, keys) VALUES (1, 0, '', '')",
    "a version": "INSERT INTO set_up_version (table_name, key) VALUES ('public.county', 't')",
}


@pytest.mark.parametrize("role", ["intake", "worker", "api", "report", "seal", "fetch"])
@pytest.mark.parametrize("what", SQL)
def test_no_role_closes_by_sql(database: Database, books: Books, role: str, what: str) -> None:
    with database.connect(role) as connection:
        with pytest.raises(psycopg.DatabaseError) as refused:
            connection.execute(SQL[what].encode())
        assert refused.value.sqlstate in ("42501", "RV403"), refused.value


@pytest.mark.parametrize(
    ("step", "said"),
    [("SELECT close_begin('2026-09-15')", "nobody is signed in"), ("SELECT close_withdraw(1, 'why')", "nobody")],
)
def test_the_functions_of_a_close_ask_for_a_person(database: Database, books: Books, step: str, said: str) -> None:
    with database.connect("api") as connection, pytest.raises(psycopg.DatabaseError, match=said) as refused:
        connection.execute(step.encode())
    assert refused.value.sqlstate == "RV401"


GUARDS = {
    "one person twice": (
        (
            "INSERT INTO close_approval (number, preparation_id, approved_by, shown_sha256)"
            " SELECT 1, p.id, p.prepared_by, s.shown_sha256 FROM close_preparation p JOIN close_sheet s ON true"
        ),
        "another person does",
    ),
    "another sheet": (
        (
            "INSERT INTO close_approval (number, preparation_id, approved_by, shown_sha256)"
            " SELECT 1, p.id, 99, sha256('x') FROM close_preparation p"
        ),
        "not what was prepared",
    ),
    "no certificate": (
        (
            "INSERT INTO close_approval (number, preparation_id, approved_by, shown_sha256)"
            " SELECT 1, p.id, 99, s.shown_sha256 FROM close_preparation p JOIN close_sheet s ON true"
        ),
        "has its signed certificate",
    ),
    "another close beside it": (
        (
            "INSERT INTO close_preparation (period, first_day, last_day, prepared_by)"
            " VALUES ('day', '2026-09-16', '2026-09-16', 1)"
        ),
        "another close is prepared",
    ),
    "a horizon beyond what is final": (
        (
            "INSERT INTO close_horizon (preparation_id, since, horizon)"
            " VALUES (77, '0', (pg_current_xact_id()::text::bigint + 1)::text::xid8)"
        ),
        "no further than what is final",
    ),
    "a withdrawal of what was approved": (
        (
            "INSERT INTO close_withdrawal (preparation_id, withdrawn_by, reason) SELECT preparation_id, 1, 'why'"
            " FROM close_approval"
        ),
        "a closed day stays closed",
    ),
}


@pytest.mark.parametrize("what", GUARDS)
def test_the_database_guards_a_close_against_its_own_superuser(books: Books, what: str) -> None:
    sheet = closing.prepare(books, DAY)
    if what.startswith("a withdrawal"):
        closing.approve(books, sheet)
    statement, said = GUARDS[what]
    with pytest.raises(psycopg.DatabaseError, match=said):
        books.execute(statement)
