"""Tables of partnerships. A row stays as it was kept, by the person whom the database saw."""

from __future__ import annotations

from datetime import date

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from revenue_engine.db import Base, Sealed


class Partner(Sealed, Base):
    """A partner: bilateral, United Nations, foundation, firm; ``organisation_type`` is an IATI code."""

    __tablename__ = "partner"
    __table_args__ = (
        UniqueConstraint("code"),
        CheckConstraint("code ~ '^[A-Z0-9][A-Z0-9-]{1,29}$'", name="code"),
        CheckConstraint("organisation_type ~ '^[0-9]{2}$'", name="organisation_type"),
        CheckConstraint("iati_reference ~ '^[A-Za-z0-9.:_-]+$'", name="reference"),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    code: Mapped[str]
    name: Mapped[str]
    organisation_type: Mapped[str]
    iati_reference: Mapped[str]
    kept_by: Mapped[str]


class Agreement(Sealed, Base):
    """An agreement from prospect to its end; how it stands is derived from its gates."""

    __tablename__ = "agreement"
    __table_args__ = (
        UniqueConstraint("reference"),
        CheckConstraint("reference ~ '^[A-Z0-9][A-Z0-9-]{1,39}$'", name="reference"),
        CheckConstraint("kind IN ('mou', 'grant', 'ppp', 'framework')", name="kind"),
        CheckConstraint("ends_on > starts_on", name="days"),
        CheckConstraint("length(btrim(title)) > 0 AND length(btrim(description)) > 0", name="words"),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    reference: Mapped[str]
    partner_id: Mapped[int] = mapped_column(ForeignKey("partner.id"))
    title: Mapped[str]
    description: Mapped[str]
    kind: Mapped[str]
    on_budget: Mapped[bool]
    starts_on: Mapped[date]
    ends_on: Mapped[date]
    next_step: Mapped[str]
    next_owner: Mapped[str]
    next_on: Mapped[date]
    kept_by: Mapped[str]


class Gate(Sealed, Base):
    """A gate that an agreement passed, with the paper that passes it."""

    __tablename__ = "agreement_gate"
    __table_args__ = (
        CheckConstraint(
            "gate IN ('cecm_approval', 'signature', 'appropriation', 'fund_deposit', 'closed', 'terminated')",
            name="gate",
        ),
        CheckConstraint("length(btrim(reference)) > 0", name="reference"),
    )
    agreement_id: Mapped[int] = mapped_column(ForeignKey("agreement.id"), primary_key=True)
    gate: Mapped[str] = mapped_column(primary_key=True)
    reference: Mapped[str]
    passed_on: Mapped[date]
    kept_by: Mapped[str]


class ExchangeRate(Sealed, Base):
    """Shillings for one unit of a currency on a day, in millionths."""

    __tablename__ = "exchange_rate"
    __table_args__ = (
        CheckConstraint("currency ~ '^[A-Z]{3}$' AND currency <> 'KES'", name="currency"),
        CheckConstraint("kes_micro > 0 AND kes_micro < 1000000000000", name="rate"),
        CheckConstraint("length(btrim(source)) > 0", name="source"),
    )
    currency: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    kes_micro: Mapped[int]
    source: Mapped[str]
    kept_by: Mapped[str]


class Commitment(Sealed, Base):
    """A pledge in cents of its currency, and in KES of its value date; negative where it is taken back."""

    __tablename__ = "agreement_commitment"
    __table_args__ = (CheckConstraint("amount_minor <> 0 AND abs(amount_minor) < 1000000000000", name="amount"),)
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    agreement_id: Mapped[int] = mapped_column(ForeignKey("agreement.id"))
    in_kind: Mapped[bool]
    currency: Mapped[str]
    amount_minor: Mapped[int]
    kes_minor: Mapped[int]
    value_date: Mapped[date]
    kept_by: Mapped[str]


class Condition(Sealed, Base):
    """What a partner asks for before or while it pays."""

    __tablename__ = "agreement_condition"
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    agreement_id: Mapped[int] = mapped_column(ForeignKey("agreement.id"))
    condition: Mapped[str]
    due_on: Mapped[date]
    kept_by: Mapped[str]


class ConditionMet(Sealed, Base):
    """The evidence that a condition is met."""

    __tablename__ = "condition_met"
    __table_args__ = (CheckConstraint("length(btrim(evidence)) > 0", name="evidence"),)
    condition_id: Mapped[int] = mapped_column(ForeignKey("agreement_condition.id"), primary_key=True)
    evidence: Mapped[str]
    met_on: Mapped[date]
    kept_by: Mapped[str]


class InKindReceipt(Sealed, Base):
    """Goods that came, valued; no disbursement until another person confirms them."""

    __tablename__ = "in_kind_receipt"
    __table_args__ = (CheckConstraint("value_minor > 0 AND quantity > 0 AND length(btrim(basis)) > 0", name="value"),)
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    agreement_id: Mapped[int] = mapped_column(ForeignKey("agreement.id"))
    item: Mapped[str]
    quantity: Mapped[int]
    value_minor: Mapped[int]
    basis: Mapped[str]
    received_on: Mapped[date]
    kept_by: Mapped[str]


class Disbursement(Sealed, Base):
    """What came: a proved payment or confirmed goods, and nothing else."""

    __tablename__ = "agreement_disbursement"
    __table_args__ = (
        UniqueConstraint("payment_id"),
        UniqueConstraint("in_kind_id"),
        CheckConstraint("(payment_id IS NULL) <> (in_kind_id IS NULL)", name="one"),
        CheckConstraint("(in_kind_id IS NULL) = (certificate IS NULL)", name="certificate"),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    agreement_id: Mapped[int] = mapped_column(ForeignKey("agreement.id"))
    payment_id: Mapped[int | None] = mapped_column(ForeignKey("payment.id"))
    in_kind_id: Mapped[int | None] = mapped_column(ForeignKey("in_kind_receipt.id"))
    certificate: Mapped[str | None]
    kes_minor: Mapped[int]
    came_on: Mapped[date]
    kept_by: Mapped[str]


class Use(Sealed, Base):
    """Money of an agreement that was used, by voucher."""

    __tablename__ = "agreement_use"
    __table_args__ = (
        UniqueConstraint("agreement_id", "voucher"),
        CheckConstraint("kes_minor > 0", name="amount"),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    agreement_id: Mapped[int] = mapped_column(ForeignKey("agreement.id"))
    kes_minor: Mapped[int]
    used_on: Mapped[date]
    voucher: Mapped[str]
    activity: Mapped[str]
    ward: Mapped[str]
    kept_by: Mapped[str]


class SdgWeight(Sealed, Base):
    """What an agreement is for, in parts of ten thousand for each vocabulary."""

    __tablename__ = "agreement_sdg"
    __table_args__ = (
        CheckConstraint("vocabulary IN ('goal', 'target')", name="vocabulary"),
        CheckConstraint(
            "CASE vocabulary WHEN 'goal' THEN code ~ '^([1-9]|1[0-7])$' ELSE code ~ "
            "'^([1-9]|1[0-7])\\.([1-9]|1[0-9]|[a-d])$' END",
            name="code",
        ),
        CheckConstraint("parts BETWEEN 1 AND 10000", name="parts"),
    )
    agreement_id: Mapped[int] = mapped_column(ForeignKey("agreement.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    vocabulary: Mapped[str] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(primary_key=True)
    parts: Mapped[int]
    kept_by: Mapped[str]
