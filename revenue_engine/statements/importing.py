"""A statement file becomes evidence: proved, kept whole or not at all, and every line weighed as any message is.

What callbacks missed is posted from here and named; what was posted and no statement shows is named too.
"""

from __future__ import annotations

import hashlib
import io
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta

import structlog
from sqlalchemy.orm import Session

from reconciliation import break_keys, breaks
from reconciliation.breaks import BreakReason, NewBreak
from revenue_engine import payments, periods
from revenue_engine.access import audit
from revenue_engine.billing import tariffs
from revenue_engine.channels import accounts, deliveries
from revenue_engine.channels.accounts import Channel
from revenue_engine.channels.deliveries import Arrived
from revenue_engine.collection import interpretation, pipeline, returns, same_payment, settlements
from revenue_engine.collection.batch import Batch
from revenue_engine.collection.tools import Tools
from revenue_engine.errors import NotFound
from revenue_engine.ledger import chart
from revenue_engine.money import wire
from revenue_engine.payments import Identity
from revenue_engine.ports.callbacks import (
    FILES,
    CallbackAdapter,
    Interpretation,
    Kind,
    Paid,
    Purpose,
    Reversed,
    Unknown,
)
from revenue_engine.ports.statements import (
    StatementClosed,
    StatementEvent,
    StatementFault,
    StatementLine,
    StatementOpened,
    StatementReader,
    StatementRefused,
    one_by_one,
    pick,
    proved,
)
from revenue_engine.statements import by_hand, delivered, line_identity, store
from revenue_engine.statements.by_hand import Foot
from revenue_engine.statements.store import Kept
from revenue_engine.work import jobs
from revenue_engine.work.kinds import Kind as JobKind
from revenue_engine.work.kinds import Work

log = structlog.get_logger("worker")

AT_ONCE = 2_000
"""Lines that are weighed together."""
LEASE_SECONDS = 900
"""A file is one transaction however long the file is, and its lease is extended while lines are booked. This is how
long the file of a killed worker waits."""
WAITS = "it waits for a second person, who enters its closing balance from their own view of the account"


@dataclass(slots=True)
class Imported:
    """What a file brought: its statements, what was known before, and what no message had told of."""

    statements: list[Kept] = field(default_factory=list)
    lines: int = 0
    new_lines: int = 0
    found: int = 0
    """Payments that only the statement told of, now posted; ``found_minor`` their sum in cents."""
    found_minor: int = 0
    missing: int = 0
    """Payments in the books, of the time it covers, that no statement shows."""
    refused: str = ""
    """Why nothing of the file was kept; empty when it was."""
    waits: bool = False
    """Whether it books nothing until a second person has entered its closing balance."""
    others: list[str] = field(default_factory=list)
    """Statements of other accounts in the file, as words: each is to be brought for its own account."""


class _NotAgreed(Exception):
    """Nobody but who brought the file has vouched for it."""


@dataclass(slots=True)
class _Run:
    """One import on its way."""

    session: Session
    arrived: Arrived
    channel: Channel
    channels: Mapping[int, Channel]
    adapters: Mapping[str, CallbackAdapter]
    readers: Mapping[str, StatementReader]
    limit_minor: int
    gap_accepted: str | None
    still_at_it: Callable[[], object]
    batch: Batch = field(default_factory=Batch)
    done: Imported = field(default_factory=Imported)
    names: line_identity.Names = field(default_factory=line_identity.Names)
    missed: set[str] = field(default_factory=set)
    """Open breaks of this account that wait for a statement to show what they are about."""
    fresh_days: dict[date, bool] = field(default_factory=dict)
    """Days of the statement being read with lines of a bank that nothing told of; whether one bears no reference."""
    recognised: set[date] = field(default_factory=set)
    """Days of it with lines that were told of before."""
    first_at: datetime | None = None
    last_at: datetime | None = None
    """The times of the first and last line of the statement being read, where its lines have times."""
    balance_minor: int | None = None
    """What the account held after the last line read, where the statement tells balances."""
    before: dict[int, int] = field(default_factory=dict)
    """The balance before each line that waits to be weighed, by line number."""
    foot: Foot = field(default_factory=Foot)
    held: bool = False
    """Whether the messages of this account wait until the file is kept: they may tell of its lines by other names."""


