SET LOCAL ROLE revenue_owner;
SET LOCAL search_path = public;

CREATE INDEX ix_open_bill_due ON open_bill (due_on) WHERE outstanding_minor > 0 AND NOT cancelled;
RESET ROLE;
