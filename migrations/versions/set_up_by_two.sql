-- A bank account, the county's limits, and a statement that is said to be missing: two persons' word.

SET LOCAL ROLE revenue_owner;
SET LOCAL search_path = public;

INSERT INTO access.permission (code, what, judgement) VALUES
    ('county.ask', 'ask for other limits of the county', false),
    ('county.agree', 'agree to other limits of the county', true);
INSERT INTO access.role_permission (role, permission) VALUES
    ('supervisor', 'county.ask'), ('finance_officer', 'county.ask'), ('finance_officer', 'county.agree');

-- A bank account.
CREATE FUNCTION state_of_bank_account(payload jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    code text := '1100.' || lower(payload ->> 'bank') || '-' || (payload ->> 'number');
    home channel_account;
BEGIN
    IF coalesce(payload ->> 'bank', '') !~ '^[A-Za-z0-9][A-Za-z0-9-]{0,39}$'
       OR coalesce(payload ->> 'number', '') !~ '^[A-Za-z0-9][A-Za-z0-9-]{0,39}$' THEN
        RAISE EXCEPTION 'a bank and a number are letters, digits and hyphens, as the bank writes them' USING ERRCODE = 'RV400';
    ELSIF length(btrim(coalesce(payload ->> 'name', ''))) NOT BETWEEN 1 AND 200
       OR length(btrim(coalesce(payload ->> 'authority', ''))) NOT BETWEEN 3 AND 300 THEN
        RAISE EXCEPTION 'a bank account has a name, and the letter, act or notice by which it was opened' USING ERRCODE = 'RV400';
    ELSIF payload ->> 'purpose' NOT IN ('collection', 'fund', 'facility', 'concession', 'partner', 'refunds', 'other')
       OR payload ->> 'destination' NOT IN ('county', 'facility', 'concession', 'partner')
       OR payload ->> 'purpose' IS NULL OR payload ->> 'destination' IS NULL THEN
        RAISE EXCEPTION 'a bank account has a purpose and a destination of the lists' USING ERRCODE = 'RV400';
    ELSIF EXISTS (SELECT FROM bank_account b WHERE b.account = code) THEN
        RAISE EXCEPTION '% % is open already', payload ->> 'bank', payload ->> 'number' USING ERRCODE = 'RV409';
    END IF;
    IF payload ->> 'channel_account' IS NOT NULL THEN
        SELECT * INTO home FROM channel_account c WHERE c.public_id = payload ->> 'channel_account';
        IF NOT FOUND THEN
            RAISE EXCEPTION 'there is no channel account %', payload ->> 'channel_account' USING ERRCODE = 'RV404';
        ELSIF EXISTS (SELECT FROM bank_account b WHERE b.channel_account_id = home.id) THEN
            RAISE EXCEPTION '% % has a bank account already', home.adapter, home.identifier USING ERRCODE = 'RV409';
        END IF;
    END IF;
    RETURN jsonb_build_object('account', code, 'channel', CASE WHEN home.id IS NOT NULL
        THEN home.adapter || ' ' || home.identifier || ' (' || home.mode || ')' END);
END
$$;
CREATE FUNCTION do_bank_account(payload jsonb, request bigint) RETURNS void LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    code text := '1100.' || lower(do_bank_account.payload ->> 'bank') || '-' || (do_bank_account.payload ->> 'number');
BEGIN
    INSERT INTO account (code, name, type, parent) VALUES (code, btrim(do_bank_account.payload ->> 'name'), 'asset', '1100')
    ON CONFLICT DO NOTHING;
    INSERT INTO bank_account (account, bank, number, purpose, authority, destination, channel_account_id, opened_by)
    SELECT code, lower(do_bank_account.payload ->> 'bank'), do_bank_account.payload ->> 'number', do_bank_account.payload ->> 'purpose', btrim(do_bank_account.payload ->> 'authority'),
           do_bank_account.payload ->> 'destination', (SELECT c.id FROM channel_account c WHERE c.public_id = do_bank_account.payload ->> 'channel_account'),
           p.login
      FROM access.request r JOIN access.person p ON p.id = r.requested_by WHERE r.id = do_bank_account.request;
END
$$;
REVOKE INSERT (account, bank, number, purpose, authority, destination, channel_account_id, opened_by) ON bank_account
    FROM revenue_api;
REVOKE INSERT ON bank_account FROM revenue_api;
CREATE TRIGGER set_up_added AFTER INSERT ON bank_account REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION set_up_added('account');
ALTER TABLE bank_account ENABLE ALWAYS TRIGGER set_up_added;

-- The county's limits: up to what amount a provider's own word is enough, and whether an unknown account is refused.
CREATE FUNCTION state_of_county(payload jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    now_is jsonb;
BEGIN
    SELECT jsonb_build_object('county', name, 'mode', mode, 'confirm_limit_minor', confirm_limit_minor,
        'refuse_unknown_accounts', refuse_unknown_accounts) INTO now_is FROM county;
    IF now_is IS NULL THEN
        RAISE EXCEPTION 'no county is loaded' USING ERRCODE = 'RV409';
    ELSIF payload - 'confirm_limit_minor' - 'refuse_unknown_accounts' <> '{}' OR payload = '{}'
       OR coalesce(jsonb_typeof(payload -> 'confirm_limit_minor'), 'number') <> 'number'
       OR coalesce(jsonb_typeof(payload -> 'refuse_unknown_accounts'), 'boolean') <> 'boolean' THEN
        RAISE EXCEPTION 'say the limit in cents, or whether unknown accounts are refused' USING ERRCODE = 'RV400';
    ELSIF (payload ->> 'confirm_limit_minor')::numeric NOT BETWEEN 1 AND 999999999999
       OR (payload ->> 'confirm_limit_minor')::numeric % 1 <> 0 THEN
        RAISE EXCEPTION 'the limit is above nothing and below ten billion shillings, in whole cents' USING ERRCODE = 'RV400';
    ELSIF now_is @> payload THEN
        RAISE EXCEPTION 'the county has these limits already' USING ERRCODE = 'RV409';
    END IF;
    RETURN now_is;
END
$$;
CREATE FUNCTION do_county_set(payload jsonb, request bigint) RETURNS void LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, public, pg_temp AS $$
    UPDATE county SET confirm_limit_minor = coalesce((payload ->> 'confirm_limit_minor')::bigint, confirm_limit_minor),
        refuse_unknown_accounts = coalesce((payload ->> 'refuse_unknown_accounts')::boolean, refuse_unknown_accounts)
$$;
CREATE TRIGGER set_up_changed AFTER UPDATE OR DELETE ON county FOR EACH ROW EXECUTE FUNCTION set_up_changed('code');
ALTER TABLE county ENABLE ALWAYS TRIGGER set_up_changed;
DO $$
DECLARE
    watched text;
    named text;
BEGIN
    FOR watched, named IN VALUES ('access.role', 'code'), ('access.permission', 'code'), ('public.stream', 'code'),
        ('public.station', 'code') LOOP
        EXECUTE format('CREATE TRIGGER set_up_changed AFTER UPDATE OR DELETE ON %s
                        FOR EACH ROW EXECUTE FUNCTION set_up_changed(%L)', watched, named);
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER set_up_changed', watched);
    END LOOP;
END
$$;

REVOKE ALL ON FUNCTION state_of_bank_account(jsonb), do_bank_account(jsonb, bigint), state_of_county(jsonb),
    do_county_set(jsonb, bigint) FROM PUBLIC;
INSERT INTO access.approval_kind (code, what, ask, agree, state_function, done_by, second_above_minor) VALUES
    ('bank_account', 'a bank account of the county', 'channel.ask', 'channel.agree', 'public.state_of_bank_account',
        'public.do_bank_account', NULL),
    ('county_set', 'the limits of the county', 'county.ask', 'county.agree', 'public.state_of_county',
        'public.do_county_set', NULL);

-- A gap. Who brings a file says why no statement stands before it; who enters its closing balance is told that, and
-- says so too, or the file waits.
CREATE OR REPLACE FUNCTION delivery_needs_work() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    bringer bigint;
BEGIN
    IF EXISTS (SELECT FROM arrived WHERE purpose = 'statement') THEN
        IF access.acting() IS NOT NULL OR NOT access.holds_database() THEN
            bringer := access.must('statement.bring');
            IF EXISTS (SELECT FROM arrived WHERE purpose = 'statement' AND headers ? 'gap_accepted') THEN
                PERFORM access.must('statement.gap.ask');
            END IF;
        END IF;
        INSERT INTO statement_file (delivery_id, brought_by) SELECT id, bringer FROM arrived WHERE purpose = 'statement';
    END IF;
    INSERT INTO job (kind, ref_id)
    SELECT CASE WHEN purpose IN ('statement', 'fetched') THEN 'statement' ELSE 'interpret' END, id FROM arrived ORDER BY id
    ON CONFLICT (kind, ref_id) DO UPDATE
       SET state = 'ready', attempts = 0, run_after = now(), leased_by = NULL, lease_until = NULL;
    RETURN NULL;
END
$$;
CREATE FUNCTION enter_closing(wanted bigint, minor bigint, gap boolean) RETURNS text LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    said text := (SELECT nullif(headers ->> 'gap_accepted', '') FROM delivery WHERE id = wanted AND purpose = 'statement');
BEGIN
    IF said IS NOT NULL THEN
        PERFORM access.must('statement.gap.agree');
        IF NOT coalesce(gap, false) THEN
            RAISE EXCEPTION 'who brought file % says that no statement stands before it (%): look at the account, and agree to the gap too',
                wanted, said USING ERRCODE = 'RV409', HINT = 'Enter the balance again with --accept-gap.';
        END IF;
        PERFORM access.audit('statement.gap_agreed', 'delivery ' || wanted, jsonb_build_object('why', said));
    END IF;
    RETURN enter_closing(wanted, minor);
END
$$;
REVOKE ALL ON FUNCTION enter_closing(bigint, bigint, boolean), enter_closing(bigint, bigint) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION enter_closing(bigint, bigint) FROM revenue_api;
GRANT EXECUTE ON FUNCTION enter_closing(bigint, bigint, boolean) TO revenue_api;
RESET ROLE;
