"""Transfers to the County Revenue Fund: the payments that each covers, and what the two banks show of the transfer.

A transfer is an entry of the day it is given (Dr 1050, Cr the bank account). The Fund (1000) is debited by a line of
the Fund's own statement and by nothing else. Each payment is in transfers wholly or in part and never above what was
paid: the database holds that, and refuses a transfer that covers more or less than its amount.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from reconciliation import breaks
from reconciliation.breaks import BreakReason
from revenue_engine import ledger, periods
from revenue_engine.access import approvals
from revenue_engine.access.approvals import Agreed
from revenue_engine.db import Base, Sealed, raw, rows, scalar
from revenue_engine.errors import InvalidValue, NotFound
from revenue_engine.ledger import postings
from revenue_engine.treasury import bank_accounts

KIND = "remittance"
"""The kind of request."""


class Remittance(Sealed, Base):
    """A transfer from a collection account to the Fund, known by the bank's number of the instruction. Append only."""

    __tablename__ = "remittance"
    __table_args__ = (
        UniqueConstraint("number"),
        UniqueConstraint("approval_id"),
        CheckConstraint("amount_minor > 0", name="amount"),
        CheckConstraint("number ~ '^[A-Z0-9][A-Z0-9/-]{2,39}$'", name="number"),
    )
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    number: Mapped[str]
    account: Mapped[str] = mapped_column(ForeignKey("bank_account.account"))
    fund: Mapped[str] = mapped_column(ForeignKey("bank_account.account"))
    amount_minor: Mapped[int]
    paid_until: Mapped[date]
    approval_id: Mapped[int]
    made_by: Mapped[str]
    made_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class RemittancePart(Sealed, Base):
    """How many cents of a payment a transfer covers."""

    __tablename__ = "remittance_part"
    __table_args__ = (
        CheckConstraint("amount_minor > 0", name="amount"),
        Index("ix_remittance_part_remittance_id", "remittance_id"),
    )
    payment_id: Mapped[int] = mapped_column(ForeignKey("payment.id"), primary_key=True)
    remittance_id: Mapped[int] = mapped_column(ForeignKey("remittance.id"), primary_key=True)
    amount_minor: Mapped[int]


class RemittanceEvent(Sealed, Base):
    """What became known of a transfer: our bank's debit, the Fund's credit (its value date), the Treasury's receipt."""

    __tablename__ = "remittance_event"
    __table_args__ = (
        UniqueConstraint("event", "channel_account_id", "reference"),
        CheckConstraint("event IN ('debited', 'credited', 'receipted')", name="event"),
        CheckConstraint("(channel_account_id IS NULL) = (event = 'receipted')", name="channel"),
        Index("uq_remittance_event_receipt", "reference", unique=True, postgresql_where=text("event = 'receipted'")),
    )
    remittance_id: Mapped[int] = mapped_column(ForeignKey("remittance.id"), primary_key=True)
    event: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[date]
    channel_account_id: Mapped[int | None]
    reference: Mapped[str]
    amount_minor: Mapped[int]
    kept_by: Mapped[str]
    recorded_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class Sent(NamedTuple):
    """A transfer as it stands on a day; days of what is not known yet are None. The amount is in cents."""

    id: int
    number: str
    account: str
    fund: str
    amount_minor: int
    given_on: date
    debited_on: date | None
    credited_on: date | None
    receipted_on: date | None
    receipt: str | None


class Covered(NamedTuple):
    """What a transfer covers of one payment, in cents, when it was given, and what became known of it since."""

    number: str
    amount_minor: int
    made_at: datetime
    debited_on: date | None
    credited_on: date | None
    receipted_on: date | None
    receipt: str | None


class PaidPart(NamedTuple):
    """What transfers cover, or do not cover yet (``remittance_id`` 0), of what was paid on a day, in cents."""

    remittance_id: int
    account: str
    paid_on: date
    payments: int
    amount_minor: int


