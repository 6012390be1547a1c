-- How a person is proved, and what a proved person may do. Every function runs as the owner with a pinned search path.

-- Who calls, beneath a SECURITY DEFINER function: the role that was taken, else the login.
CREATE FUNCTION caller() RETURNS name LANGUAGE sql STABLE SET search_path = pg_catalog, access, public, pg_temp AS $$
    SELECT CASE current_setting('role') WHEN 'none' THEN session_user ELSE current_setting('role')::name END
$$;
-- Whoever holds the database itself: migrations and the first set-up. No process of the engine runs so.
CREATE FUNCTION holds_database() RETURNS boolean LANGUAGE sql STABLE
    SET search_path = pg_catalog, access, public, pg_temp AS $$
    SELECT pg_has_role(access.caller(), 'revenue_owner', 'MEMBER')
$$;
CREATE FUNCTION is_worker() RETURNS boolean LANGUAGE sql STABLE
    SET search_path = pg_catalog, access, public, pg_temp AS $$
    SELECT pg_has_role(access.caller(), 'revenue_worker', 'MEMBER')
$$;
CREATE FUNCTION secret_sha256() RETURNS bytea LANGUAGE sql STABLE
    SET search_path = pg_catalog, access, public, pg_temp AS $$
    SELECT sha256(convert_to(nullif(current_setting('revenue.session', true), ''), 'UTF8'))
$$;

-- Limits of a session. A second factor counts for five minutes.
CREATE FUNCTION idle_limit() RETURNS interval LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, access, public, pg_temp AS $$ SELECT interval '15 minutes' $$;
CREATE FUNCTION step_up_limit() RETURNS interval LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, access, public, pg_temp AS $$ SELECT interval '5 minutes' $$;

-- The session this transaction's secret opens, if it is live now.
CREATE FUNCTION live_session() RETURNS session LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, access, public, pg_temp AS $$
    SELECT s FROM session s JOIN person p ON p.id = s.person_id
     WHERE s.secret_sha256 = access.secret_sha256() AND s.ended_at IS NULL AND p.disabled_at IS NULL
       AND s.ends_at > clock_timestamp() AND s.seen_at > clock_timestamp() - access.idle_limit()
$$;

-- Who acts in this transaction: NULL for nobody. It writes nothing and remembers nothing, so pooling is safe.
CREATE FUNCTION acting() RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, access, public, pg_temp AS $$
    SELECT coalesce(
        (SELECT s.person_id FROM session s JOIN person p ON p.id = s.person_id
          WHERE s.secret_sha256 = access.secret_sha256() AND s.ended_at IS NULL AND p.disabled_at IS NULL
            AND s.ends_at > clock_timestamp() AND s.seen_at > clock_timestamp() - access.idle_limit()),
        (SELECT t.person_id FROM token t JOIN person p ON p.id = t.person_id
          WHERE t.secret_sha256 = access.secret_sha256() AND t.ended_at IS NULL AND p.disabled_at IS NULL
            AND t.ends_at > clock_timestamp()))
$$;

-- Why nobody acts, in words for who tried.
CREATE FUNCTION why_nobody() RETURNS text LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, access, public, pg_temp AS $$
DECLARE
    mine session;
    issued token;
BEGIN
    SELECT * INTO mine FROM session WHERE secret_sha256 = access.secret_sha256();
    IF FOUND THEN
        RETURN CASE WHEN mine.ended_at IS NOT NULL THEN 'this session was ended: ' || mine.ended_why
                    WHEN (SELECT disabled_at IS NOT NULL FROM person WHERE id = mine.person_id)
                        THEN 'this person is disabled; an administrator may ask for them back'
                    WHEN mine.ends_at <= clock_timestamp() THEN 'this session has lasted as long as a session may'
                    ELSE 'this session was idle for more than fifteen minutes' END;
    END IF;
    SELECT * INTO issued FROM token WHERE secret_sha256 = access.secret_sha256();
    IF FOUND THEN
        RETURN CASE WHEN issued.ended_at IS NOT NULL THEN 'this token was revoked' ELSE 'this token has expired' END;
    END IF;
    RETURN CASE WHEN access.secret_sha256() IS NULL THEN 'nobody is signed in' ELSE 'no session has this secret' END;
