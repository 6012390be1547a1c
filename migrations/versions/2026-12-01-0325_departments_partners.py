"""Strategic partnerships: agreements, gates, pledges, what came and what was used.

Revision: departments_partners
Revises: departments_ict
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "departments_partners"
down_revision = "departments_ict"
branch_labels = None
depends_on = None

HERE = Path(__file__).parent


def upgrade() -> None:
    # The driver's own connection: the file holds many statements and literal percent signs.
    op.get_bind().connection.driver_connection.execute((HERE / "departments_partners.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """There is no way back from a database that holds money: restore a backup instead."""
    raise RuntimeError("what partners gave is not removed by a migration: restore a backup instead")
