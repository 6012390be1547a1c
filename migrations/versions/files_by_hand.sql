-- A file brought by hand is a person's word. It is looked at and shown with its total; it books nothing until another
-- person, who is not shown it, has entered the closing balance from their own view of the account, and it is the file's.

SET LOCAL ROLE revenue_owner;
SET LOCAL search_path = public;

-- Who brought a file. Written by a trigger in the transaction that keeps the file.
CREATE TABLE statement_file (
    delivery_id BIGINT NOT NULL,
    brought_by BIGINT,
    CONSTRAINT pk_statement_file PRIMARY KEY (delivery_id)
);
-- What a worker read at the foot of a file: the closing balance, or the sum of the credits where the file tells none.
-- The roles that persons come through cannot read it.
CREATE TABLE statement_reading (
    delivery_id BIGINT NOT NULL,
    foot TEXT NOT NULL,
    foot_minor BIGINT NOT NULL,
    credits_minor BIGINT NOT NULL,
    lines BIGINT NOT NULL,
    read_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_statement_reading PRIMARY KEY (delivery_id),
    CONSTRAINT ck_statement_reading_foot CHECK (foot IN ('closing', 'credits'))
);
-- What persons entered without seeing the file.
CREATE TABLE statement_entry (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    delivery_id BIGINT NOT NULL,
    person_id BIGINT NOT NULL,
    entered_minor BIGINT NOT NULL,
    entered_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_statement_entry PRIMARY KEY (id)
);
CREATE INDEX ix_statement_entry_delivery_id ON statement_entry (delivery_id);
DO $$
DECLARE
    guarded text;
BEGIN
    FOREACH guarded IN ARRAY ARRAY['statement_file', 'statement_reading', 'statement_entry'] LOOP
        EXECUTE format('CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON %I
                        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', guarded);
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER refuse_change', guarded);
    END LOOP;
END
$$;

-- A file is brought by a person who may; everything else is as it was.
CREATE OR REPLACE FUNCTION delivery_needs_work() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    bringer bigint;
BEGIN
    IF EXISTS (SELECT FROM arrived WHERE purpose = 'statement') THEN
        bringer := CASE WHEN access.acting() IS NULL AND access.holds_database() THEN NULL
                        ELSE access.must('statement.bring') END;
        INSERT INTO statement_file (delivery_id, brought_by) SELECT id, bringer FROM arrived WHERE purpose = 'statement';
    END IF;
    INSERT INTO job (kind, ref_id)
    SELECT CASE purpose WHEN 'statement' THEN 'statement' ELSE 'interpret' END, id FROM arrived ORDER BY id
    ON CONFLICT (kind, ref_id) DO UPDATE
       SET state = 'ready', attempts = 0, run_after = now(), leased_by = NULL, lease_until = NULL;
    RETURN NULL;
END
$$;

CREATE FUNCTION enter_closing(wanted bigint, minor bigint) RETURNS text LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    actor bigint := access.must('statement.attest');
    file statement_file;
    account bigint;
    before bigint;
    verdict text;
BEGIN
    SELECT * INTO file FROM statement_file WHERE delivery_id = wanted FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no statement file was brought as %', wanted USING ERRCODE = 'RV404';
    ELSIF file.brought_by = actor THEN
        RAISE EXCEPTION 'you brought this file: another person enters its closing balance; % may',
            access.who_may('statement.attest') USING ERRCODE = 'RV403';
    ELSIF minor IS NULL THEN
        RAISE EXCEPTION 'enter the closing balance' USING ERRCODE = 'RV400';
    ELSIF EXISTS (SELECT FROM statement_entry e JOIN statement_reading r ON r.delivery_id = e.delivery_id
                   WHERE e.delivery_id = wanted AND e.entered_minor = r.foot_minor) THEN
        RAISE EXCEPTION 'file % is agreed already', wanted USING ERRCODE = 'RV409';
    ELSIF (SELECT count(*) FROM statement_entry e WHERE e.delivery_id = wanted) >= 5 THEN
        RAISE EXCEPTION 'five entries differed from file %: bring it again', wanted USING ERRCODE = 'RV409';
    END IF;
    SELECT channel_account_id INTO account FROM delivery WHERE id = wanted;
    SELECT min(r.delivery_id) INTO before FROM statement_reading r JOIN delivery d ON d.id = r.delivery_id
     WHERE r.delivery_id < wanted AND d.channel_account_id = account
       AND (SELECT o.outcome FROM delivery_outcome o WHERE o.delivery_id = d.id ORDER BY o.id DESC LIMIT 1) = 'waiting'
       AND NOT EXISTS (SELECT FROM statement_entry e WHERE e.delivery_id = r.delivery_id AND e.entered_minor = r.foot_minor);
    IF before IS NOT NULL THEN
        RAISE EXCEPTION 'file % of this account was brought earlier and is not agreed yet: agree to it, or let who brought it drop it, first',
            before USING ERRCODE = 'RV409';
    END IF;
    INSERT INTO statement_entry (delivery_id, person_id, entered_minor) VALUES (wanted, actor, minor);
    SELECT CASE WHEN r.foot_minor = minor THEN 'agrees' ELSE 'differs' END INTO verdict
      FROM statement_reading r WHERE r.delivery_id = wanted;
    IF verdict = 'agrees' THEN
        INSERT INTO job (kind, ref_id) VALUES ('statement', wanted) ON CONFLICT (kind, ref_id) DO NOTHING;
    END IF;
    PERFORM access.audit('statement.entered', 'delivery ' || wanted, jsonb_build_object('verdict', verdict));
    RETURN coalesce(verdict, 'waits');
END
$$;
-- What others entered for a file, for the worker that reads it. The file is locked to the end of its transaction: who
-- enters meanwhile waits, and finds what was read, so that neither misses the other.
CREATE FUNCTION entries_of(wanted bigint) RETURNS SETOF bigint LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    PERFORM FROM statement_file WHERE delivery_id = wanted FOR UPDATE;
    RETURN QUERY SELECT e.entered_minor FROM statement_entry e JOIN statement_file f ON f.delivery_id = e.delivery_id
                  WHERE e.delivery_id = wanted AND e.person_id IS DISTINCT FROM f.brought_by;
END
$$;
-- Who brought a file that nobody agreed to may take it back: its bytes stay, and it is named no more.
CREATE FUNCTION drop_file(wanted bigint) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    PERFORM access.must('statement.bring');
    PERFORM FROM statement_file WHERE delivery_id = wanted AND brought_by = access.acting() FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'only who brought a file drops it' USING ERRCODE = 'RV403';
    ELSIF EXISTS (SELECT FROM statement WHERE delivery_id = wanted) OR EXISTS (SELECT FROM job WHERE kind = 'statement' AND ref_id = wanted) THEN
        RAISE EXCEPTION 'file % is in the books, or on its way', wanted USING ERRCODE = 'RV409';
    END IF;
    INSERT INTO delivery_outcome (delivery_id, outcome, reason) VALUES (wanted, 'ignored', 'dropped by who brought it');
    INSERT INTO job (kind, ref_id) VALUES ('statement', wanted); -- a worker closes the break: no person may
    PERFORM access.audit('statement.dropped', 'delivery ' || wanted, '{}');
END
$$;
CREATE FUNCTION files_waiting() RETURNS TABLE (delivery_id bigint, received_at timestamptz, channel_account_id bigint,
    filename text, brought_by text, foot text, entries bigint) LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    PERFORM access.must('read');
    RETURN QUERY
    SELECT d.id, d.received_at, d.channel_account_id, d.headers ->> 'filename', p.login, r.foot,
           (SELECT count(*) FROM statement_entry e WHERE e.delivery_id = d.id)
      FROM statement_reading r JOIN delivery d ON d.id = r.delivery_id
      JOIN statement_file f ON f.delivery_id = d.id LEFT JOIN access.person p ON p.id = f.brought_by
     WHERE (SELECT o.outcome FROM delivery_outcome o WHERE o.delivery_id = d.id ORDER BY o.id DESC LIMIT 1) = 'waiting'
       AND NOT EXISTS (SELECT FROM statement_entry e WHERE e.delivery_id = d.id AND e.entered_minor = r.foot_minor)
     ORDER BY d.id;
END
$$;

-- The guard: no statement is kept of a file that no other person entered, and at the end of the transaction the entry
-- is what the worker read at its foot.
CREATE FUNCTION statement_guard() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM statement_entry e JOIN statement_file f ON f.delivery_id = e.delivery_id
                    WHERE e.delivery_id = NEW.delivery_id AND e.person_id IS DISTINCT FROM f.brought_by)
       OR (TG_WHEN = 'AFTER' AND NOT EXISTS (
            SELECT FROM statement_entry e JOIN statement_reading r ON r.delivery_id = e.delivery_id
             WHERE e.delivery_id = NEW.delivery_id AND e.entered_minor = r.foot_minor)) THEN
        RAISE EXCEPTION 'the file of delivery % is one person''s word: it books nothing until another person has entered its closing balance',
            NEW.delivery_id USING ERRCODE = 'RV403';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER statement_guard BEFORE INSERT ON statement FOR EACH ROW EXECUTE FUNCTION statement_guard();
