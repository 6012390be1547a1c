-- Lawful homes: which accounts there are and what may be one, bank accounts with their authority, and whose money it is.

ALTER TABLE account DROP CONSTRAINT ck_account_type;
ALTER TABLE account ADD CONSTRAINT ck_account_type
    CHECK (type IN ('asset', 'liability', 'equity', 'revenue', 'contra_revenue', 'expense', 'memo'));
ALTER TABLE account ADD CONSTRAINT ck_account_part CHECK (code LIKE parent || '.%');
INSERT INTO account (code, name, type)
SELECT n.code, n.name, n.type FROM (VALUES
    ('1450', 'Bank charges to be reimbursed', 'asset'),
    ('1480', 'Due from another lawful entity', 'asset'),
    ('2480', 'Due to another lawful entity', 'liability'),
    ('3000', 'Accumulated balance (opening balances at cut-over)', 'equity'),
    ('4860', 'Retained by facilities', 'contra_revenue'),
    ('4870', 'Concessionaires'' share', 'contra_revenue')) AS n (code, name, type)
 WHERE EXISTS (SELECT FROM account) ON CONFLICT (code) DO NOTHING;

CREATE TABLE bank_account (
    account TEXT NOT NULL,
    bank TEXT NOT NULL,
    number TEXT NOT NULL,
    purpose TEXT NOT NULL,
    authority TEXT NOT NULL,
    destination TEXT NOT NULL,
    channel_account_id BIGINT,
    opened_by TEXT NOT NULL,
    opened_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    CONSTRAINT pk_bank_account PRIMARY KEY (account),
    CONSTRAINT uq_bank_account_bank_number UNIQUE (bank, number),
    CONSTRAINT uq_bank_account_channel_account_id UNIQUE (channel_account_id),
    CONSTRAINT ck_bank_account_account CHECK (account LIKE '1100.%'),
    CONSTRAINT ck_bank_account_purpose
        CHECK (purpose IN ('collection', 'fund', 'facility', 'concession', 'partner', 'refunds', 'other')),
    CONSTRAINT ck_bank_account_destination CHECK (destination IN ('county', 'facility', 'concession', 'partner')),
    CONSTRAINT ck_bank_account_authority CHECK (length(btrim(authority)) > 0),
    CONSTRAINT fk_bank_account_account FOREIGN KEY(account) REFERENCES account (code),
    CONSTRAINT fk_bank_account_channel_account_id FOREIGN KEY(channel_account_id) REFERENCES channel_account (id)
);
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON bank_account
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE bank_account ENABLE ALWAYS TRIGGER refuse_change;
GRANT SELECT ON bank_account TO revenue_worker, revenue_api, revenue_report, revenue_seal;
GRANT INSERT ON bank_account TO revenue_api;

-- What a role opens under 1100 is a bank account, under 1200 the clearing of a channel, and both by the end of the
-- transaction; a part is of the type of the account it rolls up to.
CREATE FUNCTION account_guard() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF pg_has_role(current_user, 'revenue_owner', 'MEMBER') THEN
        RETURN NULL;
    END IF;
    IF NEW.code LIKE '1100.%' AND NOT EXISTS (SELECT FROM bank_account b WHERE b.account = NEW.code) THEN
        RAISE EXCEPTION 'account % is under 1100 and is no bank account', NEW.code USING ERRCODE = 'check_violation',
            HINT = 'Open the bank account with its bank, purpose and authority.';
    END IF;
    IF NEW.code LIKE '1200.%' AND NOT EXISTS (
        SELECT FROM channel_account c WHERE c.clearing_account = NEW.code) THEN
        RAISE EXCEPTION 'account % is under 1200 and clears no channel', NEW.code USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.parent IS NOT NULL AND NOT EXISTS (SELECT FROM account a WHERE a.code = NEW.parent AND a.type = NEW.type) THEN
        RAISE EXCEPTION 'account % is not of the type of %', NEW.code, NEW.parent USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER account_guard AFTER INSERT ON account DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION account_guard();
ALTER TABLE account ENABLE ALWAYS TRIGGER account_guard;

-- Whose money a stream's is by law, and whose money of a payment lies in suspense or in credit: that of the stream it
-- was first held for. NULL where nothing was named: then whoever identifies it says so.
CREATE FUNCTION lawful_home(stream text, station text) RETURNS text LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT CASE WHEN s.retained_by = 'county' THEN 'county'
                ELSE s.retained_by || ':' || coalesce(station, s.code) END
      FROM stream s WHERE s.code = stream
$$;
CREATE FUNCTION held_home(payment bigint, held_in text) RETURNS text LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT lawful_home(p.stream_code, p.station_code)
      FROM posting p JOIN journal j ON j.id = p.journal_id AND j.book_date = p.book_date
     WHERE p.payment_id = payment AND p.credit = held_in AND p.stream_code IS NOT NULL AND j.reverses_id IS NULL
     ORDER BY p.journal_id, p.seq LIMIT 1
$$;
CREATE FUNCTION lawful_homes() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    wrong record;
BEGIN
    IF NOT EXISTS (SELECT FROM written WHERE debit IN ('2100', '2200') AND credit LIKE '1300.%') THEN
        RETURN NULL; -- nothing that was held pays a bill here
    END IF;
    SELECT m.payment_id, m.held_in, m.home INTO wrong
      FROM (SELECT w.journal_id, w.payment_id, w.debit AS held_in, lawful_home(w.stream_code, w.station_code) AS home,
                   sum(w.amount_minor) AS minor
              FROM written w WHERE w.debit IN ('2100', '2200') AND w.credit LIKE '1300.%'
             GROUP BY 1, 2, 3, 4) m
     WHERE m.home <> held_home(m.payment_id, m.held_in)
       AND m.minor > (SELECT coalesce(sum(o.amount_minor), 0) FROM written o
                       WHERE o.journal_id = m.journal_id AND o.payment_id = m.payment_id AND o.debit = '1480'
                         AND o.credit = '2480') LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'money of payment % is held for %, not for %: it does not pay a bill of another''s',
            wrong.payment_id, held_home(wrong.payment_id, wrong.held_in), wrong.home USING ERRCODE = 'check_violation',
            HINT = 'Two persons may agree to it: then the holder owes it to the other (1480 and 2480).';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER lawful_homes AFTER INSERT ON posting
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION lawful_homes();
ALTER TABLE posting ENABLE ALWAYS TRIGGER lawful_homes;
GRANT EXECUTE ON FUNCTION lawful_home(text, text), held_home(bigint, text) TO revenue_worker, revenue_api, revenue_report;
