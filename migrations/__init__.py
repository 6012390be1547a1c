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


def rights_missing(url: str) -> list[str]:
    """The SQL a superuser must run before ``upgrade`` can do its work as the owner of ``url``; empty when nothing is.

    The capability roles belong to the whole cluster, so that owning a database is not enough to make them. Nothing is
    missing where the schema is made already.
    """
    import psycopg
    from psycopg import sql

    from revenue_engine.db import OWNER, ROLES

    names = [OWNER, *(f"revenue_{role}" for role in ROLES)]
    with psycopg.connect(url, autocommit=True) as connection:
        made = connection.execute("SELECT to_regclass('public.alembic_version')").fetchone()
        if made and made[0]:
            return []
        row = connection.execute(
            "SELECT current_user::text, rolsuper, rolcreaterole, current_database()::text,"
            " pg_has_role(current_user, (SELECT datdba FROM pg_database WHERE datname = current_database()), 'USAGE')"
            " FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
        if row is None or row[1]:
            return []
        me, _, creates, database, owns = row
        found = connection.execute(
            "SELECT rolname::text, pg_has_role(current_user, oid, 'MEMBER WITH ADMIN OPTION') FROM pg_roles"
            " WHERE rolname = ANY(%s)",
            (names,),
        )
        admin = dict(found.fetchall())
        if creates and connection.info.server_version < 160000:  # until then it may grant every role
            admin = dict.fromkeys(admin, True)
        lines = []
        if not owns:
            lines.append(sql.SQL("ALTER DATABASE {} OWNER TO {};").format(sql.Identifier(database), sql.Identifier(me)))
        gone = [name for name in names if name not in admin]
        if gone and not creates:
            lines += [sql.SQL("CREATE ROLE {} NOLOGIN;").format(sql.Identifier(name)) for name in gone]
        granted = [name for name in names if admin.get(name, creates) is False]
        if granted:
            roles = sql.SQL(", ").join(map(sql.Identifier, granted))
            lines.append(sql.SQL("GRANT {} TO {} WITH ADMIN OPTION;").format(roles, sql.Identifier(me)))
        return [line.as_string(connection) for line in lines]


def check(url: str) -> None:
    """Raise when the mapped classes and the migrated database differ."""
    command.check(configuration(url))


def heads() -> list[str]:
    """The newest revisions the code knows."""
    from alembic.script import ScriptDirectory

    return list(ScriptDirectory(str(HERE)).get_heads())
