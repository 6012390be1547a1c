"""The database guards itself: times, keys, sums and links that no role may write as it likes; breaks as events;
lawful homes.

Revision: guards
Revises: one_ladder
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "guards"
down_revision = "one_ladder"
branch_labels = None
depends_on = None

HERE = Path(__file__).parent


def upgrade() -> None:
    # The driver's own connection: these files hold many statements and literal percent signs.
    connection = op.get_bind().connection.driver_connection
    for name in ("guards.sql", "break_events.sql", "homes.sql", "guard_grants.sql"):
        connection.execute((HERE / name).read_text(encoding="utf-8"))


def downgrade() -> None:
    """There is no way back from a database that holds money: restore a backup instead."""
    raise RuntimeError("guards are not removed by a migration: restore a backup instead")
