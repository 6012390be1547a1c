"""Reports as data: what the day was, laid beside the provider and the bank. Every figure traces to postings."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi import Query as InQuery
from pydantic import Field
from sqlalchemy.orm import Session

from revenue_engine import periods
from revenue_engine.api.calls import Door, Query, Rules, serve
from revenue_engine.api.shapes import Told
from revenue_engine.errors import InvalidValue
from revenue_engine.reports import daily
from revenue_engine.reports.lists import plain


class Name(StrEnum):
    """The reports that are answered here."""

    DAILY = "daily"


class Part(Told):
    """One table of a report: rows by the keys of its columns, money as decimal strings."""

    key: str
    title: str
    note: str
    rows: list[dict[str, Any]]


class Report(Told):
    """A report of one Nairobi day. ``ties`` says that it ties to the control accounts; else it is not final."""

    name: Name
    day: str
    ties: bool
    parts: list[Part]


class Reports(Told):
    """The names of the reports."""

    data: list[Name]


class Day(Query):
    """Of which day."""

    day: Annotated[date | None, Field(description="A Nairobi day; today where none is given")] = None


def list_reports(session: Session) -> Reports:  # noqa: ARG001 - an endpoint is a function of a session
    """The reports that this API answers."""
    return Reports(data=list(Name))


def show_report(session: Session, name: Name, asked: Annotated[Day, InQuery()]) -> Report:
    """A report of the whole county."""
    day = asked.day or periods.today()
    if day > periods.today():
        raise InvalidValue(f"{day} has not come yet: a report is of today or an earlier day", field="day")
    made = daily.daily(session, day)
    parts = [Part(key=one.key, title=one.title, note=one.note, rows=plain(one)) for one in made.sections]
    return Report(name=name, day=day.isoformat(), ties=made.ties, parts=parts)


def router() -> APIRouter:
    """The endpoints of this page: reports are of the whole county."""
    made = APIRouter(route_class=Door, tags=["reports"])
    reading = Rules("read")
    serve(made, "GET", "/reports", list_reports, rules=reading, answer=Reports)
    serve(
        made,
        "GET",
        "/reports/{name}",
        show_report,
        rules=Rules("read", snapshot=True),
        answer=Report,
        refusals=("invalid_value",),
    )
    return made
