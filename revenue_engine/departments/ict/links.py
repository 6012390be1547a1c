"""The connected offices: terms, looks at the links, agreed maintenance; claims and what lapsed of them."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from psycopg.types.json import Jsonb
from sqlalchemy.orm import Session

from revenue_engine import db, periods
from revenue_engine.access import sessions
from revenue_engine.db import copy_rows, raw, rows
from revenue_engine.departments.ict import availability, service_credits
from revenue_engine.departments.ict.availability import Availability, Probe
from revenue_engine.errors import Conflict, InvalidValue, NotFound
from revenue_engine.periods import NAIROBI

RECORD = "department.record"
"""The permission to keep a register."""
_TERMS = (
    *("office", "name", "sub_county", "supplier", "circuit", "link_kind", "mbps", "monthly_charge_minor"),
    *("target_ppm", "formula", "claim_days", "contract", "effective_from", "effective_to"),
)


class Terms(NamedTuple):
    """The terms of one office's link from a day until another (excluded)."""

    id: int
    office: str
    name: str
    sub_county: str
    supplier: str
    circuit: str
    link_kind: str
    mbps: int
    monthly_charge_minor: int
    target_ppm: int
    formula: dict[str, Any]
    claim_days: int
    contract: str
    effective_from: date
    effective_to: date | None


def keep_terms(session: Session, described: Mapping[str, Any]) -> int:
    """Keep the terms of a link; returns their number. Raises InvalidValue that names the field, Conflict for terms of
    the same office and day, and NotAllowed."""
    sessions.must(session, RECORD)
    missing = [field for field in _TERMS[:-1] if described.get(field) in (None, "")]
    unknown = sorted(set(described) - set(_TERMS))
    if missing or unknown:
        raise InvalidValue(f"terms of a link: missing {', '.join(missing) or 'none'}; unknown {', '.join(unknown)}")
    service_credits.check(described["formula"])
    values = [Jsonb(v) if f == "formula" else v for f, v in ((f, described.get(f)) for f in _TERMS)]
    marks = ", ".join(["%s"] * len(_TERMS))
    link = db.found(
        session,
        f"INSERT INTO ict_link ({', '.join(_TERMS)}, kept_by) VALUES ({marks}, '')"  # noqa: S608 - our own columns
        " ON CONFLICT (office, effective_from) DO NOTHING RETURNING id",
        values,
    )
    if link is None:
        raise Conflict(f"the office {described['office']} has terms from {described['effective_from']}", field="office")
    return int(link)


def terms(session: Session, *, office: str | None = None) -> list[Terms]:
    """All terms, by office and day."""
    found = rows(
        session,
        Terms,
        f"SELECT id, {', '.join(_TERMS)} FROM ict_link"  # noqa: S608 - our own columns
        " WHERE %(office)s::text IS NULL OR office = %(office)s ORDER BY office, effective_from",
        {"office": office},
    )
    if office is not None and not found:
        raise NotFound(f"there is no connected office {office!r}", office=office)
    return found


def read_probes(file: Path) -> tuple[list[tuple[str, Probe]], list[tuple[int, str]]]:
    """Read a sheet of looks (columns office, at, minutes, up): what is good, and (row, why) for what is not."""
    good: list[tuple[str, Probe]] = []
    bad: list[tuple[int, str]] = []
    with file.open(encoding="utf-8-sig", newline="") as opened:
        reader = csv.DictReader(opened)
        if set(reader.fieldnames or ()) != {"office", "at", "minutes", "up"}:
            raise InvalidValue(f"{file.name} has the columns office, at, minutes and up", file=file.name)
        for number, row in enumerate(reader, start=2):
            why = _bad(row)
            if why:
                bad.append((number, why))
                continue
            at = datetime.fromisoformat(row["at"])
            at = at if at.tzinfo else at.replace(tzinfo=NAIROBI)
            good.append((row["office"], Probe(at, int(row["minutes"]), row["up"] == "yes")))
    return good, bad


