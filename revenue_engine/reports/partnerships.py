"""Agreements as a list: pledged, received, used, and what expires with the money at risk."""

from __future__ import annotations

from sqlalchemy.orm import Session

from revenue_engine.departments.partnerships import agreements
from revenue_engine.reports.model import Column, Kind, Section


def agreement_section(session: Session, *, expiring: bool = False) -> Section:
    """Every agreement, or those that end within 90 days; amounts in KES at the rates of their value dates."""
    money = (
        *(("pledged", "Pledged"), ("received", "Received"), ("used", "Used"), ("unbanked", "Pledged, not received")),
        *(("unused", "Received, not used"), ("at_risk", "At risk")),
    )
    columns = (
        *(Column("agreement", "Agreement"), Column("partner", "Partner"), Column("title", "Title")),
        *(Column("state", "State"), Column("ends_on", "Ends"), Column("days_left", "Days", Kind.COUNT, totalled=False)),
        *(Column(key, heading, Kind.MONEY) for key, heading in money),
        *(Column("conditions_open", "Conditions open", Kind.COUNT), Column("next_step", "Next step")),
        *(Column("next_owner", "By"), Column("next_on", "On")),
    )
    found = tuple(
        (*one[:4], one.ends_on.isoformat(), *one[5:15], one.next_on.isoformat())
        for one in agreements.standing(session)
        if not expiring or (one.state == "active" and one.days_left <= agreements.EXPIRES_WITHIN)
    )
    return Section("agreements", "Agreements with partners", columns, found)
