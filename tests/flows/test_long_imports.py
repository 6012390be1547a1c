"""A statement file that takes longer than its lease: started once, taken over when its worker is gone, kept once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO

import pytest

from adapters.mpesa import adapter as mpesa
from revenue_engine.db import transaction
from revenue_engine.ports.statements import StatementEvent
from revenue_engine.statements import importing
from revenue_engine.statements.importing import LEASE_SECONDS as STATEMENT_LEASE_SECONDS
from revenue_engine.work import jobs
from revenue_engine.worker import Worker
from tests.flows.test_statements import Plain, statement
from tests.support.books import Books

LINES = 5


class Killed(BaseException):
    """A worker that ends in the middle of its work, with nothing said."""


class Slow(Plain):
    """A format whose every line takes a while: ``meanwhile`` is what happens then, by the number of the row."""

    def __init__(self) -> None:
        self.meanwhile: Callable[[int], object] = lambda _: None

    def read(self, stream: BinaryIO, *, filename: str = "") -> Iterator[StatementEvent]:
        for number, event in enumerate(super().read(stream, filename=filename)):
            self.meanwhile(number)
            yield event


@pytest.fixture
def slow(books: Books, monkeypatch: pytest.MonkeyPatch) -> Slow:
    """The format, in a county whose imports book one line after the other."""
    monkeypatch.setattr(importing, "AT_ONCE", 1)
    reader = Slow()
    books.readers["plain"] = reader
    return reader


def worker(books: Books, name: str) -> Worker:
    return Worker(books.as_role("worker"), {"mpesa": mpesa}, books.readers, name=name)


def bring(books: Books) -> int:
    moves = [("payment", f"UI0000L{number:03d}", 100, "") for number in range(LINES)]
    return books.bring(statement(*moves))


def pass_time(books: Books, seconds: int) -> None:
    """Let so much of every lease be gone."""
    books.execute(
        f"UPDATE job SET lease_until = lease_until - interval '{seconds} seconds' WHERE leased_by IS NOT NULL"
    )


def due_again(books: Books) -> None:
    books.execute("UPDATE job SET run_after = clock_timestamp()")


def kept(books: Books) -> tuple[int, int, int, int]:
    """Statements, their lines, payments, and statement files that wait."""
    (row,) = books.rows(
        "SELECT (SELECT count(*) FROM statement), (SELECT count(*) FROM statement_line),"
        " (SELECT count(*) FROM payment), (SELECT count(*) FROM job WHERE kind = 'statement')"
    )
    return tuple(row)


def test_an_import_longer_than_its_lease_is_started_once(books: Books, slow: Slow) -> None:
    # Given a file each line of which takes two thirds of the lease, and another worker that looks for work meanwhile
    bring(books)
    other = worker(books, "ben")
    looked: list[int] = []

    def meanwhile(number: int) -> None:
        if number > 1:
            pass_time(books, STATEMENT_LEASE_SECONDS * 2 // 3)
            looked.append(other.do(importing.IMPORT))

    slow.meanwhile = meanwhile
    # When it is imported
    assert worker(books, "anna").do(importing.IMPORT) == 1
    # Then nobody else ever began it, and it is kept
    assert looked == [0] * LINES
    assert kept(books) == (1, LINES, LINES, 0)


def test_the_file_of_a_killed_worker_is_taken_over_when_its_lease_ends(books: Books, slow: Slow) -> None:
    bring(books)
    other = worker(books, "ben")

    def die(number: int) -> None:
        if number == 4:
            raise Killed

    slow.meanwhile = die
    with pytest.raises(Killed):
        worker(books, "anna").do(importing.IMPORT)
    assert kept(books) == (0, 0, 0, 1)
    # What it had extended holds, and no longer than a lease
    slow.meanwhile = lambda _: None
    assert other.do(importing.IMPORT) == 0
    pass_time(books, STATEMENT_LEASE_SECONDS)
    assert other.do(importing.IMPORT) == 1
    assert kept(books) == (1, LINES, LINES, 0)


@pytest.mark.parametrize("taken_over", [True, False])
@pytest.mark.parametrize("at", [2, LINES + 1], ids=["in the middle", "at the end"])
def test_a_worker_that_lost_its_lease_stops_and_keeps_nothing(
    books: Books, slow: Slow, at: int, *, taken_over: bool
) -> None:
    # Given a worker that stalls until its lease is over, while another may take the file
    bring(books)
    other = worker(books, "ben")
    rows: list[int] = []

    def stall(number: int) -> None:
        rows.append(number)
        if number == at:
            slow.meanwhile = rows.append
            pass_time(books, STATEMENT_LEASE_SECONDS)
            assert not taken_over or other.do(importing.IMPORT) == 1

    slow.meanwhile = stall
    stalled = worker(books, "anna")
    assert stalled.do(importing.IMPORT) == 1
    # Then it books no further, and what it did is not kept
    assert rows[-1] <= at + 1
    assert kept(books) == (0, 0, 0, 1)
    # And the file is kept once, by whoever comes next
    due_again(books)
    pass_time(books, STATEMENT_LEASE_SECONDS)
    assert other.do(importing.IMPORT) == 1
    assert kept(books) == (1, LINES, LINES, 0)
    assert stalled.do(importing.IMPORT) == other.do(importing.IMPORT) == 0


def test_an_import_that_goes_on_is_never_taken_for_one_that_just_began(books: Books, slow: Slow) -> None:
    # Given an import that was extended this moment
    bring(books)
    seen: list[bool] = []

    def look(number: int) -> None:
        if number > 2:
            with transaction(books.as_role("worker")) as session:
                seen.append(
                    jobs.others_at_it(
                        session,
                        kind="statement",
                        worker="ben",
                        lease_seconds=STATEMENT_LEASE_SECONDS,
                        since_seconds=jobs.LOOK_AGAIN_SECONDS - 1,
                    )
                )

    slow.meanwhile = look
    worker(books, "anna").do(importing.IMPORT)
    # Then a message that came before it ends is looked at again, for neither saw the other
    assert seen == [True] * (LINES - 1)
