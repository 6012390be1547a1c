"""What the journals say against the facts they were posted for: payments, applications, invoices, and dimensions."""

from __future__ import annotations

from revenue_engine.verification.invariants import Check, Part

_RECEIVED_SQL = """
SELECT y.id, y.reference, y.amount_minor, coalesce(min(j.key), 'no journal'),
       coalesce(sum(p.amount_minor) FILTER (WHERE side.right_way), 0)::bigint,
       coalesce(sum(p.amount_minor), 0)::bigint, c.clearing_account, y.occurred_at, min(j.occurred_at)
  FROM payment y
  LEFT JOIN channel_account c ON c.id = y.channel_account_id
  LEFT JOIN journal j ON j.key = 'payment:' || y.id || CASE y.kind WHEN 'payment' THEN ':received'
                                                                WHEN 'charge' THEN ':charged' ELSE ':reversed' END
  LEFT JOIN posting p ON p.journal_id = j.id
  LEFT JOIN LATERAL (SELECT CASE y.kind WHEN 'payment' THEN p.debit ELSE p.credit END = c.clearing_account
                            AND p.payment_id IS NOT DISTINCT FROM CASE y.kind WHEN 'payment' THEN y.id
                                                                              ELSE y.reverses_id END
                            AND p.channel_account_id = y.channel_account_id AS right_way) side ON true
 WHERE y.kind IN ('payment', 'reversal', 'charge')
 GROUP BY y.id, c.clearing_account
HAVING coalesce(sum(p.amount_minor) FILTER (WHERE side.right_way), 0) <> y.amount_minor
    OR min(j.occurred_at) <> y.occurred_at
    OR coalesce(sum(p.amount_minor), 0) <> y.amount_minor
"""

_APPLIED_SQL = """
SELECT coalesce(a.ids, 'of journal ' || coalesce(p.journal_id::text, '?')), coalesce(a.payment_id, p.payment_id)::text,
       coalesce(a.invoice_id, p.invoice_id)::text, coalesce(a.journal_id, p.journal_id)::text,
       coalesce(a.minor, 0)::bigint, coalesce(p.minor, 0)::bigint
  FROM (SELECT journal_id, payment_id, invoice_id, sum(amount_minor) AS minor,
               string_agg(id::text, ',' ORDER BY id) AS ids
          FROM application GROUP BY journal_id, payment_id, invoice_id) a
  FULL JOIN
       (SELECT journal_id, payment_id, invoice_id,
               sum(CASE WHEN credit LIKE '1300.%' THEN amount_minor ELSE 0 END
                 - CASE WHEN debit LIKE '1300.%' THEN amount_minor ELSE 0 END) AS minor
          FROM posting WHERE payment_id IS NOT NULL AND (credit LIKE '1300.%' OR debit LIKE '1300.%')
         GROUP BY journal_id, payment_id, invoice_id) p
    ON p.journal_id = a.journal_id AND p.payment_id = a.payment_id AND p.invoice_id = a.invoice_id
 WHERE coalesce(a.minor, 0) <> coalesce(p.minor, 0)
"""

_ISSUED_SQL = """
SELECT i.id, i.number, i.total_minor, coalesce(sum(p.amount_minor), 0)::bigint,
       coalesce(sum(p.amount_minor)
                FILTER (WHERE p.debit = '1300.' || i.stream_code AND p.invoice_id = i.id), 0)::bigint,
       coalesce(sum(p.amount_minor) FILTER (WHERE p.payer_id IS NOT DISTINCT FROM i.payer_id), 0)::bigint
  FROM invoice i
  LEFT JOIN journal j ON j.key = 'invoice:' || i.id || ':issued'
  LEFT JOIN posting p ON p.journal_id = j.id
 GROUP BY i.id
HAVING i.total_minor <> coalesce(sum(p.amount_minor), 0)
    OR i.total_minor <> coalesce(sum(p.amount_minor)
                        FILTER (WHERE p.debit = '1300.' || i.stream_code AND p.invoice_id = i.id
                                  AND p.payer_id IS NOT DISTINCT FROM i.payer_id), 0)
"""

