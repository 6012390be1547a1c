"""What two persons agreed to can be verified; the hour of a kept answer is the database's.

Revision: judgements_verified
Revises: channel_set_up
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "judgements_verified"
down_revision = "channel_set_up"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent / "judgements_verified.sql"


def upgrade() -> None:
    # The driver's own connection: the file holds many statements and literal percent signs.
    op.get_bind().connection.driver_connection.execute(SQL.read_text(encoding="utf-8"))


def downgrade() -> None:
    """There is no way back from a database that holds money: restore a backup instead."""
    raise RuntimeError("who agreed is not hidden by a migration: restore a backup instead")
