"""The pages of a day: today in figures, and a close that two persons make."""

from __future__ import annotations

import html
import io
from collections.abc import Iterator

import pytest
from python_calamine import CalamineWorkbook

from reconciliation.days import certificates
from revenue_engine import db, periods, signed_notes
from revenue_engine.access import passwords
from tests.conftest import Database
from tests.desk.conftest import County, forget_steps, hidden, opened
from tests.support.books import DAY


@pytest.fixture(scope="module")
def county(shared_database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[County]:
    """A payment of today on its bill and one in suspense, and a key that signs certificates."""
    for made in opened(shared_database):
        folder = tmp_path_factory.mktemp("seal")
        key = signed_notes.make_key(folder / "county.pem", "county")
        made.app.state.keys = folder
        with db.transaction(made.books.engine) as session:
            certificates.publish(session, key)
        bill = made.books.bill(600)
        made.books.pay(600, bill.pay_account_number, reference="SKPAID0001", at=periods.now())
        made.books.pay(75, "no such thing", reference="SKLOST0001", at=periods.now())
        yield made


def test_today_says_what_came_what_waits_and_when_each_channel_was_heard(county: County) -> None:
    text = county.browser("counter", "clerk").see("/today").text
    for words in ("KSh 675.00", "KSh 600.00", "KSh 75.00", "Last heard", "<svg", "The most in these days came on"):
        assert words in text, words


def test_a_day_that_has_not_ended_or_is_no_day_is_refused_on_its_page(county: County) -> None:
    browser = county.browser("finance", "finance_officer")
    assert browser.see(f"/close?day={periods.today()}").status_code == 409
    assert browser.see("/close?day=yesterday").status_code == 422


def test_a_day_is_closed_by_two_persons(county: County) -> None:
    maker, checker = county.browser("prepares", "finance_officer"), county.browser("approves", "finance_officer")
    at = f"/close?day={DAY}"  # the day of the bill
    page = maker.see(at)
    assert (page.status_code, "Prepare the close" in page.text) == (200, True)
    assert "Prepare the close" not in county.browser("counter", "clerk").see(at).text
    assert maker.send(at, "/close", do="prepare").status_code == 422
    prepared = maker.send(at, "/close", do="prepare", code=passwords.code_now(maker.who.seed))
    assert prepared.status_code == 303, prepared.text[prepared.text.index("problem") :][:900]
    assert "another person approves it" in maker.see(at).text
    # Given up with a reason, by its maker too: the day is open, and what was prepared is approved by nobody
    assert 'href="#reason"' in maker.send(at, "/close", do="withdraw").text
    stale = hidden(checker.see(at).text, "/close")
    assert maker.send(at, "/close", do="withdraw", reason="a statement comes late").status_code == 303
    assert "Prepare the close" in maker.see(at).text
    code = passwords.code_now(checker.who.seed)
    assert checker.post("/close", **stale, do="approve", code=code).status_code in (404, 409)
    forget_steps(county.books.url)
    again = maker.send(at, "/close", do="prepare", code=passwords.code_now(maker.who.seed))
    assert again.status_code == 303, again.text
    # A hash that is none is refused in words
    fields = {**hidden(checker.see(at).text, "/close"), "shown": "no hash"}
    forged = checker.post("/close", **fields, do="approve", code=passwords.code_now(checker.who.seed))
    assert (forged.status_code, "this is not what you were shown" in forged.text) == (409, True)
    forget_steps(county.books.url)
    approved = checker.send(at, "/close", do="approve", code=passwords.code_now(checker.who.seed))
    assert approved.status_code == 303, approved.text
    assert "certificate 1" in checker.see(at).text


def test_the_daily_workbook_is_taken_away_by_who_may_and_ties(county: County) -> None:
    finance = county.browser("finance", "finance_officer")
    address = f"/daily.xlsx?day={periods.today()}"
    assert html.escape(address) in finance.see("/today").text
    taken = finance.see(address)
    assert taken.status_code == 200, taken.text
    book = CalamineWorkbook.from_filelike(io.BytesIO(taken.content))
    control = [cell for row in book.get_sheet_by_index(0).to_python() for cell in row]
    assert 675 in control
    assert county.books.rows("SELECT count(*) FROM audit_event WHERE action = 'export.daily'") == [(1,)]
    clerk = county.browser("counter", "clerk")
    assert "/daily.xlsx" not in clerk.see("/today").text
    assert clerk.see(address).status_code == 403
    assert finance.see("/daily.xlsx?day=2099-01-01").status_code == 422
    assert finance.see("/daily.xlsx?day=yesterday").status_code == 422
