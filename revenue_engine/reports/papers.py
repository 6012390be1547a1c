"""What a paper says, read from the books: a bill, a receipt, an acknowledgement; and whether one holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from revenue_engine import payments, periods
from revenue_engine.access import audit
from revenue_engine.access.scope import Scope
from revenue_engine.billing import counter, tariffs
from revenue_engine.channels import accounts
from revenue_engine.errors import InvalidValue, NotFound
from revenue_engine.money import grouped, parse_wire
from revenue_engine.papers import tokens
from revenue_engine.papers.sheets import Item, Paper
from revenue_engine.payments import browsing, receipts
from revenue_engine.reports.homes import homes
from revenue_engine.signed_notes import PublicKey, SigningKey

PRINTED = "paper.printed"
"""The act that the audit keeps for each print."""
_TITLES = {"receipt": "OFFICIAL RECEIPT", "acknowledgement": "ACKNOWLEDGEMENT"}
_NO_CASH = (
    "Cash is not accepted. Your receipt comes by SMS within a minute; report to the county who asks for cash.",
    "Fedha taslimu hazipokelewi. Risiti huja kwa SMS ndani ya dakika moja; ripoti anayeomba taslimu.",
)


def _copy(session: Session, number: str) -> int:
    """Which print of a paper this is; each is kept with who printed it."""
    copy = len(audit.facts_of(session, action=PRINTED, subject=number)) + 1
    audit.record(session, action=PRINTED, subject=number, facts={"copy": copy})
    return copy


def _day(moment: datetime) -> str:
    return moment.astimezone(periods.NAIROBI).strftime("%-d %b %Y, %H:%M")


def paybills(session: Session) -> list[str]:
    """The numbers that payers pay to by mobile money, those of accounts that are open."""
    return [one.identifier for one in accounts.listed(session) if one.adapter == "mpesa" and one.status != "disabled"]


def of_bill(session: Session, number: str, *, by: str, scope: Scope, address: str) -> Paper:
    """A bill to print; its QR leads to what is left of it. ``address`` is where browsers reach the desk.

    Raises NotFound, also for a bill of another place than ``scope``.
    """
    bill = counter.describe(session, number)
    if not scope.holds(bill["station"]):
        raise NotFound(f"no bill {number!r}", number=number)
    county, numbers = tariffs.county(session), paybills(session)
    left, heading = parse_wire(bill["outstanding"]), counter.heading(session, bill["number"])
    pay_to = (numbers[0], bill["pay_account_printed"]) if numbers and left else None
    how = (
        "1. M-PESA > Lipa na M-PESA > Pay bill.  2. Business number as above.  3. Account number as above.",
        "4. The amount, your PIN, and wait for the SMS of the receipt.",
        "1. M-PESA > Lipa na M-PESA > Pay bill.  2. Namba ya biashara.  3. Namba ya akaunti.  4. Kiasi na PIN yako.",
    )
    return Paper(
        county=county.name,
        title="BILL",
        number=bill["number"],
        amount_minor=left,
        amount_label="Left to pay",
        facts=(
            *((("For", heading.payer),) if heading.payer else ()),
            ("State", bill["state"]),
            ("Total", f"KSh {grouped(parse_wire(bill['total']))}"),
            ("Stream and station", " ".join(filter(None, (bill["stream"], bill["station"])))),
            ("Due", bill["due_on"]),
            ("By law", "; ".join(heading.laws)),
        ),
        items=tuple(Item(one["description"], one["quantity"], parse_wire(one["amount"])) for one in bill["lines"]),
        pay_to=pay_to,
        notes=(*how, *_NO_CASH),
        verify=f"{address}/look-up?named={bill['pay_account_number']}",
        scan="Scan to see what is left to pay",
        short=f"{address}/look-up",
        copy=_copy(session, bill["number"]),
        test=county.mode == "test",
        cancelled="this bill is not owed" if bill["state"] == "cancelled" else "",
        printed=f"Printed by {by}, {_day(periods.now())}",
    )


def of_receipt(
    session: Session, number: str, *, by: str, scope: Scope, keys: Sequence[SigningKey], address: str
) -> Paper:
    """A receipt or acknowledgement to print, with its proof. ``address`` is where browsers reach the desk.

    Raises NotFound, also for a paper of a payment of another place than ``scope``.
    """
    shown = receipts.named(session, number)
    county = tariffs.county(session)
    payment_id = receipts.payment_of(session, shown.id)
    if not payments.within(session, [payment_id], scope):
        raise NotFound(f"no receipt {number!r}", number=number)
    home, sender = homes(session, [payment_id])[payment_id], browsing.sender(session, payment_id)
    channel = accounts.labels(session)[home.payment.identity.channel_account_id]
    copy = _copy(session, shown.printed)
    token = tokens.sign(claim_of(shown, copy=copy), keys)
    short = f"{address}/v/{shown.printed}/{tokens.short_code(shown.public_id)}"
    return Paper(
        county=county.name,
        title=_TITLES[shown.kind],
        number=shown.printed,
        amount_minor=shown.amount_minor,
        amount_label="Received",
        facts=(
            ("Received from", sender.name or "the payer"),
            ("Provider's code", shown.reference),
            ("Paid", f"{_day(shown.paid_at)}, {channel}"),
            ("Receipted", _day(shown.issued_at)),
            *(("For", line) for line in home.lines),
        ),
        notes=_NO_CASH,
        verify=f"{address}/v#{token}" if token else short,
        short=f"Verify: {short}",
        copy=copy,
        test=county.mode == "test",
        cancelled=shown.cancelled_why or "" if shown.cancelled_at else "",
        printed=f"Printed by {by}, {_day(periods.now())}",
    )


def claim_of(shown: receipts.Shown, *, copy: int = 1) -> tokens.Claim:
    """What the token of a paper claims."""
    return tokens.Claim(
        shown.kind,
        shown.financial_year,
        shown.number,
        shown.amount_minor,
        shown.paid_at.astimezone(periods.NAIROBI).date(),
        copy,
    )


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is said of a paper to whoever holds it: no name, no phone, nothing of a paper that is not ours."""

    says: str
    """VALID, CANCELLED, REPRINT or NOT OURS."""
    number: str = ""
    amount_minor: int = 0
    paid_at: datetime | None = None
    why: str = ""
    test: bool = False


