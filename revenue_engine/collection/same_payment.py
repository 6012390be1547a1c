"""One money under several names: a bank's notice calls it one thing, its statement another, the payer's phone a third.

What a message or a line of a statement calls a movement beside the name it is known by is kept as a hash, with the
amount and the day. Whichever comes second is recognised by it: by a name that both tell, or, where they tell none in
common, by the pay account number, the amount and a day near by. Only then is it the same money; a name alone is not.

Providers that call a movement by one name wherever they tell of it (``one_name`` on the adapter) never get here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import lru_cache
from typing import Literal, NamedTuple

from sqlalchemy import CheckConstraint, LargeBinary
from sqlalchemy.orm import Mapped, Session, mapped_column

from reconciliation import ladder
from revenue_engine import identifiers, periods
from revenue_engine.collection.interpretation import REPORT_MESSAGE, STATEMENT_MESSAGE
from revenue_engine.db import Base, Sealed, copy_rows, raw
from revenue_engine.identifiers import is_pay_account_number
from revenue_engine.payments import Fact, Identity
from revenue_engine.ports.callbacks import Kind
from revenue_engine.ports.statements import StatementLine
from revenue_engine.work.locks import Lock

NEAR_DAYS = 4
"""A bank may book what was paid on a Thursday night before a holiday on the Monday after, never before it was paid."""
_WORD = re.compile(r"[A-Z0-9]{6,40}")
_PHONE = re.compile(r"(?:254|0)?[17]\d{8}")

By = Literal["message", "line"]


class MovementName(Sealed, Base):
    """What a message or a line called a movement of money beside the name it is known by; a hash, for words of a bank's
    narrative are the payer's too."""

    __tablename__ = "movement_name"
    __table_args__ = (
        CheckConstraint("length(digest) = 32", name="digest"),
        CheckConstraint("told_by IN ('message', 'line')", name="told_by"),
    )
    channel_account_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    told_by: Mapped[str] = mapped_column(primary_key=True)
    reference: Mapped[str] = mapped_column(primary_key=True)
    """The name its payment is known by."""
    amount_minor: Mapped[int]
    day: Mapped[date]


class Called(NamedTuple):
    """A movement that goes by a name: the name it is known by, its amount in cents, its day."""

    reference: str
    amount_minor: int
    day: date


@dataclass(frozen=True, slots=True)
class Told:
    """What one message or line tells that its movement may be known by."""

    amount_minor: int
    day: date
    names: frozenset[str]
    """References, squeezed to letters and digits."""
    numbers: frozenset[str]
    """Pay account numbers that were typed."""
    own: str = ""
    """What it calls the movement in the first place: the reference as it writes it, empty where it has none."""


def of_message(fact: Fact) -> Told:
    """What a message tells of a payment."""
    names = frozenset(identifiers.key(name) for name in (fact.identity.reference, *fact.also_known_as))
    numbers = frozenset(ladder.numbers_typed(fact.typed))
    own = fact.identity.reference
    return Told(fact.amount_minor or 0, periods.nairobi_date(fact.occurred_at), names, numbers, own)


@lru_cache(maxsize=4_096)
def of_line(line: StatementLine) -> Told:
    """What a line of a bank's statement tells of a payment: every word that may be a reference, in any place of it."""
    texts = (line.text, line.account_reference, *(value for _, value in line.references))
    words = {word for text in texts for word in _WORD.findall(text.upper())}
    words |= {identifiers.key(word) for text in texts for word in text.split()}
    words = {word for word in words if _WORD.fullmatch(word) and _may_be_reference(word)}
    words |= {identifiers.key(value) for value in (line.reference, *(value for _, value in line.references))}
    numbers = {number for text in texts if text for number in ladder.numbers_typed(text)}
    return Told(line.amount_minor, line.booked_on, frozenset(words) - {""}, frozenset(numbers), line.reference)


def _may_be_reference(word: str) -> bool:
    return any(map(str.isdigit, word)) and not _PHONE.fullmatch(word) and not is_pay_account_number(word)


def _name_digest(name: str) -> bytes:
    return hashlib.sha256(f"name {name}".encode()).digest()


