"""The schema as text, beside what this release ships: every column, rule, index, trigger, function, right and role.

``schema.txt`` is the release's; ``make golden`` writes it anew after a migration. The same on PostgreSQL 15 and 18:
privileges and constraint rows that only newer servers know are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from revenue_engine.verification.invariants import Check, Finding, Part

SHIPPED = Path(__file__).with_name("schema.txt")

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


def differences(connection: psycopg.Connection[Any]) -> Iterator[Finding | None]:
    """One Finding for every line that the release ships and the database lacks, or the other way; None for the rest."""
    shipped = SHIPPED.read_text(encoding="utf-8").splitlines()
    found = dump(connection).splitlines()
    gone, new = set(shipped) - set(found), set(found) - set(shipped)
    for line in shipped:
        part, _, what = line.partition(": ")
        yield Finding(part, what[:200], "is not in the database as this release ships it") if line in gone else None
    for line in sorted(new):
        part, _, what = line.partition(": ")
        yield Finding(part, what[:200], "is in the database and not in this release")


_MEMBERS_SQL = """
WITH capability AS (
    SELECT m.member, array_agg(r.rolname::text ORDER BY r.rolname) AS held
      FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid
     WHERE r.rolname ~ '^revenue_(owner|intake|worker|api|report|seal)$' GROUP BY m.member)
SELECT l.rolname, array_to_string(c.held, ', '),
       CASE WHEN cardinality(c.held) > 1 THEN 'a login holds one role' ELSE 'a role''s login is no superuser' END
  FROM capability c JOIN pg_roles l ON l.oid = c.member
 WHERE (cardinality(c.held) BETWEEN 2 AND 5 AND NOT l.rolsuper) OR (cardinality(c.held) = 1 AND l.rolsuper)
    OR (l.rolname ~ '^revenue_(owner|intake|worker|api|report|seal)$')
"""
# Whoever migrates holds every role and owns the database: that login is a superuser, or is the one that holds them all.

SCHEMA = (
    Check(
        "schema_as_shipped",
        "Every column, constraint, index, trigger, function and right is that of this release, and no login holds more"
        " than its role.",
        (),
        (Part("pg_auth_members", "holds {}: {}", _MEMBERS_SQL),),
        reader=differences,
    ),
)
