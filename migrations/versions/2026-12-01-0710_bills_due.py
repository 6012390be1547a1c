"""Which open bills are due.

Revision: bills_due
Revises: set_and_reviewed
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "bills_due"
down_revision = "set_and_reviewed"
branch_labels = None
depends_on = None

HERE = Path(__file__).parent


def upgrade() -> None:
    # The driver's own connection: the file holds many statements and literal percent signs.
    op.get_bind().connection.driver_connection.execute((HERE / "bills_due.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """Take back the index."""
    op.execute("DROP INDEX ix_open_bill_due")
