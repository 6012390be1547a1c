"""What lists and look-ups go by in large books.

Revision: api_speed
Revises: set_up_by_two
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "api_speed"
down_revision = "set_up_by_two"
branch_labels = None
depends_on = None

HERE = Path(__file__).parent


def upgrade() -> None:
    # The driver's own connection: the file holds many statements and literal percent signs.
    op.get_bind().connection.driver_connection.execute((HERE / "api_speed.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """Take back the indexes."""
    for name in ("invoice_payer_id", "invoice_object_id", "open_bill_open", "open_bill_cancelled", "delivery_heard"):
        op.execute(f"DROP INDEX ix_{name}")
