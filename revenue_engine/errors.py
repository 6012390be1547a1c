"""The error tree: what went wrong, where, and how to mend it.

RevenueError
├── Rejected            the request is wrong and repeating it will not help
│   ├── InvalidValue    a value is malformed or out of its range
│   ├── NotFound        a named thing does not exist
│   ├── Conflict        the request contradicts what is already recorded
│   ├── NotSignedIn     nobody is signed in, or the session is not live any more
│   └── NotAllowed      who is signed in may not do this; the message names who may
│       └── StaleFactor the second factor is too old for a judgement
├── ConfigurationError  a setting is missing or wrong; the message names the variable and the fix
├── Retryable           a lock, a timeout or a server that is away; the same call may succeed later
└── IntegrityFault      stored facts contradict each other; stop and call somebody
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class RevenueError(Exception):
    """Root of every error the engine raises on purpose.

    ``code`` is stable and may be relied on by programs; ``facts`` are the values the message speaks of.
    """

    code = "error"

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.message = message
        self.facts = facts

    def as_dict(self) -> dict[str, Any]:
        """The error as plain data for ``--json`` output: code, message and the facts as text."""
        return {"code": self.code, "message": self.message, **{k: str(v) for k, v in self.facts.items()}}


class Rejected(RevenueError):
    """The request is wrong; repeating it unchanged will not help."""

    code = "rejected"


class InvalidValue(Rejected):
    """A value is malformed or outside what the field allows."""

    code = "invalid_value"


class NotFound(Rejected):
    """A thing named by the caller does not exist."""

    code = "not_found"


class Conflict(Rejected):
    """The request contradicts what is already recorded; ``field`` in the facts names what differs."""

    code = "conflict"


class NotSignedIn(Rejected):
    """No session proves who acts: none was opened, or it ended, idled or was revoked; the message says which."""

    code = "not_signed_in"


class NotAllowed(Rejected):
    """Who acts may not do this; the message names who may instead."""

    code = "not_allowed"


class StaleFactor(NotAllowed):
    """A judgement needs a second factor not older than five minutes."""

    code = "stale_factor"


class ConfigurationError(RevenueError):
    """A setting is missing or wrong; the message names the variable and the fix."""

    code = "configuration"


class Retryable(RevenueError):
    """A lock, a timeout or a server that is away; the same call may succeed later."""

    code = "retryable"


class IntegrityFault(RevenueError):
    """Stored facts contradict each other; nothing may be built on them."""

    code = "integrity_fault"


_PLAIN = {
    "missing": "is missing",
    "extra_forbidden": "is not known here: look at its spelling, or leave it out",
    "string_pattern_mismatch": "has a letter or a sign that may not stand in it, or is too short or too long",
    "string_type": "is no text",
    "int_type": "is no whole number",
    "int_parsing": "is no whole number",
    "int_from_float": "is no whole number",
    "bool_type": "is neither true nor false",
    "bool_parsing": "is neither true nor false",
    "dict_type": "is no table of names and values",
    "list_type": "is no list",
    "tuple_type": "is no list",
    "date_type": "is no day; write it as 2026-11-30",
    "date_from_datetime_parsing": "is no day; write it as 2026-11-30",
}
_BOUNDED = {
    "greater_than": ("is not above {gt}", "gt"),
    "greater_than_equal": ("is below {ge}", "ge"),
    "less_than": ("is not below {lt}", "lt"),
    "less_than_equal": ("is above {le}", "le"),
    "string_too_short": ("is shorter than {min_length} letters", "min_length"),
    "string_too_long": ("is longer than {max_length} letters", "max_length"),
    "literal_error": ("is none of {expected}", "expected"),
    "enum": ("is none of {expected}", "expected"),
}


def in_plain_words(problem: Mapping[str, Any]) -> str:
    """What is wrong with a value, of one entry of pydantic's ``ValidationError.errors()``, as a person says it.

    The place of the value is not told: it goes before. What we said ourselves in a validator is told as it was.
    """
    kind, context = str(problem["type"]), problem.get("ctx", {})
    if kind in _PLAIN:
        return _PLAIN[kind]
    words, needs = _BOUNDED.get(kind, ("", ""))
    if needs in context:
        return words.format(**context)
    return str(problem["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
