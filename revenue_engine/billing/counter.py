"""Bills from the counter's point of view: issue from tariff items in one step, and show how a bill stands."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from revenue_engine import periods
from revenue_engine.billing import invoices, payers, tariffs
from revenue_engine.billing.payers import Invoice, InvoiceLine, OpenBill, Payer
from revenue_engine.billing.tariffs import Charge
from revenue_engine.db import raw
from revenue_engine.errors import InvalidValue, NotFound
from revenue_engine.money import wire

USUAL_DAYS_TO_PAY = 30


def issue_from_items(
    session: Session,
    *,
    items: Sequence[str],
    by: str,
    payer_public_id: str | None = None,
    name: str | None = None,
    phone: str | None = None,
    station_code: str | None = None,
    due_on: date | None = None,
) -> dict[str, Any]:
    """Issue one bill for tariff items (``ITEM`` or ``ITEM:quantity``) to a known payer, a new one, or nobody.

    Answers what ``describe`` answers. Raises InvalidValue for a malformed item or a payer named twice, NotFound for an
    unknown payer or an item without a tariff in force.
    """
    if not items:
        raise InvalidValue("name at least one tariff item", field="item")
    if payer_public_id and name:
        raise InvalidValue("name a known payer or a new one, not both", field="payer")
    if phone and not name:
        raise InvalidValue("a phone needs the name of its payer", field="name")
    charges = [_charge(item) for item in items]
    today = periods.today()
    stream = tariffs.assess(session, item_code=charges[0].item_code, quantity=1, on=today).stream_code
    payer_id = None
    if payer_public_id:
        payer_id = session.scalar(select(Payer.id).where(Payer.public_id == payer_public_id))
        if payer_id is None:
            raise NotFound(f"no payer {payer_public_id!r}", payer=payer_public_id)
    elif name:
        payer_id = payers.add_payer(session, name=name, phone=phone).id
    issued = invoices.issue_invoice(
        session,
        invoices.InvoiceRequest(
            stream_code=stream,
            lines=charges,
            due_on=due_on or today + timedelta(days=USUAL_DAYS_TO_PAY),
            payer_id=payer_id,
            station_code=station_code,
        ),
        issued_by=by,
    )
    return describe(session, issued.number)


def _charge(item: str) -> Charge:
    code, colon, quantity = item.partition(":")
    if colon and not (quantity.isascii() and quantity.isdigit() and 1 <= int(quantity) <= 1_000_000):
        raise InvalidValue(f"write an item as CODE or CODE:quantity, not {item!r}", field="item")
    return Charge(code.strip(), int(quantity) if colon else 1)


def describe(session: Session, number: str) -> dict[str, Any]:
    """A bill and what is left of it, as plain data with money as decimal strings; found by either of its numbers."""
    text = number.strip().upper()
    if text.startswith("INV"):
        invoice = payers.find_invoice(session, number=text)
    else:
        invoice = payers.find_invoice(session, pay_account_number=text)
    open_bill = session.get(OpenBill, invoice.id)
    if open_bill is None:
        raise NotFound(f"bill {invoice.number} has no open balance row: run 'revenue-engine ledger verify'")
    lines = session.scalars(select(InvoiceLine).where(InvoiceLine.invoice_id == invoice.id).order_by(InvoiceLine.seq))
    pay = invoice.pay_account_number
    return {
        "id": invoice.public_id,
        "number": invoice.number,
        "pay_account_number": pay,
        "pay_account_printed": f"{pay[:3]} {pay[3:6]} {pay[6:]}",
        "state": state(invoice, open_bill),
        "stream": invoice.stream_code,
        "station": invoice.station_code,
        "payer": _payer_public_id(session, invoice.payer_id),
        "total": wire(invoice.total_minor),
        "outstanding": wire(open_bill.outstanding_minor),
        "currency": invoice.currency,
        "issued_at": invoice.issued_at.astimezone(periods.NAIROBI).isoformat(),
        "due_on": invoice.due_on.isoformat(),
        "lines": [
            {
                "description": line.description,
                "component": line.component,
                "quantity": line.quantity,
                "unit_amount": wire(line.unit_amount_minor),
                "amount": wire(line.amount_minor),
            }
            for line in lines
        ],
        "payments": _payments(session, invoice.id),
    }


def state(invoice: Invoice, open_bill: OpenBill) -> str:
    """How a bill stands, derived: cancelled, paid, part-paid, overdue or unpaid. Nobody can set it."""
    if open_bill.cancelled:
        return "cancelled"
    if open_bill.outstanding_minor == 0:
        return "paid"
    if open_bill.outstanding_minor < invoice.total_minor:
        return "part-paid"
    return "overdue" if invoice.due_on < periods.today() else "unpaid"


def _payer_public_id(session: Session, payer_id: int | None) -> str | None:
    return None if payer_id is None else session.scalar(select(Payer.public_id).where(Payer.id == payer_id))


def _payments(session: Session, invoice_id: int) -> list[dict[str, Any]]:
    rows = raw(session).execute(
        "SELECT p.reference, p.occurred_at, sum(a.amount_minor)::bigint, min(a.rung) FROM application a"
        " JOIN payment p ON p.id = a.payment_id WHERE a.invoice_id = %s GROUP BY p.id ORDER BY p.occurred_at, p.id",
        (invoice_id,),
    )
    return [
        {
            "reference": reference,
            "occurred_at": at.astimezone(periods.NAIROBI).isoformat(),
            "applied": wire(amount),
            "found_by": rung,
        }
        for reference, at, amount, rung in rows
    ]
