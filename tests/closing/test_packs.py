"""The audit pack of a payment: the whole way of the money, each row under a signed root, and why where none is."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciliation.days import packs, samples, verify_certificate
from revenue_engine import db, signed_notes
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


def drawn(books: Books, file: Path, **more: Any) -> samples.Sample:
    how = {"size": 1, "seed": "auditor 7", "purpose": "audit", "file": file, "keys": [closing.key()]} | more
    with books.treasurer.acts(), db.transaction(books.as_role("api")) as session:
        return samples.draw(session, DAY, DAY, **how)


def test_a_sample_is_drawn_by_the_auditors_seed_and_checked_alone(paid: Books, tmp_path: Path) -> None:
    file = tmp_path / "sample.zip"
    one = drawn(paid, file)
    assert (one.population, one.total_minor, len(one.drawn)) == (2, 87_000, 1)
    # Anybody draws the same with the seed
    ids = [row[0] for row in paid.rows("SELECT public_id FROM payment WHERE kind = 'payment'")]
    assert one.drawn == (min(ids, key=lambda each: hashlib.sha256(f"auditor 7\n{each}".encode()).digest()),)
    assert drawn(paid, tmp_path / "again.zip").drawn == one.drawn
    code, said = judged(file)
    assert (code, "✗" in said) == (3, False)  # what has no document is said
    # And both draws stand in the numbers, with what they were for
    assert paid.rows("SELECT number, purpose FROM audit_pack ORDER BY 1") == [(1, "audit"), (2, "audit")]
    whole = drawn(paid, tmp_path / "whole.zip", size=500, seed=None)
    assert (sorted(whole.drawn), len(whole.seed)) == (sorted(ids), 32)
    assert judged(tmp_path / "whole.zip")[0] == 3


def rewritten(file: Path, to: Path, change: Callable[[dict[str, bytes]], None], *, resign: bool) -> Path:
    """A sample changed by somebody, who has the county's key or has not."""
    with zipfile.ZipFile(file) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    if resign:
        text = files["manifest.txt"].decode().rpartition("\n\n")[0]
        head, body = text.rpartition("\n")[0], json.loads(text.rpartition("\n")[2])
        body["files"] = {n: hashlib.sha256(c).hexdigest() for n, c in files.items() if n in body["files"]}
        note = f"{head}\n{verify_certificate.canonical(body).decode()}\n"
        files["manifest.txt"] = signed_notes.sign(note, [closing.key()]).encode()
    with zipfile.ZipFile(to, "w") as out:
        for name, content in files.items():
            out.writestr(name, content)
    return to


def without_a_payment(files: dict[str, bytes]) -> None:
    files["population.txt"] = b"".join(files["population.txt"].splitlines(keepends=True)[:1])


def another_amount(files: dict[str, bytes]) -> None:
    files["population.txt"] = files["population.txt"].replace(b"80000", b"80001")


def another_seed(files: dict[str, bytes]) -> None:
    told = files["manifest.txt"]
    (mine,) = {line for line in files["population.txt"].decode().split() if f'"drawn":["{line}"]' in told.decode()}
    ids = [line.split()[0] for line in files["population.txt"].decode().splitlines()]
    (other,) = set(ids) - {mine}
    files["manifest.txt"] = told.replace(f'"drawn":["{mine}"]'.encode(), f'"drawn":["{other}"]'.encode())


def no_pack(files: dict[str, bytes]) -> None:
    files["packs/0001.zip"] = b""


def one_more_file(files: dict[str, bytes]) -> None:
    files["notes.txt"] = b"read me"


@pytest.mark.parametrize(
    ("change", "resign", "named"),
    [
        (another_amount, False, "population.txt"),
        (another_seed, False, "signature"),
        (one_more_file, False, "notes.txt"),
        (without_a_payment, True, "the population is not 2 payments of 87000 cents"),
        (another_amount, True, "the population is not 2 payments of 87000 cents"),
        (another_seed, True, "not those that the seed draws"),
        (no_pack, True, "the pack cannot be read"),
    ],
)
def test_a_changed_sample_is_refused_and_named(
    paid: Books, tmp_path: Path, change: Callable[[dict[str, bytes]], None], resign: bool, named: str
) -> None:
    drawn(paid, tmp_path / "sample.zip")
    code, said = judged(rewritten(tmp_path / "sample.zip", tmp_path / "changed.zip", change, resign=resign))
    assert code == 1
    assert named in said


def test_the_packs_of_a_bill_and_what_is_refused(paid: Books, tmp_path: Path) -> None:
    file = tmp_path / "bill.zip"
    ((number,),) = paid.rows("SELECT number FROM invoice")
    with paid.treasurer.acts(), db.transaction(paid.as_role("api")) as session:
        made = samples.of_bill(session, number, purpose="audit", file=file, keys=[closing.key()])
    assert (made.population, made.total_minor, made.seed) == (1, 80_000, "")
    assert judged(file)[0] == 3
    for more in ({"size": 0}, {"size": 501}, {"seed": " "}):
        with pytest.raises(InvalidValue):
            drawn(paid, file, **more)
    nobody = people.somebody(paid.url, "clerk.none", "clerk")
    with pytest.raises(NotAllowed), nobody.acts(), db.transaction(paid.as_role("api")) as session:
        samples.draw(session, DAY, DAY, size=1, seed="x", purpose="audit", file=file, keys=[closing.key()])
