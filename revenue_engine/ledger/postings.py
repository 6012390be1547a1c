"""The accountant's page: one function per business fact, each saying which account pays which. Pure.

Amounts are positive cents. ``Dr`` in the comments is the debit side, ``Cr`` the credit side of every posting made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from revenue_engine.errors import InvalidValue
from revenue_engine.ledger import chart
from revenue_engine.ledger.journal import Journal, Posting


@dataclass(frozen=True, slots=True)
class Bill:
    """The bill a posting is about."""

    invoice_id: int
    stream_code: str
    station_code: str | None = None
    payer_id: int | None = None


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a part of a payment goes: to a bill; else to the payer's credit; else to suspense."""

    amount_minor: int
    bill: Bill | None = None
    payer_id: int | None = None
    stream_code: str | None = None
    station_code: str | None = None
    named_invoice_id: int | None = None
    """The bill that money in credit or suspense named: if that bill opens again, this money pays it."""


def _home(place: Placed) -> str:
    if place.bill is not None:
        return chart.receivable(place.bill.stream_code)
    return chart.SUSPENSE if place.payer_id is None else chart.UNAPPLIED_CREDIT


def _move(debit: str, credit: str, place: Placed, *, payment_id: int | None, channel: int | None) -> Posting:
    if place.bill is None:
        return Posting(
            debit,
            credit,
            place.amount_minor,
            stream_code=place.stream_code,
            station_code=place.station_code,
            channel_account_id=channel,
            payer_id=place.payer_id,
            invoice_id=place.named_invoice_id,
            payment_id=payment_id,
        )
    return Posting(
        debit,
        credit,
        place.amount_minor,
        stream_code=place.bill.stream_code,
        station_code=place.bill.station_code,
        channel_account_id=channel,
        payer_id=place.bill.payer_id,
        invoice_id=place.bill.invoice_id,
        payment_id=payment_id,
    )


def _billed(bill: Bill, debit: str, credit: str, amount: int) -> Posting:
    return _move(debit, credit, Placed(amount, bill), payment_id=None, channel=None)


# --- billing ---------------------------------------------------------------------------------------------------------


def invoice_issued(bill: Bill, components: Mapping[str, int], *, at: datetime) -> Journal:
    """Dr receivable, Cr revenue: one posting per component of the bill."""
    return Journal(
        "invoice_issued",
        at,
        tuple(
            _billed(bill, chart.receivable(bill.stream_code), chart.revenue(bill.stream_code, component), amount)
            for component, amount in components.items()
            if amount
        ),
    )


def penalty_charged(bill: Bill, *, component: str, amount_minor: int, at: datetime) -> Journal:
    """Dr receivable, Cr revenue (penalty or interest) of an existing bill."""
    if component not in {"penalty", "interest"}:
        raise InvalidValue("only a penalty or an interest is charged on a bill", component=component)
    return invoice_issued(bill, {component: amount_minor}, at=at)


def invoice_cancelled(bill: Bill, components: Mapping[str, int], *, at: datetime, reason: str) -> Journal:
    """Dr revenue, Cr receivable: an unpaid bill of the same financial year is taken back."""
    return Journal(
        "invoice_cancelled",
        at,
        tuple(
            _billed(bill, chart.revenue(bill.stream_code, component), chart.receivable(bill.stream_code), amount)
            for component, amount in components.items()
            if amount
        ),
        reason=reason,
    )


def credit_noted(bill: Bill, components: Mapping[str, int], *, at: datetime, reason: str) -> Journal:
    """Dr adjustment, Cr receivable: what is left of a bill of an earlier year or a part-paid bill is taken back."""
    total = sum(components.values())
    postings = (_billed(bill, chart.ADJUSTMENT, chart.receivable(bill.stream_code), total),)
    return Journal("credit_noted", at, postings, reason=reason)


_FORGIVEN = {
    "waiver": chart.WAIVER,
    "discount": chart.DISCOUNT,
    "exemption": chart.EXEMPTION,
    "adjustment": chart.ADJUSTMENT,
}


def forgiven(bill: Bill, amount_minor: int, *, kind: str, at: datetime, reason: str) -> Journal:
    """Dr contra-revenue (waiver, discount, exemption or adjustment), Cr receivable. Cash is never touched."""
    if kind not in _FORGIVEN:
        raise InvalidValue(f"a bill is forgiven by one of {', '.join(_FORGIVEN)}", kind=kind)
    posting = _billed(bill, _FORGIVEN[kind], chart.receivable(bill.stream_code), amount_minor)
    return Journal(f"{kind}_granted", at, (posting,), reason=reason)


