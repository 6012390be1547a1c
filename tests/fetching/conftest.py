"""A county and its bank."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.sandbox import bank_drop
from adapters.sandbox.bank_drop import Address
from tests.conftest import Database
from tests.support.bank_drop import KEY_FILE, County
from tests.support.books import Books


@pytest.fixture
def county(database: Database, tmp_path: Path) -> Iterator[County]:
    """A county and an empty folder at its bank."""
    folder, home, secrets = tmp_path / "out", tmp_path / "bank", tmp_path / "secrets"
    folder.mkdir()
    bank_drop.make_keys(home, secrets, key_file=KEY_FILE)
    books = Books(database.url)
    yield County(database, books, folder, home, secrets)
    books.close()


@pytest.fixture
def served(county: County) -> Iterator[Address]:
    """The bank's SFTP, running."""
    with bank_drop.serving(county.home, county.folder) as address:
        yield address
