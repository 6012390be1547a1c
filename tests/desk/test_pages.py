"""Journeys of the desk without JavaScript: signing in, the search, bills, and what two persons agree to."""

from __future__ import annotations

import re

import pytest

from revenue_engine.access import passwords
from tests.desk.conftest import ORIGIN, County, enrolled, forget_steps, hidden
from tests.support.people import PASSWORD

FORM = {"item": "trl.night", "quantity": "2", "station": "MALABA", "name": "Akinyi Ng'ang'a", "phone": "0712 000 101"}
NEW = "/bills/new"


def test_nobody_sees_a_page_and_a_wrong_sign_in_says_one_sentence(county: County) -> None:
    browser = county.browser("nobody", "clerk")
    browser.client.cookies.clear()
    for address in ("/", "/bills", NEW, "/approvals"):
        seen = browser.see(address)
        assert (seen.status_code, "Sign in" in seen.text) == (401, True), address
    wrong = browser.post(
        "/sign-in", login="nobody", password="no such words", code="123456", back="//elsewhere.example"
    )
    assert wrong.status_code == 401
    assert "the login, the password or the code is wrong" in wrong.text
    assert hidden(wrong.text, "/sign-in")["back"] == "/"


def test_every_page_forbids_scripts_and_frames(county: County) -> None:
    browser = county.browser("head", "clerk")
    for address in ("/", "/bills", NEW, "/approvals", "/no-such-page", "/sign-in"):
        seen = browser.see(address)
        assert "default-src 'none'" in seen.headers["content-security-policy"], address
        assert (seen.headers["cache-control"], seen.headers["x-content-type-options"]) == ("no-store", "nosniff")
        assert "style=" not in seen.text
        assert "<script" not in seen.text
        assert "<style" not in seen.text


def test_a_bill_is_priced_then_issued_once_however_often_it_is_sent(county: County) -> None:
    browser = county.browser("counter", "clerk")
    priced = browser.send(NEW, NEW, do="price", **FORM)
    assert priced.status_code == 200, priced.text
    assert "KSh 600.00" in priced.text
    fields = {**hidden(priced.text, NEW), **FORM, "do": "issue"}
    first, again = browser.post(NEW, **fields), browser.post(NEW, **fields)
    assert first.status_code == again.status_code == 303, first.text
    assert first.headers["location"] == again.headers["location"]
    assert county.books.rows("SELECT count(*) FROM invoice") == [(1,)]
    changed = browser.post(NEW, **{**fields, "quantity": "3"})
    assert (changed.status_code, "There is a problem" in changed.text) == (422, True)
    assert hidden(changed.text, NEW)["key"] != fields["key"]
    assert county.books.rows("SELECT count(*) FROM invoice") == [(1,)]


def test_what_was_typed_wrong_is_named_and_nothing_is_typed_again(county: County) -> None:
    browser = county.browser("slips", "clerk")
    for wrong, field in (
        ({"quantity": "two"}, "quantity"),
        ({"item": ""}, "item"),
        ({"station": "NOWHERE"}, "station"),
    ):
        seen = browser.send(NEW, NEW, do="price", **{**FORM, **wrong})
        assert seen.status_code == 422
        assert f'href="#{field}"' in seen.text
        assert "<title>Error: " in seen.text
        assert "Akinyi Ng&#39;ang&#39;a" in seen.text
    assert county.books.rows("SELECT count(*) FROM invoice") == [(0,)]


def test_an_ended_session_keeps_the_draft(county: County) -> None:
    browser = county.browser("away", "clerk")
    fields = {**hidden(browser.see(NEW).text, NEW), **FORM, "do": "price"}
    browser.post("/sign-out", **hidden(browser.see("/").text, "/sign-out"))
    browser.client.cookies.set("__Host-sid", browser.who.secret, domain="desk.example")
    seen = browser.post(NEW, **fields)
    assert seen.status_code == 401
    kept = hidden(seen.text, "/sign-in")
    assert (kept["back"], kept["kept.name"], kept["kept.key"]) == (NEW, FORM["name"], fields["key"])
    assert "kept.csrf" not in kept


