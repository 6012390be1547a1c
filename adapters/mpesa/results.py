"""Results of the initiator APIs: status, balance, reversal, payments to persons (B2C) and to businesses (B2B).

All come in one envelope, ``Result``, that does not say which API it answers. The parameters do: each kind has a key
no other kind has (:data:`_MARKS`), and an envelope with none of them, or with two, is not guessed at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Literal, TypeAlias

from adapters import readings
from adapters.mpesa import fields
from adapters.mpesa.pushes import DEFINITE_FAILURES
from revenue_engine.errors import InvalidValue
from revenue_engine.ports.callbacks import Ignored, Interpretation, Kind, Paid, Party, Reversed, Strength, Unknown
from revenue_engine.ports.strict_json import name_shown

Params: TypeAlias = Mapping[str, object]
_Reader: TypeAlias = Callable[[Mapping[str, object], Params, str], Interpretation]

_FAILURES: Final = frozenset({"1", "2001", "2028"})
"""Of the definite failures those that can befall a call of ours; the others are about a payer's prompt."""

_PAY_IN: Final = (
    "pay bill",
    "pay utility",
    "paybill",
    "customer buy goods",
    "customer merchant payment",
    "customer pay",
    "merchant pay utility",
    "small business pay bill",
    "standing order pay bill",
)
"""How the reason types of payments to an organisation begin, lower case (organisation portal statements)."""

_NOT_PLAIN: Final = ("revers", "charge", "settle", "withdraw")
"""Words of reason types that move money without being a plain payment or payout: the statement tells these."""

_FINALISED: Final = ("FinalisedTime", "FinalizedTime")
"""The documents and most replies write the first; one old sample has the second."""

_UNMOVED: Final = frozenset({"failed", "cancelled", "canceled", "declined", "expired"})
"""Statuses after which no money has moved. Authorized and Attempted are still open."""


def request_of(doc: Mapping[str, object]) -> str:
    """The id by which a result joins our request: ConversationID, else OriginatorConversationID."""
    return fields.request_id(doc.get("ConversationID"), doc.get("OriginatorConversationID"))


def result(doc: Mapping[str, object]) -> Interpretation:
    """A ``Result`` envelope."""
    request_id = request_of(doc)
    code = fields.code(doc.get("ResultCode"))
    if code != "0":
        return _failure(code, request_id)
    try:
        params = _parameters(doc)
        if not params:
            return Unknown(
                "a result that says success and has no parameters: it names no original transaction, amount or time; "
                "ask for the status of the transaction",
                request_id,
            )
        kinds = [read for marks, read in _MARKS if marks <= params.keys()]
        if len(kinds) != 1:
            count = "no" if not kinds else "more than one"
            return Unknown(f"a result whose parameters fit {count} known kind: {_names(params)}", request_id)
        return kinds[0](doc, params, request_id)
    except InvalidValue as error:
        return Unknown(f"result: {error.message}", request_id)


def _failure(code: str, request_id: str) -> Ignored | Unknown:
    if code in _FAILURES:
        return Ignored(f"our request failed, ResultCode {code}: {DEFINITE_FAILURES[code]}", request_id, "failed")
    if not code:
        return Unknown("a result without a readable ResultCode: ask for the status of the transaction", request_id)
    return Unknown(
        f"ResultCode {readings.code_shown(code)} does not prove that nothing moved: ask for its status",
        request_id,
    )


def _parameters(doc: Mapping[str, object]) -> Params:
    holder = doc.get("ResultParameters")
    if not isinstance(holder, dict) or holder.get("ResultParameter") is None:
        return {}
    return fields.pairs(holder["ResultParameter"], "Key", "ResultParameters.ResultParameter")


def _names(params: Params) -> str:
    listed = ", ".join(name_shown(name) for name in list(params)[:6])
    return listed if len(params) <= 6 else f"{listed} and {len(params) - 6} more"


def _agreed_receipt(doc: Mapping[str, object], params: Params, key: str) -> str:
    """The receipt the parameters name, unless the envelope names another: then one copy is wrong, and which is not
    ours to guess."""
    found = fields.receipt(params.get(key), key)
    outer = doc.get("TransactionID")
    if isinstance(outer, str) and outer and outer.upper() != found:
        raise InvalidValue(f"{key} and TransactionID name two receipts")
    return found


