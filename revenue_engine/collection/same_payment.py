"""One payment under several names: the bank's notice uses one reference, its statement another, the payer a third.

The engine knows each movement of money by one name. Every other name that a message or a line of a statement gives the
movement is stored as a hash, with the amount and the day. The message or line that comes second is recognised by a
name that both give; where they give no common name, by the pay account number, the amount and a day near by. A name
alone, without the amount, proves nothing.

Channels whose provider uses one reference everywhere (``one_name`` on the adapter) do not need this module.
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
from revenue_engine.collection.interpretation import REPORT_MESSAGE
from revenue_engine.db import Base, Sealed, copy_rows, raw
from revenue_engine.identifiers import is_pay_account_number
from revenue_engine.payments import Fact, Identity, evidence
from revenue_engine.payments.evidence import STATEMENT_MESSAGE
from revenue_engine.ports.callbacks import Kind
from revenue_engine.ports.statements import StatementLine
from revenue_engine.work.locks import Lock

NEAR_DAYS = 4
"""A payment of Thursday night before a holiday may be booked on the Monday after. A bank never books before payment."""
_WORD = re.compile(r"[A-Z0-9]{6,40}")
_PHONE = re.compile(r"(?:254|0)?[17]\d{8}")

By = Literal["message", "line"]
FROM_FILES = (STATEMENT_MESSAGE, REPORT_MESSAGE)
"""Kinds of evidence that are lines of files, and no messages."""


class MovementName(Sealed, Base):
    """One other name that a message or a line gave a movement of money.

    The name is stored as a hash, because words of a bank's narrative may be personal data of the payer.
    """

    __tablename__ = "movement_name"
    __table_args__ = (
        CheckConstraint("length(digest) = 32", name="digest"),
        CheckConstraint("told_by IN ('message', 'line')", name="told_by"),
    )
    channel_account_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    told_by: Mapped[str] = mapped_column(primary_key=True)
    reference: Mapped[str] = mapped_column(primary_key=True)
    """The name by which the engine knows the payment."""
    amount_minor: Mapped[int]
    day: Mapped[date]


class Called(NamedTuple):
    """A movement that has another name: the name the engine knows it by, its amount in cents, its day."""

    reference: str
    amount_minor: int
    day: date


@dataclass(frozen=True, slots=True)
class Told:
    """What one message or line says by which its movement can be recognised."""

    amount_minor: int
    day: date
    names: frozenset[str]
    """References, squeezed to letters and digits."""
    numbers: frozenset[str]
    """Pay account numbers that were typed."""
    own: str = ""
    """The reference of the message or line as it is written; empty where it has none."""


def of_message(fact: Fact) -> Told:
    """What a message says of a payment."""
    names = frozenset(identifiers.key(name) for name in (fact.identity.reference, *fact.also_known_as))
    numbers = frozenset(ladder.numbers_typed(fact.typed))
    own = fact.identity.reference
    return Told(fact.amount_minor or 0, periods.nairobi_date(fact.occurred_at), names, numbers, own)


@lru_cache(maxsize=4_096)
def of_line(line: StatementLine) -> Told:
    """What a line of a bank's statement says of a payment: every word in it that may be a reference."""
    texts = (line.text, line.account_reference, *(value for _, value in line.references))
    words = {word for text in texts for word in _WORD.findall(text.upper())}
    words |= {identifiers.key(word) for text in texts for word in text.split()}
    words = {word for word in words if _WORD.fullmatch(word) and _may_be_reference(word)}
    words |= {identifiers.key(value) for value in (line.reference, *(value for _, value in line.references))}
    numbers = {number for text in texts if text for number in ladder.numbers_typed(text)}
    return Told(line.amount_minor, line.booked_on, frozenset(words) - {""}, frozenset(numbers), line.reference)


def _may_be_reference(word: str) -> bool:
    return any(map(str.isdigit, word)) and not _PHONE.fullmatch(word) and not is_pay_account_number(word)


def name_hash(name: str) -> bytes:
    """The hash under which a name is stored."""
    return hashlib.sha256(f"name {name}".encode()).digest()


def digests(names: Iterable[str]) -> list[bytes]:
    """The hashes under which names may be stored: as a name, as the own reference of a message, as a number."""
    return [digest(name) for name in sorted(set(names)) for digest in (name_hash, _own_digest, number_hash)]


def _own_digest(reference: str) -> bytes:
    """Hash of the own reference of a message: the same reference again is the same movement, whatever its amount."""
    return hashlib.sha256(f"own {reference}".encode()).digest()


