"""Payers, billed objects, aliases, invoices: what is owed, by whom, and in what order money pays it."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import BigInteger, CheckConstraint, Computed, ForeignKey, Identity, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from revenue_engine.db import Base


class Payer(Base):
    """Somebody who owes or pays: the only table but payment_party and raw deliveries with names and phones."""

    __tablename__ = "payer"
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    public_id: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    phone: Mapped[str | None]
    """E.164, or empty."""
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class BilledObject(Base):
    """A thing that is billed again and again: a stall, a house, a plot, a vehicle."""

    __tablename__ = "billed_object"
    __table_args__ = (UniqueConstraint("stream_code", "reference"),)
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    public_id: Mapped[str] = mapped_column(unique=True)
    stream_code: Mapped[str] = mapped_column(ForeignKey("stream.code"))
    station_code: Mapped[str | None] = mapped_column(ForeignKey("station.code"))
    reference: Mapped[str]
    payer_id: Mapped[int | None] = mapped_column(ForeignKey("payer.id"))
    tariff_item: Mapped[str | None]
    """The tariff item a payment for this object buys, where the stream is pay-before-service."""


class Alias(Base):
    """Another way to name an object: a plate, a permit, a plot; ``normal`` is letters and digits only, upper case."""

    __tablename__ = "alias"
    __table_args__ = (UniqueConstraint("normal", "object_id"), Index("ix_alias_object_id", "object_id"))
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    kind: Mapped[str]
    normal: Mapped[str]
    typed: Mapped[str]
    object_id: Mapped[int] = mapped_column(ForeignKey("billed_object.id"))


class Invoice(Base):
    """A bill as issued: never edited. What is left of it stands in ``open_bill``."""

    __tablename__ = "invoice"
    __table_args__ = (
        CheckConstraint("billing IN ('bill', 'spot')", name="billing"),
        CheckConstraint("total_minor > 0", name="total"),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    public_id: Mapped[str] = mapped_column(unique=True)
    number: Mapped[str] = mapped_column(unique=True)
    pay_account_number: Mapped[str] = mapped_column(unique=True)
    payer_id: Mapped[int | None] = mapped_column(ForeignKey("payer.id"))
    object_id: Mapped[int | None] = mapped_column(ForeignKey("billed_object.id"))
    stream_code: Mapped[str] = mapped_column(ForeignKey("stream.code"))
    station_code: Mapped[str | None] = mapped_column(ForeignKey("station.code"))
    billing: Mapped[str]
    total_minor: Mapped[int]
    currency: Mapped[str] = mapped_column(server_default=text("'KES'"))
    issued_at: Mapped[datetime]
    due_on: Mapped[date]
    issued_by: Mapped[str]
    recorded_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class InvoiceLine(Base):
    """One line of an invoice, with the tariff version it was charged by."""

    __tablename__ = "invoice_line"
    __table_args__ = (
        CheckConstraint("component IN ('costs', 'penalty', 'interest', 'arrears', 'principal')", name="component"),
        CheckConstraint("amount_minor > 0 AND amount_minor = quantity * unit_amount_minor", name="amount"),
    )
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoice.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    tariff_line_id: Mapped[int | None] = mapped_column(ForeignKey("tariff_line.id"))
    description: Mapped[str]
    component: Mapped[str]
    quantity: Mapped[int]
    unit_amount_minor: Mapped[int]
    amount_minor: Mapped[int]


class InvoiceCancellation(Base):
    """The end of an unpaid invoice, with its reason."""

    __tablename__ = "invoice_cancellation"
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoice.id"), primary_key=True)
    reason: Mapped[str]
    cancelled_by: Mapped[str]
    cancelled_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class PayAccount(Base):
    """Every number a payer may type: a bill's own, or an object's standing number that pays its open bills."""

    __tablename__ = "pay_account"
    __table_args__ = (CheckConstraint("(invoice_id IS NULL) <> (object_id IS NULL)", name="one_target"),)
    number: Mapped[str] = mapped_column(primary_key=True)
    invoice_id: Mapped[int | None] = mapped_column(ForeignKey("invoice.id"))
    object_id: Mapped[int | None] = mapped_column(ForeignKey("billed_object.id"), unique=True)


class OpenBill(Base):
    """What is left of each invoice, per component, in cents: the one projection, locked by record and apply.

    Rebuilt at will from invoices, cancellations and applications; ``ledger verify`` compares.
    """

    __tablename__ = "open_bill"
    __table_args__ = (
        CheckConstraint(
            "costs_minor >= 0 AND penalty_minor >= 0 AND interest_minor >= 0"
            " AND arrears_minor >= 0 AND principal_minor >= 0",
            name="never_negative",
        ),
        Index("ix_open_bill_object_id", "object_id", postgresql_where=text("outstanding_minor > 0")),
        Index("ix_open_bill_payer_id", "payer_id", postgresql_where=text("outstanding_minor > 0")),
        {"postgresql_with": {"fillfactor": 80}},
    )
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoice.id"), primary_key=True)
    stream_code: Mapped[str]
    station_code: Mapped[str | None]
    payer_id: Mapped[int | None]
    object_id: Mapped[int | None]
    due_on: Mapped[date]
    cancelled: Mapped[bool] = mapped_column(server_default=text("false"))
    costs_minor: Mapped[int] = mapped_column(server_default=text("0"))
    penalty_minor: Mapped[int] = mapped_column(server_default=text("0"))
    interest_minor: Mapped[int] = mapped_column(server_default=text("0"))
    arrears_minor: Mapped[int] = mapped_column(server_default=text("0"))
    principal_minor: Mapped[int] = mapped_column(server_default=text("0"))
    outstanding_minor: Mapped[int] = mapped_column(
        Computed("costs_minor + penalty_minor + interest_minor + arrears_minor + principal_minor", persisted=True)
    )
