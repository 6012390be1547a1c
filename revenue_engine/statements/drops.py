"""Drops: where a bank's own connection delivers statement files, what was taken from there, and what each look found.

A drop is set up by two persons; the newest version of a name is in force. Rows are only added: what was met in a drop
is remembered for ever, so that each file is taken once by its content, whatever it is called.
"""

from __future__ import annotations

import base64
import enum
import hashlib
import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, Session, mapped_column

from reconciliation import break_keys, breaks
from reconciliation.breaks import BreakReason, NewBreak
from revenue_engine import db, periods
from revenue_engine.access import approvals
from revenue_engine.channels import accounts
from revenue_engine.collection.tools import Tools
from revenue_engine.db import Base, Sealed, one, raw, rows, scalar
from revenue_engine.errors import InvalidValue, NotFound
from revenue_engine.work.kinds import Kind, Work

AWAY_FOR = timedelta(hours=2)
"""How long a bank's server may be away before somebody is told. Every other fault is told at once."""


OTHER_ACCOUNT = "other_account"
"""Why a file was not taken, as its delivery's header ``fault`` says: the file is of an account of others."""


class LookOutcome(enum.StrEnum):
    """How a look into a drop ended."""

    SEEN = "seen"
    AWAY = "away"
    """The server did not answer, or broke off."""
    HOST_KEY = "host_key"
    """Who answered is not the server whose key two persons agreed to. Nothing was said to it."""
    LOGIN = "login"
    FOLDER = "folder"
    SETTINGS = "settings"
    """Ours to mend: the key file cannot be read, or is no key."""


