-- Persons, what proves them, what they may do, what two of them agree to. No role may write one row here: functions do.

DO $$
BEGIN
    IF to_regnamespace('access') IS NULL THEN
        CREATE SCHEMA access AUTHORIZATION revenue_owner;
    END IF;
END
$$;
SET LOCAL ROLE revenue_owner;
SET LOCAL search_path = access, public;

-- A person of the county's staff, or a service. The staff number, not the name, says that two accounts are one person.
CREATE TABLE person (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('staff', 'service')),
    login TEXT COLLATE "C" NOT NULL UNIQUE
        CHECK (login ~ '^[a-z][a-z0-9]*([._-][a-z0-9]+)*$' AND length(login) BETWEEN 3 AND 40),
    name TEXT NOT NULL CHECK (name = btrim(name) AND length(name) BETWEEN 2 AND 80
        AND name !~ '[^A-Za-z0-9 .''()À-ÖØ-öø-ÿ-]'),
    staff_number TEXT COLLATE "C" NOT NULL UNIQUE CHECK (staff_number ~ '^[A-Z0-9][A-Z0-9/-]{0,19}$'),
    made_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    made_by BIGINT REFERENCES person (id),
    disabled_at TIMESTAMPTZ,
    disabled_by BIGINT REFERENCES person (id),
    disabled_why TEXT
);

-- Roles are data. The duty is what no person may hold twice over: granting roles, moving money, auditing.
CREATE TABLE role (
    code TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    duty TEXT CHECK (duty IN ('grants', 'moves', 'audits'))
);
-- A judgement needs a second factor not older than five minutes, and no service may make one.
CREATE TABLE permission (
    code TEXT PRIMARY KEY,
    what TEXT NOT NULL,
    judgement BOOLEAN NOT NULL
);
CREATE TABLE role_permission (
    role TEXT NOT NULL REFERENCES role (code),
    permission TEXT NOT NULL REFERENCES permission (code),
    limit_minor BIGINT CHECK (limit_minor > 0),
    PRIMARY KEY (role, permission)
);
CREATE TABLE person_role (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    person_id BIGINT NOT NULL REFERENCES person (id),
    role TEXT NOT NULL REFERENCES role (code),
    sub_county TEXT CHECK (sub_county <> ''),
    directorate TEXT CHECK (directorate <> ''),
    granted_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    request_id BIGINT,
    ended_at TIMESTAMPTZ,
    ended_by_request BIGINT,
    CHECK ((role = 'department_officer') = (directorate IS NOT NULL))
);
CREATE UNIQUE INDEX uq_person_role_held ON person_role (person_id, role, coalesce(sub_county, ''), coalesce(directorate, ''))
    WHERE ended_at IS NULL;

