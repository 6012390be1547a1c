"""Which payout of a channel a credit of a bank is, written down once when both are known."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from revenue_engine.db import Base, Sealed, raw


class SettlementPayout(Sealed, Base):
    """A settlement in the books (``settled:<bank>:<bank reference>``) and the payout that it is. Append only."""

    __tablename__ = "settlement_payout"
    __table_args__ = (
        UniqueConstraint("channel_account_id", "payout_reference"),
        CheckConstraint("amount_minor > 0", name="amount"),
    )
    bank_channel_account_id: Mapped[int] = mapped_column(ForeignKey("channel_account.id"), primary_key=True)
    bank_reference: Mapped[str] = mapped_column(primary_key=True)
    channel_account_id: Mapped[int] = mapped_column(ForeignKey("channel_account.id"))
    payout_reference: Mapped[str]
    amount_minor: Mapped[int]
    recorded_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


def note(
    session: Session,
    *,
    bank: tuple[int, str],
    payout: tuple[int, str],
    amount_minor: int,
) -> None:
    """Note that a bank's credit is a payout; each is a channel account and a reference, the amount is in cents.

    Raises what the database refuses: a credit or a payout that is another one's already, or of another amount.
    """
    raw(session).execute(
        "INSERT INTO settlement_payout (bank_channel_account_id, bank_reference, channel_account_id, payout_reference,"
        " amount_minor) VALUES (%s, %s, %s, %s, %s)",
        (*bank, *payout, amount_minor),
    )
