-- What the roles of deliveries and bills never write, they draw no number of.
REVOKE USAGE ON SEQUENCE money_move_id_seq FROM revenue_intake, revenue_api;
REVOKE USAGE ON SEQUENCE statement_entry_id_seq FROM revenue_intake, revenue_worker, revenue_api;
