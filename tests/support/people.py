"""Two enrolled persons, and as many more as a test needs: the suite's way to act as somebody.

They are made as the superuser makes them, with sessions that are already open, because a password of each would cost
the suite minutes. Nothing here switches a rule off: what two persons must agree to, two of these agree to.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Engine, event

from revenue_engine import db
from revenue_engine.access import approvals

PASSWORD = "four plain words here"


@dataclass(frozen=True, slots=True)
class Someone:
    """A person of the test: the session's secret, and the seed of the second factor."""

    id: int
    login: str
    secret: str
    seed: bytes

    @contextmanager
    def acts(self) -> Iterator[None]:
        """Transactions of the block are this person's."""
        with db.acting_by(self.secret):
            yield

    def signed_in(self, folder: Path) -> dict[str, str]:
        """The environment of a command of this person's: a file with the session, as signing in leaves it."""
        file = folder / f"{self.login}.session"
        file.touch(mode=0o600)
        file.write_text(self.secret + "\n", encoding="ascii")
        return {"REVENUE_TOKEN_FILE": str(file)}


def somebody(
    url: str, login: str, *roles: str, sub_county: str | None = None, directorate: str | None = None
) -> Someone:
    """A person with roles and an open session; made once, signed in anew each time."""
    secret, seed = secrets.token_hex(32), secrets.token_bytes(20)
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT id FROM access.person WHERE login = %s", (login,)).fetchone()
        if row is None:
            number = f"T-{login.upper().replace('.', '-').replace('_', '-')}"[:20]
            row = connection.execute(
                "SELECT access.make_person('staff', %s, %s, %s, NULL)", (login, login.title().replace("_", " "), number)
            ).fetchone()
            assert row is not None
            for role in roles:
                connection.execute(
                    "INSERT INTO access.person_role (person_id, role, sub_county, directorate) VALUES (%s, %s, %s, %s)",
                    (row[0], role, sub_county, directorate),
                )
            connection.execute(
                "INSERT INTO access.credential (person_id, salt, memory_kib, passes, lanes, proof_sha256, seed)"
                " VALUES (%s, %s, 65536, 3, 1, sha256('nobody signs in so'), %s)",
                (row[0], secrets.token_bytes(16), seed),
            )
        connection.execute(
            "INSERT INTO access.session (person_id, secret_sha256, ends_at)"
            " VALUES (%s, %s, clock_timestamp() + interval '10 hours')",
            (row[0], hashlib.sha256(secret.encode()).digest()),
        )
    return Someone(row[0], login, secret, seed)


def signed(engine: Engine, who: Someone) -> Engine:
    """An engine whose every connection is signed in as somebody, in threads too, unless somebody else acts."""

    @event.listens_for(engine, "connect")
    def sign_in(connection: psycopg.Connection[Any], _record: object) -> None:
        connection.execute("SELECT set_config('revenue.session', %s, false)", (who.secret,))
        connection.commit()

    return engine


def clerk(url: str) -> Someone:
    """The first of the two: a clerk who may ask, and a cashier."""
    return somebody(url, "clerk", "clerk", "cashier", "supervisor")


def treasurer(url: str) -> Someone:
    """The second of the two: a finance officer who may agree."""
    return somebody(url, "treasurer", "finance_officer")


def administrators(url: str) -> tuple[Someone, Someone]:
    """Two administrators."""
    return somebody(url, "admin.one", "administrator"), somebody(url, "admin.two", "administrator")


def agree(engine: Engine, public_id: str, *, who: Someone) -> str:
    """Look at a request and agree to it, as somebody; answers how it stands."""
    with who.acts(), db.transaction(engine) as session:
        shown = approvals.one(session, public_id)
        return approvals.agree(session, public_id, shown_sha256=shown.shown_sha256)
