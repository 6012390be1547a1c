"""The county's set-up as lists: what may be charged, and where."""

from __future__ import annotations

from datetime import date

from sqlalchemy.orm import Session

from revenue_engine.billing import tariffs
from revenue_engine.reports.model import Column, Kind, Section


def tariff_section(session: Session, *, on: date, stream: str | None = None) -> Section:
    """The tariff lines in force on a day, of one stream when named, by item code."""
    columns = (
        Column("item", "Item"),
        Column("name", "Name"),
        Column("amount", "KES", Kind.MONEY, totalled=False),
        Column("unit", "Per"),
        Column("stream", "Stream"),
        Column("status", "Status"),
        Column("effective_from", "From"),
        Column("effective_to", "Until"),
        Column("law", "Law"),
    )
    rows = tuple(
        (
            line.item_code,
            line.name,
            line.amount_minor,
            line.unit,
            line.stream_code,
            line.status,
            line.effective_from.isoformat(),
            line.effective_to.isoformat() if line.effective_to else "",
            line.law,
        )
        for line in tariffs.in_force(session, on=on, stream_code=stream and stream.upper())
    )
    return Section("tariffs", "Tariff lines in force", columns, rows)


def station_section(session: Session, *, stream: str | None = None) -> Section:
    """The stations where streams are collected, by sub-county and ward."""
    columns = (
        Column("station", "Station"),
        Column("name", "Name"),
        Column("stream", "Stream"),
        Column("sub_county", "Sub-county"),
        Column("ward", "Ward"),
    )
    rows = tuple(
        (one.code, one.name, one.stream_code, one.sub_county, one.ward)
        for one in tariffs.stations(session, stream_code=stream and stream.upper())
    )
    return Section("stations", "Stations", columns, rows)
