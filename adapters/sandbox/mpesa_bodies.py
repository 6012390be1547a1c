"""M-PESA (Daraja) bodies, built from facts: key names, key order, spacing of numbers and quirks as the provider sends.

Pure functions to bytes. They share nothing with the adapter that reads such bodies, so that one cannot hide the
other's mistake. Money is whole cents, times are aware, phone numbers are text such as ``254700000101``.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Final, Literal

from revenue_engine.errors import InvalidValue
from revenue_engine.money import wire
from revenue_engine.periods import NAIROBI

_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_TAIL: Final = "0123456789" + _LETTERS
_DAYS: Final = "123456789ABCDEFGHIJKLMNOPQRSTUV"
_FIRST_YEAR: Final = 2006
_SUCCESS: Final = "The service request is processed successfully."

STK_FAILURES: Final[Mapping[int, str]] = {
    1: "The balance is insufficient for the transaction.",
    17: "Rule limited.",
    26: "System busy. The service request is rejected.",
    1001: "Unable to lock subscriber, a transaction is already in process for the current subscriber",
    1019: "Transaction expired. No MO has been received",
    1025: "An error occurred while sending a push request",
    1032: "Request cancelled by user",
    1037: "DS timeout user cannot be reached",
    2001: "The initiator information is invalid.",
    2028: "The amount is over the limit.",
    2029: "The transaction type does not fit the receiving party.",
    9999: "An error occurred while sending a push request",
}
"""Result codes of a push other than success, each with the provider's wording, or (1025, 2028, 2029, 9999) a plain
one where none was seen: nothing may depend on the text."""

Msisdn = Literal["clear", "masked", "hashed"]


def receipt_code(rng: random.Random, day: date) -> str:
    """A receipt as M-PESA mints them: year (A is 2006), month (A-L) and day (1-9, A-V), then seven free characters.

    The code carries its day in Nairobi. Seven draws of 36 make a clash within one day unlikely, not impossible.
    """
    year = day.year - _FIRST_YEAR
    if not 0 <= year < len(_LETTERS):
        raise InvalidValue(f"an M-PESA receipt can name the years 2006 to 2031, not {day.year}", day=day)
    tail = "".join(rng.choice(_TAIL) for _ in range(7))
    return _LETTERS[year] + _LETTERS[day.month - 1] + _DAYS[day.day - 1] + tail


def c2b_confirmation(
    *,
    receipt: str,
    at: datetime,
    amount_minor: int,
    shortcode: str,
    account: str,
    msisdn: str,
    names: tuple[str, str, str] = ("", "", ""),
    form: Msisdn = "masked",
    balance_minor: int = 0,
    transaction_type: str = "Pay Bill",
) -> bytes:
    """A confirmation: version 1 sends the number ``hashed`` (SHA-256), version 2 ``masked``, before 2022 ``clear``.

    ``names`` are first, middle and last; ``balance_minor`` is the short code's balance after the payment, in cents.
    """
    return _c2b(
        receipt, at, amount_minor, shortcode, account, msisdn, names, form, wire(balance_minor), transaction_type
    )


def c2b_validation(
    *,
    receipt: str,
    at: datetime,
    amount_minor: int,
    shortcode: str,
    account: str,
    msisdn: str,
    names: tuple[str, str, str] = ("", "", ""),
    form: Msisdn = "masked",
) -> bytes:
    """A validation request: the same body before the money has moved, so without a type and a balance."""
    return _c2b(receipt, at, amount_minor, shortcode, account, msisdn, names, form, "", "")


def _c2b(
    receipt: str,
    at: datetime,
    amount_minor: int,
    shortcode: str,
    account: str,
    msisdn: str,
    names: tuple[str, str, str],
    form: Msisdn,
    balance: str,
    transaction_type: str,
) -> bytes:
    first, middle, last = names
    return _bytes(
        {
            "TransactionType": transaction_type,
            "TransID": receipt,
            "TransTime": stamp(at),
            "TransAmount": wire(amount_minor),
            "BusinessShortCode": shortcode,
            "BillRefNumber": account,
            "InvoiceNumber": "",
            "OrgAccountBalance": balance,
            "ThirdPartyTransID": "",
            "MSISDN": told(msisdn, form),
            "FirstName": first,
            "MiddleName": middle,
            "LastName": last,
        }
    )


def told(msisdn: str, form: Msisdn) -> str:
    """A phone number as a confirmation tells it."""
    if form == "hashed":
        return hashlib.sha256(msisdn.encode()).hexdigest()
    return f"{msisdn[:4]} ***** {msisdn[-3:]}" if form == "masked" else msisdn


def stk_success(
    *, merchant_request: str, checkout_request: str, receipt: str, at: datetime, amount_minor: int, msisdn: str
) -> bytes:
    """The result of a paid push: the amount a JSON number, time and phone integers, Balance without a value."""
    items = [
        _pair("Name", "Amount", wire(amount_minor)),
        _pair("Name", "MpesaReceiptNumber", _text(receipt)),
        _pair("Name", "Balance", None),
        _pair("Name", "TransactionDate", stamp(at)),
        _pair("Name", "PhoneNumber", str(int(msisdn))),
    ]
    head = _stk_head(merchant_request, checkout_request, 0, _SUCCESS)
    return f'{{"Body":{{"stkCallback":{{{head},"CallbackMetadata":{{"Item":[{",".join(items)}]}}}}}}}}'.encode()


def stk_failure(*, merchant_request: str, checkout_request: str, code: int | str, text: str = "") -> bytes:
    """The result of a push that did not come back paid: no CallbackMetadata. ``text`` defaults to the provider's.

    Codes are integers, but texts such as ``SFC_IC0003`` were seen.
    """
    known = STK_FAILURES.get(code, "Request failed.") if isinstance(code, int) else "Request failed."
    head = _stk_head(merchant_request, checkout_request, code, text or known)
    return f'{{"Body":{{"stkCallback":{{{head}}}}}}}'.encode()


def reversal_result(
    *,
    conversation: str,
    originator_conversation: str,
    receipt: str,
    reverses: str,
    at: datetime,
    amount_minor: int,
    shortcode: str,
    organisation: str,
    payer: str,
) -> bytes:
    """The result of a reversal: its own ``receipt``, and the receipt it ``reverses``. ``payer`` is number and name."""
    params = [
        _pair("Key", "DebitAccountBalance", _text("Utility Account|KES|0.00|0.00|0.00|0.00")),
        _pair("Key", "Amount", _number(amount_minor)),
        _pair("Key", "TransCompletedTime", stamp(at)),
        _pair("Key", "OriginalTransactionID", _text(reverses)),
        _pair("Key", "Charge", "0"),
        _pair("Key", "CreditPartyPublicName", _text(payer)),
        _pair("Key", "DebitPartyPublicName", _text(f"{shortcode} - {organisation}")),
    ]
    return _result(originator_conversation, conversation, receipt, params)


def status_result(
    *,
    conversation: str,
    originator_conversation: str,
    receipt: str,
    at: datetime,
    amount_minor: int,
    credit_party: str,
    debit_party: str,
    status: str = "Completed",
    reason: str = "Pay Bill Online",
) -> bytes:
    """The result of a status query. A party is ``"600100 - County"`` or ``"254700000101 - Name"``."""
    params = [
        _pair("Key", "ReceiptNo", _text(receipt)),
        _pair("Key", "Conversation ID", _text("")),
        _pair("Key", "FinalisedTime", stamp(at)),
        _pair("Key", "Amount", _number(amount_minor)),
        _pair("Key", "TransactionStatus", _text(status)),
        _pair("Key", "ReasonType", _text(reason)),
        _pair("Key", "TransactionReason", None),
        _pair("Key", "DebitPartyCharges", _text("")),
        _pair("Key", "DebitAccountType", _text("MMF Account For Customer")),
        _pair("Key", "InitiatedTime", stamp(at)),
        _pair("Key", "Originator Conversation ID", _text("")),
        _pair("Key", "CreditPartyName", _text(credit_party)),
        _pair("Key", "DebitPartyName", _text(debit_party)),
    ]
    return _result(originator_conversation, conversation, "", params)


def balance_result(
    *, conversation: str, originator_conversation: str, receipt: str, at: datetime, balance_minor: int
) -> bytes:
    """The result of a balance request: all the money is in the utility account."""
    accounts = [
        f"{name} Account|KES|{wire(minor)}|{wire(minor)}|0.00|0.00"
        for name, minor in (("Working", 0), ("Utility", balance_minor), ("Charges Paid", 0))
    ]
    params = [_pair("Key", "AccountBalance", _text("&".join(accounts))), _pair("Key", "BOCompletedTime", stamp(at))]
    return _result(originator_conversation, conversation, receipt, params)


def failed_result(*, conversation: str, originator_conversation: str, code: int | str, text: str) -> bytes:
    """The result of a request that did not succeed: no parameters."""
    return _result(originator_conversation, conversation, "", [], code, text)


def timeout(*, conversation: str, originator_conversation: str) -> bytes:
    """What a QueueTimeOutURL receives. It may even say success: only the endpoint tells that it is a timeout."""
    return _result(originator_conversation, conversation, "", [])


def stamp(at: datetime) -> str:
    """``yyyyMMddHHmmss`` in Nairobi time."""
    return at.astimezone(NAIROBI).strftime("%Y%m%d%H%M%S")


def _stk_head(merchant: str, checkout: str, code: int | str, text: str) -> str:
    ids = f'"MerchantRequestID":{_text(merchant)},"CheckoutRequestID":{_text(checkout)}'
    return f'{ids},"ResultCode":{json.dumps(code)},"ResultDesc":{_text(text)}'


def _result(
    originator: str,
    conversation: str,
    receipt: str,
    params: Sequence[str],
    code: int | str = 0,
    text: str = _SUCCESS,
) -> bytes:
    head = (
        f'"ResultType":0,"ResultCode":{json.dumps(code)},"ResultDesc":{_text(text)},'
        f'"OriginatorConversationID":{_text(originator)},"ConversationID":{_text(conversation)},'
        f'"TransactionID":{_text(receipt)}'
    )
    middle = f',"ResultParameters":{{"ResultParameter":[{",".join(params)}]}}' if params else ""
    tail = ',"ReferenceData":{"ReferenceItem":{"Key":"Occasion","Value":""}}'
    return f'{{"Result":{{{head}{middle}{tail}}}}}'.encode()


def _pair(label: str, name: str, literal: str | None) -> str:
    """One ``{label: name, "Value": literal}``. The literal is JSON text, so money never passes through a float."""
    return f'{{"{label}":{_text(name)}}}' if literal is None else f'{{"{label}":{_text(name)},"Value":{literal}}}'


def _number(minor: int) -> str:
    """Shillings as results write them: an integer where there are no cents."""
    return str(minor // 100) if minor % 100 == 0 else wire(minor)


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _bytes(doc: Mapping[str, str]) -> bytes:
    return json.dumps(doc, ensure_ascii=False, separators=(",", ":")).encode()
