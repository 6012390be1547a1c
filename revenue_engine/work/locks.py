"""Every advisory lock of the engine, in one list, so that two features never take one number.

A lock with two numbers is taken as ``pg_advisory_xact_lock(number, which)``: ``which`` names the day, payer or payment.
Locks are taken in the order bills, payers, payments, receipts; a transaction that takes several follows that order.
The SQL files of migrations cannot import this page: a test holds the numbers in them against it.
"""

from __future__ import annotations

from enum import IntEnum, unique


@unique
class Lock(IntEnum):
    """What is locked. The numbers are for ever: processes of two releases may run beside each other."""

    BOOK_DATE = 7201
    """A book date: shared by whoever records on the day, exclusive by whoever closes the day (taken by a trigger)."""
    PAYER = 7202
    """A payer, by id: work on the payer's unapplied credit."""
    PAYMENT = 7203
    """A payment, by its id: work on the money that is held of the payment."""
    STATEMENTS = 7204
    """Statement files: one file is imported at a time."""
    SAME_PAYMENT_ACCOUNT = 7205
    """A bank's account: shared by its notices, exclusive by its statement."""
    SAME_PAYMENT_MESSAGE = 7206
    """A channel account whose messages look for their other names."""
    LEFTOVERS = 7207
    """What the last matching run left: two runs that end at once take turns."""
    IDEMPOTENCY_KEY = 7209
    """A key that makes a repeated request one, by a hash of person and key (taken by a function of the database)."""
    COUNTY_FILES = 7210
    """Loading a county's files."""
    CLOSE = 7211
    """The close of a day: one is prepared, withdrawn or approved at a time (taken by functions of the database)."""
    BOOK = 7212
    """A secondary ledger, by a hash of its code: derive, a new version, a remap and a fund's fact take turns (taken by
    functions of the database)."""
    MIGRATION = 7_263_001
    """Migrations: one runner at a time."""
    ROLES = 7_263_002
    """Making the roles of the cluster."""
    SNAPSHOT = 7_263_003
    """Folding balances into slices."""
    SIGN_IN = 7_263_011
    """Failed sign-ins of one counter (taken by a function of the database)."""
