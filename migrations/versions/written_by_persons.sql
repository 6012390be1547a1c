SET LOCAL ROLE revenue_owner;
SET LOCAL search_path = public;

-- What a process of persons writes, a person writes: nobody without a session or a token that the database knows, nobody
-- beyond their right and their sub-county, and under no other name than their own.

-- Who acts, by login; NULL for nobody.
CREATE FUNCTION access.acting_login() RETURNS text LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, access, public, pg_temp AS $$
    SELECT login FROM person WHERE id = access.acting()
$$;
-- A process of the engine that no person comes through. Whoever holds the database is above every guard.
CREATE FUNCTION access.is_engine() RETURNS boolean LANGUAGE sql STABLE
    SET search_path = pg_catalog, access, public, pg_temp AS $$
    SELECT access.holds_database() OR access.is_worker()
$$;

CREATE FUNCTION person_writes() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF NOT access.is_engine() THEN
        PERFORM access.stations(TG_ARGV[0]); -- refuses nobody and who may nowhere, and says who may
    END IF;
    RETURN NULL;
END
$$;
-- TG_ARGV: the permission, the column that names who, and the station that a row w belongs to.
CREATE FUNCTION person_is_named() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    mine text := access.acting_login();
    other text;
    place text;
BEGIN
    IF access.holds_database() THEN
        RETURN NULL;
    ELSIF access.is_worker() THEN
        -- What the engine does by itself bears no person's name.
        EXECUTE format('SELECT w.%1$I FROM written w JOIN access.person p ON p.login = w.%1$I LIMIT 1', TG_ARGV[1]) INTO other;
        IF other IS NOT NULL THEN
            RAISE EXCEPTION 'a worker is not %: only who is signed in acts under their name', other USING ERRCODE = 'RV403';
        END IF;
        RETURN NULL;
    END IF;
    FOR place IN EXECUTE format('SELECT DISTINCT (SELECT s.sub_county FROM station s WHERE s.code = %s) FROM written w',
                                TG_ARGV[2]) LOOP
        PERFORM access.must(TG_ARGV[0], NULL, place);
    END LOOP;
    EXECUTE format('SELECT coalesce(w.%1$I, ''nobody'') FROM written w WHERE w.%1$I IS DISTINCT FROM $1 LIMIT 1', TG_ARGV[1])
       INTO other USING mine;
    IF other IS NOT NULL THEN
        RAISE EXCEPTION 'you are % and not %: only who is signed in acts under their name', mine, other
            USING ERRCODE = 'RV403', HINT = 'Sign in as the person who acts: revenue-engine login';
    END IF;
    RETURN NULL;
END
$$;

DO $$
DECLARE
    watched record;
BEGIN
    FOR watched IN SELECT * FROM (VALUES
        ('payer', 'payer.register', 'INSERT OR UPDATE'), ('billed_object', 'payer.register', 'INSERT OR UPDATE'),
        ('alias', 'payer.register', 'INSERT'), ('pay_account', 'read', 'INSERT'),
        ('channel_account', 'channel.ask', 'INSERT OR UPDATE'), ('channel_endpoint', 'channel.ask', 'INSERT OR UPDATE'),
        ('account', 'channel.ask', 'INSERT')) AS w (relation, permission, events) LOOP
        EXECUTE format('CREATE TRIGGER a_person_writes BEFORE %s ON %I FOR EACH STATEMENT
                        EXECUTE FUNCTION person_writes(%L)', watched.events, watched.relation, watched.permission);
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER a_person_writes', watched.relation);
    END LOOP;
    FOR watched IN SELECT * FROM (VALUES
        ('invoice', 'bill.issue', 'issued_by', 'w.station_code'),
        ('push_request', 'push.request', 'requested_by', '(SELECT i.station_code FROM invoice i WHERE i.id = w.invoice_id)'),
        ('break_event', 'break.assign', 'actor', '(SELECT b.station_code FROM break_case b WHERE b.key = w.key)'),
        ('matching_policy', 'policy.ask', 'proposed_by', 'NULL'),
        ('policy_trial', 'policy.ask', 'tried_by', 'NULL')) AS w (relation, permission, who, station) LOOP
        EXECUTE format('CREATE TRIGGER person_is_named AFTER INSERT ON %I REFERENCING NEW TABLE AS written
                        FOR EACH STATEMENT EXECUTE FUNCTION person_is_named(%L, %L, %L)', watched.relation,
                       watched.permission, watched.who, watched.station);
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER person_is_named', watched.relation);
    END LOOP;
END
$$;

-- The key of a repeated request is its person's own.
CREATE FUNCTION key_of_person() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF NEW.person_id IS DISTINCT FROM access.acting() AND NOT access.holds_database() THEN
        RAISE EXCEPTION 'a key is kept by the person whose request it is of' USING ERRCODE = 'RV403';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER key_of_person BEFORE INSERT ON idempotency_key FOR EACH ROW EXECUTE FUNCTION key_of_person();
ALTER TABLE idempotency_key ENABLE ALWAYS TRIGGER key_of_person;

-- What a county is (its limits, streams, stations, tariffs, holidays) comes by its files, from whoever holds the database.
DO $$
DECLARE
    fact record;
BEGIN
    FOR fact IN SELECT c.relname, string_agg(quote_ident(a.attname), ', ') AS columns
                  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                 WHERE c.relnamespace = 'public'::regnamespace
                   AND c.relname IN ('county', 'stream', 'station', 'tariff_line', 'public_holiday') GROUP BY 1 LOOP
        EXECUTE format('REVOKE INSERT, UPDATE, DELETE ON %I FROM revenue_api', fact.relname);
        EXECUTE format('REVOKE INSERT (%2$s), UPDATE (%2$s) ON %1$I FROM revenue_api', fact.relname, fact.columns);
    END LOOP;
END
$$;

REVOKE ALL ON FUNCTION access.acting_login(), access.is_engine(), person_writes(), person_is_named(), key_of_person()
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION access.acting_login() TO revenue_api, revenue_worker, revenue_report;
RESET ROLE;
