"""Onboarding as a county's engineer does it: real commands, a real intake, a real worker, money in the books."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest

from adapters.sandbox import bank
from tests.conftest import Database
from tests.support import people
from tests.support.commands import run

ROOT = Path(__file__).parents[1]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Desk:
    """A county's database and the commands on it."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.secrets = folder / "secrets"
        self.secrets.mkdir()
        self.env = {
            "REVENUE_DATABASE_URL": database.url,
            "REVENUE_REDIS_URL": database.servers.redis_url,
            "REVENUE_STATE_DIR": str(folder / "var"),
            "REVENUE_SECRETS_DIR": str(self.secrets),
            "REVENUE_INTAKE_PORT": str(free_port()),
        }
        self.intake: subprocess.Popen[str] | None = None
        self.log = folder / "intake.log"
        self.do("init")
        self.env |= people.somebody(database.url, "ict", "ict").signed_in(folder)

    def do(self, *words: str, status: int = 0) -> Any:
        """A command and its JSON."""
        return json.loads(run(*words, "--json", env=self.env, status=status))

    def listen(self) -> None:
        """Start the intake and wait until it is ready."""
        with self.log.open("w") as log:
            self.intake = subprocess.Popen(
                [sys.executable, "-m", "revenue_engine.cli", "intake"],
                env={**os.environ, **self.env},
                cwd=ROOT,
                stdout=log,
                stderr=log,
                text=True,
            )
        url = f"http://127.0.0.1:{self.env['REVENUE_INTAKE_PORT']}/readyz"
        for _ in range(200):
            with contextlib.suppress(httpx2.HTTPError):
                if httpx2.get(url, timeout=1).status_code == 200:
                    return
            time.sleep(0.1)
        raise AssertionError(self.log.read_text())

    def work(self) -> None:
        run("worker", "--once", env=self.env)

    def rows(self, query: str, *values: Any) -> list[Any]:
        with psycopg.connect(self.database.url) as connection:
            return connection.execute(query, values).fetchall()  # type: ignore[call-overload, no-any-return]

    def close(self) -> None:
        if self.intake is not None:
            self.intake.send_signal(signal.SIGTERM)
            self.intake.wait(20)


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Iterator[Desk]:
    made = Desk(database, tmp_path)
    yield made
    made.close()


def posted(desk: Desk) -> list[tuple[str, int, str]]:
    """Payments: reference, cents, the account that was debited."""
    return desk.rows(
        "SELECT p.reference, p.amount_minor, min(o.debit) FROM payment p JOIN journal j"
        " ON j.key = 'payment:' || p.id || ':received' JOIN posting o ON o.journal_id = j.id"
        " GROUP BY p.id, p.reference, p.amount_minor ORDER BY p.id"
    )


