"""What people of a county do at the desk, on a desktop and on a phone, with and without JavaScript."""

from __future__ import annotations

import re

import psycopg
import pyotp
import pypdfium2
import pytest
import zxingcpp
from playwright.sync_api import expect

from tests.browser.conftest import Desk, sign_in
from tests.browser.line import Line


def _row(desk: Desk, statement: str) -> tuple[object, ...]:
    with psycopg.connect(desk.engine_url) as connection:
        row = connection.execute(statement).fetchone()  # type: ignore[call-overload]
    assert row is not None, statement
    return tuple(row)


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
@pytest.mark.parametrize("phone", [False, True], ids=["desktop", "phone"])
def test_a_clerk_finds_a_payment_by_its_code_with_two_keys(desk: Desk, *, phone: bool, scripts: bool) -> None:
    (reference,) = _row(desk, "SELECT p.reference FROM payment p JOIN application a ON a.payment_id = p.id LIMIT 1")
    with desk.context("clerk", phone=phone, java_script_enabled=scripts) as context:
        page = context.new_page()
        page.goto("/")
        if not scripts:  # a browser that runs no scripts puts the focus nowhere
            page.get_by_role("textbox").first.focus()
        page.keyboard.insert_text(str(reference))  # elsewhere the box has the focus, and a code is pasted
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name=str(reference)).first).to_be_visible()
        expect(page.get_by_text("on bill").first).to_be_visible()


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
@pytest.mark.parametrize("phone", [False, True], ids=["desktop", "phone"])
def test_a_clerk_issues_a_bill_and_prints_it(desk: Desk, *, phone: bool, scripts: bool) -> None:
    (item, unit) = _row(
        desk,
        "SELECT t.item_code, t.amount_minor FROM tariff_line t JOIN stream s ON s.code = t.stream_code"
        " WHERE t.effective_to IS NULL AND NOT t.spot AND s.billing = 'bill' AND s.retained_by = 'county'"
        " AND t.status IN ('active', 'sample') ORDER BY 1 LIMIT 1",
    )
    with desk.context("clerk", phone=phone, java_script_enabled=scripts) as context:
        page = context.new_page()
        page.goto("/bills/new")
        page.get_by_label("What for").fill(str(item))
        page.get_by_label("Payer's name").fill("Nekesa Wafula")
        page.get_by_role("button", name="Show the amount").click()
        amount = f"{int(str(unit)) / 100:,.2f}"
        expect(
            page.get_by_text(f"KSh {amount}").or_(page.get_by_text(f"KSh {amount.replace(',', '')}"))
        ).to_be_visible()
        page.get_by_role("button", name="Issue this bill").click()
        page.wait_for_url(re.compile(r"/bills/INV-"))
        expect(page.get_by_text("Account number to type")).to_be_visible()
        printed = context.request.post(
            page.url + "/paper",
            form={"csrf": page.locator("form.print input[name=csrf]").get_attribute("value") or "", "size": "a4"},
            headers={"Origin": desk.url},
        )
        assert printed.status == 200
        assert printed.body().startswith(b"%PDF-")


def test_a_clerk_asks_for_a_cancellation_and_a_supervisor_agrees(desk: Desk) -> None:
    (number,) = _row(
        desk,
        "SELECT i.number FROM invoice i JOIN open_bill o ON o.invoice_id = i.id"
        " WHERE o.outstanding_minor = i.total_minor AND i.total_minor < 5000000"
        " AND NOT EXISTS (SELECT FROM application a WHERE a.invoice_id = i.id) ORDER BY i.id DESC LIMIT 1",
    )
    with desk.context("clerk") as context:
        page = context.new_page()
        page.goto(f"/bills/{number}")
        page.get_by_text("Ask to cancel this bill").click()
        page.get_by_label("Why; another person reads it").fill("issued to the wrong stall")
        page.get_by_role("button", name="Ask to cancel").click()
        page.wait_for_url(re.compile("/approvals/"))
        expect(page.get_by_text("You asked for this")).to_be_visible()
        asked = page.url
    with desk.context("supervisor") as context:
        page = context.new_page()
        page.goto(asked)
        page.get_by_label("Code of your authenticator").fill("000000")
        page.get_by_role("button", name="Agree").click()
        expect(page.get_by_role("alert")).to_contain_text("this code is wrong or was used already")
        page.get_by_label("Code of your authenticator").fill(pyotp.TOTP(desk.person("supervisor").authenticator).now())
        page.get_by_role("button", name="Agree").click()
        expect(page.get_by_text(re.compile("agreed, being posted|done")).first).to_be_visible()
        desk.states["supervisor"] = context.storage_state()  # the code made a new session
        for _ in range(40):
            page.goto(f"/bills/{number}")
            if page.get_by_text("cancelled").count():
                return
            page.wait_for_timeout(250)
        pytest.fail("the agreed cancellation was not done")


