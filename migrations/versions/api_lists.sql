SET LOCAL ROLE revenue_owner;
SET LOCAL search_path = access, public;

-- Requests as a list shows them. A person of a sub-county sees those of its things and their own; whoever reads the whole
-- county, or persons, sees all.
CREATE FUNCTION sees_request(asked request) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, access, public, pg_temp AS $$
    SELECT asked.requested_by = access.acting() OR EXISTS (
        SELECT FROM person_role h JOIN role_permission g ON g.role = h.role AND g.permission = 'read'
         WHERE h.person_id = access.acting() AND h.ended_at IS NULL AND h.sub_county = asked.state ->> 'sub_county')
$$;

-- Newest first, below the key of the last one shown; of one standing, or of one public id.
CREATE FUNCTION requests_page(which text, before bigint, most integer) RETURNS TABLE (id bigint, public_id text, kind text,
    subject text, shown bytea, shown_sha256 bytea, amount_minor bigint, asked_by text, requested_at timestamptz,
    expires_at timestamptz, stands text, why text, agreed_by text[], checkers integer) LANGUAGE plpgsql STABLE
    SECURITY DEFINER SET search_path = pg_catalog, access, public, pg_temp AS $$
DECLARE
    whole boolean := access.may('read') OR access.may('person.read');
BEGIN
    PERFORM access.stations('read') WHERE NOT whole; -- refuses who reads nowhere
    RETURN QUERY
    SELECT r.id, r.public_id, r.kind, r.subject, r.shown, r.shown_sha256, r.amount_minor, p.login, r.requested_at, r.expires_at,
           s.stands, coalesce(e.reason, (SELECT a.reason FROM answer a WHERE a.request_id = r.id AND NOT a.agreed LIMIT 1)),
           ARRAY(SELECT o.login FROM answer a JOIN person o ON o.id = a.person_id WHERE a.request_id = r.id AND a.agreed
                  ORDER BY a.id), r.checkers
      FROM request r JOIN person p ON p.id = r.requested_by LEFT JOIN execution e ON e.request_id = r.id
      CROSS JOIN LATERAL (SELECT access.standing_of(r) AS stands) s
     WHERE (before IS NULL OR r.id < before) AND (whole OR access.sees_request(r))
       AND (which IS NULL OR which = r.public_id OR which = s.stands)
       -- What waits is not old: a request expires within days.
       AND (which IS DISTINCT FROM 'waiting' OR r.expires_at > clock_timestamp())
     ORDER BY r.id DESC LIMIT most;
END
$$;

CREATE OR REPLACE FUNCTION requests(which text DEFAULT NULL) RETURNS TABLE (public_id text, kind text, subject text, shown bytea,
    shown_sha256 bytea, amount_minor bigint, asked_by text, requested_at timestamptz, expires_at timestamptz, stands text,
    why text, agreed_by text[], checkers integer) LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, access, public, pg_temp AS $$
DECLARE
    whole boolean := access.may('read') OR access.may('person.read'); -- auditors and administrators see them too
BEGIN
    PERFORM access.stations('read') WHERE NOT whole; -- refuses who reads nowhere
    RETURN QUERY
    SELECT r.public_id, r.kind, r.subject, r.shown, r.shown_sha256, r.amount_minor, p.login, r.requested_at, r.expires_at,
           s.stands, coalesce(e.reason, (SELECT a.reason FROM answer a WHERE a.request_id = r.id AND NOT a.agreed LIMIT 1)),
           ARRAY(SELECT o.login FROM answer a JOIN person o ON o.id = a.person_id WHERE a.request_id = r.id AND a.agreed
                  ORDER BY a.id), r.checkers
      FROM request r JOIN person p ON p.id = r.requested_by LEFT JOIN execution e ON e.request_id = r.id
      CROSS JOIN LATERAL (SELECT access.standing_of(r) AS stands) s
     WHERE (which IS NULL OR which = s.stands OR which = r.public_id) AND (whole OR access.sees_request(r))
     ORDER BY (s.stands = 'waiting') DESC, r.amount_minor DESC NULLS LAST, r.id DESC LIMIT 1000;
END
$$;
REVOKE ALL ON FUNCTION sees_request(request), requests_page(text, bigint, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION requests_page(text, bigint, integer) TO revenue_api;

SET LOCAL search_path = public;
CREATE INDEX ix_break_case_oldest ON break_case (occurred_at, id) WHERE closed_at IS NULL;
CREATE INDEX ix_invoice_station ON invoice (station_code, id);
CREATE INDEX ix_invoice_stream ON invoice (stream_code, id);
RESET ROLE;
