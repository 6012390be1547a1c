"""Every page of the desk on a phone and on a desktop, light and dark: looked at, weighed, and held to axe's rules."""

from __future__ import annotations

import gzip

import psycopg
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.browser.conftest import SCREENS, Desk

COLD, WARM, MOST_REQUESTS = 30_000, 6_144, 8
"""Bytes of a first and of a later page, gzipped, and requests of one page."""


def _one(desk: Desk, statement: str) -> str:
    with psycopg.connect(desk.engine_url) as connection:
        row = connection.execute(statement).fetchone()  # type: ignore[call-overload]
    assert row is not None, statement
    return str(row[0])


def addresses(desk: Desk) -> dict[str, tuple[str | None, str]]:
    """Each page: who looks at it, and its address."""
    reference = _one(
        desk, "SELECT p.reference FROM payment p JOIN application a ON a.payment_id = p.id ORDER BY p.id LIMIT 1"
    )
    held = _one(
        desk,
        "SELECT public_id FROM break_case WHERE closed_at IS NULL AND reason = 'unknown_account' ORDER BY 1 LIMIT 1",
    )
    bill = _one(desk, "SELECT i.number FROM invoice i JOIN application a ON a.invoice_id = i.id ORDER BY i.id LIMIT 1")
    day = desk.result.last.isoformat()
    return {
        "sign-in": (None, "/sign-in"),
        "look-up": (None, "/look-up"),
        "verify": (None, "/v"),
        "search": ("clerk", "/"),
        "search-found": ("clerk", f"/?q={reference}"),
        "search-nothing": ("clerk", "/?q=UXX0000000"),
        "bills": ("clerk", "/bills"),
        "bill-new": ("clerk", "/bills/new"),
        "bill": ("clerk", f"/bills/{bill}"),
        "payments": ("treasurer", "/payments"),
        "payment": ("treasurer", f"/payments/{reference}"),
        "unreconciled": ("treasurer", "/unreconciled"),
        "break": ("treasurer", f"/unreconciled/{held}"),
        "statements": ("treasurer", "/statements"),
        "approvals": ("supervisor", "/approvals"),
        "today": ("treasurer", "/today"),
        "close": ("treasurer", f"/close?day={day}"),
        "refused": ("clerk", "/close?day=yesterday"),
        "nothing-there": ("clerk", "/no-such-page"),
    }


PAGES = (
    *("sign-in", "look-up", "verify", "search", "search-found", "search-nothing", "bills", "bill-new", "bill"),
    *("payments", "payment", "unreconciled", "break", "statements", "approvals", "today", "close", "refused"),
    "nothing-there",
)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", ["phone", "desktop"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole(desk: Desk, name: str, size: str, theme: str) -> None:
    who, address = addresses(desk)[name]
    with desk.context(who, phone=size == "phone", color_scheme=theme) as context:
        page = context.new_page()
        said: list[str] = []
        asked: list[str] = []
        page.on("console", lambda one: said.append(one.text) if one.type == "error" else None)
        page.on("pageerror", lambda one: said.append(str(one)))
        page.on("request", lambda one: asked.append(one.url))
        answer = page.goto(address)
        assert answer is not None
        SCREENS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SCREENS / f"{name}-{size}-{theme}.png", full_page=True)
        # Nothing is wider than the screen, nothing was refused by the browser, and nothing came from elsewhere
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), "too wide"
        assert [one for one in said if "status of 4" not in one] == []
        assert [one for one in asked if not one.startswith(desk.url)] == []
        assert len(asked) <= MOST_REQUESTS
        body = len(gzip.compress(answer.body()))
        assert body <= WARM, f"{name} weighs {body} bytes"
        sheet = context.request.get("/static/desk.css")
        assert body + len(gzip.compress(sheet.body())) <= COLD
        _accessible(page, name)


def _accessible(page: Page, name: str) -> None:
    found = Axe().run(page)
    wrong = [(one["id"], " ".join(one["nodes"][0]["html"].split())[:150]) for one in found.response["violations"]]
    assert wrong == [], f"{name}: {wrong}"
