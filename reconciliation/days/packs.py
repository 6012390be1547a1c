"""The audit pack of one payment: a zip with the rows of its way, each under a signed root, and why where there is none.

From the receipt to the bill, the tariff, the payment, the books, the evidence and the statement. The manifest is a
signed note, numbered and dated at the request. Whoever has the pack and the county's public key needs nothing else.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rfc8785
from sqlalchemy.orm import Session

from reconciliation.days import certificates
from revenue_engine import payments, signed_notes
from revenue_engine.db import raw
from revenue_engine.errors import ConfigurationError
from revenue_engine.signed_notes import SigningKey

FORMAT = "revenue-engine audit pack 1"
WHY_NONE = {
    "receipt": "no receipt stands for this payment",
    "bill": "no bill: the money is in suspense, is a payer's credit, or was taken back",
    "tariff": "no line of a bill names a line of the tariff",
    "payment": "there is no such payment",
    "books": "nothing is posted for this payment",
    "evidence": "no message is kept of this payment",
    "statement": "no statement in the books shows this payment yet",
    "remittance": "the books hold no remittance of this money to the Fund yet",
    "fund": "the books hold no statement of the Fund that shows this money yet",
}
"""Every stage of a payment's way, in order, and what is said where it has no document."""


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack as it was made: its number, the SHA-256 of the manifest, and the stages that have no document."""

    number: int
    sha256: str
    rows: int
    without: list[str]


def _siblings(level: list[bytes], index: int) -> tuple[list[bytes], bytes]:
    """The path from a leaf to the root of a tree whose odd last nodes are carried up, and that root."""
    path = []
    while len(level) > 1:
        if index ^ 1 < len(level):
            path.append(level[index ^ 1])
        pairs = [hashlib.sha256(b"\x01" + level[i] + level[i + 1]).digest() for i in range(0, len(level) - 1, 2)]
        level, index = pairs + level[len(level) & ~1 :], index // 2
    return path, level[0]


def _split(hashes: bytes) -> list[bytes]:
    return [hashes[i : i + 32] for i in range(0, len(hashes), 32)]


def _row(session: Session, stage: str, name: str, key: str) -> tuple[dict[str, Any], str]:
    connection = raw(session)
    found = connection.execute("SELECT certified, line FROM seal_line(%s, %s)", (name, key)).fetchone()
    assert found is not None  # noqa: S101 - the row was named by the same snapshot of the books
    certified, line = found
    told: dict[str, Any] = {
        "stage": stage,
        "table": name,
        "row": key,
        "sha256": hashlib.sha256(line.encode()).hexdigest(),
    }
    if certified is None:
        return told | {"certificate": None, "why": "it is not sealed yet: the next certificate seals it"}, line
    placed = connection.execute(
        "SELECT place, leaves, nodes FROM seal_place(%s, %s, %s)", (certified, name, key)
    ).fetchone()
    if placed is None:
        return told | {"certificate": certified, "why": "its certificate has no leaf of it: ledger verify"}, line
    place, leaves, nodes = placed
    inside, _ = _siblings(_split(leaves), place % 4096)
    across, _ = _siblings(_split(nodes), place // 4096)
    return told | {"certificate": certified, "place": place, "path": [node.hex() for node in inside + across]}, line


def make(session: Session, name: str, *, purpose: str, file: Path, keys: Sequence[SigningKey]) -> Pack:
    """Make the pack of a payment, named by its provider's reference or public id, as who is signed in.

    Raises NotFound for no such payment, NotAllowed without the right to export, InvalidValue without a purpose,
    ConfigurationError where there is no key or the file cannot be written.
    """
    if not keys:
        raise ConfigurationError("there is no key to sign with: revenue-engine close key new NAME")
    payment_id = payments.named(session, name)
    connection = raw(session)
    asked = connection.execute("SELECT * FROM audit_pack_ask(%s, %s)", (payment_id, purpose)).fetchone()
    assert asked is not None  # noqa: S101 - a function answers one row
    number, by, at = asked
    wanted = connection.execute(
        "SELECT DISTINCT stage, name, key FROM audit_pack_rows(%s) ORDER BY 1, 2, 3", (payment_id,)
    )
    found = [_row(session, *row) for row in wanted.fetchall()]
    lines = "".join(f"{line}\n" for _, line in found)
    notes = {
        f"certificates/{certified:06d}.txt": certificates.kept(session, certified)
        for certified in sorted({told["certificate"] for told, _ in found if told["certificate"]})
    }
    has = {told["stage"] for told, _ in found}
    files = {"rows.jsonl": lines, **notes}
    body = {
        "format": FORMAT,
        "number": number,
        "purpose": purpose.strip(),
        "payment": name,
        "asked_by": by,
        "asked_at": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "rows": [told for told, _ in found],
        "no_document": {stage: why for stage, why in WHY_NONE.items() if stage not in has},
        "files": {called: hashlib.sha256(text.encode()).hexdigest() for called, text in files.items()},
    }
    manifest = signed_notes.sign(f"{FORMAT}\n{number}\n{rfc8785.dumps(body).decode()}\n", keys)
    vkeys = "".join(f"{key.vkey}\n" for key in certificates.published(session))
    try:
        told = {"manifest.txt": manifest, "keys.txt": vkeys, **files}
        file.write_bytes(zipped({called: text.encode() for called, text in told.items()}))
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be written: {error.strerror}") from error
    return Pack(number, hashlib.sha256(manifest.encode()).hexdigest(), len(found), sorted(body["no_document"]))


def zipped(files: dict[str, bytes]) -> bytes:
    """A zip of some files; the same files are the same bytes."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():  # one date for all, so that the same pack is the same bytes
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content)
    return made.getvalue()
