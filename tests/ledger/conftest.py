"""Every test of the ledger has books of its own on a real database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import Database
from tests.support.books import Books


@pytest.fixture
def books(testland: Database) -> Iterator[Books]:
    """A small county with open books."""
    made = Books(testland.url)
    yield made
    made.close()
