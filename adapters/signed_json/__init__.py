"""Banks that post JSON, each described by a file under ``banks/``: no code for one more bank.

The file says where the fields stand, how the bank proves itself and what it wants to hear (``mapping``). Each file is
an adapter of its own by name. Money is read exactly or not at all: a body that does not fit its form is Unknown.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from adapters import proofs, readings
from adapters.peers import ACCEPTED
from adapters.peers import judge as judge_peer
from adapters.signed_json import mapping, rehearsals
from adapters.signed_json.mapping import BANKS, Bank, Form, Template
from adapters.signed_json.reading import form_of, hashed_parts, payment, read_object, text_of
from adapters.signed_json.settings import (
    MODELS,
    BankSettings,
    CredentialSettings,
    RsaSettings,
    SaltedSettings,
    SecretSettings,
)
from revenue_engine.errors import ConfigurationError, InvalidValue
from revenue_engine.ports.callbacks import (
    AckOutcome,
    Answer,
    Asked,
    Ignored,
    Interpretation,
    Paid,
    Purpose,
    Rehearsal,
    Strength,
    Unknown,
    Verdict,
)
from revenue_engine.ports.strict_json import loads, name_shown, storable

_LONGEST_ECHO = 100
_NO_YEAR = 2100
"""A time of such a year was read from characters that moved."""


class SignedJsonAdapter:
    """The notices of one described bank. Pure and total."""

    def __init__(self, bank: Bank) -> None:
        self.bank = bank
        self.name: str = bank.name
        self.settings_model: type[BaseModel] = _settings_model(bank)
        kinds = [bank.proof, *(form.proof for form in bank.forms if form.proof is not None)]
        self.kept_headers: tuple[str, ...] = tuple(
            dict.fromkeys(proof.header for proof in kinds if proof.kind in ("rsa_sha256", "hmac_sha256"))
        )

    @property
    def asks(self) -> bool:
        """Whether the bank asks before it takes money."""
        return any(form.meaning == "question" for form in self.bank.forms)

    @property
    def proof_in_words(self) -> str:
        """How the bank proves itself, for its engineers."""
        proof = self.bank.proof
        if proof.kind == "rsa_sha256":
            return f"header {proof.header}: base64 of RSA-SHA256 (PKCS#1 v1.5) over the raw body"
        if proof.kind == "hmac_sha256":
            return f"header {proof.header}: HMAC-SHA256 of the raw body, {proof.encoding}"
        if proof.kind == "salted_sha256":
            covered = " + ".join(("secret", *proof.parts, *([repr(proof.suffix)] if proof.suffix else [])))
            return f"field {proof.field}: base64 of SHA-256({covered})"
        return {
            "basic": "HTTP Basic: the user name and password of this account",
            "body_credentials": "the user name and password of this account, in the body",
        }.get(proof.kind, "nothing is signed: deliveries must come from the bank's addresses")

    def __repr__(self) -> str:
        return f"SignedJsonAdapter({self.name!r})"

    def verify(self, headers: Mapping[str, str], body: bytes, peer: str, settings: BaseModel) -> Verdict:
        """Judge address and proof. The body is read only where the proof stands in it or depends on its form."""
        if not isinstance(settings, BankSettings):
            return Verdict(accepted=False, reason=f"the channel account has no {self.name} settings")
        if settings.peers and not (judged := judge_peer(peer, settings.peers)).accepted:
            return judged
        proof: mapping.Proof = self.bank.proof
        doc: Mapping[str, object] = {}
        if self._reads_first:
            doc = read_object(body)
            form = form_of(self.bank, doc)
            proof = form.proof if form is not None and form.proof is not None else proof
        return _judge(proof, headers, body, doc, settings)

    @property
    def _reads_first(self) -> bool:
        in_body = ("salted_sha256", "body_credentials")
        return self.bank.proof.kind in in_body or any(form.proof is not None for form in self.bank.forms)

    def interpret(self, body: bytes, *, purpose: Purpose | None = None) -> Interpretation:
        """Say what a body means. The form decides, whatever the endpoint was registered for: a notice is money."""
        try:
            doc = loads(body)
        except InvalidValue as error:
            return Unknown(error.message)
        if type(doc) is not dict:
            return Unknown(f"the body is not a JSON object but {type(doc).__name__}")
        if purpose is Purpose.TIMEOUT:
            return Unknown("a timeout: the outcome is not known")
        form = form_of(self.bank, doc)
        if form is None:
            listed = ", ".join(name_shown(name) for name in list(doc)[:6]) or "none"
            return Unknown(f"not a known message of {self.bank.title}; its keys are {listed}")
        if form.meaning == "question":
            return Ignored(form.reason or "a question before payment: nothing has moved yet")
        if form.meaning != "payment":
            return Ignored(form.reason) if form.meaning == "nothing" else Unknown(form.reason)
        try:
            found = payment(form, doc)
        except InvalidValue as error:
            return Unknown(f"{form.name}: {error.message}")
        if isinstance(found, Paid) and not _as_proved(form.proof or self.bank.proof, doc, found):
            return replace(found, strength=Strength.SUPPORTS)
        return found

    def ack(self, outcome: AckOutcome) -> bytes:
        """The acknowledgement of the first form, with empty ids: for bodies that cannot be read."""
        return self._ack(self.bank.forms[0], outcome, {})

    def ack_for(self, outcome: AckOutcome, body: bytes) -> bytes:
        """The acknowledgement of the body's form, with the ids it brought."""
        doc = read_object(body)
        return self._ack(form_of(self.bank, doc) or self.bank.forms[0], outcome, doc)

    def asked(self, body: bytes) -> Asked | None:
        """What a question asks, None when the body is no question that can be read."""
        doc = read_object(body)
        form = form_of(self.bank, doc)
        if form is None or form.meaning != "question" or form.bill is None:
            return None
        try:
            amount = form.amount
            return Asked(
                text_of(form.bill, doc),
                None if amount is None else readings.cents(readings.at(doc, amount.path), amount.path),
                readings.account(text_of(form.account, doc), "account"),
            )
        except InvalidValue:
            return None

    def answer(self, answer: Answer) -> bytes:
        """The answer to a question, without its ids."""
        return self._answered(answer, {}, "")

    def answer_for(self, answer: Answer, body: bytes, settings: BaseModel) -> bytes:
        """The answer to this question; a notice that came to the address for questions is acknowledged as one."""
        doc = read_object(body)
        form = form_of(self.bank, doc)
        if form is not None and form.meaning != "question":
            return self._ack(form, AckOutcome.KEPT, doc)
        return self._answered(answer, doc, settings.shown_name if isinstance(settings, BankSettings) else "")

    def rehearse(self, identifier: str, secrets: Mapping[str, str] | None = None) -> Rehearsal:
        """Play the bank for a test account, with throw-away secrets."""
        return rehearsals.rehearse(self.bank, identifier, secrets)

    def _ack(self, form: Form, outcome: AckOutcome, doc: Mapping[str, object]) -> bytes:
        return _filled(form.kept if outcome is AckOutcome.KEPT else form.refused, doc, "")

    def _answered(self, answer: Answer, doc: Mapping[str, object], shown_name: str) -> bytes:
        for form in self.bank.forms:
            if form.answers is not None:
                return _filled(getattr(form.answers, answer.value), doc, shown_name)
        outcome = AckOutcome.KEPT if answer is Answer.ACCEPT else AckOutcome.REFUSED
        return self._ack(self.bank.forms[0], outcome, doc)


