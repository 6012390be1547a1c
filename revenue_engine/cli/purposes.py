"""What an endpoint was registered for, as the command line spells it."""

from __future__ import annotations

from enum import StrEnum


class PurposeName(StrEnum):
    """What the endpoint that received the body was registered for."""

    VALIDATION = "validation"
    CONFIRMATION = "confirmation"
    PUSH_RESULT = "push_result"
    RESULT = "result"
    TIMEOUT = "timeout"
