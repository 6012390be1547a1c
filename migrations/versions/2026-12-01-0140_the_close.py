"""The close of a day: controls, two signatures over what stands still, and the seal of every row.

Revision: the_close
Revises: judgements_verified
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "the_close"
down_revision = "judgements_verified"
branch_labels = None
depends_on = None

HERE = Path(__file__).parent
FILES = ("close_versions.sql", "close_days.sql", "close_seal.sql", "close_controls.sql", "close_sheet.sql")


def upgrade() -> None:
    # The driver's own connection: the files hold many statements and literal percent signs.
    for name in FILES:
        op.get_bind().connection.driver_connection.execute((HERE / name).read_text(encoding="utf-8"))


def downgrade() -> None:
    """There is no way back from a database that holds money: restore a backup instead."""
    raise RuntimeError("a seal is not broken by a migration: restore a backup instead")
