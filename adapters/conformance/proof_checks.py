"""Checks of the proof: what the provider signed passes, and nothing else, and no verdict tells a secret."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from typing import Final

from pydantic import BaseModel, ValidationError

from adapters.conformance.subject import STRANGER, Subject, put, skip, write
from revenue_engine.channels import Interpretation, Paid, RehearsingAdapter, Signed

MUTATIONS: Final = 10_000


class _OtherSettings(BaseModel):
    """Settings of no adapter."""


def settings_refuse_unknown_keys(subject: Subject) -> None:
    """A misspelt setting is refused, not ignored."""
    try:
        subject.adapter.settings_model.model_validate({**subject.rehearsal.settings, "zz_unknown": 1})
    except ValidationError as error:
        assert "zz_unknown" in str(error), "the refusal does not name the setting"
        return
    raise AssertionError("an unknown setting is accepted")


def settings_name_what_is_missing(subject: Subject) -> None:
    """Every required setting that is missing is named."""
    model = subject.adapter.settings_model
    required = {name for name, info in model.model_fields.items() if info.is_required()}
    if not required:
        skip("every setting has a default")
    try:
        model.model_validate({})
    except ValidationError as error:
        named = {str(one["loc"][0]) for one in error.errors()}
        assert required <= named, f"not named: {sorted(required - named)}"
        return
    raise AssertionError("settings without what they need are accepted")


def settings_hide_secrets(subject: Subject) -> None:
    """Neither the settings nor their refusal shows a secret."""
    secrets = [value for value in subject.rehearsal.secrets.values() if len(value) > 8]
    shown = f"{subject.settings!r} {subject.settings!s} {subject.rehearsal!r} {subject.adapter!r}"
    assert not any(value in shown for value in secrets), "a repr shows a secret"
    marker = "a-secret-that-must-not-be-seen"
    for name in subject.rehearsal.settings:
        wrong = {**subject.rehearsal.settings, name: {"deep": marker}}
        try:
            subject.adapter.settings_model.model_validate(wrong)
        except ValidationError as error:
            hides = not any(word in name for word in ("secret", "password", "key")) or marker not in str(error)
            assert hides, f"the refusal of {name} shows its value"


def rehearsal_is_proved(subject: Subject) -> None:
    """What the rehearsal signs passes, and is a payment."""
    verdict = subject.verify(subject.signed)
    assert verdict.accepted, f"the signed example is refused: {verdict.reason}"
    subject.read_example()


def rehearsal_can_be_repeated(subject: Subject) -> None:
    """The same secrets make the same account again."""
    adapter = subject.adapter
    assert isinstance(adapter, RehearsingAdapter)
    again = adapter.rehearse("600100", subject.rehearsal.secrets)
    assert dict(again.settings) == dict(subject.rehearsal.settings), "the settings of a repeated rehearsal differ"
    assert subject.verify(again.sign(again.example)).accepted, "a repeated rehearsal does not prove itself"


def fixtures_can_be_signed(subject: Subject) -> None:
    """Every payment of the fixtures in the example's form passes once signed; a hash over fields needs them as text."""
    form = subject.read_example().message
    bodies = {case.name: case.body for case, paid in subject.paid if paid.message == form}
    assert bodies, "no fixture has the form of the example"
    for name, body in bodies.items():
        verdict = subject.verify(subject.rehearsal.sign(body))
        assert verdict.accepted or "is no text" in verdict.reason, f"{name} signed is refused: {verdict.reason}"


def missing_proof_is_refused(subject: Subject) -> None:
    """The bare example from a stranger's address is refused."""
    verdict = subject.verify(Signed(subject.rehearsal.example, {}, STRANGER))
    assert not verdict.accepted, "a notice without any proof is accepted"
    _says_what_failed(subject, verdict.reason)


def foreign_proof_is_refused(subject: Subject) -> None:
    """A proof made with somebody else's secret is refused."""
    other = subject.rehearse()
    if not other.secrets:
        skip("the proof holds no secret")
    sent = other.sign(subject.rehearsal.example)
    verdict = subject.verify(sent)
    assert not verdict.accepted, "a foreign secret is accepted"
    _says_what_failed(subject, verdict.reason, *sent.headers.values(), *other.secrets.values())


def old_proof_is_refused(subject: Subject) -> None:
    """The proof of one notice does not serve another."""
    if not subject.rehearsal.covers_body:
        skip("the proof does not cover the body")
    path = subject.amount_paths[0]
    changed = write(put(subject.example, path, "98765.43"))
    verdict = subject.verify(replace(subject.signed, body=changed))
    assert not verdict.accepted, "the proof of another notice is accepted"
    _says_what_failed(subject, verdict.reason, *subject.signed.headers.values())