-- What proves a person: Argon2id is computed outside with this salt and cost, and only the SHA-256 of its raw output is
-- kept; the seed of the second factor is kept because it has to be, and no role can read it.
CREATE TABLE credential (
    person_id BIGINT PRIMARY KEY REFERENCES person (id),
    salt BYTEA NOT NULL CHECK (length(salt) = 16),
    memory_kib INTEGER NOT NULL CHECK (memory_kib BETWEEN 19456 AND 1048576),
    passes INTEGER NOT NULL CHECK (passes BETWEEN 1 AND 20),
    lanes INTEGER NOT NULL CHECK (lanes BETWEEN 1 AND 16),
    proof_sha256 BYTEA NOT NULL CHECK (length(proof_sha256) = 32),
    seed BYTEA NOT NULL CHECK (length(seed) BETWEEN 20 AND 64),
    last_step BIGINT NOT NULL DEFAULT 0,
    set_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE recovery_code (
    person_id BIGINT NOT NULL REFERENCES person (id),
    code_sha256 BYTEA NOT NULL CHECK (length(code_sha256) = 32),
    used_at TIMESTAMPTZ,
    PRIMARY KEY (person_id, code_sha256)
);
-- A one-time enrolment. Its code has two halves, one for each of the two who agreed to it, so that neither alone can
-- enrol as somebody else. The first administrators of a county, made by whoever holds the database, have one half.
CREATE TABLE enrolment (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    person_id BIGINT NOT NULL REFERENCES person (id),
    request_id BIGINT UNIQUE,
    halves INTEGER NOT NULL CHECK (halves IN (1, 2)),
    first_sha256 BYTEA,
    second_sha256 BYTEA,
    ends_at TIMESTAMPTZ NOT NULL,
    used_at TIMESTAMPTZ
);
CREATE TABLE session (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    person_id BIGINT NOT NULL REFERENCES person (id),
    secret_sha256 BYTEA NOT NULL UNIQUE CHECK (length(secret_sha256) = 32),
    signed_in_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    stepped_up_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    seen_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    ends_at TIMESTAMPTZ NOT NULL,
    ended_at TIMESTAMPTZ,
    ended_why TEXT,
    CHECK ((ended_at IS NULL) = (ended_why IS NULL))
);
CREATE INDEX ix_session_person_id ON session (person_id) WHERE ended_at IS NULL;
CREATE TABLE token (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    person_id BIGINT NOT NULL REFERENCES person (id),
    secret_sha256 BYTEA NOT NULL UNIQUE CHECK (length(secret_sha256) = 32),
    issued_by BIGINT NOT NULL REFERENCES person (id),
    issued_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    ends_at TIMESTAMPTZ NOT NULL,
    ended_at TIMESTAMPTZ
);
-- Where a person signed in from before: strangers who try a login cannot keep its owner out from there.
CREATE TABLE known_source (
    person_id BIGINT NOT NULL REFERENCES person (id),
    source_sha256 BYTEA NOT NULL,
    last_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (person_id, source_sha256)
);
-- Makes salts for logins that do not exist, the same each time, so that asking for a salt tells nothing.
CREATE TABLE pepper (one BOOLEAN PRIMARY KEY DEFAULT true CHECK (one), value BYTEA NOT NULL);
INSERT INTO pepper (value) VALUES (sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())));

