"""Record, apply and receipt, payments a second, beside django-hordak posting two legs: one PostgreSQL, one run.

Ours is the whole way of a payment through real worker processes: claim, interpret, evidence, payment, journal and
posting, application, receipt, snapshot. The baseline posts a transaction with two legs and nothing else.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg

from benchmarks import post_baseline, post_world, quiet
from benchmarks.post_world import World

ROOT = Path(__file__).parents[1]
WRITERS = (1, 2, 4)
BATCH = 500
SINGLES_SHARE = 10
"""The slow single path is measured with one in so many payments."""


def run(
    *,
    payments: int = 20_000,
    rounds: int = 3,
    grow: bool = False,
    batch: int = BATCH,
    database_url: str | None = None,
) -> dict[str, Any]:
    """Measure both in alternating rounds; the result holds medians, spreads, ratios and every check of the counts."""
    server = database_url or os.environ.get("BENCH_DATABASE_URL") or _default_url()
    result: dict[str, Any] = {"payments": payments, "rounds": rounds, "batch": batch}
    unquiet = 0
    with contextlib.ExitStack() as stack:
        world = post_world.set_up(stack.enter_context(database(server, "ours")))
        baseline, reason = post_baseline.start(stack, server)
        speeds: dict[str, list[float]] = {f"ours_{writers}_writers": [] for writers in WRITERS}
        if baseline is not None:
            speeds |= {"hordak_bulk": [], "hordak_single": []}
        warm_up(world, batch)
        for number in range(rounds):
            for name in sorted(speeds, reverse=number % 2 == 1):
                if name.startswith("ours"):
                    writers = int(name.split("_")[1])
                    post_world.deliver(world, payments)
                    unquiet += not quiet.wait()
                    speeds[name].append(payments / drain(world, writers, payments, batch))
                else:
                    assert baseline is not None
                    count = payments if name == "hordak_bulk" else max(100, payments // SINGLES_SHARE)
                    unquiet += not quiet.wait()
                    speeds[name].append(baseline.measure(name.removeprefix("hordak_"), count))
        result |= _summary(speeds) | {"checks": checked(world), "rounds_without_a_quiet_machine": unquiet}
        result |= baseline.state() if baseline is not None else {"hordak_skipped": reason}
    if grow:
        from benchmarks import post_growth

        result |= post_growth.run(server, payments=payments, rounds=rounds, batch=batch)
    return result | {"notes": NOTES}


def _summary(speeds: dict[str, list[float]]) -> dict[str, Any]:
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    result: dict[str, Any] = {}
    for name, values in speeds.items():
        result[f"{name}_per_second"] = round(medians[name])
        result[f"{name}_spread"] = f"{min(values):.0f}-{max(values):.0f}"
    for name, goal in (("bulk", 2), ("single", 20)):
        if f"hordak_{name}" in medians:
            ratio = medians["ours_1_writers"] / medians[f"hordak_{name}"]
            result |= {f"ratio_to_{name}": round(ratio, 2), f"goal_{name}_met": ratio >= goal}
    result["four_writers_not_slower"] = medians["ours_4_writers"] >= medians["ours_1_writers"]
    return result


# --- our side --------------------------------------------------------------------------------------------------------


def warm_up(world: World, batch: int) -> None:
    """A few payments that are not measured, so that statistics and caches are not those of an empty database."""
    post_world.deliver(world, 2_000)
    drain(world, 1, 2_000, batch)
    with psycopg.connect(world.url, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE)")


def drain(world: World, writers: int, expected: int, batch: int) -> float:
    """Seconds that so many worker processes need for what is due, from the word to go until the last has ended."""
    before = _count(world, "payment")
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.post_writer"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(writers)
    ]
    try:
        # Workers claim as soon as they run, so what is due is held back until every one of them is ready.
        _hold(world)
        for process in processes:
            _say(process, json.dumps({"url": world.url, "batch": batch}))
        for process in processes:
            _hear(process, "ready")
        _release(world)
        began = time.perf_counter()
        for process in processes:
            _say(process, "go")
        answers = [json.loads(process.stdout.readline()) for process in processes if process.stdout]
        took = time.perf_counter() - began
    finally:
        for process in processes:
            process.kill()
            process.wait()
    recorded, failed = sum(answer["recorded"] for answer in answers), sum(answer["failed"] for answer in answers)
    if recorded != expected or _count(world, "payment") - before != expected:
        raise RuntimeError(f"{writers} writers recorded {recorded} of {expected} payments, {failed} jobs failed")
    return took


def _hold(world: World) -> None:
    with world.connect() as connection:
        connection.execute("UPDATE job SET run_after = 'infinity'")


def _release(world: World) -> None:
    with psycopg.connect(world.url, autocommit=True) as connection:
        connection.execute("UPDATE job SET run_after = now()")
        connection.execute("VACUUM (ANALYZE) job")


def _say(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def _hear(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdout is not None
    heard = process.stdout.readline().strip()
    if heard != word:
        raise RuntimeError(f"a writer said {heard!r} and not {word!r}")


def _count(world: World, table: str) -> int:
    with world.connect() as connection:
        row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # type: ignore[call-overload]
    return int(row[0])


def checked(world: World) -> str:
    """Whether every payment was recorded, posted, applied and receipted once, and the sums agree to the cent."""
    with world.connect() as connection:
        row = connection.execute(
            """
            SELECT (SELECT count(*) FROM payment), (SELECT count(*) FROM evidence),
                   (SELECT count(*) FROM application), (SELECT count(*) FROM receipt),
                   (SELECT count(DISTINCT number) FROM receipt), (SELECT max(number) FROM receipt),
                   (SELECT count(*) FROM journal WHERE kind = 'payment_received'),
                   (SELECT count(*) FROM job WHERE state = 'ready'), (SELECT count(*) FROM break_case),
                   (SELECT sum(amount_minor) FROM payment)::bigint, (SELECT sum(amount_minor) FROM application)::bigint,
                   (SELECT sum(amount_minor) FROM posting WHERE debit = %s)::bigint,
                   (SELECT sum(outstanding_minor) FROM open_bill)::bigint
            """,
            (post_world.CLEARING,),
        ).fetchone()
    assert row is not None
    n, minor = world.payments, world.paid_minor
    wanted = (n, n, n, n, n, n, n, 0, 0, minor, minor, minor, world.billed_minor - minor)
    if tuple(row) != wanted:
        raise RuntimeError(f"the books do not agree: {row} instead of {wanted}")
    return f"{n} payments, evidences, journals, applications, receipts 1..{n} without a gap; every sum agrees"


# --- databases -------------------------------------------------------------------------------------------------------


def _default_url() -> str:
    from revenue_engine import embedded
    from revenue_engine.config import load_settings

    return embedded.ensure(load_settings()).database_url


@contextlib.contextmanager
def database(server: str, name: str, *, migrated: bool = True) -> Iterator[str]:
    """A database of our own, dropped in the end."""
    import migrations

    called = f"bench_post_{name}_{os.getpid()}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {called}")  # type: ignore[call-overload]
    try:
        url = urlunsplit(urlsplit(server)._replace(path=f"/{called}"))
        if migrated:
            migrations.upgrade(url)
        yield url
    finally:
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute(f"DROP DATABASE {called} WITH (FORCE)")  # type: ignore[call-overload]


NOTES: Sequence[str] = (
    "Ours does more a payment: it reads the raw body, keeps evidence, finds and locks the bill, posts, applies,",
    "issues a gapless receipt and finishes the job: 9 rows written and 2 changed in 22 index entries; hordak writes 3.",
    "Profile of one writer: three fifths of the time is its own Python (a fifth of that reads bodies, a fifth writes",
    "COPY rows), two fifths the database (COPY with its index entries and guards half, claiming and locking the rest).",
    "One writer and its database session take turns, so they use one processor between them: two writers fill two,",
    "and more only wait for each other. The receipt series is locked last and held for one COPY and the commit.",
)


if __name__ == "__main__":
    print(json.dumps(run(grow="--grow" in sys.argv), indent=1))
