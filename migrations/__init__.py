"""The database schema's history, and the one way to bring a database up to it."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config

HERE = Path(__file__).parent


def configuration(url: str) -> Config:
    """Alembic's configuration for a database, without an ini file."""
    config = Config()
    config.set_main_option("script_location", str(HERE))
    config.attributes["url"] = url.replace("postgresql://", "postgresql+psycopg://", 1)
    return config


def upgrade(url: str, revision: str = "head") -> None:
    """Bring the database at ``url`` to a revision; roles are created where they are missing. Safe to run twice."""
    command.upgrade(configuration(url), revision)


def check(url: str) -> None:
    """Raise when the mapped classes and the migrated database differ."""
    command.check(configuration(url))


def heads() -> list[str]:
    """The newest revisions the code knows."""
    from alembic.script import ScriptDirectory

    return list(ScriptDirectory(str(HERE)).get_heads())
