"""In a copy of the database, past every guard: what was done to a book is found, with the rule and the day."""

from __future__ import annotations

from datetime import date
from typing import Any, LiteralString, cast

import psycopg
import pytest

from tests.secondary_ledgers.shelf import Shelf, nothing, share
from tests.support.books import DAY

NEXT = date(2026, 9, 16)


@pytest.fixture
def proved(shelf: Shelf) -> Shelf:
    """A book of three days, two rules and a taking back, which holds."""
    shelf.open("ict", share("levy", "SBP", 250, 100), share("rent", "RENT", 1000), nothing())
    for number in range(6):
        shelf.receipt(10_000 + number, payment=number, day=DAY)
        shelf.receipt(10_000 + number, payment=number + 10, stream="RENT", day=NEXT)
    shelf.back(10_003, payment=3, day=NEXT)
    shelf.derive()
    assert shelf.prove().holds
    return shelf


def past_every_guard(shelf: Shelf, *statements: str) -> None:
    """Do something as the superuser with every trigger off, as somebody with the files of a copy could."""
    with psycopg.connect(shelf.url) as connection:
        connection.execute("SET LOCAL session_replication_role = replica")
        for table, name in connection.execute(
            "SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE tgenabled = 'A' AND NOT tgisinternal"
        ).fetchall():
            connection.execute(cast("LiteralString", f"ALTER TABLE {table} DISABLE TRIGGER {name}"))
        for statement in statements:
            assert connection.execute(cast("LiteralString", statement)).rowcount != 0, statement


WHERE = "book_code = 'ict' AND journal_id = (SELECT min(journal_id) FROM derived_entry)"
COPY_ENTRY = (
    "INSERT INTO derived_entry SELECT book_code, journal_id, seq, turn + {n}, journal_id, seq, version_id, 1,"
    f" book_date, sign, source_minor, thirtieth, xid FROM derived_entry WHERE {WHERE} AND turn = 0"
)
COPY_LINES = (
    "INSERT INTO derived_line SELECT book_code, journal_id, seq, turn + {n}, leg, book_date, debit, credit,"
    f" amount_minor, fund_class FROM derived_line WHERE {WHERE} AND turn = 0"
)
TAMPERS: dict[str, tuple[list[str], str, str, date]] = {
    "a rule edited": (
        ["UPDATE book_rule_leg SET parts = 300 WHERE version_id = 1 AND leg = 1"],
        "rule_changed",
        "levy",
        date(2026, 7, 1),
    ),
    "a rule's stream edited": (
        ["UPDATE book_rule_version SET basis_of_law = 'Finance Act' WHERE rule_code = 'rent'"],
        "rule_changed",
        "rent",
        date(2026, 7, 1),
    ),
    "a line deleted": ([f"DELETE FROM derived_line WHERE {WHERE} AND leg = 1"], "missing", "levy", DAY),
    "an entry deleted with its lines": (
        [
            "DELETE FROM derived_line WHERE journal_id = (SELECT max(journal_id) FROM derived_entry WHERE sign = 1)",
            "DELETE FROM derived_entry WHERE journal_id = (SELECT max(journal_id) FROM derived_entry WHERE sign = 1)",
        ],
        "missing",
        "rent",
        NEXT,
    ),
    "doubled twice": (
        [statement.format(n=n) for n in (2, 4) for statement in (COPY_ENTRY, COPY_LINES)],
        "posted_twice",
        "levy",
        DAY,
    ),
    "a line doubled twice without the key": (
        ["ALTER TABLE derived_line DROP CONSTRAINT pk_derived_line"]
        + [f"INSERT INTO derived_line SELECT * FROM derived_line WHERE {WHERE} AND leg = 1"] * 2,
        "posted_twice",
        "levy",
        DAY,
    ),
    "moved to another day": (
        [
            f"UPDATE derived_entry SET book_date = '2026-09-17' WHERE {WHERE}",
            f"UPDATE derived_line SET book_date = '2026-09-17' WHERE {WHERE}",
        ],
        "wrong_day",
        "levy",
        DAY,
    ),
    "two lines exchanged": (
        [f"UPDATE derived_line SET amount_minor = amount_minor + CASE leg WHEN 1 THEN 10 ELSE -10 END WHERE {WHERE}"],
        "wrong_line",
        "levy",
        DAY,
    ),
    "another fund class": (
        [f"UPDATE derived_line SET fund_class = 'earmarked' WHERE {WHERE} AND leg = 1"],
        "wrong_line",
        "levy",
        DAY,
    ),
    "another account": ([f"UPDATE derived_line SET credit = '42' WHERE {WHERE}"], "wrong_line", "levy", DAY),
    "a source deleted": (
        [
            "DELETE FROM posting WHERE journal_id = (SELECT min(journal_id) FROM derived_entry)",
            "DELETE FROM journal WHERE id = (SELECT min(journal_id) FROM derived_entry)",
        ],
        "source_gone",
        "levy",
        DAY,
    ),
    "a source lowered": (
        ["UPDATE posting SET amount_minor = 5000 WHERE payment_id = 2"],
        "wrong_line",
        "levy",
        DAY,
    ),
    "an entry of another rule": (
        [f"UPDATE derived_entry SET version_id = 2 WHERE {WHERE}"],
        "wrong_rule",
        "levy",
        DAY,
    ),
    "what a run said": (
        ["UPDATE book_digest SET first_sum = first_sum + 1 WHERE book_date = '2026-09-16' AND version_id = 2"],
        "not_marked",
        "rent",
        NEXT,
    ),
}


