"""How an agreement stands by the gates that it passed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date


def state_of(gates: Sequence[str], ends_on: date, on: date) -> str:
    """How an agreement stands by its gates: prospect, approved, active, expired, closed or terminated. Pure."""
    for end in ("terminated", "closed"):
        if end in gates:
            return end
    if "signature" in gates:
        return "expired" if ends_on < on else "active"
    return "approved" if "cecm_approval" in gates else "prospect"
