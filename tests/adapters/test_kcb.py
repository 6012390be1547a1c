"""KCB: the bank's own samples, the signature against an independent signer, and its times and ids."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import ValidationError

from adapters.kcb import KcbSettings, adapter, rehearsals
from revenue_engine.ports.callbacks import (
    Answer,
    Asked,
    AskingAdapter,
    DetailedAskingAdapter,
    EchoingAdapter,
    Ignored,
    Paid,
    Party,
    RehearsingAdapter,
    as_wire,
)

SHARED = Path(os.environ.get("REVENUE_SHARED", Path(__file__).parents[3] / "shared")) / "corpus" / "callbacks"
needs_corpus = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared corpus is not beside the repository")
HERE = Path(__file__).parent / "kcb"


def test_the_ports_are_kept() -> None:
    for port in (AskingAdapter, DetailedAskingAdapter, EchoingAdapter, RehearsingAdapter):
        assert isinstance(adapter, port)


@needs_corpus
@pytest.mark.parametrize(
    ("name", "reference", "amount", "when", "account", "typed", "also"),
    [
        ("kcb_account_ipn_spec_sample", "FT00026252", "100.00", None, "JD001", "INV-0001", ()),
        (
            "kcb_till_ipn_spec_sample",
            "FT25139M3RM6",
            "1000.00",
            "2025-05-19T13:30:54+03:00",
            "1234567",
            "INV-0826",
            ("TEJ6CQQPBQ",),
        ),
    ],
)
def test_the_banks_samples(
    name: str, reference: str, amount: str, when: str | None, account: str, typed: str, also: tuple[str, ...]
) -> None:
    found = adapter.interpret((SHARED / f"{name}.json").read_bytes())
    assert isinstance(found, Paid)
    said = as_wire(found)
    keys = ("reference", "amount", "occurred_at", "channel_account", "account_reference")
    assert tuple(said[key] for key in keys) == (reference, amount, when, account, typed)
    assert found.also_known_as == also
    assert bool(found.doubt) == (when is None)


@needs_corpus
def test_the_banks_question() -> None:
    body = (SHARED / "kcb_bill_validation_request.json").read_bytes()
    assert isinstance(adapter.interpret(body), Ignored)
    assert adapter.asked(body) == Asked("1020220001046912", None)
    settings = KcbSettings.model_validate({**rehearsals.rehearse("572572").settings, "shown_name": "County"})
    assert adapter.answer_for(Answer.ACCEPT, body, settings) == (
        b'{"transactionID":"UGC002001","statusCode":"0","statusMessage":"Success","CustomerName":"County",'
        b'"billAmount":"0","currency":"KES","billType":"PARTIAL","creditAccountIdentifier":"572572"}'
    )
    assert b'"statusCode":"1"' in adapter.answer_for(Answer.UNKNOWN_ACCOUNT, body, settings)


def test_a_question_may_be_unsigned_and_a_notice_never() -> None:
    rehearsal = rehearsals.rehearse("1100100")
    open_, closed = (
        KcbSettings.model_validate({**rehearsal.settings, "unsigned_questions": allowed}) for allowed in (True, False)
    )
    question, notice = (HERE / "bill_validation.json").read_bytes(), (HERE / "account_notice.json").read_bytes()
    assert adapter.verify({}, question, "1.2.3.4", open_).accepted
    assert adapter.verify({}, question, "1.2.3.4", closed).reason == "the header Signature is missing"
    for settings in (open_, closed):
        assert adapter.verify({}, notice, "1.2.3.4", settings).reason == "the header Signature is missing"
    # Nor does a signature that fails become a question without one.
    assert not adapter.verify({"signature": "AAAA"}, question, "1.2.3.4", open_).accepted


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_the_signature_is_the_one_openssl_makes(tmp_path: Path) -> None:
    """The documented signature, made by a program that is not ours."""
    key, public, body = tmp_path / "key.pem", tmp_path / "public.pem", tmp_path / "body"
    body.write_bytes((HERE / "till_notice.json").read_bytes())
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    subprocess.run(["openssl", "rsa", "-in", key, "-pubout", "-out", public], check=True, capture_output=True)
    made = subprocess.run(["openssl", "dgst", "-sha256", "-sign", key, body], check=True, capture_output=True).stdout
    settings = KcbSettings(account="1234500", public_keys=(public.read_text(),))
    headers = {"signature": base64.b64encode(made).decode()}
    assert adapter.verify(headers, body.read_bytes(), "", settings).accepted
    assert not adapter.verify(headers, body.read_bytes() + b" ", "", settings).accepted


def test_two_keys_while_one_is_replaced() -> None:
    old, new = rehearsals.rehearse("1100100"), rehearsals.rehearse("1100100")
    keys = (*old.settings["public_keys"], *new.settings["public_keys"])
    both, only_new = (
        KcbSettings(account="1100100", public_keys=keys),
        KcbSettings(account="1100100", public_keys=keys[1:]),
    )
    for rehearsal, after in ((old, False), (new, True)):
        sent = rehearsal.sign(rehearsal.example)
        assert adapter.verify(sent.headers, sent.body, "", both).accepted
        assert adapter.verify(sent.headers, sent.body, "", only_new).accepted is after


def test_keys_that_prove_nothing_are_refused() -> None:
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key()
    curve = ec.generate_private_key(ec.SECP256R1()).public_key()
    form = (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    wrong = {
        weak.public_bytes(*form).decode(): "1024 bits",
        curve.public_bytes(*form).decode(): "no RSA key",
        "x": "no public key",
    }
    for pem, why in wrong.items():
        with pytest.raises(ValidationError, match=why):
            KcbSettings(account="1100100", public_keys=(pem,))
    with pytest.raises(ValidationError):
        KcbSettings(account="1100100", public_keys=())
    good = rehearsals.rehearse("1100100").settings["public_keys"][0]
    with pytest.raises(ValidationError, match="allows everybody"):
        KcbSettings(account="1100100", public_keys=(good,), peers=("0.0.0.0/0",))


def test_an_address_list_narrows_and_does_not_replace_the_signature() -> None:
    rehearsal = rehearsals.rehearse("1100100")
    settings = KcbSettings.model_validate({**rehearsal.settings, "peers": ["10.1.0.0/16"]})
    sent = rehearsal.sign(rehearsal.example)
    assert adapter.verify(sent.headers, sent.body, "::ffff:10.1.2.3", settings).accepted
    assert "address" in adapter.verify(sent.headers, sent.body, "10.2.0.1", settings).reason
    assert not adapter.verify({}, sent.body, "10.1.2.3", settings).accepted


def test_the_whole_name_stands_in_the_first_one() -> None:
    found = adapter.interpret((HERE / "till_notice.json").read_bytes())
    assert isinstance(found, Paid)
    assert found.party == Party("SAMPLE PAYER", "254700000101")
