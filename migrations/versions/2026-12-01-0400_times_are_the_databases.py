"""When a row was written is the database's word in every table.

Revision: times_are_the_databases
Revises: books_guard
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "times_are_the_databases"
down_revision = "books_guard"
branch_labels = None
depends_on = None

HERE = Path(__file__).parent


def upgrade() -> None:
    # The driver's own connection: the file holds many statements and literal percent signs.
    op.get_bind().connection.driver_connection.execute(
        (HERE / "times_are_the_databases.sql").read_text(encoding="utf-8")
    )


def downgrade() -> None:
    """There is no way back from a database that holds money: restore a backup instead."""
    raise RuntimeError("what nobody may write is not opened by a migration: restore a backup instead")
