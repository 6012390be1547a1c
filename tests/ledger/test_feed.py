"""Reading on from where one stopped: nothing missed, nothing twice, however the writers commit."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from revenue_engine import ledger
from revenue_engine.db import transaction
from tests.support.accountant import journal, lines, post
from tests.support.books import Books

WRITERS, EACH = 20, 12


class Readers:
    """Two readers of one table: by the horizon, as the engine reads, and by the last id seen, as one must not."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.after = 0
        self.last_id = 0
        self.by_horizon: list[str] = []
        self.by_id: list[str] = []

    def read(self) -> None:
        """One turn of both."""
        with transaction(self.books.engine) as session:
            mark, journals = ledger.feed(session, after=self.after)
            self.by_horizon += [found.key for found in journals]
            self.after = mark.horizon
        for journal_id, key in self.books.rows("SELECT id, key FROM journal WHERE id > %s ORDER BY id", self.last_id):
            self.by_id.append(key)
            self.last_id = journal_id


def settle(books: Books, xid: int) -> None:
    """Wait until the horizon is past a transaction: housekeeping of the server may hold it back for a moment."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with transaction(books.engine) as session:
            if ledger.horizon(session) > xid:
                return
        time.sleep(0.02)
    raise AssertionError(f"the horizon never passed transaction {xid}")


@contextmanager
def open_writer(books: Books, key: str) -> Iterator[psycopg.Connection]:
    """A journal written and not committed yet; commits when told to, or else at the end."""
    from revenue_engine.db import make_engine

    engine = make_engine(books.url, pool_size=0)
    with transaction(engine) as session:
        ledger.post(session, journal("DR 1200.mpesa-600100 CR 2200 1.00"), key=key)
        yield session.connection().connection.driver_connection
    engine.dispose()


def newest(books: Books) -> int:
    """The newest transaction that wrote a journal."""
    ((xid,),) = books.rows("SELECT coalesce(max(xid)::text::bigint, 0) FROM journal")
    return int(xid)


def write(books: Books, writer: int) -> None:
    """One writer: transactions that draw their ids, dawdle, and then commit or, at times, think better of it."""
    dice = random.Random(writer)
    with psycopg.connect(books.url) as connection:
        for number in range(EACH):
            connection.execute(
                "WITH j AS (INSERT INTO journal (book_date, key, kind, occurred_at, digest)"
                " VALUES ('2026-09-15', %s, 'test', '2026-09-15 12:00+03', sha256('')) RETURNING id, book_date)"
                " INSERT INTO posting (journal_id, seq, book_date, debit, credit, amount_minor)"
                " SELECT id, 0, book_date, '1200.mpesa-600100', '2200', 100 FROM j",
                (f"{writer}:{number}",),
            )
            time.sleep(dice.choice([0, 0, 0.002, 0.01, 0.03]))
            if dice.random() < 0.1:
                connection.rollback()
            connection.commit()


def test_twenty_writers_and_a_reader_that_misses_nothing(books: Books) -> None:
    # Given a reader that reads on and on while twenty writers commit in no order at all
    readers = Readers(books)
    threads = [threading.Thread(target=write, args=(books, number)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        readers.read()
        time.sleep(0.005)
    settle(books, newest(books))
    readers.read()
    # Then every committed journal was read once, and none twice
    committed = {key for (key,) in books.rows("SELECT key FROM journal")}
    assert WRITERS * EACH * 0.7 < len(committed) < WRITERS * EACH
    assert sorted(readers.by_horizon) == sorted(committed)
    # And a reader by the last id misses some for ever: so this test is able to fail
    assert set(readers.by_id) < committed


def test_one_open_writer_holds_the_horizon_back_for_all(books: Books) -> None:
    readers = Readers(books)
    post(books, "early", "DR 1200.mpesa-600100 CR 2200 1.00")
    settle(books, newest(books))
    # Given a writer who has written and not committed, and another who came later and did
    with open_writer(books, "slow"):
        post(books, "quick", "DR 1200.mpesa-600100 CR 2200 1.00")
        # When the journals are read
        readers.read()
        # Then only what came before both is final
        assert readers.by_horizon == ["early"]
    # When the slow one has committed
    settle(books, newest(books))
    readers.read()
    # Then both are read, in the order of their transactions
    assert readers.by_horizon == ["early", "slow", "quick"]
    # And the reader by id, who saw the quick one first, missed the slow one
    assert readers.by_id == ["early", "quick"]


def test_a_rolled_back_writer_lets_the_horizon_go(books: Books) -> None:
    readers = Readers(books)
    with open_writer(books, "never") as connection:
        post(books, "quick", "DR 1200.mpesa-600100 CR 2200 1.00")
        readers.read()
        assert readers.by_horizon == []
        connection.rollback()
    settle(books, newest(books))
    readers.read()
    assert readers.by_horizon == ["quick"]


def test_a_feed_gives_whole_journals_in_the_order_of_their_postings(books: Books) -> None:
    # Given journals of several postings, two of them in one transaction
    written = (
        "DR 1200.mpesa-600100 CR 2200 1.00",
        "DR 1200.mpesa-600100 CR 2100 2.00",
        "DR 5900 CR 1200.mpesa-600100 0.50",
    )
    with transaction(books.engine) as session:
        ledger.post_many(session, [("a", journal(*written)), ("b", journal(*reversed(written)))])
    post(books, "c", *written[:1])
    settle(books, newest(books))
    # When they are read
    with transaction(books.engine) as session:
        mark, journals = ledger.feed(session)
        found = {one.key: lines(one.postings) for one in journals}
        # Then each is whole, and the next feed begins where this one ended
        assert found == {"a": list(written), "b": list(reversed(written)), "c": [written[0]]}
        again, none = ledger.feed(session, after=mark.horizon)
        assert list(none) == []
        assert again.after == mark.horizon


def test_a_feed_never_goes_back_and_never_past_what_was_asked(books: Books) -> None:
    post(books, "a", "DR 1200.mpesa-600100 CR 2200 1.00")
    middle = newest(books) + 1
    post(books, "b", "DR 1200.mpesa-600100 CR 2200 1.00")
    settle(books, newest(books))
    with transaction(books.engine) as session:
        # When a reader asks for what was known up to a horizon
        mark, journals = ledger.feed(session, upto=middle)
        # Then it gets that and no more
        assert [one.key for one in journals] == ["a"]
        assert mark.horizon == middle
        # And asked for an earlier horizon than it has read, it stays where it is
        mark, journals = ledger.feed(session, after=middle, upto=1)
        assert (list(journals), mark.horizon) == ([], middle)


def test_two_feeds_of_one_transaction_do_not_disturb_each_other(books: Books) -> None:
    post(books, "a", "DR 1200.mpesa-600100 CR 2200 1.00")
    post(books, "b", "DR 1200.mpesa-600100 CR 2200 1.00")
    settle(books, newest(books))
    with transaction(books.engine) as session:
        upto = ledger.horizon(session)
        _, one = ledger.feed(session, upto=upto)
        _, two = ledger.feed(session, upto=upto)
        assert [(a.key, b.key) for a, b in zip(one, two, strict=True)] == [("a", "a"), ("b", "b")]
