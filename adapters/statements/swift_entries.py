"""One :61: line and its :86: field as a movement, and the balances and sums around them."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta
from functools import lru_cache
from typing import Final

from adapters.statements import narratives
from adapters.statements.amounts import minor, swift_minor
from adapters.statements.tally import Tally
from revenue_engine.ports.callbacks import Kind, Party
from revenue_engine.ports.statements import StatementEvent, StatementFault, StatementLine, StatementRefused

_ENTRY: Final = re.compile(
    r"(\d{6}(?:\d{4}| {4})?)"
    r"(R[CD]|E[CD]|[CD])[A-Z]?"
    r"(\d+)(?:[.,](\d*))?"
    r"(?:(?!NONREF)([NSF][A-Z0-9][A-Z0-9 ]{2})|(?=NONREF|//|\s*$))"
    r"(.*)",
    re.ASCII,
)
_LOOSE: Final = re.compile(
    r"\s*(?:20(?=\d\d(?:0[1-9]|1[0-2])\d\d(?:\d{4})?\s*[RECD]))?"
    r"(\d{6})\s*(\d{4}(?=\s*[RECD])| {4})?\s*(R\s?[CD]|E\s?[CD]|[CD])\s*[A-Z]?\s*(-|\+?)\s*(\d+)(?:[.,](\d*))?"
    r"(-(?!-))?\s*+((?![\d.,]).*)",
    re.ASCII,
)
"""An entry with blanks between its parts, a year of four digits, a sign beside its amount, or a type of the bank's own.
Every part has an alphabet of its own, so a blank between two has one meaning; behind the amount nothing is money."""
_TYPE: Final = re.compile(r"(?!NONREF)([NSF][A-Z0-9 .\-]{3}|[A-Z][A-Z0-9 .\-]{3}(?=NONREF|//|$))(.*)", re.ASCII)
"""A type as some bank writes one; what is none of these is the reference."""
_CUT: Final = re.compile(r"\d{6}\s*(?:\d{4}| {4})?\s*(?:R[CD]|E[CD]|[CD])\s*[A-Z]?\s*\d*(?:[.,]\d?)?", re.ASCII)
"""A :61: whose amount is not written to its end: what stands on the next line belongs to it."""
_PART: Final = re.compile(r"\d{0,10}(?:R?[CD]?[A-Z]?)", re.ASCII)
"""A :61: that ends before its amount."""
_USUAL: Final = re.compile(
    r":61:([0-9]{10}|[0-9]{6})(R?[CD])[A-Z]?([0-9]{1,14})[.,]([0-9]{0,2})(?!NONREF)([NSF][A-Z0-9][A-Z0-9 ]{2})"
    r"(?:NONREF|([^\n/]*))(?://([^\n]*))?\n"
    r"(?:([A-Za-z0-9/][^\n]*)\n)?"
    r"(?::86:([^\n]*\n(?: ?[A-Za-z0-9/?][^\n]*\n){0,9}))?"
    r"(?=:6[12])"
    r"|([\s\S]+)"
)
"""An entry as almost all of them are: a sign and at most two decimals, a code, at most ten lines of information, and
the next tag; or else all that is left. So `findall` answers the entries that stand one behind the other, and the rest.
"""
_STARTS: Final = frozenset(["", *"\n/ 0123456789?~<>"])
"""What a narrative with a structure begins with; a line feed where it begins on the next line."""
_BALANCE: Final = re.compile(r"(R?[CD]|[CD]R(?=\s*\d))\s*(\d{6})\s*([A-Z]{3})?(.*)", re.ASCII)
_SUM: Final = re.compile(r"(?:(\d*)\s*([A-Z]{3}))?\s*([\d.,]*)", re.ASCII)
_SIGNS: Final = {"C": 1, "D": -1, "RC": -1, "RD": 1, "EC": 1, "ED": -1}
"""The effect on the account. A credit reversed takes money away; a debit reversed brings it back."""
_ADDS: Final = frozenset({"C", "RD"})
_KINDS: Final = {"RC": Kind.REVERSAL}
"""Only a payment taken back is a reversal to us; a debit taken back is money that comes in."""
_NONE: Final[list[str]] = []
_NOBODY: Final = Party()
_PLACEHOLDERS: Final = frozenset({"", "NONREF", "NOREF", "NOTPROVIDED"})


def refuse(fault: StatementFault, reason: str, line: int, column: str) -> StatementRefused:
    """A refusal at a line; ``column`` is the tag."""
    return StatementRefused(fault, reason, line=line, column=column)


def _date(year: int, month: str, of_month: str) -> date | None:
    try:
        return date(year, int(month), int(of_month))
    except ValueError:
        return None


@lru_cache(maxsize=4096)
def day(text: str) -> date | None:
    """A day written YYMMDD, or None where there is no such day. 80 to 99 are of the last century."""
    year = int(text[:2])
    return _date(year + (1900 if year >= 80 else 2000), text[2:4], text[4:])


@lru_cache(maxsize=4096)
def days(text: str) -> tuple[date, date] | None:
    """Value day and entry day of ``YYMMDD`` and perhaps ``MMDD``; None where one is no day of the calendar.

    An entry day has no year: it is the one nearest to the value day, so 31 December may stand beside 1 January.
    """
    value = day(text[:6])
    if value is None:
        return None
    if not text[6:].strip():
        return value, value
    entry = _nearest(value, text[6:8], text[8:])
    return None if entry is None else (value, entry)


def _nearest(to: date, month: str, of_month: str) -> date | None:
    known = [entry for year in (to.year, to.year - 1, to.year + 1) if (entry := _date(year, month, of_month))]
    return min(known, key=lambda entry: abs((entry - to).days)) if known else None


def _thirty(text: str) -> date | None:
    """The last of February for a 29th or 30th that the year has not: some banks count months of thirty days."""
    return day(text[:4] + "01") if text[2:] in {"0229", "0230"} else None


def _days_of_thirty(text: str) -> tuple[date | None, date] | None:
    """As ``days``, where a month is counted as thirty days: no value day, and the entry day that is written or the last
    of February. None where a day is none by that count either."""
    entry, value = text[6:].strip(), day(text[:6])
    if value is None:
        month = _thirty(text[:6])
        if month is None:
            return None
        last = month.replace(month=3) - timedelta(days=1)
        if not entry:
            return None, last
        booked = _nearest(last, entry[:2], entry[2:])
        return None if booked is None and entry not in {"0229", "0230"} else (None, booked or last)
    last = date(value.year, 3, 1) - timedelta(days=1)
    return (value, last) if entry in {"0229", "0230"} and abs(last - value) < timedelta(days=31) else None


def balance(value: str, *, line: int, tag: str) -> tuple[int, str]:
    """A balance in cents, below zero when it is a debit, and its currency, empty where none is written."""
    found = _BALANCE.fullmatch(value.strip())
    if found is not None and found[4].lstrip()[:1] in {"-", "+"}:
        raise refuse(
            StatementFault.BAD_SIGN,
            f"{value[:40]!r} is a balance with a sign; the side stands in front, C or D, and a sign beside it could"
            " turn it or repeat it. Ask the bank for the balance without a sign",
            line,
            tag,
        )
    if found is None or found[1][0] == "R":
        raise refuse(
            StatementFault.BAD_VALUE,
            f"{value[:40]!r} is not a balance; it is C or D, a day, a currency and an amount: C261101KES1250,50",
            line,
            tag,
        )
    size = swift_minor(found[4].strip(), line=line, column=tag)
    return (size if found[1][0] == "C" else -size), found[3] or ""


def balance_day(value: str) -> date | None:
    """The day a balance bears, which is used for nothing; None where it is no day of the calendar."""
    found = _BALANCE.fullmatch(value.strip())
    return None if found is None else day(found[2])


def is_turned(head: str) -> bool:
    """Whether an entry's amount has a minus sign, which turns its direction."""
    if "-" not in head or _ENTRY.fullmatch(head):
        return False
    found = _LOOSE.fullmatch(head)
    return found is not None and bool(found[4] == "-" or found[7])