def _reversal(doc: Mapping[str, object], params: Params, request_id: str) -> Interpretation:
    reference = fields.receipt(doc.get("TransactionID"), "TransactionID")
    reverses = fields.receipt(params["OriginalTransactionID"], "OriginalTransactionID")
    if reference == reverses:
        raise InvalidValue(f"the reversal {reference} names itself as the payment taken back")
    amount = params.get("Amount")
    return Reversed(
        reference=reference,
        reverses=reverses,
        amount_minor=None if amount is None else fields.cents(amount, "Amount"),
        occurred_at=fields.stamp(params.get("TransCompletedTime"), "TransCompletedTime"),
        # Only a credit to us can be reversed, so the party debited now is our own short code.
        channel_account=fields.named_shortcode(params.get("DebitPartyPublicName")),
        request_id=request_id,
        message="Reversal result",
    )


def _b2c(doc: Mapping[str, object], params: Params, request_id: str) -> Interpretation:
    return Paid(
        reference=_agreed_receipt(doc, params, "TransactionReceipt"),
        amount_minor=fields.cents(params.get("TransactionAmount"), "TransactionAmount"),
        occurred_at=fields.dotted_stamp(params.get("TransactionCompletedDateTime"), "TransactionCompletedDateTime"),
        kind=Kind.PAYOUT,
        request_id=request_id,
        message="B2C result",
    )


def _b2b(doc: Mapping[str, object], params: Params, request_id: str) -> Interpretation:
    return Paid(
        reference=fields.receipt(doc.get("TransactionID"), "TransactionID"),
        amount_minor=fields.cents(params.get("Amount"), "Amount"),
        occurred_at=fields.stamp(params.get("TransCompletedTime"), "TransCompletedTime"),
        currency=fields.currency(params.get("Currency"), "Currency"),
        kind=Kind.PAYOUT,
        request_id=request_id,
        message="B2B result",
    )


def _balance(_doc: Mapping[str, object], _params: Params, request_id: str) -> Interpretation:
    return Ignored("an account balance: not a payment", request_id)


def _status(_doc: Mapping[str, object], params: Params, request_id: str) -> Interpretation:
    """The status of a transaction: it supports another notice, for it is an answer to a question, not a credit.

    A charge named inside it (DebitPartyCharges) is no notice of its own: the statement tells every charge once.
    """
    status = params["TransactionStatus"]
    word = status.strip().lower() if isinstance(status, str) else ""
    if word in _UNMOVED:
        return Ignored(f"transaction status {word}: no money moved", request_id)
    if word != "completed":
        return Unknown(f"transaction status {readings.shown(status)}: the outcome is not known, ask again", request_id)
    kind, account, party = _direction(params)
    return Paid(
        reference=fields.receipt(params["ReceiptNo"], "ReceiptNo"),
        amount_minor=fields.cents(params.get("Amount"), "Amount"),
        occurred_at=fields.stamp(fields.either(params, *_FINALISED), _FINALISED[0]),
        kind=kind,
        channel_account=account,
        request_id=request_id,
        strength=Strength.SUPPORTS,
        message="Transaction status",
        party=party,
    )


def _direction(params: Params) -> tuple[Literal[Kind.PAYMENT, Kind.PAYOUT], str, Party]:
    """Whether a completed transaction paid us or was paid by us, the short code that is ours, and who paid us."""
    credited, debited = params.get("CreditPartyName"), params.get("DebitPartyName")
    into, out_of = fields.named_shortcode(credited), fields.named_shortcode(debited)
    reason = params.get("ReasonType")
    plain = reason.strip().lower() if isinstance(reason, str) else ""
    special = next((word for word in _NOT_PLAIN if word in plain), "")
    if special:
        raise InvalidValue(f"ReasonType holds the word part {special!r} and is no plain payment: the statement decides")
    if into and out_of:
        raise InvalidValue("both parties are organisations, so the direction cannot be told: the statement decides")
    if out_of:
        return Kind.PAYOUT, out_of, Party()
    if not into:
        raise InvalidValue("neither CreditPartyName nor DebitPartyName begins with a short code")
    if not plain.startswith(_PAY_IN):
        raise InvalidValue(f"ReasonType {readings.shown(reason)} is not a known payment to an organisation")
    msisdn, _, name = fields.lenient(debited).partition(" - ")
    return Kind.PAYMENT, into, Party(name=name.strip(), msisdn=msisdn.strip())


_MARKS: Final[tuple[tuple[frozenset[str], _Reader], ...]] = (
    (frozenset({"OriginalTransactionID"}), _reversal),
    (frozenset({"TransactionStatus", "ReceiptNo"}), _status),
    (frozenset({"AccountBalance"}), _balance),
    (frozenset({"TransactionReceipt"}), _b2c),
    (frozenset({"ReceiverPartyPublicName", "TransCompletedTime"}), _b2b),
)
"""The keys by which each kind of result is known. A B2C result has TransactionCompletedDateTime instead of
TransCompletedTime, and a reversal names its parties otherwise, so no two kinds overlap."""
