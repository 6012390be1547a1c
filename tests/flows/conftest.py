"""Every flow has a small county of its own on a real database."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import psycopg
import pytest

from revenue_engine import embedded
from revenue_engine.db import transaction
from revenue_engine.verification.verify import verify
from tests.conftest import Database, in_database
from tests.support.books import Books


@pytest.fixture
def books(testland: Database) -> Iterator[Books]:
    """A small county with open books, which must hold every invariant when the flow is over."""
    made = Books(testland.url)
    yield made
    with transaction(made.engine) as session:
        found = verify(session)
    made.close()
    assert [(invariant.name, failure) for invariant in found.invariants for failure in invariant.failures] == []


@pytest.fixture
def new_books(migrated: embedded.Servers, _testland: str) -> Iterator[Callable[[], AbstractContextManager[Books]]]:
    """Makes one fresh county after another, for a test that compares many."""
    numbers = itertools.count(1)
    over: list[str] = []  # dropped when the next one is made: its connections are gone by then

    @contextmanager
    def make() -> Iterator[Books]:
        name = f"many_{os.getpid()}_{next(numbers)}"
        with psycopg.connect(migrated.database_url, autocommit=True) as connection:
            while over:
                connection.execute(f"DROP DATABASE {over.pop()} WITH (FORCE)")
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {_testland} STRATEGY FILE_COPY")
            books = Books(in_database(migrated.database_url, name))
            try:
                yield books
            finally:
                books.close()
                over.append(name)

    yield make
    with psycopg.connect(migrated.database_url, autocommit=True) as connection:
        for old in over:
            connection.execute(f"DROP DATABASE {old} WITH (FORCE)")
