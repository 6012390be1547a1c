-- What the two persons are shown: controls, reservations, figures, and the seal. It is worked out below the horizon and
-- for book dates that are shut, so that it is the same however often it is asked for.

SET LOCAL ROLE revenue_owner;
SET LOCAL search_path = public;

-- RFC 8785: keys in order, no spaces, whole numbers only.
CREATE FUNCTION canonical(value jsonb) RETURNS text LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    CASE jsonb_typeof(value)
    WHEN 'object' THEN
        RETURN '{' || coalesce((SELECT string_agg(to_json(k)::text || ':' || canonical(v), ',' ORDER BY k COLLATE "C")
                                  FROM jsonb_each(value) AS e (k, v)), '') || '}';
    WHEN 'array' THEN
        RETURN '[' || coalesce((SELECT string_agg(canonical(v), ',' ORDER BY n)
                                  FROM jsonb_array_elements(value) WITH ORDINALITY AS e (v, n)), '') || ']';
    WHEN 'number' THEN
        IF value::text !~ '^-?[0-9]{1,15}$' THEN
            RAISE EXCEPTION 'a sheet holds whole numbers and no %', value USING ERRCODE = 'check_violation';
        END IF;
        RETURN value::text;
    ELSE
        RETURN value::text;
    END CASE;
END
$$;

CREATE FUNCTION figures_of_accounts(first_day date, last_day date) RETURNS jsonb LANGUAGE sql STABLE
    SET search_path = pg_catalog, public, pg_temp AS $$
    WITH cut AS (SELECT coalesce(max(r.horizon)::text, '0')::xid8 AS at FROM snapshot_run r),
    late AS (SELECT p.book_date, p.debit, p.credit, p.amount_minor FROM posting p, cut
              WHERE p.xid >= cut.at AND p.xid::text::bigint >= cut.at::text::bigint AND p.book_date <= last_day),
    moved AS (
        SELECT s.account, s.book_date, s.debit_minor, s.credit_minor FROM balance_slice s WHERE s.book_date <= last_day
        UNION ALL SELECT l.debit, l.book_date, l.amount_minor, 0 FROM late l
        UNION ALL SELECT l.credit, l.book_date, 0, l.amount_minor FROM late l)
    SELECT coalesce(jsonb_agg(jsonb_build_object('account', a.account, 'opening', a.opening::text, 'debits', a.debits::text,
               'credits', a.credits::text, 'closing', (a.opening + a.debits - a.credits)::text) ORDER BY a.account COLLATE "C"), '[]')
      FROM (SELECT m.account, coalesce(sum(m.debit_minor - m.credit_minor) FILTER (WHERE m.book_date < first_day), 0)::bigint AS opening,
                   coalesce(sum(m.debit_minor) FILTER (WHERE m.book_date >= first_day), 0)::bigint AS debits,
                   coalesce(sum(m.credit_minor) FILTER (WHERE m.book_date >= first_day), 0)::bigint AS credits
              FROM moved m GROUP BY m.account) a
