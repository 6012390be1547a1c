"""Payers, billed objects, aliases, invoices: what is owed, by whom, and in what order money pays it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal
from uuid import UUID

import phonenumbers
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Computed,
    ForeignKey,
    Identity,
    Index,
    UniqueConstraint,
    select,
    text,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from reconciliation import spelling
from revenue_engine import db, identifiers
from revenue_engine.billing.tariffs import Station, Stream, TariffLine
from revenue_engine.db import Base, Sealed, raw
from revenue_engine.errors import Conflict, IntegrityFault, InvalidValue, NotFound

MOST_DRAWS = 20
"""How often a pay account number is drawn anew after it turned out to be taken. Even with half of the ninety million
numbers in use, twenty failures in a row happen once in a million draws."""


class Payer(Sealed, Base):
    """Somebody who owes or pays: the only table but payment_party and raw deliveries with names and phones."""

    __tablename__ = "payer"
    __table_args__ = (Index("ix_payer_phone_end", text('"right"(phone, 3)')),)
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    public_id: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    phone: Mapped[str | None]
    """E.164, or empty."""
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    salt: Mapped[UUID] = mapped_column(server_default=text("gen_random_uuid()"))
    """What a version of the payer commits to name and phone with."""


class BilledObject(Base):
    """A thing that is billed again and again: a stall, a house, a plot, a vehicle."""

    __tablename__ = "billed_object"
    __table_args__ = (UniqueConstraint("stream_code", "reference"),)
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    public_id: Mapped[str] = mapped_column(unique=True)
    stream_code: Mapped[str] = mapped_column(ForeignKey("stream.code"))
    station_code: Mapped[str | None] = mapped_column(ForeignKey("station.code"))
    reference: Mapped[str]
    payer_id: Mapped[int | None] = mapped_column(ForeignKey("payer.id"))
    tariff_item: Mapped[str | None]
    """The tariff item a payment for this object buys, where the stream is pay-before-service."""


class Alias(Base):
    """Another way to name an object: a plate, a permit, a plot; ``normal`` is letters and digits only, upper case."""

    __tablename__ = "alias"
    __table_args__ = (
        UniqueConstraint("normal", "object_id"),
        Index("ix_alias_object_id", "object_id"),
        Index("ix_alias_folded", text("translate(normal, 'OILSBZG', '0115826')")),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    kind: Mapped[str]
    normal: Mapped[str]
    typed: Mapped[str]
    object_id: Mapped[int] = mapped_column(ForeignKey("billed_object.id"))


class Invoice(Sealed, Base):
    """A bill as issued: never edited. What is left of it stands in ``open_bill``."""

    __tablename__ = "invoice"
    __table_args__ = (
        Index("ix_invoice_station", "station_code", "id"),
        Index("ix_invoice_stream", "stream_code", "id"),
        Index("ix_invoice_payer_id", "payer_id", "id", postgresql_where=text("payer_id IS NOT NULL")),
        Index("ix_invoice_object_id", "object_id", "id", postgresql_where=text("object_id IS NOT NULL")),
        CheckConstraint("billing IN ('bill', 'spot')", name="billing"),
        CheckConstraint("total_minor > 0", name="total"),
    )
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    public_id: Mapped[str] = mapped_column(unique=True)
    number: Mapped[str] = mapped_column(unique=True)
    pay_account_number: Mapped[str] = mapped_column(unique=True)
    payer_id: Mapped[int | None] = mapped_column(ForeignKey("payer.id"))
    object_id: Mapped[int | None] = mapped_column(ForeignKey("billed_object.id"))
    stream_code: Mapped[str] = mapped_column(ForeignKey("stream.code"))
    station_code: Mapped[str | None] = mapped_column(ForeignKey("station.code"))
    billing: Mapped[str]
    total_minor: Mapped[int]
    currency: Mapped[str] = mapped_column(server_default=text("'KES'"))
    issued_at: Mapped[datetime]
    due_on: Mapped[date]
    issued_by: Mapped[str]
    recorded_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class InvoiceLine(Sealed, Base):
    """One line of an invoice, with the tariff version it was charged by."""

    __tablename__ = "invoice_line"
    __table_args__ = (
        CheckConstraint("component IN ('costs', 'penalty', 'interest', 'arrears', 'principal')", name="component"),
        CheckConstraint("amount_minor > 0 AND amount_minor = quantity * unit_amount_minor", name="amount"),
    )
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoice.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    tariff_line_id: Mapped[int | None] = mapped_column(ForeignKey("tariff_line.id"))
    description: Mapped[str]
    component: Mapped[str]
    quantity: Mapped[int]
    unit_amount_minor: Mapped[int]
    amount_minor: Mapped[int]


class InvoiceCancellation(Sealed, Base):
    """The end of an unpaid invoice, with its reason."""

    __tablename__ = "invoice_cancellation"
    __table_args__ = (
        Index(
            "uq_invoice_cancellation_approval_id",
            "approval_id",
            unique=True,
            postgresql_where=text("approval_id IS NOT NULL"),
        ),
    )
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoice.id"), primary_key=True)
    reason: Mapped[str]
    cancelled_by: Mapped[str]
    cancelled_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    approval_id: Mapped[int | None]
    """The request that two persons agreed to, where the bill was cancelled by one."""


class PayAccount(Sealed, Base):
    """Every number a payer may type: a bill's own, or an object's standing number that pays its open bills."""

    __tablename__ = "pay_account"
    __table_args__ = (CheckConstraint("(invoice_id IS NULL) <> (object_id IS NULL)", name="one_target"),)
    number: Mapped[str] = mapped_column(primary_key=True)
    invoice_id: Mapped[int | None] = mapped_column(ForeignKey("invoice.id"))
    object_id: Mapped[int | None] = mapped_column(ForeignKey("billed_object.id"), unique=True)


class OpenBill(Base):
    """What is left of each invoice, per component, in cents: the one projection, locked by record and apply.

    Rebuilt at will from invoices, cancellations and applications; ``ledger verify`` compares.
    """

    __tablename__ = "open_bill"
    __table_args__ = (
        CheckConstraint(
            "costs_minor >= 0 AND penalty_minor >= 0 AND interest_minor >= 0"
            " AND arrears_minor >= 0 AND principal_minor >= 0",
            name="never_negative",
        ),
        Index("ix_open_bill_object_id", "object_id", postgresql_where=text("outstanding_minor > 0")),
        Index("ix_open_bill_open", "invoice_id", postgresql_where=text("outstanding_minor > 0 AND NOT cancelled")),
        Index("ix_open_bill_cancelled", "invoice_id", postgresql_where=text("cancelled")),
        Index("ix_open_bill_payer_id", "payer_id", postgresql_where=text("outstanding_minor > 0")),
        {"postgresql_with": {"fillfactor": 80}},
    )
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoice.id"), primary_key=True)
    stream_code: Mapped[str]
    station_code: Mapped[str | None]
    payer_id: Mapped[int | None]
    object_id: Mapped[int | None]
    due_on: Mapped[date]
    cancelled: Mapped[bool] = mapped_column(server_default=text("false"))
    costs_minor: Mapped[int] = mapped_column(server_default=text("0"))
    penalty_minor: Mapped[int] = mapped_column(server_default=text("0"))
    interest_minor: Mapped[int] = mapped_column(server_default=text("0"))
    arrears_minor: Mapped[int] = mapped_column(server_default=text("0"))
    principal_minor: Mapped[int] = mapped_column(server_default=text("0"))
    outstanding_minor: Mapped[int] = mapped_column(
        Computed("costs_minor + penalty_minor + interest_minor + arrears_minor + principal_minor", persisted=True)
    )


# --- payers and objects ----------------------------------------------------------------------------------------------

_KIND = re.compile(r"[a-z][a-z_]{1,19}", re.ASCII)


@dataclass(frozen=True, slots=True)
class AddedObject:
    """A billed object as it now stands."""

    id: int
    public_id: str
    reference: str
    pay_account_number: str | None
    """The standing number that pays its open bills, or None where none was asked for."""


class PayerVersion(Sealed, Base):
    """One version of a payer: a salted commitment to name and phone, and neither."""

    __tablename__ = "payer_version"
    __table_args__ = (Index("ix_payer_version_payer_id", "payer_id", "id"),)
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    payer_id: Mapped[int]
    commitment: Mapped[bytes | None]
    made_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))


def normalise_phone(phone: str) -> str:
    """A phone number in E.164 (``+2547…``); numbers without a country code are read as Kenyan.

    Raises InvalidValue naming the field; the number itself, which is personal data, stays out of the message.
    """
    try:
        parsed = phonenumbers.parse(phone, "KE")
    except phonenumbers.NumberParseException:
        parsed = None
    if parsed is None or not phonenumbers.is_valid_number(parsed):
        raise InvalidValue("this is not a phone number; write it as 0700 000 101 or +254 700 000 101", field="phone")
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


def add_payer(session: Session, *, name: str, phone: str | None = None) -> Payer:
    """Register somebody who owes or pays. Raises InvalidValue naming the field that is wrong.

    Nobody is merged by name or phone: two payers may share both.
    """
    tidy = " ".join(name.split())
    if not 1 <= len(tidy) <= 200:
        raise InvalidValue("a payer's name has 1 to 200 characters", field="name")
    payer = Payer(
        public_id=identifiers.public_id("pyr"), name=tidy, phone=None if phone is None else normalise_phone(phone)
    )
    session.add(payer)
    session.flush()
    return payer


def add_object(
    session: Session,
    *,
    stream_code: str,
    reference: str,
    kind: str,
    payer_id: int | None = None,
    station_code: str | None = None,
    aliases: Iterable[str] = (),
    tariff_item: str | None = None,
    standing_number: bool = True,
) -> AddedObject:
    """Register a thing that is billed again and again, the ways in which payers name it, and its standing number.

    ``kind`` says what the reference is (``plate``, ``permit``, ``plot``, ``stall``, ``house``). Raises InvalidValue for
    a malformed field, NotFound for a stream, station, payer or tariff item that does not exist, Conflict when the
    stream already has an object of this name. ``BLOCK 1/234`` and ``BLOCK 12/34`` are two.
    """
    tidy = " ".join(reference.split())
    normals = _aliases(tidy, aliases)
    if not _KIND.fullmatch(kind):
        raise InvalidValue("a kind is 2 to 20 small letters, such as plate or stall", field="kind", kind=kind)
    _object_fits(session, stream_code, station_code, payer_id, tariff_item)
    alike = session.scalars(
        select(BilledObject.reference)
        .join(Alias, Alias.object_id == BilledObject.id)
        .where(BilledObject.stream_code == stream_code, Alias.normal == identifiers.key(tidy))
    )
    standing = next((one for one in alike if spelling.same_name(one, tidy)), None)
    if standing is not None:
        raise Conflict(
            f"stream {stream_code} already has {standing!r}, written the same way", field="reference", reference=tidy
        )
    added = BilledObject(
        public_id=identifiers.public_id("obj"),
        stream_code=stream_code,
        station_code=station_code,
        reference=tidy,
        payer_id=payer_id,
        tariff_item=tariff_item,
    )
    session.add(added)
    session.flush()
    session.add_all(
        Alias(kind=kind, normal=normal, typed=typed, object_id=added.id) for normal, typed in normals.items()
    )
    session.flush()
    number = _standing_number(session, added.id) if standing_number else None
    return AddedObject(added.id, added.public_id, tidy, number)


def _aliases(reference: str, aliases: Iterable[str]) -> dict[str, str]:
    """Each normal form once, with the first way it was typed; the reference is the first of them."""
    normals: dict[str, str] = {}
    for typed in (reference, *aliases):
        normal = identifiers.key(typed)
        if not 1 <= len(normal) <= 60:
            raise InvalidValue(
                "a reference or alias holds 1 to 60 letters or digits",
                field="reference" if typed == reference else "aliases",
                value=typed,
            )
        normals.setdefault(normal, " ".join(typed.split()))
    return normals


def _object_fits(
    session: Session, stream_code: str, station_code: str | None, payer_id: int | None, tariff_item: str | None
) -> None:
    if session.get(Stream, stream_code) is None:
        raise NotFound(f"no stream {stream_code!r}", field="stream_code", stream_code=stream_code)
    if station_code is not None:
        station = session.get(Station, station_code)
        if station is None:
            raise NotFound(f"no station {station_code!r}", field="station_code", station_code=station_code)
        if station.stream_code != stream_code:
            raise InvalidValue(
                f"station {station_code} collects {station.stream_code}, not {stream_code}", field="station_code"
            )
    if payer_id is not None and session.get(Payer, payer_id) is None:
        raise NotFound(f"no payer {payer_id}", field="payer_id", payer_id=payer_id)
    if tariff_item is not None:
        item = select(TariffLine.id).where(TariffLine.item_code == tariff_item, TariffLine.stream_code == stream_code)
        if session.scalar(item.limit(1)) is None:
            raise NotFound(
                f"stream {stream_code} has no tariff item {tariff_item!r}", field="tariff_item", tariff_item=tariff_item
            )


def _standing_number(session: Session, object_id: int) -> str:
    for _ in range(MOST_DRAWS):
        drawn = db.found(
            session,
            "INSERT INTO pay_account (number, object_id) VALUES (%s, %s) ON CONFLICT (number) DO NOTHING"
            " RETURNING number",
            (identifiers.draw_pay_account_number(), object_id),
        )
        if drawn is not None:
            return str(drawn)
    raise IntegrityFault(f"{MOST_DRAWS} pay account numbers in a row were taken: their space is full")


# --- looking things up -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """Something a code names: ``public_id`` leads to it, ``label`` is how to show it (never personal data)."""

    kind: Literal["payment", "invoice", "object"]
    public_id: str
    label: str
    by: Literal["payment_reference", "invoice_number", "pay_account_number", "alias"]


_SEARCH = """
    SELECT 'payment', public_id, reference, 'payment_reference' FROM payment WHERE reference = %(text)s
    UNION ALL
    SELECT 'invoice', public_id, number, 'invoice_number' FROM invoice WHERE number = %(text)s
    UNION ALL
    SELECT 'invoice', i.public_id, i.number, 'pay_account_number'
      FROM pay_account a JOIN invoice i ON i.id = a.invoice_id WHERE a.number = %(normal)s
    UNION ALL
    SELECT 'object', o.public_id, o.reference, 'pay_account_number'
      FROM pay_account a JOIN billed_object o ON o.id = a.object_id WHERE a.number = %(normal)s
    UNION ALL
    SELECT 'object', o.public_id, o.reference, 'alias'
      FROM alias a JOIN billed_object o ON o.id = a.object_id WHERE a.normal = %(normal)s
    LIMIT %(limit)s