def ask(
    session: Session, *, account: str, fund: str, number: str, amount_minor: int, paid_until: date, reason: str
) -> str:
    """Ask that money of a collection account be sent to the Fund; returns the request's public id.

    ``number``: the bank's number of the instruction, or the cheque's; ``paid_until``: payments made up to that day are
    covered, the oldest first, until the amount (cents) is filled. Raises InvalidValue, and NotFound and Conflict with
    the database's reason: no collection account, not the Fund's account, more than lies in the account.
    """
    if amount_minor <= 0:
        raise InvalidValue("an amount is at least one cent", amount_minor=amount_minor)
    if not number.strip():
        raise InvalidValue("say the bank's number of the instruction, or the cheque's", field="number")
    payload = {
        "account": account,
        "fund": fund,
        "number": number.strip().upper(),
        "amount_minor": amount_minor,
        "paid_until": paid_until.isoformat(),
    }
    return approvals.ask(session, KIND, subject=f"transfer {payload['number']}", payload=payload, reason=reason)


def send_agreed(session: Session, agreed: Agreed) -> int:
    """Enter a transfer as two persons agreed: the payments that it covers and its posting; returns its id.

    A debit that our bank showed before, and that nothing explained, is this transfer where the amounts are equal.
    """
    told = agreed.payload
    made = scalar(
        session,
        "INSERT INTO remittance (number, account, fund, amount_minor, paid_until, approval_id, made_by)"
        " VALUES (%(number)s, %(account)s, %(fund)s, %(amount_minor)s, %(paid_until)s, %(approval)s, %(by)s)"
        " RETURNING id",
        {**told, "approval": agreed.number, "by": f"approval {agreed.public_id}"},
    )
    raw(session).execute(
        "INSERT INTO remittance_part (remittance_id, payment_id, amount_minor)"
        " SELECT %(id)s, p.payment_id, p.amount_minor"
        " FROM parts_to_remit(%(account)s, %(paid_until)s, %(amount_minor)s) p",
        {**told, "id": made},
    )
    journal = postings.swept(told["amount_minor"], bank=told["account"], at=periods.now())
    ledger.post(session, journal, key=f"remittance:{made}:sent")
    channel = bank_accounts.channel_of(session, told["account"])
    for key, channel_id, minor, _ in breaks.open_of(session, BreakReason.SPENDING_AT_SOURCE):
        if (channel_id, minor) == (channel, told["amount_minor"]):
            _shown(session, made, "debited", channel_id, key.split(":", 2)[-1], minor, None)
            breaks.close_many(session, [key], resolution=f"the transfer {told['number']} to the Fund was entered late")
            break
    return int(made)


_SENT = """
SELECT r.id, r.number, r.account, r.fund, r.amount_minor, (r.made_at AT TIME ZONE 'Africa/Nairobi')::date AS given_on,
       d.day AS debited_on, c.day AS credited_on, t.day AS receipted_on, t.reference AS receipt
  FROM remittance r
  LEFT JOIN remittance_event d ON d.remittance_id = r.id AND d.event = 'debited' AND d.day <= %(on)s
  LEFT JOIN remittance_event c ON c.remittance_id = r.id AND c.event = 'credited' AND c.day <= %(on)s
  LEFT JOIN remittance_event t ON t.remittance_id = r.id AND t.event = 'receipted' AND t.day <= %(on)s
"""


def sent(session: Session, *, on: date) -> list[Sent]:
    """Every transfer given up to a day, as it stands on that day, in the order given."""
    statement = _SENT + " WHERE (r.made_at AT TIME ZONE 'Africa/Nairobi')::date <= %(on)s ORDER BY r.id"
    return rows(session, Sent, statement, {"on": on})


