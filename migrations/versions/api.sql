-- Keys that make a repeated request one request, and the cancelling of a bill when one person asks and another agrees.

SET LOCAL ROLE revenue_owner;
SET LOCAL search_path = public;

CREATE TABLE idempotency_key (
    person_id BIGINT NOT NULL,
    key TEXT NOT NULL,
    fingerprint BYTEA NOT NULL,
    status INTEGER NOT NULL,
    media_type TEXT NOT NULL,
    body BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_idempotency_key PRIMARY KEY (person_id, key),
    CONSTRAINT ck_idempotency_key_fingerprint CHECK (length(fingerprint) = 32),
    CONSTRAINT ck_idempotency_key_key CHECK (length(key) BETWEEN 1 AND 255)
);
CREATE INDEX ix_idempotency_key_created_at ON idempotency_key (created_at);
-- An answer is never changed: only added, and removed by the function below when its thirty days are over.
GRANT SELECT, INSERT ON idempotency_key TO revenue_api;

-- A second request with a key waits for the first. Processes of persons may take no advisory lock of their own choice.
CREATE FUNCTION hold_idempotency_key(wanted text) RETURNS bigint LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    actor bigint := access.acting();
BEGIN
    PERFORM pg_advisory_xact_lock(7209, hashtext(actor || ' ' || wanted));
    DELETE FROM idempotency_key k WHERE k.created_at <= now() - interval '30 days'
       AND (k.person_id = actor AND k.key = wanted OR (k.person_id, k.key) IN (
            SELECT o.person_id, o.key FROM idempotency_key o WHERE o.created_at <= now() - interval '30 days'
             ORDER BY o.created_at LIMIT 100 FOR UPDATE SKIP LOCKED));
    RETURN actor;
END
$$;
-- Who changes a break on the ground of what they saw holds the break until their change is written.
CREATE FUNCTION hold_break(wanted text) RETURNS boolean LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    PERFORM FROM break_case WHERE public_id = wanted FOR UPDATE;
    RETURN FOUND;
END
$$;
REVOKE ALL ON FUNCTION hold_idempotency_key(text), hold_break(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hold_idempotency_key(text), hold_break(text) TO revenue_api;

ALTER TABLE invoice_cancellation ADD COLUMN approval_id BIGINT;
CREATE UNIQUE INDEX uq_invoice_cancellation_approval_id ON invoice_cancellation (approval_id) WHERE approval_id IS NOT NULL;

-- What a cancelling rests on: the bill, unpaid, as it was shown.
CREATE FUNCTION state_of_bill_cancel(payload jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    bill record;
BEGIN
    SELECT i.number, i.pay_account_number, i.stream_code, i.total_minor, o.outstanding_minor, o.cancelled, s.sub_county
      INTO bill FROM invoice i JOIN open_bill o ON o.invoice_id = i.id LEFT JOIN station s ON s.code = i.station_code
     WHERE i.id = (payload ->> 'invoice_id')::bigint;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no such bill' USING ERRCODE = 'RV404';
    ELSIF bill.cancelled THEN
        RAISE EXCEPTION 'invoice % is cancelled already', bill.number USING ERRCODE = 'RV409';
    ELSIF bill.outstanding_minor <> bill.total_minor THEN
        RAISE EXCEPTION 'invoice % has been paid in part or whole: issue a credit note for what is left', bill.number
            USING ERRCODE = 'RV409';
    END IF;
    RETURN jsonb_build_object('number', bill.number, 'pay_account_number', bill.pay_account_number,
        'stream', bill.stream_code, 'amount_minor', bill.total_minor, 'sub_county', bill.sub_county);
END
$$;
CREATE FUNCTION bill_cancel_guard() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    -- A worker cancels nothing by itself.
    IF (NEW.approval_id IS NOT NULL OR pg_has_role(access.caller(), 'revenue_worker', 'MEMBER')
                                       AND NOT pg_has_role(access.caller(), 'revenue_owner', 'MEMBER'))
       AND (access.doing(NEW.approval_id, 'bill_cancel') ->> 'invoice_id')::bigint IS DISTINCT FROM NEW.invoice_id THEN
        RAISE EXCEPTION 'a bill is cancelled when a person asked for it and another person agreed' USING ERRCODE = 'RV403';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER bill_cancel_guard BEFORE INSERT ON invoice_cancellation
    FOR EACH ROW EXECUTE FUNCTION bill_cancel_guard();
ALTER TABLE invoice_cancellation ENABLE ALWAYS TRIGGER bill_cancel_guard;
REVOKE ALL ON FUNCTION state_of_bill_cancel(jsonb), bill_cancel_guard() FROM PUBLIC;

GRANT INSERT (invoice_id, reason, cancelled_by, approval_id) ON invoice_cancellation TO revenue_worker;

INSERT INTO access.approval_kind (code, what, ask, agree, state_function, done_by, second_above_minor) VALUES
    ('bill_cancel', 'an unpaid bill is cancelled', 'bill.cancel.ask', 'bill.cancel.agree', 'public.state_of_bill_cancel',
        NULL, 100000000);
RESET ROLE;
