"""The daily collection summary: what was billed, received, applied, held and taken back on one book date, and by whom.

Every figure is a sum of postings of that book date. Retained money (hospitals) is shown apart from ordinary revenue,
as the Controller of Budget asks.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any, Literal

from sqlalchemy.orm import Session

from reconciliation import breaks as found_breaks
from revenue_engine import ledger, payments, periods
from revenue_engine.billing import invoices, tariffs
from revenue_engine.channels import accounts
from revenue_engine.ledger import day
from revenue_engine.payments import receipts
from revenue_engine.ports.callbacks import Kind as Movement
from revenue_engine.reports import breaks
from revenue_engine.reports.coverage import coverage
from revenue_engine.reports.model import Column, Control, Kind, Report, Section
from revenue_engine.verification import verify

_FLOW_COLUMNS = (
    Column("payments", "Payments", Kind.COUNT),
    Column("received", "Received", Kind.MONEY),
    Column("applied", "Applied", Kind.MONEY),
    Column("unapplied", "To credit", Kind.MONEY),
    Column("suspense", "To suspense", Kind.MONEY),
    Column("reversed", "Reversed", Kind.MONEY),
    Column("net", "Net", Kind.MONEY),
    Column("month_to_date", "Month to date", Kind.MONEY),
    Column("year_to_date", "Year to date", Kind.MONEY),
)


def daily(session: Session, on: date) -> Report:
    """The report of one book date. ``session`` is fresh: all figures are read at one moment."""
    verify.one_snapshot(session)
    found = tariffs.county(session)
    dates = {
        "on": on,
        "month": on.replace(day=1),
        "year": periods.financial_year_start(on),
        "end": datetime.combine(on + timedelta(days=1), time(), periods.NAIROBI),
    }
    ordinary, retained = _by_stream(session, dates)
    totals = day.totals(session, on=on)
    return Report(
        name="daily",
        title="Daily collection summary",
        county=found.name,
        mode=found.mode,
        on=on,
        generated_at=periods.now(),
        known_at=ledger.horizon(session),
        controls=_controls(session, totals),
        sections=(
            ordinary,
            retained,
            _by_channel(session, dates),
            coverage(session, dates),
            _by_station(session, dates),
            _bills(session, dates),
            _suspense(session, dates),
            _ageing(session, dates),
            _breaks(session, dates),
            breaks.of_day(session, datetime.combine(on + timedelta(days=1), time(), periods.NAIROBI)),
            _unconfirmed(session, dates),
            _reversals(session, totals),
            _papers(session, dates),
        ),
        provisional=_grows(session, on),
    )


def _grows(session: Session, on: date) -> str:
    """Why the figures of a day may still grow; empty for a closed day, whose report never changes."""
    if on >= periods.today():
        return "the day is not over in Nairobi"
    return "" if ledger.is_closed(session, on) else "the day is not closed: the figures are complete so far"


def _flows(
    session: Session, by: Literal["stream_code", "station_code", "channel_account_id"], dates: dict[str, Any]
) -> dict[str | int | None, day.Flow]:
    return day.flows(session, by, on=dates["on"], month=dates["month"], year=dates["year"])


def _by_stream(session: Session, dates: dict[str, Any]) -> tuple[Section, Section]:
    flows, streams = _flows(session, "stream_code", dates), tariffs.streams(session)
    unknown = [("–", "Not identified", *flow[1:]) for key, flow in flows.items() if key is None]
    known = sorted(
        ((streams[str(key)], flow) for key, flow in flows.items() if key is not None),
        key=lambda of: (of[0].note, of[0].code),
    )
    columns = (Column("stream", "Stream"), Column("name", "Name"), *_FLOW_COLUMNS)
    own = [(stream.code, stream.name, *flow[1:]) for stream, flow in known if stream.retained_by == "county"]
    others = [(stream.code, stream.name, *flow[1:]) for stream, flow in known if stream.retained_by != "county"]
    return (
        Section("streams", "Ordinary revenue by stream", columns, (*unknown, *own)),
        Section(
            "retained",
            "Retained by law (facilities, concessions)",
            columns,
            tuple(others),
            "not for the CRF",
            "Retained by law",
        ),
    )


def _by_channel(session: Session, dates: dict[str, Any]) -> Section:
    flows = _flows(session, "channel_account_id", dates)
    rows = tuple((*shown, *flows[key][1:]) for key, shown in accounts.names(session).items() if key in flows)
    columns = (Column("channel", "Channel account"), Column("name", "Name"), *_FLOW_COLUMNS)
    return Section("channels", "By channel account", columns, rows)


def _by_station(session: Session, dates: dict[str, Any]) -> Section:
    flows = _flows(session, "station_code", dates)
    rows = tuple(
        (station.sub_county, station.ward, station.code, station.name, *flow[1:])
        for station in tariffs.stations(session)
        if (flow := flows.get(station.code)) is not None
        and (flow.payments or flow.net or flow.month_to_date or flow.year_to_date)
    )
    columns = (
        Column("sub_county", "Sub-county"),
        Column("ward", "Ward"),
        Column("station", "Station"),
        Column("name", "Name"),
        *_FLOW_COLUMNS,
    )
    return Section("stations", "By station", columns, rows)


def _bills(session: Session, dates: dict[str, Any]) -> Section:
    rows = tuple(
        (
            one.stream_code,
            len(one.issued_ids),
            one.billed,
            invoices.spot_among(session, one.issued_ids),
            one.cancelled,
            one.cancelled_amount,
        )
        for one in day.billed(session, on=dates["on"])
    )
    columns = (
        Column("stream", "Stream"),
        Column("issued", "Issued", Kind.COUNT),
        Column("billed", "Billed", Kind.MONEY),
        Column("spot", "of them spot", Kind.COUNT),
        Column("cancelled", "Cancelled", Kind.COUNT),
        Column("cancelled_amount", "Cancelled amount", Kind.MONEY),
    )
    return Section("bills", "Bills", columns, rows)


def _suspense(session: Session, dates: dict[str, Any]) -> Section:
    rows = tuple(day.held(session, on=dates["on"]))
    columns = (
        Column("what", "Held"),
        Column("opening", "Opening", Kind.MONEY),
        Column("came", "Came in", Kind.MONEY),
        Column("went", "Found or taken back", Kind.MONEY),
        Column("closing", "Closing", Kind.MONEY),
    )
    return Section("held", "Suspense and unapplied credit", columns, rows, "opening + came - went = closing")


def _ageing(session: Session, dates: dict[str, Any]) -> Section:
    rows = tuple(found_breaks.suspense_by_age(session, at=dates["end"]))
    columns = (Column("age", "Age"), Column("items", "Items", Kind.COUNT), Column("amount", "Amount", Kind.MONEY))
    return Section("ageing", "Suspense by age", columns, rows)


def _breaks(session: Session, dates: dict[str, Any]) -> Section:
    rows = tuple(found_breaks.by_owner(session, at=dates["end"]))
    columns = (
        Column("reason", "Reason"),
        Column("owner", "Owner"),
        Column("items", "Items", Kind.COUNT),
        Column("amount", "Amount in doubt", Kind.MONEY),
        Column("oldest_days", "Oldest, days", Kind.COUNT, totalled=False),
    )
    return Section("breaks", "Open breaks", columns, rows)


def _unconfirmed(session: Session, dates: dict[str, Any]) -> Section:
    """Told but not proved by the end of the day, so not posted: a movement once, however many messages spoke of it."""
    labels = accounts.names(session)
    rows = tuple(
        (labels[one.channel_account_id].label, *one[1:]) for one in payments.not_proved(session, at=dates["end"])
    )
    columns = (
        Column("channel", "Channel account"),
        Column("kind", "Notice of a"),
        Column("notices", "Notices", Kind.COUNT),
        Column("amount", "Amount told", Kind.MONEY),
        Column("oldest_days", "Oldest, days", Kind.COUNT, totalled=False),
    )
    return Section("unconfirmed", "Notices that nothing confirms yet", columns, rows, sheet="Unconfirmed notices")


def _reversals(session: Session, totals: day.Totals) -> Section:
    rows = tuple(payments.taken_back(session, totals.reversed_ids))
    columns = (
        Column("payment", "Payment"),
        Column("reversal", "Reversal"),
        Column("at", "At", Kind.INSTANT),
        Column("amount", "Amount", Kind.MONEY),
    )
    return Section("reversals", "Payments taken back by the provider", columns, rows, sheet="Payments taken back")


def _papers(session: Session, dates: dict[str, Any]) -> Section:
    shaped = tuple(
        (
            one.kind,
            receipts.printed_number(one.kind, one.financial_year, one.first),
            receipts.printed_number(one.kind, one.financial_year, one.last),
            one.issued,
            one.last - one.first + 1 - one.issued,
            one.amount,
            one.cancelled,
        )
        for one in receipts.issued_on(session, dates["on"])
    )
    columns = (
        Column("kind", "Paper"),
        Column("first", "First"),
        Column("last", "Last"),
        Column("issued", "Issued", Kind.COUNT),
        Column("other_days", "Between, of other days", Kind.COUNT),
        Column("amount", "Amount", Kind.MONEY),
        Column("cancelled", "Cancelled", Kind.COUNT),
    )
    return Section("papers", "Receipts and acknowledgements", columns, shaped, sheet="Papers")


def _controls(session: Session, totals: day.Totals) -> tuple[Control, ...]:
    told = payments.total_minor(session, totals.received_ids, kind=Movement.PAYMENT)
    taken = payments.total_minor(session, totals.reversed_ids, kind=Movement.REVERSAL)
    own = (
        Control("received", "debits of channels and banks", totals.into, "payments of the day", told),
        Control("homes", "debits of channels and banks", totals.into, "applied + credit + suspense", totals.homes),
        Control("reversed", "credits of channels and banks", totals.back, "reversals of the day", taken),
    )
    words = {
        "receivable": "receivable accounts less open bills",
        "clearing": "channel clearing less payments held by channels",
        "suspense": "suspense less its open items",
        "unapplied": "unapplied credit less payers' credits",
        "snapshots": "snapshots less their postings",
    }
    whole = tuple(
        Control(name, words.get(name, name), difference, "nothing", 0)
        for name, difference in verify.controls(session).items()
    )
    return own + whole
