"""The composition root: settings, servers, engines by role, and the adapters that are installed."""

from __future__ import annotations

import logging
import sys
from functools import lru_cache
from importlib.metadata import entry_points
from typing import BinaryIO

import structlog
from sqlalchemy import Engine

from revenue_engine import db, embedded
from revenue_engine.channels import CallbackAdapter
from revenue_engine.config import Settings, load_settings
from revenue_engine.embedded import Servers
from revenue_engine.errors import ConfigurationError
from revenue_engine.statements import StatementFault, StatementReader, StatementRefused, WholeFileReader

GROUP = "revenue_engine.adapters"
STATEMENTS = "revenue_engine.statements"
_HEAD = 64 * 1024
"""Bytes that a reader of statements is shown of a file."""


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process, read once. Raises ConfigurationError."""
    return load_settings()


@lru_cache(maxsize=1)
def servers() -> Servers:
    """The servers of this process, started or re-attached to."""
    return embedded.ensure(settings())


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
        found[point.name] = reader
    if not found:
        raise ConfigurationError(
            "no statement reader is installed: install the package itself (pip install -e .), not only its dependencies"
        )
    return found


def statement_reader(stream: BinaryIO, filename: str) -> StatementReader:
    """The one reader that knows a seekable file; the stream stands at its beginning again.

    Raises StatementRefused when no reader or more than one knows it, and with the nearest reader's own reason when
    one knew the kind of file and may not read it.
    """
    readers = statement_readers()
    stream.seek(0)
    head = stream.read(_HEAD)
    if not head.strip():
        raise StatementRefused(StatementFault.EMPTY, "the file is empty. Download it anew")
    knowing: list[str] = []
    refusals: list[StatementRefused] = []
    for name, reader in sorted(readers.items()):
        try:
            if isinstance(reader, WholeFileReader):
                known = reader.recognises(stream, filename)
            else:
                known = reader.sniff(head, filename)
        except StatementRefused as refused:
            refusals.append(refused)
            continue
        if known:
            knowing.append(name)
    stream.seek(0)
    if len(knowing) == 1:
        return readers[knowing[0]]
    if knowing:
        raise StatementRefused(
            StatementFault.NOT_A_STATEMENT, f"the file could be read as {' and as '.join(knowing)}: name which it is"
        )
    if refusals:
        raise refusals[0]
    looked = [one.looks_for if isinstance(one, WholeFileReader) else name for name, one in sorted(readers.items())]
    raise StatementRefused(StatementFault.NOT_A_STATEMENT, f"no reader knows the file; looked for: {'; '.join(looked)}")


def configure_logging(level: str) -> None:
    """One JSON line an event on standard error, times in UTC; libraries speak from warnings up."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(message)s")
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
