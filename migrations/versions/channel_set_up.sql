-- What a live channel account hears, from whom, and whether at all, is two persons' word. A database function writes the
-- rows of an agreed request in the transaction that executes it; a trigger refuses them from everybody else. Accounts in
-- mode test book nothing in live books, so one person sets them up.

SET LOCAL ROLE revenue_owner;
SET LOCAL search_path = public;

-- What a set-up rests on: the account as it is, and its addresses that listen. A request about addresses of a purpose
-- rests on the addresses of that purpose alone.
CREATE FUNCTION channel_tokens_fit(payload jsonb) RETURNS void LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF jsonb_typeof(payload -> 'tokens') IS DISTINCT FROM 'object' OR EXISTS (
        SELECT FROM jsonb_each_text(payload -> 'tokens') t
         WHERE t.key NOT IN ('validation', 'confirmation', 'push_result', 'result', 'timeout')
            OR t.value !~ '^[0-9a-f]{64}$') THEN
        RAISE EXCEPTION 'an address has a purpose, and the SHA-256 of its token' USING ERRCODE = 'RV400';
    ELSIF EXISTS (SELECT FROM jsonb_each_text(payload -> 'tokens') t
                    JOIN channel_endpoint e ON e.token_sha256 = decode(t.value, 'hex')) THEN
        RAISE EXCEPTION 'an address has a token of its own, and this one was used before' USING ERRCODE = 'RV409';
    END IF;
END
$$;
CREATE FUNCTION channel_settings_fit(payload jsonb) RETURNS void LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    peer text;
BEGIN
    IF jsonb_typeof(payload -> 'settings') IS DISTINCT FROM 'object' THEN
        RAISE EXCEPTION 'settings are names and values' USING ERRCODE = 'RV400';
    ELSIF jsonb_typeof(payload -> 'settings' -> 'peers') <> 'array' THEN
        RAISE EXCEPTION 'peers are a list of addresses and networks' USING ERRCODE = 'RV400';
    END IF;
    FOR peer IN SELECT jsonb_array_elements_text(payload -> 'settings' -> 'peers')
                 WHERE payload -> 'settings' ? 'peers' LOOP
        IF masklen(peer::inet) = 0 OR peer::inet <<= '127.0.0.0/8' OR peer::inet <<= '::1/128' THEN
            RAISE EXCEPTION 'a live account does not listen to %', peer USING ERRCODE = 'RV400';
        END IF;
    END LOOP;
EXCEPTION WHEN invalid_text_representation THEN
    RAISE EXCEPTION 'peers: % is no address or network', peer USING ERRCODE = 'RV400';
