-- What the Python promises, the database demands: whoever holds a role's password gets no further than the program.

-- 0. Advisory locks make recording and closing wait for each other. Anybody may take any of them unless told otherwise,
-- and so stop the recording of a day by one SELECT. From here on only the worker, which records, and the owner, whose
-- functions lock for the other roles, may take them. Needs a superuser or the owner of these functions; where the
-- migrating login is neither, PostgreSQL warns and leaves them open, and `doctor` says so.
DO $$
DECLARE
    taken oid;
BEGIN
    FOR taken IN SELECT oid FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace
                    AND proname ~ '^pg_(try_)?advisory_(xact_)?lock(_shared)?$' LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', taken::regprocedure);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO revenue_owner', taken::regprocedure);
    END LOOP;
    FOR taken IN SELECT oid FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace
                    AND proname ~ '^pg_(try_)?advisory_xact_lock(_shared)?$' LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO revenue_worker', taken::regprocedure);
    END LOOP;
END
$$;

SET LOCAL ROLE revenue_owner;
SET LOCAL search_path = public;

-- 1. The transaction that wrote a row orders what a seal covers. Rows that stand already became known to a seal now.
DO $$
DECLARE
    sealed text;
BEGIN
    FOREACH sealed IN ARRAY ARRAY['payment', 'evidence', 'delivery', 'delivery_outcome', 'application', 'receipt',
        'receipt_cancellation', 'invoice', 'invoice_line', 'invoice_cancellation', 'pay_account', 'push_request',
        'push_end', 'statement', 'statement_line', 'movement_name', 'asked', 'matching_policy', 'policy_trial',
        'policy_activation', 'matching_run', 'matching_run_end', 'match_request', 'payment_match', 'match_reversal',
        'payer_link', 'payer_link_answer', 'closed_day', 'channel_account', 'channel_endpoint', 'county', 'tariff_line',
        'payer', 'account'] LOOP
        EXECUTE format('ALTER TABLE %I ADD COLUMN xid xid8 DEFAULT pg_current_xact_id() NOT NULL', sealed);
    END LOOP;
END
$$;
-- The hour that a journal says it was recorded at is that of its writing, not of the beginning of its transaction: a
-- transaction may begin before a day is closed and write after.
ALTER TABLE journal ALTER COLUMN recorded_at SET DEFAULT clock_timestamp();

-- 2. A guard must see what was committed before it looks. Under another isolation it would look at a day long gone.
CREATE FUNCTION read_committed() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION '% is written under READ COMMITTED only, not %: its guards must see what others committed',
            TG_TABLE_NAME, upper(current_setting('transaction_isolation'))
            USING ERRCODE = 'invalid_transaction_state';
    END IF;
    RETURN NULL;
END
$$;
DO $$
DECLARE
    guarded text;
