"""``drop`` and ``statement fetch`` as their users have them: real processes, the bank's among them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.support.bank_drop import ACCOUNT, FOREIGN, KEY_FILE, County, day
from tests.support.commands import command

ROOT = Path(__file__).parents[2]


def test_two_persons_set_a_drop_up_and_a_process_of_its_own_fetches(county: County, tmp_path: Path) -> None:
    env = {
        "REVENUE_DATABASE_URL": county.database.url,
        "REVENUE_FETCH_DATABASE_URL": county.database.role_url("fetch"),
        "REVENUE_REDIS_URL": county.database.servers.redis_url,
        "REVENUE_SECRETS_DIR": str(county.secrets),
    }
    program = [sys.executable, "-m", "adapters.sandbox.bank_drop", "--folder", str(county.folder)]
    with subprocess.Popen(
        [*program, "--home", str(county.home), "--secrets", str(county.secrets)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as bank:
        try:
            assert bank.stdout is not None
            address = json.loads(bank.stdout.readline())
            letter = tmp_path / "bank-host-key.pub"
            letter.write_text(address["host_key"] + "\n")
            words = ["drop", "ask", "kcb-daily", "--host", address["host"], "--port", str(address["port"])]
            words += ["--username", address["username"], "--key-file", KEY_FILE, "--host-key", str(letter)]
            words += ["--account", ACCOUNT, "--settle-seconds", "1", "--every-minutes", "1", "--reason", "a letter"]
            asked = command(*words, "--json", env=env | county.clerk.signed_in(tmp_path))
            assert asked.returncode == 0, asked.stderr
            public = json.loads(asked.stdout)["request"]
            agreed = command("approval", "agree", public, env=env | county.treasurer.signed_in(tmp_path))
            assert agreed.returncode == 0, agreed.stderr
            county.put("st15.sta", day())
            once = command("statement", "fetch", "--once", "--json", env=env)
            assert once.returncode == 0, once.stderr
            (drop,) = json.loads(once.stdout)["drops"]
            assert [(file["name"], file["what"]) for file in drop["files"]] == [("st15.sta", "taken")]
            # A refused file is told by exit code 3
            county.put("other.sta", day(account=FOREIGN))
            refused = command("statement", "fetch", "--account", ACCOUNT, "--once", env=env)
            assert (refused.returncode, "speaks for 1100100 only" in refused.stdout) == (3, True), refused.stderr
            assert "other.sta" in command("drop", "files", env=env).stdout
            assert "kcb-daily" in command("drop", "list", env=env).stdout
            _scheduled(county, env)
        finally:
            bank.terminate()
    away = command("statement", "fetch", "--account", "999", "--once", env=env)
    assert (away.returncode, "channel accounts are called" in away.stderr) == (1, True)


def _scheduled(county: County, env: dict[str, str]) -> None:
    """The process on its schedule takes what comes, and ends when it is told to."""
    county.put("st16.sta", day(1))
    county.books.execute("ALTER TABLE fetch_look DISABLE TRIGGER refuse_change")
    county.books.execute("UPDATE fetch_look SET looked_at = looked_at - interval '1 hour'")
    with subprocess.Popen(
        [sys.executable, "-m", "revenue_engine.cli", "statement", "fetch"], env={**os.environ, **env}, cwd=ROOT
    ) as process:
        deadline = time.monotonic() + 60
        while len(county.kept()) < 3 and time.monotonic() < deadline:
            time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    assert [row[1] for row in county.kept()] == ["st15.sta", "other.sta", "st16.sta"]
