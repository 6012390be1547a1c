"""The bell: Dramatiq over Redis, to wake workers on this host and others. It carries no work, only "there is work".

Losing Redis, or every message in it, loses nothing: workers sweep the job table by themselves.
"""

from __future__ import annotations

from collections.abc import Callable

import dramatiq
import structlog
from dramatiq.brokers.redis import RedisBroker
from dramatiq.errors import DramatiqError
from redis.exceptions import RedisError

log = structlog.get_logger("bell")

QUEUE = "revenue"
RING_LIVES_MILLISECONDS = 60_000


class Bell:
    """Rings, and answers rings by calling ``work``. Every method survives a Redis that is away."""

    def __init__(self, redis_url: str) -> None:
        # The library's defaults leave messages of a killed worker unfound on a quiet queue.
        self.broker = RedisBroker(  # type: ignore[no-untyped-call]
            url=redis_url, heartbeat_timeout=15_000, maintenance_chance=1_000_000
        )
        self._work: Callable[[], object] | None = None
        self._worker: dramatiq.Worker | None = None
        self._actor = dramatiq.actor(
            actor_name="work", queue_name=QUEUE, broker=self.broker, max_retries=0, max_age=RING_LIVES_MILLISECONDS
        )(self._answer)

    def _answer(self) -> None:
        if self._work is not None:
            self._work()

    def ring(self) -> bool:
        """Tell every listening worker that there is work; False when nobody could be told."""
        try:
            self._actor.send()
        except (RedisError, DramatiqError, OSError) as error:
            log.warning("bell did not ring", error=type(error).__name__)
            return False
        return True

    def listen(self, work: Callable[[], object], *, threads: int = 1) -> None:
        """Answer rings by calling ``work`` in ``threads`` threads until ``close``."""
        self._work = work
        self._worker = dramatiq.Worker(self.broker, worker_threads=threads, worker_timeout=500)
        self._worker.start()

    def close(self) -> None:
        """Stop answering and let the connection go."""
        try:
            if self._worker is not None:
                self._worker.stop(timeout=20_000)
            self.broker.close()
        except (RedisError, DramatiqError, OSError) as error:
            log.warning("bell did not close", error=type(error).__name__)
