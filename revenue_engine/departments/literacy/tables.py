"""Tables of digital literacy. A row stays as it was kept, by the person whom the database saw."""

from __future__ import annotations

from datetime import date

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from revenue_engine.db import Base, Sealed


class Cohort(Sealed, Base):
    """A course given once: unit, host, place, sessions, and the attendance that a certificate needs."""

    __tablename__ = "cohort"
    __table_args__ = (
        UniqueConstraint("code"),
        CheckConstraint("code ~ '^[A-Z0-9][A-Z0-9-]{1,29}$'", name="code"),
        CheckConstraint("ends_on >= starts_on", name="days"),
        CheckConstraint("sessions BETWEEN 1 AND 500 AND capacity > 0", name="sessions"),
        CheckConstraint("attendance_parts BETWEEN 0 AND 10000", name="attendance"),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    code: Mapped[str]
    programme_year: Mapped[str]
    course: Mapped[str]
    unit: Mapped[str]
    framework: Mapped[str]
    host: Mapped[str]
    sub_county: Mapped[str]
    ward: Mapped[str]
    starts_on: Mapped[date]
    ends_on: Mapped[date]
    sessions: Mapped[int]
    attendance_parts: Mapped[int]
    capacity: Mapped[int]
    kept_by: Mapped[str]


class Learner(Sealed, Base):
    """A learner as a number, a year band and a place; the name stands with the payers."""

    __tablename__ = "learner"
    __table_args__ = (
        UniqueConstraint("number"),
        CheckConstraint("sex IN ('F', 'M', 'X')", name="sex"),
        CheckConstraint("year_band ~ '^[0-9]{4}-[0-9]{4}$'", name="band"),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    number: Mapped[str]
    payer_id: Mapped[int | None] = mapped_column(ForeignKey("payer.id"))
    sex: Mapped[str]
    year_band: Mapped[str]
    sub_county: Mapped[str]
    ward: Mapped[str]
    disability: Mapped[bool | None]
    kept_by: Mapped[str]


class Enrolment(Sealed, Base):
    """A learner in a cohort, and who pays: a bill, an agreement, or a waiver with its paper."""

    __tablename__ = "enrolment"
    __table_args__ = (
        UniqueConstraint("learner_id", "cohort_id"),
        CheckConstraint(
            "(invoice_id IS NOT NULL)::int + (agreement_id IS NOT NULL)::int + "
            "(length(btrim(coalesce(waiver, ''))) > 0)::int = 1",
            name="funded",
        ),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    learner_id: Mapped[int] = mapped_column(ForeignKey("learner.id"))
    cohort_id: Mapped[int] = mapped_column(ForeignKey("cohort.id"))
    invoice_id: Mapped[int | None] = mapped_column(ForeignKey("invoice.id"))
    agreement_id: Mapped[int | None] = mapped_column(ForeignKey("agreement.id"))
    waiver: Mapped[str | None]
    enrolled_on: Mapped[date]
    kept_by: Mapped[str]


class Attendance(Sealed, Base):
    """Whether a learner was at a session."""

    __tablename__ = "attendance"
    __table_args__ = (CheckConstraint("session > 0", name="session"),)
    enrolment_id: Mapped[int] = mapped_column(ForeignKey("enrolment.id"), primary_key=True)
    session: Mapped[int] = mapped_column(primary_key=True)
    present: Mapped[bool]
    held_on: Mapped[date]
    kept_by: Mapped[str]


class Assessment(Sealed, Base):
    """Whether an attempt found a learner competent."""

    __tablename__ = "assessment"
    __table_args__ = (CheckConstraint("attempt > 0", name="attempt"),)
    enrolment_id: Mapped[int] = mapped_column(ForeignKey("enrolment.id"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True)
    competent: Mapped[bool]
    assessed_on: Mapped[date]
    kept_by: Mapped[str]


class LiteracyCertificate(Sealed, Base):
    """One for a learner, unit, cohort and attempt; a corrected one supersedes."""

    __tablename__ = "literacy_certificate"
    __table_args__ = (
        UniqueConstraint("number"),
        UniqueConstraint("supersedes_id"),
        CheckConstraint("(supersedes_id IS NULL) = (reason IS NULL)", name="reason"),
        Index(
            "uq_literacy_certificate_first",
            "learner_id",
            "unit",
            "cohort_id",
            "attempt",
            unique=True,
            postgresql_where=text("supersedes_id IS NULL"),
        ),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    number: Mapped[str]
    learner_id: Mapped[int] = mapped_column(ForeignKey("learner.id"))
    unit: Mapped[str]
    cohort_id: Mapped[int] = mapped_column(ForeignKey("cohort.id"))
    attempt: Mapped[int]
    supersedes_id: Mapped[int | None] = mapped_column(ForeignKey("literacy_certificate.id"))
    reason: Mapped[str | None]
    issued_on: Mapped[date]
    kept_by: Mapped[str]


class CohortCost(Sealed, Base):
    """The part of a voucher that a cohort cost, in cents."""

    __tablename__ = "cohort_cost"
    __table_args__ = (CheckConstraint("amount_minor > 0", name="amount"),)
    cohort_id: Mapped[int] = mapped_column(ForeignKey("cohort.id"), primary_key=True)
    voucher: Mapped[str] = mapped_column(primary_key=True)
    amount_minor: Mapped[int]
    kept_by: Mapped[str]