def test_a_finance_officer_works_an_item_that_is_not_reconciled(desk: Desk) -> None:
    with desk.context("treasurer") as context:
        page = context.new_page()
        page.goto("/unreconciled")
        page.get_by_role("link", name=re.compile("unknown account")).click()
        page.locator("tbody tr th a").first.click()
        expect(page.get_by_text("Which bill does this money pay?")).to_be_visible()
        page.get_by_text("Give to somebody, or note something").click()
        page.get_by_label("Note").fill("the market master was asked")
        page.get_by_role("button", name="Note").click()
        expect(page.get_by_text("the market master was asked").first).to_be_visible()


def test_an_expired_session_returns_to_the_page_with_what_was_typed(desk: Desk) -> None:
    with desk.context(None) as context:
        page = context.new_page()
        sign_in(page, desk, "clerk")
        page.goto("/bills/new")
        page.get_by_label("What for").fill("SBP.KIOSK")
        page.get_by_label("Payer's name").fill("Nekesa Ng'ang'a")
        with psycopg.connect(desk.engine_url) as connection:
            connection.execute("DELETE FROM access.session WHERE person_id ="
                               " (SELECT id FROM access.person WHERE login = 'demo.clerk')")  # fmt: skip
        desk.states.pop("clerk", None)
        page.get_by_role("button", name="Show the amount").click()
        expect(page.get_by_text("What you typed is kept: sign in and go on.")).to_be_visible()


def test_a_payer_looks_up_what_is_owed_and_checks_a_receipt_in_kiswahili(desk: Desk) -> None:
    (account,) = _row(desk, "SELECT i.pay_account_number FROM invoice i JOIN open_bill o ON o.invoice_id = i.id"
                            " WHERE o.outstanding_minor > 0 ORDER BY i.id DESC LIMIT 1")  # fmt: skip
    with desk.context(None, phone=True, locale="sw-KE") as context:
        page = context.new_page()
        page.goto("/look-up")
        expect(page.get_by_role("heading", name="Kuna deni gani?")).to_be_visible()
        page.get_by_label("Nambari ya akaunti ya ankara").fill(str(account))
        page.get_by_role("button", name="Tazama").click()
        expect(page.get_by_text("nambari ya biashara")).to_be_visible()
        page.goto("/v")
        page.get_by_label("Nambari iliyo kwenye karatasi").fill("RCT-2627-000001")
        page.get_by_label("Msimbo ulio kando ya nambari").fill("AAAAAAAA")
        page.get_by_role("button", name="Hakiki").click()
        expect(page.get_by_text("NOT OURS")).to_be_visible()
        page.get_by_role("button", name="English").click()
        expect(page.get_by_role("heading", name="Is this paper ours?")).to_be_visible()


def test_the_code_of_a_printed_receipt_is_read_from_the_paper_and_checked(desk: Desk) -> None:
    (payment,) = _row(
        desk,
        "SELECT p.public_id FROM payment p JOIN receipt r ON r.payment_id = p.id WHERE r.kind = 'receipt'"
        " ORDER BY r.id LIMIT 1",
    )
    with desk.context("treasurer") as context:
        page = context.new_page()
        page.goto(f"/payments/{payment}")
        form = page.locator("form.print").first
        printed = context.request.post(
            f"{desk.url}{form.get_attribute('action')}",
            form={"csrf": form.locator("input[name=csrf]").get_attribute("value") or "", "size": "a4"},
            headers={"Origin": desk.url},
        )
        assert printed.status == 200
        body = printed.body()
    with pypdfium2.PdfDocument(body) as paper:
        picture = paper[0].render(scale=3).to_pil()
    (code,) = zxingcpp.read_barcodes(picture)
    assert code.text.startswith(f"{desk.url}/v#")
    with desk.context(None, phone=True) as context:
        # Online: signed by the county, and whether it still holds
        page = context.new_page()
        page.goto(code.text)
        expect(page.get_by_text("VALID")).to_be_visible()
    token = code.text.partition("#")[2]
    with desk.context(None, phone=True) as context, Line(desk.url) as line:
        page = context.new_page()
        page.goto(f"{line.url}/v")
        page.evaluate("navigator.serviceWorker.ready.then(() => true)")
        # Without a network: the page and the keys are kept, and the phone verifies by itself
        line.cut()
        for shown, said in ((token, "Signed by the county: RCT-"), (_changed(token, 20), "NOT OURS")):
            page.goto("about:blank")
            page.goto(f"{line.url}/v#{shown}")
            expect(page.get_by_text(said)).to_be_visible()


def _changed(token: str, at: int) -> str:
    return token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
