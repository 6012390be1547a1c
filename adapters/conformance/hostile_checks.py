"""Checks of bodies that no provider sends: each is answered, none raises and none pays. And of what is answered."""

from __future__ import annotations

import json
import time
from typing import Any, Final

from adapters.conformance.subject import Subject, leaves, put, skip, write
from revenue_engine.channels import (
    AckOutcome,
    Answer,
    AskingAdapter,
    DetailedAskingAdapter,
    EchoingAdapter,
    Paid,
    Purpose,
    Reversed,
)
from revenue_engine.errors import InvalidValue
from revenue_engine.strict_json import loads

_MEGABYTE: Final = 1_048_576


def _harmless(subject: Subject, what: str, *bodies: bytes) -> None:
    """No method raises on these bodies, none is money, and each is acknowledged."""
    adapter = subject.adapter
    for body in bodies:
        adapter.verify(subject.signed.headers, body, subject.signed.peer, subject.settings)
        adapter.verify({}, body, "not an address", subject.settings)
        for purpose in (None, *Purpose):
            meaning = adapter.interpret(body, purpose=purpose)
            assert not isinstance(meaning, Paid | Reversed), f"{what} is read as money"
        for outcome in AckOutcome:
            answer = adapter.ack_for(outcome, body) if isinstance(adapter, EchoingAdapter) else adapter.ack(outcome)
            assert answer, f"{what} is not acknowledged"
        if isinstance(adapter, AskingAdapter):
            adapter.asked(body)
        if isinstance(adapter, DetailedAskingAdapter):
            for answer_ in Answer:
                assert adapter.answer_for(answer_, body, subject.settings), f"{what} is not answered"


def empty_bodies(subject: Subject) -> None:
    """Nothing, blanks, an empty object."""
    _harmless(subject, "an empty body", b"", b" ", b"\n\n", b"{}", b"\xef\xbb\xbf")


def one_megabyte(subject: Subject) -> None:
    """A megabyte of zeros, of text, and of the example filled up."""
    filled = subject.signed.body[:-1] + b',"zz":"' + b"x" * _MEGABYTE + b'"}'
    _harmless(subject, "a body of a megabyte", bytes(_MEGABYTE), b"1" * _MEGABYTE, filled)


def not_utf8(subject: Subject) -> None:
    """Other encodings, and the example with a byte that is no text."""
    body = subject.signed.body
    _harmless(subject, "a body that is not UTF-8", b"\xff\xfe{}", body + b"\xff", body.decode().encode("utf-16"))


def deep_bodies(subject: Subject) -> None:
    """Ten thousand brackets, closed and open."""
    deep = 10_000
    _harmless(subject, "a deep body", b"[" * deep, b"[" * deep + b"]" * deep, b'{"a":' * deep + b"1" + b"}" * deep)


def duplicate_keys(subject: Subject) -> None:
    """A key that stands twice has two meanings: none is taken."""
    example = subject.example
    for name, value in example.items():
        twice = subject.signed.body.rstrip()[:-1] + b"," + json.dumps({name: value}, default=str).encode()[1:]
        _harmless(subject, f"a body with {name} twice", twice)


def not_a_number(subject: Subject) -> None:
    """NaN, the infinities and numbers of a thousand digits."""
    body = subject.signed.body.rstrip()[:-1]
    _harmless(
        subject,
        "a body with a strange number",
        *(body + b',"zz":' + number + b"}" for number in (b"NaN", b"-Infinity", b"1e999999999", b"9" * 1000, b"01")),
    )


def no_objects(subject: Subject) -> None:
    """Lists, texts, numbers, nothing at all."""
    _harmless(
        subject, "a body that is no object", b"[]", b'"x"', b"1", b"null", b"true", b"[" + subject.signed.body + b"]"
    )


def cut_bodies(subject: Subject) -> None:
    """The example cut short at every byte."""
    body = subject.signed.body.rstrip()
    for end in range(len(body)):
        meaning = subject.adapter.interpret(body[:end])
        assert not isinstance(meaning, Paid | Reversed), f"the first {end} bytes are read as money"


