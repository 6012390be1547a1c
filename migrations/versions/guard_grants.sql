-- What roles may write, after the guards: no role writes a time, a transaction or a projection.

REVOKE INSERT, UPDATE ON break_case FROM revenue_worker, revenue_api;
REVOKE UPDATE (owner, closed_at, resolution, detail, amount_minor) ON break_case FROM revenue_worker;
REVOKE UPDATE (owner) ON break_case FROM revenue_api;
GRANT SELECT ON break_event TO revenue_worker, revenue_api, revenue_report, revenue_seal;
GRANT INSERT ON break_event TO revenue_worker, revenue_api;
GRANT EXECUTE ON FUNCTION lock_open_breaks(text[]) TO revenue_worker, revenue_api;

-- Until two persons agree to it, nobody but the owner closes a day.
REVOKE INSERT ON closed_day FROM revenue_api;

GRANT EXECUTE ON FUNCTION first_open_day() TO revenue_worker, revenue_api, revenue_report;

REVOKE INSERT ON ledger_tick, snapshot_run, balance_slice FROM revenue_worker;
GRANT EXECUTE ON FUNCTION take_snapshot(bigint), take_tick() TO revenue_worker;

REVOKE INSERT ON job FROM revenue_api;
REVOKE UPDATE (state, attempts, run_after, leased_by, lease_until) ON job FROM revenue_api;
GRANT EXECUTE ON FUNCTION work_on_new_bills(text, bigint[]), read_again(text, bigint), ask_again(bigint, interval)
    TO revenue_api, revenue_worker;
GRANT EXECUTE ON FUNCTION lock_set_up() TO revenue_api;

-- A seal reads what it covers.
GRANT SELECT ON payment, evidence, delivery, delivery_outcome, application, receipt, receipt_cancellation, invoice,
    invoice_line, invoice_cancellation, pay_account, statement, statement_line, match_request, payment_match,
    match_reversal, matching_policy, policy_trial, policy_activation, channel_account, channel_endpoint, county,
    tariff_line, push_request TO revenue_seal;
GRANT SELECT (xid) ON delivery, channel_endpoint TO revenue_api;
GRANT SELECT (xid) ON payer, delivery TO revenue_report;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO revenue_intake, revenue_worker, revenue_api;

-- Times, transactions and the number of an audit row are the database's own. A later column that a role is to write is
-- granted by its name.
DO $$
DECLARE
    found record;
BEGIN
    FOR found IN
        SELECT c.relname, g.grantee::regrole::text AS role,
               string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)
                   FILTER (WHERE own.attnum IS NULL) AS written
          FROM pg_class c
          CROSS JOIN aclexplode(c.relacl) g
          JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
          LEFT JOIN LATERAL (SELECT a.attnum
                              WHERE (a.attname, a.atthasdef) IN (
                                    ('xid', true), ('recorded_at', true), ('received_at', true), ('received_on', true),
                                    ('at', true), ('closed_at', true), ('taken_at', true), ('created_at', true),
                                    ('requested_at', true), ('proposed_at', true), ('tried_at', true),
                                    ('activated_at', true), ('started_at', true), ('ended_at', true), ('made_at', true),
                                    ('reversed_at', true), ('answered_at', true), ('cancelled_at', true),
                                    ('asked_at', true), ('opened_at', true), ('issued_at', true))
                                 OR (c.relname, a.attname) IN (('audit_event', 'id'), ('break_event', 'id'))) own ON true
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND g.privilege_type = 'INSERT'
           AND g.grantee::regrole::text IN ('revenue_intake', 'revenue_worker', 'revenue_api')
         GROUP BY c.relname, g.grantee HAVING count(own.attnum) > 0
    LOOP
        EXECUTE format('REVOKE INSERT ON %I FROM %s', found.relname, found.role);
        EXECUTE format('GRANT INSERT (%s) ON %I TO %s', found.written, found.relname, found.role);
    END LOOP;
END
$$;
RESET ROLE;
