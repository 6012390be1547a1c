"""Bills from the counter's point of view: issue from tariff items in one step, and show how a bill stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from revenue_engine import identifiers, periods
from revenue_engine.access.scope import WHOLE, Scope
from revenue_engine.billing import invoices, payers, tariffs
from revenue_engine.billing.payers import Invoice, InvoiceLine, OpenBill, Payer
from revenue_engine.billing.tariffs import Charge, Station, TariffLine
from revenue_engine.db import raw
from revenue_engine.errors import Conflict, InvalidValue, NotFound, RevenueError
from revenue_engine.money import wire

USUAL_DAYS_TO_PAY = 30


@dataclass(frozen=True, slots=True)
class Wanted:
    """A bill as a counter asks for it: tariff items (``ITEM`` or ``ITEM:quantity``) to a known payer, a new one, or
    nobody. ``expected_minor`` is the total that the payer was told, in cents."""

    items: Sequence[str]
    payer_public_id: str | None = None
    name: str | None = None
    phone: str | None = None
    station_code: str | None = None
    due_on: date | None = None
    expected_minor: int | None = None


def issue_from_items(session: Session, *, by: str, **wanted: Any) -> dict[str, Any]:
    """Issue one bill, whose parts are those of ``Wanted``; answers and raises as ``issue_many``."""
    return issue_many(session, [Wanted(**wanted)], by=by)[0]


def issue_many(session: Session, wanted: Sequence[Wanted], *, by: str) -> list[dict[str, Any]]:
    """Issue bills, all or none, in a fixed number of statements beside one for each new payer.

    Answers what ``describe`` answers, in the order asked. Raises InvalidValue for a malformed item or a payer named
    twice, NotFound for an unknown payer or an item without a tariff in force, Conflict where the tariff says another
    total than the payer was told. The fact ``index`` says which bill is wrong, where it is one of them.
    """
    today = periods.today()
    streams: dict[str, str] = {}
    requests, owners = [], []
    for index, one in enumerate(wanted):
        try:
            charges, owner = _charges(one), _owner(session, one)
            first = charges[0].item_code
            if first not in streams:
                streams[first] = tariffs.assess(session, item_code=first, quantity=1, on=today).stream_code
        except RevenueError as error:
            error.facts.setdefault("index", index)
            raise
        owners.append(owner)
        requests.append(
            invoices.InvoiceRequest(
                stream_code=streams[first],
                lines=charges,
                due_on=one.due_on or today + timedelta(days=USUAL_DAYS_TO_PAY),
                payer_id=None if owner is None else owner.id,
                station_code=one.station_code,
            )
        )
    issued = invoices.issue_invoices(session, requests, issued_by=by)
    for index, (made, one) in enumerate(zip(issued, wanted, strict=True)):
        if one.expected_minor is not None and made.total_minor != one.expected_minor:
            raise Conflict(
                f"the tariff in force makes this bill {wire(made.total_minor)}, not {wire(one.expected_minor)}: no bill"
                " was issued; tell the payer the new total",
                field="expected_total",
                index=index,
            )
    return [_as_issued(made, owner, today) for made, owner in zip(issued, owners, strict=True)]


def _charges(one: Wanted) -> list[Charge]:
    if not one.items:
        raise InvalidValue("name at least one tariff item", field="item")
    if one.payer_public_id and one.name:
        raise InvalidValue("name a known payer or a new one, not both", field="payer")
    if one.phone and not one.name:
        raise InvalidValue("a phone needs the name of its payer", field="name")
    return [_charge(item) for item in one.items]


def _owner(session: Session, one: Wanted) -> Payer | None:
    if one.payer_public_id:
        found = session.scalar(select(Payer).where(Payer.public_id == one.payer_public_id))
        if found is None:
            raise NotFound(f"no payer {one.payer_public_id!r}", payer=one.payer_public_id)
        return found
    return payers.add_payer(session, name=one.name, phone=one.phone) if one.name else None


def _as_issued(made: invoices.Issued, owner: Payer | None, today: date) -> dict[str, Any]:
    """A bill that was just issued, as ``describe`` shows it: all of it is left."""
    pay = made.pay_account_number
    return {
        "id": made.public_id,
        "number": made.number,
        "pay_account_number": pay,
        "pay_account_printed": f"{pay[:3]} {pay[3:6]} {pay[6:]}",
        "state": "overdue" if made.due_on < today else "unpaid",
        "stream": made.stream_code,
        "station": made.station_code,
        "payer": None if owner is None else owner.public_id,
        "total": wire(made.total_minor),
        "outstanding": wire(made.total_minor),
        "currency": "KES",
        "issued_at": made.issued_at.astimezone(periods.NAIROBI).isoformat(),
        "due_on": made.due_on.isoformat(),
        "lines": [
            {
                "description": line.description,
                "component": line.component,
                "quantity": line.quantity,
                "unit_amount": wire(line.unit_amount_minor),
                "amount": wire(line.amount_minor),
            }
            for line in made.lines
        ],
    }


def sub_county(session: Session, station_code: str | None) -> str | None:
    """The sub-county of a station; None for none, which is the whole county. Raises NotFound."""
    if station_code is None:
        return None
    station = session.get(Station, station_code)
    if station is None:
        raise NotFound(f"no station {station_code!r}", field="station", station=station_code)
    return station.sub_county


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


@dataclass(frozen=True, slots=True)
class Heading:
    """What a printed bill says of itself beside its figures: whom it is for, empty where nobody is named, and the law
    that allows each charge."""

    payer: str
    laws: tuple[str, ...]


def heading(session: Session, public_id: str) -> Heading:
    """Whom a bill is for, personal data, and the laws of its tariff lines; the stream's own law where it has none."""
    invoice = payers.find_invoice(session, number=public_id)
    name = None if invoice.payer_id is None else session.scalar(select(Payer.name).where(Payer.id == invoice.payer_id))
    cited = session.scalars(
        select(TariffLine.law)
        .join(InvoiceLine, InvoiceLine.tariff_line_id == TariffLine.id)
        .where(InvoiceLine.invoice_id == invoice.id)
        .order_by(InvoiceLine.seq)
    ).all()
    return Heading(name or "", tuple(dict.fromkeys(cited or [tariffs.streams(session)[invoice.stream_code].law])))


