"""Where the work of a run is done: here, in processes, on Dramatiq workers or on a Dask cluster.

The seam is one method: a pure function over slices of a list, answers in order. Whatever the back end, slices are cut
so that no pair of a bill and a payment is parted, and the answer is the same byte for byte.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any, Protocol

from revenue_engine.errors import ConfigurationError

WORTH_PROCESSES = 200_000
"""Fewer payments than this are done sooner here than processes start."""
SLICE = 8_000

Work = Callable[..., list[Any]]


class Executor(Protocol):
    """A place where slices of work are done."""

    name: str

    def map(self, work: Work, items: list[Any], *extra: Any) -> list[Any]:
        """``work(slice, *extra)`` for slices of ``items``; the answers joined in the order of the items."""


class InProcess:
    """Here, one slice after another."""

    name = "inprocess"

    def map(self, work: Work, items: list[Any], *extra: Any) -> list[Any]:
        """All of it at once."""
        return work(items, *extra)


class Processes:
    """Processes of this machine, one a core."""

    name = "processes"

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self.pool = pool

    def map(self, work: Work, items: list[Any], *extra: Any) -> list[Any]:
        """Slices over the pool."""
        waiting = [self.pool.submit(work, part, *extra) for part in slices(items)]
        return [answer for one in waiting for answer in one.result()]


def slices(items: list[Any], size: int = SLICE) -> list[list[Any]]:
    """A list in pieces of at most ``size``."""
    return [items[start : start + size] for start in range(0, len(items), size)]


@contextmanager
def open_executor(name: str, payments: int) -> Iterator[Executor]:
    """The executor of that name; ``auto`` takes processes where there is enough to do."""
    cores = os.cpu_count() or 1
    if name == "auto":
        name = "processes" if payments >= WORTH_PROCESSES and cores > 1 else "inprocess"
    if name == "inprocess":
        yield InProcess()
    elif name == "processes":
        with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as pool:
            yield Processes(pool)
    else:
        raise ConfigurationError(f"there is no executor {name!r}")
