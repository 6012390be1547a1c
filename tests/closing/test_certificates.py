"""Certificates checked from their exports alone, by the one file that knows nothing of us."""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import rfc8785

from reconciliation.days import certificates, exporting, verify_certificate, witness
from reconciliation.days.certificates import Certificate
from revenue_engine import db, signed_notes
from revenue_engine.errors import Conflict, InvalidValue
from revenue_engine.periods import NAIROBI
from tests.conftest import TEMPLATE, in_database
from tests.support import closing
from tests.support.books import DAY, Books, reversal

DAYS = 6
VERIFIER = Path(verify_certificate.__file__)


@pytest.fixture(scope="module")
def month(migrated: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Books, Path, list[Certificate]]]:
    """Some days with bills, payments, late ones and a reversal, closed one after another and exported."""
    name = "t_certificates_month"
    with psycopg.connect(migrated.database_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}".encode())
    books = Books(in_database(migrated.database_url, name))
    folder = tmp_path_factory.mktemp("export")
    made = []
    for number in range(DAYS):
        day = DAY + timedelta(days=number)
        at = datetime(day.year, day.month, day.day, 10, 0, tzinfo=NAIROBI)
        bill = books.bill(500 + number, payer=books.payer(f"Payer {number}"))
        books.pay(500 + number, bill.pay_account_number, reference=f"UIM{number}000001", at=at)
        books.pay(40 + number, "NOBODY", reference=f"UIM{number}000002", at=at)
        if number == 3:  # a late item of the first day, and one taken back
            books.pay(70, "LATE", reference="UIM3000003", at=datetime(2026, 9, 15, 9, 0, tzinfo=NAIROBI))
            books.deliver(reversal("UIM2000002", 42, own="UIM3000004", at=at))
            books.work()
        made += closing.close(books, day)
    with db.transaction(books.as_role("report")) as session:
        for certificate in made:
            exporting.write(session, certificate.number, folder)
    yield books, folder, made
    books.close()
    with psycopg.connect(migrated.database_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def export(month: tuple[Books, Path, list[Certificate]], tmp_path: Path) -> Path:
    """A copy of the exports to spoil."""
    return Path(shutil.copytree(month[1], tmp_path / "export"))


def judged(export: Path, *certificates: str, **told: str) -> tuple[int, str]:
    """The exit code and the words of the verifier as a program of its own, without our package in reach."""
    names = certificates or tuple(sorted(path.name for path in export.glob("certificate-*.txt")))
    options = [part for name, value in told.items() for part in (f"--{name}", value)]
    done = subprocess.run(
        [
            sys.executable,
            "-P",
            str(VERIFIER),
            *(str(export / name) for name in names),
            "--export",
            str(export),
            *options,
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=export,
    )
    return done.returncode, done.stdout + done.stderr


def test_every_certificate_holds_by_its_export_alone(export: Path) -> None:
    code, said = judged(export)
    assert code == 0, said
    assert said.count("✓") == DAYS


def test_the_verifier_imports_nothing_of_ours() -> None:
    source = VERIFIER.read_text()
    assert "revenue_engine" not in [
        line.split()[1].split(".")[0] for line in source.splitlines() if "import" in line and line.split()
    ]
    assert not any(line.startswith(("from reconciliation", "import reconciliation")) for line in source.splitlines())


def test_late_items_are_in_the_day_that_took_them_and_the_sealed_day_stays(
    month: tuple[Books, Path, list[Certificate]],
) -> None:
    _, _, made = month
    assert made[3].body["sheet"]["figures"]["late"] == [{"of_day": "2026-09-15", "items": 1, "amount": "7000"}]
    assert made[0].body["sheet"]["figures"]["received"] == "54000"
    assert made[3].body["sheet"]["figures"]["received"] == str((503 + 43 + 70) * 100)


def cents(text: str, field: str) -> str:
    """The first amount of a field raised by one cent."""
    before, _, rest = text.partition(f'"{field}":"')
    assert rest, field
    digits, _, after = rest.partition('"')
    return f'{before}"{field}":"{int(digits) + 1}"{after}'


def row(table: str, field: str = "amount_minor") -> tuple[str, Any]:
    def spoil(text: str) -> str:
        lines = text.splitlines()
        place = next(i for i, line in enumerate(lines) if line.startswith(f'{{"table":"{table}",'))
        lines[place] = cents(lines[place], field)
        return "\n".join(lines) + "\n"

    return "rows-000002.jsonl", spoil


PLACES: dict[str, tuple[tuple[str, Any], str]] = {
    "a posting": (row("posting"), "posting "),
    "a payment": (row("payment"), "payment "),
    "a receipt": (row("receipt"), "receipt "),
    "an application": (row("application"), "application "),
    "evidence": (row("evidence"), "evidence "),
    "a bill": (row("invoice", "total_minor"), "invoice "),
    "a line of a bill": (row("invoice_line"), "invoice_line "),
    "an unreconciled item": (row("break_event"), "break_event "),
    "a figure of the certificate": (("certificate-000002.txt", lambda text: cents(text, "closing")), "signature"),
    "what was received": (("certificate-000002.txt", lambda text: cents(text, "received")), "signature"),
}


@pytest.mark.parametrize("place", PLACES)
def test_one_cent_in_each_of_ten_places_is_caught_and_named(export: Path, place: str) -> None:
    (name, spoil), named = PLACES[place]
    (export / name).write_text(spoil((export / name).read_text()))
    code, said = judged(export, "certificate-000002.txt")
    assert code == 1
    assert named in said
    assert "line" in said or named == "signature"


OTHER: dict[str, tuple[str, Any, str]] = {
    "a row left out": ("rows-000002.jsonl", lambda t: t.split("\n", 1)[1], "sealed and not there: 1"),
    "a row slipped in": ("rows-000002.jsonl", lambda t: t + t.splitlines()[0] + "\n", "not what was sealed: line"),
    "rows in another order": (
        "rows-000002.jsonl",
        lambda t: "\n".join(reversed(t.splitlines())) + "\n",
        "not in the order",
    ),
    "a blank in a row": ("rows-000002.jsonl", lambda t: t.replace(",", ", ", 1), "not what was sealed"),
    "the leaves changed with the rows": ("leaves-000002.txt", lambda t: t.replace("a", "b"), ""),
    "the count": ("certificate-000002.txt", lambda t: t.replace("\n", "\n1", 1), "signature"),
}


@pytest.mark.parametrize("what", OTHER)
def test_other_edits_of_an_export_are_caught(export: Path, what: str) -> None:
    name, spoil, named = OTHER[what]
    (export / name).write_text(spoil((export / name).read_text()))
    if name.startswith("leaves"):
        (file, edit), named = row("posting"), "it seals other rows"
        (export / file).write_text(edit((export / file).read_text()))
    code, said = judged(export, "certificate-000002.txt")
    assert code == 1
    assert named in said


def resigned(export: Path, change: Any, *, number: int = 2, key: signed_notes.SigningKey | None = None) -> None:
    """A certificate changed by whoever holds the key: body, sheet digest and first lines agree."""
    path = export / f"certificate-{number:06d}.txt"
    text, _ = signed_notes.verify(path.read_text(), [closing.key().public])
    lines = text.splitlines()
    body = json.loads(lines[3])
    line = change(body)
    if line is None:
        body["shown_sha256"] = hashlib.sha256(rfc8785.dumps(body["sheet"])).hexdigest()
        line = rfc8785.dumps(body).decode()
    lines[0], lines[3] = body["origin"], line
    path.write_text(signed_notes.sign("\n".join(lines) + "\n", [key or closing.key()]))


def put(*path: str, value: Any) -> Any:
    def change(body: dict[str, Any]) -> None:
        for name in path[:-1]:
            body = body[name]
        body[path[-1]] = value

    return change


CHANGED: dict[str, tuple[Any, str]] = {
    "a figure that the rows do not make": (put("sheet", "figures", "received", value="1"), "received: the rows make"),
    "a float": (lambda body: rfc8785.dumps(body).decode().replace('"number":2', '"number":2.0'), "money is a text"),
    "a key told twice": (
        lambda body: rfc8785.dumps(body).decode().replace('"number":2', '"number":2,"number":2'),
        "says something twice",
    ),
    "another spelling": (lambda body: json.dumps(body), "not spelled as RFC 8785"),
    "another chain": (put("origin", value="revenue-engine/testland/else"), "does not begin where certificate 1 ended"),
    "another certificate before it": (put("previous_sha256", value="0" * 64), "does not follow certificate 1"),
    "one person": (
        lambda body: body["prepared"].update(by=body["approved"]["by"]),
        "one person prepared and approved it",
    ),
    "another kind": (put("format", value="else"), "no certificate of this kind"),
}


@pytest.mark.parametrize("what", CHANGED)
def test_even_a_signed_certificate_says_what_its_rows_say(export: Path, what: str) -> None:
    change, named = CHANGED[what]
    resigned(export, change)
    code, said = judged(export, "certificate-000002.txt")
    assert code == 1
    assert named in said


def test_a_stranger_another_county_and_another_chain_are_refused_with_the_reason(export: Path, tmp_path: Path) -> None:
    trusted = tmp_path / "trusted.txt"
    trusted.write_text(closing.key().public.vkey + "\n")
    assert judged(export, "certificate-000002.txt", keys=str(trusted), county="testland")[0] == 0
    assert "not of busia" in judged(export, "certificate-000002.txt", county="busia")[1]
    assert "of another chain" in judged(export, "certificate-000002.txt", origin="revenue-engine/busia/x")[1]
    signed_notes.make_key(tmp_path / "stranger.pem", "stranger")
    resigned(export, lambda body: None, key=signed_notes.read_key(tmp_path / "stranger.pem"))
    code, said = judged(export, "certificate-000002.txt", keys=str(trusted))
    assert code == 1
    assert "stranger's" in said


def test_what_cannot_be_checked_is_said_and_the_exit_code_is_3(export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (export / "rows-000001.jsonl").unlink()
    (export / "certificate-000001.txt").unlink()
    code, said = judged(export, "certificate-000002.txt")
    assert code == 3
    assert "figures not checked" in said
    assert "chain not checked" in said


def test_without_a_library_openssl_checks_the_signature_and_without_both_it_says_so(
    export: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)

    def said(number: int) -> tuple[int, str]:
        code = verify_certificate.main([str(export / f"certificate-{number:06d}.txt"), "--export", str(export)])
        return code, capsys.readouterr().out

    if shutil.which("openssl"):  # whose old releases know no Ed25519, and say so
        code, words = said(1)
        assert (code, "NOT CHECKED" in words) in [(0, False), (3, True)]
        spoil = PLACES["what was received"][0][1]
        path = export / f"certificate-{DAYS:06d}.txt"
        path.write_text(spoil(path.read_text()))
        assert said(DAYS)[0] == 1
    monkeypatch.setenv("PATH", "")
    code, words = said(2)
    assert code == 3
    assert "SIGNATURE NOT CHECKED" in words


# --- the county's own reading, keys and witnesses --------------------------------------------------------------------


def test_the_body_is_the_same_bytes_by_the_database_by_the_library_and_by_the_verifier(
    month: tuple[Books, Path, list[Certificate]],
) -> None:
    books, _, made = month
    ((shown,),) = books.rows(
        "SELECT shown FROM close_sheet s JOIN close_approval a USING (preparation_id) WHERE number = 4"
    )
    sheet = made[3].body["sheet"]
    assert bytes(shown) == rfc8785.dumps(sheet) == verify_certificate.canonical(sheet)


def test_the_chain_and_the_horizons_meet(month: tuple[Books, Path, list[Certificate]]) -> None:
    _, _, made = month
    assert [one.number for one in made] == list(range(1, DAYS + 1))
    for before, after in itertools.pairwise(made):
        assert after.body["previous_sha256"] == before.sha256
        assert after.body["sheet"]["seal"]["since"] == before.body["sheet"]["seal"]["horizon"]


def test_no_name_phone_or_typed_word_is_in_an_export(month: tuple[Books, Path, list[Certificate]]) -> None:
    _, folder, _ = month
    exported = "".join(path.read_text() for path in folder.glob("rows-*.jsonl"))
    for word in ("Payer 1", "254700000101", "NOBODY", "LATE"):
        assert word not in exported, word


def test_the_root_is_that_of_rfc_6962(month: tuple[Books, Path, list[Certificate]]) -> None:
    books, _, _ = month

    def tree(leaves: list[bytes]) -> bytes:  # as the RFC writes it: split at the largest power of two below
        if len(leaves) < 2:
            return leaves[0] if leaves else hashlib.sha256(b"").digest()
        cut = 1 << (len(leaves) - 1).bit_length() - 1
        return hashlib.sha256(b"\x01" + tree(leaves[:cut]) + tree(leaves[cut:])).digest()

    for count in (*range(18), 100, 4097):
        leaves = [hashlib.sha256(b"\x00%d" % n).digest() for n in range(count)]
        ((root,),) = books.rows("SELECT merkle_root(%s)", b"".join(leaves))
        assert bytes(root) == tree(leaves) == verify_certificate.root_of(leaves), count


def test_a_new_key_is_vouched_for_by_the_old_one(books: Books, tmp_path: Path) -> None:
    # Given a second key beside the first: both sign, and the certificate names both
    public = signed_notes.make_key(tmp_path / "testland-2.pem", "testland-2")
    with db.transaction(books.engine) as session:
        certificates.publish(session, public)
    fresh = signed_notes.read_key(tmp_path / "testland-2.pem")
    closing.without_controls(books)
    sheet = closing.prepare(books, DAY)
    made = closing.approve(books, sheet, keys=[closing.key(), fresh])
    # Then whoever knows only the old key believes the certificate, and learns the new one from it
    assert certificates.read(made.note, [closing.key().public]).body["keys"] == [closing.key().public.vkey, public.vkey]
    assert certificates.read(made.note, [public]).number == 1


def test_a_witness_keeps_roots_outside_and_refuses_another_history(books: Books, tmp_path: Path) -> None:
    file = tmp_path / "roots.txt"
    closing.close(books, DAY)
    with db.transaction(books.as_role("report")) as session:
        (first,) = witness.keep(session, file)
        assert witness.keep(session, file) == []
    closing.close(books, DAY + timedelta(days=1))
    with db.transaction(books.as_role("report")) as session:
        (second,) = witness.keep(session, file)
    assert file.read_text().splitlines() == [first.line, second.line]
    file.write_text(first.line + "\n" + second.line.replace(second.note_sha256, "0" * 64) + "\n")
    with db.transaction(books.as_role("report")) as session, pytest.raises(Conflict, match="certificate 2 is not the"):
        witness.keep(session, file)
    file.write_text("else\n")
    with pytest.raises(InvalidValue, match="line 1"):
        witness.read(file)