def wrong_types(subject: Subject) -> None:
    """Every field of the example in turn a list, an object, a truth, nothing: never raised at."""
    values: tuple[object, ...] = ([], {}, True, None, 7, "", [{"a": 1}], "\x00", "\ud800")
    for path, _ in leaves(subject.example):
        for value in values:
            body = write(put(subject.example, path, value))
            subject.adapter.interpret(body)
            subject.adapter.verify(subject.signed.headers, body, subject.signed.peer, subject.settings)
            if isinstance(subject.adapter, EchoingAdapter):
                subject.adapter.ack_for(AckOutcome.KEPT, body)


# --- acknowledgements ------------------------------------------------------------------------------------------------


def _documented(subject: Subject, outcome: AckOutcome) -> None:
    wanted = subject.documented_acks
    assert subject.adapter.ack(outcome).decode() == wanted[outcome.value], f"{subject.adapter.ack(outcome)!r}"
    bodies: dict[str, Any] = wanted.get("bodies", {})
    known = {case.name: case.body for case in subject.cases}
    for name, answers in bodies.items():
        assert name in known, f"acks.expected.json speaks of {name}, and there is no {name}.json"
        adapter = subject.adapter
        assert isinstance(adapter, EchoingAdapter), "the adapter cannot repeat ids: it has no ack_for"
        found = adapter.ack_for(outcome, known[name]).decode()
        assert found == answers[outcome.value], f"{name}: {found}"


def ack_is_documented(subject: Subject) -> None:
    """The acknowledgement is the provider's documented bytes, ids of the body included."""
    _documented(subject, AckOutcome.KEPT)


def refusal_is_documented(subject: Subject) -> None:
    """The refusal is the provider's own form, byte for byte."""
    _documented(subject, AckOutcome.REFUSED)


def refusal_differs(subject: Subject) -> None:
    """A refusal never looks like an acknowledgement."""
    assert subject.adapter.ack(AckOutcome.KEPT) != subject.adapter.ack(AckOutcome.REFUSED), "both are the same bytes"


def acks_hold_no_secret(subject: Subject) -> None:
    """No acknowledgement repeats a secret or the payer."""
    adapter = subject.adapter
    secrets = [value for value in subject.rehearsal.secrets.values() if len(value) > 3]
    party = subject.read_example().party
    for outcome in AckOutcome:
        body = subject.signed.body
        said = (
            adapter.ack_for(outcome, body) if isinstance(adapter, EchoingAdapter) else adapter.ack(outcome)
        ).decode()
        assert not any(value in said for value in secrets), "an acknowledgement repeats a secret"
        assert not any(word and word in said for word in (party.name, party.msisdn)), "it repeats the payer"


def echoes_are_escaped(subject: Subject) -> None:
    """Ids of strangers are repeated as data: the acknowledgement stays one JSON object of the same keys."""
    adapter = subject.adapter
    if not isinstance(adapter, EchoingAdapter):
        skip("the acknowledgement repeats nothing")
    shape = _keys(adapter.ack_for(AckOutcome.KEPT, subject.signed.body))
    for path, _ in leaves(subject.example):
        for value in ('"},"x":{"', "a" * 100_000, "\n\x00<script>", 12345678901234567890):
            answer = adapter.ack_for(AckOutcome.KEPT, write(put(subject.example, path, value)))
            assert len(answer) < 4096, "an echo of any length is repeated"
            assert _keys(answer) == shape, "an echo changes the form"
            try:
                loads(answer)
            except InvalidValue as error:
                raise AssertionError(f"an echo breaks the acknowledgement: {error.message}") from None


def _keys(answer: bytes) -> list[str]:
    found = json.loads(answer)
    return sorted(found) if isinstance(found, dict) else []


def one_notice_is_quick(subject: Subject) -> None:
    """Proof, reading and acknowledgement of a notice take under five milliseconds: intake does them one by one."""
    taken = []
    for _ in range(20):
        started = time.perf_counter_ns()
        subject.verify(subject.signed)
        subject.adapter.interpret(subject.signed.body)
        subject.adapter.ack(AckOutcome.KEPT)
        taken.append(time.perf_counter_ns() - started)
    assert min(taken) < 5_000_000, f"{min(taken) // 1000} microseconds"
