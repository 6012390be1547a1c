"""``doctor`` where something is wrong: each fault that once left it green or broken, and ``init`` without rights."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from revenue_engine import bootstrap, doctor
from revenue_engine.config import Settings
from tests.conftest import Database
from tests.support.intake_server import Rig, free_port

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def rig(database: Database) -> Iterator[Rig]:
    made = Rig(database)
    yield made
    made.close()


@pytest.fixture
def examined(rig: Rig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Run doctor on the rig with some variables; its checks by name, several of one name in a list."""

    def run(**variables: str) -> dict[str, list[doctor.Check]]:
        given = {"DATABASE_URL": rig.database.url, "REDIS_URL": rig.database.servers.redis_url, **variables}
        for name, value in given.items():
            monkeypatch.setenv(f"REVENUE_{name}", value)
        for cached in (bootstrap.settings, bootstrap.servers, bootstrap.engine):
            cached.cache_clear()
        found: dict[str, list[doctor.Check]] = {}
        for check in doctor.examine():
            found.setdefault(check.name, []).append(check)
        return found

    yield run
    for cached in (bootstrap.settings, bootstrap.servers, bootstrap.engine):
        cached.cache_clear()


def test_nobody_who_answers_is_said(rig: Rig, examined: Any) -> None:
    port = str(free_port())
    ((quiet,)) = examined(INTAKE_PORT=port)["intake"]
    assert quiet.state == "warning"  # nobody was given an address yet
    rig.endpoint()
    (silent,) = examined(INTAKE_PORT=port)["intake"]
    assert (silent.state, silent.exit_code) == ("failed", 5)
    assert f"nobody answers at http://127.0.0.1:{port}" in silent.detail
    assert "revenue-engine serve" in silent.fix


def test_a_running_intake_is_asked(rig: Rig, examined: Any) -> None:
    rig.endpoint()
    served = rig.serve()
    missing = examined(INTAKE_PORT=str(served.port))["intake"][0]
    assert missing.state == "failed"  # the rig's intake knows two adapters, this machine has more
    assert "does not know" in missing.detail
    assert "serve' again" in missing.fix
    served.app._adapters = {**bootstrap.adapters(), **served.app._adapters}
    (well,) = examined(INTAKE_PORT=str(served.port))["intake"]
    assert (well.state, well.detail.partition(" ")[0]) == ("ok", "answers")
    served.app._store.failing = True
    (failing,) = examined(INTAKE_PORT=str(served.port))["intake"]
    assert failing.state == "failed"
    assert "cannot keep a delivery now: the database takes no deliveries" in failing.detail


def test_every_address_is_judged_as_the_intake_judges_it(rig: Rig, examined: Any, tmp_path: Path) -> None:
    rig.endpoint()
    folder = tmp_path / "secrets"
    folder.mkdir(mode=0o700)
    rig.endpoint(account=rig.account("kcb", {"account": "1", "public_keys": ["file:kcb.pem"]}))
    rig.endpoint(account=rig.account("nobody", {}))
    checks = examined(SECRETS_DIR=str(folder))["endpoints"]
    assert [check.state for check in checks] == ["ok", "failed", "failed"]
    assert "kcb.pem in REVENUE_SECRETS_DIR cannot be read" in checks[1].detail
    assert "no adapter is called nobody" in checks[2].detail
    assert {check.exit_code for check in checks[1:]} == {4}


def test_secrets_that_others_can_read_are_a_warning(rig: Rig, examined: Any, tmp_path: Path) -> None:
    rig.endpoint()
    folder = tmp_path / "secrets"
    folder.mkdir(mode=0o755)
    (folder / "one.pem").write_text("x")
    (folder / "one.pem").chmod(0o644)
    (check,) = examined(SECRETS_DIR=str(folder))["secrets"]
    assert check.state == "warning"
    assert "1 files" in check.detail
    (folder / "one.pem").chmod(0o600)
    assert "secrets" not in examined(SECRETS_DIR=str(folder))


def test_a_login_that_is_no_member_of_its_role_has_failed(rig: Rig, examined: Any) -> None:
    found = examined(INTAKE_DATABASE_URL=rig.database.role_url("report"))
    (check,) = found["role intake"]
    assert (check.state, check.exit_code) == ("failed", 4)
    assert "is no member of revenue_intake" in check.detail
    assert check.fix.startswith("GRANT revenue_intake TO")
    (own,) = examined(INTAKE_DATABASE_URL=rig.database.role_url("intake"))["role intake"]
    assert own.state == "ok"


