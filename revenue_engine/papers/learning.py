"""A learner's certificate in two forms that are checked without the county: the token of a paper's QR, and a badge.

The token is short enough for a QR of version 10 and binds the name that is printed beside it by eight bytes of a hash,
so that a copied QR proves nothing for another name. The badge is an Open Badge 3.0, a W3C credential in a JWT.
Whether a certificate was superseded since is known online alone.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import struct
import unicodedata
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from revenue_engine.errors import ConfigurationError, InvalidValue
from revenue_engine.papers.tokens import key_id
from revenue_engine.signed_notes import PublicKey, SigningKey

CONTEXT = b"revenue-engine learner certificate 1\n"
"""What is signed begins so, so that no signature of a certificate is one of anything else."""
VERSION = 1
_HEAD = struct.Struct(">B4sB5sHB8sB")
_FIRST = date(2020, 1, 1)
_LONGEST = 40
"""Letters of a unit's code that a token holds."""
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_ED25519 = b"\xed\x01"
_BADGES = uuid.uuid5(uuid.NAMESPACE_URL, "https://purl.imsglobal.org/spec/ob/v3p0")
CONTEXTS = (
    "https://www.w3.org/ns/credentials/v2",
    "https://purl.imsglobal.org/spec/ob/v3p0/context-3.0.3.json",
)


@dataclass(frozen=True, slots=True)
class Learned:
    """What a certificate says: its number (``DL26-`` and ten letters), the unit, the attempt and the day of issue."""

    number: str
    unit: str
    attempt: int
    issued_on: date


@dataclass(frozen=True, slots=True)
class Course:
    """What a badge says beside the certificate: names of the county, course, framework and host, and the sessions."""

    county: str
    course: str
    framework: str
    host: str
    sessions: int
    attended: int


def _name_mark(number: str, name: str) -> bytes:
    """Eight bytes that only the name printed on this certificate gives, however its letters are cased and spaced."""
    plain = " ".join(unicodedata.normalize("NFKC", name).casefold().split())
    return hashlib.sha256(CONTEXT + f"{number}\n{plain}".encode()).digest()[:8]


def sign(learned: Learned, *, name: str, keys: Sequence[SigningKey]) -> str:
    """The token of a certificate, by the first key. Raises ConfigurationError without a key, InvalidValue for a unit
    that is too long or a number of another form."""
    if not keys:
        raise ConfigurationError("there is no key to sign with: revenue-engine close key new NAME")
    unit = learned.unit.encode()
    year, _, serial = learned.number.removeprefix("DL").partition("-")
    if len(unit) > _LONGEST or len(year) != 2 or len(serial) != 10:
        raise InvalidValue(f"{learned.number} of {learned.unit} does not fit a QR", field="unit")
    body = _HEAD.pack(
        *(VERSION, key_id(keys[0].public), int(year), bytes.fromhex(serial), (learned.issued_on - _FIRST).days),
        *(min(learned.attempt, 255), _name_mark(learned.number, name), len(unit)),
    )
    body += unit
    return base64.urlsafe_b64encode(body + keys[0].private.sign(CONTEXT + body)).decode().rstrip("=")


def read(token: str, trusted: Iterable[PublicKey], *, name: str | None = None) -> Learned:
    """What the token of a certificate says. Raises InvalidValue for one that no key of the county signed or that is
    cut, and where ``name`` is said and is not the name that the certificate was printed with."""
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (binascii.Error, ValueError) as error:
        raise InvalidValue("this is no token of a certificate", field="token") from error
    body, signature = raw[:-64], raw[-64:]
    if len(body) < _HEAD.size or len(token) > 256:
        raise InvalidValue("this is no token of a certificate, or a part of it is missing", field="token")
    version, named, year, serial, days, attempt, mark, length = _HEAD.unpack(body[: _HEAD.size])
    unit = body[_HEAD.size :]
    signed = any(key_id(key) == named and _holds(key, signature, body) for key in trusted)
    if version != VERSION or len(unit) != length or not signed:
        raise InvalidValue("no key of this county signed this certificate", field="token")
    number = f"DL{year:02d}-{serial.hex().upper()}"
    if name is not None and not hmac.compare_digest(_name_mark(number, name), mark):
        raise InvalidValue("the certificate was not printed with this name", field="name")
    return Learned(number, unit.decode("utf-8", "replace"), attempt, _FIRST + timedelta(days=days))


def _holds(key: PublicKey, signature: bytes, body: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, CONTEXT + body)
    except InvalidSignature:
        return False
    return True


def issuer(key: PublicKey) -> str:
    """The issuer of badges as ``did:key``: the key is the name, so whoever pins the county's published key needs no
    server of ours."""
    number, text = int.from_bytes(_ED25519 + key.public), ""
    while number:
        number, digit = divmod(number, 58)
        text = _BASE58[digit] + text
    return f"did:key:z{text}"


def badge(learned: Learned, course: Course, *, learner: str, keys: Sequence[SigningKey]) -> str:
    """The Open Badge 3.0 of a certificate as a JWT (VC-JWT, EdDSA), by the first key; the learner is the salted hash
    of the learner's number. Raises ConfigurationError without a key."""
    if not keys:
        raise ConfigurationError("there is no key to sign with: revenue-engine close key new NAME")
    salt = secrets.token_hex(16)
    began = datetime.combine(learned.issued_on, time(), UTC)
    by, name = issuer(keys[0].public), f"urn:uuid:{uuid.uuid5(_BADGES, learned.number)}"
    achievement = {
        "id": f"urn:uuid:{uuid.uuid5(_BADGES, f'{by} {learned.unit}')}",
        "type": ["Achievement"],
        "achievementType": "Certificate",
        "name": course.course,
        "description": f"{course.course}, unit {learned.unit}, at {course.host}",
        "criteria": {
            "narrative": f"Found competent in attempt {learned.attempt}; {course.attended} of {course.sessions}"
            f" sessions attended. Framework: {course.framework}."
        },
        "humanCode": learned.unit,
    }
    hashed = hashlib.sha256(f"{learner}{salt}".encode()).hexdigest()
    recipient = {"type": "IdentityObject", "hashed": True, "identityHash": f"sha256${hashed}"}
    recipient |= {"identityType": "ext:learnerNumber", "salt": salt}
    credential: dict[str, Any] = {
        "@context": list(CONTEXTS),
        "id": name,
        "type": ["VerifiableCredential", "OpenBadgeCredential"],
        "name": f"{course.course}: {learned.number}",
        "issuer": {"id": by, "type": ["Profile"], "name": course.county},
        "validFrom": began.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "credentialSubject": {"type": ["AchievementSubject"], "identifier": [recipient], "achievement": achievement},
        "iss": by,
        "jti": name,
        "nbf": int(began.timestamp()),
    }
    public = {"kty": "OKP", "crv": "Ed25519", "x": _encoded(keys[0].public.public)}
    head = {"alg": "EdDSA", "typ": "JWT", "kid": f"{by}#{by.removeprefix('did:key:')}", "jwk": public}
    said = ".".join(_encoded(json.dumps(part, ensure_ascii=False).encode()) for part in (head, credential))
    return f"{said}.{_encoded(keys[0].private.sign(said.encode()))}"


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
