"""Where is it: payments, receipts, breaks, channels, as other systems ask."""

from __future__ import annotations

from tests.api.conftest import Desk


def test_a_payment_is_found_with_what_told_of_it_and_its_receipt(desk: Desk) -> None:
    bill = desk.issue()
    code = desk.books.pay(600, bill["pay_account_number"])
    headers = desk.headers("clerk")
    found = desk.client.get("/api/v1/payments", params={"q": code.lower()}, headers=headers).json()
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
    told = desk.client.get("/api/v1/payments", params={"q": "UKSZMW9G3S"}, headers=desk.headers("clerk")).json()
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
