"""How each channel account is: when its provider was last heard, how far its statements go, what is unread."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy.orm import Session

from revenue_engine.channels import accounts, deliveries
from revenue_engine.statements import store
from revenue_engine.work import jobs


@dataclass(frozen=True, slots=True)
class ChannelHealth:
    """One channel account. ``heard_at`` is the last proved message; None where none came yet."""

    adapter: str
    identifier: str
    mode: str
    status: str
    name: str
    heard_at: datetime | None
    statements_until: date | None


@dataclass(frozen=True, slots=True)
class Health:
    """Every channel account, and the work that waits: deliveries unread, jobs that died, seconds of the oldest."""

    channels: list[ChannelHealth]
    unread: int
    dead: int
    oldest_seconds: int


def health(session: Session) -> Health:
    """How the channels are now."""
    heard, covered, waiting = deliveries.last_heard(session), store.covered_until(session), jobs.backlog(session)
    channels = accounts.channels(session)
    rows = {(one.adapter, one.identifier, one.mode): one for one in accounts.listed(session)}
    found = []
    for account_id in sorted(channels):
        channel = channels[account_id]
        row = rows[channel.adapter, channel.identifier, channel.mode]
        found.append(
            ChannelHealth(
                row.adapter,
                row.identifier,
                row.mode,
                row.status,
                row.name,
                heard.get(account_id),
                covered.get(account_id),
            )
        )
    return Health(found, waiting.ready, waiting.dead, int(waiting.oldest_seconds))