NOT_OURS = Verdict("NOT OURS", why="this county issued no such paper: do not accept it")


def by_code(session: Session, number: str, code: str) -> Verdict:
    """Whether a paper holds, by its number and the short code that stands beside it."""
    try:
        shown = receipts.named(session, number)
    except (NotFound, InvalidValue):
        return NOT_OURS
    if tokens.short_code(shown.public_id) != code.strip().upper():
        return NOT_OURS
    return _verdict(session, shown, copy=1)


def by_token(session: Session, token: str, trusted: Iterable[PublicKey]) -> Verdict:
    """Whether a paper holds, by the token of its QR."""
    try:
        claim = tokens.read(token, trusted)
        shown = receipts.named(session, receipts.printed_number(claim.kind, claim.financial_year, claim.number))
    except (NotFound, InvalidValue):
        return NOT_OURS
    return _verdict(session, shown, copy=claim.copy) if claim_of(shown, copy=claim.copy) == claim else NOT_OURS


def _verdict(session: Session, shown: receipts.Shown, *, copy: int) -> Verdict:
    test = tariffs.county(session).mode == "test"
    if shown.cancelled_at is not None:
        return Verdict("CANCELLED", shown.printed, shown.amount_minor, shown.paid_at, "it proves no payment", test)
    if copy > 1:
        why = f"this is copy {copy}: the payment counts once, whatever copies there are"
        return Verdict("REPRINT", shown.printed, shown.amount_minor, shown.paid_at, why, test)
    return Verdict("VALID", shown.printed, shown.amount_minor, shown.paid_at, "", test)


def owed(session: Session, words: str) -> list[dict[str, Any]]:
    """What is left to pay on bills that an account number or a plate names, for anybody who asks: no names, no phones.

    Raises InvalidValue for what is neither.
    """
    key = "".join(each for each in words.upper() if each.isalnum())
    if not 5 <= len(key) <= 20 or not any(each.isdigit() for each in key):
        raise InvalidValue("type the account number of the bill, or the plate", field="named")
    found = [one for one in counter.listed(session, words=key, limit=20) if one.outstanding_minor]
    return [
        {
            "account": f"{one.pay_account_number[:3]} {one.pay_account_number[3:6]} {one.pay_account_number[6:]}",
            "stream": one.stream,
            "due": one.due_on.isoformat(),
            "left": grouped(one.outstanding_minor),
        }
        for one in found
    ]
