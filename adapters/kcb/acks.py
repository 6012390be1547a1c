"""The acknowledgements KCB expects, byte for byte: another form makes the bank send again for ever."""

from __future__ import annotations

import json
from typing import Any, Final

from revenue_engine.ports.callbacks import AckOutcome, Answer
from revenue_engine.ports.strict_json import storable

_LONGEST_ECHO: Final = 64


def echo(value: object) -> str:
    """An id of the body as it is repeated: text, cut; empty where there is none."""
    return storable(str(value)[:_LONGEST_ECHO]) if type(value) in (str, int) else ""


def _bytes(answer: dict[str, Any]) -> bytes:
    return json.dumps(answer, separators=(",", ":"), ensure_ascii=False).encode()


def _status(outcome: AckOutcome) -> tuple[str, str]:
    return ("0", "Notification received") if outcome is AckOutcome.KEPT else ("1", "Notification refused")


def account(transaction: str, outcome: AckOutcome) -> bytes:
    """The answer to an account notice."""
    code, message = _status(outcome)
    return _bytes({"transactionID": transaction, "statusCode": code, "statusMessage": message})


def till(message_id: str, conversation: str, transaction: str, outcome: AckOutcome) -> bytes:
    """The answer to a till notice."""
    code, message = _status(outcome)
    return _bytes(
        {
            "header": {
                "messageID": message_id,
                "originatorConversationID": conversation,
                "statusCode": code,
                "statusMessage": message,
            },
            "responsePayload": {"transactionInfo": {"transactionId": transaction}},
        }
    )


_ANSWERS: Final = {
    Answer.ACCEPT: ("0", "Success"),
    Answer.UNKNOWN_ACCOUNT: ("1", "Bill reference not found"),
    Answer.WRONG_AMOUNT: ("1", "Amount not accepted"),
    Answer.REFUSE: ("1", "Refused"),
}


def answer(given: Answer, request: object, *, name: str = "", account: str = "") -> bytes:
    """The answer to a bill validation. The capital C of CustomerName is the bank's.

    Any part of the bill may be paid and what is owed is nobody's business at a till, so the bill is PARTIAL and its
    amount 0.
    """
    code, message = _ANSWERS[given]
    return _bytes(
        {
            "transactionID": echo(request),
            "statusCode": code,
            "statusMessage": message,
            "CustomerName": name,
            "billAmount": "0",
            "currency": "KES",
            "billType": "PARTIAL",
            "creditAccountIdentifier": account,
        }
    )
