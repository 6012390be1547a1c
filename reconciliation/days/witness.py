"""Roots that are kept outside the server: what no one who holds the database can take back.

A witness is a text file somewhere else, one line a certificate: its number, last day, SHA-256 and root.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from sqlalchemy.orm import Session

from reconciliation.days import certificates
from revenue_engine.db import raw
from revenue_engine.errors import ConfigurationError, Conflict, InvalidValue
from revenue_engine.verification import seals
from revenue_engine.verification.seals import Held

_LINE = re.compile(r"([1-9][0-9]{0,17}) (\d{4}-\d{2}-\d{2}) ([0-9a-f]{64}) ([0-9a-f]{64})")


class Witnessed(NamedTuple):
    """What a witness saw of a certificate."""

    number: int
    last_day: str
    note_sha256: str
    root: str

    @property
    def line(self) -> str:
        """The line that is kept and printed."""
        return f"{self.number} {self.last_day} {self.note_sha256} {self.root}"


def read(path: Path) -> list[Witnessed]:
    """What a witness holds, in order. Raises InvalidValue for a line that is none, ConfigurationError for no file."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    found = []
    for place, line in enumerate(lines, 1):
        parts = _LINE.fullmatch(line)
        if parts is None or int(parts[1]) != place:
            raise InvalidValue(f"line {place} of {path.name} is not what a witness writes", line=place)
        found.append(Witnessed(place, parts[2], parts[3], parts[4]))
    return found


def held(path: Path) -> list[Held]:
    """What a witness holds, as ``ledger verify`` takes it. Raises as ``read`` does."""
    return [Held(one.number, one.note_sha256, one.root) for one in read(path)]


def keep(session: Session, path: Path) -> list[Witnessed]:
    """Add to a witness what it has not seen yet; returns what was added. Raises Conflict where it saw another root."""
    seen = held(path) if path.exists() else []
    wrong = [f"certificate {one.key} {one.detail}" for one in seals.beside(raw(session), seen) if one is not None]
    if wrong:
        raise Conflict(f"{path.name} holds other roots than this database: {'; '.join(wrong)}", differences=wrong)
    trusted = certificates.published(session)
    fresh = [
        Witnessed(one.number, str(one.last_day), one.note_sha256.hex(), certificates.read(one.note, trusted).root)
        for one in certificates.every(session, after=len(seen))
    ]
    try:
        with path.open("a", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{one.line}\n" for one in fresh)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error
    return fresh
