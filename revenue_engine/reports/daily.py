"""The daily collection summary: what was billed, received, applied, held and taken back on one book date, and by whom.

Every figure is a sum of postings of that book date. Retained money (hospitals) is shown apart from ordinary revenue,
as the Controller of Budget asks.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any

from sqlalchemy.orm import Session

from revenue_engine import ledger, periods
from revenue_engine.billing.tariffs import county
from revenue_engine.db import raw
from revenue_engine.payments import receipts
from revenue_engine.reports import breaks
from revenue_engine.reports.coverage import coverage
from revenue_engine.reports.model import Column, Control, Kind, Report, Section
from revenue_engine.verification import verify

_FLOWS = """
SELECT {key},
       count(DISTINCT p.payment_id) FILTER (WHERE j.kind = 'payment_received' AND j.book_date = %(on)s),
       coalesce(sum(p.amount_minor) FILTER (WHERE j.kind = 'payment_received' AND j.book_date = %(on)s), 0)::bigint,
       coalesce(sum(p.amount_minor) FILTER (WHERE j.kind = 'payment_received' AND j.book_date = %(on)s
                                              AND p.credit LIKE '1300.%%'), 0)::bigint,
       coalesce(sum(p.amount_minor) FILTER (WHERE j.kind = 'payment_received' AND j.book_date = %(on)s
                                              AND p.credit = '2100'), 0)::bigint,
       coalesce(sum(p.amount_minor) FILTER (WHERE j.kind = 'payment_received' AND j.book_date = %(on)s
                                              AND p.credit = '2200'), 0)::bigint,
       coalesce(sum(p.amount_minor) FILTER (WHERE j.kind = 'payment_reversed' AND j.book_date = %(on)s), 0)::bigint,
       coalesce(sum(CASE j.kind WHEN 'payment_received' THEN p.amount_minor ELSE -p.amount_minor END)
                FILTER (WHERE j.book_date = %(on)s), 0)::bigint,
       coalesce(sum(CASE j.kind WHEN 'payment_received' THEN p.amount_minor ELSE -p.amount_minor END)
                FILTER (WHERE j.book_date >= %(month)s), 0)::bigint,
       coalesce(sum(CASE j.kind WHEN 'payment_received' THEN p.amount_minor ELSE -p.amount_minor END), 0)::bigint
  FROM journal j JOIN posting p ON p.journal_id = j.id AND p.book_date = j.book_date {join}
 WHERE j.kind IN ('payment_received', 'payment_reversed') AND j.book_date BETWEEN %(year)s AND %(on)s
 GROUP BY {group} ORDER BY {order}