def import_statement(
    session: Session,
    delivery_id: int,
    *,
    adapters: Mapping[str, CallbackAdapter],
    readers: Mapping[str, StatementReader],
    still_at_it: Callable[[], object] = lambda: None,
) -> Imported:
    """Read a kept statement file and book what it proves. A file that is refused leaves its reason and nothing else.

    ``still_at_it`` is called between the parts of a long file, and what it raises ends the import.
    Must be the only work of its transaction. Raises NotFound for a delivery that is none, and Retryable while another
    transaction reads a statement or a file of the account that was brought earlier still waits.
    """
    store.alone(session)
    arrivals = deliveries.arrived(session, [delivery_id])
    if not arrivals:
        raise NotFound(f"no delivery {delivery_id}", delivery=delivery_id)
    (arrived,) = arrivals
    if arrived.purpose not in FILES:
        return Imported(refused="not brought as a statement: whatever came to an address proves nothing as one")
    if not arrived.accepted:
        return Imported(refused=delivered.not_read(session, arrived, arrived.verdict_reason))
    store.in_turn(session, delivery_id, arrived.channel_account_id)
    channels = accounts.channels(session)
    channel = channels[arrived.channel_account_id]
    county = tariffs.county(session)
    if channel.mode != county.mode:
        reason = f"a {channel.mode} account: shown, never booked"
        deliveries.write_outcomes(session, [(arrived.id, "ignored", reason)])
        return Imported(refused=reason)
    run = _Run(
        session,
        arrived,
        channel,
        channels,
        adapters,
        readers,
        county.confirm_limit_minor,
        _gap_accepted(session, arrived),
        still_at_it,
    )
    run.missed = breaks.open_keys(session, BreakReason.RECEIVED_NOT_IN_STATEMENT, channel_account_id=channel.id)
    by_bank = arrived.purpose == Purpose.FETCHED  # nobody at the county can write where it came from: it proves alone
    if not by_bank and by_hand.dropped(session, arrived.id):
        breaks.close_many(session, [break_keys.file(arrived.id)], resolution="dropped by who brought it")
        return Imported(refused="dropped by who brought it")
    entered = set() if by_bank else by_hand.entered(session, arrived.id)
    try:
        with session.begin_nested():
            _read(run) if entered or by_bank else _look(run)
            if not by_bank:
                _hold_against(run, entered)
    except _NotAgreed:
        return _wait_for_another(run)
    except StatementRefused as refused:
        return _refused(run, f"refused, {refused.code}: {refused.message}", refused)
    if by_bank:
        opened, closed = delivered.was_read(session, arrived, brought=bool(run.done.statements))
        run.batch.opened += opened
        run.batch.resolve(closed, "the file is read now")
    else:
        breaks.close_many(session, [break_keys.file(arrived.id)], resolution="a second person agreed to the file")
    if not run.batch.outcome.evidence:
        known = f"a statement of {run.done.lines} lines, all of them known already"
        run.batch.ended.append((arrived.id, "ignored", known))
    outcome = pipeline.close(session, run.batch)
    if arrived.id in outcome.look_again:  # a payment it takes back may be committing in another worker right now
        jobs.add_absent(session, kind=JobKind.INTERPRET, refs=[arrived.id], after_seconds=jobs.LOOK_AGAIN_SECONDS)
    return run.done


def _gap_accepted(session: Session, arrived: Arrived) -> str | None:
    """Why a person said that no statement stands between this one and the last; a bank's own delivery never says it."""
    if arrived.purpose != Purpose.STATEMENT:
        return None
    return deliveries.header(session, arrived.id, "gap_accepted") or None


def _refused(run: _Run, reason: str, refused: StatementRefused) -> Imported:
    """Keep nothing of a file but why. One that a bank delivered is somebody's: no person stands beside it."""
    if run.arrived.purpose == Purpose.FETCHED:
        return Imported(refused=delivered.not_read(run.session, run.arrived, reason))
    breaks.close_many(run.session, [break_keys.file(run.arrived.id)], resolution="the file was refused")
    deliveries.write_outcomes(run.session, [(run.arrived.id, "ignored", reason[:500])])
    return Imported(refused=refused.message)


