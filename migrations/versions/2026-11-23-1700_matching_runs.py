"""Matching runs over the books: what they set, what they left, policies, and links between words and payers.

Revision: matching_runs
Revises: statements
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "matching_runs"
down_revision = "statements"
branch_labels = None
depends_on = None

HERE = Path(__file__).parent


def upgrade() -> None:
    # The driver's own connection: the file holds many statements and literal percent signs.
    op.get_bind().connection.driver_connection.execute((HERE / "matching_runs.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """There is no way back from a database that holds money: restore a backup instead."""
    raise RuntimeError("matches are not removed by a migration: restore a backup instead")
