"""The core: set-up, inbox, jobs, ledger, receivables, payments, receipts, breaks; their roles, guards and grants.

Revision: core
Revises: nothing
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "core"
down_revision = None
branch_labels = None
depends_on = None

HERE = Path(__file__).parent


def upgrade() -> None:
    # The driver's own connection: these files hold many statements and literal percent signs.
    connection = op.get_bind().connection.driver_connection
    for name in ("core_roles.sql", "core_tables.sql", "core_guards.sql"):
        connection.execute((HERE / name).read_text(encoding="utf-8"))


def downgrade() -> None:
    """There is no way back from a database that holds money: restore a backup instead."""
    raise RuntimeError("the core schema is not removed by a migration: restore a backup instead")
