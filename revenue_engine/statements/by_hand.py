"""A file that a person brings by hand: who brought it, what stands at its foot, and what a second person entered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from revenue_engine.channels import deliveries
from revenue_engine.db import Base, Sealed, raw, rows, scalar
from revenue_engine.ports.statements import StatementClosed, StatementEvent


class StatementFile(Sealed, Base):
    """A file that was brought, and by whom; nobody where whoever holds the database brought it."""

    __tablename__ = "statement_file"
    delivery_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    brought_by: Mapped[int | None]


class StatementReading(Sealed, Base):
    """What a worker read at the foot of a file. Nobody who comes through the API may see it."""

    __tablename__ = "statement_reading"
    __table_args__ = (CheckConstraint("foot IN ('closing', 'credits')", name="foot"),)
    delivery_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    foot: Mapped[str]
    foot_minor: Mapped[int]
    credits_minor: Mapped[int]
    lines: Mapped[int]
    read_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))


class StatementEntry(Sealed, Base):
    """What a person entered as the figure at the foot of a file that another person brought."""

    __tablename__ = "statement_entry"
    __table_args__ = (Index("ix_statement_entry_delivery_id", "delivery_id"),)
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    delivery_id: Mapped[int]
    person_id: Mapped[int]
    entered_minor: Mapped[int]
    entered_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))


def entered(session: Session, delivery_id: int) -> set[int]:
    """What persons who did not bring a file entered as the figure at its foot, in cents. Who enters one meanwhile waits
    for this transaction to end."""
    return {minor for (minor,) in raw(session).execute("SELECT * FROM entries_of(%s)", (delivery_id,))}


@dataclass(slots=True)
class Foot:
    """What stands at the foot of a file: the last closing balance, or where none is told the sum of the credits."""

    closing_minor: int | None = None
    credits_minor: int = 0
    lines: int = 0

    @property
    def told(self) -> str:
        """Which figure a second person enters: ``closing`` or ``credits``."""
        return "credits" if self.closing_minor is None else "closing"

    @property
    def minor(self) -> int:
        """That figure, in cents."""
        return self.credits_minor if self.closing_minor is None else self.closing_minor

    def noting(self, events: Iterable[StatementEvent]) -> Iterator[StatementEvent]:
        """The same events; what their statements close with is noted as they pass."""
        for event in events:
            if isinstance(event, StatementClosed):
                self.closing_minor = self.closing_minor if event.closing_minor is None else event.closing_minor
                self.credits_minor += event.credits_minor
                self.lines += event.lines
            yield event


def note_reading(session: Session, delivery_id: int, foot: Foot) -> None:
    """Keep what stands at the foot of a file. A file is read the same each time: its bytes do not change."""
    raw(session).execute(
        "INSERT INTO statement_reading (delivery_id, foot, foot_minor, credits_minor, lines)"
        " VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
        (delivery_id, foot.told, foot.minor, foot.credits_minor, foot.lines),
    )


def enter(session: Session, delivery_id: int, minor: int, *, gap: bool = False) -> str:
    """Enter what stands at the foot of a file, in cents, without seeing it: ``agrees``, ``differs``, or ``waits`` while
    no worker has read it. When it agrees, a job books the file. ``gap`` agrees as well that no statement stands before
    the file, where who brought it says so.

    Raises NotSignedIn, NotAllowed (also for who brought it), StaleFactor, NotFound, and Conflict when it is agreed
    already, an earlier file of the account is not, five entries differed, or a gap is said and not agreed to.
    """
    return str(scalar(session, "SELECT enter_closing(%s, %s, %s)", (delivery_id, minor, gap)))


def drop(session: Session, delivery_id: int) -> None:
    """Take back a file that one brought and nobody agreed to. Raises NotAllowed for another's, Conflict when booked."""
    raw(session).execute("SELECT drop_file(%s)", (delivery_id,))


def dropped(session: Session, delivery_id: int) -> bool:
    """Whether who brought a file took it back."""
    return deliveries.ended(session, delivery_id, outcome="ignored", reason="dropped by who brought it")


class Waiting(NamedTuple):
    """A file that waits for a second person, without what it says."""

    delivery_id: int
    received_at: datetime
    channel_account_id: int
    filename: str | None
    brought_by: str | None
    foot: str
    entries: int


def waiting(session: Session) -> list[Waiting]:
    """The files that wait for a second person, the earliest first."""
    return rows(session, Waiting, "SELECT * FROM files_waiting()")
