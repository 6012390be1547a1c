"""Runs migrations: one transaction each, short lock waits, one runner at a time."""

from __future__ import annotations

import importlib

from alembic import context
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from revenue_engine.db import Base

MAPPED = (
    "reconciliation.breaks",
    "reconciliation.links",
    "reconciliation.policies",
    "reconciliation.runs",
    "revenue_engine.asking",
    "revenue_engine.audit",
    "revenue_engine.inbox",
    "revenue_engine.jobs",
    "revenue_engine.ledger.tables",
    "revenue_engine.other_names",
    "revenue_engine.payments",
    "revenue_engine.receipts",
    "revenue_engine.receivables",
    "revenue_engine.statement_books",
    "revenue_engine.tariffs",
)
"""Every module with mapped classes: importing one registers its tables, so that ``alembic check`` compares them all."""

for name in MAPPED:
    importlib.import_module(name)

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
