"""What a superuser may do to rows below the last horizon: drawn by chance, and what an enemy would choose."""

from __future__ import annotations

import random
from typing import Any, LiteralString, cast

import psycopg

CHANGED = {
    "bigint": "{c} + 1",
    "integer": "{c} + 1",
    "smallint": "{c} + 1",
    "text": "{c} || 'x'",
    "timestamp with time zone": "{c} + interval '1 second'",
    "date": "{c} + 1",
    "boolean": "NOT {c}",
    "bytea": "sha256({c})",
    "xid8": "'7'",
    "jsonb": "jsonb_build_object('was', {c})",
    "inet": "'203.0.113.9'",
    "uuid": "gen_random_uuid()",
    "bigint[]": "{c} || 1::bigint",
    "text[]": "{c} || 'x'",
}
"""How a value of a type is made another one."""

ELSEWHERE = {
    ("audit_event", "content"),
    *(("access.request", column) for column in ("payload", "reason", "state", "sub_county", "shown")),
    ("payment_party", "commitment"),
}
"""Columns that no line holds: what a leaf, a digest or a commitment of the row stands for, and other checks hold."""


def sealed(connection: psycopg.Connection[Any]) -> list[tuple[str, str, str]]:
    """Every sealed row below the last horizon: (name, relation, its place in the table)."""
    found = []
    for name, relation in connection.execute("SELECT name, relation FROM seal_source ORDER BY name").fetchall():
        rows = connection.execute(
            cast("LiteralString", f"SELECT ctid::text FROM {relation} WHERE xid < sealed_until() ORDER BY ctid")
        )
        found += [(name, relation, place) for (place,) in rows.fetchall()]
    return found


def columns(connection: psycopg.Connection[Any], name: str, relation: str) -> list[tuple[str, str]]:
    """The columns of a table and their types, those that hold nothing of their own left out."""
    found = connection.execute(
        "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute"
        " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''",
        (relation,),
    )
    return [(column, kind) for column, kind in found if (name, column) not in ELSEWHERE]


def draw(connection: psycopg.Connection[Any], dice: random.Random, rows: list[tuple[str, str, str]]) -> list[str]:
    """One edit: a column of a row changed, a row deleted, or a row's twin slipped in."""
    by_table: dict[str, list[tuple[str, str, str]]] = {}
    for row in rows:
        by_table.setdefault(row[0], []).append(row)
    while True:
        name, relation, place = dice.choice(by_table[dice.choice(sorted(by_table))])
        sort = dice.random()
        if sort < 0.15:
            return [f"DELETE FROM {relation} WHERE ctid = '{place}'"]
        column, kind = dice.choice(columns(connection, name, relation))
        row = connection.execute(
            cast("LiteralString", f"SELECT {column} IS NULL FROM {relation} WHERE ctid = '{place}'")
        ).fetchone()
        if row is not None and not row[0]:
            made = CHANGED[kind].format(c=column)
            return [f"UPDATE {relation} SET {column} = {made} WHERE ctid = '{place}'"]


