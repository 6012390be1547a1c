"""Fund classes: what a directorate may spend, and what is only a claim.

A share of ordinary revenue is a claim: the money lies in the County Revenue Fund, and no rule of the county can spend
it before an appropriation and an exchequer issue (Constitution art. 207(2); PFM Act 2012 s. 109). An exchequer issue
converts a claim into appropriated money. Commitments reserve. Expenses take appropriated or earmarked money alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from revenue_engine import periods
from revenue_engine.access import approvals
from revenue_engine.access.approvals import Agreed
from revenue_engine.db import raw, rows, scalar
from revenue_engine.errors import InvalidValue
from revenue_engine.secondary_ledgers import books

KIND = "fund_fact"
"""The kind of request."""
KINDS = ("exchequer_issue", "commitment", "release", "expense")
_FIELDS = ("kind", "fund_class", "debit", "credit", "reference")


class FundClass(NamedTuple):
    """One class of a book, in cents: what rules brought, what the exchequer issued or converted, what was spent, what
    is reserved, and what may be spent now."""

    fund_class: str
    derived_minor: int
    issued_minor: int
    spent_minor: int
    committed_minor: int
    available_minor: int
    note: str


_NOTES = {
    "claim": "claim without law: in the County Revenue Fund until it is appropriated and issued",
    "appropriated": "issued by the exchequer",
    "earmarked": "kept by law or agreement",
    "off_budget": "spent by the partner",
}


def classes(session: Session, book: str) -> list[FundClass]:
    """The four classes of a book; a claim and off-budget support have nothing to spend."""
    books.get(session, book)
    derived = dict(
        raw(session).execute(
            "SELECT fund_class, sum(sign * amount_minor)::bigint FROM book_trace WHERE book_code = %s GROUP BY 1",
            (book,),
        )
    )
    facts: dict[tuple[str, str], int] = {
        (fund, kind): minor
        for fund, kind, minor in raw(session).execute(
            "SELECT fund_class, kind, sum(amount_minor)::bigint FROM fund_fact WHERE book_code = %s GROUP BY 1, 2",
            (book,),
        )
    }
    left = dict(
        raw(session).execute(
            "SELECT fund_class, sum(commitment_left(id))::bigint FROM fund_fact"
            " WHERE book_code = %s AND kind = 'commitment' GROUP BY 1",
            (book,),
        )
    )
    issued = facts.get(("appropriated", "exchequer_issue"), 0)
    found = []
    for fund, note in _NOTES.items():
        spendable = fund in {"appropriated", "earmarked"}
        available = scalar(session, "SELECT fund_available(%s, %s)", (book, fund)) if spendable else 0
        moved = {"claim": -issued, "appropriated": issued}.get(fund, 0)
        spent = facts.get((fund, "expense"), 0)
        found.append(FundClass(fund, derived.get(fund, 0), moved, spent, left.get(fund, 0), available, note))
    return found


def ask(session: Session, book: str, described: Mapping[str, Any], *, reason: str) -> str:
    """Ask that money of a book be issued, committed, released or spent; returns the request's public id.

    ``described`` has kind, fund_class, debit, credit, reference, amount_minor (cents), and for an exchequer issue
    claim_debit and claim_credit (the accounts on which the claim goes down), for a release or an expense of reserved
    money the commitment's reference. Raises InvalidValue that names the field, and Conflict with the database's reason:
    a claim is never spent, nothing is spent or committed above what may be spent.
    """
    for field in _FIELDS:
        if not described.get(field):
            raise InvalidValue(f"say the {field}", field=field)
    kind = described["kind"]
    if kind not in KINDS:
        raise InvalidValue(f"a fund's fact is one of {', '.join(KINDS)}", kind=kind)
    minor = described.get("amount_minor")
    if type(minor) is not int or minor <= 0:
        raise InvalidValue("an amount is at least one cent", amount_minor=minor)
    issue = kind == "exchequer_issue"
    if issue != bool(described.get("claim_debit")) or issue != bool(described.get("claim_credit")):
        raise InvalidValue("an exchequer issue, and nothing else, says the accounts on which the claim goes down")
    if kind == "release" and not described.get("commitment"):
        raise InvalidValue("a release names its commitment", field="commitment")
    if kind in {"exchequer_issue", "commitment"} and described.get("commitment"):
        raise InvalidValue(f"a fact of the kind {kind} is not of a commitment", field="commitment")
    day = described.get("book_date") or periods.today()
    payload = {
        "book": book,
        **{field: described[field] for field in _FIELDS},
        **{field: described.get(field) for field in ("claim_debit", "claim_credit", "commitment")},
        "amount_minor": minor,
        "book_date": day.isoformat() if isinstance(day, date) else day,
    }
    subject = f"{kind} {described['reference']} of {book}"
    return approvals.ask(session, KIND, subject=subject, payload=payload, reason=reason)


def note_agreed(session: Session, agreed: Agreed) -> int:
    """Keep a fund's fact as two persons agreed; returns its id. The database looks again at what may be spent."""
    told = agreed.payload
    return int(
        scalar(
            session,
            "INSERT INTO fund_fact (book_code, kind, fund_class, amount_minor, book_date, debit, credit, claim_debit,"
            " claim_credit, reference, commitment_id, reason, approval_id) VALUES (%(book)s, %(kind)s, %(fund_class)s,"
            " %(amount_minor)s, %(book_date)s, %(debit)s, %(credit)s, %(claim_debit)s, %(claim_credit)s, %(reference)s,"
            " (SELECT id FROM fund_fact WHERE book_code = %(book)s AND kind = 'commitment'"
            " AND reference = %(commitment)s), %(reason)s, %(approval)s) RETURNING id",
            {**told, "reason": agreed.reason, "approval": agreed.number},
        )
    )


class Commitment(NamedTuple):
    """A commitment and what is left of it, in cents."""

    reference: str
    fund_class: str
    book_date: date
    amount_minor: int
    left_minor: int


def commitments(session: Session, book: str) -> list[Commitment]:
    """The commitments of a book, by day."""
    books.get(session, book)
    return rows(
        session,
        Commitment,
        "SELECT reference, fund_class, book_date, amount_minor, commitment_left(id) AS left_minor FROM fund_fact"
        " WHERE book_code = %s AND kind = 'commitment' ORDER BY book_date, id",
        (book,),
    )
