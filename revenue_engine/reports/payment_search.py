"""Find a payment by what a payer has in hand: the provider's code, a plate, a phone, a bill's number, the whole SMS.

What is not there is said as it is: not told by anybody, told and not confirmed, and when each channel was last heard.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.orm import Session

from reconciliation import breaks
from reconciliation.breaks import BreakReason
from revenue_engine import identifiers, payments, periods
from revenue_engine.access.scope import WHOLE, Scope
from revenue_engine.billing import payers
from revenue_engine.billing.tariffs import county
from revenue_engine.channels import accounts, deliveries
from revenue_engine.errors import InvalidValue
from revenue_engine.money import grouped
from revenue_engine.payments import evidence
from revenue_engine.payments.evidence import Told
from revenue_engine.ports.callbacks import Kind
from revenue_engine.reports.homes import Home, homes
from revenue_engine.statements import store
from revenue_engine.work import jobs

MOST = 50
"""Payments of one answer."""
LONGEST = 2_000
"""Letters of what is searched; an SMS has a few hundred."""
_CODE = re.compile(r"(?<![A-Z0-9])(?=[A-Z0-9]*[A-Z])(?=[A-Z0-9]*[0-9])[A-Z0-9]{8,22}(?![A-Z0-9])")
_MONEY = re.compile(r"\b(?:KSHS?|KES)\.?\s*(\d{1,3}(?:,\d{3})+|\d{1,9})(?:\.(\d{2}))?(?![\d,])")
_FOR_ACCOUNT = re.compile(r"\b(?:ACCOUNT|ACC|A/C)(?:\s+(?:NUMBER|NO\.?))?[:\s]+([A-Z0-9/ -]{3,30}?)(?=\s+ON\b|[.,;]|$)")
_LOOK_ALIKE = {"O": "0", "0": "O", "I": "1", "1": "I", "S": "5", "5": "S", "B": "8", "8": "B", "Z": "2", "2": "Z"}
_UNREAD = (BreakReason.UNPARSEABLE, BreakReason.PROOF_FAILED, BreakReason.WRONG_SHORTCODE_OR_STREAM)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person typed, understood: a code, a phone (E.164), words of a bill or a plate, or a message with several.

    ``minor`` is the first amount that a message names, in cents.
    """

    text: str
    codes: tuple[str, ...] = ()
    phone: str = ""
    words: str = ""
    minor: int | None = None
    is_message: bool = False


@dataclass(frozen=True, slots=True)
class FoundPayment:
    """A payment, what told of it, and where its money is."""

    home: Home
    channel: str
    told: tuple[Told, ...]
    by: str
    """How it was found: ``code``, ``number``, ``typed``, ``phone``, or ``masked phone``: maybe another person's."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found, and the truth about what was not."""

    asked: Asked
    found: list[FoundPayment] = field(default_factory=list)
    told_only: list[str] = field(default_factory=list)
    """What was told and is not posted, a sentence each."""
    warnings: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    """Why something that was looked for is not there, a sentence each."""
    test_books: bool = False


def understood(text: str) -> Asked:
    """What a person is looking for. Pure. Raises InvalidValue for nothing, or for more than a message holds."""
    tidy = " ".join(text.split())
    if not tidy:
        raise InvalidValue(
            "say what to look for: a code, a plate, a phone, a bill's number or the whole SMS", field="text"
        )
    if len(tidy) > LONGEST:
        raise InvalidValue(f"this is longer than {LONGEST} letters: paste one message", field="text")
    upper = tidy.upper()
    if " " in tidy and (_MONEY.search(upper) or "CONFIRMED" in upper or len(tidy) > 40):
        money = _MONEY.search(upper)
        minor = int(money[1].replace(",", "")) * 100 + int(money[2] or 0) if money else None
        codes = [one for one in _CODE.findall(upper) if not re.fullmatch(r"(KSHS?|KES)\d+", one)]
        account = _FOR_ACCOUNT.search(upper)
        words = identifiers.key(account[1]) if account else ""
        codes = [one for one in dict.fromkeys(codes) if one != words]
        return Asked(tidy, tuple(codes[:5]), "", words, minor, is_message=True)
    words = identifiers.key(tidy)
    phone = ""
    if re.fullmatch(r"\+?[\d ()./-]{9,20}", tidy):
        try:
            phone = payers.normalise_phone(tidy)
        except InvalidValue:
            phone = ""
    return Asked(tidy, () if phone else tuple(dict.fromkeys([upper, words])), phone, words)


