"""What one caller may hold of the intake: a request head, a connection that says nothing, a share of all connections.

The HTTP server underneath waits for a request head for ever and lets it grow without end, so that a stranger without
any token could take the memory of the machine or every connection it has. Here a head has 16 KiB and five seconds, a
connection that never showed a known token is let go soon, and one address gets no more than its share.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import resource
import time
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final, Protocol, TypeAlias

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

log = structlog.get_logger("revenue_engine.intake")

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

HEAD_LIMIT: Final = 16_384
"""Bytes of a request line and its headers."""
FRAMING_LIMIT: Final = 65_536
"""Bytes of a chunked body that are no body, besides eight for each byte of it: sizes, extensions, trailers."""
HEAD_WITHIN: Final = 5.0
STRANGER_IDLE: Final = 5
"""Seconds a connection that never showed a known token may say nothing."""
PROVIDER_IDLE: Final = 65
"""The same after a known token: longer than a proxy keeps its idle connections, so that the proxy closes first."""
MOST_CONNECTIONS: Final = 4096
MOST_OF_A_PEER: Final = 512
"""Connections of one address that said nothing worth waiting for, and as many that did and now are idle."""
_SPARE_FILES: Final = 64
"""Open files that are no connection of a caller: the database, the log, the libraries."""
_QUIET_SECONDS: Final = 60.0
_TRUST: Final = "revenue.known_token"

_TOO_LONG: Final = b'{"error":"the head of the request is longer than 16384 bytes"}'
_TOO_MANY: Final = b'{"error":"too many connections of this address, come again"}'


class Tally(Protocol):
    """Where it is counted what was turned away."""

    head_too_long: int
    turned_away: int
    closed_idle: int


def _plain(status: bytes, body: bytes) -> bytes:
    return (b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b") % (
        status,
        len(body),
        body,
    )


@lru_cache(maxsize=4096)
def share_of(host: str) -> str:
    """Whose share a connection counts to: an IPv4 address, or the /64 of an IPv6 one, which one caller holds whole."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def open_files() -> int:
    """How many connections this process may hold open, after asking the system for all it allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS + _SPARE_FILES
    if soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(
                resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard)
            )
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(16, min(MOST_CONNECTIONS, soft - _SPARE_FILES))


class Gate:
    """Every open connection, by whose share it counts to. Our own proxies carry everybody and have no share."""

    def __init__(self, tally: Tally, proxies: Iterable[Network] = ()) -> None:
        self.most = open_files()
        self._tally = tally
        self._proxies = tuple(proxies)
        self._strangers: dict[str, dict[Connection, None]] = {}
        self._known: dict[str, dict[Connection, None]] = {}
        self._open = 0
        self._said: dict[str, float] = {}

    def enter(self, connection: Connection) -> bool:
        """Let a new connection in, at the cost of the oldest idle one where there are too many; False to refuse it."""
        share, own = connection.share, self._strangers.setdefault(connection.share, {})
        own[connection] = None  # first, so that letting another one go does not forget this share
        self._open += 1
        if len(own) > MOST_OF_A_PEER and not self._is_proxy(share) and not self._let_go(own):
            self._tally.turned_away += 1
            self.say("one address holds too many connections", peer=share)
            return False
        if self._open > self.most:
            self._make_room()
        return True

    def leave(self, connection: Connection) -> None:
        """Forget a connection that was closed."""
        for those in (self._strangers, self._known):
            own = those.get(connection.share)
            if own is not None and connection in own:
                del own[connection]
                self._open -= 1
                if not own:
                    del those[connection.share]

    def trust(self, connection: Connection) -> None:
        """A connection showed a known token."""
        own = self._strangers.get(connection.share)
        if own is None or connection not in own:
            return
        del own[connection]
        if not own:
            del self._strangers[connection.share]
        known = self._known.setdefault(connection.share, {})
        known[connection] = None
        if len(known) > MOST_OF_A_PEER and not self._is_proxy(connection.share):
            self._let_go(known)

    def too_long(self) -> None:
        """Count a head that was refused."""
        self._tally.head_too_long += 1

    def say(self, what: str, **facts: Any) -> None:
        """Log what strangers can make happen, once a minute at the most."""
        now = time.monotonic()
        if now - self._said.get(what, -_QUIET_SECONDS) >= _QUIET_SECONDS:
            self._said[what] = now
            log.warning(what, **facts)

    def _is_proxy(self, share: str) -> bool:
        if not self._proxies:
            return False
        with contextlib.suppress(ValueError):
            found = ipaddress.ip_network(share)
            return any(found.version == proxy.version and proxy.overlaps(found) for proxy in self._proxies)
        return False

    def _let_go(self, own: dict[Connection, None]) -> bool:
        """Close the oldest connection of these that is asked nothing; False where every one is being answered."""
        newest = next(reversed(own))
        for connection in own:
            if connection is not newest and connection.is_idle():
                self.leave(connection)  # now: the loop tells us of its end only later
                connection.close()
                self._tally.closed_idle += 1
                return True
        return False

    def _make_room(self) -> None:
        for those in (self._strangers, self._known):
            if those and self._let_go(max(those.values(), key=len)):
                return
        self.say("every connection is in use", open=self._open)


class Connection(HttpToolsProtocol):
    """One connection: HTTP whose head must be short and arrive in time, and which counts to its caller's share."""

    share = ""
    _gate: Gate
    _deadline: asyncio.TimerHandle | None = None
    _head = 0
    """Bytes of the head that is arriving."""
    _in_body = False
    _framing = 0
    """Bytes of the message after its head that may still be no body."""
    _extensions: dict[str, Any]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection that says nothing is closed too."""
        super().connection_made(transport)
        self._gate = self.config.loaded_app.gate
        self.share = share_of(self.client[0] if self.client else "")
        self.timeout_keep_alive = STRANGER_IDLE
        self._extensions = {_TRUST: self._trust}
        if not self._gate.enter(self):
            self._refuse(b"503 Service Unavailable", _TOO_MANY)
            return
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """Feed what came, a head up to its limit and no further."""
        while data and not self.transport.is_closing():
            if self._in_body:
                self._framing -= len(data)
                super().data_received(data)
                if self._framing < 0:
                    self._gate.too_long()
                    self.close()
                return
            room = HEAD_LIMIT - self._head
            piece, data = (data, b"") if len(data) <= room else (data[:room], data[room:])
            if not self._head and piece[:1] == b"\x16":
                self._gate.say("a caller speaks TLS to this port: HTTPS ends at the proxy before it, docs/server.md")
            self._head += len(piece)
            super().data_received(piece)
            if self._head >= HEAD_LIMIT and not self.transport.is_closing():  # a head that is whole counts no more
                self._gate.too_long()
                self._refuse(b"431 Request Header Fields Too Large", _TOO_LONG)

    def on_message_begin(self) -> None:
        """The first byte of a request starts its clock."""
        self._wait_for_head()
        super().on_message_begin()
        self.scope["extensions"] = self._extensions

    def on_headers_complete(self) -> None:
        """The head is here; the application has its own limit for the body."""
        self._stop_waiting()
        self._head, self._in_body, self._framing = 0, True, FRAMING_LIMIT
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Each byte of a body may cost eight of framing."""
        self._framing += 9 * len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """What comes next is a head."""
        self._in_body, self._framing = False, FRAMING_LIMIT
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave no timer and no share behind."""
        self._stop_waiting()
        self._gate.leave(self)
        super().connection_lost(exc)

    def is_idle(self) -> bool:
        """Whether nobody waits for an answer here."""
        cycle: Any = self.cycle  # None before the first request, whatever its type says
        return cycle is None or bool(cycle.response_complete)

    def close(self) -> None:
        """End the connection."""
        self.transport.close()

    def _trust(self) -> None:
        self.timeout_keep_alive = PROVIDER_IDLE
        self._gate.trust(self)

    def _refuse(self, status: bytes, body: bytes) -> None:
        if self.is_idle():
            self.transport.write(_plain(status, body))
        self.transport.close()

    def _wait_for_head(self) -> None:
        self._stop_waiting()
        self._deadline = self.loop.call_later(HEAD_WITHIN, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def known_token(scope: Any) -> None:
    """Tell the connection of a request that it showed a known token."""
    trust = scope.get("extensions", {}).get(_TRUST)
    if trust is not None:
        trust()