def test_a_database_that_is_down_is_said_once(examined: Any, tmp_path: Path) -> None:
    found = examined(DATABASE_URL=f"postgresql://x@/x?host={tmp_path}")
    assert [name for name, checks in found.items() if checks[0].state == "failed"] == ["database"]


def test_a_check_that_stumbles_is_a_failed_check(examined: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    for name in ("_redis", "_disk", "_role", "_intake"):
        monkeypatch.setattr(doctor, name, stumble)
    found = examined()
    for name in ("bell", "disk", "role intake", "role report", "intake"):
        assert found[name][0].state == "failed"
        assert "could not be looked at: PermissionError" in found[name][0].detail


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_state_folder_of_somebody_else_is_said_and_not_raised() -> None:
    folder = Path(tempfile.mkdtemp(prefix="rev-"))
    try:
        (folder / "x").mkdir()
        folder.chmod(0o700)
        env = {**os.environ, "REVENUE_STATE_DIR": str(folder / "x" / "state")}
        script = (
            "import os; from revenue_engine import doctor, bootstrap; bootstrap.adapters();"
            " os.setgid(65534); os.setuid(65534)\n"
            "import json; print(json.dumps([[c.name, c.state, c.detail, c.exit_code] for c in doctor.examine()]))"
        )
        done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        last = json.loads(done.stdout)[-1]
        assert last[:2] == ["servers", "failed"]
        assert "cannot be looked into (Permission denied)" in last[2]
        assert last[3] == 4
    finally:
        shutil.rmtree(folder)


# --- init ------------------------------------------------------------------------------------------------------------


def run(*words: str, env: dict[str, str], status: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "revenue_engine.cli", *words],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=120,
        cwd=Path(__file__).parents[1],
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def test_init_on_a_plain_owner_says_the_sql_and_works_once_it_was_run(database: Database) -> None:
    """The roles of the suite's cluster exist already: what is missing is the right to hand them on."""
    owner, name = f"plain_{secrets.token_hex(4)}", f"plain_{secrets.token_hex(4)}"
    with psycopg.connect(database.url, autocommit=True) as superuser:
        superuser.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'secret'").format(sql.Identifier(owner)))
        superuser.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(owner)))
        url = re.sub(r"://[^@]*@/[^?]*", f"://{owner}:secret@/{name}", database.url)
        env = {"REVENUE_DATABASE_URL": url, "REVENUE_REDIS_URL": database.servers.redis_url}
        try:
            refused = json.loads(run("init", "--json", env=env, status=4))
            assert "superuser" in refused["message"]
            lines = [line for line in refused["message"].splitlines() if line.endswith(";")]
            assert any(line.startswith("GRANT") and owner in line for line in lines)
            for line in lines:
                superuser.execute(line.encode())
            assert json.loads(run("init", "--json", env=env))["ok"]
            assert json.loads(run("init", "--json", env=env))["ok"]
        finally:
            superuser.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
            superuser.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(owner)))
            superuser.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(owner)))


def test_the_sql_that_is_missing_in_an_empty_cluster() -> None:
    """A cluster without the roles, of its own, where owning a database is all the owner has."""
    from migrations import rights_missing, upgrade
    from revenue_engine import embedded

    folder = Path(tempfile.mkdtemp(prefix="rev-"))
    settings = Settings(state_dir=folder / "s")
    try:
        servers = embedded.ensure(settings)
        url = re.sub(r"://[^@]*@/[^?]*", "://plain:secret@/plain", servers.database_url)
        with psycopg.connect(servers.database_url, autocommit=True) as superuser:
            superuser.execute("CREATE ROLE plain LOGIN PASSWORD 'secret'")
            superuser.execute("CREATE DATABASE plain")
            missing = rights_missing(url)
            assert missing[0] == 'ALTER DATABASE "plain" OWNER TO "plain";'
            assert missing[1] == 'CREATE ROLE "revenue_owner" NOLOGIN;'
            assert missing[-1].startswith('GRANT "revenue_owner", "revenue_intake"')
            for line in missing:
                superuser.execute(line.encode())
            assert rights_missing(url) == []
            upgrade(url)
            # The short way: CREATEROLE alone is enough as well.
            superuser.execute("CREATE ROLE other LOGIN CREATEROLE PASSWORD 'secret'")
            superuser.execute("CREATE DATABASE other OWNER other")
            other = url.replace("plain:secret@/plain", "other:secret@/other")
            left = rights_missing(other)
            assert len(left) == 1  # the roles are another's: they must be handed to it
            superuser.execute(left[0].encode())
            upgrade(other)
    finally:
        embedded.stop(settings)
        shutil.rmtree(folder)
