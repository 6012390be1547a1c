"""Services hold scopes, which two administrators give.

Revision: service_scopes
Revises: departments_partners
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "service_scopes"
down_revision = "departments_partners"
branch_labels = None
depends_on = None

HERE = Path(__file__).parent


def upgrade() -> None:
    # The driver's own connection: the file holds many statements and literal percent signs.
    op.get_bind().connection.driver_connection.execute((HERE / "service_scopes.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """There is no way back from a database that holds money: restore a backup instead."""
    raise RuntimeError("who gave which scope is not removed by a migration: restore a backup instead")
