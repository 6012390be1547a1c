"""The county's set-up: streams, stations, dated tariff lines that cite their law, holidays; and what a line charges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import ARRAY, BigInteger, CheckConstraint, ForeignKey, Identity, Text, UniqueConstraint, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from revenue_engine.db import Base
from revenue_engine.errors import InvalidValue, NotFound

COMPONENTS = ("costs", "penalty", "interest", "arrears", "principal")
"""The parts of a bill in the order in which money pays them: costs and fines, penalty, interest, the oldest principal
(arrears of earlier years), then this year's principal."""


class County(Base):
    """The one county of this database and its policies."""

    __tablename__ = "county"
    __table_args__ = (CheckConstraint("singleton", name="one_row"),)
    singleton: Mapped[bool] = mapped_column(primary_key=True, server_default=text("true"))
    code: Mapped[str]
    name: Mapped[str]
    books_open_from: Mapped[date]
    """No journal is booked before this day: earlier days belong to the system before this one."""
    refuse_unknown_accounts: Mapped[bool] = mapped_column(server_default=text("false"))
    confirm_limit_minor: Mapped[int]
    """A provider's unsigned word is enough below this amount (cents); above it a second evidence must agree."""
    mode: Mapped[str] = mapped_column(server_default=text("'live'"))


class Stream(Base):
    """A revenue stream and where its money is reported (PSASB note category) and kept."""

    __tablename__ = "stream"
    __table_args__ = (
        CheckConstraint("note BETWEEN 1 AND 16", name="note"),
        CheckConstraint("billing IN ('bill', 'spot')", name="billing"),
        CheckConstraint("retained_by IN ('county', 'facility', 'concession')", name="retained_by"),
    )
    code: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    note: Mapped[int]
    billing: Mapped[str]
    """``bill``: an invoice comes first. ``spot``: pay before service, the payment raises its own bill."""
    retained_by: Mapped[str] = mapped_column(server_default=text("'county'"))
    law: Mapped[str]
    prefixes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    """Short words that payers put before a plate or a number (``TRL``, ``BSA``)."""


class Station(Base):
    """A place where a stream is collected: a market, a bus park, a barrier, a hospital."""

    __tablename__ = "station"
    code: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    stream_code: Mapped[str] = mapped_column(ForeignKey("stream.code"))
    sub_county: Mapped[str]
    ward: Mapped[str]


class TariffLine(Base):
    """One priced item, in force from a day to a day (exclusive), with the law that allows it."""

    __tablename__ = "tariff_line"
    __table_args__ = (
        UniqueConstraint("item_code", "effective_from"),
        CheckConstraint("amount_minor > 0", name="amount"),
        CheckConstraint("effective_to IS NULL OR effective_to > effective_from", name="period"),
        CheckConstraint("status IN ('draft', 'sample', 'active', 'suspended', 'repealed')", name="status"),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    item_code: Mapped[str]
    stream_code: Mapped[str] = mapped_column(ForeignKey("stream.code"))
    name: Mapped[str]
    unit: Mapped[str]
    amount_minor: Mapped[int]
    law: Mapped[str]
    effective_from: Mapped[date]
    effective_to: Mapped[date | None]
    status: Mapped[str]
    spot: Mapped[bool] = mapped_column(server_default=text("false"))
    """Whether a payment of exactly this amount at a station of the stream raises a spot bill from this line."""


class PublicHoliday(Base):
    """A day on which no working day is counted."""

    __tablename__ = "public_holiday"
    day: Mapped[date] = mapped_column(primary_key=True)
    name: Mapped[str]
    source: Mapped[str]


@dataclass(frozen=True, slots=True)
class AssessedLine:
    """One line of a bill before it is issued: amounts in cents."""

    tariff_line_id: int | None
    stream_code: str
    description: str
    component: str
    quantity: int
    unit_amount_minor: int

    @property
    def amount_minor(self) -> int:
        """Quantity times unit amount, in cents."""
        return self.quantity * self.unit_amount_minor


def in_force(
    session: Session, *, on: date, item_code: str | None = None, stream_code: str | None = None
) -> list[TariffLine]:
    """Tariff lines in force on a day: active (or ``sample`` in a test county), begun and not ended."""
    statement = select(TariffLine).where(
        TariffLine.effective_from <= on,
        (TariffLine.effective_to.is_(None)) | (TariffLine.effective_to > on),
        TariffLine.status.in_(("active", "sample")),
    )
    if item_code is not None:
        statement = statement.where(TariffLine.item_code == item_code)
    if stream_code is not None:
        statement = statement.where(TariffLine.stream_code == stream_code)
    return list(session.scalars(statement.order_by(TariffLine.item_code)))


def assess(session: Session, *, item_code: str, quantity: int, on: date, component: str = "principal") -> AssessedLine:
    """Charge ``quantity`` units of an item by the tariff in force on a day.

    Raises NotFound when no line of that code is in force (never begun, ended, suspended), InvalidValue for a
    quantity below one or an unknown component.
    """
    if quantity < 1:
        raise InvalidValue("a quantity is at least 1", quantity=quantity)
    if component not in COMPONENTS:
        raise InvalidValue(f"a component is one of {', '.join(COMPONENTS)}", component=component)
    lines = in_force(session, on=on, item_code=item_code)
    if not lines:
        raise NotFound(f"no tariff line {item_code!r} is in force on {on}", item_code=item_code, on=on)
    line = lines[0]
    return AssessedLine(line.id, line.stream_code, line.name, component, quantity, line.amount_minor)


def holidays(session: Session) -> frozenset[date]:
    """Every known public holiday."""
    return frozenset(session.scalars(select(PublicHoliday.day)))


def county(session: Session) -> County:
    """The county of this database. Raises NotFound before ``revenue-engine init`` has loaded one."""
    found = session.scalars(select(County)).one_or_none()
    if found is None:
        raise NotFound("no county is loaded yet: run 'revenue-engine init'")
    return found


def spot_lines(session: Session, *, on: date) -> Sequence[TariffLine]:
    """Lines of pay-before-service streams in force on a day."""
    return [line for line in in_force(session, on=on) if line.spot]
