"""``login``, ``user``, ``token`` and ``approval`` as their users have them: real processes and one-time codes."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pyotp
import pytest

from tests.conftest import Database
from tests.support import people
from tests.support.commands import command, run
from tests.support.people import PASSWORD

ROOT = Path(__file__).parents[2]


@pytest.fixture
def here(database: Database, tmp_path: Path) -> dict[str, str]:
    """The environment of a command on this test's database, with nobody signed in."""
    return {
        "REVENUE_DATABASE_URL": database.url,
        "REVENUE_REDIS_URL": database.servers.redis_url,
        "REVENUE_TOKEN_FILE": str(tmp_path / "session"),
    }


def enrol(login: str, code: str, env: dict[str, str]) -> tuple[str, list[str]]:
    """Enrol at a terminal without a keyboard: read the authenticator's link, then type the code it shows."""
    with subprocess.Popen(
        [sys.executable, "-m", "revenue_engine.cli", "login", login, "--enrol", "--json"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **env},
        cwd=ROOT,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{code}\n{PASSWORD}\n")
        process.stdin.flush()
        link = process.stdout.readline().strip()
        totp = pyotp.parse_uri(link)
        assert isinstance(totp, pyotp.TOTP)
        process.stdin.write(totp.now() + "\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.read())
    assert process.returncode == 0
    assert answer["ok"]
    return totp.secret, answer["recovery_codes"]


def test_from_init_to_a_second_person(database: Database, here: dict[str, str], tmp_path: Path) -> None:
    # init names the first two and shows their one-time codes; again, until one enrols
    named = ["--administrator", "a.odera,Achieng Odera,BSA/1", "--administrator", "b.were,Boaz Were,BSA/2"]
    made = json.loads(run("init", "--county", "busia", *named, "--json", env=here))["administrators"]
    again = json.loads(run("init", "--county", "busia", "--json", env=here))["administrators"]
    assert [one["login"] for one in again] == [one["login"] for one in made] == ["a.odera", "b.were"]
    assert made[0]["enrolment_code"] != again[0]["enrolment_code"]
    files = [here | {"REVENUE_TOKEN_FILE": str(tmp_path / name)} for name in ("one", "two")]
    seeds = []
    for one, env in zip(again, files, strict=True):
        seeds.append(enrol(one["login"], one["enrolment_code"], env)[0])
    assert json.loads(run("init", "--county", "busia", "--json", env=here))["administrators"] == []
    with psycopg.connect(database.url) as connection:
        connection.execute("UPDATE access.credential SET last_step = 0")
    # Both sign in; the file is theirs alone
    for one, seed, env in zip(again, seeds, files, strict=True):
        typed = f"{PASSWORD}\n{pyotp.TOTP(seed).now()}\n"
        done = command("login", one["login"], "--json", env=env, typed=typed)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["roles"] == ["administrator"]
        assert stat.S_IMODE(Path(env["REVENUE_TOKEN_FILE"]).stat().st_mode) == 0o600
    # One asks, the other agrees, and each has half of the code
    new = ["m.wanjala", "--name", "Mary Wanjala", "--staff-number", "BSA/0117", "--role", "clerk"]
    asked = json.loads(run("user", "add", *new, "--reason", "new clerk", "--json", env=files[0]))["request"]
    refused = command("approval", "agree", asked, "--json", env=files[0])
    assert refused.returncode == 1
    assert json.loads(refused.stdout)["code"] == "not_allowed"
    assert json.loads(run("approval", "list", "--json", env=files[1]))[0]["payload"]["role"] == "clerk"
    shown = json.loads(run("approval", "show", asked, "--json", env=files[1]))["shown"]
    run("approval", "agree", asked, "--shown", "0" * 64, env=files[1], status=1)
    done = json.loads(run("approval", "agree", asked, "--shown", shown, "--json", env=files[1]))
    assert done["requests"][0]["stands"] == "done"
    halves = [json.loads(run("user", "half", asked, "--json", env=env))["half"] for env in files]
    enrol("m.wanjala", "-".join(halves), here)
    assert [one["state"] for one in json.loads(run("user", "list", "--json", env=files[0]))] == ["enrolled"] * 3
    # A service has a token; a person who is shut out is out
    token = json.loads(run("token", "issue", "pos.gateway", "--json", env=files[0]))["token"]
    service = tmp_path / "service"
    service.touch(mode=0o600)
    service.write_text(token)
    assert json.loads(run("whoami", "--json", env=here | {"REVENUE_TOKEN_FILE": str(service)}))["kind"] == "service"
    asked = json.loads(run("token", "allow", "pos.gateway", "bill.issue", "--reason", "a till", "--json", env=files[0]))
    run("approval", "agree", asked["request"], env=files[1])
    assert json.loads(run("token", "list", "--json", env=files[0]))[0]["scopes"] == ["bill.issue"]
    run("token", "forbid", "pos.gateway", "bill.issue", env=files[1])
    run("token", "revoke", "1", env=files[0])
    run("whoami", env=here | {"REVENUE_TOKEN_FILE": str(service)}, status=1)
    run("user", "disable", "b.were", "--reason", "left the county", env=files[0])
    gone = command("whoami", "--json", env=files[1])
    assert (gone.returncode, "was disabled" in json.loads(gone.stdout)["message"]) == (1, True)
    assert json.loads(run("logout", "--json", env=files[0]))["ended"]
    assert not Path(files[0]["REVENUE_TOKEN_FILE"]).exists()


def test_refusals_say_what_to_do(database: Database, here: dict[str, str], tmp_path: Path) -> None:
    nobody = command("whoami", "--json", env=here)
    assert (nobody.returncode, json.loads(nobody.stdout)["code"]) == (1, "not_signed_in")
    wrong = command("login", "nobody", "--json", env=here, typed="a password of four\n000000\n")
    assert json.loads(wrong.stdout)["message"] == "the login, the password or the code is wrong"
    silent = command("login", "nobody", "--json", env=here)
    assert json.loads(silent.stdout)["message"].startswith("password is missing")
    clerk = people.clerk(database.url)
    env = here | clerk.signed_in(tmp_path)
    refused = command("user", "list", "--json", env=env)
    assert json.loads(refused.stdout)["message"] == (
        "you may not list persons, roles and tokens; administrator or internal auditor may"
    )
    # A session file that others may read is not used
    Path(env["REVENUE_TOKEN_FILE"]).chmod(0o644)
    assert command("whoami", env=env).returncode == 4
    Path(env["REVENUE_TOKEN_FILE"]).chmod(0o600)
    # A fresh code for a judgement
    started = time.time()
    stepped = command("login", "--code", "--json", env=env, typed=pyotp.TOTP(_base32(clerk.seed)).now() + "\n")
    assert stepped.returncode == 0, stepped.stdout
    assert time.time() - started < 60
    assert json.loads(run("whoami", "--json", env=env))["login"] == "clerk"


def _base32(seed: bytes) -> str:
    from revenue_engine.access import passwords

    return passwords.as_typed(seed)


def test_the_shells_variables_name_nobody(database: Database, here: dict[str, str], tmp_path: Path) -> None:
    one, two = people.administrators(database.url)
    env = here | one.signed_in(tmp_path)
    new = ["m.wanjala", "--name", "Mary Wanjala", "--staff-number", "BSA/0117", "--role", "clerk"]
    asked = json.loads(run("user", "add", *new, "--reason", "new clerk", "--json", env=env))["request"]
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "PGUSER", "PGOPTIONS"):
        value = "-c revenue.session=admin.two" if name == "PGOPTIONS" else two.login
        refused = command("approval", "agree", asked, "--json", env=env | {name: value})
        assert (refused.returncode, json.loads(refused.stdout)["code"]) == (1, "not_allowed"), name
