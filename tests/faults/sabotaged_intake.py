"""The intake with a promise taken out of it, to see that the checks notice. Started by the sabotage tests only."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from revenue_engine.cli import main
from revenue_engine.intake import store

COMMIT_LATER_SECONDS = 0.3


def answer_first() -> None:
    """A delivery is said to be kept before it is: what a framework does that commits after the response."""
    keep, tasks = store.Store.keep, set()

    async def promise(self: store.Store, row: Any, **more: Any) -> None:
        async def afterwards() -> None:
            await asyncio.sleep(COMMIT_LATER_SECONDS)
            await keep(self, row, **more)

        task = asyncio.create_task(afterwards())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    store.Store.keep = promise  # type: ignore[method-assign]


def commit_unflushed() -> None:
    """The commit returns before it is on disk, and the check that refuses such a server is off."""

    async def trust(connection: Any) -> None:
        return None

    store._assert_durable = trust
    store._SESSION += "; SET synchronous_commit = off"  # type: ignore[misc]


if __name__ == "__main__":
    {"answer-first": answer_first, "commit-unflushed": commit_unflushed}[sys.argv.pop(1)]()
    sys.argv.append("intake")
    main()
