"""The migrated database is what the code maps and what the golden file says, to the last grant."""

from __future__ import annotations

import os

import migrations
from revenue_engine.verification.schema import SHIPPED as GOLDEN
from revenue_engine.verification.schema import dump
from tests.conftest import Database


def test_the_mapped_classes_and_the_migrated_database_agree(database: Database) -> None:
    migrations.check(database.url)


def test_migrating_twice_changes_nothing(database: Database) -> None:
    with database.connect() as connection:
        before = dump(connection)
    migrations.upgrade(database.url)
    with database.connect() as connection:
        assert dump(connection) == before


def test_the_schema_is_the_golden_one(database: Database) -> None:
    with database.connect() as connection:
        found = dump(connection)
    if os.environ.get("REVENUE_TEST_WRITE_GOLDEN"):
        GOLDEN.write_text(found, encoding="utf-8")
    golden = GOLDEN.read_text(encoding="utf-8").splitlines()
    gone = sorted(set(golden) - set(found.splitlines()))
    new = sorted(set(found.splitlines()) - set(golden))
    assert (gone, new) == ([], []), "the schema changed: run 'make golden' and read the difference"
