"""The certificate of a close: canonical JSON (RFC 8785) inside a signed note (C2SP).

The text of the note is four lines: the chain, the count of sealed rows, the root of their tree in base64, and the body.
Money in the body is a string of cents; there is no other number than a whole one.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple, cast

import rfc8785
from sqlalchemy.orm import Session

from revenue_engine import db, signed_notes
from revenue_engine.db import raw, rows, scalar
from revenue_engine.errors import ConfigurationError, IntegrityFault, InvalidValue, NotFound
from revenue_engine.signed_notes import PublicKey, SigningKey

FORMAT = "revenue-engine close certificate 1"


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate as it is kept: its number, the note, and the body that the note holds."""

    number: int
    note: str
    body: dict[str, Any]

    @property
    def sha256(self) -> str:
        """What the next certificate calls this one."""
        return hashlib.sha256(self.note.encode()).hexdigest()

    @property
    def root(self) -> str:
        """The root of the sealed rows, in hexadecimal."""
        return str(self.body["sheet"]["seal"]["root"])


def _refuse_number(text: str) -> Any:
    raise InvalidValue(f"a certificate holds no number such as {text}: money is a string of cents", value=text)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise InvalidValue("a certificate says nothing twice")
    return found


def read_body(line: str) -> dict[str, Any]:
    """The body from its canonical line. Raises InvalidValue for a float, a key told twice, or another spelling."""
    try:
        body = json.loads(line, parse_float=_refuse_number, parse_constant=_refuse_number, object_pairs_hook=_once)
        again = rfc8785.dumps(body)
    except (ValueError, rfc8785.CanonicalizationError) as error:
        raise InvalidValue(f"the body of the certificate is not JSON as RFC 8785 writes it: {error}") from error
    if again != line.encode() or not isinstance(body, dict):
        raise InvalidValue("the body of the certificate is not spelled as RFC 8785 spells it")
    return body


def read(note: str, trusted: Iterable[PublicKey]) -> Certificate:
    """A certificate whose signature holds and whose lines agree with its body. Raises InvalidValue with the fault."""
    text, _ = signed_notes.verify(note, trusted)
    lines = text.splitlines()
    if len(lines) != 4:
        raise InvalidValue("the text of a certificate is four lines: chain, count, root and body")
    body = read_body(lines[3])
    try:
        seal = body["sheet"]["seal"]
        told = [body["origin"], str(seal["count"]), base64.b64encode(bytes.fromhex(seal["root"])).decode()]
        shown = hashlib.sha256(rfc8785.dumps(body["sheet"])).hexdigest()
        number, told_sha256, form = body["number"], body["shown_sha256"], body["format"]
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidValue(f"the certificate's body lacks what a certificate says: {error}") from error
    if form != FORMAT:
        raise InvalidValue(f"{form!r} is no certificate of this kind")
    if told != lines[:3]:
        raise InvalidValue("the first lines of the certificate are not what its body says")
    if shown != told_sha256:
        raise InvalidValue("the sheet in the certificate is not what its two persons were shown")
    return Certificate(number, note, body)


def make(facts: dict[str, Any], keys: Sequence[SigningKey]) -> Certificate:
    """The signed certificate of an approved close. Raises ConfigurationError where no published key is at hand."""
    if not keys:
        raise ConfigurationError("there is no key to sign with: revenue-engine close key new NAME")
    unpublished = [key.public.name for key in keys if key.public.vkey not in facts["keys"]]
    if unpublished:
        raise ConfigurationError(f"the key {unpublished[0]} is not published: revenue-engine close key publish")
    sheet = facts["sheet"]
    body = {"format": FORMAT, "county": sheet["county"]} | facts
    seal = sheet["seal"]
    root = base64.b64encode(bytes.fromhex(seal["root"])).decode()
    text = f"{facts['origin']}\n{seal['count']}\n{root}\n{rfc8785.dumps(body).decode()}\n"
    made = read(signed_notes.sign(text, keys), [key.public for key in keys])
    if made.body["shown_sha256"] != facts["shown_sha256"]:
        raise IntegrityFault("the database and this process do not spell the sheet alike")
    return made


def published(session: Session) -> list[PublicKey]:
    """The keys that sign certificates, the oldest first."""
    return [signed_notes.parse_key(row[0]) for row in raw(session).execute("SELECT vkey FROM seal_key ORDER BY id")]


def publish(session: Session, key: PublicKey) -> None:
    """Publish a key. Raises NotAllowed for anybody but whoever holds the database."""
    scalar(session, "SELECT seal_key_publish(%s, %s)", (key.name, key.vkey))


def facts_of(session: Session, number: int) -> dict[str, Any]:
    """What certificate ``number`` says. Raises NotFound."""
    facts = scalar(session, "SELECT close_facts(%s)", (number,))
    if facts is None:
        raise NotFound(f"there is no certificate {number}", number=number)
    return cast("dict[str, Any]", facts)


def kept(session: Session, number: int) -> str:
    """The note of a certificate. Raises NotFound."""
    row = raw(session).execute("SELECT note FROM certificate WHERE number = %s", (number,)).fetchone()
    if row is None:
        raise NotFound(f"there is no certificate {number}", number=number)
    return str(row[0])


class Listed(NamedTuple):
    """A certificate in the list of all."""

    number: int
    period: str
    first_day: date
    last_day: date
    note_sha256: bytes
    note: str


def every(session: Session, *, after: int = 0) -> list[Listed]:
    """All certificates in their order, from the one after ``after``."""
    return rows(
        session,
        Listed,
        "SELECT c.number, p.period, p.first_day, p.last_day, c.note_sha256, c.note FROM certificate c"
        " JOIN close_approval a ON a.number = c.number JOIN close_preparation p ON p.id = a.preparation_id"
        " WHERE c.number > %s ORDER BY c.number",
        (after,),
    )


def of_span(session: Session, period: str, first: date, last: date) -> int | None:
    """The number of the certificate of a period, or of the one that closed a day (quiet days close together)."""
    number: int | None = db.found(
        session,
        "SELECT a.number FROM close_approval a JOIN close_preparation p ON p.id = a.preparation_id"
        " WHERE p.period = %s AND p.first_day <= %s AND p.last_day >= %s",
        (period, first, last),
    )
    return number
