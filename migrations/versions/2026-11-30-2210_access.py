"""Persons, what proves them, what they may do, and what two of them agree to.

Revision: access
Revises: other_names
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "access"
down_revision = "other_names"
branch_labels = None
depends_on = None

HERE = Path(__file__).parent
PARTS = ("tables", "rights", "persons", "administration", "approvals", "audit")


def upgrade() -> None:
    # The driver's own connection: the files hold many statements and literal percent signs.
    connection = op.get_bind().connection.driver_connection
    for part in PARTS:
        connection.execute((HERE / f"access_{part}.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """There is no way back from a database that holds money: restore a backup instead."""
    raise RuntimeError("persons are not removed by a migration: restore a backup instead")
