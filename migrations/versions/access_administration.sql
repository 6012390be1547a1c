-- What administrators do: shut out at once (one person), tokens of services (one), all else by two.

CREATE FUNCTION disable_person(wanted text, why text) RETURNS void LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, access, public, pg_temp AS $$
DECLARE
    actor bigint := access.must('person.disable');
    who person;
BEGIN
    IF length(btrim(coalesce(why, ''))) < 3 THEN
        RAISE EXCEPTION 'say why' USING ERRCODE = 'RV400';
    END IF;
    SELECT * INTO who FROM person WHERE login = wanted FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'nobody has the login %', wanted USING ERRCODE = 'RV404';
    ELSIF who.disabled_at IS NOT NULL THEN
        RAISE EXCEPTION '% is disabled already', wanted USING ERRCODE = 'RV409';
    ELSIF who.id = actor THEN
        RAISE EXCEPTION 'nobody disables themselves: another administrator does' USING ERRCODE = 'RV403';
    END IF;
    UPDATE person SET disabled_at = clock_timestamp(), disabled_by = actor, disabled_why = btrim(why) WHERE id = who.id;
    PERFORM access.end_sessions(who.id, 'the person was disabled');
    PERFORM access.audit('person.disabled', wanted, jsonb_build_object('why', why));
END
$$;
CREATE FUNCTION end_sessions(of_person bigint, why text) RETURNS bigint LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, access, public, pg_temp AS $$
DECLARE
    ended bigint;
BEGIN
    UPDATE session SET ended_at = clock_timestamp(), ended_why = why WHERE person_id = of_person AND ended_at IS NULL;
    GET DIAGNOSTICS ended = ROW_COUNT;
    UPDATE token SET ended_at = clock_timestamp() WHERE person_id = of_person AND ended_at IS NULL
       AND (SELECT disabled_at IS NOT NULL FROM person WHERE id = of_person);
    RETURN ended;
END
$$;
-- End every session of a person: one's own, or as an administrator anybody's.
CREATE FUNCTION revoke_sessions(wanted text) RETURNS bigint LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, access, public, pg_temp AS $$
DECLARE
    who person;
    ended bigint;
BEGIN
    SELECT * INTO who FROM person WHERE login = wanted;
    IF who.id IS DISTINCT FROM access.acting() OR who.id IS NULL THEN
        PERFORM access.must('person.disable');
    END IF;
    IF who.id IS NULL THEN
        RAISE EXCEPTION 'nobody has the login %', wanted USING ERRCODE = 'RV404';
    END IF;
    PERFORM access.audit('sessions.ended', wanted, '{}');
    ended := access.end_sessions(who.id, 'it was revoked');
    RETURN ended;
END
$$;
CREATE FUNCTION persons() RETURNS TABLE (login text, name text, staff_number text, kind text, roles text[], state text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, access, public, pg_temp AS $$
BEGIN
    PERFORM access.must('person.read');
    RETURN QUERY SELECT p.login, p.name, p.staff_number, p.kind,
           ARRAY(SELECT h.role || coalesce(' of ' || h.sub_county, '') || coalesce(' (' || h.directorate || ')', '')
                   FROM person_role h WHERE h.person_id = p.id AND h.ended_at IS NULL ORDER BY 1),
           CASE WHEN p.disabled_at IS NOT NULL THEN 'disabled'
                WHEN p.kind = 'service' THEN 'service'
                WHEN EXISTS (SELECT FROM credential c WHERE c.person_id = p.id) THEN 'enrolled' ELSE 'not enrolled' END
      FROM person p ORDER BY p.id;
END
$$;
-- A token of a service, told this once. A service holds no role and makes no judgement.
CREATE FUNCTION issue_token(service text, days integer) RETURNS text LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, access, public, pg_temp AS $$
DECLARE
    actor bigint := access.must('token.issue');
    made text := access.fresh_secret();
    who person;
BEGIN
    IF days IS NULL OR days NOT BETWEEN 1 AND 366 THEN
        RAISE EXCEPTION 'a token lasts 1 to 366 days' USING ERRCODE = 'RV400';
    END IF;
    SELECT * INTO who FROM person WHERE login = service;
    IF who.id IS NULL THEN
        who.id := access.make_person('service', service, service, 'SERVICE-' || (SELECT count(*) + 1 FROM person), actor);
    ELSIF who.kind <> 'service' THEN
        RAISE EXCEPTION '% is a person: persons sign in, tokens are for services', service USING ERRCODE = 'RV409';
    ELSIF who.disabled_at IS NOT NULL THEN
        RAISE EXCEPTION '% is disabled', service USING ERRCODE = 'RV409';
    END IF;
    INSERT INTO token (person_id, secret_sha256, issued_by, ends_at)
    VALUES (who.id, sha256(convert_to(made, 'UTF8')), actor, clock_timestamp() + make_interval(days => days));
    PERFORM access.audit('token.issued', service, jsonb_build_object('days', days));
    RETURN made;
END
$$;
CREATE FUNCTION revoke_token(number bigint) RETURNS void LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, access, public, pg_temp AS $$
BEGIN
    PERFORM access.must('token.issue');
    UPDATE token SET ended_at = clock_timestamp() WHERE id = number AND ended_at IS NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no token % is in use', number USING ERRCODE = 'RV404';
    END IF;
    PERFORM access.audit('token.revoked', number::text, '{}');
END
$$;
CREATE FUNCTION tokens() RETURNS TABLE (number bigint, service text, issued_by text, issued_at timestamptz,
    ends_at timestamptz, state text) LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, access, public, pg_temp AS $$
BEGIN
    PERFORM access.must('person.read');
    RETURN QUERY SELECT t.id, s.login, i.login, t.issued_at, t.ends_at,
        CASE WHEN t.ended_at IS NOT NULL THEN 'revoked' WHEN t.ends_at <= clock_timestamp() THEN 'expired' ELSE 'in use' END
      FROM token t JOIN person s ON s.id = t.person_id JOIN person i ON i.id = t.issued_by ORDER BY t.id;
END
$$;
