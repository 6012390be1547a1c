"""A migrated database with persons in it, and engines of its roles."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Engine

from revenue_engine import db
from tests.conftest import Database

EngineOf = Callable[[str], Engine]


@pytest.fixture
def engine_of(database: Database) -> Iterator[EngineOf]:
    """Engines on the test's database, each with the login of its role."""
    made: list[Engine] = []

    def engine(role: str) -> Engine:
        made.append(db.make_engine(database.role_url(role), pool_size=2))
        return made[-1]

    yield engine
    for one in made:
        one.dispose()


@pytest.fixture
def api(engine_of: EngineOf) -> Engine:
    """The engine that persons come through."""
    return engine_of("api")
