"""Every refusal of the API: one list of stable codes, and how a refusal is written (RFC 9457, problem+json)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from revenue_engine.errors import (
    ConfigurationError,
    Conflict,
    IntegrityFault,
    InvalidValue,
    NotAllowed,
    NotFound,
    NotSignedIn,
    Rejected,
    Retryable,
    RevenueError,
    StaleFactor,
    in_plain_words,
)

MEDIA_TYPE = "application/problem+json"
PAGE = "/docs/errors"
"""Where the page stands that explains the codes; the fragment is the code."""

PROBLEMS: Mapping[str, tuple[int, str, str]] = {
    "invalid_json": (
        400,
        "The body is not JSON that this API reads",
        (
            "Send UTF-8 JSON without a key twice in one object, and at most eight levels deep. The detail says "
            "where reading stopped."
        ),
    ),
    "idempotency_key_missing": (
        400,
        "This call needs an Idempotency-Key",
        (
            "Make a new key (a UUID, say) for each new thing and send it as the header Idempotency-Key. Send the "
            "same key when you repeat the call."
        ),
    ),
    "idempotency_key_invalid": (
        400,
        "The Idempotency-Key is malformed",
        "Use 1 to 255 printable ASCII characters without blanks.",
    ),
    "not_signed_in": (
        401,
        "Nobody is signed in",
        (
            "Sign in at POST /api/v1/session, or send a token as `Authorization: Bearer ...`. The detail says why "
            "a session is not live any more."
        ),
    ),
    "not_allowed": (
        403,
        "Who is signed in may not do this",
        "The detail names who may. Ask one of them, or ask an administrator for the role.",
    ),
    "stale_factor": (
        403,
        "The second factor is too old for a judgement",
        "Sign in again with a fresh code: a judgement needs a second factor of the last five minutes.",
    ),
    "cross_site": (
        403,
        "The request does not come from this site's own pages",
        (
            "Call from this site's own pages, and send X-CSRF-Token as GET /api/v1/session gives it. Programs use "
            "a bearer token in place of the cookie."
        ),
    ),
    "not_found": (404, "There is no such thing", "Look at the spelling of the number or id."),
    "no_such_address": (404, "There is no such address", "Look at the address: /api/v1/openapi.json lists them all."),
    "method_not_allowed": (
        405,
        "This address does not take this method",
        "The header Allow says which methods the address takes.",
    ),
    "conflict": (
        409,
        "The request contradicts what is recorded",
        "Read the thing again: the detail says what stands against the request. Repeating it unchanged will not help.",
    ),
    "idempotency_key_in_flight": (
        409,
        "A request with this Idempotency-Key is being answered",
        "Wait as Retry-After says and send the same request with the same key: you get the answer of the first.",
    ),
    "changed_meanwhile": (
        412,
        "Somebody changed this after you looked at it",
        "The detail says who changed what and when. Read the thing again, and send its new ETag as If-Match.",
    ),
    "body_too_large": (413, "The body is too large", "Send at most 65,536 bytes."),
    "unsupported_media_type": (415, "The body must be JSON", "Send `Content-Type: application/json`."),
    "invalid_request": (
        422,
        "The request has fields that are wrong",
        "Each entry of `errors` names a field by a JSON pointer, or a parameter, and says how to mend it.",
    ),
    "invalid_value": (422, "A value is wrong", "The detail says which value is wrong and how to write it."),
    "rejected": (422, "The request is refused", "The detail says why. Repeating the request unchanged will not help."),
    "unknown_parameter": (
        422,
        "The address has a parameter that is not known here",
        "Leave the parameter out or correct its spelling; the detail lists those that are known.",
    ),
    "invalid_cursor": (
        422,
        "The cursor is not one that this list gave",
        "Give next_cursor of the page before, unchanged and with the same other parameters, or begin without a cursor.",
    ),
    "idempotency_key_reused": (
        422,
        "The Idempotency-Key was used for another request",
        "Take a new key for a new request. To repeat a request, send the same fields as before.",
    ),
    "precondition_required": (
        428,
        "This call needs an If-Match",
        "Read the thing, and send the ETag of that answer as If-Match.",
    ),
    "too_many_requests": (
        429,
        "Too many requests",
        "Wait as Retry-After says. RateLimit-Limit, RateLimit-Remaining and RateLimit-Reset stand on every answer.",
    ),
    "internal_error": (
        500,
        "The engine failed",
        (
            "Tell the county's ICT the request_id. Send a call that had an Idempotency-Key again with the same "
            "key: nothing is done twice."
        ),
    ),
    "try_again": (
        503,
        "The same call may succeed later",
        "Wait as Retry-After says and send the same call again, with the same Idempotency-Key.",
    ),
}
"""Code to status, title, and how to mend it. A code is for ever; docs/api/errors.md is written from here."""

_OF_ERRORS: tuple[tuple[type[RevenueError], str], ...] = (
    (StaleFactor, "stale_factor"),
    (NotAllowed, "not_allowed"),
    (NotSignedIn, "not_signed_in"),
    (NotFound, "not_found"),
    (Conflict, "conflict"),
    (InvalidValue, "invalid_value"),
    (Rejected, "rejected"),
    (Retryable, "try_again"),
    (ConfigurationError, "internal_error"),
    (IntegrityFault, "internal_error"),
    (RevenueError, "internal_error"),
)
"""The engine's errors and the code of each, the narrowest first."""