$$;
CREATE FUNCTION figures_of_day(first_day date, last_day date) RETURNS jsonb LANGUAGE sql STABLE
    SET search_path = pg_catalog, public, pg_temp AS $$
    WITH moved AS (
        SELECT j.kind, j.occurred_at, j.key, p.* FROM posting p JOIN journal j ON j.id = p.journal_id AND j.book_date = p.book_date
         WHERE p.book_date BETWEEN figures_of_day.first_day AND figures_of_day.last_day AND j.kind IN ('payment_received', 'payment_reversed', 'channel_charged')),
    channels AS (
        SELECT c.adapter || ' ' || c.identifier AS name,
               count(DISTINCT m.payment_id) FILTER (WHERE m.kind = 'payment_received') AS payments,
               coalesce(sum(m.amount_minor) FILTER (WHERE m.kind = 'payment_received'), 0)::bigint AS received,
               coalesce(sum(m.amount_minor) FILTER (WHERE m.kind = 'payment_reversed'), 0)::bigint AS reversed,
               coalesce(sum(m.amount_minor) FILTER (WHERE m.kind = 'channel_charged'), 0)::bigint AS charged
          FROM moved m JOIN channel_account c ON c.id = m.channel_account_id GROUP BY 1),
    streams AS (
        SELECT coalesce(m.stream_code, '') AS name,
               coalesce(sum(m.amount_minor) FILTER (WHERE m.kind = 'payment_received'), 0)::bigint AS received,
               coalesce(sum(m.amount_minor) FILTER (WHERE m.kind = 'payment_reversed'), 0)::bigint AS reversed
          FROM moved m WHERE m.kind <> 'channel_charged' GROUP BY 1),
    years AS ( -- the financial year follows receipt: the day it was paid, or booked where the channel's clock ran ahead
        SELECT to_char(d.day - interval '6 months', 'YY') || to_char(d.day + interval '6 months', 'YY') AS name,
               coalesce(sum(m.amount_minor) FILTER (WHERE m.kind = 'payment_received'), 0)::bigint AS received,
               coalesce(sum(m.amount_minor) FILTER (WHERE m.kind = 'payment_reversed'), 0)::bigint AS reversed
          FROM moved m CROSS JOIN LATERAL (SELECT least((m.occurred_at AT TIME ZONE 'Africa/Nairobi')::date, m.book_date) AS day) d
         WHERE m.kind <> 'channel_charged' GROUP BY 1),
    papers AS (
        SELECT kind, financial_year, min(number) AS first, max(number) AS last, count(*) AS papers, sum(amount_minor)::bigint AS minor
          FROM receipt r WHERE r.book_date BETWEEN figures_of_day.first_day AND figures_of_day.last_day GROUP BY 1, 2),
    late AS (
        SELECT (m.occurred_at AT TIME ZONE 'Africa/Nairobi')::date AS day, count(DISTINCT m.key) AS items,
               sum(CASE m.kind WHEN 'payment_received' THEN m.amount_minor ELSE -m.amount_minor END)::bigint AS minor
          FROM moved m WHERE m.kind <> 'channel_charged'
           AND (m.occurred_at AT TIME ZONE 'Africa/Nairobi')::date < figures_of_day.first_day GROUP BY 1)
    SELECT jsonb_build_object(
        'channels', (SELECT coalesce(jsonb_agg(jsonb_build_object('channel', name, 'payments', payments, 'received', received::text,
            'reversed', reversed::text, 'charged', charged::text) ORDER BY name COLLATE "C"), '[]') FROM channels),
        'streams', (SELECT coalesce(jsonb_agg(jsonb_build_object('stream', name, 'received', received::text, 'reversed', reversed::text)
            ORDER BY name COLLATE "C"), '[]') FROM streams),
        'years', (SELECT coalesce(jsonb_agg(jsonb_build_object('financial_year', name, 'received', received::text, 'reversed', reversed::text)
            ORDER BY name COLLATE "C"), '[]') FROM years),
        'papers', (SELECT coalesce(jsonb_agg(jsonb_build_object('kind', kind, 'financial_year', financial_year, 'first', first, 'last', last,
            'count', papers, 'amount', minor::text) ORDER BY kind COLLATE "C", financial_year COLLATE "C"), '[]') FROM papers),
        -- Late items of days that were closed: booked here, of there.
        'late', (SELECT coalesce(jsonb_agg(jsonb_build_object('of_day', day, 'items', items, 'amount', minor::text) ORDER BY day), '[]') FROM late),
        'received', (SELECT coalesce(sum(received), 0)::bigint::text FROM channels))
$$;
CREATE FUNCTION figures_of_breaks(horizon xid8) RETURNS jsonb LANGUAGE sql STABLE
    SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT coalesce(jsonb_agg(jsonb_build_object('reason', reason, 'items', items, 'amount', minor::text) ORDER BY reason COLLATE "C"), '[]')
      FROM (SELECT b.reason, count(*) AS items, sum(b.amount_minor)::bigint AS minor FROM breaks_as_of(horizon) b GROUP BY 1) o
$$;

-- Reservations: what the last certificate left open and still is, with what is new; and what is cleared by now.
CREATE FUNCTION close_reservations(first_day date, last_day date, since xid8, horizon xid8) RETURNS jsonb LANGUAGE sql STABLE
    SET search_path = pg_catalog, public, pg_temp SET timezone = 'UTC' AS $$
    WITH last AS (SELECT a.number, convert_from(s.shown, 'UTF8')::jsonb AS sheet
                    FROM close_approval a JOIN close_horizon h USING (preparation_id)
                    JOIN close_sheet s USING (preparation_id) WHERE h.horizon <= close_reservations.since
                   ORDER BY a.number DESC LIMIT 1),
    carried AS (SELECT r ->> 'control' AS control, r ->> 'item' AS item, (r ->> 'day')::date AS day, r
                  FROM last, jsonb_array_elements(last.sheet -> 'reservations') r),
    asked AS (SELECT c.code, d.day FROM close_control c
               CROSS JOIN LATERAL (SELECT generate_series(close_reservations.first_day, close_reservations.last_day, interval '1 day')::date
                                   UNION SELECT k.day FROM carried k WHERE k.control = c.code AND k.day < close_reservations.first_day) d (day)
               WHERE c.kind = 'evidence'),
    found AS (SELECT DISTINCT ON (a.code, o.item) a.code AS control, o.item, item_json(o) AS r
                FROM asked a CROSS JOIN LATERAL open_items(a.code, a.day, a.day, close_reservations.since, close_reservations.horizon) o
               ORDER BY a.code, o.item, a.day)
    SELECT jsonb_build_object(
        'reservations', (SELECT coalesce(jsonb_agg(coalesce(k.r - 'detail' - 'amount' - 'owner', jsonb_build_object('control', f.control,
                'since', close_reservations.last_day)) || f.r ORDER BY f.control COLLATE "C", f.item COLLATE "C"), '[]')
            FROM found f LEFT JOIN carried k ON k.control = f.control AND k.item = f.item),
        'cleared', (SELECT coalesce(jsonb_agg(k.r ORDER BY k.control COLLATE "C", k.item COLLATE "C"), '[]')
            FROM carried k WHERE NOT EXISTS (SELECT FROM found f WHERE f.control = k.control AND f.item = k.item)))
