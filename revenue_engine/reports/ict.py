"""The ICT directorate as lists: service levels and credits by office and month, support requests."""

from __future__ import annotations

from datetime import date

from sqlalchemy.orm import Session

from revenue_engine.departments.ict import links, support
from revenue_engine.reports.model import Column, Kind, Section


def _percent(ppm: int) -> str:
    return f"{ppm // 10_000}.{ppm % 10_000:04d} %"


def service_section(session: Session, *, first: date, last: date, missed_only: bool = False) -> Section:
    """Which offices met or missed their service level, what was claimed, what lapsed; by month and office."""
    money = ("due", "claimed", "credited", "lost")
    columns = (
        *(Column("month", "Month"), Column("office", "Office"), Column("name", "Name"), Column("supplier", "Supplier")),
        *(Column("availability", "Available"), Column("target", "Target")),
        Column("away_minutes", "Minutes away", Kind.COUNT),
        *(Column(name, name.capitalize(), Kind.MONEY) for name in money),
        *(Column("state", "State"), Column("claim_by", "Claim by"), Column("ticket", "Ticket")),
    )
    found = tuple(
        (
            *(f"{one.month:%Y-%m}", one.office, one.name, one.supplier, _percent(one.availability_ppm)),
            *(_percent(one.target_ppm), one.away_minutes, one.due_minor, one.claimed_minor, one.credited_minor),
            *(one.lost_minor, one.state, one.claim_by.isoformat(), one.ticket),
        )
        for one in links.months(session, first=first, last=last)
        if not missed_only or one.state not in {"met", "not_measured"}
    )
    return Section("service_levels", "Service levels of the connected offices", columns, found)


def support_section(session: Session) -> Section:
    """Support requests: how long each was with ICT, of how many working minutes."""
    columns = (
        *(Column("number", "Request", Kind.COUNT, totalled=False), Column("department", "Department")),
        *(Column("subject", "Subject"), Column("state", "State"), Column("opened_at", "Opened", Kind.INSTANT)),
        *(Column("consumed", "Minutes", Kind.COUNT), Column("target", "Of", Kind.COUNT)),
        *(Column("due_at", "Due", Kind.INSTANT), Column("missed", "Missed")),
    )
    found = tuple((*one[:-1], "yes" if one.missed else "no") for one in support.standing(session))
    return Section("support", "Support requests", columns, found)
