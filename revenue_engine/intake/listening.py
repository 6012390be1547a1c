"""The socket the intake listens on, taken before anything is said to be ready."""

from __future__ import annotations

import errno
import socket
from typing import Final

from revenue_engine.errors import ConfigurationError

BACKLOG: Final = 2048
"""Connections the system holds for us while the process that answers is being started again."""


def listen(host: str, port: int, *, door: str = "INTAKE") -> socket.socket:
    """A listening socket. Raises ConfigurationError, with the fix, where the address cannot be had.

    ``door`` is whose settings the fix names: INTAKE, API or DESK.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(
            f"REVENUE_{door}_HOST {host!r} is no address: {error} (fix: an address of this machine, such as 127.0.0.1)",
            variable=f"REVENUE_{door}_HOST",
        ) from None
    family, kind, protocol, _, address = found[0]
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # "::" means every address of the machine, the old ones too.
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise ConfigurationError(_why(host, port, error, door), variable=_variable(error, door)) from None
    listening.setblocking(False)
    return listening


def _variable(error: OSError, door: str) -> str:
    return f"REVENUE_{door}_{'HOST' if error.errno == errno.EADDRNOTAVAIL else 'PORT'}"


def _why(host: str, port: int, error: OSError, door: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} of {host} is taken: is another 'revenue-engine serve' running? (fix: REVENUE_{door}_PORT)"
    if error.errno in {errno.EACCES, errno.EPERM}:
        return (
            f"port {port} is for the system only, and this user may not listen there (fix: REVENUE_{door}_PORT of 1024"
            " or more, with a proxy before it; docs/server.md)"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is no address of this machine (fix: REVENUE_{door}_HOST, such as 127.0.0.1 or 0.0.0.0)"
    return f"{host} port {port} cannot be listened on: {error.strerror} (fix: REVENUE_{door}_HOST, REVENUE_{door}_PORT)"


def where_to_ask(host: str, port: int) -> tuple[str, int]:
    """Where a program on this machine reaches what listens on ``host``: loopback where that means every address."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host), port  # noqa: S104
