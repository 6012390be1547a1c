-- What must hold before a day is closed. A hard control that stands open refuses the close; evidence that is not in yet
-- is a reservation: named, owned, signed, and carried until a later certificate clears it. A room adds a control by a
-- function and a row: (first day, last day, sealed until, horizon) to one row an open item.

SET LOCAL ROLE revenue_owner;
SET LOCAL search_path = public;

CREATE TABLE close_control (
    code TEXT NOT NULL,
    kind TEXT NOT NULL,
    place BIGINT NOT NULL,
    what TEXT NOT NULL,
    verb TEXT NOT NULL,
    function TEXT NOT NULL,
    CONSTRAINT pk_close_control PRIMARY KEY (code),
    CONSTRAINT ck_close_control_kind CHECK (kind IN ('hard', 'evidence'))
);
CREATE TYPE open_item AS (item text, day date, detail text, amount_minor bigint, owner text);

-- The breaks that were open at a horizon, as their events below it say.
CREATE FUNCTION breaks_as_of(horizon xid8) RETURNS TABLE (key text, public_id text, reason text, detail text, owner text,
    given boolean, amount_minor bigint, occurred_at timestamptz, opened_at timestamptz) LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT e.key, max(e.public_id), max(e.reason), max(e.detail),
           (array_agg(e.owner ORDER BY e.id DESC) FILTER (WHERE e.owner IS NOT NULL))[1], bool_or(e.event = 'assigned'),
           (array_agg(e.amount_minor ORDER BY e.id DESC) FILTER (WHERE e.amount_minor IS NOT NULL))[1],
           max(e.occurred_at), max(e.at) FILTER (WHERE e.event = 'opened')
      FROM break_event e WHERE e.xid < breaks_as_of.horizon GROUP BY e.key
    HAVING (array_agg(e.event ORDER BY e.id DESC) FILTER (WHERE e.event IN ('opened', 'resolved', 'reopened')))[1] <> 'resolved'
$$;
CREATE FUNCTION end_of(day date) RETURNS timestamptz LANGUAGE sql STABLE
    SET search_path = pg_catalog, public, pg_temp AS $$ SELECT (day + 1)::timestamp AT TIME ZONE 'Africa/Nairobi' $$;

CREATE FUNCTION control_trial_balance(first_day date, last_day date, since xid8, horizon xid8) RETURNS SETOF open_item
    LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT 'journal ' || j.key, j.book_date, 'it has no posting', 0::bigint, 'finance' FROM journal j
     WHERE j.xid >= since AND j.xid < horizon
       AND NOT EXISTS (SELECT FROM posting p WHERE p.journal_id = j.id AND p.book_date = j.book_date)
    UNION ALL
    SELECT 'snapshot ' || s.horizon, NULL::date, 'its debits and credits differ', sum(s.debit_minor - s.credit_minor)::bigint,
           'ict' FROM balance_slice s GROUP BY s.horizon HAVING sum(s.debit_minor) <> sum(s.credit_minor)
$$;
CREATE FUNCTION balances_now() RETURNS TABLE (account text, minor bigint) LANGUAGE sql STABLE
    SET search_path = pg_catalog, public, pg_temp AS $$
    WITH cut AS (SELECT coalesce(max(r.horizon)::text, '0')::xid8 AS at FROM snapshot_run r),
         late AS (SELECT p.debit, p.credit, p.amount_minor FROM posting p, cut
                   WHERE p.xid >= cut.at AND p.xid::text::bigint >= cut.at::text::bigint)
    SELECT m.account, sum(m.minor)::bigint
      FROM (SELECT s.account, s.debit_minor - s.credit_minor AS minor FROM balance_slice s
            UNION ALL SELECT l.debit, l.amount_minor FROM late l
            UNION ALL SELECT l.credit, -l.amount_minor FROM late l) m GROUP BY m.account
$$;
CREATE FUNCTION control_receivable(first_day date, last_day date, since xid8, horizon xid8) RETURNS SETOF open_item
    LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT 'account ' || account, NULL::date, 'the ledger says ' || coalesce(b.minor, 0) || ' cents, the open bills say '
           || coalesce(l.minor, 0), (coalesce(b.minor, 0) - coalesce(l.minor, 0))::bigint, 'finance'
      FROM (SELECT account, minor FROM balances_now() WHERE account LIKE '1300%') b
      FULL JOIN (SELECT '1300.' || stream_code AS account, sum(outstanding_minor)::bigint AS minor FROM open_bill
                  GROUP BY stream_code) l USING (account)
     WHERE coalesce(b.minor, 0) <> coalesce(l.minor, 0)
