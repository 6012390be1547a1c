"""The search, and bills: listed, issued by the tariff, shown with what paid them, and asked to be cancelled."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Request
from sqlalchemy.orm import Session
from starlette.responses import Response

from revenue_engine import periods
from revenue_engine.access import scope, sessions
from revenue_engine.billing import counter, invoices, tariffs
from revenue_engine.desk import door
from revenue_engine.desk.door import Visit
from revenue_engine.desk.reading import may, reading
from revenue_engine.errors import InvalidValue, NotAllowed, NotFound, NotSignedIn, Rejected
from revenue_engine.money import grouped, parse_wire, wire
from revenue_engine.payments import browsing
from revenue_engine.reports import bills, payment_search

NEW = "/bills/new"
MOST = 50
_FIELDS = ("item", "quantity", "station", "name", "phone")
_FILTERS = ("state", "stream", "named", "before")


def _search(visit: Visit, session: Session) -> Response:
    words = visit.request.query_params.get("q", "").strip()
    if not words:
        return door.page(visit.request, "search.html", visit=visit, title="Search", q="", found=None, bills=[])
    try:
        answer = payment_search.find(session, words, scope=scope.of(session))
        named = _named(session, answer.asked.words) if answer.asked.words else []
    except InvalidValue as error:
        facts: dict[str, Any] = {"title": "Search", "q": words, "found": None, "bills": [], "error": error}
        return door.page(visit.request, "search.html", visit=visit, status=422, **facts)
    return door.page(
        visit.request,
        "search.html",
        visit=visit,
        title="Search",
        q=words,
        found=answer,
        bills=_rows(named),
        wire=grouped,
        ids=browsing.public_ids(session, [one.home.payment.id for one in answer.found]),
    )


def _named(session: Session, words: str) -> list[counter.BillRow]:
    return counter.listed(session, words=words, limit=20, scope=scope.of(session))


def _within(session: Session, number: str) -> dict[str, Any]:
    """A bill of the places that who asks may look at. Raises NotFound for another's, as for none at all."""
    bill = bills.describe(session, number)
    if not scope.of(session).holds(bill["station"]):
        raise NotFound(f"no bill {number!r}", number=number)
    return bill


def _rows(found: list[counter.BillRow]) -> list[dict[str, Any]]:
    return [
        {
            "number": one.number,
            "account": _printed(one.pay_account_number),
            "state": one.state,
            "what": " ".join(part for part in (one.stream, one.station, one.thing) if part),
            "total": wire(one.total_minor),
            "left": wire(one.outstanding_minor),
            "due": one.due_on.isoformat(),
        }
        for one in found
    ]


def _printed(account: str) -> str:
    return f"{account[:3]} {account[3:6]} {account[6:]}"


def _list(visit: Visit, session: Session) -> Response:
    asked = {name: visit.request.query_params.get(name, "").strip() for name in _FILTERS}
    before = asked["before"]
    facts: dict[str, Any] = {"title": "Bills", "asked": asked, "states": counter.STATES, "rows": [], "more": None}
    facts["may_issue"] = may(session, "bill.issue")
    facts["streams"] = sorted(tariffs.streams(session))
    if before and not (before.isascii() and before.isdigit() and len(before) <= 18):
        error = InvalidValue("this page of the list is unknown: begin at the newest bill", field="before")
        return door.page(visit.request, "bills.html", visit=visit, status=422, error=error, **facts)
    try:
        found = counter.listed(
            session,
            words=asked["named"] or None,
            state=counter.state_named(asked["state"] or None),
            stream=asked["stream"] or None,
            before=int(before) if before else None,
            limit=MOST + 1,
            scope=scope.of(session),
        )
    except InvalidValue as error:
        return door.page(visit.request, "bills.html", visit=visit, status=422, error=error, **facts)
    if len(found) > MOST:
        facts["more"] = "/bills?" + urlencode({**asked, "before": str(found[MOST - 1].id)})
    facts["rows"] = _rows(found[:MOST])
    return door.page(visit.request, "bills.html", visit=visit, **facts)


def _show(visit: Visit, session: Session, number: str) -> Response:
    bill = _within(session, number)
    place = counter.sub_county(session, bill["station"])
    may_cancel = bill["state"] in ("unpaid", "overdue") and sessions.may(session, "bill.cancel.ask", place=place)
    return door.page(
        visit.request,
        "bill.html",
        visit=visit,
        title="Bill",
        about=bill["number"],
        bill=bill,
        may_cancel=may_cancel,
        reason="",
    )


