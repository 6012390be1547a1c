"""Compares the books with the truth of a plan, reference by reference, bill by bill, to the cent."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from adapters.sandbox.mpesa import Credit, Plan
from adapters.sandbox.mpesa_people import Population
from revenue_engine import db
from revenue_engine.db import raw
from revenue_engine.demo.finding import Found
from revenue_engine.demo.sending import Sent
from revenue_engine.ledger import chart
from revenue_engine.money import wire
from revenue_engine.verification import verify as checking

NAMED = 5
"""How many references a disagreement names; all are counted."""


@dataclass(frozen=True, slots=True)
class Line:
    """One thing compared: the truth on the left, the books on the right, both as they are printed."""

    what: str
    truth: str
    books: str
    agrees: bool
    where: str = ""
    """The first of what differs."""


@dataclass(slots=True)
class Comparison:
    """Everything compared, and the figures of the books in cents."""

    lines: list[Line] = field(default_factory=list)
    figures: dict[str, int] = field(default_factory=dict)
    lost: int = 0
    doubled: int = 0
    receipts: int = 0
    controls: dict[str, int] = field(default_factory=dict)

    @property
    def agrees(self) -> bool:
        """Whether every line does."""
        return all(line.agrees for line in self.lines)

    def money(self, what: str, truth: int, books: int) -> None:
        """Compare two amounts."""
        self.lines.append(Line(what, wire(truth), wire(books), truth == books))

    def count(self, what: str, truth: int, wrong: list[str]) -> None:
        """Compare things one by one: how many there are, and which of them are not as they should be."""
        where = ", ".join(wrong[:NAMED])
        self.lines.append(Line(what, f"{truth:,}", f"{truth - len(wrong):,}", not wrong, where))


def compare(session: Session, plan: Plan, population: Population, sent: Sent) -> Comparison:
    """Read the books at one moment (a fresh session) and hold them beside the truth."""
    checking.one_snapshot(session)
    found = Comparison()
    expected = plan.truth.figures(population)
    _figures(session, found)
    for what in ("delivered", "reversed", "applied", "suspense", "unapplied"):
        found.money(what, getattr(expected, f"{what}_minor"), found.figures[what])
    home = sum(found.figures[what] for what in ("applied", "suspense", "unapplied"))
    found.money("delivered less reversed has a home", found.figures["delivered"] - found.figures["reversed"], home)
    lost = _payments(session, plan, found) + _reversals(session, plan, found) + _deliveries(session, sent, found)
    found.lost, found.doubled = lost, _doubled(session)
    found.lines.append(Line("lost", "0", str(found.lost), found.lost == 0))
    found.lines.append(Line("doubled", "0", str(found.doubled), found.doubled == 0))
    _on_bills(session, plan, population, found)
    _on_spots(session, plan, found)
    found.receipts = _one(session, _RECEIPTS)
    found.controls = checking.controls(session)
    for name, difference in found.controls.items():
        found.lines.append(Line(f"control: {name}", "0.00", wire(difference), difference == 0))
    return found


def _one(session: Session, statement: str, *values: object) -> int:
    return int(db.scalar(session, statement, values or None))


_RECEIPTS = """
    SELECT count(*) FROM receipt r WHERE r.kind = 'receipt'
       AND NOT EXISTS (SELECT FROM receipt_cancellation c WHERE c.receipt_id = r.id)
