"""Money that a bank took back, such as a cheque that was not paid: a break that names the payments that may be meant.

A bank's line of this kind names no payment in a field of its own, so nothing is taken back by a guess: a person looks.
"""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta

from sqlalchemy.orm import Session

from reconciliation import break_keys, ladder
from reconciliation.breaks import BreakReason, NewBreak
from revenue_engine import payments, periods
from revenue_engine.billing import open_bills
from revenue_engine.channels.accounts import Channel
from revenue_engine.ports.statements import StatementLine

_WORDS = re.compile(
    r"\b(?:RETURNED|RETURN|RTD|RTN|BOUNCED|UNPAID|DISHONOU?RED|REFER TO DRAWER|RECALLED|CHARGE ?BACK)\b"
)
_FEE = re.compile(r"\b(?:FEE|CHARGE|CHARGES|COMMISSION)\b")


def is_return(line: StatementLine) -> bool:
    """Whether a bank's debit says that money came back out: its words say returned, unpaid or refer to drawer."""
    said = f"{line.text} {line.account_reference}".upper()
    is_debit = line.counts and line.kind is None and line.amount_minor < 0
    return is_debit and _WORDS.search(said) is not None and _FEE.search(_WORDS.sub("", said)) is None


def named(session: Session, bank: Channel, line: StatementLine, name: str, *, delivery_id: int) -> NewBreak:
    """The break about one such line: payments of the same amount, those first whose bill the line names."""
    minor = -line.amount_minor
    until = datetime.combine(line.booked_on + timedelta(days=1), time(), periods.NAIROBI)
    found = payments.of_amount(session, bank.id, minor, until=until)
    typed = ladder.read(f"{line.account_reference} {line.text}").numbers
    bills = set(open_bills.numbers(session, typed).bills.values())
    applied = payments.applied(session, [one.id for one in found])
    meant = [one for one in found if bills & {invoice for invoice, _, _ in applied.get(one.id, [])}]
    shown = [one.identity.reference for one in (meant or found)[:5]]
    if meant:
        which = f"the line names the bill that {', '.join(shown)} paid"
    elif shown:
        which = f"payments of this amount: {', '.join(shown)}"
    else:
        which = "no payment of this amount is in the books of this account"
    return NewBreak(
        break_keys.returned(bank.id, name),
        BreakReason.RETURNED_BY_BANK,
        f"{bank.identifier} took money back ({name}); which payment? {which}; until the payment is taken back, its bill"
        " still shows as paid",
        datetime.combine(line.booked_on, time(), periods.NAIROBI),
        amount_minor=minor,
        payment_id=meant[0].id if len(meant) == 1 else None,
        delivery_id=delivery_id,
        channel_account_id=bank.id,
    )
