"""A deposit that a bank took back is named by two persons where the bank's line names none.

Revision: deposit_returns
Revises: places
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "deposit_returns"
down_revision = "places"
branch_labels = None
depends_on = None

HERE = Path(__file__).parent


def upgrade() -> None:
    # The driver's own connection: the file holds many statements and literal percent signs.
    op.get_bind().connection.driver_connection.execute((HERE / "deposit_returns.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """There is no way back from a database that holds money: restore a backup instead."""
    raise RuntimeError("what two persons agreed to is not unlearned by a migration: restore a backup instead")
