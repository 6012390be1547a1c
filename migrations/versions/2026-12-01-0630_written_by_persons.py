"""What a process of persons writes, a signed-in person writes, under their own name.

Revision: written_by_persons
Revises: bills_at
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "written_by_persons"
down_revision = "bills_at"
branch_labels = None
depends_on = None

HERE = Path(__file__).parent


def upgrade() -> None:
    # The driver's own connection: the file holds many statements and literal percent signs.
    op.get_bind().connection.driver_connection.execute((HERE / "written_by_persons.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """There is no way back from a database that holds money: restore a backup instead."""
    raise RuntimeError("what nobody may write is not opened by a migration: restore a backup instead")
