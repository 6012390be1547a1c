"""The port for statements: what a reader of statement files answers, and how it refuses.

A reader streams. For each statement in the file it answers one `StatementOpened`, its `StatementLine` values in the
order of the file, and one `StatementClosed`; memory does not grow with the file. What cannot be read or is not a
statement raises `StatementRefused` where it is found, and never guesses a sign, a date or a decimal. `proved` adds the
proofs that hold for every format: each statement adds up, and the statements of a file follow each other. Whoever keeps
a statement reads it through `proved`, inside one transaction, and keeps nothing of a file that was refused.

Money is whole cents, days are the bank's own, instants are aware.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol, TypeAlias, runtime_checkable

from revenue_engine.errors import Rejected
from revenue_engine.money import wire
from revenue_engine.ports.callbacks import Kind, Party

AHEAD = timedelta(days=7)
"""How far ahead of today a bank may book: what it takes on before holidays bears the day after them."""
SNIFFED = 65_536
"""How much of a file a reader may look at to know it, in bytes."""


class StatementFault(enum.StrEnum):
    """Every reason for which a statement file is refused."""

    NOT_A_STATEMENT = "not_a_statement"
    EMPTY = "empty"
    TOO_LARGE = "too_large"
    UNREADABLE = "unreadable"
    """The bytes are not what the format says: broken XML, a bad workbook, an encoding that does not decode."""
    FORBIDDEN = "forbidden"
    """A document type, an entity, a macro: nothing of that kind is opened."""
    UNKNOWN_COLUMNS = "unknown_columns"
    MISSING_FIELD = "missing_field"
    BAD_AMOUNT = "bad_amount"
    BAD_SIGN = "bad_sign"
    BAD_DATE = "bad_date"
    BAD_CURRENCY = "bad_currency"
    BAD_VALUE = "bad_value"
    DOES_NOT_ADD_UP = "does_not_add_up"
    REPEATED = "repeated"
    """A statement, or a page of one, that stands in the file or the books already."""
    SKIPPED = "skipped"
    """A statement or page is missing: an opening balance is not the closing one before it, or a number was jumped."""


class StatementRefused(Rejected):
    """A statement file that may not be imported; ``line`` and ``column`` say where, both None for the whole file."""

    def __init__(
        self, fault: StatementFault, reason: str, *, line: int | None = None, column: str | None = None
    ) -> None:
        where = "" if line is None else f"line {line}" + (f", column {column}" if column else "") + ": "
        super().__init__(where + reason, line=line, column=column)
        self.code = fault.value
        self.fault = fault
        self.reason = reason
        self.line = line
        self.column = column


LEFT_OUT = "left out:"
"""How a note begins that names what stands in a file and was not read: a file that does not add up says so."""


@dataclass(frozen=True, slots=True)
class StatementOpened:
    """The head of one statement."""

    format: str
    """``mt940``, ``mt942``, ``camt.052``, ``camt.053``, ``camt.054``, ``mpesa_org`` or ``table:NAME``."""
    account: str
    """As the file writes it: a shortcode, a bank account, an IBAN; empty where the file names none."""
    currency: str
    """ISO 4217."""
    opening_minor: int | None
    """None where the format carries no balances (MT942, camt.054)."""
    reference: str = ""
    """The statement's own identifier (``:20:``, ``Stmt/Id``)."""
    number: str = ""
    """Its number in the account's sequence (``:28C:``, ``ElctrncSeqNb``)."""
    from_day: date | None = None
    to_day: date | None = None
    """The period the head names; the days of the lines stand in `StatementClosed`."""


@dataclass(frozen=True, slots=True)
class StatementDetail:
    """One payment inside a booked line, or a charge that the bank kept of it."""

    amount_minor: int
    """Signed as a line is. The details of a line come to its amount."""
    reference: str = ""
    """The bank's own, upper case; empty where it gives none."""
    account_reference: str = ""
    text: str = ""
    party: Party = field(default_factory=Party)
    references: tuple[tuple[str, str], ...] = ()
    kind: Kind | None = None
    """CHARGE for a charge; None for a payment, which is what its line is."""


