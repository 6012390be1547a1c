"""Invoices by the API: issued once, shown, listed page by page, cancelled by two persons."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta

from tests.api.conftest import BILL, Desk


def test_a_bill_is_issued_by_the_tariff_and_shown_by_both_numbers(desk: Desk) -> None:
    told = desk.issue(name="Akinyi", phone="0712000101", expected_total="600.00")
    assert (told["total"], told["outstanding"], told["state"]) == ("600.00", "600.00", "unpaid")
    for number in (told["number"], told["pay_account_number"]):
        shown = desk.client.get(f"/api/v1/invoices/{number}", headers=desk.headers("auditor"))
        assert shown.status_code == 200
        assert shown.json() == told


def test_another_total_than_the_payer_was_told_issues_no_bill(desk: Desk) -> None:
    answered = desk.client.post(
        "/api/v1/invoices", json={**BILL, "expected_total": "500.00"}, headers=desk.headers("clerk")
    )
    assert (answered.status_code, answered.json()["code"]) == (409, "conflict")
    assert "600.00" in answered.json()["detail"]
    assert desk.books.rows("SELECT count(*) FROM invoice") == [(0,)]


def test_a_hundred_clients_with_one_key_make_one_bill(desk: Desk) -> None:
    headers = desk.headers("clerk")
    gate, answers, guard = threading.Barrier(100), [], threading.Lock()

    def ask() -> None:
        gate.wait()
        while True:
            answered = desk.client.post("/api/v1/invoices", json=BILL, headers=headers)
            if answered.status_code not in (409, 503):
                break
            assert answered.json()["code"] in {"idempotency_key_in_flight", "try_again"}
            assert answered.headers["retry-after"]
        with guard:
            answers.append((answered.status_code, answered.text, answered.headers.get("idempotent-replayed")))

    threads = [threading.Thread(target=ask) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {status for status, _, _ in answers} == {201}
    assert len({text for _, text, _ in answers}) == 1
    assert Counter(replayed for _, _, replayed in answers) == {None: 1, "true": 99}
    assert desk.books.rows("SELECT count(*) FROM invoice") == [(1,)]


def test_a_key_is_of_one_request_and_of_one_person(desk: Desk) -> None:
    headers = desk.headers("clerk")
    first = desk.client.post("/api/v1/invoices", json=BILL, headers=headers)
    other = desk.client.post("/api/v1/invoices", json={**BILL, "station": None}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    theirs = {**desk.headers("collector"), "Idempotency-Key": headers["Idempotency-Key"]}
    assert desk.client.post("/api/v1/invoices", json=BILL, headers=theirs).json()["id"] != first.json()["id"]
    without = {name: value for name, value in headers.items() if name != "Idempotency-Key"}
    missing = desk.client.post("/api/v1/invoices", json=BILL, headers=without)
    assert (missing.status_code, missing.json()["code"]) == (400, "idempotency_key_missing")


def test_a_refusal_is_given_again_and_a_key_ends_after_thirty_days(desk: Desk) -> None:
    headers = desk.headers("clerk")
    wrong = {**BILL, "items": [{"item": "NO.SUCH"}]}
    first = desk.client.post("/api/v1/invoices", json=wrong, headers=headers)
    again = desk.client.post("/api/v1/invoices", json=wrong, headers=headers)
    assert first.status_code == again.status_code == 404
    assert again.headers["idempotent-replayed"] == "true"
    assert first.json() == again.json()
    key = hashlib.sha256(b"").digest()
    desk.books.rows(
        "UPDATE idempotency_key SET created_at = %s WHERE fingerprint <> %s RETURNING 1",
        datetime.now(UTC) - timedelta(days=31),
        key,
    )
    assert desk.client.post("/api/v1/invoices", json=BILL, headers=headers).status_code == 201


def test_pages_hold_every_bill_once_and_a_cursor_is_of_its_own_list(desk: Desk) -> None:
    made = [desk.issue()["number"] for _ in range(7)]
    headers, seen, cursor = desk.headers("auditor"), [], None
    while True:
        asked = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        page = desk.client.get("/api/v1/invoices", params=asked, headers=headers).json()
        seen += [one["number"] for one in page["data"]]
        cursor = page["next_cursor"] or cursor
        if not page["has_more"]:
            break
    assert seen == made[::-1]
    for wrong in ({"cursor": cursor, "state": "paid"}, {"cursor": "AAAA"}, {"cursor": "é"}):
        answered = desk.client.get("/api/v1/invoices", params=wrong, headers=headers)
        assert (answered.status_code, answered.json()["code"]) == (422, "invalid_cursor")


def test_a_bill_is_cancelled_when_another_person_agrees(desk: Desk) -> None:
    number = desk.issue()["number"]
    asked = desk.client.post(
        f"/api/v1/invoices/{number}/cancellation", json={"reason": "issued twice"}, headers=desk.headers("supervisor")
    )
    assert asked.status_code == 202, asked.text
    looked = desk.client.get(f"/api/v1/approvals/{asked.json()['approval']}", headers=desk.headers("finance_officer"))
    request = looked.json()
    assert (request["stands"], request["subject"], request["amount"]) == ("waiting", number, "600.00")
    agreement = {"shown_sha256": request["shown_sha256"]}
    path = f"/api/v1/approvals/{request['id']}/agreement"
    alone = desk.client.post(path, json=agreement, headers=desk.headers("supervisor"))
    assert (alone.status_code, alone.json()["code"]) == (403, "not_allowed")
    unseen = desk.client.post(path, json={"shown_sha256": "0" * 64}, headers=desk.headers("finance_officer"))
    assert unseen.status_code == 409
    agreed = desk.client.post(path, json=agreement, headers=desk.headers("finance_officer"))
    assert (agreed.status_code, agreed.json()["stands"]) == (200, "agreed"), agreed.text
    desk.books.work()
    shown = desk.client.get(f"/api/v1/invoices/{number}", headers=desk.headers("auditor")).json()
    assert (shown["state"], shown["outstanding"]) == ("cancelled", "0.00")
    done = desk.client.get(f"/api/v1/approvals/{request['id']}", headers=desk.headers("auditor")).json()
    assert done["stands"] == "done", done["why"]


def test_a_batch_is_issued_whole_or_not_at_all_and_the_line_is_named(desk: Desk) -> None:
    right = {"invoices": [BILL, {**BILL, "name": "Akinyi"}]}
    answered = desk.client.post("/api/v1/invoices/batch", json=right, headers=desk.headers("clerk"))
    assert answered.status_code == 201, answered.text
    assert [one["total"] for one in answered.json()["data"]] == ["600.00", "600.00"]
    wrong = {"invoices": [BILL, BILL, {**BILL, "expected_total": "1.00"}]}
    refused = desk.client.post("/api/v1/invoices/batch", json=wrong, headers=desk.headers("clerk"))
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert refused.json()["errors"][0]["pointer"] == "/invoices/2/expected_total"
    assert desk.books.rows("SELECT count(*) FROM invoice") == [(2,)]
