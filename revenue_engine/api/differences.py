"""Breaks, and suspense, which is breaks with money: listed, shown, given to somebody, spoken of."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Path
from fastapi import Query as InQuery
from pydantic import Field
from sqlalchemy.orm import Session

from reconciliation import breaks
from reconciliation.breaks import BreakReason
from revenue_engine.access import scope, sessions
from revenue_engine.api.calls import Caller, Door, Reply, Rules, serve
from revenue_engine.api.problems import Problem
from revenue_engine.api.shapes import Asked, Money, Page, Paged, Told, When, Words, after_instant, cut
from revenue_engine.billing import counter
from revenue_engine.errors import Conflict, NotFound
from revenue_engine.reports import breaks as lists
from revenue_engine.reports.lists import plain as as_plain

Named = Annotated[str, Path(min_length=1, max_length=60, description="The break's number or id")]


class BreakRow(Told):
    """An open break as a list shows it."""

    number: int
    id: str
    reason: str
    amount: Money
    owner: str
    age_days: int
    occurred_at: When
    channel: str
    payment: str
    bill: str
    stream: str
    station: str
    detail: str


class Break(Told):
    """A break: what is wrong, where its money is, and what was said of it. Its ETag is the answer's header."""

    number: int
    id: str
    reason: str
    what_is_wrong: str
    amount: Money
    owner: str
    state: str
    happened: When
    opened: When
    channel: str
    stream: str | None
    station: str | None
    bill_named: str | None
    payment: str | None
    money: list[str]
    delivery: int | None
    said: list[str]


class WhichBreaks(Page):
    """Which open breaks."""

    reason: BreakReason | None = None
    owner: Annotated[str | None, Field(min_length=1, max_length=60)] = None
    day: Annotated[date | None, Field(description="The Nairobi day on which it happened")] = None


class Assignment(Asked):
    """Who looks from now on: finance, ict, or a person's login."""

    owner: Annotated[str, Field(min_length=1, max_length=60)]


class Note(Asked):
    """What is kept with the break for ever: no name, phone or identity number of a payer."""

    words: Words


def list_breaks(session: Session, which: Annotated[WhichBreaks, InQuery()]) -> Paged[BreakRow]:
    """Open breaks, the oldest first, with the money in doubt and who must look."""
    return _listed(session, which, suspense=False)


def list_suspense(session: Session, which: Annotated[WhichBreaks, InQuery()]) -> Paged[BreakRow]:
    """Money in suspense, the oldest first: each a break with the reason why no bill took the money."""
    return _listed(session, which, suspense=True)


def _listed(session: Session, which: WhichBreaks, *, suspense: bool) -> Paged[BreakRow]:
    found, last = lists.page(
        session,
        reasons=[which.reason] if which.reason else [],
        owner=which.owner,
        day=which.day,
        suspense=suspense,
        after=after_instant(which),
        limit=which.limit,
        scope=scope.of(session),
    )
    rows = [BreakRow.model_validate(one) for one in as_plain(found)]
    keys = [None if last is None else [last[0].isoformat(), last[1]]] * (len(rows) + 1)
    shown, more, cursor = cut(which, [*rows, None] if last else rows, keys)
    return Paged[BreakRow](data=shown, has_more=more, next_cursor=cursor)


def show_break(session: Session, name: Named) -> Reply:
    """A break by its number or id."""
    _within(session, breaks.named(session, name))
    return _shown(session, name)


def _shown(session: Session, name: str) -> Reply:
    found = Break.model_validate(lists.describe(session, name))
    return Reply(found, {"ETag": f'"{breaks.version(session, found.id)}"'})


def assign_break(session: Session, name: Named, asked: Assignment, caller: Caller) -> Reply:
    """Give an open break to somebody, as long as nobody changed the break since it was looked at."""
    one = breaks.named(session, name)
    sessions.must(session, "break.assign", place=counter.sub_county(session, one.station_code))
    _unchanged(session, one.public_id, caller)
    breaks.assign(session, one.public_id, owner=asked.owner, by=sessions.whoami(session).login)
    return _shown(session, one.public_id)


def note_on_break(session: Session, name: Named, asked: Note) -> Reply:
    """Say something of a break; the words stay with the break and are never changed."""
    one = breaks.named(session, name)
    sessions.must(session, "break.assign", place=counter.sub_county(session, one.station_code))
    breaks.note(session, one.public_id, words=asked.words, by=sessions.whoami(session).login)
    return _shown(session, one.public_id)


def _within(session: Session, one: breaks.Listed) -> None:
    if not scope.of(session).holds(one.station_code):
        raise NotFound(f"there is no break {one.number} in your sub-county", break_=one.number)


def _unchanged(session: Session, public_id: str, caller: Caller) -> None:
    seen = caller.if_match.strip('"')
    try:
        breaks.hold(session, public_id, version=int(seen) if seen.isascii() and seen.isdigit() else -1)
    except Conflict as error:
        raise Problem("changed_meanwhile", error.message) from error


def router() -> APIRouter:
    """The endpoints of this page."""
    made = APIRouter(route_class=Door, tags=["breaks"])
    keyed = ("idempotency_key_missing", "idempotency_key_in_flight", "idempotency_key_reused")
    reading = Rules("read", scoped=True)
    serve(made, "GET", "/breaks", list_breaks, rules=reading, answer=Paged[BreakRow])
    serve(made, "GET", "/suspense", list_suspense, rules=reading, answer=Paged[BreakRow])
    serve(made, "GET", "/breaks/{name}", show_break, rules=reading, answer=Break)
    changing = Rules("break.assign", placed=True, if_match=True)
    serve(made, "PUT", "/breaks/{name}/owner", assign_break, rules=changing, answer=Break)
    noting = Rules("break.assign", placed=True, keyed=True, status=201)
    serve(made, "POST", "/breaks/{name}/notes", note_on_break, rules=noting, answer=Break, refusals=keyed)
    return made
