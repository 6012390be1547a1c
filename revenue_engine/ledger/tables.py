"""The ledger's tables: accounts, journals, postings, closed days, snapshots. Written only by this package."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    SmallInteger,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from revenue_engine.db import XID8, Base, Sealed


class Account(Sealed, Base):
    """An account of the chart; ``parent`` names the control account that it rolls up to."""

    __tablename__ = "account"
    __table_args__ = (
        CheckConstraint(
            "type IN ('asset', 'liability', 'equity', 'revenue', 'contra_revenue', 'expense', 'memo')", name="type"
        ),
        CheckConstraint("code LIKE parent || '.%'", name="part"),
    )
    code: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    type: Mapped[str]
    parent: Mapped[str | None] = mapped_column(ForeignKey("account.code"))
    stream_code: Mapped[str | None]
    component: Mapped[str | None]


class JournalRow(Base):
    """One business fact. ``digest`` is SHA-256 over its canonical content and its postings, no personal data."""

    __tablename__ = "journal"
    __table_args__ = (
        Index("uq_journal_key", "key", unique=True),
        Index("uq_journal_reverses_id", "reverses_id", unique=True, postgresql_where=text("reverses_id IS NOT NULL")),
        Index("ix_journal_xid", "xid", "id"),
        CheckConstraint("length(digest) = 32", name="digest"),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    book_date: Mapped[date] = mapped_column(primary_key=True)
    key: Mapped[str]
    kind: Mapped[str]
    occurred_at: Mapped[datetime]
    recorded_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    xid: Mapped[int] = mapped_column(XID8, server_default=text("pg_current_xact_id()"))
    reverses_id: Mapped[int | None]
    reason: Mapped[str | None]
    digest: Mapped[bytes] = mapped_column(LargeBinary)


class PostingRow(Base):
    """An amount moved from the credit account to the debit account; with its journal's date, for partitioning.

    That its journal and both accounts exist is guarded once a statement, by triggers, and not by foreign keys.
    """

    __tablename__ = "posting"
    __table_args__ = (
        CheckConstraint("amount_minor > 0 AND amount_minor < 1000000000000", name="amount"),
        CheckConstraint("debit <> credit", name="two_accounts"),
        CheckConstraint("currency = 'KES'", name="currency"),
        Index("ix_posting_debit", "debit", "xid"),
        Index("ix_posting_credit", "credit", "xid"),
        Index("ix_posting_payment_id", "payment_id", postgresql_where=text("payment_id IS NOT NULL")),
        Index("ix_posting_payer_id", "payer_id", "book_date", postgresql_where=text("payer_id IS NOT NULL")),
    )
    journal_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    seq: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    book_date: Mapped[date] = mapped_column(primary_key=True)
    xid: Mapped[int] = mapped_column(XID8, server_default=text("pg_current_xact_id()"))
    debit: Mapped[str]
    credit: Mapped[str]
    amount_minor: Mapped[int]
    currency: Mapped[str] = mapped_column(server_default=text("'KES'"))
    stream_code: Mapped[str | None]
    station_code: Mapped[str | None]
    channel_account_id: Mapped[int | None]
    payer_id: Mapped[int | None]
    invoice_id: Mapped[int | None]
    payment_id: Mapped[int | None]


class ClosedDay(Sealed, Base):
    """A book date that takes no more journals."""

    __tablename__ = "closed_day"
    book_date: Mapped[date] = mapped_column(primary_key=True)
    closed_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    closed_by: Mapped[str]


class LedgerTick(Base):
    """A moment and the horizon below which every journal was known then: what "known at" means, exactly."""

    __tablename__ = "ledger_tick"
    __table_args__ = (Index("ix_ledger_tick_at", "at"),)
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    horizon: Mapped[int] = mapped_column(XID8)


class SnapshotRun(Base):
    """One pass that folded the postings between two horizons into slices."""

    __tablename__ = "snapshot_run"
    horizon: Mapped[int] = mapped_column(XID8, primary_key=True)
    previous: Mapped[int] = mapped_column(XID8)
    taken_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    postings: Mapped[int]


class BalanceSlice(Base):
    """What one account moved on one book date, by the postings of one snapshot run. Slices add up; none is replaced."""

    __tablename__ = "balance_slice"
    account: Mapped[str] = mapped_column(ForeignKey("account.code"), primary_key=True)
    book_date: Mapped[date] = mapped_column(primary_key=True)
    horizon: Mapped[int] = mapped_column(XID8, primary_key=True)
    debit_minor: Mapped[int]
    credit_minor: Mapped[int]
    postings: Mapped[int]
