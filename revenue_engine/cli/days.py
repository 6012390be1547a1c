"""Days as people type them on the command line: one spelling, two words, one refusal."""

from __future__ import annotations

import re
from datetime import date, timedelta

from revenue_engine import periods
from revenue_engine.errors import InvalidValue

DAY_HELP = "2026-11-20, today or yesterday"


def day(text: str | None, *, field: str) -> date | None:
    """The day a person typed, None for nothing typed. Raises InvalidValue with the spelling that is read."""
    if text is None:
        return None
    words = text.strip().lower()
    if words in {"today", "yesterday"}:
        return periods.today() - timedelta(days=words == "yesterday")
    try:
        found = date.fromisoformat(words) if re.fullmatch(r"\d{4}-\d{2}-\d{2}", words) else None
    except ValueError:
        found = None
    if found is None:
        raise InvalidValue(f"{text!r} is not a day: write {DAY_HELP}", field=field, value=text)
    return found


def span(first: str | None, last: str | None) -> tuple[date | None, date | None]:
    """A first and a last day. Raises InvalidValue when the last is before the first."""
    begin, end = day(first, field="from"), day(last, field="to")
    if begin is not None and end is not None and end < begin:
        raise InvalidValue(f"--to {end} is before --from {begin}", field="to")
    return begin, end
