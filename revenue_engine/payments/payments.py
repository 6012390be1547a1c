"""Payments and reversals that stand in the books: each identity once, for ever."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, text
from sqlalchemy import Identity as Serial
from sqlalchemy.orm import Mapped, Session, mapped_column

from revenue_engine.access.scope import WHOLE, Scope
from revenue_engine.db import Base, Sealed, copy_rows, next_ids, raw, rows, scalar
from revenue_engine.errors import Conflict, NotFound
from revenue_engine.identifiers import public_id
from revenue_engine.payments.evidence import STATEMENT_MESSAGE, Identity
from revenue_engine.ports.callbacks import Kind, Party
from revenue_engine.work.locks import Lock


class Payment(Sealed, Base):
    """A recorded fact about money: its identity is (channel account, kind, provider reference), unique for ever.

    Narrow and never partitioned, because that uniqueness is what keeps one shilling from counting twice. What names
    a payment (party, application, receipt) is guarded once a statement, by triggers, and not by foreign keys.
    """

    __tablename__ = "payment"
    __table_args__ = (
        Index("uq_payment_identity", "reference", "kind", "channel_account_id", unique=True),
        Index("ix_payment_occurred_at", "occurred_at", postgresql_using="brin"),
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


class PaymentParty(Sealed, Base):
    """Who paid and what they typed, as received: personal data, erased after the retention period."""

    __tablename__ = "payment_party"
    payment_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    name: Mapped[str]
    msisdn: Mapped[str]
    account_reference: Mapped[str]
    salt: Mapped[UUID] = mapped_column(server_default=text("gen_random_uuid()"))
    """What the words are committed to with; erased with them."""
    commitment: Mapped[bytes | None]
    """What stands in place of words that were erased."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A payment (or reversal) that stands in the books."""

    id: int
    identity: Identity
    amount_minor: int
    occurred_at: datetime
    reverses_id: int | None = None


def _recorded(
    payment_id: int,
    channel_account_id: int,
    kind: str,
    reference: str,
    amount_minor: int,
    occurred_at: datetime,
    reverses_id: int | None,
    /,
) -> Recorded:
    """A row in the order of the columns, read by position: payments are looked up for every batch of messages."""
    return Recorded(payment_id, Identity(channel_account_id, kind, reference), amount_minor, occurred_at, reverses_id)


def listed(
    session: Session,
    *,
    channel_account_id: int | None = None,
    before: int | None = None,
    limit: int = 50,
    scope: Scope = WHOLE,
) -> list[Recorded]:
    """Payments and reversals in the order in which the books learned of them, the newest first; below a key."""
    found = raw(session).execute(
        "SELECT id, channel_account_id, kind, reference, amount_minor, occurred_at, reverses_id FROM payment"  # noqa: S608 - our own constant
        " WHERE (%(before)s::bigint IS NULL OR id < %(before)s)"
        "   AND (%(account)s::bigint IS NULL OR channel_account_id = %(account)s)"
        f"  AND {scope.payment('id')} ORDER BY id DESC LIMIT %(limit)s",
        {**scope.given, "before": before, "account": channel_account_id, "limit": limit},
    )
    return [_recorded(*row) for row in found]


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
    found = [_recorded(*row) for row in rows.fetchall()]
    return {payment.identity: payment for payment in found if payment.identity in wanted}


def by_ids(session: Session, payment_ids: Iterable[int]) -> dict[int, Recorded]:
    """The payments of these ids, by id."""
    rows = raw(session).execute(
        "SELECT id, channel_account_id, kind, reference, amount_minor, occurred_at, reverses_id FROM payment"
        " WHERE id = ANY(%s)",
        (sorted(set(payment_ids)),),
    )
    return {payment.id: payment for payment in (_recorded(*row) for row in rows)}


def without_statement(session: Session, *, channel_account_id: int, since: datetime, until: datetime) -> list[Recorded]:
    """The payments and reversals of a time (``until`` is excluded) that no statement has reported."""
    found = raw(session).execute(
        "SELECT p.id, p.channel_account_id, p.kind, p.reference, p.amount_minor, p.occurred_at, p.reverses_id"
        "  FROM payment p WHERE p.channel_account_id = %s AND p.kind IN ('payment', 'reversal')"
        "   AND p.occurred_at >= %s AND p.occurred_at < %s"
        "   AND NOT EXISTS (SELECT FROM evidence e WHERE e.reference = p.reference AND e.kind = p.kind"
        "                      AND e.channel_account_id = p.channel_account_id AND e.message = %s)",
        (channel_account_id, since, until, STATEMENT_MESSAGE),
    )
    return [_recorded(*row) for row in found]


def recorded_at(session: Session, payment_ids: Iterable[int]) -> dict[int, datetime]:
    """When the books learned of each payment, by its id."""
    rows = raw(session).execute("SELECT id, recorded_at FROM payment WHERE id = ANY(%s)", (sorted(set(payment_ids)),))
    return dict(rows.fetchall())


def by_id(session: Session, payment_id: int) -> Recorded:
    """One payment. Raises NotFound."""
    found = by_ids(session, [payment_id]).get(payment_id)
    if found is None:
        raise NotFound(f"no payment {payment_id}", payment_id=payment_id)
    return found