def digests(names: Iterable[str]) -> list[bytes]:
    """The hashes under which names of a movement are kept, as a message and as a provider's own reference."""
    return [digest(name) for name in sorted(set(names)) for digest in (_name_digest, _own_digest, _number_digest)]


def _own_digest(reference: str) -> bytes:
    """Of what a message calls a movement itself: told again, with whatever amount, it is the same movement."""
    return hashlib.sha256(f"own {reference}".encode()).digest()


def _number_digest(number: str) -> bytes:
    return hashlib.sha256(f"number {number}".encode()).digest()


# --- one at a time ---------------------------------------------------------------------------------------------------


def busy(session: Session, channel_account_ids: Collection[int]) -> set[int]:
    """Which of these accounts have a statement being read just now: their messages wait until it is kept.

    The others are ours to the end of the transaction: a message and a line, or two messages, that tell of one movement
    under two names cannot see each other while neither is committed.
    """
    ids = sorted(set(channel_account_ids))
    if not ids:
        return set()
    free = {
        row[0]
        for row in raw(session).execute(
            "SELECT id FROM unnest(%s::bigint[]) AS w (id) WHERE pg_try_advisory_xact_lock_shared(%s, id::int)",
            (ids, Lock.SAME_PAYMENT_ACCOUNT),
        )
    }
    raw(session).execute(
        "SELECT pg_advisory_xact_lock(%s, id::int) FROM unnest(%s::bigint[]) WITH ORDINALITY AS w (id, n) ORDER BY n",
        (Lock.SAME_PAYMENT_MESSAGE, sorted(free)),
    )
    return set(ids) - free


def hold(session: Session, channel_account_id: int) -> None:
    """Keep the messages of an account waiting while its statement is read, to the end of the transaction."""
    raw(session).execute("SELECT pg_advisory_xact_lock(%s, %s::int)", (Lock.SAME_PAYMENT_ACCOUNT, channel_account_id))


# --- look up ---------------------------------------------------------------------------------------------------------


def _rows(
    session: Session, channel_account_id: int, digests: Iterable[bytes], by: By | None
) -> dict[bytes, list[Called]]:
    rows = raw(session).execute(
        "SELECT digest, reference, amount_minor, day FROM movement_name WHERE channel_account_id = %s"
        " AND digest = ANY(%s) AND (%s::text IS NULL OR told_by = %s)",
        (channel_account_id, sorted(set(digests)), by, by),
    )
    found: dict[bytes, list[Called]] = {}
    for digest, *called in rows:
        found.setdefault(bytes(digest), []).append(Called(*called))
    return found


def _told(session: Session, channel_account_id: int, references: Collection[str], *, by: By) -> set[str]:
    """Which of these movements a message told of, or a statement showed."""
    if not references:
        return set()
    kinds = "e.message <> ALL(%s)" if by == "message" else "e.message = ANY(%s)"
    messages = [STATEMENT_MESSAGE, REPORT_MESSAGE] if by == "message" else [STATEMENT_MESSAGE]
    rows = raw(session).execute(
        "SELECT DISTINCT e.reference FROM evidence e WHERE e.reference = ANY(%s) AND e.kind = 'payment'"  # noqa: S608
        f" AND e.channel_account_id = %s AND {kinds}",
        (sorted(references), channel_account_id, messages),
    )
    return {row[0] for row in rows}


def _payments_told(
    session: Session, channel_account_id: int, references: Iterable[str], *, by_message: bool = False
) -> dict[str, set[int]]:
    """Amounts in cents that anything, or a message, told of payments of an account, by those of these references that
    are."""
    statements = [STATEMENT_MESSAGE, REPORT_MESSAGE] if by_message else []
    rows = raw(session).execute(
        "SELECT reference, amount_minor FROM evidence WHERE reference = ANY(%s) AND kind = 'payment'"
        " AND channel_account_id = %s AND message <> ALL(%s)",
        (sorted(set(references)), channel_account_id, statements),
    )
    found: dict[str, set[int]] = {}
    for reference, amount in rows:
        found.setdefault(reference, set()).add(amount)
    return found