STATES = ("unpaid", "part-paid", "overdue", "paid", "cancelled")
"""How a bill may stand."""


def state_named(text: str | None) -> str | None:
    """The state a person typed. Raises InvalidValue with the list."""
    if text is None:
        return None
    found = text.strip().lower().replace("_", "-").replace(" ", "-")
    if found not in STATES:
        raise InvalidValue(f"{text!r} is no state of a bill. The states: {', '.join(STATES)}", field="state")
    return found


@dataclass(frozen=True, slots=True)
class BillRow:
    """A bill as a list shows it, without personal data; amounts in cents."""

    number: str
    pay_account_number: str
    state: str
    stream: str
    station: str
    thing: str
    """The plate, stall or plot that the bill is for, where it is for one."""
    total_minor: int
    outstanding_minor: int
    issued_at: datetime
    due_on: date
    id: int
    """The bill's key: lists go on below the last one shown."""
    public_id: str


_OPEN = "b.outstanding_minor > 0 AND NOT b.cancelled"
_OF_STATE = {
    "unpaid": f"{_OPEN} AND b.due_on >= %(today)s",
    "part-paid": _OPEN,
    "overdue": f"{_OPEN} AND b.due_on < %(today)s",
    "cancelled": "b.cancelled",
}
"""What bills of a state have in common, written so that an index holds them."""


def _listed_sql(scope: Scope, state: str | None) -> str:
    return f"""
SELECT number, pay_account_number, state, stream_code, station_code, thing, total_minor, outstanding_minor, issued_at,
       due_on, id, public_id FROM (
    SELECT i.id, i.public_id, i.number, i.pay_account_number, i.stream_code,
           coalesce(i.station_code, '') AS station_code,
           coalesce(o.reference, '') AS thing, i.total_minor, b.outstanding_minor, i.issued_at, i.due_on,
           CASE WHEN b.cancelled THEN 'cancelled' WHEN b.outstanding_minor = 0 THEN 'paid'
                WHEN b.outstanding_minor < i.total_minor THEN 'part-paid'
                WHEN i.due_on < %(today)s THEN 'overdue' ELSE 'unpaid' END AS state
      FROM invoice i JOIN open_bill b ON b.invoice_id = i.id LEFT JOIN billed_object o ON o.id = i.object_id
     WHERE (%(ids)s::bigint[] IS NULL OR i.id = ANY(%(ids)s))
       AND (%(before)s::bigint IS NULL OR i.id < %(before)s)
       AND (%(stream)s::text IS NULL OR i.stream_code = %(stream)s)
       AND (%(station)s::text IS NULL OR i.station_code = %(station)s)
       AND {_OF_STATE.get(state or "", "true")}
       AND {scope.station("i.station_code")}) bill
 WHERE %(state)s::text IS NULL OR state = %(state)s
 ORDER BY id DESC LIMIT %(limit)s
"""  # noqa: S608 - the condition is the builder's own


def listed(
    session: Session,
    *,
    words: str | None = None,
    state: str | None = None,
    stream: str | None = None,
    station: str | None = None,
    before: int | None = None,
    limit: int = 100,
    scope: Scope = WHOLE,
) -> list[BillRow]:
    """The newest bills: of a state, a stream, a station; or those that a number, a plate or a phone names.

    ``before`` is the key of the last bill shown: only older ones are listed. ``scope`` is where who asks may look.

    Raises InvalidValue for another state than those of ``STATES``.
    """
    ids = None
    if words is not None:
        try:
            phone = payers.normalise_phone(words)
        except InvalidValue:
            phone = ""
        ids = payers.bills_named(session, words=identifiers.key(words), phone=phone)
    wanted = state_named(state)
    rows = raw(session).execute(
        _listed_sql(scope, wanted),
        {
            **scope.given,
            "ids": ids,
            "before": before,
            "state": wanted,
            "stream": stream and stream.upper(),
            "station": station and station.upper(),
            "today": periods.today(),
            "limit": limit,
        },
    )
    return [BillRow(*row) for row in rows]
