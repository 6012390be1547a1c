"""The ledger: postings, journals, the feed, balances and book dates."""