$$;
-- What came and went in the span: the clearing of each channel moved by its payments less reversals and charges.
CREATE FUNCTION control_clearing(first_day date, last_day date, since xid8, horizon xid8) RETURNS SETOF open_item
    LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT 'account ' || account, NULL::date, 'the ledger moved ' || coalesce(b.minor, 0)
           || ' cents, the payments less reversals and charges are ' || coalesce(l.minor, 0),
           (coalesce(b.minor, 0) - coalesce(l.minor, 0))::bigint, 'finance'
      FROM (SELECT m.account, sum(m.minor) AS minor
              FROM (SELECT p.journal_id, p.book_date, s.account, s.minor FROM posting p
                     CROSS JOIN LATERAL (VALUES (p.debit, p.amount_minor), (p.credit, -p.amount_minor)) AS s (account, minor)
                     WHERE p.xid >= since AND p.xid < horizon AND p.xid::text::bigint >= since::text::bigint
                       AND p.xid::text::bigint < horizon::text::bigint AND s.account LIKE '1200%') m
              JOIN journal j ON j.id = m.journal_id AND j.book_date = m.book_date AND j.kind NOT IN ('settled', 'settled_undone')
             GROUP BY m.account) b
      FULL JOIN (SELECT c.clearing_account AS account,
                        sum(CASE y.kind WHEN 'payment' THEN y.amount_minor ELSE -y.amount_minor END) AS minor
                   FROM payment y JOIN channel_account c ON c.id = y.channel_account_id
                  WHERE y.kind IN ('payment', 'reversal', 'charge') AND y.xid >= since AND y.xid < horizon
                    AND y.xid::text::bigint >= since::text::bigint AND y.xid::text::bigint < horizon::text::bigint
                  GROUP BY c.clearing_account) l USING (account)
     WHERE coalesce(b.minor, 0) <> coalesce(l.minor, 0)
$$;
CREATE FUNCTION control_suspense(first_day date, last_day date, since xid8, horizon xid8) RETURNS SETOF open_item
    LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT 'payment ' || coalesce(y.reference, s.payment_id::text), NULL::date, 'the ledger has ' || s.held
           || ' cents in suspense, the open items say ' || s.listed, s.held - s.listed, 'finance'
      FROM (SELECT payment_id, coalesce(b.minor, 0)::bigint AS held, coalesce(l.minor, 0)::bigint AS listed
              FROM (SELECT payment_id, sum(minor) AS minor
                      FROM (SELECT payment_id, amount_minor AS minor FROM posting WHERE credit = '2200'
                            UNION ALL SELECT payment_id, -amount_minor FROM posting WHERE debit = '2200') m
                     GROUP BY payment_id) b
              FULL JOIN (SELECT payment_id, sum(amount_minor) AS minor FROM break_case
                          WHERE closed_at IS NULL AND key LIKE 'suspense:%' GROUP BY payment_id) l USING (payment_id)) s
      LEFT JOIN payment y ON y.id = s.payment_id
     WHERE s.held <> s.listed OR s.held < 0
$$;
CREATE FUNCTION control_unapplied(first_day date, last_day date, since xid8, horizon xid8) RETURNS SETOF open_item
    LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT coalesce('payer ' || m.payer_id, 'payment ' || m.payment_id, 'nobody named'), NULL::date,
           'unapplied credit is below nothing', sum(m.minor)::bigint, 'finance'
      FROM (SELECT payer_id, payment_id, amount_minor AS minor FROM posting WHERE credit = '2100'
            UNION ALL SELECT payer_id, payment_id, -amount_minor FROM posting WHERE debit = '2100') m
     GROUP BY GROUPING SETS ((m.payer_id), (m.payment_id)) HAVING sum(m.minor) < 0
