"""The derive as SQL: a fixed number of set-based statements a window, into the book or into a shadow of the book.

``{entry}`` and ``{line}`` are the two tables written. What is read again and again stands in temporary tables. The
rounding of ``allocation`` is done once for each amount that occurs, not once for each posting.
"""

from __future__ import annotations

WORKBENCH = """
CREATE TEMP TABLE IF NOT EXISTS picked (journal_id bigint, seq smallint, book_date date, event text, sign smallint,
    amount_minor bigint, family text, root_id bigint, payment_id bigint, invoice_id bigint, thirtieth smallint,
    stream_code text, station_code text, channel_account_id bigint, reference text, items text[], profile text)
    ON COMMIT DROP;
CREATE TEMP TABLE IF NOT EXISTS choice (profile text, version_id bigint, kind text, item_code text, tied bigint)
    ON COMMIT DROP;
CREATE TEMP TABLE IF NOT EXISTS sourced (journal_id bigint, seq smallint, turn integer, book_date date,
    amount_minor bigint, base_minor bigint, version_id bigint, thirtieth smallint, remap_id bigint) ON COMMIT DROP;
CREATE TEMP TABLE IF NOT EXISTS taken (journal_id bigint, seq smallint, turn integer, origin_journal_id bigint,
    origin_seq smallint, consumed bigint, book_date date, thirtieth smallint, remap_id bigint, nth bigint)
    ON COMMIT DROP;
CREATE TEMP TABLE IF NOT EXISTS wholes (journal_id bigint, seq smallint, turn integer, origin_journal_id bigint,
    origin_seq smallint, consumed bigint, book_date date, thirtieth smallint, remap_id bigint, whole bigint,
    version_id bigint) ON COMMIT DROP;
CREATE TEMP TABLE IF NOT EXISTS shares (journal_id bigint, seq smallint, turn integer, leg smallint, book_date date,
    debit text, credit text, fund_class text, minor bigint) ON COMMIT DROP;
TRUNCATE picked, choice, sourced, taken, wholes, shares;
"""

SHADOW = """
CREATE TEMP TABLE shadow_entry (LIKE derived_entry INCLUDING DEFAULTS) ON COMMIT DROP;
CREATE TEMP TABLE shadow_line (LIKE derived_line) ON COMMIT DROP;
CREATE INDEX shadow_entry_origin ON shadow_entry (origin_journal_id, origin_seq);
CREATE INDEX shadow_line_key ON shadow_line (journal_id, seq, turn);
"""

PICK = """
INSERT INTO picked
SELECT s.journal_id, s.seq, s.book_date, s.event, s.sign, s.amount_minor, s.family, s.root_id, s.payment_id,
       s.invoice_id, s.thirtieth, s.stream_code, s.station_code, s.channel_account_id, s.reference, s.items,
       s.event || '|' || coalesce(s.stream_code, '') || '|' || coalesce(s.station_code, '') || '|'
            || coalesce(s.channel_account_id, 0) || '|' || coalesce(s.reference, '') || '|'
            || array_to_string(s.items, ',') || '|' || s.epoch
  FROM (SELECT journal_id, seq, book_date, event, sign, amount_minor, family, root_id, payment_id, invoice_id,
               thirtieth, stream_code, CASE WHEN %(by_station)s THEN station_code END AS station_code,
               CASE WHEN %(by_channel)s THEN channel_account_id END AS channel_account_id,
               CASE WHEN %(by_reference)s THEN object_reference END AS reference,
               CASE WHEN %(by_item)s THEN bill_items(invoice_id) ELSE '{{}}' END AS items,
               width_bucket(book_date, %(days)s::date[]) AS epoch
          FROM book_source
         WHERE xid >= %(after)s::text::xid8 AND xid < %(end)s::text::xid8 AND event = ANY (%(events)s)
           AND (%(thirtieth)s::smallint IS NULL OR thirtieth = %(thirtieth)s::smallint)) s
"""

