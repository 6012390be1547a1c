"""Where each row of the books comes from: every journal from a fact, every match from its asking, days in turn.

What stands in two tables is compared; what has a cause is held against it.
"""

from __future__ import annotations

from revenue_engine.verification.invariants import Check, Part

# The keys that a journal may have, and the fact that each speaks of. A journal of any other key is nobody's.
_SOURCE_SQL = r"""
SELECT j.id, j.key, j.kind FROM journal j
 WHERE NOT coalesce(CASE
    WHEN j.key ~ '^payment:[0-9]+:(received|reversed|charged)$' THEN j.reverses_id IS NULL AND j.kind = CASE
         split_part(j.key, ':', 3) WHEN 'received' THEN 'payment_received' WHEN 'reversed' THEN 'payment_reversed'
                                   ELSE 'channel_charged' END
    WHEN j.key ~ '^invoice:[0-9]+:(issued|cancelled)$'
         THEN j.kind = 'invoice_' || split_part(j.key, ':', 3) AND j.reverses_id IS NULL
    WHEN j.key ~ '^payment:[0-9]+:(identified|credit)(:[0-9]+)*$' AND j.reverses_id IS NULL
         THEN j.kind IN ('suspense_identified', 'credit_applied', 'paid_between_entities')
              AND EXISTS (SELECT FROM payment y WHERE y.id = split_part(j.key, ':', 2)::bigint AND y.kind = 'payment')
              AND NOT EXISTS (SELECT FROM posting p WHERE p.journal_id = j.id
                               AND (p.payment_id IS DISTINCT FROM split_part(j.key, ':', 2)::bigint
                                    OR NOT (p.debit IN ('2100', '2200')
                                            AND (p.credit LIKE '1300.%' OR p.credit = '2100')
                                            OR (p.debit = '1480' AND p.credit = '2480'))))
    WHEN j.key ~ '^payment:[0-9]+:moved:' AND j.reverses_id IS NULL
         THEN j.kind = 'placing_taken_back'
              AND EXISTS (SELECT FROM money_move m WHERE m.off_journal_id = j.id
                             AND m.payment_id = split_part(j.key, ':', 2)::bigint)
              AND NOT EXISTS (SELECT FROM posting p WHERE p.journal_id = j.id
                               AND (p.payment_id IS DISTINCT FROM split_part(j.key, ':', 2)::bigint
                                    OR NOT (p.credit = '2200' AND (p.debit LIKE '1300.%' OR p.debit = '2100'))))
    WHEN j.key ~ '^settled:[0-9]+:.' AND j.reverses_id IS NULL
         THEN j.kind = 'settled' AND (
              SELECT sum(p.amount_minor) FROM posting p
               WHERE p.journal_id = j.id AND p.credit LIKE '1200.%' AND p.debit ~ '^(11|12)00[.]') = (
              SELECT l.amount_minor FROM statement_line l
               WHERE l.channel_account_id = split_part(j.key, ':', 2)::bigint AND l.counts AND l.amount_minor > 0
                 AND l.reference = substring(j.key FROM '^settled:[0-9]+:(.*)$') ORDER BY l.id LIMIT 1)
              AND NOT EXISTS (SELECT FROM posting p WHERE p.journal_id = j.id
                               AND NOT (p.credit LIKE '1200.%' AND p.debit ~ '^((11|12)00[.]|5900)'))
    WHEN j.key ~ '^remittance:[0-9]+:(sent|credited)$' AND j.reverses_id IS NULL
         THEN (SELECT count(*) = 1 AND sum(p.amount_minor) = max(r.amount_minor)
                      AND bool_and(CASE split_part(j.key, ':', 3)
                          WHEN 'sent' THEN j.kind = 'swept' AND p.debit = '1050' AND p.credit = r.account
                          ELSE j.kind = 'crf_credited' AND p.debit = '1000' AND p.credit = '1050'
                               AND EXISTS (SELECT FROM remittance_event e
                                            WHERE e.remittance_id = r.id AND e.event = 'credited') END)
                 FROM posting p JOIN remittance r ON r.id = split_part(j.key, ':', 2)::bigint
                WHERE p.journal_id = j.id)
    WHEN j.reverses_id IS NOT NULL
         THEN j.key = (SELECT o.key || ':undone' FROM journal o WHERE o.id = j.reverses_id)
    ELSE false END, false)
"""

