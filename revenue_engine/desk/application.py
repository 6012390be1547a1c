"""The desk as an application: every page, its headers, and the style sheet."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.resources import files
from pathlib import Path

import structlog
from fastapi import FastAPI, Request
from sqlalchemy import Engine
from starlette.exceptions import HTTPException
from starlette.responses import Response

from revenue_engine import bootstrap
from revenue_engine.desk import approvals, bills, close, door, papers, payments, signing, statements, unreconciled
from revenue_engine.desk.pace import Pace
from revenue_engine.errors import NotFound, Rejected

log = structlog.get_logger("desk")
_STYLE = files("revenue_engine.desk").joinpath("static", "desk.css")


def make(engine: Engine, *, https: bool, address: str = "http://localhost", keys: Path | None = None) -> FastAPI:
    """The whole desk on a database by the api's own login; ``https``: browsers reach it by TLS.

    ``address`` is where they reach it, for the codes of papers; ``keys`` is the folder of the keys that sign them.
    """
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.engine, app.state.https, app.state.readers = engine, https, bootstrap.statement_readers
    app.state.address, app.state.keys, app.state.pace = address, keys or bootstrap.seal_dir(), Pace()
    style = _STYLE.read_bytes()

    @app.middleware("http")
    async def headers(request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await call(request)
        for name, value in door.HEADERS.items():
            response.headers.setdefault(name, value)
        if https:
            response.headers["Strict-Transport-Security"] = "max-age=31536000"
        return response

    @app.get("/static/desk.css")
    def sheet() -> Response:
        return Response(style, 200, {"Cache-Control": "public, max-age=3600"}, "text/css; charset=utf-8")

    @app.get("/favicon.ico")
    def no_icon() -> Response:
        return Response(status_code=204, headers={"Cache-Control": "public, max-age=86400"})

    for room in (signing, bills, payments, unreconciled, statements, papers, approvals, close):
        app.include_router(room.router())
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _fault)
    return app


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it
    answer = door.refused(request, NotFound("no page is at this address: begin at the search"))
    answer.status_code = error.status_code
    return answer


def _fault(request: Request, error: Exception) -> Response:
    log.error("fault", kind=type(error).__name__)
    answer = door.refused(request, Rejected("the desk failed at this page; nothing was done: tell the county's ICT"))
    answer.status_code = 500
    answer.headers.update(door.HEADERS)
    return answer
