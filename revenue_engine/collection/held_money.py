"""Money that finds its bill later: credit at the next issue, suspense identified, money that named a reopened bill."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from reconciliation import break_keys, breaks, matches
from reconciliation.breaks import BreakReason
from revenue_engine import ledger, payments, periods
from revenue_engine.billing import open_bills, payers
from revenue_engine.collection.tools import Tools
from revenue_engine.ledger import chart, postings
from revenue_engine.ledger.postings import Placed
from revenue_engine.payments import NewApplication, receipts
from revenue_engine.work.kinds import Kind, Work

BY_HAND = "hand"
"""The rung of what one person asked for and another agreed to: only so does money change its lawful destination."""
MOVED = "moved"
"""The rung of money that two persons moved from a wrong place to the right bill, and of what takes it off the wrong."""
_BY_TWO_PERSONS = frozenset({BY_HAND, MOVED})


@dataclass(frozen=True, slots=True)
class Move:
    """Money of one payment about to leave suspense, and what locked bills took of it, by component in cents."""

    held: payments.Held
    taken: Sequence[tuple[open_bills.Open, Sequence[tuple[str, int]]]]
    rung: str

    @classmethod
    def plan(cls, held: payments.Held, wanted: Sequence[tuple[open_bills.Open, int]], *, rung: str) -> Move:
        """Take up to so many cents off each bill. The bills and the payment are locked."""
        return cls(held, [(bill, bill.pay(minor)) for bill, minor in wanted], rung)

    @property
    def bills(self) -> list[tuple[int, str, str, str | None]]:
        """Each bill that takes some of it, as ``payments.crossing`` asks for them."""
        one = self.held
        return [
            (one.payment_id, one.account, bill.bill.stream_code, bill.bill.station_code)
            for bill, parts in self.taken
            if parts
        ]

    @property
    def rest_minor(self) -> int:
        """What no bill took, in cents."""
        return self.held.amount_minor - sum(part for _, parts in self.taken for _, part in parts)


def identify(session: Session, one: payments.Held, bill: open_bills.Open, *, rung: str) -> None:
    """Move money out of suspense to its bill; what is above the bill stays held, for its payer where one is known."""
    identify_many(session, [Move.plan(one, [(bill, one.amount_minor)], rung=rung)])


def identify_many(session: Session, moves: Sequence[Move]) -> list[ledger.Posted | None]:
    """Move money of several payments out of suspense to their bills; answers each one's journal, None where no bill
    took any and no payer is known, or where the bill is another destination's and no two persons agreed to that. What
    is above its last bill is its payer's credit, or stays in suspense."""
    across = crossing(session, moves)
    recorded = payments.by_ids(session, (move.held.payment_id for move in moves))
    since = payments.last_application(session, recorded)
    journals, rests = {}, {}
    for place, move in enumerate(moves):
        if place in across and move.rung not in _BY_TWO_PERSONS:
            continue
        homes, rest = _homes(session, move, recorded[move.held.payment_id], across=place in across)
        if homes:
            journals[place] = _journal(move, homes, after=since.get(move.held.payment_id, 0), across=place in across)
            rests[place] = rest
    posted = dict(zip(journals, ledger.post_many(session, list(journals.values())), strict=True))
    payments.apply(
        session,
        [
            NewApplication(
                moves[place].held.payment_id, bill.bill.invoice_id, part[0], part[1], journal.id, moves[place].rung
            )
            for place, journal in posted.items()
            for bill, parts in moves[place].taken
            for part in parts
        ],
    )
    done = [moves[place].held.payment_id for place in posted]
    _replace_papers(session, [recorded[payment_id] for payment_id in done], list(posted.values()))
    for place, rest in rests.items():
        if rest:
            breaks.lower(session, [break_keys.suspense(moves[place].held.payment_id)], amount_minor=rest)
    found = [break_keys.suspense(moves[place].held.payment_id) for place, rest in rests.items() if not rest]
    breaks.close_many(session, found, resolution="the money is set on a bill")
    return [posted.get(place) for place in range(len(moves))]


def crossing(session: Session, moves: Sequence[Move]) -> set[int]:
    """Which moves, by their place, would take money from one lawful destination (Fund, facility, concessionaire) to
    another's bill."""
    asked = [(place, bill) for place, move in enumerate(moves) for bill in move.bills]
    found = payments.crossing(session, [bill for _, bill in asked])
    return {asked[index][0] for index in found}


def _homes(session: Session, move: Move, payment: payments.Recorded, *, across: bool) -> tuple[list[Placed], int]:
    """Where the money goes, and how much of it stays in suspense: all that is left, where it goes across."""
    amounts = [(bill, sum(part for _, part in parts)) for bill, parts in move.taken]
    homes = [Placed(amount, bill.bill) for bill, amount in amounts if amount]
    rest, last = move.rest_minor, move.taken[-1][0]
    if not rest or across or last.bill.payer_id is None:
        return homes, rest
    named = last.bill
    homes.append(
        Placed(rest, None, named.payer_id, named.stream_code, named.station_code, named_invoice_id=named.invoice_id)
    )
    if len(homes) == 1:
        _open_credit_break(session, payment, last, rest)
    return homes, 0


