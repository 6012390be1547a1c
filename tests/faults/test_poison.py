"""Work that kills its worker, and work that had bad luck: neither may cost other payments, or itself, their place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from revenue_engine.collection import pipeline
from revenue_engine.errors import Retryable
from tests.support.books import Books, confirmation

HEALTHY = 12


class _DiedError(BaseException):
    """Stands in for a process that is gone: nothing after it runs, and its leases stay until they expire."""


def _expire(books: Books) -> None:
    books.execute("UPDATE job SET lease_until = clock_timestamp() - interval '1 second', run_after = now()")


def test_a_delivery_that_kills_its_worker_ends_dead_and_takes_nobody_along(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = books.deliver(*(confirmation(100, "no such thing") for _ in range(HEALTHY + 1)))
    poison, healthy = ids[3], [one for one in ids if one != ids[3]]
    process = pipeline.process

    def dies(session: Any, delivery_ids: Sequence[int], **more: Any) -> pipeline.Outcome:
        if poison in delivery_ids:
            raise _DiedError
        return process(session, delivery_ids, **more)

    monkeypatch.setattr(pipeline, "process", dies)
    lives = 0
    while books.rows("SELECT FROM job WHERE state = 'ready'"):
        lives += 1
        assert lives < 40, "the worker dies for ever"
        try:
            books.work()
        except _DiedError:
            _expire(books)
    assert set(books.states(healthy)) == {"posted"}
    assert books.states([poison]) == ["dead"]
    assert lives <= 12


def test_bad_luck_never_makes_work_dead(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    (delivery,) = books.deliver(confirmation(100, "no such thing"))
    process, tries = pipeline.process, 0

    def unlucky(session: Any, delivery_ids: Sequence[int], **more: Any) -> pipeline.Outcome:
        nonlocal tries
        tries += 1
        if tries <= 20:
            raise Retryable("the lease was lost")
        return process(session, delivery_ids, **more)

    monkeypatch.setattr(pipeline, "process", unlucky)
    for _ in range(25):
        books.work()
        _expire(books)
    assert books.states([delivery]) == ["posted"]
