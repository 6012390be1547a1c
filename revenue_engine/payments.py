"""Evidence of money that moved, the payments it proves, and what each payment was set against."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, LargeBinary, text
from sqlalchemy import Identity as Serial
from sqlalchemy.orm import Mapped, Session, mapped_column

from revenue_engine.channels import Party, Strength
from revenue_engine.db import Base, copy_rows, raw
from revenue_engine.errors import NotFound
from revenue_engine.identifiers import public_id
from revenue_engine.ledger import chart


class PushRequest(Base):
    """Our own request that a payer's phone ask for money (an STK push), and the bill it asks for."""

    __tablename__ = "push_request"
    id: Mapped[int] = mapped_column(BigInteger, Serial(), primary_key=True)
    channel_account_id: Mapped[int] = mapped_column(ForeignKey("channel_account.id"))
    request_id: Mapped[str] = mapped_column(unique=True)
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoice.id"))
    amount_minor: Mapped[int]
    requested_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    requested_by: Mapped[str]


class Payment(Base):
    """A recorded fact about money: its identity is (channel account, kind, provider reference), unique for ever.

    Narrow and never partitioned, because that uniqueness is what keeps one shilling from counting twice. What names
    a payment (party, application, receipt) is guarded once a statement, by the trigger ``parents_exist``.
    """

    __tablename__ = "payment"
    __table_args__ = (
        Index("uq_payment_identity", "reference", "kind", "channel_account_id", unique=True),
        Index("uq_payment_reverses_id", "reverses_id", unique=True, postgresql_where=text("reverses_id IS NOT NULL")),
        CheckConstraint("kind IN ('payment', 'reversal', 'charge', 'payout')", name="kind"),
        CheckConstraint("amount_minor > 0 AND amount_minor < 1000000000000", name="amount"),
        CheckConstraint("currency = 'KES'", name="currency"),
        CheckConstraint("(kind = 'reversal') = (reverses_id IS NOT NULL)", name="reverses"),
    )
    id: Mapped[int] = mapped_column(BigInteger, Serial(), primary_key=True)
    public_id: Mapped[str]
    channel_account_id: Mapped[int]
    kind: Mapped[str]
    reference: Mapped[str]
    amount_minor: Mapped[int]
    currency: Mapped[str] = mapped_column(server_default=text("'KES'"))
    occurred_at: Mapped[datetime]
    recorded_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    reverses_id: Mapped[int | None] = mapped_column(ForeignKey("payment.id"))


class PaymentParty(Base):
    """Who paid and what they typed, as received: personal data, erased after the retention period."""

    __tablename__ = "payment_party"
    payment_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    name: Mapped[str]
    msisdn: Mapped[str]
    account_reference: Mapped[str]


class Evidence(Base):
    """One message about one movement of money. Evidence without a payment of its identity is unconfirmed or waiting."""

    __tablename__ = "evidence"
    __table_args__ = (
        Index("uq_evidence_delivery_id", "delivery_id", "item", unique=True),
        Index("ix_evidence_identity", "reference", "kind", "channel_account_id"),
        Index("ix_evidence_reverses", "reverses", postgresql_where=text("reverses IS NOT NULL")),
        CheckConstraint("kind IN ('payment', 'reversal', 'charge', 'payout')", name="kind"),
    )
    id: Mapped[int] = mapped_column(BigInteger, Serial(), primary_key=True)
    delivery_id: Mapped[int]
    item: Mapped[int] = mapped_column(server_default=text("0"))
    channel_account_id: Mapped[int]
    kind: Mapped[str]
    reference: Mapped[str]
    message: Mapped[str]
    amount_minor: Mapped[int | None]
    currency: Mapped[str]
    occurred_at: Mapped[datetime]
    request_id: Mapped[str | None]
    reverses: Mapped[str | None]
    strength: Mapped[str]
    typed_digest: Mapped[bytes] = mapped_column(LargeBinary)
    """SHA-256 of the account reference as typed: enough to see that two messages disagree, not to read it."""
    recorded_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class Application(Base):
    """Payment money set against one component of one bill; a negative amount takes it off again."""

    __tablename__ = "application"
    __table_args__ = (
        Index("ix_application_payment_id", "payment_id"),
        Index("ix_application_invoice_id", "invoice_id"),
        CheckConstraint("amount_minor <> 0", name="amount"),
        CheckConstraint("component IN ('costs', 'penalty', 'interest', 'arrears', 'principal')", name="component"),
    )
    id: Mapped[int] = mapped_column(BigInteger, Serial(), primary_key=True)
    payment_id: Mapped[int]
    invoice_id: Mapped[int]
    component: Mapped[str]
    amount_minor: Mapped[int]
    journal_id: Mapped[int]
    rung: Mapped[str]
    """Which rung of the ladder, or which act, set it: the stored why."""
    recorded_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class Identity(NamedTuple):
    """What makes one movement of money itself and no other."""

    channel_account_id: int
    kind: str
    reference: str


