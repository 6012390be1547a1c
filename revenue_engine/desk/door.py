"""What stands around every page: who asks, proof that our own page asks, and forms as they are sent."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from typing import Any, cast
from urllib.parse import parse_qsl

import jinja2
import psycopg
import structlog
from fastapi import Request
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, RedirectResponse, Response

from revenue_engine.access import idempotency, sessions
from revenue_engine.db import acting_by, refusal, transaction
from revenue_engine.desk import language
from revenue_engine.errors import InvalidValue, NotAllowed, NotFound, NotSignedIn, Retryable, RevenueError, StaleFactor

log = structlog.get_logger("desk")

LARGEST_FORM = 65_536
MOST_FIELDS = 100
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none';"
        " base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Said with every page. The referrer stays within the desk, so that a browser says its Origin with each form."""


class Foreign(RevenueError):
    """A form that did not come from a page of the desk for this session."""

    code = "cross_site"


_STATUS: tuple[tuple[type[RevenueError], int], ...] = (
    (NotAllowed, 403),
    (StaleFactor, 403),
    (Foreign, 403),
    (NotSignedIn, 401),
    (NotFound, 404),
    (InvalidValue, 422),
    (Retryable, 503),
)


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of somebody: the session's secret, what they may read of themselves, and the form they sent."""

    request: Request
    secret: str
    me: sessions.Me
    form: Mapping[str, str] = field(default_factory=dict)

    @property
    def engine(self) -> Engine:
        """The database of this application."""
        return cast("Engine", self.request.app.state.engine)


