"""Another system of the county: it holds a token and scopes, which two administrators gave, and judges nothing."""

from __future__ import annotations

import psycopg
import pytest

from revenue_engine import db
from revenue_engine.access import persons
from revenue_engine.errors import Conflict, InvalidValue, NotAllowed, NotFound
from tests.api.conftest import BILL, Desk
from tests.support import people


def service(desk: Desk, *scopes: str, login: str = "health.system") -> dict[str, str]:
    """What a service of these scopes sends."""
    one, two = people.administrators(desk.books.url)
    api = desk.books.as_role("api")
    with one.acts(), db.transaction(api) as session:
        secret = persons.issue_token(session, login, days=30)
    for scope in scopes:
        with one.acts(), db.transaction(api) as session:
            public = persons.ask_scope(session, login, scope, reason="the agreement of May")
        people.agree(api, public, who=two)
        desk.books.work()
    return {"Authorization": f"Bearer {secret}", "Idempotency-Key": f"key-{login}-{len(scopes)}"}


def test_a_service_issues_a_bill_and_reads_it_within_its_scopes(desk: Desk) -> None:
    headers = service(desk, "bill.issue", "read")
    issued = desk.client.post("/api/v1/invoices", json=BILL, headers=headers)
    assert issued.status_code == 201, issued.text
    number = issued.json()["number"]
    assert desk.client.get(f"/api/v1/invoices/{number}", headers=headers).json()["number"] == number
    assert desk.books.rows("SELECT issued_by FROM invoice WHERE number = %s", number) == [("health.system",)]
    again = desk.client.post("/api/v1/invoices", json=BILL, headers=headers)
    assert (again.json(), again.headers["idempotent-replayed"]) == (issued.json(), "true")
    # What needs a judgement, or was not given, is a person's
    headers["Idempotency-Key"] = "another"
    refused = desk.client.post(
        f"/api/v1/invoices/{number}/cancellation",
        json={"reason": "issued twice"},
        headers={**headers, "If-Match": '"1"'},
    )
    assert refused.status_code == 403, refused.text
    assert desk.books.rows("SELECT count(*) FROM invoice_cancellation") == [(0,)]


def test_a_service_without_scopes_does_nothing(desk: Desk) -> None:
    headers = service(desk)
    assert desk.client.post("/api/v1/invoices", json=BILL, headers=headers).status_code == 403
    assert desk.client.get("/api/v1/search", params={"q": "UKSZMW9G3S"}, headers=headers).status_code == 403


def test_a_scope_ends_at_once(desk: Desk) -> None:
    headers = service(desk, "bill.issue")
    one, _ = people.administrators(desk.books.url)
    with one.acts(), db.transaction(desk.books.as_role("api")) as session:
        assert persons.scopes(session) == {"health.system": ["bill.issue"]}
        persons.end_scope(session, "health.system", "bill.issue")
    assert desk.client.post("/api/v1/invoices", json=BILL, headers=headers).status_code == 403


@pytest.mark.parametrize("scope", ["match.agree", "bill.cancel.agree", "token.issue", "person.agree", "nothing"])
def test_what_needs_a_person_is_no_scope(desk: Desk, scope: str) -> None:
    with pytest.raises(InvalidValue, match=r"scopes are bill\.issue"):
        service(desk, scope)


def test_one_administrator_gives_no_scope(desk: Desk) -> None:
    one, _ = people.administrators(desk.books.url)
    api = desk.books.as_role("api")
    with one.acts(), db.transaction(api) as session:
        persons.issue_token(session, "pos.gateway", days=30)
        public = persons.ask_scope(session, "pos.gateway", "read", reason="a till")
    with pytest.raises(NotAllowed, match="you asked for this"):
        people.agree(api, public, who=one)
    clerk = people.somebody(desk.books.url, "of.clerk", "clerk")
    with clerk.acts(), pytest.raises(NotAllowed), db.transaction(api) as session:
        persons.ask_scope(session, "pos.gateway", "read", reason="a till")
    with one.acts(), pytest.raises(NotFound, match="issue a token"), db.transaction(api) as session:
        persons.ask_scope(session, "nobody", "read", reason="a till")
    service(desk, "read")
    with one.acts(), pytest.raises(Conflict, match="already"), db.transaction(api) as session:
        persons.ask_scope(session, "health.system", "read", reason="a till")


@pytest.mark.parametrize("role", ["api", "worker", "report"])
def test_no_login_writes_a_scope(desk: Desk, role: str) -> None:
    service(desk)
    with psycopg.connect(desk.books.url) as connection:
        connection.execute(f"SET ROLE revenue_{role}")  # type: ignore[arg-type]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(
                "INSERT INTO access.service_scope (person_id, permission, request_id) VALUES (1, 'bill.issue', 1)"
            )
