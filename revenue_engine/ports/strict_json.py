"""JSON from strangers, read strictly: one meaning a body, exact numbers, bounded work.

Where ``json.loads`` picks a meaning (the last of two equal keys, a binary float, NaN), this reader refuses, so that
two readers of the same body can never see two amounts. Text is returned as written; :func:`storable` makes it
fit for a database.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal, DecimalException
from typing import NoReturn

from revenue_engine.errors import InvalidValue

MAX_BYTES = 262_144
"""Largest body read, in bytes. A payment notice is about 450; a full page of a pull answer is below 40,000."""
MAX_DEPTH = 32
"""Deepest nesting of objects and lists. The deepest provider body known has six levels."""
MAX_NUMBER = 40
"""Longest number, in characters."""
_MAX_EXPONENT = 99

_BOM = b"\xef\xbb\xbf"
_MARKS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)
"""A whole string (closed or not, so that a scan never starts again inside one) or one bracket."""


def loads(body: bytes, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> object:
    """Read one JSON value from UTF-8 bytes. Raises InvalidValue saying what is wrong and where.

    Numbers with a fraction or an exponent become ``Decimal``, the others ``int``; never ``float``. Refused: other
    encodings, NaN and the infinities, a key twice in one object, raw control characters in text, numbers longer than
    ``MAX_NUMBER`` characters, nesting deeper than ``max_depth`` and bodies longer than ``max_bytes``.
    One leading byte order mark is accepted and dropped: RFC 8259 section 8.1 lets a reader do so, some gateways
    write one, and it cannot change the meaning.
    """
    if len(body) > max_bytes:
        raise InvalidValue(f"the body has {len(body)} bytes, more than the {max_bytes} allowed", bytes=len(body))
    if not body:
        raise InvalidValue("the body is empty: JSON was expected")
    # Brackets inside text count here too, so this only spares small honest bodies the exact scan.
    if body.count(b"{") + body.count(b"[") > max_depth:
        _refuse_deep(body, max_depth)
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidValue(f"the body is not UTF-8: byte {error.start} cannot be read", byte=error.start) from None
    if body.startswith(_BOM):
        text = text[1:]
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise InvalidValue(
            f"the body is not JSON: {error.msg} at {where}", line=error.lineno, column=error.colno
        ) from None


def storable(text: str) -> str:
    r"""The same text, with each NUL and each half of a surrogate pair replaced by U+FFFD.

    JSON can spell both (``"\u0000"``, ``"\ud83d"``: an emoji cut at a length limit), and a database can keep neither.
    """
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "\ufffd").encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


_FIELD_NAME = re.compile(r"[A-Za-z][A-Za-z_]{0,40}", re.ASCII)


def name_shown(name: str) -> str:
    """The name of a field for a reason, which is kept for ever; what looks like no such name is only described."""
    return repr(name) if _FIELD_NAME.fullmatch(name) else f"a name of {len(name)} characters"


def _refuse_deep(body: bytes, max_depth: int) -> None:
    depth = 0
    for found in _MARKS.finditer(body):
        mark = found[0]
        if mark in (b"{", b"["):
            depth += 1
            if depth > max_depth:
                raise InvalidValue(
                    f"the body nests deeper than {max_depth} levels at byte {found.start()}", byte=found.start()
                )
        elif mark in (b"}", b"]"):
            depth -= 1


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    read = dict(pairs)
    if len(read) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise InvalidValue(f"the key {name_shown(key)} stands twice in one object")
            seen.add(key)
    return read


def _integer(text: str) -> int:
    if len(text) > MAX_NUMBER:
        raise InvalidValue(f"a number has {len(text)} characters: more than {MAX_NUMBER}")
    return int(text)


def _decimal(text: str) -> Decimal:
    if len(text) > MAX_NUMBER:
        raise InvalidValue(f"a number has {len(text)} characters: more than {MAX_NUMBER}")
    try:
        value = Decimal(text)
    except DecimalException:
        raise InvalidValue(f"the number {text} is out of every range") from None
    # 1E+999999999 is a short text and a gigabyte as an int: stop it before anybody converts it.
    if not -_MAX_EXPONENT <= value.adjusted() <= _MAX_EXPONENT:
        raise InvalidValue(f"the number {text} is out of range: its exponent passes {_MAX_EXPONENT}")
    return value


def _constant(text: str) -> NoReturn:
    raise InvalidValue(f"{text} is not a JSON number")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_decimal, parse_int=_integer, parse_constant=_constant
)
