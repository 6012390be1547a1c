"""What a payment, a past balance and a search cost when 100,000 and 1,000,000 payments are there already."""

from __future__ import annotations

import statistics
import time
from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session

from benchmarks import bench_post, post_world, quiet
from benchmarks.post_world import World
from revenue_engine import db, ledger, periods
from revenue_engine.billing import payers

STEPS = (100_000, 1_000_000)
ASKED = 50


def run(server: str, *, payments: int, rounds: int, batch: int) -> dict[str, Any]:
    """Grow one county step by step; medians of ``rounds`` drains of ``payments`` by one writer, and their ratio."""
    result: dict[str, Any] = {}
    with bench_post.database(server, "grown") as url:
        world = post_world.set_up(url)
        engine = db.make_engine(url, role="worker")
        for step in STEPS:
            post_world.grow(world, step, engine=engine)
            with db.transaction(engine) as session:
                ledger.snapshot(session)
                ledger.tick(session)
            bench_post.warm_up(world, batch)
            took = []
            for _ in range(rounds):
                post_world.deliver(world, payments)
                quiet.wait()
                took.append(bench_post.drain(world, 1, payments, batch) / payments * 1e6)
            result[f"microseconds_a_payment_at_{step}"] = round(statistics.median(took))
            result[f"microseconds_a_payment_at_{step}_spread"] = f"{min(took):.0f}-{max(took):.0f}"
        small, large = (result[f"microseconds_a_payment_at_{step}"] for step in STEPS)
        result["ratio_1000000_to_100000"] = round(large / small, 2)
        result["goal_growth_met"] = large <= 1.3 * small
        result |= _asked(world, engine)
        engine.dispose()
    return result


def _asked(world: World, engine: Any) -> dict[str, Any]:
    """Medians of questions asked of the grown county, in milliseconds: a past balance, a search by code."""
    with world.connect() as connection:
        references = [
            row[0] for row in connection.execute("SELECT reference FROM payment ORDER BY md5(id::text) LIMIT 50")
        ]
        numbers = [row[0] for row in connection.execute("SELECT number FROM pay_account ORDER BY md5(number) LIMIT 50")]
        (postings,) = connection.execute("SELECT count(*) FROM posting").fetchone() or (0,)
    on, at = post_world.DAY - timedelta(days=3), periods.now()
    with db.transaction(engine) as session:
        effective = _median(session, [lambda s: ledger.balance(s, post_world.CLEARING, effective=on)] * ASKED)
        known = _median(session, [lambda s: ledger.balance(s, post_world.CLEARING, effective=on, known_at=at)] * ASKED)
    with db.transaction(engine) as session:
        reference = _median(session, [lambda s, code=code: payers.search(s, code) for code in references])
        number = _median(session, [lambda s, code=code: payers.search(s, code) for code in numbers])
    return {
        "postings": postings,
        "past_balance_ms": effective,
        "past_balance_known_at_ms": known,
        "goal_balance_met": max(effective, known) < 5,
        "search_by_reference_ms": reference,
        "search_by_pay_account_ms": number,
        "goal_search_met": max(reference, number) < 10,
    }


def _median(session: Session, questions: list[Any]) -> float:
    took = []
    for question in questions:
        began = time.perf_counter()
        question(session)
        took.append((time.perf_counter() - began) * 1e3)
    return round(statistics.median(took), 2)
