"""M-PESA (Safaricom Daraja): callbacks of pay bills and tills, pushes, results and notices.

Nothing in a Daraja callback is signed. Its proof of origin is the address it comes from, beside the secret path the
intake already checked. A body says what it is by the keys it carries, never by its values (:data:`_SHAPES`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from adapters import readings
from adapters.mpesa import fields, products, pulls, pushes, results
from adapters.mpesa.asking import MpesaAsking
from adapters.peers import Peers
from adapters.peers import judge as judge_peer
from adapters.receipts import contradiction
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
    Reversed,
    Signed,
    Strength,
    Unknown,
    Verdict,
)
from revenue_engine.ports.strict_json import loads, name_shown

PUBLISHED_PEERS: Final = (
    "196.201.212.69",
    "196.201.212.74",
    "196.201.212.127",
    "196.201.212.128",
    "196.201.212.129",
    "196.201.212.132",
    "196.201.212.136",
    "196.201.212.138",
    "196.201.213.44",
    "196.201.213.114",
    "196.201.214.200",
    "196.201.214.206",
    "196.201.214.207",
    "196.201.214.208",
)
"""The addresses callbacks come from, as published and as shipped in client libraries. Configuration, not a constant
of nature: the provider may change them."""

_Body: TypeAlias = dict[str, object]
_Reader: TypeAlias = Callable[[_Body], Interpretation]


class MpesaSettings(BaseModel):
    """Settings of one M-PESA channel account."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shortcode: Annotated[str, Field(pattern=r"^[0-9]{3,8}$")]
    """The pay bill or till number (for a till, the number payers type)."""
    kind: Literal["paybill", "till"] = "paybill"
    peers: Annotated[Peers, Field(min_length=1)] = PUBLISHED_PEERS
    """Addresses or networks (CIDR) a delivery may come from."""
    confirm_limit_minor: Annotated[int, Field(gt=0)] | None = None
    """Whole cents. A confirmation of this much or more waits for a second evidence; None sets no limit here."""
    asking: MpesaAsking | None = None
    """How the provider is asked; None where it never is."""


class MpesaAdapter:
    """The callbacks of M-PESA. Pure and total."""

    name: str = "mpesa"
    settings_model: type[BaseModel] = MpesaSettings
    proof_in_words: str = "nothing is signed: deliveries must come from the provider's addresses"
    one_name: bool = True
    """A receipt is the same in the confirmation, the push result, the pull and the organisation's statement."""

    def verify(self, headers: Mapping[str, str], body: bytes, peer: str, settings: BaseModel) -> Verdict:  # noqa: ARG002
        """Accept a delivery from an allowed address. Bodies carry no signature, so there is nothing else to check."""
        if not isinstance(settings, MpesaSettings):
            return Verdict(accepted=False, reason="the channel account has no M-PESA settings")
        return judge_peer(peer, settings.peers)

    def interpret(self, body: bytes, *, purpose: Purpose | None = None) -> Interpretation:
        """Say what a body means; what cannot be read exactly is Unknown with the reason."""
        return _held_against_receipt(self._meaning(body, purpose))

    def _meaning(self, body: bytes, purpose: Purpose | None) -> Interpretation:
        try:
            doc = loads(body)
        except InvalidValue as error:
            return Unknown(_late(purpose) + error.message)
        if type(doc) is not dict:
            return Unknown(f"{_late(purpose)}the body is not a JSON object but {type(doc).__name__}")
        if purpose is Purpose.TIMEOUT:
            return Unknown(_TIMEOUT, _request_of(doc))
        if purpose is Purpose.QUERY:
            return pushes.queried(doc)
        if purpose is Purpose.PULL:
            return _pull(doc)
        # The one shape that comes thousands of times a second is tried before the table.
        if "TransID" in doc and "Result" not in doc and "Body" not in doc:
            return _customer_payment(doc, purpose)
        shapes = [read for marks, read in _SHAPES if marks <= doc.keys()]
        if not shapes:
            return Unknown(f"not a known M-PESA message; its keys are {_names(doc)}")
        if ("Result" in doc) + ("Body" in doc) + ("TransID" in doc) > 1:
            return Unknown(f"the body looks like more than one message; its keys are {_names(doc)}")
        return shapes[0](doc)

    def interpret_all(self, body: bytes, *, purpose: Purpose | None = None) -> Sequence[Interpretation]:
        """What each movement of a body means: the rows of a pull answer, else the one meaning of the body.

        Rows are read where we pulled, or where nobody says what the body was for. A pull answer that arrives at a
        callback address answers nothing we asked, so it stays Unknown as a whole.
        """
        if purpose is Purpose.PULL or purpose is None:
            try:
                doc = loads(body)
            except InvalidValue as error:
                return [Unknown(error.message)]
            if type(doc) is dict and (purpose is Purpose.PULL or {"ResponseRefID", "ResponseCode"} <= doc.keys()):
                return [_held_against_receipt(one) for one in pulls.pulled(doc)]
        return [self.interpret(body, purpose=purpose)]

    def ack(self, outcome: AckOutcome) -> bytes:
        """The answer to a delivery. A confirmation cannot be refused: the second form only tells a stranger so."""
        if outcome is AckOutcome.KEPT:
            return b'{"ResultCode":0,"ResultDesc":"Success"}'
        return b'{"ResultCode":1,"ResultDesc":"Rejected"}'

    def ack_for(self, outcome: AckOutcome, body: bytes) -> bytes:
        """The answer to this body: Bill Manager looks for another one than the rest."""
        return products.bill_manager_ack(outcome) if products.is_bill_manager(body) else self.ack(outcome)

    def asked(self, body: bytes) -> Asked | None:
        """What a validation request asks, None when it cannot be read."""
        try:
            doc = loads(body)
            if type(doc) is not dict or "BillRefNumber" not in doc:
                return None
            return Asked(
                account_reference=fields.typed(doc["BillRefNumber"], "BillRefNumber"),
                amount_minor=fields.cents(doc.get("TransAmount"), "TransAmount"),
                channel_account=fields.shortcode(doc.get("BusinessShortCode"), "BusinessShortCode"),
            )
        except InvalidValue:
            return None

    def answer(self, answer: Answer) -> bytes:
        """The answer to a validation request, with the provider's own code for a refusal."""
        return _ANSWERS[answer]

    def rehearse(self, identifier: str, secrets: Mapping[str, str] | None = None) -> Rehearsal:  # noqa: ARG002
        """Play the provider for a test account that listens to this machine: nothing is signed or secret."""
        return Rehearsal(
            settings={"shortcode": identifier, "peers": ["127.0.0.1", "::1"]},
            secrets={},
            example=_EXAMPLE.replace("SHORTCODE", identifier).encode(),
            sign=lambda body: Signed(body, {}),
            covers_body=False,
        )