CHOOSE = """
INSERT INTO choice
SELECT p.profile, c.id, c.kind, c.item_code, c.tied
  FROM (SELECT DISTINCT ON (profile) * FROM picked WHERE sign = 1 ORDER BY profile, book_date) p
  LEFT JOIN LATERAL (
       SELECT m.id, m.kind, m.item_code, count(*) OVER (PARTITION BY m.rank) AS tied
         FROM (SELECT v.*, 100000 * coalesce(length(v.reference_prefix), 0) + 8 * (v.item_code IS NOT NULL)::int
                      + 4 * (v.station_code IS NOT NULL)::int + 2 * (v.channel_account_id IS NOT NULL)::int
                      + (v.stream_code IS NOT NULL)::int AS rank
                 FROM (SELECT DISTINCT ON (rule_code) * FROM book_rule_version
                        WHERE book_code = %(book)s AND effective_from <= p.book_date
                          AND from_horizon <= %(after)s::text::xid8
                        ORDER BY rule_code, effective_from DESC, number DESC) v
                WHERE v.kind <> 'ended' AND v.event = p.event
                  AND (v.stream_code IS NULL OR v.stream_code = p.stream_code)
                  AND (v.station_code IS NULL OR v.station_code = p.station_code)
                  AND (v.channel_account_id IS NULL OR v.channel_account_id = p.channel_account_id)
                  AND (v.reference_prefix IS NULL OR starts_with(p.reference, v.reference_prefix))
                  AND (v.item_code IS NULL OR v.item_code = ANY (p.items))) m
        ORDER BY m.rank DESC LIMIT 1) c ON true
"""

HOLES = """
SELECT p.event, p.stream_code, p.station_code, p.reference, min(p.book_date) AS first, max(p.book_date) AS last,
       count(*) AS postings, sum(p.amount_minor)::bigint AS minor, coalesce(max(c.tied), 0) AS tied
  FROM picked p JOIN choice c USING (profile)
 WHERE p.sign = 1 AND (c.version_id IS NULL OR c.tied > 1)
 GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4 LIMIT 20
"""

SOURCED = """
INSERT INTO sourced
SELECT p.journal_id, p.seq, 0, p.book_date, p.amount_minor,
       CASE WHEN c.item_code IS NULL THEN p.amount_minor
            ELSE bill_item_part(p.amount_minor, p.invoice_id, c.item_code) END,
       c.version_id, p.thirtieth, NULL
  FROM picked p JOIN choice c USING (profile)
 WHERE p.sign = 1 AND c.kind <> 'nothing'
"""

ENTRIES = """
INSERT INTO {entry} (book_code, journal_id, seq, turn, origin_journal_id, origin_seq, version_id, remap_id, book_date,
                     sign, source_minor, thirtieth)
SELECT %(book)s, journal_id, seq, turn, journal_id, seq, version_id, remap_id, book_date, 1, amount_minor, thirtieth
  FROM sourced
"""

LINES = """
WITH sizes AS (SELECT DISTINCT version_id, base_minor AS base FROM sourced),
     weights AS (SELECT s.version_id, s.base, g.leg, g.parts FROM sizes s JOIN book_rule_leg g USING (version_id)
                  WHERE g.parts IS NOT NULL
                 UNION ALL
                 SELECT s.version_id, s.base, 32767, 10000 - sum(g.parts)::bigint
                   FROM sizes s JOIN book_rule_leg g USING (version_id) WHERE g.parts IS NOT NULL
                  GROUP BY 1, 2 HAVING sum(g.parts) < 10000),
     ranked AS (SELECT version_id, base, leg, base * parts / 10000 AS part,
                       base - sum(base * parts / 10000) OVER (PARTITION BY version_id, base) AS over,
                       row_number() OVER (PARTITION BY version_id, base
                                          ORDER BY base * parts %% 10000 DESC, leg) AS place
                  FROM weights),
     divided AS (SELECT version_id, base, leg, part + (place <= over)::int AS minor FROM ranked WHERE leg < 32767
                 UNION ALL
                 SELECT version_id, base, leg, greatest(0, least(flat, base - before))
                   FROM (SELECT s.version_id, s.base, g.leg, g.flat_minor AS flat,
                                coalesce(sum(g.flat_minor) OVER (PARTITION BY s.version_id, s.base ORDER BY g.leg
                                         ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)::bigint AS before
                           FROM sizes s JOIN book_rule_leg g USING (version_id) WHERE g.flat_minor IS NOT NULL) f)
INSERT INTO {line} (book_code, journal_id, seq, turn, leg, book_date, debit, credit, amount_minor, fund_class)
SELECT %(book)s, s.journal_id, s.seq, s.turn, d.leg, s.book_date, g.debit, g.credit, d.minor, g.fund_class
  FROM sourced s
  JOIN divided d ON d.version_id = s.version_id AND d.base = s.base_minor
  JOIN book_rule_leg g ON g.version_id = d.version_id AND g.leg = d.leg
 WHERE d.minor > 0
"""

