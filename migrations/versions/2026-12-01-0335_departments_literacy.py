"""Digital literacy: cohorts, learners, attendance, assessments, certificates and what they cost.

Revision: departments_literacy
Revises: owned_items
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "departments_literacy"
down_revision = "owned_items"
branch_labels = None
depends_on = None

HERE = Path(__file__).parent


def upgrade() -> None:
    # The driver's own connection: the file holds many statements and literal percent signs.
    op.get_bind().connection.driver_connection.execute((HERE / "departments_literacy.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """There is no way back from a database that holds money: restore a backup instead."""
    raise RuntimeError("who learnt is not removed by a migration: restore a backup instead")
