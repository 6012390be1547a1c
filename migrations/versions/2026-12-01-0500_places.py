"""Where a person of a sub-county may look.

Revision: places
Revises: times_are_the_databases
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "places"
down_revision = "times_are_the_databases"
branch_labels = None
depends_on = None

HERE = Path(__file__).parent


def upgrade() -> None:
    # The driver's own connection: the file holds many statements and literal percent signs.
    op.get_bind().connection.driver_connection.execute((HERE / "places.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """Take back the functions."""
    op.execute("DROP FUNCTION payment_is_at(bigint, text[]); DROP FUNCTION access.stations(text)")