BEGIN
    FOREACH guarded IN ARRAY ARRAY['journal', 'posting', 'closed_day', 'evidence', 'payment', 'application', 'receipt',
        'receipt_cancellation', 'invoice', 'invoice_line', 'invoice_cancellation', 'statement', 'statement_line',
        'match_request', 'payment_match', 'match_reversal', 'policy_activation', 'payer_link_answer',
        'ledger_tick', 'snapshot_run', 'balance_slice', 'push_request', 'job'] LOOP
        EXECUTE format('CREATE TRIGGER read_committed BEFORE INSERT ON %I
                        FOR EACH STATEMENT EXECUTE FUNCTION read_committed()', guarded);
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER read_committed', guarded);
    END LOOP;
END
$$;

-- 3. Days. Whoever asks for a book date locks it through the owner; a day is closed once it is over, and none is skipped.
CREATE OR REPLACE FUNCTION book_date_on_or_after(wanted date) RETURNS date LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    chosen date := greatest(wanted, (SELECT books_open_from FROM county));
BEGIN
    LOOP
        PERFORM pg_advisory_xact_lock_shared(7201, chosen - DATE '2000-01-01');
        IF NOT EXISTS (SELECT FROM closed_day WHERE book_date = chosen) THEN
            RETURN chosen;
        END IF;
        chosen := chosen + 1;
    END LOOP;
END
$$;
CREATE OR REPLACE FUNCTION close_book_date() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    books_open_from date := (SELECT c.books_open_from FROM county c);
BEGIN
    PERFORM pg_advisory_xact_lock(7201, NEW.book_date - DATE '2000-01-01');
    IF NEW.book_date >= (clock_timestamp() AT TIME ZONE 'Africa/Nairobi')::date THEN
        RAISE EXCEPTION 'the day % has not ended in Nairobi and cannot be closed', NEW.book_date
            USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.book_date < books_open_from THEN
        RAISE EXCEPTION 'the books open on %: % is no day of theirs', books_open_from, NEW.book_date
            USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.book_date <> books_open_from AND NOT EXISTS (SELECT FROM closed_day WHERE book_date = NEW.book_date - 1) THEN
        RAISE EXCEPTION 'the day before % is open: days are closed in their order, without a gap', NEW.book_date
            USING ERRCODE = 'check_violation';
    END IF;
    NEW.closed_at := clock_timestamp(); -- not when the transaction began: it may have waited for recorders meanwhile
    RETURN NEW;
END
$$;

-- The first day that may be closed: the one after the last closed, or the day the books open.
CREATE FUNCTION first_open_day() RETURNS date LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT coalesce((SELECT max(book_date) + 1 FROM closed_day), (SELECT books_open_from FROM county))
$$;

-- 4. Journals of people. What the API posts is the issuing and the taking back of its own bills, under their own keys:
-- no key of another's journal can be taken in advance, and no waiver, write-off or share is posted by one hand.
CREATE FUNCTION journal_of_role() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    refused text;
BEGIN
    IF pg_has_role(current_user, 'revenue_worker', 'MEMBER') THEN
        RETURN NULL;
    END IF;
    SELECT w.key INTO refused FROM written w
     WHERE w.reverses_id IS NOT NULL
        OR CASE w.kind
           WHEN 'invoice_issued' THEN NOT EXISTS (
               SELECT FROM invoice i WHERE i.id = substring(w.key FROM '^invoice:([0-9]{1,18}):issued$')::bigint
                  AND i.xid = pg_current_xact_id())
           WHEN 'invoice_cancelled' THEN NOT EXISTS (
               SELECT FROM invoice_cancellation c
                WHERE c.invoice_id = substring(w.key FROM '^invoice:([0-9]{1,18}):cancelled$')::bigint
                  AND c.xid = pg_current_xact_id())
           ELSE true END LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'role % may not post journal %: it issues and cancels its own bills and nothing else',
            current_user, refused USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER journal_of_role AFTER INSERT ON journal
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION journal_of_role();
ALTER TABLE journal ENABLE ALWAYS TRIGGER journal_of_role;

CREATE OR REPLACE FUNCTION posting_guard() RETURNS trigger LANGUAGE plpgsql
    SET search_path = pg_catalog, public, pg_temp SET enable_seqscan = off AS $$
DECLARE
    refused record;
BEGIN
    IF EXISTS (SELECT FROM written WHERE xid <> pg_current_xact_id()) THEN
        RAISE EXCEPTION 'a posting may not say that another transaction wrote it' USING ERRCODE = 'check_violation';
    END IF;
    SELECT w.journal_id INTO refused FROM (SELECT DISTINCT journal_id, book_date FROM written) w
     WHERE (SELECT j.xid FROM journal j WHERE j.id = w.journal_id AND j.book_date = w.book_date)
           IS DISTINCT FROM pg_current_xact_id() LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal % stands and takes no further posting', refused.journal_id
            USING ERRCODE = 'check_violation', HINT = 'Post another journal.';
    END IF;
    IF NOT pg_has_role(current_user, 'revenue_worker', 'MEMBER') THEN
        -- Everything but a bill and its taking back moves on evidence, or when a second person has agreed.
        SELECT w.debit, w.credit INTO refused
          FROM written w JOIN journal j ON j.id = w.journal_id AND j.book_date = w.book_date
         WHERE NOT (w.payment_id IS NULL AND w.channel_account_id IS NULL
                AND w.invoice_id = split_part(j.key, ':', 2)::bigint AND CASE j.kind
               WHEN 'invoice_issued' THEN w.debit LIKE '1300.%' AND w.credit LIKE '4000.%'
               ELSE w.debit LIKE '4000.%' AND w.credit LIKE '1300.%' END) LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'role % may not post % to %: money moves on evidence only', current_user, refused.credit,
                refused.debit USING ERRCODE = 'insufficient_privilege';
        END IF;
    END IF;
    RETURN NULL;
END
$$;

-- 5. Evidence belongs to a delivery of its channel account, and a payment to evidence that says just that.
CREATE FUNCTION evidence_guard() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp SET enable_hashjoin = off SET enable_mergejoin = off
    SET enable_seqscan = off AS $$
DECLARE
    wrong record;
BEGIN
    SELECT w.kind, w.reference, w.delivery_id INTO wrong FROM written w
     WHERE NOT EXISTS (SELECT FROM delivery d
                        WHERE d.id = w.delivery_id AND d.channel_account_id = w.channel_account_id) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'evidence of % % names delivery %, which is none of its channel account', wrong.kind,
            wrong.reference, wrong.delivery_id USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER evidence_guard AFTER INSERT ON evidence
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION evidence_guard();
ALTER TABLE evidence ENABLE ALWAYS TRIGGER evidence_guard;

CREATE FUNCTION payment_guard() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp SET enable_hashjoin = off SET enable_mergejoin = off
    SET enable_seqscan = off AS $$
DECLARE
    wrong record;
BEGIN
    -- A reversal may take back a payment and the rest of it that a statement proved: its message says the sum of both.
    SELECT w.kind, w.reference, w.amount_minor INTO wrong FROM written w
     WHERE NOT EXISTS (
        SELECT FROM evidence e
         WHERE e.reference = w.reference AND e.kind = w.kind AND e.channel_account_id = w.channel_account_id
           AND e.currency = w.currency AND e.occurred_at = w.occurred_at
           AND (e.amount_minor = w.amount_minor
                OR (w.kind = 'reversal' AND (e.amount_minor IS NULL OR e.amount_minor = w.amount_minor + (
                    SELECT r.amount_minor FROM payment r
                     WHERE r.reference = w.reference || '/DIFFERENCE' AND r.kind = 'reversal'
                       AND r.channel_account_id = w.channel_account_id))))) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'no evidence says that % % is of % at that time', wrong.kind, wrong.reference,
            wrong.amount_minor USING ERRCODE = 'check_violation', HINT = 'Money is recorded from its evidence only.';
    END IF;
    IF EXISTS (SELECT FROM written WHERE kind = 'reversal') THEN
        SELECT w.reference, o.reference AS original, w.amount_minor INTO wrong
          FROM written w LEFT JOIN payment o ON o.id = w.reverses_id
         WHERE w.kind = 'reversal'
           AND (o.id IS NULL OR o.kind <> 'payment' OR o.channel_account_id <> w.channel_account_id
                OR o.amount_minor <> w.amount_minor
                OR NOT EXISTS (SELECT FROM evidence e
                                WHERE e.reference = w.reference AND e.kind = 'reversal'
                                  AND e.channel_account_id = w.channel_account_id AND e.reverses = o.reference)) LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'reversal % of % does not take back % whole, as its evidence says', wrong.reference,
                wrong.amount_minor, coalesce(wrong.original, 'a payment') USING ERRCODE = 'check_violation';
        END IF;
    END IF;
    SELECT c.mode INTO wrong FROM (SELECT DISTINCT channel_account_id FROM written) w
      JOIN channel_account c ON c.id = w.channel_account_id JOIN county y ON y.mode <> c.mode LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'money of a % channel account is no money of these books', wrong.mode
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER payment_guard AFTER INSERT ON payment
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION payment_guard();
ALTER TABLE payment ENABLE ALWAYS TRIGGER payment_guard;

-- 6. What is applied. Payments are locked before their applications are summed, so that two transactions never spend
-- one payment twice; a payment that this very transaction recorded is seen by nobody else and needs no lock.
CREATE OR REPLACE FUNCTION bill_is_paid() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp SET enable_hashjoin = off SET enable_mergejoin = off
    SET enable_seqscan = off AS $$
DECLARE
    changed bigint;
    wrong record;
BEGIN
    PERFORM p.id FROM payment p
      WHERE p.id IN (SELECT payment_id FROM written) AND p.xid <> pg_current_xact_id()
      ORDER BY p.id FOR NO KEY UPDATE;
    UPDATE open_bill o
       SET costs_minor = o.costs_minor - a.costs, penalty_minor = o.penalty_minor - a.penalty,
           interest_minor = o.interest_minor - a.interest, arrears_minor = o.arrears_minor - a.arrears,
           principal_minor = o.principal_minor - a.principal
      FROM (SELECT invoice_id,
                   coalesce(sum(amount_minor) FILTER (WHERE component = 'costs'), 0)::bigint AS costs,
                   coalesce(sum(amount_minor) FILTER (WHERE component = 'penalty'), 0)::bigint AS penalty,
                   coalesce(sum(amount_minor) FILTER (WHERE component = 'interest'), 0)::bigint AS interest,
                   coalesce(sum(amount_minor) FILTER (WHERE component = 'arrears'), 0)::bigint AS arrears,
                   coalesce(sum(amount_minor) FILTER (WHERE component = 'principal'), 0)::bigint AS principal
              FROM written GROUP BY invoice_id) a
     WHERE o.invoice_id = a.invoice_id;
    GET DIAGNOSTICS changed = ROW_COUNT;
    IF changed <> (SELECT count(DISTINCT invoice_id) FROM written) THEN
        RAISE EXCEPTION 'money is applied to a bill that does not exist' USING ERRCODE = 'foreign_key_violation';
    END IF;
    SELECT w.payment_id, p.reference, p.kind, p.amount_minor, w.applied, coalesce(r.amount_minor, 0) AS reversed
      INTO wrong
      FROM (SELECT n.payment_id, (SELECT sum(a.amount_minor) FROM application a WHERE a.payment_id = n.payment_id)
                   AS applied FROM (SELECT DISTINCT payment_id FROM written) n) w
      LEFT JOIN payment p ON p.id = w.payment_id
      LEFT JOIN payment r ON r.reverses_id = w.payment_id
     WHERE p.id IS NULL OR p.kind <> 'payment' OR w.applied < 0
        OR w.applied > p.amount_minor - coalesce(r.amount_minor, 0) LIMIT 1;
    IF FOUND AND wrong.reference IS NULL THEN
        RAISE EXCEPTION 'money of a payment that does not exist is applied: %', wrong.payment_id
            USING ERRCODE = 'foreign_key_violation';
    ELSIF FOUND AND wrong.kind <> 'payment' THEN
        RAISE EXCEPTION '% is a % and pays no bill', wrong.reference, wrong.kind USING ERRCODE = 'check_violation';
    ELSIF FOUND THEN
        RAISE EXCEPTION 'payment % of % would be applied for %', wrong.reference, wrong.amount_minor - wrong.reversed,
            wrong.applied USING ERRCODE = 'check_violation';
    END IF;
    -- What is taken off a component of a bill was set against it before, by the same payment.
    IF EXISTS (SELECT FROM written WHERE amount_minor < 0) THEN
        SELECT w.payment_id, w.invoice_id, w.component INTO wrong
          FROM (SELECT DISTINCT payment_id, invoice_id, component FROM written WHERE amount_minor < 0) w
         WHERE (SELECT sum(a.amount_minor) FROM application a
                 WHERE a.payment_id = w.payment_id AND a.invoice_id = w.invoice_id AND a.component = w.component) < 0
         LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'payment % never paid so much % of bill %', wrong.payment_id, wrong.component,
                wrong.invoice_id USING ERRCODE = 'check_violation';
        END IF;
    END IF;
    -- And all of it is what a journal of this very transaction posts to the receivable of the bill.
    SELECT w.journal_id, w.payment_id, w.invoice_id INTO wrong
      FROM (SELECT DISTINCT journal_id, payment_id, invoice_id FROM written) w
     WHERE (SELECT sum(a.amount_minor) FROM application a WHERE a.payment_id = w.payment_id
               AND a.invoice_id = w.invoice_id AND a.journal_id = w.journal_id)
           IS DISTINCT FROM
           (SELECT sum(CASE WHEN p.credit LIKE '1300.%' THEN p.amount_minor ELSE -p.amount_minor END) FROM posting p
             WHERE p.journal_id = w.journal_id AND p.payment_id = w.payment_id AND p.invoice_id = w.invoice_id
               AND p.xid = pg_current_xact_id() AND (p.credit LIKE '1300.%' OR p.debit LIKE '1300.%')) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal % of this transaction does not post what of payment % is applied to bill %',
            wrong.journal_id, wrong.payment_id, wrong.invoice_id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;

-- 7. Papers say what their payment says.
CREATE FUNCTION receipt_guard() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp SET enable_hashjoin = off SET enable_mergejoin = off
    SET enable_seqscan = off AS $$
DECLARE
    wrong record;
BEGIN
    SELECT w.kind, w.financial_year, w.number, w.amount_minor, p.reference INTO wrong
      FROM written w LEFT JOIN payment p ON p.id = w.payment_id
     WHERE p.kind IS DISTINCT FROM 'payment' OR p.amount_minor <> w.amount_minor OR p.occurred_at <> w.paid_at
        -- The financial year follows receipt: the day it was paid, or booked where the channel's clock ran ahead.
        OR w.financial_year <> to_char(least((w.paid_at AT TIME ZONE 'Africa/Nairobi')::date, w.book_date)
                                       - interval '6 months', 'YY')
                               || to_char(least((w.paid_at AT TIME ZONE 'Africa/Nairobi')::date, w.book_date)
                                          + interval '6 months', 'YY') LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '% %/% of % does not say what its payment % says', wrong.kind, wrong.financial_year,
            wrong.number, wrong.amount_minor, coalesce(wrong.reference, 'that does not exist')
            USING ERRCODE = 'check_violation';
    END IF;
    SELECT w.kind, w.financial_year, w.last INTO wrong
      FROM (SELECT kind, financial_year, max(number) AS last, min(number) AS first FROM written
             GROUP BY kind, financial_year) w
      LEFT JOIN receipt_series s ON s.kind = w.kind AND s.financial_year = w.financial_year
     WHERE w.first < 1 OR s.last_number IS NULL OR w.last > s.last_number LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '% %/% is beyond its series', wrong.kind, wrong.financial_year, wrong.last
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER receipt_guard AFTER INSERT ON receipt
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION receipt_guard();
ALTER TABLE receipt ENABLE ALWAYS TRIGGER receipt_guard;

-- A series only ever counts on: a number once passed is never passed again.
CREATE FUNCTION series_guard() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF NEW.last_number < OLD.last_number THEN
        RAISE EXCEPTION 'the series of % % stands at %: it does not go back to %', OLD.kind, OLD.financial_year,
            OLD.last_number, NEW.last_number USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER series_guard BEFORE UPDATE ON receipt_series FOR EACH ROW EXECUTE FUNCTION series_guard();
ALTER TABLE receipt_series ENABLE ALWAYS TRIGGER series_guard;

-- 8. Balances are folded by the database itself, so that no role can write a slice or a horizon of its own making.
CREATE FUNCTION take_snapshot(every bigint) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    start_at xid8;
    end_at xid8;
    waiting bigint;
BEGIN
    IF NOT pg_try_advisory_xact_lock(7263003) THEN
        RETURN 0; -- another process is at it
    END IF;
    SELECT coalesce(max(horizon)::text, '0')::xid8 INTO start_at FROM snapshot_run;
    end_at := pg_snapshot_xmin(pg_current_snapshot());
    IF end_at <= start_at THEN
        RETURN 0;
    END IF;
    SELECT count(*) INTO waiting FROM journal j JOIN posting p ON p.journal_id = j.id AND p.book_date = j.book_date
     WHERE j.xid >= start_at AND j.xid < end_at;
    IF waiting = 0 OR waiting < every THEN
        RETURN 0;
    END IF;
    INSERT INTO balance_slice (account, book_date, horizon, debit_minor, credit_minor, postings)
    SELECT side.account, p.book_date, end_at, sum(side.debit_minor), sum(side.credit_minor), count(*)
      FROM journal j
      JOIN posting p ON p.journal_id = j.id AND p.book_date = j.book_date
      CROSS JOIN LATERAL (VALUES (p.debit, p.amount_minor, 0::bigint), (p.credit, 0::bigint, p.amount_minor))
           AS side (account, debit_minor, credit_minor)
     WHERE j.xid >= start_at AND j.xid < end_at
     GROUP BY side.account, p.book_date;
    INSERT INTO snapshot_run (horizon, previous, postings) VALUES (end_at, start_at, waiting);
    RETURN waiting;
END
$$;
CREATE FUNCTION take_tick() RETURNS bigint LANGUAGE sql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
    INSERT INTO ledger_tick (horizon) VALUES (pg_snapshot_xmin(pg_current_snapshot())) RETURNING horizon::text::bigint
$$;
-- Below the horizon everything is final; above it nothing may be called known, by whomever.
CREATE FUNCTION horizon_guard() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM written WHERE horizon > pg_snapshot_xmin(pg_current_snapshot())) THEN
        RAISE EXCEPTION '% reaches beyond what is final', TG_TABLE_NAME USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;