"""


def search(session: Session, code: str, *, limit: int = 20) -> list[Found]:
    """Whatever a code names exactly: a payment reference, an invoice number, a pay account number, an alias.

    Blanks around it and letter case do not matter; in numbers and aliases punctuation does not either. One statement,
    every branch by an index. An empty code finds nothing.
    """
    text_ = code.strip().upper()
    if not text_ or limit < 1:
        return []
    values = {"text": text_, "normal": identifiers.key(text_), "limit": limit}
    return [Found(*row) for row in raw(session).execute(_SEARCH, values)]


def find_invoice(session: Session, *, number: str | None = None, pay_account_number: str | None = None) -> Invoice:
    """The invoice of this number, or with this pay account number of its own. Give exactly one of them.

    Raises NotFound, and InvalidValue when none or both are given.
    """
    if (number is None) == (pay_account_number is None):
        raise InvalidValue("name an invoice by its number or by its pay account number")
    if number is not None:
        statement = select(Invoice).where(Invoice.number == number.strip().upper())
    else:
        statement = select(Invoice).where(Invoice.pay_account_number == identifiers.key(pay_account_number or ""))
    found = session.scalars(statement).one_or_none()
    if found is None:
        raise NotFound(f"no invoice {number or pay_account_number!r}", number=number or pay_account_number)
    return found


def pay_account_numbers(session: Session, invoice_ids: Iterable[int]) -> dict[int, str]:
    """The pay account number of each of some bills, by the bill's id."""
    rows = raw(session).execute(
        "SELECT id, pay_account_number FROM invoice WHERE id = ANY(%s)", (sorted(set(invoice_ids)),)
    )
    return {row[0]: row[1] for row in rows}


