"""A bank's credit says which payout of a channel it is; three ways hold the close of a day.

Revision: settlement_payouts
Revises: payments_by_day
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "settlement_payouts"
down_revision = "payments_by_day"
branch_labels = None
depends_on = None

HERE = Path(__file__).parent


def upgrade() -> None:
    # The driver's own connection: the file holds many statements and literal percent signs.
    op.get_bind().connection.driver_connection.execute((HERE / "settlement_payouts.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """There is no way back from a database that holds money: restore a backup instead."""
    raise RuntimeError("which payout a credit was is not removed by a migration: restore a backup instead")
