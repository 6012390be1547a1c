"""A superuser edits rows below the last horizon: every edit is found, and honest books raise no alarm.

``python -m tests.closing 200`` draws more than the suite does.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from reconciliation.days import certificates, witness
from revenue_engine import db, signed_notes
from revenue_engine.verification import seals
from revenue_engine.verification.verify import verify
from tests.closing import edits
from tests.conftest import TEMPLATE, in_database
from tests.ledger.test_tampers import READERS, broken, make, verified
from tests.support import closing
from tests.support.books import DAY, Books

SEED = int(os.environ.get("REVENUE_TEST_SEED", "20"))
DRAWN = int(os.environ.get("REVENUE_TEST_EDITS", "20"))


@pytest.fixture(scope="module")
def books(migrated: Any) -> Iterator[Books]:
    """The books of the tampers, with four more quiet days closed: five certificates."""
    name = f"t_superuser_{os.getpid()}"
    with psycopg.connect(migrated.database_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}".encode())
    made = Books(in_database(migrated.database_url, name))
    made.readers |= READERS
    make(made)
    closing.close(made, *(DAY + timedelta(days=n) for n in range(1, 5)))
    yield made
    made.close()
    with psycopg.connect(migrated.database_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def test_ten_clean_runs_raise_no_alarm(books: Books) -> None:
    for _ in range(10):
        assert broken(verified(books)) == {}


def named(books: Books, statements: list[str]) -> set[str] | None:
    """The invariants that name an edit; None where a rule of the table itself refuses such a row."""
    try:
        return set(broken(verified(books, *statements, reseal=True)))
    except (psycopg.errors.IntegrityError, psycopg.errors.DataError, psycopg.errors.GeneratedAlways):
        return None


def test_random_edits_below_the_horizon_are_all_found(books: Books) -> None:
    dice = random.Random(SEED)
    with psycopg.connect(books.url) as connection:
        rows = edits.sealed(connection)
        drawn = (edits.draw(connection, dice, rows) for _ in range(10 * DRAWN))
        told = ((one, named(books, one)) for one in drawn)
        tried = list(itertools.islice(((one, found) for one, found in told if found is not None), DRAWN))
    assert len(tried) == DRAWN
    assert [one for one, found in tried if "sealed_rows_stand" not in found] == [], f"seed {SEED}"


@pytest.mark.parametrize("name", edits.FAMILIES)
def test_what_an_enemy_would_choose_is_found(books: Books, name: str) -> None:
    found = broken(verified(books, *edits.FAMILIES[name], reseal=True))
    assert {"sealed_rows_stand", "certificates_chain"} & set(found), found


def test_words_that_are_erased_with_their_salt_leave_the_sealed_row_as_it_was(books: Books) -> None:
    erased = (
        "UPDATE payment_party SET name = '', msisdn = '', account_reference = '',"
        " salt = '00000000-0000-0000-0000-000000000000', commitment = {}"
    )
    kept = "sha256(uuid_send(salt) || convert_to(jsonb_build_array(name, msisdn, account_reference)::text, 'UTF8'))"
    assert "sealed_rows_stand" not in broken(verified(books, erased.format(kept)))
    assert "sealed_rows_stand" in broken(verified(books, erased.format("sha256('else')")))


def held_outside(books: Books, folder: Path) -> list[seals.Held]:
    """What a witness holds of the certificates, from before what a test does."""
    with db.transaction(books.as_role("report")) as session:
        witness.keep(session, folder / "roots.txt")
    return witness.held(folder / "roots.txt")


def against(books: Books, held: list[seals.Held]) -> dict[str, list[str]]:
    """What ``ledger verify`` finds of the seal alone, against a root held outside."""
    engine = db.make_engine(books.url, pool_size=0)
    with db.transaction(engine) as session:
        found = broken(verify(session, held=held))
    engine.dispose()
    return {name: words for name, words in found.items() if name in ("certificates_chain", "witnessed_certificates")}


def books_name(books: Books) -> str:
    """The database of some books."""
    ((name,),) = books.rows("SELECT current_database()")
    return str(name)


@pytest.fixture
def spoiled(books: Books, tmp_path: Path) -> Iterator[tuple[Books, list[seals.Held]]]:
    """A copy of the books to spoil, and what a witness held of them."""
    held = held_outside(books, tmp_path)
    source, name = books_name(books), f"{books_name(books)}_copy"
    for engine in books.engines:
        engine.dispose()
    with psycopg.connect(in_database(books.url, "postgres"), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {source}".encode())
    made = object.__new__(Books)
    made.url, made.engines, made.readers = in_database(books.url, name), [], dict(READERS)
    made.engine = made.as_role(None)
    yield made, held
    made.close()
    with psycopg.connect(in_database(books.url, "postgres"), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def past_the_guards(books: Books, *statements: tuple[str, tuple[Any, ...]] | str) -> None:
    """Do something in one transaction with the triggers of the tables of a close off, and on again as they were."""
    tables = ("certificate", "close_approval", "close_preparation", "close_horizon", "close_sheet", "seal_chunk")
    tables += ("closed_day", "seal_key")
    with psycopg.connect(books.url) as connection:
        on = connection.execute(
            "SELECT tgrelid::regclass::text, tgname FROM pg_trigger"
            " WHERE tgenabled = 'A' AND NOT tgisinternal AND tgrelid::regclass::text = ANY(%s)",
            (list(tables),),
        ).fetchall()
        for table in tables:
            connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER".encode())
        for statement in statements:
            text, values = (statement, None) if isinstance(statement, str) else statement
            connection.execute(text.encode(), values)
        for table, name in on:
            connection.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}".encode())


def last_removed(books: Books, count: int) -> None:
    """The last certificates taken away with everything that stands on them, as if those days were never closed."""
    past_the_guards(
        books,
        "DELETE FROM closed_day d USING close_approval a JOIN close_preparation p ON p.id = a.preparation_id"
        f" WHERE d.book_date BETWEEN p.first_day AND p.last_day AND a.number > 5 - {count}",
        *(
            f"DELETE FROM {table} t USING close_approval a WHERE a.preparation_id = t.preparation_id"
            f" AND a.number > 5 - {count}"
            for table in ("close_sheet", "close_horizon", "seal_chunk")
        ),
        "DELETE FROM close_preparation t USING close_approval a"
        f" WHERE a.preparation_id = t.id AND a.number > 5 - {count}",
        f"DELETE FROM certificate WHERE number > 5 - {count}",
        f"DELETE FROM close_approval WHERE number > 5 - {count}",
    )


def test_the_last_three_days_removed_are_found_against_a_root_held_outside(
    spoiled: tuple[Books, list[seals.Held]],
) -> None:
    books, held = spoiled
    last_removed(books, 3)
    assert against(books, []) == {}  # nothing in the database tells
    (words,) = against(books, held).values()
    assert words == [f"certificate {number}: was witnessed outside, and is gone" for number in (3, 4, 5)]


def test_a_database_rolled_back_to_an_older_backup_is_found_against_a_root_held_outside(
    spoiled: tuple[Books, list[seals.Held]], books: Books, tmp_path: Path
) -> None:
    older, held = spoiled
    later = [*held, held[-1]._replace(number=6, note_sha256="ab" * 32)]  # a day was closed and witnessed since the copy
    assert against(older, held) == {}
    found = against(older, later)
    assert found == {"witnessed_certificates": ["certificate 6: was witnessed outside, and is gone"]}


def test_certificate_and_key_replaced_are_found_against_a_root_held_outside(
    spoiled: tuple[Books, list[seals.Held]], tmp_path: Path
) -> None:
    books, held = spoiled
    public = signed_notes.make_key(tmp_path / "testland.pem", "testland")
    fresh = signed_notes.read_key(tmp_path / "testland.pem")
    forged: list[certificates.Certificate] = []
    for number in range(1, 6):
        ((old,),) = books.rows("SELECT note FROM certificate WHERE number = %s", number)
        facts = certificates.read(old, [closing.key().public]).body
        facts |= {"keys": [public.vkey], "previous_sha256": forged[-1].sha256 if forged else None}
        forged.append(certificates.make(facts, [fresh]))
    change = "UPDATE certificate SET note = %s, note_sha256 = %s WHERE number = %s"
    past_the_guards(
        books,
        f"UPDATE seal_key SET vkey = '{public.vkey}'",
        *((change, (made.note, bytes.fromhex(made.sha256), made.number)) for made in forged),
    )
    assert against(books, []) == {}  # a whole chain of its own, signed by a key of its own
    assert len(against(books, held)["witnessed_certificates"]) == 5
