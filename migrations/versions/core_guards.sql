-- What the database itself refuses and derives, whoever asks. Functions run as the owner with a pinned search path.

-- 1. Append only: no UPDATE, DELETE or TRUNCATE on what is known about money, not even by a grant given in error.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '% is append only: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation', HINT = 'Correct it with a reversing or cancelling row.';
END
$$;
DO $$
DECLARE
    guarded text;
BEGIN
    FOREACH guarded IN ARRAY ARRAY[
        'journal', 'posting', 'closed_day', 'ledger_tick', 'snapshot_run', 'balance_slice',
        'delivery', 'delivery_outcome', 'evidence', 'payment', 'application', 'push_request',
        'receipt', 'receipt_cancellation', 'invoice', 'invoice_line', 'invoice_cancellation', 'pay_account', 'audit_event'
    ] LOOP
        EXECUTE format('CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON %I
                        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', guarded);
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER refuse_change', guarded);
    END LOOP;
END
$$;

-- 1b. What the hottest rows name exists: looked up once a statement, set by set, where a foreign key would look once a
-- row and mark the parent row each time. It is as strong: the statement sees the parent or is refused, and no parent can
-- go away after, because it is append only or refuses to lose its key. Unlike a foreign key it also asks a superuser.
CREATE FUNCTION parents_exist() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE  -- the parent table; the columns here that name it; how a parent p is the one named by n
    parent text := TG_ARGV[0];
    naming text := TG_ARGV[1];
    same text := TG_ARGV[2];
    missing text;
BEGIN
    EXECUTE format('SELECT n::text FROM (SELECT DISTINCT %s FROM written) n
                     WHERE NOT EXISTS (SELECT FROM %I p WHERE %s) LIMIT 1', naming, parent, same) INTO missing;
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION '% names no %: %', TG_TABLE_NAME, parent, missing
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NULL;
END
$$;
DO $$
DECLARE
    child text;
    parent text;
    naming text;
    same text;
BEGIN
    FOR child, parent, naming, same IN VALUES
        ('posting', 'journal', 'journal_id, book_date', 'p.id = n.journal_id AND p.book_date = n.book_date'),
        ('posting', 'account', 'debit', 'p.code = n.debit'),
        ('posting', 'account', 'credit', 'p.code = n.credit'),
        ('payment', 'channel_account', 'channel_account_id', 'p.id = n.channel_account_id'),
        ('payment_party', 'payment', 'payment_id', 'p.id = n.payment_id'),
        ('application', 'payment', 'payment_id', 'p.id = n.payment_id'),
        ('application', 'invoice', 'invoice_id', 'p.id = n.invoice_id'),
        ('receipt', 'payment', 'payment_id', 'p.id = n.payment_id')
    LOOP
        EXECUTE format('CREATE TRIGGER %I AFTER INSERT ON %I REFERENCING NEW TABLE AS written FOR EACH STATEMENT
                        EXECUTE FUNCTION parents_exist(%L, %L, %L)',
                       'names_' || parent || '_' || split_part(naming, ',', 1), child, parent, naming, same);
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER %I', child,
                       'names_' || parent || '_' || split_part(naming, ',', 1));
    END LOOP;
    EXECUTE 'CREATE TRIGGER keep_key BEFORE DELETE OR TRUNCATE OR UPDATE OF code ON account
             FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()';
    EXECUTE 'CREATE TRIGGER keep_key BEFORE DELETE OR TRUNCATE OR UPDATE OF id ON channel_account
             FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()';
    EXECUTE 'ALTER TABLE account ENABLE ALWAYS TRIGGER keep_key';
    EXECUTE 'ALTER TABLE channel_account ENABLE ALWAYS TRIGGER keep_key';
END
$$;

-- 2. Every delivery is its own job, written in its own transaction.
CREATE FUNCTION delivery_needs_work() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    INSERT INTO job (kind, ref_id) SELECT 'interpret', id FROM arrived ORDER BY id;
    RETURN NULL;
END
$$;
CREATE TRIGGER delivery_needs_work AFTER INSERT ON delivery
    REFERENCING NEW TABLE AS arrived FOR EACH STATEMENT EXECUTE FUNCTION delivery_needs_work();
ALTER TABLE delivery ENABLE ALWAYS TRIGGER delivery_needs_work;

-- 3. Book dates. The shared lock is held to the end of the transaction, so that a close must wait for it.
CREATE FUNCTION book_date_on_or_after(wanted date) RETURNS date LANGUAGE plpgsql
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
CREATE FUNCTION close_book_date() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7201, NEW.book_date - DATE '2000-01-01');
    NEW.closed_at := clock_timestamp(); -- not when the transaction began: it may have waited for recorders meanwhile
    RETURN NEW;
