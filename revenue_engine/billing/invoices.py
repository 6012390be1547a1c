"""Issuing bills and taking unpaid ones back: many at once in a fixed number of statements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal, NamedTuple

from sqlalchemy.orm import Session

from revenue_engine import db, identifiers, ledger, periods
from revenue_engine.access import approvals, audit, sessions
from revenue_engine.access.approvals import Agreed
from revenue_engine.billing.payers import MOST_DRAWS, find_invoice
from revenue_engine.billing.tariffs import AssessedLine, Charge, assess_many
from revenue_engine.db import copy_rows, next_ids, raw, scalar
from revenue_engine.errors import Conflict, IntegrityFault, InvalidValue, NotFound
from revenue_engine.ledger import postings
from revenue_engine.ledger.chart import COMPONENTS
from revenue_engine.money import LARGEST_MINOR, wire
from revenue_engine.work import jobs
from revenue_engine.work.kinds import Kind

"""The kind of the work row that lets a payer's unapplied credit pay a bill issued here; its ref is the invoice's id.
Only the worker acts on evidence of money, so issuing asks for it and does not do it."""


CANCEL = "bill_cancel"
"""The kind of the request that cancels an unpaid bill."""


@dataclass(frozen=True, slots=True)
class InvoiceRequest:
    """A bill to be issued: what for, to whom, and by when it is to be paid.

    A ``Charge`` is priced by the tariff in force on the day of issue; an ``AssessedLine`` is taken as it is. All lines
    are of the stream. An object brings its own payer and station where none are named.
    """

    stream_code: str
    lines: Sequence[Charge | AssessedLine]
    due_on: date
    payer_id: int | None = None
    object_id: int | None = None
    station_code: str | None = None
    billing: Literal["bill", "spot"] = "bill"
    """``spot``: raised by the payment itself, where money comes before the service."""
    at: datetime | None = None
    """When it is issued (aware), where not with the rest of the batch: a spot bill is as old as its payment."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A bill as issued; ``components`` are cents, in the order in which money pays them, only those above zero."""

    id: int
    public_id: str
    number: str
    pay_account_number: str
    stream_code: str
    station_code: str | None
    payer_id: int | None
    object_id: int | None
    total_minor: int
    components: dict[str, int]
    due_on: date
    issued_at: datetime
    lines: tuple[AssessedLine, ...]

    @property
    def bill(self) -> postings.Bill:
        """The bill as the ledger's postings know it."""
        return postings.Bill(self.id, self.stream_code, self.station_code, self.payer_id)


@dataclass(frozen=True, slots=True)
class _Draft:
    """A request with its lines priced and its payer and station known."""

    request: InvoiceRequest
    lines: tuple[AssessedLine, ...]
    components: dict[str, int]
    total_minor: int
    issued_at: datetime
    payer_id: int | None
    station_code: str | None


def issue_invoice(session: Session, request: InvoiceRequest, *, issued_by: str, at: datetime | None = None) -> Issued:
    """Issue one bill; see ``issue_invoices``."""
    return issue_invoices(session, [request], issued_by=issued_by, at=at)[0]


def issue_invoices(
    session: Session, requests: Sequence[InvoiceRequest], *, issued_by: str, at: datetime | None = None
) -> list[Issued]:
    """Issue bills and post them (Dr receivable, Cr revenue per component); answers in the order asked.

    A fixed number of statements whatever the number. Each bill gets a number, an own pay account number, its lines
    (which open it), a journal with the key ``invoice:<id>:issued``, and, where its payer is known, a work row that
    lets the payer's credit pay it. ``at`` is aware and now by default; due days before it are allowed, since a law may
    fix the day. Nothing is written when one request is wrong: raises InvalidValue, NotFound or Conflict, whose fact
    ``index`` says which request where it is one of them. ``issued_by`` says who where nobody is signed in: a worker.
    """
    if not issued_by.strip():
        raise InvalidValue("say who issues the bill", field="issued_by")
    if not requests:
        return []
    session.flush()
    issued_by = sessions.actor(session, issued_by)
    drafts = _price(session, requests, at or periods.now())
    issued = _write(session, drafts, issued_by)
    ledger.post_many(
        session,
        [
            (f"invoice:{bill.id}:issued", postings.invoice_issued(bill.bill, bill.components, at=bill.issued_at))
            for bill in issued
        ],
        fresh_keys=True,
    )
    jobs.add_for_new_bills(
        session, kind=Kind.APPLY_CREDIT, refs=[bill.id for bill in issued if bill.payer_id is not None]
    )
    audit.record(
        session,
        actor=issued_by,
        action="invoice.issued",
        subject=issued[0].number if len(issued) == 1 else f"{issued[0].number} and {len(issued) - 1} more",
        facts={
            "first_id": issued[0].id,
            "last_id": issued[-1].id,
            "count": len(issued),
            "total": wire(sum(bill.total_minor for bill in issued)),
        },
    )
    return issued


