"""Bills with their money: what was paid on a bill, by what, and what was taken off again; and lists of bills."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from revenue_engine import payments, periods
from revenue_engine.access.scope import WHOLE, Scope
from revenue_engine.billing import counter, payers
from revenue_engine.money import wire
from revenue_engine.reports.homes import homes
from revenue_engine.reports.model import Column, Kind, Section

_COLUMNS = (
    Column("pay_account_number", "Pay account"),
    Column("number", "Bill"),
    Column("state", "State"),
    Column("stream", "Stream"),
    Column("station", "Station"),
    Column("object", "For"),
    Column("total", "Total", Kind.MONEY),
    Column("outstanding", "Left", Kind.MONEY),
    Column("issued_at", "Issued", Kind.INSTANT),
    Column("due_on", "Due"),
)


def describe(session: Session, number: str) -> dict[str, Any]:
    """A bill by either of its numbers, with every payment that was ever set against it. Raises NotFound.

    ``applied`` is what stands, ``taken_off`` what was taken away again, both decimal strings; ``reversed_by`` is the
    provider's reference of the reversal.
    """
    bill = counter.describe(session, number)
    told = payments.history(session, payers.invoice_id(session, bill["id"]))
    where = homes(session, [one.payment_id for one in told])
    bill["payments"] = [
        {
            "reference": where[one.payment_id].payment.identity.reference,
            "occurred_at": where[one.payment_id].payment.occurred_at.astimezone(periods.NAIROBI).isoformat(),
            "applied": wire(one.put_minor - one.taken_minor),
            "taken_off": wire(one.taken_minor),
            "reversed_by": where[one.payment_id].taken_back or None,
            "found_by": one.rung,
            "receipts": list(where[one.payment_id].papers),
        }
        for one in told
    ]
    return bill


def section(session: Session, *, limit: int, scope: Scope = WHOLE, **wanted: str | None) -> Section:
    """The newest bills; ``wanted`` is what ``counter.listed`` takes. The note says when there are more."""
    found = counter.listed(session, before=None, limit=limit + 1, scope=scope, **wanted)
    rows = tuple(
        (
            one.pay_account_number,
            one.number,
            one.state,
            one.stream,
            one.station,
            one.thing,
            one.total_minor,
            one.outstanding_minor,
            one.issued_at,
            one.due_on.isoformat(),
        )
        for one in found[:limit]
    )
    note = (
        f"the newest {limit:,}; there are more: say --limit, --state, --stream or --station"
        if len(found) > limit
        else ""
    )
    return Section("bills", "Bills", _COLUMNS, rows, note)
