-- A derive into a book that stands costs what is new, not what stands: the guard of lines no longer looks for entries by
-- the transaction first (of which the planner knows no row, and loops), and what a run wrote is found by an index.

SET LOCAL ROLE revenue_owner;
SET LOCAL search_path = public;

CREATE INDEX ix_derived_entry_xid ON derived_entry (xid);
CREATE OR REPLACE FUNCTION derived_line_guard() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    bad record;
BEGIN
    SELECT w.journal_id, w.seq INTO bad
      FROM (SELECT book_code, journal_id, seq, turn, min(book_date) AS first, max(book_date) AS last,
                   sum(amount_minor) AS minor FROM written GROUP BY 1, 2, 3, 4) w
      LEFT JOIN derived_entry e ON e.book_code = w.book_code AND e.journal_id = w.journal_id AND e.seq = w.seq
       AND e.turn = w.turn
     WHERE e.journal_id IS NULL OR e.xid <> pg_current_xact_id() OR w.first <> e.book_date OR w.last <> e.book_date OR w.minor > e.source_minor LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'lines of posting % of journal % are above their source, of another day, or of no entry of this run',
            bad.seq, bad.journal_id USING ERRCODE = 'check_violation';
    END IF;
    SELECT w.book_code, w.account INTO bad
      FROM (SELECT book_code, debit AS account FROM written UNION SELECT book_code, credit FROM written) w
     WHERE NOT EXISTS (SELECT FROM book_account a WHERE a.book_code = w.book_code AND a.code = w.account) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the book % has no account %', bad.book_code, bad.account USING ERRCODE = 'foreign_key_violation';
    END IF;
    SELECT e.origin_journal_id, e.origin_seq INTO bad
      FROM (SELECT DISTINCT e.book_code, e.origin_journal_id, e.origin_seq FROM written w
              JOIN derived_entry e ON e.book_code = w.book_code AND e.journal_id = w.journal_id AND e.seq = w.seq
               AND e.turn = w.turn WHERE e.sign = -1) o
      JOIN derived_entry e ON e.book_code = o.book_code AND e.origin_journal_id = o.origin_journal_id
       AND e.origin_seq = o.origin_seq
      JOIN derived_line l ON l.book_code = e.book_code AND l.journal_id = e.journal_id AND l.seq = e.seq
       AND l.turn = e.turn
     GROUP BY e.book_code, e.origin_journal_id, e.origin_seq, e.version_id, l.leg
    HAVING sum(e.sign * l.amount_minor) < 0 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'more is taken back than stands of posting % of journal %', bad.origin_seq, bad.origin_journal_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;
RESET ROLE;
