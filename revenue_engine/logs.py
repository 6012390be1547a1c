"""Logs: one JSON line an event on standard error; what libraries say likewise, the same thing once a minute.

A server that is away makes a library write a traceback several times a second: on a full disk that is what fills the
rest of it.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import time
import traceback
from typing import Final, TextIO, cast

import structlog

QUIET_SECONDS: Final = 60.0
"""The same words of one library are written once in so long, with how often they came since."""
_MOST_KINDS: Final = 1_000


class Libraries(logging.Handler):
    """Writes what libraries log as our own lines. Where the same thing fails again and again, once a minute."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, str, str], tuple[float, int]] = {}
        self._guard = threading.Lock()

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, or count it."""
        error = record.exc_info[1] if record.exc_info else None
        # The words before they are filled in: an address or a number in them must not make each line another.
        key = (record.name, str(record.msg)[:60], type(error).__name__)
        now = time.monotonic()
        with self._guard:
            last, unsaid = self._said.get(key, (-QUIET_SECONDS, 0))
            if now - last < QUIET_SECONDS:
                self._said[key] = (last, unsaid + 1)
                return
            if len(self._said) >= _MOST_KINDS:
                self._said.clear()
            self._said[key] = (now, 0)
        facts: dict[str, object] = {"of": record.name}
        if unsaid:
            facts["times_since"] = unsaid
        if error is not None:
            facts["error"] = type(error).__name__
            facts["at"] = [f"{at.filename}:{at.lineno}" for at in traceback.extract_tb(error.__traceback__)[-3:]]
        level = logging.getLevelName(record.levelno).lower()
        say = getattr(structlog.get_logger(), level if level in _LEVELS else "warning")
        say(record.getMessage().splitlines()[0][:500] if record.getMessage() else record.name, **facts)


class _StandardError:
    """Standard error as it stands at each line; a line that nobody can read any more stops no payment."""

    def write(self, words: str) -> None:
        with contextlib.suppress(ValueError, OSError):  # closed under us, or the reader of the pipe is gone
            sys.stderr.write(words)

    def flush(self) -> None:
        with contextlib.suppress(ValueError, OSError):
            sys.stderr.flush()


_LEVELS: Final = frozenset({"warning", "error", "critical"})


def configure(level: str) -> None:
    """One JSON line an event on standard error, times in UTC; libraries speak from warnings up."""
    root = logging.getLogger()
    for handler in [one for one in root.handlers if isinstance(one, Libraries)]:
        root.removeHandler(handler)
    root.addHandler(Libraries())
    root.setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _StandardError())),
        cache_logger_on_first_use=True,
    )
