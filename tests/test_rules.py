"""What can be read out of a typed reference, before anything is looked up."""

from __future__ import annotations

import pytest
from stdnum import damm

from reconciliation import ladder


def number(body: str) -> str:
    """A well-formed pay account number."""
    return body + str(damm.calc_check_digit(body))


@pytest.mark.parametrize("body", ["55190089", "10150517", "58815000", "24681357"])
def test_letters_for_digits_are_read_however_many_there_are(body: str) -> None:
    written = number(body).replace("0", "O").replace("1", "l").replace("5", "S")
    assert ladder.read(written).numbers == (number(body),)


def test_letters_alone_are_a_word_and_no_number() -> None:
    for start in range(10_000_000, 10_000_400):
        word = number(str(start)).translate(str.maketrans("0123456789", "OIZEASGTBG"))
        assert ladder.read(word).numbers == ()