def written_off(bill: Bill, amount_minor: int, *, at: datetime, reason: str) -> Journal:
    """Dr write-off, Cr receivable; and a memorandum, so that it can still be recovered."""
    return Journal(
        "written_off",
        at,
        (
            _billed(bill, chart.WRITE_OFF, chart.receivable(bill.stream_code), amount_minor),
            _billed(bill, chart.MEMO_WRITTEN_OFF, chart.MEMO_CONTROL, amount_minor),
        ),
        reason=reason,
    )


def transferred(
    origin: Bill, target: Bill, amount_minor: int, *, payment_id: int, at: datetime, reason: str
) -> Journal:
    """Dr receivable of the bill paid by mistake, Cr receivable of the right one. Two persons agree to it.

    Through suspense, in and out at once: so each side is a posting of its own and names its own bill, payer and stream.
    """
    postings = (
        _move(
            chart.receivable(origin.stream_code),
            chart.SUSPENSE,
            Placed(amount_minor, origin),
            payment_id=payment_id,
            channel=None,
        ),
        _move(
            chart.SUSPENSE,
            chart.receivable(target.stream_code),
            Placed(amount_minor, target),
            payment_id=payment_id,
            channel=None,
        ),
    )
    return Journal("transferred", at, postings, reason=reason)


def insurer_billed(bill: Bill, amount_minor: int, *, at: datetime) -> Journal:
    """Dr receivable from insurers, Cr receivable of the patient's bill: the insurer owes it now (FIF, SHA)."""
    posting = _billed(bill, chart.INSURER_RECEIVABLE, chart.receivable(bill.stream_code), amount_minor)
    return Journal("insurer_billed", at, (posting,))


# --- money in --------------------------------------------------------------------------------------------------------


def payment_received(
    places: Iterable[Placed], *, payment_id: int, channel_account_id: int, clearing: str, at: datetime
) -> Journal:
    """Dr channel clearing, Cr receivable, unapplied credit or suspense: every cent of a confirmed credit has a home."""
    return Journal(
        "payment_received",
        at,
        tuple(
            _move(clearing, _home(place), place, payment_id=payment_id, channel=channel_account_id) for place in places
        ),
    )


def payment_reversed(
    places: Iterable[Placed], *, payment_id: int, channel_account_id: int, clearing: str, at: datetime
) -> Journal:
    """Dr wherever the money now is, Cr channel clearing: the provider took it back and the bill is open again."""
    return Journal(
        "payment_reversed",
        at,
        tuple(
            _move(_home(place), clearing, place, payment_id=payment_id, channel=channel_account_id) for place in places
        ),
    )


def insurer_paid(
    amount_minor: int, *, payment_id: int, channel_account_id: int, clearing: str, at: datetime
) -> Journal:
    """Dr clearing, Cr receivable from insurers."""
    posting = Posting(
        clearing,
        chart.INSURER_RECEIVABLE,
        amount_minor,
        channel_account_id=channel_account_id,
        payment_id=payment_id,
    )
    return Journal("insurer_paid", at, (posting,))


def suspense_identified(
    places: Iterable[Placed], *, payment_id: int, stream_code: str | None, station_code: str | None, at: datetime
) -> Journal:
    """Dr suspense, Cr receivable or unapplied credit: the payment keeps its own date, the posting is today's."""
    postings = []
    for place in places:
        moved = _move(chart.SUSPENSE, _home(place), place, payment_id=payment_id, channel=None)
        if place.bill is None and place.named_invoice_id is None:
            moved = moved._replace(stream_code=stream_code, station_code=station_code)
        postings.append(moved)
    return Journal("suspense_identified", at, tuple(postings))


def placing_taken_back(places: Iterable[Placed], *, payment_id: int, at: datetime, reason: str) -> Journal:
    """Dr receivable or unapplied credit, Cr suspense: money that was placed wrongly waits for its right place."""
    postings = tuple(
        _move(_home(place), chart.SUSPENSE, place, payment_id=payment_id, channel=None) for place in places
    )
    return Journal("placing_taken_back", at, postings, reason=reason)


