"""A learner's certificate: the token of its QR and its badge, checked without the county."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import segno
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from revenue_engine import signed_notes
from revenue_engine.errors import ConfigurationError, InvalidValue
from revenue_engine.papers import learning
from revenue_engine.papers.learning import Course, Learned

LEARNED = Learned("DL26-0A1B2C3D4E", "ICT/CU/IT/BC/02/6/A", 1, date(2026, 11, 30))
COURSE = Course("County Government of Testland", "Basics", "DigComp 3.0", "Testland VTC", 4, 3)


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> signed_notes.SigningKey:
    path: Path = tmp_path_factory.mktemp("seal") / "county-2026.pem"
    signed_notes.make_key(path, "county-2026")
    return signed_notes.read_key(path)


def test_a_token_says_the_certificate_and_fits_a_small_qr(key: signed_notes.SigningKey) -> None:
    token = learning.sign(LEARNED, name="Wanjikũ Ng’ang’a", keys=[key])
    assert learning.read(token, [key.public]) == LEARNED
    assert int(segno.make(token, error="m", micro=False).version) <= 10
    # And the name is the printed one, however it is cased and spaced
    assert learning.read(token, [key.public], name="  wanjikũ  NG’ANG’A ") == LEARNED
    with pytest.raises(InvalidValue, match="not printed with this name"):
        learning.read(token, [key.public], name="Somebody Else")


@given(at=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_a_token_that_was_changed_anywhere_is_refused(key: signed_notes.SigningKey, at: int, flip: int) -> None:
    token = learning.sign(LEARNED, name="A B", keys=[key])
    raw = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    raw[at % len(raw)] ^= flip
    with pytest.raises(InvalidValue):
        learning.read(base64.urlsafe_b64encode(raw).decode(), [key.public])


@pytest.mark.parametrize("token", ["", "A", "AAAA", "not base64 !", "A" * 300, "ñ"])
def test_what_is_no_token_is_refused(key: signed_notes.SigningKey, token: str) -> None:
    with pytest.raises(InvalidValue):
        learning.read(token, [key.public])


def test_a_strangers_key_signs_nothing_of_ours(key: signed_notes.SigningKey, tmp_path: Path) -> None:
    signed_notes.make_key(tmp_path / "other.pem", "other")
    other = signed_notes.read_key(tmp_path / "other.pem")
    with pytest.raises(InvalidValue, match="no key of this county"):
        learning.read(learning.sign(LEARNED, name="A", keys=[other]), [key.public])
    with pytest.raises(ConfigurationError, match="no key to sign"):
        learning.sign(LEARNED, name="A", keys=[])
    with pytest.raises(ConfigurationError, match="no key to sign"):
        learning.badge(LEARNED, COURSE, learner="L-1", keys=[])
    with pytest.raises(InvalidValue, match="does not fit"):
        learning.sign(Learned(LEARNED.number, "U" * 41, 1, LEARNED.issued_on), name="A", keys=[key])


def part(text: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def test_a_badge_is_an_open_badge_that_the_published_key_proves(key: signed_notes.SigningKey) -> None:
    token = learning.badge(LEARNED, COURSE, learner="L-1", keys=[key])
    head, body, signature = token.split(".")
    public = Ed25519PublicKey.from_public_bytes(key.public.public)
    public.verify(base64.urlsafe_b64decode(signature + "=="), f"{head}.{body}".encode())
    told, credential = part(head), part(body)
    assert (told["alg"], told["kid"].split("#")[0]) == ("EdDSA", credential["iss"])
    assert credential["type"] == ["VerifiableCredential", "OpenBadgeCredential"]
    assert credential["iss"] == credential["issuer"]["id"] == learning.issuer(key.public)
    assert (credential["jti"], credential["validFrom"]) == (credential["id"], "2026-11-30T00:00:00Z")
    subject = credential["credentialSubject"]
    assert subject["achievement"]["humanCode"] == LEARNED.unit
    (who,) = subject["identifier"]
    assert who["identityHash"] == f"sha256${hashlib.sha256(b'L-1' + who['salt'].encode()).hexdigest()}"
    assert "L-1" not in body
    assert "L-1" not in json.dumps(credential)
