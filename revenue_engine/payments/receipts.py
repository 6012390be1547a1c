"""Official receipts and acknowledgements: gapless numbers, issued once, cancelled and never deleted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from revenue_engine import periods
from revenue_engine.access.scope import WHOLE, Scope
from revenue_engine.db import Base, Sealed, copy_rows, next_ids, one, raw, rows, scalar
from revenue_engine.errors import NotFound
from revenue_engine.identifiers import public_id


class Receipt(Sealed, Base):
    """The numbered proof given to a payer: a receipt for named money, an acknowledgement for suspense money."""

    __tablename__ = "receipt"
    __table_args__ = (
        UniqueConstraint("kind", "financial_year", "number"),
        Index("uq_receipt_payment_id", "payment_id", "kind", "turn", unique=True),
        CheckConstraint("kind IN ('receipt', 'acknowledgement')", name="kind"),
        CheckConstraint("amount_minor > 0", name="amount"),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    public_id: Mapped[str]
    kind: Mapped[str]
    financial_year: Mapped[str]
    number: Mapped[int]
    payment_id: Mapped[int]
    amount_minor: Mapped[int]
    paid_at: Mapped[datetime]
    book_date: Mapped[date]
    issued_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    turn: Mapped[int] = mapped_column(server_default=text("1"))
    """Which paper of its kind this is for the payment: a match that is taken back and made again gives another."""


class ReceiptSeries(Base):
    """The last number taken of each gapless series. Locked last, once a batch, until its transaction ends."""

    __tablename__ = "receipt_series"
    kind: Mapped[str] = mapped_column(primary_key=True)
    financial_year: Mapped[str] = mapped_column(primary_key=True)
    last_number: Mapped[int] = mapped_column(server_default=text("0"))


class ReceiptCancellation(Sealed, Base):
    """Why a receipt no longer proves anything; its number stays taken."""

    __tablename__ = "receipt_cancellation"
    receipt_id: Mapped[int] = mapped_column(ForeignKey("receipt.id"), primary_key=True)
    reason: Mapped[str]
    cancelled_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


@dataclass(frozen=True, slots=True)
class ToIssue:
    """A receipt about to be issued for a payment."""

    payment_id: int
    kind: str
    amount_minor: int
    paid_at: datetime
    book_date: date
    turn: int = 1
    """1 for the first of its kind; see :func:`turns`."""


@dataclass(frozen=True, slots=True)
class Issued:
    """An issued receipt: its key and its number as printed."""

    id: int
    payment_id: int
    number: str


LONGEST_NUMBER = 9
"""Digits of a paper's number within its year."""
PRINTED = {"receipt": "RCT", "acknowledgement": "ACK"}


def printed_number(kind: str, year: str, number: int) -> str:
    """``RCT-2627-000123``: the number as it stands on paper."""
    return f"{PRINTED[kind]}-{year}-{number:06d}"


def _year(item: ToIssue) -> str:
    """The financial year follows receipt, not book date: money paid by 30 June belongs to that year."""
    return periods.financial_year(periods.received_on(item.paid_at, item.book_date))


def issue(session: Session, wanted: Sequence[ToIssue]) -> list[Issued]:
    """Issue receipts with gapless numbers per kind and financial year, in the order given.

    Takes the series rows last and once: they stay locked to the end of the transaction, so a number is never lost
    to a rollback and never given twice.
    """
    if not wanted:
        return []
    connection = raw(session)
    years = [_year(item) for item in wanted]
    counts: dict[tuple[str, str], int] = {}
    for item, year in zip(wanted, years, strict=True):
        counts[item.kind, year] = counts.get((item.kind, year), 0) + 1
    ids = next_ids(connection, {"receipt": len(wanted)})["receipt"]
    public_ids = [public_id("rct") for _ in wanted]
    numbers: dict[tuple[str, str], Iterator[int]] = {}
    for kind, year in sorted(counts):
        last: int = scalar(
            session,
            "INSERT INTO receipt_series (kind, financial_year, last_number) VALUES (%s, %s, %s)"
            " ON CONFLICT (kind, financial_year)"
            " DO UPDATE SET last_number = receipt_series.last_number + excluded.last_number RETURNING last_number",
            (kind, year, counts[kind, year]),
        )
        numbers[kind, year] = iter(range(last - counts[kind, year] + 1, last + 1))
    rows, issued = [], []
    for receipt_id, public, item, year in zip(ids, public_ids, wanted, years, strict=True):
        number = next(numbers[item.kind, year])
        rows.append(
            (
                receipt_id,
                public,
                item.kind,
                year,
                number,
                item.payment_id,
                item.amount_minor,
                item.paid_at,
                item.book_date,
                item.turn,
            )
        )
        issued.append(Issued(receipt_id, item.payment_id, printed_number(item.kind, year, number)))
    copy_rows(
        connection,
        "receipt",
        (
            "id",
            "public_id",
            "kind",
            "financial_year",
            "number",
            "payment_id",
            "amount_minor",
            "paid_at",
            "book_date",
            "turn",
        ),
        ("int8", "text", "text", "text", "int8", "int8", "int8", "timestamptz", "date", "int8"),
        rows,
    )
    return issued


def standing(session: Session, payment_ids: Sequence[int], *, kind: str) -> set[int]:
    """Which of these payments have a paper of this kind that is not cancelled."""
    rows = raw(session).execute(
        "SELECT r.payment_id FROM receipt r WHERE r.payment_id = ANY(%s) AND r.kind = %s"
        " AND NOT EXISTS (SELECT FROM receipt_cancellation c WHERE c.receipt_id = r.id)",
        (list(payment_ids), kind),
    )
    return {row[0] for row in rows}