def foot_of(readers: Mapping[str, StatementReader], body: bytes, *, filename: str) -> Foot:
    """What stands at the foot of a file that proves right; nothing of it is kept. Raises StatementRefused."""
    stream, foot = io.BytesIO(body), Foot()
    deque(foot.noting(proved(pick(readers, stream, filename).read(stream, filename=filename))), maxlen=0)
    return foot


def _look(run: _Run) -> None:
    """Prove the file and note its foot, and book nothing."""
    name = deliveries.filename(run.session, run.arrived.id)
    stream = io.BytesIO(run.arrived.body)
    told = one_by_one(proved(pick(run.readers, stream, name).read(stream, filename=name), today=periods.today()))
    for event in run.foot.noting(_of_this_account(run, told)):
        if isinstance(event, StatementOpened):
            _in_shillings(event)


def _hold_against(run: _Run, entered: set[int]) -> None:
    """Hold what stands at the foot against what others entered. Raises _NotAgreed where nobody entered just that."""
    if run.foot.minor not in entered:
        raise _NotAgreed
    by_hand.note_reading(run.session, run.arrived.id, run.foot)


def _wait_for_another(run: _Run) -> Imported:
    """Show the file with its total, as one person's word, until another enters what stands at its foot."""
    by_hand.note_reading(run.session, run.arrived.id, run.foot)
    deliveries.write_outcomes(run.session, [(run.arrived.id, "waiting", WAITS)])
    waits = NewBreak(
        break_keys.file(run.arrived.id),
        BreakReason.FILE_NOT_AGREED,
        f"a statement file of {run.foot.lines} lines that one person brought: {WAITS}",
        run.arrived.received_at,
        amount_minor=run.foot.credits_minor,
        delivery_id=run.arrived.id,
        channel_account_id=run.channel.id,
    )
    breaks.open_many(run.session, [waits])
    return Imported(lines=run.foot.lines, waits=True)


def _read(run: _Run) -> None:
    name = deliveries.filename(run.session, run.arrived.id)
    stream = io.BytesIO(run.arrived.body)
    reader = pick(run.readers, stream, name)
    opened: StatementOpened | None = None
    statement_id, fresh = 0, 0
    waiting: list[StatementLine] = []
    told = one_by_one(proved(reader.read(stream, filename=name), today=periods.today()))
    for event in run.foot.noting(_of_this_account(run, told)):
        if isinstance(event, StatementOpened):
            opened = event
            _in_shillings(opened)
            statement_id, fresh = store.new_id(run.session), 0
            run.first_at = run.last_at = None
            run.fresh_days, run.recognised = {}, set()
            run.balance_minor = opened.opening_minor
            run.names.begin()
        elif isinstance(event, StatementLine) and opened is not None:
            _note_time(run, event)
            _note_balance(run, event)
            if len(waiting) >= AT_ONCE and not _is_leg_of(event, waiting[-1]):
                fresh += _weigh(run, statement_id, opened, waiting)
                waiting = []
                run.still_at_it()
            waiting.append(event)
            if len(waiting) == 2 * AT_ONCE:
                fresh += _weigh(run, statement_id, opened, waiting)
                waiting = []
                run.still_at_it()
        elif isinstance(event, StatementClosed) and opened is not None and event.adds_up is not False:
            fresh += _weigh(run, statement_id, opened, waiting, closing_minor=event.closing_minor)
            waiting = []
            _end(run, statement_id, opened, event, fresh)
            run.still_at_it()
    if not run.done.lines and not run.done.statements:
        return
    audit.record(
        run.session,
        actor=deliveries.header(run.session, run.arrived.id, "by") or "worker",
        action="statement.imported",
        subject=f"delivery {run.arrived.id}",
        facts={
            "sha256": hashlib.sha256(run.arrived.body).hexdigest(),
            "lines": run.done.lines,
            "new_lines": run.done.new_lines,
            "gap_accepted": run.gap_accepted,
            "others": run.done.others,
        },
    )


