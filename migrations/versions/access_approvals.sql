-- Two persons for a judgement. What is asked for is frozen with the state it rests on; another person agrees to exactly
-- that; a worker does it once, while it still holds. The functions of the asking and agreeing side write no business row.

-- Agreed things are done by a job; the end of the third working day after the asking is the end of a request.
CREATE FUNCTION third_working_day(since timestamptz) RETURNS timestamptz LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, access, public, pg_temp AS $$
DECLARE
    candidate date := (since AT TIME ZONE 'Africa/Nairobi')::date;
    counted integer := 0;
BEGIN
    WHILE counted < 3 LOOP
        candidate := candidate + 1;
        IF extract(isodow FROM candidate) < 6 AND NOT EXISTS (SELECT FROM public_holiday h WHERE h.day = candidate) THEN
            counted := counted + 1;
        END IF;
    END LOOP;
    RETURN (candidate + 1)::timestamp AT TIME ZONE 'Africa/Nairobi';
END
$$;
CREATE FUNCTION state_now(wanted text, payload jsonb) RETURNS jsonb LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, access, public, pg_temp AS $$
DECLARE
    named text;
    found jsonb;
BEGIN
    SELECT state_function INTO named FROM approval_kind WHERE code = wanted;
    IF named IS NULL THEN
        RAISE EXCEPTION 'nothing is asked for by the name %', wanted USING ERRCODE = 'RV400';
    END IF;
    EXECUTE format('SELECT %s($1)', named) INTO found USING payload;
    RETURN coalesce(found, '{}');
END
$$;
CREATE FUNCTION standing_of(asked request) RETURNS text LANGUAGE sql STABLE
    SET search_path = pg_catalog, access, public, pg_temp AS $$
    SELECT coalesce((SELECT outcome FROM execution WHERE request_id = asked.id),
        CASE WHEN EXISTS (SELECT FROM answer WHERE request_id = asked.id AND NOT agreed) THEN 'refused'
             WHEN (SELECT count(*) FROM answer WHERE request_id = asked.id AND agreed) >= asked.checkers THEN 'agreed'
             WHEN asked.expires_at <= clock_timestamp() THEN 'expired' ELSE 'waiting' END)
$$;

CREATE FUNCTION ask(wanted text, subject text, payload jsonb, reason text) RETURNS text LANGUAGE plpgsql VOLATILE
    SECURITY DEFINER SET search_path = pg_catalog, access, public, pg_temp AS $$
DECLARE
    sort approval_kind;
    now_is jsonb;
    actor bigint;
    public text := 'req_' || replace(gen_random_uuid()::text, '-', '');
    minor bigint;
    frozen bytea;
BEGIN
    SELECT * INTO sort FROM approval_kind WHERE code = wanted;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'nothing is asked for by the name %', wanted USING ERRCODE = 'RV400';
    END IF;
    PERFORM access.must(sort.ask, NULL, NULL) WHERE access.acting() IS NULL; -- first of all: who is it
    now_is := access.state_now(wanted, payload);
    minor := (now_is ->> 'amount_minor')::bigint;
    actor := access.must(sort.ask, NULL, now_is ->> 'sub_county');
    IF access.live_session() IS NULL THEN
        RAISE EXCEPTION 'a service asks for no judgement; % may', access.who_may(sort.ask) USING ERRCODE = 'RV403';
    END IF;
    frozen := convert_to(jsonb_build_object('kind', wanted, 'subject', subject, 'payload', payload, 'reason', btrim(reason),
        'state', now_is, 'asked_by', (SELECT login FROM person WHERE id = actor))::text, 'UTF8');
    INSERT INTO request (public_id, kind, subject, payload, reason, state, amount_minor, sub_county, checkers, shown,
                         shown_sha256, requested_by, expires_at)
    VALUES (public, wanted, subject, payload, btrim(reason), now_is, minor, now_is ->> 'sub_county',
            CASE WHEN minor > sort.second_above_minor THEN 2 ELSE 1 END, frozen, sha256(frozen), actor,
            access.third_working_day(clock_timestamp()));
    PERFORM access.audit('asked.' || wanted, public, jsonb_build_object('subject', subject,
        'shown', encode(sha256(frozen), 'hex')));
    RETURN public;
