"""Real processes: what is recorded while days are closed, and a close that is killed on its way."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest

from reconciliation.days import certificates
from revenue_engine import db, ledger, signed_notes
from revenue_engine.verification import seals
from revenue_engine.verification.invariants import examine
from tests.closing.actor import LINE
from tests.support import closing
from tests.support.accountant import journal
from tests.support.books import DAY, Books

ROOT = Path(__file__).parents[2]
RECORDERS, SECONDS = 3, 8
CLOSES = int(os.environ.get("REVENUE_TEST_CLOSES", "5"))
RACES = int(os.environ.get("REVENUE_TEST_RACES", "30"))


def started(*told: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.closing.actor", *told], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def sealed_well(books: Books) -> list[str]:
    """What the checks of the seal find."""
    with db.transaction(books.engine) as session:
        found = [examine(db.raw(session), check, {"seal_chunk": 1, "closed_day": 1}, keep=20) for check in seals.SEALS]
    return [f"{f.table} {f.key}: {f.detail}" for one in found for f in one.failures]


@pytest.mark.timeout(200)
def test_nothing_lands_in_a_closed_day_while_processes_record(books: Books) -> None:
    closing.without_controls(books)
    told = (str(DAY), str(CLOSES), str(SECONDS * max(1, CLOSES // 5)))
    recorders = [started("record", books.url, str(seed), *told) for seed in range(RECORDERS)]
    assert [said(one) for one in recorders] == ["ready"] * RECORDERS
    made = []
    for number in range(CLOSES):
        made += closing.close(books, DAY + timedelta(days=number))
    posted = [int(said(one)) for one in recorders]
    assert [one.wait(60) for one in recorders] == [0] * RECORDERS
    # Every journal stands once, and each day is what its certificate says, with all of it below the horizon
    assert books.rows("SELECT count(*) FROM journal") == [(sum(posted),)]
    for one in made:
        day, figures = one.body["last_day"], one.body["sheet"]["figures"]["accounts"]
        told = {figure["account"]: int(figure["debits"]) for figure in figures}
        ((now, beyond),) = books.rows(
            "SELECT coalesce(sum(p.amount_minor), 0)::bigint, count(*) FILTER (WHERE j.xid >= h.horizon)"
            " FROM close_approval a JOIN close_horizon h USING (preparation_id)"
            " LEFT JOIN journal j ON j.book_date = %s LEFT JOIN posting p ON p.journal_id = j.id WHERE a.number = %s",
            day,
            one.number,
        )
        assert (told.get("1200.mpesa-600100", 0), beyond) == (now, 0), day
    assert sealed_well(books) == []


def test_whoever_records_and_whoever_shuts_the_day_never_pass_each_other(books: Books) -> None:
    """At the level of the locks: each race is one recorder and one who shuts the day, at the same instant."""
    closing.without_controls(books)
    api, worker = books.as_role("api"), books.as_role("worker")
    start, wrong = threading.Barrier(2), []

    def records(number: int) -> None:
        start.wait()
        with db.transaction(worker) as session:
            ledger.post(session, journal(LINE), key=f"race:{number}")

    for number in range(RACES):
        racing = threading.Thread(target=records, args=(number,))
        racing.start()
        start.wait()
        with books.treasurer.acts(), db.transaction(api) as session:
            preparation = db.scalar(session, "SELECT close_begin(%s)", (DAY,))
        with books.treasurer.acts(), db.transaction(api) as session:
            fixed = db.scalar(session, "SELECT close_fix(%s)", (preparation,))
        racing.join()
        # What is of the shut day is below the horizon; what came too late is of the next day
        ((booked, beyond),) = books.rows(
            "SELECT j.book_date, j.book_date = %s AND j.xid >= h.horizon FROM journal j, close_horizon h"
            " WHERE j.key = %s AND h.preparation_id = %s",
            DAY,
            f"race:{number}",
            preparation,
        )
        if not fixed or beyond or booked not in (DAY, DAY + timedelta(days=1)):
            wrong.append((number, fixed, booked, beyond))
        with books.treasurer.acts(), db.transaction(api) as session:
            db.scalar(session, "SELECT close_withdraw(%s, 'the next race')", (preparation,))
    assert wrong == []
    assert books.rows("SELECT count(*) FROM journal") == [(RACES,)]


POINTS = (
    *("in close_begin", "after 2", "in close_fix", "after 3", "in close_show", "after 4"),
    *("in close_approve", "in certificate_keep", "after 5"),
)
"""Inside a transaction that is then lost, and after each that is kept."""


@pytest.mark.timeout(120)
@pytest.mark.parametrize("point", POINTS)
def test_a_close_killed_on_its_way_is_whole_or_goes_on(books: Books, point: str, tmp_path: Path) -> None:
    closing.without_controls(books)
    books.pay(100, "X")
    second = closing.second(books)
    key = tmp_path / "killed.pem"
    signed_notes.make_key(key, "killed")
    with db.transaction(books.engine) as session:
        certificates.publish(session, signed_notes.read_key(key).public)
    killed = started("close", books.url, str(DAY), point, books.treasurer.secret, second.secret, str(key))
    assert said(killed) == "reached"
    killed.kill()
    killed.wait(30)
    for _ in range(200):  # its connection ends, and with it what was not committed
        if books.rows(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND state = 'idle in transaction'"
        ) == [(0,)]:
            break
        time.sleep(0.05)
    ((closed, notes),) = books.rows(
        "SELECT (SELECT count(*) FROM closed_day WHERE book_date = %s), (SELECT count(*) FROM certificate)", DAY
    )
    assert (closed, notes) in ((0, 0), (1, 1))
    assert closed == (1 if point == "after 5" else 0)
    if not closed:
        assert closing.approve(books, closing.prepare(books, DAY)).number == 1
    assert books.rows("SELECT count(*) FROM certificate") == [(1,)]
    assert sealed_well(books) == []
