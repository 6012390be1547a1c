"""Cents from decimals are exact, whatever the default decimal context would round."""

from __future__ import annotations

from decimal import Decimal

import pytest

from revenue_engine.errors import InvalidValue
from revenue_engine.money import minor_from_decimal


@pytest.mark.parametrize(
    "text", ["1.000000000000000000000000000001", "1E-1999999", "0.001", "1E-40", "NaN", "Infinity"]
)
def test_refuses_what_is_not_whole_cents(text: str) -> None:
    with pytest.raises(InvalidValue):
        minor_from_decimal(Decimal(text))


@pytest.mark.parametrize(
    ("text", "minor"),
    [
        ("1250.00", 125000),
        ("-3.5", -350),
        ("1E+3", 100000),
        ("10.0000000000000000000000000000000", 1000),
        ("0E-400", 0),
    ],
)
def test_reads_whole_cents(text: str, minor: int) -> None:
    assert minor_from_decimal(Decimal(text)) == minor
