"""The programme: who learns where, who attends, who is found competent, who is certified, and what one costs."""

from __future__ import annotations

import csv
import io
import secrets
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from sqlalchemy.orm import Session

from revenue_engine import db
from revenue_engine.access import sessions
from revenue_engine.billing import registers
from revenue_engine.db import rows, scalar
from revenue_engine.errors import Conflict, InvalidValue, NotFound

RECORD = "department.record"
"""The permission to keep a register."""
_COHORT = (
    *("code", "programme_year", "course", "unit", "framework", "host", "sub_county", "ward", "starts_on", "ends_on"),
    *("sessions", "attendance_parts", "capacity"),
)
_LEARNER = ("number", "payer_id", "sex", "year_band", "sub_county", "ward", "disability")


def _keep(session: Session, table: str, values: Mapping[str, Any], *, returning: str = "1") -> int:
    sessions.must(session, RECORD)
    marks = ", ".join(["%s"] * len(values))
    try:
        with session.begin_nested():
            return int(
                scalar(
                    session,
                    f"INSERT INTO {table} ({', '.join(values)}, kept_by)"  # noqa: S608 - our own names
                    f" VALUES ({marks}, '') RETURNING {returning}",
                    tuple(values.values()),
                )
            )
    except psycopg.errors.UniqueViolation as error:
        raise Conflict(f"this is kept already ({error.diag.constraint_name})", table=table) from error
    except (psycopg.errors.CheckViolation, psycopg.errors.NotNullViolation) as error:
        field = (error.diag.constraint_name or error.diag.column_name or "").removeprefix(f"ck_{table}_")
        raise InvalidValue(f"{table.replace('_', ' ')}: {field} is missing or wrong", field=field) from error


def _enrolment(session: Session, learner: str, cohort: str) -> tuple[int, int, int, str]:
    row = db.first(
        session,
        "SELECT e.id, e.learner_id, e.cohort_id, c.unit FROM enrolment e JOIN learner l ON l.id = e.learner_id"
        " JOIN cohort c ON c.id = e.cohort_id WHERE l.number = %s AND c.code = %s",
        (learner, cohort),
    )
    if row is None:
        raise NotFound(f"the learner {learner} is not enrolled in the cohort {cohort}", learner=learner, cohort=cohort)
    return int(row[0]), int(row[1]), int(row[2]), str(row[3])


def _id(session: Session, table: str, column: str, value: str) -> int:
    number = db.found(session, f"SELECT id FROM {table} WHERE {column} = %s", (value,))  # noqa: S608 - our own names
    if number is None:
        raise NotFound(f"there is no {table} {value!r}", **{table: value})
    return int(number)


def add_cohort(session: Session, described: Mapping[str, Any]) -> int:
    """Register a cohort. Raises InvalidValue that names the field, Conflict and NotAllowed."""
    return _keep(session, "cohort", {f: described.get(f) for f in _COHORT}, returning="id")


def add_learner(session: Session, described: Mapping[str, Any]) -> int:
    """Register a learner by number, sex, year band and place; a name stands with the payers alone: ``payer`` is the
    public id of one. Raises NotFound for no such payer."""
    values = {f: described.get(f) for f in _LEARNER}
    if described.get("payer"):
        values["payer_id"] = registers.payer_key(session, described["payer"])
    return _keep(session, "learner", values, returning="id")


def enrol(
    session: Session,
    learner: str,
    cohort: str,
    *,
    on: date,
    invoice_id: int | None = None,
    agreement_id: int | None = None,
    waiver: str | None = None,
) -> int:
    """Enrol a learner; who pays is one of a bill, an agreement, or a waiver's paper. Raises Conflict where the cohort
    is full or the learner is in it, InvalidValue where not exactly one pays."""
    values = {
        "learner_id": _id(session, "learner", "number", learner),
        "cohort_id": _id(session, "cohort", "code", cohort),
        "invoice_id": invoice_id,
        "agreement_id": agreement_id,
        "waiver": waiver,
        "enrolled_on": on,
    }
    return _keep(session, "enrolment", values, returning="id")


def attend(session: Session, cohort: str, session_number: int, present: Mapping[str, bool], *, on: date) -> int:
    """Keep who was at a session, all of a list or none; returns how many were kept. Raises NotFound for who is not
    enrolled, Conflict for a session that was kept before or that the cohort does not have."""
    for learner, was_there in present.items():
        number, *_ = _enrolment(session, learner, cohort)
        values = {"enrolment_id": number, "session": session_number, "present": was_there, "held_on": on}
        _keep(session, "attendance", values)
    return len(present)


