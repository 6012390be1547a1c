"""Server time of every list and look-up of the API on a kept world: p95 in milliseconds, and bills issued a second.

Each endpoint is asked as its callers ask it, in this process, by a person of the whole county: the first page, pages
behind a cursor, and every filter. The plans of the slowest statements are printed from PostgreSQL itself.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pyotp
from sqlalchemy import event
from starlette.testclient import TestClient

from revenue_engine import db, embedded
from revenue_engine.access import sessions
from revenue_engine.api import application
from revenue_engine.api.pace import Limit, Pace
from revenue_engine.config import load_settings

ROUNDS = 20
GOAL_MS = 150
SLOWEST = 5
LISTS: dict[str, list[dict[str, str]]] = {
    "invoices": [
        {},
        *({"state": state} for state in ("unpaid", "part-paid", "overdue", "paid", "cancelled")),
        {"stream": "SBP"},
        {"station": "MUDEMBI"},
        {"stream": "LIQUOR", "state": "overdue"},
    ],
    "payments": [{}, {"channel": "600100"}],
    "receipts": [{}],
    "breaks": [{}, {"owner": "ict"}, {"reason": "unknown_account"}],
    "suspense": [{}, {"day": "2026-03-10"}],
    "approvals": [{}, {"stands": "waiting"}],
    "payers": [{}, {"phone": "+254700000123"}],
    "objects": [{}, {"stream": "HOUSING"}],
    "push-requests": [{}],
    "channels": [{}],
}


def run(*, keep: Path, rounds: int = ROUNDS) -> dict[str, Any]:
    """Measure; the result holds p95 of each call, and whether each is within the goal."""
    settings = load_settings().model_copy(update={"state_dir": keep.resolve()})
    servers = embedded.ensure(settings, bell=False)
    engine = db.make_engine(servers.role_urls["api"], pool_size=4)
    asked: dict[str, list[float]] = {}
    with _told(engine) as statements, psycopg.connect(servers.database_url, autocommit=True) as owner:
        app = application.make(engine, pace=Pace(Limit(1_000_000, 1)))
        with TestClient(app, base_url="https://bench.example") as client:
            client.headers["Authorization"] = f"Bearer {_sign_in(engine, keep)}"
            for path, filters in LISTS.items():
                for wanted in filters:
                    _list(client, path, wanted, rounds, asked)
            _look_ups(client, owner, rounds, asked)
            issued = _issue(client)
        slow = sorted(statements.items(), key=lambda one: -max(one[1][0]))[:SLOWEST]
    result: dict[str, Any] = {f"p95_ms {name}": _p95(times) for name, times in sorted(asked.items())}
    result["over_the_goal"] = [name for name, times in asked.items() if _p95(times) > GOAL_MS]
    result["issued_a_second"] = round(issued)
    result["load"] = round(os.getloadavg()[0], 1)
    with psycopg.connect(servers.role_urls["api"]) as connection:
        result["plans"] = [_plan(connection, statement, values) for statement, (_, values) in slow]
    engine.dispose()
    return result


def _p95(times: list[float]) -> float:
    return round(statistics.quantiles(times, n=20)[-1] * 1_000, 1)


def _sign_in(engine: Any, keep: Path) -> str:
    """A session of the world's treasurer, made by a fresh code; one code opens one session."""
    who = json.loads((keep / "persons.json").read_text())[2]
    code = pyotp.TOTP(who["authenticator"].replace(" ", "")).now()
    return sessions.sign_in(engine, login=who["login"], password=who["password"], code=code, source="bench")


def _timed(asked: dict[str, list[float]], name: str, call: Callable[[], Any]) -> Any:
    began = time.perf_counter()
    answered = call()
    asked.setdefault(name, []).append(time.perf_counter() - began)
    if answered.status_code >= 400:
        raise RuntimeError(f"{name}: {answered.status_code} {answered.text}")
    return answered.json()


