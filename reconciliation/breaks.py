"""Breaks: differences with a reason from a closed list, an owner and an age. A suspense item is a break with money."""

from __future__ import annotations

import difflib
import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from reconciliation import break_keys
from revenue_engine import periods
from revenue_engine.access import sessions
from revenue_engine.access.scope import WHOLE, Scope
from revenue_engine.db import Base, Sealed, copy_rows, exists, raw, rows
from revenue_engine.errors import Conflict, InvalidValue, NotFound
from revenue_engine.identifiers import public_id


class BreakReason(enum.StrEnum):
    """Every reason a break can have. Adding one is a decision, so there is no "other"."""

    UNKNOWN_ACCOUNT = "unknown_account"
    AMBIGUOUS_ACCOUNT = "ambiguous_account"
    NO_TARIFF_FOR_AMOUNT = "no_tariff_for_amount"
    OVERPAID = "overpaid"
    PAID_CANCELLED_OR_EXPIRED = "paid_cancelled_or_expired"
    DUPLICATE_PAYMENT = "duplicate_payment"
    PAID_BEFORE_BILL = "paid_before_bill"
    DUPLICATE_CODE = "duplicate_code"
    REVERSED_BY_PROVIDER = "reversed_by_provider"
    REVERSAL_WITHOUT_PAYMENT = "reversal_without_payment"
    REVERSAL_AMOUNT_DIFFERS = "reversal_amount_differs"
    WRONG_SHORTCODE_OR_STREAM = "wrong_shortcode_or_stream"
    UNCONFIRMED = "unconfirmed"
    AFTER_CLOSE = "after_close"
    CLOCK_DIFFERS = "clock_differs"
    UNPARSEABLE = "unparseable"
    PROOF_FAILED = "proof_failed"
    OUTCOME_UNKNOWN = "outcome_unknown"
    PAYOUT_NOT_EXPECTED = "payout_not_expected"
    IN_STATEMENT_NOT_RECEIVED = "in_statement_not_received"
    RECEIVED_NOT_IN_STATEMENT = "received_not_in_statement"
    AMOUNT_DIFFERS_FROM_STATEMENT = "amount_differs_from_statement"
    SETTLEMENT_NOT_BANKED = "settlement_not_banked"
    BANKED_NOT_SETTLED = "banked_not_settled"
    NOT_ASKED_IN_TIME = "not_asked_in_time"
    STATEMENT_NOT_FETCHED = "statement_not_fetched"
    FILE_NOT_AGREED = "file_not_agreed"
    WRONG_ADDRESS = "wrong_address"
    WORK_FAILED = "work_failed"
    BEFORE_BOOKS = "before_books"
    RETURNED_BY_BANK = "returned_by_bank"
    SPENDING_AT_SOURCE = "spending_at_source"


