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
STARTED = ("intake", "worker")
"""What every demo runs; the desk is started where a person looks."""
DESK_PORT = 8802
"""Where the desk listens if nothing else does."""


@dataclass(slots=True)
class Running:
    """The processes that run, and where callbacks go."""

    url: str
    environment: Mapping[str, Mapping[str, str]]
    state_dir: Path
    desk_port: int
    """Where the desk listens once it is started."""
    children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    logs: dict[str, Path] = field(default_factory=dict)

    def start(self, name: str, *, more: Mapping[str, str]) -> None:
        """Start one process with its settings and ``more``; what it says goes to a file of the state folder."""
        self.logs[name] = self.state_dir / f"demo-{name}.log"
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(PREFIX)}
        with self.logs[name].open("wb") as log:
            self.children[name] = subprocess.Popen(
                [sys.executable, "-m", "revenue_engine.cli", name],
                env={**inherited, **self.environment[name], **more},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def check(self) -> None:
        """Raise Retryable when a process has ended, with the last it said."""
        for name, child in self.children.items():
            if (code := child.poll()) is not None:
                raise Retryable(f"the {name} ended with {code}: {_tail(self.logs[name])}", process=name, code=code)


@contextlib.contextmanager
def running(environment: Mapping[str, Mapping[str, str]], *, state_dir: Path) -> Iterator[Running]:
    """Start the intake and the worker with the settings of each, and end them when the block ends, however it ends."""
    port = free_port()
    found = Running(f"http://127.0.0.1:{port}", environment, state_dir, desk_port=free_port(first=DESK_PORT))
    own = {f"{PREFIX}INTAKE_HOST": "127.0.0.1", f"{PREFIX}INTAKE_PORT": str(port)}
    try:
        for name in STARTED:
            found.start(name, more=own)
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


def free_port(*, first: int = 0) -> int:
    """A port of this machine that nothing listens on, ``first`` if it is one. Raises Retryable where there is none."""
    for port in (first, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise Retryable("this machine has no free port")


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