def _is_leg_of(line: StatementLine, before: StatementLine) -> bool:
    """Whether a line may be another leg of the movement before it: legs are weighed together."""
    return line.kind is Kind.PAYOUT and (line.reference, line.booked_on) == (before.reference, before.booked_on)


def _note_time(run: _Run, line: StatementLine) -> None:
    if line.counts and line.occurred_at is not None:
        run.first_at = min(run.first_at or line.occurred_at, line.occurred_at)
        run.last_at = max(run.last_at or line.occurred_at, line.occurred_at)


def _note_balance(run: _Run, line: StatementLine) -> None:
    """Note what the account held before a line; a balance that the line itself tells is the better one."""
    if not line.counts or run.balance_minor is None:
        return
    told = line.balance_after_minor
    run.before[line.number] = run.balance_minor if told is None else told - line.amount_minor
    run.balance_minor += line.amount_minor


def _of_this_account(run: _Run, events: Iterable[StatementEvent]) -> Iterator[StatementEvent]:
    """The statements of a file that are of the account it was brought for; of the others the run notes which they are.

    A statement that names no account is of the one it was brought for. Raises StatementRefused where all are of others.
    """
    other: StatementOpened | None = None
    ours = 0
    for event in events:
        if isinstance(event, StatementOpened):
            other = None if accounts.is_called(run.channel.identifier, event.account) else event
            ours += other is None
        if other is None:
            yield event
        elif isinstance(event, StatementClosed):
            balances = ""
            if other.opening_minor is not None and event.closing_minor is not None:
                balances = f", {wire(other.opening_minor)} to {wire(event.closing_minor)}"
            run.done.others.append(
                f"account {other.account}: {event.lines} {'line' if event.lines == 1 else 'lines'}{balances}"
            )
    if not ours and run.done.others:
        raise StatementRefused(
            StatementFault.BAD_VALUE,
            f"the file is of {'; '.join(run.done.others)}, and it was brought for {run.channel.identifier}: bring it"
            " for the account it is of",
        )


def _in_shillings(opened: StatementOpened) -> None:
    if opened.currency != "KES":
        raise StatementRefused(StatementFault.BAD_CURRENCY, f"the primary book takes KES, not {opened.currency}")


def _weigh(
    run: _Run,
    statement_id: int,
    opened: StatementOpened,
    lines: list[StatementLine],
    *,
    closing_minor: int | None = None,
) -> int:
    """Keep lines and book what those among them mean that were not known; how many that count were new.

    ``closing_minor``: what the statement closes with, where these are its last lines.
    """
    if not lines:
        return 0
    # Nothing proves the sums of a report without balances: its lines are shown, and count in the statement to come.
    proves = opened.opening_minor is not None
    if not run.held and any(line.kind is None for line in lines):
        same_payment.hold(run.session, run.channel.id)
        run.held = True
    if proves:
        lines = line_identity.apart(
            run.session,
            lines,
            names=run.names,
            channel_account_id=run.channel.id,
            opened=opened,
            before=run.before,
            closing_minor=closing_minor,
        )
    told = lines if proves else [line._replace(counts=False) for line in lines]
    names = line_identity.name_lines(run.session, run.names, run.channel.id, told)
    fresh = store.write_lines(
        run.session,
        statement_id=statement_id,
        channel_account_id=run.channel.id,
        lines=[(line, names[line.number].name) for line in told],
        before=run.before,
    )
    run.before = {}
    _note_days(run, told, names)
    run.batch.facts = []
    new = [(line, names[line.number].name) for line in lines if line.number in fresh]
    counting = sum(line.counts for line, _ in new)
    between = settlements.between_our_accounts([(line, names[line.number].name) for line in lines])
    run.batch.opened += [
        _repeated(run, line, name)
        for line, name in new
        if names[line.number].repeated and line.kind and line.number not in between.legs
    ]
    new = [(line, name) for line, name in new if line.number not in between.moved_nothing]
    settled = settlements.bank_credits(run.session, run.batch, run.channel, run.channels, new) if proves else set()
    _gather(run, opened, new, settled)
    before = _standing(run)
    pipeline.book(run.session, run.batch, run.channels, run.adapters, run.readers, limit_minor=run.limit_minor)
    if proves:
        returns.settle(run.session, run.batch, run.channel, run.channels, run.readers, new)
    if run.batch.named_channels:
        identities = [Identity(run.channel.id, Kind.PAYMENT.value, name) for name in run.batch.named_channels]
        standing = payments.find(run.session, identities)
        held = payments.held(run.session, payment_ids=[payment.id for payment in standing.values()])
        in_suspense = {one.payment_id for one in held if one.account == chart.SUSPENSE}
        settlements.held_for_channels(run.batch, run.channel, standing, in_suspense=in_suspense)
    _name_found(run, before)
    run.batch.resolve(
        (key for fact in run.batch.facts if (key := break_keys.missing(*fact.identity)) in run.missed),
        "a statement shows the movement",
    )
    return counting


