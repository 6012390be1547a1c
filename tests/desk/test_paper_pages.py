"""Papers at the desk: printed with a count, verified by anybody, and nothing told of what is not ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest

from revenue_engine import db, signed_notes
from revenue_engine.access import scope
from revenue_engine.billing import payers, tariffs
from revenue_engine.desk import pace
from revenue_engine.papers import tokens
from revenue_engine.payments import receipts
from revenue_engine.reports import papers
from tests.conftest import Database
from tests.desk.conftest import County, opened
from tests.support.books import reversal

SAID = re.compile(r'class="verdict [a-z]+" role="status"><p class="big">([A-Z ]+)<')


@pytest.fixture(scope="module")
def county(shared_database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[County]:
    """A receipt that stands, one that was cancelled, and a key that signs papers."""
    for made in opened(shared_database):
        folder: Path = tmp_path_factory.mktemp("keys")
        signed_notes.make_key(folder / "county.pem", "county")
        made.app.state.keys = folder
        made.app.state.address = "https://desk.example"
        one, other = made.books.bill(600), made.books.bill(300)
        made.books.pay(600, one.pay_account_number, reference="SKPAID0001")
        made.books.pay(300, other.pay_account_number, reference="SKBACK0001")
        made.books.deliver(reversal("SKBACK0001", 300, own="SKREVR0001"))
        made.books.work()
        yield made


def paper(county: County, reference: str) -> tuple[str, str]:
    """The printed number of a payment's receipt and its public id."""
    ((year, number, public),) = county.books.rows(
        "SELECT r.financial_year, r.number, r.public_id FROM receipt r JOIN payment p ON p.id = r.payment_id"
        " WHERE p.reference = %s AND r.kind = 'receipt'",
        reference,
    )
    return f"RCT-{year}-{number:06d}", public


def verdict(county: County, address: str) -> str:
    county.app.state.pace = pace.Pace()
    browser = county.browser("public", "clerk")
    browser.client.cookies.clear()
    seen = browser.see(address)
    assert seen.status_code == 200, seen.text
    assert "Achieng" not in seen.text
    return SAID.findall(seen.text)[0]


def test_a_receipt_is_printed_for_who_may_and_each_copy_is_counted(county: County) -> None:
    clerk = county.browser("counter", "clerk")
    number, _ = paper(county, "SKPAID0001")
    page = clerk.see("/payments/SKPAID0001").text
    assert f'action="/receipts/{number}/paper"' in page
    for size in ("a4", "80mm"):
        made = clerk.send("/payments/SKPAID0001", f"/receipts/{number}/paper", size=size)
        assert (made.status_code, made.headers["content-type"], made.content[:5]) == (200, "application/pdf", b"%PDF-")
    printed = county.books.rows(
        "SELECT count(*) FROM audit_event WHERE action = 'paper.printed' AND object = %s", number
    )
    assert printed == [(2,)]
    assert clerk.send("/payments/SKPAID0001", f"/receipts/{number}/paper", size="a3").status_code == 422
    elsewhere = county.browser("of.teso", "clerk", sub_county="Teso North")
    fields = {"csrf": re.findall(r'name="csrf" value="([^"]+)"', elsewhere.see("/").text)[0]}
    assert elsewhere.post(f"/receipts/{number}/paper", **fields).status_code == 404
    bill = county.books.rows("SELECT number FROM invoice ORDER BY id LIMIT 1")[0][0]
    assert clerk.send(f"/bills/{bill}", f"/bills/{bill}/paper").content[:5] == b"%PDF-"


def test_a_bill_says_whom_it_is_for_by_what_law_and_its_qr_leads_to_what_is_left(county: County) -> None:
    clerk = county.browser("counter", "clerk")
    with db.transaction(county.books.as_role("api")) as session:
        owner = payers.add_payer(session, name="Mama Ng'endo")
        session.flush()
    bill = county.books.bill(600, payer=owner.id)
    with clerk.who.acts(), db.transaction(county.books.as_role("api")) as session:
        made = papers.of_bill(session, bill.number, by="counter", scope=scope.WHOLE, address="https://desk.example")
        law = tariffs.streams(session)["SBP"].law
    assert {("For", "Mama Ng'endo"), ("By law", law)} <= set(made.facts)
    printed = clerk.send(f"/bills/{bill.number}", f"/bills/{bill.number}/paper", size="80mm")
    assert printed.content[:5] == b"%PDF-"
    told = clerk.client.get(made.verify.removeprefix("https://desk.example"))
    assert "600.00" in told.text
    assert "endo" not in told.text  # the page that anybody reads names nobody


