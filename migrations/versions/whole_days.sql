-- A statement proves a day that it was drawn after: one of noon says nothing of the afternoon. And a delivery whose work
-- was lost is as undecided as one that waits.

SET LOCAL ROLE revenue_owner;
SET LOCAL search_path = public;

-- Whether a statement that was in below a horizon covers a whole day of an account.
CREATE FUNCTION day_is_stated(of_account bigint, asked date, below xid8) RETURNS boolean LANGUAGE sql STABLE
    SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT EXISTS (SELECT FROM statement s WHERE s.channel_account_id = of_account AND s.opening_minor IS NOT NULL
                      AND asked BETWEEN s.first_day AND s.last_day AND s.xid < below
                      AND (s.last_day > asked OR s.recorded_at >= end_of(asked)))
$$;
CREATE OR REPLACE FUNCTION control_provider_statement(first_day date, last_day date, since xid8, horizon xid8)
    RETURNS SETOF open_item LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT 'channel account ' || c.adapter || ' ' || c.identifier, w.book_date,
           'no statement of the whole day is in and agreed', w.minor, 'finance'
      FROM (SELECT p.channel_account_id, p.book_date, sum(p.amount_minor)::bigint AS minor
              FROM posting p JOIN journal j ON j.id = p.journal_id AND j.book_date = p.book_date AND j.kind = 'payment_received'
             WHERE p.book_date BETWEEN first_day AND last_day AND p.channel_account_id IS NOT NULL GROUP BY 1, 2) w
      JOIN channel_account c ON c.id = w.channel_account_id
     WHERE NOT EXISTS (SELECT FROM bank_account b WHERE b.channel_account_id = c.id)
       AND NOT day_is_stated(c.id, w.book_date, horizon)
$$;
CREATE OR REPLACE FUNCTION evidence_bank_statement(first_day date, last_day date, since xid8, horizon xid8)
    RETURNS SETOF open_item LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT b.account || ' ' || d::date, d::date, 'the statement of ' || b.bank || ' ' || b.number || ' is not in', 0::bigint,
           'treasury'
      FROM bank_account b CROSS JOIN generate_series(first_day, last_day, interval '1 day') d
     WHERE b.xid < horizon AND (b.opened_at AT TIME ZONE 'Africa/Nairobi')::date <= d::date
       AND (b.channel_account_id IS NULL OR NOT day_is_stated(b.channel_account_id, d::date, horizon))
$$;
CREATE OR REPLACE FUNCTION control_deliveries(first_day date, last_day date, since xid8, horizon xid8)
    RETURNS SETOF open_item LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT 'delivery ' || d.id, d.received_on, CASE j.state WHEN 'dead' THEN 'its work failed: ' || coalesce(left(j.last_error, 80), '')
           ELSE 'nobody has worked on it' END, 0::bigint, 'ict'
      FROM job j JOIN delivery d ON d.id = j.ref_id
     WHERE j.kind IN ('interpret', 'statement') AND d.received_on <= last_day AND d.xid < horizon
    UNION ALL
    SELECT 'delivery ' || d.id, d.received_on, 'its work is lost', 0::bigint, 'ict' FROM delivery d
     WHERE d.xid >= since AND d.xid < horizon AND d.xid::text::bigint >= since::text::bigint
       AND d.xid::text::bigint < horizon::text::bigint AND d.received_on <= last_day
       AND NOT EXISTS (SELECT FROM evidence e WHERE e.delivery_id = d.id)
       AND NOT EXISTS (SELECT FROM delivery_outcome o WHERE o.delivery_id = d.id)
       AND NOT EXISTS (SELECT FROM statement s WHERE s.delivery_id = d.id)
       AND NOT EXISTS (SELECT FROM job j WHERE j.kind IN ('interpret', 'statement') AND j.ref_id = d.id)
$$;
UPDATE close_control SET verb = 'worker --once, or callback replay DELIVERY' WHERE code = 'deliveries';
REVOKE ALL ON FUNCTION day_is_stated(bigint, date, xid8) FROM PUBLIC;
RESET ROLE;
