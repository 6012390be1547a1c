"""Who is at the keyboard: the file of the session, what is typed without being seen, and work done as that person."""

from __future__ import annotations

import getpass
import os
import socket
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from revenue_engine.errors import ConfigurationError, InvalidValue, NotSignedIn

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

LARGEST = 4_096


def token_file() -> Path:
    """Where the secret of the session stands; that of the demo's books beside it, so that one ends no other."""
    from revenue_engine import bootstrap

    path = bootstrap.settings().token_file
    return path.with_name(f"{path.name}-{bootstrap.other_books()}") if bootstrap.other_books() else path


def read() -> str | None:
    """The secret of the session; None when there is none. Raises ConfigurationError for a file others may read."""
    path = token_file()
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    with os.fdopen(handle, "rb") as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode) or about.st_uid != os.getuid() or about.st_mode & 0o077:
            raise ConfigurationError(f"{path} may be read or was made by others: remove it and sign in again")
        secret = file.read(LARGEST).decode("ascii", "replace").strip()
    return secret or None


def write(secret: str) -> None:
    """Keep the secret of a new session, readable by this account alone. Raises ConfigurationError."""
    path = token_file()
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secret + "\n")
        fresh.replace(path)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error


def forget() -> None:
    """Remove the file of the session."""
    token_file().unlink(missing_ok=True)


def _how() -> str:
    from revenue_engine import bootstrap

    if bootstrap.other_books():
        return (
            "Sign in to the demo's books: revenue-engine login demo.treasurer --demo, with the password and the"
            " authenticator that the demo printed when it began"
        )
    return "Sign in: revenue-engine login YOUR-LOGIN"


@contextmanager
def signed_in() -> Iterator[None]:
    """Do the block's work as who is signed in. Raises NotSignedIn, at once and with the reason, when nobody is."""
    from revenue_engine import bootstrap
    from revenue_engine.access import sessions
    from revenue_engine.db import acting_by, transaction

    secret = read()
    if secret is None:
        raise NotSignedIn(f"nobody is signed in here. {_how()}")
    with acting_by(secret):
        with transaction(bootstrap.engine("api")) as session:
            sessions.seen(session)
        yield


@contextmanager
def maybe_signed_in() -> Iterator[None]:
    """Do the block's work as who is signed in, or as nobody: for commands that only read."""
    from revenue_engine.db import acting_by

    with acting_by(read()):
        yield


def login(session: Session) -> str:
    """The login of who is signed in. Raises NotSignedIn with the reason when nobody is."""
    from revenue_engine.access import sessions

    return sessions.whoami(session).login


def typed(what: str) -> str:
    """One line from the person: unseen at a keyboard, else the next line of standard input. Raises InvalidValue."""
    line = getpass.getpass(f"{what}: ") if sys.stdin.isatty() else sys.stdin.readline(LARGEST).rstrip("\r\n")
    if not line:
        raise InvalidValue(f"{what} is missing: give it on standard input, one line each", field=what)
    return line


def source() -> str:
    """Where the person sits, for counting wrong tries apart from strangers'."""
    return f"{socket.gethostname()}/{os.getuid()}"
