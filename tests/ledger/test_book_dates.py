"""The day a fact is booked to, and what a closed day means: nothing is ever written to it again."""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy.orm import Session

from revenue_engine import ledger, periods
from revenue_engine.db import make_engine, scalar, transaction
from revenue_engine.errors import Conflict
from tests.support import closing
from tests.support.accountant import DAY, days, journal, noon, post, stored, trial, undo
from tests.support.books import Books

NEXT = DAY + timedelta(days=1)
LINE = "DR 1200.mpesa-600100 CR 2200 1.00"


def close(books: Books, *days_: date) -> None:
    closing.close(books, *days_)


@contextmanager
def shutting(books: Books, day: date) -> Iterator[Session]:
    """A close whose first transaction has shut the day and is not committed yet."""
    closing.without_controls(books)
    with books.treasurer.acts(), transaction(books.as_role("api")) as session:
        scalar(session, "SELECT close_begin(%s)", (day,))
        yield session


class Later:
    """Something done by another hand, in a thread of its own, which may have to wait."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.outcome: Any = None
        self.work = work
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.outcome = self.work()
        except Exception as error:  # noqa: BLE001 - the outcome is looked at by the test
            self.outcome = error

    def waits(self, books: Books) -> bool:
        """Whether it stands before a lock that another holds."""
        until = time.monotonic() + 3
        while time.monotonic() < until and self.thread.is_alive():
            if books.rows(
                "SELECT 1 FROM pg_locks WHERE NOT granted AND locktype = 'advisory' AND classid IN (7201, 7211)"
            ):
                return True
            time.sleep(0.01)
        return False

    def ends(self) -> Any:
        """Its outcome, once it has ended."""
        self.thread.join(timeout=15)
        assert not self.thread.is_alive()
        return self.outcome


# --- which day -------------------------------------------------------------------------------------------------------


def test_a_fact_is_booked_to_its_own_day_or_the_first_open_day_after_it(books: Books) -> None:
    # Given three closed days on end, the days before them on which nothing was booked, and none after
    first = days(5)
    close(books, first[0], first[2])
    # Then each day is booked to the first open day on or after it
    with transaction(books.engine) as session:
        assert ledger.book_dates(session, reversed(first)) == {
            first[0]: first[3],
            first[1]: first[3],
            first[2]: first[3],
            first[3]: first[3],
            first[4]: first[4],
        }
        assert ledger.book_dates(session, []) == {}
        assert [ledger.is_closed(session, day) for day in first] == [True, True, True, False, False]


def test_nothing_is_booked_before_the_books_open(books: Books) -> None:
    # Given books that open on 1 July
    with transaction(books.engine) as session:
        found = ledger.book_dates(session, [date(2026, 6, 30), date(2020, 1, 1), date(2026, 7, 1)])
    # Then older facts belong to that day
    assert set(found.values()) == {date(2026, 7, 1)}
    # And when that day is closed, to the next
    close(books, date(2026, 7, 1))
    assert post(books, "old", LINE, at=datetime(2020, 1, 1, tzinfo=UTC)).book_date == date(2026, 7, 2)


def test_the_day_is_nairobis(books: Books) -> None:
    # 21:05 in London's winter is five past midnight in Nairobi
    assert post(books, "late", LINE, at=datetime(2026, 9, 14, 21, 5, tzinfo=UTC)).book_date == DAY
    assert post(books, "early", LINE, at=datetime(2026, 9, 14, 20, 59, tzinfo=UTC)).book_date == DAY - timedelta(days=1)


def test_a_late_fact_keeps_its_own_instant_and_is_booked_to_the_open_day(books: Books) -> None:
    close(books, DAY)
    posted = post(books, "late", LINE)
    assert posted.book_date == NEXT
    assert stored(books, "late").occurred_at == noon(DAY)
    # And posted again, it answers the day that it got
    close(books, NEXT)
    assert post(books, "late", LINE)._replace(new=True) == posted


def test_a_reversal_of_a_closed_day_is_booked_to_the_open_day(books: Books) -> None:
    posted = post(books, "sale", LINE)
    close(books, DAY)
    before = trial(books, effective=DAY)
    assert undo(books, posted.id).book_date == NEXT
    assert trial(books, effective=DAY) == before


def test_a_day_closes_once_and_not_before_it_has_ended(books: Books) -> None:
    close(books, DAY)
    with pytest.raises(Conflict, match="closed already"):
        close(books, DAY)
    with pytest.raises(Conflict, match="not ended"):
        close(books, periods.today())
    assert books.rows("SELECT max(book_date), min(closed_by) FROM closed_day") == [(DAY, "accountant")]


def test_two_hands_closing_one_day_the_second_is_told_who_and_when(books: Books) -> None:
    # Given one who has shut a day and not committed yet
    other = closing.second(books)
    with shutting(books, DAY):
        # When another prepares it too
        second = Later(lambda: closing.prepare(books, DAY, who=other))
        assert second.waits(books)
    # Then the other is told who prepared it and when
    told = second.ends()
    assert isinstance(told, Conflict)
    assert re.search(r"treasurer prepared the close of 2026-09-15 at \d{4}-\d{2}-\d{2} \d{2}:\d{2}", str(told))


# --- closing while money comes in ------------------------------------------------------------------------------------


def test_a_close_waits_for_a_journal_in_flight(books: Books) -> None:
    # Given a journal that is written and not committed
    with transaction(books.engine) as session:
        posted = ledger.post(session, journal(LINE), key="in flight")
        # When the day is closed
        closer = Later(lambda: close(books, DAY))
        # Then the close waits
        assert closer.waits(books)
    assert closer.ends() is None
    # And the journal is in the day that was closed
    assert posted.book_date == DAY
    assert trial(books, effective=DAY) == {"1200.mpesa-600100": (100, 0), "2200": (0, 100)}


def test_a_journal_waits_for_a_close_in_flight_and_goes_to_the_next_day(books: Books) -> None:
    with shutting(books, DAY):
        recording = Later(lambda: post(books, "came later", LINE))
        assert recording.waits(books)
    assert recording.ends().book_date == NEXT


def test_a_journal_goes_to_its_day_when_the_close_is_given_up(books: Books) -> None:
    with shutting(books, DAY) as session:
        recording = Later(lambda: post(books, "came later", LINE))
        assert recording.waits(books)
        session.rollback()  # the figures do not tie
    assert recording.ends().book_date == DAY


def test_a_closed_days_trial_balance_never_changes(books: Books) -> None:
    # Given four hands that record facts of five days, as fast as they can
    shut_days = days(5)
    engine = make_engine(books.url, pool_size=6)
    stop = threading.Event()

    def record(writer: int) -> int:
        dice, number = random.Random(writer), 0
        while not stop.is_set():
            at = noon(dice.choice(shut_days))
            with transaction(engine) as session:
                ledger.post(session, journal("DR 1200.mpesa-600100 CR 2200 1.00", at=at), key=f"{writer}:{number}")
                if dice.random() < 0.3:
                    ledger.post(
                        session,
                        journal("DR 5900 CR 1200.mpesa-600100 0.01", at=noon(DAY)),
                        key=f"{writer}:{number}:fee",
                    )
            number += 1
        return number

    writers = [Later(lambda writer=writer: record(writer)) for writer in range(4)]
    # When the days are closed one by one meanwhile, and the balances of each are written down
    written_down: dict[date, Any] = {}
    for day in shut_days:
        time.sleep(0.15)
        close(books, day)
        written_down[day] = trial(books, effective=day)
    time.sleep(0.15)
    stop.set()
    counts = [writer.ends() for writer in writers]
    with transaction(engine) as session:
        ledger.snapshot(session)
    engine.dispose()
    # Then, with all the rest recorded, every closed day still says the same
    assert all(isinstance(count, int) and count > 5 for count in counts), counts
    assert {day: trial(books, effective=day) for day in shut_days} == written_down
    assert trial(books)["1200.mpesa-600100"][0] == 100 * sum(counts)
    assert trial(books)["1200.mpesa-600100"][0] > written_down[shut_days[-1]]["1200.mpesa-600100"][0]


# --- what the database refuses, whoever asks -------------------------------------------------------------------------

JOURNAL = (
    "INSERT INTO journal (id, book_date, key, kind, occurred_at, digest{columns}) VALUES (%s, %s, %s, 'by hand', now(),"
    " sha256(''){values})"
)
POSTING = (
    "INSERT INTO posting (journal_id, seq, book_date, debit, credit, amount_minor{columns})"
    " VALUES (%s, %s, %s, '1200.mpesa-600100', '2200', 100{values})"
)


def by_hand(connection: psycopg.Connection[Any], number: int, day: date) -> None:
    """A journal by plain SQL, with no regard for any lock."""
    connection.execute(JOURNAL.format(columns="", values=""), (number, day, f"by hand {number}"))
    connection.execute(POSTING.format(columns="", values=""), (number, 0, day))


def test_plain_sql_cannot_write_a_journal_to_a_closed_day(books: Books) -> None:
    close(books, DAY)
    for role in (None, "worker"):
        with psycopg.connect(books.url) as connection:
            if role:
                connection.execute("SET ROLE revenue_worker")
            with pytest.raises(psycopg.errors.CheckViolation, match="the book of 2026-09-15 is closed"):
                by_hand(connection, 9001, DAY)


def test_plain_sql_cannot_slip_in_while_a_day_closes(books: Books) -> None:
    # Given a journal by plain SQL, which took no lock, not committed yet
    with psycopg.connect(books.url) as connection:
        by_hand(connection, 9001, DAY)
        # When the day is closed, then the close waits for it all the same
        closer = Later(lambda: close(books, DAY))
        assert closer.waits(books)
    assert closer.ends() is None
    # And one that comes while a close is not committed waits, and is refused
    with shutting(books, NEXT):

        def slip_in() -> None:
            with psycopg.connect(books.url) as connection:
                by_hand(connection, 9002, NEXT)

        late = Later(slip_in)
        assert late.waits(books)
    assert isinstance(late.ends(), psycopg.errors.CheckViolation)


def test_a_standing_journal_takes_no_further_posting(books: Books) -> None:
    # Given a journal of yesterday's closed day, and one of an open day
    closed, opened = post(books, "closed", LINE), post(books, "open", LINE, at=noon(NEXT))
    close(books, DAY)
    before = trial(books)
    for standing in (closed, opened):
        with psycopg.connect(books.url) as connection:
            connection.execute("SET ROLE revenue_worker")
            # When a posting is added to it by plain SQL, then it is refused
            with pytest.raises(psycopg.errors.CheckViolation, match="takes no further posting"):
                connection.execute(POSTING.format(columns="", values=""), (standing.id, 7, standing.book_date))
    assert trial(books) == before


def test_nobody_chooses_the_transaction_a_journal_says_it_was_written_in(books: Books) -> None:
    # A journal or posting that claims an older transaction would be missed by every reader that has gone past it
    forged = {"columns": ", xid", "values": ", '5'::xid8"}
    with psycopg.connect(books.url) as connection:
        with pytest.raises(psycopg.errors.CheckViolation, match="another transaction"):
            connection.execute(JOURNAL.format(**forged), (9001, DAY, "forged"))
        connection.rollback()
        connection.execute(JOURNAL.format(columns="", values=""), (9001, DAY, "forged"))
        with pytest.raises(psycopg.errors.CheckViolation, match="another transaction"):
            connection.execute(POSTING.format(**forged), (9001, 0, DAY))


# --- these tests can fail --------------------------------------------------------------------------------------------

UNLOCKED_CHOICE = """
CREATE OR REPLACE FUNCTION book_date_on_or_after(wanted date) RETURNS date LANGUAGE plpgsql AS $$
BEGIN
    WHILE day_is_shut(wanted) LOOP wanted := wanted + 1; END LOOP;
    RETURN wanted;
