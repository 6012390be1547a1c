"""Checks of the proof: what the provider signed passes, and nothing else, and no verdict tells a secret."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from typing import Final

from pydantic import BaseModel, ValidationError

from adapters.conformance.slip_checks import person_in
from adapters.conformance.subject import ACCOUNT, OTHER_AMOUNT, STRANGER, Subject, skip
from revenue_engine.ports.callbacks import Interpretation, Paid, RehearsingAdapter, Reversed, Signed

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
    subject.proved()
    assert isinstance(adapter, RehearsingAdapter)
    again = adapter.rehearse(ACCOUNT, subject.rehearsal.secrets)
    assert dict(again.settings) == dict(subject.rehearsal.settings), "the settings of a repeated rehearsal differ"
    assert subject.verify(again.sign(again.example)).accepted, "a repeated rehearsal does not prove itself"


def fixtures_can_be_signed(subject: Subject) -> None:
    """Every payment of the fixtures in the example's form passes once signed; a hash over fields needs them as text."""
    subject.proved()
    form = subject.read_example().message
    bodies = {case.name: case.body for case, paid in subject.paid if paid.message == form}
    assert bodies, "no fixture has the form of the example"
    for name, body in bodies.items():
        verdict = subject.verify(subject.rehearsal.sign(body))
        assert verdict.accepted or "is no text" in verdict.reason, f"{name} signed is refused: {verdict.reason}"


def missing_proof_is_refused(subject: Subject) -> None:
    """The bare example from a stranger's address is refused."""
    subject.proved()
    verdict = subject.verify(Signed(subject.rehearsal.example, {}, STRANGER))
    assert not verdict.accepted, "a notice without any proof is accepted"
    _says_what_failed(subject, verdict.reason)


def foreign_proof_is_refused(subject: Subject) -> None:
    """A proof made with somebody else's secret is refused."""
    subject.proved()
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
    subject.proved()
    path = subject.amount_paths[0]
    changed = subject.example.put([path], subject.rehearsal.write_amount(OTHER_AMOUNT))
    verdict = subject.verify(replace(subject.signed, body=changed))
    assert not verdict.accepted, "the proof of another notice is accepted"
    _says_what_failed(subject, verdict.reason, *subject.signed.headers.values())


_TIME = re.compile(r"(?<!\w)[12]\d{9}(?:\d{3})?(?!\w)|20\d\d-\d\d-\d\dT")
"""A time as a proof carries it: seconds or milliseconds of Unix, or ISO 8601."""


def stale_proof_is_refused(subject: Subject) -> None:
    """A proof that carries a time is refused when that time is too far from the body's, and cannot be made younger."""
    subject.proved()
    fresh = subject.rehearsal.freshness
    timed = sorted(name for name, value in subject.signed.headers.items() if _TIME.search(value))
    if fresh is None:
        assert not timed, (
            f"the header {', '.join(timed)} carries a time: say how old a proof may be with"
            " Rehearsal(freshness=Freshness(sign, seconds)), seconds None where the provider sets no limit"
        )
        skip("the proof carries no time")
    body = subject.rehearsal.example
    for name, value in fresh.sign(body, 0).headers.items():
        later = re.sub(r"(?<!\w)\d{10,13}(?!\w)", lambda found: str(int(found[0]) + 1), value)
        sent = fresh.sign(body, 0)
        changed = replace(sent, headers={**sent.headers, name: later})
        assert later == value or not subject.verify(changed).accepted, f"the time in {name} is not covered by the proof"
    if fresh.seconds is None:
        assert subject.verify(fresh.sign(body, 86_400)).accepted, "a proof of a day later is refused, and none is stale"
        return
    for apart in (0, fresh.seconds, -fresh.seconds):
        verdict = subject.verify(fresh.sign(body, apart))
        assert verdict.accepted, f"a proof made {apart} seconds after the body's time is refused: {verdict.reason}"
    for apart in (fresh.seconds + 1, -fresh.seconds - 1, 86_400 * 365):
        verdict = subject.verify(fresh.sign(body, apart))
        assert not verdict.accepted, (
            f"a proof made {apart} seconds after the body's time is accepted, the limit is {fresh.seconds}"
        )
        _says_what_failed(subject, verdict.reason)


