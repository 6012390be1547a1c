"""Where is it? Payments by what a payer has in hand, everything that words name, receipts, and how the channels are."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path
from fastapi import Query as InQuery
from pydantic import Field
from sqlalchemy.orm import Session

from revenue_engine import payments
from revenue_engine.access import scope
from revenue_engine.api.bills import InvoiceRow, as_row
from revenue_engine.api.calls import Door, Query, Rules, serve
from revenue_engine.api.shapes import Money, Page, Paged, Told, When, after, cut, instant
from revenue_engine.billing import counter, payers
from revenue_engine.channels import accounts
from revenue_engine.errors import NotFound
from revenue_engine.money import wire
from revenue_engine.payments import receipts
from revenue_engine.reports import channel_health, payment_search
from revenue_engine.reports.payment_search import FoundPayment

MOST_BILLS = 20
Text = Annotated[
    str,
    Field(
        min_length=1, max_length=2_000, description="A provider's code, a plate, a phone, a bill's number, or an SMS"
    ),
]


class Message(Told):
    """One message that told of the payment: what kind, and when it came."""

    kind: str
    amount: Money | None
    occurred_at: When
    recorded_at: When


class Payment(Told):
    """A payment and where its money is; ``where`` is a sentence for each part of it, ``timeline`` what told of it."""

    reference: str
    kind: str
    channel: str
    amount: Money
    occurred_at: When
    found_by: str
    where: list[str]
    papers: list[str]
    reversed_by: str | None
    open_breaks: list[str]
    timeline: list[Message]


class PaymentRow(Told):
    """A payment, reversal, charge or payout as a list shows it."""

    reference: str
    kind: str
    channel: str
    amount: Money
    occurred_at: When


class WhichPayments(Page):
    """Which payments."""

    channel: Annotated[str | None, Field(min_length=1, max_length=60, description="A channel's identifier")] = None


class PushRow(Told):
    """A request of ours that a payer's phone ask for money. ``state`` is derived from what the provider told."""

    request: str
    pay_account_number: str
    """The number of the bill that is asked for."""
    amount: Money
    requested_at: When
    requested_by: str
    state: Literal["asked", "paid", "failed", "cancelled"]


class WhichPushes(Page):
    """Which push requests."""

    invoice: Annotated[str | None, Field(min_length=1, max_length=40, description="An invoice's number")] = None


class PaymentsFound(Told):
    """What was found, and the truth about what was not: told and not confirmed, not told at all, last heard when."""

    payments: list[Payment]
    told_only: list[str]
    warnings: list[str]
    not_there: list[str]
    test_books: bool


class Everything(PaymentsFound):
    """Payments as above, and the invoices that the same words name."""

    invoices: list[InvoiceRow]


class Sought(Query):
    """What to look for."""

    q: Text


class Receipt(Told):
    """An official receipt or an acknowledgement; its number stays taken when it is cancelled."""

    id: str
    number: str
    kind: str
    payment: str
    amount: Money
    paid_at: When
    issued_at: When
    cancelled_at: When | None
    cancelled_why: str | None


class Channel(Told):
    """A channel account: when its provider was last heard, and the last day that its statements cover."""

    adapter: str
    identifier: str
    mode: str
    status: str
    name: str
    heard_at: When | None
    statements_until: str | None


class Channels(Told):
    """Every channel account, and what is still unread."""

    data: list[Channel]
    unread: int
    dead: int
    oldest_seconds: int


def list_payments(session: Session, page: Annotated[WhichPayments, InQuery()]) -> Paged[PaymentRow]:
    """Payments and reversals in the order in which the books learned of them, the newest first."""
    labels = accounts.labels(session)
    account = None if page.channel is None else accounts.id_of(session, page.channel)
    found = payments.listed(
        session, channel_account_id=account, before=after(page), limit=page.limit + 1, scope=scope.of(session)
    )
    rows, more, cursor = cut(page, found, [one.id for one in found])
    data = [
        PaymentRow.model_validate(
            {
                "reference": one.identity.reference,
                "kind": one.identity.kind,
                "channel": labels.get(one.identity.channel_account_id, ""),
                "amount": wire(one.amount_minor),
                "occurred_at": instant(one.occurred_at),
            }
        )
        for one in rows
    ]
    return Paged[PaymentRow](data=data, has_more=more, next_cursor=cursor)


def list_push_requests(session: Session, page: Annotated[WhichPushes, InQuery()]) -> Paged[PushRow]:
    """Our requests that payers' phones ask for money, the newest first."""
    bill = None if page.invoice is None else payers.find_invoice(session, number=page.invoice).id
    found = payments.listed_pushes(
        session, invoice_id=bill, before=after(page), limit=page.limit + 1, scope=scope.of(session)
    )
    rows, more, cursor = cut(page, found, [one.id for one in found])
    bills = payers.pay_account_numbers(session, [one.invoice_id for one in rows])
    data = [
        PushRow.model_validate(
            {
                "request": one.request_id,
                "pay_account_number": bills[one.invoice_id],
                "amount": wire(one.amount_minor),
                "requested_at": instant(one.requested_at),
                "requested_by": one.requested_by,
                "state": one.state,
            }
        )
        for one in rows
    ]
    return Paged[PushRow](data=data, has_more=more, next_cursor=cursor)


