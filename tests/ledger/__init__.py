"""The ledger, tried row by row, by many hands at once, and against sums made another way."""
