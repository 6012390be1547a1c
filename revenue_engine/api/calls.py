"""The way of one request: who asks, what they may, the key that makes a repeat one, one transaction, one answer.

An endpoint is a plain function of a session and its fields. ``serve`` gives it an address.
"""

from __future__ import annotations

import hashlib
import hmac
import inspect
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, cast

import psycopg
import structlog
from fastapi import APIRouter, Request
from fastapi.routing import APIRoute
from pydantic import BaseModel
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from revenue_engine.access import idempotency, scope, sessions
from revenue_engine.access.idempotency import Kept
from revenue_engine.api.problems import MEDIA_TYPE, PROBLEMS, Problem, ProblemBody, of_error
from revenue_engine.db import acting_by, refusal, transaction
from revenue_engine.errors import Conflict, NotAllowed, NotSignedIn, Rejected, Retryable, RevenueError

log = structlog.get_logger("api")

COOKIE = "__Host-sid"
SAFE = frozenset({"GET", "HEAD"})
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_AWAY = (psycopg.OperationalError, PoolTimeout)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the person's key, the secret that proved them, and whether it came as a cookie."""

    person_id: int
    secret: str
    by_cookie: bool
    if_match: str = ""
    """The ETag of what the caller looked at, where the call changes something."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What stands around an endpoint. ``permission`` None: whoever is signed in; ``open_to_all``: nobody need be."""

    permission: str | None = None
    scoped: bool = False
    """Whoever has the permission anywhere is let in, and the endpoint shows what is within their sub-counties."""
    placed: bool = False
    """The endpoint itself asks for the permission, at the place that its thing belongs to."""
    keyed: bool = False
    """The call makes something: an Idempotency-Key is required."""
    if_match: bool = False
    snapshot: bool = False
    """All that the call reads is of one moment."""
    status: int = 200


@dataclass
class Reply:
    """What an endpoint answers where the body alone does not say it: headers beside it."""

    body: BaseModel
    headers: dict[str, str] = field(default_factory=dict)


def secret_of(request: Request) -> tuple[str | None, bool]:
    """The secret that a request carries, and whether it is the cookie's. A bearer token is taken before a cookie."""
    said = request.headers.get("authorization", "")
    if said:
        scheme, _, token = said.partition(" ")
        return (token.strip() or None if scheme.lower() == "bearer" else None), False
    return request.cookies.get(COOKIE) or None, True


def csrf_token(secret: str) -> str:
    """The synchroniser token of a session: derived, so that it changes with the session and is kept nowhere."""
    return hmac.digest(secret.encode(), b"csrf", "sha256").hex()


def refuse_cross_site(request: Request) -> None:
    """Raise Problem where the headers that a browser sets say that another site's page makes this request."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    host = request.headers.get("host", "")
    if site not in (None, "same-origin") or (origin is not None and origin.partition("://")[2] != host):
        raise Problem("cross_site", "This call must come from this site's own pages.")


def _refuse_forged(request: Request, secret: str) -> None:
    """A cookie is sent by the browser for whoever asks, so a change needs proof that our own page asks."""
    refuse_cross_site(request)
    if request.headers.get("sec-fetch-site") is None and request.headers.get("origin") is None:
        raise Problem("cross_site", "A call with a cookie must say its Origin; programs use a bearer token.")
    if not hmac.compare_digest(request.headers.get("x-csrf-token", "").encode(), csrf_token(secret).encode()):
        raise Problem("cross_site", "The header X-CSRF-Token is missing or of another session: GET /api/v1/session.")


def _admit(request: Request, rules: Rules) -> Caller:
    """Who asks, when they may. In a short transaction of its own, before the body is looked at."""
    secret, by_cookie = secret_of(request)
    if secret is None:
        raise NotSignedIn("nobody is signed in: send the session's cookie or 'Authorization: Bearer …'")
    if by_cookie and request.method not in SAFE:
        _refuse_forged(request, secret)
    with acting_by(secret), transaction(engine_of(request)) as session:
        person = sessions.seen(session)
        if rules.permission is not None and (rules.scoped or rules.placed):
            scope.of(session, rules.permission)
        elif rules.permission is not None:
            sessions.must(session, rules.permission)
    request.app.state.pace.spend(f"person {person}", request)
    return Caller(person, secret, by_cookie, request.headers.get("if-match", ""))


def engine_of(request: Request) -> Engine:
    """The database of this application, by the api's own login."""
    return cast("Engine", request.app.state.engine)