# --- proof -----------------------------------------------------------------------------------------------------------


def _settings_model(bank: Bank) -> type[BankSettings]:
    """The settings that serve every proof of the bank. Raises ConfigurationError where its forms need two kinds."""
    wanted = {MODELS[proof.kind] for proof in (bank.proof, *(form.proof for form in bank.forms)) if proof is not None}
    for model in wanted:
        if all(issubclass(model, other) for other in wanted):
            return model
    raise ConfigurationError(f"the forms of {bank.name} prove themselves in ways that need different settings")


def _judge(
    proof: mapping.Proof,
    headers: Mapping[str, str],
    body: bytes,
    doc: Mapping[str, object],
    settings: BankSettings,
) -> Verdict:
    if proof.kind == "rsa_sha256" and isinstance(settings, RsaSettings):
        return proofs.rsa_sha256(headers, body, header=proof.header, keys=settings.public_keys)
    if proof.kind == "hmac_sha256" and isinstance(settings, SecretSettings):
        secret, previous = settings.secret.get_secret_value(), settings.previous_secret.get_secret_value()
        return proofs.hmac_sha256(
            headers, body, header=proof.header, secret=secret, encoding=proof.encoding, previous=previous
        )
    if proof.kind == "salted_sha256" and isinstance(settings, SaltedSettings):
        parts = hashed_parts(proof, doc)
        if parts is None:
            return Verdict(accepted=False, reason=f"a field that {proof.field} covers is no text")
        secret, previous = settings.secret.get_secret_value(), settings.previous_secret.get_secret_value()
        given, inside = readings.at(doc, proof.field), settings.hash_inside
        return proofs.salted_sha256(given, parts, field=proof.field, secret=secret, inside=inside, previous=previous)
    if isinstance(settings, CredentialSettings):
        username, password = settings.username, settings.password.get_secret_value()
        if proof.kind == "basic":
            return proofs.basic(headers, username=username, password=password)
        if proof.kind == "body_credentials":
            user, word = readings.at(doc, proof.username), readings.at(doc, proof.password)
            return proofs.in_body(user, word, username=username, password=password, field=proof.password)
    if proof.kind == "peers" and settings.peers:
        return ACCEPTED
    return Verdict(accepted=False, reason=f"the settings do not fit the proof {proof.kind}")


def _as_proved(proof: mapping.Proof, doc: Mapping[str, object], found: Paid) -> bool:
    """Whether the proof covers the parts as they stand: characters may have moved between parts of no fixed width."""
    if proof.kind != "salted_sha256" or not proof.widths:
        return True
    if found.occurred_at is None or found.occurred_at.year >= _NO_YEAR:
        return False
    return all(len(str(readings.at(doc, path))) == width for path, width in proof.widths.items())


# --- answering -------------------------------------------------------------------------------------------------------


def _filled(template: Template, doc: Mapping[str, object], shown_name: str) -> bytes:
    return json.dumps(_fill(template, doc, shown_name), separators=(",", ":"), ensure_ascii=False).encode()


def _fill(value: Any, doc: Mapping[str, object], shown_name: str) -> Any:
    if isinstance(value, dict):
        return {name: _fill(one, doc, shown_name) for name, one in value.items()}
    if value == "@shown_name":
        return shown_name
    if isinstance(value, str) and value.startswith("$"):
        found = readings.at(doc, value[1:])
        return storable(str(found).strip()[:_LONGEST_ECHO]) if type(found) in (str, int) else ""
    return value


# --- the banks -------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=32)
def described(file: Path) -> SignedJsonAdapter:
    """The adapter of a bank's file. Raises ConfigurationError."""
    return SignedJsonAdapter(mapping.load(file))


ncba = described(BANKS / "ncba.toml")
coop = described(BANKS / "coop.toml")
equity = described(BANKS / "equity.toml")
jenga = described(BANKS / "jenga.toml")
creditbank = described(BANKS / "creditbank.toml")
