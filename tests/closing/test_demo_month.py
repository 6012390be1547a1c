"""Days of the demo, whose money comes by real processes, closed one after another and checked from exports alone.

``python -m tests.closing month`` closes thirty.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from reconciliation.days import certificates, closing, exporting
from revenue_engine import db, demo, embedded
from revenue_engine.config import Settings
from tests.closing.test_certificates import PLACES, judged
from tests.conftest import in_database
from tests.support import people
from tests.support.closing import key

DAYS = int(os.environ.get("REVENUE_TEST_DAYS", "3"))
NAME = "revenue_demo_closing"


@pytest.fixture
def url(settings: Settings, servers: embedded.Servers) -> Iterator[str]:
    """The books of a demo of some days."""
    result = demo.run_demo(settings, days=DAYS, payments=100 * DAYS, progress=lambda _: None, name=NAME)
    assert result.ok
    yield in_database(servers.database_url, NAME)
    with psycopg.connect(servers.database_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)".encode())


@pytest.mark.timeout(580)
def test_the_demos_days_are_closed_with_every_control_and_certified(url: str, tmp_path: Path) -> None:
    owner, api = db.make_engine(url), db.make_engine(url, role="api")
    with db.transaction(owner) as session:
        certificates.publish(session, key().public)
        found = db.raw(session).execute(
            "SELECT DISTINCT book_date FROM journal"
            " WHERE book_date < (now() AT TIME ZONE 'Africa/Nairobi')::date ORDER BY 1"
        )
        days = [row[0] for row in found.fetchall()]
    one, two = (people.somebody(url, login, "finance_officer") for login in ("officer.one", "officer.two"))
    for day in days:
        with one.acts():
            sheet = closing.prepare(api, closing.day(day))
        with two.acts(), db.transaction(api) as session:
            made = closing.approve(session, sheet.span, shown_sha256=sheet.sha256, keys=[key()])
        with db.transaction(owner) as session:
            exporting.write(session, made.number, tmp_path / "export")
    owner.dispose()
    api.dispose()
    assert len(days) >= DAYS
    code, said = judged(tmp_path / "export")
    assert code == 0, said
    assert said.count("✓") == len(days)
    # And one cent, wherever it is edited, is named
    richest = max(tmp_path.glob("export/rows-*.jsonl"), key=lambda path: path.stat().st_size).name
    number = richest.removeprefix("rows-").removesuffix(".jsonl")
    for place, ((name, spoil), named) in PLACES.items():
        copy = Path(shutil.copytree(tmp_path / "export", tmp_path / "spoiled"))
        file = copy / name.replace("000002", number)
        file.write_text(spoil(file.read_text()))
        code, said = judged(copy, f"certificate-{number}.txt")
        assert (code, named in said) == (1, True), (place, said)
        shutil.rmtree(copy)