EXCEPTION WHEN check_violation OR not_null_violation THEN
    RAISE EXCEPTION 'a request has a subject, and a reason of 3 to 500 letters' USING ERRCODE = 'RV400';
END
$$;

CREATE FUNCTION answer_one(asked_for text, agreed boolean, shown_sha256 bytea, reason text, of_list bigint) RETURNS text
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, access, public, pg_temp AS $$
DECLARE
    asked request;
    sort approval_kind;
    actor bigint;
    stands text;
BEGIN
    IF access.acting() IS NULL THEN
        RAISE EXCEPTION '%', access.why_nobody() USING ERRCODE = 'RV401', HINT = 'Sign in: revenue-engine login';
    END IF;
    SELECT * INTO asked FROM request WHERE public_id = asked_for FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no request %', asked_for USING ERRCODE = 'RV404';
    END IF;
    SELECT * INTO sort FROM approval_kind WHERE code = asked.kind;
    IF asked.requested_by = access.acting() THEN
        RAISE EXCEPTION 'you asked for this: another person answers; % may', access.who_may(sort.agree, asked.amount_minor)
            USING ERRCODE = 'RV403';
    END IF;
    actor := access.must(sort.agree, asked.amount_minor, asked.sub_county);
    stands := access.standing_of(asked);
    IF stands <> 'waiting' THEN
        RAISE EXCEPTION '% is % already', asked_for, stands USING ERRCODE = 'RV409';
    ELSIF EXISTS (SELECT FROM answer a WHERE a.request_id = asked.id AND a.person_id = actor) THEN
        RAISE EXCEPTION 'you agreed to % already: it needs % persons', asked_for, asked.checkers USING ERRCODE = 'RV409';
    ELSIF agreed AND access.state_now(asked.kind, asked.payload) <> asked.state THEN
        RAISE EXCEPTION 'what % rests on has changed since it was asked for: ask again', asked_for USING ERRCODE = 'RV409';
    END IF;
    INSERT INTO answer (request_id, person_id, agreed, reason, shown_sha256, session_id, list_id)
    VALUES (asked.id, actor, agreed, btrim(reason), answer_one.shown_sha256, (access.live_session()).id, of_list);
    stands := access.standing_of(asked);
    IF stands = 'agreed' THEN
        INSERT INTO job (kind, ref_id) VALUES ('approved', asked.id);
    END IF;
    PERFORM access.audit(CASE WHEN agreed THEN 'agreed.' ELSE 'refused.' END || asked.kind, asked_for,
        jsonb_build_object('shown', encode(asked.shown_sha256, 'hex'), 'stands', stands));
    RETURN stands;
EXCEPTION WHEN check_violation OR not_null_violation THEN
    RAISE EXCEPTION 'a refusal says why, and an answer names what was shown' USING ERRCODE = 'RV400';
END
$$;
CREATE FUNCTION agree(asked_for text, shown_sha256 bytea) RETURNS text LANGUAGE sql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, access, public, pg_temp AS $$ SELECT access.answer_one($1, true, $2, NULL, NULL) $$;
CREATE FUNCTION refuse(asked_for text, shown_sha256 bytea, reason text) RETURNS text LANGUAGE sql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, access, public, pg_temp AS $$ SELECT access.answer_one($1, false, $2, $3, NULL) $$;
-- A list is what its hash says: "id hash" lines in the order shown. All of it is agreed to, or nothing.
CREATE FUNCTION agree_list(asked_for text[], list_sha256 bytea) RETURNS bigint LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, access, public, pg_temp AS $$
DECLARE
    lines text;
    sum_minor bigint;
    list bigint;
    one record;