def of_bills(session: Session, invoice_ids: Iterable[int]) -> dict[int, int]:
    """The payer of each of some bills, by the bill's id; bills of nobody known are left out."""
    rows = raw(session).execute(
        "SELECT id, payer_id FROM invoice WHERE id = ANY(%s) AND payer_id IS NOT NULL", (sorted(set(invoice_ids)),)
    )
    return dict(rows.fetchall())


def bills_named(session: Session, *, words: str = "", phone: str = "", limit: int = 200) -> list[int]:
    """The newest bills that a number, a plate or another name of an object names, or of the payers of a phone.

    ``words`` are letters and digits (``identifiers.key``), ``phone`` is in E.164.
    """
    rows = raw(session).execute(
        # One branch an index: with OR, PostgreSQL reads every bill.
        "SELECT id FROM (SELECT id FROM invoice WHERE number = %(number)s"
        " UNION SELECT id FROM invoice WHERE pay_account_number = %(words)s"
        " UNION SELECT id FROM invoice WHERE payer_id = ANY(ARRAY(SELECT id FROM payer"
        '       WHERE "right"(phone, 3) = "right"(%(phone)s, 3) AND phone = %(phone)s AND phone <> \'\'))'
        " UNION SELECT id FROM invoice WHERE object_id = ANY(ARRAY(SELECT object_id FROM alias WHERE normal = %(words)s"
        "       UNION SELECT object_id FROM pay_account WHERE number = %(words)s AND object_id IS NOT NULL))) named"
        " ORDER BY id DESC LIMIT %(limit)s",
        {"words": words, "number": re.sub(r"^INV(\d{4})(\d+)$", r"INV-\1-\2", words), "phone": phone, "limit": limit},
    )
    return [row[0] for row in rows]


def last_edits(session: Session, invoice_ids: Iterable[int]) -> dict[int, datetime]:
    """When the payer of each bill was last edited; bills whose payer stands as entered are not answered."""
    rows = raw(session).execute(
        "SELECT i.id, max(v.made_at) FROM invoice i JOIN payer p ON p.id = i.payer_id"
        "  JOIN payer_version v ON v.payer_id = p.id AND v.xid <> p.xid WHERE i.id = ANY(%s) GROUP BY i.id",
        (sorted(set(invoice_ids)),),
    )
    return dict(rows.fetchall())


def is_known(session: Session, words: str) -> bool:
    """Whether letters and digits are a pay account number or another name of a billed object."""
    row = raw(session).execute(
        "SELECT EXISTS (SELECT FROM pay_account WHERE number = %(words)s)"
        " OR EXISTS (SELECT FROM alias WHERE normal = %(words)s)",
        {"words": words},
    )
    return bool((row.fetchone() or (False,))[0])


def invoice_id(session: Session, public: str) -> int:
    """The key of the bill of a public id. Raises NotFound."""
    found = session.scalar(select(Invoice.id).where(Invoice.public_id == public))
    if found is None:
        raise NotFound(f"no invoice {public!r}", public_id=public)
    return found
