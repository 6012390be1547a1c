"""Bank accounts of the county: each opened under 1100 with its bank, its purpose and the authority it stands on.

A channel's clearing (1200) is what a channel says that it holds for us; a bank account (1100) is what a bank holds. The
law wants an authority for each (Public Finance Management (County Governments) Regulations 2015, r. 82): without one an
account is not opened here either.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import NamedTuple

import psycopg
from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from revenue_engine import db, ledger
from revenue_engine.access import approvals, audit
from revenue_engine.db import Base, Sealed, one, raw
from revenue_engine.errors import Conflict, InvalidValue
from revenue_engine.ledger import chart

PURPOSES = ("collection", "fund", "facility", "concession", "partner", "refunds", "other")
DESTINATIONS = ("county", "facility", "concession", "partner")
"""Whose money lies in an account: the County Revenue Fund's, a facility's, a concessionaire's or a partner's."""

KIND = "bank_account"
"""The kind of request that opens one."""
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,39}")


class BankAccount(Sealed, Base):
    """A bank account of the county, and the account of the ledger (``1100.<bank>-<number>``) that stands for it."""

    __tablename__ = "bank_account"
    __table_args__ = (
        UniqueConstraint("bank", "number"),
        CheckConstraint("account LIKE '1100.%'", name="account"),
        CheckConstraint(
            "purpose IN ('collection', 'fund', 'facility', 'concession', 'partner', 'refunds', 'other')", name="purpose"
        ),
        CheckConstraint("destination IN ('county', 'facility', 'concession', 'partner')", name="destination"),
        CheckConstraint("length(btrim(authority)) > 0", name="authority"),
    )
    account: Mapped[str] = mapped_column(ForeignKey("account.code"), primary_key=True)
    bank: Mapped[str]
    number: Mapped[str]
    purpose: Mapped[str]
    authority: Mapped[str]
    """The letter, act or gazette notice by which the account was opened."""
    destination: Mapped[str]
    channel_account_id: Mapped[int | None] = mapped_column(ForeignKey("channel_account.id"), unique=True)
    """The channel account whose statements are of this account, where the bank is a channel too."""
    opened_by: Mapped[str]
    opened_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


def open_bank_account(
    session: Session,
    *,
    bank: str,
    number: str,
    name: str,
    purpose: str,
    authority: str,
    by: str,
    destination: str = "county",
    channel_account_id: int | None = None,
) -> str:
    """Open a bank account and its account in the ledger; answers the code, ``1100.<bank>-<number>``.

    For whoever holds the database, as with the county's files: a process of persons asks (``ask_open``).

    Raises InvalidValue for a malformed field, Conflict when the account, or an account of the channel, is open already.
    """
    for field, value in (("bank", bank), ("number", number)):
        if not _WORD.fullmatch(value):
            raise InvalidValue(f"{field}: letters, digits and hyphens, as the bank writes it", field=field)
    for field, value, known in (("purpose", purpose, PURPOSES), ("destination", destination, DESTINATIONS)):
        if value not in known:
            raise InvalidValue(f"{field} is one of {', '.join(known)}", field=field)
    if not authority.strip():
        raise InvalidValue("name the letter, act or notice by which the account was opened", field="authority")
    code = chart.bank(f"{bank.lower()}-{number}")
    specs = [*chart.CONTROL_ACCOUNTS, chart.bank_account(f"{bank.lower()}-{number}", name)]
    try:
        with session.begin_nested():
            ledger.open_accounts(session, specs)
            raw(session).execute(
                "INSERT INTO bank_account (account, bank, number, purpose, authority, destination, channel_account_id,"
                " opened_by) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
                (code, bank.lower(), number, purpose, authority.strip(), destination, channel_account_id, by),
            )
    except psycopg.errors.UniqueViolation as error:
        raise Conflict(f"{bank} {number}, or an account of its channel, is open already", field="number") from error
    audit.record(
        session,
        actor=by,
        action="bank_account.opened",
        subject=code,
        facts={"purpose": purpose, "authority": authority.strip(), "destination": destination},
    )
    return code


def ask_open(
    session: Session,
    *,
    bank: str,
    number: str,
    name: str,
    purpose: str,
    authority: str,
    reason: str,
    destination: str = "county",
    channel_account: str | None = None,
) -> str:
    """Ask that a bank account be opened; answers the request's public id. Another person agrees, and it is open.

    ``channel_account`` is the public id of the channel account whose statements are of this account. Raises what
    ``open_bank_account`` refuses, and what ``approvals.ask`` raises.
    """
    payload = {
        "bank": bank.lower(),
        "number": number,
        "name": name,
        "purpose": purpose,
        "authority": authority,
        "destination": destination,
        "channel_account": channel_account,
    }
    return approvals.ask(session, KIND, subject=f"{bank.lower()} {number}", payload=payload, reason=reason)


def of_channel(session: Session, channel_account_id: int) -> str | None:
    """The bank account whose statements a channel account brings, as the code of its account; None where none is."""
    found: str | None = db.found(
        session, "SELECT account FROM bank_account WHERE channel_account_id = %s", (channel_account_id,)
    )
    return found


class Known(NamedTuple):
    """A bank account of ours, as far as its money is judged by it."""

    account: str
    purpose: str
    destination: str


def known_by_channel(session: Session, channel_account_id: int) -> Known | None:
    """The bank account whose statements a channel account brings; None where none is."""
    return one(
        session,
        Known,
        "SELECT account, purpose, destination FROM bank_account WHERE channel_account_id = %s",
        (channel_account_id,),
    )


def channel_of(session: Session, account: str) -> int | None:
    """The channel account that brings the statements of a bank account, None where none does."""
    row = raw(session).execute("SELECT channel_account_id FROM bank_account WHERE account = %s", (account,)).fetchone()
    return row[0] if row else None
