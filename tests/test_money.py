"""Money is exact: whole cents inside, decimal strings outside, and nothing else gets in."""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revenue_engine.errors import InvalidValue
from revenue_engine.money import Money, minor_from_decimal, parse_wire, wire

CENTS = st.integers(-(10**14) + 1, 10**14 - 1)
WEIGHTS = st.lists(st.integers(0, 10**6), min_size=1, max_size=12).filter(any)


# --- the wire --------------------------------------------------------------------------------------------------------


@given(CENTS)
def test_what_is_written_on_the_wire_is_read_back(minor: int) -> None:
    assert parse_wire(wire(minor)) == minor
    assert str(Money(minor)) == wire(minor)
    assert minor_from_decimal(Decimal(wire(minor))) == minor


@pytest.mark.parametrize(
    ("minor", "text"), [(125_000, "1250.00"), (5, "0.05"), (-5, "-0.05"), (-350, "-3.50"), (0, "0.00"), (100, "1.00")]
)
def test_the_wire_has_two_decimals_always(minor: int, text: str) -> None:
    assert wire(minor) == text


@pytest.mark.parametrize(("text", "minor"), [("1250", 125_000), ("3.5", 350), ("-3.5", -350), ("007", 700), ("0", 0)])
def test_the_wire_may_leave_decimals_out(text: str, minor: int) -> None:
    assert parse_wire(text) == minor


@pytest.mark.parametrize(
    "sent",
    [
        *(1250, 1250.0, True, None, Decimal("1250.00"), b"1250.00", ["1"], float("nan")),
        *("NaN", "Infinity", "-Infinity", "nan", "inf"),
        *("", " ", ".", "-", "1.", ".5", "1.234", "1.000", "1e3", "1E+3", "0x10", "1_000"),
        *("1,250.00", "1 250.00", "KES 1250.00", "1250.00 ", " 1250.00", "1250.00\n", "+5", "--5", "5-", "−5"),
        *("１２５０.00", "١٢٥٠", "१२५०", "1²", "1250．00"),
        *("1234567890123", "9" * 5_000, "1.00.00"),
    ],
)
def test_the_wire_refuses_what_is_not_a_plain_decimal_string(sent: Any) -> None:
    with pytest.raises(InvalidValue):
        parse_wire(sent)


@given(st.text(max_size=12))
def test_any_text_is_an_amount_or_is_refused(text: str) -> None:
    try:
        minor = parse_wire(text)
    except InvalidValue:
        minor = None
    assert minor is None or Decimal(text) * 100 == minor


@given(st.decimals(allow_nan=True, allow_infinity=True))
def test_any_decimal_is_whole_cents_or_is_refused(value: Decimal) -> None:
    try:
        minor = minor_from_decimal(value)
    except InvalidValue:
        minor = None
    with localcontext(prec=2_000):
        assert minor is None or value * 100 == minor
        small = value.is_finite() and -12 < value.adjusted() < 12
        assert minor is not None or not small or value * 100 % 1 != 0


def test_a_quiet_default_context_does_not_round_money() -> None:
    with localcontext(prec=3):
        assert minor_from_decimal(Decimal("123456.78")) == 12_345_678


# --- money -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("minor", [1.0, True, "1", None, Decimal(1), float("nan")])
def test_money_is_made_of_whole_cents_only(minor: Any) -> None:
    with pytest.raises(InvalidValue):
        Money(minor)


@pytest.mark.parametrize("currency", ["", "KE", "KESH", "kes", "K1S", "123", "КES", "KÉS"])
def test_a_currency_is_three_capital_letters(currency: str) -> None:
    with pytest.raises(InvalidValue):
        Money(1, currency)


@given(CENTS, CENTS)
def test_money_adds_up(one: int, two: int) -> None:
    assert Money(one) + Money(two) == Money(one + two)
    assert Money(one) - Money(two) == Money(one - two)
    assert -Money(one) == Money(-one)
    assert (Money(one) < Money(two)) == (one < two)


def test_currencies_do_not_mix() -> None:
    shillings, dollars = Money(1), Money(1, "USD")
    for mix in (lambda: shillings + dollars, lambda: shillings - dollars, lambda: shillings < dollars):
        with pytest.raises(InvalidValue, match="cannot mix"):
            mix()
    assert shillings != dollars


# --- splitting -------------------------------------------------------------------------------------------------------


@given(CENTS, WEIGHTS)
def test_the_parts_of_a_split_are_the_whole(minor: int, weights: list[int]) -> None:
    # When any amount is split by any weights
    parts = [part.minor for part in Money(minor).split(weights)]
    # Then nothing is lost or made, and each part is its exact share rounded down or up
    assert sum(parts) == minor
    for part, weight in zip(parts, weights, strict=True):
        exact = abs(minor) * weight
        assert exact // sum(weights) <= abs(part) <= -(-exact // sum(weights))
        assert part * minor >= 0


@given(CENTS, WEIGHTS)
def test_a_split_mirrors_for_a_refund(minor: int, weights: list[int]) -> None:
    assert [-part.minor for part in Money(minor).split(weights)] == [p.minor for p in Money(-minor).split(weights)]


@pytest.mark.parametrize(
    ("minor", "weights", "parts"),
    [
        (100, [1, 1, 1], [34, 33, 33]),
        (1, [1, 1], [1, 0]),
        (100, [70, 30], [70, 30]),
        (101, [70, 30], [71, 30]),
        (10, [0, 1, 0], [0, 10, 0]),
        (0, [1, 2], [0, 0]),
        (-100, [1, 1, 1], [-34, -33, -33]),
    ],
)
def test_a_split_by_largest_remainder(minor: int, weights: list[int], parts: list[int]) -> None:
    assert [part.minor for part in Money(minor).split(weights)] == parts


@pytest.mark.parametrize(
    "weights", [[], [0], [0, 0], [-1, 2], [0.5, 0.5], [float("nan")], [Decimal(1), Decimal(2)], [True, True]]
)
def test_a_split_refuses_weights_that_are_not_whole_and_positive(weights: Any) -> None:
    with pytest.raises(InvalidValue):
        Money(100).split(weights)
