"""Where the intake meets the database: deliveries kept in natural batches, questions looked up.

Deliveries that arrive while one commit is being flushed share the next one, without a timer: one statement, one round
trip and one flush for as many as are waiting. Nobody is told that a delivery is kept before the commit returned.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import struct
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeAlias, cast

import psycopg
import structlog
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from revenue_engine import db
from revenue_engine.errors import ConfigurationError, Retryable
from revenue_engine.intake.endpoints import Endpoint
from revenue_engine.ports.callbacks import Verdict

log = structlog.get_logger("revenue_engine.intake")

KEEP_WITHIN: Final = 8.0
"""Seconds a delivery waits for a database that is away before its sender is told to come again."""
MOST_IN_BATCH: Final = 512
MOST_WAITING: Final = 20_000
MOST_WAITING_BYTES: Final = 64 * 1024 * 1024
BATCHERS: Final = 1
LOGIN: Final = "intake"
_WRITE_WITHIN: Final = 5.0
_LONGEST_REASON: Final = 500
_LONGEST_HEADER: Final = 4096

_CONNECT: Final[dict[str, Any]] = {
    "connect_timeout": 3,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 5000,
    "application_name": "revenue-intake",
}
_SESSION: Final = "SET timezone = 'UTC'; SET lock_timeout = '4s'; SET idle_in_transaction_session_timeout = '10s'"


class NotKept(Retryable):
    """The delivery could not be made durable in time; its sender must not be told that it was."""

    code = "not_kept"


# --- one delivery as PostgreSQL's binary values --------------------------------------------------------------------

Row: TypeAlias = tuple[bytes | None, ...]

_INT8: Final = struct.Struct(">q")
_ARRAY_HEAD: Final = struct.Struct(">iiIii")
_LENGTH: Final = struct.Struct(">i")
_NULL: Final = _LENGTH.pack(-1)


def row_of(
    endpoint: Endpoint, *, peer: str, headers: Mapping[str, str], body: bytes, body_length: int, verdict: Verdict
) -> Row:
    """A delivery ready for the batch. Whatever a stranger sent, every field is one that the database takes."""
    kept = {name: value[:_LONGEST_HEADER].replace("\x00", "\ufffd") for name, value in headers.items()}
    reason = verdict.reason[:_LONGEST_REASON].replace("\x00", "\ufffd")
    return (
        _INT8.pack(endpoint.channel_account_id),
        _INT8.pack(endpoint.id),
        endpoint.purpose.encode(),
        _inet(peer),
        b"\x01" + json.dumps(kept).encode(),  # 1 is the version of jsonb's wire form
        body,
        _INT8.pack(min(body_length, 2**63 - 1)),
        b"accepted" if verdict.accepted else b"refused",
        reason.encode("utf-8", "replace"),
    )


@lru_cache(maxsize=4096)
def _inet(peer: str) -> bytes | None:
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return None
    family = 2 if address.version == 4 else 3
    return bytes((family, address.max_prefixlen, 0, len(address.packed))) + address.packed


class _Array:
    """A PostgreSQL array already in its binary wire form."""

    oid = 0
    element = 0
    __slots__ = ("data",)

    def __init__(self, items: Sequence[bytes | None]) -> None:
        parts = [_ARRAY_HEAD.pack(1, None in items, self.element, len(items), 1)]
        for item in items:
            parts += (_NULL,) if item is None else (_LENGTH.pack(len(item)), item)
        self.data = b"".join(parts)


def _array_type(name: str) -> type[_Array]:
    """The array type of a base type, with the dumper that hands its bytes to the driver untouched."""
    info = psycopg.adapters.types[name]
    made = type(f"_{name.title()}Array", (_Array,), {"oid": info.array_oid, "element": info.oid, "__slots__": ()})

    class Ready(Dumper):
        format = Format.BINARY
        oid = info.array_oid

        def dump(self, obj: Any) -> Buffer | None:
            return cast("bytes", obj.data)

    psycopg.adapters.register_dumper(made, Ready)
    return made


_COLUMNS: Final = {
    "channel_account_id": "int8",
    "endpoint_id": "int8",
    "purpose": "text",
    "peer": "inet",
    "headers": "jsonb",
    "body": "bytea",
    "body_length": "int8",
    "verdict": "text",
    "verdict_reason": "text",
}
_ARRAYS: Final = tuple(_array_type(name) for name in _COLUMNS.values())
# Packing the arrays ourselves costs a fifth of letting the driver adapt lists, and one prepared INSERT is one round
# trip where COPY needs two: half as slow again for a single row, the same from some thirty rows on.
_INSERT: Final = (
    f"INSERT INTO delivery ({', '.join(_COLUMNS)}) SELECT * FROM unnest("  # noqa: S608 - our own constants
    + ", ".join(f"%b::{name}[]" for name in _COLUMNS.values())
    + ")"
)


# --- the store -----------------------------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class _Waiting:
    row: Row
    kept: asyncio.Future[None]


_AWAY = (psycopg.OperationalError, psycopg.InterfaceError, ConfigurationError, OSError, TimeoutError)
_POISON = (psycopg.DataError, psycopg.IntegrityError)


class Store:
    """The intake's database: ``keep`` makes a delivery durable, ``knows`` answers whether a reference names anything.

    ``role`` is the capability role every connection takes; None where the login has it already.
    """

    def __init__(self, url: str, *, role: str | None = "intake", batchers: int = BATCHERS) -> None:
        self.batches = 0
        self.failing = False
        """Whether the last batch could not be written: nothing new can be kept then."""
        self._url = url
        self._role = role
        self._queue: deque[_Waiting] = deque()
        self._queued_bytes = 0
        self._in_hand = 0
        self._wake = asyncio.Event()
        self._batchers = batchers
        self._tasks: list[asyncio.Task[None]] = []
        self._pool: AsyncConnectionPool[psycopg.AsyncConnection[Any]] | None = None

    async def start(self) -> None:
        """Connect and check that a commit here is durable. ConfigurationError when it is not, Retryable when away."""
        connection = await self._connect_patiently()
        self._pool = AsyncConnectionPool(
            self._url,
            kwargs={**_CONNECT, "autocommit": True},
            min_size=1,
            max_size=4,
            open=False,
            configure=self._prepare_reader,
        )
        await self._pool.open()
        self._tasks = [
            asyncio.create_task(self._batch(connection if number == 0 else None)) for number in range(self._batchers)
        ]

    async def stop(self) -> None:
        """Let what waits be kept, then close; bounded, for nobody may wait on a database that is away."""
        deadline = asyncio.get_running_loop().time() + KEEP_WITHIN
        while (self._queue or self._in_hand) and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._pool is not None:
            await self._pool.close(timeout=2.0)

    async def keep(self, row: Row, *, within: float = KEEP_WITHIN) -> None:
        """Return when the delivery is committed. NotKept when that did not happen in time or the database refuses it.

        A delivery whose outcome is not known (the connection broke in the commit) is written again: two rows of one
        hit do no harm, a lost one does.
        """
        size = len(row[5] or b"")
        if len(self._queue) >= MOST_WAITING or self._queued_bytes + size > MOST_WAITING_BYTES:
            raise NotKept("too many deliveries wait for the database")
        waiting = _Waiting(row, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._queued_bytes += size
        self._wake.set()
        try:
            async with asyncio.timeout(within):
                await waiting.kept
        except TimeoutError as error:
            raise NotKept("the database did not commit in time") from error
        finally:
            self._queued_bytes -= size

    @contextlib.asynccontextmanager
    async def reader(self, within: float) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        """A connection for reading. Raises what psycopg raises when there is none in time."""
        if self._pool is None:
            raise PoolTimeout("the store is not open")
        async with self._pool.connection(timeout=within) as connection:
            yield connection

    async def knows(self, numbers: Sequence[str], names: Sequence[str], *, within: float) -> bool:
        """Whether a pay account number or an alias is known; one indexed round trip."""
        async with self.reader(within) as connection:
            found = await connection.execute(
                "SELECT EXISTS (SELECT FROM pay_account WHERE number = ANY (%s::text[]))"
                " OR EXISTS (SELECT FROM alias WHERE normal = ANY (%s::text[]))",
                (list(numbers), list(names)),
                prepare=True,
            )
            row = await found.fetchone()
        return bool(row and row[0])

    async def writable(self) -> bool:
        """Whether the database answers and is not a standby."""
        async with self.reader(1.0) as connection:
            row = await (await connection.execute("SELECT NOT pg_is_in_recovery()")).fetchone()
        return bool(row and row[0])

    # Connections.

    async def _connect_patiently(self) -> psycopg.AsyncConnection[Any]:
        deadline = asyncio.get_running_loop().time() + KEEP_WITHIN
        while True:
            try:
                return await self._connect()
            except psycopg.Error as error:
                if (why := db.said_no(error, login=LOGIN)) is not None:
                    raise why from error
                if not isinstance(error, psycopg.OperationalError):
                    raise
                last = str(error).splitlines()[0]
            except OSError as error:
                last = str(error)
            if asyncio.get_running_loop().time() > deadline:
                raise Retryable(f"the intake's database does not answer: {last}")
            await asyncio.sleep(0.25)

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        connection = await psycopg.AsyncConnection.connect(self._url, autocommit=True, **_CONNECT)
        try:
            await self._prepare(connection, "5s")
            await _assert_durable(connection)
        except BaseException:
            await connection.close()
            raise
        return connection

    async def _prepare_reader(self, connection: psycopg.AsyncConnection[Any]) -> None:
        await self._prepare(connection, "900ms")

    async def _prepare(self, connection: psycopg.AsyncConnection[Any], longest: str) -> None:
        role = f"SET ROLE revenue_{self._role}; " if self._role else ""
        await connection.execute(cast("Any", f"{role}{_SESSION}; SET statement_timeout = '{longest}'"))

    # Batches.

    async def _batch(self, connection: psycopg.AsyncConnection[Any] | None) -> None:
        """For ever: take what is waiting, commit it, tell the waiting. A database that is away is asked again."""
        pause = 0.0
        try:
            while True:
                batch = await self._take()
                try:
                    connection = connection or await self._connect()
                    await self._write(connection, batch)
                    if pause:
                        log.warning("database is back")
                    pause, self.failing = 0.0, False
                except _AWAY as error:
                    self._queue.extendleft(reversed([waiting for waiting in batch if not waiting.kept.done()]))
                    if not pause:
                        log.error("database is away", error=type(error).__name__, waiting=len(self._queue))  # noqa: TRY400
                    self.failing = True
                    await _close(connection)
                    connection = None
                    pause = min(0.5, pause * 2 or 0.05)
                    await asyncio.sleep(pause)
                except Exception as error:  # noqa: BLE001 - the batcher must outlive whatever one batch does to it
                    log.error("batch not kept", error=type(error).__name__, deliveries=len(batch))  # noqa: TRY400
                    _fail(batch, error)
                    await _close(connection)
                    connection = None
                finally:
                    self._in_hand -= len(batch)
        finally:
            await _close(connection)

    async def _take(self) -> list[_Waiting]:
        while True:
            while not self._queue:
                self._wake.clear()
                await self._wake.wait()
            batch: list[_Waiting] = []
            while self._queue and len(batch) < MOST_IN_BATCH:
                waiting = self._queue.popleft()
                if not waiting.kept.done():
                    batch.append(waiting)
            if batch:
                self._in_hand += len(batch)
                return batch

    async def _write(self, connection: psycopg.AsyncConnection[Any], batch: list[_Waiting]) -> None:
        """One statement in autocommit: it returns after the commit record is flushed.

        A row the database refuses is found by halving, so that it fails alone.
        """
        arrays = [
            array(column) for array, column in zip(_ARRAYS, zip(*(w.row for w in batch), strict=True), strict=True)
        ]
        try:
            async with asyncio.timeout(_WRITE_WITHIN):
                await connection.execute(_INSERT, arrays, prepare=True)
        except _POISON as error:
            if len(batch) == 1:
                log.error("delivery refused by the database", error=type(error).__name__)  # noqa: TRY400
                _fail(batch, error)
                return
            middle = len(batch) // 2
            await self._write(connection, batch[:middle])
            await self._write(connection, batch[middle:])
            return
        self.batches += 1
        for waiting in batch:
            if not waiting.kept.done():
                waiting.kept.set_result(None)


def _fail(batch: list[_Waiting], error: Exception) -> None:
    for waiting in batch:
        if not waiting.kept.done():
            waiting.kept.set_exception(NotKept(f"the database refused it: {type(error).__name__}"))


async def _close(connection: psycopg.AsyncConnection[Any] | None) -> None:
    if connection is None:
        return
    try:
        await connection.close()
    except psycopg.Error as error:
        log.debug("connection did not close", error=type(error).__name__)


async def _assert_durable(connection: psycopg.AsyncConnection[Any]) -> None:
    """Refuse a server on which a commit may be lost: an answer of ours would then be a promise it cannot keep."""
    names = ("synchronous_commit", "fsync", "full_page_writes")
    for name in names:
        row = await (await connection.execute("SELECT current_setting(%s)", (name,))).fetchone()
        value = str(row[0]) if row else ""
        if value not in {"on", "remote_apply"}:
            raise ConfigurationError(
                f"PostgreSQL runs with {name} = {value}, so an acknowledged delivery could be lost"
                f" (fix: ALTER SYSTEM SET {name} = 'on', and reset it for the intake's role and database)",
                setting=name,
                value=value,
            )
