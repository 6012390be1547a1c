"""The intake under its real server for tests: in a thread, where the test can look inside, or as a process to kill."""

from __future__ import annotations

import hashlib
import json
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import uvicorn
from psycopg.types.json import Jsonb
from pydantic import BaseModel

from adapters.mpesa import adapter as mpesa
from revenue_engine.intake import server
from revenue_engine.ports.callbacks import AckOutcome, CallbackAdapter, Interpretation, Purpose, Unknown, Verdict
from tests.conftest import Database
from tests.support.books import Books

ROOT = Path(__file__).parents[2]
HOME = "127.0.0.1"
PROVIDER = "196.201.214.200"
KEPT, REFUSED = mpesa.ack(AckOutcome.KEPT), mpesa.ack(AckOutcome.REFUSED)


class FaultySettings(BaseModel):
    secret_file: str


class Faulty:
    """An adapter whose proof raises, and which wants one header kept."""

    name = "faulty"
    settings_model: type[BaseModel] = FaultySettings
    kept_headers = ("X-Signature",)

    def verify(self, headers: Mapping[str, str], body: bytes, peer: str, settings: BaseModel) -> Verdict:
        raise ZeroDivisionError(f"the secret is {settings}")

    def interpret(self, body: bytes, *, purpose: Purpose | None = None) -> Interpretation:
        return Unknown("never asked")

    def ack(self, outcome: AckOutcome) -> bytes:
        return outcome.value.encode()


ADAPTERS: dict[str, CallbackAdapter] = {"mpesa": mpesa, "faulty": Faulty()}


@dataclass
class Rig:
    """A county whose M-PESA account takes callbacks from this machine, and whatever servers a test starts on it."""

    database: Database
    books: Books = field(init=False)
    running: list[Served] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.books = Books(self.database.url)
        self.sql("UPDATE channel_account SET settings = %s", Jsonb({"shortcode": "600100", "peers": [HOME, PROVIDER]}))

    def sql(self, statement: str, *values: Any) -> list[Any]:
        """Do one thing as the superuser; the rows, if any."""
        with psycopg.connect(self.database.url) as connection:
            cursor = connection.execute(statement, values)  # type: ignore[call-overload]
            return cursor.fetchall() if cursor.description else []

    def endpoint(self, purpose: str = "confirmation", *, account: int = 1) -> str:
        """A new endpoint; its token."""
        token = secrets.token_urlsafe(32)
        self.sql(
            "INSERT INTO channel_endpoint (channel_account_id, purpose, token_sha256) VALUES (%s, %s, %s)",
            account,
            purpose,
            hashlib.sha256(token.encode()).digest(),
        )
        return token

    def account(self, adapter: str, settings: dict[str, Any]) -> int:
        """Another channel account; its id."""
        rows = self.sql(
            "INSERT INTO channel_account (public_id, name, adapter, identifier, mode, status, clearing_account,"
            " settings) VALUES (%s, 'other', %s, %s, 'test', 'active', '1200.mpesa-600100', %s) RETURNING id",
            secrets.token_hex(8),
            adapter,
            secrets.token_hex(4),
            Jsonb(settings),
        )
        return int(rows[0][0])

    def serve(self, **more: Any) -> Served:
        """The intake on this database with its own login."""
        own = self.database.role_url("intake")
        app = server.create_app(own, adapters=ADAPTERS, role=None if "options=" not in own else "intake", **more)
        served = Served(app, free_port())
        self.running.append(served)
        return served.start()

    def deliveries(self) -> list[Any]:
        """What is stored, oldest first."""
        return self.sql(
            "SELECT body, body_length, verdict, verdict_reason, host(peer) AS peer, headers, purpose, endpoint_id"
            " FROM delivery ORDER BY id"
        )

    def close(self) -> None:
        for served in self.running:
            served.stop()
        self.books.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOME, 0))
        return int(probe.getsockname()[1])


class Served:
    """The intake under uvicorn in a thread."""

    def __init__(self, app: server.Intake, port: int) -> None:
        self.app = app
        self.port = port
        self.server: uvicorn.Server = server.server(app, host=HOME, port=port)
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.client = httpx2.Client(base_url=f"http://{HOME}:{port}", timeout=20)

    def start(self) -> Served:
        self.thread.start()
        deadline = time.monotonic() + 20
        while not self.server.started and self.thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert self.server.started, self.app.failure
        return self

    def stop(self) -> None:
        self.client.close()
        self.server.should_exit = True
        self.thread.join(timeout=30)

    def post(self, token: str, body: bytes = b"{}", **headers: str) -> httpx2.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(f"/cb/v1/{token}", content=body, headers=named)

    def raw(self) -> socket.socket:
        return socket.create_connection((HOME, self.port), timeout=15)


class Process:
    """The intake as a process of its own, as it is deployed."""

    _PROGRAM = """
import json, sys
from adapters.mpesa import adapter
from revenue_engine.bootstrap import configure_logging
from revenue_engine.config import Settings
from revenue_engine.intake import server
given = json.load(sys.stdin)
configure_logging("info")
server.run(Settings(intake_port=given["port"]), database_url=given["url"], adapters={"mpesa": adapter},
           role=given["role"])
"""

    def __init__(self, url: str, *, role: str | None = "intake") -> None:
        self.port = free_port()
        self.child = subprocess.Popen(
            [sys.executable, "-c", self._PROGRAM],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.child.stdin is not None
        self.child.stdin.write(json.dumps({"url": url, "port": self.port, "role": role}))
        self.child.stdin.close()

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self.child.poll() is None:
            try:
                if httpx2.get(f"http://{HOME}:{self.port}/readyz", timeout=2).status_code == 200:
                    return
            except httpx2.TransportError:
                time.sleep(0.05)
        raise AssertionError("the intake did not become ready")

    def kill(self) -> str:
        """kill -9; what it wrote to standard error."""
        self.child.kill()
        return self.end()

    def end(self) -> str:
        assert self.child.stderr is not None
        said = self.child.stderr.read()
        self.child.stderr.close()
        self.child.wait(timeout=20)
        return said
