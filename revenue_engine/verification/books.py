"""What must hold inside the ledger itself: journals, postings, accounts, closed days, snapshots."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg

from revenue_engine.ledger.journal import digest
from revenue_engine.verification.invariants import Check, Finding, Part, rows

_DIGEST_SQL = """
SELECT j.id, j.book_date, j.digest, j.key, j.kind, j.occurred_at, j.reverses_id, j.reason,
       p.debit, p.credit, p.amount_minor, p.currency, p.stream_code, p.station_code, p.channel_account_id,
       p.payer_id, p.invoice_id, p.payment_id
  FROM journal j LEFT JOIN posting p ON p.journal_id = j.id
 ORDER BY j.id, j.book_date, p.seq
"""


def _digest_of(head: tuple[Any, ...], postings: list[tuple[Any, ...]]) -> Finding | None:
    journal_id, book_date, stored, key, kind, occurred_at, reverses_id, reason = head
    found = digest(
        key=key,
        kind=kind,
        book_date=book_date,
        occurred_at=occurred_at,
        reverses_id=reverses_id,
        reason=reason,
        postings=postings,
    )
    if found == stored:
        return None
    return Finding(
        "journal",
        str(journal_id),
        f"{key}: its content or one of its {len(postings)} postings is not what was posted: digest"
        f" {found.hex()[:16]}, recorded {bytes(stored).hex()[:16]}",
    )


def _digests(connection: psycopg.Connection[Any]) -> Iterator[Finding | None]:
    head: tuple[Any, ...] | None = None
    postings: list[tuple[Any, ...]] = []
    for row in rows(connection, _DIGEST_SQL, binary=True):
        if head is None or row[0] != head[0] or row[1] != head[1]:
            if head is not None:
                yield _digest_of(head, postings)
            head, postings = row[:8], []
        if row[8] is not None:
            postings.append(row[8:])
    if head is not None:
        yield _digest_of(head, postings)


JOURNALS = (
    Check(
        "journal_digests",
        "The SHA-256 of every journal is that of its content and its postings.",
        (),
        reader=_digests,
    ),
    Check(
        "journals_have_postings",
        "Every journal has at least one posting, numbered from 0 without a gap.",
        ("journal",),
        (
            Part(
                "journal",
                "{} has no posting",
                "SELECT j.id, j.key FROM journal j WHERE NOT EXISTS (SELECT FROM posting p WHERE p.journal_id = j.id)",
            ),
            Part(
                "journal",
                "{} postings, the last of them numbered {}: one is missing or was added",
                """
                SELECT journal_id, count(*)::text, max(seq)::text FROM posting
                 GROUP BY journal_id HAVING min(seq) <> 0 OR max(seq) <> count(*) - 1
                """,
            ),
        ),
    ),
    Check(
        "postings_have_journals",
        "Every posting belongs to a journal.",
        ("posting",),
        (
            Part(
                "posting",
                "{} from {} to {} on {} belongs to no journal: journal {} is gone",
                """
                SELECT p.journal_id || '/' || p.seq, p.amount_minor, p.credit, p.debit, p.book_date, p.journal_id::text
                  FROM posting p WHERE NOT EXISTS (SELECT FROM journal j WHERE j.id = p.journal_id)
                """,
            ),
        ),
    ),
    Check(
        "postings_amounts_positive_kes",
        "Every posting moves between 1 cent and ten billion shillings (KES) between two accounts.",
        ("posting",),
        (
            Part(
                "posting",
                "moves {} {} from {} to {}",
                """
                SELECT journal_id || '/' || seq, amount_minor, currency, credit, debit FROM posting
                 WHERE amount_minor <= 0 OR amount_minor >= 1000000000000 OR debit = credit OR currency <> 'KES'
                """,
            ),
        ),
    ),
    Check(
        "posting_accounts_exist",
        "Every posting names accounts of the chart, and of a control account with parts one of its parts.",
        ("posting",),
        (
            Part(
                "posting",
                "from {} to {}: {} is not an account that takes postings",
                """
                SELECT p.journal_id || '/' || p.seq, p.credit, p.debit, side.code
                  FROM posting p CROSS JOIN LATERAL (VALUES (p.debit), (p.credit)) side (code)
                  LEFT JOIN account a ON a.code = side.code
                 WHERE a.code IS NULL OR side.code IN ('1100', '1200', '1300', '4000')
                """,
            ),
        ),
    ),
    Check(
        "journal_keys_unique",
        "A business fact is posted once: no key and no id stands twice.",
        ("journal",),
        (
            Part(
                "journal",
                "the key {} stands {} times",
                "SELECT string_agg(id::text, ',' ORDER BY id), key, count(*)::text FROM journal"
                " GROUP BY key HAVING count(*) > 1",
            ),
            Part(
                "journal",
                "the id stands {} times",
                "SELECT id, count(*)::text FROM journal GROUP BY id HAVING count(*) > 1",
            ),
        ),
    ),
    Check(
        "reversals_mirror_once",
        "A journal is reversed at most once, by its exact mirror image, and a reversal is not reversed.",
        ("journal",),
        (
            Part(
                "journal",
                "reversed {} times, by journals {}",
                """
                SELECT reverses_id, count(*)::text, string_agg(id::text, ', ' ORDER BY id) FROM journal
                 WHERE reverses_id IS NOT NULL GROUP BY reverses_id HAVING count(*) > 1
                """,
            ),
            Part(
                "journal",
                "{} reverses journal {}, which {}",
                """
                SELECT r.id, r.key, r.reverses_id::text,
                       CASE WHEN o.id IS NULL THEN 'does not exist' ELSE 'is itself a reversal' END
                  FROM journal r LEFT JOIN journal o ON o.id = r.reverses_id
                 WHERE r.reverses_id IS NOT NULL AND (o.id IS NULL OR o.reverses_id IS NOT NULL)
                """,
            ),
            Part(
                "journal",
                "{} is not the mirror image of journal {}",
                """
                SELECT r.id, r.key, r.reverses_id::text FROM journal r
                 WHERE r.reverses_id IS NOT NULL AND EXISTS (
                    SELECT FROM
                        (SELECT seq, credit AS debit, debit AS credit, amount_minor, stream_code, station_code,
                                channel_account_id, payer_id, invoice_id, payment_id
                           FROM posting WHERE journal_id = r.reverses_id) was
                        FULL JOIN
                        (SELECT seq, debit, credit, amount_minor, stream_code, station_code,
                                channel_account_id, payer_id, invoice_id, payment_id
                           FROM posting WHERE journal_id = r.id) now USING (seq)
                     WHERE was IS DISTINCT FROM now)
                """,
            ),
        ),
    ),
)

_SNAPSHOTS_SQL = """
WITH marks AS (SELECT array_agg(horizon::text::bigint ORDER BY horizon) AS h, max(horizon) AS newest FROM snapshot_run),
moved AS (
    SELECT side.account, p.book_date, marks.h[width_bucket(p.xid::text::bigint, marks.h) + 1] AS horizon,
           sum(side.debit)::bigint AS debit, sum(side.credit)::bigint AS credit, count(*) AS postings
      FROM posting p CROSS JOIN marks
      CROSS JOIN LATERAL (VALUES (p.debit, p.amount_minor, 0::bigint), (p.credit, 0::bigint, p.amount_minor))
           AS side (account, debit, credit)
     WHERE p.xid < marks.newest
     GROUP BY 1, 2, 3
)
SELECT account, book_date, horizon, s.debit_minor, s.credit_minor, s.postings AS counted, m.debit, m.credit, m.postings
  FROM (SELECT account, book_date, horizon::text::bigint AS horizon, debit_minor, credit_minor, postings
          FROM balance_slice) s
  FULL JOIN moved m USING (account, book_date, horizon)
 WHERE s.debit_minor IS DISTINCT FROM m.debit OR s.credit_minor IS DISTINCT FROM m.credit
    OR s.postings IS DISTINCT FROM m.postings
