"""The processes of the demo: the real intake and worker, started as anybody would start them, and always ended."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from revenue_engine.config import PREFIX
from revenue_engine.errors import Retryable

READY_WITHIN = 60.0
END_WITHIN = 25.0


@dataclass(slots=True)
class Running:
    """The processes that run, and where callbacks go."""

    url: str
    children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    logs: dict[str, Path] = field(default_factory=dict)

    def check(self) -> None:
        """Raise Retryable when a process has ended, with the last it said."""
        for name, child in self.children.items():
            if (code := child.poll()) is not None:
                raise Retryable(f"the {name} ended with {code}: {_tail(self.logs[name])}", process=name, code=code)


@contextlib.contextmanager
def running(environment: Mapping[str, Mapping[str, str]], *, state_dir: Path) -> Iterator[Running]:
    """Start the intake and the worker with the settings of each, and end them when the block ends, however it ends."""
    port = _free_port()
    found = Running(f"http://127.0.0.1:{port}")
    try:
        for name, settings in environment.items():
            found.logs[name] = state_dir / f"demo-{name}.log"
            inherited = {key: value for key, value in os.environ.items() if not key.startswith(PREFIX)}
            with found.logs[name].open("wb") as log:
                found.children[name] = subprocess.Popen(
                    [sys.executable, "-m", "revenue_engine.cli", name],
                    env={
                        **inherited,
                        **settings,
                        f"{PREFIX}INTAKE_HOST": "127.0.0.1",
                        f"{PREFIX}INTAKE_PORT": str(port),
                    },
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
        yield found
    finally:
        _end(found.children)


def wait_ready(found: Running) -> None:
    """Wait until the intake says that it can keep deliveries. Raises Retryable when it does not in time."""
    deadline = time.monotonic() + READY_WITHIN
    with httpx2.Client(timeout=2.0, trust_env=False) as client:
        while time.monotonic() < deadline:
            found.check()
            with contextlib.suppress(httpx2.TransportError):
                if client.get(f"{found.url}/readyz").status_code == 200:
                    return
            time.sleep(0.05)
    raise Retryable(f"the intake was not ready within {READY_WITHIN:.0f} s: {_tail(found.logs['intake'])}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _end(children: Mapping[str, subprocess.Popen[bytes]]) -> None:
    for child in children.values():
        child.terminate()
    deadline = time.monotonic() + END_WITHIN
    for child in children.values():
        try:
            child.wait(timeout=max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait(timeout=10)


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else "it said nothing"
