"""How the engine is, as Prometheus reads it: ages in seconds and counts, and nothing that names a person.

The text format is that of prometheus.io, version 0.0.4.
"""

from __future__ import annotations

from sqlalchemy.orm import Session

from reconciliation import breaks
from revenue_engine import periods
from revenue_engine.reports import channel_health

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def text(session: Session) -> str:
    """Every measurement of now."""
    now = periods.now()
    found = channel_health.health(session)
    oldest = breaks.oldest_suspense(session)
    parts = [
        _one("revenue_jobs_ready", "Jobs that are due or will be", found.unread),
        _one("revenue_jobs_dead", "Jobs that were given up; each needs a person", found.dead),
        _one("revenue_job_oldest_seconds", "How long the oldest job has been due", found.oldest_seconds),
        _one(
            "revenue_suspense_oldest_seconds",
            "Age of the oldest money in suspense, 0 for none",
            0 if oldest is None else max(0, int((now - oldest).total_seconds())),
        ),
        "# HELP revenue_callback_age_seconds Since a channel account last sent a message whose proof held",
        "# TYPE revenue_callback_age_seconds gauge",
    ]
    for one in found.channels:
        if one.heard_at is not None:
            labels = ",".join(
                f'{name}="{_escaped(value)}"'
                for name, value in (("adapter", one.adapter), ("account", one.identifier), ("mode", one.mode))
            )
            age = max(0, int((now - one.heard_at).total_seconds()))
            parts.append(f"revenue_callback_age_seconds{{{labels}}} {age}")
    return "\n".join(parts) + "\n"


def _one(name: str, what: str, value: int) -> str:
    return f"# HELP {name} {what}\n# TYPE {name} gauge\n{name} {value}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
