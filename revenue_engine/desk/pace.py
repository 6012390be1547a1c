"""How fast an address that nobody signed in at may ask: one that asks too much slows nobody else."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from fastapi import Request

from revenue_engine.errors import Retryable

MOST, SECONDS = 30, 60
"""Requests of one address at once, and the seconds until so many may be made again."""
MOST_KEPT = 20_000
_SECOND = 1_000_000_000
_WHOLE, _APART = SECONDS * _SECOND, SECONDS * _SECOND // MOST


@dataclass
class Pace:
    """When the bucket of each address is full again, in nanoseconds of ``clock``, which goes forward."""

    clock: Callable[[], int] = time.monotonic_ns
    _full_at: OrderedDict[str, int] = field(default_factory=OrderedDict)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def spend(self, request: Request) -> None:
        """Take one of the bucket of a request's address. Raises Retryable with the seconds to wait."""
        who = request.client.host if request.client else "unknown"
        with self._guard:
            now = self.clock()
            full_at = max(self._full_at.pop(who, now), now) + _APART
            refused = full_at - now > _WHOLE
            self._full_at[who] = full_at - (_APART if refused else 0)
            if len(self._full_at) > MOST_KEPT:
                self._full_at.popitem(last=False)
        if refused:
            wait = -(-(full_at - now - _WHOLE) // _SECOND)
            raise Retryable(f"too many questions from this address: wait {wait} seconds", seconds=wait)
