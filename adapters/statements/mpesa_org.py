"""The M-PESA organisation portal's statement: the older export with its preamble, and the newer "Statements for" one.

The proofs decide, not the layout: whether Withdrawn is written with a minus sign, and whether the newest row stands
first, is what makes every running balance follow from the one before. Receipts repeat: a payment and its charge share
one, and both legs of a sweep do. Only Completed rows move money; the others are shown. Times are East Africa Time.
Sources: public parsers and fixtures of both layouts; field list in the provider's portal.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import BinaryIO

from adapters.receipts import receipt_day
from adapters.statements.day_proofs import OneShape
from adapters.statements.mpesa_layout import (
    CLOSING,
    COMPLETED,
    CURRENCY,
    OPENING,
    PAID_IN,
    RECEIPT,
    WITHDRAWN,
    Columns,
    Preamble,
    amount_of,
    columns_of,
    is_completed,
    is_header,
    money_of,
    movements,
    preamble_of,
    status_of,
)
from adapters.statements.mpesa_times import Times, proved_by
from adapters.statements.mpesa_words import kind_of, party_of, sentence
from adapters.statements.rows import Cells, Moment, Rows, find_in_head, find_rows
from adapters.statements.running import Chain
from adapters.statements.tally import Tally
from revenue_engine.money import wire
from revenue_engine.ports.callbacks import Kind
from revenue_engine.ports.statements import (
    StatementClosed,
    StatementEvent,
    StatementFault,
    StatementLine,
    StatementOpened,
    StatementRefused,
)


@dataclass(frozen=True, slots=True)
class _Reading:
    """What the survey of a file proved: how it is to be read."""

    sign: int
    """What makes a Withdrawn figure its effect: 1 where it is written with a minus sign, -1 where without."""
    newest_first: bool
    by_time: bool
    """The balances follow the times, and not the rows as they stand."""
    opening: int | None
    closing: int | None
    balances: int


class MpesaOrganisationReader:
    """Reads both layouts from text and workbooks, in at most three passes of constant memory."""

    name = "mpesa_org"
    looks_for = "the M-PESA organisation statement's heading row (Receipt No., Completion Time, ...)"

    def sniff(self, head: bytes, filename: str) -> bool:  # noqa: ARG002 - the port's words
        """Whether text that begins so has the heading row; a workbook is told by `recognises`."""
        return find_in_head(head, is_header)

    def recognises(self, stream: BinaryIO, filename: str) -> bool:
        """Whether the file has the heading row. Raises StatementRefused for a file that may not be opened."""
        return find_rows(stream, filename, is_header) is not None

    def read(self, stream: BinaryIO, *, filename: str = "") -> Iterator[StatementEvent]:
        """Stream the statement. Raises StatementRefused."""
        rows = find_rows(stream, filename, is_header)
        if rows is None:
            raise StatementRefused(StatementFault.NOT_A_STATEMENT, f"the file has not {self.looks_for}")
        columns = columns_of(rows)
        times = proved_by((cells[columns.receipt], cells[columns.completed]) for _, cells in movements(rows, columns))
        head = preamble_of(rows, filename, times)
        reading = _survey(rows, columns, head, times)
        opened = StatementOpened(
            format=self.name,
            account=head.account,
            currency=CURRENCY,
            opening_minor=reading.opening,
            from_day=head.from_at and head.from_at.date(),
            to_day=head.to_at and head.to_at.date(),
        )
        yield opened
        yield from _Pass(rows, columns, head, reading, opened, times).events()


reader = MpesaOrganisationReader()


# --- the survey: how the file proves that it is to be read ---


def _survey(rows: Rows, columns: Columns, head: Preamble, times: Times) -> _Reading:
    """Follow the balances both ways and under both signs, until only one way is left.

    A cell that cannot be read ends the survey and not the reading: the reading comes to it and says where it is.
    """
    chains = {(sign, up): Chain(newest_first=up) for sign in (1, -1) for up in (True, False)}
    first_out: int | None = None
    paid_sum = withdrawn_sum = count = balances = 0
    whole, ends = True, ["", ""]
    try:
        for line, cells in movements(rows, columns):
            if not is_completed(cells, columns):
                continue
            paid, withdrawn, balance = money_of(line, cells, columns)
            count += 1
            balances += balance is not None
            ends = [ends[0] or cells[columns.completed], cells[columns.completed]]
            paid_sum, withdrawn_sum = paid_sum + paid, withdrawn_sum + withdrawn
            first_out = line if withdrawn and first_out is None else first_out
            for (sign, _), chain in chains.items():
                chain.add(line, paid + sign * withdrawn, balance)
            if head.amount(OPENING) is not None and first_out and sum(not one.breaks for one in chains.values()) == 1:
                break
    except StatementRefused:
        whole = False
    if whole and all(chain.breaks for chain in chains.values()):
        by_time = _by_time(rows, columns, head, balances, times)
        if by_time is not None:
            return by_time
    opening, closing = head.amount(OPENING), head.amount(CLOSING)
    alive = [key for key, chain in chains.items() if not chain.breaks]
    if len(alive) > 1:
        alive = [key for key in alive if _agrees(chains[key], opening, closing)] or alive
    if len(alive) > 1 and opening is not None and closing is not None:
        fitting = [key for key in alive if opening + paid_sum + key[0] * withdrawn_sum == closing]
        alive = fitting or alive
    if len({sign for sign, _ in alive}) > 1 and first_out and whole:
        raise StatementRefused(
            StatementFault.BAD_SIGN,
            "nothing in the file proves whether money withdrawn is written with or without a minus sign: it needs an"
            " opening balance or more rows. Export a longer period, or one with its preamble",
            line=first_out,
            column=columns.names[columns.withdrawn],
        )
    key = _chosen(alive, chains, ends, times)
    return _Reading(
        sign=key[0],
        newest_first=key[1],
        by_time=False,
        opening=chains[key].opening if opening is None else opening,
        closing=closing,
        balances=balances,
    )


def _agrees(chain: Chain, opening: int | None, closing: int | None) -> bool:
    return (opening is None or chain.opening in {None, opening}) and (
        closing is None or chain.closing in {None, closing}
    )


def _chosen(
    alive: list[tuple[int, bool]], chains: dict[tuple[int, bool], Chain], ends: list[str], times: Times
) -> tuple[int, bool]:
    if not alive:
        return min(chains, key=lambda key: chains[key].breaks)
    if len(alive) > 1 and all(ends):
        try:
            up = times.instant(ends[0], 0, "") >= times.instant(ends[1], 0, "")
        except StatementRefused:
            up = True  # the reading comes to that cell and refuses it
        alive = [key for key in alive if key[1] is up] or alive
    return alive[0]


def _by_time(rows: Rows, columns: Columns, head: Preamble, balances: int, times: Times) -> _Reading | None:
    """Follow the balances by the times of the rows; rows of one second in the file's order, either way.

    Only such a file is held in memory, four numbers a row.
    """
    facts: list[tuple[datetime, int, int, int, int | None]] = []
    try:
        for line, cells in movements(rows, columns):
            if is_completed(cells, columns):
                at = times.instant(cells[columns.completed], line, columns.names[columns.completed])
                facts.append((at, line, *money_of(line, cells, columns)))
    except StatementRefused:
        return None
    for turn in (-1, 1):
        facts.sort(key=lambda fact: (fact[0], turn * fact[1]))
        for sign in (1, -1):
            chain = Chain(newest_first=False)
            for _, line, paid, withdrawn, balance in facts:
                chain.add(line, paid + sign * withdrawn, balance)
            if not chain.breaks:
                opening = head.amount(OPENING)
                return _Reading(
                    sign=sign,
                    newest_first=turn < 0,
                    by_time=True,
                    opening=chain.opening if opening is None else opening,
                    closing=chain.closing,
                    balances=balances,
                )
    return None


# --- the reading ---


class _Pass:
    """The pass that answers the lines, and proves them as it goes."""

    def __init__(
        self,
        rows: Rows,
        columns: Columns,
        head: Preamble,
        reading: _Reading,
        opened: StatementOpened,
        times: Times,
    ) -> None:
        self._rows = rows
        self._columns = columns
        self._head = head
        self._reading = reading
        self._times = times
        self._shape = OneShape()
        self._tally = Tally(opened)
        self._chain = Chain(newest_first=reading.newest_first)
        self._totals: list[tuple[int, Cells]] = []
        self._last_at: datetime | None = None
        self._turns: set[bool] = set()
        self._strange: set[str] = set()

    def events(self) -> Iterator[StatementEvent]:
        tally, follow = self._tally, self._chain.add
        for number, cells in movements(self._rows, self._columns, totals=self._totals):
            line = self._line(number, cells)
            tally.add(line)
            if line.counts:
                follow(number, line.amount_minor, line.balance_after_minor)
            yield line
        yield self._foot()

    def _line(self, number: int, cells: Cells) -> StatementLine:
        columns = self._columns
        status = status_of(number, cells, columns)
        counts = status == COMPLETED
        paid, withdrawn, balance = money_of(number, cells, columns, counts=counts)
        if not counts:
            self._strange.add(status)
        amount = paid + self._reading.sign * withdrawn
        at = self._at(number, cells, counts=counts)
        if columns.strange:
            self._described(number, cells)
        text = columns.text(cells, columns.details)
        said = sentence(text)
        reason = columns.text(cells, columns.reason)
        other = columns.text(cells, columns.party)
        party, code = party_of(other or said.party)
        kind = kind_of(said.operation, reason, other == "SP", amount > 0)
        receipt = self._receipt(number, cells)
        booked = at.date()
        if counts and receipt_day(receipt) != booked:
            self._hold(number, cells, at, receipt, ours=kind is not Kind.PAYMENT)
        if columns.currency >= 0:
            self._currency(number, cells)
        return StatementLine(
            number=number,
            amount_minor=amount,
            booked_on=booked,
            reference=receipt,
            occurrence=self._tally.occurrence(receipt, kind, amount, booked, text, counts),
            kind=kind,
            counts=counts,
            occurred_at=at,
            text=text,
            account_reference=self._account(cells, said.account),
            reverses=columns.text(cells, columns.linked).upper(),
            code=reason,
            balance_after_minor=balance,
            party=party,
            references=(("Other Party", code),) if code else (),
        )

    def _at(self, number: int, cells: Cells, *, counts: bool) -> datetime:
        columns = self._columns
        place = columns.completed
        if not counts and not cells[place].strip() and columns.initiated >= 0:
            place = columns.initiated  # what never completed has no time of completion
        at = self._times.instant(cells[place], number, columns.names[place])
        if not counts:
            return at
        self._shape.met(cells[place], number, columns.names[place])
        head = self._head
        if (head.from_at and at < head.from_at) or (head.to_at and at > head.to_at):
            raise StatementRefused(
                StatementFault.BAD_DATE,
                f"{cells[place]!r} is outside the period the statement names. Days and months were exchanged, or rows"
                " of another statement added; ask for the file anew",
                line=number,
                column=columns.names[place],
            )
        if self._last_at is not None and at != self._last_at:
            self._turns.add(at < self._last_at)
        self._last_at = at
        return at

    def _hold(self, number: int, cells: Cells, at: datetime, receipt: str, *, ours: bool) -> None:
        """Hold a row's time against the day its receipt carries. Raises StatementRefused."""
        columns, started = self._columns, None
        if columns.initiated >= 0 and cells[columns.initiated].strip():
            started = self._times.instant(cells[columns.initiated], number, columns.names[columns.initiated])
        if not self._times.agrees(at, receipt, started=started, ours=ours):
            raise StatementRefused(
                StatementFault.BAD_DATE,
                f"{cells[columns.completed]!r} is read as {at:%d %b %Y}, and the receipt {receipt} was given on"
                f" {receipt_day(receipt):%d %b %Y}. Days and months were exchanged, or the row was changed; download"
                " the file anew and import it unopened",
                line=number,
                column=columns.names[columns.completed],
            )

    def _described(self, number: int, cells: Cells) -> None:
        """Refuse a row with something in a column that nobody described: it would be left out without a word."""
        for place in self._columns.strange:
            if cells[place].strip():
                heading = self._columns.names[place]
                raise StatementRefused(
                    StatementFault.UNKNOWN_COLUMNS,
                    f"the column {heading!r} is none that an M-PESA statement is known to have, and what stands in it"
                    " would be left out. Name it as the portal does (such as 'A/C No.' for what payers typed), or"
                    " export the statement with its usual columns",
                    line=number,
                    column=heading or f"column {place + 1}",
                )

    def _receipt(self, number: int, cells: Cells) -> str:
        receipt = cells[self._columns.receipt].strip().upper()
        if not RECEIPT.fullmatch(receipt):
            raise StatementRefused(
                StatementFault.BAD_VALUE if receipt else StatementFault.MISSING_FIELD,
                f"{receipt!r} is no M-PESA receipt: capital letters and digits. Download the file anew and do not open"
                " it in a spreadsheet before",
                line=number,
                column=self._columns.names[self._columns.receipt],
            )
        return receipt

    def _account(self, cells: Cells, said: str) -> str:
        place = self._columns.account
        if place < 0:
            return said
        cell = cells[place]
        # A spreadsheet turns what a payer typed into a date; the sentence still has it as it was typed.
        return said if isinstance(cell, Moment) and said else cell.strip() or said

    def _currency(self, number: int, cells: Cells) -> None:
        found = cells[self._columns.currency].strip().upper()
        if found not in {CURRENCY, "KSH", "KSHS", ""}:
            raise StatementRefused(
                StatementFault.BAD_CURRENCY,
                f"the row is in {found!r}, and an M-PESA statement is in shillings",
                line=number,
                column=self._columns.names[self._columns.currency],
            )

    # --- the foot ---

    def _foot(self) -> StatementClosed:
        head, reading, chain = self._head, self._reading, self._chain
        if chain.known is None and self._tally.empty and head.amount(OPENING) is None:
            raise StatementRefused(StatementFault.EMPTY, "the statement has headings and no rows")
        closing = head.amount(CLOSING)
        if closing is None:
            closing = reading.closing if reading.by_time else chain.closing
        if closing is None or reading.opening is None:
            raise StatementRefused(
                StatementFault.MISSING_FIELD,
                "no row has a balance and the preamble names none: nothing proves that the statement is whole",
            )
        closed = self._tally.close(closing, notes=self._notes())
        line, column, why = self._fault(closed)
        if why:
            return replace(closed, adds_up=False, unproved=why, unproved_line=line, unproved_column=column)
        if closed.adds_up and head.amount(OPENING) is None and reading.balances < 2:
            return replace(closed, adds_up=None)  # the only balance was used to find the opening one
        return closed

    def _fault(self, closed: StatementClosed) -> tuple[int | None, str | None, str]:
        head, columns, chain = self._head, self._columns, self._chain
        if not self._reading.by_time:
            if chain.broken:
                return chain.broken_line, columns.names[columns.balance], chain.broken
            opening = head.amount(OPENING)
            if opening is not None and chain.opening not in {None, opening}:
                why = f"the preamble opens with {wire(opening)} and the rows with {wire(chain.opening or 0)}"
                return head.line(OPENING), OPENING.title(), why + ". Rows are missing; ask for the file anew"
        for label, found in ((PAID_IN, closed.credits_minor), (WITHDRAWN, closed.debits_minor)):
            said = head.amount(label)
            if said is not None and abs(said) != found:
                why = f"the preamble says {wire(abs(said))} and the rows come to {wire(found)}. Ask for the file anew"
                return head.line(label), label.title(), why
        for number, cells in self._totals:
            for place, found in ((columns.paid, closed.credits_minor), (columns.withdrawn, closed.debits_minor)):
                said = amount_of(cells[place], number, columns.names[place]) if place < len(cells) else None
                if said is not None and abs(said) != found:
                    why = f"the total says {wire(abs(said))} and the rows come to {wire(found)}. Ask for the file anew"
                    return number, columns.names[place], why
        return None, None, ""

    def _notes(self) -> tuple[str, ...]:
        notes = list(self._rows.notes)
        if self._times.exchanged:
            notes.append("dates stand in another order than the portal writes; the receipts say which day is meant")
        if self._head.holds:
            notes.append(f"the statement is of the {self._head.holds}")
        if len(self._turns) > 1 and not self._reading.by_time:
            notes.append("the rows are not in the order of their times; the running balance follows the rows")
        if self._reading.by_time:
            notes.append("the running balance follows the times and not the rows as they stand")
        if self._strange:
            notes.append(f"rows that moved no money are only shown: {', '.join(sorted(self._strange))}")
        return tuple(notes)
