"""Every test here has books of its own on a real database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import Database
from tests.secondary_ledgers.shelf import Shelf


@pytest.fixture
def shelf(database: Database) -> Iterator[Shelf]:
    """A small county with open books, and secondary ledgers to come."""
    made = Shelf(database.url)
    yield made
    made.close()