@dataclass(frozen=True, slots=True)
class Fact:
    """One message about money, read from one delivery."""

    delivery_id: int
    identity: Identity
    message: str
    amount_minor: int | None
    currency: str
    occurred_at: datetime
    received_at: datetime
    strength: Strength
    request_id: str = ""
    reverses: str = ""
    typed: str = ""
    party: Party = field(default_factory=Party)


@dataclass(frozen=True, slots=True)
class Stored:
    """A piece of evidence read back: enough to weigh it, nothing personal."""

    id: int
    delivery_id: int
    identity: Identity
    message: str
    amount_minor: int | None
    currency: str
    occurred_at: datetime
    request_id: str
    reverses: str
    strength: Strength
    typed_digest: bytes


@dataclass(frozen=True, slots=True)
class Recorded:
    """A payment (or reversal) that stands in the books."""

    id: int
    identity: Identity
    amount_minor: int
    occurred_at: datetime
    reverses_id: int | None = None


@dataclass(frozen=True, slots=True)
class Push:
    """Our own push request: the bill it asks for and the amount, in cents."""

    request_id: str
    channel_account_id: int
    invoice_id: int
    amount_minor: int


def typed_digest(typed: str) -> bytes:
    """What evidence keeps of a typed reference."""
    return hashlib.sha256(typed.encode()).digest()


_EVIDENCE = (
    "delivery_id",
    "channel_account_id",
    "kind",
    "reference",
    "message",
    "amount_minor",
    "currency",
    "occurred_at",
    "request_id",
    "reverses",
    "strength",
    "typed_digest",
)
_EVIDENCE_TYPES = ("int8", "int8", *["text"] * 3, "int8", "text", "timestamptz", *["text"] * 3, "bytea")


def write_evidence(session: Session, facts: Sequence[Fact]) -> set[int]:
    """Keep what each message said; answers the deliveries that are new, for one read again adds nothing."""
    if not facts:
        return set()
    connection = raw(session)
    kept = {
        row[0]
        for row in connection.execute(
            "SELECT delivery_id FROM evidence WHERE delivery_id = ANY(%s)", ([fact.delivery_id for fact in facts],)
        )
    }
    rows = [
        (
            fact.delivery_id,
            *fact.identity,
            fact.message,
            fact.amount_minor,
            fact.currency,
            fact.occurred_at,
            fact.request_id or None,
            fact.reverses or None,
            fact.strength.value,
            typed_digest(fact.typed),
        )
        for fact in facts
        if fact.delivery_id not in kept
    ]
    copy_rows(connection, "evidence", _EVIDENCE, _EVIDENCE_TYPES, rows)
    return {row[0] for row in rows}


_STORED = (
    "SELECT e.id, e.delivery_id, e.channel_account_id, e.kind, e.reference, e.message, e.amount_minor, e.currency,"
    " e.occurred_at, coalesce(e.request_id, ''), coalesce(e.reverses, ''), e.strength, e.typed_digest FROM evidence e"
)


def _stored(row: Sequence[Any]) -> Stored:
    return Stored(*(row[0], row[1], Identity(*row[2:5]), *row[5:11], Strength(row[11]), bytes(row[12])))


def evidence_of(session: Session, identities: Iterable[Identity]) -> list[Stored]:
    """All evidence of some movements of money, in the order it was recorded."""
    wanted = sorted(set(identities))
    if not wanted:
        return []
    rows = raw(session).execute(
        _STORED + " JOIN unnest(%s::bigint[], %s::text[], %s::text[]) AS w (channel, kind, reference)"
        " ON e.reference = w.reference AND e.kind = w.kind AND e.channel_account_id = w.channel ORDER BY e.id",
        _columns(wanted),
        binary=True,
    )
    return [_stored(row) for row in rows]


def reversals_waiting_for(session: Session, recorded: Sequence[Recorded]) -> list[Stored]:
    """Evidence of reversals that came before the payments they take back, and has not been acted on."""
    if not recorded:
        return []
    rows = raw(session).execute(
        _STORED + " WHERE e.reverses = ANY(%s) AND e.kind = 'reversal' AND NOT EXISTS (SELECT FROM payment p"
        " WHERE p.channel_account_id = e.channel_account_id AND p.kind = 'reversal' AND p.reference = e.reference)"
        " ORDER BY e.id",
        ([payment.identity.reference for payment in recorded],),
        binary=True,
    )
    return [_stored(row) for row in rows]


