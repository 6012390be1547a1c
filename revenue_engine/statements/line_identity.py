"""Which movement a line of a statement is: the name under which its money is known, once for ever.

A provider's reference is that name where it names one movement only. Banks give one reference to many credits, and a
provider may repeat a receipt, yet a statement that adds up proves that every line of it moved money. So a line whose
name another line bears is another movement when both stand in one file or on two days, and is named by its day as well.
A line of another file with the same name, day and amount is the same movement told again in other words, unless the
bank itself calls the two by two references.

A file that begins where another one ended repeats nothing of it: an equal line of the same day is another movement.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

from sqlalchemy.orm import Session

from revenue_engine.collection import interpretation, same_payment
from revenue_engine.ports.statements import StatementLine, StatementOpened
from revenue_engine.statements import store


class Named(NamedTuple):
    """The name of a line's movement."""

    name: str
    repeated: bool = False
    """Whether the provider gave that reference to another movement too."""
    again: bool = False
    """Whether another line told of this movement, in the same words or in others."""


class _Base(NamedTuple):
    """What a name is looked for under: a charge may bear the receipt of its payment, and a debit that of a credit."""

    kind: str
    credit: bool
    name: str


class _Borne(NamedTuple):
    """A line that bears a name: its amount in cents, its day and the bank's own reference, None where not known."""

    amount_minor: int
    day: date
    told_as: str | None

    def again(self, line: StatementLine) -> bool:
        """Whether a line may be this one in other words: a bank that names both names them alike."""
        alike = not self.told_as or not line.reference or self.told_as == line.reference
        return alike and (self.amount_minor, self.day) == (line.amount_minor, line.booked_on)


_Rows = dict[_Base, list[_Borne]]
"""Who bears a name already, by the name and what it is looked for under."""


@dataclass(slots=True)
class Names:
    """What one file has named so far."""

    shown: set[_Base] = field(default_factory=set)
    """Names of movements that a line of this file tells of."""
    tried: dict[tuple[_Base, date], int] = field(default_factory=dict)
    """How many names of a reference and a day were found taken."""
    continues: bool | None = None
    """Whether the statement being read begins where a kept one of its day ended, or ends where one began, and repeats
    nothing of it; None until its first lines were looked at."""
    occurrences: dict[bytes, int] = field(default_factory=dict)
    """Which of equal lines the last one is that was found to be another one, by the key of the first of them."""

    adrift: bool = False
    """Whether lines of it are known by their words and none stands where it is kept: it may repeat them or not."""

    def begin(self) -> None:
        """Another statement of the file begins."""
        self.continues, self.adrift = None, False


def apart(
    session: Session,
    names: Names,
    channel_account_id: int,
    opened: StatementOpened,
    lines: Sequence[StatementLine],
    before: Mapping[int, int],
    closing_minor: int | None,
) -> list[StatementLine]:
    """Lines of a bank's statement, those told apart where it begins as another one of the same day ended, or ends as
    another one began. ``closing_minor``: what it ends with where that is known when its first lines are looked at.

    Both files may hold a line of the same words and amount: the second is one more occurrence of it. Where the first
    line stands at the balance at which it was kept, or the last line of a kept statement does, the file repeats what
    the other told, and all known lines are repeats.
    """
    banks = [line for line in lines if line.kind is None and line.counts and line.number in before]
    if not banks or opened.opening_minor is None or names.continues is False:
        return list(lines)
    if names.continues is None:
        standing = store.stand_there(session, channel_account_id, banks, before)
        names.continues = not standing.anchored and (
            store.ended_with(session, channel_account_id, opened.opening_minor, banks[0].booked_on)
            or store.began_with(session, channel_account_id, opened.opening_minor, closing_minor, banks[-1].booked_on)
        )
        if not names.continues:
            names.adrift = not standing.anywhere and _known_elsewhere(session, channel_account_id, banks)
            return list(lines)
    placed = {line.number for line in banks}
    return [_another(session, names, channel_account_id, line) if line.number in placed else line for line in lines]


def _known_elsewhere(session: Session, channel_account_id: int, lines: Sequence[StatementLine]) -> bool:
    known = store.told_before(session, channel_account_id, [line.key() for line in lines])
    return bool(known) and None not in known.values()


def _another(session: Session, names: Names, channel_account_id: int, line: StatementLine) -> StatementLine:
    """A line as the first of its occurrences that is not known: nothing of a file that goes on is repeated."""
    first = line._replace(occurrence=1).key()
    line = line._replace(occurrence=max(line.occurrence, names.occurrences.get(first, 0) + 1))
    while True:
        key = line.key()
        known = store.told_before(session, channel_account_id, [key])
        if key not in known or known[key] is None:
            names.occurrences[first] = line.occurrence
            return line
        line = line._replace(occurrence=line.occurrence + 1)


