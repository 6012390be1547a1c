"""The ICT directorate: connected offices, outages, claims, support requests.

Revision: departments_ict
Revises: whole_days
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "departments_ict"
down_revision = "whole_days"
branch_labels = None
depends_on = None

HERE = Path(__file__).parent


def upgrade() -> None:
    # The driver's own connection: the file holds many statements and literal percent signs.
    op.get_bind().connection.driver_connection.execute((HERE / "departments_ict.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """There is no way back from a database that holds money: restore a backup instead."""
    raise RuntimeError("what suppliers owe is not removed by a migration: restore a backup instead")
