"""Lines of our banks' statements that are no payment: transfers to the Fund, their credit there, and outflows judged.

Money leaves a collection account of the county for the Fund, for a bank's charge, or to go back to whoever paid it in.
Any other outflow is a break, spending at source: nothing collected is used before it is in the Fund (PFM (County
Governments) Regulations 2015, r. 63(4)). Outflows of other accounts are recorded and not judged.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from reconciliation import break_keys
from reconciliation.breaks import BreakReason, NewBreak
from revenue_engine import periods
from revenue_engine.channels.accounts import Channel
from revenue_engine.collection import bank_words
from revenue_engine.collection.batch import Batch
from revenue_engine.collection.interpretation import instant_of
from revenue_engine.ports.callbacks import Kind
from revenue_engine.ports.statements import StatementLine
from revenue_engine.treasury import bank_accounts, remittances


def judge(session: Session, batch: Batch, bank: Channel, lines: Sequence[tuple[StatementLine, str]]) -> set[int]:
    """Take out of a bank's new lines what is no payment; returns the numbers of those lines.

    A transfer is known by its number in the line's words, else by its amount, the oldest first.
    """
    account = bank_accounts.known_by_channel(session, bank.id)
    if account is None:
        return set()
    if account.purpose == "fund":
        return _into_the_fund(session, bank, account.account, lines)
    if (account.purpose, account.destination) != ("collection", "county"):
        return set()
    handled = set()
    open_ones = remittances.not_shown(session, account.account, event="debited")
    for line, name in lines:
        if line.amount_minor >= 0 or not line.counts or bank_words.kind_of(line) is not Kind.PAYOUT:
            continue  # what comes in, and what the bank took: its charges, and deposits that went back
        handled.add(line.number)
        chosen = _meant(line, open_ones)
        if chosen is None:
            batch.opened.append(_spent(bank, line, name))
            continue
        open_ones.remove(chosen)
        remittances.debited(session, chosen, channel=bank.id, reference=name, day=line.booked_on)
    return handled


def _into_the_fund(
    session: Session, bank: Channel, account: str, lines: Sequence[tuple[StatementLine, str]]
) -> set[int]:
    handled = set()
    open_ones = remittances.not_shown(session, account, event="credited")
    for line, name in lines:
        if line.amount_minor <= 0 or not line.counts or line.kind not in (None, Kind.PAYMENT):
            continue
        chosen = _meant(line, open_ones)
        if chosen is None:
            continue
        open_ones.remove(chosen)
        remittances.credited(
            session,
            chosen,
            channel=bank.id,
            reference=name,
            value_date=line.value_on or line.booked_on,
            at=periods.booked_as_of(instant_of(line), known_at=periods.now()),
        )
        handled.add(line.number)
    return handled


def _meant(line: StatementLine, open_ones: Sequence[remittances.Sent]) -> remittances.Sent | None:
    said = " ".join(
        [line.reference, line.text, line.account_reference, *(value for _, value in line.references)]
    ).upper()
    fits = [one for one in open_ones if one.amount_minor == abs(line.amount_minor)]
    named = [one for one in fits if one.number in said]
    return next(iter(named or fits), None)


def _spent(bank: Channel, line: StatementLine, name: str) -> NewBreak:
    return NewBreak(
        break_keys.outflow(bank.id, name),
        BreakReason.SPENDING_AT_SOURCE,
        f"money left {bank.identifier} ({name}), and no transfer to the County Revenue Fund is of this amount; enter"
        " the transfer if there is one, else the money was used before it was in the Fund",
        instant_of(line),
        amount_minor=-line.amount_minor,
        channel_account_id=bank.id,
    )
