"""The county's set-up: streams, stations, dated tariff lines that cite their law, holidays; and what a line charges."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Text,
    UniqueConstraint,
    and_,
    exists,
    or_,
    select,
    text,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from revenue_engine.access import approvals
from revenue_engine.db import Base, Sealed
from revenue_engine.errors import Conflict, IntegrityFault, InvalidValue, NotFound, Rejected
from revenue_engine.ledger.chart import COMPONENTS


class County(Sealed, Base):
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


class TariffLine(Sealed, Base):
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


@dataclass(frozen=True, slots=True)
class Charge:
    """What is to be charged: ``quantity`` units of a tariff item, as a component of a bill."""

    item_code: str
    quantity: int = 1
    component: str = "principal"


_NOT_A_SAMPLE_IN_A_LIVE_COUNTY = or_(
    TariffLine.status == "active",
    and_(
        TariffLine.status == "sample",
        exists(select(1).where(County.singleton.is_(True), County.mode != "live")),
    ),
)


def in_force(
    session: Session, *, on: date, item_code: str | None = None, stream_code: str | None = None
) -> list[TariffLine]:
    """Tariff lines in force on a day: begun, not ended, and active; ``sample`` lines only where the county is not live.

    A live county never charges by a sample: its amount stands in no Act.
    """
    statement = select(TariffLine).where(
        TariffLine.effective_from <= on,
        (TariffLine.effective_to.is_(None)) | (TariffLine.effective_to > on),
        _NOT_A_SAMPLE_IN_A_LIVE_COUNTY,
    )
    if item_code is not None:
        statement = statement.where(TariffLine.item_code == item_code)
    if stream_code is not None:
        statement = statement.where(TariffLine.stream_code == stream_code)
    return list(session.scalars(statement.order_by(TariffLine.item_code)))


def assess(session: Session, *, item_code: str, quantity: int, on: date, component: str = "principal") -> AssessedLine:
    """Charge ``quantity`` units of an item by the tariff in force on a day.

    Raises NotFound when no line of that code is in force (never begun, ended, suspended), Conflict when the only line
    is a sample and the county is live, InvalidValue for a quantity below one or an unknown component.
    """
    return assess_many(session, [(Charge(item_code, quantity, component), on)])[0]


def assess_many(session: Session, charges: Sequence[tuple[Charge, date]]) -> list[AssessedLine]:
    """Charge many items, each by the tariff in force on its own day, in one statement; answers in the order asked.

    Raises what ``assess`` raises, for the first charge that is wrong; IntegrityFault when two lines are in force.
    """
    for charge, _ in charges:
        if type(charge.quantity) is not int or charge.quantity < 1:
            raise InvalidValue("a quantity is at least 1", field="quantity", quantity=charge.quantity)
        if charge.component not in COMPONENTS:
            raise InvalidValue(f"a component is one of {', '.join(COMPONENTS)}", component=charge.component)
    wanted = {charge.item_code for charge, _ in charges}
    if not wanted:
        return []
    known: dict[str, list[TariffLine]] = {}
    statement = select(TariffLine).where(TariffLine.item_code.in_(wanted), _NOT_A_SAMPLE_IN_A_LIVE_COUNTY)
    for line in session.scalars(statement):
        known.setdefault(line.item_code, []).append(line)
    assessed = []
    for charge, on in charges:
        covering = [line for line in known.get(charge.item_code, ()) if _covers(line, on)]
        if not covering:
            raise _not_in_force(session, charge.item_code, on)
        if len(covering) > 1:
            raise IntegrityFault(
                f"{len(covering)} tariff lines {charge.item_code!r} are in force on {on}: end all but one"
            )
        found = covering[0]
        assessed.append(
            AssessedLine(found.id, found.stream_code, found.name, charge.component, charge.quantity, found.amount_minor)
        )
    return assessed


def _covers(line: TariffLine, on: date) -> bool:
    return line.effective_from <= on and (line.effective_to is None or on < line.effective_to)


def _not_in_force(session: Session, item_code: str, on: date) -> Rejected:
    """Why an item cannot be charged on a day."""
    lines = session.scalars(select(TariffLine).where(TariffLine.item_code == item_code))
    today = [line for line in lines if _covers(line, on)]
    if any(line.status == "sample" for line in today):
        return Conflict(
            f"tariff line {item_code!r} is a sample and this county is live: load the amount of the published Act",
            item_code=item_code,
            field="status",
        )
    if today:
        return NotFound(f"tariff line {item_code!r} is {today[0].status} on {on}", item_code=item_code, on=on)
    known = sorted({line.item_code for line in session.scalars(select(TariffLine)) if _covers(line, on)})
    near = difflib.get_close_matches(item_code.upper(), known, n=1)
    return NotFound(
        f"no tariff line {item_code!r} is in force on {on}"
        + (f"; did you mean {near[0]}" if near else "")
        + ". The lines: revenue-engine tariff list",
        item_code=item_code,
        on=on,
    )


def holidays(session: Session) -> frozenset[date]:
    """Every known public holiday."""
    return frozenset(session.scalars(select(PublicHoliday.day)))


def county(session: Session) -> County:
    """The county of this database. Raises NotFound before ``revenue-engine init`` has loaded one."""
    found = session.scalars(select(County)).one_or_none()
    if found is None:
        raise NotFound("no county is loaded yet: run 'revenue-engine init'")
    return found


def ask_limits(
    session: Session, *, confirm_limit_minor: int | None = None, refuse_unknown: bool | None = None, reason: str
) -> str:
    """Ask for other limits of the county; answers the request's public id.

    ``confirm_limit_minor`` is up to what amount, in cents, a provider's own word is enough; ``refuse_unknown`` whether
    money for an unknown account is refused before it is paid. Raises what ``approvals.ask`` raises.
    """
    told = {"confirm_limit_minor": confirm_limit_minor, "refuse_unknown_accounts": refuse_unknown}
    payload = {name: value for name, value in told.items() if value is not None}
    return approvals.ask(session, LIMITS, subject="the county", payload=payload, reason=reason)


def streams(session: Session) -> dict[str, Stream]:
    """Every revenue stream by its code."""
    return {stream.code: stream for stream in session.scalars(select(Stream))}


def prefixes(session: Session) -> frozenset[str]:
    """Every short word that payers put before a plate or a number, of all streams."""
    return frozenset(prefix for row in session.scalars(select(Stream.prefixes)) for prefix in row)


def spot_lines(session: Session, *, on: date, stream_code: str | None = None) -> Sequence[TariffLine]:
    """Lines of pay-before-service streams (or of one of them) in force on a day."""
    return [line for line in in_force(session, on=on, stream_code=stream_code) if line.spot]


def stations(session: Session, *, stream_code: str | None = None) -> list[Station]:
    """The stations, of one stream when named, by sub-county, ward and code."""
    statement = select(Station).order_by(Station.sub_county, Station.ward, Station.code)
    if stream_code is not None:
        statement = statement.where(Station.stream_code == stream_code)
    return list(session.scalars(statement))


LIMITS = "county_set"
"""The kind of request that changes the county's limits."""

