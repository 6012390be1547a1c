"""Settings: everything the environment may say to the engine, read once and checked whole.

A wrong value never surfaces as a traceback: ``load_settings`` collects every problem, names the variable and says
how to mend it. URLs carry passwords, so they are secrets and never appear in a repr or an error.
"""

from __future__ import annotations

import difflib
import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from revenue_engine.errors import ConfigurationError

PREFIX = "REVENUE_"
TEST_PREFIX = "REVENUE_TEST_"
"""Variables of the test suite; the engine neither reads nor reports them."""

ROLES = ("migrate", "intake", "worker", "api", "report", "fetch")
"""The processes that may connect to the database with a login of their own."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_DATABASE_FIX = "write postgresql://user:password@host:5432/name (or ?host=/socket/folder for a Unix socket)"
_REDIS_FIX = "write redis://host:6379/0, rediss://host:6379/0 or unix:///path/to/socket"


def _role_url(role: str, what: str) -> Any:
    return Field(
        default=None,
        description=f"PostgreSQL URL for {what}; the main URL with SET ROLE when empty",
        json_schema_extra={"fix": _DATABASE_FIX, "shown": f"REVENUE_DATABASE_URL as {role}"},
    )


def _field(default: Any, description: str, fix: str, shown: str | None = None, **limits: Any) -> Any:
    extra = {"fix": fix} if shown is None else {"fix": fix, "shown": shown}
    return Field(default=default, description=description, json_schema_extra=dict(extra), **limits)


class Settings(BaseSettings):
    """The engine's settings, one field a ``REVENUE_`` variable; ``docs/settings.md`` is generated from here."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="ignore", hide_input_in_errors=True
    )

    state_dir: Path = _field(
        Path("var"),
        "Private folder of the embedded servers, their secrets and working files",
        "give a folder the engine may own",
        shown="./var",
        validate_default=True,
    )
    county: str = _field(
        "busia", "County whose facts are loaded", "a short name such as busia", pattern=r"^[a-z][a-z-]{1,39}$"
    )
    log_level: Literal["debug", "info", "warning", "error"] = _field(
        "info", "Least severe log line written", "one of debug, info, warning, error"
    )
    secrets_dir: Path | None = _field(
        None,
        "Folder of channel secrets, one file a secret, readable by the engine only",
        "give an existing folder",
        shown="none",
    )
    seal_dir: Path | None = _field(
        None,
        "Folder of the private keys that sign certificates, NAME.pem, readable by the engine only; all of them sign",
        "give an existing folder",
        shown="seal in the state folder",
    )
    tables_dir: Path | None = _field(
        None,
        "Folder of the county's own tables of bank columns (*.toml), beside those of the package",
        "give an existing folder",
        shown="none",
    )

    token_file: Path = _field(
        Path("~/.revenue-engine-session"),
        "File of the session that this account of the machine is signed in with, or of a service's token",
        "give a file in a folder of your own; it is made readable by you alone",
        shown="~/.revenue-engine-session",
        validate_default=True,
    )

    database_url: SecretStr | None = _field(
        None, "PostgreSQL 15 or newer; the embedded server when empty", _DATABASE_FIX, shown="embedded"
    )
    migrate_database_url: SecretStr | None = _role_url("owner", "migrations")
    intake_database_url: SecretStr | None = _role_url("intake", "the callback intake")
    worker_database_url: SecretStr | None = _role_url("worker", "the workers")
    api_database_url: SecretStr | None = _role_url("api", "the API and console")
    report_database_url: SecretStr | None = _role_url("report", "reports")
    fetch_database_url: SecretStr | None = _role_url("fetch", "the process that fetches statement files from banks")
    redis_url: SecretStr | None = _field(
        None, "Redis or Valkey, the bell of the workers; the embedded one when empty", _REDIS_FIX, shown="embedded"
    )
    embedded_postgres_bin: Path | None = _field(
        None,
        "Folder of the PostgreSQL programs the embedded server uses instead of the bundled ones",
        "give a folder that holds postgres and initdb, such as /usr/lib/postgresql/15/bin",
        shown="bundled",
    )

    intake_host: str = _field("127.0.0.1", "Address the callback intake listens on", "an address of this machine")
    intake_port: int = _field(
        8801, "Port the callback intake listens on", "a whole number from 1 to 65535", ge=1, le=65535
    )
    intake_body_limit: int = _field(
        262_144,
        "Largest callback body accepted, in bytes",
        "a whole number of bytes from 1024 to 16777216",
        ge=1024,
        le=16_777_216,
    )
    intake_trusted_proxies: Annotated[tuple[Network, ...], NoDecode] = _field(
        (),
        "Addresses or networks, comma separated, whose X-Forwarded-For header is believed",
        "addresses or networks such as 10.0.0.5, 192.168.1.0/24",
        shown="none",
    )
    public_url: str | None = _field(
        None,
        "Public HTTPS address of the callback intake, as providers call it",
        "an address such as https://pay.county.example, without a path of its own",
        shown="none",
        pattern=r"^https?://[A-Za-z0-9.:\[\]-]+/?$",
    )
    api_host: str = _field("127.0.0.1", "Address the API and console listen on", "an address of this machine")
    api_port: int = _field(8800, "Port the API and console listen on", "a whole number from 1 to 65535", ge=1, le=65535)
    desk_host: str = _field("127.0.0.1", "Address the desk listens on", "an address of this machine")
    desk_port: int = _field(8802, "Port the desk listens on", "a whole number from 1 to 65535", ge=1, le=65535)
    desk_url: str | None = _field(
        None,
        "Address at which browsers reach the desk, for the codes of papers",
        "an address such as https://desk.county.example, without a path of its own",
        shown="http, with its host and port",
        pattern=r"^https?://[A-Za-z0-9.:\[\]-]+/?$",
    )
    desk_https: bool = _field(
        False,
        "Whether browsers reach the desk by https, through a proxy of the county: true for live books",
        "true or false",
    )

    worker_threads: int = _field(2, "Threads of one worker process", "a whole number from 1 to 64", ge=1, le=64)
    worker_batch: int = _field(
        500, "Most deliveries recorded in one transaction", "a whole number from 1 to 10000", ge=1, le=10_000
    )
    job_lease_seconds: int = _field(
        60, "How long a claimed job is kept from other workers", "a whole number from 5 to 3600", ge=5, le=3600
    )
    job_max_attempts: int = _field(
        8, "Attempts before a job waits for a person", "a whole number from 1 to 100", ge=1, le=100
    )

    @field_validator("state_dir", "secrets_dir", "seal_dir", "tables_dir", "embedded_postgres_bin", "token_file")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser().resolve()

    @field_validator("secrets_dir", "seal_dir", "tables_dir")
    @classmethod
    def _existing(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_dir():
            raise ValueError("is not an existing folder")
        return value

    @field_validator("embedded_postgres_bin")
    @classmethod
    def _holds_postgres(cls, value: Path | None) -> Path | None:
        missing = [] if value is None else [name for name in ("postgres", "initdb") if not (value / name).is_file()]
        if missing:
            raise ValueError(f"holds no {' and no '.join(missing)}")
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("database_url", *(f"{role}_database_url" for role in ROLES))
    @classmethod
    def _postgres(cls, value: SecretStr | None) -> SecretStr | None:
        _check_url(value, ("postgresql",))
        return value

    @field_validator("redis_url")
    @classmethod
    def _redis(cls, value: SecretStr | None) -> SecretStr | None:
        _check_url(value, ("redis", "rediss", "unix"))
        return value

    @field_validator("intake_trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        networks = []
        for part in filter(None, (piece.strip() for piece in value.split(","))):
            try:
                networks.append(ipaddress.ip_network(part))
            except ValueError as error:
                raise ValueError(f"{part!r} is neither an address nor a network") from error
        return tuple(networks)

    def role_url(self, role: str) -> str | None:
        """The URL set for one of ``ROLES``, or None when that role shares the main one."""
        secret: SecretStr | None = getattr(self, f"{role}_database_url")
        return None if secret is None else secret.get_secret_value()


def _check_url(value: SecretStr | None, schemes: tuple[str, ...]) -> None:
    """Refuse a URL with another scheme or no name of a place; what is wrong is said without repeating the secret."""
    if value is None:
        return
    try:
        parts = urlsplit(value.get_secret_value())
        port = parts.port
    except ValueError as error:
        raise ValueError(
            "is not a URL that can be read (is its port a number, its password percent-encoded?)"
        ) from error
    if parts.scheme not in schemes:
        given = f"{parts.scheme}://" if parts.scheme and "://" in value.get_secret_value() else "no scheme"
        raise ValueError(f"starts with {given}, expected {' or '.join(f'{s}://' for s in schemes)}")
    if parts.scheme == "postgresql" and not parts.path.strip("/"):
        raise ValueError("names no database")
    if parts.scheme == "unix" and not parts.path.strip("/"):
        raise ValueError("names no socket")
    if parts.scheme in ("redis", "rediss") and not parts.hostname:
        raise ValueError("names no host")
    if port == 0:
        raise ValueError("names port 0")


def load_settings() -> Settings:
    """Read the settings from the environment.

    Raises ConfigurationError with every problem at once: the variable, what is wrong and the fix. The facts hold
    ``variables`` (the names) and ``problems`` (one sentence each).
    """
    try:
        return Settings()
    except ValidationError as error:
        problems = {
            f"{PREFIX}{str(e['loc'][0]).upper()}": _problem(e["loc"][0], e["type"], e["msg"]) for e in error.errors()
        }
    lines = [f"{variable} {problem}" for variable, problem in problems.items()]
    raise ConfigurationError("; ".join(lines), variables=list(problems), problems=lines)


def _problem(field: object, kind: str, message: str) -> str:
    """One problem in our words: pydantic's sentence, then the fix that stands beside the field; no pattern."""
    text = message.removeprefix("Value error, ")
    if kind == "string_pattern_mismatch":
        text = "is not written as it must be"
    extra = _extra(Settings.model_fields[str(field)])
    return f"{text[:1].lower()}{text[1:]} (fix: {extra['fix']})"


def _extra(info: FieldInfo) -> dict[str, Any]:
    return info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}


def sqlalchemy_url(url: str) -> str:
    """A ``postgresql://`` URL with the driver named, so that SQLAlchemy never guesses another one."""
    scheme, separator, rest = url.partition("://")
    return f"postgresql+psycopg://{rest}" if separator and scheme == "postgresql" else url


def near_misses(environ: Mapping[str, str]) -> list[str]:
    """Sentences for ``REVENUE_`` variables the engine does not know, with the closest one it does."""
    known = [f"{PREFIX}{name.upper()}" for name in Settings.model_fields]
    found = []
    for name in sorted(environ):
        upper = name.upper()
        if not upper.startswith(PREFIX) or upper.startswith(TEST_PREFIX) or upper in known:
            continue
        close = difflib.get_close_matches(upper, known, n=1, cutoff=0.75)
        hint = f"; did you mean {close[0]}?" if close else ""
        found.append(f"{name} is not a setting and is not read{hint}")
    return found


def settings_table() -> str:
    """The settings as a Markdown table: variable, default, meaning."""
    rows = ["| Variable | Default | Meaning | Value |", "|---|---|---|---|"]
    for name, info in Settings.model_fields.items():
        extra = _extra(info)
        default = extra.get("shown", info.default)
        rows.append(f"| `{PREFIX}{name.upper()}` | {default} | {info.description} | {extra['fix']} |")
    return "\n".join(rows) + "\n"


def settings_page() -> str:
    """The whole of ``docs/settings.md``."""
    return (
        "# Settings\n\n"
        "All settings are environment variables. None is needed for a first run. An empty variable counts as not set; "
        "`revenue-engine doctor` points out names it does not know.\n\n"
        f"{settings_table()}\n"
        "This page is written by `python -m revenue_engine.config > docs/settings.md`.\n"
    )


if __name__ == "__main__":
    print(settings_page(), end="")
