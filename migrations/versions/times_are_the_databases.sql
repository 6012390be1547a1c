SET LOCAL ROLE revenue_owner;
SET LOCAL search_path = public;

-- When a row was written, and in which transaction, is the database's word everywhere: a seal covers rows by their
-- transaction, and a row that named an older one would stand outside it.
DO $$
DECLARE
    open_to record;
BEGIN
    FOR open_to IN
        SELECT r.rolname, c.oid::regclass AS relation, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)
                   FILTER (WHERE d.adnum IS NULL) AS columns
          FROM pg_class c
         CROSS JOIN pg_roles r
          JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
          LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
               AND pg_get_expr(d.adbin, d.adrelid) ~ '(now|clock_timestamp|pg_current_xact_id)\(\)'
               AND a.attname <> 'run_after'
         WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND c.relname <> 'job'
           AND r.rolname IN ('revenue_intake', 'revenue_worker', 'revenue_api', 'revenue_report', 'revenue_seal', 'revenue_fetch')
           AND has_column_privilege(r.oid, c.oid, a.attnum, 'INSERT')
         GROUP BY r.rolname, c.oid
        HAVING count(d.adnum) > 0
    LOOP
        EXECUTE format('REVOKE INSERT ON %s FROM %I', open_to.relation, open_to.rolname);
        EXECUTE format('GRANT INSERT (%s) ON %s TO %I', open_to.columns, open_to.relation, open_to.rolname);
    END LOOP;
END
$$;
RESET ROLE;
