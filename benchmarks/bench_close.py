"""Seconds to close a day of 5,000 and of 50,000 payments with a past before it, and rows a second sealed and verified.

The past is filled by set-based SQL and sealed by the first close; the days that are measured are recorded by a worker.
Two persons close each day; the provider's statement is a row, for what is measured is the close and not the import.
"""

from __future__ import annotations

import os
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from benchmarks import bench_post, post_world
from benchmarks.post_world import DAY, World
from reconciliation.days import certificates, closing
from reconciliation.days.certificates import Certificate
from revenue_engine import db, ledger, signed_notes
from revenue_engine.signed_notes import SigningKey
from revenue_engine.verification import seals
from revenue_engine.verification.invariants import examine
from tests.support import people

GOALS = {5_000: 10, 50_000: 60}
BATCH = 500


def run(
    *, past: int = 1_000_000, days: tuple[int, ...] = (5_000, 50_000), database_url: str | None = None
) -> dict[str, Any]:
    """Measure; seconds of preparing and approving each day, rows sealed, and rows a second."""
    server = database_url or os.environ.get("BENCH_DATABASE_URL") or bench_post._default_url()
    result: dict[str, Any] = {"past_payments": past}
    with bench_post.database(server, "close") as url, tempfile.TemporaryDirectory() as folder:
        world = post_world.set_up(url)
        engine, owner = db.make_engine(url, role="worker"), db.make_engine(url)
        _tell(f"a past of {past:,} payments")
        post_world.grow(world, past, engine=engine)
        bench_post.warm_up(world, BATCH)
        key = _published(owner, Path(folder))
        with world.connect() as connection:
            connection.execute("UPDATE county SET books_open_from = %s", (DAY,))
        result |= _timed("past", _close(world, engine, DAY, key))
        for number, payments in enumerate(days, start=1):
            day = DAY + timedelta(days=number)
            _tell(f"a day of {payments:,} payments")
            post_world.deliver(world, payments, on=day)
            bench_post.drain(world, 1, payments, BATCH)
            found = _close(world, engine, day, key)
            result |= _timed(f"day_{payments}", found)
            if payments in GOALS:
                result[f"goal_{payments}_met"] = found[0] + found[1] <= GOALS[payments]
        result |= _verified(owner)
        engine.dispose()
        owner.dispose()
    return result


def _tell(words: str) -> None:
    print(words, flush=True)


def _published(owner: Any, folder: Path) -> SigningKey:
    public = signed_notes.make_key(folder / "bench.pem", "bench")
    with db.transaction(owner) as session:
        certificates.publish(session, public)
    return signed_notes.read_key(folder / "bench.pem")


def _close(world: World, worker: Any, day: date, key: SigningKey) -> tuple[float, float, Certificate]:
    """Seconds of preparing and of approving, and the certificate."""
    first, second = (people.somebody(world.url, login, "finance_officer") for login in ("first", "second"))
    with db.transaction(worker) as session:
        ledger.snapshot(session)
    with world.connect() as connection:  # the statement of the day, as an import keeps one
        connection.execute("ALTER TABLE statement DISABLE TRIGGER USER")
        connection.execute(
            "INSERT INTO statement (public_id, channel_account_id, delivery_id, format, account, currency,"
            " opening_minor, closing_minor, lines, new_lines, credits_minor, debits_minor, first_day, last_day, number,"
            " reference) VALUES (%s, 1, 1, 'bench', %s, 'KES', 0, 0, 0, 0, 0, 0, %s, %s, '', '')",
            (f"stm_{day}", post_world.SHORTCODE, day, day),
        )
    api = db.make_engine(world.url, role="api")
    try:
        began = time.perf_counter()
        with first.acts():
            sheet = closing.prepare(api, closing.day(day))
        prepared = time.perf_counter()
        with second.acts(), db.transaction(api) as session:
            made = closing.approve(session, closing.day(day), shown_sha256=sheet.sha256, keys=[key])
        return prepared - began, time.perf_counter() - prepared, made
    finally:
        api.dispose()


def _timed(name: str, found: tuple[float, float, Certificate]) -> dict[str, Any]:
    preparing, approving, made = found
    rows = made.body["sheet"]["seal"]["count"]
    return {
        f"{name}_prepare_seconds": round(preparing, 2),
        f"{name}_approve_seconds": round(approving, 2),
        f"{name}_rows": rows,
    }


def _verified(owner: Any) -> dict[str, Any]:
    with db.transaction(owner) as session:
        connection = db.raw(session)
        began = time.perf_counter()
        (row,) = connection.execute(
            "SELECT s.leaves, encode(s.root, 'hex') FROM seal_of(1, '0', sealed_until()) s"
        ).fetchall()
        hashed = time.perf_counter()
        examine(connection, seals.SEALS[0], {"seal_chunk": 0}, keep=10)
        ended = time.perf_counter()
    return {
        "sealed_rows_a_second": round(row[0] / (hashed - began)),
        "verified_rows_a_second": round(row[0] / (ended - hashed)),
    }