def replaced_key_is_refused(subject: Subject) -> None:
    """After a key is replaced, what the old one signed is refused."""
    new = subject.rehearse()
    if not new.secrets:
        skip("the proof holds no secret")
    settings = subject.adapter.settings_model.model_validate(dict(new.settings))
    assert subject.verify(new.sign(new.example), settings).accepted, "the new key is refused"
    assert not subject.verify(subject.signed, settings).accepted, "the old key is still accepted"


def garbled_headers_are_refused(subject: Subject) -> None:
    """Headers of garbage are refused and never raise."""
    if not subject.signed.headers:
        skip("the proof stands in no header")
    for name in subject.signed.headers:
        for value in ("", " ", "%%%", "A" * 100_000, "é\u0000", "Basic", "Basic é", "====", "AAAA", "null"):
            verdict = subject.verify(replace(subject.signed, headers={**subject.signed.headers, name: value}))
            assert not verdict.accepted, f"{name}: {value[:10]!r} is accepted"
            assert verdict.reason, f"{name}: refused without a reason"


def foreign_settings_are_refused(subject: Subject) -> None:
    """The settings of another adapter prove nothing and raise nothing."""
    assert not subject.verify(subject.signed, _OtherSettings()).accepted, "settings of another adapter are accepted"


def proof_headers_are_kept(subject: Subject) -> None:
    """Headers of the proof are named in kept_headers, so that a refused delivery can be judged again."""
    needed = set(subject.signed.headers) - {"authorization", "cookie"}
    kept = {name.lower() for name in getattr(subject.adapter, "kept_headers", ())}
    assert needed <= kept, f"not in kept_headers: {sorted(needed - kept)}"


def _says_what_failed(subject: Subject, reason: str, *unsaid: str) -> None:
    """A refusal names the header, field or address that failed, and neither a secret nor what was sent instead."""
    assert re.search(r"header|field|address", reason), f"{reason!r} does not say which proof failed"
    hidden = [value for value in (*subject.rehearsal.secrets.values(), *unsaid) if len(value) > 3]
    assert not any(value in reason for value in hidden), "the refusal holds a secret"


def _told(meaning: Interpretation) -> object:
    """What must not change under a proof: everything of the money, nothing of the person."""
    if not isinstance(meaning, Paid):
        return None
    return meaning.reference, meaning.amount_minor, meaning.currency, meaning.account_reference


def mutations_never_pay(subject: Subject) -> None:
    """Ten thousand changed notices: none raises, and none says other money under a proof that still holds."""
    chance = random.Random(20_260_915)  # noqa: S311 - the same mutations every time
    body = subject.signed.body
    told = _told(subject.read_example())
    letters = b'0123456789.,-+eE"{}[]: \\nulxX' + bytes((0, 127, 194, 255))
    for number in range(MUTATIONS):
        changed = bytearray(body)
        for _ in range(chance.choice((1, 1, 1, 2, 5))):
            at = chance.randrange(len(changed))
            how = chance.randrange(3)
            if how == 0:
                changed[at] = chance.choice(letters)
            elif how == 1:
                changed[at:at] = bytes([chance.choice(letters)])
            elif len(changed) > 1:
                del changed[at]
        sent = replace(subject.signed, body=bytes(changed))
        verdict, meaning = subject.verify(sent), subject.adapter.interpret(sent.body)
        if isinstance(meaning, Paid):
            assert type(meaning.amount_minor) is int, f"mutation {number}: an amount that is no int"
            assert meaning.amount_minor > 0, f"mutation {number}: an amount not above zero"
        if verdict.accepted and subject.rehearsal.covers_body and isinstance(meaning, Paid):
            assert _told(meaning) == told, f"mutation {number}: other money under a proof that holds: {sent.body!r}"


def amount_mutations_never_pay(subject: Subject) -> None:
    """Two thousand texts in place of the amount: an exact amount or no payment."""
    chance = random.Random(20_260_916)  # noqa: S311 - the same texts every time
    exact = re.compile(r" *\d{1,3}(,\d{3})*(\.\d{1,6})? *|\d{1,12}(\.\d{1,6})?")
    path = subject.amount_paths[0]
    for _ in range(2_000):
        text = "".join(chance.choice("0123456789.,-+eE ٣½KES") for _ in range(chance.randrange(1, 12)))
        found = subject.replaced(path, text)
        if isinstance(found, Paid):
            assert exact.fullmatch(text.strip()), f"{text!r} was read as {found.amount_minor} cents"
            digits = text.strip().replace(",", "")
            whole, _, cents = digits.partition(".")
            minor = int(whole) * 100 + int((cents.rstrip("0") or "0").ljust(2, "0"))
            assert minor == found.amount_minor, f"{text!r} was read as {found.amount_minor} cents"
