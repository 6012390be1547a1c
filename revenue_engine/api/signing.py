"""Signing in and out by a cookie, and who acts."""

from __future__ import annotations

import threading
from typing import Annotated, cast

from fastapi import APIRouter, Request
from pydantic import Field
from sqlalchemy.orm import Session
from starlette.responses import Response

from revenue_engine.access import sessions
from revenue_engine.api import calls, pace
from revenue_engine.api.calls import COOKIE, Caller, Door, Reply, Rules, csrf_token, serve
from revenue_engine.api.shapes import Asked, Told, When, instant
from revenue_engine.db import acting_by, transaction

_PROOFS = threading.BoundedSemaphore(2)
"""A password's proof takes 64 MiB: no more than two at once, whoever asks."""


class SignIn(Asked):
    """What a person signs in with."""

    login: Annotated[str, Field(min_length=1, max_length=60)]
    password: Annotated[str, Field(min_length=1, max_length=128)]
    code: Annotated[
        str, Field(min_length=6, max_length=40, description="Six digits of the authenticator, or a recovery code")
    ]


class Me(Told):
    """Who acts, and until when."""

    login: str
    name: str
    kind: str
    roles: list[str]
    ends_at: When | None
    stepped_up_at: When | None
    csrf_token: str | None
    """What a change that comes with the cookie must carry as X-CSRF-Token; none for a token's bearer."""


class SignedOut(Told):
    """The session is over."""

    signed_out: bool


def _me(session: Session, caller: Caller) -> Me:
    found = sessions.whoami(session)

    return Me(
        login=found.login,
        name=found.name,
        kind=found.kind,
        roles=found.roles,
        ends_at=instant(found.ends_at),
        stepped_up_at=instant(found.stepped_up_at),
        csrf_token=csrf_token(caller.secret) if caller.by_cookie else None,
    )


def who_acts(session: Session, caller: Caller) -> Me:
    """Who acts now, their roles, and the token that changes must carry where a cookie proves them."""
    return _me(session, caller)


def sign_out(session: Session) -> Reply:
    """End the session that acts; the cookie is removed."""
    ended = sessions.sign_out(session)
    gone = f"{COOKIE}=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Strict"
    return Reply(SignedOut(signed_out=ended), {"Set-Cookie": gone})


def sign_in(request: Request, asked: SignIn) -> Response:
    """Open a session: answers who it is and sets the session's cookie. What was wrong with a sign-in is never told."""
    return cast("Response", calls.told(lambda: _sign_in(request, asked)))


def _sign_in(request: Request, asked: SignIn) -> Response:
    calls.refuse_cross_site(request)
    peer = request.client.host if request.client else "unknown"
    request.app.state.pace.spend(f"peer {peer}", limit=pace.SIGN_IN_PEER)
    request.app.state.pace.spend(f"login {asked.login.lower()}", limit=pace.SIGN_IN_LOGIN)
    engine = calls.engine_of(request)
    with _PROOFS:
        secret = sessions.sign_in(engine, login=asked.login, password=asked.password, code=asked.code, source=peer)
    with acting_by(secret), transaction(engine) as session:
        me = _me(session, Caller(0, secret, by_cookie=True))
    cookie = f"{COOKIE}={secret}; Path=/; Secure; HttpOnly; SameSite=Strict"
    return Response(me.model_dump_json(), 201, {"Set-Cookie": cookie}, "application/json")


def router() -> APIRouter:
    """The endpoints of this page."""
    made = APIRouter(route_class=Door, tags=["session"])
    made.add_api_route(
        "/session",
        sign_in,
        methods=["POST"],
        status_code=201,
        response_model=None,
        operation_id="sign_in",
        responses=calls.responses(201, Me, ("not_signed_in", "cross_site", "too_many_requests", *calls.WITH_BODY)),
        openapi_extra={"x-permission": "nobody need be signed in", "security": []},
    )
    serve(made, "GET", "/session", who_acts, rules=Rules(), answer=Me)
    serve(made, "DELETE", "/session", sign_out, rules=Rules(), answer=SignedOut)
    return made
