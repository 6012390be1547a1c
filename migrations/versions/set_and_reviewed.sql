-- What the engine proposed, at the exact amount and below the limits, one person sets at once; another person reviews what
-- was set, as one list, and until then the day is not closed.

SET LOCAL ROLE revenue_owner;
SET LOCAL search_path = access, public;

ALTER TABLE approval_kind ADD COLUMN set_first BOOLEAN NOT NULL DEFAULT false;
COMMENT ON COLUMN approval_kind.set_first IS 'Done when one person asks; another person reviews afterwards';


CREATE OR REPLACE FUNCTION access.standing_of(asked access.request)
 RETURNS text
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'access', 'public', 'pg_temp'
AS $function$
    SELECT coalesce(
        (SELECT CASE WHEN e.outcome = 'void' OR NOT k.set_first THEN e.outcome
                     WHEN EXISTS (SELECT FROM answer WHERE request_id = asked.id AND NOT agreed) THEN 'refused'
                     WHEN EXISTS (SELECT FROM answer WHERE request_id = asked.id) THEN 'done' ELSE 'set' END
           FROM execution e, approval_kind k WHERE e.request_id = asked.id AND k.code = asked.kind),
        CASE WHEN EXISTS (SELECT FROM answer WHERE request_id = asked.id AND NOT agreed) THEN 'refused'
             WHEN (SELECT count(*) FROM answer WHERE request_id = asked.id AND agreed) >= asked.checkers THEN 'agreed'
             WHEN asked.expires_at <= clock_timestamp() THEN 'expired' ELSE 'waiting' END)
$function$;

CREATE OR REPLACE FUNCTION access.answer_guard()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'access', 'public', 'pg_temp'
AS $function$
DECLARE
    asked request;
BEGIN
    SELECT * INTO asked FROM request WHERE id = NEW.request_id;
    IF asked.requested_by = NEW.person_id THEN
        RAISE EXCEPTION 'who asks does not answer: another person does' USING ERRCODE = 'RV403';
    ELSIF asked.shown_sha256 <> NEW.shown_sha256 THEN
        RAISE EXCEPTION 'what you were shown is not what was asked for: look at % again', asked.public_id
            USING ERRCODE = 'RV409';
    ELSIF asked.expires_at <= clock_timestamp() AND NOT (SELECT set_first FROM approval_kind WHERE code = asked.kind) THEN
        RAISE EXCEPTION '% was not answered within three working days: ask again', asked.public_id
            USING ERRCODE = 'RV409';
    END IF;
    RETURN NEW;
END
$function$;

CREATE OR REPLACE FUNCTION access.execution_guard()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'access', 'public', 'pg_temp'
AS $function$
DECLARE
    asked request;
