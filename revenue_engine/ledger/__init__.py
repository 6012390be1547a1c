"""The revenue ledger: post once, reverse once, never edit; read at any day and as known at any moment."""

from revenue_engine.ledger.accounts import open_accounts
from revenue_engine.ledger.balances import (
    Balance,
    account_heads,
    balance,
    export_rows,
    known_horizon,
    snapshot,
    statement,
    tick,
    trial_balance,
)
from revenue_engine.ledger.journal import Journal, Posting
from revenue_engine.ledger.locks import book_dates, closed_below, is_closed
from revenue_engine.ledger.store import JournalOf, Posted, feed, horizon, journals_of, load, post, post_many, reverse

__all__ = [
    "Balance",
    "Journal",
    "JournalOf",
    "Posted",
    "Posting",
    "account_heads",
    "balance",
    "book_dates",
    "closed_below",
    "export_rows",
    "feed",
    "horizon",
    "is_closed",
    "journals_of",
    "known_horizon",
    "load",
    "open_accounts",
    "post",
    "post_many",
    "reverse",
    "snapshot",
    "statement",
    "tick",
    "trial_balance",
]
