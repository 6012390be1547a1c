"""How fast one caller may ask: buckets of this process that fill up again; two processes allow twice as much."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.requests import Request

from revenue_engine.api.problems import Problem

SECOND = 1_000_000_000
"""Nanoseconds."""
MOST_KEPT = 20_000
"""Callers remembered; the one that was quiet for longest is forgotten first."""


@dataclass(frozen=True, slots=True)
class Limit:
    """So many at once, and so many whole seconds until the bucket is full again."""

    most: int
    seconds: int

    @property
    def apart(self) -> int:
        """Nanoseconds after which the bucket holds one more."""
        return self.seconds * SECOND // self.most


USUAL = Limit(2_000, 4)
"""Calls of one person or service: bursts of 2,000, five hundred a second."""
SIGN_IN_LOGIN = Limit(10, 900)
SIGN_IN_PEER = Limit(50, 900)


@dataclass
class Pace:
    """The buckets, each kept as the moment at which it is full again. ``clock`` answers nanoseconds that go forward."""

    usual: Limit = USUAL
    clock: Callable[[], int] = time.monotonic_ns
    _full_at: OrderedDict[str, int] = field(default_factory=OrderedDict)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def spend(self, who: str, request: Request | None = None, limit: Limit | None = None) -> None:
        """Take one of a caller's bucket. Raises Problem with the seconds to wait when there is none."""
        rule = limit or self.usual
        now, whole = self.clock(), rule.most * rule.apart
        with self._guard:
            full_at = max(self._full_at.pop(who, now), now) + rule.apart
            refused = full_at - now > whole
            full_at -= rule.apart if refused else 0
            self._full_at[who] = full_at
            if len(self._full_at) > MOST_KEPT:
                self._full_at.popitem(last=False)
        left = (whole - (full_at - now)) // rule.apart
        headers = {
            "RateLimit-Limit": str(rule.most),
            "RateLimit-Remaining": str(left),
            "RateLimit-Reset": str(-(-(full_at - now) // SECOND)),
        }
        if request is not None:
            request.state.pace_headers = headers
        if refused:
            wait = -(-(full_at + rule.apart - now - whole) // SECOND)
            said = f"Wait {wait} seconds, then go on slower."
            raise Problem("too_many_requests", said, headers={**headers, "Retry-After": str(wait)})
