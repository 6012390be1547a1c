"""Health in one look: each check says what it found and, when that is not well, the one thing to do about it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import psycopg

from revenue_engine import bootstrap, periods
from revenue_engine.config import Settings, near_misses
from revenue_engine.errors import ConfigurationError, RevenueError
from revenue_engine.intake.endpoints import ENDPOINTS, Endpoint, read_endpoints
from revenue_engine.intake.listening import where_to_ask

DURABLE = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}
OLDEST_POSTGRES = 150000
CLOCK_WARNING_SECONDS = 0.5
CLOCK_FAILURE_SECONDS = 5.0
BACKLOG_WARNING_SECONDS = 60.0
DISK_WARNING = 0.20
DISK_FAILURE = 0.10


@dataclass(frozen=True, slots=True)
class Check:
    """One check: ``exit_code`` is what a failure of it means for a script (4 settings, 5 a server)."""

    name: str
    state: Literal["ok", "warning", "failed"]
    detail: str
    fix: str = ""
    exit_code: int = 5

    @property
    def ok(self) -> bool:
        """Whether nothing has failed; a warning is not a failure."""
        return self.state != "failed"

    def as_dict(self) -> dict[str, Any]:
        """The check as plain data."""
        return asdict(self)


def examine() -> list[Check]:
    """Run every check that can be run; what one failure makes impossible is left out, not reported as well.

    A check that itself fails is a failed check. Raises ConfigurationError when the settings cannot be read at all.
    """
    settings = bootstrap.settings()
    checks = [_python(), *_names(), _tried("disk", lambda: _disk(settings.state_dir))]
    try:
        servers = bootstrap.servers()
    except ConfigurationError as error:
        return [*checks, Check("servers", "failed", error.message, "mend the setting it names", 4)]
    except RevenueError as error:
        return [*checks, Check("servers", "failed", error.message, "read the log it names, then run doctor again")]
    checks.append(_tried("bell", lambda: _redis(servers.redis_url)))
    open_addresses = 0
    try:
        with psycopg.connect(servers.database_url, connect_timeout=5, autocommit=True) as connection:
            checks += [_tried(name, partial(check, connection)) for name, check in _DATABASE_CHECKS.items()]
            if all(check.ok for check in checks if check.name == "schema"):
                checks += [_tried(name, partial(check, connection)) for name, check in _BOOK_CHECKS.items()]
                with contextlib.suppress(psycopg.Error):
                    addresses = _addresses(connection)
                    open_addresses = len(addresses)
                    checks += _endpoints(addresses, settings)
    except psycopg.OperationalError as error:
        fix = "start PostgreSQL, or mend REVENUE_DATABASE_URL"
        # Without the database nobody can log in, and no intake can keep anything: that is said once.
        return [*checks, Check("database", "failed", f"does not answer: {_first(error)}", fix)]
    checks += [
        _tried(f"role {role}", partial(_role, role, servers.role_urls[role], servers.database_url))
        for role in ("intake", "worker", "api", "report")
    ]
    checks.append(_tried("intake", lambda: _intake(settings, open_addresses)))
    return checks


def _tried(name: str, check: Callable[[], Check]) -> Check:
    """What a check says, or that it could not be made: one that stumbles must not hide the others."""
    try:
        return check()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what was found
        words = str(error).splitlines()[0] if str(error) else ""
        fix = "mend what it names; if it names nothing you know, report it with this line"
        return Check(name, "failed", f"could not be looked at: {type(error).__name__}: {words}"[:300], fix)


def _first(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    return Check("python", "ok", version)


def _names() -> list[Check]:
    return [
        Check("settings", "warning", miss, "rename or remove the variable", 4) for miss in near_misses(os.environ)
    ] or [Check("settings", "ok", "every REVENUE_ variable is known")]


def _disk(folder: Path) -> Check:
    place = folder
    while not os.access(place, os.R_OK | os.X_OK) and place != place.parent:
        place = place.parent
    usage = shutil.disk_usage(place)
    share = usage.free / usage.total
    detail = f"{share:.0%} free ({usage.free / 2**30:.1f} GiB)"
    state: Literal["ok", "warning", "failed"] = "ok"
    if share < DISK_FAILURE and usage.free < 5 * 2**30:
        state = "failed"
    elif share < DISK_WARNING and usage.free < 20 * 2**30:
        state = "warning"
    return Check("disk", state, detail, "make room: without it nothing can be kept, and nothing is answered")


def _redis(url: str) -> Check:
    import redis

    if not url:
        fix = "set REVENUE_REDIS_URL, or let 'revenue-engine serve' start one"
        return Check("bell", "warning", "none is named or started; workers sweep by themselves, a little later", fix)
    try:
        client = redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2)
        try:
            version = client.info("server").get("valkey_version") or client.info("server").get("redis_version")
        finally:
            client.close()
    except redis.RedisError as error:
        detail = f"does not answer ({type(error).__name__}); workers sweep by themselves, a little later"
        return Check("bell", "warning", detail, "start Redis, or mend REVENUE_REDIS_URL")
    return Check("bell", "ok", f"Redis protocol server {version}")


def _version(connection: psycopg.Connection[Any]) -> Check:
    number = connection.info.server_version
    text = f"PostgreSQL {number // 10000}.{number % 10000}"
    if number < OLDEST_POSTGRES:
        return Check("database", "failed", text, "use PostgreSQL 15 or newer")
    return Check("database", "ok", text)


def _durability(connection: psycopg.Connection[Any]) -> Check:
    rows = connection.execute("SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", (list(DURABLE),))
    wrong = [f"{name}={value}" for name, value in rows if value != DURABLE[name]]
    if wrong:
        return Check("durability", "failed", ", ".join(wrong), "set them to on: an answered callback must be on disk")
    return Check("durability", "ok", "fsync, full page writes and synchronous commit are on")


def _schema(connection: psycopg.Connection[Any]) -> Check:
    import migrations

    table = connection.execute("SELECT to_regclass('alembic_version')").fetchone()
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone() if table and table[0] else None
    heads = migrations.heads()
    if row is None:
        return Check("schema", "failed", "not made yet", "run 'revenue-engine init'", 4)
    if [row[0]] != heads:
        return Check("schema", "failed", f"at {row[0]}, the code needs {heads[0]}", "run 'revenue-engine init'", 4)
    return Check("schema", "ok", f"at {row[0]}")


def _clock(connection: psycopg.Connection[Any]) -> Check:
    row = connection.execute("SELECT clock_timestamp()").fetchone()
    skew = abs((row[0].astimezone(UTC) - periods.now().astimezone(UTC)).total_seconds()) if row else 0.0
    detail = f"database and this machine differ by {skew:.3f} s"
    if skew > CLOCK_FAILURE_SECONDS:
        return Check("clock", "failed", detail, "set both clocks by NTP")
    return Check("clock", "warning" if skew > CLOCK_WARNING_SECONDS else "ok", detail, "set both clocks by NTP")


def _county(connection: psycopg.Connection[Any]) -> Check:
    row = connection.execute("SELECT name, mode FROM county").fetchone()
    if row is None:
        return Check("county", "failed", "none is loaded", "run 'revenue-engine init'", 4)
    return Check("county", "ok", f"{row[0]}, {row[1]} books")


def _addresses(connection: psycopg.Connection[Any]) -> list[tuple[Endpoint, str]]:
    """Every open callback address as the intake reads it, and the channel account it belongs to."""
    settings = bootstrap.settings()
    names = {row[0]: f"{row[1]} {row[2]}" for row in connection.execute(_ACCOUNTS)}
    found = read_endpoints(connection.execute(ENDPOINTS).fetchall(), bootstrap.adapters(), settings.secrets_dir)
    return [(one, names.get(one.channel_account_id, str(one.channel_account_id))) for one in found]


_ACCOUNTS = "SELECT id, adapter, identifier FROM channel_account"


def _endpoints(addresses: Sequence[tuple[Endpoint, str]], settings: Settings) -> list[Check]:
    """One line for all that can be served, one for each that cannot, one for the folder of secrets."""
    if not addresses:
        fix = "revenue-engine channel open SHORTCODE --purpose confirmation"
        return [Check("endpoints", "warning", "no callback address is open", fix)]
    wrong: dict[tuple[str, str], int] = {}
    for endpoint, account in addresses:
        if endpoint.problem:
            wrong[account, endpoint.problem] = wrong.get((account, endpoint.problem), 0) + 1
    well = len(addresses) - sum(wrong.values())
    checks = [Check("endpoints", "ok", f"{well} callback addresses open")] if well else []
    checks += [
        Check(
            "endpoints",
            "failed",
            f"{count} of {account} cannot be served, and what comes there is refused: {problem}",
            "mend the setting or the secret file it names; the intake reads it again within seconds",
            4,
        )
        for (account, problem), count in sorted(wrong.items())
    ]
    return [*checks, *_secrets(settings.secrets_dir)]


def _secrets(folder: Path | None) -> list[Check]:
    """Whether others of this machine may read the secrets."""
    if folder is None:
        return []
    try:
        entered = stat.S_IMODE(folder.stat().st_mode) & 0o077
        loose = [one for one in sorted(folder.iterdir()) if one.is_file() and stat.S_IMODE(one.stat().st_mode) & 0o077]
    except OSError as error:
        fix = "run as the intake's user, or mend REVENUE_SECRETS_DIR"
        return [Check("secrets", "failed", f"{folder} cannot be read: {error.strerror}", fix, 4)]
    if not entered or not loose:
        return []
    detail = f"others of this machine can read {len(loose)} files of {folder}, {loose[0].name} the first"
    return [Check("secrets", "warning", detail, f"chmod 700 {folder}, and 600 each file in it", 4)]


def _intake(settings: Settings, addresses: int) -> Check:
    """Ask the running intake whether it could keep a delivery, and whether it knows every adapter installed here."""
    host, port = where_to_ask(settings.intake_host, settings.intake_port)
    where = f"http://{host}:{port}"
    start = "run 'revenue-engine serve', or name where the intake runs by REVENUE_INTAKE_HOST and REVENUE_INTAKE_PORT"
    try:
        status, ready = _asked(host, port, "/readyz")
        _, counts = _asked(host, port, "/countersz")
    except (OSError, http.client.HTTPException, ValueError) as error:
        state: Literal["warning", "failed"] = "failed" if addresses else "warning"
        detail = f"nobody answers at {where} ({type(error).__name__})"
        return Check("intake", state, f"{detail}; {addresses} callback addresses are open", start)
    if "ready" not in ready:
        return Check("intake", "failed", f"what answers at {where} is no intake", start, 4)
    if status != http.HTTPStatus.OK:
        why = ready.get("why", "it does not say why")
        return Check("intake", "failed", f"{where} cannot keep a delivery now: {why}", "mend what it names")
    missing = sorted(set(bootstrap.adapters()) - set(counts.get("adapters", bootstrap.adapters())))
    if missing:
        detail = f"{where} runs, and does not know {', '.join(missing)} yet: what comes there is answered with 503"
        return Check("intake", "failed", detail, "start 'revenue-engine serve' again", 4)
    if counts.get("unserved"):
        detail = f"{where} cannot serve {counts['unserved']} of its addresses"
        return Check("intake", "failed", detail, "mend the endpoints above, as the intake's own user reads them", 4)
    return Check("intake", "ok", f"answers at {where} and could keep a delivery")


def _asked(host: str, port: int, path: str) -> tuple[int, dict[str, Any]]:
    asking = http.client.HTTPConnection(host, port, timeout=3)
    try:
        asking.request("GET", path)
        answer = asking.getresponse()
        found = json.loads(answer.read(65_536))
        return answer.status, found if isinstance(found, dict) else {}
    finally:
        asking.close()


def _backlog(connection: psycopg.Connection[Any]) -> Check:
    row = connection.execute(
        "SELECT count(*) FILTER (WHERE state = 'ready'), count(*) FILTER (WHERE state = 'dead'),"
        " coalesce(EXTRACT(EPOCH FROM clock_timestamp() - min(created_at) FILTER (WHERE state = 'ready')), 0)::float8"
        " FROM job"
    ).fetchone()
    ready, dead, oldest = row or (0, 0, 0.0)
    detail = f"{ready} jobs wait, the oldest for {oldest:.0f} s; {dead} dead"
    if oldest > BACKLOG_WARNING_SECONDS:
        return Check("work", "warning", detail, "run 'revenue-engine worker'")
    if dead:
        return Check("work", "warning", detail, "look at the dead jobs' last_error, mend the cause, replay them")
    return Check("work", "ok", detail)


_DATABASE_CHECKS: Mapping[str, Callable[[psycopg.Connection[Any]], Check]] = MappingProxyType(
    {"database": _version, "durability": _durability, "clock": _clock, "schema": _schema}
)
_BOOK_CHECKS: Mapping[str, Callable[[psycopg.Connection[Any]], Check]] = MappingProxyType(
    {"county": _county, "work": _backlog}
)


def _role(role: str, url: str, main: str) -> Check:
    name, variable = f"role {role}", f"REVENUE_{role.upper()}_DATABASE_URL"
    if url == main:
        fix = f"give it a login of its own: {variable}, a member of revenue_{role} only"
        return Check(name, "warning", "shares the main login and could RESET to it", fix)
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            row = connection.execute(
                "SELECT rolsuper, session_user::text,"
                " (SELECT array_agg(g.rolname::text ORDER BY g.rolname)"
                " FROM pg_roles g WHERE g.rolname ~ '^revenue_' AND g.oid <> r.oid"
                " AND pg_has_role(r.oid, g.oid, 'MEMBER'))"
                " FROM pg_roles r WHERE rolname = session_user"
            ).fetchone()
    except psycopg.OperationalError as error:
        return Check(name, "failed", f"cannot log in: {_first(error)}", f"mend {variable}", 4)
    superuser, login, member = row or (False, "", [])
    if not superuser and f"revenue_{role}" not in (member or []):
        detail = f"the login {login} is no member of revenue_{role} and can do none of its work"
        return Check(name, "failed", detail, f"GRANT revenue_{role} TO {login}; or mend {variable}", 4)
    extra = [other for other in member or [] if other != f"revenue_{role}"]
    if superuser or extra:
        more = "superuser" if superuser else ", ".join(extra)
        return Check(name, "warning", f"could become {more}", f"revoke all but revenue_{role} from its login")
    return Check(name, "ok", "a login of its own, with no more than its role")