def credit_applied(bill: Bill, amount_minor: int, *, payment_id: int, at: datetime) -> Journal:
    """Dr unapplied credit, Cr receivable: a payer's credit pays the next bill."""
    posting = _move(
        chart.UNAPPLIED_CREDIT,
        chart.receivable(bill.stream_code),
        Placed(amount_minor, bill),
        payment_id=payment_id,
        channel=None,
    )
    return Journal("credit_applied", at, (posting,))


def paid_between_entities(
    places: Iterable[Placed], *, held_in: str, payment_id: int, at: datetime, reason: str
) -> Journal:
    """Dr suspense or unapplied credit, Cr receivable: money of one lawful destination pays the bill of another.

    And Dr due from, Cr due to another entity by as much: the holder owes the destination until both banks show the
    transfer (``entity_paid``, ``entity_received``). Two persons agree to it; no rule ever does.
    """
    if held_in not in {chart.SUSPENSE, chart.UNAPPLIED_CREDIT}:
        raise InvalidValue("money between entities is held in suspense or as credit", account=held_in)
    postings = []
    for place in places:
        if place.bill is None:
            raise InvalidValue("money between entities pays a bill", payment_id=payment_id)
        for debit, credit in ((held_in, _home(place)), (chart.DUE_FROM_ENTITY, chart.DUE_TO_ENTITY)):
            postings.append(_move(debit, credit, place, payment_id=payment_id, channel=None))
    return Journal("paid_between_entities", at, tuple(postings), reason=reason)


def entity_paid(amount_minor: int, *, bank: str, payment_id: int, at: datetime) -> Journal:
    """Dr due to another entity, Cr bank: the holder's bank shows that the money left for its destination."""
    posting = Posting(chart.DUE_TO_ENTITY, _bank(bank), amount_minor, payment_id=payment_id)
    return Journal("entity_paid", at, (posting,))


def entity_received(amount_minor: int, *, bank: str, payment_id: int, at: datetime) -> Journal:
    """Dr bank, Cr due from another entity: the destination's bank shows that the money came."""
    posting = Posting(_bank(bank), chart.DUE_FROM_ENTITY, amount_minor, payment_id=payment_id)
    return Journal("entity_received", at, (posting,))


def _bank(account: str) -> str:
    if not account.startswith(f"{chart.BANK}."):
        raise InvalidValue(f"a bank account stands under {chart.BANK}", account=account)
    return account


def opening_balance(account: str, amount_minor: int, *, at: datetime, reason: str, owed: bool = False) -> Journal:
    """Dr account, Cr accumulated balance at cut-over; ``owed``: Dr accumulated balance, Cr account (a liability).

    Opening balances stand against 3000 and never against revenue: what was earned before is no income of this year.
    """
    if account[:1] not in {"1", "2"}:
        raise InvalidValue("an opening balance is of an asset or a liability", account=account)
    sides = (chart.ACCUMULATED_BALANCE, account) if owed else (account, chart.ACCUMULATED_BALANCE)
    return Journal("opening_balance", at, (Posting(*sides, amount_minor),), reason=reason)


def misdirected(amount_minor: int, *, payment_id: int, at: datetime, reason: str) -> Journal:
    """Dr suspense, Cr misdirected: the money is not the county's and waits to go back."""
    posting = Posting(chart.SUSPENSE, chart.MISDIRECTED, amount_minor, payment_id=payment_id)
    return Journal("misdirected", at, (posting,), reason=reason)


def collector_received(bill: Bill, amount_minor: int, *, at: datetime, reason: str) -> Journal:
    """Dr collector custody, Cr receivable: a cash exception, in a serialised book."""
    posting = _billed(bill, chart.COLLECTOR_CUSTODY, chart.receivable(bill.stream_code), amount_minor)
    return Journal("collector_received", at, (posting,), reason=reason)


def collector_banked(amount_minor: int, *, bank: str, at: datetime) -> Journal:
    """Dr bank, Cr collector custody."""
    return Journal("collector_banked", at, (Posting(bank, chart.COLLECTOR_CUSTODY, amount_minor),))


# --- money onward ----------------------------------------------------------------------------------------------------


def settled(
    net_minor: int, fee_minor: int, *, bank: str, clearing: str, channel_account_id: int, at: datetime
) -> Journal:
    """Dr bank for the net and Dr charges for the fee, Cr clearing for both: gross, never netted out of revenue."""
    postings = [
        Posting(account, clearing, amount, channel_account_id=channel_account_id)
        for account, amount in ((bank, net_minor), (chart.CHARGES, fee_minor))
        if amount
    ]
    return Journal("settled", at, tuple(postings))


