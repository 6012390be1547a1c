-- The prints of one paper are counted from the audit: an index of those rows alone, which no other act pays for.
SET LOCAL ROLE revenue_owner;
SET LOCAL search_path = public;
CREATE INDEX ix_audit_event_printed ON audit_event (object) WHERE action = 'paper.printed';
RESET ROLE;
