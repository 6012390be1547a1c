"""A derive into a book that stands costs what is new.

Revision: books_guard
Revises: versions_follow
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "books_guard"
down_revision = "versions_follow"
branch_labels = None
depends_on = None

HERE = Path(__file__).parent


def upgrade() -> None:
    # The driver's own connection: the file holds many statements and literal percent signs.
    op.get_bind().connection.driver_connection.execute((HERE / "books_guard.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """There is no way back from a database that holds money: restore a backup instead."""
    raise RuntimeError("a guard is not taken back by a migration: restore a backup instead")
