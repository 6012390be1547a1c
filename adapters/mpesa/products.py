"""Results of the newer products: Business to Business Express, standing orders (Ratiba) and Bill Manager.

Sources: the portal's pages for each product. Their envelopes share nothing with ``Result`` nor each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from adapters import readings
from adapters.mpesa import fields
from adapters.receipts import receipt_day
from revenue_engine.errors import InvalidValue
from revenue_engine.periods import NAIROBI
from revenue_engine.ports.callbacks import AckOutcome, Ignored, Interpretation, Paid, Party, Strength, Unknown

_EXPRESS_FAILURES: Final = {
    "4001": "the merchant cancelled",
    "4102": "the merchant is not known to the provider",
    "4104": "the wallet account was not found",
    "4201": "the network was not reached",
    "4203": "the network did not answer",
}
"""Codes of Business to Business Express after which nothing has moved."""


def bill_manager(doc: Mapping[str, object]) -> Interpretation:
    """A Bill Manager notice: the same receipt as the confirmation, with a day and no hour, so it only supports."""
    try:
        return Paid(
            reference=fields.receipt(doc["transactionId"], "transactionId"),
            amount_minor=fields.cents(doc["paidAmount"], "paidAmount"),
            occurred_at=fields.day_start(doc.get("dateCreated"), "dateCreated"),
            channel_account=fields.shortcode(doc.get("shortCode"), "shortCode"),
            account_reference=fields.typed(doc.get("accountReference"), "accountReference"),
            strength=Strength.SUPPORTS,
            message="Bill Manager notification (day only, midnight stands for it)",
            party=Party(msisdn=fields.lenient(doc.get("msisdn"))),
        )
    except InvalidValue as error:
        return Unknown(f"Bill Manager notification: {error.message}")


def is_bill_manager(body: bytes) -> bool:
    """Whether a body is a Bill Manager notice, told by its names alone: what waits for the answer is not read."""
    return b'"paidAmount"' in body and b'"transactionId"' in body


def bill_manager_ack(outcome: AckOutcome) -> bytes:
    """The answer Bill Manager looks for; without ``rescode`` 200 it sends the notice again, up to five times."""
    if outcome is AckOutcome.KEPT:
        return b'{"resmsg":"Success","rescode":"200"}'
    return b'{"resmsg":"Rejected","rescode":"403"}'


def express(doc: Mapping[str, object]) -> Interpretation:
    """A Business to Business Express result: a merchant's till paid our pay bill, or did not.

    A success is a payment by itself: its request is no push of ours that holds a bill. It names no time. The receipt
    carries its day, so the payment is of that day from its first instant.
    """
    request_id = fields.request_id(doc.get("requestId"))
    code = fields.code(doc.get("resultCode"))
    try:
        if code != "0":
            return _not_express(code, doc, request_id)
        currency = doc.get("currency")
        if currency not in {None, "", "KES"}:
            return Unknown(f"B2B Express: currency {readings.shown(currency)}, and the pay bill is in KES", request_id)
        status = doc.get("status")
        if isinstance(status, str) and status.strip().upper() not in {"", "SUCCESS"}:
            return Unknown(f"B2B Express: status {readings.shown(status)} beside result code 0: ask again", request_id)
        receipt = fields.receipt(doc.get("transactionID"), "transactionID")
        day = receipt_day(receipt)
        return Paid(
            reference=receipt,
            amount_minor=fields.cents(doc.get("amount"), "amount"),
            occurred_at=None if day is None else datetime(day.year, day.month, day.day, tzinfo=NAIROBI),
            account_reference=fields.typed(doc.get("paymentReference"), "paymentReference"),
            message="B2B Express result (day of the receipt, midnight stands for it)",
        )
    except InvalidValue as error:
        return Unknown(f"B2B Express: {error.message}", request_id)


def _not_express(code: str, doc: Mapping[str, object], request_id: str) -> Ignored | Unknown:
    meaning = _EXPRESS_FAILURES.get(code)
    if meaning is None:
        return Unknown(
            f"B2B Express: result code {readings.code_shown(code)} does not prove that nothing moved: look at the"
            " statement",
            request_id,
        )
    status = doc.get("status")
    if doc.get("transactionID") or (isinstance(status, str) and status.strip().upper() == "SUCCESS"):
        return Unknown(
            f"B2B Express: result code {code} says that nothing moved, beside a receipt or a success: look at the"
            " statement",
            request_id,
        )
    return Ignored(
        f"B2B Express, result code {code}: {meaning}, nothing has moved",
        request_id,
        "cancelled" if code == "4001" else "failed",
    )


def ratiba(doc: Mapping[str, object]) -> Interpretation:
    """A standing order that was set up or was not: its money comes as payments of its own, so nothing has moved."""
    header = doc.get("ResponseHeader", doc.get("responseHeader"))
    if not isinstance(header, dict):
        return Unknown("a standing order result whose header is no object: not a known M-PESA message")
    code, request_id = fields.code(header.get("responseCode")), fields.request_id(header.get("requestRefID"))
    if not code:
        return Unknown("a standing order result without a readable responseCode", request_id)
    if code in {"0", "200"}:
        return Ignored("a standing order was set up: nothing has moved yet, each payment is told by itself", request_id)
    return Ignored(
        f"a standing order was not set up, responseCode {readings.code_shown(code)}: nothing moved", request_id
    )