def _gather(run: _Run, opened: StatementOpened, new: list[tuple[StatementLine, str]], settled: set[int]) -> None:
    """Add what new lines mean to the facts of the batch; ``settled``: the numbers of those that are no payments."""
    if opened.opening_minor is None:
        names = line_identity.of_report(run.session, run.channel.id, [line for line, _ in new])
        meanings = [(line, interpretation.of_report(line, opened, names.get(line.number, ""))) for line, _ in new]
    else:
        same_payment.keep_lines(run.session, run.channel.id, {name: line for line, name in new})
        meanings = [
            (line, interpretation.of_line(line, opened, name)) for line, name in new if line.number not in settled
        ]
        meanings += _settled_payments(run, opened, [(line, name) for line, name in new if line.number in settled])
        for line, name in new:  # a report told of it by the bank's own name, and waits for nothing any more
            if line.kind is None and name != (told := interpretation.line_reference(line)):
                run.batch.resolve([break_keys.unconfirmed(run.channel.id, told)], "the statement shows the payment")
    for line, meaning in meanings:
        if isinstance(meaning, Paid | Reversed):
            item = line.number if isinstance(meaning, Paid) else _taking_back(line)
            pipeline.keep(run.batch, run.arrived, run.channel, item, meaning)
        elif isinstance(meaning, Unknown):
            pipeline.wonder(run.batch, run.arrived, line.number, meaning)


def _settled_payments(
    run: _Run, opened: StatementOpened, settled: list[tuple[StatementLine, str]]
) -> list[tuple[StatementLine, Interpretation]]:
    """Of a settlement that a message told as a payment: the line shows that payment, and that it was none."""
    identities = {name: Identity(run.channel.id, Kind.PAYMENT.value, name) for _, name in settled}
    standing = payments.find(run.session, identities.values())
    found: list[tuple[StatementLine, Interpretation]] = []
    for line, name in settled:
        if identities[name] in standing:
            found.append((line, interpretation.of_line(line, opened, name)))
            found.append((line, settlements.no_payment(line, opened, name)))
    return found


def _taking_back(line: StatementLine) -> int:
    """The item of what a line takes back: below zero where the line shows a payment too, namely the one it ends."""
    return line.number if line.kind is not None else -1 - line.number


def _note_days(run: _Run, lines: list[StatementLine], names: Mapping[int, line_identity.Named]) -> None:
    """Note on which days a bank's statement has lines that nothing told of, and which of its days were recognised."""
    for line in lines:
        if line.counts and line.kind is None:
            if names[line.number].again:
                run.recognised.add(line.booked_on)
            else:
                run.fresh_days[line.booked_on] = run.fresh_days.get(line.booked_on, False) or not line.reference


def _repeated(run: _Run, line: StatementLine, name: str) -> NewBreak:
    """A provider that promises unique references gave one to two movements: each is booked, and somebody asks why."""
    return NewBreak(
        break_keys.repeated(run.channel.id, store.kind_of(line), name),
        BreakReason.DUPLICATE_CODE,
        f"two lines of the statement have the reference {line.reference}, and the statement adds up with both lines;"
        f" this line is booked as {name}",
        interpretation.instant_of(line),
        amount_minor=abs(line.amount_minor),
        delivery_id=run.arrived.id,
        channel_account_id=run.channel.id,
    )


def _standing(run: _Run) -> set[Identity]:
    return set(payments.find(run.session, [fact.identity for fact in run.batch.facts]))


