"""How commands answer: tables for people, JSON for programs, and the exit codes that both may rely on."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console

from revenue_engine.errors import ConfigurationError, Retryable, RevenueError

OK, FAILED, USAGE, ATTENTION, CONFIGURATION, DEPENDENCY = 0, 1, 2, 3, 4, 5
"""0 ok, 1 failed or refused, 2 usage, 3 done but needs attention, 4 configuration, 5 a dependency is down."""

JsonFlag = Annotated[bool, typer.Option("--json", help="Answer as JSON on standard output; money as decimal strings.")]

_NOT_MADE = frozenset({"42P01", "42703", "42883", "3F000", "22023"})
"""What PostgreSQL says where a table, column, function, schema or role is not there: init was not run, or long ago."""

out = Console()
err = Console(stderr=True)


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

    try:
        yield
    except RevenueError as error:
        refuse(error, as_json=as_json)
    except (psycopg.Error, DBAPIError) as error:
        from revenue_engine.db import refusal

        refused = refusal(error)
        if refused is not None:
            refuse(refused, as_json=as_json)
        origin = getattr(error, "orig", None) or error
        words = str(origin).splitlines()[0]
        if getattr(origin, "sqlstate", None) in _NOT_MADE:
            what = f"the database is not made for this version yet ({words}). Run 'revenue-engine init'."
            refuse(ConfigurationError(what), as_json=as_json)
        elif isinstance(origin, psycopg.OperationalError):
            refuse(Retryable(f"the database does not answer: {words}. Run 'revenue-engine doctor'."), as_json=as_json)
        else:
            raise


def refuse(error: RevenueError, *, as_json: bool) -> None:
    """Say what was refused and why, and end with the code it means."""
    if as_json:
        print_json({"ok": False, **error.as_dict()})
    else:
        err.print(f"[bold red]Refused:[/] {error.message}", highlight=False)
    raise typer.Exit(exit_code(error))
