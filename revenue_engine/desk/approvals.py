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
from revenue_engine.errors import Conflict, Rejected, RevenueError
from revenue_engine.money import wire

MOST = 100


def _list(request: Request) -> Response:
    visit = door.admitted(request)
    found = door.done(visit, approvals.listed)
    facts = {"rows": found[:MOST], "cut": len(found) > MOST, "kinds": language.KINDS, "wire": wire}
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

    @made.get("/approvals/{approval}")
    def show(request: Request, approval: str) -> Response:
        return door.told(request, lambda: _show(request, approval))

    @made.post("/approvals/{approval}")
    async def decide(request: Request, approval: str) -> Response:
        return await door.sent(request, _decide, approval)

    return made
