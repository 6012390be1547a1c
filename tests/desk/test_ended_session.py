"""A session that ended while a form was filled: nothing typed is lost, and nothing is done by signing in."""

from __future__ import annotations

from revenue_engine.access import passwords
from tests.desk.conftest import County, enrolled, hidden
from tests.support.people import PASSWORD


def test_any_form_that_meets_an_ended_session_is_sent_again_as_it_was_typed(county: County) -> None:
    seed = enrolled(county.books.url, county.app.state.engine, "ada.1")
    bill = county.books.bill(600)
    at = f"/bills/{bill.number}/cancellation"
    browser = county.browser("before", "supervisor")
    fields = hidden(browser.see(f"/bills/{bill.number}").text, at)
    browser.client.cookies.set("__Host-sid", "0" * 64, domain="desk.example")
    ended = browser.post(at, **fields, reason="issued <twice>")
    assert ended.status_code == 401
    kept = hidden(ended.text, "/sign-in")
    assert (kept["back"], kept["kept.reason"], "kept.csrf" in kept) == (at, "issued <twice>", False)
    browser.client.cookies.clear()
    shown = browser.post("/sign-in", **kept, login="ada.1", password=PASSWORD, code=passwords.code_now(seed))
    assert (shown.status_code, "issued &lt;twice&gt;" in shown.text) == (200, True)
    assert county.books.rows("SELECT count(*) FROM access.request") == [(0,)]  # nothing is done by signing in
    # It is sent as who signed in now: an administrator asks for no cancellation, a supervisor does
    again = hidden(shown.text, at)
    assert browser.post(at, **again).status_code == 403
    supervisor = county.browser("after", "supervisor")
    mine = hidden(supervisor.see(f"/bills/{bill.number}").text, at)["csrf"]
    sent = supervisor.post(at, **{**again, "csrf": mine})
    assert sent.status_code == 303, sent.text
    assert sent.headers["location"].startswith("/approvals/req_")
