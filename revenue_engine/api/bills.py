"""Invoices: issued by the tariff in force, shown, listed, and cancelled when two persons agree."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from fastapi import APIRouter, Path
from fastapi import Query as InQuery
from pydantic import Field
from sqlalchemy.orm import Session

from revenue_engine.access import scope, sessions
from revenue_engine.api.calls import Door, Reply, Rules, serve
from revenue_engine.api.problems import Wrong, of_error
from revenue_engine.api.shapes import Asked, Code, Money, Page, Paged, Told, When, Words, after, cut, instant
from revenue_engine.billing import counter, invoices
from revenue_engine.errors import NotFound, RevenueError
from revenue_engine.money import parse_wire, wire
from revenue_engine.reports import bills

State = Literal["unpaid", "part-paid", "overdue", "paid", "cancelled"]
Number = Annotated[
    str, Path(min_length=1, max_length=40, description="The invoice's number, or its pay account number")
]


class Item(Asked):
    """One tariff item of a bill."""

    item: Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[^:]+$", description="Tariff item code")]
    quantity: Annotated[int, Field(ge=1, le=1_000_000)] = 1


class IssueInvoice(Asked):
    """A bill to issue: to a known payer (``payer``), to a new one (``name``, ``phone``), or to nobody named."""

    items: Annotated[list[Item], Field(min_length=1, max_length=50)]
    payer: Annotated[str | None, Field(max_length=60, description="Public id of a payer known already")] = None
    name: Annotated[str | None, Field(min_length=1, max_length=200)] = None
    phone: Annotated[str | None, Field(min_length=9, max_length=20)] = None
    station: Code | None = None
    due_on: Annotated[date | None, Field(strict=False, description="30 days on where none is given")] = None
    expected_total: Annotated[
        Money | None, Field(description="What the payer was told; another total issues no bill")
    ] = None


class IssueMany(Asked):
    """Invoices to issue together: all of them, or none when one is refused."""

    invoices: Annotated[list[IssueInvoice], Field(min_length=1, max_length=100)]


class Line(Told):
    """One line of an invoice."""

    description: str
    component: str
    quantity: int
    unit_amount: Money
    amount: Money


class PaidBy(Told):
    """A payment that was set against the invoice; ``taken_off`` is what was taken away from it again."""

    reference: str
    occurred_at: When
    applied: Money
    taken_off: Money
    reversed_by: str | None
    found_by: str
    receipts: list[str]


class Invoice(Told):
    """An invoice and what is left of it. ``state`` is derived from payments; nobody can set it."""

    id: str
    number: str
    pay_account_number: str
    pay_account_printed: str
    state: State
    stream: str
    station: str | None
    payer: str | None
    total: Money
    outstanding: Money
    currency: str
    issued_at: When
    due_on: str
    lines: list[Line]
    payments: list[PaidBy]


class Issued(Told):
    """The invoices of a batch, in the order in which they were asked for."""

    data: list[Invoice]


class InvoiceRow(Told):
    """An invoice as a list shows it."""

    id: str
    number: str
    pay_account_number: str
    state: State
    stream: str
    station: str
    thing: str
    total: Money
    outstanding: Money
    issued_at: When
    due_on: str


class Cancellation(Asked):
    """Why an invoice is to be cancelled; kept for ever."""

    reason: Words


class AskedFor(Told):
    """A request that waits for another person, who sees it at /approvals/{approval}."""

    approval: str
    invoice: str


class InvoicePage(Page):
    """Which invoices."""

    state: State | None = None
    stream: Code | None = None
    station: Code | None = None
    named: Annotated[str | None, Field(min_length=1, max_length=60, description="A number, a plate or a phone")] = None


def issue_invoice(session: Session, asked: IssueInvoice) -> Reply:
    """Issue a bill by the tariff in force. Its pay account number is what the payer types."""
    made = _issue(session, asked)
    return Reply(made, {"Location": f"/api/v1/invoices/{made.number}"})


def issue_invoices(session: Session, asked: IssueMany) -> Issued:
    """Issue many bills, all or none; a refusal names the line, counted from 0, as ``/invoices/3``."""
    made = []
    for line, one in enumerate(asked.invoices):
        try:
            made.append(_issue(session, one))
        except RevenueError as error:
            problem = of_error(error)
            pointers = [wrong.pointer or "" for wrong in problem.errors] or [""]
            problem.errors = [
                Wrong(pointer=f"/invoices/{line}{pointer}", code=problem.code, message=error.message)
                for pointer in pointers
            ]
            problem.detail = f"line {line}: {problem.detail} No bill of the batch was issued."
            raise problem from error
    return Issued(data=made)


def _issue(session: Session, asked: IssueInvoice) -> Invoice:
    sessions.must(session, "bill.issue", place=counter.sub_county(session, asked.station))
    bill = counter.issue_from_items(
        session,
        items=[f"{one.item}:{one.quantity}" for one in asked.items],
        by=sessions.whoami(session).login,
        payer_public_id=asked.payer,
        name=asked.name,
        phone=asked.phone,
        station_code=asked.station,
        due_on=asked.due_on,
        expected_minor=None if asked.expected_total is None else parse_wire(asked.expected_total),
    )
    return Invoice.model_validate({**bill, "payments": []})


def show_invoice(session: Session, number: Number) -> Invoice:
    """An invoice by either of its numbers, with every payment that was ever set against it."""
    _within(session, number)
    return Invoice.model_validate(bills.describe(session, number))


def list_invoices(session: Session, page: Annotated[InvoicePage, InQuery()]) -> Paged[InvoiceRow]:
    """Invoices, the newest first."""
    found = counter.listed(
        session,
        words=page.named,
        state=page.state,
        stream=page.stream,
        station=page.station,
        before=after(page),
        limit=page.limit + 1,
        scope=scope.of(session),
    )
    rows, more, cursor = cut(page, found, [one.id for one in found])
    return Paged[InvoiceRow](data=[as_row(one) for one in rows], has_more=more, next_cursor=cursor)


def _within(session: Session, number: str) -> None:
    """Raise NotFound for a bill of another sub-county than the caller's."""
    if not scope.of(session).holds(counter.describe(session, number)["station"]):
        raise NotFound(f"there is no invoice {number!r} in your sub-county", number=number)


