"""Tables of the ICT directorate. A row stays as it was kept, by the person whom the database saw."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, SmallInteger, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from revenue_engine.db import Base, Sealed

_NOW = text("clock_timestamp()")


class Link(Sealed, Base):
    """The terms of one office's link from a day on: charge in cents, target in millionths, the formula as data."""

    __tablename__ = "ict_link"
    __table_args__ = (
        UniqueConstraint("office", "effective_from"),
        CheckConstraint("office ~ '^[A-Z0-9][A-Z0-9-]{1,19}$'", name="office"),
        CheckConstraint("monthly_charge_minor > 0 AND monthly_charge_minor < 1000000000000", name="charge"),
        CheckConstraint("target_ppm BETWEEN 1 AND 1000000", name="target"),
        CheckConstraint("claim_days BETWEEN 1 AND 366", name="claim_days"),
        CheckConstraint("mbps > 0", name="mbps"),
        CheckConstraint("effective_to IS NULL OR effective_to > effective_from", name="period"),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    office: Mapped[str]
    name: Mapped[str]
    sub_county: Mapped[str]
    supplier: Mapped[str]
    circuit: Mapped[str]
    link_kind: Mapped[str]
    mbps: Mapped[int]
    monthly_charge_minor: Mapped[int]
    target_ppm: Mapped[int]
    formula: Mapped[dict[str, Any]]
    claim_days: Mapped[int]
    contract: Mapped[str]
    effective_from: Mapped[date]
    effective_to: Mapped[date | None]
    kept_by: Mapped[str]
    kept_at: Mapped[datetime] = mapped_column(server_default=_NOW)


class ProbeRow(Sealed, Base):
    """One look at a link."""

    __tablename__ = "ict_probe"
    __table_args__ = (CheckConstraint("minutes BETWEEN 1 AND 60", name="minutes"),)
    office: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(primary_key=True)
    minutes: Mapped[int] = mapped_column(SmallInteger)
    up: Mapped[bool]
    kept_by: Mapped[str]


class Maintenance(Sealed, Base):
    """Maintenance that was agreed before it began."""

    __tablename__ = "ict_maintenance"
    __table_args__ = (
        CheckConstraint("ended_at > began_at", name="order"),
        CheckConstraint("agreed_at <= began_at", name="agreed"),
        CheckConstraint("length(btrim(agreement)) > 0", name="agreement"),
        Index("ix_ict_maintenance_office", "office", "began_at"),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    office: Mapped[str]
    began_at: Mapped[datetime]
    ended_at: Mapped[datetime]
    agreement: Mapped[str]
    agreed_at: Mapped[datetime]
    kept_by: Mapped[str]


class Claim(Sealed, Base):
    """A credit that was claimed from a supplier for a month, by a ticket, within the contract's window."""

    __tablename__ = "ict_claim"
    __table_args__ = (
        UniqueConstraint("link_id", "month"),
        CheckConstraint("extract(day FROM month) = 1", name="month"),
        CheckConstraint("credit_minor > 0", name="credit"),
        CheckConstraint("length(btrim(ticket)) > 0", name="ticket"),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    link_id: Mapped[int] = mapped_column(ForeignKey("ict_link.id"))
    month: Mapped[date]
    credit_minor: Mapped[int]
    availability_ppm: Mapped[int]
    ticket: Mapped[str]
    raised_on: Mapped[date]
    kept_by: Mapped[str]
    kept_at: Mapped[datetime] = mapped_column(server_default=_NOW)


class CreditNote(Sealed, Base):
    """What the supplier credited on an invoice, of a claim."""

    __tablename__ = "ict_credit_note"
    __table_args__ = (
        UniqueConstraint("claim_id", "reference"),
        CheckConstraint("amount_minor > 0", name="amount"),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    claim_id: Mapped[int] = mapped_column(ForeignKey("ict_claim.id"))
    amount_minor: Mapped[int]
    reference: Mapped[str]
    noted_on: Mapped[date]
    kept_by: Mapped[str]


class SupportRequest(Sealed, Base):
    """What a department asked ICT for, and in how many working minutes it is to be solved."""

    __tablename__ = "ict_request"
    __table_args__ = (CheckConstraint("target_minutes > 0", name="target"),)
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    department: Mapped[str]
    subject: Mapped[str]
    terms: Mapped[str]
    target_minutes: Mapped[int]
    kept_by: Mapped[str]


class SupportEvent(Sealed, Base):
    """What happened to a request, and when."""

    __tablename__ = "ict_request_event"
    __table_args__ = (
        CheckConstraint("kind IN ('opened', 'waiting', 'resumed', 'solved', 'reopened', 'closed')", name="kind"),
        Index("ix_ict_request_event_request_id", "request_id", "at", "id"),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    request_id: Mapped[int] = mapped_column(ForeignKey("ict_request.id"))
    kind: Mapped[str]
    at: Mapped[datetime]
    note: Mapped[str]
    kept_by: Mapped[str]
