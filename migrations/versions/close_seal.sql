-- The seal: every row that was committed between two horizons, in the order (transaction, table, key). A leaf is the
-- SHA-256 of 0x00 and the exact bytes of the row's line in the export (RFC 6962); the tree's root is signed.

SET LOCAL ROLE revenue_owner;
SET LOCAL search_path = public;

-- 1. What a line holds, frozen by a format number. A later migration that adds a column adds a format and leaves the
-- lines of earlier certificates as they are.
CREATE TABLE seal_source (
    format BIGINT NOT NULL,
    name TEXT NOT NULL,
    relation TEXT NOT NULL,
    key_sql TEXT NOT NULL,
    columns_sql TEXT NOT NULL,
    CONSTRAINT pk_seal_source PRIMARY KEY (format, name)
);
CREATE TABLE seal_chunk (
    preparation_id BIGINT NOT NULL,
    number BIGINT NOT NULL,
    leaves BYTEA NOT NULL,
    keys TEXT NOT NULL,
    CONSTRAINT pk_seal_chunk PRIMARY KEY (preparation_id, number)
);
DO $$
DECLARE
    guarded text;
    one record;
    own text;
BEGIN
    FOREACH guarded IN ARRAY ARRAY['seal_source', 'seal_chunk'] LOOP
        EXECUTE format('CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON %I
                        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', guarded);
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER refuse_change', guarded);
    END LOOP;
    FOR one IN VALUES
        ('journal', 'public.journal', 'id::text', ''), ('posting', 'public.posting', 'journal_id || ''/'' || seq', ''),
        ('payment', 'public.payment', 'id::text', ''), ('application', 'public.application', 'id::text', ''),
        ('delivery_outcome', 'public.delivery_outcome', 'id::text', ''), ('receipt', 'public.receipt', 'id::text', ''),
        ('receipt_cancellation', 'public.receipt_cancellation', 'receipt_id::text', ''),
        ('invoice', 'public.invoice', 'id::text', ''),
        ('invoice_line', 'public.invoice_line', 'invoice_id || ''/'' || seq', ''),
        ('invoice_cancellation', 'public.invoice_cancellation', 'invoice_id::text', ''),
        ('pay_account', 'public.pay_account', 'number', ''), ('push_request', 'public.push_request', 'id::text', ''),
        ('push_end', 'public.push_end', 'translate(request_id, E''\n\r'', ''  '')', ''), ('statement', 'public.statement', 'id::text', ''),
        ('statement_line', 'public.statement_line', 'id::text', ''),
        ('statement_file', 'public.statement_file', 'delivery_id::text', ''),
        ('statement_reading', 'public.statement_reading', 'delivery_id::text', ''),
        ('statement_entry', 'public.statement_entry', 'id::text', ''),
        ('statement_drop', 'public.statement_drop', 'id::text', ''),
        ('fetched_file', 'public.fetched_file', 'id::text', ''), ('fetch_look', 'public.fetch_look', 'id::text', ''),
        ('asked', 'public.asked', 'id::text', ''), ('matching_policy', 'public.matching_policy', 'digest', ''),
        ('policy_trial', 'public.policy_trial', 'id::text', ''),
        ('policy_activation', 'public.policy_activation', 'id::text', ''),
        ('matching_run', 'public.matching_run', 'id::text', ''),
        ('matching_run_end', 'public.matching_run_end', 'run_id::text', ''),
        ('match_request', 'public.match_request', 'id::text', ''),
        ('payment_match', 'public.payment_match', 'id::text', ''),
        ('match_reversal', 'public.match_reversal', 'match_id::text', ''),
        ('money_move', 'public.money_move', 'id::text', ''),
        ('payer_link_answer', 'public.payer_link_answer', 'link_id::text', ''),
        ('closed_day', 'public.closed_day', 'book_date::text', ''),
        ('break_event', 'public.break_event', 'id::text', ''), ('bank_account', 'public.bank_account', 'account', ''),
        ('set_up_version', 'public.set_up_version', 'id::text', ''),
        ('payer_version', 'public.payer_version', 'id::text', ''),
        ('close_preparation', 'public.close_preparation', 'id::text', ''),
        ('close_horizon', 'public.close_horizon', 'preparation_id::text', ''),
        ('close_withdrawal', 'public.close_withdrawal', 'preparation_id::text', ''),
        ('close_approval', 'public.close_approval', 'number::text', ''),
        ('seal_key', 'public.seal_key', 'id::text', ''),
        ('access.execution', 'access.execution', 'request_id::text', ''),
        ('access.answer', 'access.answer', 'id::text', ''),
        ('access.answered_list', 'access.answered_list', 'id::text', ''),
        -- What is committed to, or told by its hash.
        ('movement_name', 'public.movement_name', 'channel_account_id || '' '' || told_by || '' '' || encode(digest, ''hex'')', ''),
        ('evidence', 'public.evidence', 'id::text', 'sha256(uuid_send(salt) || typed_digest) AS typed_digest'),
        ('payer_link', 'public.payer_link', 'id::text', 'sha256(uuid_send(salt) || words_digest) AS words_digest'),
        ('payment_party', 'public.payment_party', 'payment_id::text',
            'payment_id, coalesce(commitment, sha256(uuid_send(salt) || convert_to(jsonb_build_array(name, msisdn, account_reference)::text, ''UTF8''))) AS commitment'),
        ('delivery', 'public.delivery', 'id::text',
            'id, received_on, received_at, channel_account_id, endpoint_id, purpose, peer, body_length, verdict, verdict_reason,'
            ' sha256(uuid_send(salt) || convert_to(headers::text, ''UTF8'')) AS headers, sha256(uuid_send(salt) || body) AS body'),
        ('audit_event', 'public.audit_event', 'id::text', 'id, at, actor, action, object, leaf'),
        ('access.request', 'access.request', 'id::text',
            'id, public_id, kind, subject, amount_minor::text AS amount_minor, checkers, requested_by, requested_at, expires_at, shown_sha256'),
        ('certificate', 'public.certificate', 'number::text', 'number, note_sha256, kept_at')
    LOOP
        SELECT string_agg(CASE WHEN a.attname LIKE '%\_minor' THEN format('%I::text AS %I', a.attname, a.attname)
                               ELSE quote_ident(a.attname) END, ', ' ORDER BY a.attnum) INTO own
          FROM pg_attribute a WHERE a.attrelid = one.column2::regclass AND a.attnum > 0 AND NOT a.attisdropped
           AND a.attname NOT IN ('xid', 'salt') AND NOT (one.column1 = 'evidence' AND a.attname = 'typed_digest')
           AND NOT (one.column1 = 'payer_link' AND a.attname = 'words_digest');
        INSERT INTO seal_source (format, name, relation, key_sql, columns_sql)
        VALUES (1, one.column1, one.column2, one.column3, CASE WHEN one.column4 = '' THEN own
                WHEN one.column1 IN ('evidence', 'payer_link') THEN own || ', ' || one.column4 ELSE one.column4 END);
    END LOOP;
    -- Rows lie nearly in the order of their transactions: a block range index finds a day's without a hot index to keep.
    FOREACH guarded IN ARRAY ARRAY['posting', 'payment', 'evidence', 'delivery', 'delivery_outcome', 'application', 'receipt',
        'invoice', 'invoice_line', 'pay_account', 'payment_party', 'break_event', 'statement_line', 'audit_event',
        'set_up_version', 'payer_version', 'asked', 'fetch_look'] LOOP
        EXECUTE format('CREATE INDEX ix_%s_sealed ON %I USING brin ((xid::text::bigint)) WITH (pages_per_range = 32)',
                       guarded, guarded);
    END LOOP;
    CREATE INDEX ix_journal_booked_sealed ON journal USING brin (book_date) WITH (pages_per_range = 32);
    CREATE INDEX ix_posting_booked_sealed ON posting USING brin (book_date) WITH (pages_per_range = 32);
END
$$;

-- 2. Lines and leaves of a span. Times are UTC and bytes are hexadecimal, whoever asks.
CREATE FUNCTION seal_query(wanted bigint, since xid8, horizon xid8, shape text) RETURNS text LANGUAGE sql STABLE
    SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT string_agg(format(
        'SELECT r.xid, %1$L::text COLLATE "C" AS name, (r."row")::text COLLATE "C" AS key, %6$s AS leaf
           FROM (SELECT %1$L AS "table", %2$s AS "row", xid, %3$s FROM %4$s
                  WHERE xid >= %5$L AND xid < %7$L AND xid::text::bigint >= %5$L AND xid::text::bigint < %7$L) r',
        name, key_sql, columns_sql, relation, since, CASE shape WHEN 'line' THEN 'row_to_json(r)::text'
            ELSE 'sha256(''\x00''::bytea || convert_to(row_to_json(r)::text, ''UTF8''))' END, horizon), ' UNION ALL ')
      FROM seal_source WHERE format = wanted
$$;
CREATE FUNCTION seal_format() RETURNS bigint LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT max(format) FROM seal_source
$$;
CREATE FUNCTION seal_leaves(wanted bigint, since xid8, horizon xid8) RETURNS TABLE (n bigint, name text, key text, leaf bytea)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET timezone = 'UTC'
    SET bytea_output = 'hex' SET datestyle = 'ISO' SET jit = off SET work_mem = '64MB' AS $$
BEGIN
    RETURN QUERY EXECUTE 'SELECT row_number() OVER (ORDER BY xid, name, key) - 1, name, key, leaf FROM ('
        || seal_query(wanted, since, horizon, 'leaf') || ') all_rows';
END
$$;
CREATE FUNCTION seal_lines(wanted bigint, since xid8, horizon xid8) RETURNS TABLE (n bigint, line text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET timezone = 'UTC'
    SET bytea_output = 'hex' SET datestyle = 'ISO' SET jit = off SET work_mem = '64MB' AS $$
BEGIN
    RETURN QUERY EXECUTE 'SELECT row_number() OVER (ORDER BY xid, name, key) - 1, leaf FROM ('
        || seal_query(wanted, since, horizon, 'line') || ') all_rows ORDER BY 1';
END
$$;

-- 3. The tree of RFC 6962, level by level: pairs are hashed with 0x01, an odd last one is carried up as it is.
CREATE FUNCTION merkle_root(leaves bytea) RETURNS bytea LANGUAGE plpgsql IMMUTABLE STRICT
    SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    level bytea := leaves;
    up bytea;
    nodes integer;
BEGIN
    IF length(level) = 0 THEN
        RETURN sha256('');
    END IF;
    WHILE length(level) > 32 LOOP
        nodes := length(level) / 32;
        SELECT string_agg(sha256('\x01'::bytea || substring(level FROM i * 64 + 1 FOR 64)), ''::bytea ORDER BY i) INTO up
          FROM generate_series(0, nodes / 2 - 1) i;
        level := CASE WHEN nodes % 2 = 1 THEN up || substring(level FROM (nodes - 1) * 32 + 1 FOR 32) ELSE up END;
    END LOOP;
    RETURN level;
END
$$;
-- Chunks of 4096 leaves are whole subtrees, so that the root of all is the root of theirs.
CREATE FUNCTION seal_of(wanted bigint, since xid8, horizon xid8) RETURNS TABLE (leaves bigint, root bytea, tables jsonb)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET work_mem = '64MB' AS $$
    WITH all_leaves AS MATERIALIZED (SELECT * FROM seal_leaves(wanted, since, horizon)),
         chunks AS (SELECT n / 4096 AS number, merkle_root(string_agg(leaf, ''::bytea ORDER BY n)) AS node
                      FROM all_leaves GROUP BY n / 4096)
    SELECT (SELECT count(*) FROM all_leaves),
           merkle_root(coalesce((SELECT string_agg(node, ''::bytea ORDER BY number) FROM chunks), '')),
           (SELECT coalesce(jsonb_object_agg(name, rows), '{}') FROM (SELECT name, count(*) AS rows FROM all_leaves GROUP BY name) t)
$$;
CREATE FUNCTION seal_take(preparation bigint) RETURNS bytea LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp SET work_mem = '64MB' AS $$
DECLARE
    prepared close_horizon;
BEGIN
    SELECT * INTO prepared FROM close_horizon WHERE preparation_id = preparation;
    INSERT INTO seal_chunk (preparation_id, number, leaves, keys)
    SELECT preparation, n / 4096, string_agg(leaf, ''::bytea ORDER BY n), string_agg(name || ' ' || key, E'\n' ORDER BY n)
      FROM seal_leaves(seal_format(), prepared.since, prepared.horizon) GROUP BY n / 4096;
    RETURN merkle_root(coalesce((SELECT string_agg(merkle_root(leaves), ''::bytea ORDER BY number) FROM seal_chunk
                                  WHERE preparation_id = preparation), ''));
END
$$;

-- 4. What a sealed span says now, row by row, beside the leaves that were sealed.
CREATE FUNCTION seal_differences(certified bigint) RETURNS TABLE (name text, key text, fault text) LANGUAGE plpgsql STABLE
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET work_mem = '64MB' AS $$
DECLARE
    prepared close_horizon;
    sheet jsonb;
BEGIN
    SELECT h.* INTO prepared FROM close_approval a JOIN close_horizon h USING (preparation_id) WHERE a.number = certified;
    SELECT convert_from(s.shown, 'UTF8')::jsonb INTO sheet FROM close_sheet s
     WHERE s.preparation_id = prepared.preparation_id;
    RETURN QUERY
    WITH kept AS (
        SELECT split_part(k.line, ' ', 1) COLLATE "C" AS name, substring(k.line FROM position(' ' IN k.line) + 1) COLLATE "C" AS key,
               substring(c.leaves FROM ((k.place - 1) * 32 + 1)::integer FOR 32) AS leaf
          FROM seal_chunk c CROSS JOIN LATERAL regexp_split_to_table(c.keys, E'\n') WITH ORDINALITY AS k (line, place)
         WHERE c.preparation_id = prepared.preparation_id)
    SELECT coalesce(k.name, l.name), coalesce(k.key, l.key),
           CASE WHEN k.leaf IS NULL THEN 'was slipped in below the horizon of certificate ' || certified
                WHEN l.leaf IS NULL THEN 'was sealed by certificate ' || certified || ' and is gone'
                ELSE 'is not what certificate ' || certified || ' sealed' END
      FROM kept k FULL JOIN seal_leaves((sheet -> 'seal' ->> 'format')::bigint, prepared.since, prepared.horizon) l
        ON l.name = k.name AND l.key = k.key
     WHERE k.leaf IS DISTINCT FROM l.leaf;
    IF encode(merkle_root(coalesce((SELECT string_agg(merkle_root(c.leaves), ''::bytea ORDER BY c.number) FROM seal_chunk c
                                     WHERE c.preparation_id = prepared.preparation_id), '')), 'hex') IS DISTINCT FROM sheet -> 'seal' ->> 'root' THEN
        RETURN QUERY SELECT 'seal_chunk', prepared.preparation_id::text, 'the leaves of certificate ' || certified || ' do not hash to its root';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION seal_query(bigint, xid8, xid8, text), seal_format(), seal_leaves(bigint, xid8, xid8),
    seal_lines(bigint, xid8, xid8), merkle_root(bytea), seal_of(bigint, xid8, xid8), seal_take(bigint),
    seal_differences(bigint) FROM PUBLIC;
GRANT SELECT ON seal_source, seal_chunk TO revenue_worker, revenue_api, revenue_report, revenue_seal;
GRANT EXECUTE ON FUNCTION seal_format(), seal_lines(bigint, xid8, xid8), seal_leaves(bigint, xid8, xid8),
    seal_differences(bigint) TO revenue_worker, revenue_api, revenue_report, revenue_seal;
RESET ROLE;
