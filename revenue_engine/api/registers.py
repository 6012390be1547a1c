"""The registers: who owes, and the stalls, plots, permits and vehicles that are billed again and again."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path
from fastapi import Query as InQuery
from pydantic import Field
from sqlalchemy.orm import Session

from revenue_engine.access import scope, sessions
from revenue_engine.api.calls import Door, Query, Reply, Rules, serve
from revenue_engine.api.shapes import Asked, Code, Money, Page, Paged, Told, When, after, cut, instant
from revenue_engine.billing import counter, payers, registers
from revenue_engine.money import wire

PayerId = Annotated[str, Path(min_length=8, max_length=60, description="The payer's id")]
ObjectId = Annotated[str, Path(min_length=8, max_length=60, description="The object's id")]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Phone = Annotated[str, Field(min_length=9, max_length=20, description="As a Kenyan writes it, or +254…")]
LAST_DIGITS = 3


class Payer(Told):
    """Somebody who owes or pays. A phone is masked for who may not see phones."""

    id: str
    name: str
    phone: str | None
    created_at: When


class NewPayer(Asked):
    """A payer to register. Nobody is merged by name or phone."""

    name: Name
    phone: Phone | None = None


class WhichPayers(Page):
    """Which payers."""

    phone: Phone | None = None


class BilledObject(Told):
    """A thing that is billed again and again, its standing number, and what is left of its bills."""

    id: str
    stream: str
    station: str | None
    reference: str
    payer: str | None
    tariff_item: str | None
    pay_account_number: str | None
    open_bills: int
    outstanding: Money


class NewObject(Asked):
    """A thing to register, with other ways in which payers name it."""

    stream: Code
    kind: Literal["plate", "permit", "plot", "stall", "house"]
    reference: Annotated[str, Field(min_length=1, max_length=60)]
    payer: Annotated[str | None, Field(max_length=60)] = None
    station: Code | None = None
    aliases: Annotated[list[Annotated[str, Field(min_length=1, max_length=60)]], Field(max_length=20)] = Field(
        default_factory=list
    )
    tariff_item: Annotated[str | None, Field(max_length=60)] = None
    standing_number: bool = True


class WhichObjects(Page):
    """Which objects."""

    named: Annotated[str | None, Field(min_length=1, max_length=60, description="A plate, permit, plot or number")] = (
        None
    )
    stream: Code | None = None


def _payer(one: registers.PayerRow, *, unmasked: bool = False) -> Payer:
    shown = one.phone
    if shown is not None and not unmasked:
        shown = f"{shown[:5]}•••{shown[-LAST_DIGITS:]}"
    return Payer.model_validate(
        {"id": one.public_id, "name": one.name, "phone": shown, "created_at": instant(one.created_at)}
    )


def list_payers(session: Session, page: Annotated[WhichPayers, InQuery()]) -> Paged[Payer]:
    """Payers, the newest first; those of one phone when it is named. Phones of a list are masked for everybody."""
    found = registers.payer_list(session, phone=page.phone, before=after(page), limit=page.limit + 1)
    rows, more, cursor = cut(page, found, [one.id for one in found])
    return Paged[Payer](data=[_payer(one) for one in rows], has_more=more, next_cursor=cursor)


class Look(Query):
    """How a payer is shown."""

    unmask: Annotated[bool, Field(description="Show the phone as it is: who may is named, and it is kept")] = False


def show_payer(session: Session, payer: PayerId, asked: Annotated[Look, InQuery()]) -> Payer:
    """A payer by id. The phone is masked unless ``unmask`` asks for it, which is kept for ever."""
    one = registers.payer_named(session, payer)
    if asked.unmask:
        registers.look(session, one.public_id)
    return _payer(one, unmasked=asked.unmask)


def register_payer(session: Session, asked: NewPayer) -> Reply:
    """Register somebody who owes or pays."""
    added = payers.add_payer(session, name=asked.name, phone=asked.phone)
    session.flush()
    shown = _payer(registers.payer_named(session, added.public_id))
    return Reply(shown, {"Location": f"/api/v1/payers/{added.public_id}"})


def _object(one: registers.ObjectRow) -> BilledObject:
    return BilledObject(
        id=one.public_id,
        stream=one.stream_code,
        station=one.station_code,
        reference=one.reference,
        payer=one.payer,
        tariff_item=one.tariff_item,
        pay_account_number=one.pay_account_number,
        open_bills=one.open_bills,
        outstanding=wire(one.open_minor),
    )


def list_objects(session: Session, page: Annotated[WhichObjects, InQuery()]) -> Paged[BilledObject]:
    """Billed objects, the newest first; those that a plate, permit, plot or number names when it is given."""
    found = registers.object_list(
        session,
        named=page.named,
        stream=page.stream,
        before=after(page),
        limit=page.limit + 1,
        scope=scope.of(session),
    )
    rows, more, cursor = cut(page, found, [one.id for one in found])
    return Paged[BilledObject](data=[_object(one) for one in rows], has_more=more, next_cursor=cursor)


def show_object(session: Session, thing: ObjectId) -> BilledObject:
    """A billed object by id."""
    return _object(registers.object_named(session, thing, scope=scope.of(session)))


def register_object(session: Session, asked: NewObject) -> Reply:
    """Register a thing that is billed again and again; its standing number pays its open bills in lawful order."""
    sessions.must(session, "payer.register", place=counter.sub_county(session, asked.station))
    added = payers.add_object(
        session,
        stream_code=asked.stream,
        reference=asked.reference,
        kind=asked.kind,
        payer_id=None if asked.payer is None else registers.payer_key(session, asked.payer),
        station_code=asked.station,
        aliases=asked.aliases,
        tariff_item=asked.tariff_item,
        standing_number=asked.standing_number,
    )
    shown = _object(registers.object_named(session, added.public_id))
    return Reply(shown, {"Location": f"/api/v1/objects/{added.public_id}"})


def router() -> APIRouter:
    """The endpoints of this page. Payers belong to the whole county; objects to the sub-county of their station."""
    made = APIRouter(route_class=Door, tags=["registers"])
    keyed = ("idempotency_key_missing", "idempotency_key_in_flight", "idempotency_key_reused")
    reading = Rules("read", scoped=True)
    # A payer has no place: whoever registers payers anywhere may.
    registering = Rules("payer.register", scoped=True, keyed=True, status=201)
    placing = Rules("payer.register", placed=True, keyed=True, status=201)
    serve(made, "GET", "/payers", list_payers, rules=reading, answer=Paged[Payer], refusals=("invalid_value",))
    serve(made, "POST", "/payers", register_payer, rules=registering, answer=Payer, refusals=keyed)
    serve(made, "GET", "/payers/{payer}", show_payer, rules=reading, answer=Payer)
    serve(made, "GET", "/objects", list_objects, rules=reading, answer=Paged[BilledObject])
    serve(made, "POST", "/objects", register_object, rules=placing, answer=BilledObject, refusals=keyed)
    serve(made, "GET", "/objects/{thing}", show_object, rules=reading, answer=BilledObject)
    return made