def replaced_key_is_refused(subject: Subject) -> None:
    """After a key is replaced, what the old one signed is refused."""
    subject.proved()
    new = subject.rehearse()
    if not new.secrets:
        skip("the proof holds no secret")
    settings = subject.adapter.settings_model.model_validate(dict(new.settings))
    assert subject.verify(new.sign(new.example), settings).accepted, "the new key is refused"
    assert not subject.verify(subject.signed, settings).accepted, "the old key is still accepted"


def rotation_keeps_both_keys(subject: Subject) -> None:
    """While a key is replaced, what the old and the new one signed is accepted, and nothing else."""
    subject.proved()
    new, third = subject.rehearse(), subject.rehearse()
    if not new.secrets:
        skip("the proof holds no secret")
    if new.both_valid is None:
        skip("an account holds one key at a time (Rehearsal.both_valid): rotate when the provider is quiet")
    settings = subject.adapter.settings_model.model_validate(dict(new.both_valid(subject.rehearsal.settings)))
    assert subject.verify(new.sign(new.example), settings).accepted, "the new key is refused while both are valid"
    assert subject.verify(subject.signed, settings).accepted, "the old key is refused while both are valid"
    assert not subject.verify(third.sign(third.example), settings).accepted, "a third key is accepted beside the two"


def unreadable_bodies_are_kept(subject: Subject) -> None:
    """A right proof over bytes nobody can read is accepted: they are kept, and need not be sent again."""
    subject.proved()
    if not subject.signed.headers:
        skip("the proof stands in no header")
    for body in (b"\xff\xfe not a notice", b"?", subject.rehearsal.example[:20]):
        try:
            sent = subject.rehearsal.sign(body)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is said
            raise AssertionError(f"sign() raises {type(error).__name__}: it signs any bytes, read or not") from None
        if not sent.headers:
            skip("the proof stands in no header")
        verdict = subject.verify(sent)
        assert not isinstance(subject.adapter.interpret(body), Paid | Reversed), f"{body!r} is read as money"
        assert verdict.accepted, f"the right proof over {body!r} is refused: {verdict.reason}"


def garbled_headers_are_refused(subject: Subject) -> None:
    """Headers of garbage are refused and never raise."""
    subject.proved()
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
    """Headers of the proof are named in kept_headers, in any case, so that a refused delivery can be judged again."""
    shouted = sorted(name for name in subject.signed.headers if name != name.lower())
    assert not shouted, (
        f"sign() names {shouted}: verify() is given header names in lower case, so sign() writes them so"
    )
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
    subject.proved()
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
        assert not person_in(subject, meaning), f"mutation {number}: the reason repeats the payer"
        if isinstance(meaning, Paid):
            assert type(meaning.amount_minor) is int, f"mutation {number}: an amount that is no int"
            assert meaning.amount_minor > 0, f"mutation {number}: an amount not above zero"
        if verdict.accepted and subject.rehearsal.covers_body and isinstance(meaning, Paid):
            assert _told(meaning) == told, f"mutation {number}: other money under a proof that holds: {sent.body!r}"


def amount_mutations_never_pay(subject: Subject) -> None:
    """Two thousand texts in place of the amount: an exact amount or no payment."""
    chance = random.Random(20_260_916)  # noqa: S311 - the same texts every time
    path = subject.amount_paths[0]
    for _ in range(2_000):
        text = "".join(chance.choice("0123456789.,-+eE ٣½KES") for _ in range(chance.randrange(1, 12)))
        found = subject.replaced(path, text)
        if isinstance(found, Paid):
            assert _is_amount(subject, text, found.amount_minor), f"{text!r} was read as {found.amount_minor} cents"


_EXACT = re.compile(r" *\d{1,3}(,\d{3})*(\.\d{1,6})? *|\d{1,12}(\.\d{1,6})?")


def _is_amount(subject: Subject, text: str, minor: int) -> bool:
    """Whether a text says so many cents, in shillings or as the provider writes amounts."""
    written = subject.rehearsal.write_amount(OTHER_AMOUNT)
    if _shillings(written) != OTHER_AMOUNT:  # its digits mean something else, such as cents
        digits = [re.sub(r"[^0-9]", "", one).lstrip("0") for one in (text, subject.rehearsal.write_amount(minor))]
        return digits[0] == digits[1]
    return _shillings(text) == minor


def _shillings(text: str) -> int | None:
    """The cents of an exact amount in shillings, with or without commas between thousands."""
    if _EXACT.fullmatch(text.strip()) is None:
        return None
    whole, _, cents = text.strip().replace(",", "").partition(".")
    return int(whole) * 100 + int((cents.rstrip("0") or "0").ljust(2, "0"))
