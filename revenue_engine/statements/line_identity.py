"""The name of the movement of money behind each line of a statement: one name a movement, for ever.

The provider's reference is the name where the reference names one movement only. A bank gives one reference to many
credits, and a provider may repeat a receipt number; but a statement that adds up proves that each of its lines moved
money. Two lines with one reference are therefore two movements when both are in one file or on two days, and the day
becomes part of the name. A line of another file with the same reference, day and amount is the same movement reported
again, unless the bank gives the two lines different references of its own.

A file that opens where another file closes repeats no line of that file: an equal line of the same day is another
movement.
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
    """Whether another line reported this movement already, in the same words or in others."""


class _Base(NamedTuple):
    """The key of a name. Kind and direction are part of the key: a charge may bear the receipt number of its payment,
    and a debit the reference of a credit."""

    kind: str
    credit: bool
    name: str


class _Borne(NamedTuple):
    """A line that bears a name: its amount in cents, its day and the bank's own reference, None where not known."""

    amount_minor: int
    day: date
    told_as: str | None

    def again(self, line: StatementLine) -> bool:
        """Whether a line may report this movement again. A bank that gives both a reference gives both the same one."""
        alike = not self.told_as or not line.reference or self.told_as == line.reference
        return alike and (self.amount_minor, self.day) == (line.amount_minor, line.booked_on)


_Rows = dict[_Base, list[_Borne]]
"""The lines that bear a name already, by the key of the name."""


@dataclass(slots=True)
class Names:
    """What one file has named so far."""

    shown: set[_Base] = field(default_factory=set)
    """Keys of the movements that lines of this file report."""
    tried: dict[tuple[_Base, date], int] = field(default_factory=dict)
    """How many names of each reference and day are taken."""
    continues: bool | None = None
    """Whether the statement being read adjoins a stored statement of its day, and so repeats none of its lines; None
    until the first lines have been compared."""
    occurrences: dict[bytes, int] = field(default_factory=dict)
    """The occurrence number of the last of some equal lines that is a new movement, by the key of the first of them."""

    adrift: bool = False
    """Some lines equal stored ones but none at the same balance: whether the file repeats them is undecidable."""

    def begin(self) -> None:
        """Forget what was found of one statement: the next statement of the file begins."""
        self.continues, self.adrift = None, False


def apart(
    session: Session,
    lines: Sequence[StatementLine],
    *,
    names: Names,
    channel_account_id: int,
    opened: StatementOpened,
    before: Mapping[int, int],
    closing_minor: int | None,
) -> list[StatementLine]:
    """If the file adjoins a stored statement of the same day, number its equal lines as new occurrences.

    Otherwise the lines are returned unchanged. Two adjoining files may each hold a line of the same words and amount:
    the second line is one more occurrence. Where the first line of the file, or the last line of a stored statement,
    has the balance at which it is stored, the file repeats the stored statement, and every known line is a repeat.

    ``before``: the balance before each line in cents, by line number. ``closing_minor``: the closing balance in cents,
    where it is known when the first lines are compared.
    """
    banks = [line for line in lines if line.kind is None and line.counts and line.number in before]
    if not banks or opened.opening_minor is None or names.continues is False:
        return list(lines)
    if names.continues is None:
        standing = store.stand_there(session, channel_account_id, banks, before)
        names.continues = not standing.anchored and (
            store.ended_with(
                session,
                channel_account_id=channel_account_id,
                balance_minor=opened.opening_minor,
                day=banks[0].booked_on,
            )
            or store.began_with(
                session,
                channel_account_id=channel_account_id,
                opening_minor=opened.opening_minor,
                closing_minor=closing_minor,
                day=banks[-1].booked_on,
            )
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
    """A line of an adjoining file, numbered as the first occurrence that is not stored yet."""
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
    """The names of the movements of some lines of a file, by line number. A line that is stored keeps its name."""
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
    """The names that other lines or messages gave to the movements of some lines, by line number."""
    told: dict[int, str] = {}
    if not names.continues:
        by_lines = same_payment.told_by_lines(session, channel_account_id, fresh)
        told = _each_once(by_lines, {base.name for base in names.shown})
    rest = [line for line in fresh if line.number not in told]
    return told | same_payment.told_by_messages(session, channel_account_id, rest)


def _each_once(wanted: Mapping[int, Sequence[str]], used: set[str]) -> dict[int, str]:
    """The first name of each line that is not used yet, by line number."""
    found: dict[int, str] = {}
    for number, names in wanted.items():
        name = next((name for name in names if name not in used), None)
        if name is not None:
            found[number] = name
            used.add(name)
    return found


def of_report(session: Session, channel_account_id: int, lines: Sequence[StatementLine]) -> dict[int, str]:
    """The names of lines of a report without balances, where a statement reported them under another name."""
    return _each_once(same_payment.told_by_lines(session, channel_account_id, lines), set())


def _held(
    session: Session, names: Names, channel_account_id: int, fresh: Sequence[tuple[StatementLine, _Base]]
) -> _Rows:
    """The stored lines that bear the names which these lines may get."""
    held = _by_base(store.bearing(session, channel_account_id, {base.name for _, base in fresh}))
    times = Counter(base for _, base in fresh)
    days = {
        _of_day(base, line.booked_on) for line, base in fresh if times[base] > 1 or base in names.shown or base in held
    }
    return held | (_by_base(store.bearing_like(session, channel_account_id, days)) if days else {})


def _by_base(rows: Iterable[store.Bearing]) -> _Rows:
    found: _Rows = {}
    for row in rows:
        found.setdefault(_Base(row.kind, row.credit, row.name), []).append(
            _Borne(row.amount_minor, row.day, row.told_as)
        )
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
    """Whether a line may report the movement of one of these again; a bank's adjoining statement repeats none."""
    return any(one.again(line) for one in borne) and not (names.continues and line.kind is None)


def _of_day(base: _Base, day: date) -> str:
    return f"{base.name}/{day:%Y%m%d}"
