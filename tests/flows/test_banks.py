"""Bank notices through the pipeline: money without a time, a doubt told twice, a key mended, test beside live books."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from adapters.kcb import adapter as kcb
from adapters.kcb import rehearsals
from adapters.signed_json import coop
from revenue_engine import db
from revenue_engine.county import loading
from revenue_engine.ports.callbacks import Rehearsal
from revenue_engine.work import jobs
from revenue_engine.worker import Worker
from tests.support.books import Books

ACCOUNT = "1100100"
FIXTURES = Path(__file__).parents[1] / "adapters"


def add(books: Books, adapter: Any, identifier: str, settings: Any, *, mode: str = "live") -> int:
    """A bank account of the county; its id."""
    with db.transaction(books.engine) as session:
        return loading.add_channel_account(
            session, adapter=adapter.name, identifier=identifier, mode=mode, name="Bank", settings=dict(settings)
        ).id


def work(books: Books, *, secrets_dir: Path | None = None) -> None:
    worker = Worker(books.as_role("worker"), {"kcb": kcb, "coop": coop}, secrets_dir=secrets_dir)
    worker.drain()


def breaks(books: Books) -> list[tuple[str, str]]:
    return books.rows("SELECT reason, detail FROM break_case WHERE closed_at IS NULL ORDER BY id")


def test_a_time_nobody_can_read_stops_no_payment(books: Books) -> None:
    bill = books.bill(1500)
    account = add(books, kcb, ACCOUNT, rehearsals.rehearse(ACCOUNT).settings)
    body = rehearsals.account_notice(ACCOUNT, bill=bill.pay_account_number, timestamp="2026111103005")
    received = datetime(2026, 9, 15, 9, 30, tzinfo=UTC)
    ids = books.deliver(("confirmation", body), received_at=received, account=account)
    ids += books.deliver(("confirmation", body), received_at=received + timedelta(hours=2), account=account)
    work(books)
    assert books.left(bill) == 0
    assert books.states(ids) == ["posted", "evidence"]
    assert books.rows("SELECT occurred_at FROM payment") == [(received,)]
    ((reason, detail),) = breaks(books)  # one, however often the bank says it
    assert reason == "clock_differs"
    assert "timestamp (text of 13 characters)" in detail


def test_receipts_that_differ_are_flagged_beside_the_posting(books: Books) -> None:
    account = add(books, coop, "01120000000100", coop.rehearse("01120000000100").settings)
    body = (FIXTURES / "signed_json" / "coop" / "account_receipts_differ.json").read_bytes()
    ids = books.deliver(("confirmation", body), account=account)
    work(books)
    assert books.states(ids) == ["posted"]
    assert ("duplicate_code", "its copies of the mobile receipt differ: UIF0000012, UIF0000013") in breaks(books)


def _refused(books: Books, account: int, rehearsal: Rehearsal) -> int:
    """A delivery that the intake refused, kept with the header of its proof."""
    sent = rehearsal.sign(rehearsal.example)
    with psycopg.connect(books.url) as connection:
        row = connection.execute(
            "INSERT INTO delivery (channel_account_id, endpoint_id, purpose, peer, headers, body, body_length, verdict,"
            " verdict_reason) VALUES (%s, 1, 'confirmation', '127.0.0.1', %s, %s, %s, 'refused', 'the header')"
            " RETURNING id",
            (account, Jsonb(dict(sent.headers)), sent.body, len(sent.body)),
        ).fetchone()
    assert row is not None
    return int(row[0])


def test_a_delivery_refused_for_a_missing_key_is_good_once_the_key_is_there(books: Books, tmp_path: Path) -> None:
    """The signature was kept with the delivery, and the new key comes from a file: no restart, no second call."""
    bank, stale = rehearsals.rehearse(ACCOUNT), rehearsals.rehearse(ACCOUNT)
    key = tmp_path / "kcb.pem"
    key.write_text(stale.settings["public_keys"][0])
    account = add(books, kcb, ACCOUNT, {"account": ACCOUNT, "public_keys": ["file:kcb.pem"]})
    delivery = _refused(books, account, bank)
    work(books, secrets_dir=tmp_path)
    assert books.states([delivery]) == ["waiting"]
    assert books.open_breaks() == ["proof_failed"]
    key.write_text(bank.settings["public_keys"][0])
    with db.transaction(books.engine) as session:
        jobs.replay(session, kind="interpret", ref_id=delivery)
    work(books)  # a worker that has no folder of secrets proves nothing
    assert books.states([delivery]) == ["waiting"]
    with db.transaction(books.engine) as session:
        jobs.replay(session, kind="interpret", ref_id=delivery)
    work(books, secrets_dir=tmp_path)
    assert books.states([delivery]) == ["posted"]
    assert "proof_failed" not in books.open_breaks()


def test_a_test_account_never_touches_live_books(books: Books) -> None:
    bill = books.bill(1500)
    account = add(books, kcb, ACCOUNT, rehearsals.rehearse(ACCOUNT).settings, mode="test")
    body = rehearsals.account_notice(ACCOUNT, bill=bill.pay_account_number)
    ids = books.deliver(("confirmation", body), account=account)
    work(books)
    assert books.states(ids) == ["ignored"]
    assert books.left(bill) == 1500
    assert books.rows("SELECT count(*) FROM payment") == [(0,)]