UNITS = frozenset(
    {"application", "bag", "bundle", "crate", "day", "document", "entry", "head", "month", "night", "service", "tonne"}
    | {"trip", "year"}
)
"""What tariffs charge by."""
COUNTABLE_UNITS = frozenset({"bag", "bundle", "crate", "head", "night", "tonne"})
"""Units of which one payment may buy several. A trip, an entry or a day at a place is bought one at a time: twice its
price is two payers' money or a mistake, and a person must look."""
LARGEST_SPOT_QUANTITY = 20


@dataclass(frozen=True, slots=True)
class SpotMatch:
    """The line that an amount buys, and how many units of it."""

    line: TariffLine
    quantity: int


def spot_match(lines: Iterable[TariffLine], amount_minor: int) -> SpotMatch | None:
    """Which spot line of a stream a payment of ``amount_minor`` cents buys; None when that is not certain. Pure.

    1. Exactly one line costs exactly this amount: one unit of it. Two lines of the same amount: not certain.
    2. Else, exactly one line with a countable unit divides the amount, into 2 to 20 units: so many of it.
    A line of the exact amount is always preferred, so 400 is the entry of 400 and not two of 200.
    """
    spots = [line for line in lines if line.spot]
    exact = [line for line in spots if line.amount_minor == amount_minor]
    if exact:
        return SpotMatch(exact[0], 1) if len(exact) == 1 else None
    several = [
        line
        for line in spots
        if line.unit in COUNTABLE_UNITS
        and amount_minor % line.amount_minor == 0
        and 2 <= amount_minor // line.amount_minor <= LARGEST_SPOT_QUANTITY
    ]
    return SpotMatch(several[0], amount_minor // several[0].amount_minor) if len(several) == 1 else None