def read_attendance(
    session: Session, cohort: str, session_number: int, file: Path
) -> tuple[dict[str, bool], list[tuple[int, list[str], str]]]:
    """Read a sheet of who was at a session (columns learner, present): who is good to keep, and (row, its cells, why)
    for each row that is not. Raises InvalidValue for a sheet with other columns or letters, NotFound for no cohort."""
    of = _id(session, "cohort", "code", cohort)
    given = db.raw(session).execute(
        "SELECT l.number, EXISTS (SELECT FROM attendance a WHERE a.enrolment_id = e.id AND a.session = %s)"
        " FROM enrolment e JOIN learner l ON l.id = e.learner_id WHERE e.cohort_id = %s",
        (session_number, of),
    )
    kept = {str(learner): bool(held) for learner, held in given}
    good: dict[str, bool] = {}
    bad: list[tuple[int, list[str], str]] = []
    try:
        read = list(csv.reader(io.StringIO(file.read_text(encoding="utf-8-sig"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidValue(f"{file.name} is no sheet of comma-separated text: {error}", file=file.name) from None
    if not read or [cell.strip() for cell in read[0]] != ["learner", "present"]:
        raise InvalidValue(f"{file.name} has the columns learner and present", file=file.name)
    for number, cells in enumerate(read[1:], start=2):
        if not any(cell.strip() for cell in cells):
            continue
        learner, present = ([cell.strip() for cell in cells] + ["", ""])[:2]
        why = (
            "a row has two cells: learner and present" if len(cells) != 2
            else f"{learner or 'nobody'} is not enrolled in the cohort {cohort}" if learner not in kept
            else f"session {session_number} of {learner} was kept before" if kept[learner]
            else f"{learner} stands twice in the sheet" if learner in good
            else "" if present in {"yes", "no"} else f"present is yes or no: {present!r}"
        )  # fmt: skip
        if why:
            bad.append((number, cells, why))
        else:
            good[learner] = present == "yes"
    return good, bad


def assess(session: Session, learner: str, cohort: str, *, attempt: int, competent: bool, on: date) -> None:
    """Keep what an attempt found: competent or not yet."""
    number, *_ = _enrolment(session, learner, cohort)
    values = {"enrolment_id": number, "attempt": attempt, "competent": competent, "assessed_on": on}
    _keep(session, "assessment", values)


def certify(session: Session, learner: str, cohort: str, *, attempt: int, on: date) -> str:
    """Certify a learner; returns the certificate's number. Raises Conflict that names what is missing: attendance,
    assessment or fee; and where the certificate was issued."""
    _, learner_id, cohort_id, unit = _enrolment(session, learner, cohort)
    number = f"DL{on:%y}-{secrets.token_hex(5).upper()}"
    values = {
        "number": number,
        "learner_id": learner_id,
        "unit": unit,
        "cohort_id": cohort_id,
        "attempt": attempt,
        "issued_on": on,
    }
    _keep(session, "literacy_certificate", values)
    return number


def reissue(session: Session, former: str, *, reason: str, on: date) -> str:
    """Issue a certificate anew, such as after a name was corrected; the former stays and is superseded, once."""
    row = db.first(
        session,
        "SELECT id, learner_id, unit, cohort_id, attempt FROM literacy_certificate WHERE number = %s",
        (former,),
    )
    if row is None:
        raise NotFound(f"there is no certificate {former!r}", number=former)
    if not reason.strip():
        raise InvalidValue("say why the certificate is issued anew", field="reason")
    number = f"DL{on:%y}-{secrets.token_hex(5).upper()}"
    values = {
        "number": number,
        "learner_id": row[1],
        "unit": row[2],
        "cohort_id": row[3],
        "attempt": row[4],
        "supersedes_id": row[0],
        "reason": reason.strip(),
        "issued_on": on,
    }
    _keep(session, "literacy_certificate", values)
    return number


def verify(session: Session, number: str) -> str:
    """What a certificate's number is worth: valid, superseded or unknown."""
    superseded = db.found(
        session,
        "SELECT EXISTS (SELECT FROM literacy_certificate n WHERE n.supersedes_id = c.id)"
        " FROM literacy_certificate c WHERE c.number = %s",
        (number,),
    )
    return "unknown" if superseded is None else "superseded" if superseded else "valid"


class Certified(NamedTuple):
    """A certificate and what stands behind it; ``payer_id`` is who holds the learner's name, ``superseded_by`` the
    certificate that took its place, with ``superseded_why``."""

    number: str
    learner: str
    payer_id: int | None
    unit: str
    attempt: int
    issued_on: date
    cohort: str
    course: str
    framework: str
    host: str
    sessions: int
    attended: int
    superseded_by: str | None
    superseded_why: str | None


def certified(session: Session, number: str) -> Certified:
    """A certificate by its number. Raises NotFound."""
    one = db.one(
        session,
        Certified,
        """
        SELECT x.number, l.number AS learner, l.payer_id, x.unit, x.attempt, x.issued_on, c.code AS cohort, c.course,
               c.framework, c.host, c.sessions,
               (SELECT count(*) FROM enrolment e JOIN attendance a ON a.enrolment_id = e.id AND a.present
                 WHERE e.learner_id = l.id AND e.cohort_id = c.id) AS attended,
               n.number AS superseded_by, n.reason AS superseded_why
          FROM literacy_certificate x JOIN learner l ON l.id = x.learner_id JOIN cohort c ON c.id = x.cohort_id
          LEFT JOIN literacy_certificate n ON n.supersedes_id = x.id WHERE x.number = %s
        """,
        (number,),
    )
    if one is None:
        raise NotFound(f"there is no certificate {number!r}", number=number)
    return one


def cost(session: Session, cohort: str, voucher: str, *, amount_minor: int) -> None:
    """Say which part of a voucher of the book of literacy a cohort cost. Raises NotFound for a voucher that was not
    spent, Conflict above the voucher."""
    values = {"cohort_id": _id(session, "cohort", "code", cohort), "voucher": voucher, "amount_minor": amount_minor}
    _keep(session, "cohort_cost", values)


class Place(NamedTuple):
    """One sub-county: learners and cents; a figure for each is None where there is nobody to divide by."""

    sub_county: str
    cohorts: int
    enrolled: int
    attended: int
    certified: int
    cost_minor: int

    def each(self, learners: int) -> int | None:
        """Cents for each of so many learners, rounded up."""
        return -(-self.cost_minor // learners) if learners else None


def places(session: Session, *, programme_year: str | None = None) -> list[Place]:
    """Learners and cost by the sub-county of the host: enrolled, at one session at least, certified (once each)."""
    return rows(
        session,
        Place,
        """
        SELECT c.sub_county, count(*) AS cohorts, sum(n.enrolled)::bigint AS enrolled,
               sum(n.attended)::bigint AS attended, sum(n.certified)::bigint AS certified,
               sum(n.cost)::bigint AS cost_minor
          FROM cohort c CROSS JOIN LATERAL (
               SELECT (SELECT count(*) FROM enrolment e WHERE e.cohort_id = c.id) AS enrolled,
                      (SELECT count(DISTINCT e.id) FROM enrolment e JOIN attendance a ON a.enrolment_id = e.id
                        WHERE e.cohort_id = c.id AND a.present) AS attended,
                      (SELECT count(DISTINCT x.learner_id) FROM literacy_certificate x WHERE x.cohort_id = c.id)
                          AS certified,
                      (SELECT coalesce(sum(k.amount_minor), 0) FROM cohort_cost k WHERE k.cohort_id = c.id) AS cost) n
         WHERE %(year)s::text IS NULL OR c.programme_year = %(year)s
         GROUP BY 1 ORDER BY 1
        """,
        {"year": programme_year},
    )


class Behind(NamedTuple):
    """A row behind a cost: the cohort, the voucher and its cents."""

    sub_county: str
    cohort: str
    voucher: str
    amount_minor: int


def behind(session: Session, *, sub_counties: Iterable[str] = (), programme_year: str | None = None) -> list[Behind]:
    """The vouchers behind the cost of each sub-county."""
    return rows(
        session,
        Behind,
        "SELECT c.sub_county, c.code AS cohort, k.voucher, k.amount_minor FROM cohort_cost k"
        " JOIN cohort c ON c.id = k.cohort_id WHERE (%(of)s::text[] = '{}' OR c.sub_county = ANY (%(of)s))"
        " AND (%(year)s::text IS NULL OR c.programme_year = %(year)s) ORDER BY 1, 2, 3",
        {"of": list(sub_counties), "year": programme_year},
    )