def not_shown(session: Session, account: str, *, event: str) -> list[Sent]:
    """The transfers out of an account that its bank does not show yet (``debited``), or into one (``credited``)."""
    side = {"debited": "r.account", "credited": "r.fund"}[event]
    statement = (
        _SENT
        + f" WHERE {side} = %(account)s AND NOT EXISTS (SELECT FROM remittance_event e WHERE e.remittance_id = r.id"
        " AND e.event = %(event)s) ORDER BY r.id"
    )
    return rows(session, Sent, statement, {"on": date.max, "account": account, "event": event})


def debited(session: Session, one: Sent, *, channel: int, reference: str, day: date) -> None:
    """Note that our bank's statement shows the debit of a transfer."""
    _shown(session, one.id, "debited", channel, reference, one.amount_minor, day)


def credited(session: Session, one: Sent, *, channel: int, reference: str, value_date: date, at: datetime) -> None:
    """Post that the Fund's own statement shows the credit of a transfer: the clock ends at its value date."""
    ledger.post(session, postings.crf_credited(one.amount_minor, at=at), key=f"remittance:{one.id}:credited")
    _shown(session, one.id, "credited", channel, reference, one.amount_minor, value_date)


def receipt(session: Session, number: str, *, receipt_number: str, day: date, amount_minor: int) -> None:
    """Keep the Treasury's receipt (MR number) of a transfer, by whoever is signed in.

    Raises NotFound for an unknown transfer, Conflict for another amount or a receipt that is kept already, NotAllowed.
    """
    row = raw(session).execute("SELECT id FROM remittance WHERE number = %s", (number.strip().upper(),)).fetchone()
    if row is None:
        raise NotFound(f"there is no transfer {number}", number=number)
    if not receipt_number.strip():
        raise InvalidValue("say the number of the Treasury's receipt", field="receipt")
    _shown(session, row[0], "receipted", None, receipt_number.strip().upper(), amount_minor, day)


def _shown(
    session: Session, remittance: int, event: str, channel: int | None, reference: str, minor: int, day: date | None
) -> None:
    raw(session).execute(
        "INSERT INTO remittance_event (remittance_id, event, day, channel_account_id, reference, amount_minor, kept_by)"
        " VALUES (%s, %s, %s, %s, %s, %s, '')",
        (remittance, event, day, channel, reference, minor),
    )


def of_payment(session: Session, payment_id: int) -> list[Covered]:
    """The transfers that cover a payment, in the order given."""
    statement = (
        "SELECT r.number, p.amount_minor, r.made_at, d.day AS debited_on, c.day AS credited_on,"
        " t.day AS receipted_on, t.reference AS receipt FROM remittance_part p"
        " JOIN remittance r ON r.id = p.remittance_id"
        " LEFT JOIN remittance_event d ON d.remittance_id = r.id AND d.event = 'debited'"
        " LEFT JOIN remittance_event c ON c.remittance_id = r.id AND c.event = 'credited'"
        " LEFT JOIN remittance_event t ON t.remittance_id = r.id AND t.event = 'receipted'"
        " WHERE p.payment_id = %(payment)s ORDER BY r.id"
    )
    return rows(session, Covered, statement, {"payment": payment_id})


def parts(session: Session, remittances: Sequence[int]) -> list[PaidPart]:
    """What transfers cover, by the day on which payers paid."""
    return rows(
        session,
        PaidPart,
        "SELECT remittance_id, account, paid_on, payments, amount_minor FROM remitted(%s)",
        (list(remittances),),
    )


def waiting(session: Session, *, on: date) -> list[PaidPart]:
    """What lies in the county's collection accounts, is for the Fund and in no transfer, by account and day paid."""
    return rows(
        session,
        PaidPart,
        "SELECT 0 AS remittance_id, b.account, r.paid_on, count(*) AS payments,"
        " sum(r.left_minor)::bigint AS amount_minor FROM bank_account b"
        " CROSS JOIN LATERAL remittable(b.account, %s, '9223372036854775807'::xid8) r"
        " WHERE b.purpose = 'collection' AND b.destination = 'county' GROUP BY 2, 3 ORDER BY 2, 3",
        (on,),
    )
