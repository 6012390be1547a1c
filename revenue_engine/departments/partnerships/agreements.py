"""Agreements: gates with their papers, pledges at the rate of their day, what the bank shows, what was used."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, NamedTuple

import psycopg
from sqlalchemy.orm import Session

from revenue_engine import payments, periods
from revenue_engine.access import sessions
from revenue_engine.db import raw, rows, scalar
from revenue_engine.departments.partnerships import iati
from revenue_engine.departments.partnerships.gates import state_of
from revenue_engine.errors import Conflict, InvalidValue, NotFound

RECORD = "department.record"
"""The permission to keep a register."""
WHOLE = 10_000
EXPIRES_WITHIN = 90
"""Days within which an agreement is shown as expiring."""
_PARTNER = ("code", "name", "organisation_type", "iati_reference")
_AGREEMENT = (
    *("reference", "title", "description", "kind", "on_budget", "starts_on", "ends_on"),
    *("next_step", "next_owner", "next_on"),
)


def _keep(session: Session, table: str, values: Mapping[str, Any], *, returning: str = "1") -> int:
    """Insert a register's row; the database names who keeps it. Raises Conflict where the row is there, InvalidValue
    where a rule of the register says no."""
    sessions.must(session, RECORD)
    columns = ", ".join(values)
    marks = ", ".join(["%s"] * len(values))
    try:
        with session.begin_nested():
            return int(
                scalar(
                    session,
                    f"INSERT INTO {table} ({columns}, kept_by) VALUES ({marks}, '') RETURNING {returning}",  # noqa: S608
                    tuple(values.values()),
                )
            )
    except psycopg.errors.UniqueViolation as error:
        raise Conflict(f"this is kept already ({error.diag.constraint_name})", table=table) from error
    except (psycopg.errors.CheckViolation, psycopg.errors.NotNullViolation) as error:
        field = (error.diag.constraint_name or error.diag.column_name or "").removeprefix(f"ck_{table}_")
        raise InvalidValue(f"{table.replace('_', ' ')}: {field} is missing or wrong", field=field) from error


def key_of(session: Session, reference: str) -> int:
    """The key of an agreement by its reference. Raises NotFound."""
    row = raw(session).execute("SELECT id FROM agreement WHERE reference = %s", (reference,)).fetchone()
    if row is None:
        raise NotFound(f"there is no agreement {reference!r}", reference=reference)
    return int(row[0])


def add_partner(session: Session, described: Mapping[str, Any]) -> int:
    """Register a partner: code, name, organisation_type (an IATI code such as 10, 40, 60) and iati_reference."""
    return _keep(session, "partner", {f: described.get(f) for f in _PARTNER}, returning="id")


def add_agreement(session: Session, partner: str, described: Mapping[str, Any]) -> int:
    """Register an agreement as a prospect, with its next step, who does it and by when. Raises NotFound, InvalidValue
    and Conflict."""
    row = raw(session).execute("SELECT id FROM partner WHERE code = %s", (partner,)).fetchone()
    if row is None:
        raise NotFound(f"there is no partner {partner!r}", partner=partner)
    values = {"partner_id": row[0], **{f: described.get(f) for f in _AGREEMENT}}
    return _keep(session, "agreement", values, returning="id")


def pass_gate(session: Session, reference: str, gate: str, *, paper: str, on: date) -> None:
    """Pass a gate with the reference of the paper that passes it. Raises InvalidValue without one, Conflict where an
    earlier gate was not passed. What could not be published is not approved: InvalidValue with each field."""
    if not paper.strip():
        raise InvalidValue(f"the gate {gate} is passed by a paper: say its reference", field="reference")
    values = {"agreement_id": key_of(session, reference), "gate": gate, "reference": paper.strip(), "passed_on": on}
    if gate == "cecm_approval":
        iati.publishable(session, reference, today=periods.today())
    _keep(session, "agreement_gate", values)


def keep_rate(session: Session, currency: str, day: date, *, kes_micro: int, source: str) -> None:
    """Keep the shillings for one unit of a currency on a day, in millionths, and where the rate is from."""
    _keep(session, "exchange_rate", {"currency": currency, "day": day, "kes_micro": kes_micro, "source": source})


def pledge(
    session: Session, reference: str, *, currency: str, amount_minor: int, value_date: date, in_kind: bool = False
) -> int:
    """Keep a pledge, or with a negative amount the taking back of one; returns its KES in cents at the rate of the
    value date. Raises Conflict without a rate of that day."""
    values = {
        "agreement_id": key_of(session, reference),
        "in_kind": in_kind,
        "currency": currency,
        "amount_minor": amount_minor,
        "kes_minor": 0,
        "value_date": value_date,
    }
    return _keep(session, "agreement_commitment", values, returning="kes_minor")


def require(session: Session, reference: str, condition: str, *, due_on: date) -> int:
    """Keep a condition of the partner; returns its number."""
    values = {"agreement_id": key_of(session, reference), "condition": condition, "due_on": due_on}
    return _keep(session, "agreement_condition", values, returning="id")


def meet(session: Session, condition: int, *, evidence: str, on: date) -> None:
    """Keep the evidence that a condition is met."""
    _keep(session, "condition_met", {"condition_id": condition, "evidence": evidence, "met_on": on})


def receive_goods(
    session: Session, reference: str, *, item: str, quantity: int, value_minor: int, basis: str, on: date
) -> int:
    """Keep goods that came, with their value and how it was found; returns the number. They count when another person
    has confirmed them."""
    values = {
        "agreement_id": key_of(session, reference),
        "item": item,
        "quantity": quantity,
        "value_minor": value_minor,
        "basis": basis,
        "received_on": on,
    }
    return _keep(session, "in_kind_receipt", values, returning="id")


def confirm_goods(session: Session, reference: str, number: int, *, certificate: str) -> int:
    """Confirm goods that another person received, by a certificate that they serve and do no harm; returns the KES in
    cents. Raises NotAllowed for who received them."""
    values = {
        "agreement_id": key_of(session, reference),
        "in_kind_id": number,
        "certificate": certificate,
        "kes_minor": 0,
        "came_on": periods.today(),
    }
    return _keep(session, "agreement_disbursement", values, returning="kes_minor")


def receive_payment(session: Session, reference: str, payment: str) -> int:
    """Say that a proved payment is a disbursement of an agreement; returns its KES in cents, which are the payment's.
    Raises NotFound for an unknown payment, Conflict for one taken back, counted already, or before signature."""
    values = {
        "agreement_id": key_of(session, reference),
        "payment_id": payments.named(session, payment),
        "kes_minor": 0,
        "came_on": periods.today(),
    }
    return _keep(session, "agreement_disbursement", values, returning="kes_minor")


def use(
    session: Session, reference: str, *, kes_minor: int, on: date, voucher: str, activity: str, ward: str = ""
) -> None:
    """Keep what was used of an agreement, by voucher. Raises Conflict above what was received."""
    values = {
        "agreement_id": key_of(session, reference),
        "kes_minor": kes_minor,
        "used_on": on,
        "voucher": voucher,
        "activity": activity,
        "ward": ward,
    }
    _keep(session, "agreement_use", values)


def weigh(session: Session, reference: str, vocabulary: str, weights: Mapping[str, int]) -> None:
    """Say what an agreement is for, by SDG ``goal`` or ``target``, in parts that make 10,000. Raises InvalidValue that
    names the sum."""
    sessions.must(session, RECORD)
    total = sum(weights.values())
    if total != WHOLE:
        raise InvalidValue(f"the weights of {reference} make {total} and not {WHOLE}", parts=total)
    number = key_of(session, reference)
    try:
        with session.begin_nested():
            raw(session).execute(
                "INSERT INTO agreement_sdg (agreement_id, number, vocabulary, code, parts, kept_by)"
                " SELECT %(of)s, coalesce((SELECT max(number) FROM agreement_sdg WHERE agreement_id = %(of)s), 0) + 1,"
                " %(vocabulary)s, c, p, '' FROM unnest(%(codes)s::text[], %(parts)s::bigint[]) AS w (c, p)",
                {"of": number, "vocabulary": vocabulary, "codes": list(weights), "parts": list(weights.values())},
            )
    except psycopg.errors.CheckViolation as error:
        raise InvalidValue(f"a weight of {reference} has no such {vocabulary}", field="code") from error


class Standing(NamedTuple):
    """An agreement as it stands; amounts are KES in cents. ``at_risk_minor`` is what was pledged and did not come, and
    what came and was not used, where the agreement ends within 90 days."""

    reference: str
    partner: str
    title: str
    state: str
    ends_on: date
    days_left: int
    pledged_minor: int
    received_minor: int
    used_minor: int
    unbanked_minor: int
    unused_minor: int
    at_risk_minor: int
    conditions_open: int
    next_step: str
    next_owner: str
    next_on: date


class _Figures(NamedTuple):
    reference: str
    partner: str
    title: str
    gates: list[str]
    ends_on: date
    pledged: int
    received: int
    used: int
    conditions_open: int
    next_step: str
    next_owner: str
    next_on: date


def standing(session: Session, *, today: date | None = None) -> list[Standing]:
    """Pledged, received and used of every agreement, and what expires: the earliest end first."""
    on = today or periods.today()
    found = rows(
        session,
        _Figures,
        """
        SELECT a.reference, p.name AS partner, a.title,
               ARRAY(SELECT g.gate FROM agreement_gate g WHERE g.agreement_id = a.id) AS gates, a.ends_on,
               coalesce((SELECT sum(c.kes_minor) FROM agreement_commitment c WHERE c.agreement_id = a.id), 0)::bigint
                   AS pledged,
               agreement_received(a.id) AS received,
               coalesce((SELECT sum(u.kes_minor) FROM agreement_use u WHERE u.agreement_id = a.id), 0)::bigint AS used,
               (SELECT count(*) FROM agreement_condition c WHERE c.agreement_id = a.id
                   AND NOT EXISTS (SELECT FROM condition_met m WHERE m.condition_id = c.id)) AS conditions_open,
               a.next_step, a.next_owner, a.next_on
          FROM agreement a JOIN partner p ON p.id = a.partner_id ORDER BY a.ends_on, a.reference
        """,
    )
    return [_stands(one, on) for one in found]


def _stands(one: _Figures, on: date) -> Standing:
    state = state_of(one.gates, one.ends_on, on)
    unbanked, unused = max(one.pledged - one.received, 0), one.received - one.used
    left = (one.ends_on - on).days
    expires = state in {"active", "expired"} and one.ends_on <= on + timedelta(days=EXPIRES_WITHIN)
    return Standing(
        *(one.reference, one.partner, one.title, state, one.ends_on, left, one.pledged, one.received, one.used),
        *(unbanked, unused, unbanked + unused if expires else 0, one.conditions_open),
        *(one.next_step, one.next_owner, one.next_on),
    )