def _bad(row: Mapping[str, str | None]) -> str | None:
    if not row["office"]:
        return "office is empty"
    try:
        datetime.fromisoformat(row["at"] or "")
    except ValueError:
        return f"at is no time: {row['at']!r}; write 2026-11-20T08:05"
    minutes = row["minutes"] or ""
    if not (minutes.isascii() and minutes.isdigit() and 1 <= int(minutes) <= 60):
        return f"minutes is a number from 1 to 60: {row['minutes']!r}"
    return None if row["up"] in {"yes", "no"} else f"up is yes or no: {row['up']!r}"


def keep_probes(session: Session, probes: Iterable[tuple[str, Probe]]) -> int:
    """Keep looks at links; returns how many. All or none: raises Conflict for an interval that was kept before."""
    sessions.must(session, RECORD)
    mine = sessions.whoami(session).login
    given = [(office, probe.at, probe.minutes, probe.up, mine) for office, probe in probes]
    known = {(row[0], row[1]) for row in raw(session).execute(
        "SELECT p.office, p.at FROM ict_probe p JOIN unnest(%s::text[], %s::timestamptz[]) AS g (office, at)"
        " USING (office, at) LIMIT 1", ([g[0] for g in given], [g[1] for g in given]),
    )}  # fmt: skip
    if known or len({(g[0], g[1]) for g in given}) != len(given):
        raise Conflict(f"an interval is looked at once: {next(iter(known), 'one stands twice in the sheet')}")
    copy_rows(
        raw(session),
        "ict_probe",
        ("office", "at", "minutes", "up", "kept_by"),
        ("text", "timestamptz", "int2", "bool", "text"),
        given,
    )
    return len(given)


def keep_maintenance(
    session: Session, office: str, *, began: datetime, ended: datetime, agreement: str, agreed_at: datetime
) -> None:
    """Keep maintenance that was agreed before it began. Raises NotFound, InvalidValue and NotAllowed."""
    sessions.must(session, RECORD)
    terms(session, office=office)
    if not agreed_at <= began < ended:
        raise InvalidValue("maintenance is agreed before it begins, and ends after that", office=office)
    if not agreement.strip():
        raise InvalidValue("name the letter or ticket that agreed to the maintenance", field="agreement")
    raw(session).execute(
        "INSERT INTO ict_maintenance (office, began_at, ended_at, agreement, agreed_at, kept_by)"
        " VALUES (%s, %s, %s, %s, %s, '')",
        (office, began, ended, agreement.strip(), agreed_at),
    )


class Month(NamedTuple):
    """One office's month: measured, due by the contract's formula, claimed, credited or lapsed; amounts in cents.

    ``state`` is met, not_measured, to_claim, claimed, credited or lapsed; ``claim_by`` is the last day of the window.
    """

    office: str
    name: str
    month: date
    supplier: str
    availability_ppm: int
    target_ppm: int
    away_minutes: int
    due_minor: int
    claimed_minor: int
    credited_minor: int
    lost_minor: int
    claim_by: date
    state: str
    ticket: str | None
    link_id: int


def months(session: Session, *, first: date, last: date, today: date | None = None) -> list[Month]:
    """Every office and whole month that begins in [first, last]: who missed, what was claimed, what lapsed.

    A month is judged by the terms in force on its first day. What is due and was not claimed in its window is money
    lost.
    """
    on = today or periods.today()
    claims = {
        (row[0], row[1]): row[2:]
        for row in raw(session).execute(
            "SELECT c.link_id, c.month, c.credit_minor, c.ticket, coalesce((SELECT sum(n.amount_minor) FROM"
            " ict_credit_note n WHERE n.claim_id = c.id), 0)::bigint FROM ict_claim c"
        )
    }
    found = []
    for month in _months(first, last):
        end = _next(month)
        for term in _in_force(terms(session), month):
            measured = measure(session, term.office, month)
            due = service_credits.due(term.monthly_charge_minor, term.target_ppm, measured, term.formula)
            claimed, ticket, credited = claims.get((term.id, month), (0, None, 0))
            by = end - timedelta(days=1) + timedelta(days=term.claim_days)
            state = _state(measured, due, claimed, credited, lapsed=on > by)
            found.append(
                Month(
                    *(term.office, term.name, month, term.supplier, measured.ppm, term.target_ppm, measured.away, due),
                    *(claimed, credited, due if state == "lapsed" else 0, by, state, ticket, term.id),
                )
            )
    return found


