"""One :61: line and its :86: field as a movement, and the balances and sums around them."""

from __future__ import annotations

import re
from datetime import date
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
_STARTS: Final = frozenset(["", *"/ 0123456789?~<>"])
"""What a narrative with a structure begins with."""
_BALANCE: Final = re.compile(r"(R?[CD])(\d{6})([A-Z]{3})?(.*)", re.ASCII)
_SUM: Final = re.compile(r"(\d*)([A-Z]{3})([\d.,]+)", re.ASCII)
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
    years = (value.year, value.year - 1, value.year + 1)
    known = [entry for year in years if (entry := _date(year, text[6:8], text[8:])) is not None]
    return (value, min(known, key=lambda entry: abs((entry - value).days))) if known else None


def balance(value: str, *, line: int, tag: str) -> tuple[int, str]:
    """A balance in cents, below zero when it is a debit, and its currency, empty where none is written."""
    found = _BALANCE.fullmatch(value.strip())
    if found is None or len(found[1]) != 1:
        raise refuse(
            StatementFault.BAD_VALUE,
            f"{value[:40]!r} is not a balance; it is C or D, a day, a currency and an amount: C261101KES1250,50",
            line,
            tag,
        )
    if day(found[2]) is None:
        raise refuse(StatementFault.BAD_DATE, f"{found[2]} is no day (YYMMDD); ask the bank to mend it", line, tag)
    size = swift_minor(found[4].strip(), line=line, column=tag)
    return (size if found[1] == "C" else -size), found[3] or ""


def movements_sum(value: str, *, line: int, tag: str) -> tuple[int | None, int]:
    """How many movements :90D: or :90C: counts, None where it does not say, and their sum in cents."""
    found = _SUM.fullmatch(value.strip())
    if found is None:
        raise refuse(
            StatementFault.BAD_VALUE, f"{value[:40]!r} is not a sum; it is a count, a currency, an amount", line, tag
        )
    return (int(found[1]) if found[1] else None), swift_minor(found[3], line=line, column=tag)


def movement(head: str, supplement: list[str], info: list[str], number: int, tally: Tally) -> StatementLine:
    """The line that ``head`` (:61:), the lines below it and ``info`` (:86:) tell of. Raises StatementRefused."""
    found = _ENTRY.fullmatch(head)
    if found is None:
        raise _why_not(head, number)
    dates, mark, whole, part, code, rest = found.groups()
    amount = minor(whole, part or "", f"{whole},{part or ''}", line=number, column="61")
    own, _, banks = rest.partition("//")
    when = days(dates)
    if when is None:
        raise _no_day(dates, number)
    value_on, booked_on = when
    amount *= _SIGNS[mark]
    kind, counts = _KINDS.get(mark), mark[0] != "E"
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


def movements(text: str, at: int, number: int, tally: Tally, out: list[StatementEvent]) -> tuple[int, int]:
    """Entries of the usual shape, one behind the other from ``at`` on, into ``out``: the same as ``movement`` makes.

    Answers where in ``text`` and at which line the first one stands that is not of it, or is not whole. Almost every
    entry of a file passes here, so it makes no object that is not kept and calls little.
    """
    lines: list[StatementLine] = []
    append, made = lines.append, tuple.__new__
    dates, value_on, booked_on, rest = "", date.min, date.min, ""
    credits_minor = debits_minor = 0
    for when, mark, whole, part, code, own, banks, supplement, body, rest in _USUAL.findall(text, at):
        if rest:
            break
        if when != dates:
            known = days(when)
            if known is None:
                raise _no_day(when, number)
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
    return len(text) - len(rest), number


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
    marked = re.match(r"(?:R[CD]|E[CD]|[CD])[A-Z]?(?=[\d.,]|$)", head[rest.end() :])
    if marked is None:
        return refuse(
            StatementFault.BAD_SIGN,
            f"{head[rest.end() :][:6]!r} does not begin with a mark; C, D, RC, RD, EC and ED are marks",
            number,
            "61",
        )
    amount = re.match(r"[\d.,]*", head[rest.end() + marked.end() :], re.ASCII)
    written = amount[0] if amount else ""
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
