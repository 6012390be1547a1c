"""Dramatiq workers as separate programs, one of them killed midway: the answer is the same."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import redis

from reconciliation.engine import executors, files, matching
from reconciliation.engine.dramatiq_group import Group
from revenue_engine import embedded
from revenue_engine.errors import Retryable
from tests.matching import county
from tests.matching.programs import PATIENCE_SECONDS, program, wait_for


def test_a_dramatiq_worker_dies_midway(
    servers: embedded.Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executors, "SLICE", 4)
    tables = [read(path) for read, path in zip((files.read_invoices, files.read_payments), made(tmp_path), strict=True)]
    alone = matching.match(*tables).digest()
    group, found, words = Group(servers.redis_url, heartbeat_milliseconds=1_000), [], ("--heartbeat", "1000")
    run = threading.Thread(
        target=lambda: found.append(matching.match(*tables, spread=executors.Dramatiq(group)).digest())
    )

    def held() -> int:
        return sum(bell.scard(key) for key in bell.scan_iter("matching:__acks__.*"))

    with redis.Redis.from_url(servers.redis_url) as bell:
        with program("-m", "reconciliation.engine.dramatiq_group", servers.redis_url, *words) as first:
            run.start()
            wait_for("the first worker takes messages", held)
            first.kill()
            first.wait()
        assert run.is_alive(), "the first worker had done everything before it was killed"
        assert held(), "messages that nobody answers"
        with (
            program("-m", "reconciliation.engine.dramatiq_group", servers.redis_url, *words),
            program("-m", "reconciliation.engine.dramatiq_group", servers.redis_url, *words),
        ):
            run.join(PATIENCE_SECONDS)
        assert not any(bell.scan_iter("matching-results:*")), "texts of payers stay in Redis"
    group.close()
    assert found == [alone]


def test_no_worker_is_said(servers: embedded.Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciliation.engine.dramatiq_group.LIVES_MILLISECONDS", 300)
    monkeypatch.setattr("reconciliation.engine.dramatiq_group.QUEUE", "matching-nobody")
    group = Group(servers.redis_url)
    with pytest.raises(Retryable, match="reconciliation"):
        group.ask("hear_all", [[["a", "b"]]], [[]])
    group.close()


def made(folder: Path) -> tuple[Path, Path]:
    return county.make(31, 6000).write(folder)
