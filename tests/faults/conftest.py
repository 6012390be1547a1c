"""Books on a database of the session's servers, for the sabotages that need no process to be killed."""

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