def as_row(one: counter.BillRow) -> InvoiceRow:
    """An invoice of a list as it is answered."""
    return InvoiceRow.model_validate(
        {
            "id": one.public_id,
            "number": one.number,
            "pay_account_number": one.pay_account_number,
            "state": one.state,
            "stream": one.stream,
            "station": one.station,
            "thing": one.thing,
            "total": wire(one.total_minor),
            "outstanding": wire(one.outstanding_minor),
            "issued_at": instant(one.issued_at),
            "due_on": one.due_on.isoformat(),
        }
    )


def cancel_invoice(session: Session, number: Number, asked: Cancellation) -> AskedFor:
    """Ask that an unpaid invoice be cancelled; it is cancelled when another person agrees."""
    found = counter.describe(session, number)["number"]
    return AskedFor(approval=invoices.ask_cancel(session, found, reason=asked.reason), invoice=found)


def router() -> APIRouter:
    """The endpoints of this page."""
    made = APIRouter(route_class=Door, tags=["invoices"])
    keyed = ("idempotency_key_missing", "idempotency_key_in_flight", "idempotency_key_reused")
    reading = Rules("read", scoped=True)
    issuing = Rules("bill.issue", placed=True, keyed=True, status=201)
    serve(made, "POST", "/invoices", issue_invoice, rules=issuing, answer=Invoice, refusals=keyed)
    serve(made, "POST", "/invoices/batch", issue_invoices, rules=issuing, answer=Issued, refusals=keyed)
    serve(made, "GET", "/invoices", list_invoices, rules=reading, answer=Paged[InvoiceRow])
    serve(made, "GET", "/invoices/{number}", show_invoice, rules=reading, answer=Invoice)
    asking = Rules("bill.cancel.ask", placed=True, keyed=True, status=202)
    serve(
        made, "POST", "/invoices/{number}/cancellation", cancel_invoice, rules=asking, answer=AskedFor, refusals=keyed
    )
    return made
