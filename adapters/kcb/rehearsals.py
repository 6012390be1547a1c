"""KCB played for a test account: a throw-away key, an example notice and the signature over it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from revenue_engine.ports.callbacks import Rehearsal, Signed

KEY = "private_key"


def rehearse(identifier: str, secrets: Mapping[str, str] | None = None) -> Rehearsal:
    """A rehearsal with the private key of ``secrets``, else with a fresh one of 2048 bits."""
    if secrets is None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    else:
        loaded = serialization.load_pem_private_key(secrets[KEY].encode(), password=None)
        if not isinstance(loaded, rsa.RSAPrivateKey):
            raise TypeError("the rehearsal's key is no RSA key")
        key = loaded
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    def sign(body: bytes) -> Signed:
        return Signed(body, {"signature": signature(key, body)})

    settings = {"account": identifier, "public_keys": [public.decode()]}
    return Rehearsal(
        settings=settings,
        secrets={KEY: private},
        example=account_notice(identifier),
        sign=sign,
        both_valid=lambda old: {**settings, "public_keys": [*old["public_keys"], *settings["public_keys"]]},
    )


def signature(key: rsa.RSAPrivateKey, body: bytes) -> str:
    """What the bank writes into the header ``Signature`` for these bytes."""
    return base64.b64encode(key.sign(body, padding.PKCS1v15(), hashes.SHA256())).decode()


def account_notice(
    account: str,
    *,
    reference: str = "FT00000001",
    amount: str = "1,500.00",
    bill: str = "482915363",
    timestamp: str = "20260915120000",
) -> bytes:
    """An account notice as the bank words it; nobody's name and an unassigned number."""
    return json.dumps(
        {
            "transactionReference": reference,
            "requestId": f"req-{reference}",
            "channelCode": "202",
            "timestamp": timestamp,
            "transactionAmount": amount,
            "currency": "KES",
            "customerReference": bill,
            "customerName": "Sample Payer",
            "customerMobileNumber": "254700000101",
            "balance": "",
            "narration": "Payment of a bill",
            "creditAccountIdentifier": account,
            "organizationShortCode": "",
            "tillNumber": "",
        }
    ).encode()


def till_notice(
    till: str,
    *,
    reference: str = "FT00000002",
    receipt: str = "UIF0000001",
    amount: str = "1000",
    bill: str = "482915363",
    when: str = "Tue Sep 15 12:00:00 EAT 2026",
) -> bytes:
    """A till notice as the bank words it, of a payer who used M-PESA."""
    notice = {
        "businessKey": bill,
        "businessKeyType": "BillReferenceNumber",
        "debitMSISDN": "254700000101",
        "transactionAmt": amount,
        "transactionDate": when,
        "transactionID": reference,
        "firstName": "Sample Payer",
        "middleName": "",
        "lastName": "",
        "currency": "KES",
        "narration": "Payment of a bill",
        "transactionType": "MPESA",
        "balance": "0",
    }
    return json.dumps(
        {
            "header": {
                "messageID": f"m-{reference}",
                "originatorConversationID": receipt,
                "channelCode": "202",
                "timeStamp": "20260915120005",
            },
            "requestPayload": {
                "primaryData": {"businessKey": till, "businessKeyType": "notifyBiller"},
                "additionalData": {"notificationData": notice},
            },
        }
    ).encode()
