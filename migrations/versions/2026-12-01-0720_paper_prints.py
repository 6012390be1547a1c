"""The prints of one paper are counted fast.

Revision: paper_prints
Revises: remittances
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "paper_prints"
down_revision = "remittances"
branch_labels = None
depends_on = None

HERE = Path(__file__).parent


def upgrade() -> None:
    # The driver's own connection: the file holds many statements and literal percent signs.
    op.get_bind().connection.driver_connection.execute((HERE / "paper_prints.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """There is no way back from a database that holds money: restore a backup instead."""
    raise RuntimeError("the index is of no harm: restore a backup instead")
