"""The credentials that the simulated M-PESA takes, its certificate, and the files and settings a client needs."""

from __future__ import annotations

import base64
import binascii
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from revenue_engine.ports.callbacks import Purpose


@cache
def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass(frozen=True)
class Keys:
    """What a client must know. All of it is made up, so all of it may be shown."""

    consumer_key: str
    consumer_secret: str
    passkey: str
    initiator: str
    initiator_password: str
    private_key: rsa.RSAPrivateKey = field(repr=False, default_factory=_key)

    @classmethod
    def drawn(cls, rng: random.Random) -> Keys:
        """Credentials from a generator; only the key pair is new in every process."""
        key, secret, passkey, password = (f"{rng.getrandbits(128):032x}" for _ in range(4))
        return cls(key, secret, passkey, "apioperator", password)

    @property
    def certificate(self) -> bytes:
        """The certificate in PEM under which operators send their passwords."""
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Simulated provider")])
        built = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.private_key.public_key())
            .serial_number(1)
            .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
            .not_valid_after(datetime(2046, 1, 1, tzinfo=UTC))
            .sign(self.private_key, hashes.SHA256())
        )
        return built.public_bytes(serialization.Encoding.PEM)

    def opens(self, credential: str) -> bool:
        """Whether a SecurityCredential holds the operator's password."""
        try:
            found = self.private_key.decrypt(base64.b64decode(credential, validate=True), padding.PKCS1v15())
        except (ValueError, binascii.Error):
            return False
        return found == self.initiator_password.encode()

    def write(self, folder: Path, addresses: Mapping[Purpose, str]) -> None:
        """Write the secret files that :meth:`asking` names, with our callback addresses by purpose."""
        texts = {
            "mpesa_consumer_key": self.consumer_key,
            "mpesa_consumer_secret": self.consumer_secret,
            "mpesa_passkey": self.passkey,
            "mpesa_initiator_password": self.initiator_password,
            "mpesa_certificate.pem": self.certificate.decode(),
            "mpesa_addresses.json": json.dumps({purpose.value: url for purpose, url in addresses.items()}),
        }
        for name, text in texts.items():
            path = folder / name
            path.write_text(text)
            path.chmod(0o600)

    def asking(self, url: str) -> dict[str, Any]:
        """The setting ``asking`` of a channel account that asks the simulator at ``url``."""
        return {
            "base_url": url,
            "consumer_key": "mpesa_consumer_key",
            "consumer_secret": "mpesa_consumer_secret",
            "passkey": "mpesa_passkey",
            "initiator": self.initiator,
            "initiator_password": "mpesa_initiator_password",
            "certificate": "mpesa_certificate.pem",
            "addresses": "mpesa_addresses.json",
            "nominated_number": "254700000100",
        }