def test_a_kcb_account_from_the_sheet_to_the_books(desk: Desk) -> None:
    sheet = desk.do("channel", "add", "kcb", "1100100", "--name", "KCB collection account")
    assert sheet["mode"] == "test"
    assert sheet["clearing_account"] == "1200.kcb-1100100-test"
    assert set(sheet["addresses"]) == {"confirmation", "validation"}
    assert "Signature" in sheet["proof"]
    assert (
        sheet["acknowledgement"]
        == '{"transactionID":"FT00000001","statusCode":"0","statusMessage":"Notification received"}'
    )
    assert desk.do("channel", "add", "kcb", "1100100", "--name", "again", status=1)["code"] == "conflict"
    desk.listen()

    # The pasted call works as it stands.
    done = subprocess.run(shlex.split(sheet["try_it"]), capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (0, sheet["acknowledgement"])
    desk.work()
    assert posted(desk) == [("FT00000001", 150_000, "1200.kcb-1100100-test")]

    # A wrong signature: the bank's own refusal, a row, no money, an alarm that names the header.
    forged = [
        word.replace("1,500.00", "9,500.00").replace("FT00000001", "FT00000009")
        for word in shlex.split(sheet["try_it"])
    ]
    done = subprocess.run(forged, capture_output=True, text=True, timeout=30)
    assert done.returncode == 22
    assert done.stdout == '{"transactionID":"FT00000009","statusCode":"1","statusMessage":"Notification refused"}'
    desk.work()
    assert len(posted(desk)) == 1
    ((detail, owner),) = desk.rows("SELECT detail, owner FROM break_case WHERE reason = 'proof_failed'")
    assert "the header Signature does not fit the body" in detail
    assert owner == "ict"
    assert "proof failed" in desk.log.read_text()
    assert "Signature" in desk.log.read_text()
    ((headers,),) = desk.rows("SELECT headers FROM delivery WHERE verdict = 'refused'")
    assert headers["signature"]

    # The same notice again is the same money; the test key signs through 'callback send' too.
    address = sheet["addresses"]["confirmation"]
    answer = desk.do("callback", "send", address, "-c", "kcb", "--identifier", "1100100")
    assert (answer["status"], answer["signed"]) == (200, ["signature"])
    desk.work()
    assert len(posted(desk)) == 1

    # The bank's question is answered in its form, unsigned as its samples are.
    question = '{"requestId":"UGC1","customerReference":"000000000","organizationReference":"5"}'
    told = httpx2.post(sheet["addresses"]["validation"], content=question, timeout=10).json()
    assert (told["transactionID"], told["creditAccountIdentifier"], told["billType"]) == ("UGC1", "1100100", "PARTIAL")

    lines = [
        json.loads(line)
        for line in run("callback", "tail", "--all", "--seconds", "0", "--json", env=desk.env).splitlines()
    ]
    assert [line["state"] for line in lines] == ["posted", "waiting", "evidence", "pending"]
    shown = desk.do("channel", "show", "1100100")
    assert shown["settings"]["account"] == "1100100"
    assert len(shown["addresses"]) == 2
    assert "/cb/v1/" not in json.dumps(shown)


def test_rotation_has_a_grace_and_needs_no_restart(desk: Desk) -> None:
    sheet = desk.do("channel", "add", "ncba", "880000", "--name", "NCBA pay bill")
    desk.listen()
    old = sheet["addresses"]["confirmation"]

    def answers(address: str) -> int:
        return httpx2.post(address, content=b"{}", timeout=10).status_code

    assert answers(old) == 403  # known, and not proved
    new = desk.do("channel", "rotate", "880000", "--grace", "1")["addresses"]["confirmation"]
    newest = desk.do("channel", "rotate", "880000", "--grace", "0")["addresses"]["confirmation"]
    deadline = time.monotonic() + 5
    while answers(newest) == 404 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert [answers(one) for one in (newest, new, old)] == [403, 404, 404]
    third = desk.do("channel", "rotate", "880000", "--grace", "24")["addresses"]["confirmation"]
    deadline = time.monotonic() + 5
    while answers(third) == 404 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert [answers(one) for one in (third, newest)] == [403, 403]
    assert desk.do("channel", "rotate", "880000", "--purpose", "timeout", status=1)["code"] == "not_found"
    assert desk.do("channel", "disable", "880000")["status"] == "disabled"
    time.sleep(2.5)
    assert answers(third) == 403  # payers do not stop at once
    assert desk.do("channel", "disable", "880000", status=1)["code"] == "conflict"


def test_secrets_come_from_files_and_are_shown_to_nobody(desk: Desk, tmp_path: Path) -> None:
    settings = tmp_path / "coop.toml"
    settings.write_text('account = "01120000000100"\nusername = "coop"\npassword = "file:coop-password"\n')
    add = ("channel", "add", "coop", "01120000000100", "--name", "Co-op account", "--settings", str(settings))
    refused = desk.do(*add, status=4)
    assert "coop-password" in refused["message"]
    assert "REVENUE_SECRETS_DIR" in refused["message"]
    (desk.secrets / "coop-password").write_text("a password of the bank\n")
    sheet = desk.do(*add)
    assert "try_it" not in sheet
    ((stored,),) = desk.rows("SELECT settings FROM channel_account WHERE adapter = 'coop'")
    assert stored["password"] == "file:coop-password"
    assert "a password" not in json.dumps([sheet, desk.do("channel", "show", "01120000000100")])
    desk.listen()
    body = (ROOT / "tests/adapters/signed_json/coop/account_notice.json").read_bytes()
    address = sheet["addresses"]["confirmation"]
    good, bad = ("coop", "a password of the bank"), ("coop", "another")
    assert httpx2.post(address, content=body, auth=bad, timeout=10).status_code == 403
    told = httpx2.post(address, content=body, auth=good, timeout=10)
    assert (told.status_code, told.json()["MessageReference"]) == (200, "CB0000089_15092026_23")
    desk.work()
    assert posted(desk) == [("CB0000089_15092026_23", 150_000, "1200.coop-01120000000100-test")]
    ((headers,),) = desk.rows("SELECT headers FROM delivery WHERE verdict = 'accepted'")
    assert "authorization" not in headers


def test_what_cannot_be_set_up_is_refused_by_name(desk: Desk, tmp_path: Path) -> None:
    assert desk.do("channel", "add", "kbc", "1", "--name", "x", status=1)["code"] == "not_found"
    live = desk.do("channel", "add", "kcb", "1100100", "--name", "x", "--live", status=1)
    assert "public_keys" in live["message"]
    settings = tmp_path / "kcb.json"
    settings.write_text('{"account": "1100100", "public_keys": ["-----BEGIN NOTHING-----"]}')
    wrong = desk.do("channel", "add", "kcb", "1100100", "--name", "x", "--settings", str(settings), status=1)
    assert "key 1 is no public key in PEM form" in wrong["message"]
    assert desk.do("channel", "show", "1100100", status=1)["code"] == "not_found"
    assert desk.do("callback", "send", "http://127.0.0.1:9/x", "-c", "kcb", "--identifier", "1", status=1)
    body = tmp_path / "body.json"
    body.write_text("{}")
    assert desk.do("callback", "send", "http://127.0.0.1:9/x", str(body), status=5)["code"] == "retryable"
    assert "kcb" in desk.do("adapter", "list")


def test_a_day_of_a_bank_ends_in_the_books_as_the_bank_booked_it(desk: Desk) -> None:
    """Losses, repeats and forgeries included: what is told truly is posted once, and nothing else."""
    sheet = desk.do("channel", "add", "kcb", "1100100", "--name", "KCB collection account")
    desk.listen()
    secrets = json.loads((Path(desk.env["REVENUE_STATE_DIR"]) / "rehearsals" / "kcb-1100100.json").read_text())
    day = bank.make_day("kcb", "1100100", date(2026, 9, 15), payments=150, seed=11, secrets=secrets)
    with httpx2.Client(timeout=10) as client:
        told = bank.post_day(day, sheet["addresses"]["confirmation"], client)
    assert told.given_up == []
    assert told.refused == [hit.about for hit in day.hits if not hit.true] != []
    desk.work()
    wanted = {one.reference: one.amount_minor for one in day.movements if one.told}
    assert {reference: minor for reference, minor, _ in posted(desk)} == wanted
    ((clearing,),) = desk.rows(
        "SELECT coalesce(sum(amount_minor), 0)::bigint FROM posting WHERE debit = '1200.kcb-1100100-test'"
    )
    assert clearing == day.told_minor
    ((alarms,),) = desk.rows("SELECT count(*) FROM break_case WHERE reason = 'proof_failed'")
    assert alarms == len(told.refused)
