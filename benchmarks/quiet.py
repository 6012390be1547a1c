"""Waits until the machine has little else to do, so that a round measures the program and not its neighbours."""

from __future__ import annotations

import time
from pathlib import Path

LEAST_IDLE = 0.85
AT_MOST_SECONDS = 60.0


def wait(*, at_most: float = AT_MOST_SECONDS) -> bool:
    """Wait for a second in which the processors were idle; whether there was one within ``at_most`` seconds.

    Where the kernel does not tell (no ``/proc/stat``) the answer is False at once.
    """
    end = time.monotonic() + at_most
    while True:
        before = _times()
        if before is None:
            return False
        time.sleep(1.0)
        after = _times()
        if after is not None and (after[0] - before[0]) >= LEAST_IDLE * max(1, after[1] - before[1]):
            return True
        if time.monotonic() > end:
            return False


def _times() -> tuple[int, int] | None:
    try:
        line = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0]
    except OSError:
        return None
    ticks = [int(word) for word in line.split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)