@dataclass(slots=True)
class _Known:
    """What was told before of one account, as far as some messages or lines may mean it."""

    named: dict[bytes, list[Called]]
    numbered: dict[bytes, list[Called]]
    evident: dict[str, set[int]]
    """Amounts by reference of the payments that have evidence; where lines are looked at, by a message."""
    taken: set[str] = field(default_factory=set)
    """Movements told of from this side already: a number and an amount do not mean them once more."""

    def by_name(self, told: Told) -> set[str]:
        """The movements of its amount that bear a name it tells."""
        return {
            called.reference
            for name in told.names
            for called in self.named.get(_name_digest(name), ())
            if called.amount_minor == told.amount_minor
        } | {name for name in told.names | {told.own} if told.amount_minor in self.evident.get(name, ())}

    def by_number(self, told: Told, *, line: bool) -> str | None:
        """A movement that nothing told of from this side, by number, amount and day: for a message the nearest line,
        for a line, of which the oldest come first, the oldest message, so that none is left over that had its line."""
        near = []
        for number in told.numbers:
            for called in self.numbered.get(_number_digest(number), ()):
                apart = (told.day - called.day).days if line else (called.day - told.day).days
                fits = called.amount_minor == told.amount_minor and 0 <= apart <= NEAR_DAYS
                if fits and called.reference not in self.taken:
                    near.append((-apart if line else apart, called.reference))
        return min(near)[1] if near else None

    def by_message(self, told: Told) -> str | None:
        """The movement that a message means: what its like was found to mean before, or a name or number tells."""
        before = self.named.get(_own_digest(told.own))
        if before:
            return before[0].reference
        named = self.by_name(told)
        return min(named) if named else self.by_number(told, line=False)

    def by_line(self, told: Told) -> str | None:
        """The movement that a line means, one that no line has shown before where there is any."""
        named = self.by_name(told)
        if untaken := named - self.taken:
            return min(untaken)  # of one amount: which of them is meant changes no sum
        numbered = self.by_number(told, line=True) if told.own or not named else None
        return numbered or min(named, default=None)


def _known(session: Session, channel_account_id: int, told: Sequence[Told], *, line: bool) -> _Known:
    names = {name for one in told for name in (*one.names, one.own) if name}
    numbers = {number for one in told for number in one.numbers}
    digests = {_name_digest(name) for name in names} | {_own_digest(one.own) for one in told if not line}
    named = _rows(session, channel_account_id, digests, "message" if line else None) if digests else {}
    across: By = "message" if line else "line"
    numbered = _rows(session, channel_account_id, map(_number_digest, numbers), across) if numbers else {}
    evident = _payments_told(session, channel_account_id, names, by_message=line) if names else {}
    candidates = {called.reference for found in (named, numbered) for rows in found.values() for called in rows}
    taken = _told(session, channel_account_id, candidates | evident.keys(), by="line" if line else "message")
    return _Known(named, numbered, evident, taken)


# --- messages --------------------------------------------------------------------------------------------------------


def recognise(session: Session, facts: Sequence[Fact], several_names: Collection[int]) -> list[Fact]:
    """Facts under the names that their payments are known by, and what they call them besides kept.

    ``several_names``: the channel accounts whose provider does not call a movement by one name everywhere. A message
    that was told before keeps the name it got then.
    """
    found = list(facts)
    by_account: dict[int, list[int]] = {}
    for place, fact in enumerate(facts):
        if fact.identity.kind == Kind.PAYMENT and fact.identity.channel_account_id in several_names:
            by_account.setdefault(fact.identity.channel_account_id, []).append(place)
    for account, places in sorted(by_account.items()):
        told = {place: of_message(facts[place]) for place in places}
        known = _known(session, account, list(told.values()), line=False)
        own = _payments_told(session, account, (facts[place].identity.reference for place in places))
        kept: list[tuple[Told, str]] = []
        for place in places:
            fact, one = facts[place], told[place]
            reference = fact.identity.reference
            if reference not in own:
                reference = known.by_message(one) or reference
            found[place] = replace(fact, identity=Identity(account, Kind.PAYMENT.value, reference))
            own.setdefault(reference, set()).add(one.amount_minor)
            known.taken.add(reference)
            for digest in (*map(_name_digest, one.names), _own_digest(one.own)):  # another of this batch may mean it
                known.named.setdefault(digest, []).append(Called(reference, one.amount_minor, one.day))
            kept.append((one, reference))
        _keep(session, account, kept, by="message")
    return found


