"""What a run sends, and what must be in the books afterwards: the simulator's own truth, made from a seed alone.

The truth is worked out here, payment by payment, and shares no code with the engine that is judged by it.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from adapters.sandbox import mpesa_bodies as bodies
from revenue_engine import db
from revenue_engine.billing import invoices
from revenue_engine.billing.tariffs import AssessedLine
from revenue_engine.payments import request_push
from tests.support.books import DAY, NOON, SHORTCODE, Books

HOT_BILLS = 3
HOT_MINOR = 900_000_000
PHONE = "254700000101"


@dataclass(frozen=True, slots=True)
class Message:
    """One body that a provider posts, and the reference it is about."""

    purpose: str
    body: bytes
    reference: str

    @property
    def digest(self) -> bytes:
        """SHA-256 of the body, by which a stored delivery is recognised."""
        return hashlib.sha256(self.body).digest()


@dataclass(slots=True)
class Truth:
    """What really happened: every credit and reversal, and what that leaves of each bill and in suspense."""

    credits: dict[str, int] = field(default_factory=dict)
    """Reference to cents."""
    reversals: dict[str, str] = field(default_factory=dict)
    """The reversal's own reference to the one it takes back."""
    bills: dict[int, int] = field(default_factory=dict)
    """Bill to what must be left of it, in cents."""
    suspense_minor: int = 0

    @property
    def clearing_minor(self) -> int:
        """What the channel holds for us."""
        return sum(self.credits.values()) - sum(self.credits[taken] for taken in self.reversals.values())


@dataclass(slots=True)
class Plan:
    """Messages in the order they are sent, duplicates among them, and their truth."""

    messages: list[Message]
    truth: Truth


@dataclass(frozen=True, slots=True)
class _Credit:
    reference: str
    amount_minor: int
    typed: str
    invoice_id: int | None
    bill_minor: int = 0
    push: str = ""


def counted(messages: Sequence[Message]) -> Counter[bytes]:
    """How often each body is among the messages."""
    return Counter(message.digest for message in messages)


def issue(books: Books, amounts: Sequence[int]) -> list[invoices.Issued]:
    """Bills of so many cents, issued in one go to nobody known, so that an excess is in suspense."""
    with db.transaction(books.as_role("api")) as session:
        return invoices.issue_invoices(
            session,
            [
                invoices.InvoiceRequest(
                    stream_code="SBP",
                    lines=[AssessedLine(None, "SBP", "permit", "principal", 1, amount)],
                    due_on=DAY + timedelta(days=30),
                    at=NOON,
                )
                for amount in amounts
            ],
            issued_by="clerk",
        )


def make(books: Books, *, seed: int, payments: int, duplicates: float = 0.3, reversals: float = 0.06) -> Plan:
    """Bills in the books, and a plan of so many payments on them; the same seed makes the same plan."""
    rng = random.Random(seed)
    amounts = [rng.randrange(100_00, 5_000_00, 100) for _ in range(payments)]
    issued = issue(books, [*[HOT_MINOR] * HOT_BILLS, *amounts])
    hot, own = issued[:HOT_BILLS], issued[HOT_BILLS:]
    truth = Truth(bills={bill.id: HOT_MINOR for bill in hot})
    paid = [_credit(rng, seed, index, hot, own[index], amounts[index]) for index in range(payments)]
    _ask_for_pushes(books, paid)
    messages = []
    for index, credit in enumerate(paid):
        taken_back = rng.random() < reversals
        _count(truth, credit, own[index].id, amounts[index], taken_back=taken_back)
        messages += _told(rng, credit)
        if taken_back:
            reference = f"UR{seed % 100:02d}{index:06d}"
            truth.reversals[reference] = credit.reference
            messages.append(_reversal(credit, reference))
    messages += rng.sample(messages, int(len(messages) * duplicates))
    rng.shuffle(messages)
    return Plan(messages, truth)


def _credit(
    rng: random.Random,
    seed: int,
    index: int,
    hot: Sequence[invoices.Issued],
    own: invoices.Issued,
    amount: int,
) -> _Credit:
    reference = f"UP{seed % 100:02d}{index:06d}"
    kind = rng.choices(("exact", "unknown", "hot", "push", "over", "part"), (40, 10, 15, 15, 10, 10))[0]
    if kind == "unknown":
        return _Credit(reference, amount + rng.randrange(100), "no such thing", None)
    if kind == "hot":
        bill = rng.choice(hot)
        return _Credit(reference, rng.randrange(10_00, 200_00), bill.pay_account_number, bill.id, HOT_MINOR)
    if kind == "over":
        amount += rng.randrange(1, 300_00)
    elif kind == "part":
        amount //= 2
    push = f"ws_CO_{seed}_{index}" if kind == "push" else ""
    return _Credit(reference, amount, own.pay_account_number, own.id, 0, push)


def _count(truth: Truth, credit: _Credit, own_id: int, own_minor: int, *, taken_back: bool) -> None:
    truth.credits[credit.reference] = credit.amount_minor
    truth.bills.setdefault(own_id, own_minor)
    if taken_back:
        return
    left = truth.bills[credit.invoice_id] if credit.invoice_id is not None else 0
    applied = min(left, credit.amount_minor)
    if credit.invoice_id is not None:
        truth.bills[credit.invoice_id] = left - applied
    truth.suspense_minor += credit.amount_minor - applied


def _ask_for_pushes(books: Books, paid: Sequence[_Credit]) -> None:
    with db.transaction(books.as_role("api")) as session:
        for credit in paid:
            if credit.push and credit.invoice_id is not None:
                request_push(
                    session,
                    channel_account_id=1,
                    request_id=credit.push,
                    invoice_id=credit.invoice_id,
                    amount_minor=credit.amount_minor,
                    by="clerk",
                )


def _told(rng: random.Random, credit: _Credit) -> list[Message]:
    """The messages about one payment: a confirmation, the result of its push, or both."""
    at = NOON + timedelta(seconds=rng.randrange(3600))
    confirmation = Message(
        "confirmation",
        bodies.c2b_confirmation(
            receipt=credit.reference,
            at=at,
            amount_minor=credit.amount_minor,
            shortcode=SHORTCODE,
            account=credit.typed,
            msisdn=PHONE,
        ),
        credit.reference,
    )
    if not credit.push:
        return [confirmation]
    result = Message(
        "push_result",
        bodies.stk_success(
            merchant_request=f"29115-{credit.reference}",
            checkout_request=credit.push,
            receipt=credit.reference,
            at=at,
            amount_minor=credit.amount_minor,
            msisdn=PHONE,
        ),
        credit.reference,
    )
    return [result, confirmation] if rng.random() < 0.5 else [result]


def _reversal(credit: _Credit, own: str) -> Message:
    return Message(
        "result",
        bodies.reversal_result(
            conversation=f"AG_20260915_{own}",
            originator_conversation=f"10819-{own}",
            receipt=own,
            reverses=credit.reference,
            at=NOON + timedelta(hours=2),
            amount_minor=credit.amount_minor,
            shortcode=SHORTCODE,
            organisation="Testland",
            payer=f"{PHONE} - Somebody",
        ),
        own,
    )
