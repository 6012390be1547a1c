"""Amounts in words, the token of a paper, and the PDF that carries both."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revenue_engine import signed_notes
from revenue_engine.errors import InvalidValue
from revenue_engine.papers import sheets, tokens, words
from revenue_engine.papers.sheets import Item, Paper

CLAIM = tokens.Claim("receipt", "2627", 123, 125_050, date(2026, 11, 30))
PAPER = Paper(
    county="County Government of Busia",
    title="OFFICIAL RECEIPT",
    number="RCT-2627-000123",
    amount_minor=125_050,
    amount_label="Received",
    facts=(("Payer", "Wanjikũ Ng’ang’a"), ("Paid with", "SKX1ABC2DE")),
    items=(Item("Single business permit", 1, 125_050),),
    notes=("Cash is not accepted.",),
    verify="https://desk.example/v#" + "A" * 114,
    short="desk.example/v/RCT-2627-000123/ABCDEFGH",
)


@pytest.mark.parametrize(
    ("minor", "english", "kiswahili"),
    [
        (0, "Zero shillings", "Shilingi sifuri"),
        (100, "One shilling", "Shilingi moja"),
        (125_050, "One thousand, two hundred and fifty shillings and fifty cents",
         "Shilingi elfu moja, mia mbili na hamsini na senti hamsini"),
        (2_000_300, "Twenty thousand and three shillings", "Shilingi elfu ishirini, tatu"),
        (2_300_000, "Twenty-three thousand shillings", "Shilingi elfu ishirini na tatu"),
        (12_345_600, "One hundred and twenty-three thousand, four hundred and fifty-six shillings",
         "Shilingi laki moja, elfu ishirini na tatu, mia nne na hamsini na sita"),
    ],
)  # fmt: skip
def test_amounts_are_said_as_people_say_them(minor: int, english: str, kiswahili: str) -> None:
    assert words.english(minor) == english
    assert words.kiswahili(minor) == kiswahili


@given(st.lists(st.integers(0, 10**11 - 1), min_size=2, max_size=20, unique=True))
def test_no_two_amounts_share_their_words(amounts: list[int]) -> None:
    assert len({words.kiswahili(one) for one in amounts}) == len(amounts)
    assert len({words.english(one) for one in amounts}) == len(amounts)


def test_every_shilling_to_a_hundred_thousand_has_words_of_its_own() -> None:
    assert len({words.kiswahili(one * 100) for one in range(100_001)}) == 100_001


def test_an_amount_without_words_is_refused() -> None:
    with pytest.raises(InvalidValue):
        words.english(-1)


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> signed_notes.SigningKey:
    folder: Path = tmp_path_factory.mktemp("keys")
    signed_notes.make_key(folder / "county.pem", "county")
    return signed_notes.read_keys(folder)[0]


def test_a_token_is_read_with_the_countys_key_alone(key: signed_notes.SigningKey) -> None:
    token = tokens.sign(CLAIM, [key])
    assert len(token) < 120
    assert tokens.read(token, [key.public]) == CLAIM
    with pytest.raises(InvalidValue):
        tokens.read(token, [])


@given(st.data())
def test_no_changed_or_cut_token_is_read(key: signed_notes.SigningKey, data: st.DataObject) -> None:
    token = tokens.sign(CLAIM, [key])
    at = data.draw(st.integers(0, len(token) - 2))
    letter = data.draw(st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"))
    changed = token[:at] + letter + token[at + 1 :]
    for wrong in ({changed} - {token}) | {token[:at], token + letter, "", "é" * 114}:
        with pytest.raises(InvalidValue):
            tokens.read(wrong, [key.public])


BILL = replace(PAPER, title="BILL", pay_to=("000000", "482 915 633"), verify="")


@pytest.mark.parametrize("size", sheets.SIZES)
@pytest.mark.parametrize("paper", [PAPER, replace(PAPER, test=True, copy=2), replace(PAPER, cancelled="twice"), BILL])
def test_a_paper_is_a_pdf_with_its_own_letters(paper: Paper, size: str) -> None:
    made = sheets.pdf(paper, size=size)
    assert made.startswith(b"%PDF-")
    assert b"/FontFile2" in made
    assert made.count(b"/Type /Page\n") <= 1 or size == "80mm"


def test_another_size_is_refused() -> None:
    with pytest.raises(InvalidValue):
        sheets.pdf(PAPER, size="a3")
