"""Whether a bill is of some stations.

Revision: bills_at
Revises: api_lists
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "bills_at"
down_revision = "api_lists"
branch_labels = None
depends_on = None

HERE = Path(__file__).parent


def upgrade() -> None:
    # The driver's own connection: the file holds many statements and literal percent signs.
    op.get_bind().connection.driver_connection.execute((HERE / "bills_at.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """Take back the function."""
    op.execute("DROP FUNCTION bill_is_at(bigint, text[])")