def named(session: Session, name: str) -> int:
    """The id of the payment of a provider's reference, or of a public id, as a person writes it.

    Raises NotFound, and Conflict where two channels have a payment of that reference.
    """
    written = name.strip()
    # A clerk writes a receipt in small letters; where a bank means them, its reference is found first.
    found = _written(session, written) or _written(session, written.upper())
    if not found:
        raise NotFound(f"no payment {name!r}", reference=name)
    if len(found) > 1:
        raise Conflict(f"{len(found)} channels have a payment {name!r}: name it by its public id", field="reference")
    return found[0]


def _written(session: Session, written: str) -> list[int]:
    found = raw(session).execute(
        "SELECT id FROM payment WHERE kind = 'payment' AND (reference = %(name)s OR public_id = %(name)s)",
        {"name": written},
    )
    return [payment_id for (payment_id,) in found]


def of_amount(session: Session, channel_account_id: int, amount_minor: int, *, until: datetime) -> list[Recorded]:
    """The newest payments of a channel account and amount in cents that stand and were paid by then."""
    found = raw(session).execute(
        "SELECT id, channel_account_id, kind, reference, amount_minor, occurred_at, reverses_id FROM payment p"
        " WHERE channel_account_id = %s AND kind = 'payment' AND amount_minor = %s AND occurred_at <= %s"
        " AND NOT EXISTS (SELECT FROM payment v WHERE v.reverses_id = p.id)"
        " ORDER BY occurred_at DESC, id DESC LIMIT 20",
        (channel_account_id, amount_minor, until),
    )
    return [_recorded(*row) for row in found]


def total_minor(session: Session, payment_ids: Sequence[int], *, kind: Kind) -> int:
    """The sum of the payments of one kind among these, in cents."""
    total: int = scalar(
        session,
        "SELECT coalesce(sum(amount_minor), 0)::bigint FROM payment WHERE id = ANY(%s) AND kind = %s",
        (list(payment_ids), kind.value),
    )
    return total


class TakenBack(NamedTuple):
    """A reversal and the payment that it takes back; the amount is in cents."""

    payment: str
    reversal: str
    at: datetime
    amount: int


def taken_back(session: Session, reversal_ids: Sequence[int]) -> list[TakenBack]:
    """Some reversals and the payments they take back, in the order of time."""
    return rows(
        session,
        TakenBack,
        "SELECT o.reference AS payment, p.reference AS reversal, p.occurred_at AS at, p.amount_minor AS amount"
        "  FROM payment p JOIN payment o ON o.id = p.reverses_id"
        " WHERE p.id = ANY(%s) AND p.kind = 'reversal' ORDER BY p.occurred_at, p.id",
        (list(reversal_ids),),
    )


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
            "SELECT pg_advisory_xact_lock(%s, mod(id, 2147483647)::int) FROM unnest(%s::bigint[]) WITH ORDINALITY"
            " AS w (id, n) ORDER BY n",
            (Lock.PAYMENT, wanted),
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


def reversals_of(session: Session, payment_ids: Sequence[int]) -> dict[int, str]:
    """The provider's reference of the reversal of each of these payments that was taken back, by payment id."""
    rows = raw(session).execute(
        "SELECT reverses_id, reference FROM payment WHERE reverses_id = ANY(%s)", (list(payment_ids),)
    )
    return {row[0]: row[1] for row in rows}


def called(session: Session, references: Sequence[str]) -> list[int]:
    """The payments, reversals, charges and payouts that a provider calls so; else those with a day added to the name.

    A provider that repeats a reference has the value date added by its adapter (``REF/20261124``).
    """
    exact = "SELECT id FROM payment WHERE reference = ANY(%s) ORDER BY id"
    found = raw(session).execute(exact, (list(references),)).fetchall()
    if not found:
        dated = "SELECT id FROM payment WHERE split_part(reference, '/', 1) = ANY(%s) ORDER BY id"
        found = raw(session).execute(dated, (list(references),)).fetchall()
    return [row[0] for row in found]


def within(session: Session, payment_ids: Sequence[int], scope: Scope) -> set[int]:
    """Those of some payments that who asks may look at."""
    if scope.is_whole:
        return set(payment_ids)
    found = raw(session).execute(
        f"SELECT id FROM unnest(%(ids)s::bigint[]) AS w (id) WHERE {scope.payment('id')}",  # noqa: S608
        {**scope.given, "ids": list(payment_ids)},
    )
    return {row[0] for row in found}


def from_phones(session: Session, spellings: Sequence[str], *, limit: int) -> list[int]:
    """The newest payments whose sender's phone is spelled in one of these ways, as the provider spelled it."""
    rows = raw(session).execute(
        "SELECT payment_id FROM payment_party WHERE msisdn = ANY(%s) ORDER BY payment_id DESC LIMIT %s",
        (list(spellings), limit),
    )
    return [row[0] for row in rows]


def typed_words(session: Session, payment_ids: Sequence[int], words: str) -> list[int]:
    """Which of some payments were sent with these letters and digits in the account that the payer typed."""
    rows = raw(session).execute(
        "SELECT payment_id FROM payment_party WHERE payment_id = ANY(%s)"
        " AND position(%s IN upper(regexp_replace(account_reference, '[^A-Za-z0-9]', '', 'g'))) > 0 ORDER BY 1",
        (list(payment_ids), words),
    )
    return [row[0] for row in rows]
