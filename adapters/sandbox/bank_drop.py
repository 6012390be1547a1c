"""A simulated bank's SFTP: one folder, one login by key, a host key of its own.

It runs as a process of its own (``python -m adapters.sandbox.bank_drop``), with its own host key, and never knows our
private key: it makes one for the county once, writes it where the county keeps secrets, and keeps the public half.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from revenue_engine.errors import Retryable

USERNAME = "county"
READY_SECONDS = 15


@dataclass(frozen=True, slots=True)
class Address:
    """Where the bank's SFTP is: what its letter to the county would say."""

    host: str
    port: int
    username: str
    host_key: str
    """The server's public key, as kind and base64."""


class _Login(asyncssh.SSHServer):
    """Lets one login in, by one key."""

    def __init__(self, username: str) -> None:
        self._username = username

    def begin_auth(self, username: str) -> bool:
        """Every login must prove itself; another name than ours never can."""
        del username
        return True

    def password_auth_supported(self) -> bool:
        """No passwords."""
        return False


def make_keys(home: Path, secrets: Path, *, key_file: str) -> None:
    """Make the server's host key in ``home`` and the county's login key in ``secrets``, where they are missing."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    secrets.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in (home / "host_key", secrets / key_file):
        if not path.exists():
            path.touch(mode=0o600)
            asyncssh.generate_private_key("ssh-ed25519").write_private_key(path)
    county = asyncssh.read_private_key(secrets / key_file)
    (home / "county.pub").write_bytes(county.export_public_key())


def host_key(home: Path) -> str:
    """The server's public key, as kind and base64."""
    exported = asyncssh.read_private_key(home / "host_key").export_public_key().decode("ascii")
    return " ".join(exported.split()[:2])


async def listen(home: Path, folder: Path, *, port: int = 0) -> tuple[asyncssh.SSHAcceptor, Address]:
    """Serve ``folder`` on loopback as the root of the SFTP server. Port 0 takes a free one."""
    acceptor = await asyncssh.listen(
        "127.0.0.1",
        port,
        server_factory=lambda: _Login(USERNAME),
        server_host_keys=[asyncssh.read_private_key(home / "host_key")],
        authorized_client_keys=str(home / "county.pub"),
        sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=bytes(folder)),
        allow_scp=False,
        config=None,
    )
    return acceptor, Address("127.0.0.1", acceptor.get_port(), USERNAME, host_key(home))


@contextmanager
def serving(home: Path, folder: Path, *, port: int = 0) -> Iterator[Address]:
    """Serve in a thread, for tests and the demo's own process; ends with the block. Raises Retryable."""
    loop = asyncio.new_event_loop()
    started = threading.Event()
    found: list[tuple[asyncssh.SSHAcceptor, Address]] = []

    def run() -> None:
        asyncio.set_event_loop(loop)
        found.append(loop.run_until_complete(listen(home, folder, port=port)))
        started.set()
        loop.run_forever()
        acceptor, _ = found[0]
        acceptor.close()
        loop.run_until_complete(acceptor.wait_closed())
        loop.run_until_complete(_end_all(loop))
        loop.close()

    thread = threading.Thread(target=run, daemon=True, name="bank-drop")
    thread.start()
    try:
        if not started.wait(READY_SECONDS):
            raise Retryable("the simulated bank's SFTP did not start")
        yield found[0][1]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=READY_SECONDS)


async def _end_all(loop: asyncio.AbstractEventLoop) -> None:
    """Let the connections that still stand go, so that nothing of them outlives the loop."""
    others = [task for task in asyncio.all_tasks(loop) if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


async def _forever(home: Path, folder: Path, port: int) -> None:
    acceptor, address = await listen(home, folder, port=port)
    told = {"host": address.host, "port": address.port, "username": address.username, "host_key": address.host_key}
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    await stop.wait()
    acceptor.close()


def main(arguments: list[str] | None = None) -> None:
    """Run the bank's SFTP alone until it is told to stop; prints its address as one line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m adapters.sandbox.bank_drop", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="the folder that is served")
    parser.add_argument("--home", type=Path, required=True, help="the server's own private folder: its host key")
    parser.add_argument("--secrets", type=Path, required=True, help="where the county's login key is written once")
    parser.add_argument("--key-file", default="bank-drop.key")
    parser.add_argument("--port", type=int, default=0)
    given = parser.parse_args(arguments)
    given.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    make_keys(given.home, given.secrets, key_file=given.key_file)
    asyncio.run(_forever(given.home, given.folder, given.port))


if __name__ == "__main__":
    main()