_ANSWERS: Final[Mapping[Answer, bytes]] = {
    Answer.ACCEPT: b'{"ResultCode":"0","ResultDesc":"Accepted"}',
    Answer.UNKNOWN_ACCOUNT: b'{"ResultCode":"C2B00012","ResultDesc":"Rejected"}',
    Answer.WRONG_AMOUNT: b'{"ResultCode":"C2B00013","ResultDesc":"Rejected"}',
    Answer.REFUSE: b'{"ResultCode":"C2B00016","ResultDesc":"Rejected"}',
}

_EXAMPLE: Final = (
    '{"TransactionType":"Pay Bill","TransID":"UIF0000001","TransTime":"20260915120000","TransAmount":"1500.00",'
    '"BusinessShortCode":"SHORTCODE","BillRefNumber":"482915363","InvoiceNumber":"","OrgAccountBalance":"1500.00",'
    '"ThirdPartyTransID":"","MSISDN":"2547 ***** 101","FirstName":"Sample","MiddleName":"","LastName":""}'
)

_TIMEOUT: Final = "queue timeout: the outcome is not known, ask for the status of the transaction"
_ASKS_FIRST: Final = "validation request: nothing has moved yet"


_BOOKED_AS_TOLD: Final = "booked on the day that is told; the statement says which is right"
_AT_ONCE: Final = timedelta(days=1)
_JUDGED: Final = timedelta(days=31)
"""A reversal may be decided so long after it was asked for, which is when its receipt was given."""


def _held_against_receipt(meaning: Interpretation) -> Interpretation:
    """A meaning whose time is held against the day that its own receipt carries. The money is certain all the same."""
    if not isinstance(meaning, Paid | Reversed) or meaning.occurred_at is None or meaning.doubt:
        return meaning
    later = _JUDGED if isinstance(meaning, Reversed) else _AT_ONCE
    said = contradiction(meaning.reference, meaning.occurred_at, "the time told", later=later)
    return replace(meaning, doubt=f"{said}: {_BOOKED_AS_TOLD}", time_in_doubt=True) if said else meaning


def _late(purpose: Purpose | None) -> str:
    return f"{_TIMEOUT}; " if purpose is Purpose.TIMEOUT else ""


def _names(doc: _Body) -> str:
    listed = ", ".join(name_shown(name) for name in list(doc)[:6])
    if not listed:
        return "none"
    return listed if len(doc) <= 6 else f"{listed} and {len(doc) - 6} more"


def _request_of(doc: _Body) -> str:
    """The request a late message speaks of, wherever its shape keeps the id."""
    body = doc.get("Body")
    for inner in (doc.get("Result"), body.get("stkCallback") if isinstance(body, dict) else None, doc):
        if isinstance(inner, dict):
            found = results.request_of(inner) or fields.request_id(inner.get("CheckoutRequestID"))
            if found:
                return found
    return ""


