"""What stands around every call: who asks, refusals, limits, headers, the description."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from revenue_engine.api import calls, problems
from revenue_engine.api.application import describe
from revenue_engine.api.pace import SECOND, Limit, Pace
from tests.api.conftest import BILL, Desk

ROOT = Path(__file__).parents[2]


def test_every_code_is_explained_and_every_code_used_is_listed() -> None:
    page = (ROOT / "docs" / "api" / "errors.md").read_text()
    assert page == problems.page(), "write docs/api/errors.md anew: python -c 'from revenue_engine.api import problems'"
    used = set()
    for path in (ROOT / "revenue_engine" / "api").glob("*.py"):
        used |= set(re.findall(r'Problem\(\s*"(\w+)"', path.read_text()))
    assert used
    assert used <= problems.PROBLEMS.keys()


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({**BILL, "expected_total": 600}, "/expected_total", "invalid_request"),
        ({**BILL, "expected_total": 600.0}, "/expected_total", "invalid_request"),
        ({**BILL, "expected_total": "6e2"}, "/expected_total", "invalid_request"),
        ({**BILL, "expected_total": "600.001"}, "/expected_total", "invalid_request"),
        ({**BILL, "colour": "red"}, "/colour", "invalid_request"),
        ({**BILL, "items": []}, "/items", "invalid_request"),
        ({**BILL, "items": [{"item": "TRL.NIGHT", "quantity": "2"}]}, "/items/0/quantity", "invalid_request"),
        ({**BILL, "items": [{"item": "TRL.NIGHT", "quantity": True}]}, "/items/0/quantity", "invalid_request"),
        ({**BILL, "items": [{"item": "TRL.NIGHT", "rate": 1}]}, "/items/0/rate", "invalid_request"),
    ],
)
def test_a_field_that_is_wrong_is_named(desk: Desk, body: dict[str, Any], pointer: str, code: str) -> None:
    answered = desk.client.post("/api/v1/invoices", json=body, headers=desk.headers("clerk"))
    told = answered.json()
    assert (answered.status_code, told["code"]) == (422, code)
    assert answered.headers["content-type"] == "application/problem+json"
    assert pointer in [one["pointer"] for one in told["errors"]]
    assert told["request_id"] == answered.headers["x-request-id"]


@pytest.mark.parametrize(
    ("sent", "kind", "code"),
    [
        (b'{"items": "' + b"a" * 1_000_000 + b'"}', "application/json", "body_too_large"),
        (b"[" * 1_000 + b"]" * 1_000, "application/json", "invalid_json"),
        (b'{"a": 1, "a": 2}', "application/json", "invalid_json"),
        (b"{", "application/json", "invalid_json"),
        (b"\xff\xfe", "application/json", "invalid_json"),
        (b"a=1", "application/x-www-form-urlencoded", "unsupported_media_type"),
    ],
)
def test_a_body_that_is_too_much_or_no_json(desk: Desk, sent: bytes, kind: str, code: str) -> None:
    headers = {**desk.headers("clerk"), "Content-Type": kind}
    answered = desk.client.post("/api/v1/invoices", content=sent, headers=headers)
    assert (answered.status_code, answered.json()["code"]) == (problems.PROBLEMS[code][0], code)


def test_unknown_and_doubled_parameters_are_refused(desk: Desk) -> None:
    headers = desk.headers("auditor")
    unknown = desk.client.get("/api/v1/invoices?limt=3", headers=headers)
    assert (unknown.status_code, unknown.json()["code"]) == (422, "unknown_parameter")
    assert "limit" in unknown.json()["detail"]
    assert desk.client.get("/api/v1/invoices?limit=3&limit=4", headers=headers).status_code == 422
    assert desk.client.get("/api/v1/session?x=1", headers=headers).status_code == 422
    assert desk.client.get("/api/v1/invoices?limit=201", headers=headers).status_code == 422


def test_a_cookie_needs_the_pages_own_origin_and_token(desk: Desk) -> None:
    desk.headers("clerk")
    (secret,) = desk.secrets.values()
    cookie = {"Cookie": f"{calls.COOKIE}={secret}", "Idempotency-Key": "one"}
    me = desk.client.get("/api/v1/session", headers=cookie)
    assert me.json()["csrf_token"]
    ours = {"Origin": "https://revenue.example", "Sec-Fetch-Site": "same-origin"}
    token = {"X-CSRF-Token": me.json()["csrf_token"]}

    def post(**headers: str) -> int:
        return desk.client.post("/api/v1/invoices", json=BILL, headers={**cookie, **headers}).status_code

    assert post() == 403
    assert post(**token) == 403
    assert post(**ours) == 403
    assert post(**{**ours, "X-CSRF-Token": "0" * 64}) == 403
    assert post(**{**token, "Origin": "https://evil.example"}) == 403
    assert post(**{**token, **ours, "Sec-Fetch-Site": "cross-site"}) == 403
    assert post(**token, **ours) == 201


def test_signing_out_ends_the_session(desk: Desk) -> None:
    headers = desk.headers("clerk")
    gone = desk.client.delete("/api/v1/session", headers=headers)
    assert gone.json() == {"signed_out": True}
    after = desk.client.get("/api/v1/session", headers=headers)
    assert (after.status_code, after.json()["code"]) == (401, "not_signed_in")
    assert after.headers["www-authenticate"] == "Bearer"


def test_wrong_sign_ins_are_all_told_the_same_and_slowed_down(desk: Desk) -> None:
    sent = {"login": "nobody.here", "password": "a wrong password", "code": "123456"}
    first = desk.client.post("/api/v1/session", json=sent)
    assert (first.status_code, first.json()["code"]) == (401, "not_signed_in")
    statuses = {desk.client.post("/api/v1/session", json={**sent, "password": str(n)}).status_code for n in range(11)}
    assert 429 in statuses or 503 in statuses


def test_a_bucket_empties_fills_up_again_and_is_each_callers_own() -> None:
    now = [0]
    pace = Pace(Limit(3, 6), clock=lambda: now[0])
    for _ in range(3):
        pace.spend("a")
    with pytest.raises(problems.Problem) as refused:
        pace.spend("a")
    assert refused.value.headers["Retry-After"] == "2"
    pace.spend("b")
    now[0] += 2 * SECOND
    pace.spend("a")
    with pytest.raises(problems.Problem):
        pace.spend("a")
    now[0] += 100 * SECOND
    for _ in range(3):
        pace.spend("a")


def test_headers_of_every_answer(desk: Desk) -> None:
    for path in ("/api/v1/invoices", "/nowhere", "/docs"):
        told = desk.client.get(path, headers={"X-Request-ID": "abcdefgh-1"}).headers
        assert told["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in told["content-security-policy"]
        assert told["x-request-id"] == "abcdefgh-1"
    assert desk.client.get("/nowhere", headers={"X-Request-ID": "a b"}).headers["x-request-id"].startswith("req_")


def test_the_pages_for_programmers_need_no_other_site(desk: Desk) -> None:
    page = desk.client.get("/docs").text
    assert "http" not in page.replace("https://", "").replace("http-equiv", "") or "://" not in page
    for name in re.findall(r'(?:src|href)="([^"]+)"', page):
        assert name.startswith("/docs/")
        assert desk.client.get(name).status_code == 200
    assert "'unsafe" not in desk.client.get("/docs").headers["content-security-policy"]


def test_the_description_is_open_api_and_names_every_refusal_as_problem_json(desk: Desk) -> None:
    told = desk.client.get("/api/v1/openapi.json").json()
    assert told["openapi"].startswith("3.1")
    assert told == describe(desk.app.inside)
    for path, methods in told["paths"].items():
        for method, one in methods.items():
            assert one["x-permission"], (method, path)
            for status, answer in one["responses"].items():
                kinds = list(answer["content"])
                assert kinds == (["application/json"] if status < "400" else ["application/problem+json"])
    assert "HTTPValidationError" not in str(told)


def test_ready_says_which_migration_is_missing_and_live_needs_no_database(desk: Desk) -> None:
    assert desk.client.get("/readyz").text == "ready\n"
    desk.books.execute("UPDATE alembic_version SET version_num = 'places'")
    told = desk.client.get("/readyz")
    assert (told.status_code, "the schema is at places" in told.text) == (503, True)
    assert desk.client.get("/livez").status_code == 200


def test_measurements_are_for_who_reads_and_name_nobody(desk: Desk) -> None:
    assert desk.client.get("/metrics").status_code == 401
    assert desk.client.get("/metrics", headers=desk.headers()).status_code == 403
    desk.books.pay(50, "NOTHING", names=("WANJIRU", "", ""))
    told = desk.client.get("/metrics", headers=desk.headers("auditor"))
    assert told.status_code == 200, told.text
    figures = dict(line.rsplit(" ", 1) for line in told.text.splitlines() if not line.startswith("#"))
    assert figures["revenue_jobs_dead"] == "0"
    assert int(figures["revenue_suspense_oldest_seconds"]) > 0
    assert 'revenue_callback_age_seconds{adapter="mpesa",account="600100",mode="live"}' in figures
    assert "WANJIRU" not in told.text
