"""What a person knows and has: the proof of a password, the seed of a second factor, and codes to type."""

from __future__ import annotations

import secrets
import unicodedata
from dataclasses import dataclass

import pyotp
from argon2.low_level import Type, hash_secret_raw

from revenue_engine.errors import InvalidValue

SALT_BYTES = 16
PROOF_BYTES = 32
SEED_BYTES = 20
"""160 bits, the length that RFC 4226 recommends and every authenticator takes."""
SHORTEST, LONGEST = 12, 128
"""Characters of a password. A second factor is always asked, so length is all that is asked of the first."""
ISSUER = "Revenue engine"

_COMMON = ("password", "123456", "qwerty", "revenue", "busia", "county", "kenya", "mpesa", "letmein", "welcome")


@dataclass(frozen=True, slots=True)
class Cost:
    """How a password is proved: Argon2id's salt, memory in KiB, passes and lanes (OWASP's least is 19 MiB and 2)."""

    salt: bytes
    memory_kib: int = 65_536
    passes: int = 3
    lanes: int = 1


def fresh_cost() -> Cost:
    """The cost of a password that is set now, with a salt of its own."""
    return Cost(secrets.token_bytes(SALT_BYTES))


def proof(password: str, cost: Cost) -> bytes:
    """The raw output of Argon2id, 32 bytes. The database keeps only its SHA-256, so a stolen table signs nobody in.

    The password is read in Unicode's NFKC form, because keyboards write one letter in several ways.
    """
    return hash_secret_raw(
        unicodedata.normalize("NFKC", password).encode(),
        cost.salt,
        time_cost=cost.passes,
        memory_cost=cost.memory_kib,
        parallelism=cost.lanes,
        hash_len=PROOF_BYTES,
        type=Type.ID,
    )


def check_new_password(password: str, *, login: str) -> None:
    """Refuse a password that is too short, too long, or mostly a word everybody tries. Raises InvalidValue."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise InvalidValue(f"a password has {SHORTEST} to {LONGEST} characters", field="password")
    plain = password.casefold()
    for word in (login.casefold(), *_COMMON):
        plain = plain.replace(word, "")
    if len(plain) < SHORTEST // 2 or len(set(plain)) < 4:
        raise InvalidValue(
            "the password is mostly a word that is tried first: take four words of your own", field="password"
        )


def fresh_seed() -> bytes:
    """The seed of a new second factor."""
    return secrets.token_bytes(SEED_BYTES)


def as_typed(seed: bytes) -> str:
    """A seed in base 32, as an authenticator takes it by hand."""
    import base64

    return base64.b32encode(seed).decode().rstrip("=")


def authenticator_link(seed: bytes, *, login: str) -> str:
    """The link that an authenticator reads from a QR code."""
    return pyotp.TOTP(as_typed(seed)).provisioning_uri(name=login, issuer_name=ISSUER)


def code_now(seed: bytes) -> str:
    """The six digits that an authenticator with this seed shows now."""
    return pyotp.TOTP(as_typed(seed)).now()
