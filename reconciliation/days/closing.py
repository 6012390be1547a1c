"""Closing a day: one person prepares, another approves what was shown. The database refuses every other way.

Preparing is three transactions. The first shuts the day under its exclusive lock: whoever records meanwhile is waited
for, whoever comes later is booked to the next day. The second fixes the horizon, once every journal of the day is below
it. The third reads below the horizon and keeps what it shows. Approving is one: all is worked out again, held against
what was shown to the byte, signed and kept.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

import psycopg
from dateutil.relativedelta import relativedelta
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from reconciliation.days import certificates
from reconciliation.days.certificates import Certificate
from revenue_engine import periods
from revenue_engine.db import one, raw, scalar, transaction
from revenue_engine.errors import Conflict, NotFound, Retryable
from revenue_engine.signed_notes import SigningKey
from revenue_engine.verification import schema


class Standing(NamedTuple):
    """The close that waits for its second person, or for the rest of its preparation while ``shown`` is None."""

    id: int
    period: str
    first_day: date
    last_day: date
    prepared_by: str
    prepared_at: datetime
    shown: bytes | None
    shown_sha256: bytes | None
    mine: bool


@dataclass(frozen=True, slots=True)
class Span:
    """What is closed: a day, a month, a quarter or year of the county's (1 July to 30 June), or the month after a year,
    in which what was paid before and told later is listed (r. 97)."""

    period: str
    first_day: date
    last_day: date

    def __str__(self) -> str:
        return str(self.last_day) if self.period == "day" else f"the {self.period} to {self.last_day}"


def day(on: date) -> Span:
    """One day; quiet days before it are closed with it."""
    return Span("day", on, on)


_MONTH, _QUARTER = re.compile(r"(\d{4})-(\d{2})"), re.compile(r"(\d{2})(\d{2})(?:-Q([1-4])|(-adjustments))?")


def period_of(text: str) -> Span | None:
    """The span of ``2026-09``, ``2627-Q1``, ``2627`` or ``2627-adjustments``; None for anything else."""
    month, year = _MONTH.fullmatch(text), _QUARTER.fullmatch(text)
    if month is not None and 1 <= int(month[2]) <= 12:
        return _months("month", date(int(month[1]), int(month[2]), 1), 1)
    if year is None or (int(year[1]) + 1) % 100 != int(year[2]):
        return None
    begins = date(2000 + int(year[1]), 7, 1)
    if year[3]:
        return _months("quarter", begins + relativedelta(months=3 * (int(year[3]) - 1)), 3)
    if year[4]:
        return _months("adjustments", begins + relativedelta(years=1), 1)
    return _months("year", begins, 12)


def _months(period: str, first: date, count: int) -> Span:
    return Span(period, first, first + relativedelta(months=count, days=-1))


@dataclass(frozen=True, slots=True)
class Sheet:
    """What a person is shown of a day. ``stands`` is open, prepared or closed; ``sha256`` is of exactly what was shown,
    and empty while nothing is prepared. Money is a string of cents."""

    stands: str
    first_day: date
    last_day: date
    content: dict[str, Any]
    sha256: str = ""
    prepared_by: str = ""
    prepared_at: datetime | None = None
    certificate: int | None = None
    period: str = "day"

    @property
    def span(self) -> Span:
        """What the sheet is of."""
        return Span(self.period, self.first_day, self.last_day)

    def open_items(self, kind: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """Each open item of one kind of control (``hard``, ``evidence``), with its control."""
        return [
            (control, item)
            for control in self.content["controls"]
            if control["kind"] == kind
            for item in control["open"]
        ]


def schema_sha256(session: Session) -> str:
    """The digest of the schema as it is: every column, rule, trigger, function and right."""
    return hashlib.sha256(schema.dump(raw(session)).encode()).hexdigest()


def standing(session: Session) -> Standing | None:
    """The close that waits, or None."""
    return one(
        session,
        Standing,
        "SELECT id, period, first_day, last_day, prepared_by, prepared_at, shown, shown_sha256, mine"
        " FROM standing_preparation()",
    )


def show(session: Session, span: Span) -> Sheet:
    """How a day or a period stands: what closed it, what is prepared, or the controls as they are now.

    Raises Conflict for a day that has not ended or lies before the books.
    """
    number = certificates.of_span(session, span.period, span.first_day, span.last_day)
    if number is not None:
        facts = certificates.facts_of(session, number)
        first, last = date.fromisoformat(facts["first_day"]), date.fromisoformat(facts["last_day"])
        return Sheet(
            "closed", first, last, facts["sheet"], facts["shown_sha256"], certificate=number, period=span.period
        )
    waits = standing(session)
    if waits is not None and covers(waits, span) and waits.shown is not None:
        return _sheet(waits)
    if span.last_day >= periods.today():
        raise Conflict(f"{span} has not ended yet in Nairobi", book_date=span.last_day)
    first = span.first_day
    if span.period == "day":
        first = scalar(session, "SELECT first_open_day()")
        if first is None or span.last_day < first:
            raise Conflict(f"the books open on {first or 'no day yet'}", book_date=span.last_day)
    controls = scalar(
        session,
        "SELECT close_controls(%s, %s, sealed_until(), pg_snapshot_xmin(pg_current_snapshot()))",
        (first, span.last_day),
    )
    return Sheet("open", first, span.last_day, {"controls": controls}, period=span.period)


def covers(waits: Standing, span: Span) -> bool:
    """Whether a close that waits is of a span, or of days that hold the day."""
    return waits.period == span.period and waits.first_day <= span.first_day and waits.last_day >= span.last_day


def _sheet(waits: Standing) -> Sheet:
    shown = waits.shown or b"{}"
    return Sheet(
        "prepared",
        waits.first_day,
        waits.last_day,
        json.loads(shown),
        hashlib.sha256(shown).hexdigest(),
        waits.prepared_by,
        waits.prepared_at,
        period=waits.period,
    )


def refusal_of(sheet: Sheet) -> Conflict:
    """Why a day is not closed: each open item of the hard controls, and the verb that mends it."""
    found = sheet.open_items("hard")
    lines = [
        f"{control['code']}: {item['item']}: {item['detail']} (revenue-engine {control['verb']})"
        for control, item in found[:20]
    ]
    more = f"; and {len(found) - 20} more" if len(found) > 20 else ""
    return Conflict(
        f"{sheet.span} is not closed: " + "; ".join(lines) + more,
        open=json.dumps([{"control": control["code"], "verb": control["verb"], **item} for control, item in found]),
    )


def prepare(engine: Engine, span: Span) -> Sheet:
    """Shut a day (and quiet days before it), or take a period whose parts are closed, and keep what is shown to the
    second person. Done as who is signed in.

    Asked again by the same person, a preparation that was cut off goes on. Raises Conflict with every open item where
    a hard control stands open (the day is open again), where somebody else prepares a close, for what has not ended,
    is closed, or stands on what is open; Retryable while recording holds the day.
    """
    with transaction(engine) as session:
        waits = standing(session)
        if waits is None:
            seen = show(session, span)
            if seen.stands == "open" and seen.open_items("hard"):
                raise refusal_of(seen)
    try:
        with transaction(engine) as session:
            number = _begin(session, span)
    except psycopg.errors.LockNotAvailable as error:
        raise Retryable(f"recording of {span} is at work: prepare the close again in a minute") from error
    for _ in range(_TRIES):
        with transaction(engine) as session:
            fixed = scalar(session, "SELECT close_fix(%s)", (number,))
        if fixed:
            return _finish(engine, number, span)
    raise Retryable(f"{span} is shut, and a transaction from before is still at work: prepare it again in a minute")


def _begin(session: Session, span: Span) -> int:
    if span.period == "day":
        return int(scalar(session, "SELECT close_begin(%s)", (span.last_day,)))
    given = (span.period, span.first_day, span.last_day)
    return int(scalar(session, "SELECT close_begin_period(%s, %s, %s)", given))


_TRIES = 6
"""Each waits for five seconds at most."""


def _finish(engine: Engine, number: int, span: Span) -> Sheet:
    try:
        with transaction(engine) as session:
            scalar(session, "SELECT close_show(%s, %s)", (number, schema_sha256(session)))
            return _sheet(_standing_of(session, span))
    except Conflict as error:
        with transaction(engine) as session:
            if standing(session) is None:
                raise
            scalar(session, "SELECT close_withdraw(%s, %s)", (number, "hard controls stand open"))
            seen = show(session, span)
        raise (refusal_of(seen) if seen.open_items("hard") else error) from error


def _standing_of(session: Session, span: Span) -> Standing:
    waits = standing(session)
    if waits is None or not covers(waits, span):
        raise NotFound(f"no close of {span} is prepared: revenue-engine close prepare", book_date=span.last_day)
    return waits


def withdraw(session: Session, span: Span, *, reason: str) -> None:
    """Give a prepared close up, with a reason: its days are open again. Raises NotFound where none is prepared."""
    waits = _standing_of(session, span)
    scalar(session, "SELECT close_withdraw(%s, %s)", (waits.id, reason))


def approve(session: Session, span: Span, *, shown_sha256: str, keys: Sequence[SigningKey]) -> Certificate:
    """Approve what was shown, sign it, and keep the certificate; done as who is signed in, another person.

    Raises NotFound where nothing is prepared, NotAllowed for who prepared it, Conflict where what was shown is not what
    was prepared or has changed since, ConfigurationError where there is no published key to sign with.
    """
    waits = _standing_of(session, span)
    number = scalar(
        session,
        "SELECT close_approve(%s, %s, %s)",
        (waits.id, bytes.fromhex(shown_sha256), schema_sha256(session)),
    )
    made = certificates.make(certificates.facts_of(session, number), keys)
    scalar(session, "SELECT certificate_keep(%s, %s)", (number, made.note))
    return made
