"""Sends the callbacks of a plan over HTTP, as a provider does: many at once, again when the line breaks."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import httpx2

from adapters.sandbox.mpesa import Hit
from revenue_engine.ports.callbacks import Purpose

AT_ONCE = 32
MOST_TRIES = 8
_AGAIN = frozenset({408, 429, 500, 502, 503, 504})


@dataclass(slots=True)
class Sent:
    """What became of the hits: how often each body was acknowledged, and what was answered otherwise."""

    kept: Counter[bytes] = field(default_factory=Counter)
    """Answers of 2xx by body: each promises that a delivery with these bytes stands."""
    refused: Counter[int] = field(default_factory=Counter)
    """Other final answers by status; 0 where nobody answered."""
    again: int = 0
    """Tries that had to be made again."""


async def send(hits: Sequence[Hit], tokens: Mapping[tuple[str, Purpose], str], *, url: str, sent: Sent) -> None:
    """Post the hits, begun in their order, ``AT_ONCE`` at a time over kept-alive connections."""
    waiting = iter(hits)
    limits = httpx2.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)
    async with httpx2.AsyncClient(base_url=url, limits=limits, timeout=30.0, trust_env=False) as client:

        async def one_sender() -> None:
            for hit in waiting:
                await _post(client, f"/cb/v1/{tokens[hit.shortcode, hit.purpose]}", hit.body, sent)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(AT_ONCE, len(hits))):
                group.create_task(one_sender())


async def _post(client: httpx2.AsyncClient, path: str, body: bytes, sent: Sent) -> None:
    status = 0
    for attempt in range(MOST_TRIES):
        if attempt:
            sent.again += 1
            await asyncio.sleep(0.05 * 2**attempt)
        try:
            status = (await client.post(path, content=body, headers={"content-type": "application/json"})).status_code
        except httpx2.TransportError:
            status = 0  # nobody answered: whether it was kept is not known, so it is sent again
        if status and status not in _AGAIN:
            break
    if 200 <= status < 300:
        sent.kept[body] += 1
    else:
        sent.refused[status] += 1