END
$$;

-- The roles that hold a permission, in words, for refusals.
CREATE FUNCTION who_may(wanted text, minor bigint DEFAULT NULL) RETURNS text LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, access, public, pg_temp AS $$
    SELECT coalesce(string_agg(r.name, ' or ' ORDER BY r.name), 'nobody')
      FROM role_permission g JOIN role r ON r.code = g.role
     WHERE g.permission = wanted AND (minor IS NULL OR g.limit_minor IS NULL OR g.limit_minor >= minor)
$$;

-- Whether the acting person may, for this amount and this sub-county (NULL is the whole county).
CREATE FUNCTION may(wanted text, minor bigint DEFAULT NULL, place text DEFAULT NULL) RETURNS boolean LANGUAGE sql STABLE
    SECURITY DEFINER SET search_path = pg_catalog, access, public, pg_temp AS $$
    SELECT EXISTS (SELECT FROM person_role h JOIN role_permission g ON g.role = h.role AND g.permission = wanted
                    WHERE h.person_id = access.acting() AND h.ended_at IS NULL
                      AND (h.sub_county IS NULL OR h.sub_county = place)
                      AND (g.limit_minor IS NULL OR minor IS NULL OR g.limit_minor >= minor))
$$;

-- The acting person, or a refusal that says why and who may instead.
CREATE FUNCTION must(wanted text, minor bigint DEFAULT NULL, place text DEFAULT NULL) RETURNS bigint LANGUAGE plpgsql STABLE
    SECURITY DEFINER SET search_path = pg_catalog, access, public, pg_temp AS $$
DECLARE
    actor bigint := access.acting();
    mine session;
    needed permission;
BEGIN
    IF actor IS NULL THEN
        RAISE EXCEPTION '%', access.why_nobody() USING ERRCODE = 'RV401', HINT = 'Sign in: revenue-engine login';
    END IF;
    SELECT * INTO needed FROM permission WHERE code = wanted;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no permission %', wanted USING ERRCODE = 'RV403';
    END IF;
    IF NOT access.may(wanted, minor, place) THEN
        IF access.may(wanted, NULL, place) THEN
            RAISE EXCEPTION 'you may %, but not for so much; % may', needed.what, access.who_may(wanted, minor)
                USING ERRCODE = 'RV403';
        ELSIF EXISTS (SELECT FROM person_role h JOIN role_permission g ON g.role = h.role
                       WHERE h.person_id = actor AND h.ended_at IS NULL AND g.permission = wanted) THEN
            RAISE EXCEPTION 'you may % in your sub-county only, and this is %; % of there or of the whole county may',
                needed.what, coalesce('of ' || place, 'county-wide'), access.who_may(wanted, minor)
                USING ERRCODE = 'RV403';
        END IF;
        RAISE EXCEPTION 'you may not %; % may', needed.what, access.who_may(wanted, minor) USING ERRCODE = 'RV403';
    END IF;
    IF needed.judgement THEN
        mine := access.live_session();
        IF mine.id IS NULL THEN
            RAISE EXCEPTION 'a service may not %; % may', needed.what, access.who_may(wanted, minor) USING ERRCODE = 'RV403';
        ELSIF mine.stepped_up_at <= clock_timestamp() - access.step_up_limit() THEN
            RAISE EXCEPTION 'to % the second factor must not be older than five minutes', needed.what
                USING ERRCODE = 'RV428', HINT = 'Give a fresh code: revenue-engine login --code';
        END IF;
    END IF;
    RETURN actor;
END
$$;

-- The audit trail. The actor is who acts by secret; a process without one is named by its database role.
CREATE FUNCTION note(actor text, action text, object text, facts jsonb) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, access, public, pg_temp AS $$
DECLARE
    content bytea := convert_to(jsonb_build_object('actor', actor, 'action', action, 'object', object,
                                                   'facts', coalesce(facts, '{}'))::text, 'UTF8');
