"""The schema as text: what ``tests/golden/schema.txt`` holds. ``make golden`` writes it anew after a migration.

The same on PostgreSQL 15 and 18: privileges and constraint rows that only newer servers know are left out.
"""

from __future__ import annotations

from typing import Any

import psycopg

PARTS = {
    "column": """
        SELECT c.oid::regclass || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
               || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
               || CASE a.attidentity WHEN 'd' THEN ' identity' WHEN 'a' THEN ' identity always' ELSE '' END
               || coalesce(CASE a.attgenerated WHEN 's' THEN ' generated ' ELSE ' default ' END
                           || pg_get_expr(d.adbin, d.adrelid), '')
          FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
          LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
         WHERE c.relkind IN ('r', 'v', 'p') AND c.relnamespace::regnamespace::text IN ('public', 'access')""",
    "constraint": """
        SELECT r.oid::regclass || ' ' || c.conname || ' ' || pg_get_constraintdef(c.oid)
          FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid
         WHERE c.connamespace::regnamespace::text IN ('public', 'access') AND c.contype <> 'n'""",
    "index": "SELECT indexdef FROM pg_indexes WHERE schemaname IN ('public', 'access')",
    "trigger": """
        SELECT c.oid::regclass || ' enabled=' || t.tgenabled::text || ' ' || pg_get_triggerdef(t.oid)
          FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
         WHERE NOT t.tgisinternal AND c.relnamespace::regnamespace::text IN ('public', 'access')""",
    "function": """
        SELECT p.oid::regproc || '(' || pg_get_function_identity_arguments(p.oid) || ') returns '
               || pg_get_function_result(p.oid) || CASE WHEN p.prosecdef THEN ' security definer' ELSE '' END
               || ' ' || coalesce(array_to_string(p.proconfig, ' '), '') || ' md5=' || md5(p.prosrc)
          FROM pg_proc p WHERE p.pronamespace::regnamespace::text IN ('public', 'access')""",
    "owner": """
        SELECT oid::regclass || ' ' || pg_get_userbyid(relowner) FROM pg_class
         WHERE relkind IN ('r', 'v', 'p') AND relnamespace::regnamespace::text IN ('public', 'access')""",
    "grant": """
        SELECT c.oid::regclass || ' ' || coalesce(nullif(pg_get_userbyid(g.grantee), 'unknown (OID=0)'), 'PUBLIC')
               || ' ' || string_agg(g.privilege_type, ',' ORDER BY g.privilege_type)
          FROM pg_class c, aclexplode(c.relacl) g
         WHERE c.relnamespace::regnamespace::text IN ('public', 'access')
           AND g.privilege_type <> 'MAINTAIN' AND g.grantee <> c.relowner
         GROUP BY c.oid, g.grantee""",
    "column grant": """
        SELECT c.oid::regclass || ' ' || pg_get_userbyid(g.grantee) || ' ' || g.privilege_type || ' ('
               || string_agg(a.attname, ', ' ORDER BY a.attname) || ')'
          FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid, aclexplode(a.attacl) g
         WHERE c.relnamespace::regnamespace::text IN ('public', 'access')
         GROUP BY c.oid, g.grantee, g.privilege_type""",
    "function grant": """
        SELECT p.oid::regproc || ' ' || coalesce(nullif(pg_get_userbyid(g.grantee), 'unknown (OID=0)'), 'PUBLIC')
          FROM pg_proc p, aclexplode(p.proacl) g
         WHERE p.pronamespace::regnamespace::text IN ('public', 'access') AND g.grantee <> p.proowner""",
    "role": """
        SELECT rolname || CASE WHEN rolcanlogin THEN ' LOGIN' ELSE ' nologin' END
               || CASE WHEN rolsuper THEN ' SUPERUSER' ELSE '' END
          FROM pg_roles WHERE rolname ~ '^revenue_(owner|intake|worker|api|report|seal)$'""",
}


def dump(connection: psycopg.Connection[Any]) -> str:
    """Every fact of the schema, one a line, in an order of its own."""
    lines = []
    for part, query in PARTS.items():
        lines += sorted(f"{part}: {' '.join(row[0].split())}" for row in connection.execute(query))
    return "\n".join(line for line in lines if "alembic_version" not in line) + "\n"
