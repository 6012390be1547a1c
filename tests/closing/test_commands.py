"""Journey of a finance officer by commands: see what is open, mend it, prepare, let another approve, prove it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.closing.test_controls import stated
from tests.conftest import Database
from tests.flows.test_statement_doubles import Move
from tests.support import closing
from tests.support.books import Books
from tests.support.commands import command


def found(told: str) -> set[str]:
    """The invariants that do not hold."""
    return {one["name"] for one in json.loads(told)["invariants"] if one["failed"]}


@pytest.mark.timeout(250)
def test_a_day_is_closed_and_proved_by_commands(database: Database, books: Books, tmp_path: Path) -> None:
    seal = tmp_path / "seal"
    seal.mkdir()
    server = {
        "REVENUE_DATABASE_URL": database.url,
        "REVENUE_REDIS_URL": database.servers.redis_url,
        "REVENUE_SEAL_DIR": str(seal),
    }
    first = server | books.treasurer.signed_in(tmp_path)
    second = server | closing.second(books).signed_in(tmp_path)

    def ran(*words: str, env: dict[str, str] = first, code: int = 0) -> str:
        done = command(*words, env=env)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    assert ran("close", "key", "new", "testland-2026", "--json", env=server)
    # Given a payment of the day, whose statement is not in
    books.pay(800, books.bill(800).pay_account_number, reference="UIDAY00001")
    said = ran("close", "show", "2026-09-15", code=1)
    assert "no statement of the whole day is in and agreed" in said
    assert "statement import FILE" in said
    said = ran("close", "prepare", "2026-09-15", code=1)
    assert "Refused: 2026-09-15 is not closed: provider_statement" in said
    # When the statement is in, one prepares and another approves what was shown
    ((number,),) = books.rows("SELECT pay_account_number FROM invoice")
    stated(books, Move("UIDAY00001", 800, kind="payment", typed=number))
    shown = json.loads(ran("close", "prepare", "2026-09-15", "--json"))["sha256"]
    assert "you prepared this close" in ran("close", "approve", "2026-09-15", "--shown", shown, code=1)
    assert shown in ran("close", "approve", "2026-09-15", env=second, code=3)
    assert "not the beginning" in ran("close", "approve", "2026-09-15", "--shown", "0" * 16, env=second, code=1)
    made = json.loads(ran("close", "approve", "2026-09-15", "--shown", shown[:16], "--json", env=second))
    assert (made["certificate"], made["last_day"]) == (1, "2026-09-15")
    # Then anybody can check it, from the export alone and against a root that was kept outside
    folder, roots = tmp_path / "export", tmp_path / "roots.txt"
    ran("close", "export", "1", "--out", str(folder), env=server)
    assert made["root"] in ran("close", "witness", str(roots), env=server)
    said = ran("reconcile", "verify", str(folder / "certificate-000001.txt"), "--export", str(folder), env={})
    assert "✓ certificate-000001.txt" in said
    verify = ("ledger", "verify", "--witness", str(roots), "--json")
    assert found(ran(*verify, env=server, code=1)) == {"raw_deliveries_say_so"}  # the format is this suite's own
    roots.write_text(roots.read_text() + "2 2026-09-16 " + "ab" * 32 + " " + "cd" * 32 + "\n")
    assert found(ran(*verify, env=server, code=1)) == {"raw_deliveries_say_so", "witnessed_certificates"}
    assert "closed, certificate 1" in ran("close", "show", "2026-09-15", env=server)
    assert made["sha256"] in ran("close", "list", env=server)
    # And the auditor draws a sample, which the same verifier checks
    sample = ("close", "sample", "--purpose", "audit", "--out", str(tmp_path / "sample.zip"))
    assert "say --from and --to, or --bill" in ran(*sample, "--from", "2026-09-15", code=1)
    days = ("--from", "2026-09-15", "--to", "2026-09-15", "--size", "2", "--seed", "auditor 7")
    told = json.loads(ran(*sample, *days, "--json"))
    assert (len(told["drawn"]), told["seed"]) == (min(2, told["population"]), "auditor 7")
    ran("reconcile", "verify", str(tmp_path / "sample.zip"), env={}, code=3)
    assert "nothing was paid" in ran(*sample, "--from", "2026-01-01", "--to", "2026-01-02", code=1)
