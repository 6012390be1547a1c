"""The port for fetching: a folder at a bank that is listed and read, and never written.

Whoever implements it opens one connection to the server whose host key was agreed to, and to no other.
"""

from __future__ import annotations

import enum
from contextlib import AbstractContextManager
from datetime import datetime
from typing import NamedTuple, Protocol, runtime_checkable

from revenue_engine.errors import Rejected


class Fault(enum.StrEnum):
    """Why a folder at a bank cannot be looked into, where trying again does not help."""

    HOST_KEY = "host_key"
    LOGIN = "login"
    FOLDER = "folder"


class DropRefused(Rejected):
    """The server is not the one agreed to, or did not let us in, or the folder is not as agreed."""

    def __init__(self, fault: Fault, reason: str) -> None:
        super().__init__(reason)
        self.code = fault.value
        self.fault = fault


class EntryKind(enum.StrEnum):
    """What stands under a name in a folder."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"
    OTHER = "other"


class Entry(NamedTuple):
    """One name in the folder, as the server tells it: a link is told as a link and never followed.

    ``size`` in bytes, ``modified_at`` aware; bytes of a name that are no text stand as backslash escapes.
    """

    name: str
    size: int
    modified_at: datetime
    kind: EntryKind


class OpenDrop(Protocol):
    """A connection that stands. Every call raises Retryable where it breaks off, DropRefused where it is denied."""

    def entries(self) -> list[Entry]:
        """Everything in the folder, in no order. Raises DropRefused for a folder that is not there or overfull."""
        ...

    def entry(self, name: str) -> Entry | None:
        """What stands under a name now; None when nothing does any more."""
        ...

    def read(self, name: str, *, at_most: int) -> bytes | None:
        """The bytes of a regular file, at most one more than ``at_most``; None when it is not there any more."""
        ...


@runtime_checkable
class DropClient(Protocol):
    """One drop's way to its server."""

    def open(self) -> AbstractContextManager[OpenDrop]:
        """Connect. Raises Retryable for a server that is away, DropRefused for one that is another or says no."""
        ...
