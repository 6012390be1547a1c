"""Money that finds its bill later: credit at the next issue, suspense identified, money that named a reopened bill."""

from __future__ import annotations

from sqlalchemy.orm import Session

from reconciliation import breaks
from reconciliation.breaks import BreakReason
from revenue_engine import ledger, open_bills, payments, periods, receipts
from revenue_engine.ledger import chart, postings
from revenue_engine.ledger.postings import Placed
from revenue_engine.payments import NewApplication


def identify(session: Session, one: payments.Held, bill: open_bills.Open, *, rung: str) -> None:
    """Move money out of suspense to its bill; what is above the bill stays held, for its payer where one is known."""
    taken = bill.pay(one.amount_minor)
    amount = sum(part for _, part in taken)
    payment = payments.by_id(session, one.payment_id)
    places = [Placed(amount, bill.bill)] if amount else []
    rest = one.amount_minor - amount
    if rest and bill.bill.payer_id is not None:
        named = bill.bill
        places.append(
            Placed(rest, None, named.payer_id, named.stream_code, named.station_code, named_invoice_id=named.invoice_id)
        )
        if not amount:
            _open_credit_break(session, payment, bill, rest)
        rest = 0
    if not places:
        return
    journal = ledger.post(
        session,
        postings.suspense_identified(
            places,
            payment_id=payment.id,
            stream_code=one.stream_code,
            station_code=one.station_code,
            at=periods.now(),
        ),
        key=f"payment:{payment.id}:identified:{bill.bill.invoice_id}:{periods.unix_milliseconds()}",
    )
    payments.apply(
        session,
        [NewApplication(payment.id, bill.bill.invoice_id, part[0], part[1], journal.id, rung) for part in taken],
    )
    if receipts.cancel(session, [payment.id], reason="replaced by a receipt", kinds=["acknowledgement"]):
        receipts.issue(
            session,
            [receipts.ToIssue(payment.id, "receipt", payment.amount_minor, payment.occurred_at, journal.book_date)],
        )
    if rest:
        breaks.lower(session, [breaks.suspense_key(payment.id)], amount_minor=rest)
    else:
        breaks.close_many(session, [breaks.suspense_key(payment.id)], resolution="its bill was found")


def _open_credit_break(session: Session, payment: payments.Recorded, bill: open_bills.Open, amount_minor: int) -> None:
    """Tell that money found a bill that takes none, as is told when such money names its bill at once."""
    reason, detail = BreakReason.DUPLICATE_PAYMENT, "the bill was paid before"
    if bill.cancelled:
        reason, detail = BreakReason.PAID_CANCELLED_OR_EXPIRED, "the bill was cancelled before the money came"
    breaks.open_many(
        session,
        [
            breaks.NewBreak(
                breaks.credit_key(reason, payment.id),
                reason,
                f"{detail}; held as the payer's credit",
                payment.occurred_at,
                amount_minor=amount_minor,
                payment_id=payment.id,
                channel_account_id=payment.identity.channel_account_id,
                stream_code=bill.bill.stream_code,
                station_code=bill.bill.station_code,
            )
        ],
    )


def pay_reopened(session: Session, invoice_id: int) -> int:
    """Let money that named this bill while it was paid, pay it now that it is open again; returns the cents applied."""
    return _pay_from_held(session, invoice_id, only_named=True)


def apply_credit(session: Session, invoice_id: int) -> int:
    """Let the unapplied credit of a new bill's payer pay it, oldest payment first; returns the cents applied."""
    return _pay_from_held(session, invoice_id, only_named=False)


def _pay_from_held(session: Session, invoice_id: int, *, only_named: bool) -> int:
    bill = open_bills.lock(session, [invoice_id]).get(invoice_id)
    if bill is None or bill.cancelled or not bill.outstanding_minor:
        return 0
    before = bill.outstanding_minor
    payer_id = bill.bill.payer_id
    if payer_id is not None:
        open_bills.lock_payers(session, [payer_id])
    payments.lock(session, (one.payment_id for one in _held(session, bill, only_named=only_named)))
    # Read again under the lock: the provider may have taken some of it back meanwhile.
    for one in _held(session, bill, only_named=only_named):
        if not bill.outstanding_minor:
            break
        if one.account == chart.SUSPENSE and only_named:
            identify(session, one, bill, rung="reopened")
        elif one.account == chart.UNAPPLIED_CREDIT and one.payer_id == payer_id:
            _spend_credit(session, one, bill, named=only_named)
    return before - bill.outstanding_minor


def _held(session: Session, bill: open_bills.Open, *, only_named: bool) -> list[payments.Held]:
    payer_id = bill.bill.payer_id
    if only_named:
        stream = bill.bill.stream_code if bill.object_id is not None else None
        return payments.held_for(session, bill.bill.invoice_id, payer_id=payer_id, standing_stream=stream)
    return payments.held(session, payer_id=payer_id) if payer_id is not None else []


def _spend_credit(session: Session, one: payments.Held, bill: open_bills.Open, *, named: bool) -> None:
    taken = bill.pay(one.amount_minor)
    journal = ledger.post(
        session,
        postings.credit_applied(bill.bill, sum(part for _, part in taken), payment_id=one.payment_id, at=periods.now()),
        key=f"payment:{one.payment_id}:credit:{bill.bill.invoice_id}:{periods.unix_milliseconds()}",
    )
    payments.apply(
        session,
        [
            NewApplication(one.payment_id, bill.bill.invoice_id, part[0], part[1], journal.id, "credit")
            for part in taken
        ],
    )
    keys = breaks.credit_keys(one.payment_id)
    rest = one.amount_minor - sum(part for _, part in taken)
    if rest and not named:  # what named this bill is now no more than an overpayment of it
        breaks.lower(session, keys, amount_minor=rest)
    else:
        breaks.close_many(session, keys, resolution="the payer's credit paid a bill")
