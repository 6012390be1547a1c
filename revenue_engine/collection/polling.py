"""Asking back: what providers never told us we ask them for, on a schedule, and every answer is kept as it came.

Three questions. A *pull* asks a channel account for every payment of a window that overlaps the last one. A *query*
asks what became of a push nobody told the end of. A *status* asks about a notice that nothing confirms. Work is rows,
as all work is: a pull's row is put off and never done, the others end when what they ask about is settled. The call
itself is made outside any transaction; its answer is a delivery, read by the same pipeline as a callback.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import psycopg
import structlog
from sqlalchemy import BigInteger, CheckConstraint, Engine, ForeignKey, Identity, Index, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Mapped, Session, mapped_column

from reconciliation import break_keys, breaks
from reconciliation.breaks import BreakReason, NewBreak
from revenue_engine import payments, periods
from revenue_engine.channels import accounts, deliveries
from revenue_engine.channels.accounts import Channel
from revenue_engine.db import Base, Sealed, raw, scalar, transaction
from revenue_engine.errors import RevenueError
from revenue_engine.identifiers import public_id
from revenue_engine.ports.callbacks import Purpose
from revenue_engine.ports.outbound import Answered, OutboundClient, Sent
from revenue_engine.work import jobs
from revenue_engine.work.jobs import Claim
from revenue_engine.work.kinds import Kind

log = structlog.get_logger("asking")

Clients = Callable[[Channel], OutboundClient | None]
"""The client of a channel account, or None for one that cannot be asked."""

PULL_EVERY = timedelta(minutes=15)
PULL_OVERLAP = timedelta(minutes=30)
"""Payments a provider lists late are still listed by the next pull."""
PULL_REACH = timedelta(hours=48)
"""How far back a provider answers (M-PESA: the last 48 hours)."""
QUERY_AFTER = timedelta(seconds=90)
"""A handset's prompt has ended by then."""
STATUS_AFTER = timedelta(minutes=5)
PAID_BEFORE = timedelta(minutes=10)
"""By how much a provider's clock may be behind ours when we look for what a push brought."""
GIVE_UP_AFTER = timedelta(days=3)
"""After that the statement is the answer, and the break stays with its owner."""
SCHEDULE_SECONDS = 30.0
LOOK_SECONDS = 1.0
LEASE_SECONDS = 120
AT_ONCE = 20