"""

SNAPSHOT_DIFFERENCE_SQL = (
    "SELECT coalesce(sum(abs(coalesce(debit_minor, 0) - coalesce(debit, 0))"  # noqa: S608 - constants only
    " + abs(coalesce(credit_minor, 0) - coalesce(credit, 0))), 0)::bigint FROM (" + _SNAPSHOTS_SQL + ") differing"
)

DATES_AND_BALANCES = (
    Check(
        "no_journal_on_day_closed_before_it_was_recorded",
        "A closed book date took no journal after it was closed.",
        ("journal", "closed_day"),
        (
            Part(
                "journal",
                "{} is booked to {}, closed at {}, but was recorded at {}",
                """
                SELECT j.id, j.key, j.book_date, c.closed_at, j.recorded_at
                  FROM journal j JOIN closed_day c ON c.book_date = j.book_date WHERE j.recorded_at > c.closed_at
                """,
            ),
            # recorded_at is text that could be edited, the order of transactions is not: what was still unknown at a
            # mark set well after the close (a close waits seconds, not minutes, for recording in flight) came later.
            Part(
                "journal",
                "{} is booked to {}, closed at {}, but was not yet known at {}",
                """
                SELECT j.id, j.key, j.book_date, c.closed_at, t.at
                  FROM closed_day c
                  CROSS JOIN LATERAL (SELECT at, horizon FROM ledger_tick
                                       WHERE at > c.closed_at + interval '15 minutes' ORDER BY at LIMIT 1) t
                  JOIN journal j ON j.book_date = c.book_date AND j.xid >= t.horizon AND j.recorded_at <= c.closed_at
                """,
            ),
        ),
    ),
    Check(
        "book_date_not_before_occurrence",
        "A journal is booked on or after the Nairobi day it occurred (unless the channel's clock ran ahead, which is a"
        " break) and the day the books open.",
        ("journal",),
        (
            Part(
                "journal",
                "{} is booked to {}, before {}",
                """
                SELECT j.id, j.key, j.book_date,
                       greatest((j.occurred_at AT TIME ZONE 'Africa/Nairobi')::date, c.books_open_from)
                  FROM journal j LEFT JOIN county c ON true
                 WHERE j.book_date < c.books_open_from
                    OR (j.book_date < (j.occurred_at AT TIME ZONE 'Africa/Nairobi')::date AND NOT EXISTS (
                        SELECT FROM payment y
                          JOIN evidence e ON e.channel_account_id = y.channel_account_id AND e.kind = y.kind
                                         AND e.reference = y.reference
                          JOIN break_case b ON b.delivery_id = e.delivery_id AND b.reason = 'clock_differs'
                         WHERE y.id = CASE WHEN j.key ~ '^payment:[0-9]+:(received|reversed|charged)$'
                                           THEN split_part(j.key, ':', 2)::bigint END))
                """,
            ),
        ),
    ),
    Check(
        "posting_and_journal_dates_agree",
        "A posting has the book date of its journal and was written in the same transaction.",
        ("posting",),
        (
            Part(
                "posting",
                "booked to {} in transaction {}, its journal {} to {} in {}",
                """
                SELECT p.journal_id || '/' || p.seq, p.book_date, p.xid::text, j.key, j.book_date, j.xid::text
                  FROM posting p JOIN journal j ON j.id = p.journal_id
                 WHERE p.book_date <> j.book_date OR p.xid <> j.xid
                """,
            ),
        ),
    ),
    Check(
        "snapshots",
        "Every balance slice is the sum of the postings of its account, book date and run; runs follow each other.",
        ("balance_slice", "snapshot_run"),
        (
            Part(
                "balance_slice",
                "slice of {} debits, {} credits from {} postings; the postings sum to {} debits, {} credits from {}",
                "SELECT account || ' ' || book_date || ' ' || coalesce(horizon::text, 'no run'), debit_minor,"  # noqa: S608
                " credit_minor, counted::text, debit, credit, postings::text FROM (" + _SNAPSHOTS_SQL + ") d",
            ),
            Part(
                "snapshot_run",
                "begins at {}, but the run before it ended at {}",
                """
                SELECT horizon::text, previous::text, before FROM (
                    SELECT horizon, previous, coalesce(lag(horizon) OVER (ORDER BY horizon)::text, '0') AS before
                      FROM snapshot_run) r
                 WHERE previous::text <> before
                """,
            ),
            Part(
                "snapshot_run",
                "says it folded {} postings; its slices hold {}",
                """
                SELECT r.horizon::text, r.postings::text, coalesce(sum(s.postings) / 2, 0)::bigint::text
                  FROM snapshot_run r LEFT JOIN balance_slice s ON s.horizon = r.horizon
                 GROUP BY r.horizon HAVING r.postings * 2 <> coalesce(sum(s.postings), 0)
                """,
            ),
        ),
    ),
)