def new_page(
    visit: Visit, values: Mapping[str, str], error: Exception | None = None, priced: dict[str, str] | None = None
) -> Response:
    """The form of a new bill, with what was typed. ``priced`` is what the tariff makes of it, and by which law."""

    def read(session: Session) -> Response:
        today = periods.today()
        return door.page(
            visit.request,
            "new_bill.html",
            visit=visit,
            status=200 if error is None else 422,
            title="New bill",
            error=error,
            field=getattr(error, "facts", {}).get("field", ""),
            values={name: values.get(name, "") for name in _FIELDS},
            key=values.get("key") or None,
            priced=priced,
            items=tariffs.in_force(session, on=today),
            stations=tariffs.stations(session),
            wire=wire,
        )

    answer: Response = door.done(visit, read)
    return answer


def _quantity(form: Mapping[str, str]) -> int:
    text = form.get("quantity", "") or "1"
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:8]) <= 1_000_000):
        raise InvalidValue("give a quantity from 1 to 1000000, in figures", field="quantity")
    return int(text)


def _priced(session: Session, form: Mapping[str, str], on: date) -> dict[str, str]:
    """What the tariff in force makes of a form. Raises what assessing raises."""
    sessions.must(session, "bill.issue", place=counter.sub_county(session, form.get("station") or None))
    item = form.get("item", "").upper()
    if not item:
        raise InvalidValue("choose what the bill is for", field="item")
    line = tariffs.assess(session, item_code=item, quantity=_quantity(form), on=on)
    (tariff,) = tariffs.in_force(session, on=on, item_code=item)
    return {
        "total": wire(line.amount_minor),
        "why": f"{line.quantity} × {wire(line.unit_amount_minor)} a {tariff.unit}: {tariff.name}",
        "law": tariff.law,
    }


def _issue(request: Request, form: dict[str, str]) -> Response:
    visit = door.admitted(request, form)
    try:
        if form.get("do") != "issue":
            priced = door.done(visit, lambda session: _priced(session, form, periods.today()))
            return new_page(visit, form, priced=priced)
        number = door.done(visit, lambda session: _issue_once(session, visit, form))
    except Rejected as error:
        if isinstance(error, NotAllowed | NotSignedIn):
            raise
        if error.facts.get("field") == "key":  # used for another bill: what is typed now is a new one
            form = {**form, "key": ""}
        return new_page(visit, form, error)
    return door.away(f"/bills/{quote(number)}")


def _issue_once(session: Session, visit: Visit, form: Mapping[str, str]) -> str:
    """Issue the bill of a form, once for its key; the same form sent again answers the same bill."""
    station = form.get("station") or None
    sessions.must(session, "bill.issue", place=counter.sub_county(session, station))
    said = [NEW, *(form.get(name, "") for name in _FIELDS), form.get("expected", "")]

    def issue() -> str:
        bill = counter.issue_from_items(
            session,
            items=[f"{form.get('item', '').upper()}:{_quantity(form)}"],
            by=visit.me.login,
            name=form.get("name") or None,
            phone=form.get("phone") or None,
            station_code=station,
            expected_minor=parse_wire(form.get("expected", "")),
        )
        return str(bill["number"])

    return door.once(session, visit, said, issue)


def _reason(form: Mapping[str, str]) -> str:
    if not form.get("reason"):
        raise InvalidValue("say why the bill is to be cancelled", field="reason")
    return form["reason"][:500]


def _cancel(request: Request, form: dict[str, str], number: str) -> Response:
    visit = door.admitted(request, form)

    def ask(session: Session) -> Response:
        bill = _within(session, number)
        try:
            reason = _reason(form)
            with door.trying(session):
                asked = invoices.ask_cancel(session, bill["number"], reason=reason)
        except InvalidValue as error:
            facts: dict[str, Any] = {"bill": bill, "may_cancel": True, "error": error, "reason": form.get("reason", "")}
            return door.page(request, "bill.html", visit=visit, status=422, title="Bill", about=bill["number"], **facts)
        return door.away(f"/approvals/{quote(asked)}")

    answer: Response = door.done(visit, ask)
    return answer


def _new(request: Request) -> Response:
    def go() -> Response:
        visit = door.admitted(request)
        door.done(visit, lambda session: scope.of(session, "bill.issue"))
        return new_page(visit, {})

    return door.told(request, go)


def router() -> APIRouter:
    """The pages of search and bills."""
    made = APIRouter()

    @made.get("/")
    def search(request: Request) -> Response:
        return reading(request, _search)

    @made.get("/bills")
    def listed(request: Request) -> Response:
        return reading(request, _list)

    made.add_api_route(NEW, _new, methods=["GET"], response_model=None)

    @made.post(NEW)
    async def issue(request: Request) -> Response:
        return await door.sent(request, _issue)

    @made.get("/bills/{number}")
    def show(request: Request, number: str) -> Response:
        return reading(request, lambda visit, session: _show(visit, session, number))

    @made.post("/bills/{number}/cancellation")
    async def cancel(request: Request, number: str) -> Response:
        return await door.sent(request, _cancel, number)

    return made
