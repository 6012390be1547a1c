"""Tables of the secondary ledgers. Written only by this package, and never changed."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    Numeric,
    SmallInteger,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from revenue_engine.db import XID8, Base, Sealed

_CLASSES = "fund_class IN ('claim', 'appropriated', 'earmarked', 'off_budget')"
_NOW = text("clock_timestamp()")


class Book(Sealed, Base):
    """A secondary ledger: whose it is, what it counts (cash or bills), and who mends what is missing in its rules."""

    __tablename__ = "book"
    __table_args__ = (
        CheckConstraint("code ~ '^[a-z][a-z0-9_]{1,30}$'", name="code"),
        CheckConstraint("currency = 'KES'", name="currency"),
        CheckConstraint("calendar IN ('financial_year', 'calendar_year')", name="calendar"),
        CheckConstraint("basis IN ('cash', 'accrual')", name="basis"),
    )
    code: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    directorate: Mapped[str]
    currency: Mapped[str]
    calendar: Mapped[str]
    basis: Mapped[str]
    owner: Mapped[str]
    approval_id: Mapped[int]
    made_at: Mapped[datetime] = mapped_column(server_default=_NOW)


class BookAccount(Sealed, Base):
    """An account of a book's own chart. None of them is a suspense account."""

    __tablename__ = "book_account"
    __table_args__ = (
        CheckConstraint("type IN ('asset', 'liability', 'fund', 'income', 'expense', 'memo')", name="type"),
        CheckConstraint("name !~* 'suspense'", name="suspense"),
    )
    book_code: Mapped[str] = mapped_column(ForeignKey("book.code"), primary_key=True)
    code: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    type: Mapped[str]


