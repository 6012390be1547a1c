"""``ledger verify``: recompute the books from their rows and name every row that does not agree.

The guards of the database keep honest programs honest. This answers for the rest: whoever switched them off and edited
a row leaves a sum, a digest, a link or a raw message that no longer agrees, wherever a fact is written in two places.
What stands in one place only (whose a bill is, when a row was written) is held against the leaf that a certificate
sealed, and the certificates against roots that a witness keeps outside: then a tail cut off whole is named too.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from sqlalchemy.orm import Session

from revenue_engine.db import raw
from revenue_engine.errors import InvalidValue
from revenue_engine.verification import deliveries
from revenue_engine.verification.books import DATES_AND_BALANCES, JOURNALS, SNAPSHOT_DIFFERENCE_SQL
from revenue_engine.verification.controls import CONTROLS, DIFFERENCES
from revenue_engine.verification.deliveries import Sources
from revenue_engine.verification.facts import FACTS
from revenue_engine.verification.invariants import KEPT, Check, Finding, Invariant, Verification, examine
from revenue_engine.verification.papers import PAPERS
from revenue_engine.verification.schema import SCHEMA
from revenue_engine.verification.seals import SEALS, Held, witnessed
from revenue_engine.verification.sources import SOURCES

__all__ = ["CHECKS", "Finding", "Invariant", "Sources", "Verification", "controls", "one_snapshot", "verify"]

CHECKS: tuple[Check, ...] = (*JOURNALS, *DATES_AND_BALANCES, *CONTROLS, *FACTS, *SOURCES, *PAPERS, *SCHEMA, *SEALS)
"""Every invariant, from the ledger's own to what stands beside it."""


def one_snapshot(session: Session) -> None:
    """Let everything this session reads be of one moment, and let it write nothing.

    Raises InvalidValue when the session has read under another isolation already.
    """
    if session.in_transaction():
        row = raw(session).execute("SHOW transaction_isolation").fetchone()
        if row is None or row[0] not in {"repeatable read", "serializable"}:
            raise InvalidValue(
                "start this in a fresh session: its sums must be of one moment", isolation=row and row[0]
            )
        return
    raw(session).execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")


def verify(
    session: Session, *, keep: int = KEPT, sources: Sources | None = None, held: Sequence[Held] = ()
) -> Verification:
    """Check every invariant over one snapshot of the database; nothing is written.

    With ``sources``, raw deliveries are read again and compared; that needs the right to read bodies. ``held`` is what
    a witness outside the server holds of the certificates.

    At most ``keep`` findings of each invariant are kept, all are counted. Raises InvalidValue as ``one_snapshot`` does.
    """
    started = time.perf_counter_ns()
    one_snapshot(session)
    connection = raw(session)
    # Sums over whole tables: more memory for sorting than an online statement gets, and no compiling of each of them.
    connection.execute("SET LOCAL work_mem = '64MB'")
    connection.execute("SET LOCAL jit = off")
    checks = CHECKS if sources is None else (*CHECKS, *deliveries.checks(sources))
    checks = (*checks, witnessed(held)) if held else checks
    tables = sorted({table for check in checks for table in check.counted})
    counted = connection.execute(
        "SELECT " + ", ".join(f"(SELECT count(*) FROM {table})" for table in tables)  # noqa: S608 - our own constants
    ).fetchone()
    counts = dict(zip(tables, counted or (), strict=True))
    invariants = tuple(examine(connection, check, counts, keep=keep) for check in checks)
    return Verification(invariants, (time.perf_counter_ns() - started) // 1_000_000)


def controls(session: Session) -> dict[str, int]:
    """The difference of each control account in cents: receivable, clearing, suspense, unapplied, snapshots.

    Differences are summed by size over streams, channels and payments, so zero means that every one of them ties.
    """
    queries = {**DIFFERENCES, "snapshots": SNAPSHOT_DIFFERENCE_SQL}
    connection = raw(session)
    row = connection.execute("SELECT " + ", ".join(f"({query})" for query in queries.values())).fetchone()
    return dict(zip(queries, map(int, row or ()), strict=True))
