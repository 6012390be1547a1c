"""Readers of single M-PESA fields: each takes what JSON gave and answers an exact value or raises InvalidValue.

Numbers arrive as text or as JSON numbers, identifiers as text or as integers, in every mix; the readers accept both
and nothing vaguer. Their messages name the field and what was found, and are never used on personal data.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from adapters import readings
from adapters.readings import shown
from revenue_engine.errors import InvalidValue
from revenue_engine.periods import NAIROBI
from revenue_engine.ports.strict_json import name_shown, storable

_RECEIPT = re.compile(r"[A-Za-z0-9]{8,12}")
_STAMP = re.compile(r"\d{14}", re.ASCII)
_DOTTED = re.compile(r"(\d\d)\.(\d\d)\.(\d{4}) (\d\d):(\d\d):(\d\d)", re.ASCII)
_DAY = re.compile(r"(\d{4})-(\d\d)-(\d\d)", re.ASCII)
_SHORTCODE = re.compile(r"\d{3,8}", re.ASCII)
_NAMED_SHORTCODE = re.compile(r"(\d{5,7}) - ", re.ASCII)
_REQUEST_ID = re.compile(r"[!-~]{1,100}")
_CURRENCY = re.compile(r"[A-Z]{3}")
_FIRST_YEAR, _LAST_YEAR = 2006, 2099
"""M-PESA receipts count their years from 2006; a time outside these bounds is a slip, not a payment."""


def cents(value: object, where: str) -> int:
    """Shillings (text such as ``"10.00"``, or a JSON number) as whole cents, above zero and below 10^12.

    Plainer than a bank's amounts: this provider writes neither blanks nor thousands.
    """
    if type(value) is str and readings.PLAIN.fullmatch(value) is None:
        raise InvalidValue(f"{where} must be a plain decimal amount such as 10.00, found {shown(value)}")
    return readings.cents(value, where, grouped=False)


def receipt(value: object, where: str) -> str:
    """An M-PESA receipt in upper case: 10 letters and digits today, 8 before about 2013, 12 allowed."""
    if type(value) is not str or _RECEIPT.fullmatch(value) is None:
        raise InvalidValue(f"{where} must be an M-PESA receipt of 8 to 12 letters and digits, found {shown(value)}")
    return value.upper()


def stamp(value: object, where: str) -> datetime:
    """``yyyyMMddHHmmss`` as text or integer: local Nairobi time, as every Daraja body writes it."""
    text = str(value) if type(value) is int else value
    if type(text) is not str or _STAMP.fullmatch(text) is None:
        raise InvalidValue(f"{where} must be a time as yyyyMMddHHmmss, found {shown(value)}")
    day, clock = divmod(int(text), 1_000_000)
    return _instant(day, clock, where, value)


def dotted_stamp(value: object, where: str) -> datetime:
    """``dd.mm.yyyy HH:MM:SS`` in Nairobi time: only B2C results write it so."""
    found = _DOTTED.fullmatch(value) if type(value) is str else None
    if found is None:
        raise InvalidValue(f"{where} must be a time as dd.mm.yyyy HH:MM:SS, found {shown(value)}")
    day, month, year, *clock = found.groups()
    return _instant(int(year + month + day), int("".join(clock)), where, value)


def day_start(value: object, where: str) -> datetime:
    """``yyyy-mm-dd`` as midnight in Nairobi: Bill Manager tells the day only, so the hour is ours, not the payer's.

    Where the hour stands beside the day after all, the instant is told.
    """
    if type(value) is str and len(value) > len("yyyy-mm-dd"):
        return readings.moment(value, ("iso",), where)
    found = _DAY.fullmatch(value) if type(value) is str else None
    if found is None:
        raise InvalidValue(f"{where} must be a day as yyyy-mm-dd, found {shown(value)}")
    return _instant(int("".join(found.groups())), 0, where, value)


def _instant(day: int, clock: int, where: str, value: object) -> datetime:
    """The instant of a day written ``yyyymmdd`` and a clock written ``HHMMSS``, both as plain numbers."""
    if not _FIRST_YEAR <= day // 10_000 <= _LAST_YEAR:
        raise InvalidValue(f"{where} must lie in {_FIRST_YEAR} to {_LAST_YEAR}, found {shown(value)}")
    try:
        return datetime(
            day // 10_000, day // 100 % 100, day % 100, clock // 10_000, clock // 100 % 100, clock % 100, tzinfo=NAIROBI
        )
    except ValueError:
        raise InvalidValue(f"{where} is not a time of the calendar, found {shown(value)}") from None


def shortcode(value: object, where: str) -> str:
    """A pay bill or till number as text; empty where the body names none."""
    text = str(value) if type(value) is int else value
    if text is None or text == "":
        return ""
    if type(text) is not str or _SHORTCODE.fullmatch(text) is None:
        # Not shown: nine digits and more may be somebody's phone number.
        raise InvalidValue(f"{where} must be a short code of 3 to 8 digits")
    return text


def named_shortcode(value: object) -> str:
    """The short code in front of a party name (``"600134 - County"``), empty when the party is a person or nobody.

    Five to seven digits are an organisation; a subscriber has twelve (``"2547... - Name"``).
    """
    found = _NAMED_SHORTCODE.match(value) if type(value) is str else None
    return found[1] if found else ""


def typed(value: object, where: str) -> str:
    """What a payer typed, untouched, as text; a missing one is empty."""
    if type(value) is str:
        return storable(value)
    if value is None:
        return ""
    if type(value) is int:
        return str(value)
    raise InvalidValue(f"{where} must be text, found {type(value).__name__}")


def lenient(value: object) -> str:
    """Text nothing depends on (a name, a phone number): what is not text or an integer reads as empty."""
    if type(value) is str:
        return storable(value)
    return str(value) if type(value) is int else ""


def request_id(*values: object) -> str:
    """The first usable identifier of a request of ours, empty when there is none."""
    for value in values:
        if type(value) is str and _REQUEST_ID.fullmatch(value):
            return value
    return ""


def currency(value: object, where: str) -> str:
    """An ISO 4217 code; a missing one is KES, the only currency of the API."""
    if value is None:
        return "KES"
    if type(value) is not str or _CURRENCY.fullmatch(value) is None:
        raise InvalidValue(f"{where} must be a currency of three capital letters, found {shown(value)}")
    return value


def code(value: object) -> str:
    """A result code as text: ``0``, ``"0"`` and ``"00000000"`` are all ``"0"``; empty when there is none to read."""
    if type(value) is int:
        return str(value)
    if type(value) is not str:
        return ""
    return "0" if value and not value.strip("0") else storable(value)


class Pairs(dict[str, object]):
    """Values by their names. A name that stood twice is refused when somebody reads its value: two values, two
    meanings. One that nobody reads refuses nothing."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self._where = where
        self.twice: set[str] = set()

    def __getitem__(self, name: str) -> object:
        """The value of a name. Raises InvalidValue where it stands twice, and KeyError where it does not stand."""
        if name in self.twice:
            raise InvalidValue(f"{self._where} names {name_shown(name)} twice")
        return super().__getitem__(name)

    def get(self, name: str, default: object = None) -> object:
        """As ``[]``, the default where the name does not stand."""
        try:
            return self[name]
        except KeyError:
            return default