def test_anybody_verifies_a_paper_by_its_code_and_by_its_token(county: County) -> None:
    number, public = paper(county, "SKPAID0001")
    cancelled, cancelled_public = paper(county, "SKBACK0001")
    code = tokens.short_code(public)
    assert verdict(county, f"/v/{number}/{code}") == "VALID"
    assert verdict(county, f"/v/{number}/{code.lower()}") == "VALID"
    assert verdict(county, f"/v/{cancelled}/{tokens.short_code(cancelled_public)}") == "CANCELLED"
    assert verdict(county, f"/v/{number}/AAAAAAAA") == "NOT OURS"
    assert verdict(county, f"/v/{cancelled}/{code}") == "NOT OURS"
    assert verdict(county, "/v?number=RCT-9999-000001&code=AAAAAAAA") == "NOT OURS"
    keys = signed_notes.read_keys(county.app.state.keys)
    with db.transaction(county.app.state.engine) as session:
        claims = {name: papers.claim_of(receipts.named(session, name)) for name in (number, cancelled)}
    assert verdict(county, f"/v?token={tokens.sign(claims[number], keys)}") == "VALID"
    assert verdict(county, f"/v?token={tokens.sign(replace(claims[number], copy=2), keys)}") == "REPRINT"
    assert verdict(county, f"/v?token={tokens.sign(claims[cancelled], keys)}") == "CANCELLED"
    more = replace(claims[number], amount_minor=60_100)
    assert verdict(county, f"/v?token={tokens.sign(more, keys)}") == "NOT OURS"
    assert verdict(county, "/v?token=" + quote("<script>alert(1)</script>")) == "NOT OURS"
    published = county.browser("public", "clerk").see("/v/keys.json").json()
    assert list(published) == [tokens.key_id(keys[0].public).hex()]


def test_what_is_owed_is_told_to_anybody_without_names(county: County) -> None:
    county.app.state.pace = pace.Pace()
    bill = county.books.bill(450)
    browser = county.browser("public", "clerk")
    browser.client.cookies.clear()
    told = browser.client.get("/look-up", params={"named": bill.pay_account_number})
    assert "KSh 450.00" in told.text
    assert bill.number not in told.text
    assert browser.client.get("/look-up", params={"named": "ab"}).status_code == 422
    assert "Nothing is owed" in browser.client.get("/look-up", params={"named": "KZZ999Z"}).text


def test_who_asks_too_much_is_told_to_wait_and_slows_nobody_else(county: County) -> None:
    now = [0]
    county.app.state.pace = pace.Pace(clock=lambda: now[0])
    browser = county.browser("public", "clerk")
    answers = [browser.see("/v?number=RCT-9999-000001&code=AAAAAAAA").status_code for _ in range(pace.MOST + 2)]
    assert answers == [200] * pace.MOST + [503] * 2
    assert browser.see("/payments").status_code == 200
    now[0] += pace.SECONDS * 1_000_000_000
    assert browser.see("/v?number=RCT-9999-000001&code=AAAAAAAA").status_code == 200


def test_what_keeps_the_verifying_page_on_a_phone_asks_this_desk_alone(county: County) -> None:
    browser = county.browser("anybody", "clerk")
    worker = browser.see("/v/worker.js")
    assert (worker.status_code, worker.headers["service-worker-allowed"]) == (200, "/v")
    assert worker.headers["content-type"].startswith("text/javascript")
    assert "worker-src 'self'" in browser.see("/v").headers["content-security-policy"]
    # Each page that is kept for a phone without a network is there
    kept = re.findall(r'"(/[a-z./]*)"', re.search(r"const PAGES = \[.*?\];", worker.text, re.DOTALL)[0])  # type: ignore[index]
    assert len(kept) == 4
    assert [at for at in kept if browser.see(at).status_code != 200] == []
