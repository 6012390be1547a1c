"""Checks of bodies that no provider sends: each is answered, none raises and none pays. And of what is answered."""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from adapters.conformance.spelling import JsonObject
from adapters.conformance.subject import Subject, skip
from revenue_engine.errors import InvalidValue
from revenue_engine.ports.callbacks import (
    AckOutcome,
    Answer,
    AskingAdapter,
    DetailedAskingAdapter,
    EchoingAdapter,
    Paid,
    Purpose,
    Reversed,
    as_wire,
)
from revenue_engine.ports.strict_json import loads

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
    filled = subject.example.extended("x" * _MEGABYTE)
    more = () if filled is None else (filled,)
    _harmless(subject, "a body of a megabyte", bytes(_MEGABYTE), b"1" * _MEGABYTE, *more)


def not_utf8(subject: Subject) -> None:
    """Other encodings, and the example with a byte that is no text."""
    body = subject.signed.body
    _harmless(subject, "a body that is not UTF-8", b"\xff\xfe{}", body + b"\xff", body.decode().encode("utf-16"))


def deep_bodies(subject: Subject) -> None:
    """Ten thousand brackets, closed and open."""
    deep = 10_000
    _harmless(subject, "a deep body", b"[" * deep, b"[" * deep + b"]" * deep, b'{"a":' * deep + b"1" + b"}" * deep)


def duplicate_keys(subject: Subject) -> None:
    """A field that stands twice has two meanings: none is taken, be they equal or not."""
    for name, body in subject.example.twice():
        _harmless(subject, f"a body with {name} twice", body)


def not_a_number(subject: Subject) -> None:
    """NaN, the infinities and numbers of a thousand digits."""
    numbers = ("NaN", "-Infinity", "1e999999999", "9" * 1000)
    bodies = [subject.example.put([path], number) for path in subject.amount_paths for number in numbers]
    if subject.rehearsal.body is None:
        body = subject.signed.body.rstrip()[:-1]
        bodies += [body + b',"zz":' + number.encode() + b"}" for number in (*numbers, "01")]
    _harmless(subject, "a body with a strange number", *bodies)


def no_objects(subject: Subject) -> None:
    """Lists, texts, numbers, nothing at all."""
    listed = [b"[" + subject.signed.body + b"]"] if subject.rehearsal.body is None else []
    _harmless(subject, "a body that is no object", b"[]", b'"x"', b"1", b"null", b"true", *listed)


def cut_bodies(subject: Subject) -> None:
    """The example cut short at every byte is no other money: unread, refused by its proof, or short of words alone."""
    body, told = subject.signed.body.rstrip(), money(subject.read_example())
    delimited = isinstance(subject.example, JsonObject)
    for end in range(len(body)):
        meaning = subject.adapter.interpret(body[:end])
        if not isinstance(meaning, Paid | Reversed):
            continue
        assert not delimited, f"the first {end} bytes are read as money"
        if not isinstance(meaning, Paid) or money(meaning) != told:
            proved = subject.verify(replace(subject.signed, body=body[:end])).accepted
            assert not proved, f"the first {end} bytes are read as other money: {as_wire(meaning)}"


def money(paid: Paid) -> object:
    """What of a payment is money: words of the payer may be cut, this may not."""
    return paid.reference, paid.amount_minor, paid.currency, paid.kind, paid.channel_account, paid.occurred_at


def wrong_types(subject: Subject) -> None:
    """Every field of the example in turn absent, empty and of every wrong kind: never raised at."""
    for path, _ in subject.example.leaves():
        for body in (
            *(subject.example.put([path], value) for value in subject.example.odd),
            subject.example.without(path),
        ):
            subject.adapter.interpret(body)
            subject.adapter.verify(subject.signed.headers, body, subject.signed.peer, subject.settings)
            if isinstance(subject.adapter, EchoingAdapter):
                subject.adapter.ack_for(AckOutcome.KEPT, body)


# --- acknowledgements ------------------------------------------------------------------------------------------------


def _documented(subject: Subject, outcome: AckOutcome) -> None:
    adapter = subject.adapter
    wanted, repeated = subject.documented(outcome)
    _is_said(outcome.value, f"ack({outcome.name})", adapter.ack(outcome), wanted)
    known = {case.name: case.body for case in subject.cases} if repeated else {}
    for name, answer in repeated.items():
        where = f"{outcome.value}:{name}"
        assert name in known, f"acks.expected.json: {where} speaks of {name}, and there is no fixture of that name"
        assert isinstance(adapter, EchoingAdapter), (
            f"acks.expected.json: {where} repeats ids, and there is no ack_for()"
        )
        _is_said(where, f"ack_for({outcome.name}, {name})", adapter.ack_for(outcome, known[name]), answer)
    if isinstance(adapter, EchoingAdapter) and not repeated:
        echo = adapter.ack_for(outcome, subject.signed.body)
        assert echo == adapter.ack(outcome), (
            f"ack_for() repeats ids ({echo!r}), and acks.expected.json records no such answer: write the documented one"
            f' to a fixture there as "{outcome.value}:FIXTURE": "..."'
        )


def _is_said(where: str, what: str, found: bytes, expected: str) -> None:
    assert found == expected.encode(), f"acks.expected.json: {where} is {expected.encode()!r}, {what} answers {found!r}"


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


_STRANGE = (
    "\r\nREFUSED",
    '"},"x":{"',
    "\n\x00<script>",
    12345678901234567890,
    "X1\r\nOK X2",
    "X1 X2 X3",
    "X1&status=1",
    "</id><id>X",
    "\x1b[2J",
    "X\u2028Y",
    "a" * 100_000,
)


def echoes_are_escaped(subject: Subject) -> None:
    """Ids of strangers are repeated as data: the same JSON keys, or in a text no more lines, words, tags or fields."""
    adapter = subject.adapter
    if not isinstance(adapter, EchoingAdapter):
        skip("the acknowledgement repeats nothing")
    for outcome in AckOutcome:
        shape = _shape(adapter.ack_for(outcome, subject.signed.body))
        for path, _ in subject.example.leaves():
            for value in _STRANGE:
                answer = adapter.ack_for(outcome, subject.example.put([path], value))
                where = f"{'.'.join(path)} = {str(value)[:20]!r}"
                assert len(answer) < 4096, f"{where} is repeated at any length"
                found = _shape(answer)
                plain = isinstance(found, Mapping) and isinstance(shape, Mapping)
                fits = all(found[key] <= shape[key] for key in shape) if plain else found == shape
                assert fits, f"{where} changes the form of the answer: {answer[:200]!r}"


def _shape(answer: bytes) -> Any:
    """What an echo may not change: the keys of a JSON object; of a text its lines, words, control characters, tags."""
    try:
        found = loads(answer)
    except InvalidValue:
        found = None
    if isinstance(found, dict):
        return sorted(found)
    text = answer.decode("utf-8", "replace")
    return {
        "lines": len(text.splitlines()),
        "words": len(text.split()),
        "controls": sum(unicodedata.category(letter) == "Cc" for letter in text),
        "tags": text.count("<") + text.count(">"),
        "fields": text.count("="),
    }


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
