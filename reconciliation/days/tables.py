"""The rows of the close: preparations, approvals, certificates, sealed leaves, and versions of what may change.

Nobody writes one of them but functions of the database; they are mapped so that the schema is compared with the code.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from revenue_engine.db import XID8, Base, Sealed

_NOW = text("clock_timestamp()")


class ClosePreparation(Sealed, Base):
    """One person shut some days, to close them."""

    __tablename__ = "close_preparation"
    __table_args__ = (
        CheckConstraint("period IN ('day', 'month', 'quarter', 'year', 'adjustments')", name="period"),
        CheckConstraint("first_day <= last_day", name="days"),
        Index("ix_close_preparation_last_day", "last_day"),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    period: Mapped[str]
    first_day: Mapped[date]
    last_day: Mapped[date]
    prepared_by: Mapped[int]
    prepared_at: Mapped[datetime] = mapped_column(server_default=_NOW)


class CloseHorizon(Sealed, Base):
    """What a close seals: the rows of the transactions in [since, horizon)."""

    __tablename__ = "close_horizon"
    __table_args__ = (CheckConstraint("since <= horizon", name="span"),)
    preparation_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    since: Mapped[int] = mapped_column(XID8)
    horizon: Mapped[int] = mapped_column(XID8)
    fixed_at: Mapped[datetime] = mapped_column(server_default=_NOW)


class CloseSheet(Sealed, Base):
    """What was shown, to the byte."""

    __tablename__ = "close_sheet"
    __table_args__ = (CheckConstraint("shown_sha256 = sha256(shown)", name="digest"),)
    preparation_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    shown: Mapped[bytes]
    shown_sha256: Mapped[bytes]
    made_at: Mapped[datetime] = mapped_column(server_default=_NOW)


class CloseWithdrawal(Sealed, Base):
    """A preparation that was given up, by whom and why: its days are open again."""

    __tablename__ = "close_withdrawal"
    __table_args__ = (CheckConstraint("length(btrim(reason)) BETWEEN 3 AND 500", name="reason"),)
    preparation_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    withdrawn_by: Mapped[int]
    reason: Mapped[str]
    withdrawn_at: Mapped[datetime] = mapped_column(server_default=_NOW)


class CloseApproval(Sealed, Base):
    """Another person approved what was shown: certificate ``number``."""

    __tablename__ = "close_approval"
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    preparation_id: Mapped[int] = mapped_column(unique=True)
    approved_by: Mapped[int]
    shown_sha256: Mapped[bytes]
    approved_at: Mapped[datetime] = mapped_column(server_default=_NOW)


class Certificate(Sealed, Base):
    """A signed note whose text holds the count, the root and the body."""

    __tablename__ = "certificate"
    __table_args__ = (CheckConstraint("note_sha256 = sha256(convert_to(note, 'UTF8'))", name="digest"),)
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    note: Mapped[str]
    note_sha256: Mapped[bytes]
    kept_at: Mapped[datetime] = mapped_column(server_default=_NOW)


class CertificateChain(Sealed, Base):
    """The name of this database's chain of certificates, drawn once."""

    __tablename__ = "certificate_chain"
    __table_args__ = (CheckConstraint("singleton", name="one"),)
    singleton: Mapped[bool] = mapped_column(primary_key=True, server_default=text("true"))
    origin: Mapped[str]


class SealKey(Sealed, Base):
    """A public key that certificates are signed with, as C2SP writes it."""

    __tablename__ = "seal_key"
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    name: Mapped[str]
    vkey: Mapped[str] = mapped_column(unique=True)
    published_at: Mapped[datetime] = mapped_column(server_default=_NOW)


class SealSource(Base):
    """What the line of a row holds, by format number. A format never changes; a change is the next number."""

    __tablename__ = "seal_source"
    format: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(primary_key=True)
    relation: Mapped[str]
    key_sql: Mapped[str]
    columns_sql: Mapped[str]


class SealChunk(Base):
    """Up to 4096 leaves of 32 bytes in their order, and one line a leaf that says which row it is of."""

    __tablename__ = "seal_chunk"
    preparation_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    leaves: Mapped[bytes]
    keys: Mapped[str]


class CloseControl(Base):
    """A control: hard ones refuse the close, evidence that is not in is a reservation."""

    __tablename__ = "close_control"
    __table_args__ = (CheckConstraint("kind IN ('hard', 'evidence')", name="kind"),)
    code: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    place: Mapped[int]
    what: Mapped[str]
    verb: Mapped[str]
    function: Mapped[str]


class VersionedTable(Base):
    """A table of set-up whose every version is kept, and the columns that name a row of it."""

    __tablename__ = "versioned_table"
    name: Mapped[str] = mapped_column(primary_key=True)
    key_columns: Mapped[str]
    left_out: Mapped[str]


class SetUpVersion(Sealed, Base):
    """One version of one row of set-up; no content where the row was taken away."""

    __tablename__ = "set_up_version"
    __table_args__ = (Index("ix_set_up_version_key", "table_name", "key", "id"),)
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    table_name: Mapped[str]
    key: Mapped[str]
    content: Mapped[dict[str, Any] | None]
    made_at: Mapped[datetime] = mapped_column(server_default=_NOW)


class AuditPack(Sealed, Base):
    """An audit pack that was asked for: of which payment, for what, by whom."""

    __tablename__ = "audit_pack"
    __table_args__ = (CheckConstraint("length(btrim(purpose)) BETWEEN 3 AND 200", name="purpose"),)
    number: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    payment_id: Mapped[int]
    purpose: Mapped[str]
    asked_by: Mapped[int]
    asked_at: Mapped[datetime] = mapped_column(server_default=_NOW)
