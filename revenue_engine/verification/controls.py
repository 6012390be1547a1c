"""The control accounts: what the ledger says of bills, channels, suspense and credit against the tables that list them.

Each control has two forms: the rows that differ (for ``ledger verify``) and the difference in cents (for a page).
"""

from __future__ import annotations

from revenue_engine.verification.invariants import Check, Part

RECEIVED_KINDS = ("payment_received", "insurer_paid", "payment_reversed", "channel_charged")
"""Journals that a payment, its reversal or a charge makes on a channel's clearing account."""

SETTLED_KINDS = ("settled", "settled_undone")
"""Journals that move a clearing account without a payment: the channel pays our bank."""


def _listed(words: tuple[str, ...]) -> str:
    return ", ".join(f"'{word}'" for word in words)


# Every query ends in named columns; the forms below wrap it, so that a finding and a difference cannot disagree.

_RECEIVABLE_SQL = """
SELECT account, coalesce(book.minor, 0)::bigint AS book, coalesce(listed.minor, 0)::bigint AS listed
  FROM (SELECT account, sum(minor) AS minor
          FROM (SELECT debit AS account, amount_minor AS minor FROM posting WHERE debit LIKE '1300%'
                UNION ALL SELECT credit, -amount_minor FROM posting WHERE credit LIKE '1300%') moved
         GROUP BY account) book
  FULL JOIN (SELECT '1300.' || stream_code AS account, sum(outstanding_minor) AS minor
               FROM open_bill GROUP BY stream_code) listed USING (account)
 WHERE coalesce(book.minor, 0) <> coalesce(listed.minor, 0)
"""

_RECEIVABLE_BY_BILL_SQL = """
SELECT invoice_id, coalesce(book.minor, 0)::bigint AS book, coalesce(o.outstanding_minor, 0) AS listed
  FROM (SELECT invoice_id, sum(CASE WHEN debit LIKE '1300.%' THEN amount_minor ELSE 0 END
                             - CASE WHEN credit LIKE '1300.%' THEN amount_minor ELSE 0 END) AS minor
          FROM posting WHERE invoice_id IS NOT NULL AND (debit LIKE '1300.%' OR credit LIKE '1300.%')
         GROUP BY invoice_id) book
  FULL JOIN open_bill o USING (invoice_id)
 WHERE coalesce(book.minor, 0) <> coalesce(o.outstanding_minor, 0)
"""

_CLEARING_SQL = f"""
SELECT account, coalesce(book.minor, 0)::bigint AS book, coalesce(listed.minor, 0)::bigint AS listed
  FROM (SELECT account, sum(minor) AS minor
          FROM (SELECT debit AS account, journal_id, amount_minor AS minor FROM posting WHERE debit LIKE '1200%'
                UNION ALL
                SELECT credit, journal_id, -amount_minor FROM posting WHERE credit LIKE '1200%') moved
          LEFT JOIN journal j ON j.id = moved.journal_id
         WHERE j.id IS NULL OR j.kind NOT IN ({_listed(SETTLED_KINDS)})
         GROUP BY account) book
  FULL JOIN (SELECT c.clearing_account AS account,
                    sum(CASE y.kind WHEN 'payment' THEN y.amount_minor ELSE -y.amount_minor END) AS minor
               FROM payment y JOIN channel_account c ON c.id = y.channel_account_id
              WHERE y.kind IN ('payment', 'reversal', 'charge') AND c.clearing_account LIKE '1200%'
              GROUP BY c.clearing_account) listed USING (account)
 WHERE coalesce(book.minor, 0) <> coalesce(listed.minor, 0)
"""  # noqa: S608 - constants only

_SUSPENSE_SQL = """
SELECT payment_id, held, listed
  FROM (SELECT payment_id, coalesce(book.minor, 0)::bigint AS held, coalesce(b.minor, 0)::bigint AS listed
          FROM (SELECT payment_id, sum(CASE WHEN credit = '2200' THEN amount_minor ELSE -amount_minor END) AS minor
                  FROM posting WHERE (debit = '2200' OR credit = '2200') GROUP BY payment_id) book
          FULL JOIN (SELECT payment_id, sum(amount_minor) AS minor
                       FROM break_case WHERE closed_at IS NULL AND key LIKE 'suspense:%'
                      GROUP BY payment_id) b USING (payment_id)) s
 WHERE held <> listed OR held < 0
"""