"""
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
    found = county(session)
    dates = {
        "on": on,
        "month": on.replace(day=1),
        "year": periods.financial_year_start(on),
        "end": datetime.combine(on + timedelta(days=1), time(), periods.NAIROBI),
    }
    ordinary, retained = _by_stream(session, dates)
    return Report(
        name="daily",
        title="Daily collection summary",
        county=found.name,
        mode=found.mode,
        on=on,
        generated_at=periods.now(),
        known_at=ledger.horizon(session),
        controls=_controls(session, dates),
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
            _reversals(session, dates),
            _papers(session, dates),
        ),
        provisional=_grows(session, on),
    )


def _grows(session: Session, on: date) -> str:
    """Why the figures of a day may still grow; empty for a closed day, whose report never changes."""
    if on >= periods.today():
        return "the day is not over in Nairobi"
    return "" if ledger.is_closed(session, on) else "the day is not closed: the figures are complete so far"


def _rows(session: Session, statement: str, values: dict[str, Any]) -> tuple[tuple[Any, ...], ...]:
    return tuple(tuple(row) for row in raw(session).execute(statement, values))


def _by_stream(session: Session, dates: dict[str, Any]) -> tuple[Section, Section]:
    rows = _rows(
        session,
        _FLOWS.format(
            key="coalesce(s.retained_by, 'county'), coalesce(p.stream_code, '–'),"
            " coalesce(s.name, 'Not identified'), coalesce(s.note, 0)",
            join="LEFT JOIN stream s ON s.code = p.stream_code",
            group="1, 2, 3, 4",
            order="4, 2",
        ),
        dates,
    )
    columns = (Column("stream", "Stream"), Column("name", "Name"), *_FLOW_COLUMNS)
    own = tuple((row[1], row[2], *row[4:]) for row in rows if row[0] == "county")
    others = tuple((row[1], row[2], *row[4:]) for row in rows if row[0] != "county")
    return (
        Section("streams", "Ordinary revenue by stream", columns, own),
        Section(
            "retained",
            "Retained by law (facilities, concessions)",
            columns,
            others,
            "not for the CRF",
            "Retained by law",
        ),
    )


def _by_channel(session: Session, dates: dict[str, Any]) -> Section:
    statement = _FLOWS.format(
        key="a.adapter || ' ' || a.identifier, a.name",
        join="JOIN channel_account a ON a.id = p.channel_account_id",
        group="a.id",
        order="a.id",
    )
    columns = (Column("channel", "Channel account"), Column("name", "Name"), *_FLOW_COLUMNS)
    return Section("channels", "By channel account", columns, _rows(session, statement, dates))


def _by_station(session: Session, dates: dict[str, Any]) -> Section:
    statement = _FLOWS.format(
        key="s.sub_county, s.ward, s.code, s.name",
        join="JOIN station s ON s.code = p.station_code",
        group="s.code",
        order="1, 2, 3",
    )
    columns = (
        Column("sub_county", "Sub-county"),
        Column("ward", "Ward"),
        Column("station", "Station"),
        Column("name", "Name"),
        *_FLOW_COLUMNS,
    )
    rows = tuple(row for row in _rows(session, statement, dates) if row[4] or row[9] or row[10] or row[11])
    return Section("stations", "By station", columns, rows)


def _bills(session: Session, dates: dict[str, Any]) -> Section:
    rows = _rows(
        session,
        """
        SELECT p.stream_code,
               count(DISTINCT p.invoice_id) FILTER (WHERE j.kind = 'invoice_issued'),
               coalesce(sum(p.amount_minor) FILTER (WHERE j.kind = 'invoice_issued'), 0)::bigint,
               count(DISTINCT p.invoice_id) FILTER (WHERE j.kind = 'invoice_issued' AND i.billing = 'spot'),
               count(DISTINCT p.invoice_id) FILTER (WHERE j.kind = 'invoice_cancelled'),
               coalesce(sum(p.amount_minor) FILTER (WHERE j.kind = 'invoice_cancelled'), 0)::bigint
          FROM journal j JOIN posting p ON p.journal_id = j.id AND p.book_date = j.book_date
          JOIN invoice i ON i.id = p.invoice_id
         WHERE j.book_date = %(on)s AND j.kind IN ('invoice_issued', 'invoice_cancelled')
         GROUP BY 1 ORDER BY 1
        """,
        dates,
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
    rows = _rows(
        session,
        """
        SELECT what, sum(opening)::bigint, sum(came)::bigint, sum(went)::bigint,
               sum(opening + came - went)::bigint FROM (
            SELECT CASE credit WHEN '2200' THEN 'suspense' ELSE 'unapplied credit' END AS what,
                   CASE WHEN book_date < %(on)s THEN amount_minor ELSE 0 END AS opening,
                   CASE WHEN book_date = %(on)s THEN amount_minor ELSE 0 END AS came, 0 AS went
              FROM posting WHERE credit IN ('2100', '2200') AND book_date <= %(on)s
            UNION ALL
            SELECT CASE debit WHEN '2200' THEN 'suspense' ELSE 'unapplied credit' END,
                   CASE WHEN book_date < %(on)s THEN -amount_minor ELSE 0 END, 0,
                   CASE WHEN book_date = %(on)s THEN amount_minor ELSE 0 END
              FROM posting WHERE debit IN ('2100', '2200') AND book_date <= %(on)s
        ) moved GROUP BY what ORDER BY what
        """,
        dates,
    )
    columns = (
        Column("what", "Held"),
        Column("opening", "Opening", Kind.MONEY),
        Column("came", "Came in", Kind.MONEY),
        Column("went", "Found or taken back", Kind.MONEY),
        Column("closing", "Closing", Kind.MONEY),
    )
    return Section("held", "Suspense and unapplied credit", columns, rows, "opening + came - went = closing")


def _ageing(session: Session, dates: dict[str, Any]) -> Section:
    rows = _rows(
        session,
        """
        SELECT bucket, count(*), sum(amount_minor)::bigint FROM (
            SELECT amount_minor, CASE WHEN age <= 1 THEN '0-1 days' WHEN age <= 3 THEN '2-3 days'
                   WHEN age <= 7 THEN '4-7 days' WHEN age <= 30 THEN '8-30 days' ELSE 'over 30 days' END AS bucket,
                   least(age, 31) AS rank
              FROM (SELECT amount_minor, floor(EXTRACT(EPOCH FROM %(end)s::timestamptz - occurred_at) / 86400) AS age
                      FROM break_case WHERE occurred_at < %(end)s AND (closed_at IS NULL OR closed_at >= %(end)s)
                       AND key LIKE 'suspense:%%') aged
        ) placed GROUP BY bucket ORDER BY min(rank)
        """,
        dates,
    )
    columns = (Column("age", "Age"), Column("items", "Items", Kind.COUNT), Column("amount", "Amount", Kind.MONEY))
    return Section("ageing", "Suspense by age", columns, rows)


def _breaks(session: Session, dates: dict[str, Any]) -> Section:
    rows = _rows(
        session,
        "SELECT reason, owner, count(*), sum(amount_minor)::bigint,"
        " max(floor(EXTRACT(EPOCH FROM %(end)s::timestamptz - occurred_at) / 86400))::int"
        " FROM break_case WHERE occurred_at < %(end)s AND (closed_at IS NULL OR closed_at >= %(end)s)"
        " GROUP BY reason, owner ORDER BY reason, owner",
        dates,
    )
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
    rows = _rows(
        session,
        """
        SELECT a.adapter || ' ' || a.identifier, told.kind, count(*), sum(told.amount_minor)::bigint,
               max(floor(EXTRACT(EPOCH FROM %(end)s::timestamptz - told.occurred_at) / 86400))::int
          FROM (SELECT channel_account_id, kind, reference, min(occurred_at) AS occurred_at,
                       coalesce(max(amount_minor), 0) AS amount_minor
                  FROM evidence e
                 WHERE recorded_at < %(end)s AND kind <> 'payout' AND NOT EXISTS (
                       SELECT FROM payment p WHERE p.channel_account_id = e.channel_account_id AND p.kind = e.kind
                                               AND p.reference = e.reference AND p.recorded_at < %(end)s)
                 GROUP BY channel_account_id, kind, reference) told
          JOIN channel_account a ON a.id = told.channel_account_id
         GROUP BY a.id, told.kind ORDER BY a.id, told.kind
        """,
        dates,
    )
    columns = (
        Column("channel", "Channel account"),
        Column("kind", "Notice of a"),
        Column("notices", "Notices", Kind.COUNT),
        Column("amount", "Amount told", Kind.MONEY),
        Column("oldest_days", "Oldest, days", Kind.COUNT, totalled=False),
    )
    return Section("unconfirmed", "Notices that nothing confirms yet", columns, rows, sheet="Unconfirmed notices")


def _reversals(session: Session, dates: dict[str, Any]) -> Section:
    rows = _rows(
        session,
        "SELECT o.reference, p.reference, p.occurred_at, p.amount_minor FROM journal j"
        " JOIN payment p ON j.key = 'payment:' || p.id || ':reversed' JOIN payment o ON o.id = p.reverses_id"
        " WHERE j.kind = 'payment_reversed' AND j.book_date = %(on)s AND p.kind = 'reversal'"
        " ORDER BY p.occurred_at, p.id",
        dates,
    )
    columns = (
        Column("payment", "Payment"),
        Column("reversal", "Reversal"),
        Column("at", "At", Kind.INSTANT),
        Column("amount", "Amount", Kind.MONEY),
    )
    return Section("reversals", "Payments taken back by the provider", columns, rows, sheet="Payments taken back")


def _papers(session: Session, dates: dict[str, Any]) -> Section:
    rows = _rows(
        session,
        "SELECT r.kind, r.financial_year, min(r.number), max(r.number), count(*), sum(r.amount_minor)::bigint,"
        " count(c.receipt_id) FROM receipt r LEFT JOIN receipt_cancellation c ON c.receipt_id = r.id"
        " WHERE r.book_date = %(on)s GROUP BY 1, 2 ORDER BY 1 DESC, 2",
        dates,
    )
    shaped = tuple(
        (
            kind,
            receipts.printed_number(kind, year, first),
            receipts.printed_number(kind, year, last),
            count,
            last - first + 1 - count,
            amount,
            cancelled,
        )
        for kind, year, first, last, count, amount, cancelled in rows
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


def _controls(session: Session, dates: dict[str, Any]) -> tuple[Control, ...]:
    ((into, homes, told, back, taken),) = _rows(
        session,
        """
        WITH moved AS (
            SELECT j.kind, j.key, p.debit, p.credit, p.amount_minor FROM journal j
              JOIN posting p ON p.journal_id = j.id AND p.book_date = j.book_date
             WHERE j.book_date = %(on)s AND j.kind IN ('payment_received', 'payment_reversed'))
        SELECT coalesce(sum(amount_minor) FILTER (WHERE kind = 'payment_received'
                        AND left(debit, 5) IN ('1200.', '1100.')), 0)::bigint,
               coalesce(sum(amount_minor) FILTER (WHERE kind = 'payment_received'
                        AND (credit LIKE '1300.%%' OR credit IN ('2100', '2200'))), 0)::bigint,
               (SELECT coalesce(sum(q.amount_minor), 0)::bigint FROM payment q
                 WHERE q.kind = 'payment' AND 'payment:' || q.id || ':received' IN (SELECT key FROM moved)),
               coalesce(sum(amount_minor) FILTER (WHERE kind = 'payment_reversed'
                        AND left(credit, 5) IN ('1200.', '1100.')), 0)::bigint,
               (SELECT coalesce(sum(q.amount_minor), 0)::bigint FROM payment q
                 WHERE q.kind = 'reversal' AND 'payment:' || q.id || ':reversed' IN (SELECT key FROM moved))
          FROM moved
        """,
        dates,
    )
    day = (
        Control("received", "debits of channels and banks", into, "payments of the day", told),
        Control("homes", "debits of channels and banks", into, "applied + credit + suspense", homes),
        Control("reversed", "credits of channels and banks", back, "reversals of the day", taken),
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
    return day + whole
