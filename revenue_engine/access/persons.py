"""Persons, their roles, and the tokens of services. New persons, roles and resets are asked for in ``approvals``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from revenue_engine import db
from revenue_engine.access import approvals
from revenue_engine.db import raw
from revenue_engine.errors import InvalidValue

STANDING_IN = [
    ("administrator.1", "First administrator", "ADM-1"),
    ("administrator.2", "Second administrator", "ADM-2"),
]
"""The first two where nobody was named."""


@dataclass(frozen=True, slots=True)
class Person:
    """A person as administrators and auditors see them; ``state`` is enrolled, not enrolled, disabled or service."""

    login: str
    name: str
    staff_number: str
    kind: str
    roles: tuple[str, ...]
    state: str


@dataclass(frozen=True, slots=True)
class Token:
    """A service's token, without its secret."""

    number: int
    service: str
    issued_by: str
    issued_at: datetime
    ends_at: datetime
    state: str


@dataclass(frozen=True, slots=True)
class First:
    """One of the county's first two administrators, and the one-time code to enrol with."""

    login: str
    code: str


def first_administrators(session: Session, named: list[tuple[str, str, str]]) -> list[First]:
    """Make the first two administrators (login, name, staff number), or renew their codes until one has enrolled.

    For whoever holds the database: no process of the engine may call this. Without names, those who were made before
    are taken. Answers nothing once one of them has enrolled. Raises InvalidValue unless there are two, Conflict where
    other persons exist.
    """
    if not named:
        made_before = "SELECT login, name, staff_number FROM access.person WHERE made_by IS NULL ORDER BY id LIMIT 2"
        named = raw(session).execute(made_before).fetchall() or STANDING_IN
    if len(named) != 2 or named[0][0] == named[1][0]:
        raise InvalidValue("a county begins with two administrators, who are two persons", field="administrator")
    made = []
    for login, name, staff_number in named:
        code = db.scalar(session, "SELECT access.first_administrator(%s, %s, %s)", (login, name, staff_number))
        if code is not None:
            made.append(First(login, code))
    return made


def first_of_demo(session: Session, *, login: str, name: str, staff_number: str, role: str) -> str:
    """Make a person of a demonstration with one role; answers the one-time enrolment code.

    For whoever holds the database, which is nobody's process: a county's persons are made by two administrators.
    """
    return str(db.scalar(session, "SELECT access.demo_person(%s, %s, %s, %s)", (login, name, staff_number, role)))


def listed(session: Session) -> list[Person]:
    """Every person, in the order they were made. Raises NotAllowed for who may not list them."""
    rows = raw(session).execute("SELECT * FROM access.persons()")
    return [Person(row[0], row[1], row[2], row[3], tuple(row[4]), row[5]) for row in rows]


def disable(session: Session, login: str, *, why: str) -> None:
    """Shut a person out: every session and token of theirs ends at once. Raises NotAllowed, NotFound, Conflict."""
    raw(session).execute("SELECT access.disable_person(%s, %s)", (login, why))


def end_sessions(session: Session, login: str) -> int:
    """End every session of a person, one's own or as an administrator anybody's; answers how many."""
    return int(db.scalar(session, "SELECT access.revoke_sessions(%s)", (login,)))


def issue_token(session: Session, service: str, *, days: int) -> str:
    """A new token of a service, which is made where it is new; told this once. Raises NotAllowed, InvalidValue."""
    return str(db.scalar(session, "SELECT access.issue_token(%s, %s)", (service, days)))


def ask_scope(session: Session, service: str, scope: str, *, reason: str) -> str:
    """Ask that a service may do something (``bill.issue``); answers the request. Raises what ``approvals.ask`` does."""
    subject = f"{service} may {scope}"
    return approvals.ask(
        session, "scope_grant", subject=subject, payload={"service": service, "scope": scope}, reason=reason
    )


def end_scope(session: Session, service: str, scope: str) -> None:
    """Take a scope from a service at once. Raises NotFound."""
    raw(session).execute("SELECT access.end_scope(%s, %s)", (service, scope))


def scopes(session: Session) -> dict[str, list[str]]:
    """What each service may do, by its login."""
    found: dict[str, list[str]] = {}
    for service, scope, _ in raw(session).execute("SELECT * FROM access.scopes()"):
        found.setdefault(service, []).append(scope)
    return found


def revoke_token(session: Session, number: int) -> None:
    """End a token at once. Raises NotFound where none of the number is in use."""
    raw(session).execute("SELECT access.revoke_token(%s)", (number,))


def tokens(session: Session) -> list[Token]:
    """Every token of every service."""
    return [Token(*row) for row in raw(session).execute("SELECT * FROM access.tokens()")]
