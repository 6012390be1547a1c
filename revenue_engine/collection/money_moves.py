"""Money that was placed wrongly moves to the right bill: one person asks, another agrees to what was shown.

It does not matter how the money came where it is: by a number, an alias, our own push, a match, or as a payer's credit.
The money keeps its own date. The paper of the wrong place is cancelled, and a new receipt is issued.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy.orm import Session

from reconciliation import break_keys, breaks, matches
from reconciliation.breaks import BreakReason, NewBreak
from reconciliation.matches import NewMove
from revenue_engine import ledger, payments, periods
from revenue_engine.access import approvals
from revenue_engine.access.approvals import Agreed
from revenue_engine.billing import open_bills
from revenue_engine.collection import held_money
from revenue_engine.errors import Conflict, IntegrityFault
from revenue_engine.ledger import chart, postings
from revenue_engine.ledger.postings import Placed
from revenue_engine.payments import NewApplication, Recorded, receipts
from revenue_engine.work import jobs
from revenue_engine.work.kinds import Kind

KIND = "move_money"
"""The kind of request."""
_WHY = "two persons moved the money to another bill"


def ask(session: Session, reference: str, number: str, *, reason: str) -> str:
    """Ask that all money of a payment moves to the bill of a number; returns the request's public id.

    The payment is named by its provider's reference or its public id, the bill as it is printed. The request holds the
    amount in cents that would move now. Raises NotFound for an unknown payment or bill, Conflict where nothing would
    move or nothing is left of the bill, and what ``approvals.ask`` raises.
    """
    payment_id = payments.named(session, reference)
    invoice_id, bill = open_bills.payable(session, number)
    lies = _where(session, payment_id, invoice_id)
    payload = {"payment_id": payment_id, "invoice_id": invoice_id, "amount_minor": lies.total_minor}
    name = payments.by_id(session, payment_id).identity.reference
    return approvals.ask(session, KIND, subject=f"{name} to {bill}", payload=payload, reason=reason)


def move_agreed(session: Session, agreed: Agreed) -> int:
    """Move money as two persons agreed; returns the cents that moved.

    Raises Conflict where, under the locks, the money or the bill is not what the two persons saw.
    """
    payment_id, invoice_id = int(agreed.payload["payment_id"]), int(agreed.payload["invoice_id"])
    lies = _where(session, payment_id, invoice_id)
    bills = open_bills.lock(session, {invoice_id, *lies.bills})
    owners = {bill.bill.payer_id for bill in bills.values()} | {one.payer_id for one in lies.held}
    open_bills.lock_payers(session, (payer for payer in owners if payer is not None))
    payments.lock(session, [payment_id])
    seen, lies = lies, _where(session, payment_id, invoice_id)  # read again under the locks
    target = bills[invoice_id]
    if lies != seen or lies.total_minor != agreed.payload["amount_minor"]:
        raise Conflict("the money is not where it was when two persons agreed: ask anew", request=agreed.public_id)
    if target.cancelled or not target.outstanding_minor:
        raise Conflict("nothing is left of the bill: ask anew", request=agreed.public_id)
    payment = payments.by_id(session, payment_id)
    if payments.reversed_already(session, [payment_id]):
        raise Conflict(f"the provider reversed {payment.identity.reference}: there is no money to move")
    taken_off = _take_off(session, lies, bills, agreed)
    receipts.cancel(session, [payment_id], reason=_WHY)
    journal = _set(session, payment, target)
    breaks.close_many(session, [break_keys.credit(payment_id)], resolution=_WHY)
    _issue(session, payment, journal.book_date)
    move = NewMove(
        payment_id, invoice_id, lies.bills, lies.total_minor, taken_off.id if taken_off else None, journal.id
    )
    by = f"approval {agreed.public_id}"
    _leave_matches(session, lies, taken_off, agreed, by=by)
    matches.note_move(session, move, reason=agreed.reason, by=by, approval_id=agreed.number)
    # A bill that is open again is paid by other money that named it, as if that money had come after.
    jobs.add(session, kind=Kind.PAY_REOPENED, refs=lies.bills)
    return lies.total_minor


@dataclass(frozen=True, slots=True)
class _Lies:
    """Where the money of a payment is that is not on the right bill yet, in cents."""

    payment_id: int
    applied: tuple[tuple[int, str, int], ...]
    """(invoice id, component, cents)"""
    held: tuple[payments.Held, ...]

    @property
    def bills(self) -> list[int]:
        return sorted({invoice for invoice, _, _ in self.applied})

    @property
    def total_minor(self) -> int:
        return sum(minor for _, _, minor in self.applied) + sum(one.amount_minor for one in self.held)


def _where(session: Session, payment_id: int, invoice_id: int) -> _Lies:
    applied = payments.applied(session, [payment_id]).get(payment_id, [])
    held = payments.held(session, payment_ids=[payment_id])
    return _Lies(payment_id, tuple(part for part in applied if part[0] != invoice_id), tuple(held))


def _take_off(
    session: Session, lies: _Lies, bills: Mapping[int, open_bills.Open], agreed: Agreed
) -> ledger.Posted | None:
    """Take the money off the wrong bills and out of credit, into suspense; None where all of it is there."""
    by_bill: dict[int, int] = {}
    for invoice, _, minor in lies.applied:
        by_bill[invoice] = by_bill.get(invoice, 0) + minor
    places = [Placed(minor, bills[invoice].bill) for invoice, minor in sorted(by_bill.items())]
    places += [
        Placed(one.amount_minor, None, one.payer_id, one.stream_code, one.station_code)
        for one in lies.held
        if one.account == chart.UNAPPLIED_CREDIT
    ]
    if not places:
        return None
    journal = postings.placing_taken_back(
        places, payment_id=lies.payment_id, at=periods.now(), reason=f"{_WHY} ({agreed.public_id})"
    )
    posted = ledger.post(session, journal, key=f"payment:{lies.payment_id}:moved:{agreed.public_id}")
    payments.apply(
        session,
        [
            NewApplication(lies.payment_id, invoice, component, -minor, posted.id, held_money.MOVED)
            for invoice, component, minor in lies.applied
        ],
    )
    return posted


def _set(session: Session, payment: Recorded, target: open_bills.Open) -> ledger.Posted:
    """Set what is in suspense now on the right bill; what is above the bill stays held for its payer."""
    (waits,) = (one for one in payments.held(session, payment_ids=[payment.id]) if one.account == chart.SUSPENSE)
    rest = waits.amount_minor - target.outstanding_minor
    if rest > 0 and target.bill.payer_id is None:
        _own_the_rest(session, payment, target, rest)
    move = held_money.Move.plan(waits, [(target, waits.amount_minor)], rung=held_money.MOVED)
    (journal,) = held_money.identify_many(session, [move])
    if journal is None:
        raise IntegrityFault("a bill with something left took no money", payment_id=payment.id)
    return journal


def _own_the_rest(session: Session, payment: Recorded, target: open_bills.Open, rest: int) -> None:
    key = break_keys.suspense(payment.id)
    new = NewBreak(
        key,
        BreakReason.OVERPAID,
        "the moved money is more than was left of the bill, and the bill has no payer; the rest is held in suspense",
        payment.occurred_at,
        amount_minor=rest,
        payment_id=payment.id,
        invoice_id=target.bill.invoice_id,
        channel_account_id=payment.identity.channel_account_id,
        stream_code=target.bill.stream_code,
        station_code=target.bill.station_code,
    )
    breaks.open_many(session, [new])
    if breaks.is_closed(session, key):
        breaks.reopen(session, key, amount_minor=rest)


def _issue(session: Session, payment: Recorded, book_date: date) -> None:
    """A new receipt over the whole payment, with the date on which the payer paid."""
    turn = receipts.turns(session, [payment.id], kind="receipt").get(payment.id, 1)
    paper = receipts.ToIssue(payment.id, "receipt", payment.amount_minor, payment.occurred_at, book_date, turn)
    receipts.issue(session, [paper])


def _leave_matches(session: Session, lies: _Lies, taken_off: ledger.Posted | None, agreed: Agreed, *, by: str) -> None:
    standing: Sequence[matches.Standing] = [
        one for one in matches.standing(session, lies.payment_id) if one.invoice_id in lies.bills
    ]
    if standing and taken_off is not None:
        matches.take_back(
            session, standing, journal_id=taken_off.id, reason=agreed.reason, by=by, approval_id=agreed.number
        )