def _list(client: TestClient, path: str, wanted: dict[str, str], rounds: int, asked: dict[str, list[float]]) -> None:
    name = path + (f" {' '.join(f'{key}={value}' for key, value in wanted.items())}" if wanted else "")
    cursor = None
    for _ in range(rounds):
        given = wanted | ({"cursor": cursor, "limit": "200"} if cursor else {})
        told = _timed(asked, name, lambda given=given: client.get(f"/api/v1/{path}", params=given))
        cursor = told.get("next_cursor")


def _look_ups(client: TestClient, owner: Any, rounds: int, asked: dict[str, list[float]]) -> None:
    def some(statement: str) -> list[str]:
        return [row[0] for row in owner.execute(statement + f" LIMIT {rounds}")]

    numbers = some("SELECT number FROM invoice TABLESAMPLE SYSTEM (0.5)")
    accounts = some("SELECT pay_account_number FROM invoice TABLESAMPLE SYSTEM (0.5)")
    codes = some("SELECT reference FROM payment TABLESAMPLE SYSTEM (0.5)")
    plates = some("SELECT typed FROM alias WHERE kind = 'plate'")
    phones = some("SELECT phone FROM payer WHERE phone IS NOT NULL ORDER BY id DESC")
    papers = some(
        "SELECT 'RCT-' || financial_year || '-' || lpad(number::text, 6, '0') FROM receipt TABLESAMPLE SYSTEM (0.5)"
        " WHERE kind = 'receipt'"
    )
    for kind, words in (
        ("code", codes),
        ("plate", plates),
        ("phone", phones),
        ("account number", accounts),
        ("what is not there", ["UKSZMW9G3S"] * rounds),
        ("message", [f"{code} Confirmed. Ksh1,250.00 paid to COUNTY." for code in codes]),
    ):
        for word in words:
            _timed(asked, f"search by {kind}", lambda word=word: client.get("/api/v1/search", params={"q": word}))
    for number in numbers:
        _timed(asked, "invoice by number", lambda number=number: client.get(f"/api/v1/invoices/{number}"))
    for number in papers:
        _timed(asked, "receipt by number", lambda number=number: client.get(f"/api/v1/receipts/{number}"))


def _issue(client: TestClient, count: int = 300) -> float:
    """Bills issued a second by calls one after another, each with a key of its own."""
    began = time.perf_counter()
    for number in range(count):
        answered = client.post(
            "/api/v1/invoices",
            json={"items": [{"item": "HOSPITAL.LAB"}], "station": "ALUPE"},
            headers={"Idempotency-Key": f"bench-{time.time_ns()}-{number}"},
        )
        answered.raise_for_status()
    return count / (time.perf_counter() - began)


class _told:  # noqa: N801 - a context manager
    """Every statement that the engine sends, with its times and last values."""

    def __init__(self, engine: Any) -> None:
        self.found: dict[str, tuple[list[float], Any]] = {}
        self.engine = engine

    def __enter__(self) -> dict[str, tuple[list[float], Any]]:
        found = self.found

        class Cursor(psycopg.Cursor[Any]):
            def execute(self, query: Any, params: Any = None, **more: Any) -> Any:
                began = time.perf_counter()
                try:
                    return super().execute(query, params, **more)
                finally:
                    if isinstance(query, str) and query.lstrip().startswith("SELECT"):
                        times, _ = found.get(query, ([], None))
                        found[query] = ([*times, time.perf_counter() - began], params)

        @event.listens_for(self.engine, "connect")
        def watch(connection: Any, _record: object) -> None:
            connection.cursor_factory = Cursor

        return found

    def __exit__(self, *_: object) -> None:
        return None


def _plan(connection: Any, statement: str, values: Any) -> str:
    try:
        rows = connection.execute("EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF) " + statement, values).fetchall()
    except psycopg.Error as error:
        connection.rollback()
        return f"{' '.join(statement.split())[:200]}: {error}"
    return "\n".join([" ".join(statement.split())[:300], *(row[0] for row in rows)])


if __name__ == "__main__":
    print(json.dumps(run(keep=Path(sys.argv[1])), indent=1))