"""


def _figures(session: Session, found: Comparison) -> None:
    """What the books say: payments and applications as recorded, suspense and credit as the postings leave them."""
    held = (
        "SELECT coalesce(sum(CASE WHEN credit = %s THEN amount_minor ELSE -amount_minor END), 0) FROM posting"
        " WHERE %s IN (credit, debit)"
    )
    found.figures = {
        "delivered": _one(session, "SELECT coalesce(sum(amount_minor), 0) FROM payment WHERE kind = 'payment'"),
        "reversed": _one(session, "SELECT coalesce(sum(amount_minor), 0) FROM payment WHERE kind = 'reversal'"),
        "applied": _one(session, "SELECT coalesce(sum(amount_minor), 0) FROM application"),
        "suspense": _one(session, held, chart.SUSPENSE, chart.SUSPENSE),
        "unapplied": _one(session, held, chart.UNAPPLIED_CREDIT, chart.UNAPPLIED_CREDIT),
    }


def compare_found(found: Comparison, withheld: Sequence[Credit], told: Found) -> None:
    """Hold what asking and statements told first beside what no callback told: by name, and to the cent."""
    expected = {credit.reference for credit in withheld}
    found.count("credits no callback told, each found", len(expected), sorted(expected ^ told.references))
    found.money("found of what was withheld", sum(credit.amount_minor for credit in withheld), told.minor)


def _payments(session: Session, plan: Plan, found: Comparison) -> int:
    """Every credit told stands once, with its amount and its shortcode; nothing stands that was not. How many miss."""
    rows = raw(session).execute(
        "SELECT p.reference, p.amount_minor, c.identifier FROM payment p"
        " JOIN channel_account c ON c.id = p.channel_account_id WHERE p.kind = 'payment'"
    )
    books = Counter((reference, amount, shortcode) for reference, amount, shortcode in rows)
    told = Counter((one.reference, one.amount_minor, one.shortcode) for one in plan.truth.delivered.values())
    missing, strange = told - books, books - told
    wrong = sorted({reference for reference, _, _ in (missing | strange)})
    found.count("credits, each exactly one payment", told.total(), wrong)
    standing = {reference for reference, _, _ in books}
    return sum(1 for reference, _, _ in missing if reference not in standing)


def _reversals(session: Session, plan: Plan, found: Comparison) -> int:
    rows = raw(session).execute(
        "SELECT r.reference, p.reference, r.amount_minor FROM payment r JOIN payment p ON p.id = r.reverses_id"
    )
    books = Counter(tuple(row) for row in rows)
    told = Counter((one.reference, one.reverses, one.amount_minor) for one in plan.truth.reversals)
    missing = told - books
    found.count("reversals, each of its payment", told.total(), sorted({one[0] for one in (missing | (books - told))}))
    return missing.total()


def _deliveries(session: Session, sent: Sent, found: Comparison) -> int:
    """Every acknowledged delivery is kept, and stands in one final state. How many are not, or do not."""
    rows = raw(session).execute(
        "SELECT sha256(d.body), count(*), count(*) FILTER (WHERE s.state <> 'pending'), count(DISTINCT d.id)"
        "  FROM delivery d JOIN delivery_state s ON s.delivery_id = d.id GROUP BY 1"
    )
    kept: dict[bytes, tuple[int, int, int]] = {bytes(row[0]): (row[1], row[2], row[3]) for row in rows}
    missing, undecided = 0, 0
    for body, times in sent.kept.items():
        states, final, deliveries = kept.get(hashlib.sha256(body).digest(), (0, 0, 0))
        missing += max(0, times - deliveries)
        undecided += max(states - final, states - deliveries)
    dead = _one(session, "SELECT count(*) FROM delivery_state WHERE state = 'dead'")
    total = sent.kept.total()
    short = missing + undecided
    where = f"{missing} not kept, {undecided} undecided" if short else (f"{dead} dead" if dead else "")
    found.lines.append(
        Line("deliveries, each in one final state", f"{total:,}", f"{total - short:,}", not (short or dead), where)
    )
    if sent.refused:
        answered = ", ".join(f"{count} with {status or 'no answer'}" for status, count in sorted(sent.refused.items()))
        found.lines.append(Line("callbacks refused", "0", str(sent.refused.total()), agrees=False, where=answered))
    return short


def _doubled(session: Session) -> int:
    """References that count twice: more than one payment, or more than one journal that received one payment."""
    return _one(
        session,
        "SELECT count(*) FROM (SELECT reference FROM payment WHERE kind = 'payment' GROUP BY reference"
        " HAVING count(*) > 1 UNION SELECT p.reference FROM payment p JOIN posting o ON o.payment_id = p.id"
        " JOIN journal j ON j.id = o.journal_id AND j.book_date = o.book_date AND j.kind = 'payment_received'"
        " GROUP BY p.reference HAVING count(DISTINCT j.id) > 1) twice",
    )


def _on_bills(session: Session, plan: Plan, population: Population, found: Comparison) -> None:
    """Every bill of the population holds what the truth says, from payments that named it and from no other."""
    rows = raw(session).execute(
        "SELECT i.number, p.reference, sum(a.amount_minor)::bigint FROM application a"
        " JOIN invoice i ON i.id = a.invoice_id JOIN payment p ON p.id = a.payment_id"
        " WHERE i.issued_by <> 'spot' GROUP BY 1, 2 HAVING sum(a.amount_minor) <> 0"
    )
    applied: dict[str, int] = {}
    strangers = []
    standing = plan.truth.standing
    for number, reference, amount in rows:
        applied[number] = applied.get(number, 0) + amount
        credit = standing.get(reference)
        if credit is None or number not in credit.bills:
            strangers.append(f"{reference} on {number}")
    truth = plan.truth.on_bills(population)
    wrong = [number for number in sorted(truth.keys() | applied.keys()) if truth.get(number) != applied.get(number)]
    found.count("bills, each paid what it was sent", len(truth), wrong)
    named = [credit for credit in standing.values() if credit.bills]
    found.count("payments, each on the bill it names", len(named), strangers)


def _on_spots(session: Session, plan: Plan, found: Comparison) -> None:
    """What was paid before service raised its own bill, at its station, for its vehicle, and paid it whole."""
    rows = raw(session).execute(
        "SELECT p.reference, i.stream_code, coalesce(i.station_code, ''), i.object_id, sum(a.amount_minor)::bigint"
        "  FROM application a JOIN invoice i ON i.id = a.invoice_id JOIN payment p ON p.id = a.payment_id"
        " WHERE i.issued_by = 'spot' GROUP BY 1, 2, 3, 4 HAVING sum(a.amount_minor) <> 0"
    )
    books = {row[0]: (row[1], row[2], row[3], row[4]) for row in rows}
    expected = {reference: _spot(credit) for reference, credit in plan.truth.standing.items() if credit.spot}
    wrong = [one for one in sorted(expected.keys() | books.keys()) if expected.get(one) != books.get(one)]
    found.count("payments before service, each on its own bill", len(expected), wrong)


def _spot(credit: Credit) -> Mapping[str, object] | tuple[str, str, int | None, int]:
    spot = credit.spot
    if spot is None:
        return {}
    return spot.stream, spot.station, spot.object_id, credit.amount_minor
