"""The audit pack of a payment: the whole way of the money, each row under a signed root, and why where none is."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from reconciliation.days import packs, verify_certificate
from revenue_engine import db
from revenue_engine.errors import InvalidValue, NotAllowed, NotFound
from tests.closing.test_certificates import VERIFIER
from tests.closing.test_controls import stated
from tests.flows.test_statement_doubles import Move
from tests.support import closing, people
from tests.support.books import DAY, Books
from tests.support.people import Someone


def made(books: Books, name: str, file: Path, *, who: Someone | None = None, purpose: str = "audit") -> packs.Pack:
    with (who or books.treasurer).acts(), db.transaction(books.as_role("api")) as session:
        return packs.make(session, name, purpose=purpose, file=file, keys=[closing.key()])


@pytest.fixture
def paid(books: Books) -> Books:
    """A bill paid in full and stated, money in suspense, and the day closed."""
    bill = books.bill(800, payer=books.payer())
    books.pay(800, bill.pay_account_number, reference="UIPACK0001")
    books.pay(70, "NOBODY", reference="UIPACK0002")
    stated(
        books,
        Move("UIPACK0001", 800, kind="payment", typed=bill.pay_account_number),
        Move("UIPACK0002", 70, kind="payment", typed="NOBODY"),
    )
    closing.close(books, DAY, controls=True)
    return books


def judged(file: Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-P", str(VERIFIER), str(file)], capture_output=True, text=True, check=False, cwd=file.parent
    )
    return done.returncode, done.stdout + done.stderr


def test_a_pack_holds_the_whole_way_of_a_payment_and_is_checked_alone(paid: Books, tmp_path: Path) -> None:
    file = tmp_path / "pack.zip"
    pack = made(paid, "UIPACK0001", file)
    with zipfile.ZipFile(file) as archive:
        rows = archive.read("rows.jsonl").decode()
        assert sorted(archive.namelist()) == ["certificates/000001.txt", "keys.txt", "manifest.txt", "rows.jsonl"]
    for table in ("receipt", "invoice", "invoice_line", "payment", "application", "journal", "posting", "evidence",
                  "delivery", "statement_line", "statement", "payment_party"):  # fmt: skip
        assert f'"table":"{table}"' in rows, table
    assert pack.without == ["fund", "remittance", "tariff"]
    code, said = judged(file)
    assert code == 3  # what has no document is said
    assert "no tariff: no line of a bill names a line of the tariff" in said
    assert "✗" not in said
    assert "Achieng" not in rows
    assert "254700000101" not in rows


def test_money_without_a_bill_says_so_and_what_is_not_sealed_yet_says_so(paid: Books, tmp_path: Path) -> None:
    assert "bill" in made(paid, "UIPACK0002", tmp_path / "suspense.zip").without
    paid.pay(5, "X", reference="UIPACK0003")
    made(paid, "UIPACK0003", tmp_path / "fresh.zip")
    code, said = judged(tmp_path / "fresh.zip")
    assert code == 3
    assert "payment 3: it is not sealed yet" in said
    assert "no statement" in said


def spoiled(file: Path, to: Path, name: str, change: tuple[str, str]) -> Path:
    with zipfile.ZipFile(file) as archive, zipfile.ZipFile(to, "w") as out:
        for one in archive.namelist():
            text = archive.read(one).decode()
            if one == name:
                assert change[0] in text
                text = text.replace(*change, 1)
            out.writestr(one, text)
    return to


@pytest.mark.parametrize(
    ("name", "change", "named"),
    [
        ("rows.jsonl", ('"amount_minor":"80000"', '"amount_minor":"80001"'), "rows.jsonl"),
        ("manifest.txt", ("UIPACK0001", "UIPACK0009"), "signature"),
        ("certificates/000001.txt", ("testland", "busia"), "certificates/000001.txt"),
    ],
)
def test_a_changed_pack_is_refused(paid: Books, tmp_path: Path, name: str, change: tuple[str, str], named: str) -> None:
    file = tmp_path / "pack.zip"
    made(paid, "UIPACK0001", file)
    code, said = judged(spoiled(file, tmp_path / "spoiled.zip", name, change))
    assert code == 1
    assert named in said


def test_a_row_edited_before_the_pack_was_made_is_not_under_the_root(paid: Books, tmp_path: Path) -> None:
    paid.execute(
        "ALTER TABLE receipt DISABLE TRIGGER ALL; UPDATE receipt SET public_id = 'rct_else' WHERE payment_id = 1;"
        "ALTER TABLE receipt ENABLE TRIGGER ALL"
    )
    file = tmp_path / "pack.zip"
    made(paid, "UIPACK0001", file)
    code, said = judged(file)
    assert code == 1
    assert "receipt 1 is not under the root of certificate 1" in said


def test_packs_are_numbered_and_asked_for_by_who_may_export(paid: Books, tmp_path: Path) -> None:
    assert [made(paid, "UIPACK0001", tmp_path / f"{n}.zip").number for n in (1, 2)] == [1, 2]
    assert paid.rows("SELECT number, payment_id, purpose FROM audit_pack ORDER BY 1") == [
        (1, 1, "audit"),
        (2, 1, "audit"),
    ]
    with pytest.raises(NotAllowed, match="may not take reports out"):
        made(paid, "UIPACK0001", tmp_path / "x.zip", who=people.somebody(paid.url, "col", "collector"))
    with pytest.raises(NotFound):
        made(paid, "UINONE0001", tmp_path / "x.zip")
    with pytest.raises(InvalidValue, match="says what it is for"):
        made(paid, "UIPACK0001", tmp_path / "x.zip", purpose=" ")
    assert not (tmp_path / "x.zip").exists()


def test_paths_are_those_of_the_rfc_at_every_size() -> None:
    import hashlib

    for size in (1, 2, 3, 5, 8, 13, 100):
        leaves = [hashlib.sha256(b"\x00%d" % n).digest() for n in range(size)]
        root = verify_certificate.root_of(leaves)
        for place in range(size):
            path, told = packs._siblings(leaves, place)
            assert told == root == verify_certificate.under(leaves[place], place, size, path)
            assert verify_certificate.under(leaves[place], place ^ 1, size, path) != root or size == 1
