"""Pay account numbers find every slip of the finger; public ids sort by time."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from stdnum import damm

from revenue_engine import identifiers

bodies = st.integers(10_000_000, 99_999_999).map(str)


def number(body: str) -> str:
    return body + str(damm.calc_check_digit(body))


@given(bodies, st.integers(0, 8), st.integers(1, 9))
def test_every_single_wrong_digit_is_found(body: str, position: int, shift: int) -> None:
    right = number(body)
    wrong = right[:position] + str((int(right[position]) + shift) % 10) + right[position + 1 :]
    assert identifiers.is_pay_account_number(right)
    assert not identifiers.is_pay_account_number(wrong)


@given(bodies, st.integers(0, 7))
def test_every_swap_of_neighbours_is_found(body: str, position: int) -> None:
    right = number(body)
    first, second = right[position], right[position + 1]
    wrong = right[:position] + second + first + right[position + 2 :]
    assert wrong == right or not identifiers.is_pay_account_number(wrong)


def test_drawn_numbers_are_nine_digits_the_first_not_nought_and_not_in_sequence() -> None:
    drawn = [identifiers.draw_pay_account_number() for _ in range(2_000)]
    assert all(re.fullmatch(r"[1-9][0-9]{8}", text) and identifiers.is_pay_account_number(text) for text in drawn)
    assert drawn != sorted(drawn)
    gaps = [abs(int(a) - int(b)) for a, b in zip(sorted(drawn)[1:], sorted(drawn), strict=False)]
    assert sum(gap < 100 for gap in gaps) < 20  # two thousand of ninety million: neighbours are rare


@given(st.text(max_size=12))
def test_other_text_is_not_a_pay_account_number(text: str) -> None:
    if not re.fullmatch(r"[1-9][0-9]{8}", text):
        assert not identifiers.is_pay_account_number(text)


def test_full_width_digits_are_refused() -> None:
    right = identifiers.draw_pay_account_number()
    assert not identifiers.is_pay_account_number("".join(chr(ord(digit) - ord("0") + 0xFF10) for digit in right))


def test_public_ids_carry_their_prefix_and_version_and_sort_by_time() -> None:
    ids = [identifiers.public_id("inv") for _ in range(50)]
    assert all(re.fullmatch(r"inv_[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}", text) for text in ids)
    assert [text[:16] for text in ids] == sorted(text[:16] for text in ids)
    assert len(set(ids)) == 50
