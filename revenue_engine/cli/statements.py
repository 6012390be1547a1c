"""``statement check``: read a statement file, prove it and say what it holds, without a database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from revenue_engine.cli.output import FAILED, JsonFlag, answering, err, out, print_json, table_of
from revenue_engine.money import grouped

if TYPE_CHECKING:
    from revenue_engine.ports.statements import StatementRefused
    from revenue_engine.statements.preview import Preview

app = typer.Typer(help="Statements of channels and banks.", no_args_is_help=True)

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
    from revenue_engine import bootstrap
    from revenue_engine.ports.statements import StatementFault, StatementRefused
    from revenue_engine.statements.preview import Preview

    with answering(as_json=as_json):
        preview = Preview(bootstrap.statement_readers())
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

    from revenue_engine.ports.statements import line_in_file
    from revenue_engine.statements.preview import control_total

    for one in preview.statements:
        opened = one.opened
        first, last = one.days
        period = f", {first:%d %b %Y} to {last:%d %b %Y}" if first and last else ""
        account = _plain(opened.account or "(not named)")
        out.print(f"[bold]{opened.format}[/] account {account}{period}", highlight=False)
        names = ("line", "day", "amount", "kind", "reference", "typed by the payer", "text")
        table = table_of(*(names if out.width >= WIDE else names[:5]))
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
        out.print(control_total(one), highlight=False)
        for note in one.closed.notes if one.closed else ():
            out.print(f"  {_plain(note)}", highlight=False)


def _plain(text: str) -> str:
    """Text of a file on a terminal: no markup is read from it, and nothing steers the terminal."""
    from rich.markup import escape

    return escape("".join(char if char.isprintable() else " " for char in text))
