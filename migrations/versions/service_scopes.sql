SET LOCAL ROLE revenue_owner;
SET LOCAL search_path = access, public;

-- What another system of the county may do. A service holds no role and makes no judgement: it holds scopes, which are
-- permissions that need no judgement, and two administrators give each of them.
ALTER TABLE permission ADD COLUMN service BOOLEAN NOT NULL DEFAULT false,
    ADD CONSTRAINT permission_of_a_service CHECK (NOT (service AND judgement));
UPDATE permission SET service = true WHERE code IN ('read', 'payer.register', 'bill.issue', 'push.request', 'export');

CREATE TABLE service_scope (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    person_id BIGINT NOT NULL REFERENCES person (id),
    permission TEXT NOT NULL REFERENCES permission (code),
    request_id BIGINT NOT NULL REFERENCES request (id),
    given_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    ended_at TIMESTAMPTZ,
    ended_by BIGINT REFERENCES person (id),
    CHECK ((ended_at IS NULL) = (ended_by IS NULL))
);
CREATE UNIQUE INDEX uq_service_scope ON service_scope (person_id, permission) WHERE ended_at IS NULL;
REVOKE ALL ON service_scope FROM PUBLIC;

CREATE OR REPLACE FUNCTION may(wanted text, minor bigint DEFAULT NULL, place text DEFAULT NULL) RETURNS boolean LANGUAGE sql STABLE
    SECURITY DEFINER SET search_path = pg_catalog, access, public, pg_temp AS $$
    SELECT EXISTS (SELECT FROM person_role h JOIN role_permission g ON g.role = h.role AND g.permission = wanted
                    WHERE h.person_id = access.acting() AND h.ended_at IS NULL
                      AND (h.sub_county IS NULL OR h.sub_county = place)
                      AND (g.limit_minor IS NULL OR minor IS NULL OR g.limit_minor >= minor))
        OR EXISTS (SELECT FROM service_scope s JOIN permission n ON n.code = s.permission AND n.service AND NOT n.judgement
                    WHERE s.person_id = access.acting() AND s.permission = wanted AND s.ended_at IS NULL)
$$;

CREATE FUNCTION state_of_service(payload jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, access, public, pg_temp AS $$
DECLARE
    who person;
BEGIN
    SELECT * INTO who FROM person WHERE login = payload ->> 'service' AND kind = 'service';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no service %: issue a token of it first', payload ->> 'service' USING ERRCODE = 'RV404';
    ELSIF NOT EXISTS (SELECT FROM permission WHERE code = payload ->> 'scope' AND service) THEN
        RAISE EXCEPTION 'a service may not be given %; scopes are %', payload ->> 'scope',
            (SELECT string_agg(code, ', ' ORDER BY code) FROM permission WHERE service) USING ERRCODE = 'RV400';
    ELSIF EXISTS (SELECT FROM service_scope WHERE person_id = who.id AND permission = payload ->> 'scope' AND ended_at IS NULL) THEN
        RAISE EXCEPTION '% holds % already', payload ->> 'service', payload ->> 'scope' USING ERRCODE = 'RV409';
    END IF;
    RETURN jsonb_build_object('disabled', who.disabled_at IS NOT NULL, 'scopes',
        (SELECT coalesce(jsonb_agg(permission ORDER BY permission), '[]') FROM service_scope
          WHERE person_id = who.id AND ended_at IS NULL));
END
$$;
CREATE FUNCTION do_scope_grant(payload jsonb, request bigint) RETURNS void LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, access, public, pg_temp AS $$
    INSERT INTO service_scope (person_id, permission, request_id)
    SELECT id, payload ->> 'scope', request FROM person WHERE login = payload ->> 'service' AND kind = 'service'
$$;
-- Taking a scope away needs one person, and is done at once.
CREATE FUNCTION end_scope(wanted_service text, scope text) RETURNS void LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, access, public, pg_temp AS $$
DECLARE
    actor bigint := access.must('token.issue');
BEGIN
    UPDATE service_scope s SET ended_at = clock_timestamp(), ended_by = actor
      FROM person p WHERE p.id = s.person_id AND p.login = wanted_service AND s.permission = scope AND s.ended_at IS NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION '% does not hold %', wanted_service, scope USING ERRCODE = 'RV404';
    END IF;
    PERFORM access.audit('scope.ended', wanted_service, jsonb_build_object('scope', scope));
END
$$;
CREATE FUNCTION scopes() RETURNS TABLE (service text, scope text, given_at timestamptz) LANGUAGE plpgsql STABLE
    SECURITY DEFINER SET search_path = pg_catalog, access, public, pg_temp AS $$
BEGIN
    PERFORM access.must('person.read');
    RETURN QUERY SELECT p.login, s.permission, s.given_at FROM service_scope s JOIN person p ON p.id = s.person_id
        WHERE s.ended_at IS NULL ORDER BY 1, 2;
END
$$;
REVOKE ALL ON FUNCTION state_of_service(jsonb), do_scope_grant(jsonb, bigint), end_scope(text, text), scopes() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION access.end_scope(text, text), access.scopes() TO revenue_api;
INSERT INTO approval_kind (code, what, ask, agree, state_function, done_by, second_above_minor) VALUES
    ('scope_grant', 'what a service may do', 'person.ask', 'person.agree', 'access.state_of_service', 'access.do_scope_grant', NULL);
RESET ROLE;
