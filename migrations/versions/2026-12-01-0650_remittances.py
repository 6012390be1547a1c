"""Transfers to the County Revenue Fund, the payments that each covers, and what shows them.

Revision: remittances
Revises: api_speed
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "remittances"
down_revision = "api_speed"
branch_labels = None
depends_on = None

HERE = Path(__file__).parent


def upgrade() -> None:
    # The driver's own connection: the file holds many statements and literal percent signs.
    op.get_bind().connection.driver_connection.execute((HERE / "remittances.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """There is no way back from a database that holds money: restore a backup instead."""
    raise RuntimeError("money on its way to the Fund is not removed by a migration: restore a backup instead")
