"""The state directory: private, locked while servers start or stop, and a record of what is in it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from revenue_engine.errors import ConfigurationError, Retryable

_LOCK_SECONDS = 300


def prepare(state: Path) -> None:
    """Make the state directory, private. A folder that is somebody's already is not closed to its other users."""
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        if stat.S_IMODE(state.stat().st_mode) & 0o077:
            if not (state / "engine.lock").exists() and any(state.iterdir()):
                raise ConfigurationError(
                    f"REVENUE_STATE_DIR {state} holds other files and others may enter it: give the engine a folder "
                    "of its own, or chmod 700 this one",
                    variable="REVENUE_STATE_DIR",
                )
            state.chmod(0o700)
    except OSError as error:
        raise ConfigurationError(
            f"REVENUE_STATE_DIR {state} cannot be used ({error.strerror}): give a folder this user may write to",
            variable="REVENUE_STATE_DIR",
        ) from error


def holds(state: Path, name: str) -> bool:
    """Whether the state directory holds something. Raises ConfigurationError where this user may not look."""
    try:
        (state / name).stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise ConfigurationError(
            f"REVENUE_STATE_DIR {state} cannot be looked into ({error.strerror}): run as the user whose folder it is,"
            " or give another one",
            variable="REVENUE_STATE_DIR",
        ) from None
    return True


@contextlib.contextmanager
def locked(state: Path) -> Iterator[None]:
    """Hold the state directory's lock, so that two commands starting at once start one server."""
    deadline = time.monotonic() + _LOCK_SECONDS
    with (state / "engine.lock").open("a") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise Retryable(
                        f"another command has held {handle.name} for {_LOCK_SECONDS} seconds; wait for it or end it"
                    ) from error
                time.sleep(0.05)
        yield  # closing the file lets go


def write_private(path: Path, text: str) -> None:
    """Write a file only its owner reads, whole or not at all."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    fresh.replace(path)


def secret(path: Path) -> str:
    """The password kept in a file, made on first use."""
    if not path.exists():
        write_private(path, secrets.token_urlsafe(24))
    return path.read_text().strip()


def recorded(state: Path) -> dict[str, str]:
    """What ``engine.json`` says; empty when there is none or it cannot be read, since it is only a record."""
    try:
        found = json.loads((state / "engine.json").read_text())
    except (OSError, ValueError):
        return {}
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}


def record(state: Path, **values: str) -> None:
    """Add to ``engine.json``."""
    known = recorded(state)
    if known != (now := {**known, **values}):
        write_private(state / "engine.json", json.dumps(now, indent=2, sort_keys=True) + "\n")
