"""The bodies of our requests to M-PESA, spelled as the provider spells them (``RecieverIdentifierType`` included).

Pure functions. Money comes in whole cents and must be whole shillings, as the provider takes no cents; phones come in
E.164. What the provider would refuse is refused here, with InvalidValue, before anything is sent.
"""

from __future__ import annotations

import base64
import re
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from adapters.mpesa import fields
from revenue_engine.errors import ConfigurationError, InvalidValue
from revenue_engine.periods import NAIROBI

Body = dict[str, str]

SMALLEST_MINOR: Final = 1_00
LARGEST_MINOR: Final = 250_000_00
LONGEST_REFERENCE: Final = 12
LONGEST_DESCRIPTION: Final = 13
"""Longer texts fail later, on the handset, with code 1025."""
PAGE: Final = 100
"""Transactions in one page of a pull."""

_PHONE: Final = re.compile(r"\+?(254[17][0-9]{8})", re.ASCII)


def stamp(at: datetime) -> str:
    """``yyyyMMddHHmmss`` in Nairobi time."""
    return at.astimezone(NAIROBI).strftime("%Y%m%d%H%M%S")


def password(shortcode: str, passkey: str, timestamp: str) -> str:
    """The password of a push: Base64 over the three, with the timestamp that stands in the same body."""
    return base64.b64encode(f"{shortcode}{passkey}{timestamp}".encode()).decode()


def security_credential(initiator_password: str, certificate: bytes) -> str:
    """An operator's password under the provider's certificate (RSA, PKCS#1 v1.5), in Base64.

    The password alone is encrypted: no time is put behind it and it is not encoded before. Raises ConfigurationError
    for a certificate that cannot be read or holds no RSA key.
    """
    try:
        if b"-----BEGIN" in certificate:
            key = x509.load_pem_x509_certificate(certificate).public_key()
        else:
            key = x509.load_der_x509_certificate(certificate).public_key()
    except ValueError:
        raise ConfigurationError("the M-PESA certificate cannot be read: give the provider's X.509 file") from None
    if not isinstance(key, rsa.RSAPublicKey):
        raise ConfigurationError("the M-PESA certificate holds no RSA key: give the provider's own certificate")
    return base64.b64encode(key.encrypt(initiator_password.encode(), padding.PKCS1v15())).decode()


def shillings(amount_minor: int) -> str:
    """Whole cents as the provider's whole shillings."""
    if type(amount_minor) is not int or amount_minor % 100:
        raise InvalidValue("M-PESA moves whole shillings only", field="amount_minor")
    if not SMALLEST_MINOR <= amount_minor <= LARGEST_MINOR:
        raise InvalidValue("M-PESA moves 1 to 250,000 shillings at once", field="amount_minor")
    return str(amount_minor // 100)


def subscriber(phone: str) -> str:
    """A Kenyan mobile number (E.164) as the provider writes it, without the plus."""
    found = _PHONE.fullmatch(phone)
    if found is None:
        raise InvalidValue("a push goes to a Kenyan mobile number such as +254700000101", field="phone")
    return found[1]


def push(
    *,
    shortcode: str,
    receiver: str,
    passkey: str,
    at: datetime,
    phone: str,
    amount_minor: int,
    account_reference: str,
    description: str,
    callback: str,
) -> Body:
    """An STK push. ``shortcode`` signs it, ``receiver`` gets the money: they differ for a till."""
    if not 1 <= len(account_reference) <= LONGEST_REFERENCE:
        raise InvalidValue("the account reference of a push has 1 to 12 characters", field="account_reference")
    number, timestamp = subscriber(phone), stamp(at)
    return {
        "BusinessShortCode": shortcode,
        "Password": password(shortcode, passkey, timestamp),
        "Timestamp": timestamp,
        "TransactionType": "CustomerPayBillOnline" if shortcode == receiver else "CustomerBuyGoodsOnline",
        "Amount": shillings(amount_minor),
        "PartyA": number,
        "PartyB": receiver,
        "PhoneNumber": number,
        "CallBackURL": callback,
        "AccountReference": account_reference,
        "TransactionDesc": description[:LONGEST_DESCRIPTION] or "Payment",
    }


def push_query(*, shortcode: str, passkey: str, at: datetime, request_id: str) -> Body:
    """What became of a push."""
    if not fields.request_id(request_id):
        raise InvalidValue("a push is named by its CheckoutRequestID", field="request_id")
    timestamp = stamp(at)
    return {
        "BusinessShortCode": shortcode,
        "Password": password(shortcode, passkey, timestamp),
        "Timestamp": timestamp,
        "CheckoutRequestID": request_id,
    }


def register(*, shortcode: str, confirmation: str, validation: str, when_silent: str) -> Body:
    """The addresses of customers' payments. ``when_silent`` is ``Completed`` or ``Cancelled``."""
    return {
        "ShortCode": shortcode,
        "ResponseType": when_silent,
        "ConfirmationURL": confirmation,
        "ValidationURL": validation,
    }


def status(command: Body, *, shortcode: str, till: bool, reference: str, request_id: str) -> Body:
    """The state of one transaction, by its receipt or by the ConversationID of our request."""
    if bool(reference) == bool(request_id):
        raise InvalidValue("ask for a transaction by its reference or by a request id, one of them")
    named = (
        {"TransactionID": fields.receipt(reference, "reference")}
        if reference
        else {"OriginalConversationID": request_id}
    )
    return command | {
        "CommandID": "TransactionStatusQuery",
        **named,
        "PartyA": shortcode,
        "IdentifierType": "2" if till else "4",
        "Occasion": "",
    }


def balance(command: Body, *, shortcode: str, till: bool) -> Body:
    """The balances of the account."""
    return command | {"CommandID": "AccountBalance", "PartyA": shortcode, "IdentifierType": "2" if till else "4"}


def reversal(command: Body, *, shortcode: str, reference: str, amount_minor: int) -> Body:
    """A payment to us, given back whole. The provider names identifier type 11 for the receiver of reversals."""
    return command | {
        "CommandID": "TransactionReversal",
        "TransactionID": fields.receipt(reference, "reference"),
        "Amount": shillings(amount_minor),
        "ReceiverParty": shortcode,
        "RecieverIdentifierType": "11",
        "Occasion": "",
    }


def command(*, initiator: str, credential: str, remarks: str, result: str, timeout: str) -> Body:
    """What status, balance and reversal have in common."""
    return {
        "Initiator": initiator,
        "SecurityCredential": credential,
        "Remarks": remarks[:100] or "Query",
        "QueueTimeOutURL": timeout,
        "ResultURL": result,
    }


def pull_register(*, shortcode: str, number: str, callback: str) -> Body:
    """The registration without which nothing can be pulled."""
    return {"ShortCode": shortcode, "RequestType": "Pull", "NominatedNumber": number, "CallBackURL": callback}


def pull(*, shortcode: str, since: datetime, until: datetime, offset: int) -> Body:
    """One page of the payments of a window, from the row after ``offset``."""
    return {
        "ShortCode": shortcode,
        "StartDate": since.astimezone(NAIROBI).strftime("%Y-%m-%d %H:%M:%S"),
        "EndDate": until.astimezone(NAIROBI).strftime("%Y-%m-%d %H:%M:%S"),
        "OffSetValue": str(offset),
    }
