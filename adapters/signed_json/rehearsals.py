"""A described bank played for a test account: throw-away secrets, its example notice and the proof over it."""

from __future__ import annotations

import base64
import hmac
import json
import secrets as randomness
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from adapters import proofs, readings
from adapters.signed_json.mapping import Bank, Proof
from adapters.signed_json.reading import form_of, hashed_parts
from revenue_engine.errors import InvalidValue
from revenue_engine.ports.callbacks import Rehearsal, Signed
from revenue_engine.ports.strict_json import loads

HOME = ("127.0.0.1", "::1")


def rehearse(bank: Bank, identifier: str, secrets: Mapping[str, str] | None = None) -> Rehearsal:
    """A rehearsal with the secrets given, else with fresh ones."""
    given = dict(secrets) if secrets is not None else _fresh(bank.proof)
    settings: dict[str, Any] = {"account": identifier}
    sign: Callable[[bytes], Signed]
    if bank.proof.kind == "rsa_sha256":
        key = serialization.load_pem_private_key(given["private_key"].encode(), password=None)
        assert isinstance(key, rsa.RSAPrivateKey)  # noqa: S101 - made by _fresh
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        settings["public_keys"] = [key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()]
        header = bank.proof.header.lower()

        def sign(body: bytes) -> Signed:
            proof = key.sign(body, padding.PKCS1v15(), hashes.SHA256())
            return Signed(body, {header: base64.b64encode(proof).decode()})

    elif bank.proof.kind == "hmac_sha256":
        settings["secret"] = given["secret"]
        header, encoding = bank.proof.header.lower(), bank.proof.encoding

        def sign(body: bytes) -> Signed:
            digest = hmac.digest(given["secret"].encode(), body, "sha256")
            return Signed(body, {header: digest.hex() if encoding == "hex" else base64.b64encode(digest).decode()})

    elif bank.proof.kind == "peers":
        settings["peers"] = list(HOME)

        def sign(body: bytes) -> Signed:
            return Signed(body, {})

    else:
        settings |= given

        def sign(body: bytes) -> Signed:
            return _in_place(bank, given, body)

    def both_valid(old: Mapping[str, Any]) -> Mapping[str, Any]:
        if "public_keys" in settings:
            return {**settings, "public_keys": [*old["public_keys"], *settings["public_keys"]]}
        return {**settings, "previous_secret": old["secret"]}

    keyed = bank.proof.kind in ("rsa_sha256", "hmac_sha256", "salted_sha256")
    return Rehearsal(
        settings,
        given,
        bank.example.replace("ACCOUNT", identifier).encode(),
        sign,
        covers_body=keyed,
        both_valid=both_valid if keyed else None,
    )


def _fresh(proof: Proof) -> dict[str, str]:
    if proof.kind == "rsa_sha256":
        made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = made.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return {"private_key": pem.decode()}
    if proof.kind in ("hmac_sha256", "salted_sha256"):
        return {"secret": randomness.token_urlsafe(24)}
    if proof.kind == "peers":
        return {}
    return {"username": "bank", "password": randomness.token_urlsafe(24)}


def _in_place(bank: Bank, given: Mapping[str, str], body: bytes) -> Signed:
    """Put the proof where the bank puts it: into the body, or into the Authorization header."""
    headers: dict[str, str] = {}
    proof: Proof = bank.proof
    try:
        doc = loads(body)
    except InvalidValue:
        doc = None
    if isinstance(doc, dict):
        form = form_of(bank, doc)
        proof = form.proof if form is not None and form.proof is not None else proof
    if proof.kind == "basic":
        pair = f"{given['username']}:{given['password']}".encode()
        return Signed(body, {"authorization": f"Basic {base64.b64encode(pair).decode()}"})
    if not isinstance(doc, dict):
        return Signed(body, headers)
    if proof.kind == "salted_sha256":
        parts = hashed_parts(proof, doc)
        if parts is not None and readings.at(doc, proof.field) is not None:
            return _replaced(doc, {proof.field: proofs.salted(parts, secret=given["secret"], inside="hex")})
    elif proof.kind == "body_credentials":
        return _replaced(doc, {proof.username: given["username"], proof.password: given["password"]})
    return Signed(body, headers)


def _replaced(doc: Mapping[str, object], fields: Mapping[str, str]) -> Signed:
    """The body with top-level fields replaced; a number with a fraction becomes text of the same digits."""
    return Signed(json.dumps({**doc, **fields}, default=str).encode(), {})
