"""A bank that plays one day against the intake: signed notices with the faults of real ones, and its statement.

``make_day`` is a pure function of its arguments: the same seed plays the same day. It keeps the truth, what the bank
booked, apart from what it tells: some movements are never told, some told twice, some forged by a stranger. The
statement holds every movement of the truth, and the sweep of the county's M-PESA money as one credit.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from html import escape
from typing import Any, Final, Literal

import httpx2

from adapters.kcb import adapter as kcb
from adapters.kcb import rehearsals
from adapters.signed_json import coop, ncba
from revenue_engine.errors import InvalidValue
from revenue_engine.money import wire
from revenue_engine.periods import NAIROBI
from revenue_engine.ports.callbacks import AckOutcome, EchoingAdapter, Rehearsal, RehearsingAdapter, Signed

Fault = Literal["", "lost", "twice", "forged", "debit"]
FAULTS: Final[tuple[Fault, ...]] = ("lost", "twice", "forged", "debit")
BANKS: Final[Mapping[str, RehearsingAdapter]] = {"kcb": kcb, "coop": coop, "ncba": ncba}
ATTEMPTS: Final = 4
"""How often a notice is sent before the bank marks us down."""


@dataclass(frozen=True, slots=True)
class Movement:
    """What the bank booked: a customer's payment, a debit of its own, or the sweep of M-PESA money."""

    reference: str
    amount_minor: int
    """Signed by its effect on the account."""
    occurred_at: datetime
    kind: Literal["payment", "debit", "sweep"]
    bill: str = ""
    receipt: str = ""
    """The mobile receipt of the payer, where there is one."""
    fault: Fault = ""

    @property
    def told(self) -> bool:
        """Whether a true notice tells of it."""
        return self.kind == "payment" and self.fault != "lost"


@dataclass(frozen=True, slots=True)
class Hit:
    """One notice as it is posted."""

    sent_at: datetime
    sent: Signed = field(repr=False)
    about: str
    true: bool = True
    """False for a stranger's forgery."""


@dataclass(frozen=True, slots=True)
class BankDay:
    """A day of one account: the truth, what is told of it, and the balances around it."""

    bank: str
    account: str
    day: date
    opening_minor: int
    movements: tuple[Movement, ...]
    hits: tuple[Hit, ...]
    rehearsal: Rehearsal

    @property
    def closing_minor(self) -> int:
        """What the account holds after the day."""
        return self.opening_minor + sum(one.amount_minor for one in self.movements)

    @property
    def told_minor(self) -> int:
        """What true notices tell of, each movement once."""
        return sum(one.amount_minor for one in self.movements if one.told)


def make_day(
    bank: str,
    account: str,
    day: date,
    *,
    payments: int,
    seed: int,
    bills: Sequence[str] = ("482915363",),
    sweep_minor: int = 0,
    faults: Sequence[Fault] = FAULTS,
    secrets: Mapping[str, str] | None = None,
) -> BankDay:
    """Play a day of ``payments`` payments; about one in seven meets a fault. Raises InvalidValue for another bank."""
    if bank not in BANKS:
        raise InvalidValue(f"the simulator plays {', '.join(BANKS)}, not {bank!r}", field="bank")
    chance = random.Random(f"{seed}:{bank}:{account}:{day}")  # noqa: S311 - a day must play again exactly
    rehearsal = BANKS[bank].rehearse(account, secrets)
    start = datetime.combine(day, time(6), tzinfo=NAIROBI)
    movements: list[Movement] = []
    for number in range(1, payments + 1):
        fault = chance.choice(tuple(faults)) if faults and chance.random() < 1 / 7 else ""
        made = Movement(
            reference=_reference(bank, day, number),
            amount_minor=chance.choice((5_000, 10_000, 30_000, 150_000, 150_050, 1_234_567)),
            occurred_at=start + timedelta(seconds=chance.randrange(14 * 3600)),
            kind="payment",
            bill=chance.choice(tuple(bills)),
            receipt=f"U{chr(64 + day.month)}{'123456789ABCDEFGHIJKLMNOPQRSTUV'[day.day - 1]}B{number:06d}",
            fault=fault,
        )
        if fault == "debit":
            debit = replace(made, reference=f"{made.reference}D"[-30:], amount_minor=-2_500, kind="debit", fault="")
            movements += [replace(made, fault=""), debit]
        else:
            movements.append(made)
    if sweep_minor:
        at = datetime.combine(day, time(21, 30), tzinfo=NAIROBI)
        movements.append(Movement(f"SWEEP{day:%y%m%d}", sweep_minor, at, "sweep"))
    movements.sort(key=lambda one: (one.occurred_at, one.reference))
    hits = [hit for one in movements for hit in _hits(bank, account, one, rehearsal, chance)]
    hits.sort(key=lambda hit: hit.sent_at)
    return BankDay(bank, account, day, chance.randrange(10**9), tuple(movements), tuple(hits), rehearsal)