class Door(APIRoute):
    """A route that looks at who asks before anything of the request is read."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        """The route's handler behind the door."""
        inside = super().get_route_handler()
        rules: Rules | None = getattr(self.endpoint, "rules", None)

        async def door(request: Request) -> Response:
            if rules is not None:
                request.state.caller = await run_in_threadpool(told, lambda: _admit(request, rules))
            return await inside(request)

        return door


def told(work: Callable[[], Any]) -> Any:
    """Do something and let nothing leave but a Problem; a database that is away is one that may come back."""
    try:
        return work()
    except RevenueError as error:
        problem = of_error(error)
        if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            log.error("failed", code=error.code, why=error.message)  # noqa: TRY400 - no body in a log
        raise problem from error
    except (DBAPIError, psycopg.Error, PoolTimeout) as error:
        refused = refusal(error)
        if refused is not None:
            raise of_error(refused) from error
        origin = getattr(error, "orig", error)
        log.error("database", kind=type(origin).__name__)  # noqa: TRY400 - its words hold values
        if isinstance(origin, _AWAY):
            raise Problem("try_again", "The database is busy or away.", headers={"Retry-After": "2"}) from error
        raise Problem(
            "internal_error", "The engine failed at this request; tell the county's ICT the request id."
        ) from error


def serve(
    router: APIRouter,
    method: str,
    path: str,
    endpoint: Callable[..., Any],
    *,
    rules: Rules,
    answer: type[BaseModel],
    refusals: tuple[str, ...] = (),
) -> None:
    """Give a function of a session its address. Its other parameters are the request's, as FastAPI reads them.

    ``refusals`` are codes of this endpoint beside those that every one may give.
    """
    given = inspect.signature(endpoint, eval_str=True)
    parameters = [one for one in given.parameters.values() if one.name not in ("session", "caller")]

    def handle(request: Request, **fields: Any) -> Response:
        return cast("Response", told(lambda: _perform(request, endpoint, fields, rules)))

    asking = inspect.Parameter("request", inspect.Parameter.KEYWORD_ONLY, annotation=Request)
    only = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in parameters]
    handle.__signature__ = inspect.Signature([asking, *only])  # type: ignore[attr-defined]
    handle.__name__, handle.__doc__ = endpoint.__name__, endpoint.__doc__
    handle.rules = rules  # type: ignore[attr-defined]
    more: dict[str, Any] = {
        "x-permission": rules.permission or "signed in",
        "x-scoped": rules.scoped or rules.placed,
        "parameters": _headers(rules),
    }
    router.add_api_route(
        path,
        handle,
        methods=[method],
        status_code=rules.status,
        response_model=None,
        operation_id=endpoint.__name__,
        responses=responses(rules.status, answer, _codes(rules, refusals, reads_body=method != "GET")),
        openapi_extra=more,
    )


def _headers(rules: Rules) -> list[dict[str, Any]]:
    named = [("Idempotency-Key", rules.keyed, 255), ("If-Match", rules.if_match, 200)]
    return [
        {
            "name": name,
            "in": "header",
            "required": True,
            "schema": {"type": "string", "minLength": 1, "maxLength": most},
        }
        for name, wanted, most in named
        if wanted
    ]


WITH_BODY = (
    "invalid_json",
    "invalid_request",
    "body_too_large",
    "unsupported_media_type",
    "internal_error",
    "try_again",
)
"""Refusals of every call that reads a body, whoever asks."""


def _codes(rules: Rules, refusals: tuple[str, ...], *, reads_body: bool) -> set[str]:
    codes = {"not_signed_in", "not_allowed", "not_found", "invalid_request", "too_many_requests", "internal_error"}
    codes |= {"try_again", *refusals}
    if reads_body:
        codes |= {*WITH_BODY, "conflict"}
    if rules.if_match:
        codes |= {"changed_meanwhile", "precondition_required"}
    return codes