class Asking(Sealed, Base):
    """One question we asked and what came of it: an append-only log, without personal data."""

    __tablename__ = "asked"
    __table_args__ = (
        CheckConstraint("what IN ('pull', 'query', 'status', 'balance')", name="what"),
        Index("ix_asked_channel_account_id", "channel_account_id", "what", "id"),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    channel_account_id: Mapped[int] = mapped_column(ForeignKey("channel_account.id"))
    what: Mapped[str]
    reference: Mapped[str]
    """The request or receipt asked about; empty for a window or a balance."""
    since: Mapped[datetime | None]
    until: Mapped[datetime | None]
    asked_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    answered: Mapped[bool]
    answers: Mapped[int]
    """How many deliveries the answer came in."""
    outcome: Mapped[str]


@dataclass(slots=True)
class Asker:
    """One process's or thread's way of asking. ``once`` asks what is due and answers how many questions it asked."""

    engine: Engine
    clients: Clients
    now: Callable[[], datetime] = periods.now
    name: str = field(default_factory=lambda: public_id("ask")[-12:])

    def once(self) -> int:
        """Ask everything that is due now."""
        return self._pulls() + self._each(Kind.QUERY, self._query) + self._each(Kind.STATUS, self._status)

    def run(self, stop: threading.Event) -> None:
        """Ask what is due until told to stop; a database that is away is waited for."""
        scheduled = -SCHEDULE_SECONDS
        while not stop.is_set():
            try:
                if time.monotonic() - scheduled >= SCHEDULE_SECONDS:
                    scheduled = time.monotonic()
                    with transaction(self.engine) as session:
                        schedule(session, clients=self.clients)
                self.once()
            except (DBAPIError, psycopg.Error, RevenueError) as error:
                log.warning("asking failed", error=type(error).__name__)
                self.engine.dispose()
            stop.wait(LOOK_SECONDS)
        self.engine.dispose()

    # --- pull -------------------------------------------------------------------------------------------------------

    def _pulls(self) -> int:
        held = self._claim(Kind.PULL)
        for claimed in held:
            with transaction(self.engine) as session:
                channel = accounts.channels(session).get(claimed.ref_id)
                since = _pulled_until(session, claimed.ref_id)
            client = self.clients(channel) if channel is not None else None
            if channel is None or client is None:
                self._end(claimed)
                continue
            self._pull(claimed, channel, client, since)
        return len(held)

    def _pull(self, claimed: Claim, channel: Channel, client: OutboundClient, last: datetime | None) -> None:
        until = self.now()
        earliest = until - PULL_REACH
        since = max(earliest, last - PULL_OVERLAP) if last is not None else earliest
        pages: list[Answered] = []
        outcome, whole = "", True
        try:
            pages.extend(client.pull(since=since, until=until))
        except RevenueError as error:
            outcome, whole = f"{error.code}: {error.message}"[:500], False
        with transaction(self.engine) as session:
            for page in pages:
                deliveries.keep(session, channel_account_id=channel.id, purpose=Purpose.PULL, body=page.body)
            _note(
                session,
                channel.id,
                "pull",
                since=since,
                until=until,
                answered=whole,
                answers=len(pages),
                outcome=outcome or f"{len(pages)} pages",
            )
            if last is not None and last < earliest:
                breaks.open_many(session, [_gap(channel, last, earliest)])
            jobs.look_again(session, worker=self.name, claims=[claimed], seconds=PULL_EVERY.total_seconds())
        log.info("pulled", account=channel.identifier, pages=len(pages), whole=whole)

    # --- one by one -------------------------------------------------------------------------------------------------

    def _each(self, kind: Kind, ask: Callable[[Claim], None]) -> int:
        held = self._claim(kind)
        for claimed in held:
            ask(claimed)
        return len(held)

    def _query(self, claimed: Claim) -> None:
        """Ask what became of a push, until its result is known or the statement must tell."""
        with transaction(self.engine) as session:
            due = payments.push_without_end(session, claimed.ref_id)
            channel = accounts.channels(session)[due.channel_account_id] if due is not None else None
            if due is not None and payments.paid_otherwise(session, claimed.ref_id, clock_behind=PAID_BEFORE):
                found = "its bill was paid with that amount since, by a message that names no request"
                breaks.close_many(session, [break_keys.request(due.reference)], resolution=found)
                jobs.finish(session, worker=self.name, claims=[claimed])
                return
        client = self.clients(channel) if channel is not None else None
        if due is None or channel is None or client is None or self.now() - due.since > GIVE_UP_AFTER:
            self._end(claimed)
            return
        answer: Answered | None = None
        try:
            answer = client.query(due.reference)
            outcome = "answered"
        except RevenueError as error:
            outcome = f"{error.code}: {error.message}"[:500]
        with transaction(self.engine) as session:
            if answer is not None:
                deliveries.keep(session, channel_account_id=channel.id, purpose=Purpose.QUERY, body=answer.body)
            _note(
                session,
                channel.id,
                "query",
                reference=due.reference,
                answered=answer is not None,
                answers=int(answer is not None),
                outcome=outcome,
            )
            jobs.look_again(session, worker=self.name, claims=[claimed], seconds=_patience(self.now() - due.since))

    def _status(self, claimed: Claim) -> None:
        """Ask about a notice that nothing confirms; the answer comes to the result address as a callback."""
        with transaction(self.engine) as session:
            due = payments.not_posted(session, claimed.ref_id)
            channel = accounts.channels(session)[due.channel_account_id] if due is not None else None
        client = self.clients(channel) if channel is not None else None
        if due is None or channel is None or client is None or self.now() - due.since > GIVE_UP_AFTER:
            self._end(claimed)
            return
        try:
            sending = client.status(reference=due.reference)
            outcome, sent = (
                ("sent", True) if isinstance(sending, Sent) else (f"{sending.code} {sending.reason}".strip(), False)
            )
        except RevenueError as error:
            outcome, sent = f"{error.code}: {error.message}"[:500], False
        with transaction(self.engine) as session:
            _note(
                session,
                channel.id,
                "status",
                reference=due.reference,
                answered=sent,
                answers=0,
                outcome=outcome[:500],
            )
            jobs.look_again(session, worker=self.name, claims=[claimed], seconds=_patience(self.now() - due.since))

    # --- rows -------------------------------------------------------------------------------------------------------

    def _claim(self, kind: Kind) -> list[Claim]:
        with transaction(self.engine) as session:
            return jobs.claim(session, kind=kind, worker=self.name, limit=AT_ONCE, lease_seconds=LEASE_SECONDS)

    def _end(self, claimed: Claim) -> None:
        with transaction(self.engine) as session:
            jobs.finish(session, worker=self.name, claims=[claimed])


def _patience(age: timedelta) -> float:
    """Seconds until the same is asked again: a quarter of its age, from a minute to six hours."""
    return min(6 * 3600.0, max(60.0, age.total_seconds() / 4))


def schedule(session: Session, *, clients: Clients) -> int:
    """Write the work rows that are missing: a pull an account, a query a push without end, a status a lone notice.

    Safe to run at any time and by anybody; how many accounts can be asked.
    """
    able = [channel for channel in accounts.channels(session).values() if clients(channel) is not None]
    ids = [channel.id for channel in able]
    if not ids:
        return 0
    jobs.add_absent(session, kind=Kind.PULL, refs=ids)
    unended = payments.pushes_without_end(session, ids, oldest=GIVE_UP_AFTER, youngest=QUERY_AFTER)
    jobs.add_absent(session, kind=Kind.QUERY, refs=unended)
    lone = payments.told_by_deliveries(
        session,
        (
            (one.delivery_id, *told)
            for one in breaks.open_since(
                session, BreakReason.UNCONFIRMED, channel_account_ids=ids, oldest=GIVE_UP_AFTER, youngest=STATUS_AFTER
            )
            if one.delivery_id is not None and (told := break_keys.unconfirmed_of(one.key)) is not None
        ),
    )
    jobs.add_absent(session, kind=Kind.STATUS, refs=lone)
    return len(ids)


def ask_now(session: Session, channel_account_id: int) -> None:
    """Make the next pull of an account due at once, and ask again about what it told us too little of."""
    # One that is being asked at this moment loses its lease: it was asked before this, and is asked again.
    raw(session).execute("SELECT ask_again(%s, %s)", (channel_account_id, GIVE_UP_AFTER))


def _pulled_until(session: Session, channel_account_id: int) -> datetime | None:
    """To where the last whole pull reached."""
    until: datetime | None = scalar(
        session,
        "SELECT (SELECT until FROM asked WHERE channel_account_id = %s AND what = 'pull' AND answered"
        " ORDER BY id DESC LIMIT 1)",
        (channel_account_id,),
    )
    return until


def _gap(channel: Channel, last: datetime, earliest: datetime) -> NewBreak:
    return NewBreak(
        break_keys.not_asked(channel.id, last),
        BreakReason.NOT_ASKED_IN_TIME,
        f"{channel.identifier} was not asked between {last.astimezone(periods.NAIROBI):%d %b %H:%M} and"
        f" {earliest.astimezone(periods.NAIROBI):%d %b %H:%M}, and the provider answers no"
        " further back; bring the statement of that time",
        last,
        channel_account_id=channel.id,
    )


def _note(
    session: Session,
    channel_account_id: int,
    what: str,
    *,
    answered: bool,
    answers: int,
    outcome: str,
    reference: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
) -> None:
    session.add(
        Asking(
            channel_account_id=channel_account_id,
            what=what,
            reference=reference,
            since=since,
            until=until,
            answered=answered,
            answers=answers,
            outcome=outcome,
        )
    )
    session.flush()


def last_asked(session: Session, channel_account_id: int) -> dict[str, str] | None:
    """The last question asked of an account and what came of it, for a person."""
    last = session.scalars(
        select(Asking).where(Asking.channel_account_id == channel_account_id).order_by(Asking.id.desc()).limit(1)
    ).first()
    if last is None:
        return None
    return {"what": last.what, "at": last.asked_at.astimezone(periods.NAIROBI).isoformat(), "outcome": last.outcome}
