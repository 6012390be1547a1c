"""Where the money of a payment is now, in words: on which bills, in suspense and why, kept as credit, or taken back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from reconciliation import break_keys, breaks
from reconciliation.breaks import Listed
from revenue_engine import payments
from revenue_engine.billing import open_bills, payers
from revenue_engine.channels import deliveries
from revenue_engine.channels.deliveries import Standing
from revenue_engine.ledger import chart
from revenue_engine.money import grouped
from revenue_engine.payments import receipts
from revenue_engine.payments.payments import Recorded


@dataclass(frozen=True, slots=True)
class Home:
    """One payment and where its money is. Amounts are in cents; ``lines`` and ``papers`` are for a person to read."""

    payment: Recorded
    lines: tuple[str, ...]
    """One sentence a part of the money; together they are all of it."""
    papers: tuple[str, ...]
    """The numbers of the receipts and acknowledgements that stand."""
    breaks: tuple[Listed, ...]
    """Every break about this payment, open or closed."""
    taken_back: str = ""
    """The provider's reference of the reversal that took the payment back, where one did."""

    @property
    def words(self) -> str:
        """All of it on one line."""
        return "; ".join([*self.lines, *self.papers])


def homes(session: Session, payment_ids: Iterable[int]) -> dict[int, Home]:
    """Where the money of some payments is, by payment id; a fixed number of statements whatever their number."""
    told = payments.by_ids(session, payment_ids)
    if not told:
        return {}
    ids = sorted(told)
    takes = {one.reverses_id: one for one in told.values() if one.reverses_id is not None}
    known = {**payments.by_ids(session, takes), **told}
    back = payments.reversals_of(session, ids)
    applied = payments.on_bills(session, ids)
    bills = open_bills.left_of(session, {invoice for parts in applied.values() for invoice, _ in parts})
    numbers = payers.pay_account_numbers(session, bills)
    papers = receipts.standing_numbers(session, ids)
    about: dict[int, list[Listed]] = {}
    for one in breaks.of_payments(session, ids):
        about.setdefault(one.payment_id or 0, []).append(one)
    kept: dict[int, list[str]] = {}
    for held in payments.held(session, payment_ids=ids):
        kept.setdefault(held.payment_id, []).append(_held(held, about.get(held.payment_id, ())))
    found = {}
    for payment_id, payment in told.items():
        lines = [_on_bill(minor, numbers[invoice], bills[invoice]) for invoice, minor in applied.get(payment_id, ())]
        lines += kept.get(payment_id, [])
        if payment.reverses_id is not None:
            lines = [f"takes back {grouped(payment.amount_minor)} of {known[payment.reverses_id].identity.reference}"]
        elif payment.identity.kind != "payment":
            lines = [f"a {payment.identity.kind} of {grouped(payment.amount_minor)}"]
        elif payment_id in back:
            lines.insert(0, f"taken back by the provider ({back[payment_id]})")
        found[payment_id] = Home(
            payment,
            tuple(lines),
            tuple(papers.get(payment_id, ())),
            tuple(about.get(payment_id, ())),
            back.get(payment_id, ""),
        )
    return found


def _on_bill(minor: int, number: str, left: int) -> str:
    state = "paid in full" if not left else f"{grouped(left)} left to pay"
    return f"{grouped(minor)} on bill {number}, {state}"


def _held(held: payments.Held, about: Sequence[Listed]) -> str:
    where = "in suspense" if held.account == chart.SUSPENSE else "kept as the payer's credit"
    holding = break_keys.held(held.payment_id)
    why = [
        f"{one.detail} (break {one.number}, {one.owner})"
        for one in about
        if one.closed_at is None and one.key in holding
    ]
    return f"{grouped(held.amount_minor)} {where}" + (f": {'; '.join(why)}" if why else "")


@dataclass(frozen=True, slots=True)
class Followed:
    """A delivery, how it stands, and where its money is; ``home`` is empty where no money was told."""

    delivery: Standing
    home: str
    minor: int | None
    """The money of its payment in cents, None where it is no payment of this delivery."""


def followed(session: Session, found: Sequence[Standing]) -> list[Followed]:
    """What became of some deliveries, in the order given. What waits says what its break says."""
    said = breaks.words_of_deliveries(session, [one.id for one in found if one.state == "waiting"])
    found = [replace(one, reason=said.get(one.id, one.reason)) for one in found]
    where = homes(session, [one.payment_id for one in found if one.payment_id is not None])
    return [_followed(one, where.get(one.payment_id or 0)) for one in found]


def _followed(one: Standing, home: Home | None) -> Followed:
    if home is None:
        return Followed(one, "", None)
    words = f"{home.payment.identity.reference} {grouped(home.payment.amount_minor)} > {home.words}"
    if one.purpose in deliveries.OF_MANY:
        words = ""  # a file tells of many payments: its own list says what came of each
    told = [
        f"break {other.number}: {other.reason.replace('_', ' ')}"
        for other in home.breaks
        if other.delivery_id == one.id and other.closed_at is None and f"(break {other.number}," not in words
    ]
    return Followed(one, "; ".join(filter(None, [words, *told])), home.payment.amount_minor)