@cache
def templates(code: str) -> jinja2.Environment:
    """The templates of the desk in a language."""
    made = jinja2.Environment(
        loader=jinja2.FunctionLoader(
            lambda name: files("revenue_engine.desk").joinpath("templates", name).read_text("utf-8")
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    made.install_gettext_translations(language.language(code).translations)  # type: ignore[attr-defined]
    return made


def cookie_name(request: Request) -> str:
    """``__Host-sid`` where the desk stands behind TLS; a plain name on this machine alone, where there is none."""
    return "__Host-sid" if request.app.state.https else "sid"


def with_session(request: Request, response: Response, secret: str | None) -> Response:
    """The response with the session's cookie, or, for None, with an end of it."""
    if secret is None:
        response.delete_cookie(
            cookie_name(request), path="/", secure=request.app.state.https, httponly=True, samesite="strict"
        )
    else:
        response.set_cookie(
            cookie_name(request), secret, path="/", secure=request.app.state.https, httponly=True, samesite="strict"
        )
    return response


def csrf_token(secret: str) -> str:
    """The synchroniser token of a session: derived, so that it changes with the session and is kept nowhere."""
    return hmac.digest(secret.encode(), b"desk form", "sha256").hex()


def own_page(request: Request) -> None:
    """Raise Foreign unless the browser says that a page of this site sends the form."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    host = request.headers.get("host", "")
    wrong = site not in (None, "same-origin") or (origin is not None and origin.partition("://")[2] != host)
    if wrong or (site is None and origin is None):
        raise Foreign("this form did not come from the desk's own page: open the page again and send it from there")


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form, each once and without spaces around. Raises InvalidValue for what is no form."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise InvalidValue("this page takes a form")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_FORM:
            raise InvalidValue(f"a form has at most {LARGEST_FORM} bytes")
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(body),
            encoding="utf-8",
            errors="strict",
            max_num_fields=MOST_FIELDS,
        )
    except ValueError as error:
        raise InvalidValue("this form cannot be read: open the page again") from error
    form = {name: value.strip() for name, value in pairs}
    if len(form) != len(pairs) or any("\0" in value for value in form.values()):
        raise InvalidValue("this form cannot be read: a field stands twice, or holds a sign that is no text")
    return form


def page(request: Request, name: str, *, status: int = 200, visit: Visit | None = None, **facts: Any) -> Response:
    """A page of a template. ``me`` and the form's token are given to each."""
    spoken = language.of(request)
    text = (
        templates(spoken.code)
        .get_template(name)
        .render(
            me=None if visit is None else visit.me,
            csrf="" if visit is None else csrf_token(visit.secret),
            path=request.url.path,
            here=request.url.path + (f"?{request.url.query}" if request.url.query else ""),
            language=spoken.code,
            languages=language.LANGUAGES,
            day_of=spoken.day_of,
            new_key=secrets.token_urlsafe(18),
            **{"error": None, "title": "", "about": "", **facts, "when": spoken.when},
        )
    )
    return HTMLResponse(text, status, {"Vary": "Cookie, Accept-Language"})


def away(to: str) -> Response:
    """See another page: what follows a form that did its work."""
    return RedirectResponse(to, 303)


def status_of(error: RevenueError) -> int:
    """The HTTP status of an error of the engine."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 409)


def admitted(request: Request, form: Mapping[str, str] | None = None) -> Visit:
    """Who asks. Raises NotSignedIn, and Foreign for a form that is not of this session's own page."""
    secret = request.cookies.get(cookie_name(request)) or ""
    if form is not None:
        own_page(request)
    if not secret:
        raise NotSignedIn("nobody is signed in here")
    engine = cast("Engine", request.app.state.engine)
    with acting_by(secret), transaction(engine) as session:
        me = sessions.whoami(session)
    if form is not None and not hmac.compare_digest(form.get("csrf", "").encode(), csrf_token(secret).encode()):
        raise Foreign("this form is of another session: open the page again; nothing was done")
    return Visit(request, secret, me, form or {})


def done(visit: Visit, work: Callable[[Session], Any], *, secret: str | None = None) -> Any:
    """Do something for who asks, in one transaction."""
    with acting_by(secret or visit.secret), transaction(visit.engine) as session:
        return work(session)


@contextmanager
def trying(session: Session) -> Iterator[None]:
    """Do something that may be refused, and stay in the transaction: what was done of it is undone, the reason raised
    as an error of the engine also where the database gives it."""
    try:
        with session.begin_nested():
            yield
    except (DBAPIError, psycopg.Error) as error:
        known = refusal(error)
        if known is None:
            raise
        raise known from error


def needed(form: Mapping[str, str], name: str, words: str, *, most: int = 500) -> str:
    """What a form says in a field. Raises InvalidValue with ``words`` where nothing is said, or too much."""
    said = form.get(name, "")
    if not said:
        raise InvalidValue(words, field=name)
    if len(said) > most:
        raise InvalidValue(f"this is longer than {most} letters", field=name)
    return said


def once(session: Session, visit: Visit, said: list[str], make: Callable[[], str]) -> str:
    """Make what a form asks for, once for the form's key; the same form sent again answers what it made first.

    ``said`` is what the form says; another content under the same key raises Conflict. Raises InvalidValue for no key.
    """
    key = visit.form.get("key", "")
    if not (key.isascii() and key.isprintable() and 16 <= len(key) <= 60):
        raise InvalidValue("this form lost its key: open the page again")
    person = sessions.seen(session)
    fingerprint = hashlib.sha256(json.dumps(["desk", *said]).encode()).digest()
    kept = idempotency.taken(session, person_id=person, key=f"desk {key}", fingerprint=fingerprint)
    if kept is not None:
        return kept.body.decode()
    made = make()
    answer = idempotency.Kept(303, "text/plain", made.encode())
    idempotency.keep(session, person_id=person, key=f"desk {key}", fingerprint=fingerprint, answer=answer)
    return made


def stepped_up(visit: Visit) -> Visit:
    """The visit with a fresh second factor, by the code of its form: a judgement wants one. The new session's cookie
    must go out whatever follows. Raises InvalidValue for no code, and for a wrong one; Retryable after many."""
    code = visit.form.get("code", "").replace(" ", "")
    if not code:
        raise InvalidValue("give the six figures of your authenticator, to agree", field="code")
    try:
        with acting_by(visit.secret):
            secret = sessions.step_up(visit.engine, code=code[:40])
    except NotSignedIn as error:
        words = "this code is wrong or was used already: wait for the next one"
        raise InvalidValue(words, field="code") from error
    return replace(visit, secret=secret)


def told(request: Request, work: Callable[[], Response], form: Mapping[str, str] | None = None) -> Response:
    """Answer, whatever happens: a refusal is a page that says what is wrong and how to go on."""
    try:
        return work()
    except NotSignedIn as error:
        return signing_page(request, error, form)
    except RevenueError as error:
        return refused(request, error)
    except (DBAPIError, psycopg.Error, PoolTimeout) as error:
        known = refusal(error)
        if known is not None:
            return refused(request, known)
        log.error("database", kind=type(getattr(error, "orig", error)).__name__)  # noqa: TRY400 - its words hold values
        return refused(request, Retryable("the books cannot be reached now: wait a moment, then send it again"))


def refused(request: Request, error: RevenueError) -> Response:
    """The page of a refusal that belongs to no field."""
    return page(request, "refused.html", status=status_of(error), title="Nothing was done", error=error)


def signing_page(request: Request, error: RevenueError | None, form: Mapping[str, str] | None) -> Response:
    """Sign in and go on where one was; what was typed is kept in the page, never on this machine."""
    back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    kept = {name: value for name, value in (form or {}).items() if name not in ("csrf", "password", "code")}
    if request.url.path in ("/sign-in", "/sign-out"):
        back, kept = "/", {}
    return page(
        request,
        "sign_in.html",
        status=401 if error is not None else 200,
        title="Sign in",
        error=error if form is not None or request.cookies.get(cookie_name(request)) else None,
        back=back,
        kept=kept,
        login="",
    )


async def sent(request: Request, work: Callable[..., Response], *more: str) -> Response:
    """Read a form, do what it is for, and answer a page whatever happens."""
    try:
        form = await read_form(request)
    except RevenueError as error:
        return refused(request, error)
    return await run_in_threadpool(told, request, lambda: work(request, form, *more), form)