BEGIN
    IF access.acting() IS NULL THEN
        RAISE EXCEPTION '%', access.why_nobody() USING ERRCODE = 'RV401', HINT = 'Sign in: revenue-engine login';
    END IF;
    SELECT string_agg(r.public_id || ' ' || encode(r.shown_sha256, 'hex'), E'\n' ORDER BY w.place),
           coalesce(sum(r.amount_minor), 0)::bigint INTO lines, sum_minor
      FROM unnest(asked_for) WITH ORDINALITY AS w (id, place) JOIN request r ON r.public_id = w.id;
    IF lines IS NULL OR sha256(convert_to(lines, 'UTF8')) IS DISTINCT FROM agree_list.list_sha256 THEN
        RAISE EXCEPTION 'the list is not what you were shown: look at it again' USING ERRCODE = 'RV409';
    END IF;
    INSERT INTO answered_list (list_sha256, requests, total_minor, person_id)
    VALUES (agree_list.list_sha256, cardinality(asked_for), sum_minor, access.acting()) RETURNING id INTO list;
    FOR one IN SELECT r.public_id, r.shown_sha256 FROM request r WHERE r.public_id = ANY (asked_for) ORDER BY r.id LOOP
        PERFORM access.answer_one(one.public_id, true, one.shown_sha256, NULL, list);
    END LOOP;
    RETURN sum_minor;
END
$$;
CREATE FUNCTION withdraw(asked_for text) RETURNS void LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, access, public, pg_temp AS $$
DECLARE
    asked request;
BEGIN
    SELECT * INTO asked FROM request WHERE public_id = asked_for FOR UPDATE;
    IF asked.requested_by IS DISTINCT FROM access.acting() OR asked.id IS NULL THEN
        RAISE EXCEPTION 'only who asked for it takes a request back' USING ERRCODE = 'RV403';
    ELSIF access.standing_of(asked) NOT IN ('waiting', 'expired') THEN
        RAISE EXCEPTION '% is % already', asked_for, access.standing_of(asked) USING ERRCODE = 'RV409';
    END IF;
    INSERT INTO execution (request_id, outcome, reason) VALUES (asked.id, 'void', 'taken back by who asked');
    PERFORM access.audit('withdrawn.' || asked.kind, asked_for, '{}');
END
$$;
CREATE FUNCTION requests(which text DEFAULT NULL) RETURNS TABLE (public_id text, kind text, subject text, shown bytea,
    shown_sha256 bytea, amount_minor bigint, asked_by text, requested_at timestamptz, expires_at timestamptz, stands text,
    why text, agreed_by text[], checkers integer) LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, access, public, pg_temp AS $$
BEGIN
    PERFORM access.must('read') WHERE NOT access.may('person.read'); -- auditors and administrators see them too
    RETURN QUERY
    SELECT r.public_id, r.kind, r.subject, r.shown, r.shown_sha256, r.amount_minor, p.login, r.requested_at, r.expires_at,
           s.stands, coalesce(e.reason, (SELECT a.reason FROM answer a WHERE a.request_id = r.id AND NOT a.agreed LIMIT 1)),
           ARRAY(SELECT o.login FROM answer a JOIN person o ON o.id = a.person_id WHERE a.request_id = r.id AND a.agreed
                  ORDER BY a.id), r.checkers
      FROM request r JOIN person p ON p.id = r.requested_by LEFT JOIN execution e ON e.request_id = r.id
      CROSS JOIN LATERAL (SELECT access.standing_of(r) AS stands) s
     WHERE which IS NULL OR which = s.stands OR which = r.public_id
     ORDER BY (s.stands = 'waiting') DESC, r.amount_minor DESC NULLS LAST, r.id DESC LIMIT 1000;
END
$$;

-- The worker's side. What was agreed to is done once, in this transaction; NULL when it is void by now.
CREATE FUNCTION execute(number bigint) RETURNS TABLE (kind text, payload jsonb, public_id text, reason text) LANGUAGE plpgsql VOLATILE
    SECURITY DEFINER SET search_path = pg_catalog, access, public, pg_temp AS $$
DECLARE
    asked request;
    sort approval_kind;
    void text;