BEGIN
    INSERT INTO audit_event (actor, action, object, content, leaf)
    VALUES (actor, action, object, content, sha256('\x00'::bytea || content));
END
$$;
CREATE FUNCTION actor_name(told text DEFAULT NULL) RETURNS text LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, access, public, pg_temp AS $$
    SELECT coalesce((SELECT login FROM person WHERE id = access.acting()),
                    CASE WHEN access.holds_database() THEN coalesce(told, 'setup')
                         ELSE access.caller() || coalesce(': ' || told, '') END)
$$;
CREATE FUNCTION audit(action text, object text, facts jsonb, told text DEFAULT NULL) RETURNS void LANGUAGE sql
    SECURITY DEFINER SET search_path = pg_catalog, access, public, pg_temp AS $$
    SELECT access.note(access.actor_name(told), action, object, facts)
$$;

-- One-time codes by time (RFC 6238, six digits, thirty seconds, HMAC-SHA-1 because authenticators know no other). The
-- database works them out itself: a process that says "the code was right" is not believed.
CREATE FUNCTION sha1(message bytea) RETURNS bytea LANGUAGE plpgsql IMMUTABLE STRICT
    SET search_path = pg_catalog, access, public, pg_temp AS $$
DECLARE
    mask CONSTANT bigint := 4294967295;
    h0 bigint := 1732584193; h1 bigint := 4023233417; h2 bigint := 2562383102; h3 bigint := 271733878; h4 bigint := 3285377520;
    a bigint; b bigint; c bigint; d bigint; e bigint; f bigint; k bigint; t bigint;
    w bigint[];
    padded bytea;
    at integer;
