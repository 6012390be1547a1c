-- Months, quarters and years: each a certificate over the certificates of its parts, by two persons as a day is. The
-- year follows receipt: what was paid by 30 June and told later is booked to an open day and listed as an adjustment.

SET LOCAL ROLE revenue_owner;
SET LOCAL search_path = public;

-- The year that money belongs to: of the day it was paid, or booked where the channel's clock ran ahead.
CREATE FUNCTION year_of_receipt(occurred_at timestamptz, book_date date) RETURNS text LANGUAGE sql STABLE
    SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT to_char(d - interval '6 months', 'YY') || to_char(d + interval '6 months', 'YY')
      FROM (SELECT least((occurred_at AT TIME ZONE 'Africa/Nairobi')::date, book_date) AS d) paid
$$;

CREATE FUNCTION close_begin_period(wanted text, first date, last date) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    actor bigint := access.must('day.close');
    opened date := (SELECT books_open_from FROM county);
    part text := CASE wanted WHEN 'quarter' THEN 'month' WHEN 'year' THEN 'quarter' WHEN 'adjustments' THEN 'month' END;
    step interval := CASE wanted WHEN 'year' THEN interval '3 months' ELSE interval '1 month' END;
    standing record;
    missing date;
    made bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(7211, 0);
    SELECT * INTO standing FROM standing_preparation();
    IF FOUND AND standing.mine AND standing.period = wanted AND standing.last_day = last THEN
        RETURN standing.id;
    ELSIF FOUND THEN
        RAISE EXCEPTION '% prepared the close of % at %: it is approved or withdrawn first', standing.prepared_by,
            standing.last_day, to_char(standing.prepared_at AT TIME ZONE 'Africa/Nairobi', 'YYYY-MM-DD HH24:MI')
            USING ERRCODE = 'RV409';
    ELSIF wanted NOT IN ('month', 'quarter', 'year', 'adjustments') OR extract(day FROM first) <> 1
        OR last <> (first + CASE wanted WHEN 'quarter' THEN interval '3 months' WHEN 'year' THEN interval '1 year'
                                        ELSE interval '1 month' END - interval '1 day')::date
        OR (wanted = 'quarter' AND extract(month FROM first) NOT IN (1, 4, 7, 10))
        OR (wanted IN ('year', 'adjustments') AND extract(month FROM first) <> 7) THEN
        RAISE EXCEPTION 'there is no % from % to %', wanted, first, last USING ERRCODE = 'RV400';
    ELSIF EXISTS (SELECT FROM close_approval a JOIN close_preparation p ON p.id = a.preparation_id
                   WHERE p.period = wanted AND p.last_day = last) THEN
        RAISE EXCEPTION 'the % to % is closed already', wanted, last USING ERRCODE = 'RV409';
    ELSIF last < opened THEN
        RAISE EXCEPTION 'the books open on %', opened USING ERRCODE = 'RV409';
    END IF;
    SELECT min(d)::date INTO missing FROM generate_series(greatest(first, opened), last, interval '1 day') d
     WHERE NOT EXISTS (SELECT FROM closed_day c WHERE c.book_date = d::date);
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION '% is open: close the days of the % first', missing, wanted USING ERRCODE = 'RV409';
    END IF;
    IF part IS NOT NULL THEN
        SELECT min(d)::date INTO missing FROM generate_series(first, last, step) d
         WHERE (d + step)::date > opened AND NOT EXISTS (
            SELECT FROM close_approval a JOIN close_preparation p ON p.id = a.preparation_id
             WHERE p.period = part AND p.first_day = d::date);
    ELSIF first > opened AND NOT EXISTS (SELECT FROM close_approval a JOIN close_preparation p ON p.id = a.preparation_id
                                          WHERE p.period = 'month' AND p.last_day = first - 1) THEN
        missing := (first - interval '1 month')::date;
        part := 'month';
    END IF;
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION 'the % from % has no certificate: close it first', part, missing USING ERRCODE = 'RV409';
    END IF;
    IF wanted = 'adjustments' AND NOT EXISTS (
        SELECT FROM close_approval a JOIN close_preparation p ON p.id = a.preparation_id
         WHERE p.period = 'year' AND p.last_day = first - 1) THEN
        RAISE EXCEPTION 'the year to % has no certificate: close it first', first - 1 USING ERRCODE = 'RV409';
    END IF;
    INSERT INTO close_preparation (period, first_day, last_day, prepared_by) VALUES (wanted, first, last, actor)
    RETURNING id INTO made;
    RETURN made;
END
$$;

