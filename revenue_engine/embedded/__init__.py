"""The embedded servers: PostgreSQL and Valkey started from wheels, with nothing installed and no port opened.

The servers are daemons. They outlive the command that started them, every later command re-attaches to them, and
only ``stop`` ends them. Money is in this PostgreSQL, so its durability settings are the strict ones.

Everything lives in one private folder, the state directory::

    pg/ valkey/            the data of each server
    run/                   their Unix sockets (a short folder in the temporary directory when the path is too long)
    pg.log valkey.log      what they said
    *.secret               passwords, readable by their owner only
    engine.json            which PostgreSQL made the data, how it is run, where the sockets are
    engine.lock            held while a command starts or stops the servers

PostgreSQL refuses to run as root. A command run as root therefore starts it inside a user namespace where root is
called ``nobody``: files stay root's, and a folder only root may enter keeps working. Where namespaces are refused
(some containers) it runs as an unprivileged account that is given the data folder.
"""

from __future__ import annotations

import shutil
import signal
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

import psycopg
from psycopg import sql

from revenue_engine.config import ROLES, Settings
from revenue_engine.embedded import postgres, processes, valkey
from revenue_engine.embedded import state as files
from revenue_engine.errors import ConfigurationError

LOGIN_LIMITS: Mapping[str, int] = MappingProxyType({"intake": 20, "worker": 30, "api": 30, "report": 10, "fetch": 3})
"""Connections each login may hold; together they leave room for migrations and the superuser below 100."""


@dataclass(frozen=True)
class Servers:
    """Where the servers are. ``role_urls`` has a key for each of ``config.ROLES``; without a login of its own a role
    has the main URL and takes its capability role at connect. ``state_dir`` is None when the database is not ours."""

    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    role_urls: Mapping[str, str] = field(repr=False)
    state_dir: Path | None = None


@dataclass(frozen=True)
class ServerStatus:
    """One server as it is now; ``pid`` only for an embedded server that runs."""

    name: str
    embedded: bool
    running: bool
    version: str = ""
    pid: int | None = None
    socket: str = ""


def ensure(settings: Settings, *, make: bool = True, bell: bool = True) -> Servers:
    """Start the embedded servers or re-attach to them, and say where they are.

    A server named by its URL is never started here. With ``make`` False no books are made where none are, and with
    ``bell`` False no Valkey beside a database of somebody else's (``redis_url`` is empty then): a command that only
    reads leaves nothing in the folder it was called in. Safe when several commands call it at once. Raises
    ConfigurationError when the state directory cannot be used or holds no books, Retryable when a server does not
    come up.
    """
    database_url = settings.database_url.get_secret_value() if settings.database_url else None
    redis_url = settings.redis_url.get_secret_value() if settings.redis_url else None
    state = settings.state_dir
    ours = None if database_url else state
    if database_url is None and not make and not files.holds(state, "pg/PG_VERSION"):
        raise ConfigurationError(
            f"there are no books in {state}: run 'revenue-engine init' to make them there, or name where yours are by"
            " REVENUE_STATE_DIR or REVENUE_DATABASE_URL",
            variable="REVENUE_STATE_DIR",
        )
    if database_url is None or (redis_url is None and (bell or files.holds(state, "valkey"))):
        files.prepare(state)
        with files.locked(state):
            runner = processes.choose_runner(state)
            run = processes.socket_dir(state, runner)
            database_url = database_url or postgres.ensure(settings, run, runner)
            redis_url = redis_url or valkey.ensure(state, run, runner)
            files.record(state, stopped="")
    redis_url = redis_url or ""
    role_urls = {role: settings.role_url(role) or postgres.login_url(ours, role, database_url) for role in ROLES}
    return Servers(database_url, redis_url, MappingProxyType(role_urls), ours)


def in_database(url: str, name: str) -> str:
    """The URL of another database of the same server."""
    scheme, _, rest = url.partition("://")
    place, _, path = rest.partition("/")
    _, mark, query = path.partition("?")
    return f"{scheme}://{place}/{name}{mark}{query}"


def create_logins(servers: Servers) -> Servers:
    """Give each capability role a login, ``revenue_<role>_login``, with a password of its own in the state directory.

    Call it after the migrations created the capability roles; roles that do not exist yet are passed over. The login
    is a plain member: it inherits the rights of its capability role, owns nothing and can become nobody else.
    Idempotent; does nothing to a database that is not ours. Migrations keep the superuser, because they create roles.
    """
    state = servers.state_dir
    if state is None:
        return servers
    urls = dict(servers.role_urls)
    with files.locked(state), psycopg.connect(servers.database_url, autocommit=True) as connection:
        existing = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles")}
        for role, limit in LOGIN_LIMITS.items():
            capability, login = f"revenue_{role}", f"revenue_{role}_login"
            if capability not in existing:
                continue
            password = files.secret(state / f"{login}.secret")
            # Hashed here, so that the password itself never travels in a statement.
            verifier = connection.pgconn.encrypt_password(password.encode(), login.encode(), b"scram-sha-256").decode()
            statement = "ALTER ROLE {} LOGIN INHERIT" if login in existing else "CREATE ROLE {} LOGIN INHERIT"
            connection.execute(
                sql.SQL(statement + " NOSUPERUSER NOCREATEDB NOCREATEROLE CONNECTION LIMIT {} PASSWORD {}").format(
                    sql.Identifier(login), sql.Literal(limit), sql.Literal(verifier)
                )
            )
            connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(capability), sql.Identifier(login)))
            if urls[role] == servers.database_url:
                urls[role] = postgres.login_url(state, role, servers.database_url)
    return replace(servers, role_urls=MappingProxyType(urls))


