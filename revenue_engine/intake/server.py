"""The intake: the small process that providers call. It stores what came, and only then answers.

``POST /cb/v1/{token}``: the token names the endpoint, the adapter judges the proof, the raw bytes are committed, and
the provider's own acknowledgement leaves after the commit. Nothing is parsed before it is stored; the one exception
is a question asked before payment, which is answered from local data within a second. ``/livez``, ``/readyz``, and
``/countersz`` for callers on this machine. The token is a secret in a path, so no path is ever logged.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import json
import logging
import shutil
import socket
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, Protocol

import psycopg
import structlog
import uvicorn
from starlette.types import Receive, Scope, Send

from reconciliation import ladder
from revenue_engine import db
from revenue_engine.errors import Retryable, RevenueError
from revenue_engine.intake import connections
from revenue_engine.intake.connections import Network
from revenue_engine.intake.endpoints import NO_ENDPOINT, Directory, Endpoint, read_directory
from revenue_engine.intake.listening import listen
from revenue_engine.intake.store import LOGIN, NotKept, Store, row_of
from revenue_engine.ports.callbacks import (
    AckOutcome,
    Answer,
    AskingAdapter,
    CallbackAdapter,
    DetailedAskingAdapter,
    Verdict,
)

log = structlog.get_logger("revenue_engine.intake")

PREFIX: Final = "/cb/v1/"
BODY_LIMIT: Final = 262_144
DRAIN_FACTOR: Final = 16
"""A body over the limit is read on to this many times the limit, so that its sender gets an answer, then cut off."""
READ_WITHIN: Final = 5.0
ANSWER_WITHIN: Final = 1.0
"""Seconds a question may take; then the payer is let through, for a refusal loses revenue."""
KEEP_QUESTION_WITHIN: Final = 2.0
"""A question that cannot be stored is given up early: the provider then does what the county registered with it."""
REFRESH_EVERY: Final = 2.0
DISK_NEEDED: Final = 64 * 1024 * 1024
"""Free bytes below which the database may fail at the next segment of its log."""

_KEPT_HEADERS: Final = frozenset({"content-type", "user-agent", "x-forwarded-for"})
_NEVER_KEPT: Final = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})
_JSON: Final = b"application/json"
_CLOSE: Final = (b"connection", b"close")
_NOT_FOUND: Final = b'{"error":"not found"}'
_NOT_KEPT: Final = b'{"error":"not stored, send it again"}'
_TOO_SLOW: Final = b'{"error":"the body did not arrive in time"}'


class IntakeSettings(Protocol):
    """The settings the intake runs by."""

    @property
    def intake_host(self) -> str:
        """Address to listen on."""
        ...

    @property
    def intake_port(self) -> int:
        """Port to listen on."""
        ...

    @property
    def intake_body_limit(self) -> int:
        """Bytes of a body that are kept."""
        ...

    @property
    def intake_trusted_proxies(self) -> Sequence[Network]:
        """Who may say for whom it forwards."""
        ...

    @property
    def secrets_dir(self) -> Path | None:
        """Folder of the secrets that channel settings name by file."""
        ...


@dataclass(slots=True)
class Counters:
    """What came since the process started. Numbers only: no token, no address, no person."""

    kept: int = 0
    refused: int = 0
    unknown_token: int = 0
    too_long: int = 0
    too_slow: int = 0
    broken_off: int = 0
    not_kept: int = 0
    questions: int = 0
    questions_refused: int = 0
    questions_unanswered: int = 0
    """Questions whose look-up failed or took too long: the payer was let through."""
    head_too_long: int = 0
    turned_away: int = 0
    """Connections refused, for their address held too many."""
    closed_idle: int = 0
    """Idle connections closed to make room."""


@dataclass(slots=True)
class _Body:
    data: bytes
    length: int
    """What the sender sent, or declared where we stopped reading."""
    cut_off: bool = False


class _BrokenOffError(Exception):
    """The sender went away before its request was complete."""


class _TooSlowError(Exception):
    """The body did not arrive in time."""


class Intake:
    """The ASGI application. ``start`` and ``stop`` are called by the server's lifespan."""

    def __init__(
        self,
        store: Store,
        adapters: Mapping[str, CallbackAdapter],
        *,
        body_limit: int = BODY_LIMIT,
        trusted_proxies: Iterable[str | Network] = (),
        secrets_dir: Path | None = None,
        data_dir: Path | None = None,
    ) -> None:
        self.counters = Counters()
        self.failure: RevenueError | None = None
        """Why the intake refused to start."""
        self._store = store
        self._adapters = adapters
        self._limit = body_limit
        self._secrets_dir = secrets_dir
        self._data_dir = data_dir
        self._proxies = tuple(ipaddress.ip_network(str(proxy)) for proxy in trusted_proxies)
        self.gate = connections.Gate(self.counters, self._proxies)
        self._directory = Directory()
        self._reasons: Counter[tuple[int, str]] = Counter()
        self._watcher: asyncio.Task[None] | None = None
        self._asking: set[asyncio.Task[Answer]] = set()
        self._unknown: set[int] = set()
        """Endpoints whose adapter this process does not know and that were called: said once."""

    # Life.

    async def start(self) -> None:
        """Connect, check durability and read the endpoints. Raises when callbacks could not be kept."""
        await self._store.start()
        await self._read_endpoints()
        self._watcher = asyncio.create_task(self._watch())
        log.info("intake is ready", endpoints=len(self._directory.endpoints))

    async def stop(self) -> None:
        """Keep what is waiting, then close."""
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
        await self._store.stop()
        log.info("intake has stopped", **asdict(self.counters), batches=self._store.batches)

    async def _watch(self) -> None:
        """Re-read the endpoints, so that rotation needs no restart, and report what was counted."""
        reported, failing = Counters(), False
        while True:
            await asyncio.sleep(REFRESH_EVERY)
            try:
                await self._read_endpoints()
                failing = False
            except Exception as error:  # noqa: BLE001 - the endpoints known last stay good until the database is back
                if not failing:
                    log.warning("endpoints could not be read again", error=type(error).__name__)
                failing = True
            if self.counters != reported:
                reasons = [{"endpoint": e, "reason": r, "times": n} for (e, r), n in self._reasons.most_common(20)]
                self._reasons.clear()
                log.info("counted", **asdict(self.counters), batches=self._store.batches, refusals=reasons)
                reported = Counters(**asdict(self.counters))

    async def _read_endpoints(self) -> None:
        async with asyncio.timeout(2.0), self._store.reader(1.0) as connection:
            fresh = await read_directory(connection, self._adapters, self._secrets_dir)
        known = self._directory.problems
        for endpoint, problem in fresh.problems.items():
            if known.get(endpoint) != problem:
                log.error("endpoint cannot be served", endpoint=endpoint, problem=problem)
        self._directory = fresh

    # HTTP.

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or run the lifespan."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if scope["type"] != "http":
            return
        path, method = scope["path"], scope["method"]
        if path.startswith(PREFIX) and method == "POST":
            # People add a slash to an address, and so do the forms they type it into.
            await self._callback(scope, receive, send, path[len(PREFIX) :].rstrip("/"))
        elif path == "/livez" and method == "GET":
            await _respond(send, 200, b'{"live":true}')
        elif path == "/readyz" and method == "GET":
            why = await self._not_ready()
            said: dict[str, object] = {"ready": not why}
            if why and self._is_local(scope):  # to a stranger it is nobody's business
                said["why"] = why
            await _respond(send, 503 if why else 200, json.dumps(said).encode())
        elif path == "/countersz" and method == "GET" and self._is_local(scope):
            await _respond(send, 200, json.dumps(self._counts()).encode())
        else:
            await _respond(send, 404, _NOT_FOUND, close=method not in {"GET", "HEAD"})

    def _counts(self) -> dict[str, object]:
        """What came, and what this process can serve: a package installed since it started is not among it."""
        return {
            **asdict(self.counters),
            "batches": self._store.batches,
            "unserved": len(self._directory.problems),
            "adapters": sorted(self._adapters),
        }

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self.start()
        except (RevenueError, psycopg.Error) as error:
            self.failure = _failure(error)
            await self._store.stop()
            await send({"type": "lifespan.startup.failed", "message": self.failure.message})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _not_ready(self) -> str:
        """Why a delivery could not be kept now, empty when it could."""
        if self._data_dir is not None and shutil.disk_usage(self._data_dir).free < DISK_NEEDED:
            return "the disk of the database is full"
        if self._store.failing:
            return "the database takes no deliveries"
        try:
            async with asyncio.timeout(1.0):
                return "" if await self._store.writable() else "the database is a standby"
        except Exception as error:  # noqa: BLE001 - whatever it is, we are not ready
            return f"the database does not answer ({type(error).__name__})"

    def _is_local(self, scope: Scope) -> bool:
        """A caller on this machine that forwards for nobody."""
        client = scope.get("client")
        forwarded = any(name in {b"x-forwarded-for", b"forwarded"} for name, _ in scope["headers"])
        if client is None or forwarded:
            return False
        return ipaddress.ip_address(client[0].partition("%")[0]).is_loopback

    async def _callback(self, scope: Scope, receive: Receive, send: Send, token: str) -> None:
        """Token, body, proof, row, answer: in this order. An unknown token does the same work and leaves no row."""
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        endpoint = self._directory.endpoints.get(digest, NO_ENDPOINT)
        known = hmac.compare_digest(digest, endpoint.token_sha256)
        if known:
            connections.known_token(scope)
        try:
            body = await _read(receive, scope["headers"], self._limit)
        except _BrokenOffError:
            self.counters.broken_off += 1
            return
        except _TooSlowError:
            self.counters.too_slow += 1
            await _respond(send, 408, _TOO_SLOW, close=True)
            return
        if not known:
            self.counters.unknown_token += 1
            await _respond(send, 404, _NOT_FOUND, close=body.cut_off)
            return
        if endpoint.adapter is None:
            # Nobody here can judge it, or say which of its headers prove it: refused, its money would be lost.
            self._not_known(endpoint)
            await _respond(send, 503, _NOT_KEPT, close=body.cut_off)
            return
        headers = _headers(scope["headers"])
        peer = _peer(scope.get("client"), headers.get("x-forwarded-for", ""), self._proxies)
        proof = self._judge(endpoint, headers, body.data, peer)
        verdict = proof
        if body.length > len(body.data):
            self.counters.too_long += 1
            also = f"; {proof.reason}" if proof.reason else ""
            verdict = Verdict(accepted=False, reason=f"body longer than {self._limit} bytes{also}")
        kept = {
            name: value
            for name, value in headers.items()
            if (name in _KEPT_HEADERS or name in endpoint.kept_headers) and name not in _NEVER_KEPT
        }
        row = row_of(endpoint, peer=peer, headers=kept, body=body.data, body_length=body.length, verdict=verdict)
        try:
            if endpoint.asks is not None and proof.accepted:
                answer = await self._answer(endpoint, endpoint.asks, body, row)
            else:
                await self._store.keep(row)
                # Stored whole or not, a proved sender is told so: to send an overlong body again would not help.
                answer = endpoint.ack(AckOutcome.KEPT if proof.accepted else AckOutcome.REFUSED, body.data)
        except NotKept:
            self.counters.not_kept += 1
            await _respond(send, 503, _NOT_KEPT, close=body.cut_off)
            return
        self._count(endpoint, verdict)
        await _respond(send, 200 if proof.accepted else 403, answer, close=body.cut_off, kind=endpoint.content_type)

    def _not_known(self, endpoint: Endpoint) -> None:
        self.counters.not_kept += 1
        if endpoint.id not in self._unknown:
            self._unknown.add(endpoint.id)
            log.error("called, and nothing was stored: start serve again", endpoint=endpoint.id, why=endpoint.problem)

    def _count(self, endpoint: Endpoint, verdict: Verdict) -> None:
        if verdict.accepted:
            self.counters.kept += 1
            return
        self.counters.refused += 1
        reason = verdict.reason[:120]
        if (endpoint.id, reason) not in self._reasons:  # once a round: a flood of forgeries must not flood the log
            log.warning("proof failed", endpoint=endpoint.id, reason=reason)
        if len(self._reasons) < 200:
            self._reasons[endpoint.id, reason] += 1

    def _judge(self, endpoint: Endpoint, headers: Mapping[str, str], body: bytes, peer: str) -> Verdict:
        """The adapter's verdict. Our own faults refuse the proof too, and never the row."""
        if endpoint.problem or endpoint.adapter is None or endpoint.settings is None:
            return Verdict(accepted=False, reason=endpoint.problem or "the endpoint has no settings")
        try:
            return endpoint.adapter.verify(headers, body, peer, endpoint.settings)
        except Exception as error:  # noqa: BLE001 - an adapter's fault must not lose the delivery
            log.error("verify raised", endpoint=endpoint.id, error=type(error).__name__)  # noqa: TRY400
            return Verdict(accepted=False, reason=f"verify raised {type(error).__name__}")

    # Questions asked before the money moves.

    async def _answer(
        self, endpoint: Endpoint, asks: AskingAdapter, body: _Body, row: tuple[bytes | None, ...]
    ) -> bytes:
        """Store the question and look its answer up at the same time; what cannot be known in time is accepted."""
        self.counters.questions += 1
        asking = asyncio.create_task(self._judge_question(endpoint, asks, body.data))
        self._asking.add(asking)  # a task nobody holds may be collected
        asking.add_done_callback(self._asked)
        started = time.monotonic()
        await self._store.keep(row, within=KEEP_QUESTION_WITHIN)
        answer = Answer.ACCEPT
        done, _ = await asyncio.wait({asking}, timeout=max(0.0, ANSWER_WITHIN - (time.monotonic() - started)))
        if done and asking.exception() is None:
            answer = asking.result()
        else:
            asking.cancel()  # not awaited: the driver may need seconds to give a statement up
            self.counters.questions_unanswered += 1
        if answer is not Answer.ACCEPT:
            self.counters.questions_refused += 1
        if isinstance(asks, DetailedAskingAdapter) and endpoint.settings is not None:
            try:
                return asks.answer_for(answer, body.data, endpoint.settings)
            except Exception as error:  # noqa: BLE001 - an answer without echoes is better than none
                log.error("answer_for raised", endpoint=endpoint.id, error=type(error).__name__)  # noqa: TRY400
        return asks.answer(answer)

    def _asked(self, asking: asyncio.Task[Answer]) -> None:
        self._asking.discard(asking)
        if not asking.cancelled() and (error := asking.exception()) is not None:
            log.warning("question not looked up", error=type(error).__name__)

    async def _judge_question(self, endpoint: Endpoint, asks: AskingAdapter, body: bytes) -> Answer:
        directory = self._directory
        refuses = getattr(endpoint.settings, "refuse_unknown_accounts", None)
        if not (directory.refuse_unknown_accounts if refuses is None else refuses):
            return Answer.ACCEPT
        asked = asks.asked(body)
        if asked is None:
            return Answer.ACCEPT
        reading = ladder.read(asked.account_reference, prefixes=directory.prefixes)
        if not directory.stations.isdisjoint(reading.names):
            return Answer.ACCEPT
        if not reading.numbers and not reading.names:
            return Answer.UNKNOWN_ACCOUNT
        known = await self._store.knows(reading.numbers, reading.names, within=ANSWER_WITHIN)
        return Answer.ACCEPT if known else Answer.UNKNOWN_ACCOUNT


