"""Statements that were kept: their heads, their lines, and whether one follows the other without a gap."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from revenue_engine.channels import deliveries
from revenue_engine.collection import bank_words
from revenue_engine.db import Base, Sealed, copy_rows, exists, one, raw, rows, scalar
from revenue_engine.errors import IntegrityFault, Retryable
from revenue_engine.identifiers import public_id
from revenue_engine.money import wire
from revenue_engine.ports.callbacks import Kind
from revenue_engine.ports.statements import (
    StatementClosed,
    StatementFault,
    StatementLine,
    StatementOpened,
    StatementRefused,
)
from revenue_engine.work import jobs
from revenue_engine.work.kinds import Kind as JobKind
from revenue_engine.work.locks import Lock


class Statement(Sealed, Base):
    """One statement of one channel account that added up and was kept whole."""

    __tablename__ = "statement"
    __table_args__ = (
        CheckConstraint("opening_minor + credits_minor - debits_minor = closing_minor", name="adds_up"),
        CheckConstraint("currency = 'KES'", name="currency"),
        Index("ix_statement_channel_account_id", "channel_account_id", "last_day"),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    public_id: Mapped[str] = mapped_column(unique=True)
    delivery_id: Mapped[int]
    channel_account_id: Mapped[int] = mapped_column(ForeignKey("channel_account.id"))
    format: Mapped[str]
    account: Mapped[str]
    currency: Mapped[str]
    reference: Mapped[str]
    number: Mapped[str]
    opening_minor: Mapped[int | None]
    closing_minor: Mapped[int | None]
    credits_minor: Mapped[int]
    debits_minor: Mapped[int]
    lines: Mapped[int]
    new_lines: Mapped[int]
    first_day: Mapped[date | None]
    last_day: Mapped[date | None]
    gap_accepted: Mapped[str | None]
    """Why a person let it in although the statement before it is missing."""
    recorded_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class StatementRow(Sealed, Base):
    """One line of a kept statement, once for ever: a later export of the same day brings it no second time.

    What it says in words stands only in the raw file, because it names people.
    """

    __tablename__ = "statement_line"
    __table_args__ = (
        UniqueConstraint("channel_account_id", "key"),
        CheckConstraint("length(key) = 32", name="key"),
        CheckConstraint("kind IN ('payment', 'reversal', 'charge', 'payout')", name="kind"),
        Index("ix_statement_line_statement_id", "statement_id"),
        Index("ix_statement_line_reference", "channel_account_id", "reference"),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    statement_id: Mapped[int] = mapped_column(ForeignKey("statement.id", deferrable=True, initially="DEFERRED"))
    channel_account_id: Mapped[int]
    number: Mapped[int]
    """The line of the file where it begins."""
    key: Mapped[bytes] = mapped_column(LargeBinary)
    booked_on: Mapped[date]
    amount_minor: Mapped[int]
    """Signed: above zero a credit to us."""
    kind: Mapped[str]
    reference: Mapped[str] = mapped_column(Text(collation="C"))
    """The name its movement is known by (see ``naming``); in byte order, so that names of one beginning are found."""
    counts: Mapped[bool]
    before_minor: Mapped[int | None]
    """The balance of the account before it, where its statement tells balances: an equal line that stands elsewhere in
    the day is another one. None too of a line kept before this was."""
    told_as: Mapped[str | None]
    """The reference the bank itself gives it, empty where it gives none; None of a line kept before this was."""


_LINE = (
    "statement_id",
    "channel_account_id",
    "number",
    "key",
    "booked_on",
    "amount_minor",
    "kind",
    "reference",
    "counts",
    "before_minor",
    "told_as",
)
_LINE_TYPES = ("int8", "int8", "int8", "bytea", "date", "int8", "text", "text", "bool", "int8", "text")


def kind_of(line: StatementLine) -> Kind:
    """What a line is; a bank that only says credit or debit says payment or payout, and in its words return or fee."""
    return bank_words.kind_of(line)


def new_id(session: Session) -> int:
    """The id of a statement about to be kept: its lines are written before its foot is known."""
    found: int = scalar(session, "SELECT nextval(pg_get_serial_sequence('statement', 'id'))")
    return found


def write_lines(
    session: Session,
    *,
    statement_id: int,
    channel_account_id: int,
    lines: Sequence[tuple[StatementLine, str]],
    before: Mapping[int, int],
) -> set[int]:
    """Keep lines, each with the reference it is known by; answers the numbers of those that were not known before.

    ``before``: the balance before each line in cents, by line number, where the statement tells balances.
    """
    connection = raw(session)
    columns = ", ".join(_LINE)
    connection.execute(
        f"CREATE TEMP TABLE IF NOT EXISTS told ON COMMIT DROP AS SELECT {columns} FROM statement_line"  # noqa: S608 - ours
        " WITH NO DATA"
    )
    connection.execute("TRUNCATE told")
    copy_rows(
        connection,
        "told",
        _LINE,
        _LINE_TYPES,
        [
            (
                statement_id,
                channel_account_id,
                line.number,
                line.key(),
                line.booked_on,
                line.amount_minor,
                kind_of(line).value,
                reference,
                line.counts,
                before.get(line.number),
                line.reference,
            )
            for line, reference in lines
        ],
    )
    fresh = connection.execute(
        f"INSERT INTO statement_line ({columns}) SELECT {columns} FROM told"  # noqa: S608 - our own constants
        " ON CONFLICT (channel_account_id, key) DO NOTHING RETURNING number"
    )
    return {row[0] for row in fresh}


def in_turn(session: Session, delivery_id: int, channel_account_id: int) -> None:
    """Let files of one account be read in the order they were brought, or a day would seem to be missing between them.

    Raises Retryable while an earlier one waits; one that died waits no more.
    """
    waiting = jobs.ready_before(session, kind=JobKind.STATEMENT, ref_id=delivery_id)
    earlier = deliveries.first_of_account(session, waiting, channel_account_id=channel_account_id)
    if earlier is not None:
        raise Retryable(f"the statement of delivery {earlier} was brought earlier and is read first")


def alone(session: Session) -> None:
    """Read statements one at a time, to the end of the transaction: what one brings decides what the next means.

    Raises Retryable while another transaction reads one.
    """
    if not scalar(session, "SELECT pg_try_advisory_xact_lock(%s, 0)", (Lock.STATEMENTS,)):
        raise Retryable("another statement is being read: this one waits for it")


def known_names(session: Session, channel_account_id: int, keys: Sequence[bytes]) -> dict[bytes, str]:
    """The names of the lines that are known already, by their keys."""
    rows = raw(session).execute(
        "SELECT key, reference FROM statement_line WHERE channel_account_id = %s AND key = ANY(%s)",
        (channel_account_id, list(keys)),
    )
    return {bytes(row[0]): row[1] for row in rows}


def told_before(session: Session, channel_account_id: int, keys: Sequence[bytes]) -> dict[bytes, int | None]:
    """The balance before each of the lines that are known already, by their keys."""
    rows = raw(session).execute(
        "SELECT key, before_minor FROM statement_line WHERE channel_account_id = %s AND key = ANY(%s)",
        (channel_account_id, list(keys)),
    )
    return {bytes(row[0]): row[1] for row in rows}


def ended_with(session: Session, *, channel_account_id: int, balance_minor: int, day: date) -> bool:
    """Whether a stored statement whose last day is ``day`` closes with this balance and does not open with it too."""
    return exists(
        session,
        "SELECT FROM statement WHERE channel_account_id = %s AND closing_minor = %s"
        " AND opening_minor <> closing_minor AND first_day <= %s AND last_day = %s LIMIT 1",
        (channel_account_id, balance_minor, day, day),
    )


def began_with(
    session: Session, *, channel_account_id: int, opening_minor: int, closing_minor: int | None, day: date
) -> bool:
    """Whether a stored statement of a day opens where a file closes (they adjoin), and none opens where the file does.

    A stored statement that opens where the file does would contain the file. Balances are in cents.
    """
    adjoins: bool = scalar(
        session,
        "SELECT count(*) FILTER (WHERE opening_minor = %(closing)s AND closing_minor <> %(closing)s"
        "                         AND first_day = %(day)s) > 0"
        " AND count(*) FILTER (WHERE opening_minor = %(opening)s) = 0 FROM statement"
        " WHERE channel_account_id = %(account)s AND first_day <= %(day)s AND last_day >= %(day)s",
        {"account": channel_account_id, "opening": opening_minor, "closing": closing_minor, "day": day},
    )
    return adjoins


class Standing(NamedTuple):
    """Whether lines of a file equal stored lines at the same balance."""

    anywhere: bool
    """Some line does. By itself no proof of a repeat: an account that was emptied has the same balance again."""
    anchored: bool
    """The first line of the file does, or the last line of a stored statement: the file repeats what is stored."""


def stand_there(
    session: Session, channel_account_id: int, lines: Sequence[StatementLine], before: Mapping[int, int]
) -> Standing:
    """Whether these lines are stored with the same reference, amount, day and balance, whatever their words are.

    ``before``: the balance before each line in cents, by line number.
    """
    found = one(
        session,
        Standing,
        "SELECT count(*) > 0 AS anywhere,"
        " coalesce(bool_or(w.n = 1 OR NOT EXISTS (SELECT FROM statement_line later"
        "   WHERE later.statement_id = l.statement_id AND later.counts AND later.number > l.number)), false)"
        " AS anchored"
        " FROM statement s JOIN statement_line l ON l.statement_id = s.id AND l.counts"
        " JOIN unnest(%s::date[], %s::int8[], %s::text[], %s::int8[])"
        "   WITH ORDINALITY AS w (day, amount, told_as, before, n)"
        "   ON (l.booked_on, l.amount_minor, l.told_as, l.before_minor) = (w.day, w.amount, w.told_as, w.before)"
        " WHERE s.channel_account_id = %s AND s.first_day <= %s AND s.last_day >= %s",
        (
            [line.booked_on for line in lines],
            [line.amount_minor for line in lines],
            [line.reference for line in lines],
            [before[line.number] for line in lines],
            channel_account_id,
            max(line.booked_on for line in lines),
            min(line.booked_on for line in lines),
        ),
    )
    if found is None:
        raise IntegrityFault("an aggregate over statement lines returned no row")
    return found


def touches(session: Session, channel_account_id: int, opened: StatementOpened, closed: StatementClosed) -> bool:
    """Whether a statement opens or closes with a balance with which a stored statement of its days opens or closes."""
    balances = [opened.opening_minor, closed.closing_minor]
    return exists(
        session,
        "SELECT FROM statement WHERE channel_account_id = %s AND first_day <= %s AND last_day >= %s"
        " AND (opening_minor = ANY(%s) OR closing_minor = ANY(%s)) LIMIT 1",
        (channel_account_id, closed.last_day, closed.first_day, balances, balances),
    )


class Bearing(NamedTuple):
    """A stored line that bears a name; the amount is in cents."""

    kind: str
    credit: bool
    name: str
    amount_minor: int
    day: date
    told_as: str | None
    """The reference the bank itself gives the line."""


_BEARING = (
    "SELECT l.kind, l.amount_minor > 0 AS credit, l.reference AS name, l.amount_minor, l.booked_on AS day, l.told_as"
    " FROM statement_line l"
)


def bearing(session: Session, channel_account_id: int, names: Iterable[str]) -> list[Bearing]:
    """The stored lines that count and bear one of these names."""
    return rows(
        session,
        Bearing,
        _BEARING + " WHERE l.channel_account_id = %s AND l.reference = ANY(%s) AND l.counts",
        (channel_account_id, sorted(set(names))),
    )


def bearing_like(session: Session, channel_account_id: int, beginnings: Iterable[str]) -> list[Bearing]:
    """The stored lines that count and whose name is one of ``beginnings``, or one of them followed by a dash."""
    return rows(
        session,
        Bearing,
        _BEARING + " JOIN unnest(%s::text[]) AS w (beginning) ON l.channel_account_id = %s"
        " AND l.reference >= w.beginning"
        " AND l.reference < w.beginning || '.' WHERE l.counts",
        (sorted(set(beginnings)), channel_account_id),
    )


def known_already(session: Session, channel_account_id: int, opened: StatementOpened, closed: StatementClosed) -> bool:
    """Whether a statement with the same head and the same foot is stored already."""
    return exists(
        session,
        "SELECT FROM statement WHERE channel_account_id = %s"
        " AND (format, account, reference, number, lines, credits_minor, debits_minor) = (%s, %s, %s, %s, %s, %s, %s)"
        " AND (opening_minor, closing_minor, first_day, last_day) IS NOT DISTINCT FROM (%s, %s, %s::date, %s::date)"
        " LIMIT 1",
        (
            channel_account_id,
            opened.format,
            opened.account,
            opened.reference,
            opened.number,
            closed.lines,
            closed.credits_minor,
            closed.debits_minor,
            opened.opening_minor,
            closed.closing_minor,
            closed.first_day,
            closed.last_day,
        ),
    )


def follows(session: Session, channel_account_id: int, opened: StatementOpened, closed: StatementClosed) -> None:
    """Refuse a statement whose neighbours in the books do not meet it: one between them is missing.

    A statement that overlaps others (an export of a day that another export had begun) is proved by its lines alone,
    and so is one whose neighbour says nothing of balances.
    Raises StatementRefused.
    """
    if opened.opening_minor is None or closed.closing_minor is None or closed.first_day is None:
        return
    rows = raw(session).execute(
        "(SELECT 'before', closing_minor, last_day FROM statement WHERE channel_account_id = %(account)s"
        "  AND last_day < %(first)s ORDER BY last_day DESC, id DESC LIMIT 1)"
        " UNION ALL "
        "(SELECT 'after', opening_minor, first_day FROM statement WHERE channel_account_id = %(account)s"
        "  AND first_day > %(last)s ORDER BY first_day, id LIMIT 1)"
        " UNION ALL "
        "(SELECT 'beside', 0, first_day FROM statement WHERE channel_account_id = %(account)s"
        "  AND first_day <= %(last)s AND last_day >= %(first)s LIMIT 1)",
        {"account": channel_account_id, "first": closed.first_day, "last": closed.last_day},
    )
    found: dict[str, tuple[Any, ...]] = {row[0]: row[1:] for row in rows}
    if "beside" in found:
        return
    if "before" in found and found["before"][0] not in {None, opened.opening_minor}:
        closing, day = found["before"]
        raise StatementRefused(
            StatementFault.SKIPPED,
            f"it opens with {wire(opened.opening_minor)}, and the last statement before it (to {day}) closed with"
            f" {wire(closing)}: bring the statement between them first, or say why there is none",
        )
    if "after" in found and found["after"][0] not in {None, closed.closing_minor}:
        opening, day = found["after"]
        raise StatementRefused(
            StatementFault.SKIPPED,
            f"it closes with {wire(closed.closing_minor)}, and the next statement in the books (from {day}) opened"
            f" with {wire(opening)}: bring the statement between them first, or say why there is none",
        )


def unlike(
    session: Session,
    channel_account_id: int,
    delivery_id: int,
    opened: StatementOpened,
    closed: StatementClosed,
    *,
    fresh: Mapping[date, bool],
) -> None:
    """Refuse a bank's statement with lines of days that another file proved without them: told twice, or not true.

    ``fresh``: the days of its lines that nothing told of, and whether such a day has lines that could be told again
    in other words, since they bear no reference or none of the day was recognised. Two formats, or two exports of one
    stretch that opens and closes alike, cannot be told apart line by line then; and a day inside a longer statement
    that adds up has no further line. Raises StatementRefused.
    """
    if not fresh or opened.opening_minor is None or closed.closing_minor is None:
        return
    rows = raw(session).execute(
        "SELECT format, first_day, last_day, (first_day, last_day, opening_minor, closing_minor, lines) = (%s, %s, %s,"
        " %s, %s) FROM statement WHERE channel_account_id = %s AND delivery_id <> %s AND first_day <= %s"
        " AND last_day >= %s AND opening_minor IS NOT NULL AND closing_minor IS NOT NULL ORDER BY id",
        (
            closed.first_day,
            closed.last_day,
            opened.opening_minor,
            closed.closing_minor,
            closed.lines,
            channel_account_id,
            delivery_id,
            closed.last_day,
            closed.first_day,
        ),
    )
    for form, first, last, alike in rows.fetchall():
        for day, unsure in sorted(fresh.items()):
            if first < day < last or (first <= day <= last and unsure and (alike or form != opened.format)):
                raise StatementRefused(
                    StatementFault.REPEATED,
                    f"{day} stands in the books from a {form} statement of {first} to {last} that adds up without"
                    " these lines: they are the same movements in other words, or were added. Bring that day as"
                    f" {form}, or ask for the file anew",
                )


@dataclass(frozen=True, slots=True)
class Kept:
    """One statement as it was kept, for whoever brought it."""

    public_id: str
    lines: int
    new_lines: int
    credits_minor: int
    debits_minor: int
    closing_minor: int | None
    first_day: date | None
    last_day: date | None


def write_statement(
    session: Session,
    *,
    statement_id: int,
    delivery_id: int,
    channel_account_id: int,
    opened: StatementOpened,
    closed: StatementClosed,
    new_lines: int,
    gap_accepted: str | None,
) -> Kept:
    """Write the head and foot of a statement whose lines are written."""
    name = public_id("stm")
    session.add(
        Statement(
            id=statement_id,
            public_id=name,
            delivery_id=delivery_id,
            channel_account_id=channel_account_id,
            format=opened.format,
            account=opened.account,
            currency=opened.currency,
            reference=opened.reference,
            number=opened.number,
            opening_minor=opened.opening_minor,
            closing_minor=closed.closing_minor,
            credits_minor=closed.credits_minor,
            debits_minor=closed.debits_minor,
            lines=closed.lines,
            new_lines=new_lines,
            first_day=closed.first_day,
            last_day=closed.last_day,
            gap_accepted=gap_accepted,
        )
    )
    session.flush()
    return Kept(
        name,
        closed.lines,
        new_lines,
        closed.credits_minor,
        closed.debits_minor,
        closed.closing_minor,
        closed.first_day,
        closed.last_day,
    )


def covered_until(session: Session) -> dict[int, date]:
    """The last day that a statement of each channel account covers, by the account's id."""
    rows = raw(session).execute(
        "SELECT channel_account_id, max(last_day) FROM statement WHERE last_day IS NOT NULL GROUP BY 1"
    )
    return {row[0]: row[1] for row in rows}