def _columns(identities: Sequence[Identity]) -> tuple[list[int], list[str], list[str]]:
    return (
        [identity.channel_account_id for identity in identities],
        [identity.kind for identity in identities],
        [identity.reference for identity in identities],
    )


def find(session: Session, identities: Iterable[Identity]) -> dict[Identity, Recorded]:
    """The payments that stand, by identity."""
    wanted = sorted(set(identities))
    if not wanted:
        return {}
    rows = raw(session).execute(
        "SELECT p.id, p.channel_account_id, p.kind, p.reference, p.amount_minor, p.occurred_at, p.reverses_id"
        "  FROM payment p JOIN unnest(%s::bigint[], %s::text[], %s::text[]) AS w (channel, kind, reference)"
        "    ON p.channel_account_id = w.channel AND p.kind = w.kind AND p.reference = w.reference",
        _columns(wanted),
        binary=True,
    )
    found = [Recorded(row[0], Identity(*row[1:4]), *row[4:]) for row in rows]
    return {payment.identity: payment for payment in found}


def by_id(session: Session, payment_id: int) -> Recorded:
    """One payment. Raises NotFound."""
    row = (
        raw(session)
        .execute(
            "SELECT id, channel_account_id, kind, reference, amount_minor, occurred_at, reverses_id FROM payment"
            " WHERE id = %s",
            (payment_id,),
        )
        .fetchone()
    )
    if row is None:
        raise NotFound(f"no payment {payment_id}", payment_id=payment_id)
    return Recorded(row[0], Identity(*row[1:4]), *row[4:])


def reversed_already(session: Session, payment_ids: Sequence[int]) -> set[int]:
    """Which of these payments a reversal stands for."""
    if not payment_ids:
        return set()
    rows = raw(session).execute("SELECT reverses_id FROM payment WHERE reverses_id = ANY(%s)", (list(payment_ids),))
    return {row[0] for row in rows}


def lock(session: Session, payment_ids: Iterable[int]) -> None:
    """Serialise work on the money held of payments, in id order, to the end of the transaction; after bills and payers.

    Money in suspense has neither bill nor payer to lock, and must not be identified and taken back at once.
    """
    wanted = sorted(set(payment_ids))
    if wanted:
        raw(session).execute(
            "SELECT pg_advisory_xact_lock(7203, mod(id, 2147483647)::int) FROM unnest(%s::bigint[]) WITH ORDINALITY"
            " AS w (id, n) ORDER BY n",
            (wanted,),
        )


@dataclass(frozen=True, slots=True)
class NewPayment:
    """A payment about to be recorded."""

    identity: Identity
    amount_minor: int
    occurred_at: datetime
    reverses_id: int | None = None
    party: Party | None = None
    typed: str = ""


def record(session: Session, new: Sequence[NewPayment]) -> dict[Identity, Recorded]:
    """Record payments, each identity once for ever; answers only those that are new.

    In order of identity, so that two workers with the same payments wait for each other instead of deadlocking.
    An identity another transaction recorded meanwhile is simply not in the answer.
    """
    if not new:
        return {}
    ordered = sorted(new, key=lambda payment: payment.identity)
    connection = raw(session)
    rows = connection.execute(
        """
        INSERT INTO payment (public_id, channel_account_id, kind, reference, amount_minor, occurred_at, reverses_id)
        SELECT * FROM unnest(%s::text[], %s::bigint[], %s::text[], %s::text[], %s::bigint[], %s::timestamptz[],
                             %s::bigint[])
        ON CONFLICT (channel_account_id, kind, reference) DO NOTHING
        RETURNING id, channel_account_id, kind, reference, amount_minor, occurred_at, reverses_id
        """,
        (
            [public_id("pay") for _ in ordered],
            *_columns([payment.identity for payment in ordered]),
            [payment.amount_minor for payment in ordered],
            [payment.occurred_at for payment in ordered],
            [payment.reverses_id for payment in ordered],
        ),
        binary=True,
    ).fetchall()
    recorded = {identity: Recorded(row[0], identity, *row[4:]) for row in rows for identity in (Identity(*row[1:4]),)}
    copy_rows(
        connection,
        "payment_party",
        ("payment_id", "name", "msisdn", "account_reference"),
        ("int8", "text", "text", "text"),
        [
            (recorded[payment.identity].id, payment.party.name, payment.party.msisdn, payment.typed)
            for payment in ordered
            if payment.identity in recorded and payment.party is not None
        ],
    )
    return recorded


def pushes(session: Session, request_ids: Iterable[str]) -> dict[str, Push]:
    """Our own push requests, by request id."""
    wanted = sorted(filter(None, set(request_ids)))
    if not wanted:
        return {}
    rows = raw(session).execute(
        "SELECT request_id, channel_account_id, invoice_id, amount_minor FROM push_request WHERE request_id = ANY(%s)",
        (wanted,),
    )
    return {row[0]: Push(*row) for row in rows}


