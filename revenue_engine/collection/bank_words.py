"""What a bank's line that only says credit or debit is: its words tell a return and a fee apart from money sent on.

Pure: lines in, kinds and numbers out. A word is believed only where the bank writes it: in the text of a debit.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from revenue_engine.identifiers import is_pay_account_number
from revenue_engine.ports.callbacks import Kind
from revenue_engine.ports.statements import StatementLine

_BACK = (
    r"RETURNED|RETURN|RTD|RTN|RETD|BOUNCED?|UNPAID|DISHONOU?RED|REFER TO DRAWER|R/D|RECALL(?:ED)?|CHARGE ?BACK"
    r"|REJECTED|STOP(?:PED)? (?:PAYMENT|CHE?QUE?)|INSUFFICIENT FUNDS|ACCOUNT CLOSED|DRAWER'?S SIGNATURE"
    r"|REVERSAL|REVERSED|RVSL"
)
_RETURN = re.compile(rf"\b(?:{_BACK})\b")
_FEES = r"(?:FEES?|CHARGES?|CHGS?|COMM(?:ISSION)?|PENALTY)"
_CHARGED = re.compile(
    r"\b(?:LEDGER|BANK|MAINTENANCE|SERVICE|TRANSACTION|SMS|STATEMENT|SWIFT|RTGS|EFT|PESALINK|TRANSFER|HANDLING|CHE?QUE?"
    r"|CHQ|ACCOUNT|A/?C|CLEARING|COUNTER|CASH|BOOK|RETURN(?:ED)?|UNPAID|BOUNCED|RTN|DISHONOU?RED|FUNDS|MONTHLY"
    r"|STANDING ORDER|MPESA|B2C|PAYBILL)"
    rf"(?: (?:HANDLING|BOOK|RETURN(?:ED)?|RTN|UNPAID|CHE?QUE?|CHQ|ITEM|ENTRY))?(?: (?:NO\.? ?)?\d+)? {_FEES}\b"
    rf"|\b{_FEES} (?:ON|FOR) (?:RETURNED|UNPAID|BOUNCED|DISHONOU?RED|RTGS|EFT|SWIFT)\b"
    rf"|\b(?:EXCISE|EXCISE DUTY|TAX|VAT|LEVY) ON (?:BANK )?{_FEES}\b|\bEXCISE DUTY\b|^\W*(?:BANK )?{_FEES}\W*$"
)
"""A bank's set words for its own charge."""
_SENT_ON = re.compile(
    r"\b(?:TRANSFER TO|TRF TO|SWEEP|CRF|REMITTANCE|REVENUE FUND|CENTRAL BANK|CBK|PAYMENT TO|WITHDRAWAL)\b"
)
FEE_LIMIT_MINOR = 2_000_000
"""In cents. A debit above it is no fee by its words alone: a person looks."""
_CHEQUE = r"(?:CHE?Q(?:UE)?S?|CHECK|CQ)"
_AFTER = re.compile(rf"\b{_CHEQUE}\b\D{{0,28}}?(\d{{3,9}}(?:\s*[,&+]\s*\d{{3,9}})*)\b")
_BEFORE = re.compile(rf"\b(\d{{3,9}})\W{{1,3}}{_CHEQUE}\b")
_ALONE = re.compile(r"(?<![\w/.-])(\d{6})(?![\w/.-])")
_TRANSFER = re.compile(r"\b(?:EFT|RTGS|PESALINK|SWIFT|TRANSFER|TRF|FT\w*)\b")


def _said(line: StatementLine) -> str:
    return f"{line.text} {line.account_reference}".upper()


def is_return(line: StatementLine) -> bool:
    """Whether a bank's debit says that money came back out: its words say returned, unpaid or refer to drawer."""
    said = _said(line)
    is_debit = line.counts and line.kind is None and line.amount_minor < 0
    return is_debit and _RETURN.search(said) is not None and not is_fee(line)


def is_fee(line: StatementLine) -> bool:
    """Whether a bank's debit is the bank's own charge: small, called so in the bank's set words, and sent to nobody."""
    if not (line.counts and line.kind is None and -FEE_LIMIT_MINOR <= line.amount_minor < 0):
        return False
    said = _said(line)
    return _CHARGED.search(said) is not None and _SENT_ON.search(said) is None


def kind_of(line: StatementLine) -> Kind:
    """What a line is. A bank that only says credit or debit says payment or payout, a return or a fee."""
    if line.kind is not None:
        return line.kind
    if line.amount_minor > 0:
        return Kind.PAYMENT
    if is_return(line):
        return Kind.REVERSAL
    return Kind.CHARGE if is_fee(line) else Kind.PAYOUT


class Named(NamedTuple):
    """What a line names a cheque, a bill or another movement by."""

    cheques: frozenset[str]
    """Numbers of cheques, without leading zeros."""
    references: frozenset[str]
    """Words that may be the bank's own reference of another movement, upper case."""


def cheques(line: StatementLine) -> frozenset[str]:
    """The numbers of the cheques that a line names, without leading zeros; a bill's number is none."""
    said = _said(line)
    found = [number for run in _AFTER.findall(said) for number in re.findall(r"\d+", run)]
    found += _BEFORE.findall(said)
    if not found and is_return(line) and not _TRANSFER.search(said):
        found = _ALONE.findall(said)  # 'INWARD UNPAID 000123'
    return frozenset(number.lstrip("0") for number in found if not is_pay_account_number(number)) - {""}


_WORD = re.compile(r"[A-Z0-9][A-Z0-9/-]{6,39}")


def named(line: StatementLine) -> Named:
    """What the line of a return names the deposit by: cheques, and references that the bank gave the deposit."""
    words = {word for text in (line.text, line.account_reference) for word in _WORD.findall(text.upper())}
    words |= {value.upper() for _, value in line.references}
    own = {line.reference} if line.kind is None else set()  # an RC entry may bear the reference of what it takes back
    return Named(cheques(line), frozenset(word for word in words if any(map(str.isdigit, word))) - own)
