"""A bank account, the limits of the county and a missing statement are two persons' word.

Revision: set_up_by_two
Revises: written_by_persons
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "set_up_by_two"
down_revision = "written_by_persons"
branch_labels = None
depends_on = None

HERE = Path(__file__).parent


def upgrade() -> None:
    # The driver's own connection: the file holds many statements and literal percent signs.
    op.get_bind().connection.driver_connection.execute((HERE / "set_up_by_two.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """There is no way back from a database that holds money: restore a backup instead."""
    raise RuntimeError("what nobody may write is not opened by a migration: restore a backup instead")