$$;
-- Every payment that moved in the span has all its money applied, in suspense, as credit, or in another named account.
CREATE FUNCTION control_placed(first_day date, last_day date, since xid8, horizon xid8) RETURNS SETOF open_item
    LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
    WITH touched AS (SELECT DISTINCT payment_id AS id FROM posting
                      WHERE xid >= since AND xid < horizon AND xid::text::bigint >= since::text::bigint
                        AND xid::text::bigint < horizon::text::bigint AND payment_id IS NOT NULL),
    moved AS (
        SELECT p.payment_id, s.account, s.minor,
               s.account LIKE '1100%' AND j.kind IN ('payment_received', 'insurer_paid', 'payment_reversed', 'channel_charged') AS own
          FROM touched t JOIN posting p ON p.payment_id = t.id JOIN journal j ON j.id = p.journal_id AND j.book_date = p.book_date
         CROSS JOIN LATERAL (VALUES (p.credit, p.amount_minor), (p.debit, -p.amount_minor)) AS s (account, minor)
         WHERE s.account NOT LIKE '1200%' AND s.account NOT LIKE '1300%')
    SELECT 'payment ' || y.reference, NULL::date, 'its money is not placed whole',
           y.amount_minor - coalesce(r.amount_minor, 0) - coalesce(a.minor, 0)::bigint - coalesce(m.minor, 0)::bigint, 'finance'
      FROM touched t JOIN payment y ON y.id = t.id AND y.kind = 'payment'
      LEFT JOIN payment r ON r.reverses_id = y.id AND r.kind = 'reversal'
      LEFT JOIN LATERAL (SELECT sum(x.amount_minor) AS minor FROM application x WHERE x.payment_id = y.id) a ON true
      LEFT JOIN (SELECT payment_id, sum(minor) AS minor FROM moved WHERE NOT own GROUP BY payment_id) m ON m.payment_id = y.id
     WHERE y.amount_minor - coalesce(r.amount_minor, 0) <> coalesce(a.minor, 0) + coalesce(m.minor, 0)
$$;
CREATE FUNCTION control_deliveries(first_day date, last_day date, since xid8, horizon xid8) RETURNS SETOF open_item
    LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT 'delivery ' || d.id, d.received_on, CASE j.state WHEN 'dead' THEN 'its work failed: ' || coalesce(left(j.last_error, 80), '')
           ELSE 'nobody has worked on it' END, 0::bigint, 'ict'
      FROM job j JOIN delivery d ON d.id = j.ref_id
     WHERE j.kind IN ('interpret', 'statement') AND d.received_on <= last_day AND d.xid < horizon
$$;
CREATE FUNCTION control_provider_statement(first_day date, last_day date, since xid8, horizon xid8) RETURNS SETOF open_item
    LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT 'channel account ' || c.adapter || ' ' || c.identifier, w.book_date,
           'no statement of the day is in and agreed', w.minor, 'finance'
      FROM (SELECT p.channel_account_id, p.book_date, sum(p.amount_minor)::bigint AS minor
              FROM posting p JOIN journal j ON j.id = p.journal_id AND j.book_date = p.book_date AND j.kind = 'payment_received'
             WHERE p.book_date BETWEEN first_day AND last_day AND p.channel_account_id IS NOT NULL GROUP BY 1, 2) w
      JOIN channel_account c ON c.id = w.channel_account_id
     WHERE NOT EXISTS (SELECT FROM bank_account b WHERE b.channel_account_id = c.id)
       AND NOT EXISTS (SELECT FROM statement s WHERE s.channel_account_id = c.id AND s.opening_minor IS NOT NULL
                          AND w.book_date BETWEEN s.first_day AND s.last_day AND s.xid < horizon)
$$;
CREATE FUNCTION control_papers(first_day date, last_day date, since xid8, horizon xid8) RETURNS SETOF open_item
    LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT 'series ' || s.kind || ' ' || s.financial_year, NULL::date, s.last_number || ' numbers were drawn, '
           || coalesce(r.papers, 0) || ' papers stand', 0::bigint, 'finance'
      FROM receipt_series s LEFT JOIN (SELECT kind, financial_year, count(*) AS papers FROM receipt GROUP BY 1, 2) r
        USING (kind, financial_year)
     WHERE s.last_number <> coalesce(r.papers, 0)
$$;
CREATE FUNCTION control_breaks_owned(first_day date, last_day date, since xid8, horizon xid8) RETURNS SETOF open_item
    LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT 'break ' || b.public_id, (b.occurred_at AT TIME ZONE 'Africa/Nairobi')::date,
           b.reason || ': at or above the county''s limit, and given to nobody', b.amount_minor, b.owner
      FROM breaks_as_of(horizon) b
     WHERE b.occurred_at < end_of(last_day)
       AND (b.owner = '' OR (b.amount_minor >= (SELECT confirm_limit_minor FROM county) AND NOT b.given))
$$;
CREATE FUNCTION evidence_bank_statement(first_day date, last_day date, since xid8, horizon xid8) RETURNS SETOF open_item
    LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT b.account || ' ' || d::date, d::date, 'the statement of ' || b.bank || ' ' || b.number || ' is not in', 0::bigint,
           'treasury'
      FROM bank_account b CROSS JOIN generate_series(first_day, last_day, interval '1 day') d
     WHERE b.xid < horizon AND (b.opened_at AT TIME ZONE 'Africa/Nairobi')::date <= d::date
       AND NOT EXISTS (SELECT FROM statement s WHERE s.channel_account_id = b.channel_account_id AND s.opening_minor IS NOT NULL
                          AND d::date BETWEEN s.first_day AND s.last_day AND s.xid < horizon)
