SET LOCAL ROLE revenue_owner;
SET LOCAL search_path = public;

CREATE INDEX ix_invoice_payer_id ON invoice (payer_id, id) WHERE payer_id IS NOT NULL;
CREATE INDEX ix_invoice_object_id ON invoice (object_id, id) WHERE object_id IS NOT NULL;
CREATE INDEX ix_open_bill_open ON open_bill (invoice_id) WHERE outstanding_minor > 0 AND NOT cancelled;
CREATE INDEX ix_open_bill_cancelled ON open_bill (invoice_id) WHERE cancelled;
-- When a channel was last heard; a channel that is silent would be looked for in every delivery.
CREATE INDEX ix_delivery_heard ON delivery (channel_account_id, id) WHERE endpoint_id IS NOT NULL AND verdict = 'accepted';
-- A process of the API says that it is not ready while the schema is not that of its release.
GRANT SELECT ON alembic_version TO revenue_api;
RESET ROLE;
