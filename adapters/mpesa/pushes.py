"""STK push (M-PESA Express): the prompt on the payer's phone, its result and the answer to a query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, Literal

from adapters import readings
from adapters.mpesa import fields
from revenue_engine.errors import InvalidValue
from revenue_engine.ports.callbacks import Ignored, Interpretation, Paid, Party, Unknown

DEFINITE_FAILURES: Final[Mapping[str, str]] = {
    "1": "the payer's balance is too low",
    "1019": "the prompt expired",
    "1032": "the payer cancelled, or the prompt timed out on the handset",
    "2001": "the PIN or the initiator information was wrong",
    "2028": "the amount is over the payer's limit",
}
"""Codes after which no money has moved. Every other code leaves the outcome open (17, 26, 1001, 1025, 1037, 2029,
4999, 9999, texts such as ``SFC_IC0003``): the payer may have paid, so it is never read as a failure."""


def failed_push(code: str, request_id: str) -> Ignored | Unknown:
    """What a result code other than success tells about our request."""
    meaning = DEFINITE_FAILURES.get(code)
    if meaning is None:
        return Unknown(
            f"ResultCode {readings.code_shown(code)} does not prove that nothing was paid: "
            "query the push, or wait for its confirmation",
            request_id,
        )
    state: Literal["failed", "cancelled"] = "cancelled" if code == "1032" else "failed"
    return Ignored(f"push not paid, ResultCode {code}: {meaning}", request_id, state)


def push_result(doc: Mapping[str, object]) -> Interpretation:
    """An ``stkCallback``. It names no account and no short code: its request id ties it to our push."""
    request_id = fields.request_id(doc.get("CheckoutRequestID"))
    if not request_id:
        return Unknown("the push result names no CheckoutRequestID, so it answers no request of ours")
    code = fields.code(doc.get("ResultCode"))
    if not code:
        return Unknown("the push result has no readable ResultCode: query the push", request_id)
    try:
        metadata = doc.get("CallbackMetadata")
        items: Mapping[str, object] = {}
        if isinstance(metadata, dict) and metadata.get("Item") is not None:
            items = fields.pairs(metadata["Item"], "Name", "CallbackMetadata.Item")
        if code != "0":
            if items.get("MpesaReceiptNumber"):
                return Unknown(
                    f"ResultCode {readings.code_shown(code)} says not paid beside a receipt: query it", request_id
                )
            return failed_push(code, request_id)
        return Paid(
            reference=fields.receipt(items.get("MpesaReceiptNumber"), "MpesaReceiptNumber"),
            amount_minor=fields.cents(items.get("Amount"), "Amount"),
            occurred_at=fields.stamp(items.get("TransactionDate"), "TransactionDate"),
            request_id=request_id,
            message="STK push result",
            party=Party(msisdn=fields.lenient(items.get("PhoneNumber"))),
        )
    except InvalidValue as error:
        return Unknown(f"push result: {error.message}", request_id)


PENDING: Final = "500.001.1001"
"""The error of a query while the prompt is open. The provider uses it for other things elsewhere."""


def queried(doc: Mapping[str, object]) -> Interpretation:
    """An answer to our query of a push, whatever its shape: an error is about the question, never about the push."""
    if {"CheckoutRequestID", "ResponseCode"} <= doc.keys():
        return push_query(doc)
    code = fields.code(doc.get("errorCode"))
    if code == PENDING:
        return Unknown(f"error {code}: the push is still being processed, ask again", request_state="pending")
    if code:
        return Unknown(
            f"error {readings.code_shown(code)}: the question was not answered and tells nothing about the push"
        )
    return Unknown("not an answer to a query of a push: ask again")


def push_query(doc: Mapping[str, object]) -> Interpretation:
    """The answer to a query of a push: both codes are text, and even success carries no receipt."""
    request_id = fields.request_id(doc.get("CheckoutRequestID"))
    asked, code = fields.code(doc.get("ResponseCode")), fields.code(doc.get("ResultCode"))
    if asked != "0" or not code:
        return Unknown(
            f"the query of the push was not answered (ResponseCode {readings.code_shown(asked)}): ask again", request_id
        )
    if code == "0":
        return Unknown(
            "the query says paid and names no receipt: find it by pull, transaction status or statement",
            request_id,
            "paid",
        )
    found = failed_push(code, request_id)
    # 4999: the payer has not typed the PIN yet.
    return replace(found, request_state="pending") if code == "4999" and isinstance(found, Unknown) else found


def push_accepted(doc: Mapping[str, object]) -> Interpretation:
    """The immediate answer to a push: it says that the prompt was queued, or was not."""
    request_id = fields.request_id(doc.get("CheckoutRequestID"))
    code = fields.code(doc.get("ResponseCode"))
    if code != "0":
        return Unknown(f"the push was not accepted (ResponseCode {readings.code_shown(code)}): query it", request_id)
    return Ignored("the prompt was queued: nothing has moved yet", request_id)