# --- reading a request ---------------------------------------------------------------------------------------------


async def _read(receive: Receive, headers: Iterable[tuple[bytes, bytes]], limit: int) -> _Body:
    """The body up to ``limit`` bytes. A longer one is drained to a cap, so that its sender can read our answer."""
    kept = bytearray()
    length = 0
    cut_off = False
    try:
        async with asyncio.timeout(READ_WITHIN):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise _BrokenOffError
                chunk: bytes = message.get("body", b"")
                length += len(chunk)
                if not message.get("more_body", False):
                    if not kept and length <= limit:
                        return _Body(chunk, length)
                    kept += chunk[: limit - len(kept)]
                    break
                kept += chunk[: limit - len(kept)]
                if length > limit * DRAIN_FACTOR:
                    cut_off = True
                    break
    except TimeoutError as error:
        if length <= limit:
            raise _TooSlowError from error
        cut_off = True  # what is kept of an overlong body is whole already
    if cut_off:
        length = max(length, _declared(headers))
    return _Body(bytes(kept), length, cut_off)


def _declared(headers: Iterable[tuple[bytes, bytes]]) -> int:
    for name, value in headers:
        if name == b"content-length" and value.isdigit() and len(value) < 19:
            return int(value)
    return 0


def _headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Header names in lower case; a header sent twice is one list, as HTTP has it."""
    found: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


def _peer(client: tuple[str, int] | None, forwarded: str, proxies: tuple[Network, ...]) -> str:
    """Who called. A forwarding header is believed only from our own proxy, and then only its right-most strange hop.

    What stands left of that hop was written by a stranger. Empty when the address cannot be read.
    """
    peer = _address(client[0]) if client else ""
    if not forwarded or not proxies or not _within(peer, proxies):
        return peer
    for hop in reversed(forwarded.split(",")):
        peer = _address(hop)
        if not _within(peer, proxies):
            break
    return peer


@lru_cache(maxsize=4096)
def _address(text: str) -> str:
    """An address in its plain form: without port, brackets or zone, IPv4 also where it came mapped into IPv6."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    text = text.partition("%")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return ""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def _within(address: str, networks: tuple[Network, ...]) -> bool:
    return bool(address) and any(ipaddress.ip_address(address) in network for network in networks)


