"""The desk of a small demo in a real browser: Debian's Chromium, or the one that ``REVENUE_CHROMIUM`` names.

These tests run by ``make browser`` alone and fail, never skip, where the browser is missing.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from reconciliation.days import certificates
from revenue_engine import db, demo, embedded, signed_notes
from revenue_engine.config import Settings
from revenue_engine.demo.persons import Made
from revenue_engine.demo.processes import free_port
from revenue_engine.demo.result import DemoResult
from tests.conftest import in_database

NAME = "revenue_demo_browser"
PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 800}
ROOT = Path(__file__).parents[2]
SCREENS = ROOT / "var" / "screens"


@dataclass
class Desk:
    """A demo's desk, its persons, and a browser of each that is signed in once."""

    url: str
    result: DemoResult
    browser: Browser
    engine_url: str
    used: dict[str, int] = field(default_factory=dict)
    states: dict[str, object] = field(default_factory=dict)

    def person(self, login: str) -> Made:
        """A person of the demo by the second half of the login."""
        (found,) = [one for one in self.result.persons if one.login == f"demo.{login}"]
        return found

    def code(self, login: str) -> str:
        """A recovery code of a person that was not used yet."""
        at = self.used.get(login, 0)
        self.used[login] = at + 1
        return self.person(login).spare[at]

    @contextlib.contextmanager
    def context(self, login: str | None, *, phone: bool = False, **more: object) -> Iterator[BrowserContext]:
        """A browser's own profile, signed in as somebody, or as nobody."""
        if login is not None and login not in self.states:
            with self.context(None) as first:
                page = first.new_page()
                sign_in(page, self, login)
                self.states[login] = first.storage_state()
        made = self.browser.new_context(
            base_url=self.url,
            viewport=PHONE if phone else DESKTOP,
            is_mobile=phone,
            storage_state=self.states.get(login) if login else None,  # type: ignore[arg-type]
            **more,  # type: ignore[arg-type]
        )
        made.set_default_timeout(15_000)
        try:
            yield made
        finally:
            made.close()


def sign_in(page: Page, desk: Desk, login: str) -> None:
    """Sign in as a person does: login, password and a code."""
    who = desk.person(login)
    page.goto("/sign-in")
    page.get_by_label("Login").fill(who.login)
    page.get_by_label("Password").fill(who.password)
    page.get_by_label("Code of your authenticator").fill(desk.code(login))
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/")


def chromium() -> str:
    """The browser's program. Fails where there is none."""
    found = os.environ.get("REVENUE_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if not found:
        pytest.fail("no browser: install Debian's chromium, or let REVENUE_CHROMIUM name one", pytrace=False)
    return found


@pytest.fixture(scope="session")
def browser(served: tuple[DemoResult, str]) -> Iterator[Browser]:
    """After what is served: the browser's loop runs in this thread, and the demo has one of its own."""
    program = chromium()
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="session")
def served(
    settings: Settings, servers: embedded.Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[DemoResult, str]]:
    """A small demo whose desk and worker run on; and where the desk is."""
    chromium()
    result = demo.run_demo(settings, days=3, payments=400, seed=7, name=NAME)
    with_logins = embedded.create_logins(servers)
    port = free_port()
    seal = tmp_path_factory.mktemp("seal")
    engine = db.make_engine(in_database(servers.database_url, NAME))
    with db.transaction(engine) as session:
        certificates.publish(session, signed_notes.make_key(seal / "county.pem", "county"))
    engine.dispose()
    own = {
        "REVENUE_STATE_DIR": str(settings.state_dir),
        "REVENUE_DATABASE_URL": in_database(with_logins.role_urls["api"], NAME),
        "REVENUE_REDIS_URL": with_logins.redis_url,
        "REVENUE_LOG_LEVEL": "warning",
        "REVENUE_SEAL_DIR": str(seal),
        "REVENUE_DESK_URL": f"http://localhost:{port}",
    }
    worker = own | {"REVENUE_DATABASE_URL": in_database(with_logins.role_urls["worker"], NAME)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "revenue_engine.cli", name],
            env={**os.environ, **more, "REVENUE_DESK_PORT": str(port)},
            cwd=ROOT,
        )
        for name, more in (("desk", own), ("worker", worker))
    ]
    try:
        url = f"http://localhost:{port}"
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(httpx2.HTTPError):
                httpx2.get(f"http://127.0.0.1:{port}/sign-in", timeout=2)
                break
            assert time.monotonic() < deadline
            assert all(process.poll() is None for process in processes)
            time.sleep(0.1)
        yield result, url
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(timeout=60)


@pytest.fixture(scope="session")
def desk(served: tuple[DemoResult, str], browser: Browser, servers: embedded.Servers) -> Desk:
    result, url = served
    return Desk(url, result, browser, in_database(servers.database_url, NAME))
