"""Numbers of money moved and of balances entered are drawn by who writes those rows alone.

Revision: sequences
Revises: bills_by_two
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "sequences"
down_revision = "bills_by_two"
branch_labels = None
depends_on = None

HERE = Path(__file__).parent


def upgrade() -> None:
    # The driver's own connection: the file holds many statements and literal percent signs.
    op.get_bind().connection.driver_connection.execute((HERE / "sequences.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """There is no way back from a database that holds money: restore a backup instead."""
    raise RuntimeError("what was asked for and agreed to is not removed by a migration: restore a backup instead")
