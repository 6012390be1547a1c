"""The schema and its grants as text, the same on every release of PostgreSQL: ``python -m tests.schema_dump``.

Without an argument a fresh database is migrated and described; with a URL, the database at that URL is.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import psycopg

SECTIONS: tuple[tuple[str, str], ...] = (
    (
        "columns",
        """
        SELECT format('%s.%s %s%s%s%s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
                      CASE WHEN a.attnotnull THEN ' not null' ELSE '' END,
                      CASE a.attidentity WHEN 'd' THEN ' identity by default' WHEN 'a' THEN ' identity always'
                                         ELSE '' END,
                      CASE WHEN d.adbin IS NULL THEN ''
                           ELSE CASE a.attgenerated WHEN 's' THEN ' generated ' ELSE ' default ' END
                                || pg_get_expr(d.adbin, d.adrelid) END)
          FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
          LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')
         ORDER BY c.relname COLLATE "C", a.attnum
        """,
    ),
    (
        "table options",
        """
        SELECT format('%s %s', relname, array_to_string(reloptions, ' ')) FROM pg_class
         WHERE relnamespace = 'public'::regnamespace AND reloptions IS NOT NULL ORDER BY relname COLLATE "C"
        """,
    ),
    (
        "constraints",  # NOT NULL constraints ('n') have rows of their own since release 18 only
        """
        SELECT format('%s.%s %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) FROM pg_constraint
         WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
         ORDER BY conrelid::regclass::text COLLATE "C", conname COLLATE "C"
        """,
    ),
    (
        "indexes",
        """
        SELECT pg_get_indexdef(i.indexrelid) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
         WHERE c.relnamespace = 'public'::regnamespace ORDER BY c.relname COLLATE "C"
        """,
    ),
    (
        "triggers",
        """
        SELECT format('%s [%s]', pg_get_triggerdef(t.oid),
                      CASE t.tgenabled WHEN 'A' THEN 'always' WHEN 'O' THEN 'origin' WHEN 'D' THEN 'DISABLED'
                                       ELSE 'replica' END)
          FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
         WHERE c.relnamespace = 'public'::regnamespace AND NOT t.tgisinternal
         ORDER BY c.relname COLLATE "C", t.tgname COLLATE "C"
        """,
    ),
    (
        "functions",
        """
        SELECT format('%s returns %s security %s set %s', p.oid::regprocedure, pg_get_function_result(p.oid),
                      CASE WHEN prosecdef THEN 'definer' ELSE 'invoker' END,
                      coalesce(array_to_string(proconfig, '; '), 'NOTHING'))
               || E'\\n' || regexp_replace(prosrc, '^', '    ', 'gn')
          FROM pg_proc p WHERE pronamespace = 'public'::regnamespace ORDER BY proname COLLATE "C"
        """,
    ),
    (
        "views",
        """
        SELECT format('%s%s', c.relname, E'\\n' || regexp_replace(pg_get_viewdef(c.oid), '\\m[a-z_]+\\.', '', 'g'))
          FROM pg_class c
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'v' ORDER BY c.relname COLLATE "C"
        """,
    ),
    (
        "owners",
        """
        SELECT format('%s owned by %s', c.relname, CASE c.relowner WHEN 'revenue_owner'::regrole::oid
                      THEN 'revenue_owner' ELSE 'SOMEBODY ELSE' END)
          FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v', 'S')
         ORDER BY c.relname COLLATE "C"
        """,
    ),
    (
        "grants on tables and sequences",  # MAINTAIN is of release 17 and after, and granted to nobody but the owner
        """
        SELECT format('%s to %s: %s', c.relname, coalesce(r.rolname, 'PUBLIC'),
                      string_agg(lower(g.privilege_type) || CASE WHEN g.is_grantable THEN '*' ELSE '' END, ', '
                                 ORDER BY g.privilege_type COLLATE "C"))
          FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) g LEFT JOIN pg_roles r ON r.oid = g.grantee
         WHERE c.relnamespace = 'public'::regnamespace AND g.grantee <> c.relowner AND g.privilege_type <> 'MAINTAIN'
         GROUP BY c.relname, r.rolname ORDER BY c.relname COLLATE "C", r.rolname COLLATE "C" NULLS FIRST
        """,
    ),
    (
        "grants on columns",
        """
        SELECT format('%s to %s: %s (%s)', c.relname, coalesce(r.rolname, 'PUBLIC'), lower(g.privilege_type),
                      string_agg(a.attname, ', ' ORDER BY a.attnum))
          FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
          CROSS JOIN LATERAL aclexplode(a.attacl) g LEFT JOIN pg_roles r ON r.oid = g.grantee
         WHERE c.relnamespace = 'public'::regnamespace
         GROUP BY c.relname, r.rolname, g.privilege_type
         ORDER BY c.relname COLLATE "C", r.rolname COLLATE "C" NULLS FIRST, g.privilege_type COLLATE "C"
        """,
    ),
    (
        "grants on functions",
        """
        SELECT format('%s to %s: execute', p.oid::regprocedure, coalesce(r.rolname, 'PUBLIC'))
          FROM pg_proc p CROSS JOIN LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) g
          LEFT JOIN pg_roles r ON r.oid = g.grantee
         WHERE p.pronamespace = 'public'::regnamespace AND g.grantee <> p.proowner
         ORDER BY p.proname COLLATE "C", r.rolname COLLATE "C" NULLS FIRST
        """,
    ),
    (
        "grants on the schema",
        """
        SELECT format('public to %s: %s', coalesce(r.rolname, 'PUBLIC'),
                      string_agg(lower(g.privilege_type), ', ' ORDER BY g.privilege_type COLLATE "C"))
          FROM pg_namespace n CROSS JOIN LATERAL aclexplode(n.nspacl) g LEFT JOIN pg_roles r ON r.oid = g.grantee
         WHERE n.nspname = 'public' AND g.grantee <> n.nspowner
         GROUP BY r.rolname ORDER BY r.rolname COLLATE "C" NULLS FIRST
        """,
    ),
)


def describe(connection: psycopg.Connection[Any]) -> Iterator[str]:
    """The schema, line by line, in an order that does not depend on how it came to be."""
    connection.execute("SET search_path = public")
    for title, statement in SECTIONS:
        yield f"# {title}"
        for (line,) in connection.execute(statement):
            yield from (part.rstrip() for part in line.splitlines() if part.strip())
        yield ""


def dump(url: str) -> str:
    """The whole description of the database at a URL."""
    with psycopg.connect(url) as connection:
        return "\n".join(describe(connection))


def main(arguments: list[str]) -> None:
    """Print the description of a database, or of one that is migrated just for this."""
    if arguments:
        sys.stdout.write(dump(arguments[0]))
        return
    import shutil
    import tempfile
    from pathlib import Path

    from migrations import upgrade
    from revenue_engine import embedded
    from revenue_engine.config import Settings

    folder = Path(tempfile.mkdtemp(prefix="revenue-golden-"))
    settings = Settings.model_validate({"state_dir": folder})
    try:
        url = embedded.ensure(settings).database_url
        upgrade(url)
        sys.stdout.write(dump(url))
    finally:
        embedded.stop(settings)
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(sys.argv[1:])