def number_hash(number: str) -> bytes:
    """The hash under which a pay account number is stored."""
    return hashlib.sha256(f"number {number}".encode()).digest()


# --- one at a time ---------------------------------------------------------------------------------------------------


def busy(session: Session, channel_account_ids: Collection[int]) -> set[int]:
    """Which of these accounts have a statement being read now: their messages wait until the statement is stored.

    The other accounts are locked to the end of the transaction. Two transactions with two names of one movement could
    not see each other's rows before either commits.
    """
    ids = sorted(set(channel_account_ids))
    if not ids:
        return set()
    free = {
        account
        for (account,) in raw(session).execute(
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
    """Make the messages of an account wait while its statement is read, to the end of the transaction."""
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
    """Which of these movements a message reported, or a statement did."""
    if not references:
        return set()
    if by == "message":
        return set(evidence.amounts_told(session, channel_account_id, references, without=FROM_FILES))
    return set(evidence.amounts_told(session, channel_account_id, references, only=[STATEMENT_MESSAGE]))


@dataclass(slots=True)
class _Known:
    """What was reported before of one account, as far as some messages or lines may mean the same movements."""

    named: dict[bytes, list[Called]]
    numbered: dict[bytes, list[Called]]
    evident: dict[str, set[int]]
    """Amounts in cents by reference of the payments that have evidence; for lines, only the evidence of messages."""
    taken: set[str] = field(default_factory=set)
    """Movements that this side has reported already: a number and an amount do not mean them a second time."""

    def by_name(self, told: Told) -> set[str]:
        """The movements of the same amount that have one of the names."""
        return {
            called.reference
            for name in told.names
            for called in self.named.get(name_hash(name), ())
            if called.amount_minor == told.amount_minor
        } | {name for name in told.names | {told.own} if told.amount_minor in self.evident.get(name, ())}

    def by_number(self, told: Told, *, line: bool) -> str | None:
        """Match by pay account number, amount and date window: a message takes the closest line; a line takes the
        oldest unmatched message. Lines are matched in the order of their days, so that no message misses its line."""
        near = []
        for number in told.numbers:
            for called in self.numbered.get(number_hash(number), ()):
                apart = (told.day - called.day).days if line else (called.day - told.day).days
                fits = called.amount_minor == told.amount_minor and 0 <= apart <= NEAR_DAYS
                if fits and called.reference not in self.taken:
                    near.append((-apart if line else apart, called.reference))
        return min(near)[1] if near else None

    def by_message(self, told: Told) -> str | None:
        """The movement that a message means: by its own reference seen before, else by a name, else by a number."""
        before = self.named.get(_own_digest(told.own))
        if before:
            return before[0].reference
        named = self.by_name(told)
        return min(named) if named else self.by_number(told, line=False)

    def by_line(self, told: Told) -> str | None:
        """The movement that a line means; one that no line has reported yet, where there is any."""
        named = self.by_name(told)
        if untaken := named - self.taken:
            return min(untaken)  # of one amount: which of them is meant changes no sum
        numbered = self.by_number(told, line=True) if told.own or not named else None
        return numbered or min(named, default=None)


def _known(session: Session, channel_account_id: int, told: Sequence[Told], *, line: bool) -> _Known:
    names = {name for one in told for name in (*one.names, one.own) if name}
    numbers = {number for one in told for number in one.numbers}
    digests = {name_hash(name) for name in names} | {_own_digest(one.own) for one in told if not line}
    named = _rows(session, channel_account_id, digests, "message" if line else None) if digests else {}
    across: By = "message" if line else "line"
    numbered = _rows(session, channel_account_id, map(number_hash, numbers), across) if numbers else {}
    without = FROM_FILES if line else ()
    evident = evidence.amounts_told(session, channel_account_id, names, without=without) if names else {}
    candidates = {called.reference for found in (named, numbered) for rows in found.values() for called in rows}
    taken = _told(session, channel_account_id, candidates | evident.keys(), by="line" if line else "message")
    return _Known(named, numbered, evident, taken)


# --- messages --------------------------------------------------------------------------------------------------------


def recognise(session: Session, facts: Sequence[Fact], several_names: Collection[int]) -> list[Fact]:
    """The facts under the names by which the engine knows their payments. The other names are stored.

    ``several_names``: the channel accounts whose provider uses several references for one movement. A message that
    came before keeps the name that it got then.
    """
    found = list(facts)
    by_account: dict[int, list[int]] = {}
    for place, fact in enumerate(facts):
        if fact.identity.kind == Kind.PAYMENT and fact.identity.channel_account_id in several_names:
            by_account.setdefault(fact.identity.channel_account_id, []).append(place)
    for account, places in sorted(by_account.items()):
        told = {place: of_message(facts[place]) for place in places}
        known = _known(session, account, list(told.values()), line=False)
        own = evidence.amounts_told(session, account, (facts[place].identity.reference for place in places))
        kept: list[tuple[Told, str]] = []
        for place in places:
            fact, one = facts[place], told[place]
            reference = fact.identity.reference
            if reference not in own:
                reference = known.by_message(one) or reference
            found[place] = replace(fact, identity=Identity(account, Kind.PAYMENT.value, reference))
            own.setdefault(reference, set()).add(one.amount_minor)
            known.taken.add(reference)
            for digest in (*map(name_hash, one.names), _own_digest(one.own)):  # another of this batch may mean it
                known.named.setdefault(digest, []).append(Called(reference, one.amount_minor, one.day))
            kept.append((one, reference))
        _keep(session, account, kept, by="message")
    return found


# --- lines -----------------------------------------------------------------------------------------------------------


def told_by_lines(session: Session, channel_account_id: int, lines: Sequence[StatementLine]) -> dict[int, list[str]]:
    """The names of stored bank credits with the reference, amount and day of these lines, by line number.

    Equal lines get the same list of names; each name may be used for one line only.
    """
    references = {
        line.number: identifiers.key(line.reference) for line in lines if line.reference and may_be_told(line)
    }
    if not references:
        return {}
    rows = _rows(session, channel_account_id, map(name_hash, references.values()), "line")
    found: dict[int, list[str]] = {}
    for line in lines:
        for called in rows.get(name_hash(references.get(line.number, "")), ()):
            if (called.amount_minor, called.day) == (line.amount_minor, line.booked_on):
                found.setdefault(line.number, []).append(called.reference)
    return {number: sorted(names) for number, names in found.items()}


def told_by_messages(session: Session, channel_account_id: int, lines: Sequence[StatementLine]) -> dict[int, str]:
    """The names that messages gave to the payments behind a bank's credits, by line number.

    ``lines``: lines that are not stored yet. A message belongs to the line whose own reference names the message,
    whatever the amount. Where another line has that reference already, the message belongs to another movement with
    the same reference.
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
    """Whether a message may have reported the movement of a line under another name: a bank's credit that counts."""
    return line.counts and line.kind is None and line.amount_minor > 0


def keep_lines(session: Session, channel_account_id: int, lines: Mapping[str, StatementLine]) -> None:
    """Store the other names that lines give to payments; ``lines`` are by the names by which the engine knows them."""
    kept = [(of_line(line), name) for name, line in lines.items() if may_be_told(line)]
    _keep(session, channel_account_id, kept, by="line")


def _keep(session: Session, channel_account_id: int, kept: Iterable[tuple[Told, str]], *, by: By) -> None:
    rows = {
        (digest, reference): (channel_account_id, digest, by, reference, told.amount_minor, told.day)
        for told, reference in kept
        for digest in (
            *(name_hash(name) for name in told.names if name != reference),
            *(number_hash(number) for number in told.numbers),
            *((_own_digest(told.own),) if by == "message" and told.own != reference else ()),
        )
    }
    _write(session, list(rows.values()))


def keep_hashes(
    session: Session, channel_account_id: int, kept: Iterable[tuple[str, int, date, Iterable[bytes]]]
) -> None:
    """Store hashes by which lines name movements: what each is known by, its cents (below zero for money that a bank
    took back), its day."""
    found = [
        (channel_account_id, one, "line", reference, minor, day) for reference, minor, day, some in kept for one in some
    ]
    _write(session, sorted(set(found)))


def called(session: Session, channel_account_id: int, hashes: Iterable[bytes]) -> dict[bytes, list[Called]]:
    """The movements of an account that have names under these hashes, by hash."""
    wanted = set(hashes)
    return _rows(session, channel_account_id, wanted, None) if wanted else {}


def taken_back(session: Session, channel_account_id: int, hashes: Iterable[bytes]) -> dict[bytes, list[Called]]:
    """As :func:`called`, but only what a bank took back: the amounts are below zero."""
    found = called(session, channel_account_id, hashes)
    return {one: [name for name in names if name.amount_minor < 0] for one, names in found.items()}


def _write(session: Session, rows: Sequence[tuple[int, bytes, str, str, int, date]]) -> None:
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
    copy_rows(connection, "called", columns, types, sorted(rows))
    connection.execute(
        f"INSERT INTO movement_name ({listed}) SELECT {listed} FROM called ON CONFLICT DO NOTHING"  # noqa: S608
    )
