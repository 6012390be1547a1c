"""Secondary ledgers: books, rules, what was derived, and what may be spent.

Revision: books
Revises: the_close
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "books"
down_revision = "the_close"
branch_labels = None
depends_on = None

HERE = Path(__file__).parent


def upgrade() -> None:
    # The driver's own connection: the file holds many statements and literal percent signs.
    op.get_bind().connection.driver_connection.execute((HERE / "books.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """There is no way back from a database that holds money: restore a backup instead."""
    raise RuntimeError("a secondary ledger is not removed by a migration: restore a backup instead")