_IDENTIFIED_SQL = """
SELECT a.id, a.rung, a.payment_id::text, a.invoice_id::text,
       CASE WHEN a.rung = 'push' THEN 'no push request of ours that a message of the payment answers'
            WHEN a.rung = 'match_reversed' THEN 'no match that was taken back'
            WHEN a.rung = 'moved' THEN 'no move that two persons agreed to'
            ELSE 'no match of its journal' END
  FROM application a
 WHERE CASE a.rung
       WHEN 'push' THEN NOT EXISTS (
            SELECT FROM payment y
              JOIN evidence e ON e.reference = y.reference AND e.kind = y.kind
                             AND e.channel_account_id = y.channel_account_id
              JOIN push_request r ON r.request_id = e.request_id AND r.channel_account_id = y.channel_account_id
             WHERE y.id = a.payment_id AND r.invoice_id = a.invoice_id)
       WHEN 'match_reversed' THEN NOT EXISTS (
            SELECT FROM match_reversal v JOIN payment_match m ON m.id = v.match_id
             WHERE v.journal_id = a.journal_id AND m.payment_id = a.payment_id AND m.invoice_id = a.invoice_id)
       WHEN 'moved' THEN NOT EXISTS (
            SELECT FROM money_move m WHERE m.payment_id = a.payment_id
               AND (a.amount_minor > 0 AND m.journal_id = a.journal_id AND m.invoice_id = a.invoice_id
                    OR a.amount_minor < 0 AND m.off_journal_id = a.journal_id
                       AND a.invoice_id = ANY (m.from_invoice_ids)))
       WHEN 'credit' THEN false WHEN 'reopened' THEN false WHEN 'reversal' THEN false
       ELSE EXISTS (SELECT FROM journal j WHERE j.id = a.journal_id AND j.kind IN (
                        'suspense_identified', 'paid_between_entities'))
            AND NOT EXISTS (SELECT FROM payment_match m WHERE m.journal_id = a.journal_id
                             AND m.payment_id = a.payment_id AND m.invoice_id = a.invoice_id) END
"""

_MATCH_SQL = """
SELECT m.id, m.rung, m.amount_minor,
       coalesce((SELECT sum(a.amount_minor) FROM application a WHERE a.journal_id = m.journal_id
                    AND a.payment_id = m.payment_id AND a.invoice_id = m.invoice_id), 0)::bigint,
       CASE WHEN q.id IS NULL THEN 'nobody' ELSE q.requested_by END, m.made_by
  FROM payment_match m LEFT JOIN match_request q ON q.id = m.request_id
 WHERE m.amount_minor > coalesce((SELECT sum(a.amount_minor) FROM application a WHERE a.journal_id = m.journal_id
                                     AND a.payment_id = m.payment_id AND a.invoice_id = m.invoice_id), 0)
    OR (m.request_id IS NOT NULL AND (q.id IS NULL OR q.payment_id <> m.payment_id OR q.invoice_id <> m.invoice_id
        OR lower(btrim(normalize(q.requested_by, NFKC))) = lower(btrim(normalize(m.made_by, NFKC)))))
"""

_REVERSED_SQL = """
SELECT v.match_id, v.journal_id::text
  FROM match_reversal v LEFT JOIN payment_match m ON m.id = v.match_id LEFT JOIN journal j ON j.id = v.journal_id
 WHERE (m.id IS NULL OR j.reverses_id IS DISTINCT FROM m.journal_id)
   AND NOT EXISTS (SELECT FROM money_move w WHERE w.off_journal_id = v.journal_id AND w.payment_id = m.payment_id
                      AND m.invoice_id = ANY (w.from_invoice_ids))
"""