END
$$;
CREATE TRIGGER close_book_date BEFORE INSERT ON closed_day FOR EACH ROW EXECUTE FUNCTION close_book_date();
ALTER TABLE closed_day ENABLE ALWAYS TRIGGER close_book_date;

-- 4. Journals go to open days only, whole, in the transaction that they say; and only the worker, which acts on
--    evidence, may move money the county holds: at channels, banks and the Fund, as payers' credit, in suspense, as
--    refunds. The guard takes the lock too, for whoever did not ask for a day.
CREATE FUNCTION journal_guard() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    closed date;
BEGIN
    IF EXISTS (SELECT FROM written WHERE xid <> pg_current_xact_id()) THEN
        RAISE EXCEPTION 'a journal may not say that another transaction wrote it' USING ERRCODE = 'check_violation';
    END IF;
    PERFORM pg_advisory_xact_lock_shared(7201, d.book_date - DATE '2000-01-01')
       FROM (SELECT DISTINCT book_date FROM written ORDER BY book_date) d;
    SELECT min(c.book_date) INTO closed
      FROM (SELECT DISTINCT book_date FROM written) w JOIN closed_day c USING (book_date);
    IF closed IS NOT NULL THEN
        RAISE EXCEPTION 'the book of % is closed', closed USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER journal_guard AFTER INSERT ON journal
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION journal_guard();
ALTER TABLE journal ENABLE ALWAYS TRIGGER journal_guard;

-- No sequential scan: a plan made while the journal was small is kept, and must not grow slow with it.
CREATE FUNCTION posting_guard() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
    SET enable_seqscan = off AS $$
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
        SELECT debit, credit INTO refused FROM written
         WHERE debit ~ '^(1[012]|2[123])' OR credit ~ '^(1[012]|2[123])' LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'role % may not post % to %: money moves on evidence only', current_user, refused.credit,
                refused.debit USING ERRCODE = 'insufficient_privilege';
        END IF;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER posting_guard AFTER INSERT ON posting
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION posting_guard();
ALTER TABLE posting ENABLE ALWAYS TRIGGER posting_guard;

-- 5. What is left of a bill is derived here and nowhere else: no role may write open_bill.
CREATE FUNCTION bill_opens() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    wrong record;
BEGIN
    INSERT INTO open_bill (invoice_id, stream_code, station_code, payer_id, object_id, due_on,
                           costs_minor, penalty_minor, interest_minor, arrears_minor, principal_minor)
    SELECT i.id, i.stream_code, i.station_code, i.payer_id, i.object_id, i.due_on,
           coalesce(sum(l.amount_minor) FILTER (WHERE l.component = 'costs'), 0),
           coalesce(sum(l.amount_minor) FILTER (WHERE l.component = 'penalty'), 0),
           coalesce(sum(l.amount_minor) FILTER (WHERE l.component = 'interest'), 0),
           coalesce(sum(l.amount_minor) FILTER (WHERE l.component = 'arrears'), 0),
           coalesce(sum(l.amount_minor) FILTER (WHERE l.component = 'principal'), 0)
      FROM written l JOIN invoice i ON i.id = l.invoice_id
     GROUP BY i.id;
    SELECT i.number, i.total_minor, o.outstanding_minor INTO wrong
      FROM (SELECT DISTINCT invoice_id FROM written) w JOIN invoice i ON i.id = w.invoice_id
      JOIN open_bill o ON o.invoice_id = i.id WHERE o.outstanding_minor <> i.total_minor LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'invoice % says % but its lines sum to %', wrong.number, wrong.total_minor, wrong.outstanding_minor
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER bill_opens AFTER INSERT ON invoice_line
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION bill_opens();
ALTER TABLE invoice_line ENABLE ALWAYS TRIGGER bill_opens;

