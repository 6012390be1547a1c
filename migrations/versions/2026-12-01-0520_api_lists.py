"""Lists page by page, and who sees which request.

Revision: api_lists
Revises: settlement_payouts
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "api_lists"
down_revision = "settlement_payouts"
branch_labels = None
depends_on = None

HERE = Path(__file__).parent


def upgrade() -> None:
    # The driver's own connection: the file holds many statements and literal percent signs.
    op.get_bind().connection.driver_connection.execute((HERE / "api_lists.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    """Take back the functions and indexes."""
    op.execute("DROP FUNCTION access.requests_page(text, bigint, integer)")
    for name in ("break_case_oldest", "invoice_station", "invoice_stream"):
        op.execute(f"DROP INDEX ix_{name}")
