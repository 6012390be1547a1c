"""Reasons are kept for ever and read by many: no adapter repeats in one what a body holds in a wrong field."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import readings
from adapters.kcb import adapter as kcb
from adapters.mpesa import adapter as mpesa
from revenue_engine.ports.callbacks import Paid, Purpose, Reversed
from revenue_engine.ports.strict_json import name_shown

HERE = Path(__file__).parent
PEOPLE = ("Wanjiru Sample", "254700000101", "0700000101", "12345678", "0700.000.101")


def _with(doc: object, path: tuple[str | int, ...], value: object) -> object:
    if not path:
        return value
    step, *rest = path
    if isinstance(doc, dict):
        return {**doc, step: _with(doc[step], tuple(rest), value)}
    assert isinstance(doc, list)
    return [*doc[:step], _with(doc[step], tuple(rest), value), *doc[int(step) + 1 :]]  # type: ignore[misc]


def _leaves(doc: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    if isinstance(doc, dict):
        return [leaf for key, value in doc.items() for leaf in _leaves(value, (*path, key))]
    if isinstance(doc, list):
        return [leaf for place, value in enumerate(doc) for leaf in _leaves(value, (*path, place))]
    return [path]


def _bodies(folder: str) -> list[object]:
    paths = [path for path in sorted((HERE / folder).glob("*.json")) if not path.name.endswith(".expected.json")]
    found = [json.loads(path.read_bytes()) for path in paths if _is_json(path.read_bytes())]
    return [doc for doc in found if isinstance(doc, dict)]


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("person", PEOPLE)
@pytest.mark.parametrize(("folder", "interpret"), [("mpesa", mpesa.interpret), ("kcb", kcb.interpret)])
def test_no_reason_repeats_what_stands_in_a_wrong_field(
    folder: str, interpret: Callable[..., object], person: str
) -> None:
    tried = 0
    for doc in _bodies(folder):
        for leaf in _leaves(doc):
            body = json.dumps(_with(doc, leaf, person)).encode()
            for purpose in (None, Purpose.CONFIRMATION, Purpose.QUERY, Purpose.PULL):
                found = interpret(body, purpose=purpose)
                said = found.doubt if isinstance(found, Paid) else "" if isinstance(found, Reversed) else found.reason  # type: ignore[attr-defined]
                assert person not in said, (leaf, said)
                tried += 1
    assert tried > 100


@given(st.text(max_size=40))
def test_what_is_shown_of_a_text_is_its_size(text: str) -> None:
    said = readings.shown(text)
    assert said in {"an empty text", f"text of {len(text)} characters"}


@given(st.from_regex(r"(\+?254|0)?[17]\d{8}", fullmatch=True) | st.from_regex(r"\d{7,9}", fullmatch=True))
def test_no_phone_and_no_identity_number_is_shown_as_a_code(number: str) -> None:
    assert number not in readings.code_shown(number)
    assert number not in name_shown(number)


@pytest.mark.parametrize("code", ["1032", "500.001.1001", "SFC_IC0003", "-1", "C2B00012", "E1"])
def test_a_providers_own_code_is_shown(code: str) -> None:
    assert readings.code_shown(code) == repr(code)
