"""Where the reading of a run is done: here, in processes of this machine, in Dramatiq workers, or on a Dask cluster.

The seam is one method: a pure function over slices of a list, answers in order. What is spread is the reading of texts,
which looks at one payment alone, so no pair of a bill and a payment is ever parted; bills are given out in one place.
The answer is the same byte for byte.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from multiprocessing import get_context
from typing import Any, Protocol

from revenue_engine.errors import ConfigurationError

WORTH_PROCESSES = 500_000
"""With fewer payments, starting processes and sending answers back costs what the second core spares; see the docs."""
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


class Dask:
    """A Dask cluster: the one that DASK_SCHEDULER_ADDRESS names, or one of local processes."""

    name = "dask"

    def __init__(self, client: Any) -> None:
        self.client = client

    def map(self, work: Work, items: list[Any], *extra: Any) -> list[Any]:
        """Slices as futures."""
        waiting = [self.client.submit(work, part, *extra, pure=False) for part in slices(items)]
        return [answer for part in self.client.gather(waiting) for answer in part]


class Dramatiq:
    """A Dramatiq group: workers that answer the queue, wherever they are."""

    name = "dramatiq"

    def __init__(self, group: Any) -> None:
        self.group = group

    def map(self, work: Work, items: list[Any], *extra: Any) -> list[Any]:
        """Slices as messages."""
        answers = self.group.ask(work.__name__, slices(items), list(extra))
        return [answer for part in answers for answer in part]


def _group() -> Any:
    from reconciliation.engine.dramatiq_group import Group
    from revenue_engine import embedded
    from revenue_engine.config import load_settings

    settings = load_settings()
    url = settings.redis_url.get_secret_value() if settings.redis_url else embedded.ensure(settings).redis_url
    return Group(url)


def _dask(cores: int) -> Any:
    try:
        from distributed import Client
    except ImportError:
        raise ConfigurationError("the executor 'dask' needs the extra: pip install 'revenue-engine[dask]'") from None
    address = os.environ.get("DASK_SCHEDULER_ADDRESS")
    return Client(address) if address else Client(n_workers=cores, threads_per_worker=1, dashboard_address=None)


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
    elif name == "dask":
        with _dask(cores) as client:
            yield Dask(client)
    elif name == "dramatiq":
        with closing(_group()) as group:
            yield Dramatiq(group)
    else:
        raise ConfigurationError(f"there is no executor {name!r}")
