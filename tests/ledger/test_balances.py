"""A balance at any day, as known at any moment, against sums that are added up here in Python."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from revenue_engine import ledger
from revenue_engine.db import make_engine, transaction
from revenue_engine.errors import NotFound
from revenue_engine.ledger.journal import Journal, Posting
from tests.ledger.test_feed import newest, settle
from tests.support.accountant import ACCOUNTS, DAY, days, journal, noon, post, sums, trial
from tests.support.books import Books

DAYS = days(5)


@dataclass
class Writer:
    """One transaction of the history: what it wrote, and how it ended."""

    session: Session
    xid: int = 0
    committed: bool = False
    ended: bool = False
    postings: list[tuple[date, Posting]] = field(default_factory=list)


@dataclass
class History:
    """Transactions that open, write, dawdle and end in any order; ticks and snapshots anywhere between."""

    books: Books
    dice: random.Random
    writers: list[Writer] = field(default_factory=list)
    ticks: list[tuple[datetime, list[tuple[date, Posting]]]] = field(default_factory=list)
    keys: int = 0
    folded: int = 0

    def __post_init__(self) -> None:
        self.engine = make_engine(self.books.url, pool_size=0)

    def open(self) -> list[Writer]:
        """Writers that have not ended."""
        return [writer for writer in self.writers if not writer.ended]

    def begin(self) -> None:
        """A new transaction writes its first journal."""
        if len(self.open()) < 4:
            self.writers.append(Writer(Session(self.engine)))
            self.write(self.writers[-1])

    def more(self) -> None:
        """An open transaction writes another journal."""
        if self.open():
            self.write(self.dice.choice(self.open()))

    def write(self, writer: Writer) -> None:
        """One journal of random postings on a random day."""
        self.keys += 1
        day = self.dice.choice(DAYS)
        postings = tuple(
            Posting(*self.dice.sample(ACCOUNTS, 2), self.dice.randint(1, 10**9)) for _ in range(self.dice.randint(1, 3))
        )
        posted = ledger.post(writer.session, Journal("any", noon(day), postings), key=f"any:{self.keys}")
        assert posted.book_date == day
        writer.postings += [(day, posting) for posting in postings]
        connection = writer.session.connection().connection.driver_connection
        writer.xid = int(connection.execute("SELECT pg_current_xact_id()::text").fetchone()[0])

    def end(self) -> None:
        """An open transaction commits, or now and then rolls back."""
        if self.open():
            writer = self.dice.choice(self.open())
            writer.committed = self.dice.random() < 0.85
            (writer.session.commit if writer.committed else writer.session.rollback)()
            writer.session.close()
            writer.ended = True

    def snapshot(self) -> None:
        """Fold what is final."""
        with transaction(self.books.engine) as session:
            self.folded += ledger.snapshot(session, every=self.dice.choice([1, 1, 5]))

    def tick(self) -> None:
        """Mark a moment, and remember what could be known then: all that ended before the oldest still open began."""
        horizon = min((writer.xid for writer in self.open()), default=10**18)
        known = [writer for writer in self.writers if writer.committed and writer.xid < horizon]
        settle(self.books, max((writer.xid for writer in known), default=0))
        with transaction(self.books.engine) as session:
            ledger.tick(session)
        self.ticks.append((datetime.now(UTC), [posting for writer in known for posting in writer.postings]))
        time.sleep(0.001)

    def committed(self) -> list[tuple[date, Posting]]:
        """All that is committed now."""
        return [posting for writer in self.writers if writer.committed for posting in writer.postings]

    def check(self, known: Iterable[tuple[date, Posting]], **at: Any) -> None:
        """Every account at every day is the sum of what was known."""
        known = list(known)
        with transaction(self.books.engine) as session:
            for day in (None, *DAYS):
                expected = sums(tuple(p[:3]) for on, p in known if day is None or on <= day)
                table = ledger.trial_balance(session, effective=day, **at)
                assert {line.code: (line.debit_minor, line.credit_minor) for line in table} == expected
                for account in ACCOUNTS:
                    found = ledger.balance(session, account, effective=day, **at)
                    assert (found.debit_minor, found.credit_minor) == expected.get(account, (0, 0))


@pytest.mark.parametrize("seed", range(4))
def test_any_balance_is_the_sum_of_what_was_known(books: Books, seed: int) -> None:
    # Given a long history of transactions that commit late, with snapshots and ticks at random moments
    history = History(books, random.Random(seed))
    steps = [history.begin, history.more, history.end, history.end, history.snapshot, history.tick]
    for _ in range(60):
        history.dice.choice(steps)()
        # Then what is committed can be read at once
        if history.dice.random() < 0.15:
            history.check(history.committed())
    while history.open():
        history.end()
    history.tick()
    history.snapshot()
    # And every moment that was marked can be asked again, and answers what it could have answered then
    assert history.folded
    assert len(history.ticks) > 3
    for known_at, known in history.ticks:
        history.check(known, known_at=known_at)
    history.check([], known_at=history.ticks[0][0] - timedelta(hours=1))
    history.engine.dispose()


def test_known_at_never_forgets_when_two_ticks_cross(books: Books) -> None:
    # Given two processes that ticked at once and wrote their marks in the other order
    at = datetime(2026, 9, 15, 9, 0, tzinfo=UTC)
    for seconds, horizon in ((1, "5"), (2, "9"), (3, "7")):
        books.execute(
            "INSERT INTO ledger_tick (at, horizon) VALUES (%s, %s::text::xid8)",
            at + timedelta(seconds=seconds),
            horizon,
        )
    # Then what is known never shrinks as time goes on
    with transaction(books.engine) as session:
        known = [ledger.known_horizon(session, at + timedelta(seconds=seconds)) for seconds in range(5)]
    assert known == [0, 5, 9, 9, 9]


# --- control accounts and unknown ones -------------------------------------------------------------------------------


def test_a_control_account_is_itself_and_all_that_roll_up_to_it(books: Books) -> None:
    post(books, "permit", "DR 1300.SBP CR 4000.SBP.principal 100.00")
    post(books, "rent", "DR 1300.RENT CR 4000.RENT.principal 20.00")
    post(books, "paid", "DR 1200.mpesa-600100 CR 1300.RENT 5.00")
    with transaction(books.engine) as session:
        # Before and after the postings are folded into a snapshot
        for _ in range(2):
            net = {code: ledger.balance(session, code).net_minor for code in ("1300", "1300.SBP", "1300.RENT", "4000")}
            assert net == {"1300": 11_500, "1300.SBP": 10_000, "1300.RENT": 1_500, "4000": -12_000}
            assert ledger.balance(session, "2100") == ledger.Balance(0, 0)
            ledger.snapshot(session)


def test_an_unknown_account_is_not_zero(books: Books) -> None:
    with transaction(books.engine) as session:
        with pytest.raises(NotFound):
            ledger.balance(session, "1300.NONE")
        with pytest.raises(NotFound):
            ledger.statement(session, "1300.NONE", start=DAY, end=DAY)


def test_a_trial_balance_shows_each_account_on_its_normal_side(books: Books) -> None:
    post(books, "bill", "DR 1300.SBP CR 4000.SBP.principal 100.00")
    post(books, "paid", "DR 1200.mpesa-600100 CR 2200 30.00")
    post(books, "waived", "DR 4800 CR 1300.SBP 10.00")
    with transaction(books.engine) as session:
        shown = {line.code: line.balance_minor for line in ledger.trial_balance(session)}
    assert shown == {
        "1200.mpesa-600100": 3_000,
        "1300.SBP": 9_000,
        "2200": 3_000,
        "4000.SBP.principal": 10_000,
        "4800": 1_000,
    }


# --- snapshots -------------------------------------------------------------------------------------------------------


def test_a_snapshot_waits_for_enough_postings(books: Books) -> None:
    for number in range(3):
        post(books, f"sale:{number}", "DR 1200.mpesa-600100 CR 2200 1.00", "DR 1200.mpesa-600100 CR 2100 1.00")
    settle(books, newest(books))
    with transaction(books.engine) as session:
        assert ledger.snapshot(session, every=7) == 0
        assert ledger.snapshot(session, every=6) == 6
        assert ledger.snapshot(session, every=1) == 0
    assert books.rows("SELECT count(*) FROM snapshot_run") == [(1,)]
    assert trial(books) == {"1200.mpesa-600100": (600, 0), "2200": (0, 300), "2100": (0, 300)}


def test_snapshots_by_many_hands_fold_every_posting_once(books: Books) -> None:
    # Given four hands that post while four others take snapshots
    done = threading.Event()
    engine = make_engine(books.url, pool_size=10)
    failures: list[BaseException] = []

    def guarded(work: Any, *arguments: Any) -> None:
        try:
            work(*arguments)
        except BaseException as error:  # noqa: BLE001 - looked at below
            failures.append(error)

    def write(writer: int) -> None:
        for number in range(40):
            with transaction(engine) as session:
                key = f"{writer}:{number}"
                ledger.post(session, journal("DR 1200.mpesa-600100 CR 2200 1.00", at=noon(DAYS[number % 5])), key=key)

    def fold() -> None:
        while not done.is_set():
            with transaction(engine) as session:
                ledger.snapshot(session)

    writers = [threading.Thread(target=guarded, args=(write, number)) for number in range(4)]
    folders = [threading.Thread(target=guarded, args=(fold,)) for _ in range(4)]
    for thread in writers + folders:
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    for thread in folders:
        thread.join()
    settle(books, newest(books))
    with transaction(engine) as session:
        ledger.snapshot(session)
    engine.dispose()
    # Then nobody failed, the runs follow one another without a gap, and every posting is in one slice
    assert failures == []
    runs = books.rows("SELECT previous::text::bigint, horizon::text::bigint, postings FROM snapshot_run ORDER BY 2")
    assert [previous for previous, _, _ in runs] == [0, *(horizon for _, horizon, _ in runs[:-1])]
    assert sum(postings for _, _, postings in runs) == 160
    assert books.rows(
        "SELECT account, sum(debit_minor)::bigint, sum(credit_minor)::bigint, sum(postings)::bigint FROM balance_slice"
        " GROUP BY 1 ORDER BY 1"
    ) == [("1200.mpesa-600100", 16_000, 0, 160), ("2200", 0, 16_000, 160)]
    assert trial(books) == {"1200.mpesa-600100": (16_000, 0), "2200": (0, 16_000)}


# --- statements of account -------------------------------------------------------------------------------------------


def fill(books: Books, seed: int = 7, count: int = 60) -> None:
    """Random journals of three payers over five days, a third of them undone."""
    dice = random.Random(seed)
    with transaction(books.engine) as session:
        for number in range(count):
            day = dice.choice(DAYS)
            postings = tuple(
                Posting(*dice.sample(ACCOUNTS, 2), dice.randint(1, 10**6), payer_id=dice.choice([None, 1, 2]))
                for _ in range(dice.randint(1, 3))
            )
            posted = ledger.post(session, Journal("any", noon(day), postings), key=f"any:{number}")
            if dice.random() < 0.3:
                ledger.reverse(session, posted.id, reason="undone", at=noon(dice.choice([d for d in DAYS if d >= day])))


@pytest.mark.parametrize("account", ["1300.SBP", "1300", "2200", "4000"])
def test_opening_and_lines_are_closing(books: Books, account: str) -> None:
    fill(books)
    with transaction(books.engine) as session:
        for start in DAYS:
            for end in DAYS:
                shown = ledger.statement(session, account, start=start, end=end)
                # Then each line moves the balance by what it says, from the opening to the closing
                running = shown.opening_minor
                for entry in shown.entries:
                    assert start <= entry.book_date <= end
                    running += entry.debit_minor - entry.credit_minor
                    assert entry.balance_minor == running
                assert running == shown.closing_minor
                # And both ends are the balances of those days
                if start <= end:
                    before = ledger.balance(session, account, effective=start - timedelta(days=1))
                    assert shown.opening_minor == before.net_minor
                    assert shown.closing_minor == ledger.balance(session, account, effective=end).net_minor


def test_a_payers_statement_holds_the_payers_lines_alone(books: Books) -> None:
    # Given bills of two payers and a payment of one of them
    post(books, "bill 1", "DR 1300.SBP CR 4000.SBP.principal 100.00", payer_id=1, at=noon(DAYS[0]))
    post(books, "bill 2", "DR 1300.SBP CR 4000.SBP.principal 50.00", payer_id=2, at=noon(DAYS[0]))
    post(books, "paid 1", "DR 1200.mpesa-600100 CR 1300.SBP 30.00", payer_id=1, at=noon(DAYS[2]))
    # When the first asks for a statement from the second day on
    with transaction(books.engine) as session:
        shown = ledger.statement(session, "1300", start=DAYS[1], end=DAYS[4], payer_id=1)
    # Then it opens with the bill, shows the payment and closes with what is owed
    assert (shown.opening_minor, shown.closing_minor) == (10_000, 7_000)
    assert [(e.journal_key, e.other_account, e.debit_minor, e.credit_minor) for e in shown.entries] == [
        ("paid 1", "1200.mpesa-600100", 0, 3_000)
    ]
