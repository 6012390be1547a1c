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