END $$
"""
UNLOCKED_GUARD = """
CREATE OR REPLACE FUNCTION journal_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM written WHERE day_is_shut(book_date)) THEN RAISE EXCEPTION 'closed'; END IF;
    RETURN NULL;
END $$
"""


def race(books: Books, *, written: bool) -> tuple[Any, bool]:
    """A recorder chose its day (and, when ``written``, wrote its journal) before a close; it commits after it, if it
    can. Answers what became of the recorder, and whether the closed day's trial balance was changed by it."""
    closer: Later | None = None
    before: Any = None
    refused: Any = None
    try:
        with transaction(books.engine) as session:
            ledger.book_dates(session, [DAY])
            if written:
                ledger.post(session, journal(LINE), key="raced")
            closer = Later(lambda: close(books, DAY))
            if not closer.waits(books):
                closer.ends()
                before = trial(books, effective=DAY)
            if not written:
                with pytest.MonkeyPatch.context() as patch:  # it keeps to the day that it chose
                    patch.setattr(
                        "revenue_engine.ledger.store.book_dates", lambda _, asked: {day: day for day in asked}
                    )
                    ledger.post(session, journal(LINE), key="raced")
    except psycopg.errors.CheckViolation as error:
        refused = error
    assert closer is not None
    closer.ends()
    after = trial(books, effective=DAY)
    return refused, before is not None and before != after


@pytest.mark.parametrize("written", [False, True])
def test_with_the_locks_the_race_cannot_be_run(books: Books, written: bool) -> None:
    assert race(books, written=written) == (None, False)


def test_without_the_lock_of_the_choice_the_guard_refuses_the_journal(books: Books) -> None:
    # Given a choice of the day that looks without locking
    books.execute(UNLOCKED_CHOICE)
    # Then the close overtakes the recorder, and the guard refuses what comes too late
    refused, changed = race(books, written=False)
    assert "is closed" in str(refused)
    assert not changed


def test_without_the_lock_of_the_choice_the_guard_makes_the_close_wait(books: Books) -> None:
    books.execute(UNLOCKED_CHOICE)
    assert race(books, written=True) == (None, False)


def test_without_any_lock_a_closed_day_changes_and_this_suite_sees_it(books: Books) -> None:
    # Given neither the choice nor the guard takes a lock
    books.execute(UNLOCKED_CHOICE)
    books.execute(UNLOCKED_GUARD)
    # Then the journal lands in the closed day: "a closed day's trial balance never changes" turns red
    refused, changed = race(books, written=True)
    assert refused is None
    assert changed