def _reference(bank: str, day: date, number: int) -> str:
    if bank == "coop":
        return f"CB{number:07d}_{day:%d%m%Y}_1"
    if bank == "ncba":
        return f"U{chr(64 + day.month)}{'123456789ABCDEFGHIJKLMNOPQRSTUV'[day.day - 1]}A{number:06d}"
    return f"FT{day:%y%j}{number:05d}"


def _hits(bank: str, account: str, one: Movement, rehearsal: Rehearsal, chance: random.Random) -> list[Hit]:
    if one.kind == "sweep" or one.fault == "lost" or (one.kind == "debit" and bank != "coop"):
        return []  # only one bank tells of debits, and on the URL of credits
    sent = rehearsal.sign(_BODIES[bank](account, one))
    at = one.occurred_at + timedelta(seconds=chance.randrange(1, 90))
    hits = [Hit(at, sent, one.reference)]
    if one.fault == "twice":
        hits.append(Hit(at + timedelta(seconds=chance.choice((0, 0, 60, 3_600))), sent, one.reference))
    if one.fault == "forged":
        other = _BODIES[bank](account, replace(one, reference=f"{one.reference}X", amount_minor=99_999_900))
        headers = sent.headers if rehearsal.covers_body else dict.fromkeys(sent.headers, "Basic Zm9yZ2VkOmZvcmdlZA==")
        hits.append(Hit(at, Signed(other, headers), f"{one.reference}X", true=False))
    return hits


# --- bodies ----------------------------------------------------------------------------------------------------------


def _kcb(account: str, one: Movement) -> bytes:
    amount = f"{one.amount_minor // 100:,}.{one.amount_minor % 100:02d}"
    if one.receipt.endswith(("0", "5")):  # every fifth came through the till
        when = f"{one.occurred_at:%a %b %d %H:%M:%S} EAT {one.occurred_at:%Y}"
        return rehearsals.till_notice(
            account,
            reference=one.reference,
            receipt=one.receipt,
            amount=wire(one.amount_minor),
            bill=one.bill,
            when=when,
        )
    return rehearsals.account_notice(
        account,
        reference=one.reference,
        amount=amount,
        bill=one.bill,
        timestamp=f"{one.occurred_at:%Y%m%d%H%M%S}",
    )


def _coop(account: str, one: Movement) -> bytes:
    narration = f"{one.receipt}~254700000101~{one.bill}~MPESAC2B_400000~SAMPLE PAYER"
    return json.dumps(
        {
            "AcctNo": account,
            "Amount": wire(abs(one.amount_minor)),
            "Currency": "KES",
            **{f"CustMemoLine{n + 1}": narration[n * 25 : n * 25 + 25] for n in range(3)},
            "EventType": "CREDIT" if one.amount_minor > 0 else "DEBIT",
            "ExchangeRate": "",
            "Narration": narration if one.amount_minor > 0 else "LEDGER FEE",
            "PaymentRef": f"{one.occurred_at:%d%m%Y}_1",
            "PostingDate": f"{one.occurred_at:%Y-%m-%d}",
            "ValueDate": f"{one.occurred_at:%Y-%m-%d}",
            "TransactionDate": f"{one.occurred_at:%Y-%m-%dT%H:%M:%S}",
            "TransactionId": one.reference,
        }
    ).encode()


def _ncba(account: str, one: Movement) -> bytes:
    return json.dumps(
        {
            "TransType": "Pay Bill",
            "TransID": one.reference,
            "FTRef": f"FT{one.reference}",
            "TransTime": f"{one.occurred_at:%Y%m%d%H%M%S}",
            "TransAmount": wire(one.amount_minor),
            "BusinessShortCode": account,
            "BillRefNumber": one.bill,
            "Narrative": one.bill,
            "Mobile": "254700000101",
            "name": "SAMPLE PAYER",
            "Hash": "",
        }
    ).encode()


_BODIES: Final[Mapping[str, Callable[[str, Movement], bytes]]] = {"kcb": _kcb, "coop": _coop, "ncba": _ncba}


# --- posting ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Told:
    """How the posting went: how many calls, what was acknowledged, and what the bank gave up on."""

    calls: int = 0
    acknowledged: int = 0
    refused: list[str] = field(default_factory=list)
    """References of notices answered in the bank's form of refusal."""
    given_up: list[str] = field(default_factory=list)
    """References of notices that were never answered in the bank's own form: the bank marks us down."""


def post_day(day: BankDay, address: str, client: httpx2.Client) -> Told:
    """Post the notices in their order, each again while it is not answered in the bank's own form."""
    told = Told()
    adapter: Any = BANKS[day.bank]
    for hit in day.hits:
        kept, refused = (_ack(adapter, outcome, hit.sent.body) for outcome in (AckOutcome.KEPT, AckOutcome.REFUSED))
        for attempt in range(1, ATTEMPTS + 1):
            told.calls += 1
            headers = {"content-type": "application/json", **hit.sent.headers}
            try:
                answer = client.post(address, content=hit.sent.body, headers=headers).content
            except httpx2.HTTPError:
                answer = b""
            if answer == kept:
                told.acknowledged += 1
                break
            if answer == refused:
                told.refused.append(hit.about)
                break
            if attempt == ATTEMPTS:
                told.given_up.append(hit.about)
    return told