def _state(measured: Availability, due: int, claimed: int, credited: int, *, lapsed: bool) -> str:
    if claimed:
        return "credited" if credited == claimed else "claimed"
    if not measured.measured:
        return "not_measured"
    if not due:
        return "met"
    return "lapsed" if lapsed else "to_claim"


def _in_force(known: Iterable[Terms], month: date) -> list[Terms]:
    newest: dict[str, Terms] = {}
    for term in known:  # by office and day: the later replaces the earlier
        if term.effective_from <= month:
            newest[term.office] = term
    return [term for term in newest.values() if term.effective_to is None or term.effective_to > month]


def _months(first: date, last: date) -> list[date]:
    month = first if first.day == 1 else _next(first)
    found = []
    while month <= last:
        found.append(month)
        month = _next(month)
    return found


def _next(day: date) -> date:
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)


def measure(session: Session, office: str, month: date) -> Availability:
    """What was measured of an office's link in a month of Nairobi, without agreed maintenance."""
    begin = datetime(month.year, month.month, 1, tzinfo=NAIROBI)
    after = _next(month)
    end = datetime(after.year, after.month, 1, tzinfo=NAIROBI)
    probes = [
        Probe(*row)
        for row in raw(session).execute(
            "SELECT at, minutes, up FROM ict_probe WHERE office = %s AND at >= %s AND at < %s", (office, begin, end)
        )
    ]
    spans = [
        (row[0], row[1])
        for row in raw(session).execute(
            "SELECT began_at, ended_at FROM ict_maintenance WHERE office = %s AND began_at < %s AND ended_at > %s",
            (office, end, begin),
        )
    ]
    return availability.of(probes, spans)


def claim(session: Session, office: str, month: date, *, ticket: str, raised_on: date | None = None) -> Month:
    """Claim the credit of a month by a ticket; returns the month as it stands now.

    Raises NotFound, Conflict where nothing is due, the window has passed or the claim stands, and NotAllowed.
    """
    sessions.must(session, RECORD)
    on = raised_on or periods.today()
    terms(session, office=office)
    found = [one for one in months(session, first=month, last=month, today=on) if one.office == office]
    if not found:
        raise NotFound(f"the office {office} has no terms in {month:%Y-%m}", office=office)
    one = found[0]
    if one.claimed_minor:
        raise Conflict(f"the credit of {office} for {month:%Y-%m} was claimed by {one.ticket}", office=office)
    if not one.due_minor:
        raise Conflict(f"nothing is due from {one.supplier} for {office} in {month:%Y-%m}", office=office)
    raw(session).execute(
        "INSERT INTO ict_claim (link_id, month, credit_minor, availability_ppm, ticket, raised_on, kept_by)"
        " VALUES (%s, %s, %s, %s, %s, %s, '')",
        (one.link_id, month, one.due_minor, one.availability_ppm, ticket, on),
    )
    return next(m for m in months(session, first=month, last=month, today=on) if m.office == office)


def credited(session: Session, office: str, month: date, *, amount_minor: int, reference: str, on: date) -> None:
    """Keep the supplier's credit note of a claim. Raises NotFound without a claim, Conflict above the claim."""
    sessions.must(session, RECORD)
    claim = db.found(
        session,
        "SELECT c.id FROM ict_claim c JOIN ict_link l ON l.id = c.link_id WHERE l.office = %s AND c.month = %s",
        (office, month),
    )
    if claim is None:
        raise NotFound(f"nothing was claimed for {office} in {month:%Y-%m}", office=office)
    raw(session).execute(
        "INSERT INTO ict_credit_note (claim_id, amount_minor, reference, noted_on, kept_by)"
        " VALUES (%s, %s, %s, %s, '')",
        (claim, amount_minor, reference, on),
    )
