"""Pages beside the API: the description tried out by hand, what each refusal means, and whether the process is well."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files

from fastapi import APIRouter, Request
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

import migrations
from revenue_engine import db
from revenue_engine.access import sessions
from revenue_engine.api import calls, problems
from revenue_engine.billing import tariffs
from revenue_engine.db import acting_by, transaction
from revenue_engine.errors import NotSignedIn, RevenueError
from revenue_engine.reports import metrics

_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Revenue engine: API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css"></head>
<body><p><a href="/docs/errors">What each error code means</a></p><div id="api"></div>
<script src="/docs/swagger-ui-bundle.js"></script><script src="/docs/start.js"></script></body></html>
"""
_START = """SwaggerUIBundle({url: "/api/v1/openapi.json", dom_id: "#api", deepLinking: false, validatorUrl: null,
  requestInterceptor: function (asked) {
    if (asked.method !== "GET" && window.csrfToken) { asked.headers["X-CSRF-Token"] = window.csrfToken; }
    return asked;
  },
  responseInterceptor: function (told) {
    if (told.url && told.url.endsWith("/session") && told.body && told.body.csrf_token) {
      window.csrfToken = told.body.csrf_token;
    }
    return told;
  }});
"""
_ASSETS = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript"}


def router() -> APIRouter:
    """The pages; none of them is part of the API's description."""
    made = APIRouter(include_in_schema=False)

    @made.get("/docs")
    def docs() -> Response:
        return _page(_PAGE, "text/html; charset=utf-8")

    @made.get("/docs/start.js")
    def start() -> Response:
        return _page(_START, "text/javascript")

    @made.get("/docs/errors")
    def errors() -> Response:
        return _page(problems.page(), "text/plain; charset=utf-8")

    @made.get("/livez")
    def livez() -> Response:
        return Response("live\n", 200, media_type="text/plain")

    @made.get("/readyz")
    def readyz(request: Request) -> Response:
        return _ready(calls.engine_of(request))

    made.add_api_route("/metrics", _metrics, methods=["GET"])

    for name, kind in _ASSETS.items():
        made.add_api_route(f"/docs/{name}", _asset(name, kind), methods=["GET"])
    return made


def _ready(engine: Engine) -> Response:
    """Ready where the database answers, is the one that is written to, and has this release's schema."""
    try:
        with transaction(engine) as session:
            state = db.schema_state(session)
            tariffs.county(session)
    except (DBAPIError, PoolTimeout, RevenueError) as error:
        return Response(f"not ready: {type(error).__name__}\n", 503, media_type="text/plain")
    if state.replica:
        return Response("not ready: this database is a replica\n", 503, media_type="text/plain")
    if state.revision not in migrations.heads():
        said = f"not ready: the schema is at {state.revision}, this release needs {', '.join(migrations.heads())}\n"
        return Response(said, 503, media_type="text/plain")
    return Response("ready\n", 200, media_type="text/plain")


async def _metrics(request: Request) -> Response:
    """Measurements for whoever reads the whole county: a monitor holds a service's token with the scope 'read'."""

    def measured() -> str:
        secret, _ = calls.secret_of(request)
        if secret is None:
            raise NotSignedIn("send a token of a service that may read: 'Authorization: Bearer …'")
        with acting_by(secret), transaction(calls.engine_of(request)) as session:
            sessions.must(session, "read")
            return metrics.text(session)

    return Response(await run_in_threadpool(calls.told, measured), 200, media_type=metrics.MEDIA_TYPE)


def _asset(name: str, kind: str) -> Callable[[], Response]:
    def asset() -> Response:
        # read as a file: the package's own code is not imported
        return _page((files("fastapi_swagger") / "resources" / name).read_text("utf-8"), kind)

    return asset


def _page(text: str, kind: str) -> Response:
    return Response(text, 200, {"Content-Security-Policy": _CSP}, kind)
