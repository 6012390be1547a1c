"""Today in figures, and the close of a day: its controls, prepared by one person and approved by another."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from typing import Any

from fastapi import APIRouter, Request
from sqlalchemy.orm import Session
from starlette.responses import Response

from reconciliation import breaks
from reconciliation.days import closing
from revenue_engine import periods, signed_notes
from revenue_engine.access import audit, scope
from revenue_engine.channels import accounts
from revenue_engine.db import acting_by, transaction
from revenue_engine.desk import door
from revenue_engine.desk.door import Visit
from revenue_engine.desk.reading import FILES, may, reading, when
from revenue_engine.errors import Conflict, InvalidValue, NotAllowed, Rejected
from revenue_engine.money import grouped
from revenue_engine.payments import browsing
from revenue_engine.payments.browsing import Wanted
from revenue_engine.reports import channel_health, daily, render

_HASH = re.compile("[0-9a-f]{64}")
DAYS = 14
"""Days of the chart."""


def _today(visit: Visit, session: Session) -> Response:
    """Received, matched and waiting today, what waits and since when, and when each channel was last heard."""
    within, day = scope.of(session), periods.today()
    begins = datetime.combine(day, time(), periods.NAIROBI)
    ends = begins + timedelta(days=1)
    held = breaks.in_suspense(session)
    received = browsing.summed(session, Wanted(begins, ends, scope=within))
    waiting = browsing.summed(session, Wanted(begins, ends, only=[one for one, _ in held], scope=within))
    channels = [
        (label, *browsing.summed(session, Wanted(begins, ends, account, scope=within)))
        for account, label in sorted(accounts.labels(session).items())
    ]
    oldest = breaks.listed(session, suspense=True, scope=within, limit=1)
    first = begins - timedelta(days=DAYS - 1)
    days = {on: (count, minor) for on, count, minor in browsing.by_day(session, Wanted(first, ends, scope=within))}
    shown = [(on, *days.get(on, (0, 0))) for on in (first.date() + timedelta(days=step) for step in range(DAYS))]
    most = max(minor for _, _, minor in shown)
    best = max(shown, key=lambda each: each[2])
    return door.page(
        visit.request,
        "today.html",
        visit=visit,
        title="Today",
        today=day,
        received=received,
        waiting=waiting,
        matched=(received[0] - waiting[0], received[1] - waiting[1]),
        channels=channels,
        health=channel_health.health(session),
        oldest=oldest[0] if oldest else None,
        days=shown,
        heights=[minor * 100 // most if most else 0 for _, _, minor in shown],
        best=best if most else None,
        now=periods.now(),
        yesterday=day - timedelta(days=1),
        may_take=within.is_whole and may(session, "export"),
        when=when,
        grouped=grouped,
    )


def _day(text: str) -> date:
    if not text:
        return periods.today() - timedelta(days=1)
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise InvalidValue(f"write a day as 2026-11-30, not {text[:20]}", field="day") from error


def _hash(text: str) -> str:
    """What a form says was shown. Raises Conflict for what is no hash: nobody was shown that."""
    if not _HASH.fullmatch(text):
        raise Conflict("this is not what you were shown: look at the day again")
    return text


def _close(visit: Visit, session: Session, error: Rejected | None = None, text: str = "") -> Response:
    said = text or visit.request.query_params.get("day", "")
    facts: dict[str, Any] = {"sheet": None, "day": said, "may": may(session, "day.close"), "grouped": grouped}
    facts |= {"when": when, "reason": visit.form.get("reason", "")}
    try:
        scope.of(session)
        day = _day(said)
        facts["day"] = day.isoformat()
        with door.trying(session):
            facts["sheet"] = closing.show(session, closing.day(day))
    except (InvalidValue, Conflict) as refused:
        error = error or refused
    status = 200 if error is None else door.status_of(error)
    return door.page(visit.request, "close.html", visit=visit, status=status, title="Close a day", error=error, **facts)


def _workbook(request: Request) -> Response:
    """The daily collection summary of a day as the workbook that a person signs: every figure of one moment."""
    visit = door.admitted(request)
    day = _day(request.query_params.get("day", ""))
    if day > periods.today():
        raise InvalidValue(f"{day} has not come yet: a report is of today or an earlier day", field="day")

    def kept(session: Session) -> None:
        if not scope.of(session, "export").is_whole:
            raise NotAllowed("the daily report is of the whole county: ask the treasury")
        audit.record(session, action="export.daily", subject=day.isoformat(), facts={})

    door.done(visit, kept)
    with acting_by(visit.secret), transaction(visit.engine, snapshot=True) as session:
        body = render.render(daily.daily(session, day), "xlsx")
    headers = {"Content-Disposition": f'attachment; filename="daily-{day}.xlsx"'}
    return Response(body, 200, headers, FILES["xlsx"])


def _do(request: Request, form: dict[str, str]) -> Response:
    """Prepare, approve or give up a close. A preparation and an approval want a fresh code."""
    visit, text = door.admitted(request, form), form.get("day", "")
    try:
        span, do = closing.day(_day(text)), form.get("do", "")
        if do == "withdraw":
            reason = door.needed(form, "reason", "say why the close is given up")
            door.done(visit, lambda session: closing.withdraw(session, span, reason=reason))
        elif do == "prepare":
            visit = door.stepped_up(visit)
            with acting_by(visit.secret):
                closing.prepare(visit.engine, span)
        elif do == "approve":
            visit = door.stepped_up(visit)
            folder = request.app.state.keys
            keys = signed_notes.read_keys(folder) if folder.is_dir() else []
            shown = _hash(form.get("shown", ""))
            door.done(visit, lambda session: closing.approve(session, span, shown_sha256=shown, keys=keys))
        else:
            raise InvalidValue("choose what is to be done")
    except NotAllowed:
        raise
    except Rejected as refused:
        error = refused
        answer: Response = door.done(visit, lambda session: _close(visit, session, error, text))
        return door.with_session(request, answer, visit.secret)
    return door.with_session(request, door.away(f"/close?day={span.last_day.isoformat()}"), visit.secret)


def router() -> APIRouter:
    """The pages of a day."""
    made = APIRouter()

    @made.get("/today")
    def today(request: Request) -> Response:
        return reading(request, _today)

    @made.get("/close")
    def show(request: Request) -> Response:
        return reading(request, _close)

    @made.get("/daily.xlsx")
    def workbook(request: Request) -> Response:
        return door.told(request, lambda: _workbook(request))

    @made.post("/close")
    async def do(request: Request) -> Response:
        return await door.sent(request, _do)

    return made
