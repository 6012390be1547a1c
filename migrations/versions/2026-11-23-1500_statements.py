"""Statements and their lines, what was asked of providers, and deliveries that came to no address.

Revision: statements
Revises: core
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "statements"
down_revision = "core"
branch_labels = None
depends_on = None

HERE = Path(__file__).parent


def upgrade() -> None:
    # The driver's own connection: the file holds many statements and literal percent signs.
    op.get_bind().connection.driver_connection.execute((HERE / "statements.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """There is no way back from a database that holds money: restore a backup instead."""
    raise RuntimeError("statements are not removed by a migration: restore a backup instead")
