"""What is done in columns answers as the plain way does, text by text and key by key."""

from __future__ import annotations

import re

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from stdnum import damm

from reconciliation import ladder
from reconciliation.engine import columns, indexes
from revenue_engine.identifiers import is_pay_account_number
from tests.matching.worlds import A, B, bill, paid, run, tables

TEXTS = st.lists(st.text(st.sampled_from("KDAo0-/ iéß19Z"), max_size=9), max_size=12)
KEYS = st.lists(st.integers(-2, 6), max_size=30)


@settings(deadline=None)
@given(TEXTS)
def test_objects_fold_as_texts_do(texts: list[str]) -> None:
    ascii_only = [text.encode("ascii", "ignore").decode() for text in texts]
    plain = [ladder.folded(re.sub("[^A-Z0-9]+", "", text.upper())) for text in ascii_only]
    assert indexes.folded_column(columns.texts(ascii_only)).to_pylist() == plain
    squeezed = [re.sub("[^0-9A-Z]+", "", text.upper()) for text in ascii_only]
    assert indexes.squeezed_column(columns.texts(ascii_only)).to_pylist() == squeezed
    assert indexes.squeezed_column(columns.texts([*ascii_only, "é"])).to_pylist() == [*squeezed, ""]
    accented = [*texts, "é"]  # one such text takes the column the other way; the rest must fold alike
    folded = indexes.folded_column(columns.texts([*ascii_only, "é"])).to_pylist()
    assert folded[:-1] == plain
    assert len(indexes.folded_column(columns.texts(accented))) == len(accented)


@settings(deadline=None)
@given(TEXTS)
def test_texts_that_stand_twice_are_found(texts: list[str]) -> None:
    assert columns.all_distinct(columns.texts(texts)) == (len(set(texts)) == len(texts))
    padded = [f"{place % 7:010d}" for place in range(len(texts))]
    assert columns.all_distinct(columns.texts(padded)) == (len(padded) <= 7)


def test_a_slice_of_a_column_is_that_slice() -> None:
    whole = columns.texts(["KDA123A", "kdb 456b", "KDC-789C"])
    assert indexes.folded_column(whole.slice(1, 2)).to_pylist() == ["KD84568", "KDC789C"]
    assert columns.all_distinct(columns.texts(["aa", "aa", "bb"]).slice(1))


@settings(deadline=None)
@given(KEYS, st.lists(st.integers(-3, 8), max_size=12), st.integers(1, 4))
def test_rows_of_keys(keys: list[int], wanted: list[int], most: int) -> None:
    found = indexes.IntIndex(np.array(keys, dtype=np.int64)).rows(wanted, most=most)
    assert found == [[row for row, key in enumerate(keys) if key == one and one >= 0][:most] for one in wanted]


def test_numbers_of_every_shape_are_found() -> None:
    bills, _ = tables([bill(A), bill("INV-7"), bill(B), bill("0123")], [])
    wanted = columns.texts([B, "INV-7", "123", "0123", "", A, "999999999"])
    assert indexes.Bills(bills).rows_of_numbers(wanted).tolist() == [2, 1, -1, 3, -1, 0, -1]
    many = columns.texts([B])
    assert indexes.Bills(bills).rows_of_numbers(many).tolist() == [2]


@settings(deadline=None)
@given(st.lists(st.sampled_from((A, B, "123456789", "999999999", "012345678")), max_size=9))
def test_numbers_that_are_hardly_ever_a_bills_are_found_too(wanted: list[str]) -> None:
    bills, _ = tables([bill(A), bill("INV-7"), bill(B)], [])
    asked = np.array([*(int(text) for text in wanted), -1], dtype=np.int64)
    rows = [{int(A): 0, int(B): 2}.get(number, -1) for number in asked.tolist()]
    assert indexes.Bills(bills).rows_of_near_numbers(asked).tolist() == rows
    assert indexes.Bills(bills).rows_of_digits(asked).tolist() == rows


DIGITS = st.text("0123456789", min_size=1, max_size=14)
PHONES = st.builds(
    "".join, st.tuples(st.sampled_from(("", "0", "254")), st.sampled_from("71"), st.text("059", max_size=9))
)


@settings(deadline=None)
@given(
    st.one_of(DIGITS, PHONES, st.sampled_from((A, B, A[:8], "0"))), st.sampled_from(((), ("BSA", "NO"), ("07", "X")))
)
def test_digits_in_one_piece_are_heard_as_any_text(typed: str, prefixes: tuple[str, ...]) -> None:
    plain = ladder.read(typed).numbers, typed not in ladder.NOTHING, ladder.clues(typed, prefixes=prefixes)
    assert ladder.hear_all([(typed, "")], prefixes) == [plain]


def test_a_payer_of_many_bills() -> None:
    """Hundreds of open bills of one payer: the rest of a payment is still offered to those that fit, oldest first."""
    from revenue_engine.identifiers import draw_pay_account_number

    numbers = sorted({draw_pay_account_number() for _ in range(400)} - {A})
    many = [
        bill(number, f"{200 + place}.00", payer_id="P1", due_on=f"2026-04-{place % 28 + 1:02d}")
        for place, number in enumerate(numbers)
    ]
    found = run([bill(A, payer_id="P1"), *many], [paid("T1", "350.00", A), paid("T2", "1100.50", A)])
    shown: dict[str, list[str]] = {}
    for row in found.suggestions.to_pylist():
        shown.setdefault(row["payment_id"], []).append(row["invoice_number"])
    assert shown["T1"] == [numbers[50]]
    oldest = [number for place, number in enumerate(numbers) if place % 28 == 0][:5]
    assert shown["T2"] == oldest


@settings(deadline=None)
@given(
    st.one_of(st.text("0123456789", min_size=8, max_size=10), st.text(max_size=9), st.sampled_from((A, B, "٥٠٨٠٦٠٦١١")))
)
def test_check_digits_are_the_library_s(text: str) -> None:
    plain = len(text) == 9 and text.isascii() and text.isdigit() and text[0] != "0" and damm.is_valid(text)
    assert is_pay_account_number(text) == plain
