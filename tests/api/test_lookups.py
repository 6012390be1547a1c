"""Where is it: payments, receipts, breaks, channels, as other systems ask."""

from __future__ import annotations

from tests.api.conftest import Desk


def test_a_payment_is_found_with_what_told_of_it_and_its_receipt(desk: Desk) -> None:
    bill = desk.issue()
    code = desk.books.pay(600, bill["pay_account_number"])
    headers = desk.headers("clerk")
    found = desk.client.get("/api/v1/payments/search", params={"q": code.lower()}, headers=headers).json()
    (payment,) = found["payments"]
    assert (payment["reference"], payment["amount"], payment["reversed_by"]) == (code, "600.00", None)
    assert len(payment["timeline"]) == 1
    (number,) = payment["papers"]
    receipt = desk.client.get(f"/api/v1/receipts/{number}", headers=headers).json()
    assert (receipt["payment"], receipt["amount"], receipt["cancelled_at"]) == (code, "600.00", None)
    listed = desk.client.get("/api/v1/receipts", headers=headers).json()
    assert [one["number"] for one in listed["data"]] == [number]
    everything = desk.client.get("/api/v1/search", params={"q": bill["pay_account_number"]}, headers=headers).json()
    assert [one["number"] for one in everything["invoices"]] == [bill["number"]]
    assert everything["invoices"][0]["state"] == "paid"
    assert [one["reference"] for one in everything["payments"]] == [code]


def test_what_is_not_there_is_told_truthfully(desk: Desk) -> None:
    told = desk.client.get("/api/v1/payments/search", params={"q": "UKSZMW9G3S"}, headers=desk.headers("clerk")).json()
    assert told["payments"] == []
    assert "so far" in told["not_there"][0]
    assert any("never heard" in one for one in told["not_there"])


def test_a_stale_edit_of_a_break_is_told_who_changed_what(desk: Desk) -> None:
    desk.books.pay(50, "NOTHING")
    headers = desk.headers("supervisor")
    (row,) = desk.client.get("/api/v1/suspense", headers=headers).json()["data"]
    address = f"/api/v1/breaks/{row['number']}"
    seen = desk.client.get(address, headers=headers)
    tag = seen.headers["etag"]
    blind = desk.client.put(f"{address}/owner", json={"owner": "ict"}, headers=headers)
    assert (blind.status_code, blind.json()["code"]) == (428, "precondition_required")
    mine = desk.client.put(f"{address}/owner", json={"owner": "ict"}, headers={**headers, "If-Match": tag})
    assert (mine.status_code, mine.json()["owner"]) == (200, "ict"), mine.text
    theirs = desk.client.put(
        f"{address}/owner", json={"owner": "finance"}, headers={**desk.headers("finance_officer"), "If-Match": tag}
    )
    assert (theirs.status_code, theirs.json()["code"]) == (412, "changed_meanwhile")
    assert "of.supervisor" in theirs.json()["detail"]
    noted = desk.client.post(f"{address}/notes", json={"words": "asked the payer"}, headers=desk.headers("supervisor"))
    assert noted.status_code == 201
    assert any("asked the payer" in one for one in noted.json()["said"])


def test_channels_say_when_they_were_last_heard(desk: Desk) -> None:
    told = desk.client.get("/api/v1/channels", headers=desk.headers("ict")).json()
    assert told["data"][0]["adapter"] == "mpesa"
    assert told["dead"] == 0


def test_every_list_goes_on_behind_its_cursor(desk: Desk) -> None:
    headers = desk.headers("supervisor")
    for number in range(3):
        desk.books.pay(50 + number, f"NOTHING {number}")
        desk.issue()
        name = {"name": f"Payer {number}", "phone": "0712000101"}
        assert desk.client.post("/api/v1/payers", json=name, headers=desk.headers("clerk")).status_code == 201
        desk.client.post(
            f"/api/v1/invoices/{desk.issue()['number']}/cancellation",
            json={"reason": "issued twice"},
            headers=desk.headers("supervisor"),
        )
    whole = {}
    for path in ("approvals", "breaks", "suspense", "payments", "invoices", "payers", "objects", "receipts"):
        address, seen, cursor = f"/api/v1/{path}", [], None
        whole[path] = desk.client.get(address, params={"limit": 200}, headers=headers).json()["data"]
        while True:
            asked = {"limit": 1} | ({"cursor": cursor} if cursor else {})
            page = desk.client.get(address, params=asked, headers=headers).json()
            seen += page["data"]
            cursor = page["next_cursor"]
            assert page["has_more"] == (cursor is not None)
            if cursor is None:
                break
        assert seen == whole[path], path
    assert {path: len(found) for path, found in whole.items()} == {
        **dict.fromkeys(("approvals", "breaks", "suspense", "payments", "payers", "receipts"), 3),
        "invoices": 6,
        "objects": len(whole["objects"]),
    }


def test_a_phone_is_masked_for_who_may_not_see_phones(desk: Desk) -> None:
    desk.client.post(
        "/api/v1/payers", json={"name": "Akinyi", "phone": "0712000101"}, headers=desk.headers("clerk")
    ).raise_for_status()
    for role in ("clerk", "supervisor"):
        (found,) = desk.client.get("/api/v1/payers?phone=0712000101", headers=desk.headers(role)).json()["data"]
        assert found["phone"] == "+2547•••101", "in a list for everybody"
    at = f"/api/v1/payers/{found['id']}"
    assert desk.client.get(at, headers=desk.headers("supervisor")).json()["phone"] == "+2547•••101"
    assert desk.client.get(f"{at}?unmask=true", headers=desk.headers("clerk")).status_code == 403
    looked = "SELECT object FROM audit_event WHERE action = 'payer.unmask'"
    assert desk.books.rows(looked) == []
    # Who may sees it when they ask for it, and that they looked is kept
    assert desk.client.get(f"{at}?unmask=true", headers=desk.headers("supervisor")).json()["phone"] == "+254712000101"
    assert desk.books.rows(looked) == [(found["id"],)]


def test_an_object_is_registered_found_by_its_name_and_shows_what_is_owed(desk: Desk) -> None:
    stall = {"stream": "RENT", "kind": "stall", "reference": "STL 17", "aliases": ["Stall seventeen"]}
    made = desk.client.post("/api/v1/objects", json=stall, headers=desk.headers("clerk"))
    assert made.status_code == 201, made.text
    again = desk.client.post("/api/v1/objects", json=stall, headers=desk.headers("clerk"))
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    for name in ("stl-17", "stall seventeen", made.json()["pay_account_number"]):
        found = desk.client.get("/api/v1/objects", params={"named": name}, headers=desk.headers("auditor")).json()
        assert [one["id"] for one in found["data"]] == [made.json()["id"]]
    assert (made.json()["open_bills"], made.json()["outstanding"]) == (0, "0.00")


def test_the_daily_report_is_answered_as_data(desk: Desk) -> None:
    headers = desk.headers("auditor")
    assert desk.client.get("/api/v1/reports", headers=headers).json() == {"data": ["daily"]}
    told = desk.client.get("/api/v1/reports/daily", headers=headers)
    assert told.status_code == 200, told.text
    assert told.json()["ties"]
    late = desk.client.get("/api/v1/reports/daily?day=2099-01-01", headers=headers)
    assert (late.status_code, late.json()["code"]) == (422, "invalid_value")
