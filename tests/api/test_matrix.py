"""Role x endpoint x own or other sub-county: every cell, over every endpoint that the description lists."""

from __future__ import annotations

from typing import Any

import pytest

from revenue_engine.api.application import describe
from tests.access.test_matrix import EXPECTED, ROLES
from tests.api.conftest import BILL, Desk

SAMPLES: dict[str, dict[str, Any]] = {
    "issue_invoice": BILL,
    "cancel_invoice": {"reason": "issued twice"},
    "agree": {"shown_sha256": "0" * 64},
    "refuse": {"shown_sha256": "0" * 64, "reason": "not seen"},
    "assign_break": {"owner": "ict"},
    "note_on_break": {"words": "looked at"},
    "issue_invoices": {"invoices": [BILL]},
    "register_payer": {"name": "Akinyi"},
    "register_object": {"stream": "RENT", "kind": "stall", "reference": "nothing"},
}
"""A body for each endpoint that reads one; a new endpoint without one fails here."""
QUERIES = {"find_payments": {"q": "UKSZMW9G3S"}, "search": {"q": "UKSZMW9G3S"}}
NOT_CALLED = {"sign_in", "sign_out"}
"""Signing in needs no person, and signing out ends the one who asks: tests of their own."""


def endpoints(desk: Desk) -> list[tuple[str, str, dict[str, Any]]]:
    """(method, path, operation) of everything the description lists."""
    told = describe(desk.app.inside)
    return [
        (method.upper(), path, one)
        for path, methods in told["paths"].items()
        for method, one in methods.items()
        if one["operationId"] not in NOT_CALLED
    ]


def called(desk: Desk, method: str, path: str, one: dict[str, Any], headers: dict[str, str], number: str) -> Any:
    """Call an endpoint with a sample: the bill of a number, and things that do not exist."""
    address = (
        path.replace("{number}", number)
        .replace("{approval}", "req_0000000000")
        .replace("{name}", "daily" if "report" in path else "999999")
        .replace("{payer}", "pyr_0000000")
        .replace("{thing}", "obj_0000000")
    )
    body = SAMPLES[one["operationId"]] if "requestBody" in one else None
    answered = desk.client.request(
        method,
        address,
        params=QUERIES.get(one["operationId"]),
        json=body,
        headers={**headers, "If-Match": '"1"'},
    )
    assert str(answered.status_code) in one["responses"], (method, path, answered.status_code, answered.text)
    return answered


def allowed(role: str, permission: str) -> bool:
    return permission == "signed in" or EXPECTED[role, permission] != "."


@pytest.mark.parametrize("role", ROLES)
def test_every_cell(desk: Desk, role: str) -> None:
    number = desk.issue()["number"]
    seen = set()
    for method, path, one in endpoints(desk):
        answered = called(desk, method, path, one, desk.headers(role), number)
        expected = allowed(role, one["x-permission"])
        assert (answered.status_code != 403) == expected, (role, method, path, answered.status_code, answered.text)
        if not expected:
            assert answered.json()["code"] == "not_allowed"
            assert "may" in answered.json()["detail"]
        seen.add((method, path))
    assert len(seen) == len(endpoints(desk)) >= 20


def test_nobody_reaches_anything(desk: Desk) -> None:
    for method, path, one in endpoints(desk):
        for headers in ({}, {"Authorization": "Bearer made-up"}, {"Authorization": "Basic eDp5"}, {"Cookie": "sid=1"}):
            answered = called(desk, method, path, one, {**headers, "Idempotency-Key": "k"}, "INV-2627-000001")
            assert (answered.status_code, answered.json()["code"]) == (401, "not_signed_in"), (method, path)


@pytest.mark.parametrize(("sub_county", "status"), [("Teso North", 201), ("Matayos", 403)])
def test_a_collector_of_one_sub_county_bills_there_alone(desk: Desk, sub_county: str, status: int) -> None:
    headers = desk.headers("collector", sub_county=sub_county)
    answered = desk.client.post("/api/v1/invoices", json=BILL, headers=headers)
    assert answered.status_code == status, answered.text


@pytest.mark.parametrize(("sub_county", "status"), [("Teso North", 202), ("Matayos", 403)])
def test_a_clerk_asks_to_cancel_bills_of_their_own_sub_county(desk: Desk, sub_county: str, status: int) -> None:
    number = desk.issue()["number"]
    headers = desk.headers("clerk", sub_county=sub_county)
    answered = desk.client.post(f"/api/v1/invoices/{number}/cancellation", json={"reason": "twice"}, headers=headers)
    assert answered.status_code == status, answered.text


def test_a_person_of_a_sub_county_reads_their_own_and_nothing_of_another(desk: Desk) -> None:
    """Every list and look-up that the description calls scoped: what is at Malaba is of Teso North alone."""
    bill = desk.issue()
    code = desk.books.pay(600, bill["pay_account_number"])
    desk.books.pay(7, "MALABA")
    whole = desk.headers("auditor")
    (receipt,) = [
        one["number"]
        for one in desk.client.get("/api/v1/receipts", headers=whole).json()["data"]
        if one["payment"] == code
    ]
    suspense = desk.client.get("/api/v1/suspense", headers=whole).json()["data"][0]["number"]
    lists = {
        "/invoices": 1,
        "/payments": 2,
        "/receipts": 2,
        "/suspense": 1,
        "/breaks": 1,
        f"/payments/search?q={code}": 1,
        f"/search?q={code}": 1,
    }
    found = {}
    for place in ("Teso North", "Samia"):
        headers = desk.headers("clerk", sub_county=place)
        for address in lists:
            answered = desk.client.get(f"/api/v1{address}", headers=headers)
            assert answered.status_code == 200, (address, answered.text)
            told = answered.json()
            found[place, address] = len(told.get("data", told.get("payments", [])))
        for address in (f"/invoices/{bill['number']}", f"/receipts/{receipt}", f"/breaks/{suspense}"):
            answered = desk.client.get(f"/api/v1{address}", headers=headers)
            assert answered.status_code == (200 if place == "Teso North" else 404), (place, address, answered.text)
    assert {address: found["Teso North", address] for address in lists} == lists
    assert {found["Samia", address] for address in lists} == {0}
