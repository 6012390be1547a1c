"""Health in one look: each check says what it found and, when that is not well, the one thing to do about it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC
from typing import Any, Literal

import psycopg

from revenue_engine import bootstrap, periods
from revenue_engine.config import near_misses
from revenue_engine.errors import ConfigurationError, RevenueError

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

    Raises ConfigurationError when the settings cannot be read at all.
    """
    settings = bootstrap.settings()
    checks = [_python(), *_names(), _disk(settings.state_dir)]
    try:
        servers = bootstrap.servers()
    except ConfigurationError as error:
        return [*checks, Check("servers", "failed", error.message, "mend the setting it names", 4)]
    except RevenueError as error:
        return [*checks, Check("servers", "failed", error.message, "read the log it names, then run doctor again")]
    checks.append(_redis(servers.redis_url))
    try:
        with psycopg.connect(servers.database_url, connect_timeout=5) as connection:
            checks += [check(connection) for check in _DATABASE_CHECKS]
            if all(check.ok for check in checks if check.name == "schema"):
                checks += [check(connection) for check in _BOOK_CHECKS]
    except psycopg.OperationalError as error:
        detail = str(error).splitlines()[0]
        fix = "start PostgreSQL, or mend REVENUE_DATABASE_URL"
        checks.append(Check("database", "failed", f"does not answer: {detail}", fix))
    checks += [
        _role(role, servers.role_urls[role], servers.database_url) for role in ("intake", "worker", "api", "report")
    ]
    return checks


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    return Check("python", "ok", version)


def _names() -> list[Check]:
    return [
        Check("settings", "warning", miss, "rename or remove the variable", 4) for miss in near_misses(os.environ)
    ] or [Check("settings", "ok", "every REVENUE_ variable is known")]


def _disk(folder: Any) -> Check:
    place = folder if folder.exists() else folder.parent if folder.parent.exists() else "/"
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


def _endpoints(connection: psycopg.Connection[Any]) -> Check:
    row = connection.execute("SELECT count(*) FROM channel_endpoint WHERE revoked_at IS NULL").fetchone()
    count = row[0] if row else 0
    if not count:
        return Check(
            "endpoints",
            "warning",
            "no callback address is open",
            "revenue-engine channel open SHORTCODE --purpose confirmation",
        )
    return Check("endpoints", "ok", f"{count} callback addresses open")


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


_DATABASE_CHECKS: tuple[Callable[[psycopg.Connection[Any]], Check], ...] = (_version, _durability, _clock, _schema)
_BOOK_CHECKS: tuple[Callable[[psycopg.Connection[Any]], Check], ...] = (_county, _endpoints, _backlog)


def _role(role: str, url: str, main: str) -> Check:
    name = f"role {role}"
    if url == main:
        fix = f"give it a login of its own: REVENUE_{role.upper()}_DATABASE_URL, a member of revenue_{role} only"
        return Check(name, "warning", "shares the main login and could RESET to it", fix)
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            row = connection.execute(
                "SELECT rolsuper, (SELECT array_agg(g.rolname::text ORDER BY g.rolname) FROM pg_roles g"
                " WHERE g.rolname ~ '^revenue_' AND pg_has_role(r.oid, g.oid, 'MEMBER') AND g.oid <> r.oid)"
                " FROM pg_roles r WHERE rolname = session_user"
            ).fetchone()
    except psycopg.OperationalError as error:
        fix = f"mend REVENUE_{role.upper()}_DATABASE_URL, or run 'revenue-engine init'"
        return Check(name, "failed", f"cannot log in: {str(error).splitlines()[0]}", fix)
    superuser, member = row or (False, [])
    extra = [other for other in member or [] if other != f"revenue_{role}"]
    if superuser or extra:
        more = "superuser" if superuser else ", ".join(extra)
        return Check(name, "warning", f"could become {more}", f"revoke all but revenue_{role} from its login")
    return Check(name, "ok", "a login of its own, with no more than its role")
