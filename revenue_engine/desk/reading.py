"""What pages share that only read: who may read, filters from the address, times as people say them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from urllib.parse import urlencode

from fastapi import Request
from sqlalchemy.orm import Session
from starlette.responses import Response

from revenue_engine import periods
from revenue_engine.access import scope
from revenue_engine.desk import door
from revenue_engine.desk.door import Visit
from revenue_engine.errors import InvalidValue, NotAllowed, StaleFactor
from revenue_engine.reports import lists
from revenue_engine.reports.model import Section

FILES = {"csv": "text/csv; charset=utf-8", "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}


def reading(request: Request, work: Callable[[Visit, Session], Response], *, permission: str = "read") -> Response:
    """A page that only reads: who asks must be signed in and may read."""

    def go() -> Response:
        visit = door.admitted(request)

        def read(session: Session) -> Response:
            scope.of(session, permission)  # a person of one sub-county reads what is there
            return work(visit, session)

        answer: Response = door.done(visit, read)
        return answer

    return door.told(request, go)


def may(session: Session, permission: str) -> bool:
    """Whether who asks may do something anywhere: what they may not is not offered."""
    try:
        with door.trying(session):
            scope.of(session, permission)
    except (NotAllowed, StaleFactor):
        return False
    return True


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


def file(section: Section, form: str, name: str) -> Response:
    """A list as a file to take away."""
    if form not in FILES:
        raise InvalidValue("a list is taken away as csv or xlsx")
    headers = {"Content-Disposition": f'attachment; filename="{name}.{form}"'}
    return Response(lists.render(section, form), 200, headers, FILES[form])
