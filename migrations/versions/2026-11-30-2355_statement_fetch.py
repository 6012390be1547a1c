"""Files that a bank's own connection delivers, and the one role that may keep them.

Revision: statement_fetch
Revises: files_by_hand
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "statement_fetch"
down_revision = "files_by_hand"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent / "statement_fetch.sql"


def upgrade() -> None:
    # The driver's own connection: the file holds many statements and literal percent signs.
    op.get_bind().connection.driver_connection.execute(SQL.read_text(encoding="utf-8"))


def downgrade() -> None:
    """There is no way back from a database that holds money: restore a backup instead."""
    raise RuntimeError("what banks delivered is not removed by a migration: restore a backup instead")
