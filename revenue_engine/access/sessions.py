"""Signing in and out. The database makes the session: a process that says "the code was right" is not believed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from revenue_engine import db
from revenue_engine.access import passwords
from revenue_engine.access.passwords import Cost
from revenue_engine.db import raw, transaction
from revenue_engine.errors import NotSignedIn, Retryable

_WRONG = "the login, the password or the code is wrong"
"""One sentence for every wrong part: which one it was would help only who guesses."""


@dataclass(frozen=True, slots=True)
class Me:
    """Who acts now: their roles, and until when the session lasts. A service has no session and no times."""

    login: str
    name: str
    kind: str
    roles: list[str]
    signed_in_at: datetime | None
    stepped_up_at: datetime | None
    ends_at: datetime | None
    recovery_codes: int


def sign_in(engine: Engine, *, login: str, password: str, code: str, source: str) -> str:
    """Open a session and answer its secret. ``code`` is six digits of the authenticator, or one recovery code.

    ``source`` is where the person sits (a peer address, a machine): tries from elsewhere do not keep a person out from
    where they signed in before. Two transactions of its own: a refused try is kept. Raises NotSignedIn without saying
    what was wrong, and Retryable with the seconds to wait after many wrong tries.
    """
    with transaction(engine) as session:
        row = raw(session).execute("SELECT * FROM access.salt_of(%s)", (login,)).fetchone()
    assert row is not None  # noqa: S101 - a login that does not exist has a salt too
    told = passwords.proof(password, Cost(*row))
    with transaction(engine) as session:
        answer = db.first(
            session, "SELECT secret, wait FROM access.sign_in(%s, %s, %s, %s)", (login, told, code, source)
        )
    return _secret_of(answer)


def step_up(engine: Engine, *, code: str) -> str:
    """Give a fresh second factor; answers the session's new secret, the old one ends. Raises as ``sign_in`` does."""
    with transaction(engine) as session:
        answer = raw(session).execute("SELECT secret, wait FROM access.step_up(%s)", (code,)).fetchone()
    return _secret_of(answer)


def _secret_of(answer: tuple[str | None, int] | None) -> str:
    secret, wait = answer or (None, 0)
    if wait > 0:
        raise Retryable(f"too many wrong tries: wait {wait} seconds, then try once", seconds=wait)
    if secret is None:
        raise NotSignedIn(_WRONG)
    return secret


def sign_out(session: Session) -> bool:
    """End the session that acts; False when there was none."""
    row = raw(session).execute("SELECT access.sign_out()").fetchone()
    return bool(row and row[0])


def actor(session: Session, otherwise: str) -> str:
    """The login of who acts, whatever a caller says; ``otherwise`` where nobody is signed in, as in a worker.

    The database refuses a row of a process of persons that bears another name.
    """
    row = raw(session).execute("SELECT access.acting_login()").fetchone()
    return str(row[0]) if row and row[0] else otherwise


def seen(session: Session) -> int:
    """Say that the session is in use; answers the person. Raises NotSignedIn at once when it is not live, with why."""
    row = raw(session).execute("SELECT access.seen()").fetchone()
    assert row is not None  # noqa: S101 - a function answers one row
    return int(row[0])


def whoami(session: Session) -> Me:
    """Who acts. Raises NotSignedIn with the reason when nobody does."""
    seen(session)
    row = raw(session).execute("SELECT * FROM access.whoami()").fetchone()
    assert row is not None  # noqa: S101 - seen() has found them
    return Me(*row)


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What a person takes away from their enrolment, shown this once."""

    recovery_codes: tuple[str, ...]


def enrol(session: Session, *, login: str, enrolment: str, password: str, seed: bytes, code: str) -> Enrolled:
    """Set a person's first password and second factor by their one-time enrolment code.

    ``code`` is what the authenticator shows for ``seed`` now. Raises InvalidValue for a weak password, NotSignedIn when
    a code is wrong, used or too old.
    """
    passwords.check_new_password(password, login=login)
    cost = passwords.fresh_cost()
    row = (
        raw(session)
        .execute(
            "SELECT access.enrol(%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (
                login,
                enrolment.strip().lower(),
                cost.salt,
                cost.memory_kib,
                cost.passes,
                cost.lanes,
                passwords.proof(password, cost),
                seed,
                code.strip(),
            ),
        )
        .fetchone()
    )
    assert row is not None  # noqa: S101 - a function answers one row
    return Enrolled(tuple(row[0]))


def may(session: Session, permission: str, *, minor: int | None = None, place: str | None = None) -> bool:
    """Whether who acts may do something, for an amount in cents and in a sub-county (None: the whole county)."""
    return bool(db.scalar(session, "SELECT access.may(%s, %s, %s)", (permission, minor, place)))


def must(session: Session, permission: str, *, minor: int | None = None, place: str | None = None) -> int:
    """The person who acts, when they may. Raises NotSignedIn, NotAllowed naming who may instead, StaleFactor."""
    return int(db.scalar(session, "SELECT access.must(%s, %s, %s)", (permission, minor, place)))
