"""Amounts in words, in English and in Kiswahili. The English numerals are num2words', the Kiswahili ones ours."""

from __future__ import annotations

from num2words import num2words

from revenue_engine.errors import InvalidValue

MOST_MINOR = 10**14
"""Cents below which an amount has words: a trillion shillings."""
_UNITS = ("sifuri", "moja", "mbili", "tatu", "nne", "tano", "sita", "saba", "nane", "tisa")
_TENS = (*("", "kumi", "ishirini", "thelathini", "arobaini", "hamsini", "sitini", "sabini", "themanini", "tisini"),)
_GROUPS = ((10**9, "bilioni"), (10**6, "milioni"), (10**5, "laki"), (10**3, "elfu"))


def english(minor: int) -> str:
    """An amount in cents, as ``One thousand two hundred and fifty shillings and fifty cents``."""
    whole, cents = _parted(minor)
    words = f"{num2words(whole)} shilling{'' if whole == 1 else 's'}"
    if cents:
        words += f" and {num2words(cents)} cent{'' if cents == 1 else 's'}"
    return words[0].upper() + words[1:]


def kiswahili(minor: int) -> str:
    """An amount in cents, as ``Shilingi elfu moja, mia mbili na hamsini na senti hamsini``.

    The groups stand apart by commas, so that 20,003 (``elfu ishirini, tatu``) is not read as 23,000 (``elfu ishirini
    na tatu``); a hundred thousand is a ``laki``.
    """
    whole, cents = _parted(minor)
    words = f"Shilingi {_number(whole)}"
    return f"{words} na senti {_number(cents)}" if cents else words


def _parted(minor: int) -> tuple[int, int]:
    if not 0 <= minor < MOST_MINOR:
        raise InvalidValue(f"{minor} cents have no words: give 0 to {MOST_MINOR - 1}", field="amount")
    return divmod(minor, 100)


def _number(number: int) -> str:
    if number == 0:
        return _UNITS[0]
    said = []
    for size, name in _GROUPS:
        count, number = divmod(number, size)
        if count:
            said.append(f"{name} {_below_thousand(count)}")
    if number:
        said.append(_below_thousand(number))
    return ", ".join(said)


def _below_thousand(number: int) -> str:
    hundreds, rest = divmod(number, 100)
    tens, units = divmod(rest, 10)
    said = [f"mia {_UNITS[hundreds]}"] if hundreds else []
    said += [_TENS[tens]] if tens else []
    said += [_UNITS[units]] if units else []
    return " na ".join(said)
