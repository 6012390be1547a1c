"""What the engine proposed is set by one person, and reviewed by another before the day closes.

Revision: set_and_reviewed
Revises: paper_prints
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "set_and_reviewed"
down_revision = "paper_prints"
branch_labels = None
depends_on = None

HERE = Path(__file__).parent


def upgrade() -> None:
    # The driver's own connection: the file holds many statements and literal percent signs.
    op.get_bind().connection.driver_connection.execute((HERE / "set_and_reviewed.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """There is no way back from a database that holds money: restore a backup instead."""
    raise RuntimeError("what nobody may write is not opened by a migration: restore a backup instead")