def turns(session: Session, payment_ids: Sequence[int], *, kind: str) -> dict[int, int]:
    """The turn of the next paper of this kind of each payment that had one; asked under the payments' locks."""
    rows = raw(session).execute(
        "SELECT payment_id, max(turn) + 1 FROM receipt WHERE payment_id = ANY(%s) AND kind = %s GROUP BY payment_id",
        (list(payment_ids), kind),
    )
    return {row[0]: row[1] for row in rows}


def cancel(session: Session, payment_ids: Sequence[int], *, reason: str, kinds: Sequence[str] = tuple(PRINTED)) -> int:
    """Cancel the receipts of payments that were taken back or replaced; one cancelled before is left alone."""
    if not payment_ids:
        return 0
    return (
        raw(session)
        .execute(
            "INSERT INTO receipt_cancellation (receipt_id, reason)"
            " SELECT r.id, %s FROM receipt r WHERE r.payment_id = ANY(%s) AND r.kind = ANY(%s)"
            " ON CONFLICT (receipt_id) DO NOTHING",
            (reason, list(payment_ids), list(kinds)),
        )
        .rowcount
    )


def standing_numbers(session: Session, payment_ids: Sequence[int]) -> dict[int, list[str]]:
    """The printed numbers of the papers of payments that are not cancelled, in the order of issue."""
    rows = raw(session).execute(
        "SELECT r.payment_id, r.kind, r.financial_year, r.number FROM receipt r WHERE r.payment_id = ANY(%s)"
        " AND NOT EXISTS (SELECT FROM receipt_cancellation c WHERE c.receipt_id = r.id) ORDER BY r.id",
        (list(payment_ids),),
    )
    found: dict[int, list[str]] = {}
    for payment_id, kind, year, number in rows:
        found.setdefault(payment_id, []).append(printed_number(kind, year, number))
    return found


class Drawn(NamedTuple):
    """The papers of one kind and year that were issued on a book date; the amount is in cents."""

    kind: str
    financial_year: str
    first: int
    last: int
    issued: int
    amount: int
    cancelled: int


def issued_on(session: Session, on: date) -> list[Drawn]:
    """The receipts and acknowledgements of a book date, by kind and year, the receipts first."""
    return rows(
        session,
        Drawn,
        "SELECT r.kind, r.financial_year, min(r.number) AS first, max(r.number) AS last, count(*) AS issued,"
        " sum(r.amount_minor)::bigint AS amount, count(c.receipt_id) AS cancelled"
        " FROM receipt r LEFT JOIN receipt_cancellation c ON c.receipt_id = r.id"
        " WHERE r.book_date = %s GROUP BY 1, 2 ORDER BY 1 DESC, 2",
        (on,),
    )


@dataclass(frozen=True, slots=True)
class Shown:
    """A paper as it is shown; ``reference`` is the provider's of its payment, the amount is in cents."""

    id: int
    public_id: str
    kind: str
    financial_year: str
    number: int
    reference: str
    amount_minor: int
    paid_at: datetime
    issued_at: datetime
    cancelled_at: datetime | None
    cancelled_why: str | None

    @property
    def printed(self) -> str:
        """The number as it stands on paper."""
        return printed_number(self.kind, self.financial_year, self.number)


_SHOWN = (
    "SELECT r.id, r.public_id, r.kind, r.financial_year, r.number, p.reference, r.amount_minor, r.paid_at, r.issued_at,"
    " c.cancelled_at, c.reason AS cancelled_why FROM receipt r JOIN payment p ON p.id = r.payment_id"
    " LEFT JOIN receipt_cancellation c ON c.receipt_id = r.id"
)


def named(session: Session, name: str) -> Shown:
    """The paper of a printed number. Raises NotFound."""
    text_ = name.strip()
    kinds = {printed: kind for kind, printed in PRINTED.items()}
    prefix, _, rest = text_.upper().partition("-")
    year, _, number = rest.partition("-")
    found = None
    if prefix in kinds and number.isascii() and number.isdigit() and len(number) <= LONGEST_NUMBER:
        found = one(
            session,
            Shown,
            _SHOWN + " WHERE r.kind = %s AND r.financial_year = %s AND r.number = %s",
            (kinds[prefix], year, int(number)),
        )
    if found is None:
        raise NotFound(f"no receipt {name!r}: a number is written RCT-2627-000123 or ACK-2627-000123", number=name)
    return found


def is_within(session: Session, receipt_id: int, scope: Scope) -> bool:
    """Whether a paper's payment is where who asks may look."""
    found = "SELECT 1 FROM receipt r WHERE r.id = %(id)s AND " + scope.payment("r.payment_id")  # noqa: S608 - our own constant
    return raw(session).execute(found, {**scope.given, "id": receipt_id}).fetchone() is not None


def listed(session: Session, *, before: int | None = None, limit: int = 50, scope: Scope = WHOLE) -> list[Shown]:
    """Papers, the newest first; ``before`` is the key of the last one shown, ``scope`` where who asks may look."""
    return rows(
        session,
        Shown,
        _SHOWN + " WHERE (%(before)s::bigint IS NULL OR r.id < %(before)s)"
        f" AND {scope.payment('r.payment_id')} ORDER BY r.id DESC LIMIT %(limit)s",
        {**scope.given, "before": before, "limit": limit},
    )


def of_payment(session: Session, payment_id: int) -> list[Shown]:
    """Every paper of one payment, cancelled ones too, in the order they were issued."""
    return rows(session, Shown, _SHOWN + " WHERE r.payment_id = %s ORDER BY r.id", (payment_id,))


def payment_of(session: Session, receipt_id: int) -> int:
    """The payment of a paper."""
    return int(scalar(session, "SELECT payment_id FROM receipt WHERE id = %s", (receipt_id,)))