def name_lines(
    session: Session, names: Names, channel_account_id: int, lines: Sequence[StatementLine]
) -> dict[int, Named]:
    """The names of some lines of a file, by line number; a line known by its key keeps the name it has."""
    known = store.known_names(session, channel_account_id, [line.key() for line in lines])
    found: dict[int, Named] = {}
    fresh: list[StatementLine] = []
    for line in lines:
        standing = known.get(line.key())
        if standing is None:
            found[line.number] = Named(interpretation.line_reference(line))
            fresh.append(line)
        else:
            found[line.number] = Named(standing, again=True)
            if line.counts:
                names.shown.add(_base(line, standing))
    told = _told(session, names, channel_account_id, fresh)
    based = [(line, _base(line, told.get(line.number, found[line.number].name))) for line in fresh if line.counts]
    held = _held(session, names, channel_account_id, based)
    for line, base in based:
        named = found[line.number] = _name(names, held, line, base)
        names.shown.add(base._replace(name=named.name))
    return found


def _base(line: StatementLine, name: str) -> _Base:
    return _Base(store.kind_of(line).value, line.amount_minor > 0, name)


def _told(session: Session, names: Names, channel_account_id: int, fresh: Sequence[StatementLine]) -> dict[int, str]:
    """What another line or a message called the movements of some lines, by line number."""
    told: dict[int, str] = {}
    if not names.continues:
        by_lines = same_payment.told_by_lines(session, channel_account_id, fresh)
        told = _each_once(by_lines, {base.name for base in names.shown})
    rest = [line for line in fresh if line.number not in told]
    return told | same_payment.told_by_messages(session, channel_account_id, rest)


def _each_once(wanted: Mapping[int, Sequence[str]], used: set[str]) -> dict[int, str]:
    """One of the names of each line that is not used yet."""
    found: dict[int, str] = {}
    for number, names in wanted.items():
        name = next((name for name in names if name not in used), None)
        if name is not None:
            found[number] = name
            used.add(name)
    return found


def of_report(session: Session, channel_account_id: int, lines: Sequence[StatementLine]) -> dict[int, str]:
    """What the lines of a report without balances are known by, where a statement showed them under another name."""
    return _each_once(same_payment.told_by_lines(session, channel_account_id, lines), set())


def _held(
    session: Session, names: Names, channel_account_id: int, fresh: Sequence[tuple[StatementLine, _Base]]
) -> _Rows:
    """Who bears the names that these lines may get."""
    held = _by_base(store.bearing(session, channel_account_id, {base.name for _, base in fresh}))
    times = Counter(base for _, base in fresh)
    days = {
        _of_day(base, line.booked_on) for line, base in fresh if times[base] > 1 or base in names.shown or base in held
    }
    return held | (_by_base(store.bearing_like(session, channel_account_id, days)) if days else {})


def _by_base(rows: Iterable[store.Bearing]) -> _Rows:
    found: _Rows = {}
    for kind, credit, name, amount, day, told_as in rows:
        found.setdefault(_Base(kind, credit, name), []).append(_Borne(amount, day, told_as))
    return found


def _name(names: Names, held: _Rows, line: StatementLine, base: _Base) -> Named:
    own = held.get(base, ())
    if base not in names.shown:
        if not own or _again(names, own, line):
            return Named(base.name, again=bool(own))
        if line.kind is not None and line.booked_on in {one.day for one in own}:
            # Where references are unique, another amount on the same day is a difference and not another movement.
            return Named(base.name, again=True)
    number = names.tried.get((base, line.booked_on), 0)
    while True:
        number += 1
        name = _of_day(base, line.booked_on) + (f"-{number}" if number > 1 else "")
        candidate = base._replace(name=name)
        if candidate not in names.shown and (candidate not in held or _again(names, held[candidate], line)):
            break
    names.tried[base, line.booked_on] = number
    return Named(name, repeated=candidate not in held, again=candidate in held)


def _again(names: Names, borne: Iterable[_Borne], line: StatementLine) -> bool:
    """Whether one of these lines may be told again by another; a bank's statement that goes on repeats none."""
    return any(one.again(line) for one in borne) and not (names.continues and line.kind is None)


def _of_day(base: _Base, day: date) -> str:
    return f"{base.name}/{day:%Y%m%d}"
