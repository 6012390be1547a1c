"""What is not reconciled: counted by reason, the oldest first, with candidates; each choice is a request.

The row that is worked on is named in the address. After it the next row is shown, and the filters stay.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request
from sqlalchemy.orm import Session
from starlette.responses import Response

from reconciliation import breaks
from reconciliation.breaks import BreakReason, Listed
from reconciliation.runs import leftovers, running
from revenue_engine import payments, periods
from revenue_engine.access import scope, sessions
from revenue_engine.desk import door
from revenue_engine.desk.door import Visit
from revenue_engine.desk.reading import address, asked, file, may, reading, when
from revenue_engine.errors import Conflict, InvalidValue, NotAllowed, NotFound, Rejected
from revenue_engine.money import grouped
from revenue_engine.payments import browsing
from revenue_engine.reports import breaks as lists

MOST = 50
COUNTED = 5_000
"""Breaks of one place that are counted one by one."""
_FILTERS = ("kind", "owner", "money")
_ASKS = ("set", "reverse", "assign", "note")


def _counters(session: Session, found: Sequence[Listed] | None) -> list[dict[str, Any]]:
    """How many wait for each reason, their money and the oldest in days."""
    now = periods.now()
    if found is None:
        parts = [(one.reason, one.items, one.amount, one.oldest_days) for one in breaks.by_owner(session, at=now)]
    else:
        parts = [(one.reason.value, 1, one.amount_minor, max(0, (now - one.occurred_at).days)) for one in found]
    summed: dict[str, list[int]] = {}
    for reason, items, minor, days in parts:
        so_far = summed.setdefault(reason, [0, 0, 0])
        so_far[:] = [so_far[0] + items, so_far[1] + minor, max(so_far[2], days)]
    return [
        {"reason": reason, "items": items, "minor": minor, "days": days}
        for reason, (items, minor, days) in sorted(summed.items(), key=lambda of: -of[1][1])
    ]


def _found(session: Session, said: dict[str, str], *, limit: int) -> list[Listed]:
    return breaks.listed(
        session,
        reasons=[_reason(said["kind"])] if said["kind"] else [],
        owner=said["owner"] or None,
        suspense=said["money"] == "suspense",
        scope=scope.of(session),
        limit=limit,
    )


def _reason(text: str) -> BreakReason:
    return breaks.reason_named(text)


def _list(visit: Visit, session: Session) -> Response:
    said = asked(visit.request, _FILTERS)
    facts: dict[str, Any] = {"title": "Unreconciled", "asked": said, "when": when, "grouped": grouped, "rows": []}
    whole = scope.of(session).is_whole
    every = None if whole else breaks.listed(session, scope=scope.of(session), limit=COUNTED)
    facts |= {"counters": _counters(session, every), "may_take": may(session, "export"), "now": periods.now()}
    facts |= {"address": address, "cut": False, "xlsx": address("/unreconciled.xlsx", said)}
    try:
        found = _found(session, said, limit=MOST + 1)
    except InvalidValue as error:
        return door.page(visit.request, "unreconciled.html", visit=visit, status=422, error=error, **facts)
    facts |= {"cut": len(found) > MOST, "rows": found[:MOST], "names": _names(session, found[:MOST])}
    return door.page(visit.request, "unreconciled.html", visit=visit, **facts)


def _names(session: Session, found: Sequence[Listed]) -> dict[int, str]:
    told = payments.by_ids(session, [one.payment_id for one in found if one.payment_id is not None])
    return {payment_id: one.identity.reference for payment_id, one in told.items()}


def _take(session: Session, visit: Visit, form: str) -> Response:
    within, said = scope.of(session, "export"), asked(visit.request, _FILTERS)
    section = lists.section(
        session,
        reasons=[_reason(said["kind"])] if said["kind"] else [],
        owner=said["owner"] or None,
        suspense=said["money"] == "suspense",
        scope=within,
    )
    return file(section, form, "unreconciled")


def _named(session: Session, name: str) -> Listed:
    """A break of the places that who asks may look at. Raises NotFound for another's, as for none at all."""
    one = breaks.named(session, name)
    if not scope.of(session).holds(one.station_code):
        raise NotFound(f"no break is called {name!r}", break_name=name)
    return one


