"""Reading spread over Dramatiq workers: messages over Redis, one a slice, answers through Redis.

A slice is texts and a name of the work, never code. A message that a killed worker held is given to another when its
heartbeat is missed; the work is pure, so to do it twice changes nothing. Texts of payers pass through Redis: they are
removed as soon as they are read, and a run that is broken off leaves nothing longer than ``LIVES_MILLISECONDS``.
Start a worker with ``python -m reconciliation.engine.dramatiq_group redis://host:6379/0`` on as many hosts as there
are.
"""

from __future__ import annotations

import argparse
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends.redis import RedisBackend
from dramatiq.results.errors import ResultError, ResultTimeout

from reconciliation import ladder
from revenue_engine.errors import Retryable

QUEUE = "matching"
LIVES_MILLISECONDS = 600_000
HEARTBEAT_MILLISECONDS = 15_000
_WAIT_MILLISECONDS = 1_000


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _heard(answers: list[Any]) -> list[Any]:
    return [(tuple(numbers), spoke, ladder.Clues._make(map(_frozen, values))) for numbers, spoke, values in answers]


WORKS: dict[str, tuple[Callable[..., list[Any]], Callable[[list[Any]], list[Any]]]] = {
    ladder.hear_all.__name__: (ladder.hear_all, _heard)
}
"""What a worker does by name, and how its answer is read back from JSON."""


class Group:
    """The broker, the one actor, and the way to ask it."""

    def __init__(self, redis_url: str, *, heartbeat_milliseconds: int = HEARTBEAT_MILLISECONDS) -> None:
        self.results = RedisBackend(url=redis_url, namespace="matching-results")  # type: ignore[no-untyped-call]
        self.broker = RedisBroker(  # type: ignore[no-untyped-call]
            url=redis_url, namespace="matching", heartbeat_timeout=heartbeat_milliseconds, maintenance_chance=1_000_000
        )
        keeping = Results(  # type: ignore[no-untyped-call]
            backend=self.results, store_results=True, result_ttl=LIVES_MILLISECONDS
        )
        self.broker.add_middleware(keeping)
        self.actor = dramatiq.actor(
            actor_name="read_slice", queue_name=QUEUE, broker=self.broker, max_retries=2, max_age=LIVES_MILLISECONDS
        )(_read_slice)

    def ask(self, work: str, parts: list[list[Any]], extra: list[Any]) -> list[list[Any]]:
        """The answers to slices, in their order. Raises Retryable when no worker answers in time."""
        messages = [self.actor.message(work, part, extra) for part in parts]
        group = dramatiq.group(messages, broker=self.broker)  # type: ignore[no-untyped-call]
        group.run()  # type: ignore[no-untyped-call]
        until = time.monotonic_ns() + LIVES_MILLISECONDS * 1_000_000
        try:
            answers = [self._answer(message, until) for message in messages]
        except ResultError as error:
            reason = f"no worker of the queue {QUEUE!r} answered: {type(error).__name__}"
            raise Retryable(f"{reason}; start one with python -m reconciliation.engine.dramatiq_group") from None
        finally:
            self.results.client.delete(*(self.results.build_message_key(message) for message in messages))
        return [WORKS[work][1](answer) for answer in answers]

    def _answer(self, message: Any, until: int) -> Any:
        while True:
            try:  # a wait shorter than the client's own patience with the socket
                return message.get_result(backend=self.results, block=True, timeout=_WAIT_MILLISECONDS)
            except ResultTimeout:
                if time.monotonic_ns() >= until:
                    raise

    def close(self) -> None:
        """Let the connections go."""
        self.broker.close()
        self.results.client.close()


def _read_slice(work: str, part: list[list[str]], extra: list[Any]) -> list[Any]:
    return WORKS[work][0]([tuple(one) for one in part], *map(_frozen, extra))


def main() -> None:
    """Answer the queue until a signal comes."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("redis_url")
    parser.add_argument("--heartbeat", type=int, default=HEARTBEAT_MILLISECONDS, help="milliseconds")
    asked = parser.parse_args()
    group = Group(asked.redis_url, heartbeat_milliseconds=asked.heartbeat)
    worker = dramatiq.Worker(group.broker, worker_threads=1, worker_timeout=100)
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    worker.start()
    stopping.wait()
    worker.stop(timeout=20_000)
    group.close()


if __name__ == "__main__":
    main()
