"""Pages of payments: the list and its files say the same, a payment shows its way and is asked to move."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator

import pytest
from python_calamine import CalamineWorkbook

from revenue_engine.access import passwords
from tests.conftest import Database
from tests.desk.conftest import County, hidden, opened
from tests.support.books import Books, reversal

DAY = {"since": "2026-09-15", "until": "2026-09-15"}


@pytest.fixture(scope="module")
def county(shared_database: Database) -> Iterator[County]:
    """One payment on a bill, one in suspense, one that the provider took back."""
    for made in opened(shared_database):
        prepare(made.books)
        yield made


def prepare(books: Books) -> None:
    bill = books.bill(600)
    books.pay(600, bill.pay_account_number, reference="SKPAID0001", form="clear")
    books.pay(750, "no such thing", reference="SKLOST0001", cents=50)
    other = books.bill(300)
    books.pay(300, other.pay_account_number, reference="SKBACK0001")
    books.deliver(reversal("SKBACK0001", 300, own="SKREVR0001"))
    books.work()


def listed(text: str) -> list[str]:
    return re.findall(r">(SK[A-Z]{4}\d{4})</a>", text)


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ({}, ["SKBACK0001", "SKLOST0001", "SKPAID0001"]),
        ({"state": "matched"}, ["SKPAID0001"]),
        ({"state": "in suspense"}, ["SKLOST0001"]),
        ({"state": "reversed"}, ["SKBACK0001"]),
        ({"least": "600", "most": "600.00"}, ["SKPAID0001"]),
        ({"least": "750.50"}, ["SKLOST0001"]),
        ({"since": "2026-09-14", "until": "2026-09-14"}, []),
    ],
)
def test_the_list_and_its_files_are_the_same(county: County, more: dict[str, str], found: list[str]) -> None:
    browser = county.browser("lists", "finance_officer")
    said = {**DAY, **more}
    page = browser.client.get("/payments", params=said)
    assert page.status_code == 200
    assert sorted(listed(page.text)) == found
    whole = browser.client.get("/payments.csv", params=said)
    rows = list(csv.DictReader(io.StringIO(whole.text.removeprefix("\ufeff"))))
    assert sorted(row["reference"] for row in rows) == found
    assert all(row["state"] in page.text for row in rows)
    book = CalamineWorkbook.from_filelike(io.BytesIO(browser.client.get("/payments.xlsx", params=said).content))
    cells = [str(cell) for row in book.get_sheet_by_index(0).to_python() for cell in row]
    assert sorted(cell for cell in cells if cell.startswith("SK")) == found


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("since", "14/09/2026"),
        ("until", "2026-13-01"),
        ("until", "2026-09-14"),
        ("since", "2026-01-01"),
        ("least", "lots"),
        ("most", "-1"),
        ("channel", "mpesa 000000"),
        ("state", "lost"),
        ("after", "yesterday~1"),
    ],
)
def test_a_filter_that_says_nothing_is_refused_with_its_field(county: County, field: str, said: str) -> None:
    browser = county.browser("slips", "clerk")
    seen = browser.client.get("/payments", params={**DAY, field: said})
    assert (seen.status_code, "There is a problem" in seen.text) == (422, True)


def test_pages_follow_each_other_and_say_how_many_there_are(county: County, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("revenue_engine.desk.payments.MOST", 2)
    browser = county.browser("pages", "clerk")
    first = browser.client.get("/payments", params=DAY)
    assert "3 payments, KSh 1,650.50" in first.text
    (more,) = re.findall(r'href="(/payments\?[^"]*after[^"]*)"', first.text)
    second = browser.see(more.replace("&amp;", "&"))
    assert len(listed(first.text)) == 2
    assert sorted(listed(first.text) + listed(second.text)) == ["SKBACK0001", "SKLOST0001", "SKPAID0001"]


def test_a_payment_shows_its_way_from_the_raw_message_to_the_fund(county: County) -> None:
    browser = county.browser("traces", "auditor")
    text = browser.see("/payments/SKBACK0001").text
    for words in (
        *("confirmation received", "told by", "posted:", "receipt RCT-", "cancelled", "reversed", "by SKREVR0001"),
        *("no statement in the books shows this payment yet", "no remittance of this money to the Fund yet"),
    ):
        assert words in text, words
    (raw,) = re.findall(r'href="(/payments/[^"]+/raw/\d+)"', browser.see("/payments/SKPAID0001").text)
    shown = browser.see(raw)
    assert "SKPAID0001" in shown.text
    assert shown.headers["content-type"].startswith("text/plain")
    assert county.books.rows("SELECT count(*) FROM audit_event WHERE action = 'delivery.read'") != [(0,)]
    (other,) = re.findall(r"/raw/(\d+)", browser.see("/payments/SKLOST0001").text)
    assert browser.see(f"/payments/SKPAID0001/raw/{other}").status_code == 404


def test_who_may_not_sees_no_phone_no_raw_message_and_takes_nothing_away(county: County) -> None:
    clerk, auditor = county.browser("counter", "clerk"), county.browser("traces", "auditor")
    first = auditor.see("/payments/SKPAID0001").text
    assert "254700000101" not in first
    assert "25470•••101" in first
    (at,) = re.findall(r'action="(/payments/[^"]+/phone)"', first)
    assert "254700000101" in auditor.send("/payments/SKPAID0001", at, do="phone").text
    looked = "SELECT count(*) FROM audit_event WHERE action = 'payer.unmask'"
    assert county.books.rows(looked) == [(1,)]
    assert clerk.post(at, **hidden(clerk.see("/payments/SKPAID0001").text, "/sign-out"), do="phone").status_code == 403
    assert county.books.rows(looked) == [(1,)]
    seen = clerk.see("/payments/SKPAID0001").text
    assert "254700000101" not in seen
    assert "/raw/" not in seen
    (raw,) = re.findall(r'href="(/payments/[^"]+/raw/\d+)"', auditor.see("/payments/SKPAID0001").text)
    assert clerk.see(raw).status_code == 403
    assert "payments.csv" not in clerk.client.get("/payments", params=DAY).text
    assert clerk.client.get("/payments.csv", params=DAY).status_code == 403
    assert "move to another bill" not in auditor.see("/payments/SKLOST0001").text


def test_money_is_asked_to_move_once_and_moves_when_another_agrees(county: County) -> None:
    clerk, checker = county.browser("counter", "clerk"), county.browser("agrees", "finance_officer")
    right = county.books.bill(900)
    page = clerk.see("/payments/SKPAID0001").text
    (action,) = re.findall(r'action="(/payments/[^"]+/move)"', page)
    asked = hidden(page, action)
    silent = clerk.post(action, **asked, bill=right.number)
    assert (silent.status_code, 'href="#reason"' in silent.text, right.number in silent.text) == (422, True, True)
    unknown = clerk.post(action, **asked, bill="INV-0000-000000", reason="his own bill")
    assert unknown.status_code == 422
    fields = {**asked, "bill": right.number, "reason": "the payer's own bill"}
    first, again = clerk.post(action, **fields), clerk.post(action, **fields)
    assert (first.status_code, again.headers["location"]) == (303, first.headers["location"])
    assert county.books.left(right) == 900
    approval = first.headers["location"]
    agreed = checker.send(approval, approval, do="agree", code=passwords.code_now(checker.who.seed))
    assert agreed.status_code == 303, agreed.text
    county.books.work()
    assert county.books.left(right) == 300
    assert "two persons moved" in checker.see("/payments/SKPAID0001").text


def test_a_clerk_of_a_sub_county_sees_its_payments_alone(county: County) -> None:
    county.books.pay(7, "MALABA", reference="SKHERE0001")
    browser = county.browser("of.teso", "clerk", sub_county="Teso North")
    assert listed(browser.client.get("/payments", params=DAY).text) == ["SKHERE0001"]
    assert browser.see("/payments/SKHERE0001").status_code == 200
    assert browser.see("/payments/SKPAID0001").status_code == 404
    assert browser.see("/bills").status_code == 200
    assert "of another sub-county" in browser.client.get("/", params={"q": "SKPAID0001"}).text
