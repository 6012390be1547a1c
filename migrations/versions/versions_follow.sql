-- A migration that gives set-up another column changes rows without a statement that a trigger sees: their versions are
-- taken anew at the end of every migration. Only what is the same in all columns that both know is taken, so that no edit
-- behind the triggers is made good by the way.

SET LOCAL ROLE revenue_owner;
SET LOCAL search_path = public;

CREATE FUNCTION take_versions() RETURNS bigint LANGUAGE plpgsql
    SET search_path = pg_catalog, public, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    one versioned_table;
    taken bigint;
    total bigint := 0;
BEGIN
    FOR one IN SELECT * FROM versioned_table v ORDER BY v.name LOOP
        EXECUTE format($q$
            INSERT INTO set_up_version (table_name, key, content)
            SELECT %1$L, r.key, r.content
              FROM (SELECT concat_ws(' ', %2$s) AS key, to_jsonb(w) - %3$L - 'xid' AS content FROM %1$s w) r
              JOIN (SELECT DISTINCT ON (s.key) s.key, s.content FROM set_up_version s WHERE s.table_name = %1$L
                     ORDER BY s.key, s.id DESC) v ON v.key = r.key
             WHERE ARRAY(SELECT jsonb_object_keys(r.content) ORDER BY 1) <> ARRAY(SELECT jsonb_object_keys(v.content) ORDER BY 1)
               AND NOT EXISTS (SELECT FROM jsonb_each(r.content) n JOIN jsonb_each(v.content) o USING (key)
                                WHERE n.value <> o.value)
             ORDER BY r.key$q$, one.name, one.key_columns, one.left_out);
        GET DIAGNOSTICS taken = ROW_COUNT;
        total := total + taken;
    END LOOP;
    RETURN total;
END
$$;
REVOKE ALL ON FUNCTION take_versions() FROM PUBLIC;
RESET ROLE;