def stopped(settings: Settings) -> bool:
    """Whether a person stopped the servers of this state directory and no command has started them since."""
    return bool(files.recorded(settings.state_dir).get("stopped"))


def dead(settings: Settings) -> list[str]:
    """The embedded servers that should run and do not, or that nobody can reach: killed, out of memory, or their socket
    cleaned away. None of them after ``stop``, which is a person's wish. Cheap: ``serve`` asks once a second.
    """
    state = settings.state_dir
    if stopped(settings):
        return []
    known = files.recorded(state)
    run = Path(known.get("socket_dir") or state / "run")
    wanted = []
    if settings.database_url is None and files.holds(state, "pg/PG_VERSION"):
        wanted.append(("PostgreSQL", state / "pg", "postmaster.pid", run / postgres.SOCKET))
    if settings.redis_url is None and files.holds(state, "valkey"):
        wanted.append(("Valkey", state / "valkey", "valkey.pid", run / valkey.SOCKET))
    return [
        name
        for name, folder, pidfile, socket in wanted
        if processes.living(folder / pidfile, folder) is None or not socket.exists()
    ]


def stop(settings: Settings) -> list[str]:
    """Stop the embedded servers of this state directory, cleanly; the names of those that ran. Never touches others."""
    state = settings.state_dir
    ended: list[str] = []
    if not files.holds(state, "engine.lock"):
        return ended
    with files.locked(state):
        files.record(state, stopped="by a person")  # first, so that a running serve does not start them again
        for name, folder, pidfile, wish in (
            ("Valkey", state / "valkey", state / "valkey" / "valkey.pid", signal.SIGTERM),
            ("PostgreSQL", state / "pg", state / "pg" / "postmaster.pid", signal.SIGINT),
        ):
            pid = processes.pid_in(pidfile)
            if pid is not None and processes.is_ours(pid, folder):
                processes.end(name, pid, folder, wish)
                ended.append(name)
    return ended


def status(settings: Settings) -> list[ServerStatus]:
    """PostgreSQL and the bell as they are now; starts nothing."""
    state = settings.state_dir
    run = files.recorded(state).get("socket_dir", "")
    found = []
    if settings.database_url:
        version = postgres.version(settings.database_url.get_secret_value())
        found.append(ServerStatus("PostgreSQL", False, bool(version), version))
    else:
        pid = processes.living(state / "pg" / "postmaster.pid", state / "pg")
        version = postgres.version(postgres.superuser_url(state, Path(run))) if pid and run else ""
        found.append(
            ServerStatus("PostgreSQL", True, pid is not None, version, pid, f"{run}/{postgres.SOCKET}" if pid else "")
        )
    if settings.redis_url:
        version = valkey.version(settings.redis_url.get_secret_value())
        found.append(ServerStatus("Redis", False, bool(version), version))
    else:
        pid = processes.living(state / "valkey" / "valkey.pid", state / "valkey")
        version = valkey.version(f"unix://{run}/valkey.sock") if pid and run else ""
        found.append(ServerStatus("Valkey", True, pid is not None, version, pid, f"{run}/valkey.sock" if pid else ""))
    return found


def health(settings: Settings) -> list[str]:
    """What is wrong with the servers and the state directory, one sentence each; an empty list when all is well."""
    problems = []
    state = settings.state_dir
    for server in status(settings):
        if not server.running:
            problems.append(f"{server.name} is not running" if server.embedded else f"{server.name} cannot be reached")
        elif not server.version:
            problems.append(f"{server.name} runs (process {server.pid}) but does not answer at {server.socket}")
        elif server.name == "PostgreSQL":
            url = settings.database_url
            problems += postgres.health(
                url.get_secret_value()
                if url
                else postgres.superuser_url(state, Path(files.recorded(state)["socket_dir"]))
            )
    if state.is_dir() and not (settings.database_url and settings.redis_url):
        if stat.S_IMODE(state.stat().st_mode) & 0o077:
            problems.append(f"{state} can be entered by others: chmod 700 {state}")
        problems += [
            f"{path} can be read by others: chmod 600 {path}"
            for path in sorted(state.glob("*.secret"))
            if stat.S_IMODE(path.stat().st_mode) & 0o077
        ]
        free = shutil.disk_usage(state).free
        if free < 2**30:
            problems.append(f"only {free // 2**20} MiB are free where {state} is; PostgreSQL stops at none")
    return problems
