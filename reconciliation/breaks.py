"""Breaks: differences with a reason from a closed list, an owner and an age. A suspense item is a break with money."""

from __future__ import annotations

import enum
from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from revenue_engine.db import Base


class BreakReason(enum.StrEnum):
    """Every reason a break can have. Adding one is a decision, so there is no "other"."""

    UNKNOWN_ACCOUNT = "unknown_account"
    AMBIGUOUS_ACCOUNT = "ambiguous_account"
    NO_TARIFF_FOR_AMOUNT = "no_tariff_for_amount"
    OVERPAID = "overpaid"
    PAID_CANCELLED_OR_EXPIRED = "paid_cancelled_or_expired"
    DUPLICATE_PAYMENT = "duplicate_payment"
    DUPLICATE_CODE = "duplicate_code"
    REVERSED_BY_PROVIDER = "reversed_by_provider"
    REVERSAL_WITHOUT_PAYMENT = "reversal_without_payment"
    REVERSAL_AMOUNT_DIFFERS = "reversal_amount_differs"
    WRONG_SHORTCODE_OR_STREAM = "wrong_shortcode_or_stream"
    UNCONFIRMED = "unconfirmed"
    AFTER_CLOSE = "after_close"
    CLOCK_DIFFERS = "clock_differs"
    UNPARSEABLE = "unparseable"
    PROOF_FAILED = "proof_failed"
    OUTCOME_UNKNOWN = "outcome_unknown"
    PAYOUT_NOT_EXPECTED = "payout_not_expected"


class Break(Base):
    """One open or closed difference. ``key`` makes opening it twice harmless."""

    __tablename__ = "break_case"
    __table_args__ = (
        CheckConstraint("(closed_at IS NULL) = (resolution IS NULL)", name="closed"),
        Index("ix_break_case_open", "reason", "opened_at", postgresql_where=text("closed_at IS NULL")),
        Index("ix_break_case_payment_id", "payment_id", postgresql_where=text("payment_id IS NOT NULL")),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    public_id: Mapped[str] = mapped_column(unique=True)
    key: Mapped[str] = mapped_column(unique=True)
    reason: Mapped[str]
    detail: Mapped[str]
    amount_minor: Mapped[int]
    owner: Mapped[str]
    payment_id: Mapped[int | None]
    delivery_id: Mapped[int | None]
    channel_account_id: Mapped[int | None]
    stream_code: Mapped[str | None]
    station_code: Mapped[str | None]
    occurred_at: Mapped[datetime]
    opened_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    closed_at: Mapped[datetime | None]
    resolution: Mapped[str | None]