class BookRuleVersion(Sealed, Base):
    """A dated version of a rule: which postings it is about. Applies to transactions from ``from_horizon`` on."""

    __tablename__ = "book_rule_version"
    __table_args__ = (
        UniqueConstraint("book_code", "rule_code", "number"),
        CheckConstraint(
            "kind IN ('share', 'flat', 'earmark', 'prefix', 'course_fee', 'split', 'nothing', 'ended')", name="kind"
        ),
        CheckConstraint("event IN ('receipt', 'charge', 'billed')", name="event"),
        CheckConstraint("(kind = 'prefix') = (reference_prefix IS NOT NULL)", name="prefix"),
        CheckConstraint("(kind = 'course_fee') = (item_code IS NOT NULL)", name="item"),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    book_code: Mapped[str] = mapped_column(ForeignKey("book.code"))
    rule_code: Mapped[str]
    number: Mapped[int]
    kind: Mapped[str]
    event: Mapped[str]
    stream_code: Mapped[str | None]
    station_code: Mapped[str | None]
    channel_account_id: Mapped[int | None]
    reference_prefix: Mapped[str | None]
    item_code: Mapped[str | None]
    basis_of_law: Mapped[str]
    effective_from: Mapped[date]
    from_horizon: Mapped[int] = mapped_column(XID8)
    approval_id: Mapped[int]
    made_at: Mapped[datetime] = mapped_column(server_default=_NOW)


class BookRuleLeg(Sealed, Base):
    """One line that a version makes of a source: accounts, size, and what sort of money it is."""

    __tablename__ = "book_rule_leg"
    __table_args__ = (
        ForeignKeyConstraint(["book_code", "debit"], ["book_account.book_code", "book_account.code"]),
        ForeignKeyConstraint(["book_code", "credit"], ["book_account.book_code", "book_account.code"]),
        CheckConstraint("leg BETWEEN 1 AND 99", name="leg"),
        CheckConstraint("(parts IS NULL) <> (flat_minor IS NULL)", name="size"),
        CheckConstraint("parts BETWEEN 1 AND 10000", name="parts"),
        CheckConstraint("flat_minor BETWEEN 1 AND 99999999", name="flat"),
        CheckConstraint("debit <> credit", name="two_accounts"),
        CheckConstraint(_CLASSES, name="fund_class"),
    )
    version_id: Mapped[int] = mapped_column(ForeignKey("book_rule_version.id"), primary_key=True)
    leg: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    book_code: Mapped[str]
    debit: Mapped[str]
    credit: Mapped[str]
    parts: Mapped[int | None]
    flat_minor: Mapped[int | None]
    fund_class: Mapped[str]


class BookRemap(Sealed, Base):
    """Days of a rule mapped anew: what stood is reversed and derived by the version in force, on ``book_date``."""

    __tablename__ = "book_remap"
    __table_args__ = (
        UniqueConstraint("book_code", "number"),
        CheckConstraint("last_day >= first_day", name="days"),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    book_code: Mapped[str] = mapped_column(ForeignKey("book.code"))
    number: Mapped[int]
    rule_code: Mapped[str]
    first_day: Mapped[date]
    last_day: Mapped[date]
    book_date: Mapped[date]
    horizon: Mapped[int] = mapped_column(XID8)
    newest: Mapped[int]
    reason: Mapped[str]
    approval_id: Mapped[int]
    made_at: Mapped[datetime] = mapped_column(server_default=_NOW)


class BookRun(Sealed, Base):
    """One derive: from one horizon to another, with the digest of its sources beside the digest of what it wrote."""

    __tablename__ = "book_run"
    __table_args__ = (
        CheckConstraint("horizon >= after", name="order"),
        CheckConstraint("source_digest = book_digest", name="agree"),
        Index("ix_book_run_book_code", "book_code", "id"),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    book_code: Mapped[str] = mapped_column(ForeignKey("book.code"))
    after: Mapped[int] = mapped_column(XID8)
    horizon: Mapped[int] = mapped_column(XID8)
    entries: Mapped[int]
    lines: Mapped[int]
    source_digest: Mapped[str]
    book_digest: Mapped[str]
    ran_at: Mapped[datetime] = mapped_column(server_default=_NOW)


class DerivedEntry(Sealed, Base):
    """A source posting counted in a book. ``origin`` is the posting that brought the money, for what takes it back."""

    __tablename__ = "derived_entry"
    __table_args__ = (
        CheckConstraint("sign IN (1, -1)", name="sign"),
        CheckConstraint("source_minor > 0", name="source"),
        CheckConstraint(
            "remap_id IS NOT NULL OR sign = -1 OR (turn = 0 AND origin_journal_id = journal_id AND origin_seq = seq)",
            name="receipt",
        ),
        Index("ix_derived_entry_origin", "book_code", "origin_journal_id", "origin_seq"),
        Index("ix_derived_entry_book_date", "book_code", "book_date"),
        Index("ix_derived_entry_xid", "xid"),
    )
    book_code: Mapped[str] = mapped_column(primary_key=True)
    journal_id: Mapped[int] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    turn: Mapped[int] = mapped_column(Integer, primary_key=True)
    origin_journal_id: Mapped[int]
    origin_seq: Mapped[int] = mapped_column(SmallInteger)
    version_id: Mapped[int]
    remap_id: Mapped[int | None]
    book_date: Mapped[date]
    sign: Mapped[int] = mapped_column(SmallInteger)
    source_minor: Mapped[int]
    thirtieth: Mapped[int] = mapped_column(SmallInteger)


class DerivedLine(Base):
    """One double-entry line of a book."""

    __tablename__ = "derived_line"
    __table_args__ = (
        CheckConstraint("amount_minor > 0", name="amount"),
        CheckConstraint("debit <> credit", name="two_accounts"),
        CheckConstraint(_CLASSES, name="fund_class"),
    )
    book_code: Mapped[str] = mapped_column(primary_key=True)
    journal_id: Mapped[int] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    turn: Mapped[int] = mapped_column(Integer, primary_key=True)
    leg: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    book_date: Mapped[date]
    debit: Mapped[str]
    credit: Mapped[str]
    amount_minor: Mapped[int]
    fund_class: Mapped[str]


class BookDigest(Sealed, Base):
    """What one run wrote for a day and a rule's version: counts, sums, and two sums of hashes. Slices add up."""

    __tablename__ = "book_digest"
    __table_args__ = (Index("ix_book_digest_book_code", "book_code", "book_date"),)
    run_id: Mapped[int] = mapped_column(ForeignKey("book_run.id"), primary_key=True)
    book_date: Mapped[date] = mapped_column(primary_key=True)
    version_id: Mapped[int] = mapped_column(primary_key=True)
    book_code: Mapped[str]
    entries: Mapped[int]
    source_minor: Mapped[int]
    lines: Mapped[int]
    amount_minor: Mapped[int]
    first_sum: Mapped[Decimal] = mapped_column(Numeric)
    second_sum: Mapped[Decimal] = mapped_column(Numeric)


class BookClosedDay(Sealed, Base):
    """A day of a book that takes no more lines: its source day is closed and derived whole."""

    __tablename__ = "book_closed_day"
    book_code: Mapped[str] = mapped_column(ForeignKey("book.code"), primary_key=True)
    book_date: Mapped[date] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("book_run.id"))


class FundFact(Sealed, Base):
    """Money of a book issued by the exchequer, committed, released or spent, as two persons agreed."""

    __tablename__ = "fund_fact"
    __table_args__ = (
        UniqueConstraint("approval_id"),
        UniqueConstraint("book_code", "kind", "reference"),
        ForeignKeyConstraint(["book_code", "debit"], ["book_account.book_code", "book_account.code"]),
        ForeignKeyConstraint(["book_code", "credit"], ["book_account.book_code", "book_account.code"]),
        CheckConstraint("kind IN ('exchequer_issue', 'commitment', 'release', 'expense')", name="kind"),
        CheckConstraint("amount_minor > 0 AND amount_minor < 1000000000000", name="amount"),
        CheckConstraint("debit <> credit", name="two_accounts"),
        CheckConstraint("fund_class IN ('appropriated', 'earmarked')", name="spendable"),
        CheckConstraint(
            "(kind = 'exchequer_issue') = (claim_debit IS NOT NULL)"
            " AND (kind = 'exchequer_issue') = (claim_credit IS NOT NULL)",
            name="issue",
        ),
        CheckConstraint("kind <> 'release' OR commitment_id IS NOT NULL", name="release"),
        CheckConstraint("kind IN ('release', 'expense') OR commitment_id IS NULL", name="of"),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    book_code: Mapped[str]
    kind: Mapped[str]
    fund_class: Mapped[str]
    amount_minor: Mapped[int]
    book_date: Mapped[date]
    debit: Mapped[str]
    credit: Mapped[str]
    claim_debit: Mapped[str | None]
    claim_credit: Mapped[str | None]
    reference: Mapped[str]
    commitment_id: Mapped[int | None] = mapped_column(ForeignKey("fund_fact.id"))
    reason: Mapped[str]
    approval_id: Mapped[int]
    made_at: Mapped[datetime] = mapped_column(server_default=_NOW)
