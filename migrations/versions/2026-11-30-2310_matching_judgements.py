"""Matches by hand, matches taken back, policies and links come by the one approval mechanism.

Revision: matching_judgements
Revises: guards
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "matching_judgements"
down_revision = "guards"
branch_labels = None
depends_on = None

HERE = Path(__file__).parent


def upgrade() -> None:
    # The driver's own connection: the file holds many statements and literal percent signs.
    op.get_bind().connection.driver_connection.execute((HERE / "matching_judgements.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """There is no way back from a database that holds money: restore a backup instead."""
    raise RuntimeError("who agreed to what is not removed by a migration: restore a backup instead")
