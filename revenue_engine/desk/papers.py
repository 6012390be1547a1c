"""Printing papers, and what anybody may ask without signing in: is this paper ours, and what is owed."""

from __future__ import annotations

import base64
import json
from importlib.resources import files
from typing import Any, cast

from fastapi import APIRouter, Request
from sqlalchemy import Engine
from sqlalchemy.orm import Session
from starlette.responses import Response

from reconciliation.days import certificates
from revenue_engine import signed_notes
from revenue_engine.access import scope
from revenue_engine.db import transaction
from revenue_engine.desk import door
from revenue_engine.desk.reading import when
from revenue_engine.errors import InvalidValue
from revenue_engine.money import grouped
from revenue_engine.papers import sheets, tokens
from revenue_engine.papers.sheets import Paper
from revenue_engine.reports import papers
from revenue_engine.signed_notes import SigningKey

_SCRIPT = files("revenue_engine.desk").joinpath("static", "verify.js")
_WORKER = files("revenue_engine.desk").joinpath("static", "worker.js")
_WORKING = {"Content-Security-Policy": "default-src 'none'; connect-src 'self'"}
_CHECKING = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; worker-src 'self';"
        " form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
}
_PAPER = {"Content-Security-Policy": "frame-ancestors 'none'; sandbox"}


def _keys(request: Request) -> list[SigningKey]:
    folder = request.app.state.keys
    return signed_notes.read_keys(folder) if folder.is_dir() else []


def _address(request: Request) -> str:
    """Where papers send whoever verifies them."""
    return str(request.app.state.address)


def _print(request: Request, form: dict[str, str], kind: str, number: str) -> Response:
    visit = door.admitted(request, form)

    def work(session: Session) -> Paper:
        within = scope.of(session)
        if kind == "bill":
            return papers.of_bill(session, number, by=visit.me.login, scope=within, address=_address(request))
        return papers.of_receipt(
            session, number, by=visit.me.login, scope=within, keys=_keys(request), address=_address(request)
        )

    size = form.get("size") or "a4"
    if size not in sheets.SIZES:
        raise InvalidValue(f"a paper is printed as {' or '.join(sheets.SIZES)}", field="size")
    paper: Paper = door.done(visit, work)
    headers = {"Content-Disposition": f'inline; filename="{paper.number}.pdf"'}
    return Response(sheets.pdf(paper, size=size), 200, headers, "application/pdf")


def _asking(request: Request) -> Engine:
    request.app.state.pace.spend(request)
    return cast("Engine", request.app.state.engine)


def _verify(request: Request, number: str = "", code: str = "", token: str = "") -> Response:
    """The page that checks a paper: by its number and code here, by its QR in the browser itself."""

    def go() -> Response:
        verdict = None
        if number or code or token:
            with transaction(_asking(request)) as session:
                if token:
                    trusted = [*certificates.published(session), *(key.public for key in _keys(request))]
                    verdict = papers.by_token(session, token, trusted)
                else:
                    verdict = papers.by_code(session, number, code)
        facts: dict[str, Any] = {"number": number[:60], "code": code[:20], "when": when, "grouped": grouped}
        answer = door.page(request, "verify.html", title="Is this paper ours?", verdict=verdict, **facts)
        answer.headers.update(_CHECKING)
        return answer

    return door.told(request, go)


def _published(request: Request) -> Response:
    """The county's keys by their ids, for a browser that checks a token by itself."""

    def go() -> Response:
        with transaction(_asking(request)) as session:
            keys = [*certificates.published(session), *(key.public for key in _keys(request))]
        told = {tokens.key_id(key).hex(): base64.b64encode(key.public).decode() for key in keys}
        return Response(json.dumps(told), 200, {"Cache-Control": "public, max-age=300"}, "application/json")

    return door.told(request, go)


def _owed(request: Request) -> Response:
    def go() -> Response:
        named = request.query_params.get("named", "").strip()[:60]
        facts: dict[str, Any] = {"named": named, "found": None, "paybills": []}
        if not named:
            return door.page(request, "owed.html", title="What is owed?", **facts)
        with transaction(_asking(request)) as session:
            try:
                facts |= {"found": papers.owed(session, named), "paybills": papers.paybills(session)}
            except InvalidValue as error:
                return door.page(request, "owed.html", status=422, title="What is owed?", error=error, **facts)
        return door.page(request, "owed.html", title="What is owed?", **facts)

    return door.told(request, go)


def router() -> APIRouter:
    """The pages of papers."""
    made = APIRouter()

    @made.post("/bills/{number}/paper")
    async def bill(request: Request, number: str) -> Response:
        return await door.sent(request, _print, "bill", number)

    @made.post("/receipts/{number}/paper")
    async def receipt(request: Request, number: str) -> Response:
        return await door.sent(request, _print, "receipt", number)

    @made.get("/static/verify.js")
    def script() -> Response:
        return Response(_SCRIPT.read_bytes(), 200, {"Cache-Control": "public, max-age=3600"}, "text/javascript")

    @made.get("/v/worker.js")
    def worker() -> Response:
        headers = {"Cache-Control": "no-cache", "Service-Worker-Allowed": "/v", **_WORKING}
        return Response(_WORKER.read_bytes(), 200, headers, "text/javascript")

    @made.get("/v")
    def verify(request: Request, number: str = "", code: str = "", token: str = "") -> Response:
        return _verify(request, number, code, token)

    @made.get("/v/keys.json")
    def keys(request: Request) -> Response:
        return _published(request)

    @made.get("/v/{number}/{code}")
    def short(request: Request, number: str, code: str) -> Response:
        return _verify(request, number, code)

    @made.get("/look-up")
    def owed(request: Request) -> Response:
        return _owed(request)

    return made
