"""Judgements that one person asks for and another agrees to: looked at, agreed to, refused, taken back."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path
from fastapi import Query as InQuery
from pydantic import Field
from sqlalchemy.orm import Session

from revenue_engine.access import approvals
from revenue_engine.access.approvals import Request
from revenue_engine.api.calls import Door, Rules, serve
from revenue_engine.api.problems import Problem
from revenue_engine.api.shapes import Asked, Money, Page, Paged, Told, When, Words, after, cut, instant
from revenue_engine.errors import NotFound
from revenue_engine.money import wire

Stands = Literal["waiting", "agreed", "refused", "expired", "done", "void", "set"]
Named = Annotated[str, Path(min_length=8, max_length=60, description="The request's id")]
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="shown_sha256 of what you looked at")]


class Approval(Told):
    """A request, exactly as its hash covers it in ``shown``, and how it stands."""

    id: str
    kind: str
    subject: str
    amount: Money | None
    asked_by: str
    asked_at: When
    expires_at: When
    stands: Stands
    why: str | None
    agreed_by: list[str]
    persons_needed: int
    shown: dict[str, Any]
    shown_sha256: str


class Which(Page):
    """Which requests."""

    stands: Stands | None = None


class Agreement(Asked):
    """What is agreed to: nothing but what was shown."""

    shown_sha256: Hash


class Refusal(Asked):
    """What is refused, and why; who asked reads the reason."""

    shown_sha256: Hash
    reason: Words


def as_told(one: Request) -> Approval:
    """A request as it is answered."""
    return Approval.model_validate(
        {
            "id": one.public_id,
            "kind": one.kind,
            "subject": one.subject,
            "amount": None if one.amount_minor is None else wire(one.amount_minor),
            "asked_by": one.asked_by,
            "asked_at": instant(one.requested_at),
            "expires_at": instant(one.expires_at),
            "stands": one.stands,
            "why": one.why,
            "agreed_by": one.agreed_by,
            "persons_needed": one.checkers,
            "shown": one.facts(),
            "shown_sha256": one.shown_sha256.hex(),
        }
    )


def shown(session: Session, public_id: str) -> Approval:
    """The request of an id as it now stands. Raises NotFound."""
    return as_told(_one(session, public_id))


def _one(session: Session, public_id: str) -> Request:
    found = approvals.page(session, public_id, limit=1)
    if not found:
        raise NotFound(f"there is no request {public_id}", public_id=public_id)
    return found[0][1]


def list_approvals(session: Session, which: Annotated[Which, InQuery()]) -> Paged[Approval]:
    """Requests that persons asked for, the newest first; ``stands=waiting`` for what waits."""
    found = approvals.page(session, which.stands, before=after(which), limit=which.limit + 1)
    rows, more, cursor = cut(which, found, [key for key, _ in found])
    return Paged[Approval](data=[as_told(one) for _, one in rows], has_more=more, next_cursor=cursor)


def show_approval(session: Session, approval: Named) -> Approval:
    """Exactly what a request asks for, and the state that it rests on."""
    return shown(session, approval)


def agree(session: Session, approval: Named, asked: Agreement) -> Approval:
    """Agree to exactly what was shown; the engine then does it once. Needs a second factor of the last five minutes."""
    found = _as_seen(session, approval, asked.shown_sha256)
    approvals.agree(session, found.public_id, shown_sha256=found.shown_sha256)
    return shown(session, found.public_id)


def refuse(session: Session, approval: Named, asked: Refusal) -> Approval:
    """Refuse a request, with a reason."""
    found = _as_seen(session, approval, asked.shown_sha256)
    approvals.refuse(session, found.public_id, shown_sha256=found.shown_sha256, reason=asked.reason)
    return shown(session, found.public_id)


def withdraw(session: Session, approval: Named) -> Approval:
    """Take one's own request back while nobody has agreed to it."""
    found = _one(session, approval)
    approvals.withdraw(session, found.public_id)
    return shown(session, found.public_id)


def _as_seen(session: Session, public_id: str, told: str) -> Request:
    found = _one(session, public_id)
    if found.shown_sha256.hex() != told:
        raise Problem("conflict", "This is not what you were shown: look at the request again.")
    return found


def router() -> APIRouter:
    """The endpoints of this page. The database itself says who may agree to which kind."""
    made = APIRouter(route_class=Door, tags=["approvals"])
    judged = Rules(placed=True)
    stale = ("stale_factor",)
    serve(made, "GET", "/approvals", list_approvals, rules=Rules(), answer=Paged[Approval])
    serve(made, "GET", "/approvals/{approval}", show_approval, rules=Rules(), answer=Approval)
    serve(made, "POST", "/approvals/{approval}/agreement", agree, rules=judged, answer=Approval, refusals=stale)
    serve(made, "POST", "/approvals/{approval}/refusal", refuse, rules=judged, answer=Approval, refusals=stale)
    serve(made, "POST", "/approvals/{approval}/withdrawal", withdraw, rules=judged, answer=Approval)
    return made
