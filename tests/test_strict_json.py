"""The strict JSON reader: exact, bounded, and refusing every body with two meanings."""

from __future__ import annotations

import contextlib
import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revenue_engine.errors import InvalidValue
from revenue_engine.ports.strict_json import MAX_BYTES, MAX_DEPTH, MAX_NUMBER, loads, storable


def test_reads_numbers_exactly() -> None:
    read = loads(b'{"a": 10.10, "b": 20260215093015, "c": -1E2, "d": [true, false, null, "x"]}')
    assert read == {
        "a": Decimal("10.10"),
        "b": 20260215093015,
        "c": Decimal("-1E2"),
        "d": [True, False, None, "x"],
    }
    assert isinstance(read, dict)
    assert type(read["a"]) is Decimal
    assert type(read["b"]) is int


def test_accepts_one_byte_order_mark() -> None:
    assert loads(b'\xef\xbb\xbf{"a":1}') == {"a": 1}
    with pytest.raises(InvalidValue, match="not JSON"):
        loads(b'\xef\xbb\xbf\xef\xbb\xbf{"a":1}')


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is empty"),
        (b"  ", "not JSON"),
        (b'{"a":1} x', "Extra data at line 1, column 9"),
        (b'{"a":\n  tru}', "line 2, column 3"),
        (b'{"a":1,}', "not JSON"),
        (b"{'a':1}", "not JSON"),
        (b'{"a":01}', "not JSON"),
        (b'{"a":+1}', "not JSON"),
        (b'{"a":.5}', "not JSON"),
        (b'{"a":0x10}', "not JSON"),
        (b'{"a":"\n"}', "Invalid control character"),
        ('{"a":"x"}'.encode("utf-16"), "not UTF-8: byte 0"),
        ('{"a":"x"}'.encode("utf-16-le"), "not JSON"),
        (b'{"a":"\xed\xa0\x80"}', "not UTF-8: byte 6"),
        (b'{"a":"\xc0\xaf"}', "not UTF-8"),
        (b'{"a":NaN}', "NaN is not a JSON number"),
        (b'{"a":Infinity}', "Infinity is not a JSON number"),
        (b'{"a":-Infinity}', "-Infinity is not a JSON number"),
        (b'{"a":1,"b":2,"a":1}', "the key 'a' stands twice"),
        (b'{"x":[{"b":1,"\\u0062":2}]}', "the key 'b' stands twice"),
        (b'{"a":1e999999999999999999999}', "out of every range"),
        (b'{"a":1e99999999}', "exponent passes 99"),
        (b'{"a":1e-99999999}', "exponent passes 99"),
        (b"[" * (MAX_DEPTH + 1), f"deeper than {MAX_DEPTH} levels at byte {MAX_DEPTH}"),
        (b'{"a":' * 5000, "deeper than"),
        (b'"' + b"a" * MAX_BYTES + b'"', "more than the"),
    ],
)
def test_refuses(body: bytes, message: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        loads(body)
    assert message in refused.value.message
    assert len(refused.value.message) < 200


@pytest.mark.parametrize("digits", [MAX_NUMBER + 1, 5_000, 200_000])
@pytest.mark.parametrize("form", ["{}", "-{}", "{}.5", "{}e1"])
def test_refuses_long_numbers_without_converting_them(digits: int, form: str) -> None:
    with pytest.raises(InvalidValue, match="more than 40"):
        loads(form.format("9" * digits).encode())


def test_reads_the_deepest_allowed_and_brackets_in_text() -> None:
    deep = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert json.loads(deep) == loads(deep)
    text = json.dumps({"a": '[[{"\\' * 100, "b": ["[", "\\", "{" * 50]}).encode()
    assert loads(text) == json.loads(text)


def test_caps_can_be_set() -> None:
    with pytest.raises(InvalidValue, match="more than the 3 allowed"):
        loads(b"[1, 2]", max_bytes=3)
    with pytest.raises(InvalidValue, match="deeper than 1"):
        loads(b"[[]]", max_depth=1)


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'"' + b'\\"' * 120_000, "Unterminated string"),
        (b'["' + b'\\"[' * 80_000, "Unterminated string"),
        (b'["\\' * 60_000, "deeper than"),
        (b"[" * 40 + b'"' * 200_001, "deeper than"),
    ],
)
def test_hostile_text_is_read_in_one_pass(body: bytes, message: str) -> None:
    with pytest.raises(InvalidValue, match=message):
        loads(body)


def test_storable_replaces_what_a_database_cannot_keep() -> None:
    assert storable("KDA 123A") == "KDA 123A"
    assert storable("mwananchi \U0001f697 é") == "mwananchi \U0001f697 é"
    assert storable("a\0b") == "a\ufffdb"
    assert storable("x\ud83dA") == "x\ufffdA"
    assert storable("\ude97\ud83d") == "\ufffd\ufffd"
    assert storable("é\0") == "é\ufffd"


@given(st.text(st.characters(codec=None)))
def test_storable_always_encodes(text: str) -> None:
    kept = storable(text)
    kept.encode("utf-8")
    assert "\0" not in kept
    assert len(kept) <= len(text)
    assert storable(kept) == kept


@given(st.binary(max_size=400) | st.text('{}[]",:\\u0019eE+-.tfn ', max_size=200).map(str.encode))
def test_total_on_any_bytes(body: bytes) -> None:
    with contextlib.suppress(InvalidValue):
        loads(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**38), 10**38) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(json_values, st.booleans())
def test_agrees_with_the_library_on_plain_bodies(value: object, ascii_only: bool) -> None:
    body = json.dumps(value, ensure_ascii=True if ascii_only else not _encodes(value)).encode()
    assert loads(body) == value


def _encodes(value: object) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**12), max_value=10**12))
def test_decimals_survive_exactly(value: Decimal) -> None:
    assert loads(f"[{value:f}]".encode()) == [value]