_MOVED_SQL = """
SELECT m.id, m.amount_minor, coalesce(s.minor, 0)::bigint
  FROM money_move m
  LEFT JOIN LATERAL (SELECT sum(p.amount_minor) AS minor FROM posting p
                      WHERE p.journal_id = m.journal_id AND p.payment_id = m.payment_id AND p.debit = '2200') s ON true
 WHERE coalesce(s.minor, 0) NOT BETWEEN 1 AND m.amount_minor
"""

_UNDONE_SQL = """
SELECT j.id, j.key FROM journal j JOIN journal o ON o.id = j.reverses_id
 WHERE o.kind IN ('suspense_identified', 'paid_between_entities')
   AND NOT EXISTS (SELECT FROM match_reversal v WHERE v.journal_id = j.id)
"""

_DAYS_SQL = """
SELECT d.book_date, CASE WHEN d.before IS NULL THEN 'the books open on ' || c.books_open_from
                         ELSE 'the last day closed before it is ' || d.before END
  FROM (SELECT book_date, lag(book_date) OVER (ORDER BY book_date) AS before FROM closed_day) d
  LEFT JOIN county c ON true
 WHERE d.book_date IS DISTINCT FROM coalesce(d.before + 1, c.books_open_from, d.book_date)
"""

_BREAKS_SQL = """
SELECT coalesce(b.key, e.key),
       CASE WHEN b.key IS NULL THEN 'its events stand and it does not'
            WHEN e.key IS NULL THEN 'no event opened it'
            ELSE concat_ws(', ', CASE WHEN b.amount_minor IS DISTINCT FROM e.amount_minor THEN 'its amount' END,
                 CASE WHEN b.owner IS DISTINCT FROM e.owner THEN 'its owner' END,
                 CASE WHEN b.closed_at IS DISTINCT FROM e.closed_at THEN 'its end' END,
                 CASE WHEN b.resolution IS DISTINCT FROM e.resolution THEN 'how it ended' END,
                 CASE WHEN (b.public_id, b.reason, b.detail, b.payment_id, b.invoice_id, b.delivery_id,
                            b.channel_account_id, b.stream_code, b.station_code, b.occurred_at, b.opened_at)
                           IS DISTINCT FROM
                           (e.public_id, e.reason, e.detail, e.payment_id, e.invoice_id, e.delivery_id,
                            e.channel_account_id, e.stream_code, e.station_code, e.occurred_at, e.opened_at)
                      THEN 'what it is about' END) || ' is not what its events say' END
  FROM break_case b
  FULL JOIN (
    SELECT key, max(public_id) AS public_id, max(reason) AS reason, max(detail) AS detail,
           max(payment_id) AS payment_id, max(invoice_id) AS invoice_id, max(delivery_id) AS delivery_id,
           max(channel_account_id) AS channel_account_id, max(stream_code) AS stream_code,
           max(station_code) AS station_code, max(occurred_at) AS occurred_at,
           max(at) FILTER (WHERE event = 'opened') AS opened_at,
           (array_agg(amount_minor ORDER BY id DESC) FILTER (WHERE amount_minor IS NOT NULL))[1] AS amount_minor,
           (array_agg(owner ORDER BY id DESC) FILTER (WHERE owner IS NOT NULL))[1] AS owner,
           (array_agg(CASE event WHEN 'resolved' THEN at END ORDER BY id DESC)
                FILTER (WHERE event IN ('opened', 'resolved', 'reopened')))[1] AS closed_at,
           (array_agg(CASE event WHEN 'resolved' THEN words END ORDER BY id DESC)
                FILTER (WHERE event IN ('opened', 'resolved', 'reopened')))[1] AS resolution
      FROM break_event GROUP BY key) e ON e.key = b.key
 WHERE (b.key, b.amount_minor, b.owner, b.closed_at, b.resolution, b.public_id, b.reason, b.detail, b.payment_id,
        b.invoice_id, b.delivery_id, b.channel_account_id, b.stream_code, b.station_code, b.occurred_at, b.opened_at)
       IS DISTINCT FROM
       (e.key, e.amount_minor, e.owner, e.closed_at, e.resolution, e.public_id, e.reason, e.detail, e.payment_id,
        e.invoice_id, e.delivery_id, e.channel_account_id, e.stream_code, e.station_code, e.occurred_at, e.opened_at)
"""

