"""What derives and proves the books by itself: all every few minutes, a thirtieth of their history a night."""

from __future__ import annotations

import threading
import time
from datetime import date, datetime, timedelta

from structlog.testing import capture_logs

from revenue_engine import periods
from revenue_engine.secondary_ledgers import keeping
from revenue_engine.secondary_ledgers.keeping import Keeper
from tests.secondary_ledgers.shelf import Shelf, nothing, share


def at(hour: int, minute: int = 0, *, day: int = 1) -> datetime:
    return datetime(2026, 12, day, hour, minute, tzinfo=periods.NAIROBI)


def test_each_book_is_derived_and_one_with_a_hole_keeps_no_other_back(shelf: Shelf) -> None:
    # Given a book that has no rule for rents, before one that has
    shelf.open("ict", share("levy", "SBP", 1000))
    shelf.open("literacy", share("fees", "RENT", 1000), nothing())
    shelf.receipt(1000)
    shelf.receipt(2000, stream="RENT")
    shelf.settle()
    keeper = Keeper(shelf.as_role("worker"))
    with capture_logs() as said:
        assert keeper.derive() == 1
        assert keeper.derive() == 0
    # Then the other is derived, and the hole is said once and not each round
    assert shelf.balance("literacy") == {"11": 200, "41": -200}
    (hole,) = (one for one in said if one["event"] == "book not derived")
    assert (hole["book"], hole["log_level"]) == ("ict", "error")
    assert "no rule is about receipts of the stream RENT" in hole["why"]
    # When the rule is there, the book catches up
    shelf.rule(nothing(stream="RENT"))
    assert keeper.derive() == 1
    assert (shelf.balance("ict"), keeper.failed) == ({"11": 100, "41": -100}, {})


def test_a_part_of_all_history_is_proved_once_a_night(shelf: Shelf) -> None:
    shelf.open("ict", share("levy", "SBP", 1000), nothing())
    for _ in range(60):
        shelf.receipt(1000)
    shelf.derive()
    now = [at(0, 59)]
    keeper = Keeper(shelf.as_role("worker"), now=lambda: now[0])
    assert (keeper.prove(), keeper.proved) == (0, None)
    now[0] = at(1)
    assert (keeper.prove(), keeper.proved) == (0, date(2026, 12, 1))
    # When a line of some part is edited behind every guard
    shelf.execute(
        "ALTER TABLE derived_line DISABLE TRIGGER ALL; UPDATE derived_line SET amount_minor = amount_minor + 1"
        " WHERE ctid = (SELECT min(ctid) FROM derived_line)"
    )
    # Then this day's proof is done, and that of exactly one of the next thirty nights finds the line
    assert keeper.prove() == 0
    wrong = []
    with capture_logs() as said:
        for night in range(30):
            now[0] = at(1) + timedelta(days=1 + night)
            wrong.append(keeper.prove())
    assert sorted(wrong) == [0] * 29 + [1]
    (found,) = (one for one in said if one["event"] == "book does not hold")
    assert (found["book"], found["rule"], found["log_level"]) == ("ict", "levy", "error")


def test_thirty_days_prove_every_part(shelf: Shelf) -> None:
    days = (date(2026, 2, 15) + timedelta(days=n) for n in range(30))
    assert sorted(keeping.thirtieth_of(day) for day in days) == list(range(30))


def test_the_thread_derives_at_once_and_ends_when_told(shelf: Shelf) -> None:
    shelf.open("ict", share("levy", "SBP", 1000), nothing())
    shelf.receipt(1000)
    shelf.settle()
    stop = threading.Event()
    keeper = Keeper(shelf.as_role("worker"), now=lambda: at(0))
    thread = threading.Thread(target=keeper.run, args=(stop,))
    thread.start()
    until = time.monotonic() + 20
    while not shelf.balance() and time.monotonic() < until:
        time.sleep(0.05)
    stop.set()
    thread.join(timeout=10)
    assert not thread.is_alive()
    assert shelf.balance() == {"11": 100, "41": -100}
