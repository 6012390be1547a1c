"""Statement files: brought with a preview and their control total, and agreed to by another who does not see them."""

from __future__ import annotations

import hashlib
from io import BytesIO
from typing import Any

from fastapi import APIRouter, Request
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.responses import Response

from revenue_engine.access import sessions
from revenue_engine.channels import accounts, deliveries
from revenue_engine.desk import door
from revenue_engine.desk.door import Visit
from revenue_engine.desk.reading import may, reading, when
from revenue_engine.errors import Conflict, InvalidValue, NotAllowed, NotFound, Rejected
from revenue_engine.money import grouped, parse_wire
from revenue_engine.ports.callbacks import Purpose
from revenue_engine.ports.statements import StatementRefused
from revenue_engine.statements import by_hand, imported
from revenue_engine.statements.preview import Preview, control_total

LARGEST = 50 * 1024 * 1024
"""Bytes of a file that a browser brings; larger ones come by 'statement import'."""
SHOWN = 20


def _page(visit: Visit, session: Session, error: Rejected | None = None, **more: Any) -> Response:
    channels = accounts.channels(session)
    labels = accounts.labels(session)
    facts: dict[str, Any] = {
        "waiting": by_hand.waiting(session),
        "books": imported.listed(session, limit=SHOWN),
        "accounts": sorted((labels[each], each) for each in channels),
        "labels": labels,
        "may": {each: may(session, each) for each in ("statement.bring", "statement.attest", "statement.gap.agree")},
        "brought": None,
        "done": visit.request.query_params.get("done", ""),
        "error_at": 0,
        "form": {each: visit.form.get(each, "") for each in ("account", "gap", "closing")},
        "control_total": control_total,
        "when": when,
        "grouped": grouped,
        **more,
    }
    status = 200 if error is None else door.status_of(error)
    return door.page(
        visit.request, "statements.html", visit=visit, title="Statements", status=status, error=error, **facts
    )


def _bring(request: Request, form: dict[str, str], name: str, body: bytes) -> Response:
    visit = door.admitted(request, form)
    preview = Preview(request.app.state.readers())

    def work(session: Session) -> Response:
        try:
            sessions.must(session, "statement.bring")
            _whole(session, form, body)
            preview.read(BytesIO(body), name)
            with door.trying(session):
                kept = door.once(session, visit, _said(form, body), lambda: _keep(session, form, name, body))
        except NotAllowed:
            raise
        except StatementRefused as refused:
            return _page(visit, session, InvalidValue(f"{name}: {refused.message}", field="file"))
        except (InvalidValue, Conflict, NotFound) as error:
            return _page(visit, session, error)
        return _page(visit, session, brought=int(kept), preview=preview)

    answer: Response = door.done(visit, work)
    return answer


def _whole(session: Session, form: dict[str, str], body: bytes) -> None:
    """Raise InvalidValue for a form without its file or its account."""
    if not body:
        raise InvalidValue("choose the statement file as it was downloaded", field="file")
    account = form.get("account", "")
    if not (account.isascii() and account.isdigit() and int(account[:18]) in accounts.channels(session)):
        raise InvalidValue("choose the account that the statement is of", field="account")


def _said(form: dict[str, str], body: bytes) -> list[str]:
    return ["statement", form.get("account", ""), form.get("gap", ""), hashlib.sha256(body).hexdigest()]


def _keep(session: Session, form: dict[str, str], name: str, body: bytes) -> str:
    headers = {"filename": name} | ({"gap_accepted": form["gap"]} if form.get("gap") else {})
    kept = deliveries.keep(
        session,
        channel_account_id=int(form["account"]),
        purpose=Purpose.STATEMENT,
        body=body,
        headers=headers,
    )
    return str(kept)


def _decide(request: Request, form: dict[str, str], delivery: str) -> Response:
    """Enter the closing balance with a fresh code, or take one's own file back."""
    visit = door.admitted(request, form)
    number = int(delivery) if delivery.isascii() and delivery.isdigit() and len(delivery) <= 18 else -1
    try:
        if form.get("do") == "drop":
            door.done(visit, lambda session: by_hand.drop(session, number))
            return door.away("/statements?done=dropped")
        minor = _balance(form)
        visit, gap = door.stepped_up(visit), form.get("gap_agreed") == "yes"
        verdict = door.done(visit, lambda session: by_hand.enter(session, number, minor, gap=gap))
        if verdict == "differs":
            words = "this is not what the file closes with: nothing is booked, and both figures are kept"
            raise Conflict(words, field="closing")
    except NotAllowed:
        raise
    except Rejected as error:
        shown = error
        answer: Response = door.done(visit, lambda session: _page(visit, session, shown, error_at=number))
        return door.with_session(request, answer, visit.secret)
    return door.with_session(request, door.away(f"/statements?done={verdict}"), visit.secret)


def _balance(form: dict[str, str]) -> int:
    text = door.needed(form, "closing", "type the figure as you see it at the bank or the portal", most=30)
    bare = text.replace(",", "").replace(" ", "").replace("−", "-")
    try:
        minor = parse_wire(bare.removeprefix("-") if "." in bare else f"{bare.removeprefix('-')}.00")
    except InvalidValue as error:
        raise InvalidValue(f"write the figure as 1250.00, not {text}", field="closing") from error
    return -minor if bare.startswith("-") else minor


async def _received(request: Request) -> Response:
    """A form with a file: read within bounds, then worked on apart from other requests."""
    length = request.headers.get("content-length", "")
    if not length.isdigit() or int(length) > LARGEST:
        raise InvalidValue(f"a file has at most {LARGEST // 1024 // 1024} MB here: bring it by 'statement import'")
    try:
        async with request.form(max_files=1, max_fields=10, max_part_size=door.LARGEST_FORM) as sent:
            brought = sent.get("file")
            body = await brought.read() if isinstance(brought, UploadFile) else b""
            name = (brought.filename or "") if isinstance(brought, UploadFile) else ""
            form = {key: value.strip() for key, value in sent.multi_items() if isinstance(value, str)}
    except HTTPException as error:
        raise InvalidValue("this form cannot be read: open the page again") from error
    name = "".join(each for each in name if each.isprintable())[-200:]
    return await run_in_threadpool(door.told, request, lambda: _bring(request, form, name, body), form)


def router() -> APIRouter:
    """The pages of statements."""
    made = APIRouter()

    @made.get("/statements")
    def listed(request: Request) -> Response:
        return reading(request, _page)

    @made.post("/statements")
    async def bring(request: Request) -> Response:
        try:
            return await _received(request)
        except InvalidValue as error:
            return door.refused(request, error)

    @made.post("/statements/{delivery}")
    async def decide(request: Request, delivery: str) -> Response:
        return await door.sent(request, _decide, delivery)

    return made
