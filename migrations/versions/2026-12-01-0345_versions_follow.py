"""Versions of set-up follow a column that a migration adds.

Revision: versions_follow
Revises: departments_literacy
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "versions_follow"
down_revision = "departments_literacy"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent / "versions_follow.sql"


def upgrade() -> None:
    # The driver's own connection: the file holds many statements and literal percent signs.
    op.get_bind().connection.driver_connection.execute(SQL.read_text(encoding="utf-8"))


def downgrade() -> None:
    """There is no way back from a database that holds money: restore a backup instead."""
    raise RuntimeError("a seal is not broken by a migration: restore a backup instead")