_LINES_SQL = """
SELECT invoice_id, account, coalesce(l.minor, 0)::bigint, coalesce(p.minor, 0)::bigint
  FROM (SELECT n.invoice_id, '4000.' || coalesce(i.stream_code, '?') || '.' || n.component AS account,
               sum(n.amount_minor) AS minor
          FROM invoice_line n LEFT JOIN invoice i ON i.id = n.invoice_id GROUP BY 1, 2) l
  FULL JOIN
       (SELECT q.invoice_id, q.credit AS account, sum(q.amount_minor) AS minor
          FROM posting q JOIN journal j ON j.id = q.journal_id
         WHERE j.kind = 'invoice_issued' AND j.key = 'invoice:' || q.invoice_id || ':issued'
         GROUP BY 1, 2) p USING (invoice_id, account)
 WHERE coalesce(l.minor, 0) <> coalesce(p.minor, 0)
"""

_CANCELLED_SQL = """
SELECT i.id, i.number, i.total_minor, coalesce(sum(p.amount_minor), 0)::bigint
  FROM invoice_cancellation c
  JOIN invoice i ON i.id = c.invoice_id
  LEFT JOIN journal j ON j.key = 'invoice:' || i.id || ':cancelled'
  LEFT JOIN posting p ON p.journal_id = j.id AND p.credit = '1300.' || i.stream_code AND p.invoice_id = i.id
                         AND p.payer_id IS NOT DISTINCT FROM i.payer_id
 GROUP BY i.id HAVING i.total_minor <> coalesce(sum(p.amount_minor), 0)
"""

_MISSING_SQL = """
SELECT p.journal_id || '/' || p.seq,
       concat_ws(', ', CASE WHEN i.id IS NULL THEN 'invoice ' || p.invoice_id END,
                 CASE WHEN y.id IS NULL THEN 'payment ' || p.payment_id END,
                 CASE WHEN r.id IS NULL THEN 'payer ' || p.payer_id END,
                 CASE WHEN c.id IS NULL THEN 'channel account ' || p.channel_account_id END,
                 CASE WHEN s.code IS NULL THEN 'stream ' || p.stream_code END,
                 CASE WHEN t.code IS NULL THEN 'station ' || p.station_code END)
  FROM posting p
  LEFT JOIN invoice i ON i.id = p.invoice_id
  LEFT JOIN payment y ON y.id = p.payment_id
  LEFT JOIN payer r ON r.id = p.payer_id
  LEFT JOIN channel_account c ON c.id = p.channel_account_id
  LEFT JOIN stream s ON s.code = p.stream_code
  LEFT JOIN station t ON t.code = p.station_code
 WHERE (p.invoice_id IS NOT NULL AND i.id IS NULL) OR (p.payment_id IS NOT NULL AND y.id IS NULL)
    OR (p.payer_id IS NOT NULL AND r.id IS NULL) OR (p.channel_account_id IS NOT NULL AND c.id IS NULL)
    OR (p.stream_code IS NOT NULL AND s.code IS NULL) OR (p.station_code IS NOT NULL AND t.code IS NULL)
"""

_DISAGREES_SQL = """
SELECT p.journal_id || '/' || p.seq,
       concat_ws(', ', CASE WHEN p.payer_id IS DISTINCT FROM i.payer_id THEN
                            'payer ' || coalesce(p.payer_id::text, 'none') || ' not '
                            || coalesce(i.payer_id::text, 'none') END,
                 CASE WHEN p.stream_code IS DISTINCT FROM i.stream_code THEN
                      'stream ' || coalesce(p.stream_code, 'none') || ' not ' || i.stream_code END,
                 CASE WHEN p.station_code IS DISTINCT FROM i.station_code THEN
                      'station ' || coalesce(p.station_code, 'none') || ' not '
                      || coalesce(i.station_code, 'none') END),
       i.number
  FROM posting p JOIN invoice i ON i.id = p.invoice_id
 WHERE (p.payer_id, p.stream_code, p.station_code) IS DISTINCT FROM (i.payer_id, i.stream_code, i.station_code)
"""

