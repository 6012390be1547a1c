SET LOCAL ROLE revenue_owner;
SET LOCAL search_path = public;

-- Whether a bill is of one of these stations; for rooms that know a bill by its key alone.
CREATE FUNCTION bill_is_at(wanted bigint, stations text[]) RETURNS boolean LANGUAGE sql STABLE
    SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT coalesce((SELECT station_code = ANY (stations) FROM invoice WHERE id = wanted), false)
$$;
REVOKE ALL ON FUNCTION bill_is_at(bigint, text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION bill_is_at(bigint, text[]) TO revenue_api, revenue_worker, revenue_report;
RESET ROLE;