BEGIN
    SELECT * INTO asked FROM request WHERE id = NEW.request_id;
    IF NEW.xid <> pg_current_xact_id() THEN
        RAISE EXCEPTION 'an execution may not say that another transaction did it' USING ERRCODE = 'check_violation';
    ELSIF NEW.outcome = 'done' AND NOT (SELECT set_first FROM approval_kind WHERE code = asked.kind) AND (
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
$function$;

CREATE OR REPLACE FUNCTION access.ask(wanted text, subject text, payload jsonb, reason text)
 RETURNS text
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'access', 'public', 'pg_temp'
AS $function$
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
    actor := access.must(sort.ask, CASE WHEN sort.set_first THEN minor END, now_is ->> 'sub_county');
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
    IF sort.set_first THEN
        INSERT INTO job (kind, ref_id) SELECT 'approved', r.id FROM request r WHERE r.public_id = public;
    END IF;
    PERFORM access.audit('asked.' || wanted, public, jsonb_build_object('subject', subject,
        'shown', encode(sha256(frozen), 'hex')));
    RETURN public;
EXCEPTION WHEN check_violation OR not_null_violation THEN
    RAISE EXCEPTION 'a request has a subject, and a reason of 3 to 500 letters' USING ERRCODE = 'RV400';
END
$function$;

CREATE OR REPLACE FUNCTION access.answer_one(asked_for text, agreed boolean, shown_sha256 bytea, reason text, of_list bigint)
 RETURNS text
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'access', 'public', 'pg_temp'
AS $function$
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
    IF stands <> (CASE WHEN sort.set_first THEN 'set' ELSE 'waiting' END) THEN
        RAISE EXCEPTION '% is % already', asked_for, stands USING ERRCODE = 'RV409';
    ELSIF EXISTS (SELECT FROM answer a WHERE a.request_id = asked.id AND a.person_id = actor) THEN
        RAISE EXCEPTION 'you agreed to % already: it needs % persons', asked_for, asked.checkers USING ERRCODE = 'RV409';
    ELSIF agreed AND NOT sort.set_first AND access.state_now(asked.kind, asked.payload) <> asked.state THEN
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
$function$;

CREATE OR REPLACE FUNCTION access.unjudged()
 RETURNS TABLE(request text, kind text, fault text)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'access', 'public', 'pg_temp'
AS $function$
    SELECT r.public_id, r.kind, 'what was shown is not what its digest was made of'
      FROM request r
     WHERE sha256(r.shown) <> r.shown_sha256
        OR convert_from(r.shown, 'UTF8')::jsonb - 'asked_by' IS DISTINCT FROM jsonb_build_object(
               'kind', r.kind, 'subject', r.subject, 'payload', r.payload, 'reason', r.reason, 'state', r.state)
    UNION ALL
    SELECT r.public_id, r.kind, 'it is done, and ' || g.hands || ' of ' || r.checkers
               || ' other persons agreed to what was shown'
      FROM execution e JOIN request r ON r.id = e.request_id
     CROSS JOIN LATERAL (SELECT count(DISTINCT a.person_id) AS hands FROM answer a
                          WHERE a.request_id = r.id AND a.agreed AND a.person_id <> r.requested_by
                            AND a.shown_sha256 = r.shown_sha256) g
     WHERE e.outcome = 'done' AND g.hands < r.checkers AND NOT (SELECT set_first FROM approval_kind WHERE code = r.kind)
    UNION ALL
    SELECT r.public_id, r.kind, 'it is done, and a person refused it'
      FROM execution e JOIN request r ON r.id = e.request_id
     WHERE e.outcome = 'done' AND NOT (SELECT set_first FROM approval_kind WHERE code = r.kind)
       AND EXISTS (SELECT FROM answer a WHERE a.request_id = r.id AND NOT a.agreed)
    UNION ALL
    SELECT coalesce(r.public_id, 'number ' || w.approval_id), w.wanted, w.row_of || ' stands on it, and '
               || CASE WHEN r.id IS NULL THEN 'it is gone' WHEN e.request_id IS NULL THEN 'it was never done'
                       ELSE 'it is a request of kind ' || r.kind END
      FROM (SELECT 'payment_match', 'match', approval_id FROM payment_match
            UNION ALL SELECT 'match_reversal', 'match_reversal', approval_id FROM match_reversal v
                       WHERE NOT EXISTS (SELECT FROM money_move w WHERE w.approval_id = v.approval_id)
            UNION ALL SELECT 'money_move', 'move_money', approval_id FROM money_move
            UNION ALL SELECT 'invoice_cancellation', 'bill_cancel', approval_id FROM invoice_cancellation
            UNION ALL SELECT 'payer_link_answer', 'link', approval_id FROM payer_link_answer
            UNION ALL SELECT 'policy_activation', 'policy', approval_id FROM policy_activation
            UNION ALL SELECT 'statement_drop', 'statement_drop', approval_id FROM statement_drop)
           w (row_of, wanted, approval_id)
      LEFT JOIN request r ON r.id = w.approval_id
      LEFT JOIN execution e ON e.request_id = r.id AND e.outcome = 'done'
     WHERE w.approval_id IS NOT NULL AND (r.id IS NULL OR e.request_id IS NULL OR NOT (r.kind = w.wanted OR r.kind = 'match_set' AND w.wanted = 'match'))
    UNION ALL
    SELECT r.public_id, r.kind, 'it is about another payment or another bill than the match that stands on it'
      FROM payment_match m JOIN request r ON r.id = m.approval_id
     WHERE (r.payload ->> 'payment_id')::bigint IS DISTINCT FROM m.payment_id
        OR (r.payload ->> 'invoice_id')::bigint IS DISTINCT FROM m.invoice_id
$function$;


SET LOCAL search_path = public;
-- What is set rests on all that a match by hand rests on, and on a proposal of the engine for exactly this money and bill.
CREATE FUNCTION state_of_match_set(payload jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    rests jsonb := state_of_match(payload);
    proposed match_suggestion;
BEGIN
    IF (rests ->> 'in_suspense_minor')::bigint <> (rests ->> 'outstanding_minor')::bigint THEN
        RAISE EXCEPTION '% is in suspense and % is left of the bill: only an exact amount is set by one person; ask for the match',
            round((rests ->> 'in_suspense_minor')::bigint / 100.0, 2), round((rests ->> 'outstanding_minor')::bigint / 100.0, 2)
            USING ERRCODE = 'RV409';
    ELSIF (rests ->> 'amount_minor')::bigint > (SELECT confirm_limit_minor FROM county) THEN
        RAISE EXCEPTION 'this is above the county''s limit: ask for the match, and another person agrees' USING ERRCODE = 'RV409';
    END IF;
    SELECT * INTO proposed FROM match_suggestion s WHERE s.payment_id = (payload ->> 'payment_id')::bigint
       AND s.invoice_id = (payload ->> 'invoice_id')::bigint ORDER BY s.rank LIMIT 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the engine did not propose this bill for %: ask for the match, and another person agrees',
            rests ->> 'payment' USING ERRCODE = 'RV409';
    END IF;
    RETURN rests || jsonb_build_object('proposed_rank', proposed.rank, 'proposed_why', proposed.why);
END
$$;

CREATE OR REPLACE FUNCTION public.match_guard()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public', 'pg_temp'
AS $function$
DECLARE
    agreed jsonb;
BEGIN
    IF NEW.run_id IS NULL THEN
        agreed := coalesce(access.doing(NEW.approval_id, 'match'), access.doing(NEW.approval_id, 'match_set'));
        IF agreed IS NULL OR (agreed ->> 'payment_id')::bigint <> NEW.payment_id
           OR (agreed ->> 'invoice_id')::bigint <> NEW.invoice_id OR (agreed ->> 'amount_minor')::bigint <> NEW.amount_minor THEN
            RAISE EXCEPTION 'a match by hand is one that a person asked for and another person agreed to, to the cent'
                USING ERRCODE = 'RV403';
        END IF;
    END IF;
    RETURN NEW;
END
$function$;


CREATE FUNCTION control_unreviewed(first_day date, last_day date, since xid8, horizon xid8) RETURNS SETOF open_item
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT 'request ' || r.public_id, j.book_date, 'set by ' || p.login || CASE WHEN a.id IS NULL
               THEN ' and reviewed by nobody' ELSE ', and who reviewed it refused: take the match back' END,
           m.amount_minor, 'finance'
      FROM payment_match m JOIN access.request r ON r.id = m.approval_id AND r.kind = 'match_set'
      JOIN access.person p ON p.id = r.requested_by JOIN journal j ON j.id = m.journal_id
      LEFT JOIN access.answer a ON a.request_id = r.id
     WHERE j.book_date <= last_day AND m.xid < horizon AND (a.id IS NULL OR NOT a.agreed)
       AND NOT EXISTS (SELECT FROM match_reversal v WHERE v.match_id = m.id)
$$;
REVOKE ALL ON FUNCTION state_of_match_set(jsonb), control_unreviewed(date, date, xid8, xid8) FROM PUBLIC;
INSERT INTO close_control (code, kind, place, what, verb, function) VALUES
    ('unreviewed', 'hard', 11, 'what one person set is reviewed by another', 'approval list --stands set, then approval agree',
        'control_unreviewed');
INSERT INTO access.approval_kind (code, what, ask, agree, state_function, done_by, second_above_minor, set_first) VALUES
    ('match_set', 'suspense pays the bill that the engine proposed, at the exact amount', 'match.set', 'match.agree',
        'public.state_of_match_set', NULL, NULL, true);
RESET ROLE;
