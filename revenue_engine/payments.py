"""Evidence of money that moved, the payments it proves, and what each payment was set against."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import psycopg
from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, LargeBinary, text
from sqlalchemy import Identity as Serial
from sqlalchemy.orm import Mapped, Session, mapped_column

from revenue_engine.channels import Party, Strength
from revenue_engine.db import Base, Sealed, copy_rows, next_ids, raw
from revenue_engine.errors import NotFound
from revenue_engine.identifiers import public_id
from revenue_engine.ledger import chart


class PushRequest(Sealed, Base):
    """Our own request that a payer's phone ask for money (an STK push), and the bill it asks for."""

    __tablename__ = "push_request"
    id: Mapped[int] = mapped_column(BigInteger, Serial(), primary_key=True)
    channel_account_id: Mapped[int] = mapped_column(ForeignKey("channel_account.id"))
    request_id: Mapped[str] = mapped_column(unique=True)
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoice.id"))
    amount_minor: Mapped[int]
    requested_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    requested_by: Mapped[str]


class PushEnd(Sealed, Base):
    """How a push ended that brought no money, by the first message that said so."""

    __tablename__ = "push_end"
    __table_args__ = (CheckConstraint("state IN ('failed', 'cancelled')", name="state"),)
    request_id: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str]
    delivery_id: Mapped[int]
    recorded_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class Payment(Sealed, Base):
    """A recorded fact about money: its identity is (channel account, kind, provider reference), unique for ever.

    Narrow and never partitioned, because that uniqueness is what keeps one shilling from counting twice. What names
    a payment (party, application, receipt) is guarded once a statement, by triggers, and not by foreign keys.
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


class Evidence(Sealed, Base):
    """One message about one movement of money. Evidence without a payment of its identity is unconfirmed or waiting."""

    __tablename__ = "evidence"
    __table_args__ = (
        Index("uq_evidence_delivery_id", "delivery_id", "item", unique=True),
        Index("ix_evidence_identity", "reference", "kind", "channel_account_id"),
        Index("ix_evidence_reverses", "reverses", postgresql_where=text("reverses IS NOT NULL")),
        Index("ix_evidence_request_id", "request_id", postgresql_where=text("request_id IS NOT NULL")),
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


class Application(Sealed, Base):
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
    item: int = 0
    """Which of the movements that its delivery tells of."""
    also_known_as: tuple[str, ...] = ()


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
    item: int = 0


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
    "id",
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
    "item",
)
_EVIDENCE_TYPES = ("int8", "int8", "int8", *["text"] * 3, "int8", "text", "timestamptz", *["text"] * 3, "bytea", "int8")


def write_evidence(session: Session, facts: Sequence[Fact]) -> list[Stored]:
    """Keep what each message said; answers what was written. A delivery that is replayed has its evidence already."""
    if not facts:
        return []
    connection = raw(session)
    kept = {
        tuple(row)
        for row in connection.execute(
            "SELECT delivery_id, item FROM evidence WHERE delivery_id = ANY(%s)",
            (sorted({fact.delivery_id for fact in facts}),),
        )
    }
    fresh = [fact for fact in facts if (fact.delivery_id, fact.item) not in kept]
    written = [
        Stored(
            evidence_id,
            fact.delivery_id,
            fact.identity,
            fact.message,
            fact.amount_minor,
            fact.currency,
            fact.occurred_at,
            fact.request_id,
            fact.reverses,
            fact.strength,
            typed_digest(fact.typed),
            fact.item,
        )
        for evidence_id, fact in zip(next_ids(connection, {"evidence": len(fresh)})["evidence"], fresh, strict=True)
    ]
    rows = [
        (
            one.id,
            one.delivery_id,
            *one.identity,
            one.message,
            one.amount_minor,
            one.currency,
            one.occurred_at,
            one.request_id or None,
            one.reverses or None,
            one.strength.value,
            one.typed_digest,
            one.item,
        )
        for one in written
    ]
    copy_rows(connection, "evidence", _EVIDENCE, _EVIDENCE_TYPES, rows)
    return written


_STORED = (
    "SELECT e.id, e.delivery_id, e.channel_account_id, e.kind, e.reference, e.message, e.amount_minor, e.currency,"
    " e.occurred_at, coalesce(e.request_id, ''), coalesce(e.reverses, ''), e.strength, e.typed_digest, e.item"
    " FROM evidence e"
)


def _stored(row: Sequence[Any]) -> Stored:
    return Stored(*(row[0], row[1], Identity(*row[2:5]), *row[5:11], Strength(row[11]), row[12], row[13]))


def evidence_of(session: Session, identities: Iterable[Identity], *, written: Sequence[Stored]) -> list[Stored]:
    """All evidence of some movements of money, in the order it was recorded.

    ``written`` is what this transaction wrote: it is not read back, so that a movement told once costs no row.
    """
    wanted = set(identities)
    if not wanted:
        return []
    fresh = [one for one in written if one.identity in wanted]
    rows = raw(session).execute(
        _STORED + " WHERE e.reference = ANY(%s) AND e.id <> ALL(%s)",
        (sorted({identity.reference for identity in wanted}), [one.id for one in fresh]),
        binary=True,
    )
    earlier = [one for one in map(_stored, rows.fetchall()) if one.identity in wanted]
    return sorted(fresh + earlier, key=lambda one: one.id) if earlier else fresh


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


def reversals_undecided(session: Session, delivery_id: int) -> list[Stored]:
    """The reversals that a delivery told of and that took nothing back yet."""
    rows = raw(session).execute(
        _STORED + " WHERE e.delivery_id = %s AND e.kind = 'reversal' AND NOT EXISTS (SELECT FROM payment p"
        " WHERE p.channel_account_id = e.channel_account_id AND p.kind = 'reversal' AND p.reference = e.reference)"
        " ORDER BY e.id",
        (delivery_id,),
        binary=True,
    )
    return [_stored(row) for row in rows]


def find(session: Session, identities: Iterable[Identity]) -> dict[Identity, Recorded]:
    """The payments that stand, by identity."""
    wanted = set(identities)
    if not wanted:
        return {}
    rows = raw(session).execute(
        "SELECT id, channel_account_id, kind, reference, amount_minor, occurred_at, reverses_id FROM payment"
        " WHERE reference = ANY(%s)",
        (sorted({identity.reference for identity in wanted}),),
        binary=True,
    )
    found = [Recorded(row[0], Identity(*row[1:4]), *row[4:]) for row in rows.fetchall()]
    return {payment.identity: payment for payment in found if payment.identity in wanted}


def by_ids(session: Session, payment_ids: Iterable[int]) -> dict[int, Recorded]:
    """The payments of these ids, by id."""
    rows = raw(session).execute(
        "SELECT id, channel_account_id, kind, reference, amount_minor, occurred_at, reverses_id FROM payment"
        " WHERE id = ANY(%s)",
        (sorted(set(payment_ids)),),
    )
    return {row[0]: Recorded(row[0], Identity(*row[1:4]), *row[4:]) for row in rows}


def by_id(session: Session, payment_id: int) -> Recorded:
    """One payment. Raises NotFound."""
    found = by_ids(session, [payment_id]).get(payment_id)
    if found is None:
        raise NotFound(f"no payment {payment_id}", payment_id=payment_id)
    return found


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


_PAYMENT = ("id", "public_id", "channel_account_id", "kind", "reference", "amount_minor", "occurred_at", "reverses_id")
_PAYMENT_TYPES = ("int8", "text", "int8", "text", "text", "int8", "timestamptz", "int8")


def record(session: Session, new: Sequence[NewPayment]) -> dict[Identity, Recorded]:
    """Record payments, each identity once for ever; answers only those that are new.

    In order of identity, so that two workers with the same payments wait for each other instead of deadlocking.
    An identity another transaction recorded meanwhile is left out, and the others are written again without it.
    """
    ordered = sorted(new, key=lambda payment: payment.identity)
    connection = raw(session)
    recorded: dict[Identity, Recorded] = {}
    while ordered:
        ids = next_ids(connection, {"payment": len(ordered)})["payment"]
        try:
            with connection.transaction():
                _write_payments(connection, ids, ordered)
        except psycopg.errors.UniqueViolation as error:
            rivals = find(session, [payment.identity for payment in ordered])
            if error.diag.constraint_name != "uq_payment_identity" or not rivals:
                raise
            ordered = [payment for payment in ordered if payment.identity not in rivals]
            continue
        recorded = {
            payment.identity: Recorded(
                payment_id, payment.identity, payment.amount_minor, payment.occurred_at, payment.reverses_id
            )
            for payment_id, payment in zip(ids, ordered, strict=True)
        }
        break
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


def _write_payments(connection: psycopg.Connection[Any], ids: Sequence[int], ordered: Sequence[NewPayment]) -> None:
    rows = [
        (
            payment_id,
            public_id("pay"),
            *payment.identity,
            payment.amount_minor,
            payment.occurred_at,
            payment.reverses_id,
        )
        for payment_id, payment in zip(ids, ordered, strict=True)
    ]
    copy_rows(connection, "payment", _PAYMENT, _PAYMENT_TYPES, rows)


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


def write_push_ends(session: Session, ends: Sequence[tuple[str, str, int]]) -> None:
    """Keep how requests of ours ended without money (id, failed | cancelled, delivery id); the first stands."""
    insert = "INSERT INTO push_end (request_id, state, delivery_id) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"
    for end in sorted(ends):
        raw(session).execute(insert, end)


def settled_requests(session: Session, request_ids: Sequence[str]) -> set[str]:
    """Which of these requests of ours have a known end: money that is in evidence, or a message that there is none."""
    rows = raw(session).execute(
        "SELECT request_id FROM evidence WHERE request_id = ANY(%(ids)s)"
        " UNION SELECT request_id FROM push_end WHERE request_id = ANY(%(ids)s)",
        {"ids": sorted(request_ids)},
    )
    return {row[0] for row in rows}


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
