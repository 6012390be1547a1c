"""The application: every endpoint under /api/v1, its description, and the pages that explain it."""

from __future__ import annotations

from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from sqlalchemy import Engine
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp

from revenue_engine import __version__
from revenue_engine.api import approvals, bills, books, differences, lookups, pages, registers, reporting, signing
from revenue_engine.api.envelope import Envelope
from revenue_engine.api.pace import Pace
from revenue_engine.api.problems import Problem, ProblemBody, answer, of_validation

BASE = "/api/v1"
ROUTERS = (signing, bills, registers, approvals, differences, lookups, reporting, books)
_OF_STATUS = {404: "no_such_address", 405: "method_not_allowed"}
log = structlog.get_logger("api")


def make(engine: Engine, *, pace: Pace | None = None) -> ASGIApp:
    """The whole application on a database by the api's own login."""
    app = FastAPI(
        title="Revenue engine",
        version=__version__,
        description="Bills, payments and what became of every shilling. Money is decimal strings of shillings.",
        openapi_url=f"{BASE}/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.engine, app.state.pace = engine, pace or Pace()
    for page in ROUTERS:
        app.include_router(page.router(), prefix=BASE)
    app.include_router(pages.router())
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _fault)
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]
    return Envelope(app)


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI description, true to the wire: refusals are problem+json and ways to sign in are named."""
    if app.openapi_schema is None:
        found = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        parts = found.setdefault("components", {})
        body = ProblemBody.model_json_schema(ref_template="#/components/schemas/{model}")
        parts.setdefault("schemas", {}).update(body.pop("$defs", {}), ProblemBody=body)
        parts["schemas"].pop("HTTPValidationError", None)
        parts["schemas"].pop("ValidationError", None)
        parts["securitySchemes"] = {
            "session": {"type": "apiKey", "in": "cookie", "name": "__Host-sid"},
            "token": {"type": "http", "scheme": "bearer"},
        }
        found["security"] = [{"session": []}, {"token": []}]
        app.openapi_schema = found
    return app.openapi_schema


def _refused(request: Request, problem: Problem) -> Response:
    return answer(problem, instance=request.url.path, request_id=request.state.request_id)


def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101 - registered for it
    return _refused(request, error)


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for it
    return _refused(request, of_validation(error.errors()))


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it
    code = _OF_STATUS.get(error.status_code, "invalid_json" if error.status_code == 400 else "internal_error")
    says = {
        "no_such_address": "Nothing is at this address: see /api/v1/openapi.json.",
        "method_not_allowed": "This address does not take this method.",
        "invalid_json": "The body is not JSON that this API reads.",
    }
    headers = dict(error.headers or {})
    return _refused(request, Problem(code, says.get(code, "The engine failed at this request."), headers=headers))


def _fault(request: Request, error: Exception) -> Response:
    log.error("fault", kind=type(error).__name__)
    return _refused(request, Problem("internal_error", "The engine failed; tell the county's ICT the request id."))
