"""The composition root: settings, servers, engines by role, and the adapters that are installed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import structlog
from pydantic import ValidationError
from sqlalchemy import Engine

from revenue_engine import db, embedded, logs, periods
from revenue_engine.channels.accounts import Channel
from revenue_engine.channels.settings import read_secret
from revenue_engine.collection.polling import Clients
from revenue_engine.config import Settings, load_settings
from revenue_engine.embedded import Servers
from revenue_engine.errors import ConfigurationError, Rejected
from revenue_engine.ports.archives import ArchiveReader
from revenue_engine.ports.callbacks import CallbackAdapter
from revenue_engine.ports.drops import DropClient
from revenue_engine.ports.outbound import OutboundClient
from revenue_engine.ports.statements import StatementReader, TablesReader, pick

if TYPE_CHECKING:
    import httpx2

    from revenue_engine.statements.drops import Drop

GROUP = "revenue_engine.adapters"
OUTBOUND_GROUP = "revenue_engine.outbound"
"""Entry points of the functions that make outbound clients: ``client(settings, *, secret, http, clock)``."""

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 30.0
"""How long a provider may take to answer a request; longer is a time-out after sending."""
STATEMENTS = "revenue_engine.statements"
"""Entry points of the readers of statement files."""


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process, read once. Raises ConfigurationError."""
    return load_settings()


_other_books: str | None = None
"""The database of the same servers that this process uses in place of the county's own."""


def use_books(database: str) -> None:
    """Let this process use another database of its servers, such as the demo's. Called before anything connects."""
    global _other_books
    _other_books = database


def other_books() -> str | None:
    """The database that ``use_books`` chose."""
    return _other_books


@lru_cache(maxsize=4)
def servers(*, make: bool = False, bell: bool = False) -> Servers:
    """The servers of this process, re-attached to or started again.

    Books are made only with ``make`` and a bell beside somebody else's database only with ``bell``: a command that
    reads creates nothing. Raises ConfigurationError where there are no books.
    """
    found = embedded.ensure(settings(), make=make, bell=make or bell)
    if _other_books is None:
        return found
    urls = {role: embedded.in_database(url, _other_books) for role, url in found.role_urls.items()}
    return replace(found, database_url=embedded.in_database(found.database_url, _other_books), role_urls=urls)


@lru_cache(maxsize=8)
def engine(role: str, pool_size: int = 5) -> Engine:
    """An engine for a role: its own login where there is one, else the main URL with SET ROLE.

    ``migrate`` is the main URL itself.
    """
    found = servers()
    url = found.role_urls[role]
    return make_engine(url, role, shared=url == found.database_url, pool_size=pool_size)


def make_engine(url: str, role: str, *, shared: bool, pool_size: int = 5) -> Engine:
    """An engine on ``url`` for a role; ``shared`` says that the URL is not the role's own login."""
    return db.make_engine(url, role=role if shared and role != "migrate" else None, pool_size=pool_size)


@lru_cache(maxsize=1)
def adapters() -> dict[str, CallbackAdapter]:
    """Every installed adapter by name, found by its entry point. Raises ConfigurationError for a broken one."""
    found: dict[str, CallbackAdapter] = {}
    for point in entry_points(group=GROUP):
        adapter = point.load()
        if not isinstance(adapter, CallbackAdapter):
            raise ConfigurationError(
                f"the entry point {point.name!r} of {GROUP} is not a callback adapter: mend {point.value} or remove it",
                entry_point=point.name,
            )
        found[point.name] = adapter
    if not found:
        raise ConfigurationError(
            "no channel adapter is installed: install the package itself (pip install -e .), not only its dependencies"
        )
    return found


