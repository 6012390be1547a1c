"""A bank that posts forms, signs a time with them and is answered in text: what no installed adapter does.

The kit is held to it, and to copies of it that are wrong in one way each. Its settings, words and ids are its own.
"""

from __future__ import annotations

import hmac
import re
import secrets as randomness
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from adapters import bodies, proofs, readings
from revenue_engine.errors import InvalidValue
from revenue_engine.ports.callbacks import (
    AckOutcome,
    Freshness,
    Ignored,
    Interpretation,
    Paid,
    Party,
    Purpose,
    Rehearsal,
    Signed,
    Unknown,
    Verdict,
)

HEADER = "X-Bank-Signature"
WHEN = ("%d/%m/%Y %H:%M:%S",)
SECONDS = 600
PROOF = re.compile(r"t=([0-9]{1,12}),v1=([0-9a-f]{64})")
TXN = re.compile(r"[A-Za-z0-9]{6,30}")


class Settings(BaseModel):
    """Settings of one account."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    account: str
    secret: SecretStr = Field(min_length=8)
    previous_secret: SecretStr = SecretStr("")


class FormBank:
    """The notices of the bank."""

    name: str = "formbank"
    settings_model: type[BaseModel] = Settings
    kept_headers: tuple[str, ...] = (HEADER,)
    content_type = "text/plain; charset=utf-8"

    # --- what a copy may get wrong ---

    def decode(self, body: bytes) -> dict[str, str]:
        return bodies.form(body)

    def amount(self, text: str) -> int:
        return readings.cents(text, "amt")

    def currency(self, text: str) -> str:
        return readings.currency(text, "ccy")

    def came(self, word: str) -> bool | None:
        """Whether money came: None where the word is not known."""
        return {"CR": True, "DR": False}.get(word)

    def is_fresh(self, at: int, when: int) -> bool:
        return abs(at - when) <= SECONDS

    def id_in(self, body: bytes) -> str:
        try:
            found = self.decode(body).get("txn", "")
        except InvalidValue:
            return ""
        return found if TXN.fullmatch(found) else ""

    # --- the port ---

    def verify(self, headers: Mapping[str, str], body: bytes, peer: str, settings: BaseModel) -> Verdict:
        found = PROOF.fullmatch(headers.get(HEADER.lower(), ""))
        if found is None or not isinstance(settings, Settings):
            return Verdict(accepted=False, reason=f"the header {HEADER} is not t=SECONDS,v1=HEX")
        at, given = found.groups()
        keys = [key.get_secret_value() for key in (settings.secret, settings.previous_secret)]
        if not any(proofs.same(given, signature(key, at, body)) for key in keys if key):
            return Verdict(accepted=False, reason=f"the header {HEADER} does not fit the body")
        when = self.time_of(body)
        if when is not None and not self.is_fresh(int(at), when):
            return Verdict(accepted=False, reason=f"the header {HEADER} was made too long before or after the notice")
        return Verdict(accepted=True)

    def time_of(self, body: bytes) -> int | None:
        try:
            return int(readings.moment(self.decode(body).get("when"), WHEN, "when").timestamp())
        except InvalidValue:
            return None

    def interpret(self, body: bytes, *, purpose: Purpose | None = None) -> Interpretation:
        try:
            doc = self.decode(body)
            came = self.came(doc.get("cr_dr", ""))
            if came is None:
                return Unknown("cr_dr is neither CR nor DR")
            if not came:
                return Ignored("a debit: money left the account")
            return Paid(
                reference=readings.reference(doc.get("txn"), "txn"),
                amount_minor=self.amount(doc.get("amt", "")),
                occurred_at=readings.moment(doc.get("when"), WHEN, "when"),
                currency=self.currency(doc.get("ccy", "")),
                channel_account=readings.account(doc.get("acct"), "acct"),
                account_reference=readings.typed(doc.get("ref"), "ref"),
                message="credit",
                party=Party(readings.lenient(doc.get("payer")), readings.lenient(doc.get("mobile"))),
            )
        except InvalidValue as error:
            return Unknown(error.message)

    def ack(self, outcome: AckOutcome) -> bytes:
        return b"OK " if outcome is AckOutcome.KEPT else b"REFUSED"

    def ack_for(self, outcome: AckOutcome, body: bytes) -> bytes:
        if outcome is not AckOutcome.KEPT:
            return self.ack(outcome)
        return self.ack(outcome) + self.id_in(body).encode("utf-8", "replace")

    def rehearse(self, identifier: str, secrets: Mapping[str, str] | None = None) -> Rehearsal:
        given = dict(secrets) if secrets is not None else {"secret": randomness.token_urlsafe(24)}
        settings = {"account": identifier, **given}

        def sign(body: bytes, apart: int = 0) -> Signed:
            at = str((self.time_of(body) or 0) + apart)
            return Signed(body, {HEADER.lower(): f"t={at},v1={signature(given['secret'], at, body)}"})

        return Rehearsal(
            settings,
            given,
            example=bodies.FORM.encode(
                [
                    ("txn", "ZB26K0000123"),
                    ("acct", identifier),
                    ("cr_dr", "CR"),
                    ("amt", "1,250.00"),
                    ("ccy", "KES"),
                    ("when", "23/11/2026 14:05:09"),
                    ("ref", "482915363"),
                    ("payer", "SAMPLE PAYER"),
                    ("mobile", "254700000101"),
                ]
            ),
            sign=sign,
            body=bodies.FORM,
            direction="cr_dr",
            pays={"CR"},
            freshness=Freshness(sign, SECONDS),
            both_valid=lambda old: {**settings, "previous_secret": old["secret"]},
        )


def signature(secret: str, at: str, body: bytes) -> str:
    """What the bank writes as v1."""
    return hmac.digest(secret.encode(), at.encode() + b"." + body, "sha256").hex()
