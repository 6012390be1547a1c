"""Evidence of money that moved, the payments it proves, and what each payment was set against."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, LargeBinary, text
from sqlalchemy.orm import Mapped, mapped_column

from revenue_engine.db import Base


class PushRequest(Base):
    """Our own request that a payer's phone ask for money (an STK push), and the bill it asks for."""

    __tablename__ = "push_request"
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    channel_account_id: Mapped[int] = mapped_column(ForeignKey("channel_account.id"))
    request_id: Mapped[str] = mapped_column(unique=True)
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoice.id"))
    amount_minor: Mapped[int]
    requested_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    requested_by: Mapped[str]


class Payment(Base):
    """A recorded fact about money: its identity is (channel account, kind, provider reference), unique for ever.

    Narrow and never partitioned, because that uniqueness is what keeps one shilling from counting twice.
    """

    __tablename__ = "payment"
    __table_args__ = (
        Index("uq_payment_identity", "channel_account_id", "kind", "reference", unique=True),
        Index("uq_payment_reverses_id", "reverses_id", unique=True, postgresql_where=text("reverses_id IS NOT NULL")),
        Index("ix_payment_reference", "reference"),
        CheckConstraint("kind IN ('payment', 'reversal', 'charge', 'payout')", name="kind"),
        CheckConstraint("amount_minor > 0 AND amount_minor < 1000000000000", name="amount"),
        CheckConstraint("currency = 'KES'", name="currency"),
        CheckConstraint("(kind = 'reversal') = (reverses_id IS NOT NULL)", name="reverses"),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    public_id: Mapped[str]
    channel_account_id: Mapped[int] = mapped_column(ForeignKey("channel_account.id"))
    kind: Mapped[str]
    reference: Mapped[str]
    amount_minor: Mapped[int]
    currency: Mapped[str] = mapped_column(server_default=text("'KES'"))
    occurred_at: Mapped[datetime]
    recorded_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    reverses_id: Mapped[int | None] = mapped_column(ForeignKey("payment.id"))


class PaymentParty(Base):
    """Who paid and what they typed, as received: personal data, erased after the retention period."""

    __tablename__ = "payment_party"
    payment_id: Mapped[int] = mapped_column(ForeignKey("payment.id"), primary_key=True)
    name: Mapped[str]
    msisdn: Mapped[str]
    account_reference: Mapped[str]


class Evidence(Base):
    """One message about one movement of money. Evidence without a payment of its identity is unconfirmed or waiting."""

    __tablename__ = "evidence"
    __table_args__ = (
        Index("uq_evidence_delivery_id", "delivery_id", "item", unique=True),
        Index("ix_evidence_identity", "reference", "kind", "channel_account_id"),
        Index("ix_evidence_reverses", "reverses", postgresql_where=text("reverses IS NOT NULL")),
        CheckConstraint("kind IN ('payment', 'reversal', 'charge', 'payout')", name="kind"),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    delivery_id: Mapped[int]
    item: Mapped[int] = mapped_column(server_default=text("0"))
    channel_account_id: Mapped[int]
    kind: Mapped[str]
    reference: Mapped[str]
    message: Mapped[str]
    amount_minor: Mapped[int | None]
    currency: Mapped[str]
    occurred_at: Mapped[datetime]
    request_id: Mapped[str | None]
    reverses: Mapped[str | None]
    strength: Mapped[str]
    typed_digest: Mapped[bytes] = mapped_column(LargeBinary)
    """SHA-256 of the account reference as typed: enough to see that two messages disagree, not to read it."""
    recorded_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class Application(Base):
    """Payment money set against one component of one bill; a negative amount takes it off again."""

    __tablename__ = "application"
    __table_args__ = (
        Index("ix_application_payment_id", "payment_id"),
        Index("ix_application_invoice_id", "invoice_id"),
        CheckConstraint("amount_minor <> 0", name="amount"),
        CheckConstraint("component IN ('costs', 'penalty', 'interest', 'arrears', 'principal')", name="component"),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    payment_id: Mapped[int] = mapped_column(ForeignKey("payment.id"))
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoice.id"))
    component: Mapped[str]
    amount_minor: Mapped[int]
    journal_id: Mapped[int]
    rung: Mapped[str]
    """Which rung of the ladder, or which act, set it: the stored why."""
    recorded_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
