"""What a stranger needs to check a certificate: the note, every sealed row's line, the leaves, and the public keys."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.orm import Session

from reconciliation.days import certificates
from revenue_engine.db import raw
from revenue_engine.errors import ConfigurationError

BATCH = 5_000


def write(session: Session, number: int, folder: Path) -> list[Path]:
    """Write one certificate and its rows into a folder; returns the files. Raises NotFound, ConfigurationError.

    ``certificate-N.txt`` is the note, ``rows-N.jsonl`` one line a sealed row in the order of the tree, ``leaves-N.txt``
    one leaf a line in hexadecimal, ``keys.txt`` the published keys.
    """
    facts = certificates.facts_of(session, number)
    seal = facts["sheet"]["seal"]
    span = (seal["format"], seal["since"], seal["horizon"])
    names = [folder / f"{kind}-{number:06d}.{end}" for kind, end in _FILES] + [folder / "keys.txt"]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        names[0].write_text(certificates.kept(session, number), encoding="utf-8")
        _stream(session, "SELECT line FROM seal_lines(%s, %s::text::xid8, %s::text::xid8) ORDER BY n", span, names[1])
        _stream(
            session,
            "SELECT encode(leaf, 'hex') FROM seal_leaves(%s, %s::text::xid8, %s::text::xid8) ORDER BY n",
            span,
            names[2],
        )
        keys = "".join(f"{key.vkey}\n" for key in certificates.published(session))
        names[3].write_text(keys, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be written: {error.strerror}") from error
    return names


_FILES = (("certificate", "txt"), ("rows", "jsonl"), ("leaves", "txt"))


def _stream(session: Session, query: str, given: tuple[object, ...], file: Path) -> None:
    with raw(session).cursor(name="sealed") as cursor, file.open("w", encoding="utf-8", newline="\n") as out:
        cursor.itersize = BATCH
        cursor.execute(query.encode(), given)
        out.writelines(f"{row[0]}\n" for row in cursor)