# --- pricing ---------------------------------------------------------------------------------------------------------


def _price(session: Session, requests: Sequence[InvoiceRequest], at: datetime) -> list[_Draft]:
    instants = [request.at or at for request in requests]
    for index, instant in enumerate(instants):
        if instant.tzinfo is None:
            raise InvalidValue("the instant of issue must carry its zone", field="at", index=index)
    objects = _objects(session, requests)
    _names_exist(session, requests)
    charges = [
        (line, periods.nairobi_date(instant))
        for request, instant in zip(requests, instants, strict=True)
        for line in request.lines
        if isinstance(line, Charge)
    ]
    priced = iter(assess_many(session, charges))
    drafts = []
    for index, (request, instant) in enumerate(zip(requests, instants, strict=True)):
        lines = tuple(next(priced) if isinstance(line, Charge) else line for line in request.lines)
        components = _components(request, lines, index)
        total = sum(components.values())
        if total >= LARGEST_MINOR:
            raise InvalidValue("a bill is below ten billion shillings", field="lines", index=index, total=wire(total))
        payer_id, station_code = request.payer_id, request.station_code
        if request.object_id is not None:
            stream_code, owner, station = objects[request.object_id]
            if stream_code != request.stream_code:
                raise InvalidValue(
                    f"object {request.object_id} belongs to stream {stream_code}, not {request.stream_code}",
                    field="object_id",
                    index=index,
                )
            payer_id = owner if payer_id is None else payer_id
            station_code = station if station_code is None else station_code
        drafts.append(_Draft(request, lines, components, total, instant, payer_id, station_code))
    return drafts


def _components(request: InvoiceRequest, lines: Sequence[AssessedLine], index: int) -> dict[str, int]:
    """Cents per component, in the order of COMPONENTS; refuses lines that could not be a bill of the stream."""
    if not lines:
        raise InvalidValue("a bill has at least one line", field="lines", index=index)
    totals = dict.fromkeys(COMPONENTS, 0)
    for line in lines:
        if line.stream_code != request.stream_code:
            raise InvalidValue(
                f"a bill of stream {request.stream_code} cannot hold a line of {line.stream_code}",
                field="lines",
                index=index,
            )
        if line.component not in totals:
            raise InvalidValue(f"a component is one of {', '.join(COMPONENTS)}", field="lines", index=index)
        if type(line.quantity) is not int or type(line.unit_amount_minor) is not int:
            raise InvalidValue("quantities and amounts are whole numbers", field="lines", index=index)
        if line.quantity < 1 or line.unit_amount_minor < 1:
            raise InvalidValue("a line charges at least one unit of at least one cent", field="lines", index=index)
        totals[line.component] += line.amount_minor
    return {component: amount for component, amount in totals.items() if amount}


def _objects(session: Session, requests: Sequence[InvoiceRequest]) -> dict[int, tuple[str, int | None, str | None]]:
    """Stream, payer and station of every object named."""
    wanted = {request.object_id for request in requests if request.object_id is not None}
    if not wanted:
        return {}
    rows = raw(session).execute(
        "SELECT id, stream_code, payer_id, station_code FROM billed_object WHERE id = ANY(%s)", (list(wanted),)
    )
    found = {row[0]: (row[1], row[2], row[3]) for row in rows}
    for missing in wanted - found.keys():
        raise NotFound(f"no billed object {missing}", field="object_id", object_id=missing)
    return found


class _Known(NamedTuple):
    """What of a batch's streams, stations (with their stream) and payers is there."""

    streams: list[str]
    stations: list[str]
    payers: list[int]


def _names_exist(session: Session, requests: Sequence[InvoiceRequest]) -> None:
    """Every stream, station and payer named exists; so that a wrong name is a refusal and not a database error."""
    streams = {request.stream_code for request in requests}
    stations = {(request.station_code, request.stream_code) for request in requests if request.station_code}
    payers = {request.payer_id for request in requests if request.payer_id is not None}
    known = db.one(
        session,
        _Known,
        "SELECT ARRAY(SELECT code FROM stream WHERE code = ANY(%s)) AS streams,"
        " ARRAY(SELECT code || ' ' || stream_code FROM station WHERE code = ANY(%s)) AS stations,"
        " ARRAY(SELECT id FROM payer WHERE id = ANY(%s::bigint[])) AS payers",
        (list(streams), [station for station, _ in stations], list(payers)),
    )
    assert known is not None  # noqa: S101 - a query of three lists is one row
    for stream in streams - set(known.streams):
        raise NotFound(f"no stream {stream!r}", field="stream_code", stream_code=stream)
    for station, stream in stations:
        if f"{station} {stream}" not in known.stations:
            raise NotFound(f"stream {stream} has no station {station!r}", field="station_code", station_code=station)
    for payer in payers - set(known.payers):
        raise NotFound(f"no payer {payer}", field="payer_id", payer_id=payer)