BEGIN
    SELECT * INTO asked FROM request WHERE id = number FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no request %', number USING ERRCODE = 'RV404';
    ELSIF EXISTS (SELECT FROM execution WHERE request_id = number) THEN
        RAISE EXCEPTION '% was done already', asked.public_id USING ERRCODE = 'RV409';
    END IF;
    SELECT * INTO sort FROM approval_kind WHERE code = asked.kind;
    void := CASE
        WHEN asked.expires_at <= clock_timestamp() THEN 'it was not done within three working days'
        WHEN EXISTS (SELECT FROM person WHERE disabled_at IS NOT NULL AND (id = asked.requested_by
             OR id IN (SELECT person_id FROM answer WHERE request_id = number))) THEN 'a person who asked or agreed is disabled' END;
    IF void IS NULL THEN
        BEGIN
            IF access.state_now(asked.kind, asked.payload) <> asked.state THEN
                void := 'what it rests on changed after it was agreed to';
            END IF;
        EXCEPTION WHEN SQLSTATE 'RV404' OR SQLSTATE 'RV409' THEN
            void := 'what it rests on changed after it was agreed to: ' || SQLERRM;
        END;
    END IF;
    INSERT INTO execution (request_id, outcome, reason)
    VALUES (number, CASE WHEN void IS NULL THEN 'done' ELSE 'void' END, void);
    PERFORM access.note('approval ' || asked.public_id, CASE WHEN void IS NULL THEN 'done.' ELSE 'void.' END || asked.kind,
        asked.subject, jsonb_build_object('request', asked.public_id, 'why', void));
    IF void IS NOT NULL THEN
        RETURN;
    END IF;
    IF sort.done_by IS NOT NULL THEN
        EXECUTE format('SELECT %s($1, $2)', sort.done_by) USING asked.payload, asked.id;
    END IF;
    RETURN QUERY SELECT asked.kind, asked.payload, asked.public_id, asked.reason;
END
$$;
-- Whether this very transaction does an agreed request: what the triggers on business rows ask.
CREATE FUNCTION doing(number bigint, wanted text) RETURNS jsonb LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, access, public, pg_temp AS $$
    SELECT r.payload FROM execution e JOIN request r ON r.id = e.request_id
     WHERE e.request_id = number AND e.xid = pg_current_xact_id_if_assigned() AND e.outcome = 'done' AND r.kind = wanted
$$;

