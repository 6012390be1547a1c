"""The simulated M-PESA on loopback, its client, and a place that keeps what it posts."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import httpx2
import pytest

from adapters.mpesa import MpesaSettings
from adapters.mpesa.outbound import MpesaOutbound, client
from adapters.sandbox.mpesa_provider import Provider
from adapters.sandbox.mpesa_server import serving
from revenue_engine.periods import NAIROBI
from revenue_engine.ports.callbacks import Purpose

PAYBILL, OTHER = "600100", "600101"
NOON = datetime(2026, 11, 20, 12, 0, 0, tzinfo=NAIROBI)
PURPOSES = (Purpose.CONFIRMATION, Purpose.VALIDATION, Purpose.PUSH_RESULT, Purpose.RESULT, Purpose.TIMEOUT)


@dataclass
class Kept:
    """What arrived at our addresses, by purpose, in the order of arrival."""

    url: str
    bodies: list[tuple[Purpose, bytes]] = field(default_factory=list)
    answers: dict[Purpose, bytes] = field(default_factory=dict)
    waits: dict[Purpose, int] = field(default_factory=dict)
    """Milliseconds before an answer."""

    @property
    def addresses(self) -> dict[Purpose, str]:
        return {purpose: f"{self.url}/{purpose}" for purpose in PURPOSES}

    def of(self, purpose: Purpose) -> list[bytes]:
        return [body for kept, body in self.bodies if kept is purpose]


@pytest.fixture
def kept() -> Iterator[Kept]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            purpose = Purpose(self.path.removeprefix("/"))
            body = self.rfile.read(int(self.headers["content-length"]))
            found.bodies.append((purpose, body))
            time.sleep(found.waits.get(purpose, 0) / 1000)
            answer = found.answers.get(purpose, b'{"ResultCode":0,"ResultDesc":"Success"}')
            self.send_response(200)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args: object) -> None:
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Kept(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.at = NOON

    def __call__(self) -> datetime:
        return self.at

    def move(self, **step: int) -> None:
        self.at += timedelta(**step)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def provider(clock: Clock) -> Provider:
    return Provider({PAYBILL: "Sample County", OTHER: "Sample Hospitals"}, seed=11, clock=clock)


@pytest.fixture
def url(provider: Provider) -> Iterator[str]:
    with serving(provider) as found:
        yield found


@dataclass
class World:
    """Everything of one test."""

    provider: Provider
    kept: Kept
    clock: Clock
    url: str
    secrets: Path
    pauses: list[float]
    make: Callable[..., MpesaOutbound]

    @property
    def client(self) -> MpesaOutbound:
        if not hasattr(self, "_client"):
            self._client = self.make()
        return self._client

    def settle(self) -> None:
        """Wait until the provider has posted all it has to post."""
        assert self.provider.sender.idle(20)

    def sent(self, path: str) -> Mapping[str, object]:
        """The last request to a path."""
        return next(call.body for call in reversed(self.provider.calls) if call.path == path)


@pytest.fixture
def world(provider: Provider, kept: Kept, clock: Clock, url: str, tmp_path: Path) -> Iterator[World]:
    provider.keys.write(tmp_path, kept.addresses)
    pauses: list[float] = []
    clients: list[httpx2.Client] = []

    def make(shortcode: str = PAYBILL, *, read: float = 10, **settings: object) -> MpesaOutbound:
        http = httpx2.Client(timeout=httpx2.Timeout(10, read=read), trust_env=False)
        clients.append(http)
        given = {"shortcode": shortcode, "asking": {**provider.keys.asking(url), **settings}}
        return client(
            MpesaSettings.model_validate_json(json.dumps(given)),
            secret=lambda name: (tmp_path / name).read_bytes(),
            http=http,
            clock=clock,
            sleep=pauses.append,
        )

    yield World(provider, kept, clock, url, tmp_path, pauses, make)
    for one in clients:
        one.close()
