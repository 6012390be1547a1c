-- Changes of set-up leave their audit row by themselves, whoever makes them, in the same transaction.
SET LOCAL search_path = public;

CREATE FUNCTION set_up_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    before jsonb := CASE WHEN TG_OP = 'INSERT' THEN '{}'::jsonb ELSE to_jsonb(OLD) END;
    after jsonb := CASE WHEN TG_OP = 'DELETE' THEN '{}'::jsonb ELSE to_jsonb(NEW) END;
    changed jsonb;
BEGIN
    SELECT coalesce(jsonb_object_agg(key, jsonb_build_array(before -> key, after -> key)), '{}') INTO changed
      FROM (SELECT jsonb_object_keys(before || after) AS key) k WHERE before -> key IS DISTINCT FROM after -> key;
    IF changed <> '{}' THEN
        PERFORM access.audit(TG_TABLE_NAME || '.' || lower(TG_OP), coalesce(after ->> TG_ARGV[0], before ->> TG_ARGV[0]),
                             changed, 'trigger');
    END IF;
    RETURN NULL;
END
$$;
CREATE FUNCTION set_up_added() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    added jsonb;
BEGIN
    SELECT jsonb_agg(to_jsonb(w) ->> TG_ARGV[0] ORDER BY to_jsonb(w) ->> TG_ARGV[0]) INTO added FROM written w;
    IF added IS NOT NULL THEN
        PERFORM access.audit(TG_TABLE_NAME || '.insert', jsonb_array_length(added) || ' rows',
                             jsonb_build_object('added', added), 'trigger');
    END IF;
    RETURN NULL;
END
$$;
DO $$
DECLARE
    watched text;
    named text;
BEGIN
    FOR watched, named IN VALUES ('public.channel_account', 'public_id'), ('public.channel_endpoint', 'id'),
        ('public.tariff_line', 'item_code'), ('access.person_role', 'id'), ('access.role_permission', 'permission'),
        ('access.approval_kind', 'code') LOOP
        EXECUTE format('CREATE TRIGGER set_up_changed AFTER UPDATE OR DELETE ON %s
                        FOR EACH ROW EXECUTE FUNCTION set_up_changed(%L)', watched, named);
        EXECUTE format('CREATE TRIGGER set_up_added AFTER INSERT ON %s REFERENCING NEW TABLE AS written
                        FOR EACH STATEMENT EXECUTE FUNCTION set_up_added(%L)', watched, named);
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER set_up_changed', watched);
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER set_up_added', watched);
    END LOOP;
END
$$;
RESET ROLE;
