"""One Ntry of a camt message as a movement, from values by their path; and balances, accounts, days.

The direction is ``CdtDbtInd`` and nothing else: ``RvslInd`` says why, not which way. Only what is booked counts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache
from typing import Final, TypeAlias

from adapters.statements.amounts import xml_minor
from adapters.statements.tally import Tally
from revenue_engine.ports.callbacks import Kind, Party
from revenue_engine.ports.statements import StatementDetail, StatementFault, StatementLine, StatementRefused

Fields: TypeAlias = dict[str, str]
"""Text by path inside its scope; ``@`` behind a path is its currency; values of one path stand on lines."""

_CURRENCY: Final = re.compile("[A-Z]{3}")
_DAY: Final = re.compile(r"(\d{4}-\d\d-\d\d)(?:T\d\d:\d\d:\d\d(?:\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)?", re.ASCII)
_NOBODY: Final = Party()
_NOTHING: Final = frozenset({"", "NOTPROVIDED", "NONREF", "NOTAVAIL"})
_SIGNS: Final = {"CRDT": 1, "DBIT": -1}
_COUNTS: Final = {"BOOK": True, "PDNG": False, "INFO": False, "FUTR": False}
_REFERENCES: Final = tuple(
    (f"Refs/{name}", name)
    for name in (
        *("EndToEndId", "TxId", "UETR", "InstrId", "PmtInfId", "MsgId", "MndtId", "ChqNb", "ClrSysRef"),
        *("AcctOwnrTxId", "AcctSvcrTxId", "MktInfrstrctrTxId", "PrcgId"),
    )
)
_DEBTOR: Final = ("RltdPties/Dbtr/Nm", "RltdPties/Dbtr/Pty/Nm", "RltdPties/UltmtDbtr/Nm", "RltdPties/UltmtDbtr/Pty/Nm")
_CREDITOR: Final = (
    "RltdPties/Cdtr/Nm",
    "RltdPties/Cdtr/Pty/Nm",
    "RltdPties/UltmtCdtr/Nm",
    "RltdPties/UltmtCdtr/Pty/Nm",
)
_TEXT_WIDTH: Final = 140


@dataclass(frozen=True, slots=True)
class Here:
    """Where in the file something stands: the line, and the element as a person would name it."""

    line: int
    element: str


def refuse(fault: StatementFault, reason: str, line: int, element: str) -> StatementRefused:
    """A refusal at a line and an element."""
    return StatementRefused(fault, reason, line=line, column=element)


def balance_kind(values: Fields) -> str:
    """The type of a Bal: OPBD, CLBD, PRCD, ITBD, or one that proves nothing."""
    return values.get("Tp/CdOrPrtry/Cd", "")


def balance(values: Fields, here: Here) -> tuple[int, str]:
    """Cents (below zero for a debit) and currency of a Bal."""
    return _amount(values, "Amt", here) * _sign(values, here), currency_of(values, here)


def currency_of(values: Fields, here: Here) -> str:
    """The currency the Amt of an entry or a balance names."""
    return currency(values.get("Amt@", ""), Here(here.line, f"{here.element}/Amt"))


def currency(text: str, here: Here) -> str:
    """A currency of three capital letters. Raises StatementRefused."""
    if _CURRENCY.fullmatch(text) is None:
        raise refuse(
            StatementFault.BAD_CURRENCY,
            f"{text[:20]!r} is no currency; it is three capital letters, such as KES",
            here.line,
            here.element,
        )
    return text


def account(values: Fields) -> tuple[str, str]:
    """The account as the file writes it, and what to note where it writes none."""
    for path in ("IBAN", "Othr/Id", "BBAN", "PrtryAcct/Id", "UPIC"):
        found = values.get(f"Acct/Id/{path}")
        if found:
            return found, ""
    return "", "the statement names no account"


@lru_cache(maxsize=4096)
def day(text: str) -> date | None:
    """The day an ISO date or date with time names, as written; None where there is no such day."""
    found = _DAY.fullmatch(text)
    if found is None:
        return None
    try:
        return date.fromisoformat(found[1])
    except ValueError:
        return None


def day_or_none(text: str | None) -> date | None:
    """As ``day``, of a value that may be missing."""
    return day(text) if text else None


@lru_cache(maxsize=4096)
def _instant(text: str) -> datetime | None:
    """The instant of a date with time and offset; None where one is missing: no zone is guessed."""
    found = _DAY.fullmatch(text)
    if found is None or found[2] is None or "T" not in text:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Frame:
    """What the statement around an entry says about it."""

    currency: str
    tally: Tally
    turned: bool = False
    """Whether the bank writes the side of the original beside a reversal, as the balances prove."""
    day: date | None = None
    """The day on which the statement was made: that of an entry that is only shown and bears none."""
    apart: list[str] = field(default_factory=list)
    """Entries, by their names, whose parts are told and do not come to them: such a one is booked whole."""


def movement(values: Fields, details: list[Fields], here: Here, number: int, frame: Frame) -> StatementLine | None:
    """The line an entry is, with its payments and charges when they add up to it. Raises StatementRefused.

    None for an entry that is only shown and has no day, in a statement that has none either.
    """
    get, money, tally = values.get, frame.currency, frame.tally
    if get("Amt@") != money:
        raise refuse(
            StatementFault.BAD_CURRENCY,
            f"an entry in {get('Amt@')} stands in a statement in {money}",
            here.line,
            f"{here.element}/Amt",
        )
    size = _amount(values, "Amt", here)
    sign = _sign(values, here)
    status = get("Sts") or get("Sts/Cd") or get("Sts/Prtry") or ""
    counts = _COUNTS.get(status)
    if counts is None:
        raise refuse(
            StatementFault.MISSING_FIELD if not status else StatementFault.BAD_VALUE,
            f"{status[:20]!r} is no status; it is BOOK, PDNG, INFO or FUTR",
            here.line,
            f"{here.element}/Sts",
        )
    days = _days(values, here, counts=counts, shown_on=frame.day)
    if days is None:
        return None
    booked_on, value_on, occurred_at = days
    reversal = is_reversal(values, here)
    turn = -1 if reversal and frame.turned else 1
    sign *= turn
    alone = details[0] if len(details) == 1 else {}
    text, typed = _told(alone)
    text = text or get("AddtlNtryInf", "").replace("\n", " ")
    reference = (get("AcctSvcrRef") or alone.get("Refs/AcctSvcrRef") or "").upper()
    if reference in _NOTHING or "\n" in reference:
        reference = ""
    parts = _parts(values, details, size * sign, money, here, turn=turn)
    if not parts and counts and _contradicts(details, size * sign, money, here, turn=turn):
        frame.apart.append(reference or get("NtryRef") or f"number {number}")
    references: list[tuple[str, str]] = []
    own = get("NtryRef", "")
    if own not in _NOTHING:
        references.append(("NtryRef", own))
    if len(details) == 1 or not parts:
        for one in details:
            references.extend(_references(one))
    # Only a payment taken back is a reversal to us; a debit taken back is money that comes in.
    kind = Kind.REVERSAL if reversal and sign < 0 else None
    line = StatementLine(
        number=number,
        amount_minor=size * sign,
        booked_on=booked_on,
        reference=reference,
        occurrence=tally.occurrence(reference, kind, size * sign, booked_on, text, counts),
        kind=kind,
        counts=counts,
        occurred_at=occurred_at,
        value_on=value_on,
        text=text,
        account_reference=typed,
        code=_code(values),
        party=_party(alone, debtor=(sign > 0) is not reversal),
        references=tuple(references),
        details=parts,
    )
    tally.add(line)
    return line


def _amount(values: Fields, path: str, here: Here) -> int:
    text = values.get(path)
    element = f"{here.element}/{path}"
    if text is None:
        raise refuse(StatementFault.MISSING_FIELD, "the amount is missing; ask for the file anew", here.line, element)
    return xml_minor(text, line=here.line, column=element)


def _sign(values: Fields, here: Here) -> int:
    written = values.get("CdtDbtInd", "")
    sign = _SIGNS.get(written)
    if sign is None:
        raise refuse(
            StatementFault.BAD_SIGN if written else StatementFault.MISSING_FIELD,
            f"{written[:20]!r} is no direction; it is CRDT or DBIT, and none is guessed",
            here.line,
            f"{here.element}/CdtDbtInd",
        )
    return sign


def is_reversal(values: Fields, here: Here) -> bool:
    """Whether an entry takes another one back. Raises StatementRefused where it says neither."""
    return _flag(values.get("RvslInd", ""), here)


def _flag(text: str, here: Here) -> bool:
    if text not in {"", "true", "false", "1", "0"}:
        raise refuse(
            StatementFault.BAD_VALUE, f"{text[:20]!r} is neither true nor false", here.line, f"{here.element}/RvslInd"
        )
    return text in {"true", "1"}


def _days(
    values: Fields, here: Here, *, counts: bool, shown_on: date | None
) -> tuple[date, date | None, datetime | None] | None:
    """Booking day, value day and, where an offset is written, the instant it was booked.

    An entry that does not count needs no day: ``shown_on`` stands for it, and None is answered where there is none.
    """
    found: list[date | None] = [None, None]
    written = ""
    for place, element in enumerate(("BookgDt", "ValDt")):
        text = values.get(f"{element}/Dt") or values.get(f"{element}/DtTm") or ""
        on = day(text) if text else None
        if text and on is None and not counts:
            continue  # what is only shown needs no day
        if text and on is None and element == "ValDt" and found[0] is not None:
            continue  # months of thirty days, zeros: the entry is booked by its booking day
        if text and on is None:
            raise refuse(
                StatementFault.BAD_DATE,
                f"{text[:40]!r} is no day (2026-11-23); ask the bank to mend it",
                here.line,
                f"{here.element}/{element}",
            )
        written = written or text
        found[place] = on
    booked_on = found[0] or found[1]
    if booked_on is None and not counts:
        return None if shown_on is None else (shown_on, None, None)
    if booked_on is None:
        raise refuse(
            StatementFault.MISSING_FIELD,
            "neither a booking day nor a value day is written; ask the bank for the file anew",
            here.line,
            f"{here.element}/BookgDt",
        )
    return booked_on, found[1], _instant(written) if found[0] else None


def _code(values: Fields) -> str:
    get = values.get
    domain = get("BkTxCd/Domn/Cd")
    if domain:
        family = get("BkTxCd/Domn/Fmly/Cd", ""), get("BkTxCd/Domn/Fmly/SubFmlyCd", "")
        return "/".join((domain, *family))
    return get("BkTxCd/Prtry/Cd", "")


def _told(values: Fields) -> tuple[str, str]:
    """The text of a payment, and what its payer wrote: a structured reference before free words."""
    get = values.get
    free = get("RmtInf/Ustrd", "")
    if "\n" in free:
        free = _pieces(free.split("\n"))
    structured = get("RmtInf/Strd/CdtrRefInf/Ref", "").replace("\n", " ")
    text = free or get("AddtlTxInf", "").replace("\n", " ") or structured
    return text, structured or free


def _pieces(pieces: list[str]) -> str:
    """Remittance information comes in pieces of 140 letters; a full one was cut, and a shorter one ended."""
    text, glue = pieces[0], len(pieces[0]) >= _TEXT_WIDTH
    for piece in pieces[1:]:
        text = text + piece if glue else f"{text} {piece}"
        glue = len(piece) >= _TEXT_WIDTH
    return text


def _references(values: Fields) -> list[tuple[str, str]]:
    found = []
    for path, name in _REFERENCES:
        value = values.get(path)
        if value is not None and value not in _NOTHING:
            found.append((name, value))
    structured = values.get("RmtInf/Strd/CdtrRefInf/Ref")
    if structured:
        found.append(("CdtrRef", structured))
    return found


def _party(values: Fields, *, debtor: bool) -> Party:
    for path in _DEBTOR if debtor else _CREDITOR:
        name = values.get(path)
        if name:
            return Party(name)
    return _NOBODY


def _parts(
    entry: Fields, details: list[Fields], total: int, money: str, here: Here, *, turn: int
) -> tuple[StatementDetail, ...]:
    """The payments inside an entry and the charges the bank kept of them, or none where it is one movement.

    Amounts and charges are believed where they come to the entry to the cent, and only then: payments alone, payments
    and charges, or what payers were told to pay (``InstdAmt``) and charges.
    """
    told = [_gross(values, _PAID, total, money, here, turn=turn) for values in details]
    instructed = [_gross(values, _INSTRUCTED, total, money, here, turn=turn) for values in details]
    kept = sum(_charges(values, money, here) for values in details) or _charges(entry, money, here)
    for amounts in (told, instructed) if kept else ():
        if parts := _adding_up(details, amounts, total - kept):
            return (*parts, StatementDetail(kept, text=_KEPT, kind=Kind.CHARGE))
    same = all(one is None or one[0] * one[1] == total for one in told)
    included = _included(entry, kept, money, here)
    if not included and len(details) == 1 and not any(path in details[0] for path in _PAID):
        included = _included(details[0], kept, money, here)
    if included and same and len(details) < 2 and (total - included) * total > 0:
        kept = included
        alone = details[0] if details else entry  # the bank says itself that the amount is what is left
        way = 1 if total > 0 else -1
        return (_part(alone, total - kept, way), StatementDetail(kept, text=_KEPT, kind=Kind.CHARGE))
    return (_adding_up(details, told, total) or _adding_up(details, instructed, total)) if len(details) > 1 else ()


def _contradicts(details: list[Fields], total: int, money: str, here: Here, *, turn: int) -> bool:
    """Whether every payment inside an entry has an amount, and they do not come to ``total``."""
    told = [_gross(values, _PAID, total, money, here, turn=turn) for values in details]
    known = [size * way for size, way in (one for one in told if one is not None)]
    return bool(known) and len(known) == len(details) and sum(known) != total


def _included(entry: Fields, kept: int, money: str, here: Here) -> int:
    """The charges of an entry of which the bank says that its amount includes them (``ChrgInclInd``).

    All that were ``kept``, or those of which it is said; nothing where it is said of some and not of the others.
    """
    for path in ("Chrgs/Rcrd", "Chrgs"):
        told = entry.get(f"{path}/ChrgInclInd", "").split("\n")
        amounts = entry.get(f"{path}/Amt", "").split("\n")
        if not set(told) <= {"true", "false", "1", "0"} or len(told) != len(amounts):
            continue
        if set(told) <= {"true", "1"}:
            return kept
        ways, currencies = (entry.get(f"{path}/{name}", "").split("\n") for name in ("CdtDbtInd", "Amt@"))
        if len(ways) != len(amounts) or set(currencies) != {money}:
            continue
        return sum(
            xml_minor(amount, line=here.line, column=f"{here.element}/{path}/Amt") * _SIGNS.get(way, 0)
            for amount, way, included in zip(amounts, ways, told, strict=True)
            if included in {"true", "1"}
        )
    return 0


def _adding_up(details: list[Fields], amounts: list[tuple[int, int] | None], total: int) -> tuple[StatementDetail, ...]:
    """The payments of an entry where each has an amount and they come to ``total``; none otherwise."""
    known = [amount for amount in amounts if amount is not None]
    if len(known) < len(details) or sum(size * way for size, way in known) != total:
        return ()
    return tuple(_part(values, size * way, way) for values, (size, way) in zip(details, known, strict=True))


_PAID: Final = ("Amt", "AmtDtls/TxAmt/Amt")
_INSTRUCTED: Final = ("AmtDtls/InstdAmt/Amt",)
_KEPT: Final = "charges that the bank kept of the payment"


def _gross(
    values: Fields, paths: tuple[str, ...], total: int, money: str, here: Here, *, turn: int
) -> tuple[int, int] | None:
    """The amount of a payment at the first of these paths, and its way; None where it has none in the statement's
    currency."""
    path = next((path for path in paths if path in values), "")
    if not path or values.get(path + "@") != money:
        return None
    way = _sign(values, here) * turn if "CdtDbtInd" in values else (1 if total >= 0 else -1)
    return _amount(values, path, here), way


def _part(values: Fields, amount_minor: int, way: int) -> StatementDetail:
    """One payment of an entry: read only where the payments of the entry are believed."""
    text, typed = _told(values)
    own = values.get("Refs/AcctSvcrRef") or values.get("Refs/TxId") or ""
    return StatementDetail(
        amount_minor=amount_minor,
        reference="" if own in _NOTHING or "\n" in own else own.upper(),
        account_reference=typed,
        text=text,
        party=_party(values, debtor=way > 0),
        references=tuple(_references(values)),
    )


def _charges(values: Fields, money: str, here: Here) -> int:
    """The charges beside a payment, below zero where the bank takes them; nothing where they cannot be told."""
    for path in ("Chrgs/Rcrd", "Chrgs"):
        amounts = values.get(f"{path}/Amt", "").split("\n") if f"{path}/Amt" in values else []
        if not amounts:
            continue
        ways = values.get(f"{path}/CdtDbtInd", "").split("\n")
        ways = ["DBIT"] * len(amounts) if ways == [""] else ways * len(amounts) if len(ways) == 1 else ways
        if set(values.get(f"{path}/Amt@", "").split("\n")) != {money} or len(ways) != len(amounts):
            continue
        where = f"{here.element}/{path}/Amt"
        sizes = [xml_minor(amount, line=here.line, column=where) for amount in amounts]
        return sum(size * _SIGNS.get(way, 0) for size, way in zip(sizes, ways, strict=True))
    if values.get("Chrgs/TtlChrgsAndTaxAmt@") == money:
        where = f"{here.element}/Chrgs/TtlChrgsAndTaxAmt"
        return -xml_minor(values["Chrgs/TtlChrgsAndTaxAmt"], line=here.line, column=where)
    return 0