def find_payments(session: Session, sought: Annotated[Sought, InQuery()]) -> PaymentsFound:
    """Find payments by the provider's code, a phone, a plate, a bill's number, or the whole SMS pasted."""
    return PaymentsFound.model_validate(_found(session, sought.q))


def search(session: Session, sought: Annotated[Sought, InQuery()]) -> Everything:
    """Whatever words name: payments as find_payments finds them, and invoices."""
    asked = payment_search.understood(sought.q)
    within = scope.of(session)
    rows = counter.listed(session, words=asked.words, limit=MOST_BILLS, scope=within) if asked.words else []
    return Everything.model_validate({**_found(session, sought.q), "invoices": [as_row(one) for one in rows]})


def _found(session: Session, text: str) -> dict[str, Any]:
    answer = payment_search.find(session, text, scope=scope.of(session))
    return {
        "payments": [_payment(one) for one in answer.found],
        "told_only": answer.told_only,
        "warnings": answer.warnings,
        "not_there": answer.absent,
        "test_books": answer.test_books,
    }


def _payment(one: FoundPayment) -> Payment:
    payment = one.home.payment
    return Payment.model_validate(
        {
            "reference": payment.identity.reference,
            "kind": payment.identity.kind,
            "channel": one.channel,
            "amount": wire(payment.amount_minor),
            "occurred_at": instant(payment.occurred_at),
            "found_by": one.by,
            "where": list(one.home.lines),
            "papers": list(one.home.papers),
            "reversed_by": one.home.taken_back or None,
            "open_breaks": [other.public_id for other in one.home.breaks if other.closed_at is None],
            "timeline": [
                {
                    "kind": told.message,
                    "amount": None if told.amount_minor is None else wire(told.amount_minor),
                    "occurred_at": instant(told.occurred_at),
                    "recorded_at": instant(told.recorded_at),
                }
                for told in one.told
            ],
        }
    )


def show_receipt(
    session: Session,
    number: Annotated[str, Path(min_length=5, max_length=60, description="Its printed number")],
) -> Receipt:
    """A receipt or acknowledgement by its printed number: whether it still proves anything."""
    found = receipts.named(session, number)
    if not receipts.is_within(session, found.id, scope.of(session)):
        raise NotFound(f"there is no receipt {number!r} in your sub-county", number=number)
    return Receipt.model_validate(_receipt(found))


def list_receipts(session: Session, page: Annotated[Page, InQuery()]) -> Paged[Receipt]:
    """Receipts and acknowledgements, the newest first."""
    found = receipts.listed(session, before=after(page), limit=page.limit + 1, scope=scope.of(session))
    rows, more, cursor = cut(page, found, [one.id for one in found])
    data = [Receipt.model_validate(_receipt(one)) for one in rows]
    return Paged[Receipt](data=data, has_more=more, next_cursor=cursor)


def _receipt(one: receipts.Shown) -> dict[str, Any]:
    return {
        "id": one.public_id,
        "number": one.printed,
        "kind": one.kind,
        "payment": one.reference,
        "amount": wire(one.amount_minor),
        "paid_at": instant(one.paid_at),
        "issued_at": instant(one.issued_at),
        "cancelled_at": instant(one.cancelled_at),
        "cancelled_why": one.cancelled_why,
    }


def list_channels(session: Session) -> Channels:
    """How each channel account is: last heard, statements, and what is still unread."""
    found = channel_health.health(session)
    return Channels(
        data=[
            Channel(
                adapter=one.adapter,
                identifier=one.identifier,
                mode=one.mode,
                status=one.status,
                name=one.name,
                heard_at=instant(one.heard_at),
                statements_until=None if one.statements_until is None else one.statements_until.isoformat(),
            )
            for one in found.channels
        ],
        unread=found.unread,
        dead=found.dead,
        oldest_seconds=found.oldest_seconds,
    )


def router() -> APIRouter:
    """The endpoints of this page."""
    made = APIRouter(route_class=Door, tags=["look-ups"])
    reading = Rules("read", scoped=True)
    refusals = ("invalid_value",)
    serve(
        made, "GET", "/payments", list_payments, rules=reading, answer=Paged[PaymentRow], refusals=("invalid_cursor",)
    )
    serve(made, "GET", "/push-requests", list_push_requests, rules=reading, answer=Paged[PushRow])
    serve(made, "GET", "/payments/search", find_payments, rules=reading, answer=PaymentsFound, refusals=refusals)
    serve(made, "GET", "/search", search, rules=reading, answer=Everything, refusals=refusals)
    serve(made, "GET", "/receipts", list_receipts, rules=reading, answer=Paged[Receipt])
    serve(made, "GET", "/receipts/{number}", show_receipt, rules=reading, answer=Receipt)
    serve(made, "GET", "/channels", list_channels, rules=reading, answer=Channels)
    return made