-- The one approval mechanism. A kind says who may ask and who may agree, where its state is read, and what is done.
CREATE TABLE approval_kind (
    code TEXT PRIMARY KEY,
    what TEXT NOT NULL,
    ask TEXT NOT NULL REFERENCES permission (code),
    agree TEXT NOT NULL REFERENCES permission (code),
    state_function TEXT NOT NULL,
    done_by TEXT,
    second_above_minor BIGINT
);
CREATE TABLE request (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    public_id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL REFERENCES approval_kind (code),
    subject TEXT NOT NULL CHECK (length(subject) BETWEEN 1 AND 200),
    payload JSONB NOT NULL CHECK (jsonb_typeof(payload) = 'object'),
    reason TEXT NOT NULL CHECK (length(btrim(reason)) BETWEEN 3 AND 500),
    state JSONB NOT NULL,
    amount_minor BIGINT,
    sub_county TEXT,
    checkers INTEGER NOT NULL CHECK (checkers IN (1, 2)),
    shown BYTEA NOT NULL,
    shown_sha256 BYTEA NOT NULL,
    requested_by BIGINT NOT NULL REFERENCES person (id),
    requested_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    expires_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX ix_request_subject ON request (kind, subject);
-- Several requests that one person answered at once, as one list.
CREATE TABLE answered_list (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    list_sha256 BYTEA NOT NULL,
    requests INTEGER NOT NULL,
    total_minor BIGINT NOT NULL,
    person_id BIGINT NOT NULL REFERENCES person (id),
    answered_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE answer (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    request_id BIGINT NOT NULL REFERENCES request (id),
    person_id BIGINT NOT NULL REFERENCES person (id),
    agreed BOOLEAN NOT NULL,
    reason TEXT,
    shown_sha256 BYTEA NOT NULL,
    session_id BIGINT NOT NULL REFERENCES session (id),
    list_id BIGINT REFERENCES answered_list (id),
    answered_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (request_id, person_id),
    CHECK (agreed OR length(btrim(reason)) >= 3)
);
-- What was agreed to is done at most once; what was void by then is not done, and says why.
CREATE TABLE execution (
    request_id BIGINT PRIMARY KEY REFERENCES request (id),
    outcome TEXT NOT NULL CHECK (outcome IN ('done', 'void')),
    reason TEXT,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    executed_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    CHECK ((outcome = 'void') = (reason IS NOT NULL))
);
CREATE INDEX ix_execution_xid ON execution (xid);

-- The checks below are facts of the database, whoever writes: also a superuser who wants them must switch them off.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, access, public, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '% is append only: % is refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END
$$;
DO $$
DECLARE
    guarded text;
BEGIN
    FOREACH guarded IN ARRAY ARRAY['request', 'answer', 'answered_list', 'execution'] LOOP
        EXECUTE format('CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON access.%I
                        FOR EACH STATEMENT EXECUTE FUNCTION access.refuse_change()', guarded);
        EXECUTE format('ALTER TABLE access.%I ENABLE ALWAYS TRIGGER refuse_change', guarded);
    END LOOP;
END
$$;

CREATE FUNCTION one_duty() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, access, public, pg_temp AS $$
DECLARE
    other record;
BEGIN
    PERFORM FROM person WHERE id = NEW.person_id FOR UPDATE; -- two grants at once see each other
    IF (SELECT kind FROM person WHERE id = NEW.person_id) <> 'staff' THEN
        RAISE EXCEPTION 'a service holds no role' USING ERRCODE = 'RV409';
    END IF;
    SELECT h.role, r.duty INTO other FROM person_role h JOIN role r ON r.code = h.role
     WHERE h.person_id = NEW.person_id AND h.ended_at IS NULL
       AND r.duty <> (SELECT duty FROM role WHERE code = NEW.role) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'no person holds two of these duties: granting roles, moving money, auditing; this one is % already',
            other.role USING ERRCODE = 'RV409', HINT = 'End the other role first, or give this one to somebody else.';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER one_duty BEFORE INSERT ON person_role FOR EACH ROW EXECUTE FUNCTION one_duty();
ALTER TABLE person_role ENABLE ALWAYS TRIGGER one_duty;

CREATE FUNCTION answer_guard() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, access, public, pg_temp AS $$
DECLARE
    asked request;
BEGIN
    SELECT * INTO asked FROM request WHERE id = NEW.request_id;
    IF asked.requested_by = NEW.person_id THEN
        RAISE EXCEPTION 'who asks does not answer: another person does' USING ERRCODE = 'RV403';
    ELSIF asked.shown_sha256 <> NEW.shown_sha256 THEN
        RAISE EXCEPTION 'what you were shown is not what was asked for: look at % again', asked.public_id
            USING ERRCODE = 'RV409';
    ELSIF asked.expires_at <= clock_timestamp() THEN
        RAISE EXCEPTION '% was not answered within three working days: ask again', asked.public_id
            USING ERRCODE = 'RV409';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER answer_guard BEFORE INSERT ON answer FOR EACH ROW EXECUTE FUNCTION answer_guard();
ALTER TABLE answer ENABLE ALWAYS TRIGGER answer_guard;

CREATE FUNCTION execution_guard() RETURNS trigger LANGUAGE plpgsql
    SET search_path = pg_catalog, access, public, pg_temp AS $$
DECLARE
    asked request;
BEGIN
    SELECT * INTO asked FROM request WHERE id = NEW.request_id;
    IF NEW.xid <> pg_current_xact_id() THEN
        RAISE EXCEPTION 'an execution may not say that another transaction did it' USING ERRCODE = 'check_violation';
    ELSIF NEW.outcome = 'done' AND (
        EXISTS (SELECT FROM answer a WHERE a.request_id = asked.id AND NOT a.agreed)
        OR asked.checkers > (SELECT count(DISTINCT a.person_id) FROM answer a WHERE a.request_id = asked.id AND a.agreed
                                AND a.person_id <> asked.requested_by AND a.shown_sha256 = asked.shown_sha256)) THEN
        RAISE EXCEPTION '% is not agreed to by as many persons as it needs (%)', asked.public_id, asked.checkers
            USING ERRCODE = 'RV409';
    ELSIF NEW.outcome = 'done' AND asked.expires_at <= clock_timestamp() THEN
        RAISE EXCEPTION '% has expired: ask again', asked.public_id USING ERRCODE = 'RV409';
    ELSIF sha256(asked.shown) <> asked.shown_sha256 THEN
        RAISE EXCEPTION '% is not what was shown', asked.public_id USING ERRCODE = 'RV409';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER execution_guard BEFORE INSERT ON execution FOR EACH ROW EXECUTE FUNCTION execution_guard();
ALTER TABLE execution ENABLE ALWAYS TRIGGER execution_guard;