def _ack(adapter: RehearsingAdapter, outcome: AckOutcome, body: bytes) -> bytes:
    return adapter.ack_for(outcome, body) if isinstance(adapter, EchoingAdapter) else adapter.ack(outcome)


# --- the statement ---------------------------------------------------------------------------------------------------


def _narration(one: Movement) -> str:
    if one.kind == "sweep":
        return "MPESA SETTLEMENT"
    return f"{one.receipt} {one.bill}" if one.kind == "payment" else "LEDGER FEE"


def mt940(day: BankDay) -> bytes:
    """The day as MT940: one ``:61:`` a movement, its narration in ``:86:``."""

    def balance(tag: str, minor: int) -> str:
        return f":{tag}:{'C' if minor >= 0 else 'D'}{day.day:%y%m%d}KES{wire(abs(minor)).replace('.', ',')}"

    lines = [f":20:ST{day.day:%y%m%d}", f":25:{day.account}", f":28C:{day.day:%j}/1", balance("60F", day.opening_minor)]
    for one in day.movements:
        mark, amount = ("C" if one.amount_minor > 0 else "D"), wire(abs(one.amount_minor)).replace(".", ",")
        lines.append(f":61:{day.day:%y%m%d%m%d}{mark}{amount}NTRF{one.reference[:16]}//{one.reference[-16:]}")
        lines.append(f":86:{one.reference} {_narration(one)}")
    return "\r\n".join([*lines, balance("62F", day.closing_minor), "-", ""]).encode("ascii")


def camt053(day: BankDay) -> bytes:
    """The day as camt.053.001.02."""

    def balance(code: str, minor: int) -> str:
        mark = "CRDT" if minor >= 0 else "DBIT"
        return (
            f'<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp><Amt Ccy="KES">{wire(abs(minor))}</Amt>'
            f"<CdtDbtInd>{mark}</CdtDbtInd><Dt><Dt>{day.day}</Dt></Dt></Bal>"
        )

    entries = "".join(
        f'<Ntry><Amt Ccy="KES">{wire(abs(one.amount_minor))}</Amt>'
        f"<CdtDbtInd>{'CRDT' if one.amount_minor > 0 else 'DBIT'}</CdtDbtInd><Sts>BOOK</Sts>"
        f"<BookgDt><Dt>{day.day}</Dt></BookgDt><ValDt><Dt>{day.day}</Dt></ValDt>"
        f"<AcctSvcrRef>{escape(one.reference)}</AcctSvcrRef>"
        "<BkTxCd><Prtry><Cd>NTRF</Cd></Prtry></BkTxCd>"
        f"<AddtlNtryInf>{escape(_narration(one))}</AddtlNtryInf></Ntry>"
        for one in day.movements
    )
    made = datetime.combine(day.day, time(23, 59), tzinfo=NAIROBI).isoformat()
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.02"><BkToCstmrStmt>'
        f"<GrpHdr><MsgId>M{day.day:%y%m%d}</MsgId><CreDtTm>{made}</CreDtTm></GrpHdr>"
        f"<Stmt><Id>S{day.day:%y%m%d}</Id><ElctrncSeqNb>{day.day:%j}</ElctrncSeqNb><CreDtTm>{made}</CreDtTm>"
        f"<Acct><Id><Othr><Id>{escape(day.account)}</Id></Othr></Id><Ccy>KES</Ccy></Acct>"
        f"{balance('OPBD', day.opening_minor)}{balance('CLBD', day.closing_minor)}{entries}"
        "</Stmt></BkToCstmrStmt></Document>"
    ).encode()


def csv(day: BankDay) -> bytes:
    """The day as an internet banking export: two lines of heading, money out and in, the ledger balance running."""
    rows = [
        f"Account Statement,{day.account}",
        f"Period,{day.day:%d/%m/%Y}",
        "",
        "Transaction Date,Value Date,Transaction Details,Reference,Money Out,Money In,Ledger Balance",
        f"{day.day:%d/%m/%Y},,Balance brought forward,,,,{wire(day.opening_minor)}",
    ]
    running = day.opening_minor
    for one in day.movements:
        running += one.amount_minor
        out = wire(-one.amount_minor) if one.amount_minor < 0 else ""
        into = wire(one.amount_minor) if one.amount_minor > 0 else ""
        on = f"{day.day:%d/%m/%Y}"
        rows.append(f"{on},{on},{_narration(one)},{one.reference},{out},{into},{wire(running)}")
    return "\r\n".join([*rows, f"Total,,,,,,{wire(day.closing_minor)}", ""]).encode()
