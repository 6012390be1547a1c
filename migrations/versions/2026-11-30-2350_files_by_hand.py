"""A file brought by hand books nothing until a second person has entered its closing balance.

Revision: files_by_hand
Revises: money_moves
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "files_by_hand"
down_revision = "money_moves"
branch_labels = None
depends_on = None

HERE = Path(__file__).parent


def upgrade() -> None:
    # The driver's own connection: the file holds many statements and literal percent signs.
    op.get_bind().connection.driver_connection.execute((HERE / "files_by_hand.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """There is no way back from a database that holds money: restore a backup instead."""
    raise RuntimeError("who agreed to what is not removed by a migration: restore a backup instead")
