"""The database is what the mapped classes say, and what was agreed: every change of it is seen in a review."""

from __future__ import annotations

import difflib
from pathlib import Path

import migrations
from tests.conftest import Database
from tests.schema_dump import dump

GOLDEN = Path(__file__).parent / "golden" / "schema.txt"


def test_mapped_classes_and_migrations_agree(database: Database) -> None:
    migrations.check(database.url)


def test_migrating_twice_changes_nothing(database: Database) -> None:
    before = dump(database.url)
    migrations.upgrade(database.url)
    assert dump(database.url) == before


def test_the_schema_and_its_grants_are_the_agreed_ones(database: Database) -> None:
    agreed, found = GOLDEN.read_text(encoding="utf-8").splitlines(), dump(database.url).splitlines()
    difference = "\n".join(difflib.unified_diff(agreed, found, "agreed", "found", lineterm="", n=0))
    assert not difference, f"If the change is meant, write it down with `make golden`:\n{difference}"


def test_a_grant_given_in_error_would_be_seen(database: Database) -> None:
    before = dump(database.url)
    for error in (
        "GRANT UPDATE (amount_minor) ON payment TO revenue_api",
        "GRANT SELECT ON payer TO PUBLIC",
        "ALTER TABLE journal ENABLE TRIGGER refuse_change",
        "ALTER FUNCTION bill_opens() RESET search_path",
        "ALTER TABLE posting DROP CONSTRAINT ck_posting_amount",
    ):
        with database.connect() as connection:
            connection.execute(error)
        after = dump(database.url)
        assert after != before, error
        before = after
