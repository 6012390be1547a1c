"""Proofs of origin: who sent a body, judged from its bytes, its headers and the address it came from.

Pure, and every comparison of a secret takes the same time wherever it fails. A verdict names the header or field that
failed and never the secret or what was sent in its place.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Final, Literal, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from pydantic import AfterValidator, Field

from adapters.peers import ACCEPTED
from revenue_engine.ports.callbacks import Verdict

SMALLEST_KEY: Final = 2048
"""Bits of an RSA key that is still worth something."""


def _refused(reason: str) -> Verdict:
    return Verdict(accepted=False, reason=reason)


@lru_cache(maxsize=64)
def public_key(pem: str) -> rsa.RSAPublicKey:
    """An RSA public key from PEM text. Raises ValueError that says what is wrong and repeats nothing of the text."""
    try:
        key = serialization.load_pem_public_key(pem.strip().encode())
    except Exception as error:
        raise ValueError("is no public key in PEM form (-----BEGIN PUBLIC KEY-----)") from error
    if not isinstance(key, rsa.RSAPublicKey):
        raise ValueError("is no RSA key")  # noqa: TRY004 - a value of the settings, for pydantic to report
    if key.key_size < SMALLEST_KEY:
        raise ValueError(f"has {key.key_size} bits, fewer than {SMALLEST_KEY}")
    return key


def _keys(keys: tuple[str, ...]) -> tuple[str, ...]:
    for number, pem in enumerate(keys, 1):
        try:
            public_key(pem)
        except ValueError as error:
            raise ValueError(f"key {number} {error}") from None
    return keys


PublicKeys: TypeAlias = Annotated[tuple[str, ...], Field(min_length=1, max_length=2), AfterValidator(_keys)]
"""A bank's RSA public keys in PEM form: the one in use and, while it is replaced, the next."""


def rsa_sha256(headers: Mapping[str, str], body: bytes, *, header: str, keys: Sequence[str]) -> Verdict:
    """Judge a header that holds base64(RSA-SHA256, PKCS#1 v1.5) over the raw body, under any of ``keys`` (PEM)."""
    given = headers.get(header.lower())
    if not given:
        return _refused(f"the header {header} is missing")
    try:
        signature = base64.b64decode(given.strip(), validate=True)
    except (binascii.Error, ValueError):
        return _refused(f"the header {header} is not base64")
    if any(_signed_by(pem, signature, body) for pem in keys):
        return ACCEPTED
    return _refused(f"the header {header} does not fit the body under any of the {len(keys)} public keys")


def _signed_by(pem: str, signature: bytes, body: bytes) -> bool:
    try:
        public_key(pem).verify(signature, body, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True


Encoding = Literal["hex", "base64"]


def hmac_sha256(
    headers: Mapping[str, str], body: bytes, *, header: str, secret: str, encoding: Encoding, previous: str = ""
) -> Verdict:
    """Judge a header that holds HMAC-SHA256 of the raw body, under the secret or the one it replaces."""
    given = headers.get(header.lower())
    if not given:
        return _refused(f"the header {header} is missing")
    sent = given.strip().removeprefix("sha256=")
    for key in (secret, previous) if previous else (secret,):
        digest = hmac.digest(key.encode(), body, "sha256")
        wanted = digest.hex() if encoding == "hex" else base64.b64encode(digest).decode()
        if same(sent.lower() if encoding == "hex" else sent, wanted):
            return ACCEPTED
    return _refused(f"the header {header} does not fit the body")


def salted_sha256(
    given: object, parts: Sequence[str], *, field: str, secret: str, inside: Literal["hex", "raw"], previous: str = ""
) -> Verdict:
    """Judge a field that holds base64 of SHA-256(secret + parts): of its hexadecimal form, or of the raw digest.

    ``previous`` is the secret that ``secret`` replaces, empty where there is none.
    """
    if type(given) is not str or not given:
        return _refused(f"the field {field} is missing")
    for key in (secret, previous) if previous else (secret,):
        if same(given.strip(), salted(parts, secret=key, inside=inside)):
            return ACCEPTED
    return _refused(f"the field {field} does not fit the body")


def salted(parts: Sequence[str], *, secret: str, inside: Literal["hex", "raw"]) -> str:
    """What :func:`salted_sha256` expects."""
    digest = hashlib.sha256("".join((secret, *parts)).encode("utf-8", "surrogatepass"))
    return base64.b64encode(digest.hexdigest().encode() if inside == "hex" else digest.digest()).decode()


def basic(headers: Mapping[str, str], *, username: str, password: str) -> Verdict:
    """Judge HTTP Basic credentials."""
    given = headers.get("authorization")
    if not given:
        return _refused("the header Authorization is missing")
    scheme, _, rest = given.partition(" ")
    try:
        pair = base64.b64decode(rest.strip(), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return _refused("the header Authorization cannot be read")
    if scheme.lower() == "basic" and same(pair, f"{username}:{password}"):
        return ACCEPTED
    return _refused("the header Authorization does not hold the credentials of this account")


def in_body(user: object, word: object, *, username: str, password: str, field: str) -> Verdict:
    """Judge credentials that stand in the body itself."""
    if type(user) is not str or type(word) is not str:
        return _refused(f"the field {field} is missing")
    if same(user, username) & same(word, password):
        return ACCEPTED
    return _refused(f"the field {field} does not hold the credentials of this account")


def same(given: str, wanted: str) -> bool:
    """Whether two secrets are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), wanted.encode("utf-8", "surrogatepass"))