BEGIN
    padded := message || '\x80'::bytea
        || decode(repeat('00', (119 - length(message) % 64) % 64), 'hex') || int8send(length(message)::bigint * 8);
    FOR block IN 0 .. length(padded) / 64 - 1 LOOP
        FOR i IN 0 .. 15 LOOP
            at := block * 64 + i * 4;
            w[i] := (get_byte(padded, at)::bigint << 24) | (get_byte(padded, at + 1) << 16)
                    | (get_byte(padded, at + 2) << 8) | get_byte(padded, at + 3);
        END LOOP;
        FOR i IN 16 .. 79 LOOP
            t := w[i - 3] # w[i - 8] # w[i - 14] # w[i - 16];
            w[i] := ((t << 1) | (t >> 31)) & mask;
        END LOOP;
        a := h0; b := h1; c := h2; d := h3; e := h4;
        FOR i IN 0 .. 79 LOOP
            IF i < 20 THEN f := (b & c) | ((b # mask) & d); k := 1518500249;
            ELSIF i < 40 THEN f := b # c # d; k := 1859775393;
            ELSIF i < 60 THEN f := (b & c) | (b & d) | (c & d); k := 2400959708;
            ELSE f := b # c # d; k := 3395469782;
            END IF;
            t := ((((a << 5) | (a >> 27)) & mask) + f + e + k + w[i]) & mask;
            e := d; d := c; c := ((b << 30) | (b >> 2)) & mask; b := a; a := t;
        END LOOP;
        h0 := (h0 + a) & mask; h1 := (h1 + b) & mask; h2 := (h2 + c) & mask; h3 := (h3 + d) & mask; h4 := (h4 + e) & mask;
    END LOOP;
    RETURN substring(int8send(h0) FROM 5) || substring(int8send(h1) FROM 5) || substring(int8send(h2) FROM 5)
        || substring(int8send(h3) FROM 5) || substring(int8send(h4) FROM 5);
END
$$;
CREATE FUNCTION hmac_sha1(secret bytea, message bytea) RETURNS bytea LANGUAGE plpgsql IMMUTABLE STRICT
    SET search_path = pg_catalog, access, public, pg_temp AS $$
DECLARE
    secret64 bytea := CASE WHEN length(secret) > 64 THEN access.sha1(secret) ELSE secret END;
    inner_pad bytea;
    outer_pad bytea;
BEGIN
    secret64 := secret64 || decode(repeat('00', 64 - length(secret64)), 'hex');
    inner_pad := secret64; outer_pad := secret64;
    FOR i IN 0 .. 63 LOOP
        inner_pad := set_byte(inner_pad, i, get_byte(secret64, i) # 54);
        outer_pad := set_byte(outer_pad, i, get_byte(secret64, i) # 92);
    END LOOP;
    RETURN access.sha1(outer_pad || access.sha1(inner_pad || message));
END
$$;
CREATE FUNCTION one_time_code(seed bytea, step bigint) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT
    SET search_path = pg_catalog, access, public, pg_temp AS $$
DECLARE
    mac bytea := access.hmac_sha1(seed, int8send(step));
    start integer := get_byte(mac, 19) & 15;
BEGIN
    RETURN lpad(((((get_byte(mac, start) & 127)::bigint << 24) | (get_byte(mac, start + 1) << 16)
                  | (get_byte(mac, start + 2) << 8) | get_byte(mac, start + 3)) % 1000000)::text, 6, '0');
END
$$;
-- The step a code is of, now or one step to either side and later than the last one used; NULL when it is of none.
CREATE FUNCTION step_of(seed bytea, code text, after_step bigint) RETURNS bigint LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, access, public, pg_temp AS $$
    SELECT max(step) FROM (SELECT floor(extract(epoch FROM clock_timestamp()) / 30)::bigint + shift AS step
                             FROM generate_series(-1, 1) AS shift) near
     WHERE step > after_step AND access.one_time_code(seed, step) = code
$$;

-- Tries are counted where a rolled back transaction cannot take the count back: in a sequence, which holds how many
-- failed since the last success and when. Five are free, then each waits twice as long, at most fifteen minutes.
-- Strangers and the places a person signed in from before are counted apart. Nobody is locked out for ever.
CREATE FUNCTION fresh_secret() RETURNS text LANGUAGE sql VOLATILE SET search_path = pg_catalog, access, public, pg_temp AS $$
    SELECT encode(sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())), 'hex')
$$;
CREATE FUNCTION try(person bigint, known boolean) RETURNS integer LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, access, public, pg_temp AS $$
DECLARE
    counter regclass := format('access.tries_%s_%s', person, CASE WHEN known THEN 'known' ELSE 'strange' END)::regclass;
    held bigint;
    failed bigint;
    pause bigint;
    clock bigint := floor(extract(epoch FROM clock_timestamp()))::bigint;
BEGIN
    PERFORM pg_advisory_lock(7263011, counter::oid::bigint::integer);
    EXECUTE format('SELECT last_value FROM %s', counter) INTO held;
    failed := held >> 34;
    pause := CASE WHEN failed < 5 THEN 0 ELSE least(900, 2 ^ least(failed - 4, 10))::bigint END;
    pause := (held & 17179869183) + pause - clock;
    IF failed < 5 OR pause <= 0 THEN
        PERFORM setval(counter, ((failed + 1) << 34) | clock);
        pause := 0;
    END IF;
    PERFORM pg_advisory_unlock(7263011, counter::oid::bigint::integer);
    RETURN pause;
END
$$;
CREATE FUNCTION tried_well(person bigint, known boolean) RETURNS void LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, access, public, pg_temp AS $$
BEGIN
    PERFORM setval(format('access.tries_%s_%s', person, CASE WHEN known THEN 'known' ELSE 'strange' END)::regclass, 1);
END
$$;
CREATE FUNCTION make_person(kind text, login text, name text, staff_number text, made_by bigint) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, access, public, pg_temp AS $$
DECLARE
    made bigint; -- it is made by the owner whoever calls, and so are its sequences
BEGIN
    INSERT INTO person (kind, login, name, staff_number, made_by)
    VALUES (kind, login, name, staff_number, made_by) RETURNING id INTO made;
    IF kind = 'staff' THEN
        EXECUTE format('CREATE SEQUENCE access.tries_%s_known MINVALUE 1', made);
        EXECUTE format('CREATE SEQUENCE access.tries_%s_strange MINVALUE 1', made);
    END IF;
    RETURN made;
EXCEPTION WHEN unique_violation THEN
    RAISE EXCEPTION 'the login % or the staff number % is somebody''s already: one person has one account', login,
        staff_number USING ERRCODE = 'RV409';
WHEN check_violation THEN
    RAISE EXCEPTION 'a login is 3 to 40 small letters and digits with single dots, dashes or underscores between; a name is in Latin letters; a staff number is in capitals, digits, / and -'
        USING ERRCODE = 'RV400';
END
$$;

-- Signing in. What salt and cost to prove a password with; a login that does not exist has one too.
CREATE FUNCTION salt_of(wanted text) RETURNS TABLE (salt bytea, memory_kib integer, passes integer, lanes integer)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, access, public, pg_temp AS $$
    SELECT coalesce(c.salt, substring(sha256(p.value || convert_to(wanted, 'UTF8')) FOR 16)),
           coalesce(c.memory_kib, 65536), coalesce(c.passes, 3), coalesce(c.lanes, 1)
      FROM pepper p LEFT JOIN (person o JOIN credential c ON c.person_id = o.id) ON o.login = wanted
$$;
CREATE FUNCTION open_session(of_person bigint) RETURNS text LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, access, public, pg_temp AS $$
DECLARE
    secret text := access.fresh_secret();
BEGIN
    INSERT INTO session (person_id, secret_sha256, ends_at)
    VALUES (of_person, sha256(convert_to(secret, 'UTF8')), clock_timestamp()
            + CASE WHEN EXISTS (SELECT FROM person_role WHERE person_id = of_person AND ended_at IS NULL
                                   AND role <> 'collector') THEN interval '10 hours' ELSE interval '12 hours' END);
    RETURN secret;
END
$$;
-- The secret of a new session; NULL when refused, with the seconds to wait when there were too many tries. What was
-- wrong is never told. code is six digits of the authenticator, or one recovery code.
CREATE FUNCTION sign_in(wanted text, proof bytea, code text, source text) RETURNS TABLE (secret text, wait integer)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, access, public, pg_temp AS $$
DECLARE
    who person;
    kept credential;
    place bytea := sha256(convert_to(coalesce(source, ''), 'UTF8'));
    known boolean;
    step bigint;
    spare bytea;
BEGIN
    secret := NULL; wait := 0;
    SELECT * INTO who FROM person WHERE login = wanted AND kind = 'staff';
    SELECT * INTO kept FROM credential WHERE person_id = who.id FOR UPDATE;
    IF kept.person_id IS NULL THEN
        PERFORM access.step_of(sha256(place), code, 0); -- as long as for somebody who exists
        PERFORM access.note(access.caller() || ': unknown', 'sign_in.refused', 'nobody', '{}');
        RETURN NEXT; RETURN;
    END IF;
    known := EXISTS (SELECT FROM known_source WHERE person_id = who.id AND source_sha256 = place);
    wait := access.try(who.id, known);
    IF wait > 0 THEN
        RETURN NEXT; RETURN;
    END IF;
    step := access.step_of(kept.seed, code, kept.last_step);
    IF step IS NULL THEN
        SELECT code_sha256 INTO spare FROM recovery_code
         WHERE person_id = who.id AND used_at IS NULL AND code_sha256 = sha256(convert_to(coalesce(code, ''), 'UTF8'));
    END IF;
    IF who.disabled_at IS NOT NULL OR sha256(coalesce(proof, '')) <> kept.proof_sha256 OR (step IS NULL AND spare IS NULL) THEN
        PERFORM access.note(access.caller() || ': unknown', 'sign_in.refused', who.login, '{}');
        RETURN NEXT; RETURN;
    END IF;
    PERFORM access.tried_well(who.id, known);
    UPDATE credential SET last_step = coalesce(step, last_step) WHERE person_id = who.id;
    UPDATE recovery_code SET used_at = clock_timestamp() WHERE person_id = who.id AND code_sha256 = spare;
    INSERT INTO known_source (person_id, source_sha256) VALUES (who.id, place)
        ON CONFLICT (person_id, source_sha256) DO UPDATE SET last_at = clock_timestamp();
    secret := access.open_session(who.id);
    PERFORM access.note(who.login, 'sign_in', who.login, jsonb_build_object('recovery_code', spare IS NOT NULL));
    RETURN NEXT;
END
$$;
-- A fresh second factor for the session in use: its new secret, the old one ends. NULL when the code is not right.
CREATE FUNCTION step_up(code text) RETURNS TABLE (secret text, wait integer) LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, access, public, pg_temp AS $$
DECLARE
    mine session := access.live_session();
    kept credential;
    step bigint;
BEGIN
    secret := NULL; wait := 0;
    IF mine.id IS NULL THEN
        RAISE EXCEPTION '%', access.why_nobody() USING ERRCODE = 'RV401', HINT = 'Sign in: revenue-engine login';
    END IF;
    wait := access.try(mine.person_id, true);
    IF wait > 0 THEN
        RETURN NEXT; RETURN;
    END IF;
    SELECT * INTO kept FROM credential WHERE person_id = mine.person_id FOR UPDATE;
    step := access.step_of(kept.seed, code, kept.last_step);
    IF step IS NULL THEN
        PERFORM access.audit('step_up.refused', 'session ' || mine.id, '{}');
        RETURN NEXT; RETURN;
    END IF;
    PERFORM access.tried_well(mine.person_id, true);
    PERFORM access.audit('step_up', 'session ' || mine.id, '{}');
    secret := access.fresh_secret();
    UPDATE credential SET last_step = step WHERE person_id = mine.person_id;
    UPDATE session SET secret_sha256 = sha256(convert_to(secret, 'UTF8')), stepped_up_at = clock_timestamp(),
           seen_at = clock_timestamp() WHERE id = mine.id;
    RETURN NEXT;
END
$$;
-- Said by a face at the beginning of its work: refused at once when the session is not live, and kept from idling.
CREATE FUNCTION seen() RETURNS bigint LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, access, public, pg_temp AS $$
DECLARE
    actor bigint := access.acting();
BEGIN
    IF actor IS NULL THEN
        RAISE EXCEPTION '%', access.why_nobody() USING ERRCODE = 'RV401', HINT = 'Sign in: revenue-engine login';
    END IF;
    UPDATE session SET seen_at = clock_timestamp() WHERE id = (
        SELECT id FROM session WHERE secret_sha256 = access.secret_sha256()
           AND seen_at < clock_timestamp() - interval '1 minute' FOR UPDATE SKIP LOCKED);
    RETURN actor;
END
$$;
CREATE FUNCTION sign_out() RETURNS boolean LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, access, public, pg_temp AS $$
DECLARE
    mine session := access.live_session();
BEGIN
    IF mine.id IS NULL THEN
        RETURN false;
    END IF;
    PERFORM access.audit('sign_out', 'session ' || mine.id, '{}');
    UPDATE session SET ended_at = clock_timestamp(), ended_why = 'you signed out' WHERE id = mine.id;
    RETURN true;
END
$$;
CREATE FUNCTION whoami() RETURNS TABLE (login text, name text, kind text, roles text[], signed_in_at timestamptz,
    stepped_up_at timestamptz, ends_at timestamptz, recovery_codes bigint)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, access, public, pg_temp AS $$
    SELECT p.login, p.name, p.kind,
           ARRAY(SELECT h.role || coalesce(' of ' || h.sub_county, '') || coalesce(' (' || h.directorate || ')', '')
                   FROM person_role h WHERE h.person_id = p.id AND h.ended_at IS NULL ORDER BY 1),
           s.signed_in_at, s.stepped_up_at, s.ends_at,
           (SELECT count(*) FROM recovery_code c WHERE c.person_id = p.id AND c.used_at IS NULL)
      FROM person p LEFT JOIN LATERAL access.live_session() s ON s.person_id = p.id WHERE p.id = access.acting()
$$;

-- Enrolment: once, by whoever has the whole code, who then has a password and a second factor that nobody chose for them.
CREATE FUNCTION enrol(wanted text, code text, salt bytea, memory_kib integer, passes integer, lanes integer, proof bytea,
    seed bytea, first_code text) RETURNS text[] LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, access, public, pg_temp AS $$
DECLARE
    who person;
    given enrolment;
    halves text[] := regexp_split_to_array(coalesce(code, ''), '-');
    step bigint := access.step_of(seed, first_code, 0);
    spare text[];
BEGIN
    SELECT * INTO who FROM person WHERE login = wanted AND disabled_at IS NULL;
    SELECT * INTO given FROM enrolment e WHERE e.person_id = who.id AND e.used_at IS NULL AND e.ends_at > clock_timestamp()
     ORDER BY e.id DESC LIMIT 1 FOR UPDATE;
    IF given.id IS NULL OR cardinality(halves) <> given.halves
       OR sha256(convert_to(halves[1], 'UTF8')) IS DISTINCT FROM given.first_sha256
       OR (given.halves = 2 AND sha256(convert_to(halves[2], 'UTF8')) IS DISTINCT FROM given.second_sha256)
       OR step IS NULL THEN
        RAISE EXCEPTION 'the login, the enrolment code or the code of the authenticator is wrong, or the enrolment was used or is older than three days'
            USING ERRCODE = 'RV401', HINT = 'Two administrators may reset it: revenue-engine user reset LOGIN';
    END IF;
    UPDATE enrolment SET used_at = clock_timestamp() WHERE person_id = who.id AND used_at IS NULL;
    UPDATE session SET ended_at = clock_timestamp(), ended_why = 'the person enrolled anew'
     WHERE person_id = who.id AND ended_at IS NULL;
    INSERT INTO credential (person_id, salt, memory_kib, passes, lanes, proof_sha256, seed, last_step)
    VALUES (who.id, salt, memory_kib, passes, lanes, sha256(proof), seed, step)
    ON CONFLICT (person_id) DO UPDATE SET salt = excluded.salt, memory_kib = excluded.memory_kib, passes = excluded.passes,
        lanes = excluded.lanes, proof_sha256 = excluded.proof_sha256, seed = excluded.seed, last_step = excluded.last_step,
        set_at = clock_timestamp();
    DELETE FROM recovery_code WHERE person_id = who.id;
    spare := ARRAY(SELECT substring(access.fresh_secret() FOR 16) FROM generate_series(1, 10));
    INSERT INTO recovery_code (person_id, code_sha256) SELECT who.id, sha256(convert_to(s, 'UTF8')) FROM unnest(spare) AS s;
    PERFORM access.note(who.login, 'enrolled', who.login, '{}');
    RETURN spare;
END
$$;

-- The first two administrators, by whoever holds the database and only while there is nobody.
CREATE FUNCTION first_administrator(login text, name text, staff_number text) RETURNS text LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, access, public, pg_temp AS $$
DECLARE
    made bigint;
    code text := substring(access.fresh_secret() FOR 24);
BEGIN
    LOCK TABLE person IN SHARE ROW EXCLUSIVE MODE;
    IF EXISTS (SELECT FROM credential c JOIN person p ON p.made_by IS NULL AND p.id = c.person_id) THEN
        RETURN NULL; -- somebody enrolled: from here on administrators make and reset persons, two at a time
    END IF;
    SELECT p.id INTO made FROM person p WHERE p.login = first_administrator.login;
    IF made IS NULL THEN
        IF (SELECT count(*) FROM person p WHERE p.kind = 'staff') >= 2 THEN
            RAISE EXCEPTION 'there are persons already: an administrator asks for another one' USING ERRCODE = 'RV409';
        END IF;
        made := access.make_person('staff', login, name, staff_number, NULL);
        INSERT INTO person_role (person_id, role) VALUES (made, 'administrator');
        PERFORM access.note('setup', 'person.made', login, jsonb_build_object('role', 'administrator'));
    END IF;
    UPDATE enrolment SET used_at = clock_timestamp() WHERE person_id = made AND used_at IS NULL;
    INSERT INTO enrolment (person_id, halves, first_sha256, ends_at)
    VALUES (made, 1, sha256(convert_to(code, 'UTF8')), clock_timestamp() + interval '3 days');
    RETURN code;
END
$$;
