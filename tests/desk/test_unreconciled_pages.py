"""Pages of what is not reconciled, and of statement files: every journey without JavaScript."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from adapters.mpesa import adapter as mpesa
from revenue_engine import db
from revenue_engine.access import passwords
from revenue_engine.worker import Worker
from tests.conftest import Database
from tests.desk.conftest import ORIGIN, Browser, County, forget_steps, hidden, opened
from tests.flows.test_statements import Plain, statement


@pytest.fixture(scope="module")
def county(shared_database: Database) -> Iterator[County]:
    """Three payments in suspense, one of which is one digit away from a bill of its amount."""
    for made in opened(shared_database):
        made.app.state.readers = lambda: {"plain": Plain()}
        bill = made.books.bill(640)
        made.books.pay(640, bill.pay_account_number[:-1], reference="SKNEAR0001")
        made.books.pay(75, "no such thing", reference="SKLOST0001")
        made.books.pay(80, "nor this", reference="SKLOST0002")
        yield made


def items(text: str) -> list[str]:
    return re.findall(r'<tr id="i(\d+)">', text)


def item_of(county: County, reference: str) -> int:
    rows = county.books.rows(
        "SELECT b.id FROM break_case b JOIN payment p ON p.id = b.payment_id"
        " WHERE p.reference = %s AND b.key LIKE 'suspense:%%'",
        reference,
    )
    return int(rows[0][0])


def read_files(county: County) -> None:
    """Let a worker read the files that were brought, and nobody agree to them."""
    engine = db.make_engine(county.books.url, role="worker", pool_size=2)
    Worker(engine, {"mpesa": mpesa}, {"plain": Plain()}).drain()
    engine.dispose()


def test_counters_filters_and_the_file_are_of_the_same_items(county: County) -> None:
    browser = county.browser("finance", "finance_officer")
    page = browser.see("/unreconciled")
    assert page.status_code == 200, page.text
    assert "waiting<br>KSh 795.00" in page.text
    assert "<strong>3</strong> unknown account<br>KSh 795.00" in page.text
    (reason,) = set(re.findall(r'href="(/unreconciled\?kind=unknown[a-z_]*)"', page.text))
    assert items(browser.see(reason).text) == items(browser.see("/unreconciled?money=suspense").text)
    assert browser.see("/unreconciled.xlsx").status_code == 200
    assert browser.see("/unreconciled?kind=nothing").status_code == 422
    assert county.browser("counter", "clerk").see("/unreconciled.csv").status_code == 403


def test_a_candidate_is_set_by_request_and_the_next_row_keeps_its_place(county: County) -> None:
    clerk, checker = county.browser("counter", "clerk"), county.browser("agrees", "finance_officer")
    number = item_of(county, "SKNEAR0001")
    at = f"/unreconciled/{number}"
    page = clerk.see(f"{at}?money=suspense")
    assert "SKNEAR0001" in page.text
    asked = hidden(page.text, at)
    silent = clerk.post(at, **asked, do="set")
    assert (silent.status_code, 'href="#reason"' in silent.text) == (422, True)
    bill = county.books.rows("SELECT number FROM invoice ORDER BY id LIMIT 1")[0][0]
    fields = {**asked, "do": "set", "bill": bill, "reason": "one figure was left out"}
    first, again = clerk.post(at, **fields), clerk.post(at, **fields)
    assert first.status_code == 303, first.text
    assert first.headers["location"] == again.headers["location"]
    onward, _, made = first.headers["location"].partition("made=")
    assert onward == f"/unreconciled/{item_of(county, 'SKLOST0001')}?money=suspense&"
    approval = f"/approvals/{made}"
    agreed = checker.send(approval, approval, do="agree", code=passwords.code_now(checker.who.seed))
    assert agreed.status_code == 303, agreed.text
    county.books.work()
    assert county.books.rows("SELECT closed_at IS NOT NULL FROM break_case WHERE id = %s", number) == [(True,)]
    # undone: the money is in suspense again, when another agrees
    reversed_ = clerk.send(at, at, do="reverse", reason="the wrong stall")
    assert reversed_.status_code == 303, reversed_.text
    approval = "/approvals/" + reversed_.headers["location"].partition("made=")[2]
    forget_steps(county.books.url)
    assert checker.send(approval, approval, do="agree", code=passwords.code_now(checker.who.seed)).status_code == 303
    county.books.work()
    assert county.books.rows("SELECT closed_at IS NULL FROM break_case WHERE id = %s", number) == [(True,)]


def test_an_item_is_given_and_noted_and_nobody_overwrites_another(county: County) -> None:
    browser = county.browser("finance", "finance_officer")
    at = f"/unreconciled/{item_of(county, 'SKLOST0002')}"
    page = browser.see(at).text
    forms = re.findall(r'<form method="post".*?</form>', page, re.DOTALL)
    last = [form for form in forms if f'action="{at}"' in form][-1].replace(f'action="{at}"', 'action="/x"', 1)
    fields = hidden(last, "/x")
    given = browser.post(at, **fields, do="assign", to="ict")
    assert given.status_code == 303, given.text
    stale = browser.post(at, **fields, do="assign", to="finance")
    assert (stale.status_code, "was changed after you looked" in stale.text) == (409, True)
    assert browser.post(at, **fields, do="note", words="the payer comes on Monday").status_code == 303
    assert browser.post(at, **fields, do="note", words="the payer comes on Monday").status_code == 303
    assert browser.see(at).text.count("the payer comes on Monday") == 1


def upload(browser: Browser, body: bytes, **fields: str) -> str:
    form = re.search(r'<form method="post" action="/statements" .*?</form>', browser.see("/statements").text, re.DOTALL)
    assert form is not None
    said = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', form[0]))
    sent = browser.client.post(
        "/statements",
        data={**said, "account": "1", **fields},
        files={"file": ("a.csv", body, "text/csv")},
        headers={"Origin": ORIGIN},
    )
    return str(sent.status_code) + sent.text


def test_a_file_is_shown_with_its_control_total_and_another_enters_its_balance_unseen(county: County) -> None:
    maker, checker = county.browser("brings", "clerk"), county.browser("attests", "finance_officer")
    bad = statement(("payment", "SKLOST0001", 75, "no such thing")).replace(b"closing,7500", b"closing,7400")
    refused = upload(maker, bad, key="k" * 24)
    assert refused.startswith("422")
    assert 'href="#file"' in refused
    assert county.books.rows("SELECT count(*) FROM delivery WHERE purpose = 'statement'") == [(0,)]
    good = statement(("payment", "SKLOST0001", 75, "no such thing"))
    shown = upload(maker, good, key="m" * 24)
    assert shown.startswith("200"), shown
    assert "opening + credits - debits = closing: 0.00 + 75.00 - 0.00 = 75.00" in shown
    assert upload(maker, good, key="m" * 24).startswith("200")
    ((delivery,),) = county.books.rows("SELECT id FROM delivery WHERE purpose = 'statement'")
    read_files(county)
    assert county.books.rows("SELECT count(*) FROM statement") == [(0,)]
    page, at = checker.see("/statements").text, f"/statements/{delivery}"
    assert "75.00" not in page
    assert "another person enters" in maker.see("/statements").text
    asked = hidden(page, at)
    code = passwords.code_now(checker.who.seed)
    assert checker.post(at, **asked, do="enter", closing="75", code="").status_code == 422
    wrong = checker.post(at, **asked, do="enter", closing="74.00", code=code)
    assert (wrong.status_code, "nothing is booked" in wrong.text) == (409, True)
    forget_steps(county.books.url)
    asked = hidden(checker.see("/statements").text, at)
    right = checker.post(at, **asked, do="enter", closing="75.00", code=code)
    assert (right.status_code, right.headers.get("location")) == (303, "/statements?done=agrees"), right.text
    read_files(county)
    assert county.books.rows("SELECT count(*) FROM statement") == [(1,)]
    assert ">75.00</td>" in checker.see("/statements").text
    assert "Told by Statement".lower() in checker.see("/payments/SKLOST0001").text.lower()
    again = upload(county.browser("reads", "auditor"), good) if "Bring a" in maker.see("/x").text else "403"
    assert again.startswith("403")


def test_a_list_of_requests_is_agreed_to_whole_as_it_was_shown(county: County) -> None:
    bills = [county.books.bill(shillings).pay_account_number for shillings in (210, 220)]
    for place, shillings in enumerate((210, 220)):
        county.books.pay(shillings, "who", reference=f"SKMANY000{place}")
    clerk, checker = county.browser("asks.many", "clerk"), county.browser("agrees.many", "finance_officer")
    made = []
    for place, bill in enumerate(bills):
        at = f"/unreconciled/{item_of(county, f'SKMANY000{place}')}"
        fields = {**hidden(clerk.see(at).text, at), "do": "set", "bill": bill, "reason": "the payer came"}
        made.append(clerk.post(at, **fields).headers["location"].partition("made=")[2])
    offered = checker.see("/approvals").text
    assert all(f'name="r" value="{one}"' in offered for one in made)
    assert 'name="r"' not in clerk.see("/approvals").text  # one's own is not offered
    at = f"/approvals/list?r={made[1]}&r={made[0]}"
    page = checker.see(at)
    assert "KSh 430.00" in page.text
    assert page.text.index(made[1]) < page.text.index(made[0])
    fields = hidden(page.text, "/approvals/list")
    uncoded = checker.post("/approvals/list", **fields)
    assert (uncoded.status_code, 'href="#code"' in uncoded.text) == (422, True)
    code = passwords.code_now(checker.who.seed)
    fewer = {**fields, "requests": made[0], "code": code}
    assert checker.post("/approvals/list", **fewer).status_code == 409
    mine = clerk.post("/approvals/list", **hidden(clerk.see(at).text, "/approvals/list"), code="000000")
    assert mine.status_code == 422
    agreed = checker.post("/approvals/list", **fields, code=code)
    assert (agreed.status_code, agreed.headers.get("location")) == (303, "/approvals"), agreed.text
    county.books.work()
    rows = county.books.rows(
        "SELECT count(*) FROM payment_match m JOIN payment p ON p.id = m.payment_id WHERE p.reference LIKE 'SKMANY%%'"
    )
    assert rows == [(2,)]
    for wrong in ("/approvals/list", "/approvals/list?r=req_no", f"/approvals/list?r={made[0]}&r={made[0]}"):
        assert checker.see(wrong).status_code in (404, 422), wrong
