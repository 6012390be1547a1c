"""Live channel accounts, their addresses and settings come by request and agreement.

Revision: channel_set_up
Revises: sequences
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "channel_set_up"
down_revision = "sequences"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent / "channel_set_up.sql"


def upgrade() -> None:
    # The driver's own connection: the file holds many statements and literal percent signs.
    op.get_bind().connection.driver_connection.execute(SQL.read_text(encoding="utf-8"))


def downgrade() -> None:
    """There is no way back from a database that holds money: restore a backup instead."""
    raise RuntimeError("who agreed to which address is not removed by a migration: restore a backup instead")
