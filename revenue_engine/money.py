"""Money: whole cents in one currency, and the only ways in and out of text.

No float comes near it. On the wire money is a decimal string in major units (``"1250.00"``);
inside it is an ``int`` of cents.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, DecimalException, Inexact, InvalidOperation

from revenue_engine.errors import InvalidValue

KES = "KES"
LARGEST_MINOR = 10**12
"""No single amount may reach ten billion shillings: the same bound stands as a CHECK in the database."""

_EXACT = Context(prec=28, traps=[Inexact, InvalidOperation])
"""Refuses to round: the default context would quietly drop a fraction past 28 digits, or flush it to zero."""

_CURRENCY = re.compile("[A-Z]{3}")
_WIRE = re.compile(r"(-?)(\d{1,12})(?:\.(\d{1,2}))?", re.ASCII)


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """An exact amount: ``minor`` whole cents (may be negative for differences) of ``currency`` (ISO 4217)."""

    minor: int
    currency: str = KES

    def __post_init__(self) -> None:
        if type(self.minor) is not int:
            raise InvalidValue(f"money is whole cents as an int, not {type(self.minor).__name__}", value=self.minor)
        if not _CURRENCY.fullmatch(self.currency):
            raise InvalidValue("a currency is three capital letters (ISO 4217)", value=self.currency)

    def __add__(self, other: Money) -> Money:
        self._same_currency(other)
        return Money(self.minor + other.minor, self.currency)

    def __sub__(self, other: Money) -> Money:
        self._same_currency(other)
        return Money(self.minor - other.minor, self.currency)

    def __neg__(self) -> Money:
        return Money(-self.minor, self.currency)

    def __lt__(self, other: Money) -> bool:
        self._same_currency(other)
        return self.minor < other.minor

    def __str__(self) -> str:
        return wire(self.minor)

    def _same_currency(self, other: Money) -> None:
        if self.currency != other.currency:
            raise InvalidValue(f"cannot mix {self.currency} and {other.currency}")

    def split(self, weights: Sequence[int]) -> list[Money]:
        """Divide by ``weights`` with the largest-remainder method: the parts always sum to the whole.

        Ties of remainder go to the earlier weight, so the result is a function of its input.
        Raises InvalidValue when no weight is positive, or one is negative or no int.
        """
        if any(type(weight) is not int for weight in weights):
            raise InvalidValue("weights must be whole numbers", weights=weights)
        total = sum(weights)
        if total <= 0 or min(weights) < 0:
            raise InvalidValue("weights must be non-negative and at least one must be positive", weights=weights)
        sign = -1 if self.minor < 0 else 1
        size = abs(self.minor)
        parts = [size * weight // total for weight in weights]
        order = sorted(range(len(weights)), key=lambda i: (-(size * weights[i] % total), i))
        for index in order[: size - sum(parts)]:
            parts[index] += 1
        return [Money(sign * part, self.currency) for part in parts]


def parse_wire(text: object) -> int:
    """Read a wire amount (``"1250.00"``, ``"1250"``, ``"-3.5"``) into cents.

    Refuses anything that is not a string (JSON numbers for money are refused), more than two decimals,
    thousands separators, exponents, full-width digits and blanks. Raises InvalidValue.
    """
    if not isinstance(text, str):
        raise InvalidValue('send money as a decimal string such as "1250.00", not a number', value=text)
    found = _WIRE.fullmatch(text)
    if found is None:
        raise InvalidValue('money is digits with at most two decimals, such as "1250.00"', value=text)
    sign, whole, cents = found.groups()
    minor = int(whole) * 100 + int((cents or "").ljust(2, "0"))
    return -minor if sign else minor


def minor_from_decimal(value: Decimal) -> int:
    """Cents of an exact decimal in major units; refuses NaN, infinities and fractions of a cent (InvalidValue)."""
    if not value.is_finite():
        raise InvalidValue("an amount must be a finite number", value=value)
    if value.adjusted() > 14:
        raise InvalidValue("an amount this large is not believable", value=value)
    try:
        scaled = _EXACT.multiply(value, 100)
    except DecimalException:
        raise InvalidValue("an amount may not hold a fraction of a cent", value=value) from None
    minor = int(scaled)
    if scaled != minor:
        raise InvalidValue("an amount may not hold a fraction of a cent", value=value)
    return minor


def wire(minor: int) -> str:
    """Cents as a decimal string in major units with two decimals: ``125000`` is ``"1250.00"``."""
    sign, size = ("-", -minor) if minor < 0 else ("", minor)
    return f"{sign}{size // 100}.{size % 100:02d}"


def grouped(minor: int) -> str:
    """Cents as people read them, with thousands separators: ``125000`` is ``"1,250.00"``. Never read back."""
    sign, size = ("-", -minor) if minor < 0 else ("", minor)
    return f"{sign}{size // 100:,}.{size % 100:02d}"
