"""Breaks as a list to work from: each with its money, its payment, the bill it named and who must look."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

from sqlalchemy.orm import Session

from reconciliation import breaks
from reconciliation.breaks import BreakReason, Listed
from revenue_engine import payments, periods
from revenue_engine.access.scope import WHOLE, Scope
from revenue_engine.billing import payers
from revenue_engine.channels import accounts
from revenue_engine.money import grouped, wire
from revenue_engine.reports.homes import homes
from revenue_engine.reports.model import Column, Kind, Section

MOST_ROWS = 20_000
"""Rows of one list; more than that is no list anybody works from."""

_COLUMNS = (
    Column("number", "No.", Kind.COUNT, totalled=False),
    Column("reason", "Reason"),
    Column("amount", "KES in doubt", Kind.MONEY),
    Column("owner", "Owner"),
    Column("age_days", "Days", Kind.COUNT, totalled=False),
    Column("occurred_at", "Happened", Kind.INSTANT),
    Column("channel", "Channel"),
    Column("payment", "Payment"),
    Column("bill", "Bill named"),
    Column("stream", "Stream"),
    Column("station", "Station"),
    Column("detail", "What is wrong"),
    Column("id", "Id"),
)
_ON_SCREEN = ("number", "reason", "amount", "owner", "age_days", "payment", "bill", "detail")


def section(
    session: Session,
    *,
    reasons: Sequence[BreakReason] = (),
    owner: str | None = None,
    day: date | None = None,
    suspense: bool = False,
    limit: int = MOST_ROWS,
    scope: Scope = WHOLE,
) -> Section:
    """Open breaks, the oldest first; of one Nairobi ``day`` when named. The note says when there are more."""
    begin = None if day is None else datetime.combine(day, time(), periods.NAIROBI)
    found = breaks.listed(
        session,
        reasons=reasons,
        owner=owner,
        suspense=suspense,
        occurred_from=begin,
        occurred_until=None if begin is None else begin + timedelta(days=1),
        limit=limit + 1,
        scope=scope,
    )
    note = (
        f"the oldest {limit:,}; there are more: say --limit, --reason, --owner or --day" if len(found) > limit else ""
    )
    return _section(session, found[:limit], at=periods.now(), note=note)


def page(
    session: Session,
    *,
    reasons: Sequence[BreakReason],
    owner: str | None,
    day: date | None,
    suspense: bool,
    after: tuple[datetime, int] | None,
    limit: int,
    scope: Scope,
) -> tuple[Section, tuple[datetime, int] | None]:
    """Open breaks behind one already shown, the oldest first; and what the next page begins behind, if there is one."""
    begin = None if day is None else datetime.combine(day, time(), periods.NAIROBI)
    found = breaks.listed(
        session,
        reasons=reasons,
        owner=owner,
        suspense=suspense,
        occurred_from=begin,
        occurred_until=None if begin is None else begin + timedelta(days=1),
        after=after,
        limit=limit + 1,
        scope=scope,
    )
    shown = found[:limit]
    last = (shown[-1].occurred_at, shown[-1].number) if len(found) > limit else None
    return _section(session, shown, at=periods.now(), note=""), last


def of_day(session: Session, end: datetime) -> Section:
    """The breaks that were open at an instant, the end of a report's day."""
    found = breaks.listed(session, open_at=end, limit=MOST_ROWS + 1)
    note = f"the oldest {MOST_ROWS:,}: there are more" if len(found) > MOST_ROWS else ""
    return _section(session, found[:MOST_ROWS], at=end, note=note)


def _section(session: Session, found: Sequence[Listed], *, at: datetime, note: str) -> Section:
    told = payments.by_ids(session, [one.payment_id for one in found if one.payment_id is not None])
    bills = payers.pay_account_numbers(session, [one.invoice_id for one in found if one.invoice_id is not None])
    channels = accounts.labels(session)
    rows = []
    for one in found:
        payment = None if one.payment_id is None else told.get(one.payment_id)
        rows.append(
            (
                one.number,
                one.reason.value.replace("_", " "),
                one.amount_minor,
                one.owner,
                max(0, (at - one.occurred_at).days),
                one.occurred_at,
                "" if one.channel_account_id is None else channels.get(one.channel_account_id, ""),
                "" if payment is None else payment.identity.reference,
                "" if one.invoice_id is None else bills.get(one.invoice_id, ""),
                one.stream_code or "",
                one.station_code or "",
                one.detail,
                one.public_id,
            )
        )
    return Section("break_list", "Open breaks, one by one", _COLUMNS, tuple(rows), note, "Breaks")


def on_screen(whole: Section) -> Section:
    """The columns of a list that a terminal has room for."""
    kept = [index for index, column in enumerate(whole.columns) if column.key in _ON_SCREEN]
    return Section(
        whole.key,
        whole.title,
        tuple(whole.columns[index] for index in kept),
        tuple(tuple(row[index] for index in kept) for row in whole.rows),
        whole.note,
        whole.sheet,
    )


def describe(session: Session, name: str) -> dict[str, Any]:
    """A break by its number or id: what is wrong, where its money is, and what was said of it. Raises NotFound."""
    one = breaks.named(session, name)
    labels = accounts.labels(session)
    home = homes(session, [one.payment_id] if one.payment_id is not None else []).get(one.payment_id or 0)
    bills = payers.pay_account_numbers(session, [one.invoice_id] if one.invoice_id is not None else [])
    return {
        "number": one.number,
        "id": one.public_id,
        "reason": one.reason.value,
        "what_is_wrong": one.detail,
        "amount": wire(one.amount_minor),
        "owner": one.owner,
        "state": f"closed: {one.resolution}" if one.closed_at else "open",
        "happened": one.occurred_at.astimezone(periods.NAIROBI).isoformat(timespec="seconds"),
        "opened": one.opened_at.astimezone(periods.NAIROBI).isoformat(timespec="seconds"),
        "channel": "" if one.channel_account_id is None else labels.get(one.channel_account_id, ""),
        "stream": one.stream_code,
        "station": one.station_code,
        "bill_named": bills.get(one.invoice_id or 0),
        "payment": None if home is None else home.payment.identity.reference,
        "money": [] if home is None else [*home.lines, *home.papers],
        "delivery": one.delivery_id,
        "said": [
            f"{event.at.astimezone(periods.NAIROBI):%d %b %Y %H:%M} {event.actor} {_event(event)}"
            for event in breaks.history(session, one.public_id)
        ],
    }


def _event(event: breaks.Said) -> str:
    words = f": {event.words}" if event.words else ""
    to = f" to {event.owner}" if event.event == "assigned" and event.owner else ""
    amount = f" {grouped(event.amount_minor)}" if event.amount_minor is not None else ""
    return f"{event.event}{to}{amount}{words}"