-- The certificates that a period stands on, and what each received.
CREATE FUNCTION certificates_of(wanted text, first date, last date) RETURNS jsonb LANGUAGE sql STABLE
    SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT coalesce(jsonb_agg(jsonb_build_object('number', a.number, 'period', p.period, 'last_day', p.last_day,
               'sha256', encode(c.note_sha256, 'hex'), 'received', convert_from(s.shown, 'UTF8')::jsonb -> 'figures' ->> 'received')
               ORDER BY a.number), '[]')
      FROM close_approval a JOIN close_preparation p ON p.id = a.preparation_id
      JOIN close_sheet s ON s.preparation_id = p.id JOIN certificate c ON c.number = a.number
     WHERE p.last_day BETWEEN first AND last
       AND p.period = CASE wanted WHEN 'month' THEN 'day' WHEN 'quarter' THEN 'month' WHEN 'year' THEN 'quarter' ELSE 'month' END
$$;
-- What was paid on some days and booked after them, known below a horizon: a second figure beside the sealed one.
CREATE FUNCTION later_known(first date, last date, until date, below xid8) RETURNS jsonb LANGUAGE sql STABLE
    SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT coalesce(jsonb_agg(jsonb_build_object('booked', l.book_date, 'paid', l.paid, 'items', l.items, 'amount', l.minor::text)
               ORDER BY l.book_date, l.paid), '[]')
      FROM (SELECT p.book_date, (j.occurred_at AT TIME ZONE 'Africa/Nairobi')::date AS paid, count(DISTINCT j.id) AS items,
                   sum(CASE j.kind WHEN 'payment_received' THEN p.amount_minor ELSE -p.amount_minor END)::bigint AS minor
              FROM posting p JOIN journal j ON j.id = p.journal_id AND j.book_date = p.book_date
             WHERE p.book_date > last AND p.book_date <= until AND j.xid < below
               AND j.kind IN ('payment_received', 'payment_reversed')
               AND (j.occurred_at AT TIME ZONE 'Africa/Nairobi')::date BETWEEN first AND last GROUP BY 1, 2) l
$$;
-- The statement of a financial year: its closed days, the adjustments of the month after, and what came later still,
-- which changes nothing in it. Only what belongs to the year by its day of receipt is counted.
CREATE FUNCTION statement_of_year(year_ends date, below xid8) RETURNS jsonb LANGUAGE sql STABLE
    SET search_path = pg_catalog, public, pg_temp AS $$
    WITH moved AS (
        SELECT p.book_date, CASE j.kind WHEN 'payment_received' THEN p.amount_minor ELSE -p.amount_minor END AS minor
          FROM posting p JOIN journal j ON j.id = p.journal_id AND j.book_date = p.book_date
         WHERE j.kind IN ('payment_received', 'payment_reversed') AND j.xid < below
           AND p.book_date > (year_ends - interval '1 year')::date
           AND year_of_receipt(j.occurred_at, j.book_date) = year_of_receipt(end_of(year_ends) - interval '1 second', year_ends))
    SELECT jsonb_build_object(
        'financial_year', year_of_receipt(end_of(year_ends) - interval '1 second', year_ends),
        'closed_days', coalesce(sum(minor) FILTER (WHERE book_date <= year_ends), 0)::bigint::text,
        'adjustments', coalesce(sum(minor) FILTER (WHERE book_date > year_ends
                                                     AND book_date <= (year_ends + interval '1 month')::date), 0)::bigint::text,
        'after_the_lock', coalesce(sum(minor) FILTER (WHERE book_date > (year_ends + interval '1 month')::date), 0)::bigint::text)
      FROM moved
$$;

-- A fifth off the same month of the year before is said: who owns the stream answers for that.
CREATE FUNCTION month_notes(first date, figures jsonb) RETURNS jsonb LANGUAGE sql STABLE
    SET search_path = pg_catalog, public, pg_temp AS $$
    WITH before AS (SELECT convert_from(s.shown, 'UTF8')::jsonb -> 'figures' -> 'streams' AS streams
                      FROM close_approval a JOIN close_preparation p ON p.id = a.preparation_id
                      JOIN close_sheet s ON s.preparation_id = p.id
                     WHERE p.period = 'month' AND p.first_day = (first - interval '1 year')::date)
    SELECT coalesce(jsonb_agg(jsonb_build_object('note', 'a fifth or more off the same month of the year before',
               'stream', n.stream, 'received', n.now::text, 'before', n.then::text) ORDER BY n.stream COLLATE "C"), '[]')
      FROM (SELECT coalesce(x.stream, y.stream) AS stream, coalesce(x.received, 0) AS now, coalesce(y.received, 0) AS then
              FROM jsonb_to_recordset(figures -> 'streams') AS x (stream text, received bigint)
              FULL JOIN (SELECT r.* FROM before, jsonb_to_recordset(before.streams) AS r (stream text, received bigint)) y
                USING (stream)) n
     WHERE EXISTS (SELECT FROM before) AND abs(n.now - n.then) * 5 >= greatest(n.then, 1)
$$;

CREATE OR REPLACE FUNCTION close_sheet_of(preparation bigint, schema_sha256 text) RETURNS jsonb LANGUAGE plpgsql STABLE
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET timezone = 'UTC' SET jit = off SET work_mem = '64MB' AS $$
DECLARE
    p record;
    seal record;
    figures jsonb;
    parts jsonb := '{}';
    notes jsonb;