_PLACED_SQL = f"""
WITH at_bank AS (  -- what payers paid straight into a bank account of ours
    SELECT j.id FROM journal j WHERE j.kind IN ({_listed(RECEIVED_KINDS)})
       AND EXISTS (SELECT FROM posting p WHERE p.journal_id = j.id AND (p.debit LIKE '1100%' OR p.credit LIKE '1100%')))
SELECT y.id, y.reference, y.amount_minor AS amount, coalesce(r.amount_minor, 0) AS reversed,
       coalesce(a.minor, 0)::bigint AS applied, coalesce(p.suspense, 0)::bigint AS suspense,
       coalesce(p.unapplied, 0)::bigint AS unapplied, coalesce(p.elsewhere, 0)::bigint AS elsewhere
  FROM payment y
  LEFT JOIN payment r ON r.reverses_id = y.id AND r.kind = 'reversal'
  LEFT JOIN (SELECT payment_id, sum(amount_minor) AS minor FROM application GROUP BY payment_id) a
    ON a.payment_id = y.id
  LEFT JOIN (SELECT payment_id, sum(minor) FILTER (WHERE account = '2200') AS suspense,
                    sum(minor) FILTER (WHERE account = '2100') AS unapplied,
                    sum(minor) FILTER (WHERE account NOT IN ('2100', '2200')) AS elsewhere
               FROM (SELECT payment_id, credit AS account, amount_minor AS minor FROM posting
                      WHERE payment_id IS NOT NULL AND credit NOT LIKE '1200%' AND credit NOT LIKE '1300%'
                        AND NOT (credit LIKE '1100%' AND journal_id IN (SELECT id FROM at_bank))
                     UNION ALL
                     SELECT payment_id, debit, -amount_minor FROM posting
                      WHERE payment_id IS NOT NULL AND debit NOT LIKE '1200%' AND debit NOT LIKE '1300%'
                        AND NOT (debit LIKE '1100%' AND journal_id IN (SELECT id FROM at_bank))) sides
              GROUP BY payment_id) p ON p.payment_id = y.id
 WHERE y.kind = 'payment'
   AND y.amount_minor - coalesce(r.amount_minor, 0)
       <> coalesce(a.minor, 0) + coalesce(p.suspense, 0) + coalesce(p.unapplied, 0) + coalesce(p.elsewhere, 0)
"""  # noqa: S608 - constants only

_UNAPPLIED_SQL = """
SELECT payer_id, payment_id, sum(CASE WHEN credit = '2100' THEN amount_minor ELSE -amount_minor END)::bigint AS minor
  FROM posting WHERE debit = '2100' OR credit = '2100' GROUP BY GROUPING SETS ((payer_id), (payment_id))
HAVING sum(CASE WHEN credit = '2100' THEN amount_minor ELSE -amount_minor END) < 0
"""

DIFFERENCES: dict[str, str] = {
    "receivable": f"SELECT coalesce(sum(abs(book - listed)), 0)::bigint FROM ({_RECEIVABLE_SQL}) d",  # noqa: S608
    "clearing": f"SELECT coalesce(sum(abs(book - listed)), 0)::bigint FROM ({_CLEARING_SQL}) d",  # noqa: S608
    "suspense": f"SELECT coalesce(sum(abs(held - listed)), 0)::bigint FROM ({_SUSPENSE_SQL}) d",  # noqa: S608
    "unapplied": "SELECT coalesce(sum(abs(amount - reversed - applied - suspense - unapplied - elsewhere)), 0)::bigint"  # noqa: S608
    f" FROM ({_PLACED_SQL}) d",
}
"""Control to the query of its difference in cents: the sum over its rows, so that two errors never hide each other."""