def channel_charged(amount_minor: int, *, clearing: str, channel_account_id: int, at: datetime) -> Journal:
    """Dr charges, Cr clearing: what a channel takes out of what it holds for us, by its own statement."""
    posting = Posting(chart.CHARGES, clearing, amount_minor, channel_account_id=channel_account_id)
    return Journal("channel_charged", at, (posting,))


def bank_charged(amount_minor: int, *, bank: str, at: datetime) -> Journal:
    """Dr charges, Cr bank."""
    return Journal("bank_charged", at, (Posting(chart.CHARGES, bank, amount_minor),))


def swept(amount_minor: int, *, bank: str, at: datetime) -> Journal:
    """Dr County Revenue Fund in transit, Cr collection bank: within five working days of receipt (r.81)."""
    return Journal("swept", at, (Posting(chart.CRF_IN_TRANSIT, bank, amount_minor),))


def crf_credited(amount_minor: int, *, at: datetime) -> Journal:
    """Dr County Revenue Fund, Cr in transit: the Central Bank shows the credit."""
    return Journal("crf_credited", at, (Posting(chart.CRF, chart.CRF_IN_TRANSIT, amount_minor),))


def concession_shared(bill: Bill, component: str, amount_minor: int, *, payment_id: int, at: datetime) -> Journal:
    """Dr concessionaire's share, Cr due to concessionaire: revenue (4000) stays gross, the share is its own account.

    ``component``: which part of the bill it is a share of.
    """
    accounts = chart.CONCESSION_SHARE, chart.DUE_TO_CONCESSIONAIRE
    return _shared("concession_shared", accounts, bill, component, amount_minor, payment_id, at)


def facility_retained(bill: Bill, component: str, amount_minor: int, *, payment_id: int, at: datetime) -> Journal:
    """Dr retained by facility, Cr due to facility: not for the Fund (Facilities Improvement Financing Act 2023), and
    counted in full all the same, because revenue (4000) stays gross."""
    accounts = chart.FACILITY_SHARE, chart.DUE_TO_FACILITY
    return _shared("facility_retained", accounts, bill, component, amount_minor, payment_id, at)


def _shared(
    kind: str, accounts: tuple[str, str], bill: Bill, component: str, amount_minor: int, payment_id: int, at: datetime
) -> Journal:
    if component not in chart.COMPONENTS:
        raise InvalidValue(f"a share is of one of {', '.join(chart.COMPONENTS)}", component=component)
    posting = _move(*accounts, Placed(amount_minor, bill), payment_id=payment_id, channel=None)
    return Journal(kind, at, (posting,))


def share_paid(amount_minor: int, *, due_to: str, bank: str, at: datetime) -> Journal:
    """Dr due to concessionaire or facility, Cr bank: their own money leaves."""
    if due_to not in {chart.DUE_TO_CONCESSIONAIRE, chart.DUE_TO_FACILITY}:
        raise InvalidValue("a share is due to a concessionaire or a facility", account=due_to)
    return Journal("share_paid", at, (Posting(due_to, bank, amount_minor),))


def refund_approved(
    amount_minor: int, *, payer_id: int, payment_id: int, at: datetime, reason: str, revenue_account: str | None = None
) -> Journal:
    """Dr unapplied credit (or the revenue it was wrongly taken for), Cr refunds payable."""
    posting = Posting(
        revenue_account or chart.UNAPPLIED_CREDIT,
        chart.REFUNDS_PAYABLE,
        amount_minor,
        payer_id=payer_id,
        payment_id=payment_id,
    )
    return Journal("refund_approved", at, (posting,), reason=reason)


def refund_paid(amount_minor: int, *, payer_id: int, payment_id: int, at: datetime) -> Journal:
    """Dr refunds payable, Cr County Revenue Fund: by voucher from the Fund, never out of the till."""
    posting = Posting(chart.REFUNDS_PAYABLE, chart.CRF, amount_minor, payer_id=payer_id, payment_id=payment_id)
    return Journal("refund_paid", at, (posting,))


def misdirected_returned(amount_minor: int, *, payment_id: int, bank: str, at: datetime) -> Journal:
    """Dr misdirected, Cr bank: money that was never the county's goes back."""
    return Journal("misdirected_returned", at, (Posting(chart.MISDIRECTED, bank, amount_minor, payment_id=payment_id),))
