"""One ladder for all ways: names are found folded, payers by the end of their phone, and what is left is shown at once.

Revision: one_ladder
Revises: access
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "one_ladder"
down_revision = "access"
branch_labels = None
depends_on = None

HERE = Path(__file__).parent


def upgrade() -> None:
    # The driver's own connection: the file holds many statements and literal percent signs.
    op.get_bind().connection.driver_connection.execute((HERE / "one_ladder.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """There is no way back from a database that holds money: restore a backup instead."""
    raise RuntimeError("what is left for people is not undone by a migration: restore a backup instead")
