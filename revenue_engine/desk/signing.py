"""Signing in with login, password and code; signing out; and going on where one was."""

from __future__ import annotations

import threading
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request
from starlette.responses import Response

from revenue_engine.access import sessions
from revenue_engine.desk import bills, door, language
from revenue_engine.errors import InvalidValue, NotSignedIn, Retryable

_PROOFS = threading.BoundedSemaphore(2)
"""A password's proof takes 64 MiB: no more than two at once, whoever asks."""
_KEPT = "kept."


def _back(text: str) -> str:
    """An address of the desk's own to go back to; the search for any other."""
    ours = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable() and "\\" not in text
    return quote(text, safe="/?&=%+-._~:,") if ours else "/"


def _sign_in(request: Request, form: dict[str, str]) -> Response:
    door.own_page(request)
    back = _back(form.get("back", "/"))
    kept = {name.removeprefix(_KEPT): value for name, value in form.items() if name.startswith(_KEPT)}
    peer = request.client.host if request.client else "unknown"
    try:
        with _PROOFS:
            secret = sessions.sign_in(
                request.app.state.engine,
                login=form.get("login", "")[:60],
                password=form.get("password", "")[:128],
                code=form.get("code", "").replace(" ", "")[:40],
                source=peer,
            )
    except (NotSignedIn, Retryable) as error:
        facts: dict[str, Any] = {"title": "Sign in", "error": error, "back": back, "kept": kept}
        return door.page(request, "sign_in.html", status=401, login=form.get("login", "")[:60], **facts)
    if kept:
        request.cookies[door.cookie_name(request)] = secret
        visit = door.admitted(request)
        page = bills.new_page(visit, kept) if back == bills.NEW else _again(visit, back, kept)
        return door.with_session(request, page, secret)
    return door.with_session(request, door.away(back), secret)


_UNSEEN = ("key", "shown", "version", "expected")
"""Fields of a form that say nothing to a person."""


def _again(visit: door.Visit, to: str, kept: dict[str, str]) -> Response:
    """A form that met an ended session, with all that was typed: it is sent by a button, and only then done.

    Its key is kept, so that what was done already is not done twice.
    """
    typed = {name: value for name, value in kept.items() if value and name not in _UNSEEN}
    return door.page(visit.request, "again.html", visit=visit, title="Send it again", to=to, kept=kept, typed=typed)


def _sign_out(request: Request, form: dict[str, str]) -> Response:
    visit = door.admitted(request, form)
    door.done(visit, sessions.sign_out)
    return door.with_session(request, door.away("/sign-in"), None)


def _speak(request: Request, form: dict[str, str]) -> Response:
    """Go on in another language, which this browser keeps for a year."""
    door.own_page(request)
    to = form.get("to", "")
    if to not in dict(language.LANGUAGES):
        raise InvalidValue("the desk speaks English and Kiswahili")
    answer = door.away(_back(form.get("back", "/")))
    secure = request.app.state.https
    answer.set_cookie(language.COOKIE, to, 365 * 86_400, path="/", secure=secure, httponly=True, samesite="lax")
    return answer


def router() -> APIRouter:
    """The pages of signing in and out."""
    made = APIRouter()

    @made.get("/sign-in")
    def show(request: Request) -> Response:
        return door.signing_page(request, None, None)

    @made.post("/sign-in")
    async def sign_in(request: Request) -> Response:
        return await door.sent(request, _sign_in)

    @made.post("/sign-out")
    async def sign_out(request: Request) -> Response:
        return await door.sent(request, _sign_out)

    @made.post("/language")
    async def speak(request: Request) -> Response:
        return await door.sent(request, _speak)

    return made
