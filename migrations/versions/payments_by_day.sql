-- Payments are looked through by the day they were paid. They come nearly in that order, so that an index of blocks
-- finds a day's payments and costs the recording of a payment next to nothing.
SET LOCAL ROLE revenue_owner;
SET LOCAL search_path = public;
CREATE INDEX ix_payment_occurred_at ON payment USING brin (occurred_at);

-- A raw message holds names and phones: who may see a phone reads the messages of one payment, and that they looked
-- is kept. A file tells of many payments and is read through here by nobody.
CREATE FUNCTION read_raw(of_payment bigint, wanted bigint) RETURNS bytea LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    found bytea;
BEGIN
    PERFORM access.must('payer.unmask');
    SELECT d.body INTO found FROM payment p
      JOIN evidence e ON e.reference = p.reference AND e.kind = p.kind AND e.channel_account_id = p.channel_account_id
      JOIN delivery d ON d.id = e.delivery_id AND d.purpose NOT IN ('statement', 'fetched', 'pull')
     WHERE p.id = of_payment AND d.id = wanted LIMIT 1;
    IF found IS NULL THEN
        RAISE EXCEPTION 'no raw message of this payment is at this address' USING ERRCODE = 'RV404';
    END IF;
    PERFORM access.audit('delivery.read', wanted::text, jsonb_build_object('payment', of_payment));
    RETURN found;
END
$$;
REVOKE ALL ON FUNCTION read_raw(bigint, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION read_raw(bigint, bigint) TO revenue_api;
RESET ROLE;
