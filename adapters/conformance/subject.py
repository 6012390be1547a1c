"""What the kit tests: an adapter, its fixtures, and the adapter's own rehearsal of its provider."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NoReturn

from pydantic import BaseModel

from revenue_engine.channels import CallbackAdapter, Interpretation, Paid, Purpose, Rehearsal, RehearsingAdapter, Signed
from revenue_engine.errors import ConfigurationError, InvalidValue
from revenue_engine.strict_json import loads

ACCOUNT: Final = "600100"
"""The test account the kit rehearses with."""
STRANGER: Final = "203.0.113.9"
"""An address of documentation (RFC 5737): no provider calls from it."""


class NotApplicableError(Exception):
    """A check that does not apply to this adapter; its text says why."""


def skip(why: str) -> NoReturn:
    """End a check as not applicable."""
    raise NotApplicableError(why)


@dataclass(frozen=True, slots=True)
class Case:
    """One fixture: a body and what must be read in it."""

    name: str
    body: bytes
    expected: Mapping[str, Any]
    purpose: Purpose | None


@dataclass(frozen=True)
class Subject:
    """An adapter under test."""

    adapter: CallbackAdapter
    fixtures: Path

    @cached_property
    def cases(self) -> tuple[Case, ...]:
        """Every ``NAME.json`` that has a ``NAME.expected.json`` beside it; a body without one is an error."""
        found = []
        for file in sorted(self.fixtures.glob("*.json")):
            if file.name.endswith(".expected.json"):
                continue
            golden = file.with_name(f"{file.stem}.expected.json")
            if not golden.is_file():
                raise ConfigurationError(f"{file.name} has no {golden.name} beside it", file=str(file))
            expected = json.loads(golden.read_text("utf-8"))
            purpose = expected.pop("purpose", None)
            found.append(Case(file.stem, file.read_bytes(), expected, Purpose(purpose) if purpose else None))
        return tuple(found)

    @property
    def paid(self) -> Iterator[tuple[Case, Paid]]:
        """The fixtures that tell of a payment, and what was read."""
        for case in self.cases:
            meaning = self.adapter.interpret(case.body, purpose=case.purpose)
            if isinstance(meaning, Paid):
                yield case, meaning

    @cached_property
    def documented_acks(self) -> Mapping[str, Any]:
        """The acknowledgements of the provider's documentation, from ``acks.expected.json``."""
        file = self.fixtures / "acks.expected.json"
        if not file.is_file():
            raise AssertionError(f"{file.name} is missing: write the documented acknowledgements there")
        found: Mapping[str, Any] = json.loads(file.read_text("utf-8"))
        return found

    @cached_property
    def rehearsal(self) -> Rehearsal:
        """The adapter playing its provider."""
        return self.rehearse()

    def rehearse(self) -> Rehearsal:
        """One more rehearsal, with secrets of its own."""
        if not isinstance(self.adapter, RehearsingAdapter):
            raise AssertionError("the adapter has no rehearse(): its proof cannot be tried without")  # noqa: TRY004
        return self.adapter.rehearse(ACCOUNT)

    @cached_property
    def settings(self) -> BaseModel:
        """The rehearsal's settings by the adapter's model."""
        return self.adapter.settings_model.model_validate(dict(self.rehearsal.settings))

    @cached_property
    def signed(self) -> Signed:
        """The example notice with its proof."""
        return self.rehearsal.sign(self.rehearsal.example)

    def verify(self, sent: Signed, settings: BaseModel | None = None) -> Any:
        """The adapter's verdict on what was sent."""
        return self.adapter.verify(sent.headers, sent.body, sent.peer, settings or self.settings)

    def read_example(self) -> Paid:
        """What the signed example means: a payment, or the rehearsal is wrong."""
        meaning = self.adapter.interpret(self.signed.body)
        assert isinstance(meaning, Paid), f"the example of the rehearsal is read as {meaning}"
        return meaning

    @cached_property
    def example(self) -> Any:
        """The signed example as strictly read JSON."""
        try:
            return loads(self.signed.body)
        except InvalidValue:
            skip("the bodies of this provider are not JSON")

    @cached_property
    def amount_paths(self) -> tuple[tuple[str, ...], ...]:
        """Where the amount stands in the example: the leaves that change it when they change."""
        found = tuple(
            path
            for path, _ in leaves(self.example)
            if isinstance(meaning := self.replaced(path, "98765.43"), Paid) and meaning.amount_minor == 9_876_543
        )
        assert found, "no field of the example sets the amount"
        return found

    def replaced(self, path: tuple[str, ...], value: object) -> Interpretation:
        """What the example means with one leaf replaced."""
        return self.adapter.interpret(write(put(self.example, path, value)))


def leaves(value: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    """Every leaf of nested objects, with its path; lists are leaves."""
    if isinstance(value, dict):
        for name, one in value.items():
            yield from leaves(one, (*path, name))
    elif path:
        yield path, value


def put(value: Any, path: tuple[str, ...], new: object) -> Any:
    """The same nested objects with one leaf replaced."""
    if not path:
        return new
    return {name: put(one, path[1:], new) if name == path[0] else one for name, one in value.items()}


def reordered(value: object) -> object:
    """Objects with their keys the other way round, at every level."""
    if isinstance(value, dict):
        return {name: reordered(one) for name, one in reversed(value.items())}
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


Check = Callable[[Subject], None]
"""A check: passes by returning, fails by AssertionError, does not apply by NotApplicableError."""
