"""KCB (Buni): account and till payment notices, signed, and the question the bank asks before it takes a payment.

Each notice carries a ``Signature`` header: base64 of RSA-SHA256 (PKCS#1 v1.5) over the raw body with the bank's key.
The proof is judged before anything is read. Three shapes, known by their keys: the account notice is flat, the till
notice nested, the question has no amount. Each has an acknowledgement of its own that repeats the bank's ids.

Times in the bank's own samples have thirteen digits, which have more than one reading. Money never waits for a time:
such a payment has none of its own, and the engine books it at the instant it was received, with a break.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from adapters import proofs, readings
from adapters.kcb import acks, rehearsals
from adapters.peers import ACCEPTED, Peers
from adapters.peers import judge as judge_peer
from revenue_engine.errors import InvalidValue
from revenue_engine.ports.callbacks import (
    AckOutcome,
    Answer,
    Asked,
    Ignored,
    Interpretation,
    Paid,
    Party,
    Purpose,
    Rehearsal,
    Unknown,
    Verdict,
)
from revenue_engine.ports.strict_json import loads, name_shown

SIGNATURE: Final = "Signature"
_STAMPS: Final = ("%Y%m%d%H%M%S", "%Y%m%d%H%M", "iso")
"""Fourteen or twelve digits, or ISO 8601. Twelve digits that begin with this century's years have one reading only:
as two-digit years their month would be above twelve."""


class KcbSettings(BaseModel):
    """Settings of one KCB channel account. A value ``file:NAME`` is read from ``REVENUE_SECRETS_DIR``."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    account: Annotated[str, Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z-]{1,33}$")]
    """The account credited, or the till, as notices name it."""
    public_keys: proofs.PublicKeys
    peers: Peers = ()
    """Addresses or networks (CIDR) a delivery may come from; empty asks for the signature alone."""
    unsigned_questions: bool = True
    """Whether a bill validation may come without a signature, as the bank's samples do. It moves no money."""
    shown_name: Annotated[str, Field(max_length=60)] = ""
    """What the bank shows its customer as the owner of every bill: the county, never a person."""
    confirm_limit_minor: Annotated[int, Field(gt=0)] | None = None
    """Whole cents. A notice of this much or more waits for a second evidence; None sets no limit here."""
    refuse_unknown_accounts: bool | None = None
    """Whether a question about an unknown reference is refused; None follows the county."""


class KcbAdapter:
    """The notices and questions of KCB. Pure and total."""

    name: str = "kcb"
    settings_model: type[BaseModel] = KcbSettings
    kept_headers: tuple[str, ...] = (SIGNATURE,)
    proof_in_words: str = (
        f"header {SIGNATURE}: base64 of RSA-SHA256 (PKCS#1 v1.5) over the raw body, with the bank's private key"
    )

    def verify(self, headers: Mapping[str, str], body: bytes, peer: str, settings: BaseModel) -> Verdict:
        """Judge address and signature; a question about a bill may be unsigned where the account allows it."""
        if not isinstance(settings, KcbSettings):
            return Verdict(accepted=False, reason="the channel account has no KCB settings")
        if settings.peers and not (judged := judge_peer(peer, settings.peers)).accepted:
            return judged
        if settings.unsigned_questions and SIGNATURE.lower() not in headers and _question(_read(body)):
            return ACCEPTED
        return proofs.rsa_sha256(headers, body, header=SIGNATURE, keys=settings.public_keys)

    def interpret(self, body: bytes, *, purpose: Purpose | None = None) -> Interpretation:
        """Say what a body means. The shape decides, whatever the endpoint was registered for: a notice is money."""
        try:
            doc = loads(body)
        except InvalidValue as error:
            return Unknown(error.message)
        if type(doc) is not dict:
            return Unknown(f"the body is not a JSON object but {type(doc).__name__}")
        if purpose is Purpose.TIMEOUT:
            return Unknown("a timeout: the outcome is not known")
        try:
            if "requestPayload" in doc and "transactionReference" not in doc:
                return _till(doc)
            if "transactionReference" in doc and "requestPayload" not in doc:
                return _account(doc)
        except InvalidValue as error:
            return Unknown(f"payment notice: {error.message}")
        if _question(doc):
            return Ignored("bill validation request: nothing has moved yet")
        listed = ", ".join(name_shown(name) for name in list(doc)[:6]) or "none"
        return Unknown(f"not a known KCB message; its keys are {listed}")

    def ack(self, outcome: AckOutcome) -> bytes:
        """The account form with an empty id: for bodies that cannot be read."""
        return acks.account("", outcome)

    def ack_for(self, outcome: AckOutcome, body: bytes) -> bytes:
        """The acknowledgement in the form of the message, with the ids it brought."""
        doc = _read(body)
        if "requestPayload" in doc:
            notice = "requestPayload.additionalData.notificationData.transactionID"
            return acks.till(
                acks.echo(readings.at(doc, "header.messageID")),
                acks.echo(readings.at(doc, "header.originatorConversationID")),
                acks.echo(readings.at(doc, notice)),
                outcome,
            )
        if _question(doc):
            return acks.answer(Answer.REFUSE if outcome is AckOutcome.REFUSED else Answer.ACCEPT, doc.get("requestId"))
        return acks.account(acks.echo(doc.get("transactionReference")), outcome)

    def asked(self, body: bytes) -> Asked | None:
        """What a bill validation asks: the reference; the payer has not said how much."""
        doc = _read(body)
        if not _question(doc):
            return None
        try:
            return Asked(readings.typed(doc["customerReference"], "customerReference"), None)
        except InvalidValue:
            return None

    def answer(self, answer: Answer) -> bytes:
        """The answer to a bill validation without its ids."""
        return acks.answer(answer, "")

    def answer_for(self, answer: Answer, body: bytes, settings: BaseModel) -> bytes:
        """The answer to this bill validation: its id, the county's name, our account; never what somebody owes."""
        doc = _read(body)
        if not _question(doc):  # a notice that came to the address for questions is money all the same
            return self.ack_for(AckOutcome.KEPT, body)
        if not isinstance(settings, KcbSettings):
            return acks.answer(answer, doc["requestId"])
        return acks.answer(answer, doc["requestId"], name=settings.shown_name, account=settings.account)

    def rehearse(self, identifier: str, secrets: Mapping[str, str] | None = None) -> Rehearsal:
        """Play the bank for a test account, with a throw-away key."""
        return rehearsals.rehearse(identifier, secrets)


