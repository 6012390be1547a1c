"""What is the same for every request and answer: the request's id, limits of the body, headers of the answer."""

from __future__ import annotations

import re

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from revenue_engine import identifiers
from revenue_engine.api.problems import Problem, answer
from revenue_engine.errors import InvalidValue
from revenue_engine.ports import strict_json

LARGEST_BODY = 65_536
"""Bytes of a body; no call of this API needs more."""
DEEPEST = 8
_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
}
_USUAL = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
}


class Envelope:
    """An ASGI application around another: reads the whole body within its limits and hands it on, checked."""

    def __init__(self, inside: ASGIApp) -> None:
        self.inside = inside

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.inside(scope, receive, send)
            return
        headers = Headers(scope=scope)
        told = headers.get("x-request-id", "")
        request_id = told if _ID.fullmatch(told) else identifiers.public_id("req")
        scope.setdefault("state", {})["request_id"] = request_id
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)

        async def send_out(message: Message) -> None:
            if message["type"] == "http.response.start":
                out = MutableHeaders(scope=message)
                more = scope["state"].get("pace_headers", {})
                for name, value in {**_ALWAYS, "X-Request-ID": request_id, **more}.items():
                    out[name] = value
                for name, value in _USUAL.items():
                    out.setdefault(name, value)
            await send(message)

        try:
            body = await _body(headers, receive)
        except Problem as problem:
            refusal = answer(problem, instance=scope["path"], request_id=request_id)
            await refusal(scope, receive, send_out)
            return
        given = False

        async def receive_again() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.inside(scope, receive_again, send_out)


async def _body(headers: Headers, receive: Receive) -> bytes:
    """The whole body, when it is small enough, JSON, and not deeper than ``DEEPEST``. Raises Problem."""
    too_large = Problem("body_too_large", f"A body has at most {LARGEST_BODY} bytes.")
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()) or int(length) > LARGEST_BODY:
        raise too_large
    body: bytes = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return body
        body += message.get("body", b"")
        if len(body) > LARGEST_BODY:
            raise too_large
        if not message.get("more_body", False):
            break
    if not body:
        return body
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Problem("unsupported_media_type", "Send the body as JSON, with Content-Type: application/json.")
    try:
        strict_json.loads(body, max_bytes=LARGEST_BODY, max_depth=DEEPEST)
    except InvalidValue as error:
        raise Problem("invalid_json", error.message) from error
    return body