class StatementLine(NamedTuple):
    """One movement of the account. A tuple, because a file makes a hundred thousand of them."""

    number: int
    """The line, row or element of the file where it begins, from 1."""
    amount_minor: int
    """Signed by its effect on the account: above zero a credit to us, below zero a debit."""
    booked_on: date
    reference: str = ""
    """The provider's or bank's own reference, upper case; empty where it gives none."""
    occurrence: int = 1
    """The n-th line of this statement with equal reference, kind, amount, day, text and ``counts``: a real repeat is
    kept, and a line that is only shown is no repeat of the same line that counts."""
    kind: Kind | None = None
    """What the format itself says the movement is; None for a bank line that only says credit or debit."""
    counts: bool = True
    """Whether it moves the balance: a pending, expected or failed line is shown and never posted."""
    occurred_at: datetime | None = None
    value_on: date | None = None
    text: str = ""
    """The narrative, lines joined as the format says."""
    account_reference: str = ""
    """What the payer typed, where the format has a place for it."""
    reverses: str = ""
    """The reference of the movement taken back, where the format says."""
    code: str = ""
    """The bank's own transaction code (``NTRF``, ``PMNT/RCDT/ESCT``, a reason type)."""
    balance_after_minor: int | None = None
    party: Party = Party()
    references: tuple[tuple[str, str], ...] = ()
    """Every other reference by its name in the format (``EREF``, ``EndToEndId``, ``UETR``)."""
    details: tuple[StatementDetail, ...] = ()

    def key(self) -> bytes:
        """What makes this line itself and no other of its account: a SHA-256, the same in a later export.

        A line that is only shown is another one than the same line when it counts: that one moves the money.
        """
        facts = (
            self.reference,
            self.kind or "",
            str(self.amount_minor),
            self.booked_on.isoformat(),
            self.text,
            self.account_reference,
            str(self.occurrence),
            *(() if self.counts else ("shown",)),
        )
        return hashlib.sha256("\x1f".join(facts).encode("utf-8", "surrogatepass")).digest()


@dataclass(frozen=True, slots=True)
class StatementClosed:
    """The foot of one statement. ``adds_up`` is None where the format has no balances to prove it by."""

    closing_minor: int | None
    lines: int
    """Lines that count; ``credits_minor`` and ``debits_minor`` (both not negative) are their sums."""
    credits_minor: int
    debits_minor: int
    first_day: date | None
    last_day: date | None
    adds_up: bool | None
    shown: int = 0
    """Lines that do not count: pending, expected, failed."""
    notes: tuple[str, ...] = ()
    """What a person should know: an encoding that was not UTF-8, a currency taken from the opening balance."""
    unproved: str = ""
    """Where ``adds_up`` is False for a reason finer than the sums: a row's balance, a total in words."""
    unproved_line: int | None = None
    unproved_column: str | None = None


StatementEvent: TypeAlias = StatementOpened | StatementLine | StatementClosed


@runtime_checkable
class StatementReader(Protocol):
    """One format of statement files. Pure: bytes in, values out."""

    name: str

    def sniff(self, head: bytes, filename: str) -> bool:
        """Whether a file that begins with ``head`` (at most 64 KiB) is of this format."""
        ...

    def read(self, stream: BinaryIO, *, filename: str = "") -> Iterator[StatementEvent]:
        """Stream the statements of a seekable file. Raises StatementRefused."""
        ...


@runtime_checkable
class WholeFileReader(StatementReader, Protocol):
    """A format that the head of a file may not show: a workbook can only be told by opening it."""

    looks_for: str
    """What it knows a file by, in words, for the message that nobody knew it."""

    def recognises(self, stream: BinaryIO, filename: str) -> bool:
        """Whether a seekable file is of this format.

        Raises StatementRefused when it is one that may not be read: macros, an almost known header.
        """
        ...


@runtime_checkable
class TablesReader(StatementReader, Protocol):
    """A reader that knows its files by tables of columns, and takes a county's own beside those it has."""

    def beside(self, own: Path) -> StatementReader:
        """The reader with the tables of a folder too. Raises ConfigurationError for a broken one."""
        ...


LINES = 0xFFFFFF


def line_in_file(number: int) -> int:
    """The line of its own file that a `StatementLine.number` names: above its 24 bits stands which file of an archive,
    and which payment of a booked line, it is."""
    return number & LINES