# --- lines -----------------------------------------------------------------------------------------------------------


def told_by_lines(session: Session, channel_account_id: int, lines: Sequence[StatementLine]) -> dict[int, list[str]]:
    """What bank's credits of the reference, amount and day of these are known by, by line number: of equal lines the
    same names, of which each can be meant once."""
    references = {
        line.number: identifiers.key(line.reference) for line in lines if line.reference and may_be_told(line)
    }
    if not references:
        return {}
    rows = _rows(session, channel_account_id, map(_name_digest, references.values()), "line")
    found: dict[int, list[str]] = {}
    for line in lines:
        for called in rows.get(_name_digest(references.get(line.number, "")), ()):
            if (called.amount_minor, called.day) == (line.amount_minor, line.booked_on):
                found.setdefault(line.number, []).append(called.reference)
    return {number: sorted(names) for number, names in found.items()}


def told_by_messages(session: Session, channel_account_id: int, lines: Sequence[StatementLine]) -> dict[int, str]:
    """What messages called the payments that a bank's credits show, by line number, where they differ.

    ``lines``: those that nothing has shown before. A message that a line names as its own reference is that line's at
    any amount; one whose reference a line has shown already is another movement's that the bank calls alike.
    """
    told = {line.number: of_line(line) for line in lines if may_be_told(line)}
    known = _known(session, channel_account_id, list(told.values()), line=True)
    if not (known.named or known.numbered or known.evident):
        return {}
    found: dict[int, str] = {}
    for number, one in told.items():
        for reference in (one.own, identifiers.key(one.own)):
            if reference in known.evident and reference not in known.taken:
                found[number] = reference
    known.taken |= set(found.values())
    for line in sorted(lines, key=lambda line: (line.booked_on, line.number)):
        if line.number in told and line.number not in found:
            meant = known.by_line(told[line.number])
            if meant is not None:
                found[line.number] = meant
                known.taken.add(meant)
    return found


def may_be_told(line: StatementLine) -> bool:
    """Whether a message may have told of a line under another name: a bank's credit that counts."""
    return line.counts and line.kind is None and line.amount_minor > 0


def keep_lines(session: Session, channel_account_id: int, lines: Mapping[str, StatementLine]) -> None:
    """Keep what lines call the payments they show (by the names those are known by) besides."""
    kept = [(of_line(line), name) for name, line in lines.items() if may_be_told(line)]
    _keep(session, channel_account_id, kept, by="line")


def _keep(session: Session, channel_account_id: int, kept: Iterable[tuple[Told, str]], *, by: By) -> None:
    rows = {
        (digest, reference): (channel_account_id, digest, by, reference, told.amount_minor, told.day)
        for told, reference in kept
        for digest in (
            *(_name_digest(name) for name in told.names if name != reference),
            *(_number_digest(number) for number in told.numbers),
            *((_own_digest(told.own),) if by == "message" and told.own != reference else ()),
        )
    }
    if not rows:
        return
    connection = raw(session)
    columns = ("channel_account_id", "digest", "told_by", "reference", "amount_minor", "day")
    listed = ", ".join(columns)
    connection.execute(
        f"CREATE TEMP TABLE IF NOT EXISTS called ON COMMIT DROP AS SELECT {listed} FROM movement_name"  # noqa: S608
        " WITH NO DATA"
    )
    connection.execute("TRUNCATE called")
    types = ("int8", "bytea", "text", "text", "int8", "date")
    copy_rows(connection, "called", columns, types, [rows[key] for key in sorted(rows)])
    connection.execute(
        f"INSERT INTO movement_name ({listed}) SELECT {listed} FROM called ON CONFLICT DO NOTHING"  # noqa: S608
    )
