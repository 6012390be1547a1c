"""Money that was placed wrongly moves to the right bill by request and agreement.

Revision: money_moves
Revises: matching_judgements
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "money_moves"
down_revision = "matching_judgements"
branch_labels = None
depends_on = None

HERE = Path(__file__).parent


def upgrade() -> None:
    # The driver's own connection: the file holds many statements and literal percent signs.
    op.get_bind().connection.driver_connection.execute((HERE / "money_moves.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """There is no way back from a database that holds money: restore a backup instead."""
    raise RuntimeError("which money two persons moved is not removed by a migration: restore a backup instead")