CREATE FUNCTION bill_is_paid() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    wrong record;
BEGIN
    UPDATE open_bill o
       SET costs_minor = o.costs_minor - a.costs, penalty_minor = o.penalty_minor - a.penalty,
           interest_minor = o.interest_minor - a.interest, arrears_minor = o.arrears_minor - a.arrears,
           principal_minor = o.principal_minor - a.principal
      FROM (SELECT invoice_id,
                   coalesce(sum(amount_minor) FILTER (WHERE component = 'costs'), 0) AS costs,
                   coalesce(sum(amount_minor) FILTER (WHERE component = 'penalty'), 0) AS penalty,
                   coalesce(sum(amount_minor) FILTER (WHERE component = 'interest'), 0) AS interest,
                   coalesce(sum(amount_minor) FILTER (WHERE component = 'arrears'), 0) AS arrears,
                   coalesce(sum(amount_minor) FILTER (WHERE component = 'principal'), 0) AS principal
              FROM written GROUP BY invoice_id) a
     WHERE o.invoice_id = a.invoice_id;
    SELECT p.reference, p.amount_minor, sum(a.amount_minor) AS applied INTO wrong
      FROM (SELECT DISTINCT payment_id FROM written) w
      JOIN payment p ON p.id = w.payment_id JOIN application a ON a.payment_id = p.id
     GROUP BY p.id HAVING sum(a.amount_minor) > p.amount_minor OR sum(a.amount_minor) < 0 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'payment % of % would be applied for %', wrong.reference, wrong.amount_minor, wrong.applied
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER bill_is_paid AFTER INSERT ON application
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION bill_is_paid();
ALTER TABLE application ENABLE ALWAYS TRIGGER bill_is_paid;

CREATE FUNCTION bill_is_cancelled() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    bill open_bill;
    billed bigint;
BEGIN
    SELECT * INTO bill FROM open_bill WHERE invoice_id = NEW.invoice_id FOR UPDATE;
    SELECT total_minor INTO billed FROM invoice WHERE id = NEW.invoice_id;
    IF bill.outstanding_minor <> billed THEN
        RAISE EXCEPTION 'invoice % has been paid in part or whole and cannot be cancelled', NEW.invoice_id
            USING ERRCODE = 'check_violation', HINT = 'Issue a credit note for what is left.';
    END IF;
    UPDATE open_bill SET cancelled = true, costs_minor = 0, penalty_minor = 0, interest_minor = 0, arrears_minor = 0,
           principal_minor = 0 WHERE invoice_id = NEW.invoice_id;
    RETURN NEW;
END
$$;
CREATE TRIGGER bill_is_cancelled BEFORE INSERT ON invoice_cancellation
    FOR EACH ROW EXECUTE FUNCTION bill_is_cancelled();
ALTER TABLE invoice_cancellation ENABLE ALWAYS TRIGGER bill_is_cancelled;

-- Record and apply lock bills in id order without holding the right to change them.
CREATE FUNCTION lock_open_bills(wanted bigint[]) RETURNS SETOF open_bill LANGUAGE sql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT * FROM open_bill WHERE invoice_id = ANY (wanted) ORDER BY invoice_id FOR UPDATE
$$;

