"""A small county whose days are closed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import Database
from tests.flows.test_statement_doubles import Rows
from tests.support import closing
from tests.support.books import Books


@pytest.fixture
def books(testland: Database) -> Iterator[Books]:
    """A county with a paybill, open books, two officers and a published key."""
    made = Books(testland.url)
    made.readers["rows"] = Rows("rows")
    closing.second(made)
    closing.publish(made)
    yield made
    made.close()