# --- writing ---------------------------------------------------------------------------------------------------------

_COLUMNS = (
    ("id", "bigint"),
    ("public_id", "text"),
    ("number", "text"),
    ("payer_id", "bigint"),
    ("object_id", "bigint"),
    ("stream_code", "text"),
    ("station_code", "text"),
    ("billing", "text"),
    ("total_minor", "bigint"),
    ("issued_at", "timestamptz"),
    ("due_on", "date"),
    ("issued_by", "text"),
)
_NAMES = ", ".join(name for name, _ in _COLUMNS)
_ARRAYS = ", ".join(f"%s::{type_}[]" for _, type_ in _COLUMNS)

# Numbers are taken and bills written in one statement: whoever takes a number first has it, a bill whose number went to
# somebody else at the same moment is not written at all, and the foreign key is looked at when the statement ends.
_TAKE_NUMBERS = f"""
    WITH wanted AS (
        SELECT * FROM unnest({_ARRAYS}) WITH ORDINALITY AS w ({_NAMES}, n)
    ), free AS (
        SELECT c.number, row_number() OVER () AS n FROM unnest(%s::text[]) AS c (number)
         WHERE NOT EXISTS (SELECT FROM pay_account p WHERE p.number = c.number)
    ), taken AS (
        INSERT INTO pay_account (number, invoice_id)
        SELECT free.number, wanted.id FROM wanted JOIN free USING (n) ORDER BY free.number
        ON CONFLICT (number) DO NOTHING RETURNING number, invoice_id
    )
    INSERT INTO invoice ({_NAMES}, pay_account_number)
    SELECT {", ".join(f"wanted.{name}" for name, _ in _COLUMNS)}, taken.number
      FROM wanted JOIN taken ON taken.invoice_id = wanted.id
    RETURNING id, pay_account_number
"""  # noqa: S608 - the names are the constants above
_LINE = (
    "invoice_id",
    "seq",
    "tariff_line_id",
    "description",
    "component",
    "quantity",
    "unit_amount_minor",
    "amount_minor",
)
_LINE_TYPES = ("int8", "int8", "int8", "text", "text", "int8", "int8", "int8")