def outbound_client(
    adapter: str,
    settings: Mapping[str, Any],
    *,
    http: httpx2.Client | None = None,
    secrets_dir: Path | None = None,
    clock: Callable[[], datetime] = periods.now,
) -> OutboundClient:
    """The client that asks the provider of one channel account. Keep it: it keeps the access token.

    ``adapter`` and ``settings`` are those of the channel account's row. ``http`` defaults to one client of the whole
    process, ``secrets_dir`` to REVENUE_SECRETS_DIR, ``clock`` to the wall clock. Raises Rejected where the adapter
    cannot ask, ConfigurationError for settings that do not fit or say nothing about asking.
    """
    points = {point.name: point for point in entry_points(group=OUTBOUND_GROUP)}
    if adapter not in points:
        raise Rejected(f"the adapter {adapter!r} has no way to ask its provider", adapter=adapter)
    try:
        checked = adapters()[adapter].settings_model.model_validate(dict(settings))
    except ValidationError as error:
        wrong = sorted({".".join(str(part) for part in one["loc"]) for one in error.errors()})
        raise ConfigurationError(f"the settings of the channel account do not fit: {', '.join(wrong)}") from None
    made: OutboundClient = points[adapter].load()(
        checked, secret=lambda name: secret(name, folder=secrets_dir), http=http or http_client(), clock=clock
    )
    return made


def outbound_clients() -> Clients:
    """What finds the client of a channel account: None for one that cannot be asked, and the log says why once where
    the account is live.

    Clients are kept, with their access tokens, until the settings of their account change.
    """
    made: dict[int, tuple[dict[str, Any], OutboundClient | None]] = {}

    def client(channel: Channel) -> OutboundClient | None:
        known = made.get(channel.id)
        if known is not None and known[0] == channel.settings:
            return known[1]
        found: OutboundClient | None = None
        try:
            found = outbound_client(channel.adapter, channel.settings)
        except (Rejected, ConfigurationError) as error:
            log = structlog.get_logger("asking")
            say = log.info if channel.mode == "live" else log.debug  # nobody awaits answers about sample accounts
            say("cannot be asked", account=channel.identifier, why=error.message)
        made[channel.id] = (dict(channel.settings), found)
        return found

    return client


@lru_cache(maxsize=1)
def http_client() -> httpx2.Client:
    """The HTTP client of this process for asking providers: bounded waits, no redirects."""
    import httpx2

    return httpx2.Client(timeout=httpx2.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS), follow_redirects=False)


def secret(name: str, *, folder: Path | None = None) -> bytes:
    """The bytes of a secret file in ``folder`` (REVENUE_SECRETS_DIR when None), for asking providers."""
    return read_secret(name, where="asking", folder=folder or settings().secrets_dir)


def drop_client(drop: Drop, *, secrets_dir: Path | None = None) -> DropClient:
    """The client of one bank's drop. Its private key is read anew for each connection, from REVENUE_SECRETS_DIR."""
    from adapters.sftp import Sftp

    return Sftp(
        host=drop.host,
        port=drop.port,
        username=drop.username,
        host_keys=drop.host_keys,
        folder=drop.folder,
        key=lambda: read_secret(
            drop.key_file, where=f"key_file of the drop {drop.name}", folder=secrets_dir or settings().secrets_dir
        ),
    )


@lru_cache(maxsize=1)
def statement_readers() -> dict[str, StatementReader]:
    """Every installed reader of statement files by name. Raises ConfigurationError for a broken one."""
    found: dict[str, StatementReader] = {}
    for point in entry_points(group=STATEMENTS):
        reader = point.load()
        if not isinstance(reader, StatementReader):
            raise ConfigurationError(
                f"the entry point {point.name!r} of {STATEMENTS} is not a statement reader: mend {point.value} or"
                " remove it",
                entry_point=point.name,
            )
        own = settings().tables_dir
        found[point.name] = reader.beside(own) if own is not None and isinstance(reader, TablesReader) else reader
    if not found:
        raise ConfigurationError(
            "no statement reader is installed: install the package itself (pip install -e .), not only its dependencies"
        )
    return found | {ArchiveReader.name: ArchiveReader(dict(found))}


def statement_reader(stream: BinaryIO, filename: str) -> StatementReader:
    """The one installed reader that knows a seekable file. Raises StatementRefused."""
    return pick(statement_readers(), stream, filename)


def configure_logging(level: str) -> None:
    """One JSON line an event on standard error, times in UTC; libraries speak from warnings up."""
    logs.configure(level)


def seal_dir() -> Path:
    """The folder of the keys that sign certificates."""
    return settings().seal_dir or settings().state_dir / "seal"