FACTS = (
    Check(
        "payment_amount_equals_postings",
        "Every payment, reversal and charge has one journal of its kind, of its amount on its clearing"
        " account and at its time; and every such journal has its payment.",
        ("payment",),
        (
            Part(
                "payment",
                "{} is of {}; {} moves {} of it rightly, {} in all (clearing account {}); occurred {}, its journal {}",
                _RECEIVED_SQL,
            ),
            Part(
                "journal",
                "{} stands, but its payment is gone or is of another kind",
                """
                SELECT j.id, j.key FROM journal j
                 WHERE (j.key LIKE 'payment:%:received' OR j.key LIKE 'payment:%:reversed'
                        OR j.key LIKE 'payment:%:charged') AND NOT EXISTS (
                       SELECT FROM payment y
                        WHERE j.key = 'payment:' || y.id
                                      || CASE y.kind WHEN 'payment' THEN ':received'
                                                     WHEN 'reversal' THEN ':reversed'
                                                     WHEN 'charge' THEN ':charged' END)
                """,
            ),
            Part(
                "payment",
                "{} reverses payment {} of {}, which {}",
                """
                SELECT r.id, r.reference, r.reverses_id::text, o.amount_minor,
                       CASE WHEN o.id IS NULL THEN 'is gone' WHEN o.kind <> 'payment' THEN 'is not a payment'
                            WHEN o.amount_minor <> r.amount_minor THEN 'is of another amount'
                            ELSE 'came through another channel account' END
                  FROM payment r LEFT JOIN payment o ON o.id = r.reverses_id
                 WHERE r.kind = 'reversal' AND (o.id IS NULL OR o.kind <> 'payment' OR o.amount_minor <> r.amount_minor
                       OR o.channel_account_id <> r.channel_account_id)
                """,
            ),
        ),
    ),
    Check(
        "applications_match_postings",
        "In every journal, what is applied of a payment to a bill is what the journal credits to the receivable.",
        ("application", "posting"),
        (
            Part(
                "application",
                "payment {}, invoice {}, journal {}: applied {}, posted {}",
                _APPLIED_SQL,
            ),
        ),
    ),
    Check(
        "invoice_journals",
        "Every invoice has its issued journal, of its total, stream, bill and payer and of the components of its lines;"
        " every cancelled one its cancellation; and no such journal stands alone.",
        ("invoice", "invoice_line", "invoice_cancellation"),
        (
            Part(
                "invoice", "{} is of {}; its journal posts {}, of it {} to this bill and {} to its payer", _ISSUED_SQL
            ),
            Part("invoice_line", "{}: the lines sum to {}, the issued journal posts {}", _LINES_SQL),
            Part("invoice", "{} of {} is cancelled; its cancelling journal posts {}", _CANCELLED_SQL),
            Part(
                "invoice",
                "{} stands (journal {}), but the {} is gone",
                """
                SELECT split_part(j.key, ':', 2), j.key, j.id::text,
                       CASE split_part(j.key, ':', 3) WHEN 'issued' THEN 'invoice' ELSE 'cancellation' END
                  FROM journal j
                 WHERE (j.key LIKE 'invoice:%:issued' OR j.key LIKE 'invoice:%:cancelled')
                   AND NOT EXISTS (SELECT FROM (SELECT 'invoice:' || id || ':issued' AS key FROM invoice
                                                UNION ALL
                                                SELECT 'invoice:' || invoice_id || ':cancelled'
                                                  FROM invoice_cancellation) f WHERE f.key = j.key)
                """,
            ),
            Part(
                "pay_account",
                "the number of invoice {} leads to {}",
                """
                SELECT i.pay_account_number, i.number, CASE WHEN a.number IS NULL THEN 'nothing'
                       ELSE coalesce('invoice ' || a.invoice_id, 'object ' || a.object_id) END
                  FROM invoice i LEFT JOIN pay_account a ON a.number = i.pay_account_number
                 WHERE (a.number IS NULL AND i.billing = 'bill')
                    OR (a.number IS NOT NULL AND a.invoice_id IS DISTINCT FROM i.id)
                """,
            ),
        ),
    ),
    Check(
        "posting_dimensions",
        "What a posting names exists, and agrees: payer, stream and station with its bill, channel with its payment,"
        " stream with its account.",
        ("posting",),
        (
            Part("posting", "names what does not exist: {}", _MISSING_SQL),
            Part("posting", "{} as on invoice {}", _DISAGREES_SQL),
            Part(
                "posting",
                "channel account {}, but payment {} came through {}",
                """
                SELECT p.journal_id || '/' || p.seq, p.channel_account_id::text, y.reference, y.channel_account_id::text
                  FROM posting p JOIN payment y ON y.id = p.payment_id
                 WHERE p.channel_account_id <> y.channel_account_id
                """,
            ),
            Part(
                "posting",
                "from {} to {} names stream {}",
                """
                SELECT journal_id || '/' || seq, credit, debit, stream_code FROM posting
                 WHERE (left(debit, 5) IN ('1300.', '4000.') OR left(credit, 5) IN ('1300.', '4000.'))
                   AND stream_code IS DISTINCT FROM
                       split_part(CASE WHEN left(credit, 5) IN ('1300.', '4000.') THEN credit ELSE debit END, '.', 2)
                """,
            ),
        ),
    ),
)
