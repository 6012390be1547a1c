"""Runs migrations: one transaction each, short lock waits, one runner at a time."""

from __future__ import annotations

import importlib

from alembic import context
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from revenue_engine.db import Base
from revenue_engine.work.locks import Lock

MAPPED = (
    "reconciliation.breaks",
    "reconciliation.days.tables",
    "reconciliation.matches",
    "reconciliation.runs.manifest",
    "reconciliation.runs.payer_links",
    "reconciliation.runs.policies",
    "revenue_engine.access.audit",
    "revenue_engine.access.idempotency",
    "revenue_engine.billing.payers",
    "revenue_engine.billing.tariffs",
    "revenue_engine.channels.accounts",
    "revenue_engine.channels.deliveries",
    "revenue_engine.collection.polling",
    "revenue_engine.collection.returns",
    "revenue_engine.collection.same_payment",
    "revenue_engine.departments.ict.tables",
    "revenue_engine.departments.literacy.tables",
    "revenue_engine.departments.partnerships.tables",
    "revenue_engine.ledger.tables",
    "revenue_engine.payments",
    "revenue_engine.payments.receipts",
    "revenue_engine.secondary_ledgers.tables",
    "revenue_engine.statements.by_hand",
    "revenue_engine.statements.drops",
    "revenue_engine.statements.store",
    "revenue_engine.treasury.bank_accounts",
    "revenue_engine.treasury.payouts",
    "revenue_engine.treasury.remittances",
    "revenue_engine.work.jobs",
)
"""Every module with mapped classes: importing one registers its tables, so that ``alembic check`` compares them all."""

for name in MAPPED:
    importlib.import_module(name)


def compared(_found: object, name: str | None, kind: str, _reflected: bool, _other: object) -> bool:
    """Whether ``alembic check`` compares a thing. The block range indexes of the seal are made by its migration for
    whatever tables it covers, and held by the golden schema."""
    return not (kind == "index" and name is not None and name.endswith("_sealed"))


def run() -> None:
    """Migrate the database named by the configuration."""
    engine = create_engine(context.config.attributes["url"], poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text("SET lock_timeout = '5s'"))
        connection.execute(text("SET timezone = 'UTC'"))
        connection.execute(text(f"SELECT pg_advisory_lock({Lock.MIGRATION})"))
        connection.commit()
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            compare_type=True,
            include_object=compared,
            compare_server_default=False,
            transaction_per_migration=True,
        )
        with context.begin_transaction():
            context.run_migrations()
        if connection.execute(text("SELECT to_regprocedure('take_versions()')")).scalar():
            connection.execute(text("SELECT take_versions()"))
            connection.commit()
        connection.execute(text(f"SELECT pg_advisory_unlock({Lock.MIGRATION})"))
        connection.commit()
    engine.dispose()


run()
