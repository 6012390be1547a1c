"""Which pay account numbers a mistyped one may have meant. Pure; the check digit does the work.

Damm's check digit finds every single wrong digit and every swap of neighbours, so a well-formed number is never one
such slip away from another. For a malformed one the check digit also says, place by place, the only digit that could
have stood there: the neighbourhood of a slip is at most twenty numbers, and no index of deletions is needed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from stdnum import damm

from reconciliation.engine.columns import Ints
from revenue_engine.identifiers import PAY_ACCOUNT_DIGITS

_DIGITS = "0123456789"


def _table() -> tuple[tuple[int, ...], ...]:
    """Damm's table, read out of the library: the row after ``digit`` when one stands in ``row``."""
    reach = {damm.checksum(digit): digit for digit in _DIGITS}
    return tuple(tuple(int(damm.checksum(reach[row] + digit)) for digit in _DIGITS) for row in range(10))


_AFTER = np.array(_table(), dtype=np.int64)
_DIGIT_BETWEEN = np.argsort(_AFTER, axis=1)
"""The digit that leads from one row to another: each row of the table holds every digit once."""
_ROW_BEFORE = np.argsort(_AFTER, axis=0).T
"""The row that a digit leads away from, by the digit and the row after it: so does each column."""
_LEAST = 10 ** (PAY_ACCOUNT_DIGITS - 1)
WORDS = ("one digit is wrong", "two digits are swapped", "a digit was left out", "a digit too many")


def _digits(typed: list[str], size: int) -> Ints:
    """Texts of ``size`` digits as rows of digits."""
    return np.frombuffer("".join(typed).encode(), dtype=np.uint8).reshape(len(typed), size).astype(np.int64) - 48


def _walk(digits: Ints) -> tuple[Ints, Ints]:
    """The row in which the check stands before each digit, and that in which it must stand for the rest to end well."""
    count, size = digits.shape
    rows, needs = np.zeros((2, count, size + 1), dtype=np.int64)
    for place in range(size):
        rows[:, place + 1] = _AFTER[rows[:, place], digits[:, place]]
    for place in reversed(range(size)):
        needs[:, place] = _ROW_BEFORE[digits[:, place], needs[:, place + 1]]
    return rows, needs


def _powers(size: int) -> Ints:
    return 10 ** np.arange(size - 1, -1, -1, dtype=np.int64)


def one_slip_each(typed: list[str]) -> tuple[Ints, Ints, Ints]:
    """Every pay account number one slip away from each text of digits; only eight to ten digits have any.

    Nine digits: one digit wrong, or two neighbours swapped. Eight: one left out. Ten: one too many. Nine digits with
    a right check digit have no such neighbour; then nothing is answered. Answers three columns, in the order of the
    texts and of the places in them: the place of the text, the number, and the place of the slip in ``WORDS``.
    """
    sizes = np.fromiter(map(len, typed), dtype=np.int64, count=len(typed))
    found = []
    for size, look in ((8, _left_out), (9, _wrong_or_swapped), (10, _too_many)):
        owners = np.flatnonzero(sizes == size)
        if len(owners):
            digits = _digits([typed[place] for place in owners.tolist()], size)
            numbers, slips = look(digits)
            numbers[numbers < _LEAST] = -1
            at, column = np.nonzero(numbers >= 0)
            found.append((owners[at], numbers[at, column], slips[column]))
    if not found:
        return (np.zeros(0, dtype=np.int64),) * 3
    owner, number, slip = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.argsort(owner, kind="stable")
    return owner[order], number[order], slip[order]


def _wrong_or_swapped(digits: Ints) -> tuple[Ints, Any]:
    rows, needs = _walk(digits)
    size, powers = digits.shape[1], _powers(digits.shape[1])
    value = (digits @ powers)[:, None]
    wrong = value + (_DIGIT_BETWEEN[rows[:, :-1], needs[:, 1:]] - digits) * powers
    left, right = digits[:, :-1], digits[:, 1:]
    swapped = value + (right - left) * (powers[:-1] - powers[1:])
    ends_well = _AFTER[_AFTER[rows[:, :-2], right], left] == needs[:, 2:]
    numbers = np.concatenate([wrong, np.where(ends_well, swapped, -1)], axis=1)
    numbers[numbers == value] = -1
    numbers[(rows[:, -1] == 0) & (digits[:, 0] > 0)] = -1
    return numbers, np.repeat([0, 1], [size, size - 1])


def _left_out(digits: Ints) -> tuple[Ints, Any]:
    rows, needs = _walk(digits)
    value, powers = (digits @ _powers(digits.shape[1]))[:, None], _powers(PAY_ACCOUNT_DIGITS)
    missing = _DIGIT_BETWEEN[rows, needs]
    return value // powers * powers * 10 + missing * powers + value % powers, np.full(len(powers), 2)


def _too_many(digits: Ints) -> tuple[Ints, Any]:
    rows, needs = _walk(digits)
    value, powers = (digits @ _powers(digits.shape[1]))[:, None], _powers(digits.shape[1])
    without = value // (powers * 10) * powers + value % powers
    return np.where(rows[:, :-1] == needs[:, 1:], without, -1), np.full(len(powers), 3)


def one_slip(typed: str) -> dict[str, str]:
    """The numbers one slip away from one text, with the slip in words; see :func:`one_slip_each`."""
    _, numbers, slips = one_slip_each([typed])
    return {str(number): WORDS[slip] for number, slip in zip(numbers.tolist(), slips.tolist(), strict=True)}


def two_slips_each(typed: list[str]) -> Ints:
    """Pay account numbers that differ from each text of nine digits in exactly two places: a row a text, -1 for none.

    For suggestions only.
    """
    digits = _digits(typed, PAY_ACCOUNT_DIGITS)
    rows, needs = _walk(digits)
    powers, every = _powers(PAY_ACCOUNT_DIGITS), np.arange(10, dtype=np.int64)
    value = (digits @ powers)[:, None]
    found = []
    for first in range(PAY_ACCOUNT_DIGITS - 1):
        changed = value + (every - digits[:, first, None]) * powers[first]
        row = _AFTER[rows[:, first]]
        for second in range(first + 1, PAY_ACCOUNT_DIGITS):
            other = _DIGIT_BETWEEN[row, needs[:, second + 1, None]]
            numbers = changed + (other - digits[:, second, None]) * powers[second]
            both = (every != digits[:, first, None]) & (other != digits[:, second, None]) & (numbers >= _LEAST)
            found.append(np.where(both, numbers, -1))
            row = _AFTER[row, digits[:, second, None]]
    return np.concatenate(found, axis=1)


def two_slips(typed: str) -> set[str]:
    """Pay account numbers that differ from nine typed digits in exactly two places; of other texts there are none."""
    if len(typed) != PAY_ACCOUNT_DIGITS:
        return set()
    return {str(number) for number in two_slips_each([typed])[0].tolist() if number >= 0}