_SPELLINGS: Final = {
    name.casefold(): name
    for name in (
        *("AccountBalance", "Amount", "CreditPartyName", "Currency", "DebitPartyName", "DebitPartyPublicName"),
        *("FinalisedTime", "FinalizedTime", "OriginalTransactionID", "ReasonType", "ReceiptNo"),
        *("ReceiverPartyPublicName", "TransactionAmount", "TransactionCompletedDateTime", "TransactionReceipt"),
        *("TransactionStatus", "TransCompletedTime", "MpesaReceiptNumber", "TransactionDate", "PhoneNumber"),
    )
}
"""The names of parameters that are read, by their letters."""


def pairs(items: object, name: str, where: str) -> Mapping[str, object]:
    """A list of ``{name: ..., "Value": ...}`` (or a single one) by name, in whatever order it came.

    An item without a Value stands with None. A name that we read is known in whatever case it is written. Reading a
    name that stands twice raises InvalidValue.
    """
    found = Pairs(where)
    for item in items if isinstance(items, list) else [items]:
        if not isinstance(item, dict) or type(key := item.get(name)) is not str:
            raise InvalidValue(f"{where} must hold objects with a {name}")
        key = _SPELLINGS.get(re.sub(r"[ _]", "", key).casefold(), key)
        if key in found:
            found.twice.add(key)
        found[key] = item.get("Value")
    return found


def either(params: Mapping[str, object], *names: str) -> object:
    """The value of a name that is spelled in more than one way; None where none of the spellings stands.

    Raises InvalidValue where two of them stand with different values.
    """
    found = [(name, params[name]) for name in names if name in params]
    told = [(name, value) for name, value in found if value is not None]
    if len({str(value) for _, value in told}) > 1:
        raise InvalidValue(f"{' and '.join(name for name, _ in told)} differ")
    return told[0][1] if told else None
