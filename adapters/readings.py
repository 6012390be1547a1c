"""Readers of single fields of bank notices: each answers an exact value or raises InvalidValue, and never guesses.

Banks write one thing in many ways: amounts with thousands commas, ids with a blank in front, templates nobody filled
in. What is accepted is listed here; anything else is refused with the field's name. No message repeats personal data.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from revenue_engine.errors import InvalidValue
from revenue_engine.money import LARGEST_MINOR, minor_from_decimal
from revenue_engine.periods import NAIROBI
from revenue_engine.ports.strict_json import storable

PLAIN = re.compile(r"-?\d{1,12}(?:\.\d{1,6})?", re.ASCII)
_GROUPED = re.compile(r"-?\d{1,3}(?:,\d{3})+(?:\.\d{1,6})?", re.ASCII)
_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{2,49}", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
_ACCOUNT = re.compile(r"[0-9A-Za-z*][0-9A-Za-z*-]{0,33}", re.ASCII)
_UNFILLED = re.compile(r"\$\{[^{}]{0,60}\}")
_RECEIPT = re.compile(r"[A-Z][A-L][1-9A-V][A-Z0-9]{7}", re.ASCII)
_RECEIPT_INSIDE = re.compile(r"(?<![A-Z0-9])[A-Z][A-L][1-9A-V][A-Z0-9]{7}(?![A-Z0-9])", re.ASCII)
_FIRST_YEAR, _LAST_YEAR = 2006, 2099
_LONGEST_TEXT: Final = 500
_LONGEST_WORD: Final = 34


def shown(value: object) -> str:
    """What a field holds, for a reason: the type and the size, never the value.

    Reasons are kept for ever and are read by many, and in a wrong field may stand somebody's name or phone. The value
    itself stands in the raw delivery.
    """
    if isinstance(value, str):
        return f"text of {len(value)} characters" if value else "an empty text"
    return _TYPES.get(type(value), "a value of another type")


_TYPES = {
    type(None): "nothing",
    bool: "true or false",
    int: "a whole number",
    Decimal: "a number",
    list: "a list",
    dict: "an object",
}
_CODE = re.compile(r"[A-Za-z0-9._-]{1,16}", re.ASCII)


def code_shown(value: object) -> str:
    """A provider's own code for a reason, as it stands; what may be a phone or an identity number is only described."""
    text = str(value) if type(value) is int else value
    if type(text) is str and _CODE.fullmatch(text) and re.search(r"\d", text) and not re.search(r"\d{6}", text):
        digits = re.sub(r"\D", "", text)
        if len(digits) < 9 or not digits.startswith(("0", "1", "7", "254")):
            return repr(text)
    return shown(value)


def at(doc: object, path: str) -> object:
    """The value at a dotted path (``transaction.amount``), None where a step is missing or is no object."""
    here = doc
    for step in path.split("."):
        if type(here) is not dict or step not in here:
            return None
        here = here[step]
    return None if isinstance(here, str) and _UNFILLED.fullmatch(here) else here


def signed_cents(value: object, where: str, *, grouped: bool = True) -> int:
    """Shillings (``"1,500.00"``, ``"1000"``, or a JSON number) as whole cents with the sign they carry, below 10^12.

    Commas must stand before every third digit; ``grouped`` False refuses them. Fractions of a cent are refused.
    """
    if type(value) is str:
        text = value.strip(" ")
        if grouped and _GROUPED.fullmatch(text) is not None:
            text = text.replace(",", "")
        if PLAIN.fullmatch(text) is None:
            raise InvalidValue(f"{where} must be a decimal amount such as 1500.00, found {shown(value)}")
        exact = Decimal(text)
    elif type(value) is Decimal:
        exact = value
    elif type(value) is int:
        exact = Decimal(value)
    else:
        raise InvalidValue(f"{where} must be an amount, found {shown(value)}")
    try:
        minor = minor_from_decimal(exact)
    except InvalidValue as error:
        raise InvalidValue(f"{where}: {error.message}, found {shown(value)}") from None
    if abs(minor) >= LARGEST_MINOR:
        raise InvalidValue(f"{where} is too large to believe, found {shown(value)}")
    return minor


def cents(value: object, where: str, *, grouped: bool = True) -> int:
    """Whole cents above zero, as :func:`signed_cents` reads them."""
    minor = signed_cents(value, where, grouped=grouped)
    if minor <= 0:
        raise InvalidValue(f"{where} must be above zero, found {shown(value)}")
    return minor


def reference(value: object, where: str) -> str:
    """A bank's own reference in upper case, blanks around it dropped: 3 to 50 letters, digits and ``. _ / -``."""
    text = str(value) if type(value) is int else value
    if type(text) is not str or _REFERENCE.fullmatch(text := text.strip(" ")) is None:
        raise InvalidValue(f"{where} must be a reference of 3 to 50 letters and digits, found {shown(value)}")
    if text.upper() in _NO_REFERENCE:
        raise InvalidValue(f"{where} holds no reference: {shown(value)} stands for none")
    return text.upper()


def currency(value: object, where: str) -> str:
    """An ISO 4217 code; a missing or empty one is KES, the currency of the account."""
    if value is None or value == "":
        return "KES"
    if type(value) is not str or _CURRENCY.fullmatch(value) is None:
        raise InvalidValue(f"{where} must be a currency of three capital letters, found {shown(value)}")
    return value


_NO_REFERENCE: Final = frozenset({"NONE", "NULL", "NIL", "N/A", "N.A", "NA", "UNDEFINED", "NAN", "NOT AVAILABLE"})
"""What providers write in a field that holds no reference."""