def request_push(
    session: Session, *, channel_account_id: int, request_id: str, invoice_id: int, amount_minor: int, by: str
) -> None:
    """Remember that a payer's phone was asked to pay a bill, before the provider is asked to ask it."""
    session.add(
        PushRequest(
            channel_account_id=channel_account_id,
            request_id=request_id,
            invoice_id=invoice_id,
            amount_minor=amount_minor,
            requested_by=by,
        )
    )
    session.flush()


class NewApplication(NamedTuple):
    """Money of a payment set against one component of a bill, in cents; negative takes it off."""

    payment_id: int
    invoice_id: int
    component: str
    amount_minor: int
    journal_id: int
    rung: str


def apply(session: Session, applications: Sequence[NewApplication]) -> None:
    """Write applications; the database derives what is left of each bill from them and refuses to go below nothing."""
    copy_rows(
        raw(session),
        "application",
        NewApplication._fields,
        ("int8", "int8", "text", "int8", "int8", "text"),
        applications,
    )


def applied(session: Session, payment_ids: Sequence[int]) -> dict[int, list[tuple[int, str, int]]]:
    """What stands applied of each payment: (invoice id, component, cents), components that came to nothing left out."""
    if not payment_ids:
        return {}
    rows = raw(session).execute(
        "SELECT payment_id, invoice_id, component, sum(amount_minor)::bigint FROM application"
        " WHERE payment_id = ANY(%s) GROUP BY payment_id, invoice_id, component HAVING sum(amount_minor) <> 0"
        " ORDER BY payment_id, max(id) DESC",
        (list(payment_ids),),
    )
    standing: dict[int, list[tuple[int, str, int]]] = {}
    for payment_id, invoice_id, component, amount in rows:
        standing.setdefault(payment_id, []).append((invoice_id, component, amount))
    return standing


class Held(NamedTuple):
    """Money of a payment that is in suspense (no payer) or in a payer's unapplied credit, in cents."""

    payment_id: int
    account: str
    payer_id: int | None
    stream_code: str | None
    station_code: str | None
    amount_minor: int


def held(session: Session, *, payment_ids: Sequence[int] = (), payer_id: int | None = None) -> list[Held]:
    """What is still held of some payments, or of one payer's payments, read from the postings."""
    rows = raw(session).execute(
        """
        SELECT payment_id, account, holder, max(stream_code), max(station_code), sum(amount)::bigint FROM (
            SELECT payment_id, credit AS account, CASE credit WHEN %(credit)s THEN payer_id END AS holder,
                   stream_code, station_code, amount_minor AS amount
              FROM posting WHERE credit = ANY(%(accounts)s)
               AND ((%(payer)s::bigint IS NULL AND payment_id = ANY(%(payments)s)) OR payer_id = %(payer)s)
            UNION ALL
            SELECT payment_id, debit, CASE debit WHEN %(credit)s THEN payer_id END, NULL, NULL, -amount_minor
              FROM posting WHERE debit = ANY(%(accounts)s)
               AND ((%(payer)s::bigint IS NULL AND payment_id = ANY(%(payments)s)) OR payer_id = %(payer)s)
        ) moved GROUP BY payment_id, account, holder HAVING sum(amount) <> 0
        ORDER BY payment_id, account
        """,
        {
            "accounts": [chart.SUSPENSE, chart.UNAPPLIED_CREDIT],
            "credit": chart.UNAPPLIED_CREDIT,
            "payer": payer_id,
            "payments": list(payment_ids),
        },
    )
    return [Held(*row) for row in rows]


def held_for(
    session: Session, invoice_id: int, *, payer_id: int | None, standing_stream: str | None = None
) -> list[Held]:
    """Money still held that named this bill when it came: in its payer's credit, or, without a payer, in suspense.

    ``standing_stream`` is the stream of a bill of an object: credit that named one of its payer's objects of that
    stream, and so no one bill, counts as well.
    """
    connection = raw(session)
    if payer_id is None:
        rows = connection.execute(
            "SELECT DISTINCT payment_id FROM break_case WHERE invoice_id = %s AND closed_at IS NULL", (invoice_id,)
        )
    else:
        rows = connection.execute(
            "SELECT DISTINCT payment_id FROM posting WHERE payer_id = %s AND credit = %s"
            " AND (invoice_id = %s OR (invoice_id IS NULL AND stream_code = %s))",
            (payer_id, chart.UNAPPLIED_CREDIT, invoice_id, standing_stream),
        )
    ids = [row[0] for row in rows if row[0] is not None]
    return held(session, payment_ids=ids) if ids else []
