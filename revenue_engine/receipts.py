"""Official receipts and acknowledgements: gapless numbers, issued once, cancelled and never deleted."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from revenue_engine.db import Base


class Receipt(Base):
    """The numbered proof given to a payer: a receipt for named money, an acknowledgement for suspense money."""

    __tablename__ = "receipt"
    __table_args__ = (
        UniqueConstraint("kind", "financial_year", "number"),
        Index("uq_receipt_payment_id", "payment_id", "kind", unique=True),
        CheckConstraint("kind IN ('receipt', 'acknowledgement')", name="kind"),
        CheckConstraint("amount_minor > 0", name="amount"),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    public_id: Mapped[str]
    kind: Mapped[str]
    financial_year: Mapped[str]
    number: Mapped[int]
    payment_id: Mapped[int] = mapped_column(ForeignKey("payment.id"))
    amount_minor: Mapped[int]
    paid_at: Mapped[datetime]
    book_date: Mapped[date]
    issued_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class ReceiptSeries(Base):
    """The last number taken of each gapless series. Locked last, once a batch, until its transaction ends."""

    __tablename__ = "receipt_series"
    kind: Mapped[str] = mapped_column(primary_key=True)
    financial_year: Mapped[str] = mapped_column(primary_key=True)
    last_number: Mapped[int] = mapped_column(server_default=text("0"))


class ReceiptCancellation(Base):
    """Why a receipt no longer proves anything; its number stays taken."""

    __tablename__ = "receipt_cancellation"
    receipt_id: Mapped[int] = mapped_column(ForeignKey("receipt.id"), primary_key=True)
    reason: Mapped[str]
    cancelled_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
