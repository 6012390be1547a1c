"""The only SQL that writes journals: idempotent by key, one statement per table whatever the number."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

import psycopg
from sqlalchemy.orm import Session

from revenue_engine import periods
from revenue_engine.db import copy_rows, next_ids, raw, rows, scalar
from revenue_engine.errors import Conflict, IntegrityFault, InvalidValue, NotFound, Retryable
from revenue_engine.ledger.journal import Journal, Posting, digest
from revenue_engine.ledger.locks import book_dates

_JOURNAL = ("id", "book_date", "key", "kind", "occurred_at", "reverses_id", "reason", "digest")
_JOURNAL_TYPES = ("int8", "date", "text", "text", "timestamptz", "int8", "text", "bytea")
_POSTING = (
    "journal_id",
    "seq",
    "book_date",
    "debit",
    "credit",
    "amount_minor",
    "currency",
    "stream_code",
    "station_code",
    "channel_account_id",
    "payer_id",
    "invoice_id",
    "payment_id",
)
_POSTING_TYPES = ("int8", "int2", "date", *["text"] * 2, "int8", *["text"] * 3, *["int8"] * 4)
_cursors = itertools.count(1)


class Posted(NamedTuple):
    """Where a journal stands: ``new`` is False when the key was posted before with the same content."""

    id: int
    book_date: date
    key: str
    new: bool


@dataclass(frozen=True, slots=True)
class StoredJournal:
    """A journal read back."""

    id: int
    book_date: date
    key: str
    kind: str
    occurred_at: datetime
    recorded_at: datetime
    reverses_id: int | None
    reason: str | None
    digest: bytes
    postings: tuple[Posting, ...]


def post(session: Session, journal: Journal, *, key: str, book_on: date | None = None) -> Posted:
    """Post one journal once. The same key with the same content answers the journal that stands; with other content
    it raises Conflict naming the field that differs. ``book_on`` asks for another day than the day it occurred."""
    return post_many(session, [(key, journal)], book_on={key: book_on} if book_on else None)[0]


def post_many(
    session: Session,
    journals: Sequence[tuple[str, Journal]],
    *,
    book_on: dict[str, date] | None = None,
    fresh_keys: bool = False,
) -> list[Posted]:
    """Post many journals in a fixed number of statements; answers in the order asked.

    Each is booked to the first open day on or after ``book_on[key]`` or the Nairobi day it occurred.
    ``fresh_keys`` says that every key names a row made in this transaction, so that none can stand or is looked for.
    Raises Conflict as ``post`` does, and Retryable when another transaction posted one of the keys at this very moment;
    then nothing of the batch may be committed.
    """
    asked = dict(journals)
    if len(asked) != len(journals):
        raise InvalidValue("a batch holds each key once")
    if not journals:
        return []
    connection = raw(session)
    standing: dict[str, Posted] = {}
    for stored in () if fresh_keys else _stored(connection, list(asked)):
        _agrees(stored, asked[stored.key])
        standing[stored.key] = Posted(stored.id, stored.book_date, stored.key, new=False)
    fresh = [(key, journal) for key, journal in journals if key not in standing]
    days = {key: (book_on or {}).get(key) or periods.nairobi_date(journal.occurred_at) for key, journal in fresh}
    booked = book_dates(session, days.values())
    ids = next_ids(connection, {"journal": len(fresh)})["journal"]
    journal_rows: list[tuple[Any, ...]] = []
    posting_rows: list[tuple[Any, ...]] = []
    for journal_id, (key, journal) in zip(ids, fresh, strict=True):
        on = booked[days[key]]
        journal_rows.append(
            (
                journal_id,
                on,
                key,
                journal.kind,
                journal.occurred_at,
                journal.reverses_id,
                journal.reason,
                digest(
                    key=key,
                    kind=journal.kind,
                    book_date=on,
                    occurred_at=journal.occurred_at,
                    reverses_id=journal.reverses_id,
                    reason=journal.reason,
                    postings=journal.postings,
                ),
            )
        )
        posting_rows += [(journal_id, seq, on, *posting) for seq, posting in enumerate(journal.postings)]
        standing[key] = Posted(journal_id, on, key, new=True)
    try:
        copy_rows(connection, "journal", _JOURNAL, _JOURNAL_TYPES, journal_rows)
    except psycopg.errors.UniqueViolation as error:
        if error.diag.constraint_name == "uq_journal_reverses_id":
            raise Conflict("the journal was reversed already, under another key") from error
        raise Retryable("one of these journals was posted by another at this moment: ask again") from error
    copy_rows(connection, "posting", _POSTING, _POSTING_TYPES, posting_rows)
    return [standing[key] for key, _ in journals]


_HEAD = "id, book_date, key, kind, occurred_at, recorded_at, reverses_id, reason, digest"
_ABOUT = (
    "debit, credit, amount_minor, currency, stream_code, station_code, channel_account_id, payer_id, invoice_id,"
    " payment_id"
)


def _stored(connection: psycopg.Connection[Any], keys: list[str]) -> list[StoredJournal]:
    """Those of the keys that stand, in two statements whatever their number."""
    heads = connection.execute(f"SELECT {_HEAD} FROM journal WHERE key = ANY(%s)", (keys,)).fetchall()  # noqa: S608
    if not heads:
        return []
    postings: dict[int, list[Posting]] = {head[0]: [] for head in heads}
    for journal_id, *about in connection.execute(
        f"SELECT journal_id, {_ABOUT} FROM posting WHERE journal_id = ANY(%s) ORDER BY journal_id, seq",  # noqa: S608
        (list(postings),),
    ):
        postings[journal_id].append(Posting(*about))
    return [StoredJournal(*(*head, tuple(postings[head[0]]))) for head in heads]


def _agrees(stored: StoredJournal, journal: Journal) -> None:
    key = stored.key
    for field in ("kind", "occurred_at", "reverses_id", "reason", "postings"):
        was, asked = getattr(stored, field), getattr(journal, field)
        if was != asked:
            named = field
            if field == "postings":
                named, was, asked = _first_difference(stored.postings, journal.postings)
            raise Conflict(f"journal {key!r} stands with another {named}: {was!s}, not {asked!s}", key=key, field=named)


def _first_difference(stored: Sequence[Posting], asked: Sequence[Posting]) -> tuple[str, object, object]:
    if len(stored) != len(asked):
        return "number of postings", len(stored), len(asked)
    for index, (was, now) in enumerate(zip(stored, asked, strict=True)):
        for name in Posting._fields:
            if getattr(was, name) != getattr(now, name):
                return f"postings[{index}].{name}", getattr(was, name), getattr(now, name)
    raise IntegrityFault("postings differ but no field does")  # pragma: no cover


def load(session: Session, *, key: str | None = None, journal_id: int | None = None) -> StoredJournal:
    """Read one journal by its key or id. Raises NotFound."""
    connection = raw(session)
    if key is None:
        row = connection.execute("SELECT key FROM journal WHERE id = %s", (journal_id,)).fetchone()
        key = row[0] if row else None
    found = _stored(connection, [key]) if key is not None else []
    if not found or journal_id not in {None, found[0].id}:
        raise NotFound(f"no journal {key or journal_id!r}", key=key, journal_id=journal_id)
    return found[0]


def reverse(session: Session, journal_id: int, *, reason: str, at: datetime | None = None) -> Posted:
    """Undo a journal by its mirror image, booked to an open day. Raises Conflict when it was undone before, or is
    itself the undoing of another; NotFound; InvalidValue without a reason."""
    if not reason.strip():
        raise InvalidValue("say why a journal is reversed", field="reason")
    stored = load(session, journal_id=journal_id)
    if stored.reverses_id is not None:
        raise Conflict("a reversing journal is not reversed: post the fact again", key=stored.key)
    undone = raw(session).execute("SELECT key FROM journal WHERE reverses_id = %s", (journal_id,)).fetchone()
    if undone is not None:
        raise Conflict(f"journal {stored.key!r} was reversed already by {undone[0]!r}", key=stored.key)
    instant = at or periods.now()
    mirror = Journal(
        f"{stored.kind}_undone",
        instant,
        tuple(posting.mirrored() for posting in stored.postings),
        reverses_id=journal_id,
        reason=reason,
    )
    try:
        posted = post(session, mirror, key=f"{stored.key}:undone")
    except Retryable as error:
        raise Conflict(f"journal {stored.key!r} was reversed by another at this moment", key=stored.key) from error
    if not posted.new:  # another hand undid it between our look and our post
        raise Conflict(f"journal {stored.key!r} was reversed already by {posted.key!r}", key=stored.key)
    return posted


@dataclass(frozen=True, slots=True)
class Feed:
    """Journals that became final between two horizons. ``horizon`` is where the next feed begins."""

    after: int
    horizon: int


class JournalOf(NamedTuple):
    """One journal that names a payment; the amount is all that its postings of this payment move, in cents."""

    id: int
    kind: str
    book_date: date
    recorded_at: datetime
    reason: str | None
    amount_minor: int


def journals_of(session: Session, payment_id: int) -> list[JournalOf]:
    """The journals that name a payment, in the order they were posted."""
    return rows(
        session,
        JournalOf,
        "SELECT j.id, j.kind, j.book_date, j.recorded_at, j.reason, sum(p.amount_minor)::bigint AS amount_minor"
        "  FROM posting p JOIN journal j ON j.id = p.journal_id AND j.book_date = p.book_date"
        " WHERE p.payment_id = %s GROUP BY j.id, j.kind, j.book_date, j.recorded_at, j.reason ORDER BY j.id",
        (payment_id,),
    )


def horizon(session: Session) -> int:
    """The transaction id below which nothing is still in flight: everything under it is final and complete."""
    found: int = scalar(session, "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
    return found


def feed(session: Session, *, after: int = 0, upto: int | None = None) -> tuple[Feed, Iterator[StoredJournal]]:
    """Every journal known since the horizon ``after``, once and completely, in the order (transaction, id).

    Never by ``id > last``: a serial id is drawn before its commit, so such a reader loses rows for ever.
    """
    end = min(upto, horizon(session)) if upto is not None else horizon(session)
    end = max(end, after)  # a reader never goes back
    return Feed(after, end), _stream(session, after, end)


def _stream(session: Session, after: int, end: int) -> Iterator[StoredJournal]:
    with raw(session).cursor(name=f"feed_{next(_cursors)}") as cursor:
        cursor.itersize = 5_000
        cursor.execute(
            """
            SELECT j.id, j.book_date, j.key, j.kind, j.occurred_at, j.recorded_at, j.reverses_id, j.reason, j.digest,
                   p.debit, p.credit, p.amount_minor, p.currency, p.stream_code, p.station_code, p.channel_account_id,
                   p.payer_id, p.invoice_id, p.payment_id
              FROM journal j JOIN posting p ON p.journal_id = j.id AND p.book_date = j.book_date
             WHERE j.xid >= %s::text::xid8 AND j.xid < %s::text::xid8
             ORDER BY j.xid, j.id, p.seq
            """,
            (str(after), str(end)),
        )
        head: tuple[Any, ...] | None = None
        postings: list[Posting] = []
        for row in cursor:
            if head is not None and row[0] != head[0]:
                yield StoredJournal(*(*head, tuple(postings)))
                postings = []
            head = row[:9]
            postings.append(Posting(*row[9:]))
        if head is not None:
            yield StoredJournal(*(*head, tuple(postings)))
