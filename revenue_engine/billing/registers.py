"""The registers page by page: payers, and the things that are billed again and again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy.orm import Session

from revenue_engine import identifiers
from revenue_engine.access import audit, sessions
from revenue_engine.access.scope import WHOLE, Scope
from revenue_engine.billing import payers
from revenue_engine.db import found, rows
from revenue_engine.errors import NotFound


class PayerRow(NamedTuple):
    """A payer; name and phone are personal data."""

    id: int
    public_id: str
    name: str
    phone: str | None
    created_at: datetime


_PAYERS = "SELECT p.id, p.public_id, p.name, p.phone, p.created_at FROM payer p"


def payer_list(
    session: Session, *, phone: str | None = None, before: int | None = None, limit: int = 50
) -> list[PayerRow]:
    """Payers, the newest first: below a key, of one phone where it is named. Raises InvalidValue for a wrong phone."""
    wanted = None if phone is None else payers.normalise_phone(phone)
    return rows(
        session,
        PayerRow,
        _PAYERS + " WHERE (%(before)s::bigint IS NULL OR p.id < %(before)s) AND (%(phone)s::text IS NULL OR"
        ' ("right"(p.phone, 3) = "right"(%(phone)s, 3) AND p.phone = %(phone)s)) ORDER BY p.id DESC LIMIT %(limit)s',
        {"before": before, "phone": wanted, "limit": limit},
    )


def payer_named(session: Session, public_id: str) -> PayerRow:
    """The payer of a public id. Raises NotFound."""
    found = rows(session, PayerRow, _PAYERS + " WHERE p.public_id = %s", (public_id,))
    if not found:
        raise NotFound(f"no payer {public_id!r}", payer=public_id)
    return found[0]


@dataclass(frozen=True, slots=True)
class ObjectRow:
    """A billed object, without personal data; ``open_minor`` is what is left of its bills, in cents."""

    id: int
    public_id: str
    stream_code: str
    station_code: str | None
    reference: str
    payer: str | None
    tariff_item: str | None
    pay_account_number: str | None
    open_bills: int
    open_minor: int


def _objects(scope: Scope) -> str:
    return f"""
    SELECT o.id, o.public_id, o.stream_code, o.station_code, o.reference, p.public_id AS payer, o.tariff_item,
           a.number AS pay_account_number, b.bills::int AS open_bills, b.minor AS open_minor
      FROM billed_object o LEFT JOIN payer p ON p.id = o.payer_id LEFT JOIN pay_account a ON a.object_id = o.id
      CROSS JOIN LATERAL (SELECT count(*) AS bills, coalesce(sum(outstanding_minor), 0)::bigint AS minor
                            FROM open_bill WHERE object_id = o.id AND outstanding_minor > 0) b
     WHERE (%(before)s::bigint IS NULL OR o.id < %(before)s) AND (%(public)s::text IS NULL OR o.public_id = %(public)s)
       AND (%(stream)s::text IS NULL OR o.stream_code = %(stream)s)
       AND (%(named)s::text IS NULL OR o.id IN (SELECT object_id FROM alias WHERE normal = %(named)s
            UNION SELECT object_id FROM pay_account WHERE number = %(named)s AND object_id IS NOT NULL))
       AND {scope.station("o.station_code")}
     ORDER BY o.id DESC LIMIT %(limit)s"""  # noqa: S608 - our own constants


def object_list(
    session: Session,
    *,
    named: str | None = None,
    stream: str | None = None,
    before: int | None = None,
    limit: int = 50,
    scope: Scope = WHOLE,
) -> list[ObjectRow]:
    """Billed objects, the newest first: below a key; of a stream, or those that a plate or number names exactly."""
    given = {"named": named and identifiers.key(named), "stream": stream and stream.upper(), "public": None}
    return rows(session, ObjectRow, _objects(scope), {**scope.given, **given, "before": before, "limit": limit})


def object_named(session: Session, public_id: str, *, scope: Scope = WHOLE) -> ObjectRow:
    """The object of a public id. Raises NotFound, also for one outside ``scope``."""
    given = {"named": None, "stream": None, "public": public_id, "before": None, "limit": 1}
    found = rows(session, ObjectRow, _objects(scope), {**scope.given, **given})
    if not found:
        raise NotFound(f"no billed object {public_id!r}", object=public_id)
    return found[0]


def payer_name(session: Session, payer_id: int) -> str:
    """The name of a payer, which is personal data; empty where it was erased."""
    return str(found(session, "SELECT name FROM payer WHERE id = %s", (payer_id,)) or "")


def payer_key(session: Session, public_id: str) -> int:
    """The key of the payer of a public id. Raises NotFound."""
    return payer_named(session, public_id).id


def look(session: Session, public_id: str) -> None:
    """Keep that who acts sees the phone of a payer as it is. Raises NotAllowed for who may not."""
    sessions.must(session, "payer.unmask")
    audit.record(session, action="payer.unmask", subject=public_id)