DO $$
DECLARE
    guarded text;
BEGIN
    FOREACH guarded IN ARRAY ARRAY['ledger_tick', 'snapshot_run', 'balance_slice'] LOOP
        EXECUTE format('CREATE TRIGGER horizon_guard AFTER INSERT ON %I REFERENCING NEW TABLE AS written
                        FOR EACH STATEMENT EXECUTE FUNCTION horizon_guard()', guarded);
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER horizon_guard', guarded);
    END LOOP;
END
$$;

-- 9. Work rows. The API asks for work through these two and can neither hold, put off nor kill what waits.
CREATE OR REPLACE FUNCTION delivery_needs_work() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    INSERT INTO job (kind, ref_id)
    SELECT CASE purpose WHEN 'statement' THEN 'statement' ELSE 'interpret' END, id FROM arrived ORDER BY id
    ON CONFLICT (kind, ref_id) DO UPDATE
       SET state = 'ready', attempts = 0, run_after = now(), leased_by = NULL, lease_until = NULL;
    RETURN NULL;
END
$$;
CREATE FUNCTION work_on_new_bills(wanted_kind text, bills bigint[]) RETURNS void LANGUAGE sql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
    INSERT INTO job (kind, ref_id)
    SELECT wanted_kind, i.id FROM invoice i
     WHERE i.id = ANY (bills) AND i.xid = pg_current_xact_id() AND wanted_kind = 'apply_credit' ORDER BY i.id
    ON CONFLICT (kind, ref_id) DO NOTHING
$$;
CREATE FUNCTION read_again(wanted_kind text, wanted bigint) RETURNS text LANGUAGE sql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
    INSERT INTO job (kind, ref_id)
    SELECT wanted_kind, wanted WHERE wanted_kind IN ('interpret', 'statement')
    ON CONFLICT (kind, ref_id) DO UPDATE
       SET state = 'ready', attempts = 0, run_after = now(), leased_by = NULL, lease_until = NULL
     WHERE job.state = 'dead'
    RETURNING kind
$$;

CREATE FUNCTION ask_again(account bigint, since interval) RETURNS void LANGUAGE sql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
    INSERT INTO job (kind, ref_id) SELECT 'pull', id FROM channel_account WHERE id = account
    ON CONFLICT (kind, ref_id) DO UPDATE SET run_after = now(), leased_by = NULL, lease_until = NULL;
    INSERT INTO job (kind, ref_id)
    SELECT 'query', p.id FROM push_request p WHERE p.channel_account_id = account AND p.requested_at > now() - since
       AND NOT EXISTS (SELECT FROM evidence e WHERE e.request_id = p.request_id)
       AND NOT EXISTS (SELECT FROM push_end x WHERE x.request_id = p.request_id) ORDER BY p.id
    ON CONFLICT (kind, ref_id) DO NOTHING
$$;

-- 10. Set-up at one time: two loads of a county wait for each other through the owner.
CREATE FUNCTION lock_set_up() RETURNS void LANGUAGE sql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT pg_advisory_xact_lock(7210, 0)
$$;

-- 11. What a channel holds for us is channel clearing and no other account.
ALTER TABLE channel_account ADD CONSTRAINT ck_channel_account_clearing CHECK (clearing_account LIKE '1200.%');