-- Persons and roles, by two administrators.
CREATE FUNCTION state_of_person(payload jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, access, public, pg_temp AS $$
DECLARE
    who person;
BEGIN
    SELECT * INTO who FROM person WHERE login = payload ->> 'login' AND kind = 'staff';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'nobody has the login %', payload ->> 'login' USING ERRCODE = 'RV404';
    END IF;
    IF payload ? 'role' AND NOT EXISTS (SELECT FROM role WHERE code = payload ->> 'role') THEN
        RAISE EXCEPTION 'there is no role %; there are %', payload ->> 'role',
            (SELECT string_agg(code, ', ' ORDER BY code) FROM role) USING ERRCODE = 'RV400';
    END IF;
    RETURN jsonb_build_object('name', who.name, 'staff_number', who.staff_number, 'disabled', who.disabled_at IS NOT NULL,
        'enrolled', (SELECT set_at FROM credential WHERE person_id = who.id),
        'roles', (SELECT coalesce(jsonb_agg(h.role || coalesce(' ' || h.sub_county, '') || coalesce(' ' || h.directorate, '')
                         ORDER BY h.id), '[]') FROM person_role h WHERE h.person_id = who.id AND h.ended_at IS NULL));
END
$$;
CREATE FUNCTION state_of_new_person(payload jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, access, public, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM person WHERE login = payload ->> 'login' OR staff_number = payload ->> 'staff_number') THEN
        RAISE EXCEPTION 'the login % or the staff number % is somebody''s already: one person has one account',
            payload ->> 'login', payload ->> 'staff_number' USING ERRCODE = 'RV409';
    ELSIF NOT EXISTS (SELECT FROM role WHERE code = payload ->> 'role') THEN
        RAISE EXCEPTION 'there is no role %; there are %', payload ->> 'role',
            (SELECT string_agg(code, ', ' ORDER BY code) FROM role) USING ERRCODE = 'RV400';
    ELSIF (payload ->> 'role' = 'department_officer') <> (coalesce(payload ->> 'directorate', '') <> '') THEN
        RAISE EXCEPTION 'a department officer is of a directorate, and nobody else is' USING ERRCODE = 'RV400';
    ELSIF coalesce(payload ->> 'login', '') !~ '^[a-z][a-z0-9]*([._-][a-z0-9]+)*$'
        OR length(payload ->> 'login') NOT BETWEEN 3 AND 40
        OR coalesce(payload ->> 'staff_number', '') !~ '^[A-Z0-9][A-Z0-9/-]{0,19}$'
        OR coalesce(payload ->> 'name', '') ~ '[^A-Za-z0-9 .''()À-ÖØ-öø-ÿ-]'
        OR length(btrim(coalesce(payload ->> 'name', ''))) NOT BETWEEN 2 AND 80 THEN
        RAISE EXCEPTION 'a login is 3 to 40 small letters and digits with single dots, dashes or underscores between; a name is in Latin letters; a staff number is in capitals, digits, / and -'
            USING ERRCODE = 'RV400';
    END IF;
    -- Two persons may bear one name; who agrees is told.
    RETURN jsonb_build_object('same_name', (SELECT coalesce(jsonb_agg(login ORDER BY login), '[]') FROM person
        WHERE lower(regexp_replace(name, '[^A-Za-z]', '', 'g')) = lower(regexp_replace(payload ->> 'name', '[^A-Za-z]', '', 'g'))));
END
$$;
CREATE FUNCTION open_enrolment(of_person bigint, request bigint) RETURNS void LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, access, public, pg_temp AS $$
    INSERT INTO enrolment (person_id, request_id, halves, ends_at)
    VALUES (of_person, request, 2, clock_timestamp() + interval '3 days')
$$;
CREATE FUNCTION do_person_add(payload jsonb, request bigint) RETURNS void LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, access, public, pg_temp AS $$
DECLARE
    made bigint := access.make_person('staff', payload ->> 'login', btrim(payload ->> 'name'), payload ->> 'staff_number',
        (SELECT requested_by FROM request r WHERE r.id = do_person_add.request));
BEGIN
    INSERT INTO person_role (person_id, role, sub_county, directorate, request_id)
    VALUES (made, payload ->> 'role', payload ->> 'sub_county', payload ->> 'directorate', request);
    PERFORM access.open_enrolment(made, request);
END
$$;
CREATE FUNCTION do_person_reset(payload jsonb, request bigint) RETURNS void LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, access, public, pg_temp AS $$
DECLARE
    who bigint := (SELECT id FROM person WHERE login = payload ->> 'login');
BEGIN
    PERFORM access.end_sessions(who, 'the person was reset');
    DELETE FROM credential WHERE person_id = who;
    DELETE FROM recovery_code WHERE person_id = who;
    UPDATE person SET disabled_at = NULL, disabled_by = NULL, disabled_why = NULL WHERE id = who;
    PERFORM access.open_enrolment(who, request);
END
$$;
CREATE FUNCTION do_role_grant(payload jsonb, request bigint) RETURNS void LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, access, public, pg_temp AS $$
    INSERT INTO person_role (person_id, role, sub_county, directorate, request_id)
    SELECT id, payload ->> 'role', payload ->> 'sub_county', payload ->> 'directorate', request
      FROM person WHERE login = payload ->> 'login'
$$;
CREATE FUNCTION do_role_end(payload jsonb, request bigint) RETURNS void LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, access, public, pg_temp AS $$
BEGIN
    UPDATE person_role h SET ended_at = clock_timestamp(), ended_by_request = request
      FROM person p WHERE p.id = h.person_id AND p.login = payload ->> 'login' AND h.ended_at IS NULL
       AND h.role = payload ->> 'role' AND (payload ->> 'sub_county' IS NULL OR h.sub_county = payload ->> 'sub_county');
    IF NOT FOUND THEN
        RAISE EXCEPTION '% does not hold the role %', payload ->> 'login', payload ->> 'role' USING ERRCODE = 'RV404';
    END IF;
END
$$;
-- The half of an enrolment code that is mine, told this once: one for who asked, one for who agreed.
CREATE FUNCTION enrolment_half(asked_for text) RETURNS TABLE (login text, half text, first boolean) LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, access, public, pg_temp AS $$
DECLARE
    actor bigint := access.must('person.ask');
    asked request;
    given enrolment;
BEGIN
    half := substring(access.fresh_secret() FOR 12);
    SELECT * INTO asked FROM request r WHERE r.public_id = asked_for;
    SELECT * INTO given FROM enrolment e WHERE e.request_id = asked.id AND e.used_at IS NULL AND e.ends_at > clock_timestamp()
       FOR UPDATE;
    IF given.id IS NULL THEN
        RAISE EXCEPTION 'no enrolment is open for %', asked_for USING ERRCODE = 'RV404',
            HINT = 'It is open for three days after both have agreed.';
    END IF;
    first := actor = asked.requested_by;
    IF NOT first AND NOT EXISTS (SELECT FROM answer a WHERE a.request_id = asked.id AND a.person_id = actor AND a.agreed) THEN
        RAISE EXCEPTION 'the halves are for who asked and who agreed' USING ERRCODE = 'RV403';
    ELSIF (CASE WHEN first THEN given.first_sha256 ELSE given.second_sha256 END) IS NOT NULL THEN
        RAISE EXCEPTION 'your half was told already; ask for a reset' USING ERRCODE = 'RV409';
    END IF;
    UPDATE enrolment SET first_sha256 = CASE WHEN first THEN sha256(convert_to(half, 'UTF8')) ELSE first_sha256 END,
           second_sha256 = CASE WHEN first THEN second_sha256 ELSE sha256(convert_to(half, 'UTF8')) END WHERE id = given.id;
    login := (SELECT p.login FROM person p WHERE p.id = given.person_id);
    PERFORM access.audit('enrolment.half_told', login, '{}');
    RETURN NEXT;
END
$$;

INSERT INTO approval_kind (code, what, ask, agree, state_function, done_by, second_above_minor) VALUES
    ('person_add', 'a new person', 'person.ask', 'person.agree', 'access.state_of_new_person', 'access.do_person_add', NULL),
    ('person_reset', 'a new password and second factor, and a disabled person back', 'person.ask', 'person.agree',
        'access.state_of_person', 'access.do_person_reset', NULL),
    ('role_grant', 'a role', 'person.ask', 'person.agree', 'access.state_of_person', 'access.do_role_grant', NULL),
    ('role_end', 'the end of a role', 'person.ask', 'person.agree', 'access.state_of_person', 'access.do_role_end', NULL);

-- Least grants: no role may touch a table here; the api, which persons use, may call what persons call, the worker what
-- it does for them.
REVOKE ALL ON ALL TABLES IN SCHEMA access FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA access FROM PUBLIC;
GRANT USAGE ON SCHEMA access TO revenue_api, revenue_worker, revenue_report, revenue_intake;
GRANT EXECUTE ON FUNCTION access.acting(), access.may(text, bigint, text), access.must(text, bigint, text),
    access.why_nobody(), access.audit(text, text, jsonb, text) TO revenue_api, revenue_worker, revenue_report;
GRANT EXECUTE ON FUNCTION access.salt_of(text), access.sign_in(text, bytea, text, text), access.step_up(text),
    access.seen(), access.sign_out(), access.whoami(), access.who_may(text, bigint),
    access.enrol(text, text, bytea, integer, integer, integer, bytea, bytea, text),
    access.disable_person(text, text), access.revoke_sessions(text), access.persons(), access.issue_token(text, integer),
    access.revoke_token(bigint), access.tokens(), access.ask(text, text, jsonb, text), access.agree(text, bytea),
    access.refuse(text, bytea, text), access.agree_list(text[], bytea), access.withdraw(text), access.requests(text),
    access.enrolment_half(text) TO revenue_api;
GRANT EXECUTE ON FUNCTION access.execute(bigint), access.doing(bigint, text) TO revenue_worker;
