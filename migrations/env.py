"""Runs migrations: one transaction each, short lock waits, one runner at a time."""

from __future__ import annotations

from alembic import context
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

import reconciliation.breaks  # noqa: F401 - importing registers the mapped classes
import revenue_engine.audit
import revenue_engine.inbox
import revenue_engine.jobs
import revenue_engine.ledger.tables
import revenue_engine.payments
import revenue_engine.receipts
import revenue_engine.receivables
import revenue_engine.tariffs  # noqa: F401 - importing registers the mapped classes
from revenue_engine.db import Base

MIGRATION_LOCK = 7_263_001


def run() -> None:
    """Migrate the database named by the configuration."""
    engine = create_engine(context.config.attributes["url"], poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text("SET lock_timeout = '5s'"))
        connection.execute(text("SET timezone = 'UTC'"))
        connection.execute(text(f"SELECT pg_advisory_lock({MIGRATION_LOCK})"))
        connection.commit()
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            compare_type=True,
            compare_server_default=False,
            transaction_per_migration=True,
        )
        with context.begin_transaction():
            context.run_migrations()
        connection.execute(text(f"SELECT pg_advisory_unlock({MIGRATION_LOCK})"))
        connection.commit()
    engine.dispose()


run()
