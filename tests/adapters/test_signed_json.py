"""Banks described by files: the corpus, the proofs, and what a wrong description says of itself."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from adapters import readings
from adapters.signed_json import SignedJsonAdapter, coop, creditbank, equity, jenga, mapping, ncba
from revenue_engine.errors import ConfigurationError
from revenue_engine.ports.callbacks import AckOutcome, Answer, Asked, Paid, Strength, as_wire

SHARED = Path(os.environ.get("REVENUE_SHARED", Path(__file__).parents[3] / "shared")) / "corpus" / "callbacks"
needs_corpus = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared corpus is not beside the repository")
HERE = Path(__file__).parent / "signed_json"

PAID, IGNORED, UNKNOWN = "paid", "ignored", "unknown"
NONE = (None, None, None, None, None)
CORPUS: dict[str, tuple[SignedJsonAdapter, str, tuple[str | None, ...], tuple[str, ...]]] = {
    "ncba_paybill_push": (
        ncba,
        PAID,
        ("UB1AB2CD3F", "10.00", "2026-02-01T10:30:00+03:00", "880100", "123456#LR-KSM-00123"),
        (),
    ),
    "coop_ipn_credit": (
        coop,
        PAID,
        ("CB0089060_25092025_23", "20.00", "2025-09-25T08:01:01+03:00", "01120000568900", "01120000568900"),
        (),
    ),
    "coop_ipn_debit": (coop, IGNORED, NONE, ()),
    "coop_ins_notification_connect": (coop, IGNORED, NONE, ()),
    "coop_full_statement_response": (coop, UNKNOWN, NONE, ()),
    "equity_biller_notification": (
        equity,
        PAID,
        ("1002201234567", "1500.00", "2026-02-01T00:00:00+03:00", None, "LR-KSM-00123"),
        (),
    ),
    "equity_biller_notification_2026": (
        equity,
        PAID,
        ("EQB293293829", "25000.00", "2026-01-26T12:23:23+03:00", None, "LR-KSM-00123"),
        (),
    ),
    "equity_biller_validation_2026": (equity, IGNORED, NONE, ()),
    "jenga_ipn_2018": (
        jenga,
        PAID,
        ("S2596405", "10.00", "2018-11-27T00:00:00+03:00", "0111234241028", "A N Other"),
        ("MKR35QEKV7",),
    ),
    "jenga_ipn_2023": (
        jenga,
        PAID,
        ("328411183176", "150.00", "2023-10-11T14:15:20+03:00", None, "INVZCF"),
        (),
    ),
    "jenga_ipn_FAILED": (jenga, IGNORED, NONE, ()),
    "creditbank_ipn": (
        creditbank,
        PAID,
        ("TXN1", "100.00", "2026-02-01T10:30:00+03:00", "0012345678", None),
        ("UB1AB2CD3G",),
    ),
}


@needs_corpus
def test_the_corpus_table_is_complete() -> None:
    banks = ("ncba_paybill_push", "coop_*", "equity_*", "jenga_*", "creditbank_*")
    assert {path.stem for bank in banks for path in SHARED.glob(f"{bank}.json")} == set(CORPUS)


@needs_corpus
@pytest.mark.parametrize("name", sorted(CORPUS))
def test_corpus(name: str) -> None:
    adapter, verdict, facts, also = CORPUS[name]
    found = adapter.interpret((SHARED / f"{name}.json").read_bytes())
    said = as_wire(found)
    keys = ("reference", "amount", "occurred_at", "channel_account", "account_reference")
    assert (said["verdict"], tuple(said[key] for key in keys)) == (verdict, facts)
    if isinstance(found, Paid):
        assert found.also_known_as == also
    if name.startswith("jenga"):  # the same accounts may be served by the bank's own channel
        assert equity.interpret((SHARED / f"{name}.json").read_bytes()) == found


@needs_corpus
def test_the_banks_sample_names_two_receipts_and_none_is_chosen() -> None:
    found = coop.interpret((SHARED / "coop_ipn_credit.json").read_bytes())
    assert isinstance(found, Paid)
    assert "TIP6V5IRAG, TIP6V5IRAD" in found.doubt


@needs_corpus
def test_the_hash_of_the_corpus_is_verified_and_covers_the_money() -> None:
    body = (SHARED / "ncba_paybill_push.json").read_bytes()
    settings = ncba.settings_model.model_validate({"account": "880100", "secret": "test-secret"})
    assert ncba.verify({}, body, "", settings).accepted
    for old, new in ((b'"10.00"', b'"90.00"'), (b"UB1AB2CD3F", b"UB1AB2CD3G"), (b"123456#", b"654321#")):
        assert ncba.verify({}, body.replace(old, new), "", settings).reason == "the field Hash does not fit the body"
    number = body.replace(b'"10.00"', b"10.00")
    assert ncba.verify({}, number, "", settings).reason == "a field that Hash covers is no text"
    raw = ncba.settings_model.model_validate({"account": "880100", "secret": "test-secret", "hash_inside": "raw"})
    assert not ncba.verify({}, body, "", raw).accepted


def test_the_older_form_proves_itself_by_the_credentials_in_its_body() -> None:
    settings = equity.settings_model.model_validate({"account": "0170", "username": "bank", "password": "long enough"})
    doc = json.loads((HERE / "equity" / "older_notice_unfilled_phone.json").read_text())
    for password, accepted in (("long enough", True), ("wrong", False), (None, False)):
        body = json.dumps({**doc, "password": password}).encode()
        assert equity.verify({}, body, "", settings).accepted is accepted
        assert b"long enough" not in equity.ack_for(AckOutcome.KEPT, body)
    # Another form is not let in by credentials in its body.
    newer = json.loads((HERE / "equity" / "biller_notice.json").read_text())
    body = json.dumps({**newer, "username": "bank", "password": "long enough"}).encode()
    assert equity.verify({}, body, "", settings).reason == "the header Authorization is missing"


def test_an_alert_only_supports() -> None:
    found = jenga.interpret((HERE / "jenga" / "alert_credit.json").read_bytes())
    assert isinstance(found, Paid)
    assert found.strength is Strength.SUPPORTS
    assert found.also_known_as == ("UIF0000016",)


def test_a_question_is_read_and_answered_in_the_banks_form() -> None:
    body = (HERE / "equity" / "bill_validation.json").read_bytes()
    settings = equity.settings_model.model_validate(
        {"account": "0170", "username": "bank", "password": "long enough", "shown_name": "County"}
    )
    assert equity.asked(body) == Asked("482915363", 150_000)
    assert equity.answer_for(Answer.ACCEPT, body, settings) == (
        b'{"customerName":"County","billNumber":"482915363","amount":"1500","description":"Success"}'
    )
    assert equity.answer_for(Answer.UNKNOWN_ACCOUNT, body, settings) == (
        b'{"customerName":"","billNumber":"482915363","amount":"0","description":"Bill not found"}'
    )


# --- a bank nobody wrote code for ------------------------------------------------------------------------------------

VILLAGE = """
name = "village"
title = "Village Bank"
example = '''{"tx":{"id":"VB0001","kes":"1500.00","at":"15/09/2026 12:00"},"to":"ACCOUNT","for":"482915363"}'''
[proof]
kind = "KIND"
MORE
[[form]]
name = "Village notice"
marks = ["tx.id", "tx.kes"]
reference = { paths = ["tx.id"] }
amount = { path = "tx.kes" }
account = { paths = ["to"] }
bill = { paths = ["for"] }
occurred = { paths = ["tx.at"], formats = ["%d/%m/%Y %H:%M"] }
kept = { ok = "1", id = "$tx.id" }
refused = { ok = "0", id = "$tx.id" }
"""


@pytest.mark.parametrize(
    ("kind", "more", "header"),
    [
        ("rsa_sha256", 'header = "X-Sign"', "x-sign"),
        ("hmac_sha256", 'header = "X-Hmac"\nencoding = "hex"', "x-hmac"),
        ("hmac_sha256", 'header = "X-Hmac"\nencoding = "base64"', "x-hmac"),
        ("basic", "", "authorization"),
        ("peers", "", None),
    ],
)
def test_a_described_bank_with_each_proof(kind: str, more: str, header: str | None) -> None:
    village = SignedJsonAdapter(mapping.read_bank(VILLAGE.replace("KIND", kind).replace("MORE", more), where="v.toml"))
    rehearsal = village.rehearse("900100")
    sent = rehearsal.sign(rehearsal.example)
    settings = village.settings_model.model_validate(dict(rehearsal.settings))
    assert list(sent.headers) == ([] if header is None else [header])
    assert village.verify(sent.headers, sent.body, "127.0.0.1", settings).accepted
    assert not village.verify({}, sent.body, "203.0.113.9", settings).accepted
    if header is not None:
        wrong = {header: sent.headers[header][:-2] + ("00" if sent.headers[header][-2:] != "00" else "11")}
        refused = village.verify(wrong, sent.body, "127.0.0.1", settings)
        assert not refused.accepted
        assert header in refused.reason.lower()
    found = as_wire(village.interpret(sent.body))
    assert (found["reference"], found["amount"], found["occurred_at"]) == (
        "VB0001",
        "1500.00",
        "2026-09-15T12:00:00+03:00",
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('kind = "KIND"', 'kind = "md5"', "proof"),
        ('path = "tx.kes"', 'path = "tx..kes"', "form.1.amount.path"),
        ('amount = { path = "tx.kes" }\n', "", "form.1: a payment needs amount"),
        ("[[form]]", "[[forms]]", "form"),
        ('ok = "1", id = "$tx.id"', 'ok = "$user.password"', "would repeat user.password"),
        ('name = "village"', 'name = "Village Bank"', "name"),
        ('bill = { paths = ["for"] }', 'bill = { paths = ["for"], join = ["to"] }', "and not both"),
        ('bill = { paths = ["for"] }', 'bill = { paths = ["for"], split = "~" }', "split and part belong together"),
        ("[proof]", "[proof", "is not TOML"),
    ],
)
def test_a_wrong_description_says_where(old: str, new: str, said: str) -> None:
    text = VILLAGE.replace("MORE", "").replace(old, new).replace("KIND", "basic")
    with pytest.raises(ConfigurationError, match=r"^v\.toml") as caught:
        mapping.read_bank(text, where="v.toml")
    assert said in caught.value.message


def test_an_unlisted_word_is_never_a_credit() -> None:
    doc: dict[str, Any] = json.loads((HERE / "coop" / "account_notice.json").read_text())
    for word in ("", "C", "CR", "CREDITS", None, 1, "DEBIT REVERSAL"):
        assert not isinstance(coop.interpret(json.dumps({**doc, "EventType": word}).encode()), Paid), word
    for word in ("CREDIT", "credit", " Credit "):
        assert isinstance(coop.interpret(json.dumps({**doc, "EventType": word}).encode()), Paid), word


@pytest.mark.parametrize(
    "moved",
    [
        {"TransType": "Pay BillU", "TransID": "IF0000003"},
        {"TransType": "Pay BillUI", "TransID": "F000000320", "TransTime": "2609151200", "TransAmount": "591500.00"},
        {"TransID": "UIF00000032", "TransTime": "0260915120059"},
        {"TransTime": "202609151200", "TransAmount": "591500.00"},
    ],
)
def test_characters_that_moved_between_the_hashed_fields_confirm_no_money(moved: dict[str, str]) -> None:
    played = ncba.rehearse("880100")
    settings = ncba.settings_model.model_validate(dict(played.settings))
    body = json.loads(played.example) | {"TransTime": "20260915120059"}
    signed = played.sign(json.dumps(body).encode())
    told = ncba.interpret(signed.body)
    assert isinstance(told, Paid)
    assert told.strength is Strength.CONFIRMS
    other = json.dumps(json.loads(signed.body) | moved).encode()
    assert ncba.verify({}, other, "", settings).accepted, "the hash of this bank does not tell them apart"
    found = ncba.interpret(other)
    assert not isinstance(found, Paid) or found.strength is Strength.SUPPORTS


@pytest.mark.parametrize("written", ["00", "000000", "n.a.", "N.A", "0", "--", "NONE", "null", None])
def test_an_account_field_that_holds_no_account_names_none(written: str | None) -> None:
    assert readings.account(written, "account") == ""
    assert readings.account("0022", "account") == "0022"