@pytest.mark.parametrize(
    "said", [{}, {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_a_form_of_another_site_does_nothing(county: County, said: dict[str, str]) -> None:
    browser = county.browser("forged", "clerk")
    fields = {**hidden(browser.see(NEW).text, NEW), **FORM, "do": "issue", "expected": "600.00"}
    assert browser.client.post(NEW, data=fields, headers=said).status_code == 403
    stale = browser.client.post(NEW, data={**fields, "csrf": "0" * 64}, headers={"Origin": ORIGIN})
    assert stale.status_code == 403
    assert county.books.rows("SELECT count(*) FROM invoice") == [(0,)]


def test_who_may_not_is_not_offered_and_is_refused(county: County) -> None:
    browser = county.browser("reader", "auditor")
    assert "New bill" not in browser.see("/bills").text
    assert browser.see(NEW).status_code == 403


def test_the_search_finds_a_payment_and_tells_the_truth_of_what_is_not_there(county: County) -> None:
    browser = county.browser("finder", "clerk")
    priced = browser.send(NEW, NEW, do="price", **FORM)
    made = browser.post(NEW, **{**hidden(priced.text, NEW), **FORM, "do": "issue"})
    shown = browser.see(made.headers["location"])
    (account,) = re.findall(r'class="big">(\d{3} \d{3} \d{3})<', shown.text)
    code = county.books.pay(600, account.replace(" ", ""))
    found = browser.client.get("/", params={"q": code.lower()})
    assert f"{code}</a> · KSh 600.00" in found.text
    paid = browser.see(made.headers["location"])
    assert ">paid<" in paid.text
    assert code in paid.text
    absent = browser.client.get("/", params={"q": "UKSZMW9G3S"})
    assert "so far" in absent.text
    hostile = browser.client.get("/", params={"q": "<script>alert(1)</script>"})
    assert "<script>" not in hostile.text


def test_a_bill_is_cancelled_only_when_another_person_agrees_with_a_code(county: County) -> None:
    clerk = county.browser("maker", "clerk")
    priced = clerk.send(NEW, NEW, do="price", **FORM)
    bill = clerk.post(NEW, **{**hidden(priced.text, NEW), **FORM, "do": "issue"}).headers["location"]
    maker, checker = county.browser("asks", "supervisor"), county.browser("agrees", "finance_officer")
    unsaid = maker.send(bill, f"{bill}/cancellation")
    assert (unsaid.status_code, 'href="#reason"' in unsaid.text) == (422, True)
    asked = maker.send(bill, f"{bill}/cancellation", reason="issued twice")
    assert asked.status_code == 303, asked.text
    approval = asked.headers["location"]
    assert 'value="agree"' not in maker.see(approval).text
    assert "amount, KSh</th><td>600.00<" in checker.see(approval).text
    uncoded = checker.send(approval, approval, do="agree")
    assert (uncoded.status_code, 'href="#code"' in uncoded.text) == (422, True)
    guessed = checker.send(approval, approval, do="agree", code="000000")
    assert guessed.status_code == 422
    silent = checker.send(approval, approval, do="refuse", reason="")
    assert 'href="#reason"' in silent.text
    other = {**hidden(checker.see(approval).text, approval), "shown": "0" * 64}
    assert checker.post(approval, **other, do="refuse", reason="unseen").status_code == 409
    agreed = checker.send(approval, approval, do="agree", code=passwords.code_now(checker.who.seed))
    assert agreed.status_code == 303, agreed.text
    assert "agreed, being posted" in checker.see(approval).text


def test_signing_in_goes_on_with_the_draft_by_a_new_session(county: County) -> None:
    seed = enrolled(county.books.url, county.app.state.engine, "ada.1")
    browser = county.browser("before", "clerk")
    browser.client.cookies.clear()
    told = {"login": "ada.1", "password": PASSWORD, "code": passwords.code_now(seed)}
    asked = browser.post("/sign-in", back="/bills?state=paid", **told)
    assert (asked.status_code, asked.headers["location"]) == (303, "/bills?state=paid")
    cookie = asked.headers["set-cookie"].lower()
    assert cookie.startswith("__host-sid=")
    assert all(part in cookie for part in ("; secure", "; httponly", "; samesite=strict", "; path=/"))
    browser.client.cookies.clear()
    forget_steps(county.books.url)
    draft = {"kept.name": FORM["name"], "kept.item": "TRL.NIGHT", "kept.key": "k" * 24}
    drafted = browser.post("/sign-in", back=NEW, **told, **draft)
    assert drafted.status_code == 200, drafted.text
    assert "Akinyi Ng&#39;ang&#39;a" in drafted.text
    assert hidden(drafted.text, NEW)["key"] == "k" * 24
    assert "__Host-sid=" in drafted.headers["set-cookie"]
    forget_steps(county.books.url)
    foreign = browser.client.post("/sign-in", data=told, headers={"Origin": "https://evil.example"})
    assert foreign.status_code == 403
