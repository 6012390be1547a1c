"""Payments: looked through by what the address says, taken away, and the whole way of one from its raw message on."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request
from sqlalchemy.orm import Session
from starlette.responses import Response

from revenue_engine import periods
from revenue_engine.access import audit, scope, sessions
from revenue_engine.channels import accounts
from revenue_engine.collection import money_moves
from revenue_engine.desk import door
from revenue_engine.desk.door import Visit
from revenue_engine.desk.reading import address, asked, file, may, reading, when
from revenue_engine.errors import Conflict, InvalidValue, NotAllowed, NotFound
from revenue_engine.money import grouped
from revenue_engine.payments import browsing
from revenue_engine.reports import payments

MOST = 50


def _list(visit: Visit, session: Session) -> Response:
    said = asked(visit.request, payments.FIELDS)
    facts: dict[str, Any] = {"title": "Payments", "asked": said, "states": payments.STATES, "rows": [], "more": None}
    facts |= {"channels": sorted(accounts.labels(session).values()), "count": 0, "sum": "0.00", "from_here": False}
    facts |= {"may_take": may(session, "export"), "csv": "", "xlsx": "", "when": when, "grouped": grouped}
    facts["week"] = address("/payments", {"since": (periods.today() - timedelta(days=6)).isoformat()})
    after = visit.request.query_params.get("after", "")
    try:
        wanted = payments.wanted_of(session, said, scope=scope.of(session))
        last = _after(after)
    except InvalidValue as error:
        return door.page(visit.request, "payments.html", visit=visit, status=422, error=error, **facts)
    found = browsing.listed(session, wanted, after=last, limit=MOST + 1)
    facts["asked"] = {
        **said,
        "since": wanted.since.astimezone(periods.NAIROBI).date().isoformat(),
        "until": said["until"] or said["since"] or periods.today().isoformat(),
    }
    facts["count"], minor = browsing.summed(session, wanted)
    facts |= {"sum": grouped(minor), "from_here": bool(after)}
    facts |= {form: address(f"/payments.{form}", said) for form in ("csv", "xlsx")}
    if len(found) > MOST:
        end = found[MOST - 1]
        facts["more"] = address("/payments", {**said, "after": f"{end.occurred_at.isoformat()}~{end.id}"})
    facts["rows"] = payments.section(session, found[:MOST]).rows
    return door.page(visit.request, "payments.html", visit=visit, **facts)


def _after(text: str) -> tuple[datetime, int] | None:
    if not text:
        return None
    at, _, last = text.partition("~")
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or not (last.isascii() and last.isdigit() and len(last) <= 18):
        raise InvalidValue("this page of the list is unknown: begin at the newest payment", field="since")
    return moment, int(last)


def _take(visit: Visit, session: Session, form: str) -> Response:
    within = scope.of(session, "export")
    said = asked(visit.request, payments.FIELDS)
    section = payments.to_take_away(session, payments.wanted_of(session, said, scope=within))
    audit.record(session, action="export.payments", subject=form, facts={k: v for k, v in said.items() if v})
    return file(section, form, "payments")


def _show(
    visit: Visit, session: Session, name: str, error: InvalidValue | Conflict | NotFound | None = None
) -> Response:
    way = payments.way(session, name, scope=scope.of(session))
    may_look = sessions.may(session, "payer.unmask")
    seen = may_look and visit.form.get("do") == "phone"
    return door.page(
        visit.request,
        "payment.html",
        visit=visit,
        status=200 if error is None else 422,
        title="Payment",
        about=way.home.payment.identity.reference,
        way=way,
        phone=_phone(way.sender.phone, unmasked=seen),
        may_look=may_look and not seen and _phone(way.sender.phone, unmasked=False) != way.sender.phone != "",
        may_raw=may_look,
        may_move=not way.home.taken_back and may(session, "match.ask"),
        error=error,
        form={name: visit.form.get(name, "") for name in ("bill", "reason")},
        when=when,
        grouped=grouped,
    )


_LONGEST_PHONE = 15
"""Figures of a phone anywhere. What is longer is the provider's own hash of one, which says nothing to a person."""


def _phone(phone: str, *, unmasked: bool) -> str:
    """A phone as who asks may read it: without its middle, unless they may see it whole."""
    if len(phone.lstrip("+")) > _LONGEST_PHONE and "*" not in phone:
        return ""
    return phone if unmasked or len(phone) < 9 or "*" in phone else f"{phone[:5]}•••{phone[-3:]}"


def _look(request: Request, form: dict[str, str], name: str) -> Response:
    """The same page with the phone as it is. That somebody looked is kept."""
    visit = door.admitted(request, form)

    def look(session: Session) -> Response:
        sessions.must(session, "payer.unmask")
        way = payments.way(session, name, scope=scope.of(session))
        audit.record(session, action="payer.unmask", subject=way.public_id)
        return _show(visit, session, name)

    answer: Response = door.done(visit, look)
    return answer


def _raw(session: Session, name: str, delivery: str) -> Response:
    """The message as it came, as text that no browser runs. That somebody looked is kept."""
    if not (delivery.isascii() and delivery.isdigit() and len(delivery) <= 18):
        raise NotFound("no raw message of this payment is at this address")
    body = payments.raw_of(session, name, int(delivery), scope=scope.of(session))
    headers = {"Content-Disposition": f'inline; filename="delivery-{delivery}.txt"'}
    return Response(body, 200, headers, "text/plain; charset=utf-8")


def _move(request: Request, form: dict[str, str], name: str) -> Response:
    visit = door.admitted(request, form)

    def ask(session: Session) -> Response:
        try:
            bill = door.needed(form, "bill", "type the account number or the number of the right bill", most=60)
            reason = door.needed(form, "reason", "say why the money belongs to that bill")
            payments.way(session, name, scope=scope.of(session))
            with door.trying(session):
                made = door.once(
                    session,
                    visit,
                    ["move", name, bill, reason],
                    lambda: money_moves.ask(session, name, bill, reason=reason),
                )
        except NotAllowed:
            raise
        except (InvalidValue, Conflict, NotFound) as error:
            return _show(visit, session, name, error)
        return door.away(f"/approvals/{quote(made)}")

    answer: Response = door.done(visit, ask)
    return answer


def router() -> APIRouter:
    """The pages of payments."""
    made = APIRouter()

    @made.get("/payments")
    def listed(request: Request) -> Response:
        return reading(request, _list)

    @made.get("/payments.{form}")
    def take(request: Request, form: str) -> Response:
        return reading(request, lambda visit, session: _take(visit, session, form))

    @made.get("/payments/{name:path}/raw/{delivery}")
    def raw(request: Request, name: str, delivery: str) -> Response:
        return reading(request, lambda _, session: _raw(session, name, delivery))

    @made.get("/payments/{name:path}")
    def show(request: Request, name: str) -> Response:
        return reading(request, lambda visit, session: _show(visit, session, name))

    @made.post("/payments/{name:path}/phone")
    async def look(request: Request, name: str) -> Response:
        return await door.sent(request, _look, name)

    @made.post("/payments/{name:path}/move")
    async def move(request: Request, name: str) -> Response:
        return await door.sent(request, _move, name)

    return made