def account(value: object, where: str) -> str:
    """An account, till or short code as text; empty where the body names none.

    An account has a digit other than zero. Words, dashes and zeros stand for none: providers write ``NONE``, ``N/A``,
    ``unknown``, ``(null)`` and many more.
    """
    text = str(value) if type(value) is int else value
    if text is None or (type(text) is str and len(text) <= _LONGEST_WORD and not re.search("[1-9]", text)):
        return ""
    if type(text) is str:
        text = re.sub(r"(?<=[0-9]) (?=[0-9])", "", text.strip(" "))  # 0113 4248 3586 00
    if type(text) is not str or _ACCOUNT.fullmatch(text) is None:
        raise InvalidValue(f"{where} must be an account of letters, digits and dashes")
    return text


def typed(value: object, where: str) -> str:
    """What a payer typed, untouched, as text; a missing one is empty."""
    if value is None:
        return ""
    if type(value) is int:
        return str(value)
    if type(value) is not str:
        raise InvalidValue(f"{where} must be text, found {type(value).__name__}")
    return storable(value[:_LONGEST_TEXT])


def lenient(*values: object) -> str:
    """Personal data for the party, words joined by a blank: whatever text is there; a wrong one never stops money."""
    words = [str(value).strip() for value in values if type(value) in (str, int)]
    return storable(" ".join(word for word in words if word)[:200])


def mobile_receipt(value: object) -> str:
    """A text that is an M-PESA receipt, in upper case, else empty. The receipt carries its date in three characters."""
    text = value.strip().upper() if type(value) is str else ""
    return text if _RECEIPT.fullmatch(text) else ""


def receipts_inside(text: str) -> tuple[str, ...]:
    """The M-PESA receipts that stand as words of a narration, each once, in order."""
    return tuple(dict.fromkeys(_RECEIPT_INSIDE.findall(text)))


def moment(value: object, formats: tuple[str, ...], where: str) -> datetime:
    """An instant written in one of ``formats`` (``iso``, or codes of ``strptime``), Nairobi time where no zone stands.

    A day without an hour, as the format writes a day or as ISO 8601 does, is that day from its first instant: the day
    is certain, and the zone beside it is that of the day. Raises InvalidValue when none fits: a time is read whole or
    not at all.
    """
    text = str(value) if type(value) is int else value
    if type(text) is not str or len(text) > 40 or not text.isascii():
        raise InvalidValue(f"{where} must be a time, found {shown(value)}")
    text = text.strip()
    for form in formats:
        read = _iso(text) if form == "iso" else _strptime(text, form)
        if read is not None and _FIRST_YEAR <= read.year <= _LAST_YEAR:
            return read.replace(tzinfo=NAIROBI) if read.tzinfo is None else read
    for form in formats:
        day = _day_alone(text, form)
        if day is not None and _FIRST_YEAR <= day.year <= _LAST_YEAR:
            return day.replace(tzinfo=NAIROBI)
    raise InvalidValue(f"{where} is not a time as {' or '.join(formats)}, found {shown(value)}")


_LENGTHS: Final[Mapping[str, int]] = {"%Y%m%d%H%M%S": 14, "%Y%m%d%H%M": 12, "%y%m%d%H%M": 10, "%Y%m%d": 8}
"""Codes without separators read shorter texts too (1 digit for a month): the length must be the full one."""


def _strptime(text: str, form: str) -> datetime | None:
    if len(text) != _LENGTHS.get(form, len(text)) or (form in _LENGTHS and not text.isdigit()):
        return None
    try:
        return datetime.strptime(text, form)  # noqa: DTZ007 - the zone is put on by the caller
    except ValueError:
        return None


_DAY_ALONE = re.compile(r"(\d{4}-\d\d-\d\d)[T ]?(?:Z|[+-]\d\d(?::?\d\d)?)?", re.ASCII | re.IGNORECASE)


def _day_alone(text: str, form: str) -> datetime | None:
    """The day that a text names without an hour, in the day's part of a format or as ISO 8601."""
    found = _DAY_ALONE.fullmatch(text)
    if found is not None:
        try:
            return datetime.fromisoformat(found[1])
        except ValueError:
            return None
    day = form.partition("%H")[0].rstrip(" T:")
    return None if form == "iso" or day == form else _strptime(text, day)


_ISO = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d(?::?\d\d)?)?", re.ASCII)


def _iso(text: str) -> datetime | None:
    if _ISO.fullmatch(text) is None:
        return None
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        return None
    return read.astimezone(UTC) if read.tzinfo is not None else read


_JAVA = re.compile(r"[A-Z][a-z]{2} ([A-Z][a-z]{2}) (\d\d) (\d\d):(\d\d):(\d\d) EAT (\d{4})", re.ASCII)
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
"""Not ``%b``: that reads the months of whatever language the machine speaks."""


def java_date(value: object, where: str) -> datetime:
    """``Mon May 19 13:30:54 EAT 2025``, as Java prints a date. The zone must be EAT; the weekday is not used."""
    found = _JAVA.fullmatch(value.strip()) if type(value) is str else None
    if found is None or found[1] not in _MONTHS:
        raise InvalidValue(f"{where} must be a time as Mon May 19 13:30:54 EAT 2025, found {shown(value)}")
    month, (day, hour, minute, second, year) = _MONTHS.index(found[1]) + 1, map(int, found.groups()[1:])
    try:
        read = datetime(year, month, day, hour, minute, second, tzinfo=NAIROBI)
    except ValueError:
        raise InvalidValue(f"{where} is not a time of the calendar, found {shown(value)}") from None
    if not _FIRST_YEAR <= read.year <= _LAST_YEAR:
        raise InvalidValue(f"{where} must lie in {_FIRST_YEAR} to {_LAST_YEAR}, found {shown(value)}")
    return read
