"""Which movement a line of a statement is: the name under which its money is known, once for ever.

A provider's reference is that name where it names one movement only. Banks give one reference to many credits, and a
provider may repeat a receipt, yet a statement that adds up proves that every line of it moved money. So a line whose
name another line bears is another movement when both stand in one file or on two days, and is named by its day as well.
A line of another file with the same name, day and amount is the same movement told again in other words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

from sqlalchemy.orm import Session

from revenue_engine import reading, settling, statement_books
from revenue_engine.db import raw
from revenue_engine.statements import StatementLine


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


_Rows = dict[_Base, list[tuple[int, date]]]
"""Who bears a name already: the amounts and days of the lines, by the name and what it is looked for under."""


@dataclass(slots=True)
class Names:
    """What one file has named so far."""

    shown: set[_Base] = field(default_factory=set)
    """Names of movements that a line of this file tells of."""
    tried: dict[tuple[_Base, date], int] = field(default_factory=dict)
    """How many names of a reference and a day were found taken."""


def name_lines(
    session: Session, names: Names, channel_account_id: int, lines: Sequence[StatementLine]
) -> dict[int, Named]:
    """The names of some lines of a file, by line number; a line known by its key keeps the name it has."""
    known = statement_books.known_names(session, channel_account_id, [line.key() for line in lines])
    told = _told_by_message(session, channel_account_id, lines)
    found: dict[int, Named] = {}
    fresh: list[tuple[StatementLine, _Base]] = []
    for line in lines:
        own = told.get(line.number) or reading.line_reference(line)
        base = _Base(statement_books.kind_of(line).value, line.amount_minor > 0, own)
        standing = known.get(line.key())
        found[line.number] = Named(own) if standing is None else Named(standing, again=True)
        if line.counts and standing is None:
            fresh.append((line, base))
        elif line.counts:
            names.shown.add(base._replace(name=found[line.number].name))
    held = _held(session, names, channel_account_id, fresh)
    for line, base in fresh:
        named = found[line.number] = _name(names, held, line, base)
        names.shown.add(base._replace(name=named.name))
    return found


def _held(
    session: Session, names: Names, channel_account_id: int, fresh: Sequence[tuple[StatementLine, _Base]]
) -> _Rows:
    """Who bears the names that these lines may get."""
    held = _by_base(statement_books.bearing(session, channel_account_id, {base.name for _, base in fresh}))
    times = Counter(base for _, base in fresh)
    days = {
        _of_day(base, line.booked_on) for line, base in fresh if times[base] > 1 or base in names.shown or base in held
    }
    return held | (_by_base(statement_books.bearing_like(session, channel_account_id, days)) if days else {})


def _by_base(rows: Iterable[tuple[str, bool, str, int, date]]) -> _Rows:
    found: _Rows = {}
    for kind, credit, name, amount, day in rows:
        found.setdefault(_Base(kind, credit, name), []).append((amount, day))
    return found


def _name(names: Names, held: _Rows, line: StatementLine, base: _Base) -> Named:
    this = (line.amount_minor, line.booked_on)
    own = held.get(base, ())
    if base not in names.shown:
        if not own or this in own:
            return Named(base.name, again=bool(own))
        if line.kind is not None and line.booked_on in {day for _, day in own}:
            # Where references are unique, another amount on the same day is a difference and not another movement.
            return Named(base.name, again=True)
    number = names.tried.get((base, line.booked_on), 0)
    while True:
        number += 1
        name = _of_day(base, line.booked_on) + (f"-{number}" if number > 1 else "")
        candidate = base._replace(name=name)
        if candidate not in names.shown and (candidate not in held or this in held[candidate]):
            break
    names.tried[base, line.booked_on] = number
    return Named(name, repeated=candidate not in held, again=candidate in held)


def _of_day(base: _Base, day: date) -> str:
    return f"{base.name}/{day:%Y%m%d}"


def _told_by_message(session: Session, channel_account_id: int, lines: Sequence[StatementLine]) -> dict[int, str]:
    """References of payments that messages told of and a bank's credits name in their words, by line number.

    A bank's own number may stand where its notice wrote another one. The amount must be the same, and one alone fit.
    """
    words = {
        line.number: settling.words(line)
        for line in lines
        if line.counts and line.kind is None and line.amount_minor > 0
    }
    every = {word for found in words.values() for word in found}
    amounts = _told_amounts(session, channel_account_id, every) if every else {}
    if not amounts:
        return {}
    found: dict[int, str] = {}
    for line in lines:
        fits = {word for word in words.get(line.number, ()) if line.amount_minor in amounts.get(word, ())}
        if len(fits) == 1 and reading.line_reference(line) not in amounts:
            found[line.number] = fits.pop()
    return found


def _told_amounts(session: Session, channel_account_id: int, references: Iterable[str]) -> dict[str, set[int]]:
    """Amounts in cents of the payments of an account that anything told of, by those of these references that are."""
    rows = raw(session).execute(
        "SELECT reference, amount_minor FROM evidence WHERE reference = ANY(%s) AND kind = 'payment'"
        " AND channel_account_id = %s",
        (sorted(set(references)), channel_account_id),
    )
    found: dict[str, set[int]] = {}
    for reference, amount in rows:
        found.setdefault(reference, set()).add(amount)
    return found
