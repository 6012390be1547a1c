"""Bodies taken apart, so that a check can write another value into a field, whatever the provider's format is.

The kit works on JSON by itself. For any other format the rehearsal brings a ``BodyFormat``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Protocol, TypeAlias

from revenue_engine.errors import InvalidValue
from revenue_engine.ports.callbacks import BodyFormat, Pairs
from revenue_engine.ports.strict_json import loads

Path: TypeAlias = tuple[str, ...]
"""Where a field stands: its name, and in JSON the names of the objects around it."""


class Spelled(Protocol):
    """A body whose fields can be written anew."""

    @property
    def odd(self) -> Sequence[object]:
        """Values no provider writes into a field; None is an absent one where the format has no null."""
        ...

    def leaves(self) -> list[tuple[Path, object]]:
        """Every field that holds no others, with its value."""
        ...

    def put(self, paths: Sequence[Path], value: object) -> bytes:
        """The body with another value in these fields."""
        ...

    def without(self, path: Path) -> bytes:
        """The body without this field."""
        ...

    def twice(self) -> Iterator[tuple[str, bytes]]:
        """The body with each field in turn standing twice: equal, and with another value, in front and at the end."""
        ...

    def reordered(self) -> bytes | None:
        """The fields the other way round; None where their place is their meaning."""
        ...

    def extended(self, text: str = "") -> bytes | None:
        """The body with fields nobody knows; None where the format has room for none."""
        ...

    def layouts(self) -> Sequence[bytes]:
        """The same fields in other spellings, the plainest first."""
        ...


# --- JSON ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class JsonObject:
    """A JSON object as it was read strictly."""

    doc: dict[str, Any]
    odd: Sequence[object] = ([], {}, True, None, 7, "", [{"a": 1}], "\x00", "\ud800")

    def leaves(self) -> list[tuple[Path, object]]:
        """Every leaf of nested objects; lists are leaves."""
        return list(_leaves(self.doc))

    def put(self, paths: Sequence[Path], value: object) -> bytes:
        """The object with other leaves."""
        doc: Any = self.doc
        for path in paths:
            doc = _put(doc, path, value)
        return write(doc)

    def without(self, path: Path) -> bytes:
        """The object without this leaf."""
        return write(_put(self.doc, path, _GONE))

    def twice(self) -> Iterator[tuple[str, bytes]]:
        """Each key of the outer object twice."""
        body = write(self.doc)
        for name, value in self.doc.items():
            for again in (value, "7"):
                pair = write({name: again})[1:-1]
                yield name, body[:-1] + b"," + pair + b"}"
                yield name, b"{" + pair + b"," + body[1:]

    def reordered(self) -> bytes | None:
        """Keys the other way round, at every level."""
        return write(_reordered(self.doc))

    def extended(self, text: str = "") -> bytes | None:
        """Keys nobody knows, in front and at the end."""
        return write({"zz_new": {"a": [1]}, **self.doc, "zz_last": text or None})

    def layouts(self) -> Sequence[bytes]:
        """Without any layout, and indented with line ends of Windows."""
        return write(self.doc), write(self.doc, indent=4).replace(b"\n", b"\r\n")


def json_object(body: bytes) -> JsonObject | None:
    """A body as a JSON object, None where it is none."""
    try:
        doc = loads(body)
    except InvalidValue:
        return None
    return JsonObject(doc) if isinstance(doc, dict) else None


_GONE: Final = object()


def _leaves(value: object, path: Path = ()) -> Iterator[tuple[Path, object]]:
    if isinstance(value, dict):
        for name, one in value.items():
            yield from _leaves(one, (*path, name))
    elif path:
        yield path, value


def _put(value: Any, path: Path, new: object) -> Any:
    if not path:
        return new
    changed = {name: _put(one, path[1:], new) if name == path[0] else one for name, one in value.items()}
    return {name: one for name, one in changed.items() if one is not _GONE}


def _reordered(value: object) -> object:
    if isinstance(value, dict):
        return {name: _reordered(one) for name, one in reversed(value.items())}
    return value


_NUMBER: Final = re.compile(r'"\\u0002([^"]*)\\u0002"')


def write(value: object, *, indent: int | None = None) -> bytes:
    """JSON with every number spelled exactly as it was read; no float on the way."""

    def exact(one: object) -> str:
        if isinstance(one, Decimal):
            return f"\x02{one}\x02"
        raise TypeError(type(one).__name__)

    text = json.dumps(value, default=exact, indent=indent)
    return _NUMBER.sub(lambda found: found[1], text).encode()


# --- any other format ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PairBody:
    """A body of names and texts, spelled by the provider's format."""

    pairs: Pairs
    form: BodyFormat
    odd: Sequence[object] = (None, "", " ", "7", "null", "-", "x" * 5_000, "é½٣", '{"a":[1]}', "<a>", "\r\n", "\x00")

    def leaves(self) -> list[tuple[Path, object]]:
        """Every field."""
        return [((name,), text) for name, text in self.pairs]

    def put(self, paths: Sequence[Path], value: object) -> bytes:
        """The body with another text in these fields; None takes them away."""
        named = {path[0] for path in paths}
        if value is None:
            return self.form.encode([pair for pair in self.pairs if pair[0] not in named])
        return self.form.encode([(name, str(value) if name in named else text) for name, text in self.pairs])

    def without(self, path: Path) -> bytes:
        """The body without this field."""
        return self.put([path], None)

    def twice(self) -> Iterator[tuple[str, bytes]]:
        """Each field twice."""
        for name, text in self.pairs:
            for again in (text, "7"):
                yield name, self.form.encode([*self.pairs, (name, again)])
                yield name, self.form.encode([(name, again), *self.pairs])

    def reordered(self) -> bytes | None:
        """The fields the other way round."""
        return self.form.encode(list(reversed(self.pairs))) if self.form.free_order else None

    def extended(self, text: str = "") -> bytes | None:
        """Fields nobody knows, in front and at the end."""
        if not self.form.free_fields:
            return None
        return self.form.encode([("zz_new", "1"), *self.pairs, ("zz_last", text)])

    def layouts(self) -> Sequence[bytes]:
        """As the format writes it, and its other spellings."""
        others = self.form.layouts(self.pairs) if self.form.layouts is not None else ()
        return self.form.encode(self.pairs), *others
