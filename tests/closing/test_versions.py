"""Versions of set-up: one a change, whoever makes it, and one where a migration adds a column."""

from __future__ import annotations

from tests.support.books import Books


def faults(books: Books) -> list[str]:
    return [f"{table} {key}: {fault}" for table, key, fault in books.rows("SELECT * FROM version_differences()")]


def test_a_column_that_a_migration_adds_is_followed_and_an_edit_is_not_made_good(books: Books) -> None:
    assert faults(books) == []
    books.execute("ALTER TABLE stream ADD COLUMN colour text NOT NULL DEFAULT 'green'")
    assert {fault.split(": ", 1)[1] for fault in faults(books)} == {"it is not what its last version says: colour"}
    # Given a row that was edited behind the triggers meanwhile
    books.execute(
        "ALTER TABLE stream DISABLE TRIGGER ALL; UPDATE stream SET name = 'Else' WHERE code = 'SBP';"
        "ALTER TABLE stream ENABLE TRIGGER ALL; SELECT take_versions()"
    )
    # Then the versions of all others are taken anew, and the edit stays a finding
    assert faults(books) == ["public.stream SBP: it is not what its last version says: colour, name"]


def test_every_change_of_set_up_leaves_a_version(books: Books) -> None:
    kept = (
        "SELECT (content ->> 'confirm_limit_minor')::bigint FROM set_up_version WHERE table_name = 'public.county'"
        " ORDER BY id"
    )
    before = books.rows(kept)
    books.execute("UPDATE county SET confirm_limit_minor = 7")
    assert books.rows(kept) == [*before, (7,)]
    assert faults(books) == []