TAKEN_BACK = """
WITH pops AS (SELECT * FROM picked WHERE sign = -1),
     history AS (
       SELECT s.journal_id, s.seq, s.family, s.sign, s.amount_minor FROM book_source s
        WHERE s.payment_id IN (SELECT payment_id FROM pops WHERE event <> 'billed') AND s.event <> 'billed'
          AND s.xid < %(end)s::text::xid8
       UNION ALL
       SELECT s.journal_id, s.seq, s.family, s.sign, s.amount_minor FROM book_source s
        WHERE s.journal_id IN (SELECT root_id FROM pops UNION SELECT journal_id FROM pops)
          AND CASE WHEN s.event = 'billed' THEN s.invoice_id IS NULL ELSE s.payment_id IS NULL END
          AND s.xid < %(end)s::text::xid8
       UNION ALL
       SELECT s.journal_id, s.seq, s.family, s.sign, s.amount_minor FROM book_source s
        WHERE s.event = 'billed' AND s.invoice_id IN (SELECT invoice_id FROM pops WHERE event = 'billed')
          AND s.xid < %(end)s::text::xid8),
     ranges AS (
       SELECT h.*, sum(amount_minor) OVER (PARTITION BY family, sign ORDER BY journal_id, seq) AS upto
         FROM history h WHERE family IN (SELECT family FROM pops)),
     matched AS (
       SELECT p.journal_id, p.seq, row_number() OVER (PARTITION BY p.journal_id, p.seq ORDER BY r.journal_id, r.seq) - 1
              AS turn, r.journal_id AS origin_journal_id, r.seq AS origin_seq,
              least(w.upto, r.upto) - greatest(w.upto - w.amount_minor, r.upto - r.amount_minor) AS consumed,
              p.book_date, p.thirtieth
         FROM pops p
         JOIN ranges w ON w.journal_id = p.journal_id AND w.seq = p.seq AND w.sign = -1
         JOIN ranges r ON r.family = w.family AND r.sign = 1
          AND w.upto - w.amount_minor < r.upto AND r.upto - r.amount_minor < w.upto)
INSERT INTO taken SELECT m.journal_id, m.seq, m.turn, m.origin_journal_id, m.origin_seq, m.consumed, m.book_date,
                         m.thirtieth, NULL, 0 FROM matched m
"""

UNMATCHED = """
SELECT p.event, p.journal_id, p.seq, p.book_date, p.amount_minor, coalesce(t.consumed, 0)::bigint AS found
  FROM picked p LEFT JOIN (SELECT journal_id, seq, sum(consumed) AS consumed FROM taken GROUP BY 1, 2) t
    ON t.journal_id = p.journal_id AND t.seq = p.seq
 WHERE p.sign = -1 AND coalesce(t.consumed, 0) <> p.amount_minor ORDER BY 2, 3 LIMIT 20
"""

OF_THE_BOOK = """
DELETE FROM taken t WHERE NOT EXISTS (SELECT FROM {entry} e WHERE e.book_code = %(book)s AND e.sign = 1
    AND e.origin_journal_id = t.origin_journal_id AND e.origin_seq = t.origin_seq);
"""

IN_TURN = """
UPDATE taken t SET nth = n.nth
  FROM (SELECT journal_id, seq, turn, row_number() OVER (PARTITION BY origin_journal_id, origin_seq
               ORDER BY journal_id, seq, turn) AS nth FROM taken) n
 WHERE n.journal_id = t.journal_id AND n.seq = t.seq AND n.turn = t.turn
"""

STANDS = """
INSERT INTO wholes
SELECT * FROM (
SELECT t.journal_id, t.seq, t.turn, t.origin_journal_id, t.origin_seq, t.consumed, t.book_date, t.thirtieth, t.remap_id,
       sum(e.sign * e.source_minor)::bigint AS whole,
       (array_agg(e.version_id ORDER BY e.turn DESC) FILTER (WHERE e.sign = 1))[1] AS version_id
  FROM taken t JOIN {entry} e ON e.book_code = %(book)s AND e.origin_journal_id = t.origin_journal_id
   AND e.origin_seq = t.origin_seq
 WHERE t.nth = %(nth)s GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9) w WHERE whole > 0
"""

NOTHING_STANDS = """
DELETE FROM taken t WHERE nth = %(nth)s AND NOT EXISTS (SELECT FROM wholes w WHERE w.journal_id = t.journal_id
    AND w.seq = t.seq AND w.turn = t.turn)
"""

