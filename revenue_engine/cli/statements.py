"""``statement check``: read a statement file, prove it and say what it holds, without a database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from revenue_engine.cli.output import FAILED, JsonFlag, answering, err, out, print_json
from revenue_engine.money import grouped

if TYPE_CHECKING:
    from revenue_engine.ports.statements import StatementClosed, StatementLine, StatementOpened, StatementRefused

app = typer.Typer(help="Statements of channels and banks.", no_args_is_help=True)

FIRST_LINES = 5
WIDE = 120
"""Characters of a terminal that has room for what a payer typed and the text."""
TYPED, TAKEN = 16, 84
"""Characters: of what a payer typed, and of a terminal's width by the columns before the text."""


@app.callback()
def _nouns() -> None:
    """Statements of channels and banks."""


@app.command("check")
def check(
    file: Annotated[
        Path, typer.Argument(help="The statement as it was downloaded.", exists=True, dir_okay=False, readable=False)
    ],
    as_json: JsonFlag = False,
) -> None:
    """Say what a statement file holds and whether it adds up. Exit 1 when it may not be imported."""
    from revenue_engine.ports.statements import StatementFault, StatementRefused

    preview = Preview()
    with answering(as_json=as_json):
        try:
            try:
                with file.open("rb") as stream:
                    preview.read(stream, file.name)
            except OSError as error:
                raise StatementRefused(
                    StatementFault.UNREADABLE, f"the file cannot be opened: {error.strerror or error}"
                ) from None
        except StatementRefused as refused:
            preview.stop(refused)
            _show_refusal(refused, preview, as_json=as_json)
            raise typer.Exit(FAILED) from None
        if as_json:
            print_json({"statements": [one.as_dict() for one in preview.statements]})
        else:
            _show(preview)


class Preview:
    """What was read of a file: of each statement its counts and its first lines, never the whole."""

    def __init__(self) -> None:
        self.statements: list[StatementPreview] = []

    def read(self, stream: BinaryIO, filename: str) -> None:
        """Read and prove a file, keeping count. Raises StatementRefused."""
        from revenue_engine import bootstrap, periods
        from revenue_engine.ports.statements import StatementClosed, StatementOpened, proved

        reader = bootstrap.statement_reader(stream, filename)
        for event in proved(reader.read(stream, filename=filename), today=periods.today()):
            if isinstance(event, StatementOpened):
                self.statements.append(StatementPreview(event))
            elif isinstance(event, StatementClosed):
                self.statements[-1].close(event)
            else:
                self.statements[-1].add(event)

    def stop(self, refused: StatementRefused) -> None:
        """Mark the statement in which a refusal stopped the reading, when its sums were the reason."""
        from revenue_engine.ports.statements import StatementFault

        if self.statements and refused.fault is StatementFault.DOES_NOT_ADD_UP:
            self.statements[-1].adds_up = False


class StatementPreview:
    """One statement as far as it was read; money in cents."""

    def __init__(self, opened: StatementOpened) -> None:
        self.opened = opened
        self.closed: StatementClosed | None = None
        self.adds_up: bool | None = None
        self.lines = self.shown = self.credits = self.debits = 0
        self.first: list[StatementLine] = []
        self._days: list[Any] = []

    def add(self, line: StatementLine) -> None:
        """Count one line."""
        if len(self.first) < FIRST_LINES:
            self.first.append(line)
        if not line.counts:
            self.shown += 1
            return
        self.lines += 1
        if line.amount_minor > 0:
            self.credits += line.amount_minor
        else:
            self.debits -= line.amount_minor
        day = line.booked_on
        self._days = [min(self._days[0], day), max(self._days[1], day)] if self._days else [day, day]

    def close(self, closed: StatementClosed) -> None:
        """Take what the foot says."""
        self.closed = closed
        self.adds_up = closed.adds_up

    @property
    def days(self) -> tuple[Any, Any]:
        """The period: of the lines, else what the head names."""
        if self._days:
            return self._days[0], self._days[1]
        return self.opened.from_day, self.opened.to_day

    def as_dict(self) -> dict[str, Any]:
        """The stable form of ``--json``: money as decimal strings, days in ISO 8601, null where a thing is not said."""
        first, last = self.days
        return {
            "format": self.opened.format,
            "account": self.opened.account,
            "currency": self.opened.currency,
            "opening": money(self.opened.opening_minor),
            "closing": money(self.closed.closing_minor if self.closed else None),
            "lines": self.lines,
            "credits": money(self.credits),
            "debits": money(self.debits),
            "from": first.isoformat() if first else None,
            "to": last.isoformat() if last else None,
            "adds_up": self.adds_up,
            "shown": self.shown,
            "reference": self.opened.reference or None,
            "number": self.opened.number or None,
            "notes": list(self.closed.notes) if self.closed else [],
        }