@pytest.mark.parametrize("name", TAMPERS)
def test_a_tamper_is_found_with_its_rule_and_day(proved: Shelf, name: str) -> None:
    statements, kind, rule, day = TAMPERS[name]
    past_every_guard(proved, *statements)
    found = proved.prove()
    assert not found.holds
    assert (kind, rule, day) in {(one.kind, one.rule, one.day) for one in found.discrepancies}, found.discrepancies
    assert found.found < 20, "what was not touched is not named"


def test_an_entry_of_no_run_and_a_line_of_no_entry_are_named(proved: Shelf) -> None:
    past_every_guard(
        proved,
        f"UPDATE derived_entry SET xid = '3' WHERE {WHERE}",
        "DELETE FROM derived_entry WHERE journal_id = (SELECT max(journal_id) FROM derived_entry WHERE sign = 1)",
    )
    kinds = [one.what for one in proved.prove().discrepancies if one.kind == "half_finished"]
    assert kinds == ["1 lines have no entry", "1 entries are of no run"]


def test_a_rule_deleted_is_a_hole_that_the_proof_names(proved: Shelf) -> None:
    past_every_guard(
        proved,
        "DELETE FROM book_rule_leg WHERE version_id = 2",
        "DELETE FROM book_rule_version WHERE id = 2",
    )
    # The catch-all says that rent is not the book's: what stands of it is expected no more
    found = proved.prove()
    assert {one.kind for one in found.discrepancies} == {"not_expected"}
    past_every_guard(proved, "DELETE FROM book_rule_version WHERE kind = 'nothing' AND event = 'receipt'")
    assert [one.kind for one in proved.prove().discrepancies] == ["mapping"]


def test_a_thirtieth_finds_what_lies_in_it(proved: Shelf) -> None:
    past_every_guard(proved, f"UPDATE derived_line SET credit = '42' WHERE {WHERE}")
    ((part,),) = proved.rows(f"SELECT DISTINCT thirtieth FROM derived_entry WHERE {WHERE}")
    assert [n for n in range(30) if not proved.prove(thirtieth=n).holds] == [part]


def test_a_figure_names_its_postings_and_its_rules_version(proved: Shelf) -> None:
    from revenue_engine.db import transaction
    from revenue_engine.secondary_ledgers import books

    with transaction(proved.as_role("report")) as session:
        found = books.cell(session, "ict", account="11", first=DAY, last=DAY)
    assert len(found) == 6
    assert {(one.rule_code, one.version, one.source_credit) for one in found} == {("levy", 1, "1300.SBP")}
    assert sum(one.sign * one.amount_minor for one in found) == sum(
        minor for day, debit, _, minor, _ in proved.lines() if (day, debit) == (DAY, "11")
    )


def refused(shelf: Shelf, statement: str, *values: Any, role: str = "worker") -> str:
    """What the database says to a statement of a role."""
    with psycopg.connect(shelf.url) as connection:
        connection.execute(cast("LiteralString", f"SET ROLE revenue_{role}"))
        with pytest.raises(psycopg.Error) as caught:
            connection.execute(cast("LiteralString", statement), values or None)
    return str(caught.value).splitlines()[0]