async def _respond(send: Send, status: int, body: bytes, *, close: bool = False, kind: bytes = _JSON) -> None:
    headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body))]
    if close:
        headers.append(_CLOSE)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


# --- running it ----------------------------------------------------------------------------------------------------


def _failure(error: RevenueError | psycopg.Error) -> RevenueError:
    if isinstance(error, RevenueError):
        return error
    return db.said_no(error, login=LOGIN) or Retryable(
        f"the intake's database does not answer: {str(error).splitlines()[0]}"
    )


def create_app(
    database_url: str,
    *,
    adapters: Mapping[str, CallbackAdapter],
    body_limit: int = BODY_LIMIT,
    trusted_proxies: Iterable[str | Network] = (),
    role: str | None = "intake",
    secrets_dir: Path | None = None,
    data_dir: Path | None = None,
) -> Intake:
    """The intake on a database. ``adapters`` by name; ``role`` None where the login has the capability already;
    ``data_dir`` a folder on the database's disk where that is this machine's."""
    return Intake(
        Store(database_url, role=role),
        adapters,
        body_limit=body_limit,
        trusted_proxies=trusted_proxies,
        secrets_dir=secrets_dir,
        data_dir=data_dir,
    )


def server(app: Intake, *, host: str, port: int) -> uvicorn.Server:
    """The HTTP server: no access log (a path holds a token), no proxy headers (we judge them), bounded shutdown."""
    # What strangers send is counted, and not said line by line.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http=connections.Connection,
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=app.gate.most + 1,
        timeout_keep_alive=connections.STRANGER_IDLE,
        timeout_graceful_shutdown=20,
    )
    return uvicorn.Server(config)


def run(
    settings: IntakeSettings,
    *,
    database_url: str,
    adapters: Mapping[str, CallbackAdapter],
    role: str | None = "intake",
    data_dir: Path | None = None,
    listening: socket.socket | None = None,
) -> None:
    """Serve until told to stop, on a socket that listens already where one is handed in.

    Raises ConfigurationError or Retryable when callbacks could not be taken or not be kept.
    """
    listening = listening or listen(settings.intake_host, settings.intake_port)
    app = create_app(
        database_url,
        adapters=adapters,
        body_limit=settings.intake_body_limit,
        trusted_proxies=settings.intake_trusted_proxies,
        role=role,
        secrets_dir=settings.secrets_dir,
        data_dir=data_dir,
    )
    serving = server(app, host=settings.intake_host, port=settings.intake_port)
    try:
        serving.run(sockets=[listening])
    except SystemExit:
        if app.failure is None:
            raise
    finally:
        listening.close()
    if app.failure is not None:
        raise app.failure
