"""What the certificates sealed, beside what stands: every sealed row, the chain, its signatures, and a witness outside.

A row that stands in one place only cannot be held against another row. It is held against the leaf that two persons
signed, and the certificates against roots that somebody keeps where no one who holds this database can reach.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import psycopg

from revenue_engine import signed_notes
from revenue_engine.errors import InvalidValue
from revenue_engine.verification.invariants import Check, Finding, Part, rows


class Held(NamedTuple):
    """What a witness holds of a certificate: its number, the SHA-256 of the note, and the root, in hexadecimal."""

    number: int
    note_sha256: str
    root: str


_SEALED_SQL = "SELECT d.name || ' ' || d.key, d.fault FROM close_approval a CROSS JOIN seal_differences(a.number) d"

_DAYS_SQL = """
SELECT coalesce(d.book_date, c.day), CASE WHEN c.day IS NULL THEN 'is closed by no certificate'
                                          ELSE 'was closed by certificate ' || c.number || ' and is open' END
  FROM closed_day d
  FULL JOIN (SELECT a.number, g::date AS day FROM close_approval a JOIN close_preparation p ON p.id = a.preparation_id
              CROSS JOIN generate_series(p.first_day, p.last_day, interval '1 day') g WHERE p.period = 'day') c
    ON c.day = d.book_date
 WHERE d.book_date IS NULL OR c.day IS NULL
"""

_PERSONS_SQL = """
SELECT a.number, CASE WHEN p.id IS NULL THEN 'its preparation is gone'
                      WHEN p.prepared_by = a.approved_by THEN 'one person prepared and approved it'
                      WHEN w.preparation_id IS NOT NULL THEN 'it was withdrawn'
                      WHEN s.shown_sha256 IS DISTINCT FROM a.shown_sha256
                        OR sha256(s.shown) IS DISTINCT FROM a.shown_sha256 THEN
                           'what was approved is not what was shown'
                      WHEN c.number IS NULL THEN 'its certificate is gone'
                      ELSE 'certificates are missing before it' END
  FROM (SELECT *, row_number() OVER (ORDER BY number) AS place FROM close_approval) a
  LEFT JOIN close_preparation p ON p.id = a.preparation_id
  LEFT JOIN close_withdrawal w ON w.preparation_id = a.preparation_id
  LEFT JOIN close_sheet s ON s.preparation_id = a.preparation_id LEFT JOIN certificate c ON c.number = a.number
 WHERE p.id IS NULL OR p.prepared_by = a.approved_by OR w.preparation_id IS NOT NULL OR c.number IS NULL
    OR s.shown_sha256 IS DISTINCT FROM a.shown_sha256 OR sha256(s.shown) IS DISTINCT FROM a.shown_sha256
    OR a.place <> a.number
"""

_NOTES_SQL = """
SELECT c.number, c.note, encode(s.shown_sha256, 'hex'), h.since::text, h.horizon::text, n.origin
  FROM certificate c LEFT JOIN close_approval a ON a.number = c.number
  LEFT JOIN close_sheet s ON s.preparation_id = a.preparation_id
  LEFT JOIN close_horizon h ON h.preparation_id = a.preparation_id LEFT JOIN certificate_chain n ON true
 ORDER BY c.number
"""


def _chain(connection: psycopg.Connection[Any]) -> Iterator[Finding | None]:
    told = [row[0] for row in connection.execute("SELECT vkey FROM seal_key ORDER BY id")]
    trusted = [signed_notes.parse_key(vkey) for vkey in told]
    previous, reached = None, "0"
    for number, note, shown, since, horizon, origin in rows(connection, _NOTES_SQL):
        wrong = ""
        try:
            text, _ = signed_notes.verify(note, trusted)
            body = json.loads(text.splitlines()[3])
            seal = body["sheet"]["seal"]
            if (body["number"], body["previous_sha256"], body["origin"]) != (number, previous, origin):
                wrong = "it is not the next of this chain"
            elif body["shown_sha256"] != shown or (seal["since"], seal["horizon"]) != (since, horizon):
                wrong = "its rows are not what it says"
            elif since != reached:
                wrong = f"it begins at transaction {since}, and the one before it ended at {reached}"
        except InvalidValue as error:
            wrong = error.message
        except (ValueError, KeyError, IndexError, TypeError):
            wrong = "its body cannot be read"
        previous, reached = hashlib.sha256(note.encode()).hexdigest(), horizon
        yield Finding("certificate", str(number), wrong) if wrong else None


SEALS = (
    Check(
        "sealed_rows_stand",
        "Every row that a certificate sealed is what was sealed, none is gone, none was slipped in below a horizon.",
        ("seal_chunk",),
        (Part("sealed row", "{}", _SEALED_SQL),),
    ),
    Check(
        "certificates_chain",
        "Certificates follow each other, each signed, of two persons, and each closed day has its own.",
        ("closed_day",),
        (
            Part("closed_day", "{}", _DAYS_SQL),
            Part("close_approval", "{}", _PERSONS_SQL),
        ),
        reader=_chain,
    ),
)


def beside(connection: psycopg.Connection[Any], held: Sequence[Held]) -> Iterator[Finding | None]:
    """One Finding for each certificate that a witness holds and the database lacks or tells otherwise."""
    found = connection.execute(
        "SELECT c.number, encode(c.note_sha256, 'hex'), encode(sha256(convert_to(c.note, 'UTF8')), 'hex')"
        " FROM certificate c"
    )
    kept = {number: (told, real) for number, told, real in found}
    for one in held:
        if one.number not in kept:
            yield Finding("certificate", str(one.number), "was witnessed outside, and is gone")
        elif kept[one.number] != (one.note_sha256, one.note_sha256):
            yield Finding("certificate", str(one.number), "is not the certificate that was witnessed outside")
        else:
            yield None


def witnessed(held: Sequence[Held]) -> Check:
    """The check of the certificates against what a witness holds."""
    return Check(
        "witnessed_certificates",
        "Every certificate that a witness outside holds stands here, unchanged.",
        (),
        reader=lambda connection: beside(connection, held),
    )