_P = "(SELECT id FROM payment WHERE reference = '{}')"
_NEWEST = "(SELECT max(id) FROM payment WHERE reference = 'UISUSP0001')"
FAMILIES: dict[str, list[str]] = {
    "receipt numbers swapped": [
        "UPDATE receipt SET number = number + 1000 WHERE kind = 'receipt' AND number IN (1, 2)",
        "UPDATE receipt SET number = CASE number WHEN 1001 THEN 2 ELSE 1 END WHERE number IN (1001, 1002)",
    ],
    "two bills exchange payers": [
        "UPDATE invoice SET payer_id = coalesce(payer_id, 0) + 1 WHERE id IN (SELECT min(id) FROM invoice)",
        "UPDATE open_bill o SET payer_id = i.payer_id FROM invoice i WHERE i.id = o.invoice_id",
        "UPDATE posting p SET payer_id = i.payer_id FROM invoice i WHERE i.id = p.invoice_id",
    ],
    "the newest payment erased whole": [
        f"DELETE FROM posting WHERE payment_id = {_NEWEST}",
        f"DELETE FROM journal WHERE key LIKE 'payment:' || {_NEWEST} || ':%'",
        f"DELETE FROM receipt WHERE payment_id = {_NEWEST}",
        f"DELETE FROM break_event WHERE payment_id = {_NEWEST}",
        f"DELETE FROM break_case WHERE payment_id = {_NEWEST}",
        f"DELETE FROM payment_party WHERE payment_id = {_NEWEST}",
        "DELETE FROM delivery WHERE id IN (SELECT delivery_id FROM evidence WHERE reference = 'UISUSP0001')",
        "DELETE FROM evidence WHERE reference = 'UISUSP0001'",
        "DELETE FROM payment WHERE reference = 'UISUSP0001'",
    ],
    "an audit event re-written with its leaf": [
        (
            "UPDATE audit_event SET actor = 'else', content = convert_to("
            "jsonb_set(convert_from(content, 'UTF8')::jsonb, '{actor}', '\"else\"')::text, 'UTF8') WHERE id = 3"
        ),
        "UPDATE audit_event SET leaf = sha256('\\x00'::bytea || content) WHERE id = 3",
    ],
    "a table re-hashed whole": [
        "UPDATE posting SET amount_minor = amount_minor + 100",
        "UPDATE payment SET amount_minor = amount_minor + 100",
    ],
    "set-up with its versions": [
        "UPDATE county SET confirm_limit_minor = 1",
        (
            "UPDATE set_up_version SET content = jsonb_set(content, '{confirm_limit_minor}', '1')"
            " WHERE table_name = 'public.county'"
        ),
    ],
    "a payer with the version": [
        "UPDATE payer SET name = 'Else'",
        (
            "UPDATE payer_version v SET commitment = payer_commitment(p.salt, p.name, p.phone)"
            " FROM payer p WHERE p.id = v.payer_id"
        ),
    ],
    "the leaves with the row": [
        "UPDATE payment SET public_id = 'pay_else' WHERE reference = 'UISUSP0001'",
        (
            "UPDATE seal_chunk c SET leaves = n.leaves, keys = n.keys FROM ("
            " SELECT a.preparation_id, l.n / 4096 AS number, string_agg(l.leaf, ''::bytea ORDER BY l.n) AS leaves,"
            " string_agg(l.name || ' ' || l.key, E'\\n' ORDER BY l.n) AS keys FROM close_approval a"
            " JOIN close_horizon h USING (preparation_id)"
            " CROSS JOIN seal_leaves(1, h.since, h.horizon) l GROUP BY 1, 2) n"
            " WHERE n.preparation_id = c.preparation_id AND n.number = c.number"
        ),
    ],
    "the horizon moved down": ["UPDATE close_horizon SET horizon = since"],
    "what a line holds": ["UPDATE seal_source SET columns_sql = 'id' WHERE name = 'payment'"],
    "one who prepared and approved": [
        "UPDATE close_approval SET approved_by = 2",
        "UPDATE close_preparation SET prepared_by = 2",
    ],
    "what was shown": [
        (
            "UPDATE close_sheet s SET shown = n.made, shown_sha256 = sha256(n.made) FROM (SELECT preparation_id AS id,"
            " convert_to(replace(convert_from(shown, 'UTF8'), 'live', 'test'), 'UTF8') AS made FROM close_sheet) n"
            " WHERE n.id = s.preparation_id"
        ),
    ],
    "a certificate's note": [
        (
            "UPDATE certificate SET note = replace(note, 'testland', 'busia'),"
            " note_sha256 = sha256(convert_to(replace(note, 'testland', 'busia'), 'UTF8'))"
        ),
    ],
    "the newest certificate with its day": [
        "DELETE FROM certificate WHERE number = (SELECT max(number) FROM certificate)",
        "DELETE FROM closed_day WHERE book_date = (SELECT max(book_date) FROM closed_day)",
    ],
}
"""What an enemy would do who knows the tables: each in one transaction, past every guard."""
