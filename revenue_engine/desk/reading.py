"""What pages share that only read: who may read, filters from the address, times as people say them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from urllib.parse import urlencode

from fastapi import Request
from sqlalchemy.orm import Session
from starlette.responses import Response

from revenue_engine import periods
from revenue_engine.access import sessions
from revenue_engine.desk import door
from revenue_engine.desk.door import Visit
from revenue_engine.errors import NotAllowed
from revenue_engine.reports import lists
from revenue_engine.reports.model import Section

_FILES = {"csv": "text/csv; charset=utf-8", "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}


def reading(request: Request, work: Callable[[Visit, Session], Response], *, permission: str = "read") -> Response:
    """A page that only reads: who asks must be signed in and may read."""

    def go() -> Response:
        visit = door.admitted(request)

        def read(session: Session) -> Response:
            sessions.must(session, permission)
            return work(visit, session)

        answer: Response = door.done(visit, read)
        return answer

    return door.told(request, go)


def asked(request: Request, names: Sequence[str]) -> dict[str, str]:
    """The filters of an address, each a word or empty."""
    return {name: request.query_params.get(name, "").strip()[:100] for name in names}


def address(path: str, said: Mapping[str, str]) -> str:
    """A page with its filters, so that the address can be sent to somebody."""
    query = urlencode({name: value for name, value in said.items() if value})
    return path + (f"?{query}" if query else "")


def when(moment: datetime | None) -> str:
    """An instant as people say it, in Nairobi: ``21 Nov 2026, 10:02``."""
    return "" if moment is None else moment.astimezone(periods.NAIROBI).strftime("%-d %b %Y, %H:%M")


def file(session: Session, section: Section, form: str, name: str) -> Response:
    """A list as a file to take away, for who may take reports out of the system."""
    sessions.must(session, "export")
    if form not in _FILES:
        raise NotAllowed("a list is taken away as csv or xlsx")
    headers = {"Content-Disposition": f'attachment; filename="{name}.{form}"'}
    return Response(lists.render(section, form), 200, headers, _FILES[form])
