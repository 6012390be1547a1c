"""Programs of their own, and places to run them in: network namespaces that only the test knows, or the loopback.

Nothing of the host's network is touched and nothing is named on it. A namespace lives as long as the process that holds
it, and that process ends when its input does, so that a test that is itself killed leaves nothing behind.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 60
TOOLS = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))


@contextmanager
def program(
    *words: str, python: str = sys.executable, before: list[str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A program of its own, ended with the test. ``before`` is the command that takes it to its place."""
    command = [*(before or []), python, *words]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(
    what: str,
    ready: Callable[[], object],
    *,
    of: subprocess.Popen[bytes] | None = None,
    patience: int = PATIENCE_SECONDS,
    every: int = 2,
) -> None:
    """Wait until something is so, looking ``every`` so many milliseconds, as long as the program ``of`` it runs."""
    until = time.monotonic() + patience
    while not ready():
        assert of is None or of.poll() is None, f"the program ended before: {what}"
        assert time.monotonic() < until, f"never: {what}"
        time.sleep(every / 1000)


@dataclass
class Places:
    """Hosts that see each other, numbered from 1. Here all of them are this machine's loopback."""

    apart: bool = False
    """Whether each is a network of its own, whose cable can be pulled…"""
    why: str = ""
    """…and why not."""

    def address(self, host: int) -> str:
        return "127.0.0.1"

    def into(self, host: int) -> list[str]:
        """The command that runs what follows it on a host."""
        return []

    def cut(self, host: int) -> list[str]:
        """The command that pulls a host's cable."""
        raise NotImplementedError("the loopback has no cable")


@dataclass
class Namespaces(Places):
    """A network namespace for each host, joined by a bridge in one more."""

    apart: bool = True
    switch: int = 0
    hosts: list[int] = field(default_factory=list)

    def address(self, host: int) -> str:
        return f"192.0.2.{host}"  # a net for documentation (RFC 5737): nobody's

    def into(self, host: int) -> list[str]:
        return _into(self.hosts[host - 1])

    def cut(self, host: int) -> list[str]:
        return [*_into(self.switch), *_ip("link", "set", f"host{host}", "down")]


@contextmanager
def namespaces(count: int) -> Iterator[Namespaces]:
    """``count`` hosts apart from each other. Raises OSError with the reason where namespaces cannot be made."""
    with ExitStack() as held:
        made = Namespaces(switch=held.enter_context(_namespace()))
        _do(made.switch, "link", "add", "bridge", "type", "bridge")
        _do(made.switch, "link", "set", "bridge", "up")
        for host in range(1, count + 1):
            pid = held.enter_context(_namespace())
            made.hosts.append(pid)
            _do(made.switch, "link", "add", f"host{host}", "type", "veth", "peer", "name", "cable", "netns", str(pid))
            _do(made.switch, "link", "set", f"host{host}", "master", "bridge", "up")
            _do(pid, "address", "add", f"{made.address(host)}/24", "dev", "cable")
            _do(pid, "link", "set", "cable", "up")
            _do(pid, "link", "set", "lo", "up")
        yield made


@contextmanager
def _namespace() -> Iterator[int]:
    """A network namespace and the process that holds it."""
    command = [_tool("unshare"), "--net", "sh", "-c", "echo made; exec cat"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as holder:  # type: ignore[call-overload]
        if holder.stdout.readline() != b"made\n":
            raise OSError(f"no network namespace can be made: {holder.stderr.read().decode().strip()}")
        try:
            yield holder.pid
        finally:
            holder.kill()


def _tool(name: str) -> str:
    found = shutil.which(name, path=TOOLS)
    if found is None:
        raise OSError(f"the program {name!r} is not installed")
    return found


def _into(pid: int) -> list[str]:
    return [_tool("nsenter"), "--target", str(pid), "--net"]


def _ip(*words: str) -> list[str]:
    return [_tool("ip"), *words]


def _do(pid: int, *words: str) -> None:
    done = subprocess.run([*_into(pid), *_ip(*words)], capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"ip {' '.join(words)}: {done.stderr.strip()}")
