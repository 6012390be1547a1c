-- Matches by hand, matches taken back, policies and links come by the one approval mechanism: the worker's row names the
-- request, and a trigger looks for its execution in this very transaction.

SET LOCAL ROLE revenue_owner;
SET LOCAL search_path = public;

ALTER TABLE payment_match ADD COLUMN approval_id BIGINT;
ALTER TABLE payment_match DROP CONSTRAINT ck_payment_match_origin;
ALTER TABLE payment_match ADD CONSTRAINT ck_payment_match_origin
    CHECK (num_nonnulls(run_id, request_id, approval_id) = 1) NOT VALID;
ALTER TABLE payment_match VALIDATE CONSTRAINT ck_payment_match_origin;
CREATE UNIQUE INDEX uq_payment_match_approval_id ON payment_match (approval_id) WHERE approval_id IS NOT NULL;
ALTER TABLE match_reversal ADD COLUMN approval_id BIGINT;
ALTER TABLE policy_activation ADD COLUMN approval_id BIGINT;
ALTER TABLE payer_link_answer ADD COLUMN approval_id BIGINT;

-- What a match by hand rests on: what is in suspense, what is left of the bill, and what the bill would take.
CREATE FUNCTION state_of_match(payload jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    paid payment;
    bill record;
    waits bigint;
BEGIN
    SELECT * INTO paid FROM payment WHERE id = (payload ->> 'payment_id')::bigint AND kind = 'payment';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no such payment' USING ERRCODE = 'RV404';
    END IF;
    SELECT i.pay_account_number, i.stream_code, i.payer_id, i.recorded_at, o.outstanding_minor, o.cancelled, s.sub_county
      INTO bill FROM invoice i JOIN open_bill o ON o.invoice_id = i.id LEFT JOIN station s ON s.code = i.station_code
     WHERE i.id = (payload ->> 'invoice_id')::bigint;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no such bill' USING ERRCODE = 'RV404';
    END IF;
    SELECT coalesce(sum(CASE WHEN credit = '2200' THEN amount_minor ELSE -amount_minor END), 0) INTO waits
      FROM posting WHERE payment_id = paid.id AND (credit = '2200' OR debit = '2200');
    IF waits <= 0 THEN
        RAISE EXCEPTION 'nothing of % is in suspense', paid.reference USING ERRCODE = 'RV409';
    ELSIF bill.cancelled OR bill.outstanding_minor <= 0 THEN
        RAISE EXCEPTION 'nothing is left of the bill %', bill.pay_account_number USING ERRCODE = 'RV409';
    ELSIF (payload ->> 'amount_minor')::bigint IS DISTINCT FROM least(waits, bill.outstanding_minor) THEN
        RAISE EXCEPTION 'the bill would take % and not %: ask anew',
            round(least(waits, bill.outstanding_minor) / 100.0, 2), round((payload ->> 'amount_minor')::bigint / 100.0, 2)
            USING ERRCODE = 'RV409';
    END IF;
    RETURN jsonb_build_object('payment', paid.reference, 'channel_account', paid.channel_account_id,
        'occurred_at', paid.occurred_at, 'bill', bill.pay_account_number, 'stream', bill.stream_code,
        'payer', bill.payer_id, 'bill_recorded_at', bill.recorded_at, 'in_suspense_minor', waits,
        'outstanding_minor', bill.outstanding_minor, 'above_the_bill_minor', greatest(waits - bill.outstanding_minor, 0),
        'amount_minor', waits, 'sub_county', bill.sub_county);
END
$$;
CREATE FUNCTION state_of_match_reversal(payload jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    paid payment;
    stands jsonb;
    total bigint;
BEGIN
    SELECT * INTO paid FROM payment WHERE id = (payload ->> 'payment_id')::bigint AND kind = 'payment';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no such payment' USING ERRCODE = 'RV404';
    ELSIF EXISTS (SELECT FROM payment v WHERE v.reverses_id = paid.id) THEN
        RAISE EXCEPTION '% was taken back by its provider: there is no money to move', paid.reference USING ERRCODE = 'RV409';
    END IF;
    SELECT jsonb_agg(jsonb_build_object('match', m.public_id, 'bill', i.pay_account_number, 'amount_minor', m.amount_minor)
                     ORDER BY m.id), sum(m.amount_minor) INTO stands, total
      FROM payment_match m JOIN invoice i ON i.id = m.invoice_id
     WHERE m.payment_id = paid.id AND NOT EXISTS (SELECT FROM match_reversal r WHERE r.match_id = m.id);
    IF stands IS NULL THEN
        RAISE EXCEPTION 'no match of % stands', paid.reference USING ERRCODE = 'RV409';
    END IF;
    RETURN jsonb_build_object('payment', paid.reference, 'matches', stands, 'amount_minor', total);
END
$$;
CREATE FUNCTION state_of_policy(payload jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    wanted matching_policy;
    trial policy_trial;
BEGIN
    SELECT * INTO wanted FROM matching_policy WHERE digest = payload ->> 'policy';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no such policy' USING ERRCODE = 'RV404';
    END IF;
    SELECT * INTO trial FROM policy_trial WHERE policy_digest = wanted.digest ORDER BY id DESC LIMIT 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'this policy was not tried on history: run its back-test first' USING ERRCODE = 'RV409';
    END IF;
    RETURN jsonb_build_object('settings', wanted.settings, 'rules_version', wanted.rules_version, 'trial', trial.id,
        'figures', trial.figures - 'examples', 'in_force', (SELECT policy_digest FROM policy_activation ORDER BY id DESC LIMIT 1));
END
$$;
CREATE FUNCTION state_of_link(payload jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    link payer_link;
BEGIN
    SELECT * INTO link FROM payer_link WHERE public_id = payload ->> 'link';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no link %', payload ->> 'link' USING ERRCODE = 'RV404';
    ELSIF EXISTS (SELECT FROM payer_link_answer a WHERE a.link_id = link.id) THEN
        RAISE EXCEPTION 'link % was answered already', link.public_id USING ERRCODE = 'RV409';
    END IF;
    RETURN jsonb_build_object('words_sha256', encode(link.words_digest, 'hex'),
        'payer', (SELECT public_id FROM payer WHERE id = link.payer_id),
        'learnt_from', (SELECT reference FROM payment WHERE id = link.payment_id),
        'bill', (SELECT pay_account_number FROM invoice WHERE id = link.invoice_id));
END
$$;

-- The worker's rows.
CREATE OR REPLACE FUNCTION match_guard() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    agreed jsonb;
BEGIN
    IF NEW.run_id IS NULL THEN
        agreed := access.doing(NEW.approval_id, 'match');
        IF agreed IS NULL OR (agreed ->> 'payment_id')::bigint <> NEW.payment_id
           OR (agreed ->> 'invoice_id')::bigint <> NEW.invoice_id OR (agreed ->> 'amount_minor')::bigint <> NEW.amount_minor THEN
            RAISE EXCEPTION 'a match by hand is one that a person asked for and another person agreed to, to the cent'
                USING ERRCODE = 'RV403';
        END IF;
    END IF;
    RETURN NEW;
END
$$;
CREATE FUNCTION match_reversal_guard() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF (access.doing(NEW.approval_id, 'match_reversal') ->> 'payment_id')::bigint
       IS DISTINCT FROM (SELECT payment_id FROM payment_match WHERE id = NEW.match_id) THEN
        RAISE EXCEPTION 'a match is taken back when a person asked for it and another person agreed' USING ERRCODE = 'RV403';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER match_reversal_guard BEFORE INSERT ON match_reversal
    FOR EACH ROW EXECUTE FUNCTION match_reversal_guard();
ALTER TABLE match_reversal ENABLE ALWAYS TRIGGER match_reversal_guard;
CREATE OR REPLACE FUNCTION policy_guard() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM policy_trial t WHERE t.id = NEW.trial_id AND t.policy_digest = NEW.policy_digest) THEN
        RAISE EXCEPTION 'this policy was not tried on history' USING ERRCODE = 'check_violation';
    END IF;
    IF access.doing(NEW.approval_id, 'policy') ->> 'policy' IS DISTINCT FROM NEW.policy_digest THEN
        RAISE EXCEPTION 'a policy comes into force when a person asked for it and another person agreed' USING ERRCODE = 'RV403';
    END IF;
    RETURN NEW;
END
$$;
CREATE OR REPLACE FUNCTION link_guard() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF NEW.agreed AND access.doing(NEW.approval_id, 'link') ->> 'link'
       IS DISTINCT FROM (SELECT public_id FROM payer_link WHERE id = NEW.link_id) THEN
        RAISE EXCEPTION 'words mean a payer when a person asked for it and another person agreed' USING ERRCODE = 'RV403';
    END IF;
    RETURN NEW;
END
$$;
-- A no takes nothing from anybody: one person says it, and it stands.
CREATE FUNCTION refuse_link(wanted text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    PERFORM access.must('link.ask');
    PERFORM public.state_of_link(jsonb_build_object('link', wanted));
    INSERT INTO payer_link_answer (link_id, agreed, answered_by)
    SELECT id, false, access.actor_name() FROM payer_link WHERE public_id = wanted;
    PERFORM access.audit('link.refused', wanted, '{}');
END
$$;

REVOKE INSERT ON match_request, policy_activation, payer_link_answer FROM revenue_api;
GRANT INSERT (policy_digest, trial_id, activated_by, approval_id) ON policy_activation TO revenue_worker;
GRANT INSERT (link_id, agreed, answered_by, approval_id) ON payer_link_answer TO revenue_worker;
GRANT INSERT (approval_id) ON payment_match, match_reversal TO revenue_worker;
GRANT EXECUTE ON FUNCTION refuse_link(text) TO revenue_api;

-- Migrations leave no audit row: what they change is in their own text.
ALTER TABLE access.approval_kind DISABLE TRIGGER set_up_added;
INSERT INTO access.approval_kind (code, what, ask, agree, state_function, done_by, second_above_minor) VALUES
    ('match', 'money in suspense pays a bill', 'match.ask', 'match.agree', 'public.state_of_match', NULL, 100000000),
    ('match_reversal', 'a match is taken back', 'match.reverse.ask', 'match.reverse.agree',
        'public.state_of_match_reversal', NULL, 100000000),
    ('policy', 'runs use a matching policy', 'policy.ask', 'policy.agree', 'public.state_of_policy', NULL, NULL),
    ('link', 'words mean a payer', 'link.ask', 'link.agree', 'public.state_of_link', NULL, NULL);
ALTER TABLE access.approval_kind ENABLE ALWAYS TRIGGER set_up_added;

-- The subject of what is agreed to goes to the worker too.
DROP FUNCTION access.execute(bigint);
CREATE FUNCTION access.execute(number bigint) RETURNS TABLE (kind text, payload jsonb, public_id text, reason text,
    subject text) LANGUAGE plpgsql VOLATILE
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
    RETURN QUERY SELECT asked.kind, asked.payload, asked.public_id, asked.reason, asked.subject;
END
$$;
GRANT EXECUTE ON FUNCTION access.execute(bigint) TO revenue_worker;

-- What was agreed to and could not be done any more is void, and says why: nothing is tried again for ever.
CREATE FUNCTION access.void(number bigint, why text) RETURNS void LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, access, public, pg_temp AS $$
BEGIN
    INSERT INTO execution (request_id, outcome, reason) VALUES (number, 'void', why);
    PERFORM access.note('approval ' || public_id, 'void.' || kind, subject, jsonb_build_object('why', why))
       FROM request WHERE id = number;
END
$$;
CREATE FUNCTION access.is_agreed(number bigint) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, access, public, pg_temp AS $$
    SELECT coalesce((SELECT access.standing_of(r) = 'agreed' FROM request r WHERE r.id = number), false)
$$;
GRANT EXECUTE ON FUNCTION access.is_agreed(bigint), access.void(bigint, text) TO revenue_worker;

-- The actor of an audit row is who the secret proves. A process without one is named by its role, with what it says.
REVOKE INSERT ON audit_event FROM revenue_api, revenue_worker;
RESET ROLE;
