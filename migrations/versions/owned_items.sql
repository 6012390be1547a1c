-- What waits for evidence is a reservation of the close, named and owned there: a payout on its way to the bank is large
-- every day, and nobody is to be given that item.

SET LOCAL ROLE revenue_owner;
SET LOCAL search_path = public;

CREATE OR REPLACE FUNCTION control_breaks_owned(first_day date, last_day date, since xid8, horizon xid8)
    RETURNS SETOF open_item LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT 'break ' || b.public_id, (b.occurred_at AT TIME ZONE 'Africa/Nairobi')::date,
           b.reason || ': at or above the county''s limit, and given to nobody', b.amount_minor, b.owner
      FROM breaks_as_of(horizon) b
     WHERE b.occurred_at < end_of(last_day)
       AND (b.owner = '' OR (b.amount_minor >= (SELECT confirm_limit_minor FROM county) AND NOT b.given
                             AND b.reason NOT IN ('file_not_agreed', 'settlement_not_banked', 'banked_not_settled')))
$$;
RESET ROLE;