def movements_sum(value: str, *, line: int, tag: str) -> tuple[int | None, int | None, str]:
    """How many movements :90D: or :90C: counts and their sum in cents, None for what it leaves out, and its currency.

    ``KES,00`` is a sum of nothing.
    """
    found = _SUM.fullmatch(value.strip())
    if found is None:
        raise refuse(
            StatementFault.BAD_VALUE, f"{value[:40]!r} is not a sum; it is a count, a currency, an amount", line, tag
        )
    count, currency, written = found[1], found[2] or "", found[3]
    if written[:1] in {",", "."}:
        written = "0" + written
    total = swift_minor(written, line=line, column=tag) if written else None
    return (int(count) if count else None), total, currency


def movement(
    head: str,
    supplement: list[str],
    info: list[str],
    number: int,
    tally: Tally,
    note: Callable[[str], None],
    *,
    balanced: bool,
) -> StatementLine:
    """The line that ``head`` (:61:), the lines below it and ``info`` (:86:) tell of. Raises StatementRefused.

    ``note`` takes what a person should know; ``balanced`` says whether balances prove a sign that is written oddly.
    """
    if not head.isascii() and "\u00a0" in head:
        head = head.replace("\u00a0", " ")
    found = _ENTRY.fullmatch(head)
    if (found is None or (supplement and _CUT.fullmatch(head))) and supplement:
        head, supplement, found = _continued(head, supplement, number)
    if found is None:
        dates, mark, below, whole, part, code, rest = _loosely(head, number, balanced=balanced)
    else:
        dates, mark, whole, part, code, rest = found.groups()
        below = ""
    amount = minor(whole, part or "", f"{whole},{part or ''}", line=number, column="61")
    own, _, banks = rest.partition("//")
    when: tuple[date | None, date] | None = days(dates)
    if when is None:
        when = _days_of_thirty(dates)
        if when is None:
            raise _no_day(dates, number)
        note(f"line {number}: {dates} holds a 29 or 30 February that is no day; it is booked on {when[1]}")
    value_on, booked_on = when
    amount *= _SIGNS[mark]
    kind, counts = _KINDS.get(mark), mark[0] != "E"
    if below:  # a minus sign turns the direction: a credit that takes money away is one taken back
        amount, kind = -amount, _KINDS["RC"] if mark == "C" else None
        note(f"line {number}: {mark}-{whole} is read as money that goes the other way, as the balances prove")
    reference = banks.strip().upper()
    if reference in _PLACEHOLDERS:
        reference = ""
    text, remittance, party, references = _told(own, supplement, info)
    line = StatementLine(
        number,
        amount,
        booked_on,
        reference,
        tally.occurrence(reference, kind, amount, booked_on, text, counts),
        kind,
        counts,
        None,
        value_on,
        text,
        remittance,
        "",
        (code or "").rstrip(),
        None,
        party,
        references,
    )
    tally.add(line)
    return line


