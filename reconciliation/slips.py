"""Which pay account numbers a mistyped one may have meant. Pure; the check digit does the work.

Damm's check digit finds every single wrong digit and every swap of neighbours, so a well-formed number is never one
such slip away from another. For a malformed one the check digit also says, place by place, the only digit that could
have stood there: the neighbourhood of a slip is at most twenty numbers, and no index of deletions is needed.
"""

from __future__ import annotations

from stdnum import damm

from revenue_engine.identifiers import PAY_ACCOUNT_DIGITS, is_pay_account_number

_DIGITS = "0123456789"


def _table() -> tuple[tuple[int, ...], ...]:
    """Damm's table, read out of the library: the row after ``digit`` when one stands in ``row``."""
    reach = {damm.checksum(digit): digit for digit in _DIGITS}
    return tuple(tuple(int(damm.checksum(reach[row] + digit)) for digit in _DIGITS) for row in range(10))


_AFTER = _table()
_DIGIT_BETWEEN = tuple(tuple(row.index(after) for after in range(10)) for row in _AFTER)
_ROW_BEFORE = tuple(
    tuple(next(row for row in range(10) if _AFTER[row][digit] == after) for after in range(10)) for digit in range(10)
)


def _rows(digits: str) -> list[int]:
    rows = [0]
    for digit in digits:
        rows.append(_AFTER[rows[-1]][ord(digit) - 48])
    return rows


def _needs(digits: str) -> list[int]:
    """The row in which the check must stand before each digit, for the rest to end well."""
    needs = [0]
    for digit in reversed(digits):
        needs.append(_ROW_BEFORE[ord(digit) - 48][needs[-1]])
    needs.reverse()
    return needs


def one_slip(typed: str) -> dict[str, str]:
    """Every pay account number one slip away from ``typed`` (eight to ten digits), with the slip in words.

    Nine digits: one digit wrong, or two neighbours swapped. Eight: one left out. Ten: one too many. Nine digits with
    a right check digit have no such neighbour; then nothing is answered.
    """
    size = len(typed)
    found: dict[str, str] = {}
    if size == PAY_ACCOUNT_DIGITS and not is_pay_account_number(typed):
        rows, needs = _rows(typed), _needs(typed)
        for place in range(size):
            digit = _DIGITS[_DIGIT_BETWEEN[rows[place]][needs[place + 1]]]
            found[typed[:place] + digit + typed[place + 1 :]] = "one digit is wrong"
        for place in range(size - 1):
            swapped = typed[:place] + typed[place + 1] + typed[place] + typed[place + 2 :]
            if swapped != typed and _rows(swapped)[-1] == 0:
                found[swapped] = "two digits are swapped"
    elif size == PAY_ACCOUNT_DIGITS - 1:
        rows, needs = _rows(typed), _needs(typed)
        for place in range(size + 1):
            digit = _DIGITS[_DIGIT_BETWEEN[rows[place]][needs[place]]]
            found[typed[:place] + digit + typed[place:]] = "a digit was left out"
    elif size == PAY_ACCOUNT_DIGITS + 1:
        for place in range(size):
            number = typed[:place] + typed[place + 1 :]
            if _rows(number)[-1] == 0:
                found[number] = "a digit too many"
    return {number: slip for number, slip in found.items() if number[0] != "0" and number != typed}


def two_slips(typed: str) -> set[str]:
    """Pay account numbers that differ from nine typed digits in exactly two places. For suggestions only."""
    if len(typed) != PAY_ACCOUNT_DIGITS:
        return set()
    found = set()
    rows, needs, values = _rows(typed), _needs(typed), [ord(digit) - 48 for digit in typed]
    for first in range(PAY_ACCOUNT_DIGITS - 1):
        for digit in range(10):
            if digit == values[first]:
                continue
            row = _AFTER[rows[first]][digit]
            for second in range(first + 1, PAY_ACCOUNT_DIGITS):
                other = _DIGIT_BETWEEN[row][needs[second + 1]]
                if other != values[second]:
                    found.add(f"{typed[:first]}{digit}{typed[first + 1 : second]}{other}{typed[second + 1 :]}")
                row = _AFTER[row][values[second]]
    return {number for number in found if number[0] != "0"}
