SET LOCAL ROLE revenue_owner;
SET LOCAL search_path = public;

-- The stations of the sub-counties in which who acts may do something; NULL for the whole county.
CREATE FUNCTION access.stations(wanted text) RETURNS text[] LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, access, public, pg_temp AS $$
DECLARE
    places text[];
BEGIN
    IF access.may(wanted) THEN
        RETURN NULL;
    END IF;
    SELECT array_agg(DISTINCT h.sub_county) INTO places
      FROM person_role h JOIN role_permission g ON g.role = h.role AND g.permission = wanted
     WHERE h.person_id = access.acting() AND h.ended_at IS NULL;
    IF places IS NULL THEN
        PERFORM access.must(wanted); -- says why, and who may
    END IF;
    RETURN ARRAY(SELECT s.code FROM station s WHERE s.sub_county = ANY (places) ORDER BY s.code);
END
$$;
-- Whether a payment belongs to one of these stations: by a bill that it stands on, else by what is said of its suspense.
CREATE FUNCTION payment_is_at(wanted bigint, stations text[]) RETURNS boolean LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    found boolean;
BEGIN
    SELECT bool_or(coalesce(i.station_code = ANY (stations), false)) INTO found
      FROM (SELECT a.invoice_id FROM application a WHERE a.payment_id = wanted
             GROUP BY a.invoice_id HAVING sum(a.amount_minor) > 0) stands JOIN invoice i ON i.id = stands.invoice_id;
    RETURN coalesce(found, EXISTS (SELECT FROM break_case b
        WHERE b.payment_id = wanted AND b.key = 'suspense:' || wanted AND b.station_code = ANY (stations)));
END
$$;
REVOKE ALL ON FUNCTION access.stations(text), payment_is_at(bigint, text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION access.stations(text) TO revenue_api, revenue_report;
GRANT EXECUTE ON FUNCTION payment_is_at(bigint, text[]) TO revenue_api, revenue_worker, revenue_report;
RESET ROLE;
