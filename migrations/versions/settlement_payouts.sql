-- Which payout of a channel a bank's credit is: written down when both are known, and never guessed again from amounts.
-- And what three ways say of a day holds its close: the bank's book is explained, and a statement's foot is its lines.

SET LOCAL ROLE revenue_owner;
SET LOCAL search_path = public;

CREATE TABLE settlement_payout (
    bank_channel_account_id BIGINT NOT NULL,
    bank_reference TEXT NOT NULL,
    channel_account_id BIGINT NOT NULL,
    payout_reference TEXT NOT NULL,
    amount_minor BIGINT NOT NULL,
    recorded_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    xid XID8 DEFAULT pg_current_xact_id() NOT NULL,
    CONSTRAINT pk_settlement_payout PRIMARY KEY (bank_channel_account_id, bank_reference),
    CONSTRAINT uq_settlement_payout_channel_account_id_payout_reference UNIQUE (channel_account_id, payout_reference),
    CONSTRAINT ck_settlement_payout_amount CHECK (amount_minor > 0),
    CONSTRAINT fk_settlement_payout_bank_channel_account_id FOREIGN KEY (bank_channel_account_id) REFERENCES channel_account (id),
    CONSTRAINT fk_settlement_payout_channel_account_id FOREIGN KEY (channel_account_id) REFERENCES channel_account (id)
);
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON settlement_payout
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE settlement_payout ENABLE ALWAYS TRIGGER refuse_change;
CREATE TRIGGER read_committed BEFORE INSERT ON settlement_payout
    FOR EACH STATEMENT EXECUTE FUNCTION read_committed();
ALTER TABLE settlement_payout ENABLE ALWAYS TRIGGER read_committed;

-- A payout is what a statement or a message of the channel tells; its credit is a settlement in the books.
CREATE FUNCTION settlement_payout_guard() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM journal j JOIN posting p ON p.journal_id = j.id AND p.book_date = j.book_date
                    WHERE j.key = 'settled:' || NEW.bank_channel_account_id || ':' || NEW.bank_reference
                      AND p.channel_account_id = NEW.channel_account_id AND p.amount_minor = NEW.amount_minor)
       OR NOT EXISTS (SELECT FROM evidence e WHERE e.reference = NEW.payout_reference AND e.kind = 'payout'
                         AND e.channel_account_id = NEW.channel_account_id AND e.amount_minor = NEW.amount_minor) THEN
        RAISE EXCEPTION 'no settlement in the books is the payout %, to the cent', NEW.payout_reference USING ERRCODE = 'RV409';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER settlement_payout_guard BEFORE INSERT ON settlement_payout
    FOR EACH ROW EXECUTE FUNCTION settlement_payout_guard();
ALTER TABLE settlement_payout ENABLE ALWAYS TRIGGER settlement_payout_guard;
GRANT SELECT ON settlement_payout TO revenue_worker, revenue_api, revenue_report, revenue_seal;
GRANT INSERT (bank_channel_account_id, bank_reference, channel_account_id, payout_reference, amount_minor)
    ON settlement_payout TO revenue_worker;
SELECT seal_also('settlement_payout|public.settlement_payout|bank_channel_account_id || '' '' || bank_reference');

-- A bank account of ours moves by facts that three ways lay beside the bank's statement, and by nothing else.
CREATE FUNCTION kinds_of_bank_books() RETURNS text[] LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT ARRAY['payment_received', 'insurer_paid', 'payment_reversed', 'channel_charged', 'settled', 'settled_undone',
                 'opening_balance']
$$;
CREATE FUNCTION control_bank_book(first_day date, last_day date, since xid8, horizon xid8) RETURNS SETOF open_item
    LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT 'journal ' || j.key, p.book_date, 'it moves ' || s.account || ', and no side of three ways knows of it', s.minor,
           'finance'
      FROM posting p
     CROSS JOIN LATERAL (VALUES (p.debit, p.amount_minor), (p.credit, -p.amount_minor)) AS s (account, minor)
      JOIN journal j ON j.id = p.journal_id AND j.book_date = p.book_date
     WHERE p.xid >= since AND p.xid < horizon AND p.xid::text::bigint >= since::text::bigint
       AND p.xid::text::bigint < horizon::text::bigint AND s.account LIKE '1100.%' AND j.kind <> ALL (kinds_of_bank_books())
$$;
-- The foot of the last statement that ends in the days, less the foot before it and the lines since: the lines that lack.
CREATE FUNCTION evidence_statement_foot(first_day date, last_day date, since xid8, horizon xid8) RETURNS SETOF open_item
    LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT 'statement of ' || c.adapter || ' ' || c.identifier || ' to ' || f.last_day, f.last_day,
           'its foot is not the foot before it and the lines since: a statement between the two is missing', f.lacking, 'finance'
      FROM (SELECT s.channel_account_id, s.last_day,
                   (s.closing_minor - coalesce(b.closing_minor, a.opening_minor)
                    - (SELECT coalesce(sum(l.amount_minor), 0) FROM statement_line l
                        WHERE l.channel_account_id = s.channel_account_id AND l.counts AND l.xid < horizon
                          AND l.booked_on <= s.last_day AND l.booked_on > coalesce(b.last_day, '-infinity')))::bigint AS lacking
              FROM (SELECT DISTINCT ON (channel_account_id, last_day) channel_account_id, last_day, closing_minor
                      FROM statement WHERE opening_minor IS NOT NULL AND closing_minor IS NOT NULL AND xid < horizon
                       AND last_day BETWEEN evidence_statement_foot.first_day AND evidence_statement_foot.last_day
                     ORDER BY channel_account_id, last_day, id DESC) s
              LEFT JOIN LATERAL (SELECT x.closing_minor, x.last_day FROM statement x
                      WHERE x.channel_account_id = s.channel_account_id AND x.opening_minor IS NOT NULL AND x.xid < horizon
                        AND x.closing_minor IS NOT NULL AND x.last_day < s.last_day ORDER BY x.last_day DESC, x.id DESC LIMIT 1) b ON true
              LEFT JOIN LATERAL (SELECT x.opening_minor FROM statement x
                      WHERE x.channel_account_id = s.channel_account_id AND x.opening_minor IS NOT NULL AND x.xid < horizon
                        AND x.first_day IS NOT NULL ORDER BY x.first_day, x.id LIMIT 1) a ON true) f
      JOIN channel_account c ON c.id = f.channel_account_id
     WHERE f.lacking <> 0
$$;
REVOKE ALL ON FUNCTION settlement_payout_guard(), kinds_of_bank_books(), control_bank_book(date, date, xid8, xid8),
    evidence_statement_foot(date, date, xid8, xid8) FROM PUBLIC;
INSERT INTO close_control (code, kind, place, what, verb, function) VALUES
    ('bank_book', 'hard', 11, 'each bank account moved by facts that three ways know', 'ledger verify', 'control_bank_book'),
    ('statement_foot', 'evidence', 23, 'the foot of each statement is the foot before it and the lines since',
        'statement import FILE --account A', 'evidence_statement_foot');
RESET ROLE;