def _continued(head: str, supplement: list[str], number: int) -> tuple[str, list[str], re.Match[str] | None]:
    """A :61: that was broken at the end of a line, with the line that completes it, and what is left below.

    A line that completes nothing is what banks write below an entry. Raises StatementRefused for an amount that goes on
    and cannot be read.
    """
    whole = head + supplement[0].lstrip()
    if len(supplement) > 1 and _PART.fullmatch(head) and (_PART.fullmatch(whole) or _CUT.fullmatch(whole)):
        return _continued(whole, supplement[1:], number)
    found = _ENTRY.fullmatch(whole)
    if found is not None and (found[5] or found[6]) and not _CUT.fullmatch(whole):
        return whole, supplement[1:], found
    if _CUT.fullmatch(head) and supplement[0].lstrip()[:1] in set("0123456789,."):
        raise refuse(
            StatementFault.BAD_AMOUNT,
            f"the line ends inside its amount ({head[-12:]!r}) and the next one, {supplement[0][:12]!r}, does not"
            " complete it. Join the two lines as the bank sent them",
            number,
            "61",
        )
    return head, supplement, _ENTRY.fullmatch(head)


def _loosely(head: str, number: int, *, balanced: bool) -> tuple[str, str, str, str, str | None, str, str]:
    """Dates, mark, minus sign, whole, decimals, type and rest of an entry that is not written as the format says."""
    found = _LOOSE.fullmatch(head)
    if found is None:
        raise _why_not(head, number)
    value, entry, mark, sign, whole, part, behind, rest = found.groups()
    mark, below = re.sub(r"\s", "", mark), "-" if sign == "-" or behind else ""
    if sign and behind:
        raise _why_not(head, number)
    if below and (not balanced or len(mark) > 1):
        raise refuse(
            StatementFault.BAD_SIGN,
            f"the amount has a minus sign ({mark}-{whole}), and no balance proves which way the money went; ask the"
            " bank for the entry with RC or RD",
            number,
            "61",
        )
    kept = _TYPE.fullmatch(rest)
    if kept is None and rest and len(part or "") != 2 and head[found.start(8) - 1 : found.start(8)].strip():
        raise _why_not(head, number)  # a letter that is glued to an amount without two decimals may be a digit of it
    code, rest = (kept[1], kept[2]) if kept is not None else ("", rest)
    return value + (entry or "").strip(), mark, below, whole, part, code, rest


