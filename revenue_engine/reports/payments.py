"""Payments as a list to look through and to take away, and the whole way of one payment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from sqlalchemy.orm import Session

from reconciliation import breaks
from revenue_engine import ledger, payments, periods
from revenue_engine.access.scope import Scope
from revenue_engine.channels import accounts, deliveries
from revenue_engine.errors import InvalidValue, NotFound
from revenue_engine.money import grouped, parse_wire
from revenue_engine.payments import browsing, receipts
from revenue_engine.payments.browsing import Row, Sender, Wanted
from revenue_engine.payments.evidence import STATEMENT_MESSAGE
from revenue_engine.reports.homes import Home, homes
from revenue_engine.reports.model import Column, Kind, Section
from revenue_engine.treasury import remittances

STATES = ("matched", "in suspense", "reversed")
"""Where the money of a payment is, as a list is asked for it."""
MOST_DAYS = 92
"""Days of one list: a quarter."""
MOST_ROWS = 20_000
"""Payments of one file that a person takes away."""
FIELDS = ("since", "until", "channel", "state", "least", "most")
_COLUMNS = (
    Column("reference", "Reference"),
    Column("occurred_at", "Paid at", Kind.INSTANT),
    Column("channel", "Channel"),
    Column("amount", "KES", Kind.MONEY),
    Column("state", "State"),
    Column("where", "Where the money is"),
    Column("papers", "Papers"),
    Column("id", "Id"),
)


def wanted_of(session: Session, said: Mapping[str, str], *, scope: Scope) -> Wanted:
    """The payments that words of a form or an address ask for. No day is today. Raises InvalidValue for the field."""
    until = _day(said, "until")
    since = _day(said, "since") or until or periods.today()
    until = until or max(since, periods.today())
    if until < since:
        raise InvalidValue("the last day lies before the first", field="until")
    if (until - since).days >= MOST_DAYS:
        raise InvalidValue(f"a list has {MOST_DAYS} days at most: choose fewer", field="since")
    channels = {label: account for account, label in accounts.labels(session).items()}
    channel, state = said.get("channel", ""), said.get("state", "")
    if channel and channel not in channels:
        raise InvalidValue(f"no channel account is called {channel}", field="channel")
    if state and state not in STATES:
        raise InvalidValue(f"a payment is {', '.join(STATES)}: not {state}", field="state")
    held = [payment_id for payment_id, _ in breaks.in_suspense(session)] if state in STATES[:2] else []
    return Wanted(
        datetime.combine(since, time(), periods.NAIROBI),
        datetime.combine(until + timedelta(days=1), time(), periods.NAIROBI),
        channels.get(channel),
        _amount(said, "least"),
        _amount(said, "most"),
        {"matched": False, "in suspense": False, "reversed": True}.get(state),
        held if state == "in suspense" else None,
        held if state == "matched" else (),
        scope,
    )


def _day(said: Mapping[str, str], field: str) -> date | None:
    text = said.get(field, "")
    if not text:
        return None
    try:
        day = date.fromisoformat(text) if len(text) == 10 else None
    except ValueError:
        day = None
    if day is None or not 2000 <= day.year <= 2200:
        raise InvalidValue(f"write a day as 2026-11-30, not {text}", field=field)
    return day


def _amount(said: Mapping[str, str], field: str) -> int | None:
    text = said.get(field, "").replace(",", "").replace(" ", "")
    if not text:
        return None
    if not text[0].isdigit():
        raise InvalidValue(f"write an amount as 1250 or 1250.00, not {text}", field=field)
    try:
        return parse_wire(text if "." in text else f"{text}.00")
    except InvalidValue as error:
        raise InvalidValue(f"write an amount as 1250 or 1250.00, not {text}", field=field) from error


def section(session: Session, found: Sequence[Row], *, note: str = "") -> Section:
    """Some payments as a list, in their order."""
    where, labels = homes(session, [one.id for one in found]), accounts.labels(session)
    return Section(
        "payments",
        "Payments",
        _COLUMNS,
        tuple(
            (
                one.reference,
                one.occurred_at,
                labels.get(one.channel_account_id, ""),
                one.amount_minor,
                state_of(where[one.id]),
                "; ".join(where[one.id].lines),
                ", ".join(where[one.id].papers),
                one.public_id,
            )
            for one in found
        ),
        note,
        "Payments",
    )


def state_of(home: Home) -> str:
    """Where the money of a payment is, in one of the words of ``STATES``."""
    if home.taken_back:
        return "reversed"
    return "in suspense" if any(" in suspense" in line for line in home.lines) else "matched"


def to_take_away(session: Session, wanted: Wanted) -> Section:
    """All that a list asks for. Raises InvalidValue where that is more than ``MOST_ROWS``."""
    found = browsing.listed(session, wanted, limit=MOST_ROWS + 1)
    if len(found) > MOST_ROWS:
        raise InvalidValue(f"these are more than {MOST_ROWS:,} payments: choose fewer days or a channel", field="since")
    return section(session, found)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a payment's way: when, what, by whom; ``delivery`` holds the raw message of the step."""

    at: datetime | None
    what: str
    detail: str = ""
    delivery: int | None = None
    raw: bool = False
    """Whether the delivery is a message about this payment alone, and no file of many."""