_HOMES_SQL = """
SELECT p.journal_id || '/' || p.seq, p.amount_minor, held_home(p.payment_id, p.debit),
       lawful_home(p.stream_code, p.station_code)
  FROM posting p
 WHERE p.debit IN ('2100', '2200') AND p.credit LIKE '1300.%'
   AND held_home(p.payment_id, p.debit) <> lawful_home(p.stream_code, p.station_code)
   AND NOT EXISTS (SELECT FROM posting o WHERE o.journal_id = p.journal_id AND o.debit = '1480' AND o.credit = '2480'
                      AND o.payment_id = p.payment_id AND o.amount_minor >= p.amount_minor)
"""

_LINES_SQL = """
SELECT s.public_id, s.new_lines::text, count(l.id) FILTER (WHERE l.counts)::text
  FROM statement s LEFT JOIN statement_line l ON l.statement_id = s.id
 WHERE s.opening_minor IS NOT NULL
 GROUP BY s.id HAVING s.new_lines <> count(l.id) FILTER (WHERE l.counts)
"""

_LINE_SQL = """
SELECT l.id, l.reference, l.amount_minor, e.reference, coalesce(e.amount_minor, 0)
  FROM statement_line l JOIN statement s ON s.id = l.statement_id
  JOIN evidence e ON e.delivery_id = s.delivery_id AND e.item = l.number
 WHERE s.opening_minor IS NOT NULL
   AND (e.reference NOT IN (l.reference, l.reference || '/SETTLEMENT') OR e.amount_minor <> abs(l.amount_minor)
        OR e.channel_account_id <> l.channel_account_id)
"""

_ACCOUNTS_SQL = """
SELECT a.code, CASE WHEN a.code LIKE '1100.%' THEN 'a bank account' ELSE 'the clearing of a channel' END
  FROM account a
 WHERE (a.code LIKE '1100.%' AND NOT EXISTS (SELECT FROM bank_account b WHERE b.account = a.code))
    OR (a.code LIKE '1200.%' AND NOT EXISTS (SELECT FROM channel_account c WHERE c.clearing_account = a.code))
    OR (a.code ~ '^(1100|1200)' AND a.type <> 'asset')
"""

_JUDGED_SQL = "SELECT request, kind, fault FROM access.unjudged()"

_PAYOUT_SQL = """
SELECT l.bank_channel_account_id || ' ' || l.bank_reference, l.payout_reference, l.amount_minor,
       coalesce((SELECT sum(p.amount_minor) FROM journal j
                   JOIN posting p ON p.journal_id = j.id AND p.book_date = j.book_date
                  WHERE j.key = 'settled:' || l.bank_channel_account_id || ':' || l.bank_reference
                    AND p.channel_account_id = l.channel_account_id), 0)::bigint
  FROM settlement_payout l
"""

_COVERED_SQL = """
SELECT r.id, r.number, r.amount_minor, coalesce(sum(p.amount_minor), 0)::bigint
  FROM remittance r LEFT JOIN remittance_part p ON p.remittance_id = r.id
 GROUP BY r.id HAVING r.amount_minor <> coalesce(sum(p.amount_minor), 0)
"""
_OVER_SQL = """
SELECT y.id, y.reference, y.amount_minor, sum(p.amount_minor)::bigint
  FROM remittance_part p JOIN payment y ON y.id = p.payment_id GROUP BY y.id
HAVING sum(p.amount_minor) > y.amount_minor OR y.kind <> 'payment'
"""
_IN_TRANSIT_SQL = """
SELECT '1050', held, listed
  FROM (SELECT coalesce((SELECT sum(CASE WHEN debit = '1050' THEN amount_minor ELSE -amount_minor END)
                           FROM posting WHERE debit = '1050' OR credit = '1050'), 0)::bigint AS held,
               coalesce((SELECT sum(r.amount_minor) FROM remittance r
                          WHERE NOT EXISTS (SELECT FROM remittance_event e
                                             WHERE e.remittance_id = r.id AND e.event = 'credited')), 0)::bigint
               AS listed
       ) b WHERE held <> listed
"""

