"""What the words of an M-PESA organisation statement mean: kind, payer and account reference.

The shapes are the provider's own sentences, such as ``Pay Bill from 25472****108 - JANE **** DOE Acc. LR-00123``. Only
the words before the payer tell the kind: what a payer typed or is called never does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from revenue_engine.ports.callbacks import Kind, Party

_PAYER = re.compile(r" (?:from|by) (?=[\d+*])")
_LONGEST = 500
_PARTY = re.compile(r"(?P<number>\+?[\d*]{5,15}) - (?P<name>.+)")
_MSISDN = re.compile(r"\+?(?:254|0)?[17][\d*]{5,11}|\+?254[\d*]{6,10}|[\d*]*\*[\d*]*")
_REVERSAL = re.compile(r"\brevers(?:al|ed|e|ing)\b", re.IGNORECASE)
_CHARGE = re.compile(r"\bcharges?\b", re.IGNORECASE)
_SWEEP = re.compile(
    r"\bsettle(?:ment)?\b|\bsweep\b|\bwithdraw(?:al)?\b|\bMMF account\b|\bto bank\b|\b\w+ account to\b",
    re.IGNORECASE,
)
_PAYMENT = re.compile(
    r"\bpay ?bill\b|\bbuy goods\b|\bpay utility\b|\bmerchant pay(?:ment)?\b|\bcustomer payment\b|\bpay merchant\b",
    re.IGNORECASE,
)


_NOBODY = Party()


@dataclass(frozen=True, slots=True)
class Sentence:
    """The parts of one Details cell."""

    operation: str
    party: str = ""
    account: str = ""


def sentence(details: str) -> Sentence:
    """Take a Details cell apart; blanks and line ends in it count as one blank each."""
    body, mark, account = details.partition(" Acc.")
    operation, _, party = _parted(body)
    if not mark:
        return Sentence(operation, party)
    account = account.strip()
    if "via " in account and len(account) < _LONGEST:
        # A bank that pays for its customer signs behind the account: "... Acc. X via WEB by THE BANK\user".
        name = party.split(" - ", 1)[-1]
        account = re.sub(rf"(?:^| )via \w+ by {re.escape(name)}(?:\\.*)?$", "", account).strip()
    return Sentence(operation, party, account)


def _parted(body: str) -> tuple[str, str, str]:
    found = _PAYER.search(body)
    return (body, "", "") if found is None else (body[: found.start()], found[0], body[found.end() :])


@lru_cache(maxsize=4096)
def kind_of(operation: str, reason: str, provider: bool, paid_in: bool) -> Kind | None:
    """What moved, by the operation and the reason type; None where they do not say.

    ``provider`` says that the other party is the provider itself, who takes charges.

    Both legs of a movement between the organisation's own accounts are payouts, the one that comes in too: a sweep is
    never revenue.
    """
    if _REVERSAL.search(operation) or _REVERSAL.search(reason):
        return Kind.REVERSAL
    if not paid_in and (_CHARGE.search(operation) or provider):
        return Kind.CHARGE
    if paid_in and _PAYMENT.search(operation):
        return Kind.PAYMENT
    if _SWEEP.search(operation) or _SWEEP.search(reason):
        return Kind.PAYOUT
    if _PAYMENT.search(operation) or _PAYMENT.search(reason):
        return Kind.PAYMENT if paid_in else Kind.PAYOUT
    return None


def party_of(text: str) -> tuple[Party, str]:
    """The payer, and the short code where it is an organisation: ``25472****108 - JANE **** DOE``."""
    found = _PARTY.fullmatch(text) if text else None
    if found is None:
        return _NOBODY, ""
    number, name = found["number"], found["name"].strip()
    if len(number) >= 9 and _MSISDN.fullmatch(number):
        return Party(name=name, msisdn=number), ""
    return Party(name=name), number
