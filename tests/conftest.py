"""Real servers for the suite: one PostgreSQL and one Valkey a session, one fresh database a test.

``REVENUE_TEST_DATABASE_URL`` runs the suite on a PostgreSQL that exists already (a superuser's URL);
``REVENUE_TEST_POSTGRES_BIN`` runs it on another release's programs, such as /usr/lib/postgresql/15/bin.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

from revenue_engine import embedded
from revenue_engine.config import PREFIX, TEST_PREFIX, Settings

# The desk in a real browser is ``make browser``'s, which installs what it needs; nothing else here may need it.
collect_ignore = [] if importlib.util.find_spec("playwright") else ["browser"]

TEMPLATE = f"revenue_template_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
_numbers = itertools.count(1)

# The suite states its own settings; what the shell happens to hold must not steer it.
for _name in [name for name in os.environ if name.startswith(PREFIX) and not name.startswith(TEST_PREFIX)]:
    del os.environ[_name]

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # each process of the suite would compile the whole program again
os.environ.pop("COLUMNS", None)  # a runner that says how wide it is would fold what commands print


def in_database(url: str, name: str) -> str:
    """The same server's URL for another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


@dataclass(frozen=True)
class Database:
    """One test's database. ``url`` is a superuser's; ``role_url`` is what the process of a role would use."""

    url: str
    name: str
    servers: embedded.Servers

    def role_url(self, role: str) -> str:
        """The URL of a role's own login, or of the superuser that takes the role at connect."""
        own = self.servers.role_urls.get(role, self.servers.database_url)
        if own != self.servers.database_url:
            return in_database(own, self.name)
        return f"{self.url}{'&' if '?' in self.url else '?'}options=-c%20role%3Drevenue_{role}"

    def connect(self, role: str | None = None) -> psycopg.Connection[Any]:
        """A connection as the superuser, or after SET ROLE to a capability role."""
        connection = psycopg.connect(self.url)
        if role is not None:
            connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(f"revenue_{role}")))
            connection.commit()
        return connection


def in_memory() -> str | None:
    """A file system in memory with room to spare, for the servers of the suite; None where there is none.

    The servers keep every setting they have, and a flush costs nothing.
    """
    memory = Path("/dev/shm")
    if memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 4 << 30:
        return str(memory)
    return None


@pytest.fixture(scope="session")
def settings() -> Iterator[Settings]:
    """Settings of the session's servers, whose state directory is removed with them."""
    folder = Path(tempfile.mkdtemp(prefix="revenue-tests-", dir=in_memory()))
    url, programs = os.environ.get(f"{TEST_PREFIX}DATABASE_URL"), os.environ.get(f"{TEST_PREFIX}POSTGRES_BIN")
    made = Settings.model_validate(
        {"state_dir": folder, "database_url": url or None, "embedded_postgres_bin": programs or None}
    )
    yield made
    embedded.stop(made)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def servers(settings: Settings) -> embedded.Servers:
    """The session's servers."""
    return embedded.ensure(settings)


@pytest.fixture(scope="session")
def migrated(servers: embedded.Servers) -> Iterator[embedded.Servers]:
    """The servers with a migrated template database and the logins of the roles."""
    from migrations import upgrade

    with psycopg.connect(servers.database_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {TEMPLATE} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {TEMPLATE}")
    upgrade(in_database(servers.database_url, TEMPLATE))
    yield embedded.create_logins(servers)
    with psycopg.connect(servers.database_url, autocommit=True) as connection:
        _drop(connection)
        connection.execute(f"DROP DATABASE {TEMPLATE} WITH (FORCE)")


@pytest.fixture(scope="session")
def migrated_url(migrated: embedded.Servers) -> str:
    """The URL of the template itself, for tests that only call functions that write nothing."""
    return in_database(migrated.database_url, TEMPLATE)


_left: list[str] = []
"""Databases whose tests are over. Each is dropped one test later: a server that drops a database at once waits a tenth
of a second for the connections that are still going."""


def _drop(connection: psycopg.Connection[Any]) -> None:
    while _left:
        connection.execute(f"DROP DATABASE {_left.pop()} WITH (FORCE)")


@contextmanager
def fresh(migrated: embedded.Servers, template: str = TEMPLATE) -> Iterator[Database]:
    """A fresh migrated database, dropped when the next one is made, with whoever is still connected."""
    name = f"t_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(migrated.database_url, autocommit=True) as connection:
        _drop(connection)
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        try:
            yield Database(in_database(migrated.database_url, name), name, migrated)
        finally:
            _left.append(name)


@pytest.fixture
def database(migrated: embedded.Servers, request: pytest.FixtureRequest) -> Iterator[Database]:
    """A fresh migrated database of one test."""
    template = request.getfixturevalue("_testland") if "testland" in request.fixturenames else TEMPLATE
    with fresh(migrated, template) as made:
        yield made


@pytest.fixture(scope="session")
def _testland(migrated: embedded.Servers) -> Iterator[str]:
    from tests.support import books

    name = f"{TEMPLATE}_testland"
    with psycopg.connect(migrated.database_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY FILE_COPY")
        books.county(in_database(migrated.database_url, name), "testland")
        yield name
        _drop(connection)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def testland(database: Database) -> Database:
    """The database of the test, copied from one that has the county of ``Books``, loaded as ``init`` does it."""
    return database


@pytest.fixture(scope="module")
def shared_database(migrated: embedded.Servers) -> Iterator[Database]:
    """A fresh migrated database of one file of tests, which build on each other or only read."""
    with fresh(migrated) as made:
        yield made
