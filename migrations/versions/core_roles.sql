-- Capability roles cannot log in. Logins are made by whoever runs the servers and are granted one role each.
SELECT pg_advisory_xact_lock(7263002);
DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['owner', 'intake', 'worker', 'api', 'report', 'seal'] LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'revenue_' || wanted) THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN', 'revenue_' || wanted);
            END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL; -- another database of this cluster made it at the same moment
        END;
        EXECUTE format('GRANT %I TO CURRENT_USER', 'revenue_' || wanted);
    END LOOP;
END
$$;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO revenue_owner, revenue_intake, revenue_worker, revenue_api, revenue_report, revenue_seal;
GRANT CREATE ON SCHEMA public TO revenue_owner;
ALTER TABLE IF EXISTS alembic_version OWNER TO revenue_owner;
SET LOCAL ROLE revenue_owner;
SET LOCAL search_path = public;
