"""The demo end to end: real servers, real processes, and figures that are the truth's and the seed's."""

from __future__ import annotations

import io
import itertools
import os
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import psycopg
import pytest
from rich.console import Console

from revenue_engine import demo, embedded
from revenue_engine.config import Settings
from revenue_engine.demo import database, population, showing
from revenue_engine.demo.comparing import Comparison
from revenue_engine.demo.processes import Running
from revenue_engine.demo.result import DemoResult
from revenue_engine.errors import ConfigurationError, Conflict
from tests.conftest import in_database

NAME = "revenue_demo_suite"
FIGURES = ("delivered_minor", "reversed_minor", "applied_minor", "suspense_minor", "unapplied_minor", "receipts")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def made(settings: Settings, servers: embedded.Servers) -> Any:
    yield settings
    with psycopg.connect(servers.database_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")


def open_amount(servers: embedded.Servers, key: str) -> int:
    """The cents of the demo's open breaks of a key."""
    with psycopg.connect(in_database(servers.database_url, NAME)) as connection:
        row = connection.execute(
            "SELECT coalesce(sum(amount_minor), 0)::bigint FROM break_case WHERE closed_at IS NULL AND key LIKE %s",
            (key,),
        ).fetchone()
    assert row is not None
    return int(row[0])


def _signed_in(result: DemoResult, running: Running) -> list[str]:
    """Who of the demo's persons is let in at its desk with what the demo printed."""
    home = f"http://127.0.0.1:{running.desk_port}"
    with httpx2.Client(base_url=home, timeout=20, trust_env=False, headers={"Origin": home}) as client:
        deadline = time.monotonic() + 60
        while True:
            running.check()
            try:
                client.get("/")
                break
            except httpx2.HTTPError:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        let = []
        for one in result.persons:
            told = {"login": one.login, "password": one.password, "code": one.spare[0], "back": "/"}
            if client.post("/sign-in", data=told).status_code == 303:
                let.append(one.login)
    return let


def test_a_small_demo_ties_to_the_cent_and_a_seed_makes_one_result(made: Settings, servers: embedded.Servers) -> None:
    pids: list[int] = []
    said: list[str] = []
    pasted: list[str] = []
    signed: list[str] = []

    def after(result: DemoResult, running: Running) -> None:
        pids.extend(child.pid for child in running.children.values())
        run = subprocess.run(
            ["bash", "-c", showing.curl(result)], capture_output=True, text=True, check=True, timeout=30
        )
        pasted.append(run.stdout)
        running.start("desk", more={"REVENUE_DESK_PORT": str(running.desk_port)})
        signed.extend(_signed_in(result, running))

    first = demo.run_demo(made, days=3, payments=300, progress=said.append, after=after, name=NAME)
    answer = first.as_dict()
    assert answer["disagreements"] == []
    assert first.ok
    assert (answer["lost"], answer["doubled"]) == (0, 0)
    assert set(answer["control_differences"]) == {"receivable", "clearing", "suspense", "unapplied", "snapshots"}  # type: ignore[call-overload]
    assert set(answer["control_differences"].values()) == {"0.00"}  # type: ignore[attr-defined]
    figures = first.comparison.figures
    home = figures["applied"] + figures["suspense"] + figures["unapplied"]
    assert figures["delivered"] - figures["reversed"] == home > 0
    assert figures["reversed"] > 0
    waiting = open_amount(servers, "settlement:%")
    assert 0 < waiting <= figures["delivered"], "what waits for the bank was received before"
    assert open_amount(servers, "repeated:%:payout:%") == 0, "the legs of a sweep are no second payout"
    assert "Success" in pasted[0] or "Accepted" in pasted[0]
    assert signed == ["demo.cashier", "demo.treasurer", "demo.clerk", "demo.supervisor", "demo.auditor"]
    assert len(pids) == 2
    assert not any(alive(pid) for pid in pids), "the processes end with the demo"
    assert any("callbacks" in line for line in said)

    again = demo.run_demo(made, days=3, payments=300, name=NAME).as_dict()
    assert {name: again[name] for name in FIGURES} == {name: answer[name] for name in FIGURES}


def test_what_no_callback_told_is_found_by_asking_and_by_statements(made: Settings) -> None:
    result = demo.run_demo(made, days=4, payments=400, seed=3, withheld=50, name=NAME)
    answer = result.as_dict()
    assert result.ok, answer["disagreements"]
    assert result.withheld_minor > 0
    assert answer["found_minor"] == answer["withheld_minor"]
    assert result.found.pulled > 0
    assert result.found.stated > 0
    assert result.found.pulled + result.found.stated == 20


def test_the_processes_end_when_the_demo_fails(made: Settings) -> None:
    pids: list[int] = []

    def after(_: DemoResult, running: Running) -> None:
        pids.extend(child.pid for child in running.children.values())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        demo.run_demo(made, days=1, payments=20, after=after, name=NAME)
    assert pids
    assert not any(alive(pid) for pid in pids)


def test_a_live_county_is_never_dropped(servers: embedded.Servers) -> None:
    url = database.make(servers, NAME, reset=False)
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TABLE county (mode text)")
            connection.execute("INSERT INTO county VALUES ('live')")
        for reset in (False, True):
            with pytest.raises(Conflict, match="live"):
                database.make(servers, NAME, reset=reset)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("DROP TABLE county")
            connection.execute("CREATE TABLE somebody_elses (id int)")
        with pytest.raises(Conflict, match="not a demo"):
            database.make(servers, NAME, reset=False)
        database.make(servers, NAME, reset=True)
    finally:
        with psycopg.connect(servers.database_url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")


def test_the_main_database_is_not_the_demos(servers: embedded.Servers) -> None:
    main = servers.database_url
    name = main.partition("://")[2].partition("/")[2].partition("?")[0]
    with pytest.raises(ConfigurationError):
        database.make(servers, name, reset=True)


def test_no_two_vehicles_of_the_demo_are_a_single_slip_apart() -> None:
    plates = [
        f"{start}{'ACEHJKMNPT'[number % 10]} {population._apart(number, start)}"
        for starts in population.VEHICLES.values()
        for number in range(population.MOST_VEHICLES)
        for start in (starts[number % len(starts)],)
    ]
    assert len(set(plates)) == len(plates)
    least = min(
        sum(one != other for one, other in zip(first, second, strict=True))
        for first, second in itertools.combinations(plates, 2)
    )
    assert least == 2


def test_the_proof_is_short_and_says_what_does_not_agree() -> None:
    comparison = Comparison()
    comparison.money("suspense", 100, 100)
    comparison.count("bills, each paid what it was sent", 2, [])
    for where, words in (([], "and 1 more comparisons"), (["INV-1"], "INV-1")):
        comparison.lines[1:] = []
        comparison.count("bills, each paid what it was sent", 2, where)
        said = io.StringIO()
        result = SimpleNamespace(comparison=comparison, payments=1, callbacks=1, seconds=1, ok=comparison.agrees)
        showing.show(Console(file=said, width=100), result)  # type: ignore[arg-type]
        assert words in said.getvalue()
        assert "in suspense: nobody can say yet whose" in said.getvalue()
        last = said.getvalue().strip().splitlines()[-1]
        assert last.startswith("Every shilling has a home." if result.ok else "The books do not agree")


def test_the_demo_leaves_its_files_and_names_what_to_ask_next(made: Settings, tmp_path: Path) -> None:
    from revenue_engine import bootstrap
    from revenue_engine.demo import leaving

    result = demo.run_demo(made, days=2, payments=60, name=NAME)
    engine = bootstrap.make_engine(result.database_url, "report", shared=True)
    try:
        left = leaving.leave(engine, result, tmp_path)
    finally:
        engine.dispose()
    assert [file.name for file in left] == ["daily.xlsx", "daily.txt", "breaks.csv", "book.journal", "sign-ins.txt"]
    signs = tmp_path / "demo" / "sign-ins.txt"
    assert signs.stat().st_mode & 0o777 == 0o600
    assert all(one.login in signs.read_text() for one in result.persons)
    assert all(file.stat().st_size > 100 for file in left)
    assert (tmp_path / "demo" / "book.journal.manifest.json").is_file()
    said = io.StringIO()
    console = Console(file=said, width=100)
    showing.files(console, left)
    showing.commands(console, result)
    assert "daily.xlsx" in said.getvalue()
    assert f"payment find {result.some_code} --demo" in said.getvalue()