class StatementDrop(Sealed, Base):
    """One version of a drop's set-up, agreed to by two persons. Times in seconds and minutes, sizes in bytes."""

    __tablename__ = "statement_drop"
    __table_args__ = (
        CheckConstraint("cardinality(host_keys) BETWEEN 1 AND 3", name="host_keys"),
        CheckConstraint("cardinality(account_ids) BETWEEN 1 AND 50", name="accounts"),
        Index("ix_statement_drop_name", "name", "id"),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    name: Mapped[str]
    host: Mapped[str]
    port: Mapped[int]
    username: Mapped[str]
    key_file: Mapped[str]
    host_keys: Mapped[list[str]] = mapped_column(ARRAY(Text))
    folder: Mapped[str]
    temporary: Mapped[str]
    """The ending of files that the bank still writes; empty where the bank does not rename."""
    settle_seconds: Mapped[int]
    every_minutes: Mapped[int]
    largest_bytes: Mapped[int]
    account_ids: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    active: Mapped[bool]
    approval_id: Mapped[int] = mapped_column(unique=True)
    agreed_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class FetchedFile(Sealed, Base):
    """One file met in a drop; ``sha256`` is empty for one that was refused unread."""

    __tablename__ = "fetched_file"
    __table_args__ = (
        CheckConstraint("outcome IN ('taken', 'known', 'refused')", name="outcome"),
        CheckConstraint("length(sha256) = 32 OR (length(sha256) = 0 AND outcome = 'refused')", name="sha256"),
        UniqueConstraint("drop_id", "name", "size", "modified_at", "sha256"),
        Index(
            "uq_fetched_file_content", "drop_name", "sha256", unique=True, postgresql_where=text("outcome = 'taken'")
        ),
        Index("ix_fetched_file_name", "drop_name", "name"),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    drop_id: Mapped[int] = mapped_column(ForeignKey("statement_drop.id"))
    drop_name: Mapped[str]
    name: Mapped[str]
    size: Mapped[int]
    modified_at: Mapped[datetime]
    sha256: Mapped[bytes] = mapped_column(LargeBinary)
    outcome: Mapped[str]
    reason: Mapped[str]
    again: Mapped[bool]
    """Whether another content was met under this name before."""
    delivery_ids: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    """What was made of it: a file of several accounts is one delivery an account."""
    fetched_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class FetchLook(Sealed, Base):
    """One look into a drop and what it found. Nothing of a file's content."""

    __tablename__ = "fetch_look"
    __table_args__ = (
        CheckConstraint("outcome IN ('seen', 'away', 'host_key', 'login', 'folder', 'settings')", name="outcome"),
        Index("ix_fetch_look_drop_name", "drop_name", "id"),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    drop_id: Mapped[int] = mapped_column(ForeignKey("statement_drop.id"))
    drop_name: Mapped[str]
    outcome: Mapped[str]
    reason: Mapped[str]
    whole: Mapped[bool]
    """Whether every file was read again, also those whose name, size and time were met before."""
    files: Mapped[int]
    taken: Mapped[int]
    refused: Mapped[int]
    waiting: Mapped[int]
    looked_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


@dataclass(frozen=True, slots=True)
class Drop:
    """A drop in force, as two persons agreed to it; the fields are those of ``StatementDrop``."""

    id: int
    name: str
    host: str
    port: int
    username: str
    key_file: str
    host_keys: list[str]
    folder: str
    temporary: str
    settle_seconds: int
    every_minutes: int
    largest_bytes: int
    account_ids: list[int]


def in_force(session: Session) -> list[Drop]:
    """The drops that files are fetched from, by name."""
    return rows(
        session,
        Drop,
        "SELECT id, name, host, port, username, key_file, host_keys, folder, temporary, settle_seconds, every_minutes,"
        " largest_bytes, account_ids FROM (SELECT DISTINCT ON (name) * FROM statement_drop ORDER BY name, id DESC) d"
        " WHERE active ORDER BY name",
    )


def due(session: Session, *, account_id: int | None = None, now: bool = False) -> list[Drop]:
    """The drops that are to be looked into: all with ``now``, else those whose last look is old enough.

    ``account_id``: only the drop that speaks for this account.
    """
    last: dict[str, datetime] = dict(
        raw(session)
        .execute(
            "SELECT drop_name, max(looked_at) FROM fetch_look WHERE looked_at > now() - interval '2 days' GROUP BY 1"
        )
        .fetchall()
    )
    moment = periods.now()
    return [
        drop
        for drop in in_force(session)
        if (account_id is None or account_id in drop.account_ids)
        and (now or drop.name not in last or last[drop.name] + timedelta(minutes=drop.every_minutes) <= moment)
    ]


class Met(NamedTuple):
    """What tells one state of a file from another, before it is read."""

    name: str
    size: int
    modified_at: datetime


def met(session: Session, drop: Drop) -> set[Met]:
    """The files of a drop that need not be read again: taken or known ones, and what this version of it refused."""
    found = raw(session).execute(
        "SELECT name, size, modified_at FROM fetched_file"
        " WHERE drop_name = %s AND (outcome <> 'refused' OR drop_id = %s)",
        (drop.name, drop.id),
    )
    return {Met(*row) for row in found}


def looked_whole(session: Session, drop: Drop) -> bool:
    """Whether a look of today (Nairobi) read every file again."""
    start = periods.now().astimezone(periods.NAIROBI).replace(hour=0, minute=0, second=0, microsecond=0)
    return bool(
        scalar(
            session,
            "SELECT EXISTS (SELECT FROM fetch_look WHERE drop_name = %s AND whole AND outcome = 'seen'"
            " AND looked_at >= %s)",
            (drop.name, start),
        )
    )


def names_met(session: Session, drop: Drop, names: Collection[str]) -> set[str]:
    """Which of these names a content was met under before, in any version of the drop."""
    found = raw(session).execute(
        "SELECT DISTINCT name FROM fetched_file WHERE drop_name = %s AND name = ANY(%s) AND length(sha256) = 32",
        (drop.name, list(names)),
    )
    return {row[0] for row in found}


def content_met(session: Session, drop: Drop, sha256: bytes) -> str | None:
    """Under which name this content was taken from the drop before; None when it was not."""
    name: str | None = db.found(
        session,
        "SELECT name FROM fetched_file WHERE drop_name = %s AND sha256 = %s AND outcome = 'taken'",
        (drop.name, sha256),
    )
    return name


def delivered(session: Session, account_id: int) -> list[int]:
    """What was fetched of an account in the last ninety days: the deliveries that its drop made."""
    found = raw(session).execute(
        "SELECT DISTINCT unnest(f.delivery_ids) FROM fetched_file f JOIN statement_drop d ON d.id = f.drop_id"
        " WHERE %s = ANY(d.account_ids) AND f.outcome = 'taken' AND f.fetched_at > now() - interval '90 days'",
        (account_id,),
    )
    return sorted(row[0] for row in found)


def claim(
    session: Session,
    drop: Drop,
    file: Met,
    *,
    sha256: bytes,
    outcome: str,
    reason: str = "",
    again: bool = False,
    delivery_ids: Sequence[int] = (),
) -> bool:
    """Write what became of a file; False where another process wrote it already, and then nothing else may be done.

    Waits for another transaction that writes of the same content.
    """
    return (
        raw(session)
        .execute(
            "INSERT INTO fetched_file (drop_id, drop_name, name, size, modified_at, sha256, outcome, reason, again,"
            " delivery_ids) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            (drop.id, drop.name, *file, sha256, outcome, reason[:500], again, list(delivery_ids)),
        )
        .rowcount
        == 1
    )


def write_look(
    session: Session,
    drop: Drop,
    *,
    outcome: LookOutcome,
    reason: str = "",
    whole: bool = False,
    files: int = 0,
    taken: int = 0,
    refused: int = 0,
    waiting: int = 0,
) -> None:
    """Write how a look ended. A fault, and the first good look after one, make work for a worker."""
    raw(session).execute(
        "INSERT INTO fetch_look (drop_id, drop_name, outcome, reason, whole, files, taken, refused, waiting)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (drop.id, drop.name, outcome.value, reason[:500], whole, files, taken, refused, waiting),
    )


# --- a drop that cannot be looked into is somebody's ------------------------------------------------------------------


class _Look(NamedTuple):
    id: int
    drop_name: str
    outcome: str
    reason: str
    looked_at: datetime
    account_id: int
    good_at: datetime | None
    bad_since: datetime | None


def weigh(session: Session, look_id: int) -> None:
    """Open a break for a drop that cannot be looked into, or close those of one that can be again."""
    look = one(
        session,
        _Look,
        "SELECT l.id, l.drop_name, l.outcome, l.reason, l.looked_at, d.account_ids[1] AS account_id, g.looked_at AS"
        " good_at, (SELECT min(b.looked_at) FROM fetch_look b WHERE b.drop_name = l.drop_name AND b.id <= l.id"
        "            AND b.id > coalesce(g.id, 0)) AS bad_since"
        " FROM fetch_look l JOIN statement_drop d ON d.id = l.drop_id"
        " LEFT JOIN LATERAL (SELECT id, looked_at FROM fetch_look g WHERE g.drop_name = l.drop_name AND g.id <= l.id"
        "                     AND g.outcome = 'seen' ORDER BY g.id DESC LIMIT 1) g ON true WHERE l.id = %s",
        (look_id,),
    )
    if look is None:
        return
    prefix = break_keys.drop_prefix(look.drop_name)
    standing = {
        key
        for key in breaks.open_keys(session, BreakReason.STATEMENT_NOT_FETCHED, channel_account_id=look.account_id)
        if key.startswith(prefix)
    }
    if look.outcome == LookOutcome.SEEN:
        breaks.close_many(session, sorted(standing), resolution="the drop was looked into again")
        return
    key = break_keys.drop(look.drop_name, look.outcome, look.id)
    same = {other for other in standing if other.startswith(break_keys.drop(look.drop_name, look.outcome, 0)[:-1])}
    if same:
        return
    if look.outcome == LookOutcome.AWAY and look.bad_since is not None and look.looked_at - look.bad_since < AWAY_FOR:
        return
    breaks.open_many(
        session,
        [
            NewBreak(
                key,
                BreakReason.STATEMENT_NOT_FETCHED,
                f"the drop {look.drop_name} cannot be looked into: {look.reason}",
                look.looked_at,
                channel_account_id=look.account_id,
            )
        ],
    )


LOOKED = Work[Tools](Kind.FETCH_LOOK, lambda session, look_id, _: weigh(session, look_id))
JOBS = (LOOKED,)


# --- set-up, by two persons -------------------------------------------------------------------------------------------


def public_key(line: str) -> str:
    """A server's public key as it is agreed to: its kind and its base64, without host names and comments.

    Takes a line of ``known_hosts``, of a ``.pub`` file or of ``ssh-keyscan``. Raises InvalidValue.
    """
    words = line.split()
    for kind, body in itertools.pairwise(words):
        if kind in {"ssh-ed25519", "ssh-rsa"} or kind.startswith("ecdsa-sha2-nistp"):
            try:
                inner = base64.b64decode(body, validate=True)
            except ValueError:
                break
            if inner[4 : 4 + len(kind)] == kind.encode():
                return f"{kind} {body}"
    raise InvalidValue(
        "this is no public key of a server: give a line such as 'ssh-ed25519 AAAA...', from the bank's letter",
        field="host_key",
    )


def ask(
    session: Session,
    *,
    name: str,
    host: str,
    port: int,
    username: str,
    key_file: str,
    host_keys: Sequence[str],
    account_ids: Sequence[int],
    folder: str = ".",
    temporary: str = "",
    settle_seconds: int = 30,
    every_minutes: int = 10,
    largest_bytes: int = 52_428_800,
    active: bool = True,
    reason: str,
) -> str:
    """Ask that a drop be set up, changed, or (``active`` false) ended; answers the request's public id.

    Another person agrees, who sees the fingerprints of the host keys and the accounts. Raises as ``approvals.ask``.
    """
    public = accounts.public_ids(session, account_ids)
    payload: dict[str, Any] = {
        "name": name,
        "host": host,
        "port": port,
        "username": username,
        "key_file": key_file,
        "host_keys": [public_key(line) for line in host_keys],
        "accounts": public,
        "folder": folder.rstrip("/") or "/",
        "temporary": temporary,
        "settle_seconds": settle_seconds,
        "every_minutes": every_minutes,
        "largest_bytes": largest_bytes,
        "active": active,
    }
    return approvals.ask(session, "statement_drop", subject=f"drop {name}", payload=payload, reason=reason)


def ask_end(session: Session, name: str, *, reason: str) -> str:
    """Ask that nothing more be fetched from a drop; answers the request's public id. Raises NotFound."""
    found = {drop.name: drop for drop in in_force(session)}
    if name not in found:
        raise NotFound(f"no drop {name} is in force: see 'revenue-engine drop list'", name=name)
    drop = found[name]
    return ask(
        session,
        name=drop.name,
        host=drop.host,
        port=drop.port,
        username=drop.username,
        key_file=drop.key_file,
        host_keys=drop.host_keys,
        account_ids=drop.account_ids,
        folder=drop.folder,
        temporary=drop.temporary,
        settle_seconds=drop.settle_seconds,
        every_minutes=drop.every_minutes,
        largest_bytes=drop.largest_bytes,
        active=False,
        reason=reason,
    )


def fingerprint(key: str) -> str:
    """A public key's fingerprint, as banks write it in letters and ``ssh-keygen -l`` shows it."""
    kind, body = key.split()
    digest = base64.b64encode(hashlib.sha256(base64.b64decode(body)).digest()).decode("ascii").rstrip("=")
    return f"{kind} SHA256:{digest}"


class Shown(NamedTuple):
    """A drop as a list shows it, with its last look."""

    name: str
    host: str
    port: int
    username: str
    folder: str
    active: bool
    account_ids: list[int]
    host_keys: list[str]
    every_minutes: int
    looked_at: datetime | None
    outcome: str | None
    reason: str | None
    taken: int
    refused: int


def listed(session: Session) -> list[Shown]:
    """Every drop, ended ones too, with its last look and how many files were ever taken and refused."""
    return rows(
        session,
        Shown,
        "SELECT d.name, d.host, d.port, d.username, d.folder, d.active, d.account_ids, d.host_keys, d.every_minutes,"
        " l.looked_at, l.outcome, l.reason,"
        " (SELECT count(*) FROM fetched_file f WHERE f.drop_name = d.name AND f.outcome = 'taken') AS taken,"
        " (SELECT count(*) FROM fetched_file f WHERE f.drop_name = d.name AND f.outcome = 'refused') AS refused"
        " FROM (SELECT DISTINCT ON (name) * FROM statement_drop ORDER BY name, id DESC) d"
        " LEFT JOIN LATERAL (SELECT looked_at, outcome, reason FROM fetch_look l WHERE l.drop_name = d.name"
        "                     ORDER BY l.id DESC LIMIT 1) l ON true ORDER BY d.name",
    )


class Fetched(NamedTuple):
    """A file that was met in a drop, as a list shows it."""

    drop_name: str
    name: str
    size: int
    modified_at: datetime
    outcome: str
    again: bool
    reason: str
    delivery_ids: list[int]
    fetched_at: datetime


def files(session: Session, *, limit: int = 50) -> list[Fetched]:
    """The newest files that were met in drops."""
    return rows(
        session,
        Fetched,
        "SELECT drop_name, name, size, modified_at, outcome, again, reason, delivery_ids, fetched_at FROM fetched_file"
        " ORDER BY id DESC LIMIT %s",
        (limit,),
    )
