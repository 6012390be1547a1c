"""``statement table new``: begin a table of columns for a bank whose export nobody described yet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from revenue_engine.cli.output import JsonFlag, answering, out, print_json

app = typer.Typer(help="Tables of the columns of banks' exports.", no_args_is_help=True)


@app.callback()
def _nouns() -> None:
    """Tables of the columns of banks' exports."""


@app.command("new")
def new(
    file: Annotated[Path, typer.Argument(help="An export of the bank, as downloaded.", exists=True, dir_okay=False)],
    name: Annotated[str, typer.Option(help="What the layout is called: small letters, digits and _.")] = "",
    target: Annotated[
        Path | None, typer.Option("--out", help="Where to write it; else REVENUE_TABLES_DIR, else this folder.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Write a table from the heading row of an export, with what its cells show; check it before it is trusted.

    Nothing is written over. Needs no database.
    """
    import re

    from adapters.statements.tables import TableReader, drafting
    from revenue_engine import bootstrap
    from revenue_engine.errors import Conflict
    from revenue_engine.ports.statements import StatementRefused

    with answering(as_json=as_json):
        called = name or re.sub(r"[^a-z0-9]+", "_", file.stem.lower()).strip("_") or "bank"
        with file.open("rb") as stream:
            try:
                reader = bootstrap.statement_reader(stream, file.name)
            except StatementRefused:
                reader = None  # nobody reads the file yet: that is what a table is for
            if reader is not None and not isinstance(reader, TableReader):  # a table may take another's place
                raise Conflict(
                    f"{file.name} is read already, by {reader.name}, and needs no table: revenue-engine statement check"
                    f" {file}"
                )
            stream.seek(0)
            draft = drafting.draft(stream, file.name, called)
        written = target or (bootstrap.settings().tables_dir or Path()) / f"{called}.toml"
        try:
            with written.open("x", encoding="utf-8") as table:
                table.write(draft.text)
        except FileExistsError:
            raise Conflict(f"{written} is there already: remove it, or say --out or --name") from None
        if as_json:
            print_json({"ok": True, "file": str(written), "open_questions": list(draft.questions)})
            return
        out.print(f"wrote {written}", highlight=False, markup=False)
        for question in draft.questions:
            out.print(f"  to be said: {question}", highlight=False, markup=False)
        out.print(
            "Read it through, put it into the folder REVENUE_TABLES_DIR names, and try: revenue-engine statement check"
            f" {file}",
            highlight=False,
            markup=False,
        )