def _take_numbers(session: Session, rows: dict[int, tuple[Any, ...]]) -> dict[int, str]:
    """Write the bills and give each a pay account number nobody else has; answers the number of each bill's id."""
    numbers: dict[int, str] = {}
    for _ in range(MOST_DRAWS):
        waiting = [row for invoice_id, row in rows.items() if invoice_id not in numbers]
        if not waiting:
            break
        # More candidates than bills, so that the numbers already in use do not cost another round.
        candidates = list(
            dict.fromkeys(identifiers.draw_pay_account_number() for _ in range(len(waiting) + len(waiting) // 4 + 16))
        )
        columns = [list(column) for column in zip(*waiting, strict=True)]
        numbers.update(raw(session).execute(_TAKE_NUMBERS, [*columns, candidates]).fetchall())
    if len(numbers) != len(rows):
        raise IntegrityFault(f"{MOST_DRAWS} draws of pay account numbers were not enough: their space is full")
    return numbers


def _write(session: Session, drafts: Sequence[_Draft], issued_by: str) -> list[Issued]:
    connection = raw(session)
    ids = next_ids(connection, {"invoice": len(drafts)})["invoice"]
    rows: dict[int, tuple[Any, ...]] = {
        invoice_id: (
            invoice_id,
            identifiers.public_id("inv"),
            f"INV-{periods.financial_year(periods.nairobi_date(draft.issued_at))}-{invoice_id:06d}",
            draft.payer_id,
            draft.request.object_id,
            draft.request.stream_code,
            draft.station_code,
            draft.request.billing,
            draft.total_minor,
            draft.issued_at,
            draft.request.due_on,
            issued_by,
        )
        for invoice_id, draft in zip(ids, drafts, strict=True)
    }
    numbers = _take_numbers(session, rows)
    copy_rows(
        connection,
        "invoice_line",
        _LINE,
        _LINE_TYPES,
        [
            (
                invoice_id,
                seq,
                line.tariff_line_id,
                line.description,
                line.component,
                line.quantity,
                line.unit_amount_minor,
                line.amount_minor,
            )
            for invoice_id, draft in zip(ids, drafts, strict=True)
            for seq, line in enumerate(draft.lines)
        ],
    )
    return [
        Issued(
            id=invoice_id,
            public_id=rows[invoice_id][1],
            number=rows[invoice_id][2],
            pay_account_number=numbers[invoice_id],
            stream_code=draft.request.stream_code,
            station_code=draft.station_code,
            payer_id=draft.payer_id,
            object_id=draft.request.object_id,
            total_minor=draft.total_minor,
            components=draft.components,
            due_on=draft.request.due_on,
            issued_at=draft.issued_at,
            lines=draft.lines,
        )
        for invoice_id, draft in zip(ids, drafts, strict=True)
    ]


# --- taking back -----------------------------------------------------------------------------------------------------


def spot_among(session: Session, invoice_ids: Sequence[int]) -> int:
    """How many of some bills are spot bills."""
    number: int = scalar(
        session, "SELECT count(*) FROM invoice WHERE id = ANY(%s) AND billing = 'spot'", (list(invoice_ids),)
    )
    return number


def ask_cancel(session: Session, number: str, *, reason: str) -> str:
    """Ask that an unpaid bill, found by its number, be cancelled; answers the request's public id.

    Raises NotFound, Conflict where it was cancelled or paid in part, and what ``approvals.ask`` raises.
    """
    invoice = find_invoice(session, number=number)
    return approvals.ask(
        session, CANCEL, subject=invoice.number, payload={"invoice_id": invoice.id}, reason=reason.strip()
    )


def cancel_agreed(session: Session, agreed: Agreed) -> ledger.Posted:
    """Cancel a bill as two persons agreed. Raises as ``cancel_invoice`` does."""
    return cancel_invoice(
        session,
        number=agreed.subject,
        reason=agreed.reason,
        by=f"approval {agreed.public_id}",
        approval_id=agreed.number,
    )


def cancel_invoice(
    session: Session, *, number: str, reason: str, by: str, approval_id: int | None = None
) -> ledger.Posted:
    """Take back a bill nobody has paid anything of, in the financial year it was booked in (Dr revenue, Cr receivable).

    ``approval_id`` is the request that two persons agreed to, where there was one.
    Raises NotFound; InvalidValue without a reason or a name; Conflict when it is cancelled already, when any of it was
    paid, or when its year is over: then a credit note takes back what is left (its year's revenue stays as reported).
    """
    if not reason.strip():
        raise InvalidValue("say why the invoice is cancelled", field="reason")
    if not by.strip():
        raise InvalidValue("say who cancels the invoice", field="by")
    invoice = find_invoice(session, number=number)
    connection = raw(session)
    left = connection.execute(
        "SELECT cancelled, outstanding_minor FROM lock_open_bills(ARRAY[%s]::bigint[])", (invoice.id,)
    ).fetchone()
    if left is None:
        raise IntegrityFault(f"invoice {invoice.number} has no lines", number=invoice.number)
    if left[0]:
        raise Conflict(f"invoice {invoice.number} is cancelled already", number=invoice.number, field="cancelled")
    if left[1] != invoice.total_minor:
        raise Conflict(
            f"invoice {invoice.number} has been paid in part or whole: issue a credit note for what is left",
            number=invoice.number,
            field="outstanding",
        )
    at = periods.now()
    today = periods.nairobi_date(at)
    booked_in = periods.financial_year(ledger.load(session, key=f"invoice:{invoice.id}:issued").book_date)
    if periods.financial_year(ledger.book_dates(session, [today])[today]) != booked_in:
        raise Conflict(
            f"invoice {invoice.number} belongs to financial year {booked_in}, which is over: issue a credit note",
            number=invoice.number,
            field="financial_year",
        )
    connection.execute(
        "INSERT INTO invoice_cancellation (invoice_id, reason, cancelled_by, approval_id) VALUES (%s, %s, %s, %s)",
        (invoice.id, reason.strip(), by, approval_id),
    )
    bill = postings.Bill(invoice.id, invoice.stream_code, invoice.station_code, invoice.payer_id)
    posted = ledger.post(
        session,
        postings.invoice_cancelled(bill, _billed(session, invoice.id), at=at, reason=reason.strip()),
        key=f"invoice:{invoice.id}:cancelled",
    )
    audit.record(
        session,
        actor=by,
        action="invoice.cancelled",
        subject=invoice.number,
        facts={"total": wire(invoice.total_minor)},
    )
    return posted


def _billed(session: Session, invoice_id: int) -> dict[str, int]:
    """Cents per component of an invoice's lines, in the order of COMPONENTS."""
    rows = (
        raw(session)
        .execute(
            "SELECT component, sum(amount_minor)::bigint FROM invoice_line WHERE invoice_id = %s GROUP BY component",
            (invoice_id,),
        )
        .fetchall()
    )
    billed = dict(rows)
    return {component: billed[component] for component in COMPONENTS if component in billed}
