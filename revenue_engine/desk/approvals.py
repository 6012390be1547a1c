"""Judgements: exactly what will change and why, agreed to with a fresh code, or refused with a reason."""

from __future__ import annotations

import hmac
from urllib.parse import quote

from fastapi import APIRouter, Request
from sqlalchemy.orm import Session
from starlette.responses import Response

from revenue_engine.access import approvals
from revenue_engine.access.approvals import Request as Asked
from revenue_engine.desk import door, language
from revenue_engine.desk.door import Visit
from revenue_engine.errors import Conflict, InvalidValue, NotFound, Rejected, RevenueError
from revenue_engine.money import wire

MOST = 100
OPEN = ("waiting", "set")
"""Standings that another person may agree to or refuse: what is set was done by one person and waits for a review."""


def _list(request: Request) -> Response:
    visit = door.admitted(request)
    found = door.done(visit, approvals.listed)
    open_to = {one.public_id for one in found[:MOST] if one.stands in OPEN and one.asked_by != visit.me.login}
    facts = {"open_to": open_to, "rows": found[:MOST], "cut": len(found) > MOST, "kinds": language.KINDS, "wire": wire}
    return door.page(request, "approvals.html", visit=visit, title="Approvals", **facts)


def _page(visit: Visit, one: Asked, error: RevenueError | None = None, reason: str = "") -> Response:
    return door.page(
        visit.request,
        "approval.html",
        visit=visit,
        status=200 if error is None else door.status_of(error),
        title="Approval",
        kind=language.KINDS.get(one.kind, one.kind),
        about=one.subject,
        one=one,
        facts=flat(one.facts()),
        amount=None if one.amount_minor is None else wire(one.amount_minor),
        error=error,
        reason=reason,
    )


def flat(value: object, name: str = "") -> list[tuple[str, str]]:
    """What was shown as rows of a table: every value of it, named by its way; cents as shillings."""
    if isinstance(value, dict):
        return [row for key, inner in value.items() for row in flat(inner, f"{name} › {key}" if name else str(key))]
    if isinstance(value, list):
        return [row for at, inner in enumerate(value, 1) for row in flat(inner, f"{name} {at}")]
    if name.endswith("_minor") and type(value) is int:
        return [(name.removesuffix("_minor") + ", KSh", wire(value))]
    return [(name, "" if value is None else str(value))]


def _show(request: Request, approval: str) -> Response:
    visit = door.admitted(request)
    return _page(visit, door.done(visit, lambda session: approvals.one(session, approval)))


def _decide(request: Request, form: dict[str, str], approval: str) -> Response:
    """Agree or refuse. A code that was right has made a new session, whose cookie goes out whatever follows."""
    visit = door.admitted(request, form)
    one: Asked = door.done(visit, lambda session: approvals.one(session, approval))
    try:
        if form.get("do") == "agree":
            visit = door.stepped_up(visit)
        else:
            door.needed(form, "reason", "say why you refuse: who asked reads the reason")
        door.done(visit, lambda session: _judge(session, one, form))
    except Rejected as error:
        return door.with_session(request, _page(visit, one, error, form.get("reason", "")), visit.secret)
    return door.with_session(request, door.away(f"/approvals/{quote(one.public_id)}"), visit.secret)


def _chosen(session: Session, names: list[str]) -> list[Asked]:
    """The requests of a list in the order chosen, each once. Raises InvalidValue for none and for too many."""
    if not 1 <= len(names) <= MOST:
        raise InvalidValue(f"choose between 1 and {MOST} requests")
    waiting = {one.public_id: one for one in approvals.listed(session)}
    found = [waiting[name] for name in dict.fromkeys(names) if name in waiting]
    if len(found) != len(names):
        raise NotFound("a request of this list is unknown: choose again")
    return found


def _list_page(visit: Visit, found: list[Asked], error: RevenueError | None = None) -> Response:
    return door.page(
        visit.request,
        "agreeing.html",
        visit=visit,
        status=200 if error is None else door.status_of(error),
        title="Agree to a list",
        kinds=language.KINDS,
        rows=[(one, flat(one.facts())) for one in found],
        total=wire(sum(one.amount_minor or 0 for one in found)),
        names=" ".join(one.public_id for one in found),
        shown=approvals.list_sha256(found).hex(),
        error=error,
        wire=wire,
    )


def _show_list(request: Request) -> Response:
    visit, names = door.admitted(request), request.query_params.getlist("r")
    return _list_page(visit, door.done(visit, lambda session: _chosen(session, names)))


def _agree_list(request: Request, form: dict[str, str]) -> Response:
    """Agree to all of a list as it was shown, or to nothing of it."""
    visit = door.admitted(request, form)
    names = form.get("requests", "").split()
    found: list[Asked] = door.done(visit, lambda session: _chosen(session, names))
    try:
        if not hmac.compare_digest(form.get("shown", "").encode(), approvals.list_sha256(found).hex().encode()):
            raise Conflict("this is not what you were shown: look at the list again")
        visit = door.stepped_up(visit)
        door.done(visit, lambda session: approvals.agree_list(session, found))
    except Rejected as error:
        return door.with_session(request, _list_page(visit, found, error), visit.secret)
    return door.with_session(request, door.away("/approvals"), visit.secret)


def _judge(session: Session, one: Asked, form: dict[str, str]) -> None:
    if not hmac.compare_digest(form.get("shown", "").encode(), one.shown_sha256.hex().encode()):
        raise Conflict("this is not what you were shown: look at the request again")
    if form.get("do") == "agree":
        approvals.agree(session, one.public_id, shown_sha256=one.shown_sha256)
    else:
        approvals.refuse(session, one.public_id, shown_sha256=one.shown_sha256, reason=form["reason"][:500])


def router() -> APIRouter:
    """The pages of approvals."""
    made = APIRouter()

    @made.get("/approvals")
    def listed(request: Request) -> Response:
        return door.told(request, lambda: _list(request))

    @made.get("/approvals/list")
    def show_list(request: Request) -> Response:
        return door.told(request, lambda: _show_list(request))

    @made.post("/approvals/list")
    async def agree_list(request: Request) -> Response:
        return await door.sent(request, _agree_list)

    @made.get("/approvals/{approval}")
    def show(request: Request, approval: str) -> Response:
        return door.told(request, lambda: _show(request, approval))

    @made.post("/approvals/{approval}")
    async def decide(request: Request, approval: str) -> Response:
        return await door.sent(request, _decide, approval)

    return made
