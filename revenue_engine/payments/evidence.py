"""Evidence: one message about money, read from one delivery, and the identity that the money has in all messages."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from psycopg.rows import kwargs_row
from sqlalchemy import BigInteger, CheckConstraint, Index, LargeBinary, text
from sqlalchemy import Identity as Serial
from sqlalchemy.orm import Mapped, Session, mapped_column

from revenue_engine.db import Base, Sealed, copy_rows, next_ids, one, raw, rows
from revenue_engine.ports.callbacks import Party, Strength

STATEMENT_MESSAGE = "Statement"
"""What evidence from a statement is called; two statements that report one movement are one kind of message."""


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
    salt: Mapped[UUID] = mapped_column(server_default=text("gen_random_uuid()"))


STATEMENT_MESSAGE = "Statement"
"""What evidence from a statement is called; two statements that tell of one movement are one kind of message."""


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
            id=evidence_id,
            delivery_id=fact.delivery_id,
            identity=fact.identity,
            message=fact.message,
            amount_minor=fact.amount_minor,
            currency=fact.currency,
            occurred_at=fact.occurred_at,
            request_id=fact.request_id,
            reverses=fact.reverses,
            strength=fact.strength,
            typed_digest=typed_digest(fact.typed),
            item=fact.item,
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
    " e.occurred_at, coalesce(e.request_id, '') AS request_id, coalesce(e.reverses, '') AS reverses, e.strength,"
    " e.typed_digest, e.item FROM evidence e"
)


def _stored(*, channel_account_id: int, kind: str, reference: str, strength: str, **others: Any) -> Stored:
    """A row of ``_STORED``, whose other columns are named as the fields of :class:`Stored`."""
    return Stored(identity=Identity(channel_account_id, kind, reference), strength=Strength(strength), **others)


def _read(session: Session, where: str, given: tuple[Any, ...]) -> list[Stored]:
    with raw(session).cursor(row_factory=kwargs_row(_stored)) as cursor:
        return cursor.execute(_STORED + where, given, binary=True).fetchall()


def evidence_of(session: Session, identities: Iterable[Identity], *, written: Sequence[Stored]) -> list[Stored]:
    """All evidence of some movements of money, in the order it was recorded.

    ``written`` is what this transaction wrote: it is not read back, so that a movement told once costs no row.
    """
    wanted = set(identities)
    if not wanted:
        return []
    fresh = [one for one in written if one.identity in wanted]
    known = _read(
        session,
        " WHERE e.reference = ANY(%s) AND e.id <> ALL(%s)",
        (sorted({identity.reference for identity in wanted}), [one.id for one in fresh]),
    )
    earlier = [one for one in known if one.identity in wanted]
    return sorted(fresh + earlier, key=lambda one: one.id) if earlier else fresh


def reversals_waiting_for(session: Session, references: Sequence[str]) -> list[Stored]:
    """Evidence of reversals that came before the payments they take back, and has not been acted on."""
    if not references:
        return []
    return _read(
        session,
        " WHERE e.reverses = ANY(%s) AND e.kind = 'reversal' AND NOT EXISTS (SELECT FROM payment p"
        " WHERE p.channel_account_id = e.channel_account_id AND p.kind = 'reversal' AND p.reference = e.reference)"
        " ORDER BY e.id",
        (list(references),),
    )


def reversals_unnamed(
    session: Session, channel_account_id: int, references: Sequence[str] | None, *, ids: Sequence[int] = ()
) -> list[Stored]:
    """Lines of an account's statements that took money back of no named payment, and nothing is taken back by them yet:
    those known by these references, or with these ids where there are no references."""
    which, given = ("e.reference", list(references)) if references is not None else ("e.id", list(ids))
    return _read(
        session,
        f" WHERE {which} = ANY(%s) AND e.channel_account_id = %s AND e.kind = 'reversal' AND e.reverses IS NULL"
        " AND e.message = %s AND NOT EXISTS (SELECT FROM payment p"
        " WHERE p.channel_account_id = e.channel_account_id AND p.kind = 'reversal' AND p.reference = e.reference)"
        " ORDER BY e.id",
        (given, channel_account_id, STATEMENT_MESSAGE),
    )


def reversals_undecided(session: Session, delivery_id: int) -> list[Stored]:
    """The reversals that a delivery told of and that took nothing back yet."""
    return _read(
        session,
        " WHERE e.delivery_id = %s AND e.kind = 'reversal' AND NOT EXISTS (SELECT FROM payment p"
        " WHERE p.channel_account_id = e.channel_account_id AND p.kind = 'reversal' AND p.reference = e.reference)"
        " ORDER BY e.id",
        (delivery_id,),
    )


@dataclass(frozen=True, slots=True)
class Told:
    """One message about money, as a list shows it; ``amount_minor`` in cents, None where the message says none."""

    channel_account_id: int
    kind: str
    reference: str
    message: str
    amount_minor: int | None
    occurred_at: datetime
    recorded_at: datetime
    posted: bool
    """Whether a payment stands for what was told."""


def told_of(session: Session, references: Sequence[str]) -> list[Told]:
    """Every message that told of these references, posted or not, in the order it came."""
    return rows(
        session,
        Told,
        "SELECT e.channel_account_id, e.kind, e.reference, e.message, e.amount_minor, e.occurred_at, e.recorded_at,"
        " EXISTS (SELECT FROM payment p WHERE p.channel_account_id = e.channel_account_id AND p.kind = e.kind"
        "            AND p.reference = e.reference) AS posted"
        "  FROM evidence e WHERE e.reference = ANY(%s) ORDER BY e.id",
        (list(references),),
    )


def amounts_told(
    session: Session,
    channel_account_id: int,
    references: Iterable[str],
    *,
    only: Sequence[str] | None = None,
    without: Sequence[str] = (),
) -> dict[str, set[int]]:
    """The amounts, in cents, that evidence gives for payments of an account, by reference; others are left out.

    ``only``: the kinds of message that count, all where None. ``without``: kinds of message that do not.
    """
    found = raw(session).execute(
        "SELECT reference, amount_minor FROM evidence WHERE reference = ANY(%(references)s) AND kind = 'payment'"
        " AND channel_account_id = %(account)s AND (%(only)s::text[] IS NULL OR message = ANY(%(only)s))"
        " AND message <> ALL(%(without)s)",
        {
            "references": sorted(set(references)),
            "account": channel_account_id,
            "only": None if only is None else list(only),
            "without": list(without),
        },
    )
    amounts: dict[str, set[int]] = {}
    for reference, amount_minor in found:
        amounts.setdefault(reference, set()).add(amount_minor)
    return amounts


class NotProved(NamedTuple):
    """Movements of one kind on one channel account that messages reported and nothing proved, in cents."""

    channel_account_id: int
    kind: str
    notices: int
    amount: int
    oldest_days: int


def not_proved(session: Session, *, at: datetime) -> list[NotProved]:
    """What was reported and not proved at an instant, each movement once however many messages reported it."""
    return rows(
        session,
        NotProved,
        """
        SELECT channel_account_id, kind, count(*) AS notices, sum(amount_minor)::bigint AS amount,
               max(floor(EXTRACT(EPOCH FROM %(at)s::timestamptz - occurred_at) / 86400))::int AS oldest_days
          FROM (SELECT channel_account_id, kind, reference, min(occurred_at) AS occurred_at,
                       coalesce(max(amount_minor), 0) AS amount_minor
                  FROM evidence e
                 WHERE recorded_at < %(at)s AND kind <> 'payout' AND NOT EXISTS (
                       SELECT FROM payment p WHERE p.channel_account_id = e.channel_account_id AND p.kind = e.kind
                                               AND p.reference = e.reference AND p.recorded_at < %(at)s)
                 GROUP BY channel_account_id, kind, reference) told
         GROUP BY channel_account_id, kind ORDER BY channel_account_id, kind
        """,
        {"at": at},
    )


class Waiting(NamedTuple):
    """What is asked back about: a reference of a channel account, and since when an answer is missing."""

    channel_account_id: int
    reference: str
    since: datetime


def not_posted(session: Session, evidence_id: int) -> Waiting | None:
    """The reference of a message about money that nothing has confirmed; None once the money is posted."""
    return one(
        session,
        Waiting,
        "SELECT e.channel_account_id, e.reference, e.recorded_at AS since FROM evidence e WHERE e.id = %s"
        " AND NOT EXISTS (SELECT FROM payment p WHERE p.channel_account_id = e.channel_account_id"
        "                  AND p.kind = e.kind AND p.reference = e.reference)",
        (evidence_id,),
    )


def told_by_deliveries(session: Session, told: Iterable[tuple[int, int, str]]) -> list[int]:
    """The ids of evidence of payments, by what brought it: (delivery id, channel account id, reference) each."""
    wanted = sorted(set(told))
    if not wanted:
        return []
    found = raw(session).execute(
        "SELECT e.id FROM unnest(%s::bigint[], %s::bigint[], %s::text[]) AS w (delivery, account, reference)"
        "  JOIN evidence e ON e.delivery_id = w.delivery AND e.channel_account_id = w.account"
        "                 AND e.reference = w.reference AND e.kind = 'payment'",
        [list(column) for column in zip(*wanted, strict=True)],
    )
    return [number for (number,) in found]