END
$$;
CREATE FUNCTION state_of_channel(payload jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    home channel_account;
    listening jsonb;
BEGIN
    SELECT * INTO home FROM channel_account WHERE public_id = payload ->> 'account';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no channel account %', payload ->> 'account' USING ERRCODE = 'RV404';
    ELSIF home.mode <> 'live' THEN
        RAISE EXCEPTION '% % is a test account: one person sets that account up', home.adapter, home.identifier
            USING ERRCODE = 'RV409';
    END IF;
    SELECT coalesce(jsonb_agg(jsonb_build_object('number', e.id, 'purpose', e.purpose, 'ends', e.revoked_at AT TIME ZONE 'UTC')
                              ORDER BY e.id), '[]') INTO listening
      FROM channel_endpoint e
     WHERE e.channel_account_id = home.id AND (e.revoked_at IS NULL OR e.revoked_at > clock_timestamp())
       AND (NOT payload ? 'tokens' OR payload -> 'tokens' ? e.purpose);
    IF payload ? 'tokens' THEN
        PERFORM channel_tokens_fit(payload);
        IF payload -> 'tokens' = '{}' THEN
            RAISE EXCEPTION 'say which address is to be opened' USING ERRCODE = 'RV400';
        ELSIF home.status = 'disabled' THEN
            RAISE EXCEPTION '% % is disabled: no address is opened', home.adapter, home.identifier USING ERRCODE = 'RV409';
        END IF;
    END IF;
    IF payload ? 'settings' THEN
        PERFORM channel_settings_fit(payload);
    END IF;
    IF payload ? 'close' AND home.status = 'disabled' THEN
        RAISE EXCEPTION '% % is disabled already', home.adapter, home.identifier USING ERRCODE = 'RV409';
    ELSIF payload ? 'grace_seconds' AND (listening = '[]' OR (payload ->> 'grace_seconds')::numeric NOT BETWEEN 0 AND 7776000) THEN
        RAISE EXCEPTION 'no such address of % % listens, or the grace time is above ninety days', home.adapter,
            home.identifier USING ERRCODE = 'RV404';
    ELSIF payload ? 'number' AND NOT EXISTS (SELECT FROM jsonb_array_elements(listening) l
                                              WHERE l -> 'number' = payload -> 'number') THEN
        RAISE EXCEPTION 'address % of % % does not listen', payload ->> 'number', home.adapter, home.identifier
            USING ERRCODE = 'RV404';
    END IF;
    RETURN jsonb_build_object('adapter', home.adapter, 'identifier', home.identifier, 'name', home.name,
        'mode', home.mode, 'status', home.status, 'settings', home.settings, 'listening', listening);
END
$$;
CREATE FUNCTION state_of_new_channel(payload jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    home county;
    clearing text := '1200.' || (payload ->> 'adapter') || '-' || (payload ->> 'identifier');
BEGIN
    SELECT * INTO home FROM county;
    IF home.mode IS DISTINCT FROM 'live' THEN
        RAISE EXCEPTION 'test books take no live channel account: real money belongs in live books' USING ERRCODE = 'RV409';
    ELSIF coalesce(payload ->> 'adapter', '') !~ '^[a-z][a-z0-9_]{1,19}$'
        OR coalesce(payload ->> 'identifier', '') !~ '^[0-9A-Za-z][0-9A-Za-z-]{1,33}$'
        OR length(btrim(coalesce(payload ->> 'name', ''))) NOT BETWEEN 1 AND 200
        OR coalesce(payload ->> 'account', '') !~ '^cha_[0-9A-Za-z-]{10,60}$' THEN
        RAISE EXCEPTION 'a channel account has a provider, an identifier of letters, digits and dashes, and a name'
            USING ERRCODE = 'RV400';
    ELSIF EXISTS (SELECT FROM channel_account c WHERE c.public_id = payload ->> 'account' OR (c.adapter, c.identifier, c.mode)
                      = (payload ->> 'adapter', payload ->> 'identifier', 'live')) THEN
        RAISE EXCEPTION 'the live % account % is registered already', payload ->> 'adapter', payload ->> 'identifier'
            USING ERRCODE = 'RV409';
    END IF;
    PERFORM channel_tokens_fit(payload);
    PERFORM channel_settings_fit(payload);
    RETURN jsonb_build_object('county', home.name, 'mode', 'live', 'clearing_account', clearing);
END
$$;

-- What an agreed request writes.
CREATE FUNCTION do_channel_addresses(payload jsonb, request bigint) RETURNS void LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, public, pg_temp AS $$
    UPDATE channel_endpoint e
       SET revoked_at = least(coalesce(e.revoked_at, 'infinity'),
                              now() + make_interval(secs => (payload ->> 'grace_seconds')::double precision))
      FROM channel_account c
     WHERE c.id = e.channel_account_id AND c.public_id = payload ->> 'account' AND payload ? 'grace_seconds'
       AND payload -> 'tokens' ? e.purpose AND (e.revoked_at IS NULL OR e.revoked_at > now());
    INSERT INTO channel_endpoint (channel_account_id, purpose, token_sha256)
    SELECT c.id, t.key, decode(t.value, 'hex')
      FROM channel_account c CROSS JOIN jsonb_each_text(payload -> 'tokens') t
     WHERE c.public_id = payload ->> 'account' ORDER BY t.key
$$;
CREATE FUNCTION do_channel_add(payload jsonb, request bigint) RETURNS void LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    clearing text := '1200.' || (payload ->> 'adapter') || '-' || (payload ->> 'identifier');
BEGIN
    INSERT INTO account (code, name, type, parent) VALUES (clearing, 'Clearing: ' || btrim(payload ->> 'name'), 'asset', '1200')
    ON CONFLICT DO NOTHING;
    INSERT INTO channel_account (public_id, name, adapter, identifier, mode, status, clearing_account, settings)
    VALUES (payload ->> 'account', btrim(payload ->> 'name'), payload ->> 'adapter', payload ->> 'identifier', 'live',
            'active', clearing, payload -> 'settings');
    PERFORM do_channel_addresses(payload, request);
END
$$;
CREATE FUNCTION do_channel_set(payload jsonb, request bigint) RETURNS void LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, public, pg_temp AS $$
    UPDATE channel_account SET settings = payload -> 'settings' WHERE public_id = payload ->> 'account'
$$;
CREATE FUNCTION do_channel_close(payload jsonb, request bigint) RETURNS void LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, public, pg_temp AS $$
    UPDATE channel_account SET status = 'disabled' WHERE public_id = payload ->> 'account' AND payload ? 'close';
    UPDATE channel_endpoint e SET revoked_at = now()
      FROM channel_account c
     WHERE c.id = e.channel_account_id AND c.public_id = payload ->> 'account'
       AND (e.revoked_at IS NULL OR e.revoked_at > now())
       AND CASE WHEN payload ? 'close' THEN (payload ->> 'close')::boolean
                ELSE e.id = (payload ->> 'number')::bigint END
$$;

-- The guard. A live account comes with its county, when the books begin and nobody is enrolled yet, or by agreement;
-- its addresses, settings and end come by agreement alone. Whoever holds the database is above every guard anyway.
CREATE FUNCTION channel_is_agreed(account text, kinds text[], token bytea DEFAULT NULL) RETURNS boolean LANGUAGE sql STABLE
    SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT EXISTS (
        SELECT FROM access.execution e JOIN access.request r ON r.id = e.request_id
         WHERE e.xid = pg_current_xact_id_if_assigned() AND e.outcome = 'done' AND r.kind = ANY (kinds)
           AND r.payload ->> 'account' = account
           AND (token IS NULL OR encode(token, 'hex') IN (SELECT value FROM jsonb_each_text(r.payload -> 'tokens'))))
$$;
CREATE FUNCTION channel_account_guard() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF access.holds_database() OR (NEW.mode = 'test' AND (TG_OP = 'INSERT' OR OLD.mode = 'test')) THEN
        RETURN NEW;
    ELSIF TG_OP = 'INSERT' AND (channel_is_agreed(NEW.public_id, ARRAY['channel_add'])
                                OR EXISTS (SELECT FROM county WHERE xid = pg_current_xact_id())) THEN
        RETURN NEW;
    ELSIF TG_OP = 'UPDATE' AND NEW.public_id = OLD.public_id AND NEW.mode = OLD.mode
          AND channel_is_agreed(NEW.public_id, ARRAY['channel_set', 'channel_disable']) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the live channel account % % is set up and changed when a person asked for it and another person agreed; % may',
        NEW.adapter, NEW.identifier, access.who_may('channel.agree') USING ERRCODE = 'RV403';
END
$$;
CREATE FUNCTION channel_endpoint_guard() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    home channel_account;
BEGIN
    SELECT * INTO home FROM channel_account WHERE id = NEW.channel_account_id;
    IF access.holds_database()
       OR (home.mode = 'test' AND (TG_OP = 'INSERT' OR OLD.channel_account_id = NEW.channel_account_id)) THEN
        RETURN NEW;
    ELSIF TG_OP = 'INSERT' AND channel_is_agreed(home.public_id, ARRAY['channel_add', 'channel_open', 'channel_rotate'],
                                                 NEW.token_sha256) THEN
        RETURN NEW;
    ELSIF TG_OP = 'UPDATE' AND NEW.channel_account_id = OLD.channel_account_id AND NEW.token_sha256 = OLD.token_sha256
          AND NEW.purpose = OLD.purpose
          AND channel_is_agreed(home.public_id, ARRAY['channel_rotate', 'channel_disable', 'channel_revoke']) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'an address of the live channel account % % opens and closes when a person asked for it and another person agreed; % may',
        home.adapter, home.identifier, access.who_may('channel.agree') USING ERRCODE = 'RV403';
END
$$;
CREATE TRIGGER channel_account_guard BEFORE INSERT OR UPDATE ON channel_account
    FOR EACH ROW EXECUTE FUNCTION channel_account_guard();
CREATE TRIGGER channel_endpoint_guard BEFORE INSERT OR UPDATE ON channel_endpoint
    FOR EACH ROW EXECUTE FUNCTION channel_endpoint_guard();
ALTER TABLE channel_account ENABLE ALWAYS TRIGGER channel_account_guard;
ALTER TABLE channel_endpoint ENABLE ALWAYS TRIGGER channel_endpoint_guard;

REVOKE ALL ON FUNCTION channel_tokens_fit(jsonb), channel_settings_fit(jsonb), state_of_channel(jsonb),
    state_of_new_channel(jsonb), do_channel_addresses(jsonb, bigint), do_channel_add(jsonb, bigint),
    do_channel_set(jsonb, bigint), do_channel_close(jsonb, bigint), channel_is_agreed(text, text[], bytea),
    channel_account_guard(), channel_endpoint_guard() FROM PUBLIC;

INSERT INTO access.approval_kind (code, what, ask, agree, state_function, done_by, second_above_minor) VALUES
    ('channel_add', 'a live channel account and its addresses', 'channel.ask', 'channel.agree',
        'public.state_of_new_channel', 'public.do_channel_add', NULL),
    ('channel_open', 'a callback address of a live account', 'channel.ask', 'channel.agree',
        'public.state_of_channel', 'public.do_channel_addresses', NULL),
    ('channel_rotate', 'a callback address in place of another', 'channel.ask', 'channel.agree',
        'public.state_of_channel', 'public.do_channel_addresses', NULL),
    ('channel_set', 'the settings of a live account, its allow-list among them', 'channel.ask', 'channel.agree',
        'public.state_of_channel', 'public.do_channel_set', NULL),
    ('channel_disable', 'the end of a live account', 'channel.ask', 'channel.agree',
        'public.state_of_channel', 'public.do_channel_close', NULL),
    ('channel_revoke', 'the end of one callback address', 'channel.ask', 'channel.agree',
        'public.state_of_channel', 'public.do_channel_close', NULL);
RESET ROLE;
