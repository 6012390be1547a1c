"""Commands of the suite. Most run in this process: a process of their own costs a second.

What only a process can show (signals, a closed pipe, what is imported) is started as one with ``apart``.
"""

from __future__ import annotations

import contextvars
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine
from typer.testing import CliRunner

from revenue_engine import bootstrap
from revenue_engine.cli.app import app, in_order

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


def command(*words: str, env: dict[str, str] | None = None, typed: str = "") -> Done:
    """Run one command in this process; ``typed`` is its standard input.

    The command begins as a process does: with its own settings, its own connections and nobody signed in.
    """
    made: list[Engine] = []

    def kept(*given: Any, **named: Any) -> Engine:
        made.append(bootstrap_makes(*given, **named))
        return made[-1]

    bootstrap_makes = bootstrap.make_engine
    before = Path.cwd()
    os.chdir(ROOT)
    _forget()
    bootstrap.make_engine = kept
    try:
        given = {"NO_COLOR": "1", "COLUMNS": "200", **(env or {})}
        done = contextvars.Context().run(lambda: CliRunner().invoke(app, in_order(words), input=typed, env=given))
    finally:
        bootstrap.make_engine = bootstrap_makes
        _forget()
        for engine in made:
            engine.dispose()
        os.chdir(before)
    assert done.exception is None or isinstance(done.exception, SystemExit), f"{words} fell over: {done.exception!r}"
    return Done(done.exit_code, done.stdout, done.stderr)


def run(*words: str, env: dict[str, str] | None = None, status: int = 0) -> str:
    """Run one command in this process and check how it ended; answers its standard output."""
    done = command(*words, env=env)
    assert done.returncode == status, f"{words} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _forget() -> None:
    for remembered in (bootstrap.settings, bootstrap.servers, bootstrap.engine):
        remembered.cache_clear()
    bootstrap._other_books = None


def apart(*words: str, env: dict[str, str] | None = None, status: int = 0) -> str:
    """Run one command as a process of its own and check how it ended; answers its standard output."""
    done = subprocess.run(
        [sys.executable, "-m", "revenue_engine.cli", *words],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200", **(env or {})},
        cwd=ROOT,
    )
    assert done.returncode == status, f"{words} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done.stdout
