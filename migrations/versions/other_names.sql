-- One money under several names, and where in its statement a line stands.

SET LOCAL ROLE revenue_owner;
SET LOCAL search_path = public;

-- Beside the name a movement is known by: what messages and lines called it, as hashes.
CREATE TABLE movement_name (
    channel_account_id BIGINT NOT NULL,
    digest BYTEA NOT NULL,
    told_by TEXT NOT NULL,
    reference TEXT NOT NULL,
    amount_minor BIGINT NOT NULL,
    day DATE NOT NULL,
    CONSTRAINT pk_movement_name PRIMARY KEY (channel_account_id, digest, told_by, reference),
    CONSTRAINT ck_movement_name_digest CHECK (length(digest) = 32),
    CONSTRAINT ck_movement_name_told_by CHECK (told_by IN ('message', 'line'))
);

-- The balance before a line tells it from an equal line of the same day that another export begins with, and what the
-- bank itself called it from a line that is known by the same name. Neither is known of lines kept before.
ALTER TABLE statement_line ADD COLUMN before_minor BIGINT;
ALTER TABLE statement_line ADD COLUMN told_as TEXT;

CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON movement_name
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE movement_name ENABLE ALWAYS TRIGGER refuse_change;

GRANT SELECT ON movement_name TO revenue_worker, revenue_api, revenue_report;
GRANT INSERT ON movement_name TO revenue_worker;
RESET ROLE;
