"""Amounts of bank statements as whole cents: what is exact is read, what could mean two things is refused."""

from __future__ import annotations

import re

from revenue_engine.ports.statements import StatementFault, StatementRefused

_LARGEST_WHOLE = 15
"""Digits before the decimal sign, leading zeros not counted: what a SWIFT amount can hold, and a bigint of cents."""
_XML = re.compile(r"(\d+)(?:\.(\d+))?", re.ASCII)
_SWIFT = re.compile(r"(\d+)(?:([.,])(\d*))?", re.ASCII)


def swift_minor(text: str, *, line: int, column: str) -> int:
    """Cents of a SWIFT amount: ``1250,50``, ``500,`` and ``500``; a dot only with at most two digits after it.

    Three digits after a sign could be thousands, so they are refused, as are two signs. Raises StatementRefused.
    """
    found = _SWIFT.fullmatch(text)
    if found is None:
        signs = sum(text.count(sign) for sign in ",.")
        raise StatementRefused(
            StatementFault.BAD_AMOUNT,
            f"{text[:40]!r} has more than one decimal sign; write it with one comma, such as 1234,50"
            if signs > 1
            else f"{text[:40]!r} is not an amount; write digits and one comma, such as 1250,50",
            line=line,
            column=column,
        )
    return minor(found[1], found[3] or "", text, line=line, column=column)


def minor(whole: str, part: str, text: str, *, line: int, column: str) -> int:
    """Cents of the digits before and after the decimal sign of ``text``. Raises StatementRefused."""
    if len(part) > 2:
        raise StatementRefused(
            StatementFault.BAD_AMOUNT,
            f"{text[:40]!r} has {len(part)} digits after its sign: decimals are two, and thousands take no sign."
            " Ask the bank for the amount with two decimals",
            line=line,
            column=column,
        )
    if len(whole) > _LARGEST_WHOLE and len(whole.lstrip("0")) > _LARGEST_WHOLE:
        raise StatementRefused(
            StatementFault.BAD_AMOUNT, f"{text[:40]!r} is too large to be believed", line=line, column=column
        )
    return int(whole + part.ljust(2, "0"))


def xml_minor(text: str, *, line: int, column: str) -> int:
    """Cents of an ISO 20022 amount: a dot and up to five decimals, of which only two may say something.

    Raises StatementRefused: BAD_SIGN below zero, BAD_AMOUNT where it is not whole cents.
    """
    found = _XML.fullmatch(text)
    if found is None:
        below = text.startswith("-")
        raise StatementRefused(
            StatementFault.BAD_SIGN if below else StatementFault.BAD_AMOUNT,
            f"{text[:40]!r} is below zero; the direction stands in CdtDbtInd, so ask the bank for the file anew"
            if below
            else f"{text[:40]!r} is not an amount; it is digits and one dot, such as 1250.50",
            line=line,
            column=column,
        )
    part = found[2] or ""
    if len(part) > 2:
        if part[2:].strip("0"):
            raise StatementRefused(
                StatementFault.BAD_AMOUNT,
                f"{text[:40]!r} holds a fraction of a cent; the books keep two decimals",
                line=line,
                column=column,
            )
        part = part[:2]
    return minor(found[1], part, text, line=line, column=column)