def _journal(move: Move, homes: Sequence[Placed], *, after: int, across: bool) -> tuple[str, ledger.Journal]:
    """The journal and its key: which payment, the first bill it pays, and what had been done with it before."""
    one = move.held
    key = f"payment:{one.payment_id}:identified:{move.taken[0][0].bill.invoice_id}:{after}"
    if across:
        reason = "two persons agreed; the holder owes it to the destination of the bill"
        return key, postings.paid_between_entities(
            homes, held_in=one.account, payment_id=one.payment_id, at=periods.now(), reason=reason
        )
    journal = postings.suspense_identified(
        homes,
        payment_id=one.payment_id,
        stream_code=one.stream_code,
        station_code=one.station_code,
        at=periods.now(),
    )
    return key, journal


def _replace_papers(session: Session, identified: Sequence[payments.Recorded], posted: Sequence[ledger.Posted]) -> None:
    """A receipt for each payment that had an acknowledgement only; its number is taken last."""
    ids = [payment.id for payment in identified]
    replaced = receipts.standing(session, ids, kind="acknowledgement")
    receipts.cancel(session, sorted(replaced), reason="replaced by a receipt", kinds=["acknowledgement"])
    turns = receipts.turns(session, sorted(replaced), kind="receipt")
    receipts.issue(
        session,
        [
            receipts.ToIssue(
                one.id, "receipt", one.amount_minor, one.occurred_at, journal.book_date, turns.get(one.id, 1)
            )
            for one, journal in zip(identified, posted, strict=True)
            if one.id in replaced
        ],
    )


def _open_credit_break(session: Session, payment: payments.Recorded, bill: open_bills.Open, amount_minor: int) -> None:
    """Tell that money found a bill that takes none, as is told when such money names its bill at once."""
    reason, detail = BreakReason.DUPLICATE_PAYMENT, "the bill was paid before the money came"
    if bill.cancelled:
        reason, detail = (
            BreakReason.PAID_CANCELLED_OR_EXPIRED,
            "the bill was cancelled before the money came; the bill was not paid",
        )
    breaks.open_many(
        session,
        [
            breaks.NewBreak(
                break_keys.credit(payment.id),
                reason,
                f"{detail}; the money is held as credit of the payer",
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
    standing = _held(session, bill, only_named=only_named)
    across = payments.crossing(
        session,
        [(one.payment_id, one.account, bill.bill.stream_code, bill.bill.station_code) for one in standing],
    )
    standing = [one for place, one in enumerate(standing) if place not in across]  # no rule moves it to another's bill
    judged = matches.refused(session, payment_ids=[one.payment_id for one in standing]) if standing else {}
    for one in standing:
        if invoice_id in judged.get(one.payment_id, ()):
            continue  # a person took it back from this very bill
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
    after = payments.last_application(session, [one.payment_id]).get(one.payment_id, 0)
    journal = ledger.post(
        session,
        postings.credit_applied(bill.bill, sum(part for _, part in taken), payment_id=one.payment_id, at=periods.now()),
        key=f"payment:{one.payment_id}:credit:{bill.bill.invoice_id}:{after}",
    )
    payments.apply(
        session,
        [
            NewApplication(one.payment_id, bill.bill.invoice_id, part[0], part[1], journal.id, "credit")
            for part in taken
        ],
    )
    keys = [break_keys.credit(one.payment_id)]
    rest = one.amount_minor - sum(part for _, part in taken)
    if rest and not named:  # what named this bill is now no more than an overpayment of it
        breaks.lower(session, keys, amount_minor=rest)
    else:
        breaks.close_many(session, keys, resolution="the credit of the payer paid a bill")


def without_credit(session: Session, invoice_ids: Sequence[int]) -> set[int]:
    """Which of some new bills no credit can pay, because their payers never had any. Waits for who works on it now.

    A county bills tens of thousands of payers on one day, and nearly none of them has credit.
    """
    owed = payers.of_bills(session, invoice_ids)
    open_bills.lock_payers(session, owed.values())
    rich = payments.with_credit(session, list(owed.values()))
    return {invoice_id for invoice_id in invoice_ids if owed.get(invoice_id) not in rich}


AT_ONCE = 500
JOBS = (
    Work[Tools](
        Kind.APPLY_CREDIT,
        lambda session, invoice_id, _: apply_credit(session, invoice_id),
        at_once=AT_ONCE,
        spared=without_credit,
    ),
    Work[Tools](Kind.PAY_REOPENED, lambda session, invoice_id, _: pay_reopened(session, invoice_id)),
)
