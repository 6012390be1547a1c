"""Signed notes as C2SP writes them (c2sp.org/signed-note): text, a blank line, and one Ed25519 signature a line.

A key is known by its name and the first four bytes of SHA-256(name || 0x0A || 0x01 || public key). Signatures of keys
that a reader does not know are passed over; a signature of a known key that fails rejects the note.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from revenue_engine.errors import ConfigurationError, InvalidValue

ED25519 = b"\x01"
"""The byte of the algorithm, inside every published key."""
_NAME = re.compile(r"[^\s+]{1,80}")


def _key_id(name: str, public: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + ED25519 + public).digest()[:4]


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that signs notes, as it is published: ``name+id+base64(0x01 || key)``."""

    name: str
    public: bytes

    @property
    def vkey(self) -> str:
        """How the key is published."""
        encoded = base64.b64encode(ED25519 + self.public).decode()
        return f"{self.name}+{_key_id(self.name, self.public).hex()}+{encoded}"


def parse_key(vkey: str) -> PublicKey:
    """A published key. Raises InvalidValue for anything else."""
    name, _, rest = vkey.strip().partition("+")
    told, _, encoded = rest.partition("+")
    try:
        raw = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if not _NAME.fullmatch(name) or len(raw) != 33 or raw[:1] != ED25519 or told != _key_id(name, raw[1:]).hex():
        raise InvalidValue(f"{vkey.strip()[:80]!r} is not a published Ed25519 key of the form name+id+key", key=name)
    return PublicKey(name, raw[1:])


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key read from its file, and its published half."""

    private: Ed25519PrivateKey
    public: PublicKey


def make_key(path: Path, name: str) -> PublicKey:
    """Make a key file that this account alone may read, named as the key. Raises InvalidValue, ConfigurationError."""
    if not _NAME.fullmatch(name):
        raise InvalidValue(f"{name!r} names no key: up to 80 letters without blanks and +", name=name)
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
    except OSError as error:
        raise ConfigurationError(f"the key {path} cannot be made: {error.strerror}") from error
    return PublicKey(name, _raw(private.public_key()))


def _raw(public: Ed25519PublicKey) -> bytes:
    return public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def read_key(path: Path) -> SigningKey:
    """The key of a file ``NAME.pem``. Raises ConfigurationError for a file that others may read or that is no key."""
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigurationError(f"{path} may be read by others: chmod 600 it, and think of the key as known")
        private = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigurationError(f"{path} is no private key in PEM") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise ConfigurationError(f"{path} is no Ed25519 key")
    return SigningKey(private, PublicKey(path.stem, _raw(private.public_key())))


def read_keys(folder: Path) -> list[SigningKey]:
    """Every key of a folder, by name: all of them sign, so that a new key is vouched for by the old one."""
    return [read_key(path) for path in sorted(folder.glob("*.pem"))]


def sign(text: str, keys: Sequence[SigningKey]) -> str:
    """The note of a text: the text, a blank line, a signature line a key. Raises InvalidValue for no such text."""
    if not text.endswith("\n") or "\n\n" in text or any(ord(letter) < 32 and letter != "\n" for letter in text):
        raise InvalidValue("the text of a note ends with a line break and holds no blank line and no control letter")
    lines = [
        f"\u2014 {key.public.name} "
        + base64.b64encode(_key_id(key.public.name, key.public.public) + key.private.sign(text.encode())).decode()
        for key in keys
    ]
    return text + "\n" + "".join(line + "\n" for line in lines)


def verify(note: str, trusted: Iterable[PublicKey]) -> tuple[str, list[str]]:
    """The text of a note and the names of the trusted keys that signed it.

    Raises InvalidValue for what is no note, for a trusted key whose signature fails, and where no trusted key signed.
    """
    text, blank, signatures = note.rpartition("\n\n")
    if not blank or not signatures.endswith("\n"):
        raise InvalidValue("this is no signed note: no blank line before its signatures")
    text += "\n"
    known = {(key.name, _key_id(key.name, key.public)): key for key in trusted}
    signed = []
    for line in signatures.splitlines():
        found = re.fullmatch("\u2014 ([^ +]+) ([A-Za-z0-9+/=]+)", line)
        if found is None:
            raise InvalidValue("a line after the blank line is no signature", line=line[:80])
        raw = base64.b64decode(found[2])
        key = known.get((found[1], raw[:4]))
        if key is None:
            continue
        try:
            Ed25519PublicKey.from_public_bytes(key.public).verify(raw[4:], text.encode())
        except InvalidSignature as error:
            raise InvalidValue(
                f"the signature of {key.name} does not hold: the text was changed", key=key.name
            ) from error
        signed.append(key.name)
    if not signed:
        raise InvalidValue("no key that is trusted here signed this note: it is a stranger's")
    return text, signed