def money(minor: int | None) -> str | None:
    """Cents as a decimal string, None where there is no amount."""
    from revenue_engine.money import wire

    return None if minor is None else wire(minor)


def _show_refusal(refused: StatementRefused, preview: Preview, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "ok": False,
                "code": refused.code,
                "line": refused.line,
                "column": refused.column,
                "reason": refused.reason,
                "message": refused.message,
                "statements": [one.as_dict() for one in preview.statements],
            }
        )
        return
    err.print(f"[bold red]Refused:[/] {_plain(refused.message)}", highlight=False)
    if preview.statements:
        err.print("Nothing of the file may be imported. What had been read:", highlight=False)
        _show(preview)


def _show(preview: Preview) -> None:
    from rich.table import Table

    from revenue_engine.ports.statements import line_in_file

    for one in preview.statements:
        opened = one.opened
        first, last = one.days
        period = f", {first:%d %b %Y} to {last:%d %b %Y}" if first and last else ""
        account = _plain(opened.account or "(not named)")
        out.print(f"[bold]{opened.format}[/] account {account}{period}", highlight=False)
        names = ("line", "day", "amount", "kind", "reference", "typed by the payer", "text")
        table = Table(*(names if out.width >= WIDE else names[:5]), box=None)
        for column, least in zip(table.columns, (4, 11, 14, 0, 10, 0, 0), strict=False):
            column.no_wrap, column.min_width = True, least
        table.columns[0].justify = table.columns[2].justify = "right"
        for line in one.first:
            cells = (
                str(line_in_file(line.number)),
                f"{line.booked_on:%d %b %Y}",
                grouped(line.amount_minor),
                (line.kind.value if line.kind else "") + ("" if line.counts else " (shown only)"),
                _plain(line.reference),
                _plain(line.account_reference[:TYPED]),
                _plain(line.text[: max(12, out.width - TAKEN)]),
            )
            table.add_row(*cells[: len(table.columns)])
        out.print(table)
        out.print(_control_total(one), highlight=False)
        for note in one.closed.notes if one.closed else ():
            out.print(f"  {_plain(note)}", highlight=False)


def _control_total(one: StatementPreview) -> str:
    total = f"{one.lines:,} line{'' if one.lines == 1 else 's'}, {one.opened.currency} {grouped(one.credits)}"
    closing = one.closed.closing_minor if one.closed else None
    if one.closed is None:
        return f"{total}, not read to its end"
    if one.opened.opening_minor is None or closing is None:
        return f"{total}, with no balances to prove it by"
    sums = f"{grouped(one.opened.opening_minor)} + {grouped(one.credits)} - {grouped(one.debits)}"
    if one.adds_up is False:
        return f"{total}, opening + credits - debits is not closing: {sums} and {grouped(closing)}"
    if one.adds_up is None:
        return f"{total}, not proved: the opening balance was worked out from the only balance there is"
    return f"{total}, opening + credits - debits = closing: {sums} = {grouped(closing)}"


def _plain(text: str) -> str:
    """Text of a file on a terminal: no markup is read from it, and nothing steers the terminal."""
    from rich.markup import escape

    return escape("".join(char if char.isprintable() else " " for char in text))
