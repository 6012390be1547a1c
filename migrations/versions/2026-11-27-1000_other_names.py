"""Other names of one money, and the balance before each line of a statement.

Revision: other_names
Revises: matching_runs
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "other_names"
down_revision = "matching_runs"
branch_labels = None
depends_on = None

HERE = Path(__file__).parent


def upgrade() -> None:
    # The driver's own connection: the file holds many statements and literal percent signs.
    op.get_bind().connection.driver_connection.execute((HERE / "other_names.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """There is no way back from a database that holds money: restore a backup instead."""
    raise RuntimeError("names of money are not removed by a migration: restore a backup instead")
