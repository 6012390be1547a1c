"""SFTP: a bank's folder behind a pinned host key, read with a private key of ours and never written.

Nothing of the machine's own SSH set-up is used: no known_hosts file, no agent, no configuration, no password.
"""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

import asyncssh
from asyncssh.constants import FILEXFER_TYPE_DIRECTORY, FILEXFER_TYPE_REGULAR, FILEXFER_TYPE_SYMLINK

from revenue_engine.errors import ConfigurationError, Retryable
from revenue_engine.ports.drops import DropRefused, Entry, EntryKind, Fault, OpenDrop

CONNECT_SECONDS = 15
CALL_SECONDS = 60
"""How long one answer of the server is waited for; a whole file may take ``FILE_SECONDS``."""
FILE_SECONDS = 600
MOST_ENTRIES = 10_000
"""Names in one folder. A bank's drop holds some hundreds; a folder with more is another folder."""
_KINDS = {
    FILEXFER_TYPE_REGULAR: EntryKind.FILE,
    FILEXFER_TYPE_DIRECTORY: EntryKind.FOLDER,
    FILEXFER_TYPE_SYMLINK: EntryKind.LINK,
}
_AWAY = (OSError, asyncssh.Error)

Answer = TypeVar("Answer")


class Sftp:
    """A drop's client. ``key`` gives the private key's bytes anew each time, so that a changed one needs no restart."""

    def __init__(
        self, *, host: str, port: int, username: str, host_keys: Sequence[str], folder: str, key: Callable[[], bytes]
    ) -> None:
        self._host, self._port, self._username = host, port, username
        self._host_keys, self._folder, self._key = tuple(host_keys), folder, key

    def open(self) -> AbstractContextManager[OpenDrop]:
        """Connect, and end the connection with the block. Raises as the port says, ConfigurationError for our key."""
        return self._opened()

    @contextmanager
    def _opened(self) -> Iterator[OpenDrop]:
        pinned, own = self._pinned(), self._own()
        with asyncio.Runner() as runner:
            connection = runner.run(_in_time(self._connect(pinned, own), CONNECT_SECONDS * 2))
            try:
                client = runner.run(_in_time(_answered(_sftp(connection)), CALL_SECONDS))
                yield _Folder(runner, client, self._folder.encode("ascii"))
            finally:
                connection.abort()
                runner.run(connection.wait_closed())

    def _pinned(self) -> list[asyncssh.SSHKey]:
        """The keys agreed to; never none of them, for then the library would look for others."""
        try:
            keys = [asyncssh.import_public_key(line) for line in self._host_keys]
        except asyncssh.KeyImportError as error:
            raise DropRefused(Fault.HOST_KEY, f"the host key that was agreed to is no public key: {error}") from error
        if not keys:
            raise DropRefused(Fault.HOST_KEY, "no host key was agreed to")
        return keys

    def _own(self) -> asyncssh.SSHKey:
        try:
            return asyncssh.import_private_key(self._key())
        except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError):
            raise ConfigurationError(
                f"the key file of {self._username}@{self._host} holds no private key without a passphrase (fix: put the"
                " private key, in OpenSSH or PEM form, into REVENUE_SECRETS_DIR)"
            ) from None

    async def _connect(self, pinned: list[asyncssh.SSHKey], own: asyncssh.SSHKey) -> asyncssh.SSHClientConnection:
        try:
            return await asyncssh.connect(
                self._host,
                self._port,
                username=self._username,
                client_keys=[own],
                known_hosts=(pinned, [], []),
                x509_trusted_certs=None,
                preferred_auth="publickey",
                password=None,
                agent_path=None,
                config=None,
                gss_host=None,
                compression_algs="none",
                connect_timeout=CONNECT_SECONDS,
                login_timeout=CONNECT_SECONDS,
                keepalive_interval=CONNECT_SECONDS,
            )
        except asyncssh.HostKeyNotVerifiable as error:
            raise DropRefused(
                Fault.HOST_KEY,
                f"{self._host}:{self._port} showed a host key that was not agreed to; nothing was asked of it",
            ) from error
        except asyncssh.KeyExchangeFailed as error:
            raise DropRefused(
                Fault.HOST_KEY, f"{self._host}:{self._port} has no key of the kind that was agreed to: {error}"
            ) from error
        except asyncssh.PermissionDenied as error:
            raise DropRefused(
                Fault.LOGIN, f"{self._host}:{self._port} did not let {self._username} in with our key"
            ) from error
        except _AWAY as error:
            raise _away(f"{self._host}:{self._port}", error) from error