_ZIP = b"PK\x03\x04"
_OTHERS = {
    _ZIP: "a ZIP that was cut or is damaged, or holds no statement. Download it anew",
    b"PK\x05\x06": "a ZIP that holds nothing. Download it anew",
    b"\x1f\x8b": "packed by gzip. Unpack it, or pack it as a ZIP",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive. Unpack it, or pack it as a ZIP",
    b"Rar!": "a RAR archive. Unpack it, or pack it as a ZIP",
    b"%PDF": "a PDF, which is made to be printed and not read. Ask the bank for the statement as MT940, camt or CSV",
    b"\x89PNG": "a picture. Ask the bank for the statement as MT940, camt or CSV",
    b"\xff\xd8\xff": "a picture. Ask the bank for the statement as MT940, camt or CSV",
    b"\xd0\xcf\x11\xe0": "an old workbook, or one with a password, in which no sheet has a statement's headings."
    " Save it as .xlsx without a password",
}
"""Files that people bring for a statement, by how they begin, and how to mend each."""


def pick(readers: Mapping[str, StatementReader], stream: BinaryIO, filename: str) -> StatementReader:
    """The one reader that knows a seekable file; the stream stands at its beginning again.

    Raises StatementRefused when no reader or more than one knows it, and with the nearest reader's own reason when
    one knew the kind of file and may not read it.
    """
    stream.seek(0)
    head = stream.read(SNIFFED)
    if not head.strip():
        raise StatementRefused(StatementFault.EMPTY, "the file is empty. Download it anew")
    knowing: list[str] = []
    refusals: list[StatementRefused] = []
    for name, reader in sorted(readers.items()):
        try:
            if isinstance(reader, WholeFileReader):
                known = reader.recognises(stream, filename)
            else:  # text that lies unpacked inside an archive is not the file
                known = not head.startswith(_ZIP) and reader.sniff(head, filename)
        except StatementRefused as refused:
            refusals.append(refused)
            continue
        if known:
            knowing.append(name)
    stream.seek(0)
    if len(knowing) == 1:
        return readers[knowing[0]]
    if knowing:
        raise StatementRefused(
            StatementFault.NOT_A_STATEMENT, f"the file could be read as {' and as '.join(knowing)}: name which it is"
        )
    if refusals:
        raise refusals[0]
    for beginning, what in _OTHERS.items():
        if head.startswith(beginning):
            raise StatementRefused(StatementFault.NOT_A_STATEMENT, f"the file is {what}")
    looked = [one.looks_for if isinstance(one, WholeFileReader) else name for name, one in sorted(readers.items())]
    raise StatementRefused(StatementFault.NOT_A_STATEMENT, f"no reader knows the file; looked for: {'; '.join(looked)}")


def proved(events: Iterable[StatementEvent], *, today: date = date.max) -> Iterator[StatementEvent]:
    """The same events, refused where they prove wrong: whoever keeps a statement reads it through this.

    Raises StatementRefused when a statement does not add up, when one account's next statement in the file does not
    open with the balance the one before closed with, when a statement stands in the file twice, or when a line that
    counts is booked more than `AHEAD` after ``today``.
    """
    latest = date.max if today > date.max - AHEAD else today + AHEAD
    closings: dict[tuple[str, str], int] = {}
    names: set[Hashable] = set()
    count = 0
    opened: StatementOpened | None = None
    for event in events:
        if isinstance(event, StatementLine):  # almost every event is one
            if event.booked_on > latest and event.counts:
                raise _not_yet(event, today)
            yield event
            continue
        if isinstance(event, StatementOpened):
            opened, count = event, count + 1
            _follows(opened, closings)
        elif isinstance(event, StatementClosed):
            if opened is None:
                raise StatementRefused(StatementFault.NOT_A_STATEMENT, "a statement ends that never began")
            yield event
            if event.adds_up is False:
                raise _does_not_add_up(opened, event)
            _once(opened, event, names)
            if event.closing_minor is not None:
                closings[(opened.account, opened.currency)] = event.closing_minor
            opened = None
            continue
        yield event
    if opened is not None:
        raise StatementRefused(StatementFault.MISSING_FIELD, "the file ends inside a statement")
    if not count:
        raise StatementRefused(StatementFault.EMPTY, "there is no statement in the file")


_APART = 40
"""Bits: the n-th payment inside a line has the line's number, and n above these bits."""


