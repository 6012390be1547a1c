"""The demo's own database: made anew for each run, never a live county's."""

from __future__ import annotations

from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from revenue_engine.embedded import Servers, in_database
from revenue_engine.errors import ConfigurationError, Conflict

__all__ = ["NAME", "in_database", "make"]

NAME = "revenue_demo"


def make(servers: Servers, name: str, *, reset: bool) -> str:
    """Create the demo's database in place of an earlier demo's; its URL.

    A database of this name is dropped when it holds a county in test mode, or nothing yet. Anything else is left
    alone: Conflict for a live county always, and for what is no demo unless ``reset`` says so.
    """
    if urlsplit(servers.database_url).path.strip("/") == name:
        raise ConfigurationError(
            f"REVENUE_DATABASE_URL names the database {name}, which the demo makes and drops: name another one"
        )
    url = in_database(servers.database_url, name)
    with psycopg.connect(servers.database_url, autocommit=True) as connection:
        exists = connection.execute("SELECT FROM pg_database WHERE datname = %s", (name,)).rowcount
        if exists:
            _may_be_dropped(url, name, reset=reset)
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return url


def _may_be_dropped(url: str, name: str, *, reset: bool) -> None:
    with psycopg.connect(url) as connection:
        tables = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
        ours = connection.execute("SELECT to_regclass('public.county') IS NOT NULL").fetchone()
        modes = {row[0] for row in connection.execute("SELECT mode FROM county")} if ours and ours[0] else set()
        known = bool(ours and ours[0]) or tables == (0,)
    if modes - {"test"}:
        raise Conflict(f"the database {name} keeps a live county's books: the demo does not touch it", database=name)
    if not known and not reset:
        raise Conflict(
            f"the database {name} is not a demo of this engine: drop it yourself, or say --reset", database=name
        )