-- 6. How each delivery stands: posted, evidence of a posted payment, waiting, ignored with reason, dead, or pending.
CREATE VIEW delivery_state WITH (security_barrier) AS
SELECT d.id AS delivery_id, d.received_on,
       CASE WHEN e.id IS NOT NULL AND p.id IS NOT NULL AND e.id = f.first_id THEN 'posted'
            WHEN e.id IS NOT NULL AND p.id IS NOT NULL THEN 'evidence'
            WHEN e.id IS NOT NULL THEN 'waiting'
            WHEN o.outcome IS NOT NULL THEN o.outcome
            WHEN j.state = 'dead' THEN 'dead'
            ELSE 'pending' END AS state,
       CASE WHEN e.id IS NOT NULL AND p.id IS NULL THEN 'no payment of this reference is confirmed yet'
            ELSE coalesce(o.reason, j.last_error, '') END AS reason,
       p.id AS payment_id
  FROM delivery d
  LEFT JOIN evidence e ON e.delivery_id = d.id AND e.item = 0
  LEFT JOIN payment p ON p.channel_account_id = e.channel_account_id AND p.kind = e.kind AND p.reference = e.reference
  LEFT JOIN LATERAL (SELECT min(x.id) AS first_id FROM evidence x
                      WHERE x.channel_account_id = e.channel_account_id AND x.kind = e.kind
                        AND x.reference = e.reference) f ON true
  LEFT JOIN LATERAL (SELECT outcome, reason FROM delivery_outcome x WHERE x.delivery_id = d.id
                      ORDER BY x.id DESC LIMIT 1) o ON true
  LEFT JOIN job j ON j.kind = 'interpret' AND j.ref_id = d.id;

-- 7. Least grants. PUBLIC may do nothing.
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

GRANT INSERT ON delivery TO revenue_intake;
GRANT SELECT ON county, channel_account, channel_endpoint, pay_account, open_bill, alias, billed_object, station, stream
    TO revenue_intake;

GRANT SELECT ON ALL TABLES IN SCHEMA public TO revenue_worker;
GRANT INSERT ON journal, posting, evidence, payment, payment_party, application, receipt, receipt_cancellation,
    invoice, invoice_line, pay_account, delivery_outcome, break_case, job, audit_event,
    ledger_tick, snapshot_run, balance_slice, receipt_series TO revenue_worker;
GRANT UPDATE (last_number) ON receipt_series TO revenue_worker;
GRANT UPDATE (state, attempts, run_after, leased_by, lease_until, last_error), DELETE ON job TO revenue_worker;
GRANT UPDATE (owner, closed_at, resolution, detail, amount_minor) ON break_case TO revenue_worker;
GRANT EXECUTE ON FUNCTION lock_open_bills(bigint[]), book_date_on_or_after(date) TO revenue_worker;

GRANT SELECT ON ALL TABLES IN SCHEMA public TO revenue_api;
REVOKE SELECT ON delivery, channel_endpoint FROM revenue_api;
GRANT SELECT (id, received_on, received_at, channel_account_id, endpoint_id, purpose, peer, body_length, verdict,
    verdict_reason) ON delivery TO revenue_api;
GRANT SELECT (id, channel_account_id, purpose, created_at, revoked_at) ON channel_endpoint TO revenue_api;
GRANT INSERT ON payer, billed_object, alias, invoice, invoice_line, invoice_cancellation, pay_account, push_request,
    journal, posting, job, audit_event, closed_day, county, stream, station, tariff_line, public_holiday, account,
    channel_account, channel_endpoint TO revenue_api;
GRANT UPDATE (name, phone) ON payer TO revenue_api;
GRANT UPDATE (payer_id, tariff_item) ON billed_object TO revenue_api;
GRANT UPDATE (name, refuse_unknown_accounts, confirm_limit_minor) ON county TO revenue_api;
GRANT UPDATE (status, effective_to) ON tariff_line TO revenue_api;
GRANT UPDATE (name, status, settings) ON channel_account TO revenue_api;
GRANT UPDATE (revoked_at) ON channel_endpoint TO revenue_api;
GRANT UPDATE (owner) ON break_case TO revenue_api;
GRANT UPDATE (state, attempts, run_after, leased_by, lease_until) ON job TO revenue_api;
GRANT EXECUTE ON FUNCTION book_date_on_or_after(date), lock_open_bills(bigint[]) TO revenue_api;

GRANT SELECT ON ALL TABLES IN SCHEMA public TO revenue_report;
REVOKE SELECT ON payer, payment_party, delivery, channel_endpoint FROM revenue_report;
GRANT SELECT (id, public_id, created_at) ON payer TO revenue_report;
GRANT SELECT (id, received_on, received_at, channel_account_id, endpoint_id, purpose, body_length, verdict, verdict_reason)
    ON delivery TO revenue_report;

GRANT SELECT ON journal, posting, audit_event, closed_day TO revenue_seal;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO revenue_intake, revenue_worker, revenue_api;
RESET ROLE;