class BreakEvent(Sealed, Base):
    """One thing said of a break: that it was opened, given to somebody, noted, lowered, resolved, opened again.

    Append only, in the order of ``id``. What ``opened`` tells (reason, detail, what it is about) is told once.
    """

    __tablename__ = "break_event"
    __table_args__ = (
        CheckConstraint("event IN ('opened', 'assigned', 'noted', 'changed', 'resolved', 'reopened')", name="event"),
        Index("ix_break_event_key", "key", "id"),
        Index("uq_break_event_opened", "key", unique=True, postgresql_where=text("event = 'opened'")),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    key: Mapped[str]
    event: Mapped[str]
    at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    actor: Mapped[str]
    owner: Mapped[str | None]
    amount_minor: Mapped[int | None]
    words: Mapped[str | None]
    """What was noted, or how it was resolved; no personal data."""
    public_id: Mapped[str | None]
    reason: Mapped[str | None]
    detail: Mapped[str | None]
    payment_id: Mapped[int | None]
    invoice_id: Mapped[int | None]
    delivery_id: Mapped[int | None]
    channel_account_id: Mapped[int | None]
    stream_code: Mapped[str | None]
    station_code: Mapped[str | None]
    occurred_at: Mapped[datetime | None]


class Break(Base):
    """How one difference stands, derived by the database from its events. ``key`` makes opening it twice harmless."""

    __tablename__ = "break_case"
    __table_args__ = (
        CheckConstraint("(closed_at IS NULL) = (resolution IS NULL)", name="closed"),
        Index("ix_break_case_oldest", "occurred_at", "id", postgresql_where=text("closed_at IS NULL")),
        Index("ix_break_case_open", "reason", "opened_at", postgresql_where=text("closed_at IS NULL")),
        Index("ix_break_case_invoice_id", "invoice_id", postgresql_where=text("invoice_id IS NOT NULL")),
        Index("ix_break_case_payment_id", "payment_id", postgresql_where=text("payment_id IS NOT NULL")),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    public_id: Mapped[str] = mapped_column(unique=True)
    key: Mapped[str] = mapped_column(unique=True)
    reason: Mapped[str]
    detail: Mapped[str]
    amount_minor: Mapped[int]
    owner: Mapped[str]
    payment_id: Mapped[int | None]
    invoice_id: Mapped[int | None]
    """The bill that the money named, where it named one."""
    delivery_id: Mapped[int | None]
    channel_account_id: Mapped[int | None]
    stream_code: Mapped[str | None]
    station_code: Mapped[str | None]
    occurred_at: Mapped[datetime]
    opened_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    closed_at: Mapped[datetime | None]
    resolution: Mapped[str | None]


ENGINE = "engine"
"""Who acts where no person does."""

OWNERS = {
    BreakReason.UNPARSEABLE: "ict",
    BreakReason.PROOF_FAILED: "ict",
    BreakReason.DUPLICATE_CODE: "ict",
    BreakReason.WRONG_SHORTCODE_OR_STREAM: "ict",
    BreakReason.CLOCK_DIFFERS: "ict",
    BreakReason.NOT_ASKED_IN_TIME: "ict",
    BreakReason.STATEMENT_NOT_FETCHED: "ict",
    BreakReason.WRONG_ADDRESS: "ict",
    BreakReason.WORK_FAILED: "ict",
}
"""Who looks first; everything else is for finance."""


@dataclass(frozen=True, slots=True)
class NewBreak:
    """A break about to be opened. ``amount_minor`` is 0 where no money is in doubt."""

    key: str
    reason: BreakReason
    detail: str
    occurred_at: datetime
    amount_minor: int = 0
    payment_id: int | None = None
    invoice_id: int | None = None
    delivery_id: int | None = None
    channel_account_id: int | None = None
    stream_code: str | None = None
    station_code: str | None = None


def open_many(session: Session, found: Iterable[NewBreak]) -> None:
    """Open breaks; one whose key stands already, open or closed, is left as it is."""
    rows = [
        (
            public_id("brk"),
            new.key,
            new.reason.value,
            new.detail,
            new.amount_minor,
            OWNERS.get(new.reason, "finance"),
            new.payment_id,
            new.invoice_id,
            new.delivery_id,
            new.channel_account_id,
            new.stream_code,
            new.station_code,
            new.occurred_at,
        )
        for new in sorted(found, key=lambda new: new.key)
    ]
    if len(rows) > _COPIED:  # a statement's import may open a break a line
        _open_copied(session, rows)
    elif rows:  # one statement whatever their number
        raw(session).execute(
            "INSERT INTO break_event (public_id, key, reason, detail, amount_minor, owner, payment_id, invoice_id,"
            " delivery_id, channel_account_id, stream_code, station_code, occurred_at, event, actor)"
            " SELECT n.*, 'opened', %s FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::int8[],"
            " %s::text[], %s::int8[], %s::int8[], %s::int8[], %s::int8[], %s::text[], %s::text[], %s::timestamptz[]) n"
            " ON CONFLICT (key) WHERE event = 'opened' DO NOTHING",
            [ENGINE, *[list(column) for column in zip(*rows, strict=True)]],
        )


_COPIED = 200
"""More breaks than this are copied into a table first: a list of so many is written letter by letter."""
_OPENED = (
    *("public_id", "key", "reason", "detail", "amount_minor", "owner", "payment_id", "invoice_id", "delivery_id"),
    *("channel_account_id", "stream_code", "station_code", "occurred_at"),
)
_OPENED_TYPES = (*["text"] * 4, "int8", "text", *["int8"] * 4, "text", "text", "timestamptz")


def _open_copied(session: Session, rows: Sequence[Sequence[object]]) -> None:
    connection, listed = raw(session), ", ".join(_OPENED)
    connection.execute(
        f"CREATE TEMP TABLE IF NOT EXISTS opening ON COMMIT DROP AS SELECT {listed} FROM break_event WITH NO DATA"  # noqa: S608 - our own constants
    )
    connection.execute("TRUNCATE opening")
    copy_rows(connection, "opening", _OPENED, _OPENED_TYPES, rows)
    connection.execute(
        f"INSERT INTO break_event ({listed}, event, actor) SELECT {listed}, 'opened', %s FROM opening"  # noqa: S608
        " ON CONFLICT (key) WHERE event = 'opened' DO NOTHING",
        (ENGINE,),
    )


def _tell(session: Session, keys: Sequence[str], event: str, *, by: str, **said: object) -> int:
    """Say one thing of the open breaks among these, locked in the order of their keys; answers how many there were."""
    if not keys:
        return 0
    about = {"owner": None, "amount_minor": None, "words": None} | said
    return (
        raw(session)
        .execute(
            "INSERT INTO break_event (key, event, actor, owner, amount_minor, words)"
            " SELECT key, %s, %s, %s, %s::int8, %s FROM lock_open_breaks(%s) AS held (key)",
            (event, by, about["owner"], about["amount_minor"], about["words"], sorted(set(keys))),
        )
        .rowcount
    )


def lower(session: Session, keys: Sequence[str], *, amount_minor: int, by: str = ENGINE) -> None:
    """Say how much money an open break still stands for, after a part of it found its home."""
    _tell(session, keys, "changed", by=by, amount_minor=amount_minor)


def close_many(session: Session, keys: Sequence[str], *, resolution: str, by: str = ENGINE) -> int:
    """Close the open breaks of these keys, saying how they were resolved; returns how many there were."""
    return _tell(session, keys, "resolved", by=by, words=resolution)


def reopen(session: Session, key: str, *, amount_minor: int, by: str = ENGINE) -> None:
    """Open a break again, or go on with an open one: the money that it stood for came back, so much of it in all."""
    raw(session).execute(
        "INSERT INTO break_event (key, event, actor, amount_minor)"
        " SELECT key, 'reopened', %s, %s FROM break_case WHERE key = %s",
        (by, amount_minor, key),
    )


def is_closed(session: Session, key: str) -> bool:
    """Whether the break of a key was opened before and is closed now."""
    return exists(session, "SELECT FROM break_case WHERE key = %s AND closed_at IS NOT NULL", (key,))


def open_keys(session: Session, reason: BreakReason, *, channel_account_id: int) -> set[str]:
    """The keys of the open breaks of one reason and channel account."""
    rows = raw(session).execute(
        "SELECT key FROM break_case WHERE closed_at IS NULL AND reason = %s AND channel_account_id = %s",
        (reason.value, channel_account_id),
    )
    return {row[0] for row in rows}


def open_of(session: Session, reason: BreakReason) -> list[tuple[str, int, int, int | None]]:
    """The open breaks of one reason, oldest first: key, channel account, amount in cents, payment."""
    rows = raw(session).execute(
        "SELECT key, channel_account_id, amount_minor, payment_id FROM break_case"
        " WHERE closed_at IS NULL AND reason = %s"
        " ORDER BY occurred_at, id",
        (reason.value,),
    )
    return [(row[0], row[1], row[2], row[3]) for row in rows]


@dataclass(frozen=True, slots=True)
class Listed:
    """A break as a list shows it: ``number`` is short enough to be said aloud; ``amount_minor`` is in cents."""

    number: int
    public_id: str
    key: str
    reason: BreakReason
    detail: str
    amount_minor: int
    owner: str
    payment_id: int | None
    invoice_id: int | None
    delivery_id: int | None
    channel_account_id: int | None
    stream_code: str | None
    station_code: str | None
    occurred_at: datetime
    opened_at: datetime
    closed_at: datetime | None
    resolution: str | None


_LISTED = (
    "SELECT id, public_id, key, reason, detail, amount_minor, owner, payment_id, invoice_id, delivery_id,"
    " channel_account_id, stream_code, station_code, occurred_at, opened_at, closed_at, resolution FROM break_case"
)


def listed(
    session: Session,
    *,
    reasons: Sequence[BreakReason] = (),
    owner: str | None = None,
    occurred_from: datetime | None = None,
    occurred_until: datetime | None = None,
    open_at: datetime | None = None,
    suspense: bool = False,
    after: tuple[datetime, int] | None = None,
    limit: int = 200,
    scope: Scope = WHOLE,
) -> list[Listed]:
    """Breaks that are open now, or were open at an instant, the oldest first.

    ``occurred_from`` is included and ``occurred_until`` is not.
    ``after`` is when the last one shown happened, and its number: those behind it are listed.
    ``suspense`` takes those of money in suspense alone; ``scope`` is where who asks may look.
    What a break says of its owner and amount is today's.
    """
    rows = raw(session).execute(
        _LISTED + " WHERE CASE WHEN %(at)s::timestamptz IS NULL THEN closed_at IS NULL"
        "       ELSE occurred_at < %(at)s AND (closed_at IS NULL OR closed_at >= %(at)s) END"
        "   AND (%(reasons)s::text[] IS NULL OR reason = ANY(%(reasons)s))"
        "   AND (%(owner)s::text IS NULL OR owner = %(owner)s)"
        "   AND (%(key)s::text IS NULL OR key LIKE %(key)s)"
        "   AND (%(from)s::timestamptz IS NULL OR occurred_at >= %(from)s)"
        "   AND (%(until)s::timestamptz IS NULL OR occurred_at < %(until)s)"
        "   AND (%(after_at)s::timestamptz IS NULL OR (occurred_at, id) > (%(after_at)s, %(after_id)s::bigint))"
        f"  AND {scope.station('station_code')}"
        " ORDER BY occurred_at, id LIMIT %(limit)s",
        {
            **scope.given,
            "reasons": [reason.value for reason in reasons] or None,
            "owner": owner,
            "key": f"{break_keys.SUSPENSE_PREFIX}%" if suspense else None,
            "from": occurred_from,
            "until": occurred_until,
            "at": open_at,
            "after_at": after and after[0],
            "after_id": after and after[1],
            "limit": limit,
        },
    )
    return [_listed(row) for row in rows]


def _listed(row: Sequence[Any]) -> Listed:
    number, public, key, reason, *rest = row
    return Listed(number, public, key, BreakReason(reason), *rest)


class Aged(NamedTuple):
    """Money in suspense of one band of age, in cents."""

    age: str
    items: int
    amount: int


def suspense_by_age(session: Session, *, at: datetime) -> list[Aged]:
    """What was in suspense at an instant, by days since the money came, the youngest first."""
    return rows(
        session,
        Aged,
        """
        SELECT bucket AS age, count(*) AS items, sum(amount_minor)::bigint AS amount FROM (
            SELECT amount_minor, CASE WHEN age <= 1 THEN '0-1 days' WHEN age <= 3 THEN '2-3 days'
                   WHEN age <= 7 THEN '4-7 days' WHEN age <= 30 THEN '8-30 days' ELSE 'over 30 days' END AS bucket,
                   least(age, 31) AS rank
              FROM (SELECT amount_minor, floor(EXTRACT(EPOCH FROM %(at)s::timestamptz - occurred_at) / 86400) AS age
                      FROM break_case WHERE occurred_at < %(at)s AND (closed_at IS NULL OR closed_at >= %(at)s)
                       AND starts_with(key, %(suspense)s)) aged
        ) placed GROUP BY bucket ORDER BY min(rank)
        """,
        {"at": at, "suspense": break_keys.SUSPENSE_PREFIX},
    )


def oldest_suspense(session: Session) -> datetime | None:
    """Since when the oldest money that is in suspense now waits; None where none is."""
    row = raw(session).execute(
        "SELECT occurred_at FROM break_case WHERE closed_at IS NULL AND starts_with(key, %s) ORDER BY occurred_at, id"
        " LIMIT 1",
        (break_keys.SUSPENSE_PREFIX,),
    )
    return next((at for (at,) in row), None)


class Owned(NamedTuple):
    """Breaks of one reason and owner, and their money in cents."""

    reason: str
    owner: str
    items: int
    amount: int
    oldest_days: int


def by_owner(session: Session, *, at: datetime) -> list[Owned]:
    """The breaks that were open at an instant, by reason and owner."""
    return rows(
        session,
        Owned,
        "SELECT reason, owner, count(*) AS items, sum(amount_minor)::bigint AS amount,"
        " max(floor(EXTRACT(EPOCH FROM %(at)s::timestamptz - occurred_at) / 86400))::int AS oldest_days"
        " FROM break_case WHERE occurred_at < %(at)s AND (closed_at IS NULL OR closed_at >= %(at)s)"
        " GROUP BY reason, owner ORDER BY reason, owner",
        {"at": at},
    )


def in_suspense(session: Session) -> list[tuple[int, int]]:
    """The payments whose money the open breaks say is in suspense: (payment id, cents)."""
    found = raw(session).execute(
        "SELECT payment_id, amount_minor FROM break_case WHERE closed_at IS NULL AND key = %s || payment_id",
        (break_keys.SUSPENSE_PREFIX,),
    )
    return found.fetchall()


def payments_naming(session: Session, invoice_id: int) -> list[int]:
    """The payments of the open breaks about a bill."""
    found = raw(session).execute(
        "SELECT DISTINCT payment_id FROM break_case WHERE invoice_id = %s AND closed_at IS NULL"
        " AND payment_id IS NOT NULL",
        (invoice_id,),
    )
    return [payment_id for (payment_id,) in found]


def open_since(
    session: Session,
    reason: BreakReason,
    *,
    channel_account_ids: Sequence[int],
    oldest: timedelta,
    youngest: timedelta,
) -> list[Listed]:
    """The open breaks of one reason and some channel accounts, by how long ago they were opened."""
    found = raw(session).execute(
        _LISTED + " WHERE closed_at IS NULL AND reason = %s AND channel_account_id = ANY(%s)"
        " AND opened_at BETWEEN now() - %s AND now() - %s ORDER BY id",
        (reason.value, list(channel_account_ids), oldest, youngest),
    )
    return [_listed(row) for row in found]


def of_payments(session: Session, payment_ids: Sequence[int]) -> list[Listed]:
    """Every break about some payments, open or closed, in the order they were opened."""
    rows = raw(session).execute(_LISTED + " WHERE payment_id = ANY(%s) ORDER BY id", (list(payment_ids),))
    return [_listed(row) for row in rows]


def words_of_deliveries(session: Session, delivery_ids: Sequence[int]) -> dict[int, str]:
    """What the oldest open break of each delivery says; a delivery without an open break is left out."""
    rows = raw(session).execute(
        "SELECT DISTINCT ON (delivery_id) delivery_id, detail FROM break_case"
        " WHERE delivery_id = ANY(%s) AND closed_at IS NULL ORDER BY delivery_id, id",
        (list(delivery_ids),),
    )
    return {row[0]: row[1] for row in rows}


@dataclass(frozen=True, slots=True)
class Counted:
    """Breaks of one reason: how many, their money in cents, and how many of them are open."""

    reason: str
    count: int
    amount_minor: int
    open: int


def counted_of_delivery(session: Session, delivery_id: int) -> list[Counted]:
    """The breaks that one delivery opened, by reason."""
    return rows(
        session,
        Counted,
        "SELECT reason, count(*) AS count, sum(amount_minor)::bigint AS amount_minor,"
        " count(*) FILTER (WHERE closed_at IS NULL) AS open FROM break_case"
        " WHERE delivery_id = %s GROUP BY reason ORDER BY reason",
        (delivery_id,),
    )


def named(session: Session, name: str) -> Listed:
    """The break of a number (``277`` or ``#277``) or a public id, open or closed. Raises NotFound."""
    text = name.strip().removeprefix("#")
    by_number = text.isascii() and text.isdigit() and len(text) <= 18
    column, value = ("id", int(text)) if by_number else ("public_id", text)
    row = raw(session).execute(_LISTED + f" WHERE {column} = %s", (value,)).fetchone()
    if row is None:
        raise NotFound(f"no break is called {name!r}: see 'revenue-engine break list'", break_name=name)
    return _listed(row)


def reason_named(text: str) -> BreakReason:
    """The reason a person typed, with spaces or dashes for underscores. Raises InvalidValue with the list."""
    try:
        return BreakReason(text.strip().lower().replace(" ", "_").replace("-", "_"))
    except ValueError:
        near = difflib.get_close_matches(text.lower(), list(BreakReason), n=1)
        hint = f"; did you mean {near[0]}" if near else ""
        known = ", ".join(sorted(BreakReason))
        raise InvalidValue(f"{text!r} is no reason of a break{hint}. The reasons: {known}", field="reason") from None


def _key_of(session: Session, public: str) -> str:
    row = raw(session).execute("SELECT key FROM break_case WHERE public_id = %s", (public,)).fetchone()
    if row is None:
        raise NotFound(f"no break {public!r}", public_id=public)
    return str(row[0])


def assign(session: Session, public: str, *, owner: str, by: str = ENGINE) -> None:
    """Give an open break to somebody. Raises NotFound when none of that id is open."""
    if not _tell(session, [_key_of(session, public)], "assigned", by=sessions.actor(session, by), owner=owner):
        raise NotFound(f"no open break {public!r}", public_id=public)


def version(session: Session, public: str) -> int:
    """How many events a break has: what a reader hands back to say which state they looked at. Raises NotFound."""
    return len(history(session, public))


def hold(session: Session, public: str, *, version: int) -> None:
    """Hold a break until this transaction ends, as long as it is as it was at a version.

    Raises NotFound; Conflict that says who changed what and when.
    """
    raw(session).execute("SELECT hold_break(%s)", (public,))
    told = history(session, public)
    if len(told) != version:
        last = told[-1]
        raise Conflict(
            f"this break was changed after you looked at it: {last.event} by {last.actor} at"
            f" {last.at.astimezone(periods.NAIROBI):%d %b %Y %H:%M}",
            public_id=public,
        )


def note(session: Session, public: str, *, words: str, by: str) -> None:
    """Say something of a break, open or closed, that is kept with it. Raises NotFound; InvalidValue without words.

    ``words`` hold no name, phone or identity number of a payer: what is noted is never erased.
    """
    if not words.strip():
        raise InvalidValue("say what is to be noted", field="words")
    raw(session).execute(
        "INSERT INTO break_event (key, event, actor, words) VALUES (%s, 'noted', %s, %s)",
        (_key_of(session, public), sessions.actor(session, by), words.strip()),
    )


@dataclass(frozen=True, slots=True)
class Said:
    """One event of a break as its history shows it; ``amount_minor`` in cents where the event says one."""

    at: datetime
    event: str
    actor: str
    owner: str | None
    amount_minor: int | None
    words: str | None


def history(session: Session, public: str) -> list[Said]:
    """Everything said of a break, in order. Raises NotFound."""
    return rows(
        session,
        Said,
        "SELECT at, event, actor, owner, amount_minor, coalesce(words, detail) AS words FROM break_event"
        " WHERE key = %s ORDER BY id",
        (_key_of(session, public),),
    )