BEGIN
    SELECT c.period, c.first_day, c.last_day, h.since, h.horizon INTO p
      FROM close_preparation c JOIN close_horizon h ON h.preparation_id = c.id WHERE c.id = preparation;
    SELECT * INTO seal FROM seal_of(seal_format(), p.since, p.horizon);
    figures := figures_of_day(p.first_day, p.last_day);
    notes := CASE p.period WHEN 'day' THEN close_notes(p.last_day, (figures ->> 'received')::bigint, p.since)
                           WHEN 'month' THEN month_notes(p.first_day, figures) ELSE '[]' END;
    IF p.period <> 'day' THEN
        parts := jsonb_build_object('certificates', certificates_of(p.period, p.first_day, p.last_day));
    END IF;
    IF p.period IN ('month', 'quarter', 'year') THEN
        parts := parts || jsonb_build_object('later_known',
            later_known(p.first_day, p.last_day, (SELECT max(book_date) FROM closed_day c WHERE c.xid < p.horizon), p.horizon));
    END IF;
    IF p.period = 'year' THEN
        parts := parts || jsonb_build_object('year', statement_of_year(p.last_day, p.horizon));
    ELSIF p.period = 'adjustments' THEN
        parts := parts || jsonb_build_object('year', statement_of_year(p.first_day - 1, p.horizon), 'adjustments',
            later_known((p.first_day - interval '1 year')::date, p.first_day - 1, p.last_day, p.horizon));
    END IF;
    RETURN jsonb_build_object(
        'county', (SELECT code FROM county), 'mode', (SELECT mode FROM county), 'period', p.period,
        'first_day', p.first_day, 'last_day', p.last_day,
        'controls', close_controls(p.first_day, p.last_day, p.since, p.horizon),
        'figures', figures || jsonb_build_object('accounts', figures_of_accounts(p.first_day, p.last_day),
                                                 'open_items', figures_of_breaks(p.horizon)),
        'notes', notes,
        'seal', jsonb_build_object('format', seal_format(), 'since', p.since::text, 'horizon', p.horizon::text,
            'count', seal.leaves, 'root', encode(seal.root, 'hex'), 'tables', seal.tables,
            'lines_sha256', (SELECT encode(sha256(convert_to(string_agg(name || ' ' || relation || ' ' || key_sql || ' ' || columns_sql,
                E'\n' ORDER BY name COLLATE "C"), 'UTF8')), 'hex') FROM seal_source WHERE format = seal_format()),
            'schema_sha256', schema_sha256))
        || close_reservations(p.first_day, p.last_day, p.since, p.horizon) || parts;
END
$$;
-- A later table joins the seal by a new format: the lines of earlier certificates stay as they are. Told as
-- name|relation|key, the key in SQL; every column but xid and salt is in the line, amounts as texts of cents.
CREATE FUNCTION seal_also(VARIADIC told text[]) RETURNS bigint LANGUAGE plpgsql
    SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    next_format bigint := seal_format() + 1;
    one text;
BEGIN
    INSERT INTO seal_source (format, name, relation, key_sql, columns_sql)
    SELECT next_format, name, relation, key_sql, columns_sql FROM seal_source WHERE format = next_format - 1;
    FOREACH one IN ARRAY told LOOP
        INSERT INTO seal_source (format, name, relation, key_sql, columns_sql)
        SELECT next_format, split_part(one, '|', 1), split_part(one, '|', 2), split_part(one, '|', 3),
               string_agg(CASE WHEN a.attname LIKE '%\_minor' THEN format('%I::text AS %I', a.attname, a.attname)
                               ELSE quote_ident(a.attname) END, ', ' ORDER BY a.attnum)
          FROM pg_attribute a WHERE a.attrelid = split_part(one, '|', 2)::regclass AND a.attnum > 0
           AND NOT a.attisdropped AND a.attname NOT IN ('xid', 'salt');
    END LOOP;
    RETURN next_format;
END
$$;
REVOKE ALL ON FUNCTION seal_also(text[]) FROM PUBLIC;
-- The books of departments: their rules, runs and digests. Their lines are derived from sealed postings by sealed rules.
SELECT seal_also('book|public.book|code', 'book_account|public.book_account|book_code || '' '' || code',
    'book_rule_version|public.book_rule_version|id::text', 'book_rule_leg|public.book_rule_leg|version_id || ''/'' || leg',
    'book_remap|public.book_remap|id::text', 'book_run|public.book_run|id::text',
    'book_digest|public.book_digest|run_id || '' '' || book_date || '' '' || version_id',
    'book_closed_day|public.book_closed_day|book_code || '' '' || book_date', 'fund_fact|public.fund_fact|id::text');

REVOKE ALL ON FUNCTION year_of_receipt(timestamptz, date), close_begin_period(text, date, date),
    certificates_of(text, date, date), later_known(date, date, date, xid8), statement_of_year(date, xid8),
    month_notes(date, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION close_begin_period(text, date, date) TO revenue_api;
RESET ROLE;
