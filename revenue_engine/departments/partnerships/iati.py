"""Agreements as IATI 2.03 activities: what the county publishes of what it was pledged, received and spent.

Each transaction has a row of ours behind it. Records that could not be published are refused with their agreement and
field before a line of XML is written. The order of elements is that of the schema.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, datetime
from typing import Any, NamedTuple
from xml.etree import ElementTree as ET

from sqlalchemy.orm import Session

from revenue_engine.db import raw, rows
from revenue_engine.departments.partnerships import iati_rules
from revenue_engine.departments.partnerships.gates import state_of
from revenue_engine.errors import InvalidValue
from revenue_engine.money import wire

_STATUS = {"prospect": "1", "approved": "1", "active": "2", "expired": "3", "closed": "4", "terminated": "5"}
_COMMITTED, _RECEIVED, _SPENT = "11", "1", "4"
_IDENTIFIER = re.compile(r"[^/&|?\s]+")


class Moved(NamedTuple):
    """One transaction to publish: its IATI code, day, cents, currency and value date, and the row that it stands on."""

    code: str
    day: date
    minor: int
    currency: str
    row: str


class Activity(NamedTuple):
    """One agreement to publish."""

    id: int
    reference: str
    title: str
    description: str
    gates: list[str]
    starts_on: date
    ends_on: date
    partner: str
    partner_reference: str
    partner_type: str


def activities(session: Session) -> list[Activity]:
    """The agreements, by reference."""
    return rows(
        session,
        Activity,
        "SELECT a.id, a.reference, a.title, a.description,"
        " ARRAY(SELECT g.gate FROM agreement_gate g WHERE g.agreement_id = a.id) AS gates, a.starts_on, a.ends_on,"
        " p.name AS partner, p.iati_reference AS partner_reference, p.organisation_type AS partner_type"
        " FROM agreement a JOIN partner p ON p.id = a.partner_id ORDER BY a.reference",
    )


def moved(session: Session, agreement: int) -> list[Moved]:
    """The transactions of an agreement: pledges, what came (taken back ones with a minus), what was spent."""
    return rows(
        session,
        Moved,
        """
        SELECT '11' AS code, value_date AS day, amount_minor AS minor, currency, 'commitment ' || id AS row
          FROM agreement_commitment WHERE agreement_id = %(of)s
        UNION ALL SELECT '1', came_on, kes_minor, 'KES', 'disbursement ' || id
          FROM agreement_disbursement WHERE agreement_id = %(of)s
        UNION ALL SELECT '1', came_on, -kes_minor, 'KES', 'disbursement ' || id || ' taken back'
          FROM agreement_disbursement WHERE agreement_id = %(of)s AND disbursement_taken_back(id)
        UNION ALL SELECT '4', used_on, kes_minor, 'KES', 'use ' || id FROM agreement_use WHERE agreement_id = %(of)s
         ORDER BY 2, 1, 5
        """,
        {"of": agreement},
    )


def weights(session: Session, agreement: int) -> list[tuple[str, str, int]]:
    """(vocabulary, code, parts) of the newest set of each vocabulary, goals and targets in their own order."""
    found = raw(session).execute(
        "SELECT vocabulary, code, parts FROM agreement_sdg s WHERE agreement_id = %s AND number = (SELECT max(number)"
        " FROM agreement_sdg n WHERE n.agreement_id = s.agreement_id AND n.vocabulary = s.vocabulary)",
        (agreement,),
    )
    return sorted((tuple(row) for row in found), key=lambda row: (row[0], sort_key(row[1])))


def sort_key(code: str) -> tuple[int, bool, int, str]:
    """How SDG codes follow each other: 1.2 before 1.10, and 9.5 before 9.c."""
    goal, _, target = code.partition(".")
    return int(goal), target.isalpha(), int(target) if target.isdigit() else 0, target


def refusals(
    session: Session, *, organisation: str, today: date, only: str | None = None
) -> list[tuple[str, str, str]]:
    """(agreement, field, why) for whatever could not be published, of all agreements or of ``only`` one."""
    found: list[tuple[str, str, str]] = []
    for one in activities(session):
        if only is not None and one.reference != only:
            continue
        told = [(field, str(getattr(one, field))) for field in ("title", "description", "partner")]
        found += [(one.reference, field, "is empty") for field, text in told if not text.strip()]
        if not _IDENTIFIER.fullmatch(f"{organisation}-{one.reference}"):
            found.append((one.reference, "reference", "an identifier has no blank and none of / & | ?"))
        sums: dict[str, int] = {}
        for vocabulary, _, parts in weights(session, one.id):
            sums[vocabulary] = sums.get(vocabulary, 0) + parts
        if "goal" not in sums:
            found.append((one.reference, "sdg", "an activity says its goals: keep the weights"))
        found += [(one.reference, "sdg", f"{v} weights make {s}") for v, s in sums.items() if s != 10_000]
        for row in moved(session, one.id):
            if row.day > today:
                found.append((one.reference, row.row, f"{row.day} has not come: no transaction is of a day to come"))
    return found


def publishable(session: Session, reference: str, *, today: date) -> None:
    """Raises InvalidValue with each field for which an agreement could not be published: what is approved can be."""
    wrong = refusals(session, organisation="KE", today=today, only=reference)
    if wrong:
        raise InvalidValue("; ".join(f"{of}: {field}: {why}" for of, field, why in wrong), refused=len(wrong))


def document(session: Session, *, organisation: str, name: str, now: datetime) -> bytes:
    """The IATI file of all agreements. Raises InvalidValue with agreement and field where one cannot be published."""
    wrong = refusals(session, organisation=organisation, today=now.date())
    if wrong:
        raise InvalidValue("; ".join(f"{of}: {field}: {why}" for of, field, why in wrong), refused=len(wrong))
    root = ET.Element("iati-activities", {"version": "2.03", "generated-datetime": now.isoformat(timespec="seconds")})
    for one in activities(session):
        sdgs, transactions = weights(session, one.id), moved(session, one.id)
        _activity(root, one, sdgs, transactions, (organisation, name), now)
    ET.indent(root)
    written = bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))
    broken = iati_rules.check(written, now=now)
    if broken:
        told = "; ".join(f"{one.row}: {one.field}: {one.why} (rule {one.rule})" for one in broken)
        raise InvalidValue(told, refused=len(broken))
    return written


def _activity(
    root: ET.Element,
    one: Activity,
    sdgs: Iterable[tuple[str, str, int]],
    transactions: Iterable[Moved],
    county: tuple[str, str],
    now: datetime,
) -> None:
    organisation, name = county
    stamp = {"default-currency": "KES", "last-updated-datetime": now.isoformat(timespec="seconds")}
    activity = ET.SubElement(root, "iati-activity", {**stamp, "{http://www.w3.org/XML/1998/namespace}lang": "en"})
    _text(activity, "iati-identifier", f"{organisation}-{one.reference}")
    _narrated(activity, "reporting-org", name, ref=organisation, type="11")
    _narrated(activity, "title", one.title)
    _narrated(activity, "description", one.description, type="1")
    _narrated(activity, "participating-org", one.partner, ref=one.partner_reference, type=one.partner_type, role="1")
    _narrated(activity, "participating-org", name, ref=organisation, type="11", role="4")
    state = state_of(one.gates, one.ends_on, now.date())
    ET.SubElement(activity, "activity-status", {"code": _STATUS[state]})
    signed = "signature" in one.gates and one.starts_on <= now.date()
    dates = [("1", one.starts_on), *([("2", one.starts_on)] if signed else []), ("3", one.ends_on)]
    for kind, day in dates:
        ET.SubElement(activity, "activity-date", {"type": kind, "iso-date": day.isoformat()})
    ET.SubElement(activity, "activity-scope", {"code": "6"})
    ET.SubElement(activity, "recipient-country", {"code": "KE", "percentage": "100"})
    for vocabulary, code, parts in sdgs:
        known = {"vocabulary": {"goal": "7", "target": "8"}[vocabulary], "code": code}
        ET.SubElement(activity, "sector", {**known, "percentage": f"{parts // 100}.{parts % 100:02d}"})
    for vocabulary, code, _ in sdgs:
        ET.SubElement(activity, "tag", {"vocabulary": {"goal": "2", "target": "3"}[vocabulary], "code": code})
    ET.SubElement(activity, "default-finance-type", {"code": "110"})
    for row in transactions:
        _transaction(activity, row, one, county)


def _transaction(activity: ET.Element, row: Moved, one: Activity, county: tuple[str, str]) -> None:
    organisation, name = county
    transaction = ET.SubElement(activity, "transaction", {"ref": row.row.replace(" ", "-")})
    ET.SubElement(transaction, "transaction-type", {"code": row.code})
    ET.SubElement(transaction, "transaction-date", {"iso-date": row.day.isoformat()})
    told = {"currency": row.currency, "value-date": row.day.isoformat()}
    ET.SubElement(transaction, "value", told).text = wire(row.minor)
    if row.code in {_COMMITTED, _RECEIVED}:
        _narrated(transaction, "provider-org", one.partner, ref=one.partner_reference, type=one.partner_type)
        _narrated(transaction, "receiver-org", name, ref=organisation, type="11")


def _text(parent: ET.Element, tag: str, text: str) -> None:
    ET.SubElement(parent, tag).text = text


def _narrated(parent: ET.Element, tag: str, text: str, **attributes: Any) -> None:
    element = ET.SubElement(parent, tag, attributes)
    ET.SubElement(element, "narrative").text = text
