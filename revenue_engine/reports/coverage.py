"""What each channel's own statement and answers say of a day: the money no message told of, and the other way."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from revenue_engine.db import raw
from revenue_engine.reports.model import Column, Kind, Section

_SQL = """
WITH until AS (SELECT coalesce((SELECT closed_at FROM closed_day WHERE book_date = %(on)s), 'infinity') AS at),
found AS (  -- payments of the day that a pull or a statement told first
    SELECT p.channel_account_id,
           CASE d.purpose WHEN 'fetched' THEN 'statement' ELSE d.purpose END AS purpose,
           count(*) AS items, sum(p.amount_minor)::bigint AS minor
      FROM payment p
      JOIN LATERAL (SELECT e.delivery_id FROM evidence e
                     WHERE e.reference = p.reference AND e.kind = p.kind
                       AND e.channel_account_id = p.channel_account_id ORDER BY e.id LIMIT 1) f ON true
      JOIN delivery d ON d.id = f.delivery_id
     WHERE p.kind = 'payment' AND d.purpose IN ('pull', 'statement', 'fetched')
       AND p.occurred_at >= %(end)s::timestamptz - interval '1 day' AND p.occurred_at < %(end)s
       AND p.recorded_at < (SELECT at FROM until)
     GROUP BY 1, 2)
SELECT a.adapter || ' ' || a.identifier,
       CASE WHEN count(s.id) > 0 THEN 'yes' ELSE 'no' END,
       (SELECT count(*) FROM statement_line l JOIN statement k ON k.id = l.statement_id
         WHERE l.channel_account_id = a.id AND l.booked_on = %(on)s AND l.counts
           AND k.recorded_at < (SELECT at FROM until)),
       coalesce((SELECT sum(items) FROM found WHERE channel_account_id = a.id AND purpose = 'pull'), 0)::bigint,
       coalesce((SELECT sum(items) FROM found WHERE channel_account_id = a.id AND purpose = 'statement'), 0)::bigint,
       coalesce((SELECT sum(minor) FROM found WHERE channel_account_id = a.id), 0)::bigint,
       (SELECT count(*) FROM break_case b
         WHERE b.channel_account_id = a.id AND b.reason = 'received_not_in_statement'
           AND b.occurred_at >= %(end)s::timestamptz - interval '1 day' AND b.occurred_at < %(end)s
           AND b.opened_at < (SELECT at FROM until)
           AND coalesce(b.closed_at, 'infinity') >= least((SELECT at FROM until), now()))
  FROM channel_account a
  LEFT JOIN statement s ON s.channel_account_id = a.id AND %(on)s BETWEEN s.first_day AND s.last_day
                       AND s.recorded_at < (SELECT at FROM until)
 WHERE a.status <> 'disabled'
 GROUP BY a.id ORDER BY a.id
"""


def coverage(session: Session, dates: dict[str, Any]) -> Section:
    """One row a channel account: whether a statement covers the day, what only asking or the statement told, and what
    the statement does not show. What came after the day was closed is not in it."""
    rows = tuple(tuple(row) for row in raw(session).execute(_SQL, dates))
    columns = (
        Column("channel", "Channel account"),
        Column("statement", "Statement"),
        Column("lines", "Lines", Kind.COUNT),
        Column("pulled", "Found by asking", Kind.COUNT),
        Column("stated", "Found by statement", Kind.COUNT),
        Column("found", "Amount found", Kind.MONEY),
        Column("missing", "Not in statement", Kind.COUNT),
    )
    return Section("coverage", "Statements, and what no message told", columns, rows, sheet="Statements")