def _show(visit: Visit, session: Session, name: str, error: Rejected | None = None) -> Response:
    one = _named(session, name)
    said = {name: visit.form.get(name) or visit.request.query_params.get(name, "") for name in _FILTERS}
    left = leftovers.listed(session, [one.payment_id]) if one.payment_id is not None else []
    held = payments.held(session, payment_ids=[one.payment_id]) if one.payment_id is not None else []
    suggested = left[0]["suggestions"] if left and one.closed_at is None else []
    candidates = [{**each, "chips": chips(each["why"])} for each in suggested]
    payment = None
    if one.payment_id is not None:
        public = browsing.public_ids(session, [one.payment_id])[one.payment_id]
        payment = payments.by_id(session, one.payment_id), public
    return door.page(
        visit.request,
        "break.html",
        visit=visit,
        status=200 if error is None else door.status_of(error),
        title="Unreconciled item",
        about=one.number,
        one=one,
        told=lists.describe(session, one.public_id),
        version=breaks.version(session, one.public_id),
        candidates=candidates,
        left=left[0] if left else None,
        payment=payment,
        in_suspense=bool(held) and one.closed_at is None,
        may={each: may(session, each) for each in ("match.ask", "match.reverse.ask", "break.assign")},
        asked=said,
        next=_next(session, one, said),
        back=address("/unreconciled", said),
        address=address,
        sender=browsing.sender(session, one.payment_id) if one.payment_id is not None else None,
        error=error,
        form={name: visit.form.get(name, "") for name in ("bill", "reason", "words", "to")},
        when=when,
        grouped=grouped,
    )


def chips(why: str) -> list[str]:
    """The reasons of a candidate, each by itself."""
    return [part.strip() for part in re.split(r"[;,] (?![^(]*\))", why) if part.strip()]


def _next(session: Session, one: Listed, said: dict[str, str]) -> str:
    """The row after this one of the same list; the list itself after the last."""
    try:
        found = [other.number for other in _found(session, said, limit=1_000)]
    except InvalidValue:
        found = []
    later = found[found.index(one.number) + 1 :] if one.number in found else found
    return address(f"/unreconciled/{later[0]}" if later else "/unreconciled", said)


def _do(request: Request, form: dict[str, str], name: str) -> Response:
    visit = door.admitted(request, form)

    def work(session: Session) -> Response:
        one = _named(session, name)
        said = {each: form.get(each, "") for each in _FILTERS}
        # Who notes something is not through with the item yet, and sees the note
        here = form.get("do") == "note"
        onward = address(f"/unreconciled/{one.number}", said) if here else _next(session, one, said)
        try:
            with door.trying(session):
                made = _ask(session, visit, one)
        except NotAllowed:
            raise
        except (InvalidValue, Conflict, NotFound) as error:
            return _show(visit, session, name, error)
        if made:
            onward += ("&" if "?" in onward else "?") + f"made={quote(made)}"
        return door.away(onward)

    answer: Response = door.done(visit, work)
    return answer


def _ask(session: Session, visit: Visit, one: Listed) -> str:
    """Do what a form asks for; answers the request's public id, or nothing for what needs no second person."""
    form, do = visit.form, visit.form.get("do", "")
    if do.startswith("set:"):
        do, form = "set", {**form, "bill": do.removeprefix("set:")}
    if do not in _ASKS:
        raise InvalidValue("choose what is to be done")
    if do == "note":
        words = door.needed(form, "words", "say what is to be noted")
        door.once(session, visit, ["note", one.public_id, words], lambda: _note(session, visit, one, words))
        return ""
    if do == "assign":
        sessions.must(session, "break.assign")
        seen = form.get("version", "")
        breaks.hold(session, one.public_id, version=int(seen) if seen.isascii() and seen.isdigit() else -1)
        to = door.needed(form, "to", "say who looks from now on: finance, ict, or a login", most=60)
        breaks.assign(session, one.public_id, owner=to, by=visit.me.login)
        return ""
    if one.payment_id is None:
        raise Conflict("no payment belongs to this item: nothing can be set against a bill")
    reference = browsing.public_ids(session, [one.payment_id])[one.payment_id]
    reason = door.needed(form, "reason", "say why: another person reads it")
    if do == "reverse":
        return door.once(
            session, visit, ["reverse", reference, reason], lambda: running.ask_back(session, reference, reason=reason)
        )
    bill = door.needed(form, "bill", "choose a candidate, or type the number of the right bill", most=60)
    return door.once(
        session,
        visit,
        ["set", reference, bill, reason],
        lambda: running.ask(session, reference, bill, reason=reason),
    )


def _note(session: Session, visit: Visit, one: Listed, words: str) -> str:
    breaks.note(session, one.public_id, words=words, by=visit.me.login)
    return one.public_id


def router() -> APIRouter:
    """The pages of what is not reconciled."""
    made = APIRouter()

    @made.get("/unreconciled")
    def listed(request: Request) -> Response:
        return reading(request, _list)

    @made.get("/unreconciled.{form}")
    def take(request: Request, form: str) -> Response:
        return reading(request, lambda visit, session: _take(session, visit, form))

    @made.get("/unreconciled/{name}")
    def show(request: Request, name: str) -> Response:
        return reading(request, lambda visit, session: _show(visit, session, name))

    @made.post("/unreconciled/{name}")
    async def do(request: Request, name: str) -> Response:
        return await door.sent(request, _do, name)

    return made