class Wrong(BaseModel):
    """One field that is wrong: where (a JSON pointer, or the name of a parameter or header), and how to mend it."""

    model_config = ConfigDict(extra="forbid")
    pointer: str | None = None
    parameter: str | None = None
    header: str | None = None
    code: str
    message: str


class ProblemBody(BaseModel):
    """A refusal as it is written."""

    model_config = ConfigDict(extra="forbid")
    type: str
    title: str
    status: int
    code: str
    detail: str
    instance: str
    request_id: str
    errors: list[Wrong] = []


@dataclass
class Problem(Exception):
    """A refusal on its way out; ``code`` is one of ``PROBLEMS``."""

    code: str
    detail: str
    errors: Sequence[Wrong] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def status(self) -> int:
        """The HTTP status of the code."""
        return PROBLEMS[self.code][0]

    def body(self, *, instance: str, request_id: str) -> bytes:
        """The refusal as bytes of problem+json."""
        said = ProblemBody(
            type=f"{PAGE}#{self.code}",
            title=PROBLEMS[self.code][1],
            status=self.status,
            code=self.code,
            detail=self.detail,
            instance=instance,
            request_id=request_id,
            errors=list(self.errors),
        )
        return said.model_dump_json(exclude_none=True).encode()


def of_error(error: RevenueError) -> Problem:
    """The refusal for an error of the engine. What is wrong inside is told to the log and not to the caller."""
    code = next(code for kind, code in _OF_ERRORS if isinstance(error, kind))
    if code == "internal_error":
        return Problem(code, "The engine failed at this request; tell the county's ICT the request id.")
    errors: list[Wrong] = []
    if isinstance(error.facts.get("field"), str) and isinstance(error, InvalidValue | NotFound | Conflict):
        errors.append(Wrong(pointer="/" + error.facts["field"], code=code, message=error.message))
    headers: dict[str, str] = {}
    if isinstance(error, Retryable):
        headers["Retry-After"] = str(max(1, int(error.facts.get("seconds", 1))))
    if isinstance(error, NotSignedIn):
        headers["WWW-Authenticate"] = "Bearer"
    return Problem(code, error.message, errors, headers)


_FIX = {
    "extra_forbidden": "this field is not known here: leave it out, or look at its spelling",
    "missing": "this field is missing",
}


def of_validation(errors: Sequence[Mapping[str, Any]]) -> Problem:
    """The refusal for fields that do not fit; never repeats what was sent, which may be personal."""
    wrong: list[Wrong] = []
    code = "invalid_request"
    for one in errors[:50]:
        where, *path = one["loc"]
        kind, message = str(one["type"]), _FIX.get(str(one["type"]), in_plain_words(one))
        if where == "query" and kind == "extra_forbidden":
            code, message = (
                "unknown_parameter",
                "this parameter is not known here: leave it out, or look at its spelling",
            )
        if where == "body":
            pointer = "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)
            wrong.append(Wrong(pointer=pointer, code=kind, message=message))
        else:
            wrong.append(Wrong(parameter=".".join(map(str, path)) or str(where), code=kind, message=message))
    first = wrong[0]
    place = first.pointer if first.pointer is not None else first.parameter
    return Problem(code, f"{place or 'the body'}: {first.message}", wrong)


def answer(problem: Problem, *, instance: str, request_id: str) -> Response:
    """The response that a refusal becomes."""
    body = problem.body(instance=instance, request_id=request_id)
    return Response(body, problem.status, dict(problem.headers), MEDIA_TYPE)


def page() -> str:
    """The page that explains every code: docs/api/errors.md."""
    parts = [
        "# What each error code means\n",
        (
            "Every refusal is `application/problem+json` (RFC 9457). Programs rely on `code`, which never changes "
            "its meaning;"
        ),
        "`detail` is for people, and `errors` names each field that is wrong. `request_id` is in our logs too.\n",
    ]
    for code, (status, title, mend) in PROBLEMS.items():
        parts.append(f"## {code}\n\n{status}. {title}. {mend}\n")
    return "\n".join(parts)