def movements(text: str, at: int, number: int, tally: Tally, out: list[StatementEvent]) -> tuple[int, int]:
    """Entries of the usual shape, one behind the other from ``at`` on, into ``out``: the same as ``movement`` makes.

    Answers where in ``text`` and at which line the first one stands that is not of it, or is not whole. Almost every
    entry of a file passes here, so it makes no object that is not kept and calls little.
    """
    lines: list[StatementLine] = []
    append, made = lines.append, tuple.__new__
    dates, value_on, booked_on, rest = "", date.min, date.min, ""
    credits_minor = debits_minor = 0
    began, end = number, -1
    for when, mark, whole, part, code, own, banks, supplement, body, rest in _USUAL.findall(text, at):
        if rest:
            break
        if when != dates:
            known = days(when)
            if known is None:  # a day of a thirty-day month, or none: the careful reading says
                end = _line_at(text, at, number - began)
                break
            dates, (value_on, booked_on) = when, known
            tally.met(booked_on)
        amount = int(whole + part) if len(part) == 2 else int(whole + part.ljust(2, "0"))
        if mark in _ADDS:
            credits_minor += amount
        else:
            debits_minor += amount
            amount = -amount
        reference = banks.strip().upper()
        if reference in _PLACEHOLDERS:
            reference = ""
        info = body[:-1].split("\n") if body else _NONE
        if own or supplement or body[:1] in _STARTS:
            told, remittance, party, references = _told(own, [supplement] if supplement else _NONE, info)
        else:
            told, remittance, party, references = narratives.joined(info), "", _NOBODY, ()
        append(made(StatementLine, (
            number, amount, booked_on, reference, 1, _KINDS.get(mark), True, None, value_on, told, remittance, "",
            code.rstrip(), None, party, references, (),
        )))  # fmt: skip
        number += 2 + len(info) if supplement else 1 + len(info)
    for place, seen in tally.repeats(lines):
        lines[place] = lines[place]._replace(occurrence=seen)
    tally.add_sums(len(lines), credits_minor, debits_minor)
    out += lines
    return (len(text) - len(rest) if end < 0 else end), number


def _line_at(text: str, at: int, lines: int) -> int:
    """Where the line begins that stands so many lines behind ``at``."""
    for _ in range(lines):
        at = text.index("\n", at) + 1
    return at


def _no_day(dates: str, number: int) -> StatementRefused:
    return refuse(
        StatementFault.BAD_DATE,
        f"{dates[:6] if day(dates[:6]) is None else dates[6:]} is no day of the calendar"
        " (a value day is YYMMDD, an entry day MMDD); ask the bank to mend the line",
        number,
        "61",
    )


def _told(own: str, supplement: list[str], info: list[str]) -> tuple[str, str, Party, tuple[tuple[str, str], ...]]:
    """Text, remittance, other side and references that an entry's fields tell besides the bank's reference.

    ``own`` is the customer's reference; what stands below :61: is the text where no :86: tells one.
    """
    references = _named("customer", own)
    text = remittance = name = ""
    while len(info) > 1 and not info[0].strip():  # the fields of :86: begin on the line below the tag
        info = info[1:]
    if info and info[0][:1] in _STARTS:
        text, remittance, name, others = narratives.read(info)
        references += tuple(others)
    elif info:
        text = narratives.joined(info)
    if supplement:
        extra = narratives.joined(supplement)
        if text:
            references += _named("supplement", extra)
        text = text or extra
    return text, remittance, Party(name) if name else _NOBODY, references


def _named(name: str, value: str) -> tuple[tuple[str, str], ...]:
    value = value.strip()
    return () if value in _PLACEHOLDERS else ((name, value),)


def _why_not(head: str, number: int) -> StatementRefused:
    """Which part of a :61: line cannot be read, and what belongs there."""
    rest = re.match(r"\d{6}(?:\d{4}| {4})?", head, re.ASCII)
    if rest is None:
        return refuse(StatementFault.BAD_DATE, f"{head[:10]!r} does not begin with a value day (YYMMDD)", number, "61")
    marked = re.match(r"(?:R[CD]|E[CD]|[CD])\s*[A-Z]?\s*-?\s*(?=[\d.,]|$)", head[rest.end() :])
    if marked is None:
        return refuse(
            StatementFault.BAD_SIGN,
            f"{head[rest.end() :][:6]!r} does not begin with a mark; C, D, RC, RD, EC and ED are marks",
            number,
            "61",
        )
    amount = re.match(r"[\d.,]*", head[rest.end() + marked.end() :], re.ASCII)
    written = amount[0] if amount else ""
    behind = head[rest.end() + marked.end() + len(written) :]
    if re.match(r"\s+[\d.,]", behind):
        return refuse(
            StatementFault.BAD_AMOUNT,
            f"the amount {(written + behind)[:24]!r} has a blank inside; write digits and one comma, such as 1250,50",
            number,
            "61",
        )
    try:
        swift_minor(written, line=number, column="61")
    except StatementRefused as refused:
        return refused
    return refuse(
        StatementFault.BAD_VALUE,
        f"after the amount {written} a transaction type such as NTRF is expected, or a reference",
        number,
        "61",
    )
