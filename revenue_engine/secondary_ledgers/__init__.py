"""Secondary ledgers: each directorate's own book, derived from the revenue ledger and proved back to each posting."""