CONTROLS = (
    Check(
        "receivable_control",
        "Per stream and per bill, the receivable (1300) is what is left of the open bills.",
        ("posting", "open_bill"),
        (
            Part("account", "the ledger says {}, the open bills say {}", _RECEIVABLE_SQL),
            Part("open_bill", "the ledger says {} is left of this bill, the list says {}", _RECEIVABLE_BY_BILL_SQL),
            Part(
                "posting",
                "{} on a receivable names no bill",
                """
                SELECT journal_id || '/' || seq, amount_minor FROM posting
                 WHERE invoice_id IS NULL AND (debit LIKE '1300%' OR credit LIKE '1300%')
                """,
            ),
        ),
    ),
    Check(
        "open_bill_projection",
        "What is left of a bill is its lines less its applications, by component; of a cancelled one nothing.",
        ("open_bill", "invoice_line", "application"),
        (
            Part(
                "open_bill",
                "{} left is {}; lines less applications say {}",
                """
                SELECT invoice_id, component, coalesce(listed.minor, 0)::bigint, coalesce(due.minor, 0)::bigint
                  FROM (SELECT m.invoice_id, m.component, sum(m.minor)::bigint AS minor
                          FROM (SELECT invoice_id, component, amount_minor AS minor FROM invoice_line
                                UNION ALL SELECT invoice_id, component, -amount_minor FROM application) m
                          LEFT JOIN invoice_cancellation c ON c.invoice_id = m.invoice_id
                         WHERE c.invoice_id IS NULL
                         GROUP BY m.invoice_id, m.component) due
                  FULL JOIN (SELECT o.invoice_id, part.component, part.minor
                               FROM open_bill o CROSS JOIN LATERAL (VALUES
                                    ('costs', o.costs_minor), ('penalty', o.penalty_minor),
                                    ('interest', o.interest_minor), ('arrears', o.arrears_minor),
                                    ('principal', o.principal_minor)) AS part (component, minor)
                              WHERE part.minor <> 0) listed USING (invoice_id, component)
                 WHERE coalesce(listed.minor, 0) <> coalesce(due.minor, 0)
                """,
            ),
            Part(
                "invoice",
                "{} was cancelled and has {} applied to it",
                """
                SELECT c.invoice_id, i.number, sum(a.amount_minor)::bigint
                  FROM invoice_cancellation c JOIN application a ON a.invoice_id = c.invoice_id
                  LEFT JOIN invoice i ON i.id = c.invoice_id
                 GROUP BY c.invoice_id, i.number HAVING sum(a.amount_minor) <> 0
                """,
            ),
            Part(
                "open_bill",
                "its {} is not that of invoice {}",
                """
                SELECT o.invoice_id,
                       concat_ws(', ', CASE WHEN o.stream_code IS DISTINCT FROM i.stream_code THEN 'stream' END,
                                 CASE WHEN o.station_code IS DISTINCT FROM i.station_code THEN 'station' END,
                                 CASE WHEN o.payer_id IS DISTINCT FROM i.payer_id THEN 'payer' END,
                                 CASE WHEN o.object_id IS DISTINCT FROM i.object_id THEN 'object' END,
                                 CASE WHEN o.due_on IS DISTINCT FROM i.due_on THEN 'due date' END,
                                 CASE WHEN o.cancelled <> (c.invoice_id IS NOT NULL) THEN 'cancelled mark' END),
                       coalesce(i.number, 'that is gone')
                  FROM open_bill o LEFT JOIN invoice i ON i.id = o.invoice_id
                  LEFT JOIN invoice_cancellation c ON c.invoice_id = o.invoice_id
                 WHERE (o.stream_code, o.station_code, o.payer_id, o.object_id, o.due_on, o.cancelled)
                       IS DISTINCT FROM
                       (i.stream_code, i.station_code, i.payer_id, i.object_id, i.due_on, c.invoice_id IS NOT NULL)
                """,
            ),
            Part(
                "invoice",
                "{} has no row in the list of open bills",
                "SELECT i.id, i.number FROM invoice i"
                " WHERE NOT EXISTS (SELECT FROM open_bill o WHERE o.invoice_id = i.id)",
            ),
        ),
    ),
    Check(
        "suspense_control",
        "Suspense (2200) is, payment by payment, what the open suspense breaks hold.",
        ("posting", "break_case"),
        (
            Part("payment", "the ledger has {} in suspense, the open breaks say {}", _SUSPENSE_SQL),
            Part(
                "posting",
                "{} in or out of suspense names no payment",
                """
                SELECT journal_id || '/' || seq, amount_minor FROM posting
                 WHERE payment_id IS NULL AND (debit = '2200' OR credit = '2200')
                """,
            ),
            Part(
                "break_case",
                "{} holds {} of payment {}",
                """
                SELECT id, key, amount_minor, coalesce(payment_id::text, 'none') FROM break_case
                 WHERE key LIKE 'suspense:%' AND key IS DISTINCT FROM 'suspense:' || payment_id
                """,
            ),
        ),
    ),
    Check(
        "unapplied_control",
        "Unapplied credit (2100) names its payer and its payment, and is never below nothing for either.",
        ("posting",),
        (
            Part(
                "posting",
                "{} in or out of unapplied credit names no {}",
                """
                SELECT journal_id || '/' || seq, amount_minor,
                       CASE WHEN payer_id IS NULL THEN 'payer' ELSE 'payment' END
                  FROM posting WHERE (payer_id IS NULL OR payment_id IS NULL) AND (debit = '2100' OR credit = '2100')
                """,
            ),
            Part(
                "posting",
                "the unapplied credit of this {} is {}",
                "SELECT coalesce('payer/' || payer_id, 'payment/' || payment_id),"  # noqa: S608 - constants only
                f" CASE WHEN payer_id IS NULL THEN 'payment' ELSE 'payer' END, minor FROM ({_UNAPPLIED_SQL}) u"
                " WHERE payer_id IS NOT NULL OR payment_id IS NOT NULL",
            ),
        ),
    ),
    Check(
        "clearing_control",
        "Each clearing account (1200) holds the payments less the reversals and charges of its channel, less what was"
        " settled.",
        ("posting", "payment"),
        (
            Part("account", "the ledger received {}, the payments less reversals and charges are {}", _CLEARING_SQL),
            Part(
                "posting",
                "{} moves {} on a clearing account, which a journal of kind {} may not",
                f"""
                SELECT p.journal_id || '/' || p.seq, j.key, p.amount_minor, j.kind
                  FROM posting p JOIN journal j ON j.id = p.journal_id
                 WHERE (p.debit LIKE '1200%' OR p.credit LIKE '1200%')
                   AND j.kind NOT IN ({_listed(RECEIVED_KINDS + SETTLED_KINDS)})
                """,  # noqa: S608 - constants only
            ),
        ),
    ),
    Check(
        "payment_fully_placed",
        "Every payment less its reversal is applied, in suspense, unapplied credit, or in another named account.",
        ("payment", "posting", "application"),
        (
            Part(
                "payment",
                "{} of {} less {} reversed has {} applied, {} in suspense, {} unapplied and {} elsewhere",
                _PLACED_SQL,
            ),
        ),
    ),
)