SHARES = """
WITH standing AS (
       SELECT w.journal_id, w.seq, w.turn, l.leg, CASE e.sign WHEN 1 THEN l.debit ELSE l.credit END AS debit,
              CASE e.sign WHEN 1 THEN l.credit ELSE l.debit END AS credit, l.fund_class,
              sum(e.sign * l.amount_minor)::bigint AS minor
         FROM wholes w
         JOIN taken t ON t.journal_id = w.journal_id AND t.seq = w.seq AND t.turn = w.turn AND t.nth = %(nth)s
         JOIN {entry} e ON e.book_code = %(book)s AND e.origin_journal_id = w.origin_journal_id
          AND e.origin_seq = w.origin_seq
         JOIN {line} l ON l.book_code = e.book_code AND l.journal_id = e.journal_id AND l.seq = e.seq
          AND l.turn = e.turn
        GROUP BY 1, 2, 3, 4, 5, 6, 7 HAVING sum(e.sign * l.amount_minor) > 0),
     weights AS (
       SELECT * FROM standing
       UNION ALL
       SELECT w.journal_id, w.seq, w.turn, 32767::smallint, NULL, NULL, NULL,
              w.whole - coalesce((SELECT sum(s.minor) FROM standing s WHERE s.journal_id = w.journal_id
                                     AND s.seq = w.seq AND s.turn = w.turn), 0)::bigint
         FROM wholes w JOIN taken t ON t.journal_id = w.journal_id AND t.seq = w.seq AND t.turn = w.turn
          AND t.nth = %(nth)s),
     parts AS (
       SELECT g.*, w.book_date, w.consumed, div(w.consumed::numeric * g.minor, w.whole) AS part,
              w.consumed::numeric * g.minor %% w.whole AS left_over
         FROM weights g JOIN wholes w ON w.journal_id = g.journal_id AND w.seq = g.seq AND w.turn = g.turn),
     ranked AS (
       SELECT p.*, consumed - sum(part) OVER (PARTITION BY journal_id, seq, turn) AS over,
              row_number() OVER (PARTITION BY journal_id, seq, turn ORDER BY left_over DESC, leg) AS place FROM parts p)
INSERT INTO shares
SELECT journal_id, seq, turn, leg, book_date, debit, credit, fund_class, (part + (place <= over)::int)::bigint
  FROM ranked WHERE leg < 32767
"""

BACK_ENTRIES = """
INSERT INTO {entry} (book_code, journal_id, seq, turn, origin_journal_id, origin_seq, version_id, remap_id, book_date,
                     sign, source_minor, thirtieth)
SELECT %(book)s, w.journal_id, w.seq, w.turn, w.origin_journal_id, w.origin_seq, w.version_id, w.remap_id, w.book_date,
       -1, w.consumed, w.thirtieth
  FROM wholes w JOIN taken t ON t.journal_id = w.journal_id AND t.seq = w.seq AND t.turn = w.turn AND t.nth = %(nth)s
"""

BACK_LINES = """
INSERT INTO {line} (book_code, journal_id, seq, turn, leg, book_date, debit, credit, amount_minor, fund_class)
SELECT %(book)s, s.journal_id, s.seq, s.turn, s.leg, s.book_date, s.credit, s.debit, s.minor, s.fund_class
  FROM shares s JOIN taken t ON t.journal_id = s.journal_id AND t.seq = s.seq AND t.turn = s.turn AND t.nth = %(nth)s
 WHERE s.minor > 0
"""

REMAPPED = """
INSERT INTO taken
SELECT o.journal_id, o.seq, 2 * m.number, o.journal_id, o.seq, s.whole, m.book_date, o.thirtieth, m.id, 1
  FROM book_remap m
  JOIN {entry} o ON o.book_code = m.book_code AND o.turn = 0 AND o.sign = 1
   AND o.book_date BETWEEN m.first_day AND m.last_day
 CROSS JOIN LATERAL (
       SELECT sum(e.sign * e.source_minor)::bigint AS whole,
              (array_agg(e.version_id ORDER BY e.turn DESC) FILTER (WHERE e.sign = 1))[1] AS version_id
         FROM {entry} e
        WHERE e.book_code = o.book_code AND e.origin_journal_id = o.journal_id AND e.origin_seq = o.seq) s
  JOIN book_rule_version v ON v.id = s.version_id AND v.rule_code = m.rule_code
 CROSS JOIN LATERAL (
       SELECT n.id FROM book_rule_version n
        WHERE n.book_code = m.book_code AND n.rule_code = m.rule_code AND n.effective_from <= o.book_date
          AND n.number <= m.newest ORDER BY n.effective_from DESC, n.number DESC LIMIT 1) n
 WHERE m.id = %(remap)s AND s.whole > 0 AND n.id <> v.id
"""