def find(session: Session, text: str, *, scope: Scope = WHOLE) -> Answer:
    """Find payments by what a person has in hand. Raises InvalidValue; what is not found is said in the answer.

    Payments outside ``scope`` are counted and not shown.
    """
    asked = understood(text)
    answer = Answer(asked, test_books=county(session).mode == "test")
    by: dict[int, str] = {}
    for payment_id in payments.called(session, asked.codes) if asked.codes else ():
        by.setdefault(payment_id, "code")
    if not (asked.is_message and by):
        _by_number(session, asked, by)
    if asked.phone:
        _by_phone(session, asked.phone, by)
    seen = payments.within(session, list(by), scope)
    if len(seen) < len(by):
        answer.warnings.append(f"{len(by) - len(seen)} payments that fit are of another sub-county: ask its office")
        by = {payment_id: how for payment_id, how in by.items() if payment_id in seen}
    ids = list(by)[:MOST]
    if len(by) > MOST:
        answer.warnings.append(f"{len(by)} payments fit: the first {MOST} are shown")
    _describe(session, ids, by, answer)
    told = evidence.told_of(session, asked.codes) if asked.codes else []
    _only_told(session, [one for one in told if not one.posted], answer)
    _compare(answer)
    if not by and not answer.warnings and not answer.told_only:
        _absent(session, answer)
    return answer


def _by_number(session: Session, asked: Asked, by: dict[int, str]) -> None:
    bills = payers.bills_named(session, words=asked.words, phone=asked.phone) if asked.words or asked.phone else []
    for payment_id in payments.paying(session, bills) if bills else ():
        by.setdefault(payment_id, "number")
    if len(asked.words) >= 4:  # shorter words stand in half of what people type
        held = [one.payment_id for one in breaks.listed(session, limit=5_000) if one.payment_id is not None]
        for payment_id in payments.typed_words(session, held, asked.words):
            by.setdefault(payment_id, "typed")


def _by_phone(session: Session, phone: str, by: dict[int, str]) -> None:
    digits = phone.removeprefix("+")
    clear = [phone, digits, hashlib.sha256(digits.encode()).hexdigest()]
    if digits.startswith("254"):
        clear += ["0" + digits[3:], digits[3:]]
    for payment_id in payments.from_phones(session, clear, limit=MOST):
        by.setdefault(payment_id, "phone")
    hidden = [
        f"{digits[:kept]}{blank}{'*' * stars}{blank}{digits[-shown:]}"
        for kept, shown, blank in itertools.product((3, 4, 5, 6), (2, 3, 4), ("", " "))
        for stars in {4, 5, 6, len(digits) - kept - shown}
    ]
    for payment_id in payments.from_phones(session, hidden, limit=MOST):
        by.setdefault(payment_id, "masked phone")


def _describe(session: Session, ids: Sequence[int], by: dict[int, str], answer: Answer) -> None:
    where, labels = homes(session, ids), accounts.labels(session)
    told: dict[tuple[int, str, str], list[Told]] = {}
    for one in evidence.told_of(session, [home.payment.identity.reference for home in where.values()]):
        told.setdefault((one.channel_account_id, one.kind, one.reference), []).append(one)
    for payment_id in ids:
        identity = where[payment_id].payment.identity
        channel = labels.get(identity.channel_account_id, "")
        answer.found.append(
            FoundPayment(
                where[payment_id],
                channel,
                tuple(told.get((identity.channel_account_id, identity.kind, identity.reference), ())),
                by[payment_id],
            )
        )


