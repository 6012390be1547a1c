"""Real processes are killed under load; every acknowledged shilling is in the books, once."""

from __future__ import annotations

import os

import pytest
import redis

from tests.faults import checks, plan
from tests.faults.harness import under_fire, world
from tests.faults.mayhem import mayhem

SEED = int(os.environ.get("REVENUE_TEST_SEED", "7"))
KILLS = 20


@pytest.mark.timeout(400)
def test_twenty_kills_of_intake_worker_and_postgresql_lose_and_double_nothing() -> None:
    with world(SEED) as made:
        sent = plan.make(made.books, seed=SEED, payments=900)
        provider, figures = under_fire(made, sent, kills=KILLS, per_second=60)
        with made.connect() as connection:
            problems = checks.everything(made.books.engine, connection, sent.truth, provider.acked)
        print(figures)
        if problems:
            raise made.fault(problems)
        assert sum(figures.kills.values()) == KILLS
        assert set(figures.kills) == {"intake", "worker", "postgres"}
        assert figures.acked == figures.messages
        assert (figures.payments, figures.reversals) == (len(sent.truth.credits), len(sent.truth.reversals))


@pytest.mark.timeout(200)
def test_without_its_bell_and_after_flushall_the_sweep_finds_all_work() -> None:
    with world(SEED) as made:
        sent = plan.make(made.books, seed=SEED, payments=150)
        third = len(sent.messages) // 3
        # A URL of its own keeps the workers from starting the bell again.
        made.more_settings = {"REVENUE_REDIS_URL": made.servers.redis_url, "REVENUE_WORKER_BATCH": "10"}
        made.start("worker-1")
        made.books.deliver(*((message.purpose, message.body) for message in sent.messages[:third]))
        made.drain(seconds=60)

        made.kill_server("valkey", restart=False)
        made.start("worker-2")  # one that never saw the bell
        made.books.deliver(*((message.purpose, message.body) for message in sent.messages[third : 2 * third]))
        without = made.drain(seconds=60)

        made.kill_process("worker-1", restart=False)
        made.kill_process("worker-2", restart=False)
        made.books.deliver(*((message.purpose, message.body) for message in sent.messages[2 * third :]))
        made.kill_server("valkey")
        with redis.Redis.from_url(made.servers.redis_url) as bell:
            bell.flushall()
        made.start("worker-1")
        flushed = made.drain(seconds=60)

        acked = plan.counted(sent.messages)
        with made.connect() as connection:
            problems = checks.everything(made.books.engine, connection, sent.truth, acked)
        print(f"drained {without:.1f} s without the bell, {flushed:.1f} s after FLUSHALL")
        if problems or made.ended:
            raise made.fault([*problems, f"ended by themselves: {made.ended}"])


@pytest.mark.timeout(300)
def test_everybody_at_once_under_kills_leaves_books_that_prove_themselves() -> None:
    with world(SEED, workers=3) as made:
        figures, crowd, problems = mayhem(made, kills=3, payments=150)
        print(figures, dict(crowd.done))
        if problems:
            raise made.fault(problems)
        assert sum(figures.kills.values()) == 3
        assert crowd.done["agreed"]
        assert crowd.done["matched by runs"]
