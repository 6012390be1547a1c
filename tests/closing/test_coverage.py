"""What the seal covers: every table that refuses change, or a reason why not."""

from __future__ import annotations

from tests.conftest import Database

UNSEALED = {
    "close_sheet": "its digest is in the approval, and its content in the certificate",
    "seal_source": "its digest is in every certificate",
    "seal_chunk": "it is the leaves themselves: they hash to the signed root",
    "certificate_chain": "its name is in every certificate",
    "ledger_tick": "it ties moments to horizons for questions about the past; no figure of money",
    "snapshot_run": "slices are recomputed from sealed postings",
    "balance_slice": "slices are recomputed from sealed postings",
    "derived_entry": "derived from sealed postings by sealed rules; the digest of each day is sealed",
    "derived_line": "derived from sealed postings by sealed rules; the digest of each day is sealed",
}
"""Tables that refuse change and that no line is of, and why."""


def test_every_table_that_refuses_change_is_sealed_or_says_why_not(database: Database) -> None:
    with database.connect() as connection:
        guarded = {
            name
            for (name,) in connection.execute(
                "SELECT DISTINCT tgrelid::regclass::text FROM pg_trigger WHERE tgname = 'refuse_change'"
            )
        }
        sealed = {
            relation.removeprefix("public.")
            for (relation,) in connection.execute("SELECT relation FROM seal_source WHERE format = seal_format()")
        }
    assert guarded - sealed - set(UNSEALED) == set(), "add them by seal_also() in a migration, or say why not"
    assert set(UNSEALED) & sealed == set()
    assert set(UNSEALED) <= guarded, "these are gone: take them off the list"


def test_a_line_knows_every_column_of_its_table_or_commits_to_it(database: Database) -> None:
    with database.connect() as connection:
        found = connection.execute(
            "SELECT s.name, a.attname FROM seal_source s JOIN pg_attribute a ON a.attrelid = s.relation::regclass"
            " WHERE s.format = seal_format() AND a.attnum > 0 AND NOT a.attisdropped"
            " AND a.attname NOT IN ('xid', 'salt')"
            " AND s.columns_sql !~ ('\\y' || a.attname || '\\y')"
        ).fetchall()
    assert set(found) == {
        ("audit_event", "content"),  # by its leaf
        *(
            ("access.request", name) for name in ("payload", "reason", "state", "shown")
        ),  # by the digest of what was shown
        ("access.request", "sub_county"),  # of the state that was shown
        ("certificate", "note"),  # by its digest
    }