def _only_told(session: Session, told: Sequence[Told], answer: Answer) -> None:
    """Say what messages told of and nothing confirms: a movement once, however many messages spoke of it."""
    labels = accounts.labels(session)
    for one in {(one.channel_account_id, one.kind, one.reference): one for one in told}.values():
        amount = "" if one.amount_minor is None else f" of {grouped(one.amount_minor)}"
        where = labels.get(one.channel_account_id, "")
        answer.told_only.append(
            f"{one.reference}: a {one.kind}{amount} was told on {where} by {one.message}, {at(one.recorded_at)}, and"
            " nothing confirms the message yet: it is waiting, and pays nothing until another evidence agrees"
        )


def _compare(answer: Answer) -> None:
    """A message that names another amount than the payment's is not that payment's message. A charge or a reversal may
    bear the receipt of the payment beside it, and no message speaks of its amount."""
    minor = answer.asked.minor
    named = [one for one in answer.found if one.by == "code" and one.home.payment.identity.kind == Kind.PAYMENT]
    for one in named if all(one.home.payment.amount_minor != minor for one in named) else ():
        if minor is not None:
            answer.warnings.append(
                f"the message names KES {grouped(minor)} and {one.home.payment.identity.reference} is a payment of"
                f" {grouped(one.home.payment.amount_minor)}: ask to see the message on the phone itself"
            )


def _absent(session: Session, answer: Answer) -> None:
    asked = answer.asked
    said = answer.absent
    code = next((one for one in asked.codes if _CODE.fullmatch(one)), "")
    if asked.is_message and not asked.codes:
        said.append("the message holds no payment code: a code is 8 to 22 letters and figures, such as UKSZMW9G3S")
    elif code:
        said.append(f"no message, answer of a provider or statement has told of {code} so far")
        near = [one for one in _look_alikes(code) if one not in asked.codes]
        for home in homes(session, payments.called(session, near)).values():
            said.append(f"did you mean {home.payment.identity.reference}? O and 0, I and 1, S and 5 look alike")
    elif asked.phone:
        said.append("no payment came from this phone, and no bill of its owner was paid; phones that the provider masks"
                    " are found by their last three digits only")  # fmt: skip
    elif payers.is_known(session, asked.words):
        said.append(f"{asked.text} is known, and no payment was ever set against a bill of it")
    else:
        said.append(f"nothing is called {asked.text}: no payment, no bill, no plate or other name of an object")
    if code or asked.phone:
        said += _heard(session)


def _look_alikes(code: str) -> list[str]:
    """The code with up to two letters swapped for the figures they look like."""
    places = [index for index, letter in enumerate(code) if letter in _LOOK_ALIKE]
    found = []
    for size in (1, 2):
        for chosen in itertools.combinations(places, size):
            letters = list(code)
            for index in chosen:
                letters[index] = _LOOK_ALIKE[letters[index]]
            found.append("".join(letters))
    return found


def _heard(session: Session) -> list[str]:
    """When each channel was last heard, how far its statements go, and what is still unread."""
    heard, covered = deliveries.last_heard(session), store.covered_until(session)
    said = []
    for account, label in accounts.labels(session).items():
        last = f"last heard {at(heard[account])}" if account in heard else "never heard yet"
        until = (
            f"; statements cover days to {covered[account]:%d %b %Y}" if account in covered else "; no statement yet"
        )
        said.append(f"{label}: {last}{until}")
    waiting = jobs.backlog(session).ready
    if waiting:
        said.append(f"{waiting} deliveries are still being read: ask again in a minute")
    unread = breaks.listed(session, reasons=_UNREAD, limit=1_000)
    if unread:
        said.append(
            f"{len(unread)} messages could not be read or proved, and one of them may be this payment's: see"
            " 'revenue-engine break list --owner ict'"
        )
    return said


def at(moment: datetime) -> str:
    """An instant as people say it, in Nairobi."""
    return moment.astimezone(periods.NAIROBI).strftime("%d %b %Y %H:%M")