$$;
CREATE FUNCTION evidence_break(wanted text, last_day date, horizon xid8, waits text) RETURNS SETOF open_item
    LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT 'break ' || b.public_id, (b.occurred_at AT TIME ZONE 'Africa/Nairobi')::date, waits, b.amount_minor, b.owner
      FROM breaks_as_of(horizon) b WHERE b.reason = wanted AND b.occurred_at < end_of(last_day)
$$;
CREATE FUNCTION evidence_file_not_agreed(first_day date, last_day date, since xid8, horizon xid8) RETURNS SETOF open_item
    LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT * FROM evidence_break('file_not_agreed', last_day, horizon, 'a file brought by one person is not agreed yet')
$$;
CREATE FUNCTION evidence_payout_not_banked(first_day date, last_day date, since xid8, horizon xid8) RETURNS SETOF open_item
    LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT * FROM evidence_break('settlement_not_banked', last_day, horizon, 'a payout that no bank statement shows yet')
$$;

INSERT INTO close_control (code, kind, place, what, verb, function) VALUES
    ('trial_balance', 'hard', 1, 'every journal is whole and the snapshots balance', 'ledger verify', 'control_trial_balance'),
    ('receivable', 'hard', 2, 'the receivable is what is left of the open bills', 'ledger verify', 'control_receivable'),
    ('clearing', 'hard', 3, 'each channel''s clearing moved by its payments', 'ledger verify', 'control_clearing'),
    ('suspense', 'hard', 4, 'suspense is its open items, payment by payment', 'ledger verify', 'control_suspense'),
    ('unapplied', 'hard', 5, 'no payer''s credit is below nothing', 'ledger verify', 'control_unapplied'),
    ('placed', 'hard', 6, 'all money of the day''s payments is placed', 'ledger verify', 'control_placed'),
    ('deliveries', 'hard', 7, 'every delivery is decided', 'callback replay DELIVERY', 'control_deliveries'),
    ('provider_statement', 'hard', 8, 'the provider''s statement of the day is in and agreed',
        'statement import FILE --account A, then statement agree', 'control_provider_statement'),
    ('papers', 'hard', 9, 'every number of a receipt series is accounted for', 'ledger verify', 'control_papers'),
    ('breaks_owned', 'hard', 10, 'every unreconciled item has an owner, a large one a person',
        'break assign BREAK', 'control_breaks_owned'),
    ('bank_statement', 'evidence', 20, 'the bank''s statement of the day is in', 'statement import FILE --account A',
        'evidence_bank_statement'),
    ('file_not_agreed', 'evidence', 21, 'files brought by hand are agreed', 'statement agree FILE', 'evidence_file_not_agreed'),
    ('payout_not_banked', 'evidence', 22, 'what a provider paid out is banked', 'statement import FILE --account A',
        'evidence_payout_not_banked');

-- Every control with its open items, in their order.
CREATE FUNCTION open_items(of_control text, first_day date, last_day date, since xid8, horizon xid8) RETURNS SETOF open_item
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET timezone = 'UTC' SET jit = off AS $$
BEGIN
    RETURN QUERY EXECUTE format('SELECT * FROM %I($1, $2, $3, $4) ORDER BY item COLLATE "C", day',
        (SELECT function FROM close_control WHERE code = of_control)) USING first_day, last_day, since, horizon;
END
$$;
CREATE FUNCTION item_json(found open_item) RETURNS jsonb LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT jsonb_strip_nulls(jsonb_build_object('item', found.item, 'day', found.day, 'detail', found.detail,
                                                'amount', found.amount_minor::text, 'owner', found.owner))
$$;
CREATE FUNCTION close_controls(first_day date, last_day date, since xid8, horizon xid8) RETURNS jsonb LANGUAGE sql STABLE
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET timezone = 'UTC' AS $$
    SELECT jsonb_agg(jsonb_build_object('code', c.code, 'kind', c.kind, 'what', c.what, 'verb', c.verb, 'open',
               (SELECT coalesce(jsonb_agg(item_json(o) ORDER BY o.item COLLATE "C", o.day), '[]')
                  FROM open_items(c.code, close_controls.first_day, close_controls.last_day, close_controls.since,
                                  close_controls.horizon) o)) ORDER BY c.place, c.code COLLATE "C")
      FROM close_control c
$$;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
GRANT SELECT ON close_control TO revenue_worker, revenue_api, revenue_report, revenue_seal;
GRANT EXECUTE ON FUNCTION close_controls(date, date, xid8, xid8) TO revenue_api, revenue_report;
RESET ROLE;