CREATE CONSTRAINT TRIGGER statement_guard_at_the_end AFTER INSERT ON statement DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION statement_guard();
ALTER TABLE statement ENABLE ALWAYS TRIGGER statement_guard;
ALTER TABLE statement ENABLE ALWAYS TRIGGER statement_guard_at_the_end;

GRANT SELECT ON statement_file TO revenue_worker, revenue_api, revenue_report;
GRANT SELECT ON statement_reading, statement_entry TO revenue_worker;
GRANT EXECUTE ON FUNCTION entries_of(bigint) TO revenue_worker;
GRANT INSERT (delivery_id, foot, foot_minor, credits_minor, lines) ON statement_reading TO revenue_worker;
GRANT EXECUTE ON FUNCTION enter_closing(bigint, bigint), drop_file(bigint), files_waiting() TO revenue_api;

-- Persons of a demonstration, for whoever holds the database and only where the county is a test county.
CREATE FUNCTION access.demo_person(login text, name text, staff_number text, role text) RETURNS text LANGUAGE plpgsql
    VOLATILE SET search_path = pg_catalog, access, public, pg_temp AS $$
DECLARE
    made bigint;
    code text := substring(access.fresh_secret() FOR 24);
BEGIN
    IF NOT EXISTS (SELECT FROM county WHERE mode = 'test') THEN
        RAISE EXCEPTION 'a live county''s persons are made by two administrators' USING ERRCODE = 'RV409';
    END IF;
    made := access.make_person('staff', login, name, staff_number, NULL);
    INSERT INTO person_role (person_id, role) VALUES (made, demo_person.role);
    INSERT INTO enrolment (person_id, halves, first_sha256, ends_at)
    VALUES (made, 1, sha256(convert_to(code, 'UTF8')), clock_timestamp() + interval '3 days');
    RETURN code;
END
$$;
RESET ROLE;