MAPPED_ANEW = """
INSERT INTO sourced
SELECT w.journal_id, w.seq, w.turn + 1, w.book_date, w.whole,
       CASE WHEN n.item_code IS NULL THEN w.whole
            ELSE bill_item_part(w.whole, (SELECT s.invoice_id FROM book_source s
                                           WHERE s.journal_id = w.journal_id AND s.seq = w.seq LIMIT 1),
                                n.item_code) END,
       n.id, w.thirtieth, w.remap_id
  FROM wholes w
  JOIN book_remap m ON m.id = w.remap_id
  JOIN {entry} o ON o.book_code = m.book_code AND o.journal_id = w.journal_id AND o.seq = w.seq AND o.turn = 0
 CROSS JOIN LATERAL (
       SELECT v.* FROM book_rule_version v
        WHERE v.book_code = m.book_code AND v.rule_code = m.rule_code AND v.effective_from <= o.book_date
          AND v.number <= m.newest ORDER BY v.effective_from DESC, v.number DESC LIMIT 1) n
 WHERE w.remap_id = %(remap)s AND n.kind NOT IN ('nothing', 'ended')
"""

_ENTRY_HASH = (
    "sha256(convert_to(concat_ws('|', e.journal_id, e.seq, e.turn, e.origin_journal_id, e.origin_seq, e.version_id,"
    " coalesce(e.remap_id, 0), e.book_date, e.sign, e.source_minor), 'UTF8'))"
)
_LINE_HASH = (
    "sha256(convert_to(concat_ws('|', l.journal_id, l.seq, l.turn, l.leg, l.book_date, l.debit, l.credit,"
    " l.amount_minor, l.fund_class), 'UTF8'))"
)
_FIRST = "('x' || encode(substring(h FROM 1 FOR 8), 'hex'))::bit(64)::bigint"
_SECOND = "('x' || encode(substring(h FROM 9 FOR 8), 'hex'))::bit(64)::bigint"

DIGEST = f"""
SELECT book_date, version_id, sum(entries)::bigint AS entries, sum(source_minor)::bigint AS source_minor,
       sum(lines)::bigint AS lines, sum(amount_minor)::bigint AS amount_minor, sum({_FIRST}) AS first_sum,
       sum({_SECOND}) AS second_sum
  FROM (SELECT e.book_date, e.version_id, 1 AS entries, e.sign * e.source_minor AS source_minor, 0 AS lines,
               0 AS amount_minor, {_ENTRY_HASH} AS h
          FROM {{entry}} e WHERE e.book_code = %(book)s AND {{which}}
        UNION ALL
        SELECT e.book_date, e.version_id, 0, 0, 1, e.sign * l.amount_minor, {_LINE_HASH}
          FROM {{entry}} e
          JOIN {{line}} l ON l.book_code = e.book_code AND l.journal_id = e.journal_id AND l.seq = e.seq
           AND l.turn = e.turn
         WHERE e.book_code = %(book)s AND {{which}}) r
 GROUP BY 1, 2
"""  # noqa: S608 - constants of this page
"""Per day and version: counts, sums, and two sums of 64 bits of a SHA-256 a row. A sum sees a row that stands twice."""

SOURCES_SAY = """
SELECT count(*), coalesce(sum(minor), 0)::bigint, coalesce(sum(h), 0)::bigint FROM (
    SELECT p.amount_minor AS minor, hashint8(p.journal_id * 100 + p.seq)::bigint AS h
      FROM picked p JOIN choice c USING (profile) WHERE p.sign = 1 AND c.kind <> 'nothing'
    UNION ALL
    SELECT -t.consumed, hashint8(t.journal_id * 100 + t.seq)::bigint FROM taken t
     WHERE t.remap_id IS NULL) s
"""

BOOK_SAYS = """
SELECT count(*), coalesce(sum(e.sign * e.source_minor), 0)::bigint,
       coalesce(sum(hashint8(e.journal_id * 100 + e.seq)::bigint), 0)::bigint
  FROM {entry} e WHERE e.book_code = %(book)s AND e.remap_id IS NULL AND e.xid = pg_current_xact_id()
"""