def _name_found(run: _Run, before: set[Identity]) -> None:
    """Name every payment that no message told of before the statement did."""
    standing = _standing(run)
    known = before | run.batch.told_before
    for fact in run.batch.facts:
        if fact.identity not in standing or fact.identity in known or fact.identity.kind != Kind.PAYMENT:
            continue
        amount = fact.amount_minor or 0
        run.done.found += 1
        run.done.found_minor += amount
        run.batch.opened.append(
            NewBreak(
                break_keys.found(fact.identity.channel_account_id, fact.identity.reference),
                BreakReason.IN_STATEMENT_NOT_RECEIVED,
                f"no message reported {fact.identity.reference}; the payment was posted from the statement",
                fact.occurred_at,
                amount_minor=amount,
                delivery_id=fact.delivery_id,
                channel_account_id=fact.identity.channel_account_id,
            )
        )
        run.batch.resolve(
            [break_keys.found(fact.identity.channel_account_id, fact.identity.reference)],
            "the payment was posted from the statement",
        )


def _end(run: _Run, statement_id: int, opened: StatementOpened, closed: StatementClosed, fresh: int) -> None:
    """Write the foot of a statement, after it was held against its neighbours; a statement known before leaves none."""
    run.done.lines += closed.lines
    run.done.new_lines += fresh
    if not fresh and store.known_already(run.session, run.channel.id, opened, closed):
        return
    days = {day: nameless or day not in run.recognised for day, nameless in run.fresh_days.items()}
    store.unlike(run.session, run.channel.id, run.arrived.id, opened, closed, fresh=days)
    if run.gap_accepted is None:
        if run.names.adrift and not store.touches(run.session, run.channel.id, opened, closed):
            raise StatementRefused(
                StatementFault.SKIPPED,
                f"it neither begins nor ends where what is kept of {closed.first_day} does, so nobody can tell whether"
                " its lines repeat others of that day: bring the part between them first, or the whole day",
            )
        store.follows(run.session, run.channel.id, opened, closed)
    kept = store.write_statement(
        run.session,
        statement_id=statement_id,
        delivery_id=run.arrived.id,
        channel_account_id=run.channel.id,
        opened=opened,
        closed=closed,
        new_lines=fresh,
        gap_accepted=run.gap_accepted,
    )
    run.done.statements.append(kept)
    _name_missing(run, opened, closed)


def _name_missing(run: _Run, opened: StatementOpened, closed: StatementClosed) -> None:
    """Name what stands in the books for the time a statement covers, and the statement does not show.

    A day that was exported before it was over is covered up to the last line; a bank that gives days only, whole.
    """
    if closed.first_day is None or closed.last_day is None or closed.adds_up is None:
        return
    first = datetime.combine(closed.first_day, time(), tzinfo=periods.NAIROBI)
    until = datetime.combine(closed.last_day + timedelta(days=1), time(), tzinfo=periods.NAIROBI)
    if run.first_at is not None and run.last_at is not None:
        first = run.first_at if opened.from_day is None else first
        until = run.last_at
    for one in payments.without_statement(run.session, channel_account_id=run.channel.id, since=first, until=until):
        run.done.missing += 1
        reference = one.identity.reference
        run.batch.opened.append(
            NewBreak(
                break_keys.missing(*one.identity),
                BreakReason.RECEIVED_NOT_IN_STATEMENT,
                f"a message reported {reference}, and the statement of that day does not show {reference}",
                one.occurred_at,
                amount_minor=one.amount_minor,
                payment_id=one.id,
                delivery_id=run.arrived.id,
                channel_account_id=run.channel.id,
            )
        )


def _import(session: Session, delivery_id: int, tools: Tools) -> None:
    done = import_statement(
        session, delivery_id, adapters=tools.adapters, readers=tools.readers, still_at_it=tools.still_at_it
    )
    tools.found(done.found)
    log.info("statement", delivery=delivery_id, lines=done.lines, new=done.new_lines, found=done.found)


IMPORT = Work[Tools](JobKind.STATEMENT, _import, at_once=1, lease_seconds=LEASE_SECONDS)
JOBS = (IMPORT,)
