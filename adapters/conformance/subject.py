"""What the kit tests: an adapter, its fixtures, and the adapter's own rehearsal of its provider."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NoReturn

from pydantic import BaseModel

from adapters.conformance.spelling import PairBody, Spelled, json_object
from adapters.conformance.spelling import Path as Field
from revenue_engine.errors import ConfigurationError
from revenue_engine.ports.callbacks import (
    AckOutcome,
    CallbackAdapter,
    Interpretation,
    Paid,
    Purpose,
    Rehearsal,
    RehearsingAdapter,
    Signed,
    Unknown,
    as_wire,
)

ACCOUNT: Final = "600100"
"""The test account the kit rehearses with."""
STRANGER: Final = "203.0.113.9"
"""An address of documentation (RFC 5737): no provider calls from it."""
NOT_FILLED: Final = "is not filled in"
"""What the functions of a new adapter say until their author has written them."""
_ACKS: Final = "acks.expected.json"
_GOLDEN: Final = ".expected.json"
_A_MOMENT: Final = 2_000_000_000
"""Nanoseconds within which files were written by one hand."""
_NO_BODIES: Final = (".md", ".py", ".pyc", ".toml")


class NotApplicableError(Exception):
    """A check that does not apply to this adapter; its text says why."""


class WaitingError(Exception):
    """A check that can say nothing before another one passes; its text names that one."""


def skip(why: str) -> NoReturn:
    """End a check as not applicable."""
    raise NotApplicableError(why)


def wait_for(check: str) -> NoReturn:
    """End a check as waiting for another one, which has failed and says why."""
    raise WaitingError(f"waits for {check}")


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

    # --- fixtures ---

    @cached_property
    def found(self) -> tuple[Case, ...]:
        """Every ``NAME.ANY`` with its ``NAME.expected.json``. Raises ConfigurationError where one stands alone."""
        files = [
            file
            for file in sorted(self.fixtures.glob("*.*"))
            if file.is_file() and not file.name.startswith(".") and file.suffix not in _NO_BODIES
        ]
        bodies: dict[str, Path] = {}
        for file in files:
            if not file.name.endswith(_GOLDEN) and (other := bodies.setdefault(file.stem, file)) is not file:
                raise ConfigurationError(f"{other.name} and {file.name} share one name", file=str(file))
        goldens = {file.name.removesuffix(_GOLDEN): file for file in files if file.name.endswith(_GOLDEN)}
        goldens.pop(_ACKS.removesuffix(_GOLDEN), None)
        for name, body in bodies.items():
            if name not in goldens:
                raise ConfigurationError(f"{body.name} has no {name}{_GOLDEN} beside it", file=str(body))
        for name, golden in goldens.items():
            if name not in bodies:
                raise ConfigurationError(f"{golden.name} has no body {name}.* beside it", file=str(golden))
        return tuple(_case(name, bodies[name], goldens[name]) for name in bodies)

    @property
    def cases(self) -> tuple[Case, ...]:
        """The fixtures, for a check that says nothing without them."""
        try:
            return self.found or wait_for("fixtures_are_there")
        except ConfigurationError:
            wait_for("fixtures_are_there")

    @property
    def paid(self) -> list[tuple[Case, Paid]]:
        """The fixtures that tell of a payment, and what was read: at least one."""
        self.filled_in()
        found = []
        for case in self.cases:
            meaning = self.adapter.interpret(case.body, purpose=case.purpose)
            if isinstance(meaning, Paid):
                found.append((case, meaning))
        return found or wait_for("fixtures_are_there")

    def doubts(self) -> tuple[str, ...]:
        """Golden files that are, byte for byte, what the adapter prints, and newer than their bodies: they hold the
        adapter to nothing when it wrote them itself."""
        try:
            cases = self.found
        except (ConfigurationError, OSError, ValueError):
            return ()
        copied = [case.name for case in cases if self._is_copied(case)]
        if not copied:
            return ()
        words = "is byte for byte what 'callback parse --json' prints, and newer than its body"
        return (f"{', '.join(copied)}: the golden file {words}; where the adapter wrote it, it proves nothing",)

    def _is_copied(self, case: Case) -> bool:
        golden = self.fixtures / f"{case.name}{_GOLDEN}"
        newest = max(file.stat().st_mtime_ns for file in self.fixtures.glob(f"{case.name}.*") if file != golden)
        try:
            printed = as_wire(self.adapter.interpret(case.body, purpose=case.purpose))
        except Exception:  # noqa: BLE001 - a check says what the adapter raised
            return False
        text = json.dumps(printed, indent=2, ensure_ascii=False) + "\n"
        return golden.read_bytes() == text.encode() and golden.stat().st_mtime_ns > newest + _A_MOMENT

    def documented(self, outcome: AckOutcome) -> tuple[str, dict[str, str]]:
        """What ``acks.expected.json`` says the provider wants to hear: to a body without ids, and to each fixture.

        Raises AssertionError that says what to write where the file is missing or holds what it may not.
        """
        file = self.fixtures / _ACKS
        how = f'{{"kept": "...", "refused": "..."}} and, where ids are repeated, "{outcome.value}:FIXTURE": "..."'
        assert file.is_file(), f"{_ACKS} is missing: write the documented acknowledgements there as {how}"
        found: dict[str, Any] = json.loads(file.read_text("utf-8"))
        outcomes = {one.value for one in AckOutcome}
        for name, answers in dict(found.pop("bodies", {})).items():
            found |= {f"{kind}:{name}": answer for kind, answer in answers.items()}
        for key, answer in found.items():
            assert key.partition(":")[0] in outcomes, f"{_ACKS}: {key!r} is no key of it; write {how}"
            assert isinstance(answer, str), f"{_ACKS}: {key} is no text: the exact bytes belong there as one string"
        assert outcome.value in found, f"{_ACKS}: {outcome.value} is missing; write {how}"
        repeated = {
            key.partition(":")[2]: answer for key, answer in found.items() if key.startswith(f"{outcome.value}:")
        }
        return found[outcome.value], repeated

    # --- the rehearsal ---

    @cached_property
    def rehearsal(self) -> Rehearsal:
        """The adapter playing its provider."""
        return self.rehearse()

    def rehearse(self) -> Rehearsal:
        """One more rehearsal, with secrets of its own."""
        if not isinstance(self.adapter, RehearsingAdapter):
            wait_for("example_is_a_payment")
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

    def filled_in(self) -> None:
        """End the check as waiting where the adapter's author has not written how a notice is read."""
        meaning = self.adapter.interpret(self.signed.body)
        if isinstance(meaning, Unknown) and NOT_FILLED in meaning.reason:
            wait_for("example_is_a_payment")

    def proved(self) -> None:
        """End the check as waiting where the rehearsal's own proof is refused: no other refusal tells anything."""
        if not self.verify(self.signed).accepted:
            wait_for("rehearsal_is_proved")

    def read_example(self) -> Paid:
        """What the signed example means."""
        meaning = self.adapter.interpret(self.signed.body)
        return meaning if isinstance(meaning, Paid) else wait_for("example_is_a_payment")

    # --- bodies with other values ---

    def spelled(self, body: bytes) -> Spelled | None:
        """A body taken apart, None where it is not of the rehearsal's format."""
        form = self.rehearsal.body
        if form is None:
            return json_object(body)
        try:
            return PairBody(tuple(form.fields(body)), form)
        except Exception:  # noqa: BLE001 - a format may refuse a fixture of another shape in any way
            return None

    @cached_property
    def example(self) -> Spelled:
        """The signed example taken apart."""
        return self.spelled(self.signed.body) or wait_for("bodies_can_be_written")

    @cached_property
    def amount_paths(self) -> tuple[Field, ...]:
        """Where the amount stands in the example: the fields that change it when they change."""
        self.read_example()
        return self.sets_amount(self.example) or wait_for("bodies_can_be_written")

    def sets_amount(self, example: Spelled) -> tuple[Field, ...]:
        """The fields of a body that say how much."""
        text = self.rehearsal.write_amount(OTHER_AMOUNT)
        return tuple(
            path
            for path, _ in example.leaves()
            if isinstance(meaning := self.adapter.interpret(example.put([path], text)), Paid)
            and abs(meaning.amount_minor - OTHER_AMOUNT) < 100  # who rounds is told so elsewhere
        )

    def replaced(self, path: Field, value: object) -> Interpretation:
        """What the example means with one field replaced."""
        return self.adapter.interpret(self.example.put([path], value))


OTHER_AMOUNT: Final = 9_876_543
"""Cents no example has."""


def _case(name: str, body: Path, golden: Path) -> Case:
    expected = json.loads(golden.read_text("utf-8"))
    purpose = expected.pop("purpose", None)
    return Case(name, body.read_bytes(), expected, Purpose(purpose) if purpose else None)


Check = Callable[[Subject], None]
"""A check: passes by returning, fails by AssertionError, or raises NotApplicableError or WaitingError."""
