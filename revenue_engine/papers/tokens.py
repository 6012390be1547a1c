"""The proof that a paper carries: what it says in 23 bytes and the county's Ed25519 signature, short enough for a QR.

Whoever has the county's published key checks a token without the county. Whether the paper was cancelled since is
known online alone. A token holds no name and no phone.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from revenue_engine.errors import InvalidValue
from revenue_engine.signed_notes import PublicKey, SigningKey

VERSION = 1
CONTEXT = b"revenue-engine paper 1\n"
"""What is signed begins so, so that no signature of a paper is one of anything else."""
KINDS = ("receipt", "acknowledgement")
_BODY = struct.Struct(">B4sBBHIQH")
_FIRST = date(2020, 1, 1)


@dataclass(frozen=True, slots=True)
class Claim:
    """What a paper says of itself; the amount in cents, ``paid_on`` the Nairobi day of the payment."""

    kind: str
    financial_year: str
    number: int
    amount_minor: int
    paid_on: date
    copy: int = 1


def key_id(key: PublicKey) -> bytes:
    """The four bytes that name a key inside a token."""
    return hashlib.sha256(key.public).digest()[:4]


def sign(claim: Claim, keys: Sequence[SigningKey]) -> str:
    """The token of a claim, by the first key; empty where there is none."""
    if not keys:
        return ""
    body = _BODY.pack(
        VERSION,
        key_id(keys[0].public),
        KINDS.index(claim.kind),
        min(claim.copy, 255),
        int(claim.financial_year),
        claim.number,
        claim.amount_minor,
        (claim.paid_on - _FIRST).days,
    )
    signature = keys[0].private.sign(CONTEXT + body)
    return base64.urlsafe_b64encode(body + signature).decode().rstrip("=")


def read(token: str, trusted: Iterable[PublicKey]) -> Claim:
    """What a token says. Raises InvalidValue for one that none of the county's keys signed, or that is cut."""
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (binascii.Error, ValueError) as error:
        raise InvalidValue("this is no token of a paper", field="token") from error
    body, signature = raw[: _BODY.size], raw[_BODY.size :]
    if len(signature) != 64 or len(token) > 200:
        raise InvalidValue("this is no token of a paper, or a part of it is missing", field="token")
    version, named, kind, copy, year, number, minor, days = _BODY.unpack(body)
    for key in trusted:
        known = key_id(key) == named and version == VERSION and kind < len(KINDS)
        if known and _signed(key, signature, CONTEXT + body):
            return Claim(KINDS[kind], f"{year:04d}", number, minor, _FIRST + timedelta(days=days), copy)
    raise InvalidValue("no key of this county signed this paper", field="token")


def _signed(key: PublicKey, signature: bytes, said: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, said)
    except InvalidSignature:
        return False
    return True


def short_code(public_id: str) -> str:
    """Eight letters that a receipt's number alone does not tell: who types both holds the paper."""
    digest = hashlib.sha256(b"revenue-engine paper code\n" + public_id.encode()).digest()
    return base64.b32encode(digest[:5]).decode()