def responses(status: int, answer: type[BaseModel], codes: Iterable[str]) -> dict[int | str, dict[str, Any]]:
    """What a call may answer, as OpenAPI writes it: its own answer, and each refusal as problem+json."""
    found: dict[int | str, dict[str, Any]] = {status: {"model": answer, "description": HTTPStatus(status).phrase}}
    for code in sorted(codes, key=lambda one: PROBLEMS[one][:2]):
        number, title, _ = PROBLEMS[code]
        if number in found:
            title = f"{found[number]['description']}; or: {title}"
        found[number] = {
            "description": title,
            "content": {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{ProblemBody.__name__}"}}},
        }
    return found


def _perform(request: Request, endpoint: Callable[..., Any], fields: Mapping[str, Any], rules: Rules) -> Response:
    """The business transaction of a request: everything of it commits before the answer leaves, or nothing does."""
    _known_parameters(request, fields)
    caller: Caller = request.state.caller
    key = _key_of(request) if rules.keyed else None
    wants_caller = "caller" in inspect.signature(endpoint).parameters
    given = {**fields, "caller": caller} if wants_caller else dict(fields)
    if rules.if_match and not request.headers.get("if-match"):
        raise Problem("precondition_required", "Send If-Match with the ETag that you looked at.")
    with acting_by(caller.secret), transaction(engine_of(request), snapshot=rules.snapshot) as session:
        if key is None:
            return _written(endpoint(session, **given), rules.status)
        return _once(session, request, caller, key, lambda: _written(endpoint(session, **given), rules.status), fields)


def _once(
    session: Session,
    request: Request,
    caller: Caller,
    key: str,
    work: Callable[[], Response],
    fields: Mapping[str, Any],
) -> Response:
    """Do the work, or give again what it answered before. A refusal that another try would meet too is kept as well."""
    fingerprint = _fingerprint(request, fields)
    try:
        kept = idempotency.taken(session, person_id=caller.person_id, key=key, fingerprint=fingerprint)
    except Conflict as error:
        raise Problem("idempotency_key_reused", error.message) from error
    except Retryable as error:
        raise Problem("idempotency_key_in_flight", error.message, headers={"Retry-After": "1"}) from error
    if kept is not None:
        return Response(kept.body, kept.status, {"Idempotent-Replayed": "true"}, kept.media_type)
    try:
        with session.begin_nested():
            response = work()
    except (RevenueError, DBAPIError, psycopg.Error) as error:
        refused = error if isinstance(error, RevenueError) else refusal(error)
        if not isinstance(refused, Rejected) or isinstance(refused, NotAllowed | NotSignedIn):
            raise
        problem = of_error(refused)
        body = problem.body(instance=request.url.path, request_id=request.state.request_id)
        response = Response(body, problem.status, dict(problem.headers), MEDIA_TYPE)
    answer = Kept(response.status_code, str(response.media_type), bytes(response.body))
    idempotency.keep(session, person_id=caller.person_id, key=key, fingerprint=fingerprint, answer=answer)
    return response


def _written(result: Any, status: int) -> Response:
    reply = result if isinstance(result, Reply) else Reply(result)
    return Response(reply.body.model_dump_json(), status, reply.headers, "application/json")


def _key_of(request: Request) -> str:
    key = request.headers.get("idempotency-key")
    if key is None:
        raise Problem("idempotency_key_missing", "Send the header Idempotency-Key: a new one for each new thing.")
    if not _KEY.fullmatch(key):
        raise Problem("idempotency_key_invalid", "An Idempotency-Key is 1 to 255 letters, figures and signs of ASCII.")
    return key


def _fingerprint(request: Request, fields: Mapping[str, Any]) -> bytes:
    plain = {
        name: value.model_dump(mode="json") if isinstance(value, BaseModel) else str(value)
        for name, value in fields.items()
    }
    said = json.dumps([request.method, request.scope["route"].path, plain], sort_keys=True)
    return hashlib.sha256(said.encode()).digest()


def _known_parameters(request: Request, fields: Mapping[str, Any]) -> None:
    """Refuse a parameter that is not known here or stands twice: neither is ignored in silence."""
    known = {name for value in fields.values() if isinstance(value, Query) for name in type(value).model_fields}
    names = [name for name, _ in request.query_params.multi_items()]
    for name in names:
        if name not in known:
            raise Problem(
                "unknown_parameter", f"{name[:60]!r} is not known here. Known: {', '.join(sorted(known)) or 'none'}"
            )
        if names.count(name) > 1:
            raise Problem("invalid_request", f"the parameter {name} is given twice")


class Query(BaseModel):
    """What an address may carry after its question mark; anything else is refused."""
