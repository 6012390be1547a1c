"""Books of a county after so many payments, kept in a folder and used by every later measurement.

Bills are issued by the function that issues bills, deliveries are kept as the intake keeps them, and a worker process
does the rest: nothing that is measured later was written by a short cut, but the registers (COPY). Each chunk of
payments is one transaction with its mark, so that a build that was ended goes on where it stopped.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Engine

from adapters.mpesa import adapter
from benchmarks import world_people, world_shape, world_traffic
from revenue_engine import bootstrap, db, embedded
from revenue_engine.config import load_settings
from revenue_engine.county import files
from revenue_engine.errors import Conflict
from revenue_engine.worker import Worker, settle_memory

ROOT = Path(__file__).parents[1]
WORKED = ("interpret", "apply_credit")
MOST_WAITING = 20_000
"""Deliveries that may wait for the worker before the next chunk is written."""
_MARKS = """
CREATE SCHEMA bench;
CREATE TABLE bench.world (payments bigint NOT NULL, registered_at timestamptz);
CREATE TABLE bench.chunk (number int PRIMARY KEY, payments int NOT NULL, written_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE bench.spent (what text NOT NULL, seconds float8 NOT NULL, load float8 NOT NULL);
"""

Say = Callable[[str], None]


@dataclass
class World:
    """A world's database, by the login that owns it."""

    folder: Path
    url: str
    payments: int
    engine: Engine = field(init=False)

    def __post_init__(self) -> None:
        self.engine = db.make_engine(self.url, pool_size=2)

    def one(self, statement: str, *values: Any) -> Any:
        """The first column of the first row."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            row = connection.execute(statement, values).fetchone()  # type: ignore[arg-type]
        return None if row is None else row[0]

    def spent(self, what: str, seconds: float) -> None:
        """Keep how long a part took, and how busy the machine was."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("INSERT INTO bench.spent VALUES (%s, %s, %s)", (what, seconds, os.getloadavg()[0]))


def run(*, payments: int, keep: Path, chunks: int | None = None, say: Say = print) -> dict[str, Any]:
    """Build the world, or go on building it, or find it whole; figures of it. ``chunks`` ends early, for trials."""
    keep = keep.resolve()
    keep.mkdir(parents=True, exist_ok=True, mode=0o700)
    world = opened(keep, payments, say)
    plan = world_shape.plan(payments)
    done = int(world.one("SELECT count(*) FROM bench.chunk"))
    if done < len(plan) or world.one(_WAITING, list(WORKED)):
        if world.one("SELECT registered_at FROM bench.world") is None:
            began = time.perf_counter()
            world_people.register(world.engine, payments)
            world.spent("registers", time.perf_counter() - began)
        _fill(world, plan[done : None if chunks is None else done + chunks], len(plan), say)
        done = int(world.one("SELECT count(*) FROM bench.chunk"))
    if done == len(plan) and world.one("SELECT count(*) FROM bench.spent WHERE what = 'verify'") == 0:
        _finish(world, say)
    result = figures(world, whole=done == len(plan))
    world.engine.dispose()
    return result


def opened(folder: Path, payments: int, say: Say) -> World:
    """The world of a folder, begun where there is none. Raises Conflict where it is one of another size."""
    import migrations

    settings = load_settings().model_copy(update={"state_dir": folder})
    servers = embedded.ensure(settings, bell=False)
    world = World(folder, servers.database_url, payments)
    migrations.upgrade(servers.database_url)
    if world.one("SELECT to_regclass('bench.world')") is None:
        say("a new world: schema, logins, county, persons")
        servers = embedded.create_logins(servers)
        world_people.found(world.engine, servers.role_urls["api"], folder, _county(folder))
        with psycopg.connect(world.url) as connection:
            connection.execute(_MARKS)
            connection.execute("INSERT INTO bench.world VALUES (%s, NULL)", (payments,))
    kept = int(world.one("SELECT payments FROM bench.world"))
    if kept != payments:
        raise Conflict(f"{folder} keeps a world of {kept} payments, not {payments}: name another folder")
    return world


def _county(folder: Path) -> Path:
    """The county's files with books that open two years ago."""
    made = folder / "county"
    if not made.exists():
        shutil.copytree(files.HERE / "busia", made)
        facts = (made / "county.toml").read_text()
        told = "books_open_from = 2026-07-01"
        if told not in facts:
            raise Conflict("the county's books open on another day than this measurement knows", said=told)
        (made / "county.toml").write_text(facts.replace(told, f"books_open_from = {world_shape.OPENED}"))
    return made


def _fill(world: World, plan: list[world_shape.Chunk], of: int, say: Say) -> None:
    writer = world_traffic.Writer(world.engine, world.payments)
    began, worker = time.perf_counter(), _start_worker(world)
    try:
        for chunk in plan:
            writer.write(chunk)
            waiting = _wait(world, worker, MOST_WAITING, "interpret")
            took = time.perf_counter() - began
            done = chunk.before + chunk.count
            say(
                f"chunk {chunk.number + 1} of {of}, {chunk.first:%b %Y}: {done} payments,"
                f" {(done - plan[0].before) / took:.0f}/s, {waiting} wait, {took:.0f} s"
            )
        _wait(world, worker, 0, *WORKED)
    finally:
        if worker.stdin is not None:
            worker.stdin.close()
        worker.wait(timeout=120)
        world.spent("payments", time.perf_counter() - began)


def _start_worker(world: World) -> subprocess.Popen[str]:
    asked = [sys.executable, "-m", "benchmarks.bench_world", "--worker"]
    process = subprocess.Popen(asked, cwd=ROOT, stdin=subprocess.PIPE, text=True)
    assert process.stdin is not None
    process.stdin.write(world.url + "\n")
    process.stdin.flush()
    return process


_WAITING = "SELECT count(*) FROM job WHERE state = 'ready' AND kind = ANY(%s)"


def _wait(world: World, worker: subprocess.Popen[str], most: int, *kinds: str) -> int:
    """Wait until at most so much work is left; how much is left. Raises RuntimeError where the worker has ended."""
    while True:
        left = int(world.one(_WAITING, list(kinds)))
        if left <= most:
            return left
        if worker.poll() is not None:
            raise RuntimeError(f"the worker ended with {worker.returncode} while {left} jobs wait")
        time.sleep(0.2)


def _finish(world: World, say: Say) -> None:
    say("VACUUM (ANALYZE)")
    began = time.perf_counter()
    with psycopg.connect(world.url, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE)")
        connection.execute("CHECKPOINT")
    world.spent("vacuum", time.perf_counter() - began)
    say("ledger verify")
    began = time.perf_counter()
    ok = verified(world)
    if not ok:
        raise RuntimeError("ledger verify found the books of this world wrong")
    world.spent("verify", time.perf_counter() - began)


def verified(world: World) -> bool:
    """Whether every invariant holds."""
    from revenue_engine.verification import verify

    with db.transaction(world.engine) as session:
        return verify.verify(session).ok


_COUNTS = ("payment", "invoice", "receipt", "posting", "evidence", "break_case", "billed_object", "payer", "delivery")


def figures(world: World, *, whole: bool) -> dict[str, Any]:
    """What the world holds, its bytes, and what building took."""
    with psycopg.connect(world.url) as connection:
        counts = {
            table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # type: ignore[call-overload,index]
            for table in _COUNTS
        }
        spent = connection.execute(
            "SELECT what, round(sum(seconds)::numeric, 1)::float8, round(max(load)::numeric, 1)::float8"
            " FROM bench.spent GROUP BY what ORDER BY what"
        ).fetchall()
        (size,) = connection.execute("SELECT pg_database_size(current_database())").fetchone() or (0,)
        (dead,) = connection.execute("SELECT count(*) FROM job WHERE state = 'dead'").fetchone() or (0,)
        (open_breaks,) = connection.execute("SELECT count(*) FROM break_case WHERE closed_at IS NULL").fetchone() or (
            0,
        )
    return {
        "folder": str(world.folder),
        "whole": whole,
        **{f"rows.{name}": count for name, count in counts.items()},
        "open_breaks": open_breaks,
        "dead_jobs": dead,
        "bytes": size,
        "bytes_a_payment": round(size / max(1, counts["payment"])),
        **{f"seconds.{what}": seconds for what, seconds, _ in spent},
        **{f"highest_load.{what}": load for what, _, load in spent},
    }


def work_until_closed() -> None:
    """The worker process: works until its standard input ends."""
    import select

    bootstrap.configure_logging("warning")
    engine = db.make_engine(sys.stdin.readline().strip(), role="worker", pool_size=2)
    worker = Worker(engine, {"mpesa": adapter})
    settle_memory()
    while not select.select([sys.stdin], [], [], 0)[0]:
        if not worker.once():
            time.sleep(0.1)
    engine.dispose()


if __name__ == "__main__":
    if "--worker" in sys.argv:
        work_until_closed()
    else:
        print(json.dumps(run(payments=int(sys.argv[1]), keep=Path(sys.argv[2])), indent=1))
