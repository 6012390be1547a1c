"""Payments as people look through them: by the day they were paid, by channel, by amount, by where their money is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy.orm import Session

from revenue_engine.access.scope import WHOLE, Scope
from revenue_engine.db import raw, rows


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which payments: paid from ``since`` until before ``until``; amounts in cents, both included; None is any.

    ``only`` and ``without`` are payment ids that somebody else knows of, such as those in suspense.
    """

    since: datetime
    until: datetime
    channel_account_id: int | None = None
    least_minor: int | None = None
    most_minor: int | None = None
    reversed: bool | None = None
    only: Sequence[int] | None = None
    without: Sequence[int] = ()
    scope: Scope = WHOLE


class Row(NamedTuple):
    """One payment of a list; the amount is in cents."""

    id: int
    public_id: str
    channel_account_id: int
    reference: str
    amount_minor: int
    occurred_at: datetime
    recorded_at: datetime


_WHERE = """
  FROM payment p
 WHERE p.kind = 'payment' AND p.occurred_at >= %(since)s AND p.occurred_at < %(until)s
   AND (%(channel)s::bigint IS NULL OR p.channel_account_id = %(channel)s)
   AND (%(least)s::bigint IS NULL OR p.amount_minor >= %(least)s)
   AND (%(most)s::bigint IS NULL OR p.amount_minor <= %(most)s)
   AND (%(only)s::bigint[] IS NULL OR p.id = ANY(%(only)s)) AND NOT p.id = ANY(%(without)s::bigint[])
   AND (%(reversed)s::boolean IS NULL
        OR %(reversed)s = EXISTS (SELECT FROM payment v WHERE v.reverses_id = p.id))
"""


def _where(wanted: Wanted) -> str:
    return f"{_WHERE} AND {wanted.scope.payment('p.id')}"


def _given(wanted: Wanted) -> dict[str, object]:
    return {
        **wanted.scope.given,
        "since": wanted.since,
        "until": wanted.until,
        "channel": wanted.channel_account_id,
        "least": wanted.least_minor,
        "most": wanted.most_minor,
        "only": None if wanted.only is None else list(wanted.only),
        "without": list(wanted.without),
        "reversed": wanted.reversed,
    }


def listed(
    session: Session, wanted: Wanted, *, after: tuple[datetime, int] | None = None, limit: int = 50
) -> list[Row]:
    """Payments, the newest first. ``after`` is the time and id of the last one that was shown."""
    at, last = after or (None, None)
    return rows(
        session,
        Row,
        "SELECT p.id, p.public_id, p.channel_account_id, p.reference, p.amount_minor, p.occurred_at, p.recorded_at"
        + _where(wanted)
        + " AND (%(at)s::timestamptz IS NULL OR (p.occurred_at, p.id) < (%(at)s, %(last)s))"
        " ORDER BY p.occurred_at DESC, p.id DESC LIMIT %(limit)s",
        {**_given(wanted), "at": at, "last": last, "limit": limit},
    )


def summed(session: Session, wanted: Wanted) -> tuple[int, int]:
    """How many payments these are, and their sum in cents."""
    row = raw(session).execute(
        "SELECT count(*), coalesce(sum(p.amount_minor), 0)::bigint" + _where(wanted), _given(wanted)
    )
    count, minor = row.fetchone() or (0, 0)
    return int(count), int(minor)


def public_ids(session: Session, payment_ids: Iterable[int]) -> dict[int, str]:
    """The public id of each of some payments."""
    found = raw(session).execute("SELECT id, public_id FROM payment WHERE id = ANY(%s)", (sorted(set(payment_ids)),))
    return dict(found.fetchall())


class Message(NamedTuple):
    """One message that told of a payment, with the delivery that brought it; the amount in cents, None where none."""

    message: str
    amount_minor: int | None
    occurred_at: datetime
    recorded_at: datetime
    delivery_id: int


def messages(session: Session, payment_id: int) -> list[Message]:
    """Every message that told of one payment, in the order it came."""
    return rows(
        session,
        Message,
        "SELECT e.message, e.amount_minor, e.occurred_at, e.recorded_at, e.delivery_id FROM payment p JOIN evidence e"
        " ON e.reference = p.reference AND e.kind = p.kind AND e.channel_account_id = p.channel_account_id"
        " WHERE p.id = %s ORDER BY e.id",
        (payment_id,),
    )


class Sender(NamedTuple):
    """Who paid and what they typed, as the provider said it: personal data."""

    name: str
    phone: str
    typed: str


def sender(session: Session, payment_id: int) -> Sender:
    """Who paid; each part empty where it is not known or was erased."""
    row = raw(session).execute(
        "SELECT name, msisdn, account_reference FROM payment_party WHERE payment_id = %s", (payment_id,)
    )
    return Sender(*(row.fetchone() or ("", "", "")))


def by_day(session: Session, wanted: Wanted) -> list[tuple[date, int, int]]:
    """How many payments came on each Nairobi day, and their sum in cents, by day."""
    figures = (
        "SELECT (p.occurred_at AT TIME ZONE 'Africa/Nairobi')::date, count(*), sum(p.amount_minor)::bigint"
        + _where(wanted)
        + " GROUP BY 1 ORDER BY 1"
    )
    return raw(session).execute(figures, _given(wanted)).fetchall()