$$;
-- Beside the median of the last eight same weekdays, where the difference is above a floor of 100,000.00.
CREATE FUNCTION close_notes(wanted date, received bigint, since xid8) RETURNS jsonb LANGUAGE sql STABLE
    SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT CASE WHEN m.days >= 4 AND abs(received - m.median) > greatest(10000000, m.median / 5)
                THEN jsonb_build_array(jsonb_build_object('note', 'received differs from the median of the same weekday',
                    'received', received::text, 'median', m.median::text)) ELSE '[]' END
      FROM (SELECT count(*) AS days, coalesce(percentile_disc(0.5) WITHIN GROUP (ORDER BY d.minor), 0)::bigint AS median
              FROM (SELECT (convert_from(s.shown, 'UTF8')::jsonb -> 'figures' ->> 'received')::bigint AS minor
                      FROM close_approval a JOIN close_preparation p ON p.id = a.preparation_id
                      JOIN close_horizon h ON h.preparation_id = p.id JOIN close_sheet s ON s.preparation_id = p.id
                     WHERE p.period = 'day' AND h.horizon <= close_notes.since
                       AND extract(isodow FROM p.last_day) = extract(isodow FROM wanted)
                     ORDER BY a.number DESC LIMIT 8) d) m
$$;

CREATE FUNCTION close_sheet_of(preparation bigint, schema_sha256 text) RETURNS jsonb LANGUAGE plpgsql STABLE
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET timezone = 'UTC' SET jit = off SET work_mem = '64MB' AS $$
DECLARE
    p record;
    seal record;
    day jsonb;
BEGIN
    SELECT c.period, c.first_day, c.last_day, h.since, h.horizon INTO p
      FROM close_preparation c JOIN close_horizon h ON h.preparation_id = c.id WHERE c.id = preparation;
    SELECT * INTO seal FROM seal_of(seal_format(), p.since, p.horizon);
    day := figures_of_day(p.first_day, p.last_day);
    RETURN jsonb_build_object(
        'county', (SELECT code FROM county), 'mode', (SELECT mode FROM county), 'period', p.period,
        'first_day', p.first_day, 'last_day', p.last_day,
        'controls', close_controls(p.first_day, p.last_day, p.since, p.horizon),
        'figures', day || jsonb_build_object('accounts', figures_of_accounts(p.first_day, p.last_day),
                                             'open_items', figures_of_breaks(p.horizon)),
        'notes', close_notes(p.last_day, (day ->> 'received')::bigint, p.since),
        'seal', jsonb_build_object('format', seal_format(), 'since', p.since::text, 'horizon', p.horizon::text,
            'count', seal.leaves, 'root', encode(seal.root, 'hex'), 'tables', seal.tables,
            'lines_sha256', (SELECT encode(sha256(convert_to(string_agg(name || ' ' || relation || ' ' || key_sql || ' ' || columns_sql,
                E'\n' ORDER BY name COLLATE "C"), 'UTF8')), 'hex') FROM seal_source WHERE format = seal_format()),
            'schema_sha256', schema_sha256))
        || close_reservations(p.first_day, p.last_day, p.since, p.horizon);
END
$$;
REVOKE ALL ON FUNCTION canonical(jsonb), figures_of_accounts(date, date), figures_of_day(date, date), figures_of_breaks(xid8),
    close_reservations(date, date, xid8, xid8), close_notes(date, bigint, xid8), close_sheet_of(bigint, text) FROM PUBLIC;
RESET ROLE;
