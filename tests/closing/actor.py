"""Processes of the races and kills: one records as fast as it can, one closes a day and stops on the way."""

from __future__ import annotations

import contextlib
import random
import sys
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from reconciliation.days import closing
from revenue_engine import db, ledger, signed_notes
from tests.support.accountant import journal, noon

LINE = "DR 1200.mpesa-600100 CR 2200 1.00"


def record(url: str, seed: int, first: date, days: int, seconds: int) -> None:
    """Post journals of some days until the time is up; two in one transaction now and then."""
    engine, dice, number = db.make_engine(url, role="worker", pool_size=1), random.Random(seed), 0
    until = time.monotonic() + seconds
    print("ready", flush=True)
    while time.monotonic() < until:
        with db.transaction(engine) as session:
            for _ in range(dice.choice((1, 1, 2))):
                at = noon(first + timedelta(days=dice.randrange(days)))
                ledger.post(session, journal(LINE, at=at), key=f"{seed}:{number}")
                number += 1
    print(number, flush=True)


def close(url: str, day: date, stop: str, secrets: tuple[str, str], key: Path) -> None:
    """Prepare and approve a day; say that a point is reached, and stand there until killed."""
    reached = 0

    def here(point: str) -> None:
        if point == stop:
            print("reached", flush=True)
            time.sleep(120)

    def scalar(session: Session, statement: str, given: Any = None) -> Any:
        found = db.scalar(session, statement, given)
        here("in " + statement.removeprefix("SELECT ").partition("(")[0])
        return found

    @contextlib.contextmanager
    def transaction(engine: Engine) -> Iterator[Session]:
        nonlocal reached
        with db.transaction(engine) as session:
            yield session
        reached += 1
        here(f"after {reached}")

    closing.scalar = scalar  # type: ignore[attr-defined]
    closing.transaction = transaction  # type: ignore[attr-defined]
    engine = db.make_engine(url, role="api", pool_size=1)
    with db.acting_by(secrets[0]):
        sheet = closing.prepare(engine, closing.day(day))
    with db.acting_by(secrets[1]), transaction(engine) as session:
        closing.approve(session, closing.day(day), shown_sha256=sheet.sha256, keys=[signed_notes.read_key(key)])
    print("done", flush=True)


if __name__ == "__main__":
    kind, url, *told = sys.argv[1:]
    if kind == "record":
        record(url, int(told[0]), date.fromisoformat(told[1]), int(told[2]), int(told[3]))
    else:
        close(url, date.fromisoformat(told[0]), told[1], (told[2], told[3]), Path(told[4]))
