"""How commands answer: tables for people, JSON for programs, and the exit codes that both may rely on."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from revenue_engine.errors import ConfigurationError, InvalidValue, Retryable, RevenueError

if TYPE_CHECKING:
    from revenue_engine.reports.model import Section

OK, FAILED, USAGE, ATTENTION, CONFIGURATION, DEPENDENCY = 0, 1, 2, 3, 4, 5
"""0 ok, 1 failed or refused, 2 usage, 3 done but needs attention, 4 configuration, 5 a dependency is down."""

JsonFlag = Annotated[bool, typer.Option("--json", help="Answer as JSON on standard output; money as decimal strings.")]

OutFile = Annotated[
    Path | None, typer.Option("--out", help="File to write; its ending (.csv, .xlsx, .json, .txt) says the format.")
]


class Format(StrEnum):
    """How a report or a list is written."""

    TABLE = "table"
    CSV = "csv"
    XLSX = "xlsx"
    JSON = "json"


FormatOption = Annotated[Format | None, typer.Option("--format", help="How to write the answer.")]
ENDINGS = {".csv": Format.CSV, ".xlsx": Format.XLSX, ".json": Format.JSON, ".txt": Format.TABLE}
"""What the ending of a file says it holds."""

_NOT_MADE = frozenset({"42P01", "42703", "42883", "3F000", "22023"})
"""What PostgreSQL says where a table, column, function, schema or role is not there: init was not run, or long ago."""

_WIDE = 200
"""Columns where no terminal says how wide it is: what is piped to another program is not folded."""


def _console(*, stderr: bool) -> Console:
    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(stderr=stderr, width=None if terminal or "COLUMNS" in os.environ else _WIDE)


out = _console(stderr=False)
err = _console(stderr=True)


def table_of(*headings: str) -> Table:
    """An empty table. What does not fit is folded and never cut: a hash or a number that ends in dots is no use."""
    made = Table(box=None)
    for heading in headings:
        made.add_column(heading, overflow="fold")
    return made


def print_json(answer: Any) -> None:
    """Write an answer as one JSON document."""
    sys.stdout.write(json.dumps(answer, indent=2, ensure_ascii=False, default=str) + "\n")


def exit_code(error: RevenueError) -> int:
    """The exit code that an error means."""
    if isinstance(error, ConfigurationError):
        return CONFIGURATION
    return DEPENDENCY if isinstance(error, Retryable) else FAILED


@contextmanager
def answering(*, as_json: bool) -> Iterator[None]:
    """Turn the engine's own errors, and a database that is away or not made yet, into a refusal and an exit code."""
    import psycopg
    from sqlalchemy.exc import DBAPIError

    from revenue_engine.db import refusal, said_no

    try:
        yield
    except RevenueError as error:
        refuse(error, as_json=as_json)
    except (psycopg.Error, DBAPIError) as error:
        refused = refusal(error)
        if refused is not None:
            refuse(refused, as_json=as_json)
        origin = getattr(error, "orig", None) or error
        words = str(origin).splitlines()[0]
        if getattr(origin, "sqlstate", None) in _NOT_MADE:
            what = f"the books {_whose()} are not made for this version yet ({words}). {_remedy()}"
            refuse(ConfigurationError(what), as_json=as_json)
        elif isinstance(origin, psycopg.Error) and (no := said_no(origin)) is not None:
            refuse(no, as_json=as_json)
        elif isinstance(origin, psycopg.OperationalError):
            refuse(Retryable(f"the database does not answer: {words}. Run 'revenue-engine doctor'."), as_json=as_json)
        else:
            raise


def _whose() -> str:
    """Which books a command looked into, so that a person in another folder sees that they are others."""
    from revenue_engine import bootstrap

    settings = bootstrap.settings()
    return "of REVENUE_DATABASE_URL" if settings.database_url else f"in {settings.state_dir}"


def _remedy() -> str:
    from revenue_engine import bootstrap

    if bootstrap.other_books():
        return "Run 'revenue-engine demo' first."
    return "Run 'revenue-engine init'; or say --demo to look into the books that 'revenue-engine demo' made."


def refuse(error: RevenueError, *, as_json: bool) -> None:
    """Say what was refused and why, and end with the code it means."""
    if as_json:
        print_json({"ok": False, **error.as_dict()})
    else:
        # Unwrapped: it may hold a path or a line of SQL that somebody copies.
        err.print(f"[bold red]Refused:[/] {escape(error.message)}", highlight=False, soft_wrap=True)
    raise typer.Exit(exit_code(error))


# --- files that commands write ---------------------------------------------------------------------------------------


def chosen(form: Format | None, file: Path | None, *, as_json: bool = False) -> Format:
    """The format of an answer: what ``--format`` or ``--json`` says, else what the file's ending says, else a table.

    Raises InvalidValue where they contradict each other, where the ending says nothing, and where the file cannot be
    written; nothing is done before.
    """
    if as_json and form not in (None, Format.JSON):
        raise InvalidValue(f"--json and --format {form} contradict each other: say one", format=str(form))
    wanted = Format.JSON if as_json else form
    if file is None:
        if wanted is Format.XLSX and sys.stdout.isatty():
            raise InvalidValue("a workbook does not go to a terminal: say --out FILE.xlsx", format="xlsx")
        return wanted or Format.TABLE
    check_place(file)
    told = ENDINGS.get(file.suffix.lower())
    if told is None:
        known = ", ".join(f"{ending} ({kind})" for ending, kind in ENDINGS.items())
        raise InvalidValue(f"{file.name}: the ending of --out says the format, and must be {known}", file=file.name)
    if wanted is not None and wanted is not told:
        raise InvalidValue(
            f"{file.name} is {told} by its ending and --format says {wanted}: leave --format out or name another file",
            file=file.name,
            format=str(wanted),
        )
    return told


def check_place(file: Path) -> None:
    """Refuse a file that could not be written, before any work is done (InvalidValue)."""
    if not file.parent.is_dir():
        raise InvalidValue(f"{file}: there is no folder {file.parent}; make it first", file=str(file))
    if file.is_dir():
        raise InvalidValue(f"{file} is a folder: name a file in it", file=str(file))
    if not os.access(file if file.exists() else file.parent, os.W_OK):
        raise InvalidValue(f"{file} may not be written by this user", file=str(file))


def write(written: bytes, file: Path | None) -> None:
    """Write bytes to a file, whole or not at all, and say so; to standard output when there is no file."""
    if file is None:
        sys.stdout.buffer.write(written)
        sys.stdout.flush()
        return
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        part.write_bytes(written)
        part.replace(file)
    finally:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()
    err.print(f"wrote {file} ({len(written):,} bytes)", highlight=False, soft_wrap=True)


def give(section: Section, form: Format, file: Path | None) -> None:
    """Answer with a list: on the terminal as wide as the terminal is."""
    from revenue_engine.reports import lists

    write(lists.render(section, form.value, width=out.width if out.is_terminal else None), file)