def _customer_payment(doc: _Body, purpose: Purpose | None) -> Interpretation:
    """A customer's payment (C2B): the same body asks first (validation) and tells afterwards (confirmation).

    OrgAccountBalance tells them apart: the balance is known only once the money has moved, so a question has it empty.
    The two addresses may have been swapped when they were registered. A question at the address for confirmations
    posts nothing by itself, and money told of at the address for questions is money.
    """
    get = doc.get
    balance = get("OrgAccountBalance", "none")
    asks = balance in ("", None)
    if purpose is not Purpose.CONFIRMATION and (asks or (purpose is Purpose.VALIDATION and balance == "none")):
        return Ignored(_ASKS_FIRST)
    try:
        names = (get("FirstName"), get("MiddleName"), get("LastName"))
        paid_to = fields.shortcode(get("BusinessShortCode"), "BusinessShortCode")
        return Paid(
            reference=fields.receipt(get("TransID"), "TransID"),
            amount_minor=fields.cents(get("TransAmount"), "TransAmount"),
            occurred_at=fields.stamp(get("TransTime"), "TransTime"),
            channel_account=paid_to,
            account_reference=fields.typed(get("BillRefNumber"), "BillRefNumber"),
            # A question bears the same name: with its confirmation it is one kind of message, and no second proof.
            message="C2B confirmation",
            # M-PESA names the short code that was paid. Without the name, the same body at two of our addresses would
            # be two payments: what comes so waits for a second proof.
            strength=Strength.SUPPORTS if asks or not paid_to else Strength.CONFIRMS,
            wrong_address=asks or purpose is Purpose.VALIDATION,
            party=Party(" ".join([fields.lenient(name) for name in names if name]), fields.lenient(get("MSISDN"))),
        )
    except InvalidValue as error:
        return Unknown(f"customer payment: {error.message}")


def _push(doc: _Body) -> Interpretation:
    body = doc["Body"]
    inner = body.get("stkCallback") if isinstance(body, dict) else None
    if not isinstance(inner, dict):
        return Unknown("a Body without an stkCallback object: not a known M-PESA message")
    return pushes.push_result(inner)


def _result(doc: _Body) -> Interpretation:
    inner = doc["Result"]
    if not isinstance(inner, dict):
        return Unknown("a Result that is not an object: not a known M-PESA message")
    return results.result(inner)


def _pull(doc: _Body) -> Interpretation:
    rows = pulls.rows(doc)
    if not rows:
        return pulls.pulled(doc)[0]
    return Unknown(f"a pull answer of {len(rows)} transactions is not one notice: it is read row by row where we asked")


def _error(doc: _Body) -> Interpretation:
    """An error answered at once. Only a call refused at the door is known to have moved nothing."""
    code = fields.code(doc["errorCode"])
    if code.startswith(("400.", "401.", "404.")) or code in ("500.003.02", "500.003.03"):
        return Ignored(f"error {readings.code_shown(code)}: the call was refused, nothing has moved")
    return Unknown(
        f"error {readings.code_shown(code)} has several meanings, one is still being processed: query the request"
    )


def _registered(doc: _Body) -> Interpretation:
    code = fields.code(doc.get("Response Status"))
    return Ignored(f"the answer to a pull registration (status {readings.code_shown(code)}): not a payment")


def _accepted(doc: _Body) -> Interpretation:
    code, request_id = fields.code(doc["ResponseCode"]), results.request_of(doc)
    if code == "0":
        return Ignored("the request was accepted: nothing has moved yet", request_id)
    return Unknown(
        f"the request was not accepted (ResponseCode {readings.code_shown(code)}): ask for its status", request_id
    )


_SHAPES: Final[tuple[tuple[frozenset[str], _Reader], ...]] = (
    (frozenset({"Body"}), _push),
    (frozenset({"Result"}), _result),
    (frozenset({"transactionId", "paidAmount"}), products.bill_manager),
    (frozenset({"resultCode", "requestId", "paymentReference"}), products.express),
    (frozenset({"resultCode", "requestId", "amount"}), products.express),
    *(
        (frozenset({header, body}), products.ratiba)
        for header in ("ResponseHeader", "responseHeader")
        for body in ("ResponseBody", "responseBody")
    ),
    (frozenset({"errorCode"}), _error),
    (frozenset({"CheckoutRequestID", "ResponseCode", "ResultCode"}), pushes.push_query),
    (frozenset({"CheckoutRequestID", "ResponseCode"}), pushes.push_accepted),
    (frozenset({"ResponseRefID", "ResponseCode"}), _pull),
    (frozenset({"ResponseRefID", "Response Status"}), _registered),
    (frozenset({"ConversationID", "ResponseCode"}), _accepted),
)
"""The keys by which each message is known, the most telling first; a customer's payment is known by TransID."""

adapter = MpesaAdapter()
