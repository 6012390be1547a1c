"""Figures and dates of a bank's table, read by what its `Table` declares and by nothing else."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Literal

from adapters.statements.mpesa_times import month_of
from adapters.statements.rows import Moment, Number
from adapters.statements.tables.layout import Amounts
from revenue_engine.money import LARGEST_MINOR
from revenue_engine.periods import NAIROBI
from revenue_engine.ports.statements import StatementFault, StatementRefused

Role = Literal["credit", "debit", "amount", "balance"]
LARGEST_BALANCE = 1000 * LARGEST_MINOR
_NUMBER = re.compile(r"(-?)(\d{1,15})(?:\.(\d{1,2}))?", re.ASCII)
_TOKENS = {
    "dd": r"(?P<day>\d\d)",
    "d": r"(?P<day>\d\d?)",
    "mm": r"(?P<month>\d\d)",
    "m": r"(?P<month>\d\d?)",
    "MON": r"(?P<name>[A-Za-z]{3,9})",
    "yyyy": r"(?P<year>20\d\d)",
    "yy": r"(?P<year>\d\d)",
    "HH": r"(?P<hour>\d\d)",
    "H": r"(?P<hour>\d\d?)",
    "AM": r"(?P<half>[AaPp])\.?[Mm]\.?",
    "MM": r"(?P<minute>\d\d)",
    "SS": r"(?P<second>\d\d)",
}
_SERIAL = re.compile(r"[3-6]\d{4}(?:\.\d+)?", re.ASCII)
_ISO = re.compile(
    r"(?P<year>20\d\d)-(?P<month>\d\d)-(?P<day>\d\d)(?: (?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d))?"
)
_NO_FIGURE = re.compile(r"[\u2010-\u2015\u2212_=*.\-]*")
"""Rules and dashes."""
_REMEMBERED = 4096
_PLAIN = str.maketrans(
    dict.fromkeys("\u00a0\u2007\u2009\u202f", " ") | dict.fromkeys("\u2018\u2019\u02bc", "'") | {"\u2212": "-"}
)
"""Blanks, apostrophes and a minus sign as programs write them, and as keys do."""


class Figures:
    """Reads the figures of a table into cents, signed by their effect on the account."""

    def __init__(self, declared: Amounts) -> None:
        self._declared = declared
        self._thousands = declared.thousands
        mark = re.escape(declared.thousands)
        plainly = rf"\d{{1,3}}(?:{mark}\d{{3}})+|\d{{1,13}}" if mark else r"\d{1,13}"
        # A blank or an apostrophe between groups of three is no decimal sign anywhere, so it has one reading.
        whole = rf"\d{{1,3}}(?: \d{{3}})+|\d{{1,3}}(?:'\d{{3}})+|{plainly}"
        cents = rf"(?:{re.escape(declared.decimal)}(\d{{1,2}}))?"
        suffix = f"{re.escape(declared.credit_word)}|{re.escape(declared.debit_word)}"
        self._pattern = re.compile(
            rf"(\()?([+-])?({whole}){cents}(?:/[=-])?(-)?(\))?(?: ?({suffix})\.?)?", re.ASCII | re.IGNORECASE
        )
        words = "|".join(re.escape(word) for word in sorted(declared.currency_beside, key=len, reverse=True))
        self._beside = re.compile(rf"(?:{words})\.?\s*|\s*(?:{words})\.?$", re.IGNORECASE) if words else None
        self._nothing = frozenset(word.casefold() for word in declared.nothing)
        example = "1250.00".replace(".", declared.decimal)
        self._unsigned = re.compile(rf"({plainly})(?:{re.escape(declared.decimal)}(\d\d))?", re.ASCII)
        self._suffixed = frozenset(declared.suffix_on)
        self._debits_below = declared.debit_sign == "minus"
        self._example = "1" + declared.thousands + example[1:]

    def read(self, text: str, role: Role, line: int, column: str, *, proved: bool = False) -> int | None:
        """The cents of a cell, None of an empty one; ``proved`` says that a balance shows whether a sign of
        a column of signed figures was understood that the layout does not declare. Raises StatementRefused."""
        if not text:
            return None
        if type(text) is str:
            quick = self._unsigned.fullmatch(text)
            if quick is not None and role not in self._suffixed and not (role == "debit" and self._debits_below):
                figure = quick[1].replace(self._thousands, "") if self._thousands else quick[1]
                minor = int(figure + (quick[2] or "00"))
                if minor < LARGEST_MINOR:
                    return -minor if role == "debit" else minor
            text = text.strip()
            if not text or self.nothing(text):
                return None
        parts = self._parts(text)
        if parts is None:
            raise self._bad(f"{text!r} is no amount such as {self._example}", line, column)
        bracket, sign, whole, cents, minus, suffix = parts
        whole = re.sub(r"\D", "", whole)
        minor = int(whole) * 100 + int((cents or "").ljust(2, "0"))
        if minor >= (LARGEST_BALANCE if role == "balance" else LARGEST_MINOR):
            raise self._bad(f"{text!r} is larger than it can be", line, column)
        if bracket and not (sign or suffix) and (proved or role == "balance"):
            bracket, sign = None, "-"  # one meaning everywhere, and the balances show that it is meant
        if minus and not (self._declared.minus_behind or proved or role == "balance"):
            why = f"{text!r} has its minus sign behind, which the layout does not declare (minus_behind)"
            raise self._sign(why, line, column)
        below = "-" in {sign, minus}
        if bracket or suffix or self._declared.suffix_on:
            below = self._by_words(text, role, below, bool(sign or minus), bool(bracket), suffix, minor, line, column)
        return self._signed(text, role, minor, below=below, line=line, column=column)

    def _parts(self, text: str) -> tuple[str | None, str | None, str, str | None, str | None, str | None] | None:
        """Bracket, sign, whole, cents, minus behind and suffix of a figure; None where it is none."""
        if isinstance(text, Moment):
            return None
        if isinstance(text, Number):
            number = _NUMBER.fullmatch(text)
            return None if number is None else (None, number[1], number[2], number[3], None, None)
        found = self._pattern.fullmatch(self._plain(text))
        if found is None:
            return None
        bracket, sign, whole, cents, minus, closed, suffix = found.groups()
        if bool(bracket) != bool(closed) or (minus and (sign or bracket)):
            return None
        return bracket, sign, whole, cents, minus, suffix

    def nothing(self, text: str) -> bool:
        """Whether a cell says that there is no figure, or holds no figure at all: words, dashes, a unit."""
        word = text.strip()
        return word.casefold() in self._nothing or _NO_FIGURE.fullmatch(word) is not None

    def _plain(self, text: str) -> str:
        """A figure with plain blanks, apostrophes and signs, and without the currency beside it."""
        if not text.isascii():
            text = text.translate(_PLAIN)
        return text if self._beside is None else self._beside.sub("", text, count=1)

    def _by_words(
        self,
        text: str,
        role: Role,
        below: bool,
        signed: bool,
        bracketed: bool,
        suffix: str | None,
        minor: int,
        line: int,
        column: str,
    ) -> bool:
        declared = self._declared
        if bracketed and (not declared.brackets or signed):
            raise self._sign(
                f"{text!r} stands in brackets, which the layout does not declare here (brackets)", line, column
            )
        expected = role in declared.suffix_on
        word = (suffix or "").upper()
        if word and not expected and not signed and not bracketed:
            # The word of the column it stands in says nothing new, and the rows prove the side of a balance.
            if (role, word) in {("credit", declared.credit_word.upper()), ("debit", declared.debit_word.upper())}:
                return below or (role == "debit" and declared.debit_sign == "minus")
            if role == "balance":
                return word == declared.debit_word.upper()
        if suffix and (not expected or signed or bracketed):
            raise self._sign(f"{text!r} ends in {suffix}, which the layout does not use here", line, column)
        if expected and not suffix and minor:
            words = f"{declared.credit_word} or {declared.debit_word}"
            raise self._sign(f"{text!r} does not end in {words}, so its side is not known", line, column)
        return below or bracketed or (suffix or "").upper() == declared.debit_word.upper()

    def _signed(self, text: str, role: Role, minor: int, *, below: bool, line: int, column: str) -> int:
        if role == "credit" and below and minor:
            raise self._sign(f"{text!r} is below zero in a column of credits", line, column)
        if role == "debit":
            if minor and below is not (self._declared.debit_sign == "minus"):
                raise self._sign(f"{text!r} has not the sign that debits of this layout have", line, column)
            return -minor
        return -minor if below else minor

    @staticmethod
    def _bad(why: str, line: int, column: str) -> StatementRefused:
        return StatementRefused(
            StatementFault.BAD_AMOUNT, f"{why}. Export the file anew and do not edit it", line=line, column=column
        )

    @staticmethod
    def _sign(why: str, line: int, column: str) -> StatementRefused:
        return StatementRefused(
            StatementFault.BAD_SIGN,
            f"{why}. Check that the table of columns fits this bank's export",
            line=line,
            column=column,
        )


class Days:
    """Reads the dates of a table; remembers what it read, since a statement has few days and many rows."""

    def __init__(self, formats: tuple[str, ...]) -> None:
        self._patterns = [_compiled(words) for words in formats if words != "excel"]
        self._serial = "excel" in formats
        self._formats = " or ".join(formats)
        self._known: dict[str, tuple[date, datetime | None]] = {}

    def reads(self, text: str) -> bool:
        """Whether the cell is one certain day."""
        if text in self._known:
            return True
        found = self._readings(text)
        if len(found) == 1:
            self._keep(text, found.pop())
            return True
        return False

    def _keep(self, text: str, reading: tuple[datetime, bool]) -> tuple[date, datetime | None]:
        at, timed = reading
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        kept = self._known[text] = (at.date(), at if timed else None)
        return kept

    def read(self, text: str, line: int, column: str) -> tuple[date, datetime | None]:
        """The day, and the instant where the cell has a time of day (East Africa Time). Raises StatementRefused."""
        known = self._known.get(text)
        if known is not None:
            return known
        found = self._readings(text)
        if len(found) != 1:
            raise StatementRefused(
                StatementFault.BAD_DATE if text.strip() else StatementFault.MISSING_FIELD,
                f"{text!r} can be read as more than one day ({self._formats})"
                if found
                else f"{text!r} is no date such as {self._formats}. Export the file anew and do not edit it",
                line=line,
                column=column,
            )
        return self._keep(text, found.pop())

    def _readings(self, text: str) -> set[tuple[datetime, bool]]:
        stripped = text.strip()
        if isinstance(text, Moment):
            patterns = [_ISO]
        elif isinstance(text, Number) and not self._serial:
            return set()
        else:
            patterns = self._patterns
        found: set[tuple[datetime, bool]] = set()
        for pattern in patterns:
            match = pattern.fullmatch(stripped)
            at = _moment(match.groupdict()) if match else None
            if at is not None:
                found.add((at, match is not None and match.groupdict().get("hour") is not None))
        if self._serial and not isinstance(text, Moment) and _SERIAL.fullmatch(stripped):
            # Days since 30 December 1899, the part of a day behind the dot; Excel's own count from 1 March 1900 on.
            exact = Decimal(stripped)
            seconds = round((exact % 1) * 86_400)
            at = datetime(1899, 12, 30, tzinfo=NAIROBI) + timedelta(days=int(exact), seconds=seconds)
            found.add((at, bool(exact % 1)))
        return found


def _compiled(words: str) -> re.Pattern[str]:
    pattern = re.sub("yyyy|yy|MON|dd?|mm?|HH?|MM|SS|AM|.", lambda word: _TOKENS.get(word[0], re.escape(word[0])), words)
    return re.compile(pattern, re.ASCII)


def _moment(parts: dict[str, str | None]) -> datetime | None:
    month = month_of(parts["name"] or "") if "name" in parts else int(parts["month"] or 0)
    hour, minute, second = (int(parts.get(name) or 0) for name in ("hour", "minute", "second"))
    half = parts.get("half")
    if half is not None:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half in "Pp" else 0)
    year = int(parts["year"] or 0)
    try:
        return datetime(
            year + 2000 if year < 100 else year,
            month or 0,
            int(parts["day"] or 0),
            hour,
            minute,
            second,
            tzinfo=NAIROBI,
        )
    except ValueError:
        return None
