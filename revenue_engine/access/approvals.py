"""What one person asks for, another agrees to, and a worker then does once. The database keeps all three apart."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb
from sqlalchemy.orm import Session

from revenue_engine import db
from revenue_engine.db import raw
from revenue_engine.errors import NotFound


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it is shown: ``shown`` is exactly what its hash is of. ``stands`` is waiting, agreed, refused,
    expired, done, void, or set: done by one person and not reviewed yet. The amount is in cents."""

    public_id: str
    kind: str
    subject: str
    shown: bytes
    shown_sha256: bytes
    amount_minor: int | None
    asked_by: str
    requested_at: datetime
    expires_at: datetime
    stands: str
    why: str | None
    agreed_by: list[str]
    checkers: int

    def facts(self) -> dict[str, Any]:
        """What was shown, as plain data."""
        return json.loads(self.shown)  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class Agreed:
    """What a worker is to do: the kind, the payload that two persons saw, the request and its reason."""

    number: int
    kind: str
    payload: dict[str, Any]
    public_id: str
    reason: str
    subject: str


def ask(session: Session, kind: str, *, subject: str, payload: Mapping[str, Any], reason: str) -> str:
    """Ask for a judgement; answers the request's public id.

    The database reads the state that the request rests on, and freezes both. Raises NotSignedIn, NotAllowed,
    InvalidValue for an unknown kind or no reason, and what the state of the subject refuses.
    """
    given = (kind, subject, Jsonb(dict(payload)), reason)
    return str(db.scalar(session, "SELECT access.ask(%s, %s, %s, %s)", given))


def listed(session: Session, which: str | None = None) -> list[Request]:
    """Requests, what waits first and the largest amount first; of one standing or one public id when named."""
    rows = raw(session).execute("SELECT * FROM access.requests(%s)", (which,)).fetchall()
    return [Request(*row) for row in rows]


def page(
    session: Session, which: str | None = None, *, before: int | None = None, limit: int = 50
) -> list[tuple[int, Request]]:
    """Requests with their keys, the newest first: below a key, of one standing where it is named."""
    rows = raw(session).execute("SELECT * FROM access.requests_page(%s, %s, %s)", (which, before, limit)).fetchall()
    return [(row[0], Request(*row[1:])) for row in rows]


def one(session: Session, public_id: str) -> Request:
    """A request by its public id, or the only one whose id begins so. Raises NotFound."""
    found = listed(session, public_id)
    if not found and len(public_id) >= 8:
        found = [request for request in listed(session) if request.public_id.startswith(public_id)]
    if len(found) != 1:
        raise NotFound(f"there is no request {public_id}", public_id=public_id)
    return found[0]


def agree(session: Session, public_id: str, *, shown_sha256: bytes) -> str:
    """Agree to exactly what was shown; answers how the request stands. When it has its persons, a job does it.

    Raises NotAllowed for who asked and for who may not, Conflict when it was answered, has expired, or rests on a state
    that changed.
    """
    return str(db.scalar(session, "SELECT access.agree(%s, %s)", (public_id, shown_sha256)))


def refuse(session: Session, public_id: str, *, shown_sha256: bytes, reason: str) -> None:
    """Refuse a request with a reason. Raises as ``agree`` does."""
    raw(session).execute("SELECT access.refuse(%s, %s, %s)", (public_id, shown_sha256, reason))


def withdraw(session: Session, public_id: str) -> None:
    """Take one's own request back. Raises NotAllowed for another's, Conflict when it was answered."""
    raw(session).execute("SELECT access.withdraw(%s)", (public_id,))


def list_sha256(requests: Sequence[Request]) -> bytes:
    """The hash of a list as it was shown: one line a request, its id and the hash of what it shows."""
    return hashlib.sha256("\n".join(f"{r.public_id} {r.shown_sha256.hex()}" for r in requests).encode()).digest()


def agree_list(session: Session, requests: Sequence[Request]) -> int:
    """Agree to all of a list or to nothing; answers its total in cents."""
    ids = [request.public_id for request in requests]
    return int(db.scalar(session, "SELECT access.agree_list(%s, %s)", (ids, list_sha256(requests))))


def execute(session: Session, number: int) -> Agreed | None:
    """Mark an agreed request as done in this transaction, and say what is to be done; None when it is void by now.

    For the worker. The database refuses what is not agreed to by enough persons, has expired or was done already.
    """
    row = db.first(session, "SELECT kind, payload, public_id, reason, subject FROM access.execute(%s)", (number,))
    return Agreed(number, *row) if row else None


def is_agreed(session: Session, number: int) -> bool:
    """Whether a request has its persons and was neither done nor voided; for the worker."""
    return bool(db.scalar(session, "SELECT access.is_agreed(%s)", (number,)))


def void(session: Session, number: int, *, why: str) -> None:
    """Say that an agreed request cannot be done any more, and why; for the worker."""
    raw(session).execute("SELECT access.void(%s, %s)", (number, why[:500]))


def enrolment_half(session: Session, public_id: str) -> tuple[str, str, bool]:
    """My half of a one-time enrolment code, told this once: (login, half, whether it comes first)."""
    row = raw(session).execute("SELECT login, half, first FROM access.enrolment_half(%s)", (public_id,)).fetchone()
    assert row is not None  # noqa: S101 - a function answers one row
    return str(row[0]), str(row[1]), bool(row[2])