def _read(body: bytes) -> dict[str, Any]:
    """The object a body holds; empty where it holds none."""
    try:
        doc = loads(body)
    except InvalidValue:
        return {}
    return doc if isinstance(doc, dict) else {}


def _question(doc: Mapping[str, object]) -> bool:
    return {"requestId", "customerReference"} <= doc.keys() and not {
        "transactionReference",
        "transactionAmount",
        "requestPayload",
    } & doc.keys()


def _account(doc: Mapping[str, object]) -> Paid:
    """The flat notice of a credited account."""
    when, doubt = _time(doc.get("timestamp"), "timestamp")
    return Paid(
        reference=readings.reference(doc["transactionReference"], "transactionReference"),
        amount_minor=readings.cents(doc.get("transactionAmount"), "transactionAmount"),
        occurred_at=when,
        currency=readings.currency(doc.get("currency"), "currency"),
        channel_account=readings.account(doc.get("creditAccountIdentifier"), "creditAccountIdentifier"),
        account_reference=readings.typed(doc.get("customerReference"), "customerReference"),
        message="KCB account notice",
        party=Party(readings.lenient(doc.get("customerName")), readings.lenient(doc.get("customerMobileNumber"))),
        doubt=doubt,
    )


def _till(doc: Mapping[str, object]) -> Paid:
    """The nested notice of a till. Where the payer used M-PESA its receipt stands in originatorConversationID."""
    found = readings.at(doc, "requestPayload.additionalData.notificationData")
    if not isinstance(found, dict):
        raise InvalidValue("requestPayload.additionalData.notificationData must be an object")
    when, doubt = _time(found.get("transactionDate"), "transactionDate")
    reference = readings.reference(found.get("transactionID"), "transactionID")
    receipt = readings.mobile_receipt(readings.at(doc, "header.originatorConversationID"))
    return Paid(
        reference=reference,
        amount_minor=readings.cents(found.get("transactionAmt"), "transactionAmt"),
        occurred_at=when,
        currency=readings.currency(found.get("currency"), "currency"),
        channel_account=readings.account(
            readings.at(doc, "requestPayload.primaryData.businessKey"), "primaryData.businessKey"
        ),
        account_reference=readings.typed(found.get("businessKey"), "notificationData.businessKey"),
        message="KCB till notice",
        party=Party(
            readings.lenient(found.get("firstName"), found.get("middleName"), found.get("lastName")),
            readings.lenient(found.get("debitMSISDN")),
        ),
        also_known_as=(receipt,) if receipt and receipt != reference else (),
        doubt=doubt,
    )


def _time(value: object, where: str) -> tuple[datetime | None, str]:
    """The instant a field tells, or none and the doubt: a bad time never stops the money it stands beside."""
    try:
        return readings.java_date(value, where), ""
    except InvalidValue:
        try:
            return readings.moment(value, _STAMPS, where), ""
        except InvalidValue:
            said = readings.shown(value)
            return (
                None,
                f"{where} ({said}) cannot be read for certain: booked at the time it was received",
            )


adapter = KcbAdapter()