SOURCES = (
    Check(
        "judgements_of_two",
        "What was done on two persons' word has the word of the persons, and they were shown what was done.",
        (),
        (Part("request", "of kind {}: {}", _JUDGED_SQL),),
    ),
    Check(
        "journals_have_facts",
        "Every journal speaks of a fact that stands (a payment, a bill, a statement's line) and posts what it says.",
        ("journal",),
        (
            Part("journal", "{} of kind {} speaks of no fact that stands, or does not post what it says", _SOURCE_SQL),
            Part("journal", "{} takes a match back, and no row says who did", _UNDONE_SQL),
        ),
    ),
    Check(
        "matches_stand_on_their_rows",
        "Whatever left suspense for a bill has its match, every match its applications and, by hand, two persons.",
        ("application",),
        (
            Part("application", "by {}, payment {} to invoice {}: {}", _IDENTIFIED_SQL),
            Part("payment_match", "by {} of {}, its journal applies {}; asked by {}, made by {}", _MATCH_SQL),
            Part("match_reversal", "journal {} does not reverse that of its match", _REVERSED_SQL),
            Part("money_move", "of {}, and its journal moves {}", _MOVED_SQL),
        ),
    ),
    Check(
        "days_closed_in_order",
        "Days are closed from the day the books open, one after another.",
        ("county",),
        (Part("closed_day", "{}", _DAYS_SQL),),
    ),
    Check(
        "set_up_is_its_last_version",
        "Every row of set-up and every payer is what its last kept version says.",
        ("set_up_version", "payer_version"),
        (
            Part(
                "set_up_version",
                "{}",
                "SELECT table_name || ' ' || key, fault FROM version_differences()",
            ),
        ),
    ),
    Check(
        "breaks_are_their_events",
        "Every break is what its events say: opened once, given, lowered, resolved and opened again in their order.",
        ("break_case",),
        (Part("break_case", "{}", _BREAKS_SQL),),
    ),
    Check(
        "lawful_homes",
        "Held money pays bills of its own destination; across, only where the holder owes it to the other.",
        (),
        (Part("posting", "{} held for {} pays a bill of {}", _HOMES_SQL),),
    ),
    Check(
        "transfers_cover_their_payments",
        "Every transfer to the Fund covers payments of its amount, none above what was paid; in transit is listed.",
        (),
        (
            Part("remittance", "{} is of {} and covers payments of {}", _COVERED_SQL),
            Part("payment", "{} of {} is in transfers with {}", _OVER_SQL),
            Part("account", "1050 holds {}, the transfers on their way are {}", _IN_TRANSIT_SQL),
        ),
    ),
    Check(
        "settlements_are_their_payouts",
        "Every credit that was recorded as a payout settled as much of that channel's clearing, to the cent.",
        (),
        (
            Part(
                "settlement_payout",
                "is the payout {} of {}; the books settled {}",
                f"SELECT * FROM ({_PAYOUT_SQL}) l (key, payout, told, settled) WHERE told <> settled",  # noqa: S608
            ),
        ),
    ),
    Check(
        "statements_and_their_lines",
        "Every kept statement has the lines it brought, and every line agrees with the evidence read from it.",
        ("statement",),
        (
            Part("statement", "it brought {} lines that count, {} stand", _LINES_SQL),
            Part("statement_line", "{} of {} is evidence of {} of {}", _LINE_SQL),
        ),
    ),
    Check(
        "accounts_of_banks_and_channels",
        "What stands under 1100 is a bank account with its authority, under 1200 the clearing of a channel.",
        (),
        (Part("account", "is not {}", _ACCOUNTS_SQL),),
    ),
)