def one_by_one(events: Iterable[StatementEvent]) -> Iterator[StatementEvent]:
    """The same events, each payment and charge inside a booked line as a line of its own, and the foot counting them.

    A payment without a reference of the bank's has that of its line and its place in it. Each has a number of its own.
    """
    seen: dict[int, int] = {}
    more = both_ways = 0
    for event in events:
        if isinstance(event, StatementLine):
            lines = _apart(event) if event.details else (event,)
            if event.counts and event.details:
                more += len(lines) - 1
                both_ways += sum(max(one.amount_minor, 0) for one in lines) - max(event.amount_minor, 0)
            for line in lines:
                key = hash((line.reference, line.kind, line.amount_minor, line.booked_on, line.text, line.counts))
                occurrence = seen[key] = max(seen.get(key, 0) + 1, line.occurrence)
                yield line if occurrence == line.occurrence else line._replace(occurrence=occurrence)
            continue
        if isinstance(event, StatementOpened):
            seen, more, both_ways = {}, 0, 0
            yield event
        else:
            yield replace(
                event,
                lines=event.lines + more,
                credits_minor=event.credits_minor + both_ways,
                debits_minor=event.debits_minor + both_ways,
            )


def _apart(line: StatementLine) -> tuple[StatementLine, ...]:
    found = []
    for place, part in enumerate(line.details):
        numbered = line.reference and place and part.kind is not Kind.CHARGE
        own = part.reference or (f"{line.reference}/{place + 1}" if numbered else line.reference)
        found.append(
            line._replace(
                number=line.number + (place << _APART),
                amount_minor=part.amount_minor,
                reference=own,
                occurrence=1,
                kind=part.kind or (line.kind if (part.amount_minor < 0) is (line.amount_minor < 0) else None),
                text=part.text or line.text,
                account_reference=part.account_reference,
                balance_after_minor=None,
                party=part.party,
                references=part.references or line.references,
                details=(),
            )
        )
    return tuple(found)


def _not_yet(line: StatementLine, today: date) -> StatementRefused:
    return StatementRefused(
        StatementFault.BAD_DATE,
        f"the line is booked on {line.booked_on}, and today is {today}: no bank books so far ahead. Days and months"
        " were exchanged, or the clock of this machine is wrong; ask for the file anew",
        line=line_in_file(line.number),
    )


def _follows(opened: StatementOpened, closings: dict[tuple[str, str], int]) -> None:
    before = closings.get((opened.account, opened.currency))
    if before is not None and opened.opening_minor is not None and opened.opening_minor != before:
        raise StatementRefused(
            StatementFault.SKIPPED,
            f"statement {opened.number or opened.reference or '?'} of {opened.account or 'the account'} opens with"
            f" {wire(opened.opening_minor)}, and the one before it closed with {wire(before)}: a statement between"
            " them is missing, they stand in the wrong order, or one stands there twice",
        )


def _once(opened: StatementOpened, closed: StatementClosed, names: set[Hashable]) -> None:
    """Refuse a statement that stands in the file twice.

    Banks give one reference and one number to statement after statement (``STARTUMS``, ``00000/00``), so where
    balances tell statements apart, only one that is equal in balances, sums and days too is a repeat. One without
    movements repeats nothing.
    """
    if not (opened.number or opened.reference) or not (closed.lines or closed.shown):
        return
    name: tuple[Hashable, ...] = (opened.account, opened.currency, opened.reference, opened.number, opened.to_day)
    if opened.opening_minor is not None and closed.closing_minor is not None:
        name += (
            *(opened.opening_minor, closed.closing_minor, closed.lines, closed.shown),
            *(closed.credits_minor, closed.debits_minor, closed.first_day, closed.last_day),
        )
    if name in names:
        raise StatementRefused(
            StatementFault.REPEATED, f"statement {opened.number or opened.reference} stands in the file twice"
        )
    names.add(name)


def _does_not_add_up(opened: StatementOpened, closed: StatementClosed) -> StatementRefused:
    without = "".join(f". {note[0].upper()}{note[1:]}" for note in closed.notes if note.startswith(LEFT_OUT))
    if closed.unproved:
        return StatementRefused(
            StatementFault.DOES_NOT_ADD_UP,
            closed.unproved + without,
            line=closed.unproved_line,
            column=closed.unproved_column,
        )
    opening, closing = opened.opening_minor or 0, closed.closing_minor or 0
    sums = opening + closed.credits_minor - closed.debits_minor
    return StatementRefused(
        StatementFault.DOES_NOT_ADD_UP,
        f"statement {opened.number or opened.reference or '?'} of {opened.account or 'the account'} does not add up:"
        f" opening {wire(opening)} + credits {wire(closed.credits_minor)} - debits {wire(closed.debits_minor)} ="
        f" {wire(sums)}, and it closes with {wire(closing)}, {wire(closing - sums)} away. Ask for the file anew"
        f"{without}.",
    )