class _Folder:
    """An open connection and the one folder that is read through it."""

    def __init__(self, runner: asyncio.Runner, client: asyncssh.SFTPClient, folder: bytes) -> None:
        self._runner, self._client, self._folder = runner, client, folder

    def _do(self, work: Coroutine[Any, Any, Answer], seconds: int = CALL_SECONDS) -> Answer:
        return self._runner.run(_in_time(_answered(work), seconds))

    def _path(self, name: str) -> bytes:
        return self._folder.rstrip(b"/") + b"/" + name.encode("utf-8")

    def entries(self) -> list[Entry]:
        """Everything in the folder."""
        return self._do(self._list())

    async def _list(self) -> list[Entry]:
        found: list[Entry] = []
        async for one in self._client.scandir(self._folder):
            name = one.filename if isinstance(one.filename, bytes) else one.filename.encode("utf-8", "surrogateescape")
            if name in {b".", b".."}:
                continue
            if len(found) == MOST_ENTRIES:
                raise DropRefused(Fault.FOLDER, f"the folder holds more than {MOST_ENTRIES} names")
            found.append(_entry(name.decode("utf-8", "backslashreplace"), one.attrs))
        return found

    def entry(self, name: str) -> Entry | None:
        """What stands under a name now, a link as a link."""
        return self._do(self._stat(name))

    async def _stat(self, name: str) -> Entry | None:
        try:
            return _entry(name, await self._client.lstat(self._path(name)))
        except asyncssh.SFTPNoSuchFile:
            return None

    def read(self, name: str, *, at_most: int) -> bytes | None:
        """The bytes of a file."""
        return self._do(self._read(name, at_most), FILE_SECONDS)

    async def _read(self, name: str, at_most: int) -> bytes | None:
        try:
            async with self._client.open(self._path(name), "rb") as file:
                content = await file.read(at_most + 1)
        except asyncssh.SFTPNoSuchFile:
            return None
        return cast("bytes", content)  # opened for bytes, whatever the library's types say


def _entry(name: str, about: asyncssh.SFTPAttrs) -> Entry:
    kind = _KINDS.get(about.type, EntryKind.OTHER)
    if about.permissions is not None and stat.S_IFMT(about.permissions):  # what an old server tells in place of types
        mode = about.permissions
        kind = (
            EntryKind.LINK
            if stat.S_ISLNK(mode)
            else EntryKind.FOLDER
            if stat.S_ISDIR(mode)
            else EntryKind.FILE
            if stat.S_ISREG(mode)
            else EntryKind.OTHER
        )
    modified = datetime.fromtimestamp(about.mtime or 0, UTC)
    return Entry(name, about.size or 0, modified, kind)


async def _sftp(connection: asyncssh.SSHClientConnection) -> asyncssh.SFTPClient:
    return await connection.start_sftp_client(path_encoding=None, sftp_version=3)


async def _answered(work: Coroutine[Any, Any, Answer]) -> Answer:
    """Do what is asked of the server, and name what it says in our words."""
    try:
        return await work
    except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath) as error:
        raise DropRefused(Fault.FOLDER, "the folder that was agreed to is not there") from error
    except asyncssh.SFTPPermissionDenied as error:
        raise DropRefused(Fault.FOLDER, "the server does not let us read there") from error
    except _AWAY as error:
        raise _away("the server", error) from error


async def _in_time(work: Coroutine[Any, Any, Answer], seconds: int) -> Answer:
    try:
        return await asyncio.wait_for(work, seconds)
    except TimeoutError as error:
        raise Retryable(f"the server did not answer within {seconds} seconds") from error


def _away(who: str, error: Exception) -> Retryable:
    words = (getattr(error, "strerror", "") or str(error) or type(error).__name__)[:200]
    return Retryable(f"{who} cannot be reached: {words}")
