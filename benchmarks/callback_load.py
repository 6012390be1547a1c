"""A light load generator for one URL: keep-alive sockets, one request in flight each, latencies as JSON on stdout.

Run as a program of its own, so that it does not share an interpreter with what it measures. Requests in flight when
time is up are waited for, so that answers and stored rows can be compared exactly.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import cast

import uvloop

REST_WITHIN = 10.0


class Client(asyncio.Protocol):
    """One caller: sends, waits for the whole answer, sends again."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.transport: asyncio.Transport
        self.got = bytearray()
        self.sent = 0.0
        self.idle = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.send()

    def send(self) -> None:
        self.sent = time.perf_counter()
        self.transport.write(self.load.request)

    def data_received(self, data: bytes) -> None:
        self.got += data
        end = self.got.find(b"\r\n\r\n")
        if end < 0:
            return
        at = self.got.lower().find(b"content-length: ", 0, end)
        length = int(self.got[at + 16 : self.got.find(b"\r\n", at)])
        if len(self.got) < end + 4 + length:
            return
        now = time.perf_counter()
        self.load.note(ok=self.got.startswith(b"HTTP/1.1 200"), now=now, took=now - self.sent)
        self.got.clear()
        if now < self.load.ends:
            self.send()
        else:
            self.finish()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.idle.done():
            self.load.errors += 1
            self.idle.set_result(None)

    def finish(self) -> None:
        if not self.idle.done():
            self.idle.set_result(None)
        self.transport.close()


class Load:
    """What is sent, and what came back. The warm-up counts for stored rows and not for speed."""

    def __init__(self, host: str, port: int, path: str, body: bytes, *, warm_up: float, seconds: float) -> None:
        self.request = (
            f"POST {path} HTTP/1.1\r\nhost: {host}:{port}\r\nuser-agent: Apache-HttpClient/4.5.5 (Java/1.8.0_191)\r\n"
            f"accept: application/json\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        ).encode() + body
        self.starts = time.perf_counter() + warm_up
        self.ends = self.starts + seconds
        self.answered = 0
        self.errors = 0
        self.latencies: list[float] = []

    def note(self, *, ok: bool, now: float, took: float) -> None:
        if not ok:
            self.errors += 1
            return
        self.answered += 1
        if self.starts <= now <= self.ends:
            self.latencies.append(took)


async def run(given: dict[str, object]) -> dict[str, float]:
    """Drive the load and sum it up."""
    host, port, seconds = str(given["host"]), int(str(given["port"])), float(str(given["seconds"]))
    body = str(given["body"]).encode()
    load = Load(host, port, str(given["path"]), body, warm_up=float(str(given["warm_up"])), seconds=seconds)
    loop = asyncio.get_running_loop()
    made = [await loop.create_connection(lambda: Client(load), host, port) for _ in range(int(str(given["clients"])))]
    budget = load.ends - time.perf_counter() + REST_WITHIN
    _, late = await asyncio.wait([client.idle for _, client in made], timeout=budget)
    took = sorted(load.latencies) or [0.0]
    return {
        "answered": load.answered,
        "errors": load.errors + len(late),
        "per_second": len(load.latencies) / seconds,
        "p50_ms": 1000 * took[len(took) // 2],
        "p99_ms": 1000 * took[min(len(took) - 1, len(took) * 99 // 100)],
    }


if __name__ == "__main__":
    print(json.dumps(uvloop.run(run(json.load(sys.stdin)))))
