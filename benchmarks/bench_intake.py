"""Durable intake, callbacks a second, beside the usual way: see ``intake_servers``. Loopback only, and bounded.

Both servers write to one PostgreSQL with durable settings, in alternating rounds, driven by the same light load
generator in its own process. Every answer is compared with the rows stored.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg

from benchmarks.intake_servers import BASELINE_TABLE

ROOT = Path(__file__).parents[1]
WARM_UP = 1.0
TABLES = {"ours": "delivery", "baseline": BASELINE_TABLE}
BODY = (
    '{"TransactionType":"Pay Bill","TransID":"UIE4H7K2QX","TransTime":"20260914101530","TransAmount":"1250.00",'
    '"BusinessShortCode":"600100","BillRefNumber":"482915637","InvoiceNumber":"","OrgAccountBalance":"41880264.80",'
    '"ThirdPartyTransID":"","MSISDN":"2547 ***** 126","FirstName":"ACHIENG","MiddleName":"","LastName":""'
).ljust(455) + "}"


def run(*, seconds: float = 5.0, clients: int = 64, rounds: int = 3, database_url: str | None = None) -> dict[str, Any]:
    """Measure both; the result holds medians, spreads, the ratio, and whether each answer has its row."""
    with _database(database_url or _default_url()) as url:
        token = secrets.token_urlsafe(32)
        _set_up(url, token)
        rows: dict[str, list[dict[str, float]]] = {name: [] for name in TABLES}
        with _server("ours", url, token) as ours, _server("baseline", url, token) as other:
            served = {"ours": ours, "baseline": other}
            for number in range(rounds):
                for name in sorted(TABLES, reverse=number % 2 == 0):
                    rows[name].append(_round(*served[name], token, seconds=seconds, clients=clients))
        stored = {name: _count(url, table) for name, table in TABLES.items()}
        jobs = _count(url, "job")
    return _summary(rows, stored, jobs, seconds=seconds, clients=clients, rounds=rounds)


def _summary(
    rows: dict[str, list[dict[str, float]]], stored: dict[str, int], jobs: int, **asked: float
) -> dict[str, Any]:
    result: dict[str, Any] = dict(asked)
    for name, measured in rows.items():
        speeds = [row["per_second"] for row in measured]
        answered = int(sum(row["answered"] for row in measured))
        result |= {
            f"{name}_per_second": round(statistics.median(speeds)),
            f"{name}_spread": f"{min(speeds):.0f}-{max(speeds):.0f}",
            f"{name}_p50_ms": round(statistics.median(row["p50_ms"] for row in measured), 2),
            f"{name}_p99_ms": round(statistics.median(row["p99_ms"] for row in measured), 2),
            f"{name}_p99_spread_ms": "-".join(f"{f(row['p99_ms'] for row in measured):.1f}" for f in (min, max)),
            f"{name}_server_cpu_us": round(statistics.median(row["cpu_us"] for row in measured)),
            f"{name}_errors": int(sum(row["errors"] for row in measured)),
            f"{name}_answered": answered,
            f"{name}_stored": stored[name],
            f"{name}_every_answer_stored": stored[name] == answered,
        }
    result["ours_jobs"] = jobs
    result["load_average"] = round(os.getloadavg()[0], 1)
    result["ratio"] = round(result["ours_per_second"] / max(1, result["baseline_per_second"]), 2)
    result["goal_met"] = result["ratio"] >= 2 and result["ours_p99_ms"] <= result["baseline_p99_ms"]
    return result


def _default_url() -> str:
    from revenue_engine import embedded
    from revenue_engine.config import load_settings

    return embedded.ensure(load_settings()).database_url


@contextlib.contextmanager
def _database(server: str) -> Iterator[str]:
    """A migrated database of our own, dropped in the end."""
    import migrations

    name = f"bench_intake_{os.getpid()}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]
    try:
        url = urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
        migrations.upgrade(url)
        yield url
    finally:
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[call-overload]


def _set_up(url: str, token: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("INSERT INTO account (code, name, type) VALUES ('1200.1', 'M-PESA 600100', 'asset')")
        connection.execute(
            "INSERT INTO channel_account (id, public_id, name, adapter, identifier, mode, status, clearing_account,"
            " settings) VALUES (1, 'chn_bench', 'bench', 'mpesa', '600100', 'test', 'sample', '1200.1', %s)",
            (json.dumps({"shortcode": "600100", "peers": ["127.0.0.1"]}),),
        )
        connection.execute(
            "INSERT INTO channel_endpoint (id, channel_account_id, purpose, token_sha256)"
            " VALUES (1, 1, 'confirmation', %s)",
            (hashlib.sha256(token.encode()).digest(),),
        )
        connection.execute(f"CREATE TABLE {BASELINE_TABLE} (LIKE delivery INCLUDING ALL)")  # type: ignore[call-overload]
        connection.execute("CHECKPOINT")


@contextlib.contextmanager
def _server(name: str, url: str, token: str) -> Iterator[tuple[int, int]]:
    """One server process, up and ready: its port and process id; stopped in the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    given = {"name": name, "url": url, "port": port, "baseline": {"url": url, "port": port, "token": token}}
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.intake_servers"], cwd=ROOT, stdin=subprocess.PIPE, text=True
    )
    try:
        assert process.stdin is not None
        process.stdin.write(json.dumps(given))
        process.stdin.close()
        _wait_until_ready(process, port)
        yield port, process.pid
    finally:
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(process: subprocess.Popen[str], port: int) -> None:
    for _ in range(200):
        if process.poll() is not None:
            raise RuntimeError("the server ended before it was ready")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("the server did not become ready")


def _round(port: int, pid: int, token: str, *, seconds: float, clients: int) -> dict[str, float]:
    given = {
        "host": "127.0.0.1",
        "port": port,
        "path": f"/cb/v1/{token}",
        "body": BODY,
        "seconds": seconds,
        "warm_up": WARM_UP,
        "clients": clients,
    }
    before = _cpu_seconds(pid)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.callback_load"],
        cwd=ROOT,
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=seconds + WARM_UP + 60,
        check=True,
    )
    measured: dict[str, float] = json.loads(done.stdout)
    measured["cpu_us"] = 1e6 * (_cpu_seconds(pid) - before) / max(1.0, measured["answered"])
    return measured


def _cpu_seconds(pid: int) -> float:
    """Processor time a process has used, which neighbours on a busy machine do not change; 0 where not told."""
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        return 0.0
    numbers = stat.read_text().rpartition(")")[2].split()
    return (int(numbers[11]) + int(numbers[12])) / os.sysconf("SC_CLK_TCK")


def _count(url: str, table: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # type: ignore[call-overload]
    return int(row[0])


if __name__ == "__main__":
    print(json.dumps(run(database_url=os.environ.get("BENCH_DATABASE_URL")), indent=1))
