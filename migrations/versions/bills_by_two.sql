-- A bill is cancelled by a worker, as two persons agreed, and by no other role.
REVOKE INSERT ON invoice_cancellation FROM revenue_api;
REVOKE INSERT (invoice_id, reason, cancelled_by, approval_id) ON invoice_cancellation FROM revenue_api;