@dataclass(frozen=True, slots=True)
class Way:
    """A payment from the raw message to the Fund. ``sender`` is personal data."""

    public_id: str
    channel: str
    home: Home
    state: str
    sender: Sender
    steps: tuple[Step, ...]
    paper_numbers: tuple[str, ...]


def _within(session: Session, name: str, scope: Scope) -> int:
    """The id of a payment that is within. Raises NotFound for one of another place, as for none at all."""
    payment_id = payments.named(session, name)
    if not payments.within(session, [payment_id], scope):
        raise NotFound(f"no payment {name!r}", reference=name)
    return payment_id


def way(session: Session, name: str, *, scope: Scope) -> Way:
    """The whole way of a payment by its reference or public id. Raises NotFound, Conflict for two of it."""
    payment_id = _within(session, name, scope)
    home = homes(session, [payment_id])[payment_id]
    account = accounts.channels(session)[home.payment.identity.channel_account_id]
    told = browsing.messages(session, payment_id)
    papers = receipts.of_payment(session, payment_id)
    steps = []
    for one in deliveries.heads(session, sorted({one.delivery_id for one in told})):
        alone = one.purpose not in deliveries.OF_MANY
        what = f"{one.purpose} received" if alone else f"{one.purpose} file received"
        steps.append(Step(one.received_at, what, "" if one.accepted else one.verdict_reason, one.id, alone))
    for message in told:
        amount = "" if message.amount_minor is None else f"KSh {grouped(message.amount_minor)}"
        steps.append(Step(message.recorded_at, f"told by {message.message}", amount, message.delivery_id))
    for posted in ledger.journals_of(session, payment_id):
        words = f"KSh {grouped(posted.amount_minor)}, booked {posted.book_date}"
        steps.append(Step(posted.recorded_at, f"posted: {posted.kind.replace('_', ' ')}", words))
    for paper in papers:
        steps.append(Step(paper.issued_at, f"{paper.kind} {paper.printed}", f"KSh {grouped(paper.amount_minor)}"))
        if paper.cancelled_at is not None:
            steps.append(Step(paper.cancelled_at, f"{paper.kind} {paper.printed} cancelled", paper.cancelled_why or ""))
    for said in home.breaks:
        steps.append(
            Step(said.opened_at, f"unreconciled item {said.number}: {said.reason.replace('_', ' ')}", said.detail)
        )
        if said.closed_at is not None:
            steps.append(Step(said.closed_at, f"unreconciled item {said.number} closed", said.resolution or ""))
    steps.sort(key=lambda step: step.at or home.payment.occurred_at)
    if not any(message.message == STATEMENT_MESSAGE for message in told):
        steps.append(Step(None, "statement", "no statement in the books shows this payment yet"))
    steps.extend(_to_the_fund(session, payment_id, home.payment.amount_minor))
    return Way(
        browsing.public_ids(session, [payment_id])[payment_id],
        accounts.labels(session)[account.id],
        home,
        state_of(home),
        browsing.sender(session, payment_id),
        tuple(steps),
        tuple(paper.printed for paper in papers if paper.cancelled_at is None),
    )


def _to_the_fund(session: Session, payment_id: int, amount_minor: int) -> list[Step]:
    """Each transfer that covers a payment, with what both banks and the Treasury said of it, and what none covers."""
    steps, covered = [], remittances.of_payment(session, payment_id)
    for one in covered:
        shown = "the Fund's own statement does not show it yet"
        if one.credited_on:
            shown = f"the Fund's own statement shows it on {one.credited_on}"
        told = [f"KSh {grouped(one.amount_minor)} of this money", shown]
        if one.debited_on:
            told.insert(1, f"the county's bank shows it on {one.debited_on}")
        if one.receipted_on:
            told.append(f"Treasury receipt {one.receipt} of {one.receipted_on}")
        steps.append(Step(one.made_at, f"Fund: transfer {one.number}", "; ".join(told)))
    left = amount_minor - sum(one.amount_minor for one in covered)
    if not covered:
        steps.append(Step(None, "Fund", "the books hold no remittance of this money to the Fund yet"))
    elif left > 0:
        steps.append(Step(None, "Fund", f"KSh {grouped(left)} of this money is in no transfer to the Fund yet"))
    return steps


def raw_of(session: Session, name: str, delivery_id: int, *, scope: Scope) -> bytes:
    """The raw body of a message that told of a payment, read by who may see a phone; that they looked is kept.

    Raises NotAllowed, and NotFound where the message is another's, or a file of many.
    """
    return deliveries.read_raw(session, _within(session, name, scope), delivery_id)
